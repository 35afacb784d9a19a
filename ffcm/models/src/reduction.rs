//! One reduction by several workers, as [`ffcm::cpu::NetEngine`] runs it, held to the oracle.

use std::sync::Arc as StdArc;

use ffcm::cpu::native::{Function, Fused};
use ffcm::net::readback::readback;
use ffcm::net::{Book, Call, Limits, Outcome, ReduceError};
use ffcm::oracle;
use ffcm::spec::rules::Counts;
use ffcm::spec::word::{Class, Term};

use super::compile;
use super::fused::Native;
use super::heap::Heap;
use super::pool::{Pool, Watch};
use super::program::Program;
use super::sync::{Arc, spawn};
use super::template::{self, Lowered};
use super::worker::{Buffers, Worker};

/// A call with what the oracle makes of it.
pub(super) struct Case {
    book: Book,
    call: Call,
    limits: Limits,
    lowered: Vec<Lowered>,
    program: Program,
    expected: Result<Outcome, ReduceError>,
    loops: bool,
}

/// What the workers of one run share.
struct Shared {
    case: StdArc<Case>,
    heap: Heap,
    pool: Pool<'static>,
}

impl Case {
    /// `@main` of a book.
    pub(super) fn new(text: &str, gas: u64, nodes: u64) -> Case {
        let book = Book::parse(text).unwrap();
        let call = book.main().unwrap();
        let limits = Limits {
            gas,
            nodes,
            result_bytes: 1 << 10,
        };
        let expected = oracle::reduce(&book, &call, &limits);
        Case {
            lowered: template::lower(book.definitions()),
            program: compile::compile(book.definitions()),
            book,
            call,
            limits,
            expected,
            loops: false,
        }
    }

    /// The net has loops of wires and nothing else. Two workers that close one from both sides each leave an end for the
    /// other, so that its cells stay behind.
    pub(super) fn with_loops(mut self) -> Case {
        self.loops = true;
        self
    }
}

/// Reduces `case` with `workers` workers, of which each has half of what the one before had to begin with, and checks
/// the result, the counts, and that no node is lost or free twice.
pub(super) fn run(case: &StdArc<Case>, workers: usize) {
    let shared = Arc::new(Shared {
        case: case.clone(),
        heap: Heap::reserve(case.limits.nodes).unwrap(),
        pool: Pool::new(workers, case.limits.gas, None),
    });
    let mut first = worker(&shared);
    let entry = Term::reference(case.call.entry, false);
    let root = first.boot(entry, &case.call.arguments);
    let root = root.ok().expect("the net fits");
    let half = first.stack.len() / 2;
    let mut bag = Vec::new();
    while bag.len() < half {
        bag.extend(first.give());
    }
    let mut helpers = Vec::new();
    for _ in 1..workers {
        let rest = bag.split_off(bag.len().div_ceil(2));
        let (own, shared) = (std::mem::replace(&mut bag, rest), shared.clone());
        helpers.push(spawn(move || {
            let mut worker = worker(&shared);
            worker.accept(own);
            finish(&shared, worker)
        }));
    }
    let (mut counts, mut free) = finish(&shared, first);
    for helper in helpers {
        let (theirs, freed) = helper.join().unwrap();
        counts.merge(&theirs);
        free.extend(freed);
    }
    let verdict = shared.pool.verdict(counts.total(), case.limits.nodes);
    let got = verdict.and_then(|()| {
        let root = Term::var(root);
        let form = readback(&case.book, &shared.heap, root, case.limits.result_bytes)?;
        Ok(Outcome {
            result: form.text,
            number: form.number,
            counts,
        })
    });
    assert_eq!(got, case.expected);
    while shared.heap.take(&mut free, 8) {}
    free.sort_unstable();
    let all = free.len();
    free.dedup();
    assert_eq!(free.len(), all, "no node is free twice");
    let is_number = case.expected.as_ref().is_ok_and(|o| o.number.is_some());
    if is_number && !case.loops {
        let nodes = shared.heap.nodes() as usize;
        let remaining = chain(&shared.heap, root);
        assert_eq!(all + remaining, nodes, "no node is lost");
    }
}

/// Number of cells from the root to the number in the last of them.
fn chain(heap: &Heap, root: u32) -> usize {
    let next =
        |&at: &u32| Some(heap.load(at).without_sub()).filter(|term| term.class() == Class::Var);
    std::iter::successors(Some(root), |at| next(at).map(Term::offset)).count()
}

fn worker(shared: &Shared) -> Worker<'_, true> {
    let Case {
        lowered, program, ..
    } = &*shared.case;
    let buffers = Buffers::default();
    let mut worker = Worker::new(&shared.heap, lowered, program, &shared.pool, buffers);
    worker.native = Native::new(Some(&NoFunctions), program.entries.len(), 0);
    worker
}

/// Code without a function: entries are interpreted, but what is known to follow is made together.
struct NoFunctions;

// SAFETY: there is no function.
unsafe impl Fused for NoFunctions {
    fn digest(&self) -> [u8; 32] {
        [0; 32]
    }

    fn function(&self, _entry: u32) -> Option<Function> {
        None
    }

    fn sampled(&self, _entry: u32) {}
}

fn finish(shared: &Shared, mut worker: Worker<'_, true>) -> (Counts, Vec<u32>) {
    let watch = Watch(&shared.pool);
    worker.run();
    drop(watch);
    let (counts, buffers) = worker.finish();
    (counts, buffers.free)
}
