//! Calls as the kernels read them: heads and arguments.
//!
//! Head `i` has the number of call `i`'s definition in its lower half, or NO_ENTRY where there is nothing to reduce, and
//! the place of its first argument in its upper half. One head more has the place of the end. Arguments are terms.

use std::borrow::Borrow;

use ffcm::net::Call;
use rayon::prelude::*;

use super::{Batch, NO_ENTRY, NODES_MAX};
use crate::device::{Buffer, CudaError, Gpu, Scratch};

/// Most calls of a wave.
pub(super) const CALLS_MAX: usize = 1 << 18;
/// Calls that are encoded one after another, by one thread of the host.
const BLOCK: usize = 1 << 11;
/// Arguments beyond which a wave takes no further block of calls.
const ARGUMENTS_MANY: usize = 1 << 22;

// The place of an argument is 32 bits.
const _: () = assert!(ARGUMENTS_MANY + BLOCK * NODES_MAX as usize <= u32::MAX as usize);

/// Some calls, encoded.
pub(super) struct Encoded {
    heads: Vec<u64>,
    arguments: Vec<u64>,
}

impl Encoded {
    /// How many calls.
    pub(super) fn len(&self) -> usize {
        self.heads.len() - 1
    }

    /// Whether call `at` fits the book and a thread's memory.
    pub(super) fn is_call(&self, at: usize) -> bool {
        self.heads[at] as u32 != NO_ENTRY
    }
}

/// Encodes calls wave by wave.
pub(super) struct Waves<'a, C> {
    batch: &'a Batch<'a>,
    /// Those that are still to come, and the arguments of each of their blocks.
    calls: &'a [C],
    lengths: std::vec::IntoIter<usize>,
    /// Blocks of a wave, at most.
    blocks: usize,
    /// Calls of a block.
    block: usize,
}

/// Arguments of a call that are encoded: none of a call that is too large.
fn length(batch: &Batch<'_>, call: &Call) -> usize {
    let length = call.arguments.len();
    if length <= batch.nodes as usize {
        length
    } else {
        0
    }
}

impl<'a, C: Borrow<Call> + Sync> Waves<'a, C> {
    /// Waves of at most `most` calls.
    pub(super) fn new(batch: &'a Batch<'a>, calls: &'a [C], most: usize) -> Waves<'a, C> {
        let block = BLOCK.min(most.max(1));
        let lengths: Vec<usize> = calls
            .par_chunks(block)
            .map(|calls| calls.iter().map(|call| length(batch, call.borrow())).sum())
            .collect();
        Waves {
            batch,
            calls,
            lengths: lengths.into_iter(),
            blocks: most.max(1) / block,
            block,
        }
    }
}

impl<C: Borrow<Call> + Sync> Iterator for Waves<'_, C> {
    type Item = Encoded;

    fn next(&mut self) -> Option<Encoded> {
        let (mut lengths, mut sum) = (Vec::new(), 0);
        while lengths.len() < self.blocks
            && sum < ARGUMENTS_MANY
            && let Some(length) = self.lengths.next()
        {
            lengths.push(length);
            sum += length;
        }
        let count = (lengths.len() * self.block).min(self.calls.len());
        if count == 0 {
            return None;
        }
        let (calls, rest) = self.calls.split_at(count);
        self.calls = rest;
        Some(encode(self.batch, calls, self.block, &lengths, sum))
    }
}

/// Encodes blocks of calls, which have so many arguments each, `sum` in all.
fn encode<C: Borrow<Call> + Sync>(
    batch: &Batch<'_>,
    calls: &[C],
    block: usize,
    lengths: &[usize],
    sum: usize,
) -> Encoded {
    let mut heads = vec![0; calls.len() + 1];
    let mut arguments = vec![0; sum];
    // Every block with its own part of both.
    let (mut blocks, mut left, mut at) = (Vec::with_capacity(lengths.len()), &mut arguments[..], 0);
    let heads_of_blocks = heads[..calls.len()].chunks_mut(block);
    for ((calls, heads), length) in calls.chunks(block).zip(heads_of_blocks).zip(lengths) {
        let (own, rest) = left.split_at_mut(*length);
        blocks.push((calls, heads, own, at));
        left = rest;
        at += *length;
    }
    blocks
        .into_par_iter()
        .for_each(|(calls, heads, mut own, mut at)| {
            for (call, head) in calls.iter().zip(heads) {
                let call = call.borrow();
                let length = length(batch, call);
                let fits = length == call.arguments.len() && call.check(&batch.book.book).is_ok();
                let entry = if fits { call.entry } else { NO_ENTRY };
                *head = (at as u64) << 32 | u64::from(entry);
                let (mine, rest) = own.split_at_mut(length);
                for (word, term) in mine.iter_mut().zip(&call.arguments) {
                    *word = term.0;
                }
                own = rest;
                at += length;
            }
        });
    heads[calls.len()] = (sum as u64) << 32 | u64::from(NO_ENTRY);
    Encoded { heads, arguments }
}

/// Calls in device memory.
pub(super) struct DeviceCalls {
    heads: Scratch<u64>,
    arguments: Scratch<u64>,
}

/// Where they lie.
pub(super) struct OnDevice {
    pub(super) heads: Buffer<u64>,
    pub(super) arguments: Buffer<u64>,
}

impl DeviceCalls {
    pub(super) fn new() -> DeviceCalls {
        DeviceCalls {
            heads: Scratch::new("heads of calls"),
            arguments: Scratch::new("arguments of calls"),
        }
    }

    /// Brings calls to the device, over those that were there.
    pub(super) fn upload(&mut self, gpu: &Gpu, calls: &Encoded) -> Result<OnDevice, CudaError> {
        Ok(OnDevice {
            heads: self.heads.filled(gpu, &calls.heads)?.clone(),
            arguments: self.arguments.filled(gpu, &calls.arguments)?.clone(),
        })
    }
}
