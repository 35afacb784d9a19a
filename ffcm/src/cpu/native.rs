//! The contract between the parallel net engine and native code made for entries of its [`Compiled`] books.
//!
//! An entry is a definition for one shape of its argument. A worker that is to run an entry asks the [`Fused`] code of the
//! book whether there is a [`Function`] for it; if so, it calls that with the leaves that come in, and connects what the
//! function returns with the terms at the leaves that go out. Code may become ready at any time, and any two entries of a
//! run may be run in different ways: both do the same interactions.
//!
//! # What native code does
//! It works on a [`Context`], through which it reaches the heap, the list of free nodes and the counters of the worker that
//! calls it, and everything else through the functions in [`Runtime`].
//!
//! * *Entering.* A function first compares: when `ticks` is not positive, or the stack pointer is below `stack_limit`, it calls
//!   [`Runtime::enter`], and goes on only if told to. Otherwise it returns what `enter` has put into its results at once. So
//!   gas is metered, the stack stays bounded, work is shared, and calls are left for later (as frames of the worker)
//!   whenever that is better.
//! * *Counting.* A block adds its interactions to `tally` and takes their number from `ticks`. Where a block that counts comes
//!   after a call and finds `ticks` below [`TICKS_MIN`] then, it calls [`Runtime::reserve`], be it for no nodes: many calls may
//!   return before one is entered again, and what they count has to fit the lanes.
//! * *Memory.* It takes nodes from the end of the list of free nodes, at most as many as it has made sure of by comparing
//!   `free_length` or through [`Runtime::reserve`]; if that says no, it returns erasers at once. Of a node that it takes
//!   apart, neither of whose slots is absent, it puts the offset of the first slot back at the end of the list if `free_length` is
//!   below `free_capacity`, and calls [`Runtime::free`] otherwise. Calls and functions of the runtime may change the list.
//! * *Slots* are 64-bit words: a term as in [`Term`]. It reads them with acquire ordering and writes those of
//!   new nodes in any order. An absent slot of a new node holds `absent`. It reads a cell whose end it holds; if a term
//!   waits there (its substitution bit is set), it may take it, without that bit, and frees the cell's node, offset rounded
//!   down to even; if that term is an end of a wire it calls [`Runtime::resolve`] instead.
//!
//! The module documentation of the engine says why this is sound: a function is an entry whose registers are values.

use std::ffi::c_void;
use std::sync::Arc;

use super::Compiled;
use crate::net::Book;
use crate::spec::number::Kind;
use crate::spec::rules::Counts;
use crate::spec::word::Term;

/// Version of this contract. Whoever keeps code keeps this number with it.
pub const VERSION: u32 = 1;

/// Least `ticks` that native code goes on with, see the module documentation.
pub const TICKS_MIN: i64 = -(1 << 14);

/// What native code sees of a worker.
#[repr(C)]
#[derive(Debug)]
pub struct Context {
    /// The slots of the heap; an offset in a term counts 8-byte words from here.
    pub heap: *mut u64,
    /// Offsets of free nodes, all even.
    pub free: *mut u32,
    /// How many free nodes there are.
    pub free_length: u64,
    /// How many the list has room for.
    pub free_capacity: u64,
    /// Interactions by opcode, lanes of sixteen bits; see [`Tally`](crate::net::partial::Tally).
    pub tally: [u64; 2],
    /// Interactions until [`Runtime::enter`] has to be called.
    pub ticks: i64,
    /// A function whose stack pointer is below calls [`Runtime::enter`].
    pub stack_limit: u64,
    /// What an absent slot of a new node holds.
    pub absent: u64,
    /// Functions for everything else.
    pub runtime: *const Runtime,
    /// Whom this belongs to; for the runtime.
    pub worker: *mut c_void,
}

/// A pair of terms, returned through memory.
pub type Pair = [u64; 2];

/// What native code calls. Terms are passed as 64-bit words; every term that is passed is given away.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Runtime {
    /// Before an entry: whether to go on (1), or to return what is in `outs` now (0). `ins` and `outs` have a word for each
    /// leaf that comes in or goes out.
    pub enter:
        unsafe extern "C" fn(*mut Context, entry: u32, ins: *const u64, outs: *mut u64) -> u32,
    /// Makes sure of nodes: whether there are that many (1), or the run is over (0). Makes room in `tally`.
    pub reserve: unsafe extern "C" fn(*mut Context, nodes: u32) -> u32,
    /// Puts the node at an even offset back on the list of free nodes.
    pub free: unsafe extern "C" fn(*mut Context, node: u32),
    /// What a term stands for as far as is known now.
    pub resolve: unsafe extern "C" fn(*mut Context, term: u64) -> u64,
    /// Takes a term apart as a constructor. Takes back the APPLY that was counted if it is none; may allocate two nodes.
    pub open: unsafe extern "C" fn(*mut Context, term: u64, ports: *mut Pair),
    /// Copies a term that meets a duplicator of meta word `w0`. Takes back the DUPLICATE that was counted if it has to;
    /// may allocate two nodes.
    pub copy: unsafe extern "C" fn(*mut Context, term: u64, w0: u32, copies: *mut Pair),
    /// `number` meets an arithmetic node whose first port is `left`, any terms. `how` is the number of interactions that
    /// were counted, plus 256 if it was `left` that met the node; takes those back that are not made now; may allocate a node.
    pub operate: unsafe extern "C" fn(*mut Context, number: u64, left: u64, how: u32) -> u64,
    /// Erases a term. Takes back the COLLAPSE that was counted if it has to.
    pub erase: unsafe extern "C" fn(*mut Context, term: u64),
    /// Connects two terms.
    pub link: unsafe extern "C" fn(*mut Context, a: u64, b: u64),
    /// Applies a term to a constructor of two; may allocate a node. Counts what it does.
    pub apply: unsafe extern "C" fn(*mut Context, term: u64, first: u64, second: u64),
    /// A new wire, both of whose ends are the term returned; allocates a node.
    pub wire: unsafe extern "C" fn(*mut Context) -> u64,
    /// Leaves an entry for later; `leaves` has a word for each leaf of its shape.
    pub defer: unsafe extern "C" fn(*mut Context, entry: u32, leaves: *const u64),
}

/// Native code: the leaves that come in, and room for those that go out, in order.
pub type Code = unsafe extern "C" fn(*mut Context, ins: *const u64, outs: *mut u64);

/// A function that can be called instead of running an entry.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// The code.
    pub code: Code,
    /// Bit `i` is set if leaf `i` of the entry's shape goes out.
    pub outs: u8,
}

/// Native code for the entries of one book.
///
/// # Safety
/// Every function that [`Fused::function`] answers stays callable as long as this value lives, is one for that entry, and keeps to
/// the contract of this module.
pub unsafe trait Fused: Send + Sync {
    /// [`Compiled::digest`] of the book that this is code for.
    fn digest(&self) -> [u8; 32];

    /// The code for an entry, if it is ready; from then on always the same leaves go out. Asked for every time that an entry
    /// is run: to be answered by one load.
    fn function(&self, entry: u32) -> Option<Function>;

    /// This entry was running when a worker looked up from its work, which it does after some thousands of interactions.
    fn sampled(&self, entry: u32);

    /// The same, said by one of so many workers of a run. Who compiles in the background may take a core from one of them.
    fn sampled_among(&self, entry: u32, _workers: usize) {
        self.sampled(entry);
    }
}

/// Native code for a definition applied to rows of numbers of certain kinds: no heap, no engine.
pub trait FusedRows: Send + Sync {
    /// Most interactions of a row that is answered.
    fn most(&self) -> u64;

    /// Answers rows: as many as there are places, for the number and for its interactions. `columns` holds the bits of each
    /// argument for at least as many; they are numbers of the kinds that the code was made for. Adds to `counts` what the rows
    /// answered have made, and to `left` the rows that it cannot answer, ascending, whose places may hold anything then.
    ///
    /// # Panics
    /// If there are not as many columns or rows as there have to be.
    fn run(
        &self,
        columns: &[&[u32]],
        answers: (&mut [Term], &mut [u64]),
        left: &mut Vec<u32>,
        counts: &mut Counts,
    );
}

/// Makes native code.
pub trait Fuser: Send + Sync {
    /// Code for the entries of a book, see [`Compiled::entries`]. Called once for each book, when it is first run; answers at
    /// once, with code that becomes ready later. None if there will be no code for this book.
    fn fuse(&self, book: &Book, compiled: &Compiled) -> Option<Arc<dyn Fused>>;

    /// Code for rows of a definition of a book: `columns` are the kinds of its arguments. None if there is none of use. Called
    /// again only when it may have been forgotten; takes the time that some thousands of rows take without.
    fn fuse_rows(
        &self,
        _book: &Book,
        _compiled: &Compiled,
        _entry: u32,
        _columns: &[Kind],
    ) -> Option<Arc<dyn FusedRows>> {
        None
    }
}
