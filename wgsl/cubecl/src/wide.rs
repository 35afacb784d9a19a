//! Numbers of 64 bits as two of 32, and the formulas of the definition in [`ffcm::focus`], in kernels. Whole numbers only:
//! WGSL has no `u64` of its own, and not every driver adds it.

use cubecl::prelude::*;

/// A number of 64 bits.
#[derive(CubeType, CubeTypeMut, Clone, Copy)]
#[expand(derive(Clone, Copy))]
pub(crate) struct Wide {
    pub(crate) low: u32,
    pub(crate) high: u32,
}

/// 0.
#[cube]
pub(crate) fn zero() -> Wide {
    Wide {
        low: 0u32.runtime(),
        high: 0u32.runtime(),
    }
}

/// The total mass, 2^62.
#[cube]
pub(crate) fn mass() -> Wide {
    Wide {
        low: 0u32.runtime(),
        high: 0x4000_0000u32.runtime(),
    }
}

/// The pair of words at 2 `index`.
#[cube]
pub(crate) fn load(words: &[u32], index: u32) -> Wide {
    let at = 2 * index as usize;
    Wide {
        low: words[at],
        high: words[at + 1],
    }
}

/// The same of words that others change, though not now.
#[cube]
pub(crate) fn load_atomic(words: &[Atomic<u32>], index: u32) -> Wide {
    let at = 2 * index as usize;
    Wide {
        low: words[at].load(),
        high: words[at + 1].load(),
    }
}

/// Writes the pair of words at 2 `index`.
#[cube]
pub(crate) fn store(words: &mut [u32], index: u32, value: Wide) {
    let at = 2 * index as usize;
    words[at] = value.low;
    words[at + 1] = value.high;
}

/// Adds to the pair of words at 2 `index`. Carries go up one by one, so the value after the launch does not depend on
/// their order.
#[cube]
pub(crate) fn accumulate(words: &[Atomic<u32>], index: u32, value: Wide) {
    let at = 2 * index as usize;
    let before = words[at].fetch_add(value.low);
    let after = before + value.low;
    let carry = select(after < before, 1u32, 0u32);
    words[at + 1].fetch_add(value.high + carry);
}

/// `a + b` modulo 2^64.
#[cube]
pub(crate) fn add(a: Wide, b: Wide) -> Wide {
    let low = a.low + b.low;
    let carry = select(low < a.low, 1u32, 0u32);
    Wide {
        low,
        high: a.high + b.high + carry,
    }
}

/// `a + b` modulo 2^64.
#[cube]
pub(crate) fn add_word(a: Wide, b: u32) -> Wide {
    let low = a.low + b;
    let carry = select(low < b, 1u32, 0u32);
    Wide {
        low,
        high: a.high + carry,
    }
}

/// `a - b` modulo 2^64.
#[cube]
pub(crate) fn sub(a: Wide, b: Wide) -> Wide {
    let borrow = select(a.low < b.low, 1u32, 0u32);
    Wide {
        low: a.low - b.low,
        high: a.high - b.high - borrow,
    }
}

/// Whether `a < b`.
#[cube]
pub(crate) fn less(a: Wide, b: Wide) -> bool {
    a.high < b.high || (a.high == b.high && a.low < b.low)
}

/// One of the two.
#[cube]
pub(crate) fn choose(condition: bool, then: Wide, or_else: Wide) -> Wide {
    Wide {
        low: select(condition, then.low, or_else.low),
        high: select(condition, then.high, or_else.high),
    }
}

/// `a >> by`, for `by` below 32.
#[cube]
pub(crate) fn shift_right(a: Wide, by: u32) -> Wide {
    // Two shifts, as a shift by 32 is none.
    Wide {
        low: (a.low >> by) | ((a.high << 1u32) << (31 - by)),
        high: a.high >> by,
    }
}

/// The full product.
#[cube]
pub(crate) fn multiply(a: u32, b: u32) -> Wide {
    Wide {
        low: a * b,
        high: a.mul_hi(b),
    }
}

/// `a * b` modulo 2^64.
#[cube]
pub(crate) fn multiply_word(a: Wide, b: u32) -> Wide {
    let low = multiply(a.low, b);
    Wide {
        low: low.low,
        high: low.high + a.high * b,
    }
}

/// `floor(a / b)`, bit by bit. Once per iteration.
#[cube]
pub(crate) fn divide(a: Wide, b: u32) -> Wide {
    let mut quotient = zero();
    let mut rest = 0u32;
    for step in 0..64u32 {
        let bit = 63 - step;
        let word = select(bit > 31, a.high, a.low);
        let next = (word >> (bit & 31)) & 1;
        let carry = rest >> 31u32;
        rest = (rest << 1u32) | next;
        quotient.high = (quotient.high << 1u32) | (quotient.low >> 31u32);
        quotient.low <<= 1u32;
        if carry == 1 || rest >= b {
            rest -= b;
            quotient.low |= 1;
        }
    }
    quotient
}

/// Part of a pool for a teleport share, both at most 2^62: `floor(pool * teleport / 2^62)`.
#[cube]
pub(crate) fn pool_part(pool: Wide, teleport: Wide) -> Wide {
    let first = multiply(pool.low, teleport.low);
    let middle = add_word(multiply(pool.low, teleport.high), first.high);
    let other = add_word(multiply(pool.high, teleport.low), middle.low);
    let top = add_word(multiply(pool.high, teleport.high), middle.high);
    let high = add_word(top, other.high);
    Wide {
        low: (other.low >> 30u32) | (high.low << 2u32),
        high: (high.low >> 30u32) | (high.high << 2u32),
    }
}

/// The share of a source of mass `x`, packed: mantissa in bits 0 to 26, j in bits 27 to 31. `scale` is 31 to 63; a node
/// without out-edges has ratio 0 and share 0.
#[cube]
pub(crate) fn packed_share(x: Wide, damping: u32, ratio: u32, scale: u32) -> u32 {
    let damped = add_word(multiply(damping, x.high), damping.mul_hi(x.low));
    let low = multiply(damped.low, ratio);
    let high = add_word(multiply(damped.high, ratio), low.high);
    // The product is `high` and one more word below; scale 31 keeps a bit of that.
    let nearly = Wide {
        low: (low.low >> 31u32) | (high.low << 1u32),
        high: (high.low >> 31u32) | (high.high << 1u32),
    };
    let share = choose(scale == 31, nearly, shift_right(high, (scale - 32) & 31));
    let bits = select(
        share.high != 0,
        64 - share.high.leading_zeros(),
        32 - share.low.leading_zeros(),
    );
    // Twice j: at most 36.
    let even = (max(bits, 27u32) - 26) & 62;
    let mantissa = select(
        even >= 32,
        share.high >> (even & 31),
        shift_right(share, even & 31).low,
    );
    mantissa | (even << 26u32)
}

/// What a packed share is worth.
#[cube]
pub(crate) fn unpacked_share(share: u32) -> Wide {
    let mantissa = share & 0x07ff_ffff;
    let even = (share >> 26u32) & 62;
    let by = even & 31;
    let far = even >= 32;
    Wide {
        low: select(far, 0u32, mantissa << by),
        high: select(far, mantissa << by, (mantissa >> 1u32) >> (31 - by)),
    }
}

/// What an edge carries of a packed share: `floor(share * quota / 2^31)`, a product of at most 58 bits, shifted by 2j - 31,
/// which is odd and so never 0.
#[cube]
pub(crate) fn edge_term(share: u32, quota: u32) -> Wide {
    let product = multiply(share & 0x07ff_ffff, quota);
    let even = (share >> 26u32) & 62;
    // Up by 1 to 5, or down by 1 to 31.
    let up = (even + 1) & 31;
    let raised = Wide {
        low: product.low << up,
        high: (product.high << up) | ((product.low >> 1u32) >> (31 - up)),
    };
    choose(even >= 32, raised, shift_right(product, (31 - even) & 31))
}
