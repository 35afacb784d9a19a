//! A batch in parallel.

use rayon::prelude::*;

use super::kernels::Step;
use super::layer::{Instructions, Run, Scratch};
use super::{Memory, MemoryError, MemoryOp, SLOTS_PER_LAYER, SlotId};

type Result1 = Result<(), MemoryError>;

const LAYER_BITS: u32 = SLOTS_PER_LAYER.trailing_zeros();
const DIGIT: u32 = 11;

pub(super) fn apply(
    memory: &mut Memory,
    ops: &[(SlotId, MemoryOp)],
) -> Vec<Result<(), MemoryError>> {
    let mut results = vec![Ok(()); ops.len()];
    let layers = memory.slots.len() / SLOTS_PER_LAYER;
    let threads = rayon::current_num_threads();
    let chunk = ops.len().div_ceil(threads).max(1);
    let shards = memory.shards;
    let sorted: Vec<Vec<Step<'_>>> = ops
        .par_chunks(chunk)
        .zip(results.par_chunks_mut(chunk))
        .map(|(ops, results)| sort(check(ops, results, shards), layers))
        .collect();
    let instructions = Instructions::widest();
    let part = layers.div_ceil(if threads == 1 { 1 } else { threads * 64 }).max(1);
    memory
        .slots
        .par_chunks_mut(part * SLOTS_PER_LAYER)
        .enumerate()
        .for_each_init(Scratch::new, |scratch, (number, slots)| {
            let first = number * part;
            let end = first + slots.len() / SLOTS_PER_LAYER;
            let mut ranges: Vec<Run<'_>> = sorted
                .iter()
                .map(|steps| {
                    let at = steps.partition_point(|step| (step.target >> LAYER_BITS) < first as u32);
                    Run { steps, start: at, end: at }
                })
                .collect();
            loop {
                let next = ranges.iter().filter_map(|run| run.steps.get(run.end)).map(|step| step.target >> LAYER_BITS).min();
                let Some(layer) = next else { return };
                if layer as usize >= end { return }
                for run in &mut ranges {
                    run.start = run.end;
                    let same = run.steps[run.start..].iter().take_while(|step| step.target >> LAYER_BITS == layer);
                    run.end += same.count();
                }
                let at = (layer as usize - first) * SLOTS_PER_LAYER;
                instructions.run(&mut slots[at..at + SLOTS_PER_LAYER], &ranges, scratch);
            }
        });
    results
}

fn check<'a>(ops: &'a [(SlotId, MemoryOp)], results: &mut [Result1], shards: u16) -> Vec<Step<'a>> {
    let mut steps = Vec::with_capacity(ops.len());
    for ((target, op), result) in ops.iter().zip(results) {
        match super::index(shards, *target).and_then(|position| Ok(Step::new(position as u32, op.check()?))) {
            Ok(step) => steps.extend(step),
            Err(error) => *result = Err(error),
        }
    }
    steps
}

fn sort(mut steps: Vec<Step<'_>>, layers: usize) -> Vec<Step<'_>> {
    let bits = layers.next_power_of_two().trailing_zeros();
    let mut other = vec![Step::NONE; steps.len()];
    let mut shift = 0;
    while shift < bits {
        let digits = DIGIT.min(bits - shift);
        pass(&steps, &mut other, LAYER_BITS + shift, digits);
        std::mem::swap(&mut steps, &mut other);
        shift += digits;
    }
    steps
}

fn pass<'a>(from: &[Step<'a>], to: &mut [Step<'a>], shift: u32, digits: u32) {
    let mut places = [0_u32; 1 << DIGIT];
    let mask = (1 << digits) - 1;
    for step in from {
        places[(step.target >> shift & mask) as usize] += 1;
    }
    let mut sum = 0;
    for place in &mut places[..1 << digits] {
        sum += std::mem::replace(place, sum);
    }
    for step in from {
        let place = &mut places[(step.target >> shift & mask) as usize];
        to[*place as usize] = *step;
        *place += 1;
    }
}
