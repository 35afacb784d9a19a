//! Rust values as nets.

use super::{CONS, F24, FIRST, I24, NIL, Numeric, SECOND, U24};
use crate::net::{NetBuilder, Port};
use crate::spec::number::Number;
use crate::spec::word::Term;

/// A value that has a form as a net: see the [module](super).
///
/// Encoding does not fail. What grows beyond what a definition may hold is refused when the net is complete.
pub trait Encode {
    /// Adds the value to a net.
    fn encode(&self, net: &mut NetBuilder) -> Port;

    /// The value, if it is nothing but a number: as such it is an argument of a [`Call`](crate::net::Call) as it is.
    fn number(&self) -> Option<Term> {
        None
    }
}

/// The arguments of a call, outermost first: a tuple of up to six values; `()` for none, `(a,)` for one.
pub trait Arguments {
    /// Adds each to a net.
    fn encode(&self, net: &mut NetBuilder) -> Vec<Port>;

    /// Each as a number, if all of them are.
    fn numbers(&self) -> Option<Vec<Term>>;
}

/// A plain number in a net.
fn plain<T: Numeric>(value: T, net: &mut NetBuilder) -> Port {
    match Number::from_term(value.term()) {
        Some(number) => net.numeral(number),
        // Numeric is for anyone to implement; what is no number is nothing.
        None => net.eraser(),
    }
}

macro_rules! encode_numbers {
    ($($type:ty)*) => {
        $(impl Encode for $type {
            fn encode(&self, net: &mut NetBuilder) -> Port {
                plain(*self, net)
            }

            fn number(&self) -> Option<Term> {
                Some(self.term())
            }
        })*
    };
}

encode_numbers!(U24 I24 F24 u8 u16 u32 i8 i16 i32 f32 bool);

impl Encode for () {
    fn encode(&self, net: &mut NetBuilder) -> Port {
        net.eraser()
    }
}

/// `(a (b (… z)))` of two and more.
macro_rules! encode_tuples {
    ($($name:ident)+; $last:ident) => {
        impl<$($name: Encode,)+ $last: Encode> Encode for ($($name,)+ $last) {
            #[allow(non_snake_case, reason = "values are called as their types")]
            fn encode(&self, net: &mut NetBuilder) -> Port {
                let ($($name,)+ $last) = self;
                let mut fields = vec![$(net.value($name)),+];
                let last = net.value($last);
                fields.reverse();
                fields.into_iter().fold(last, |rest, field| net.pair(field, rest))
            }
        }
    };
}

encode_tuples!(A; B);
encode_tuples!(A B; C);
encode_tuples!(A B C; D);
encode_tuples!(A B C D; E);
encode_tuples!(A B C D E; F);

macro_rules! arguments {
    ($($name:ident)*) => {
        impl<$($name: Encode),*> Arguments for ($($name,)*) {
            #[allow(non_snake_case, unused_variables, reason = "values are called as their types; there may be none")]
            fn encode(&self, net: &mut NetBuilder) -> Vec<Port> {
                let ($($name,)*) = self;
                vec![$(net.value($name)),*]
            }

            #[allow(non_snake_case, reason = "values are called as their types")]
            fn numbers(&self) -> Option<Vec<Term>> {
                let ($($name,)*) = self;
                Some(vec![$($name.number()?),*])
            }
        }
    };
}

arguments!();
arguments!(A);
arguments!(A B);
arguments!(A B C);
arguments!(A B C D);
arguments!(A B C D E);
arguments!(A B C D E F);

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, net: &mut NetBuilder) -> Port {
        (**self).encode(net)
    }

    fn number(&self) -> Option<Term> {
        (**self).number()
    }
}

impl<T: Encode + ?Sized> Encode for Box<T> {
    fn encode(&self, net: &mut NetBuilder) -> Port {
        (**self).encode(net)
    }

    fn number(&self) -> Option<Term> {
        (**self).number()
    }
}

/// From the last item to the first, and no further once the net is full.
fn list<I: Encode>(items: impl DoubleEndedIterator<Item = I>, net: &mut NetBuilder) -> Port {
    let mut rest = net.constructor(NIL, []);
    for item in items.rev() {
        if net.is_full() {
            break;
        }
        let head = item.encode(net);
        rest = net.constructor(CONS, [head, rest]);
    }
    rest
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, net: &mut NetBuilder) -> Port {
        list(self.iter(), net)
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, net: &mut NetBuilder) -> Port {
        self[..].encode(net)
    }
}

impl<T: Encode, const N: usize> Encode for [T; N] {
    fn encode(&self, net: &mut NetBuilder) -> Port {
        self[..].encode(net)
    }
}

impl Encode for str {
    fn encode(&self, net: &mut NetBuilder) -> Port {
        // Code points have 21 bits.
        list(self.chars().map(|c| U24::wrapping(c.into())), net)
    }
}

impl Encode for String {
    fn encode(&self, net: &mut NetBuilder) -> Port {
        self[..].encode(net)
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, net: &mut NetBuilder) -> Port {
        match self {
            Some(value) => {
                let value = net.value(value);
                net.constructor(FIRST, [value])
            }
            None => net.constructor(SECOND, []),
        }
    }
}

impl<T: Encode, E: Encode> Encode for Result<T, E> {
    fn encode(&self, net: &mut NetBuilder) -> Port {
        let (tag, value) = match self {
            Ok(value) => (FIRST, net.value(value)),
            Err(error) => (SECOND, net.value(error)),
        };
        net.constructor(tag, [value])
    }
}
