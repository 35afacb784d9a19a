//! The intermediate representation: definitions in direct style.
//!
//! A [`Function`] is a definition specialised to the [`Shape`] in which its argument comes. Each leaf of the shape has a
//! [`Mode`]: what comes in at it is a parameter, what goes out at it is a result. In a net a leaf has no direction, so any
//! choice is right; a good one lets results stay in registers, where the net would have had a wire of the heap. So a call
//! is a call, its outcome a value, and most of what a definition does needs no heap.
//!
//! # Values
//! A value is written once and holds a [`Term`] that the function owns: it is used once on every path. Excepted are numbers
//! and what [`Inst::Load`] gives, which may be used any number of times or not at all, and the ends of [`Inst::Wire`], which
//! are two. That a branch looks at a value is no use, but where it found a number or a reference there is none left, nor where it took
//! the value apart. A value
//! may always be an end of a
//! wire at which nothing waits yet, or a term of a class that the program was not written for: every instruction then does
//! what the net would, with nodes of the heap. Nothing but speed depends on which way is taken.
//! [`Inst::Allocate`] gives a node to be filled in by one [`Inst::Write`] in the same block, before anything is connected or called; that and
//! [`Inst::Cell`] are no uses of it.
//!
//! # Control
//! Blocks form a tree: the entry is block 0, every other block is named once, by a block with a smaller number. So there are
//! no joins and no parameters of blocks; the only loop is a [`End::Tail`] to the function itself.
//!
//! # Counting
//! A block counts at once all interactions that it stands for if each of its instructions finds what programs are written
//! for; an instruction that does not takes back what it leaves undone. So interactions, gas and errors are those of the
//! interpreter. While functions are under way more may be counted than will have been done in the end: whether gas has
//! run out is seen when none is. A block that counts and comes after a call, in a block that leads to it, begins with an
//! [`Inst::Reserve`], which has the counters looked at: so they stay small when many calls return one after the other.
//!
//! # Memory
//! An instruction that may allocate nodes comes after an [`Inst::Reserve`] in the same block with no call in between, which
//! makes sure of as many as all instructions up to the next call or the end of the block may take, see [`Inst::nodes`].

#[cfg(test)]
pub(crate) mod run;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod validate;

pub use tree::{TREE_NODES_MAX, Tree};
pub use validate::{Fault, Invalid, validate};

use ffcm::net::partial::{Shape, Tally};
use ffcm::spec::word::Term;

/// Version of what a module means. Whoever keeps what was made of one keeps this number with it.
pub const VERSION: u32 = 2;

/// A function of the module: the index of the entry that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(pub u32);

/// A value of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

/// A block of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub u32);

/// Which way the term at a leaf goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// The caller has it.
    In,
    /// The function has it in the end.
    Out,
}

/// What is certain about a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// Nothing.
    Term,
    /// It is of class NUM: no wire, no node, no other atom.
    Number,
}

/// The functions of a book.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Module {
    /// The function for each entry, in the order of the entries; none where it would be too large, or would do nothing but
    /// what the net does.
    pub functions: Vec<Option<Function>>,
}

/// One definition, for one shape of its argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Index of the definition in the book.
    pub definition: u32,
    /// Its name, for people.
    pub name: String,
    /// The constructors of the argument that nobody builds.
    pub shape: Shape,
    /// A mode for each leaf of the shape, in order. Values 0, 1, … are the leaves that come in, in order.
    pub modes: Vec<Mode>,
    /// What is certain about each value.
    pub types: Vec<Type>,
    /// A tree, see the module documentation.
    pub blocks: Vec<Block>,
}

impl Function {
    /// How many leaves have this mode.
    pub fn count(&self, mode: Mode) -> usize {
        self.modes.iter().filter(|&&leaf| leaf == mode).count()
    }
}

/// Instructions without a branch.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Interactions by opcode, see the module documentation.
    pub tally: Tally,
    /// Their number, at most [`TALLY_MAX`](ffcm::net::partial::TALLY_MAX).
    pub total: u64,
    /// In order.
    pub insts: Vec<Inst>,
    /// What comes then.
    pub end: End,
}

/// An instruction. `to` and other values that an instruction writes are named first.
#[derive(Clone, Debug, PartialEq)]
pub enum Inst {
    /// A term known in advance: an atom.
    Load {
        /// Gets it.
        to: ValueId,
        /// NUM, REF or ERA.
        term: Term,
    },
    /// Makes sure of memory: the run is over where there is not enough. Has the counters looked at if they are due.
    Reserve {
        /// Nodes.
        nodes: u32,
    },
    /// Takes a constructor apart; one APPLY. What is none meets a constructor whose ports are the two values.
    Open {
        /// Gets the first port.
        first: ValueId,
        /// Gets the second port.
        second: ValueId,
        /// Is taken apart.
        from: ValueId,
    },
    /// Copies a number or a copyable reference; one DUPLICATE. A duplicator of the same label is taken apart, anything else
    /// meets one.
    Copy {
        /// Gets a copy.
        first: ValueId,
        /// Gets a copy.
        second: ValueId,
        /// Is copied.
        from: ValueId,
        /// Meta word of the duplicator.
        w0: u32,
    },
    /// [`operate`](ffcm::spec::number::operate) on two numbers, counted as `steps` SUCC. What is no number waits in an
    /// arithmetic node.
    Operate {
        /// Gets the result.
        to: ValueId,
        /// The number that meets the node.
        number: ValueId,
        /// The node's first port.
        left: ValueId,
        /// Interactions: 2 where the port was a variable in the source, for the exchange of the operands.
        steps: u8,
        /// What met the node is `left`, which is known in advance, and `number` stood in it: an exchange, if there is one,
        /// has been made.
        swapped: bool,
    },
    /// Erases a term; one COLLAPSE.
    Erase {
        /// Is erased.
        from: ValueId,
    },
    /// Connects two terms.
    Link {
        /// One.
        a: ValueId,
        /// The other.
        b: ValueId,
    },
    /// Allocates a node that is written later.
    Allocate {
        /// Gets its principal port.
        to: ValueId,
        /// Class and label.
        w0: u32,
    },
    /// Writes a node that was allocated earlier.
    Write {
        /// Its principal port.
        at: ValueId,
        /// What its slots hold; a slot without a value is the absent cell of its wire.
        slots: [Option<ValueId>; 2],
        /// An arithmetic node whose first port was a variable in the source.
        variable: bool,
    },
    /// Allocates and writes a node.
    Node {
        /// Gets its principal port.
        to: ValueId,
        /// Class and label.
        w0: u32,
        /// What its slots hold; a slot without a value is the absent cell of its wire.
        slots: [Option<ValueId>; 2],
        /// An arithmetic node whose first port was a variable in the source.
        variable: bool,
    },
    /// The end of the wire whose cell is a slot of a node.
    Cell {
        /// Gets the end.
        to: ValueId,
        /// The node's principal port.
        node: ValueId,
        /// Which slot, 0 or 1.
        side: u8,
    },
    /// A new wire. Both its ends are this value, which is used twice.
    Wire {
        /// Gets the ends.
        to: ValueId,
    },
    /// Calls a function.
    Call {
        /// Get the results, one for each leaf that goes out.
        outs: Vec<ValueId>,
        /// What is called.
        function: FunctionId,
        /// One for each leaf that comes in.
        ins: Vec<ValueId>,
    },
    /// Applies a term to two: enters the definition that it refers to, which is left for later, or connects it with a
    /// constructor.
    Apply {
        /// Is applied.
        from: ValueId,
        /// First port of the constructor.
        first: ValueId,
        /// Second port of the constructor.
        second: ValueId,
    },
    /// Leaves a call for later: of an entry with or without a function, all of whose leaves are terms at hand.
    Defer {
        /// Index of the entry.
        entry: u32,
        /// One for each leaf.
        leaves: Vec<ValueId>,
    },
}

impl Inst {
    /// The values that it uses, in order.
    pub fn uses(&self) -> Vec<ValueId> {
        match self {
            Inst::Load { .. }
            | Inst::Reserve { .. }
            | Inst::Allocate { .. }
            | Inst::Cell { .. }
            | Inst::Wire { .. } => Vec::new(),
            Inst::Open { from, .. } | Inst::Copy { from, .. } | Inst::Erase { from } => vec![*from],
            Inst::Operate { number, left, .. } => vec![*number, *left],
            Inst::Link { a, b } => vec![*a, *b],
            Inst::Write { slots, .. } | Inst::Node { slots, .. } => {
                slots.iter().flatten().copied().collect()
            }
            Inst::Call { ins: values, .. } | Inst::Defer { leaves: values, .. } => values.clone(),
            Inst::Apply {
                from,
                first,
                second,
            } => vec![*from, *first, *second],
        }
    }

    /// Most nodes that it allocates. `types` are those of the function.
    pub fn nodes(&self, types: &[Type]) -> u32 {
        let number = |value: &ValueId| types.get(value.0 as usize) == Some(&Type::Number);
        match self {
            Inst::Open { .. } | Inst::Copy { .. } => 2,
            Inst::Operate {
                number: a, left: b, ..
            } if number(a) && number(b) => 0,
            Inst::Operate { .. }
            | Inst::Apply { .. }
            | Inst::Allocate { .. }
            | Inst::Node { .. }
            | Inst::Wire { .. } => 1,
            Inst::Load { .. }
            | Inst::Reserve { .. }
            | Inst::Erase { .. }
            | Inst::Link { .. }
            | Inst::Write { .. }
            | Inst::Cell { .. }
            | Inst::Call { .. }
            | Inst::Defer { .. } => 0,
        }
    }
}

/// The end of a block.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// A numeric switch.
    Switch {
        /// Is looked at. No interaction is counted for it here.
        from: ValueId,
        /// For zero.
        zero: BlockId,
        /// For other numbers.
        successor: BlockId,
        /// Gets the number before in `successor`.
        before: ValueId,
        /// For anything but a number; `from` is what it is. Rarely taken, and never where `from` is certainly a number: a
        /// renderer may leave it out then.
        other: BlockId,
    },
    /// Goes on according to the definition that a term refers to. No interaction is counted for it here.
    Match {
        /// Is looked at.
        from: ValueId,
        /// Definitions, ascending, and where to go on for a reference to each.
        cases: Vec<(u32, BlockId)>,
        /// For anything else; `from` is what it is.
        other: BlockId,
    },
    /// Takes a tree of constructors apart, all of it at once. No interaction is counted for it here. Only what is seen without
    /// waiting for anything counts: a tree whose parts are behind wires, or that has wires in its holes, may be taken for
    /// another.
    Take {
        /// Is looked at.
        from: ValueId,
        /// What it is compared with.
        tree: Tree,
        /// Get what is in the holes of the tree, in order, in `then`.
        holes: Vec<ValueId>,
        /// For such a tree, of which nothing is left.
        then: BlockId,
        /// For anything else; `from` is what it is.
        other: BlockId,
    },
    /// The end.
    Return {
        /// One for each leaf that goes out.
        outs: Vec<ValueId>,
    },
    /// A call whose results are those of this function.
    Tail {
        /// Has as many results as this function.
        function: FunctionId,
        /// One for each leaf that comes in.
        ins: Vec<ValueId>,
    },
}
