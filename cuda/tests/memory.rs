//! Memory Arithmetic on the device, against the CPU's.

use ffcm::coprocessor::{Coprocessor, JobError};
use ffcm::memory::{CLIP, DIMENSION, LAYERS, Memory, MemoryOp, SLOTS, SlotId};
use ffcm::testing::Rng;
use ffcm_cuda::CudaCoprocessor;
use ffcm_cuda::device::shim::{self, ShimOptions};

/// The kernels on the CPU, with so many bytes of memory.
fn device(memory: u64, seed: u64) -> CudaCoprocessor {
    let options = ShimOptions {
        memory,
        seed,
        ..ShimOptions::default()
    };
    CudaCoprocessor::on(shim::open(&options).expect("a C++ compiler"))
}

fn open() -> CudaCoprocessor {
    device(1 << 30, 1)
}

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
fn agree(device: &CudaCoprocessor, start: &Memory, ops: &[(SlotId, MemoryOp)]) -> Memory {
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
    // Each slot by itself, at both ends of the factor.
    for factor in [8_000, 9_999] {
        let ops: Vec<_> = (0..129)
            .map(|n| (id(0, n / SLOTS, n % SLOTS), MemoryOp::Decay { factor }))
            .collect();
        agree(&device, &memory, &ops);
    }
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

/// Quotients are computed by way of an inverse that is rounded: norms of every size, and components of all sizes with them.
#[test]
fn vectors_of_many_norms() {
    let device = open();
    let mut rng = Rng::new(8);
    let mut ops = Vec::new();
    for number in 0..200_u64 {
        let bound = 17 + (1 << (number % 15));
        let value = |_| rng.between(-bound, bound) as i16;
        let mut vector: Vec<i16> = (0..DIMENSION).map(value).collect();
        vector[5] = i16::MIN;
        let at = id(0, (number / 64) as u8, (number % 64) as u8);
        ops.push((at, MemoryOp::Add { vector }));
    }
    agree(&device, &Memory::zero(1), &ops);
}

#[test]
fn random_batches_on_large_and_small_devices() {
    for (bytes, lengths) in [
        (1 << 30, [1500, 40]),
        (128 << 10, [300, 9]),
        (4 << 10, [40, 1]),
    ] {
        for seed in 1..=3 {
            let device = device(bytes, seed);
            let mut rng = Rng::new(bytes + seed);
            let mut memory = Memory::from_seed(3, [5; 32]);
            for (length, slots) in lengths.into_iter().zip([64, 3]) {
                let ops: Vec<_> = (0..length).map(|_| random(&mut rng, 3, slots)).collect();
                memory = agree(&device, &memory, &ops);
            }
        }
    }
}

#[test]
fn slots_of_their_own_on_many_shards() {
    let device = open();
    let mut rng = Rng::new(77);
    let memory = Memory::from_seed(40, [2; 32]);
    let mut ops = Vec::new();
    for turn in 0..3 {
        for position in 0..40 * 256 {
            let op = match (position + turn) % 3 {
                0 => MemoryOp::Decay { factor: 9_850 },
                1 => MemoryOp::Clip,
                _ => random(&mut rng, 1, 64).1,
            };
            // Nothing ties slots: warps share thousands of lists.
            if !matches!(op, MemoryOp::Mix { .. }) {
                ops.push((SlotId::at(position), op));
            }
        }
    }
    agree(&device, &memory, &ops);
}

#[test]
fn a_slot_of_many_operations_is_one_launch() {
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
        2 => MemoryOp::Mix {
            alpha: 1_234,
            source: 9,
        },
        _ => MemoryOp::Decay { factor: 9_999 },
    };
    let mut ops: Vec<_> = (0..17_000).map(|index| (target, op(index))).collect();
    let before = device.gpu().stats();
    agree(&device, &memory, &ops);
    let after = device.gpu().stats();
    assert_eq!(after.launches - before.launches, 1);
    assert_eq!(after.round_trips - before.round_trips, 1);
    // The source is written too, in the middle: what is read before is another value than what is read after.
    ops[9_001] = (id(0, 3, 8), MemoryOp::Decay { factor: 8_000 });
    agree(&device, &memory, &ops);
    assert_eq!(device.gpu().stats().launches - after.launches, 1);
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
    assert_eq!(stats.read_back, 2 * 2 * DIMENSION as u64);
    assert!(stats.uploaded < 4 * 2 * DIMENSION as u64, "{stats:?}");
}

#[test]
fn nothing_to_do_asks_nothing_of_the_device() {
    let device = open();
    let memory = Memory::zero(1);
    agree(&device, &memory, &[]);
    let refused = [
        (id(1, 0, 0), MemoryOp::Clip),
        (id(0, LAYERS, 0), MemoryOp::Clip),
        (id(0, 0, 0), MemoryOp::Decay { factor: 7_999 }),
        (id(0, 0, 0), MemoryOp::Add { vector: vec![1; 3] }),
        (
            id(0, 0, 0),
            MemoryOp::Mix {
                alpha: 10_001,
                source: 0,
            },
        ),
        (
            id(0, 0, 0),
            MemoryOp::Mix {
                alpha: 1,
                source: SLOTS,
            },
        ),
    ];
    agree(&device, &memory, &refused);
    agree(&device, &Memory::zero(0), &[(id(0, 0, 0), MemoryOp::Clip)]);
    let stats = device.gpu().stats();
    assert_eq!(
        (stats.launches, stats.uploaded, stats.round_trips),
        (0, 0, 0)
    );
}

#[test]
fn a_lost_device_leaves_the_tensor_as_it_was() {
    let device = device(64 << 10, 1);
    let start = Memory::from_seed(2, [9; 32]);
    let mut rng = Rng::new(4);
    let ops: Vec<_> = (0..200).map(|_| random(&mut rng, 2, 64)).collect();
    agree(&device, &start, &ops);
    device.gpu().lose();
    let mut memory = start.clone();
    let error = device.memory(&mut memory, &ops).unwrap_err();
    assert!(matches!(error, JobError::Device(_)), "{error}");
    assert!(memory == start);
}

#[test]
fn a_device_lost_between_waves_leaves_the_tensor_as_it_was() {
    let options = ShimOptions {
        memory: 128 << 10,
        lose_after_launches: Some(4),
        ..ShimOptions::default()
    };
    let device = CudaCoprocessor::on(shim::open(&options).expect("a C++ compiler"));
    let start = Memory::from_seed(4, [9; 32]);
    let ops: Vec<_> = (0..500)
        .map(|at| (SlotId::at(at), MemoryOp::Decay { factor: 9_000 }))
        .collect();
    let mut memory = start.clone();
    let error = device.memory(&mut memory, &ops).unwrap_err();
    assert!(matches!(error, JobError::Device(_)), "{error}");
    assert_eq!(device.gpu().stats().launches, 5);
    assert!(memory == start);
}

#[test]
fn a_device_too_small_for_one_operation_says_so() {
    let device = device(4095, 1);
    let mut memory = Memory::zero(1);
    let ops = [(id(0, 0, 0), MemoryOp::Clip)];
    let error = device.memory(&mut memory, &ops).unwrap_err();
    assert!(matches!(error, JobError::NotSupported { .. }), "{error}");
    assert!(error.to_string().contains("4096"), "{error}");
}

#[test]
fn memory_that_others_hold_is_an_error_and_then_none() {
    let device = device(1 << 20, 1);
    let gpu = device.gpu();
    let most = gpu.memory_limit() - 512;
    let held = gpu.buffer::<u8>("somebody else's", most).unwrap();
    let start = Memory::from_seed(1, [3; 32]);
    let mut memory = start.clone();
    let ops: Vec<_> = (0..60)
        .map(|slot| (id(0, 0, slot), MemoryOp::Decay { factor: 9_000 }))
        .collect();
    let error = device.memory(&mut memory, &ops).unwrap_err();
    assert!(
        matches!(&error, JobError::Device(message) if message.contains("out of memory")),
        "{error}"
    );
    assert!(memory == start);
    drop(held);
    agree(&device, &start, &ops);
}
