//! A book whose wires have their cells in the nodes, as words: for devices that exchange 64 bits at a time.
//!
//! ```text
//! array<u64>
//! [4d]      header of definition d, four words:                             d < number of definitions
//!           where its items begin
//!           nodes | redexes << 32
//!           joins
//!           pairs of two atoms in it, which only count
//! items     node i: port 0, port 1                                          i < nodes
//!           redex i: a, b, two principal ports, at least one of a node      i < redexes
//!           join i: a, b, of any class                                      i < joins
//! ```
//!
//! Offsets inside the terms are local and count slots, two for each node: a node term holds twice the node's number, a VAR
//! the slot that is its wire's cell. That slot itself is [`Term::ABSENT`]; no node has two such slots. [`GIVEN`] stands
//! for whatever met the reference; with the substitution bit it stands in a slot where the definition has a variable.

use super::BookTooLarge;
use crate::cpu::net::template::{self, FIRST, NODES, Slot, Template, ZERO};
use crate::net::Book;
use crate::spec::word::Term;

/// In the place of the term that met the reference: a variant of VAR that no live term has.
pub const GIVEN: Term = Term(2 << 26);
/// Words of a header.
pub const HEADER: usize = 4;

/// The encoded book, and what is largest in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellBook {
    /// The words.
    pub words: Vec<u64>,
    /// Most nodes of a definition, those that only hold a cell included.
    pub nodes_max: u32,
    /// Most redexes and joins of a definition.
    pub pairs_max: u32,
}

/// Encodes `book` for a device that allows it `limit` bytes.
pub fn encode_cells(book: &Book, limit: u64) -> Result<CellBook, BookTooLarge> {
    let lowered = template::lower(book.definitions());
    let items = |t: &Template| 2 * (t.nodes.len() + t.redexes.len() + t.joins.len());
    let headers = lowered.len() * HEADER;
    let words = headers + lowered.iter().map(|l| items(&l.plain)).sum::<usize>();
    let needs = words as u64 * 8;
    if needs > limit {
        return Err(BookTooLarge { needs, limit });
    }
    let mut encoded = CellBook {
        words: Vec::with_capacity(words),
        nodes_max: 0,
        pairs_max: 0,
    };
    let mut at = headers as u64;
    for template in lowered.iter().map(|l| &l.plain) {
        // The loader bounds a text, and with it these numbers, far below 2^31.
        let [nodes, redexes, joins] =
            [&template.nodes, &template.redexes, &template.joins].map(|items| items.len() as u64);
        encoded
            .words
            .extend([at, nodes | redexes << 32, joins, template.collapses]);
        encoded.nodes_max = encoded.nodes_max.max(nodes as u32);
        encoded.pairs_max = encoded.pairs_max.max((redexes + joins) as u32);
        at += items(template) as u64;
    }
    for template in lowered.iter().map(|l| &l.plain) {
        for items in [&template.nodes, &template.redexes, &template.joins] {
            let terms = items.iter().flatten();
            encoded.words.extend(terms.map(|slot| local(*slot).0));
        }
    }
    debug_assert_eq!(encoded.words.len(), words);
    Ok(encoded)
}

/// A slot of a template as a term with a local offset.
fn local(slot: Slot) -> Term {
    match slot.value {
        ZERO => Term(slot.word),
        FIRST => Term(slot.word | GIVEN.0),
        value => Term(slot.word + (u64::from(2 * (value - NODES)) << 32)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::spec::word::{Class, variant};

    /// Every wire of every definition has one cell or ends outside, and no node has two.
    fn check(text: &str) {
        let book = Book::parse(text).expect("a valid book");
        let encoded = encode_cells(&book, u64::MAX).expect("it fits");
        let mut end = HEADER * book.definitions().len();
        for index in 0..book.definitions().len() {
            let header = &encoded.words[HEADER * index..][..HEADER];
            let (at, joins, collapses) = (header[0] as usize, header[2] as usize, header[3]);
            let (nodes, redexes) = (header[1] as u32 as usize, (header[1] >> 32) as usize);
            assert_eq!(at, end, "items lie one after another");
            let items = 2 * (nodes + redexes + joins);
            let terms: Vec<Term> = encoded.words[at..at + items]
                .iter()
                .map(|w| Term(*w))
                .collect();
            let mut ends: HashMap<u32, u32> = HashMap::new();
            let mut givens = 0;
            for term in &terms {
                match (term.class(), term.variant()) {
                    (Class::Var, variant::WIRE) => *ends.entry(term.offset()).or_default() += 1,
                    (Class::Var, 2) => givens += 1,
                    (Class::Var, _) => assert_eq!(*term, Term::ABSENT),
                    (class, _) if class.is_node() => {
                        assert!(term.offset() % 2 == 0 && (term.offset() as usize) < 2 * nodes);
                    }
                    _ => {}
                }
            }
            assert_eq!(givens, 1, "what meets the reference has one place");
            for (slot, count) in &ends {
                let slot = *slot as usize;
                assert!(slot < 2 * nodes && terms[slot].is_absent());
                // The other end is the node's own port, or a second VAR where the node only holds the cell.
                assert!(*count == 1 || (*count == 2 && terms[slot ^ 1].is_absent()));
            }
            for node in terms[..2 * nodes].chunks(2).enumerate() {
                let (number, pair) = (node.0 as u32, node.1);
                let cells = [2 * number, 2 * number + 1].map(|slot| ends.contains_key(&slot));
                assert!(cells != [true, true], "a node has one cell");
                assert!(
                    pair.iter()
                        .zip(cells)
                        .all(|(t, cell)| t.is_absent() == cell)
                        || pair == [Term::ABSENT; 2]
                );
            }
            let given_pairs = book.definitions()[index].redexes.len() as u64;
            assert!(redexes as u64 + collapses <= given_pairs);
            end = at + items;
        }
        assert_eq!(encoded.words.len(), end);
    }

    #[test]
    fn wires_have_their_cells_in_nodes() {
        check("@main = (a {#5 b @pair}) & @pair ~ (a b) & 3 ~ *\n@pair = (x x)\n@three = 3u32\n");
        check("@main = ((a b) (b a))\n@id = (x x)\n@k = (x (* x))\n@r = x & (a x) ~ (y (y a))\n");
        check("@main = x & a ~ (b x) & b ~ (a *) & 1 ~ 2\n");
    }

    #[test]
    fn a_book_larger_than_allowed_is_refused() {
        let book = Book::parse("@main = (x x)\n").expect("a valid book");
        let bytes = encode_cells(&book, u64::MAX).expect("it fits").words.len() as u64 * 8;
        assert!(encode_cells(&book, bytes).is_ok());
        let refused = encode_cells(&book, bytes - 1).expect_err("one byte less");
        assert_eq!(
            refused,
            BookTooLarge {
                needs: bytes,
                limit: bytes - 1
            }
        );
    }
}
