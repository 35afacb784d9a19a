//! Random batches of operations on a seeded tensor, refused ones among them.

use super::{Run, Stop};
use crate::coprocessor::memory_digest;
use crate::memory::{DIMENSION, LAYERS, Memory, MemoryOp, SLOTS, SlotId};
use crate::testing::Rng;

const SHARDS: u16 = 3;

pub(super) fn run(run: &mut Run<'_>) -> Result<(), Stop> {
    for (seed, length, slots) in [
        (1, 0, 1),
        (2, 1, 1),
        (3, 200, 2),
        (4, 1_000, 7),
        (5, 3_000, 64),
    ] {
        let mut rng = Rng::new(seed);
        let ops: Vec<(SlotId, MemoryOp)> = (0..length).map(|_| random(&mut rng, slots)).collect();
        let job_seed = [seed as u8; 32];
        run.compare(
            || format!("{length} operations on {slots} slots of each layer, seed {seed}"),
            |backend| {
                let mut memory = Memory::from_seed(SHARDS, job_seed);
                let results = backend.memory(&mut memory, &ops)?;
                Ok((memory, results))
            },
            |(memory, results)| {
                let digest = memory_digest(memory, results);
                (digest, format!("{}", blake3::Hash::from_bytes(digest)))
            },
        )?;
    }
    Ok(())
}

/// An operation on one of the first `slots` slots of a layer; one in sixteen is out of range somewhere.
fn random(rng: &mut Rng, slots: u64) -> (SlotId, MemoryOp) {
    let mut target = SlotId {
        shard: rng.below(SHARDS.into()) as u16,
        layer: rng.below(LAYERS.into()) as u8,
        slot: rng.below(slots) as u8,
    };
    let mut op = match rng.below(8) {
        0..3 => {
            let bound = [3, 40, 32_767][rng.below(3) as usize];
            let vector = (0..DIMENSION).map(|_| rng.between(-bound, bound) as i16);
            MemoryOp::Add {
                vector: vector.collect(),
            }
        }
        3..5 => MemoryOp::Decay {
            factor: rng.between(8_000, 9_999) as u16,
        },
        5..7 => MemoryOp::Mix {
            alpha: rng.below(10_001) as u16,
            source: rng.below(slots) as u8,
        },
        _ => MemoryOp::Clip,
    };
    match rng.below(96) {
        0 => target.shard = SHARDS,
        1 => target.layer = LAYERS,
        2 => target.slot = SLOTS,
        3 => {
            op = MemoryOp::Mix {
                alpha: 10_001,
                source: 0,
            }
        }
        4 => {
            op = MemoryOp::Mix {
                alpha: 1,
                source: SLOTS,
            }
        }
        5 => op = MemoryOp::Decay { factor: 10_000 },
        6 => {
            op = MemoryOp::Add {
                vector: vec![1; DIMENSION - 1],
            }
        }
        _ => {}
    }
    (target, op)
}
