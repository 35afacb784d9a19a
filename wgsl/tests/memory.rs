//! Memory Arithmetic on the device, against the CPU's.

mod support;

use ffcm::coprocessor::{Coprocessor, JobError};
use ffcm::memory::{CLIP, DIMENSION, LAYERS, Memory, MemoryOp, SLOTS, SlotId};
use ffcm::testing::Rng;
use ffcm_wgsl::WgpuCoprocessor;
use support::{open, small};

fn id(shard: u16, layer: u8, slot: u8) -> SlotId {
    SlotId { shard, layer, slot }
}

/// A target among `slots` slots of each layer and any operation; one in thirty-two is refused.
fn random(rng: &mut Rng, shards: u16, slots: u64) -> (SlotId, MemoryOp) {
    let mut target = id(
        rng.below(shards.into()) as u16,
        rng.below(LAYERS.into()) as u8,
        rng.below(slots) as u8,
    );
    let op = match rng.below(32) {
        0 => {
            target.slot = SLOTS;
            MemoryOp::Clip
        }
        1..14 => {
            let bound = [3, 40, 32_768][rng.below(3) as usize];
            let value = |_| rng.between(-bound, bound.min(32_767)) as i16;
            MemoryOp::Add {
                vector: (0..DIMENSION).map(value).collect(),
            }
        }
        14..20 => MemoryOp::Decay {
            factor: rng.between(8_000, 9_999) as u16,
        },
        20..30 => MemoryOp::Mix {
            alpha: rng.below(10_001) as u16,
            source: rng.below(slots) as u8,
        },
        _ => MemoryOp::Clip,
    };
    (target, op)
}

/// Applies on both; everything must agree.
fn agree(device: &WgpuCoprocessor, start: &Memory, ops: &[(SlotId, MemoryOp)]) -> Memory {
    let mut expected = start.clone();
    let wanted: Vec<_> = ops.iter().map(|(id, op)| expected.apply(*id, op)).collect();
    let mut found = start.clone();
    let results = device.memory(&mut found, ops);
    assert_eq!(results.expect("the device answers"), wanted);
    assert!(
        found == expected,
        "{} operations leave another tensor",
        ops.len()
    );
    found
}

#[test]
fn every_input_of_decay_and_of_the_rounding_of_mix() {
    let device = open();
    let mut memory = Memory::zero(1);
    let mut ops = Vec::new();
    // All 16 385 values take 129 slots; the last is filled with copies of the greatest.
    let mut values = (-CLIP..=CLIP).chain(std::iter::repeat(CLIP));
    for number in 0..129_u8 {
        let at = id(0, number / SLOTS, number % SLOTS);
        let chunk: Vec<i32> = values.by_ref().take(DIMENSION).collect();
        memory.load_slot(at, &chunk).unwrap();
        ops.push((at, MemoryOp::Decay { factor: 9_850 }));
        let alpha = 5_000 + u16::from(number);
        ops.push((at, MemoryOp::Mix { alpha, source: 0 }));
    }
    agree(&device, &memory, &ops);
}

#[test]
fn vectors_at_the_bound_and_at_the_extremes() {
    let device = open();
    let mut memory = Memory::zero(1);
    let near: Vec<i32> = (0..DIMENSION as i32).map(|i| CLIP - i * 64).collect();
    memory.load_slot(id(0, 0, 0), &near).unwrap();
    let vectors: [Vec<i16>; 8] = [
        vec![0; DIMENSION],
        vec![16; DIMENSION],
        vec![-16; DIMENSION],
        [vec![17], vec![16; DIMENSION - 1]].concat(),
        vec![i16::MIN; DIMENSION],
        vec![i16::MAX; DIMENSION],
        [vec![i16::MIN], vec![0; DIMENSION - 1]].concat(),
        // A norm of 4096 halves every component: odd ones are ties.
        (0..DIMENSION as i16)
            .map(|i| (31 + 2 * (i % 2)) * (1 - i % 3))
            .collect(),
    ];
    for vector in vectors {
        memory = agree(&device, &memory, &[(id(0, 0, 0), MemoryOp::Add { vector })]);
    }
    let ties: Vec<i16> = (0..64).flat_map(|i| [2 * i + 1 - 64, 0]).collect();
    let norm: i32 = ties.iter().map(|v| i32::from(*v).abs()).sum();
    let mut vector = ties;
    vector[1] = (4096 - norm) as i16;
    agree(&device, &memory, &[(id(0, 0, 1), MemoryOp::Add { vector })]);
}

#[test]
fn random_batches_on_one_device_and_on_small_ones() {
    for (bytes, lengths) in [
        (u64::MAX, [700, 40]),
        (16 << 10, [300, 9]),
        (1 << 10, [40, 1]),
    ] {
        let device = small(bytes);
        let mut rng = Rng::new(bytes);
        let mut memory = Memory::from_seed(3, [5; 32]);
        for (length, slots) in lengths.into_iter().zip([64, 3]) {
            let ops: Vec<_> = (0..length).map(|_| random(&mut rng, 3, slots)).collect();
            memory = agree(&device, &memory, &ops);
        }
    }
}

#[test]
fn a_slot_of_many_operations_takes_several_dispatches() {
    let device = open();
    let memory = Memory::from_seed(1, [1; 32]);
    let target = id(0, 3, 9);
    let op = |index: usize| match index % 8 {
        0 => MemoryOp::Mix {
            alpha: 9_999,
            source: 8,
        },
        1 => MemoryOp::Add {
            vector: vec![(index % 31) as i16 - 15; DIMENSION],
        },
        _ => MemoryOp::Decay { factor: 9_999 },
    };
    let mut ops: Vec<_> = (0..17_000).map(|index| (target, op(index))).collect();
    // The source is written too, in the middle.
    ops[9_001] = (id(0, 3, 8), MemoryOp::Decay { factor: 8_000 });
    let before = device.gpu().stats();
    agree(&device, &memory, &ops);
    let after = device.gpu().stats();
    // The scaling, and the list in two parts.
    assert_eq!(after.dispatches - before.dispatches, 3);
    assert_eq!(after.round_trips - before.round_trips, 1);
}

#[test]
fn only_touched_slots_travel() {
    let device = open();
    let memory = Memory::from_seed(64, [1; 32]);
    let ops = [
        (id(63, 1, 2), MemoryOp::Decay { factor: 9_000 }),
        (
            id(7, 0, 0),
            MemoryOp::Mix {
                alpha: 77,
                source: 1,
            },
        ),
    ];
    agree(&device, &memory, &ops);
    let stats = device.gpu().stats();
    assert_eq!(stats.read_back, 2 * 4 * DIMENSION as u64);
    assert!(stats.uploaded < 4 * 4 * DIMENSION as u64, "{stats:?}");
}

#[test]
fn nothing_to_do_asks_nothing_of_the_device() {
    let device = open();
    let memory = Memory::zero(1);
    agree(&device, &memory, &[]);
    let refused = (id(1, 0, 0), MemoryOp::Clip);
    agree(&device, &memory, &[refused]);
    agree(&device, &Memory::zero(0), &[(id(0, 0, 0), MemoryOp::Clip)]);
    assert_eq!(device.gpu().stats().submissions, 0);
}

#[test]
fn a_lost_device_leaves_the_tensor_as_it_was() {
    let device = small(16 << 10);
    let start = Memory::from_seed(2, [9; 32]);
    let mut rng = Rng::new(4);
    let ops: Vec<_> = (0..200).map(|_| random(&mut rng, 2, 64)).collect();
    agree(&device, &start, &ops);
    device.gpu().destroy();
    let mut memory = start.clone();
    let error = device.memory(&mut memory, &ops).unwrap_err();
    assert!(matches!(error, JobError::Device(_)), "{error}");
    assert!(memory == start);
}

#[test]
fn a_device_too_small_for_one_operation_says_so() {
    let device = small(768);
    let mut memory = Memory::zero(1);
    let ops = [(id(0, 0, 0), MemoryOp::Clip)];
    let error = device.memory(&mut memory, &ops).unwrap_err();
    assert!(matches!(error, JobError::NotSupported { .. }), "{error}");
    assert!(error.to_string().contains("768"), "{error}");
}
