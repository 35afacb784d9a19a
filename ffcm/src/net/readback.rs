//! Readback: the canonical text of a normal form, the same for every engine.
//!
//! Variables are renamed `x0`, `x1`, … in order of first appearance; the rest is HVM2's notation.

use std::collections::HashMap;
use std::fmt::Write;

use super::ReduceError;
use super::book::{Book, Definition};
use crate::spec::number::Number;
use crate::spec::word::{Class, Term};

/// How readback sees an engine's heap after the last interaction.
pub trait Heap {
    /// What was substituted for the wire that the VAR term `var` is an end of. `None` if nothing was, which is when
    /// its other end is a port of the normal form; both ends must then be the same VAR term.
    fn wire(&self, var: Term) -> Option<Term>;
    /// The auxiliary ports of the node that a CON, DUP, OPR or SWI term points to.
    fn node(&self, node: Term) -> [Term; 2];
}

/// A normal form as text, and as a number if it is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readback {
    /// The canonical text.
    pub text: String,
    /// The root, if it is a plain number.
    pub number: Option<Term>,
}

/// Reads the tree at `root` back, which may be a VAR term. At most `limit` bytes of text.
///
/// Every wire of a tree has both of its ends in the tree, unless the far end hangs on a node whose principal port can
/// be followed for ever: then the net holds a vicious circle, and that is the error.
pub fn readback(
    book: &Book,
    heap: &impl Heap,
    root: Term,
    limit: usize,
) -> Result<Readback, ReduceError> {
    let mut writer = Writer::new(book, limit);
    let root = follow(heap, root)?;
    if let Some(text) = integer(root) {
        writer.text = text;
        writer.check_limit()?;
        return Ok(Readback {
            text: writer.text,
            number: Some(root),
        });
    }
    let root = writer.tree(heap, root)?;
    if writer.unpaired > 0 {
        return Err(ReduceError::ViciousCircle);
    }
    Ok(Readback {
        text: writer.text,
        number: root.as_plain().map(|_| root),
    })
}

/// The number that [`readback`] gives, with the same errors, without a text where none has to be measured.
pub(crate) fn number(
    book: &Book,
    heap: &impl Heap,
    root: Term,
    limit: usize,
) -> Result<Option<Term>, ReduceError> {
    let root = follow(heap, root)?;
    match root.as_plain() {
        Some((kind, _)) if !kind.is_float() && limit >= INTEGER_MAX => Ok(Some(root)),
        _ => Ok(readback(book, heap, root, limit)?.number),
    }
}

/// Longest text of a plain whole number: `-2147483648i32`.
const INTEGER_MAX: usize = 14;

/// The text of a plain whole number, which most calls of a batch give, without growing it.
fn integer(term: Term) -> Option<String> {
    let number = Number::from_term(term)?;
    let Number::Plain(kind, _) = number else {
        return None;
    };
    if kind.is_float() {
        return None;
    }
    let mut text = String::with_capacity(INTEGER_MAX);
    write!(text, "{number}").expect("writing to a string cannot fail");
    Some(text)
}

/// The text of [`Book::to_text`].
pub(super) fn book_text(book: &Book) -> String {
    let mut text = String::new();
    for definition in book.definitions() {
        let mut writer = Writer::new(book, usize::MAX);
        let mut tree = |term| {
            writer
                .tree(definition, term)
                .expect("no limit, and no substituted wires to go round in");
            core::mem::take(&mut writer.text)
        };
        let _ = write!(text, "@{} = {}", definition.name, tree(definition.root));
        for (a, b) in &definition.redexes {
            let _ = write!(text, "\n  & {} ~ {}", tree(*a), tree(*b));
        }
        text.push('\n');
    }
    text
}

/// A template is a heap in which nothing has been substituted.
impl Heap for Definition {
    fn wire(&self, _: Term) -> Option<Term> {
        None
    }

    fn node(&self, node: Term) -> [Term; 2] {
        self.nodes[node.offset() as usize]
    }
}

/// A node of which the text is not complete.
struct Open {
    class: Class,
    /// The second port, until its turn comes.
    second: Option<Term>,
}

struct Writer<'b> {
    book: &'b Book,
    text: String,
    limit: usize,
    names: HashMap<Term, (usize, bool)>,
    /// Wires of which one end has been met.
    unpaired: usize,
}

impl<'b> Writer<'b> {
    fn new(book: &'b Book, limit: usize) -> Writer<'b> {
        Writer {
            book,
            text: String::new(),
            limit,
            names: HashMap::new(),
            unpaired: 0,
        }
    }

    /// Appends the tree at `root`; returns the root with its wires followed. Keeps its own stack, of one entry for
    /// each open bracket.
    fn tree(&mut self, heap: &impl Heap, root: Term) -> Result<Term, ReduceError> {
        let root = follow(heap, root)?;
        let mut open: Vec<Open> = Vec::new();
        let mut term = root;
        loop {
            if term.class().is_node() {
                let [first, second] = heap.node(term);
                self.opening(term);
                open.push(Open {
                    class: term.class(),
                    second: Some(second),
                });
                term = follow(heap, first)?;
            } else {
                self.leaf(term);
                loop {
                    let Some(top) = open.last_mut() else {
                        return self.check_limit().map(|()| root);
                    };
                    if let Some(second) = top.second.take() {
                        self.text.push(' ');
                        term = follow(heap, second)?;
                        break;
                    }
                    self.text
                        .push(if top.class == Class::Dup { '}' } else { ')' });
                    open.pop();
                }
            }
            self.check_limit()?;
        }
    }

    fn check_limit(&self) -> Result<(), ReduceError> {
        if self.text.len() > self.limit {
            return Err(ReduceError::ResultTooLong { limit: self.limit });
        }
        Ok(())
    }

    fn opening(&mut self, node: Term) {
        match (node.class(), node.label()) {
            (Class::Opr, _) => self.text.push_str("$("),
            (Class::Swi, _) => self.text.push_str("?("),
            (Class::Dup, 0) => self.text.push('{'),
            (Class::Dup, label) => self.push(format_args!("{{#{label} ")),
            _ => self.text.push('('),
        }
    }

    fn leaf(&mut self, term: Term) {
        match term.class() {
            Class::Var => self.variable(term),
            Class::Ref => {
                self.text.push('@');
                let definition = &self.book.definitions()[term.offset() as usize];
                self.text.push_str(&definition.name);
            }
            Class::Num => match Number::from_term(term) {
                Some(number) => self.push(format_args!("{number}")),
                None => self.text.push_str("[?]"),
            },
            _ => self.text.push('*'),
        }
    }

    fn variable(&mut self, term: Term) {
        let next = self.names.len();
        let (name, paired) = self.names.entry(term).or_insert((next, true));
        *paired = !*paired;
        if *paired {
            self.unpaired -= 1;
        } else {
            self.unpaired += 1;
        }
        let name = *name;
        self.push(format_args!("x{name}"));
    }

    fn push(&mut self, text: core::fmt::Arguments<'_>) {
        self.text
            .write_fmt(text)
            .expect("writing to a string cannot fail");
    }
}

/// Follows substituted wires to what they lead to. Wires that lead round in a circle are found by Brent's method.
fn follow(heap: &impl Heap, mut term: Term) -> Result<Term, ReduceError> {
    let (mut mark, mut steps, mut turn) = (Term::ABSENT, 0u64, 1u64);
    while term.class() == Class::Var {
        let Some(next) = heap.wire(term) else {
            break;
        };
        if next == mark {
            return Err(ReduceError::ViciousCircle);
        }
        steps += 1;
        if steps == turn {
            (mark, turn) = (next, turn * 2);
        }
        term = next;
    }
    Ok(term)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_written_as_all_numbers_are() {
        let edges = [
            0,
            1,
            9,
            10,
            0x7f_ffff,
            0x80_0000,
            0xff_ffff,
            1 << 31,
            u32::MAX,
        ];
        let spread = (0..10_000_u32).map(|i| i.wrapping_mul(0x9e37_79b1));
        for bits in edges.into_iter().chain(spread) {
            let signed = bits as i32;
            let whole = [
                Term::u24(bits),
                Term::i24(signed),
                Term::u32(bits),
                Term::i32(signed),
            ];
            for term in whole {
                let shown = Number::from_term(term).map(|number| number.to_string());
                assert!(shown.as_ref().is_some_and(|text| text.len() <= INTEGER_MAX));
                assert_eq!(integer(term), shown);
            }
        }
        for other in [
            Term::f24(1.5),
            Term::f32(1.5),
            Term::ERA,
            Term::reference(0, false),
        ] {
            assert_eq!(integer(other), None);
        }
    }
}
