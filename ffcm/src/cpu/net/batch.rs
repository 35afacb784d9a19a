//! Batches: each thread reduces whole calls, on scratch memory that it keeps from one call to the next, and that outlives
//! the batch.
//!
//! A call of a batch may take no more than a dozen interactions, so that making a heap, a worker and their buffers would
//! take longer than what they are made for. A block of calls has one pool and one worker, which are reset in between.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::compiled::Compiled;
use super::heap::Heap;
use super::pool::Pool;
use super::worker::{Buffers, Worker};
use super::{NetEngine, reserve};
use crate::net::{Call, Limits, Outcome, ReduceError};
use crate::spec::word::Term;

/// Calls that a thread takes at once.
const BLOCK: usize = 64;
/// A heap is given back to the system after a call that used more nodes than this (16 MiB).
const KEEP_NODES: u32 = 1 << 20;
/// Buffers are given back to the system if they take more than this in bytes.
const KEEP_BYTES: usize = 16 << 20;

/// Most scratch memories kept, one for each thread that used one at the same time.
const KEEP: usize = 64;

type Answer = Result<Outcome, ReduceError>;

/// What a thread reduces calls with.
#[derive(Default)]
struct Scratch {
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
    fn lend(&self, work: impl FnOnce(&mut Scratch)) {
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
    pub fn reduce_batch(&self, calls: &[Call], limits: &Limits) -> Vec<Answer> {
        self.reduce_batch_on(calls, limits, &ScratchPool::default())
    }

    /// The same on given scratch memory.
    pub(crate) fn reduce_batch_on(
        &self,
        calls: &[Call],
        limits: &Limits,
        scratch: &ScratchPool,
    ) -> Vec<Answer> {
        if rayon::current_num_threads() == 1 || calls.len() <= BLOCK {
            return self.reduce_in_order(calls, limits, scratch);
        }
        // Written twice, so that all threads share the work of making memory usable, which takes as long as a short call.
        let unanswered = |_: &Call| Err(ReduceError::Cancelled { interactions: 0 });
        let fill = calls.par_iter().with_min_len(BLOCK).map(unanswered);
        let mut answers: Vec<Answer> = fill.collect();
        let blocks = calls.par_chunks(BLOCK).zip(answers.par_chunks_mut(BLOCK));
        blocks.for_each(|(calls, answers)| {
            let mut answers = answers.iter_mut();
            scratch.lend(|scratch| {
                self.reduce_block(calls, limits, scratch, |answer| {
                    *answers.next().expect("a block has an answer for each call") = answer;
                });
            });
        });
        answers
    }

    /// Reduces a batch on the calling thread.
    pub(crate) fn reduce_in_order(
        &self,
        calls: &[Call],
        limits: &Limits,
        scratch: &ScratchPool,
    ) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(calls.len());
        scratch.lend(|scratch| {
            self.reduce_block(calls, limits, scratch, |answer| answers.push(answer));
        });
        answers
    }

    /// Reduces calls one after the other, and tells `answer` what each gives.
    fn reduce_block(
        &self,
        calls: &[Call],
        limits: &Limits,
        scratch: &mut Scratch,
        mut answer: impl FnMut(Answer),
    ) {
        let mut calls = calls.iter();
        while calls.len() > 0 {
            let Scratch { heap, buffers } = std::mem::take(scratch);
            let kept = heap.filter(|heap| heap.is_of(limits.nodes));
            let heap = match kept.map_or_else(|| reserve(limits), Ok) {
                Ok(heap) => heap,
                Err(refused) => {
                    for call in calls {
                        answer(call.check(self.book).and(Err(refused.clone())));
                    }
                    return;
                }
            };
            let buffers = self.reduce_on(&mut calls, limits, &heap, buffers, &mut answer);
            if heap.touched() <= KEEP_NODES && buffers.bytes() <= KEEP_BYTES {
                *scratch = Scratch {
                    heap: Some(heap),
                    buffers,
                };
            }
        }
    }

    /// Reduces calls on one heap, until there are no more or it has grown too large to be kept. Gives the buffers back.
    fn reduce_on<'c>(
        &self,
        calls: &mut impl Iterator<Item = &'c Call>,
        limits: &Limits,
        heap: &Heap,
        buffers: Buffers,
        answer: &mut impl FnMut(Answer),
    ) -> Buffers {
        let Compiled {
            lowered, program, ..
        } = &*self.compiled;
        let pool = Pool::new(1, limits.gas, None);
        let mut worker = Worker::<false>::new(heap, lowered, program, &pool, buffers);
        for call in calls {
            if let Err(invalid) = call.check(self.book) {
                answer(Err(invalid));
                continue;
            }
            heap.reset();
            pool.reset();
            worker.reset();
            let root = worker.boot(Term::reference(call.entry, false), &call.arguments);
            if root.is_ok() {
                worker.run();
            }
            answer(self.outcome(heap, &pool, root.ok(), limits, worker.counts));
            if heap.touched() > KEEP_NODES {
                break;
            }
        }
        worker.finish().1
    }
}
