//! Partial evaluation of definitions: what the compilers of the engines share.
//!
//! A definition applied to an argument of which only the [`Shape`] is known is reduced as far as that goes ([`Net`]); what
//! meets a *register*, a term that will be known when the code runs, is left to the compiler, which writes an instruction
//! and goes on with its outcome. What is left in the end is built by [`Builder`].
//!
//! These are parts of the engines and of `ffcm-jit`, not an interface that programs are written against: they change
//! whenever a compiler needs something else.

mod constructor;
mod net;
mod place;
mod selector;
mod shape;
mod tally;

pub use constructor::is_constructor;
pub use net::{CON, Call, Net, Node, Value};
pub use place::{Builder, Emit, Ports};
pub use selector::Selector;
pub use shape::{ARGUMENTS_MAX, Shape};
pub use tally::{TALLY_MAX, Tally};
