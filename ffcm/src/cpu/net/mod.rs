//! The parallel net engine.
//!
//! # Heap
//! Terms are single 64-bit slots; a node is two of them. A term is owned by exactly one place: a slot, a redex on some
//! worker's stack, or a local variable of an interaction. A node's principal port is such a term, so a node has one
//! owner, and only the owner of both sides of a redex opens its nodes.
//!
//! # Wires
//! A wire has two ends and one *cell*, a slot that both ends know. There are two situations.
//!
//! * **Held**: the cell is an auxiliary slot of a node, and that slot is one end of the wire; the other end is the
//!   term `VAR(cell)`.
//! * **Bare**: the node has been opened, its owner took its end away as a second `VAR(cell)` term, and the slot
//!   belongs to the wire alone.
//!
//! A slot that is not a cell holds a plain term. A cell is absent until one end of the wire arrives; then it holds the
//! term that this end was connected to, with the substitution bit set.
//!
//! * *Arriving* with a term at `VAR(cell)` reads the cell and, if it is absent, exchanges the term into it. Of two such
//!   exchanges one comes first, so exactly one end leaves its term and is done, and the other gets that term, by its
//!   read or by its exchange. That one goes on to connect the two terms, and frees the cell.
//! * *Opening* a node reads both slots. A present one is taken, substituted or plain. An absent one becomes bare: the
//!   opener goes on with `VAR(cell)` in its place. It does not matter when the other end arrives between the read and
//!   whatever the opener does with its end, since that will be an arrival too.
//! * Whoever holds both ends of one wire in hand frees the cell: a loop without anything on it.
//!
//! Two wires are joined by leaving an end of one at the cell of the other. Which is free to choose, and matters: a loop
//! that lengthens its output wire in every turn would grow a chain of cells behind an end that never moves. A cell whose
//! far end waits in another cell is marked as trailing, and its near end is the one that is left. That is a hint for this
//! choice alone, best effort: three wires joined in an unlucky order in every turn can still grow a chain.
//!
//! Where nobody else can have the other end, the same protocol needs no atomic exchange: for a worker that is alone on
//! its heap, for one that all others wait for, and at cells that a worker made after it last let anybody have a term
//! that leads to others; see [`wires`].
//!
//! # No node has two cells
//! This is the invariant that makes freeing sound without any further synchronisation: *a node is freed as a whole, by
//! one thread, at one moment.* When its owner opens a node, at most one slot is absent. If none is, the owner is the
//! only one who can reach the node, and frees it. If one is, the other slot is the owner's alone and has been read, the
//! node has become a bare cell, and the second arrival frees it. There is no half-freed node, hence no race between the
//! two halves.
//!
//! * [`template`] gives no node two cells. Wires between nodes are edges of a graph whose vertices have degree at most
//!   two, so its components are paths and cycles, with at most as many edges as vertices; a wire that finds both its
//!   nodes taken (it ends outside, at the other end of a path) gets a node of its own, of which one slot is never used.
//! * [`partial::Builder`](crate::net::partial::Builder), which builds what compiled entries leave, chooses cells by the same rule.
//! * Commuting makes four nodes and four wires, one cell in each node; or three nodes and two wires, whose cells are in
//!   two of them; or two nodes of given terms only.
//! * A test that misses builds a node with two open ports ([`exec`]). One wire has its cell in that node, the other in a
//!   node of its own, whose other slot is never used. The same holds for a pattern of several constructors, built by
//!   the same builder; an arithmetic node has one open port.
//! * All other interactions make nodes of given terms only.
//! * A cell never comes into being later: a slot becomes absent only when its node is written.
//!
//! The registers of a compiled entry own their terms like local variables. Looking whether something waits at a wire
//! whose end is in a register, and taking it, is the read of an arrival; leaving the end alone when nothing does is not to
//! have arrived yet. A node that a miss builds is complete before any end of its wires is connected, and an entry connects
//! nothing before all that it builds is written: so what another worker can reach is always written.
//!
//! # Compiled definitions
//! A definition that meets a constructor is not copied: it has been compiled ([`compile`]) to instructions ([`program`])
//! that match its pattern against the constructor and what is in it, and build only what is left. Definitions that meet
//! other nodes are copied from [`template`]s. Share of the time of the programs in `benches/src/programs.rs` that was
//! saved, on one thread:
//!
//! | trick | where it counts |
//! |---|---|
//! | matching, frames, jumps instead of last calls, arms compiled in | sum_rec 60 %, sum_tree 59 %, bitonic 40 %, radix 36 %, stress 71 % |
//! | steps on u24 decoded by whole meta words, instructions read in place | sum_rec 22 %, sum_tree 16 % |
//! | slots read without bounds checks | 3 to 8 % |
//! | instructions read without bounds checks, in programs that are closed | 4 % of instructions; 6 to 9 % where there may be others |
//! | large pages for all but the start of the heap | sum_tree 11 %, cnots 20 % |
//! | constructors matched where a pattern begins only, so that entries stay small enough to be compiled | radix 26 % |
//! | calls that make arguments before those that take them ([`order`]) | bitonic 59 % |
//! | no duplicator for an atom it would copy next ([`worker`]) | cnots 39 %, and half the memory |
//!
//! Calls that are left for later are *frames* on the stack of redexes: the entry and the leaves of its argument, between
//! two words that no term looks like, so that either end of the stack can be read. A frame is handed over whole. What a
//! miss or a connection leads to is put above the frames of the body and reduced before them: the other way round,
//! what nobody has looked at piles up.
//!
//! # Native code
//! An entry may be run as a function of native code instead ([`fused`]; the contract is [`crate::cpu::native`]). Why that
//! keeps all of the above:
//!
//! * *Ownership.* A value of a function is a register: it owns its term. Arguments are given to the function that is called,
//!   results to its caller, so a term that is on its way is owned by one native frame, or by the words between two frames.
//!   Whatever a function wants to have that is not a meeting of terms in hand it asks a worker for, which does what an
//!   instruction does with terms that it is given. Which leaves are arguments and which are results is a matter of
//!   speed: a wire has no direction.
//! * *Written before reached.* A function fills in a node that it has allocated before it calls anything that another
//!   worker could get an end from: a node is allocated and written between two calls.
//! * *Leaving a call for later* is an expansion that has not happened yet: the frame has the arguments and one end of a fresh
//!   wire for each result, the caller has the other end. That is the net before the call, so it is right at any time,
//!   for one call or for all that wait natively; a caller finds the end of a wire where it would have found a result, which
//!   every instruction has a way for.
//! * *The worker* belongs to native code while that runs, and nobody reads it. What native code calls takes back the list
//!   of free nodes, the tally and the ticks before anything else. So redexes and frames that a function leads to are on
//!   the worker's stacks by the time that anybody is given a part of these, and terms in native frames are never given away:
//!   only frames are. A period ends as always; a function writes the absent cell of the present period, which it
//!   reads from the context each time.
//! * *Free nodes* move to and from the list by native code below its capacity only; the list is never moved meanwhile but
//!   by what native code calls, which says where it is then.
//! * *The end.* Without memory every function returns erasers as soon as it is entered or wants a node, so all have
//!   returned after as many steps as there are frames. The net is not looked at any more then, and what was counted since the last
//!   report is forgotten, for it cannot be said exactly. Every other reason to stop turns native calls into frames first.
//!
//! # Known interactions
//! With native code, interactions of nodes of the heap are made together, too, where the next ones are known: a duplicator
//! goes down a whole spine of constructors ([`copy`]), and a reference to a definition that selects one of its arguments, such
//! as a Church boolean, is applied to all of them, and what it selects to the next ones ([`select`]). All interactions but
//! some hundred of `cnots` are of these kinds. Of its time spines save 29 %, selectors 39 % of what is left then, and leaving
//! the rest of a long spine for later 35 % of the remainder. That is sound for the same reasons as the interactions one by
//! one: it takes terms that the worker owns, writes nodes before it connects what leads there, and counts each interaction.
//!
//! # Ordering
//! Exchanges acquire and release, reads of slots acquire, writes of new nodes are relaxed: a new node is reachable only
//! through a term that its maker passes on, and terms move between workers only through exchanges and the pool's lock.
//! So whoever holds a term sees the node written. Reuse is ordered too: the second arrival at a bare cell acquires from
//! the first, and one of the two ends descends from the opener's read, so all accesses happen before the free; a free
//! node moves between workers only under a lock.
//!
//! # Scheduling
//! Each worker reduces its newest redex first and reuses the node it freed last. Workers without work ask through one
//! word that busy workers read every 256 interactions; who sees it hands over the oldest eighth of its stack, one redex or
//! frame at least and 64 pairs of words at most, under the pool's lock, of which all must be there that it works on
//! ([`share`]). More would be too much: the older half of what a
//! recursion has left belongs to calls that the newer half is in the middle of, and the two workers would move most of
//! their nodes to each other's caches. Who got too little to do for it to be worth the trouble, or met the others at
//! every other step, asks again only after a while. The word also tells a busy worker that all others wait. Termination is
//! decided under the same lock, see [`pool`].
//!
//! # Counting
//! Interactions are named by the rule table; links are not interactions. Some are made in the course of another, because
//! their outcome is at hand, and count all the same: two atoms that meet, an arithmetic step whose operands are both
//! there, the annihilation of a definition's root with the node that its reference met, a switch and its arms. An OPR
//! whose left operand was a variable in the source takes two steps, exchange and operation, whichever came first: the
//! substitution bit in the slot tells. A compiled block counts all that it stands for at once, and takes back what a miss
//! leaves undone.
//!
//! # Limits
//! Memory is made sure of before an interaction or an entry changes anything; an entry asks for what its longest path may
//! build. Redexes never outnumber nodes (each holds the principal port of at least one, two atoms being reduced on the
//! spot), but frames hold nodes that were never built, so a stack is limited too, by what these would have taken: the
//! memory of a reduction is a small multiple of 16 bytes for each node. A worker may hold
//! some free nodes while another finds none, so with several workers a heap overflows a little early.
//!
//! Interactions are counted per worker and reported to the pool before they could exceed the gas by much; at most some 4100
//! known interactions are made together. More
//! interactions than allowed having been made is what decides: the number that a net needs does not depend on the order
//! (strong confluence), so a run that ends within the gas needs no more, and one that exceeded it needs more.

mod batch;
mod compile;
mod compiled;
mod copy;
mod exec;
mod fused;
mod heap;
#[cfg(test)]
mod mirror;
mod misses;
mod order;
mod pool;
mod profile;
mod program;
mod rows;
mod select;
mod shapes;
mod share;
#[cfg(test)]
mod spines;
mod sync;
pub(crate) mod template;
#[cfg(test)]
mod tests;
mod wires;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;

use self::fused::Native;
use self::heap::Heap;
use self::pool::{Pool, Watch};
use self::worker::{Buffers, Worker};
use crate::cpu::native::Fused;
use crate::net::{Book, Call, Limits, Outcome, ReduceError};
use crate::spec::rules::Counts;
use crate::spec::word::Term;

pub(crate) use self::batch::{Answer, Calls, ScratchPool};
pub use self::compiled::Compiled;
pub(crate) use self::compiled::CompiledBooks;
pub use self::profile::{DefinitionProfile, Motif, Profile};
pub(crate) use self::rows::FUSED_BLOCK;

/// Most workers of one reduction; more are not started.
pub const THREADS_MAX: usize = 1024;

/// Shared with whoever watches a reduction.
#[derive(Debug, Default)]
pub struct Progress {
    /// Interactions so far, updated every few thousand, or about every million where native code runs.
    pub interactions: AtomicU64,
    /// Set to make every worker stop soon with [`ReduceError::Cancelled`].
    pub cancel: AtomicBool,
}

/// A book and its compiled form; reusable for any number of calls, and cheap to make of a form that there is already.
#[derive(Clone)]
pub struct NetEngine<'b> {
    book: &'b Book,
    compiled: Arc<Compiled>,
    fused: Option<Arc<dyn Fused>>,
    /// Bytes of stack that native code may take, if not [`fused::STACK`] and [`fused::OWN_STACK`].
    stack: Option<u64>,
}

impl<'b> NetEngine<'b> {
    /// Compiles `book`.
    pub fn new(book: &'b Book) -> NetEngine<'b> {
        NetEngine::with(book, Arc::new(Compiled::new(book)))
    }

    fn with(book: &'b Book, compiled: Arc<Compiled>) -> NetEngine<'b> {
        NetEngine {
            book,
            compiled,
            fused: None,
            stack: None,
        }
    }

    /// Runs `book` by its compiled form. `None` if that was made from another book.
    pub fn of(book: &'b Book, compiled: Arc<Compiled>) -> Option<NetEngine<'b>> {
        (compiled.digest() == book.digest()).then(|| NetEngine::with(book, compiled))
    }

    /// Calls this native code where it is ready. `None` if that was made for another book.
    pub fn with_fused(self, fused: Arc<dyn Fused>) -> Option<NetEngine<'b>> {
        (fused.digest() == self.compiled.digest()).then(|| NetEngine {
            fused: Some(fused),
            ..self
        })
    }

    /// The compiled form, for other engines.
    pub fn compiled(&self) -> &Arc<Compiled> {
        &self.compiled
    }

    /// Lets native code take so many bytes of the stack of every thread, instead of 512 KiB on one that calls the engine and
    /// of 15 MiB on the engine's own. What does not fit is left for later, so any number is right, as long as the stack
    /// has a quarter of a MiB more.
    pub fn with_stack(self, stack: u64) -> NetEngine<'b> {
        NetEngine {
            stack: Some(stack),
            ..self
        }
    }

    /// Reduces one call with `threads` workers, chosen at run time: at least 1, at most [`THREADS_MAX`].
    pub fn reduce(
        &self,
        call: &Call,
        limits: &Limits,
        threads: usize,
        progress: Option<&Progress>,
    ) -> Result<Outcome, ReduceError> {
        call.check(self.book)?;
        let heap = reserve(limits)?;
        match threads.clamp(1, THREADS_MAX) {
            1 => self.run_alone(call, limits, &heap, progress),
            threads => self.run_shared(call, limits, &heap, threads, progress),
        }
    }

    /// What a worker knows of native code, on a thread where that may take so much of the stack.
    fn native(&self, stack: u64) -> Native<'_> {
        Native::new(
            self.fused.as_deref(),
            self.compiled.program.entries.len(),
            self.stack.unwrap_or(stack),
        )
    }

    /// A thread of the engine's own.
    fn thread(&self) -> thread::Builder {
        match self.fused {
            Some(_) => thread::Builder::new().stack_size(fused::OWN_THREAD),
            None => thread::Builder::new(),
        }
    }

    /// Reduces `call` on the calling thread alone.
    fn run_alone(
        &self,
        call: &Call,
        limits: &Limits,
        heap: &Heap,
        progress: Option<&Progress>,
    ) -> Result<Outcome, ReduceError> {
        let pool = Pool::new(1, limits.gas, progress);
        let Compiled {
            lowered, program, ..
        } = &*self.compiled;
        let mut worker = Worker::<false>::new(heap, lowered, program, &pool, Buffers::default());
        worker.native = self.native(fused::STACK);
        let root = worker.boot(Term::reference(call.entry, false), &call.arguments);
        if root.is_ok() {
            worker.run();
        }
        self.answer(heap, &pool, root.ok(), limits, worker.counts)
    }

    /// Reduces `call` on the calling thread and `threads - 1` more.
    fn run_shared(
        &self,
        call: &Call,
        limits: &Limits,
        heap: &Heap,
        threads: usize,
        progress: Option<&Progress>,
    ) -> Result<Outcome, ReduceError> {
        let pool = Pool::new(threads, limits.gas, progress);
        let Compiled {
            lowered, program, ..
        } = &*self.compiled;
        let worker = |stack| {
            let mut worker = Worker::<true>::new(heap, lowered, program, &pool, Buffers::default());
            worker.native = self.native(stack);
            worker
        };
        let mut first = worker(fused::STACK);
        let root = first.boot(Term::reference(call.entry, false), &call.arguments);
        let run = |mut worker: Worker<'_, true>| {
            let _watch = Watch(&pool);
            worker.run();
            worker.finish().0
        };
        let help = || run(worker(fused::OWN_STACK));
        let counts = thread::scope(|scope| {
            let mut helpers = Vec::new();
            for _ in 1..threads {
                match self.thread().spawn_scoped(scope, help) {
                    Ok(helper) => helpers.push(helper),
                    Err(_) => pool.leave(),
                }
            }
            let mut counts = run(first);
            for helper in helpers {
                match helper.join() {
                    Ok(theirs) => counts.merge(&theirs),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            counts
        });
        self.answer(heap, &pool, root.ok(), limits, counts)
    }

    /// The answer to a call whose run is over; `root` is there unless the heap was too small to start.
    fn answer<A: Answer>(
        &self,
        heap: &Heap,
        pool: &Pool<'_>,
        root: Option<u32>,
        limits: &Limits,
        counts: Counts,
    ) -> Result<A, ReduceError> {
        pool.verdict(counts.total(), u64::from(heap.nodes()))?;
        let root = Term::var(root.ok_or_else(|| out_of_heap(limits))?);
        A::read(self.book, heap, root, limits, counts)
    }
}

fn reserve(limits: &Limits) -> Result<Heap, ReduceError> {
    Heap::reserve(limits.nodes).ok_or_else(|| out_of_heap(limits))
}

fn out_of_heap(limits: &Limits) -> ReduceError {
    ReduceError::OutOfHeap {
        limit: limits.nodes,
    }
}
