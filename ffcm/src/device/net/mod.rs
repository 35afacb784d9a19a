//! Nets: a book as words, and the heap that a device leaves.

mod book;
mod cells;
mod heap;
mod pace;

pub use book::{BookTooLarge, Encoded, encode};
pub use cells::{CellBook, GIVEN, HEADER, encode_cells};
pub use heap::{Bare, Outside, PAGE, Pages, names_nothing, term};
pub use pace::Pace;
