//! Batches: each thread reduces whole calls, on scratch memory that it keeps from one call to the next, and that outlives
//! the batch.
//!
//! A call of a batch may take no more than a dozen interactions, so that making a heap, a worker and their buffers would
//! take longer than what they are made for. A block of calls has one pool and one worker, which are reset in between.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::compiled::Compiled;
use super::fused;
use super::heap::Heap;
use super::pool::Pool;
use super::worker::{Buffers, Worker};
use super::{NetEngine, reserve};
use crate::net::{Book, Call, Limits, Outcome, ReduceError, readback};
use crate::spec::rules::Counts;
use crate::spec::word::Term;

/// Calls that a thread takes at once.
pub(super) const BLOCK: usize = 64;
/// A heap is given back to the system after a call that used more nodes than this (16 MiB).
const KEEP_NODES: u32 = 1 << 20;
/// Buffers are given back to the system if they take more than this in bytes.
const KEEP_BYTES: usize = 16 << 20;

/// Most scratch memories kept, one for each thread that used one at the same time.
const KEEP: usize = 64;

/// What is told of a call that has been reduced.
pub(crate) trait Answer: Send + Sized {
    /// Reads it off the heap, at whose term `root` the result is.
    fn read(
        book: &Book,
        heap: &impl readback::Heap,
        root: Term,
        limits: &Limits,
        counts: Counts,
    ) -> Result<Self, ReduceError>;
}

impl Answer for Outcome {
    fn read(
        book: &Book,
        heap: &impl readback::Heap,
        root: Term,
        limits: &Limits,
        counts: Counts,
    ) -> Result<Outcome, ReduceError> {
        let form = readback::readback(book, heap, root, limits.result_bytes)?;
        Ok(Outcome {
            result: form.text,
            number: form.number,
            counts,
        })
    }
}

/// Calls by their number: each a definition and its arguments.
pub(crate) trait Calls: Sync {
    /// How many.
    fn count(&self) -> usize;
    /// The definition of one.
    fn entry(&self, index: usize) -> u32;
    /// Its arguments, in `room` if they do not lie together.
    fn arguments<'a>(&'a self, index: usize, room: &'a mut Vec<Term>) -> &'a [Term];
}

impl Calls for [Call] {
    fn count(&self) -> usize {
        self.len()
    }

    fn entry(&self, index: usize) -> u32 {
        self[index].entry
    }

    fn arguments<'a>(&'a self, index: usize, _: &'a mut Vec<Term>) -> &'a [Term] {
        &self[index].arguments
    }
}

/// What a thread reduces calls with.
#[derive(Default)]
pub(super) struct Scratch {
    heap: Option<Heap>,
    buffers: Buffers,
}

/// Scratch memory of batches that are over, for those to come: as much as was in use at once, at most [`KEEP`] pieces, each
/// bounded by [`KEEP_NODES`] and [`KEEP_BYTES`].
#[derive(Default)]
pub(crate) struct ScratchPool(Mutex<Vec<Scratch>>);

impl fmt::Debug for ScratchPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScratchPool").finish_non_exhaustive()
    }
}

impl ScratchPool {
    /// Runs `work` on scratch memory that nobody else uses. If it panics the memory is not used again.
    pub(super) fn lend(&self, work: impl FnOnce(&mut Scratch)) {
        let free = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = free().pop().unwrap_or_default();
        work(&mut scratch);
        let mut free = free();
        if free.len() < KEEP {
            free.push(scratch);
        }
    }
}

impl NetEngine<'_> {
    /// Reduces a batch on the threads of the current rayon pool, each call by one of them. Answers come in the order of the
    /// calls; each call has the whole of `limits` to itself.
    pub fn reduce_batch(
        &self,
        calls: &[Call],
        limits: &Limits,
    ) -> Vec<Result<Outcome, ReduceError>> {
        self.reduce_shared(calls, limits, &ScratchPool::default())
    }

    /// The same for any calls, any answers and given scratch memory.
    pub(crate) fn reduce_shared<A: Answer>(
        &self,
        calls: &(impl Calls + ?Sized),
        limits: &Limits,
        scratch: &ScratchPool,
    ) -> Vec<Result<A, ReduceError>> {
        let count = calls.count();
        if rayon::current_num_threads() == 1 || count <= BLOCK {
            return self.reduce_in_order(calls, limits, scratch);
        }
        // Written twice, so that all threads share the work of making memory usable, which takes as long as a short call.
        let unanswered = |_| Err(ReduceError::Cancelled { interactions: 0 });
        let fill = (0..count).into_par_iter().with_min_len(BLOCK);
        let mut answers: Vec<Result<A, ReduceError>> = fill.map(unanswered).collect();
        let blocks = answers.par_chunks_mut(BLOCK).enumerate();
        blocks.for_each(|(block, answers)| {
            let first = block * BLOCK;
            let range = first..first + answers.len();
            let mut answers = answers.iter_mut();
            scratch.lend(|scratch| {
                self.reduce_block(calls, range, limits, scratch, |answer| {
                    *answers.next().expect("a block has an answer for each call") = answer;
                });
            });
        });
        answers
    }

    /// Reduces a batch on the calling thread.
    pub(crate) fn reduce_in_order<A: Answer>(
        &self,
        calls: &(impl Calls + ?Sized),
        limits: &Limits,
        scratch: &ScratchPool,
    ) -> Vec<Result<A, ReduceError>> {
        let mut answers = Vec::with_capacity(calls.count());
        scratch.lend(|scratch| {
            let all = 0..calls.count();
            self.reduce_block(calls, all, limits, scratch, |answer| answers.push(answer));
        });
        answers
    }

    /// Reduces some calls one after the other, and tells `answer` what each gives.
    pub(super) fn reduce_block<A: Answer>(
        &self,
        calls: &(impl Calls + ?Sized),
        indices: impl Iterator<Item = usize>,
        limits: &Limits,
        scratch: &mut Scratch,
        mut answer: impl FnMut(Result<A, ReduceError>),
    ) {
        let mut indices = indices.peekable();
        let mut room = Vec::new();
        while let Some(&first) = indices.peek() {
            self.sample(calls.entry(first));
            let Scratch { heap, buffers } = std::mem::take(scratch);
            let kept = heap.filter(|heap| heap.is_of(limits.nodes));
            let heap = match kept.map_or_else(|| reserve(limits), Ok) {
                Ok(heap) => heap,
                Err(refused) => {
                    for index in indices {
                        let arguments = calls.arguments(index, &mut room);
                        let checked = self.book.check_call(calls.entry(index), arguments);
                        answer(checked.and(Err(refused.clone())));
                    }
                    return;
                }
            };
            let grown = |heap: &Heap| heap.touched() > KEEP_NODES;
            let buffers = self.with_worker(limits, &heap, buffers, |worker, pool| {
                for index in indices.by_ref() {
                    let call = (calls.entry(index), calls.arguments(index, &mut room));
                    answer(self.reduce_next(call, limits, worker, pool));
                    if grown(&heap) {
                        break;
                    }
                }
            });
            if !grown(&heap) && buffers.bytes() <= KEEP_BYTES {
                *scratch = Scratch {
                    heap: Some(heap),
                    buffers,
                };
            }
        }
    }

    /// None of the calls of a block may be long enough to be noticed by itself.
    fn sample(&self, definition: u32) {
        if let (Some(fused), Some(&entry)) = (
            &self.fused,
            self.compiled.program.bases.get(definition as usize),
        ) {
            fused.sampled(entry);
        }
    }

    /// Does `work` with a worker that is alone on its heap. Gives the buffers back.
    fn with_worker(
        &self,
        limits: &Limits,
        heap: &Heap,
        buffers: Buffers,
        work: impl FnOnce(&mut Worker<'_, false>, &Pool<'_>),
    ) -> Buffers {
        let Compiled {
            lowered, program, ..
        } = &*self.compiled;
        let pool = Pool::new(1, limits.gas, None);
        let mut worker = Worker::new(heap, lowered, program, &pool, buffers);
        worker.native = self.native(fused::STACK);
        work(&mut worker, &pool);
        worker.finish().1
    }

    /// Reduces a call after others.
    fn reduce_next<A: Answer>(
        &self,
        (entry, arguments): (u32, &[Term]),
        limits: &Limits,
        worker: &mut Worker<'_, false>,
        pool: &Pool<'_>,
    ) -> Result<A, ReduceError> {
        self.book.check_call(entry, arguments)?;
        worker.heap.reset();
        pool.reset();
        worker.reset();
        let root = worker.boot(Term::reference(entry, false), arguments);
        if root.is_ok() {
            worker.run();
        }
        self.answer(worker.heap, pool, root.ok(), limits, worker.counts)
    }
}
