//! A book as the kernels read it.
//!
//! ```text
//! array<vec4<u32>>
//! [d]            header of definition d: at, nodes, wires, redexes          d < number of definitions
//! [at]           root.w0, root.w1, 0, 0
//! [at + 1 + i]   redex i: a.w0, a.w1, b.w0, b.w1                            i < redexes
//! then           node i: port0.w0, port0.w1, port1.w0, port1.w1             i < nodes
//! ```
//!
//! Offsets inside the terms are local, as in [`Definition`]: a VAR holds a wire number, a node
//! term a node number, a REF the number of a definition.

use thiserror::Error;

use crate::net::{Book, Definition};
use crate::spec::word::Term;

/// A book that is too large for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the book of definitions needs {needs} bytes, {limit} are allowed")]
pub struct BookTooLarge {
    /// Its size in bytes, encoded.
    pub needs: u64,
    /// The limit in bytes.
    pub limit: u64,
}

/// The encoded book, and what is largest in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Four words to a vec4.
    pub words: Vec<u32>,
    /// Most nodes of a definition.
    pub nodes_max: u32,
    /// Most wires of a definition.
    pub wires_max: u32,
    /// Most redexes of a definition.
    pub redexes_max: u32,
}

/// Encodes `book` in at most `limit` bytes. Vectors are counted in 32 bits: a `limit` beyond 2^36 is as good as 2^36 − 16.
pub fn encode(book: &Book, limit: u64) -> Result<Encoded, BookTooLarge> {
    let definitions = book.definitions();
    let body = |d: &Definition| 1 + d.redexes.len() + d.nodes.len();
    let vectors = definitions.len() + definitions.iter().map(body).sum::<usize>();
    let needs = vectors as u64 * 16;
    let limit = limit.min(u64::from(u32::MAX) * 16);
    if needs > limit {
        return Err(BookTooLarge { needs, limit });
    }
    let mut encoded = Encoded {
        words: Vec::with_capacity(vectors * 4),
        nodes_max: 0,
        wires_max: 0,
        redexes_max: 0,
    };
    let mut at = definitions.len();
    for definition in definitions {
        // All of these are below the number of vectors, which fits 32 bits.
        let (nodes, redexes) = (
            definition.nodes.len() as u32,
            definition.redexes.len() as u32,
        );
        encoded
            .words
            .extend([at as u32, nodes, definition.wires, redexes]);
        encoded.nodes_max = encoded.nodes_max.max(nodes);
        encoded.wires_max = encoded.wires_max.max(definition.wires);
        encoded.redexes_max = encoded.redexes_max.max(redexes);
        at += body(definition);
    }
    for definition in definitions {
        encoded
            .words
            .extend([definition.root.w0(), definition.root.w1(), 0, 0]);
        let pair = |a: Term, b: Term| [a.w0(), a.w1(), b.w0(), b.w1()];
        encoded
            .words
            .extend(definition.redexes.iter().flat_map(|(a, b)| pair(*a, *b)));
        encoded
            .words
            .extend(definition.nodes.iter().flat_map(|[a, b]| pair(*a, *b)));
    }
    debug_assert_eq!(encoded.words.len(), vectors * 4);
    Ok(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "@main = (a {#5 b @pair}) & @pair ~ (a b) & 3 ~ *\n@pair = (x x)\n@three = 3u32\n";

    #[test]
    fn a_book_is_read_as_it_was_written() {
        let book = Book::parse(TEXT).expect("a valid book");
        let encoded = encode(&book, u64::MAX).expect("it fits");
        let vector = |at: usize| -> [u32; 4] {
            let words = &encoded.words[4 * at..4 * at + 4];
            words.try_into().expect("four words")
        };
        let terms = |at| {
            let [a0, a1, b0, b1] = vector(at).map(u64::from);
            (Term(a1 << 32 | a0), Term(b1 << 32 | b0))
        };
        let mut end = book.definitions().len();
        for (index, definition) in book.definitions().iter().enumerate() {
            let [at, nodes, wires, redexes] = vector(index).map(|word| word as usize);
            assert_eq!(at, end, "bodies lie one after another");
            assert_eq!(
                (nodes, wires, redexes),
                (
                    definition.nodes.len(),
                    definition.wires as usize,
                    definition.redexes.len()
                )
            );
            assert_eq!(terms(at), (definition.root, Term::ABSENT));
            for (i, redex) in definition.redexes.iter().enumerate() {
                assert_eq!(terms(at + 1 + i), *redex);
            }
            for (i, node) in definition.nodes.iter().enumerate() {
                assert_eq!(terms(at + 1 + redexes + i), (node[0], node[1]));
            }
            end = at + 1 + redexes + nodes;
        }
        assert_eq!(encoded.words.len(), 4 * end);
        let most = |size: fn(&Definition) -> usize| {
            book.definitions().iter().map(size).max().unwrap_or(0) as u32
        };
        assert_eq!(encoded.nodes_max, most(|d| d.nodes.len()));
        assert_eq!(encoded.wires_max, most(|d| d.wires as usize));
        assert_eq!(encoded.redexes_max, most(|d| d.redexes.len()));
        assert!(encoded.nodes_max >= 3 && encoded.wires_max >= 2 && encoded.redexes_max == 2);
    }

    #[test]
    fn a_book_larger_than_the_limit_is_refused() {
        let book = Book::parse(TEXT).expect("a valid book");
        let bytes = encode(&book, u64::MAX).expect("it fits").words.len() as u64 * 4;
        assert!(encode(&book, bytes).is_ok());
        let error = encode(&book, bytes - 1).expect_err("one byte less");
        assert_eq!(
            error,
            BookTooLarge {
                needs: bytes,
                limit: bytes - 1,
            }
        );
    }

    #[test]
    fn no_book_is_too_small() {
        let encoded = encode(&Book::default(), 0).expect("nothing fits");
        assert_eq!(encoded.words, [] as [u32; 0]);
    }
}
