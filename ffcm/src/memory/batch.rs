//! A batch in parallel.
//!
//! Mix ties the slots of one layer together, so operations of a layer run in batch order on one thread; layers do not
//! touch each other. The batch is cut into chunks, which are checked and sorted by layer side by side; then parts of the
//! tensor run side by side, layer after layer, the operations of the first chunk before those of the second. A layer is
//! 32 KiB: it comes into the first cache once and leaves it once, whatever the order of the batch.

use std::mem;

use rayon::prelude::*;

use super::kernels::{Slot, Step};
use super::layer::{Instructions, Run, Scratch};
use super::{Memory, MemoryError, MemoryOp, SLOTS_PER_LAYER, SlotId};

/// Batches of fewer operations are over before another thread has begun.
const PARALLEL_MIN: usize = 256;
/// Most operations of a chunk: its steps, 1 MiB, stay in the second cache while they are sorted.
const CHUNK_MAX: usize = 1 << 16;
/// Parts per thread, so that one with less to do takes over from one with more.
const PARTS_PER_THREAD: usize = 64;
/// Bits of a layer's number sorted by at a time.
const DIGIT_BITS: u32 = 12;

const LAYER_SHIFT: u32 = SLOTS_PER_LAYER.trailing_zeros();

/// See [`Memory::apply_batch`].
pub(super) fn apply(
    memory: &mut Memory,
    ops: &[(SlotId, MemoryOp)],
) -> Vec<Result<(), MemoryError>> {
    if ops.len() < PARALLEL_MIN {
        let apply = |(target, op): &(SlotId, MemoryOp)| memory.apply(*target, op);
        return ops.iter().map(apply).collect();
    }
    let threads = rayon::current_num_threads();
    let mut results = vec![Ok(()); ops.len()];
    let chunk = ops.len().div_ceil(threads).min(CHUNK_MAX);
    let sorted: Vec<Vec<Step<'_>>> = ops
        .par_chunks(chunk)
        .zip(results.par_chunks_mut(chunk))
        .map(|(ops, results)| sort(check(memory, ops, results)))
        .collect();

    let instructions = Instructions::widest();
    let (layers, _) = memory.slots.as_chunks_mut::<SLOTS_PER_LAYER>();
    let part = match threads {
        1 => layers.len(),
        _ => layers.len().div_ceil(threads * PARTS_PER_THREAD),
    };
    layers
        .par_chunks_mut(part.max(1))
        .enumerate()
        .for_each_init(Scratch::new, |scratch, (number, layers)| {
            run_part(layers, number * part, &sorted, instructions, scratch);
        });
    results
}

/// The operations that may change something, in order; the others get their result.
fn check<'a>(
    memory: &Memory,
    ops: &'a [(SlotId, MemoryOp)],
    results: &mut [Result<(), MemoryError>],
) -> Vec<Step<'a>> {
    let mut steps = vec![Step::NONE; ops.len()];
    let mut count = 0;
    for ((target, op), result) in ops.iter().zip(results) {
        let step = memory.index(*target).ok();
        // A tensor has at most 2^24 slots.
        match step.and_then(|position| Step::decode(position as u32, op)) {
            Some(step) => {
                steps[count] = step;
                // Overwritten by the next if it changes nothing.
                count += usize::from(!matches!(op, MemoryOp::Clip));
            }
            None => *result = memory.check(*target, op).map(|_| ()),
        }
    }
    steps.truncate(count);
    steps
}

/// Sorts by layer, keeping the order within each: digit by digit, by counting.
fn sort(mut steps: Vec<Step<'_>>) -> Vec<Step<'_>> {
    let last = steps.iter().map(|step| step.position).max();
    let bits = u32::BITS - (last.unwrap_or(0) >> LAYER_SHIFT).leading_zeros();
    let mut sorted = vec![Step::NONE; if bits > 0 { steps.len() } else { 0 }];
    for digit in (0..bits).step_by(DIGIT_BITS as usize) {
        sort_by_digit(&steps, &mut sorted, LAYER_SHIFT + digit);
        mem::swap(&mut steps, &mut sorted);
    }
    steps
}

fn sort_by_digit<'a>(steps: &[Step<'a>], sorted: &mut [Step<'a>], shift: u32) {
    let mut places = [0_u32; 1 << DIGIT_BITS];
    let digit = |step: &Step<'_>| (step.position >> shift) as usize % (1 << DIGIT_BITS);
    for step in steps {
        places[digit(step)] += 1;
    }
    let mut before = 0;
    for place in &mut places {
        before += mem::replace(place, before);
    }
    for step in steps {
        let place = &mut places[digit(step)];
        sorted[*place as usize] = *step;
        *place += 1;
    }
}

/// Runs what `sorted` holds for the layers from number `first`.
fn run_part(
    layers: &mut [[Slot; SLOTS_PER_LAYER]],
    first: usize,
    sorted: &[Vec<Step<'_>>],
    instructions: Instructions,
    scratch: &mut Scratch,
) {
    let layer_of = |step: &Step<'_>| (step.position >> LAYER_SHIFT) as usize;
    let begin = |steps: &Vec<Step<'_>>| steps.partition_point(|step| layer_of(step) < first);
    let mut runs: Vec<Run<'_>> = sorted
        .iter()
        .map(|steps| Run {
            steps,
            range: begin(steps)..begin(steps),
        })
        .collect();
    loop {
        let heads = runs.iter().filter_map(|run| run.steps.get(run.range.end));
        let next = heads.map(layer_of).min();
        let Some((number, layer)) =
            next.and_then(|number| Some((number, layers.get_mut(number - first)?)))
        else {
            return;
        };
        for Run { steps, range } in &mut runs {
            let of_layer = steps[range.end..].iter();
            let count = of_layer.take_while(|step| layer_of(step) == number).count();
            *range = range.end..range.end + count;
        }
        instructions.run(layer, &runs, scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    /// Positions of one digit and of two, few and many, with duplicates.
    #[test]
    fn steps_are_sorted_by_layer_and_keep_their_order() {
        let mut rng = Rng::new(5);
        for (count, bound) in [
            (0, 1),
            (1, 1 << 24),
            (999, 64),
            (5000, 1 << 18),
            (5000, 1 << 24),
        ] {
            let steps = (0..count).filter_map(|_| {
                let position = rng.below(bound) as u32;
                Step::decode(position, &MemoryOp::Clip)
            });
            let steps: Vec<_> = steps.collect();
            let mut expected: Vec<_> = steps.iter().map(|step| step.position).collect();
            expected.sort_by_key(|position| position >> LAYER_SHIFT);
            let found: Vec<_> = sort(steps).iter().map(|step| step.position).collect();
            assert_eq!(found, expected, "{count} below {bound}");
        }
    }
}
