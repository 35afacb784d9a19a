//! The lane function of a definition applied to numbers.

use ffcm::cpu::Compiled;
use ffcm::net::Book;
use ffcm::net::partial::{ARGUMENTS_MAX, Shape};

use super::{Column, Program, Refusal, lower};
use crate::fuse;
use crate::ir::FunctionId;

/// The argument of a definition that is applied to so many terms, one after the other: the last leaf is the result.
pub fn shape(arity: usize) -> Shape {
    (0..arity).fold(Shape::Leaf, |rest, _| {
        Shape::Pair(Box::new(Shape::Leaf), Box::new(rest))
    })
}

/// A lane function for the definition with index `entry`, applied to numbers of these kinds.
///
/// # Errors
///
/// Where there is none of use.
pub fn of_book(book: &Book, entry: u32, columns: &[Column]) -> Result<Program, Refusal> {
    of_compiled(book, &Compiled::new(book), entry, columns)
}

/// The same where the book's compiled form is there.
///
/// # Errors
///
/// Where there is none of use.
pub fn of_compiled(
    book: &Book,
    compiled: &Compiled,
    entry: u32,
    columns: &[Column],
) -> Result<Program, Refusal> {
    let arity = columns.len();
    if entry as usize >= book.definitions().len() {
        return Err(Refusal::Missing);
    }
    if arity == 0 || arity >= ARGUMENTS_MAX {
        return Err(Refusal::Shape);
    }
    let wanted = (entry, shape(arity));
    let mut entries = compiled.entries().to_vec();
    let at = entries.iter().position(|known| *known == wanted);
    let at = at.unwrap_or_else(|| {
        entries.push(wanted);
        entries.len() - 1
    });
    let module = fuse(book.definitions(), &entries);
    lower(&module, FunctionId(at as u32), columns)
}
