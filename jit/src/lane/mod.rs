//! Lane functions: functions of the [`ir`](crate::ir) on numbers alone, for devices that run one row of numbers in each
//! lane.
//!
//! Where a function's parameters are numbers, most of what it does needs no heap: arithmetic, switches, calls whose results
//! are numbers. [`lower`] makes a [`Program`] of that part, which runs in registers and on a bounded stack of words; what
//! is not in it is a [`Reason`] for the lane to stop, and its row goes the ordinary way. So the answers, counts and errors are
//! those of the net, whichever way a row takes.
//!
//! * **Facts.** What is certain about each value is found out beforehand, over all calls, from the kinds of
//!   the arguments: a number of a known kind is one word, and arithmetic on it one operation.
//! * **Segments.** A program is a list of pieces of code without a jump back. A call saves what is needed later on the
//!   stack, a return goes on with the segment on top of it. A program of one segment has neither loop nor stack.
//! * **Counting.** The end of each path through a segment counts what the path has done.
//!
//! [`Program::run`] is the definition of what a program does; [`render_kernel`] writes it in the languages of the devices.

mod book;
mod calls;
mod facts;
pub mod golden;
mod liveness;
mod lower;
mod operate;
mod program;
mod render;
mod render_calls;
mod rows;
mod run;

pub use book::{of_book, of_compiled, shape};
pub use calls::{CALL_ARGUMENTS, Call, Calls};
pub use lower::{Refusal, lower};
pub use program::{
    Body, Column, End, Expr, Output, Program, ROW_TRIPS, Reason, STACK_WORDS, Segment, Step, Var,
    Word,
};
pub use render::{GROUP_LANES, render_kernel};
pub use render_calls::{CALL_STACK_WORDS, render_calls};
pub use rows::{Answers, Batch, Compile, Kernels, LaneDevice, LaneStats, Partial, complete};
pub use run::Lane;

#[cfg(test)]
mod tests;
