//! Rust values as nets and back.
//!
//! The encodings are those of the Bend compiler (crate `bend-lang` 0.2.38, with its default `adt-num-scott`), so what
//! `bend gen-hvm` writes takes and gives these values as they are:
//!
//! | Rust | net | Bend |
//! |---|---|---|
//! | [`U24`], [`I24`], [`F24`] | `7`, `+7`, `7.0` | `u24`, `i24`, `f24` |
//! | `u8`, `u16`; `i8`, `i16` | as `U24`; as `I24` | |
//! | `u32`, `i32`, `f32` | `7u32`, `+7i32`, `7.0f32` | none: 32-bit numbers are this machine's own |
//! | `bool` | `0`, `1` | what comparisons give |
//! | `()` | `*` | `*` |
//! | `(a, b)`, `(a, b, c)`, … | `(a b)`, `(a (b c))`, … | `(a, b)`, `(a, b, c)`, … |
//! | `[T]`, `Vec<T>` | data type 0 `Nil`, 1 `Cons head tail` | `List` |
//! | `str`, `String` | the same, of code points as u24 | `String` |
//! | `Option<T>` | 0 `Some value`, 1 `None` | `Maybe` |
//! | `Result<T, E>` | 0 `Ok value`, 1 `Err value` | `Result` |
//!
//! A value of a data type is a function of what is to be done with it, which gets the number of the constructor and its
//! fields: `((tag (field … r)) r)`. [`NetBuilder::constructor`] makes and [`Value::constructor`] takes one apart, which is
//! how types of your own become [`Encode`] and [`Decode`]:
//!
//! ```
//! use ffcm::net::data::{Decode, DecodeError, Encode, NormalForm, Value};
//! use ffcm::net::{Book, NetBuilder, Port};
//!
//! /// Bend's `type Tree: Node { ~left, ~right }, Leaf { value }`.
//! #[derive(Debug, PartialEq)]
//! enum Tree {
//!     Node(Box<Tree>, Box<Tree>),
//!     Leaf(u8),
//! }
//!
//! impl Encode for Tree {
//!     fn encode(&self, net: &mut NetBuilder) -> Port {
//!         match self {
//!             Tree::Node(left, right) => {
//!                 let fields = [net.value(left), net.value(right)];
//!                 net.constructor(0, fields)
//!             }
//!             Tree::Leaf(value) => {
//!                 let value = net.value(value);
//!                 net.constructor(1, [value])
//!             }
//!         }
//!     }
//! }
//!
//! impl Decode for Tree {
//!     fn decode(value: Value<'_>) -> Result<Tree, DecodeError> {
//!         let mut fields = value.constructor()?;
//!         let tree = match fields.tag() {
//!             0 => Tree::Node(fields.decode()?, fields.decode()?),
//!             1 => Tree::Leaf(fields.decode()?),
//!             _ => return Err(fields.unknown("Tree")),
//!         };
//!         fields.end()?;
//!         Ok(tree)
//!     }
//! }
//!
//! let tree = Tree::Node(Box::new(Tree::Leaf(1)), Box::new(Tree::Leaf(2)));
//! let mut book = Book::builder();
//! book.define("tree", |net| Ok(net.value(&tree)))?;
//! let book = book.build()?;
//! let text = "((0 (((1 (1 x0)) x0) (((1 (2 x1)) x1) x2))) x2)";
//! assert_eq!(book, Book::parse(&format!("@tree = {text}"))?);
//! assert_eq!(NormalForm::parse(&book, text)?.decode::<Tree>()?, tree);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Results come from programs that may be anybody's. Decoding them is bounded in depth and in size by [`DecodeLimits`],
//! and whatever a result is, it is a value or a [`DecodeError`].

mod decode;
mod encode;
mod numbers;
#[cfg(test)]
mod tests;

#[cfg(doc)]
use super::NetBuilder;

pub use decode::{Constructor, Decode, DecodeError, DecodeLimits, List, NormalForm, Value};
pub use encode::{Arguments, Encode};
pub use numbers::{F24, I24, Numeric, OutOfRange, U24};

/// `Nil` of lists and strings.
const NIL: u32 = 0;
/// `Cons` of lists and strings.
const CONS: u32 = 1;
/// `Some` of options and `Ok` of results.
const FIRST: u32 = 0;
/// `None` of options and `Err` of results.
const SECOND: u32 = 1;
