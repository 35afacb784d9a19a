//! The instructions that definitions are compiled to, see [`super::compile`].
//!
//! A definition is compiled for the *shape* in which its argument comes: the constructors of a call that the caller need
//! not build, with a leaf for each term that is passed on. One definition has a *base* entry, one constructor with two
//! leaves, for references that meet a node of the heap, and further entries for the shapes of the calls in the book.
//!
//! A worker has [`REGISTERS`] registers. An entry finds the leaves of its shape in the first ones. Every register is
//! written once on any path and read at most once as an owner of its term, numbers and references excepted.
//!
//! An instruction that tests a term goes on as if the test had succeeded when it has not: it builds the node that it
//! would have taken apart, and has wire ends where it would have had the contents. So there is one path through an entry
//! for each outcome of its switches. What such a *miss* leads to is reduced before the calls of the body, as if the node
//! had been there from the start.

use crate::net::partial::{ARGUMENTS_MAX, Shape, TALLY_MAX, Tally};
use crate::spec::word::Term;

/// Registers of a worker. Their numbers fit a byte, so that no access needs a check.
pub(super) const REGISTERS: usize = 256;
/// The register that is always absent: what a cell holds at first.
pub(super) const NOTHING: u8 = 255;
const _: () = assert!(super::pool::QUANTUM_MAX + 2 * TALLY_MAX < 1 << 16);
/// No entry, no table.
pub(super) const NONE: u32 = u32::MAX;

/// One instruction. Names of fields are registers, unless they say otherwise; code addresses are `u32`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// Counts a block's interactions.
    Count { tally: u32 },
    /// Takes apart a node whose meta word is `w0`; goes to `miss` when there is none.
    Open {
        from: u8,
        first: u8,
        second: u8,
        w0: u32,
        miss: u32,
    },
    /// Goes on elsewhere if `from` is a reference to a constructor that the table has an address for.
    Known { from: u8, table: u32 },
    /// Copies an atom, or takes a duplicator of the same meta word `w0` apart.
    Copy {
        from: u8,
        first: u8,
        second: u8,
        w0: u32,
    },
    /// One arithmetic step, or `steps` of them counting a swap, with a number known in advance. `swapped`: it was the
    /// number that met the node, and what is in the register stood in the node.
    Constant {
        from: u8,
        out: u8,
        steps: u8,
        swapped: bool,
        left: Term,
    },
    /// The same with an operand that is found in a register.
    Operate {
        from: u8,
        left: u8,
        out: u8,
        steps: u8,
    },
    /// Goes on with the number before `from`, or to `zero`; to `miss` if it is no number.
    Switch {
        from: u8,
        before: u8,
        zero: u32,
        miss: u32,
    },
    /// Erases a term.
    Erase { from: u8 },
    /// Connects two terms.
    Link { a: u8, b: u8 },
    /// Writes a term known in advance.
    Load { to: u8, term: Term },
    /// Copies a register.
    Move { to: u8, from: u8 },
    /// Allocates a node that is written later.
    Allocate { to: u8, w0: u32 },
    /// Writes a node that was allocated earlier. `variable`: the first port was a variable in the source.
    Write {
        at: u8,
        first: u8,
        second: u8,
        variable: bool,
    },
    /// Allocates and writes a node.
    Node {
        to: u8,
        first: u8,
        second: u8,
        w0: u32,
        variable: bool,
    },
    /// The other end of the wire whose cell is a slot of a node.
    Cell { to: u8, node: u8, side: u8 },
    /// An end of a new wire both of whose ends are terms.
    Wire { to: u8 },
    /// Applies a term to two terms: enters the definition that it refers to, or connects it with a constructor.
    Apply { from: u8, first: u8, second: u8 },
    /// The same as the last instruction of an entry.
    ApplyLast { from: u8, first: u8, second: u8 },
    /// Leaves a call for later.
    Push {
        entry: u32,
        count: u8,
        arguments: [u8; ARGUMENTS_MAX],
    },
    /// Goes on at an address.
    Jump { to: u32 },
    /// The call that is made at once.
    Call {
        entry: u32,
        count: u8,
        arguments: [u8; ARGUMENTS_MAX],
    },
    /// Expands a definition without compiled code against a node.
    Expand { definition: u32, node: u8 },
    /// The end of an entry.
    End,
}

const _: () = assert!(size_of::<Op>() == 16);

/// Where a definition is entered, for one shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Address of the first instruction.
    pub(super) at: u32,
    /// Most nodes that are allocated on any path.
    pub(super) nodes: u32,
    /// Leaves of the shape.
    pub(super) arguments: u8,
    /// A bit for each leaf that others make before the call, as far as can be told, see [`super::order`]. Only speed depends on
    /// it.
    pub(super) inputs: u8,
}

/// A book compiled.
#[derive(Debug, Default)]
pub(super) struct Program {
    /// Closed once everything is compiled, see [`Program::is_closed`].
    pub(super) ops: Vec<Op>,
    /// What blocks count: lanes that may be lent from each other where it is a difference, and the sum of the lanes.
    pub(super) tallies: Vec<(Tally, i64)>,
    pub(super) entries: Vec<Entry>,
    /// The definition and the shape of each entry.
    pub(super) shapes: Vec<(u32, Shape)>,
    /// Code addresses for references to constructors, [`NONE`] where there is nothing special.
    pub(super) tables: Vec<u32>,
    /// The base entry of each definition.
    pub(super) bases: Vec<u32>,
    /// The number of each definition among the constructors of the book, [`NONE`] for others.
    pub(super) constructors: Vec<u32>,
}

impl Program {
    /// Whether no path through the instructions leads out of them: every address in them, in the entries and in the tables
    /// is that of an instruction, and after the last one execution does not go on with the next.
    pub(super) fn is_closed(&self) -> bool {
        let within = |&address: &u32| (address as usize) < self.ops.len();
        let leads_within = |op: &Op| match op {
            Op::Open { miss, .. } => within(miss),
            Op::Switch { zero, miss, .. } => within(zero) && within(miss),
            Op::Jump { to } => within(to),
            _ => true,
        };
        let last = self.ops.last().is_none_or(|op| {
            matches!(
                op,
                Op::ApplyLast { .. }
                    | Op::Call { .. }
                    | Op::Jump { .. }
                    | Op::Expand { .. }
                    | Op::End
            )
        });
        last && self.ops.iter().all(leads_within)
            && self.entries.iter().all(|entry| within(&entry.at))
            && self.tables.iter().all(|at| *at == NONE || within(at))
    }

    /// The instruction at an address that an entry, a table or another instruction leads to.
    #[inline(always)]
    pub(super) fn op(&self, at: usize) -> &Op {
        debug_assert!(at < self.ops.len(), "programs are closed");
        // SAFETY: the program is closed, as was made sure of when it was compiled, so no address leads out of it. The check,
        // and the register that holds the number it compares with, are 5 to 9 % of the instructions that run.
        unsafe { self.ops.get_unchecked(at) }
    }
}
