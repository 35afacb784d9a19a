//! The rule table: what happens when two principal ports meet.
//!
//! Sixty-four entries, indexed by the classes of both terms, name one of seven opcodes or `link`, which is wiring and
//! not an interaction. Two cells depend on more than the classes; [`opcode`] resolves them. Every backend uses this
//! table: CPU engines read it, the shader and CUDA headers are rendered from it.

use super::word::{Class, Term, variant};

/// What a meeting does. The seven opcodes after [`Opcode::Link`] are the interactions that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Opcode {
    /// Wiring: a variable meets anything. Never counted.
    Link = 0,
    /// Two nodes of one kind annihilate.
    Apply = 1,
    /// An atom (number, copyable reference) is copied to both ports of a node, or two duplicators of one label
    /// annihilate.
    Duplicate = 2,
    /// Two nodes of different kinds commute.
    Distribute = 3,
    /// One arithmetic step.
    Succ = 4,
    /// Numeric match.
    Switch = 5,
    /// Erasure, or two atoms vanishing. Also the answer for every pair that is not otherwise defined.
    Collapse = 6,
    /// A definition is expanded.
    Specialize = 7,
}

impl Opcode {
    /// The seven counted opcodes, in counter order.
    pub const COUNTED: [Opcode; 7] = [
        Opcode::Apply,
        Opcode::Duplicate,
        Opcode::Distribute,
        Opcode::Succ,
        Opcode::Switch,
        Opcode::Collapse,
        Opcode::Specialize,
    ];

    /// Lower-case name, as `focus run --json` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Opcode::Link => "link",
            Opcode::Apply => "apply",
            Opcode::Duplicate => "duplicate",
            Opcode::Distribute => "distribute",
            Opcode::Succ => "succ",
            Opcode::Switch => "switch",
            Opcode::Collapse => "collapse",
            Opcode::Specialize => "specialize",
        }
    }

    /// Worst-case `(nodes, redexes)` an interaction allocates; capacity is checked against it before firing.
    /// [`Opcode::Specialize`] is bounded by the definition instead and reports zero here.
    pub const fn need(self) -> (u32, u32) {
        match self {
            Opcode::Link => (0, 1),
            Opcode::Apply | Opcode::Duplicate | Opcode::Collapse => (0, 2),
            Opcode::Distribute => (4, 4),
            Opcode::Succ => (1, 1),
            Opcode::Switch => (2, 1),
            Opcode::Specialize => (0, 0),
        }
    }
}

/// One cell of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Rule {
    /// The opcode, whatever else the terms hold.
    Always(Opcode),
    /// DUP meets DUP: equal labels annihilate ([`Opcode::Duplicate`]), unequal ones commute
    /// ([`Opcode::Distribute`]).
    ByLabel,
    /// REF meets DUP: a copyable reference is copied ([`Opcode::Duplicate`]), any other is expanded
    /// ([`Opcode::Specialize`]). The published HVM2 backends disagree on this cell; here every backend follows the
    /// copyability that the loader decides once.
    ByCopyable,
}

use Opcode::{Apply, Collapse, Distribute, Duplicate, Link, Specialize, Succ, Switch};
use Rule::{Always, ByCopyable, ByLabel};

const L: Rule = Always(Link);
const A: Rule = Always(Apply);
const D: Rule = Always(Duplicate);
const X: Rule = Always(Distribute);
const S: Rule = Always(Succ);
const W: Rule = Always(Switch);
const C: Rule = Always(Collapse);
const P: Rule = Always(Specialize);

/// `TABLE[class_a][class_b]`. Symmetric and total, asserted at compile time below.
#[rustfmt::skip]
pub const TABLE: [[Rule; 8]; 8] = [
    //  VAR REF         ERA NUM CON DUP         OPR SWI
    [   L,  L,          L,  L,  L,  L,          L,  L ], // VAR
    [   L,  C,          C,  C,  P,  ByCopyable, P,  P ], // REF
    [   L,  C,          C,  C,  C,  C,          C,  C ], // ERA
    [   L,  C,          C,  C,  D,  D,          S,  W ], // NUM
    [   L,  P,          C,  D,  A,  X,          X,  X ], // CON
    [   L,  ByCopyable, C,  D,  X,  ByLabel,    X,  X ], // DUP
    [   L,  P,          C,  S,  X,  X,          A,  X ], // OPR
    [   L,  P,          C,  W,  X,  X,          X,  A ], // SWI
];

/// The opcode for two meeting terms, in either order.
#[inline(always)]
pub const fn opcode(a: Term, b: Term) -> Opcode {
    match TABLE[a.class() as usize][b.class() as usize] {
        Rule::Always(op) => op,
        Rule::ByLabel => {
            if a.label() == b.label() {
                Opcode::Duplicate
            } else {
                Opcode::Distribute
            }
        }
        Rule::ByCopyable => {
            let reference = if matches!(a.class(), Class::Ref) {
                a
            } else {
                b
            };
            if reference.variant() == variant::COPYABLE {
                Opcode::Duplicate
            } else {
                Opcode::Specialize
            }
        }
    }
}

impl Rule {
    /// One-byte code rendered into shader and CUDA headers: the opcode in the low three bits, `8` set for
    /// [`Rule::ByLabel`] and `16` for [`Rule::ByCopyable`] (their low bits hold the opcode of the unequal or
    /// non-copyable case).
    pub const fn code(self) -> u8 {
        match self {
            Rule::Always(op) => op as u8,
            Rule::ByLabel => 8 | Opcode::Distribute as u8,
            Rule::ByCopyable => 16 | Opcode::Specialize as u8,
        }
    }
}

/// How many interactions of each opcode a reduction made. Order-independent for every net that terminates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts([u64; 7]);

impl Counts {
    /// Counts `n` more interactions of `op`. Links are not interactions and are ignored.
    #[inline(always)]
    pub fn add(&mut self, op: Opcode, n: u64) {
        if let Some(slot) = (op as usize).checked_sub(1) {
            self.0[slot] += n;
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Counts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// Takes away all of `other`, which has been counted before.
    pub fn remove(&mut self, other: &Counts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine -= theirs;
        }
    }

    /// How many interactions of `op`; zero for links.
    pub fn get(&self, op: Opcode) -> u64 {
        (op as usize).checked_sub(1).map_or(0, |slot| self.0[slot])
    }

    /// All interactions: the unit of gas.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// `(opcode, count)` in counter order.
    pub fn iter(&self) -> impl Iterator<Item = (Opcode, u64)> + '_ {
        Opcode::COUNTED.into_iter().zip(self.0)
    }
}

const fn table_is_symmetric() -> bool {
    let mut a = 0;
    while a < 8 {
        let mut b = 0;
        while b < 8 {
            if TABLE[a][b].code() != TABLE[b][a].code() {
                return false;
            }
            b += 1;
        }
        a += 1;
    }
    true
}

/// Every meeting with a variable is a link, and nothing else is.
const fn links_are_exactly_the_variables() -> bool {
    let mut a = 0;
    while a < 8 {
        let mut b = 0;
        while b < 8 {
            let is_link = matches!(TABLE[a][b], Rule::Always(Opcode::Link));
            if is_link != (a == 0 || b == 0) {
                return false;
            }
            b += 1;
        }
        a += 1;
    }
    true
}

const _: () = assert!(table_is_symmetric());
const _: () = assert!(links_are_exactly_the_variables());
