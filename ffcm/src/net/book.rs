//! A book of definitions: the loaded, validated form of a `.hvm` program that every engine lowers from.

use crate::spec::rules::Counts;
use crate::spec::word::Term;

/// One definition as a template. Offsets inside its terms are local: a VAR holds a local wire number below
/// `wires`, a node term an index into `nodes`, a REF the index of a definition in the [`Book`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Name without the leading `@`.
    pub name: String,
    /// The term that takes the place of a reference to this definition.
    pub root: Term,
    /// Auxiliary ports of each node; class and label stand in the term that points to the node.
    pub nodes: Vec<[Term; 2]>,
    /// Active pairs, in source order.
    pub redexes: Vec<(Term, Term)>,
    /// Number of distinct wires; each wire number occurs exactly twice in root, nodes and redexes together.
    pub wires: u32,
    /// Neither this definition nor any that it reaches holds a duplicator, so a DUP may copy a reference to it.
    pub copyable: bool,
}

/// A validated program: every reference resolves, every variable occurs exactly twice, sizes are bounded.
/// Definitions are sorted by name with `main`, if there is one, first.
///
/// ```
/// use ffcm::cpu::NetEngine;
/// use ffcm::net::{Book, Limits, LoadError};
/// use ffcm::spec::word::Term;
///
/// let book = Book::parse("@twice = ({a b} r) & a ~ $([+] $(b r))")?;
/// let call = book.call("twice", vec![Term::u24(21)])?;
/// let outcome = NetEngine::new(&book).reduce(&call, &Limits::default(), 1, None)?;
/// assert_eq!((outcome.result.as_str(), outcome.number), ("42", Some(Term::u24(42))));
/// // What is wrong is told with its line and column.
/// let error = Book::parse("@f = (x\n  ").unwrap_err();
/// assert!(matches!(error, LoadError::Syntax { line: 2, column: 3, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    definitions: Vec<Definition>,
    digest: [u8; 32],
}

impl Default for Book {
    /// No definitions.
    fn default() -> Book {
        Book::new(Vec::new())
    }
}

impl Book {
    /// A book of checked definitions in their order.
    pub(super) fn new(definitions: Vec<Definition>) -> Book {
        let digest = digest(&definitions);
        Book {
            definitions,
            digest,
        }
    }

    /// The same for equal books, different for others, so that what is made from a book can be found again by it.
    ///
    /// BLAKE3, in its key derivation mode with the context `ffcm v1 book`, of the definitions in their order. A definition
    /// is the length of its name, the name, whether it may be copied (one byte), the number of its wires, the root, then
    /// the nodes and the redexes: their number, and their terms in pairs. Numbers and terms are u64, little-endian.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// All definitions; a REF term's offset indexes this slice.
    pub fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    /// Index of the definition called `name` (without `@`).
    pub fn find(&self, name: &str) -> Option<u32> {
        let has_main = self.definitions.first().is_some_and(|d| d.name == "main");
        if has_main && name == "main" {
            return Some(0);
        }
        let rest = &self.definitions[usize::from(has_main)..];
        let found = rest.binary_search_by(|d| d.name.as_str().cmp(name)).ok()?;
        Some((found + usize::from(has_main)) as u32)
    }
}

/// [`Book::digest`].
fn digest(definitions: &[Definition]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("ffcm v1 book");
    for definition in definitions {
        hasher.update(&(definition.name.len() as u64).to_le_bytes());
        hasher.update(definition.name.as_bytes());
        hasher.update(&[definition.copyable.into()]);
        let mut number = |number: u64| {
            hasher.update(&number.to_le_bytes());
        };
        number(definition.wires.into());
        number(definition.root.0);
        number(definition.nodes.len() as u64);
        definition
            .nodes
            .iter()
            .flatten()
            .for_each(|term| number(term.0));
        number(definition.redexes.len() as u64);
        for (a, b) in &definition.redexes {
            number(a.0);
            number(b.0);
        }
    }
    *hasher.finalize().as_bytes()
}

/// One net to reduce: a definition applied to numbers. With no arguments it is the definition itself;
/// with arguments `a b` the net is `root & @entry ~ (a (b root))`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Index of the definition in the book.
    pub entry: u32,
    /// NUM terms, outermost argument first.
    pub arguments: Vec<Term>,
}

/// Bounds on one reduction. Exceeding one is a typed error that leaves nothing behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Interactions allowed. A net either finishes within this number or fails, whatever the schedule.
    pub gas: u64,
    /// Heap nodes (16 bytes each) allowed. Reaching it depends on the schedule and is never a consensus outcome.
    pub nodes: u64,
    /// Longest canonical result text in bytes.
    pub result_bytes: usize,
}

impl Default for Limits {
    /// 10^10 interactions, 2^27 nodes (2 GiB, reserved lazily), 64 MiB of result text.
    fn default() -> Limits {
        Limits {
            gas: 10_000_000_000,
            nodes: 1 << 27,
            result_bytes: 64 << 20,
        }
    }
}

/// What a terminating reduction gives: the same on every backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Canonical readback: variables renamed `x0`, `x1`, … in order of first appearance.
    pub result: String,
    /// The root if it is a plain number, so that batch callers need not parse `result`.
    pub number: Option<Term>,
    /// Interactions by opcode.
    pub counts: Counts,
}

impl Outcome {
    /// BLAKE3 of the canonical result text.
    pub fn digest(&self) -> [u8; 32] {
        *blake3::hash(self.result.as_bytes()).as_bytes()
    }
}
