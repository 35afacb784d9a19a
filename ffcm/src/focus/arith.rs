//! The formulas of the definition, one function each.

use super::MASS;

/// Bits of mass below 1: [`MASS`] is `1 << MASS_BITS`.
const MASS_BITS: u32 = 62;

/// Significant bits a share keeps.
const MANTISSA_BITS: u32 = 27;

/// Fraction bits of a quota: the heaviest edge of a source has `1 << QUOTA_BITS`.
const QUOTA_BITS: u32 = 31;

/// Quota of the heaviest edges of a source.
pub const QUOTA_ONE: u32 = 1 << QUOTA_BITS;

const _: () = assert!(MASS == 1 << MASS_BITS);

/// What part of a source's damped mass its heaviest edge carries: `ratio / 2^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// r, with its top bit set.
    pub ratio: u32,
    /// k, from 31 to 63.
    pub scale: u8,
}

impl Ratio {
    /// r and k of a source with these out-weights, which are positive, sum to at most `u64::MAX` and are not none.
    pub fn of(weights: &[u64]) -> Ratio {
        let total: u64 = weights.iter().sum();
        let largest = u128::from(weights.iter().copied().max().unwrap_or(0));
        debug_assert!(largest > 0);
        // floor(2x) is 2*floor(x) or one more, so the scale that makes 32 bits follows from the bits at scale 63.
        let wide = (largest << 63) / u128::from(total);
        let excess = (128 - wide.leading_zeros()) - 32;
        // At most 2^32 weights, so `wide` has at least 32 bits.
        Ratio {
            ratio: (wide >> excess) as u32,
            scale: (63 - excess) as u8,
        }
    }
}

/// A [`Ratio`] as one word, `scale << 32 | ratio`: what vector units load at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Factor(u64);

impl From<Ratio> for Factor {
    fn from(Ratio { ratio, scale }: Ratio) -> Factor {
        Factor(u64::from(scale) << 32 | u64::from(ratio))
    }
}

impl Factor {
    /// Of nodes without out-edges: the share of any mass is 0.
    pub(crate) const NONE: Factor = Factor(31 << 32);

    /// Share s of a source of mass `x`, at most [`MASS`].
    #[inline(always)]
    pub(crate) fn share(self, damping: u32, x: u64) -> u64 {
        let (ratio, scale) = (self.0 & LOW, self.0 >> 32);
        let damping = u64::from(damping);
        // Both rounded down to a whole number, once: the upper part's product is a whole number by itself.
        let damped = (x >> 32) * damping + (((x & LOW) * damping) >> 32);
        let scaled = (((damped >> 32) * ratio) << 1) + (((damped & LOW) * ratio) >> 31);
        truncate(scaled >> (scale - 31))
    }
}

/// The lower half of a word.
const LOW: u64 = 0xffff_ffff;

/// Keeps the 27 bits of `share` from an even position up (26 or 27 of them significant).
#[inline(always)]
fn truncate(share: u64) -> u64 {
    // In words of one size, for vector units.
    let excess = u64::from(64 - MANTISSA_BITS).saturating_sub(u64::from(share.leading_zeros()));
    let even = (excess + 1) & !1;
    share & (u64::MAX << even)
}

/// Quota q of an edge of `weight` where the source's heaviest weighs `largest`: 1 ≤ `weight` ≤ `largest`.
pub fn quota(weight: u64, largest: u64) -> u32 {
    debug_assert!(weight <= largest && largest > 0);
    if weight == largest {
        QUOTA_ONE
    } else if weight >> (64 - QUOTA_BITS) == 0 {
        ((weight << QUOTA_BITS) / largest) as u32
    } else {
        ((u128::from(weight) << QUOTA_BITS) / u128::from(largest)) as u32
    }
}

/// [`quota`] of many edges of one source, with one division for all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quotas {
    largest: u64,
    /// ⌊(2^64 − 1) / largest⌋.
    inverse: u64,
}

impl Quotas {
    /// For a source whose heaviest edge weighs `largest`, which is positive.
    pub(crate) fn new(largest: u64) -> Quotas {
        debug_assert!(largest > 0);
        Quotas {
            largest,
            inverse: u64::MAX / largest,
        }
    }

    /// Quota of an edge of `weight`.
    #[inline(always)]
    pub(crate) fn of(self, weight: u64) -> u32 {
        if weight >> (64 - QUOTA_BITS) != 0 {
            return quota(weight, self.largest);
        }
        let scaled = weight << QUOTA_BITS;
        // At most 2 below the quotient, as the inverse is less than 2 below 2^64 / largest.
        let low = ((u128::from(scaled) * u128::from(self.inverse)) >> 64) as u64;
        let rest = scaled - low * self.largest;
        let more = u64::from(rest >= self.largest) + u64::from(rest / 2 >= self.largest);
        (low + more) as u32
    }
}

/// What an edge carries, from `twice` the share (a share is below 2^62) and the quota.
#[inline(always)]
pub(crate) fn edge_term(twice: u64, quota: u32) -> u64 {
    // 2s * (q * 2^32) / 2^64 = s * q / 2^31: the upper half of one product.
    ((u128::from(twice) * u128::from(u64::from(quota) << 32)) >> 64) as u64
}

/// A share, given doubled, as `(narrow, shift)`: what an edge carries is `(narrow * quota) >> shift`.
///
/// A share has at most [`MANTISSA_BITS`] significant bits, so of its upper 32 none is lost, and the product has 63 bits.
/// Cheaper than [`edge_term`] where many edges have one source.
#[inline(always)]
pub(crate) fn narrow(twice: u64) -> (u64, u32) {
    let share = twice >> 1;
    let excess = 32u32.saturating_sub(share.leading_zeros());
    debug_assert!(share.trailing_zeros() >= excess || share == 0);
    (share >> excess, QUOTA_BITS - excess)
}

/// A node's part of `pool` before the left-over units.
#[inline(always)]
pub(crate) fn pool_part(pool: u64, teleport: u64) -> u64 {
    ((u128::from(pool) * u128::from(teleport)) >> MASS_BITS) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ratio_has_32_bits() {
        assert_eq!(
            Ratio::of(&[u64::MAX]),
            Ratio {
                ratio: 1 << 31,
                scale: 31
            }
        );
        assert_eq!(
            Ratio::of(&[7, 7]),
            Ratio {
                ratio: 1 << 31,
                scale: 32
            }
        );
        assert_eq!(
            Ratio::of(&[u64::MAX - 1, 1]),
            Ratio {
                ratio: u32::MAX,
                scale: 32
            }
        );
        assert_eq!(
            Ratio::of(&[1; 3]),
            Ratio {
                ratio: 0xaaaa_aaaa,
                scale: 33
            }
        );
    }

    proptest! {
        #[test]
        fn truncation_keeps_an_even_window(bits in 0u32..62, value: u64) {
            let share = value & ((1 << bits) - 1);
            let j = (0..).step_by(2).find(|&j| share >> j < 1 << 27).unwrap();
            prop_assert!(j <= 36);
            prop_assert_eq!(truncate(share), share >> j << j);
        }

        #[test]
        fn an_edge_term_is_the_fraction_of_the_share(share in 0u64..1 << 62, quota in 0..=QUOTA_ONE) {
            let expected = (u128::from(share) * u128::from(quota)) >> 31;
            prop_assert_eq!(u128::from(edge_term(2 * share, quota)), expected);
            prop_assert_eq!(edge_term(2 * share, QUOTA_ONE), share);
        }

        #[test]
        fn a_share_is_the_formula(
            x in prop_oneof![Just(MASS), Just(0), 0..=MASS, 0u64..1 << 33],
            damping: u32,
            ratio in 1u32 << 31..,
            scale in 32u8..64,
        ) {
            let share = |ratio, scale| {
                let damped = (u128::from(x) * u128::from(damping)) >> 32;
                truncate(((damped * u128::from(ratio)) >> scale) as u64)
            };
            prop_assert_eq!(Factor::from(Ratio { ratio, scale }).share(damping, x), share(ratio, scale));
            prop_assert_eq!(Factor::NONE.share(damping, x), 0);
            let all = Ratio { ratio: 1 << 31, scale: 31 };
            prop_assert_eq!(Factor::from(all).share(damping, x), share(1 << 31, 31));
        }

        #[test]
        fn a_narrow_share_gives_the_same_terms(bits in 0u32..62, value: u64, quota in 0..=QUOTA_ONE) {
            for share in [truncate(value & ((1 << bits) - 1)), 0, truncate((1 << 62) - 1)] {
                let (narrow, shift) = narrow(2 * share);
                prop_assert_eq!((narrow * u64::from(quota)) >> shift, edge_term(2 * share, quota));
            }
        }

        #[test]
        fn quotas_of_a_source_are_the_quotas(
            largest_bits in 0u32..64,
            bits in 0u32..64,
            largest: u64,
            parts in prop::collection::vec(any::<u64>(), 1..9),
        ) {
            let largest = (largest >> largest_bits).max(1);
            let quotas = Quotas::new(largest);
            for part in parts {
                for weight in [(part >> bits) % largest + 1, largest] {
                    prop_assert_eq!(quotas.of(weight), quota(weight, largest));
                }
            }
        }

        #[test]
        fn quotas_are_rounded_down(largest in 1u64.., part: u64) {
            let weight = part % largest + 1;
            let expected = (u128::from(weight) << 31) / u128::from(largest);
            prop_assert_eq!(u128::from(quota(weight, largest)), expected);
        }
    }
}
