//! Numbers of nets as Rust types.

use std::fmt;

use thiserror::Error;

use crate::spec::number::{Kind, sign_extend};
use crate::spec::word::Term;

/// A number that does not fit its type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{value} does not fit {kind}, {low} to {high}")]
pub struct OutOfRange {
    /// The number.
    pub value: i64,
    /// The type.
    pub kind: &'static str,
    /// Its lowest number.
    pub low: i64,
    /// Its highest number.
    pub high: i64,
}

/// An unsigned number of 24 bits, the one that programs of HVM2 and Bend mostly use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct U24(u32);

impl U24 {
    /// 2^24 − 1.
    pub const MAX: U24 = U24((1 << 24) - 1);

    /// `value` modulo 2^24.
    pub const fn wrapping(value: u32) -> U24 {
        U24(value & U24::MAX.0)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for U24 {
    type Error = OutOfRange;

    fn try_from(value: u32) -> Result<U24, OutOfRange> {
        match value <= U24::MAX.0 {
            true => Ok(U24(value)),
            false => Err(OutOfRange {
                value: value.into(),
                kind: "u24",
                low: 0,
                high: U24::MAX.0.into(),
            }),
        }
    }
}

/// A signed number of 24 bits, two's complement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct I24(i32);

impl I24 {
    /// −2^23.
    pub const MIN: I24 = I24(-(1 << 23));
    /// 2^23 − 1.
    pub const MAX: I24 = I24((1 << 23) - 1);

    /// The low 24 bits of `value`, sign-extended.
    pub const fn wrapping(value: i32) -> I24 {
        I24(sign_extend(value as u32))
    }

    /// The number.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl TryFrom<i32> for I24 {
    type Error = OutOfRange;

    fn try_from(value: i32) -> Result<I24, OutOfRange> {
        match (I24::MIN.0..=I24::MAX.0).contains(&value) {
            true => Ok(I24(value)),
            false => Err(OutOfRange {
                value: value.into(),
                kind: "i24",
                low: I24::MIN.0.into(),
                high: I24::MAX.0.into(),
            }),
        }
    }
}

/// A float of 24 bits: the upper 24 of an IEEE 754 binary32.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct F24(f32);

impl F24 {
    /// `value` rounded to 24 bits, ties to even; NaN made canonical.
    pub fn rounded(value: f32) -> F24 {
        F24(f24(Term::f24(value).w1()))
    }

    /// The number.
    pub const fn get(self) -> f32 {
        self.0
    }
}

fn f24(bits: u32) -> f32 {
    f32::from_bits(bits << 8)
}

impl fmt::Display for U24 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for I24 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for F24 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A Rust type that is one plain number in a net.
///
/// A narrow number is read as a wide type of its family too: a `u32` takes a u24 as it is, an `i32` an i24, an `f32` an
/// f24. Nothing else is converted.
pub trait Numeric: Copy {
    /// What it is called in messages.
    const NAME: &'static str;

    /// As a NUM term.
    fn term(self) -> Term;

    /// From the kind and the payload of a plain number; `None` for a kind or a number that this type does not hold.
    fn from_plain(kind: Kind, bits: u32) -> Option<Self>;
}

/// `Numeric` by the kinds that are read, each with what it makes of the bits.
macro_rules! numeric {
    ($type:ty, $name:literal, |$value:ident| $term:expr, |$bits:ident| { $($kind:ident => $read:expr),+ }) => {
        impl Numeric for $type {
            const NAME: &'static str = $name;

            fn term(self) -> Term {
                let $value = self;
                $term
            }

            fn from_plain(kind: Kind, $bits: u32) -> Option<$type> {
                match kind {
                    $(Kind::$kind => $read,)+
                    _ => None,
                }
            }
        }
    };
}

numeric!(U24, "a u24", |value| Term::u24(value.0), |bits| { U24 => Some(U24(bits)) });
numeric!(I24, "an i24", |value| Term::i24(value.0), |bits| { I24 => Some(I24(sign_extend(bits))) });
numeric!(F24, "an f24", |value| Term::f24(value.0), |bits| { F24 => Some(F24(f24(bits))) });
numeric!(u32, "a u32 or a u24", |value| Term::u32(value), |bits| {
    U24 => Some(bits),
    U32 => Some(bits)
});
numeric!(i32, "an i32 or an i24", |value| Term::i32(value), |bits| {
    I24 => Some(sign_extend(bits)),
    I32 => Some(bits as i32)
});
numeric!(f32, "an f32 or an f24", |value| Term::f32(value), |bits| {
    F24 => Some(f24(bits)),
    F32 => Some(f32::from_bits(bits))
});
numeric!(u8, "a u24 below 2^8", |value| Term::u24(value.into()), |bits| {
    U24 => u8::try_from(bits).ok()
});
numeric!(u16, "a u24 below 2^16", |value| Term::u24(value.into()), |bits| {
    U24 => u16::try_from(bits).ok()
});
numeric!(i8, "an i24 of -2^7 to 2^7 - 1", |value| Term::i24(value.into()), |bits| {
    I24 => i8::try_from(sign_extend(bits)).ok()
});
numeric!(i16, "an i24 of -2^15 to 2^15 - 1", |value| Term::i24(value.into()), |bits| {
    I24 => i16::try_from(sign_extend(bits)).ok()
});
numeric!(bool, "a u24 of 0 or 1", |value| Term::u24(value.into()), |bits| {
    U24 => match bits {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
});
