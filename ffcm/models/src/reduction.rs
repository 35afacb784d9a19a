//! One reduction by several workers, as [`ffcm::cpu::NetEngine`] runs it, held to the oracle.

use std::sync::Arc as StdArc;

use ffcm::net::readback::readback;
use ffcm::net::{Book, Call, Limits, Outcome, ReduceError};
use ffcm::oracle;
use ffcm::spec::rules::Counts;
use ffcm::spec::word::Term;

use super::heap::Heap;
use super::pool::{Pool, Watch};
use super::sync::{Arc, spawn};
use super::template::{self, Lowered};
use super::worker::{Buffers, Worker};

/// A call with what the oracle makes of it.
pub(super) struct Case {
    book: Book,
    call: Call,
    limits: Limits,
    lowered: Vec<Lowered>,
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
            book,
            call,
            limits,
            expected,
            loops: false,
        }
    }

    /// There are loops of wires and nothing else: two workers that close one from both sides each leave an end for the
    /// other, so that its cells stay behind.
    pub(super) fn with_loops(mut self) -> Case {
        self.loops = true;
        self
    }
}

/// Reduces `case` with `workers` workers, of which each has half of what the one before had to begin with, and checks
/// the result, the counts, and that every node is free once or part of the result.
pub(super) fn run(case: &StdArc<Case>, workers: usize) {
    let shared = Arc::new(Shared {
        case: case.clone(),
        heap: Heap::reserve(case.limits.nodes).unwrap(),
        pool: Pool::new(workers, case.limits.gas, None),
    });
    let mut first = worker(&shared);
    let root = first.boot(Term::reference(case.call.entry, false), &case.call.arguments);
    let mut bag = first.give(usize::MAX);
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
        let root = Term::var(root.ok().unwrap());
        let form = readback(&case.book, &shared.heap, root, case.limits.result_bytes)?;
        Ok(Outcome {
            result: form.text,
            number: form.number,
            counts,
        })
    });
    assert_eq!(got, case.expected);
    if !case.loops && got.is_ok_and(|outcome| outcome.number.is_some()) {
        every_node_but_the_root_is_free(&shared.heap, free);
    }
}

fn worker(shared: &Shared) -> Worker<'_, true> {
    let lowered = &shared.case.lowered;
    Worker::new(&shared.heap, lowered, &shared.pool, Buffers::default())
}

fn finish(shared: &Shared, mut worker: Worker<'_, true>) -> (Counts, Vec<u32>) {
    let watch = Watch(&shared.pool);
    worker.run();
    drop(watch);
    let (counts, buffers) = worker.finish();
    (counts, buffers.free)
}

fn every_node_but_the_root_is_free(heap: &Heap, mut free: Vec<u32>) {
    while heap.take(&mut free, 8) {}
    free.sort_unstable();
    let all = free.len();
    free.dedup();
    assert_eq!(free.len(), all, "no node is free twice");
    assert_eq!(all, heap.nodes() as usize - 1, "no node is lost");
}
