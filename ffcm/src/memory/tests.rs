//! Memory Arithmetic against `f64` references and the oracle, and batches against one-by-one application.

use proptest::prelude::*;

use super::*;
use crate::oracle;
use crate::testing::Rng;

const ID: SlotId = SlotId {
    shard: 0,
    layer: 0,
    slot: 0,
};

fn at(slot: u8) -> SlotId {
    SlotId { slot, ..ID }
}

fn one_value(memory: &mut Memory, id: SlotId, value: i32) {
    memory.load_slot(id, &[value; DIMENSION]).unwrap();
}

#[test]
fn decay_equals_the_f64_reference_on_every_input() {
    let inputs: Vec<i32> = (-CLIP..=CLIP).collect();
    assert_eq!(inputs.len(), 16_385);
    for factor in [DECAY_MIN, 9_000, DECAY_DEFAULT, 9_990, DECAY_MAX] {
        for chunk in inputs.chunks(DIMENSION) {
            let mut memory = Memory::zero(1);
            let mut values = [0; DIMENSION];
            values[..chunk.len()].copy_from_slice(chunk);
            memory.load_slot(ID, &values).unwrap();
            memory.apply(ID, &MemoryOp::Decay { factor }).unwrap();
            for (x, got) in chunk.iter().zip(memory.slot(ID).unwrap()) {
                let reference = (f64::from(*x) * (f64::from(factor) / 1e4)).round_ties_even();
                assert_eq!(f64::from(*got), reference, "round({x} * {factor}e-4)");
            }
        }
    }
}

/// The `f64` formula may land beside an exact half; anywhere else both must agree.
#[test]
fn mix_differs_from_f64_on_exact_ties_only() {
    let mut rng = Rng::new(1);
    let (mut cases, mut ties, mut mismatches) = (0_u32, 0_u32, 0_u32);
    let mut memory = Memory::zero(1);
    while cases < 400_000 {
        let a: [i32; DIMENSION] = std::array::from_fn(|_| rng.between(-8192, 8192) as i32);
        let b: [i32; DIMENSION] = std::array::from_fn(|_| rng.between(-8192, 8192) as i32);
        let alpha = rng.below(10_001) as u16;
        memory.load_slot(at(0), &a).unwrap();
        memory.load_slot(at(1), &b).unwrap();
        memory
            .apply(at(0), &MemoryOp::Mix { alpha, source: 1 })
            .unwrap();
        let weight = f64::from(alpha) / 1e4;
        for ((x, y), got) in a.iter().zip(b).zip(memory.slot(at(0)).unwrap()) {
            cases += 1;
            let exact =
                i64::from(alpha) * i64::from(*x) + (10_000 - i64::from(alpha)) * i64::from(y);
            let tie = exact.rem_euclid(10_000) == 5_000;
            ties += u32::from(tie);
            let reference = weight * f64::from(*x) + (1.0 - weight) * f64::from(y);
            if f64::from(*got) != reference.round_ties_even() {
                mismatches += 1;
                assert!(
                    tie,
                    "α={alpha} x={x} y={y}: {got} against {reference}, not a tie"
                );
            }
        }
    }
    println!("mix: {cases} cases, {ties} exact ties, {mismatches} differ from f64");
    assert!(ties > 0 && mismatches <= ties);
}

#[test]
fn mix_with_the_extreme_and_middle_weights() {
    let mut memory = Memory::zero(1);
    for (alpha, expected) in [(10_000, 3), (0, 8), (5_000, 6)] {
        one_value(&mut memory, at(0), 3);
        one_value(&mut memory, at(1), 8);
        memory
            .apply(at(0), &MemoryOp::Mix { alpha, source: 1 })
            .unwrap();
        assert_eq!(
            memory.slot(at(0)).unwrap(),
            [expected; DIMENSION],
            "α={alpha}"
        );
        assert_eq!(memory.slot(at(1)).unwrap(), [8; DIMENSION]);
    }
    // 5.5 rounds to 6 above; 6.5 rounds to 6 too.
    one_value(&mut memory, at(0), 5);
    memory
        .apply(
            at(0),
            &MemoryOp::Mix {
                alpha: 5_000,
                source: 1,
            },
        )
        .unwrap();
    assert_eq!(memory.slot(at(0)).unwrap()[0], 6);
    // A slot mixed with itself stays.
    memory
        .apply(
            at(0),
            &MemoryOp::Mix {
                alpha: 1_234,
                source: 0,
            },
        )
        .unwrap();
    assert_eq!(memory.slot(at(0)).unwrap()[0], 6);
}

#[test]
fn add_scales_long_vectors_and_clips() {
    let mut memory = Memory::zero(1);
    // Within the bound: taken as it is.
    let mut vector = vec![0_i16; DIMENSION];
    vector[0] = 2_000;
    vector[1] = -48;
    memory
        .apply(
            ID,
            &MemoryOp::Add {
                vector: vector.clone(),
            },
        )
        .unwrap();
    assert_eq!(memory.slot(ID).unwrap()[..3], [2_000, -48, 0]);
    // L1 = 4096 = twice the bound: every component halves, odd ones to even.
    vector[0] = 4_093;
    vector[1] = -3;
    let mut scaled = Memory::zero(1);
    scaled.apply(ID, &MemoryOp::Add { vector }).unwrap();
    assert_eq!(scaled.slot(ID).unwrap()[..3], [2_046, -2, 0]);
    // The largest vector there is, until the clip holds.
    let extreme = MemoryOp::Add {
        vector: vec![i16::MIN; DIMENSION],
    };
    for step in 1..=600 {
        memory.apply(at(1), &extreme).unwrap();
        assert_eq!(memory.slot(at(1)).unwrap()[0], (-16 * step).max(-CLIP));
    }
}

proptest! {
    #[test]
    fn a_scaled_vector_keeps_the_bound_up_to_rounding(vector in prop::collection::vec(any::<i16>(), DIMENSION)) {
        let mut memory = Memory::zero(1);
        memory.apply(ID, &MemoryOp::Add { vector: vector.clone() }).unwrap();
        let given: i64 = vector.iter().map(|v| i64::from(*v).abs()).sum();
        let taken: i64 = memory.slot(ID).unwrap().iter().map(|v| i64::from(*v).abs()).sum();
        prop_assert!(taken <= given.min(i64::from(DELTA_NORM_MAX) + DIMENSION as i64 / 2));
    }
}

fn refused_ops() -> Vec<(SlotId, MemoryOp, MemoryError)> {
    use MemoryError::*;
    let add = |len: usize| MemoryOp::Add {
        vector: vec![1; len],
    };
    vec![
        (SlotId { shard: 2, ..ID }, MemoryOp::Clip, BadShard),
        (
            SlotId {
                layer: LAYERS,
                ..ID
            },
            MemoryOp::Clip,
            BadLayer,
        ),
        (at(SLOTS), MemoryOp::Clip, BadSlot),
        (
            ID,
            MemoryOp::Mix {
                alpha: 0,
                source: SLOTS,
            },
            BadSlot,
        ),
        (ID, add(DIMENSION - 1), BadVector),
        (ID, add(DIMENSION + 1), BadVector),
        (ID, add(0), BadVector),
        (
            ID,
            MemoryOp::Decay {
                factor: DECAY_MIN - 1,
            },
            BadScalar,
        ),
        (
            ID,
            MemoryOp::Decay {
                factor: DECAY_MAX + 1,
            },
            BadScalar,
        ),
        (
            ID,
            MemoryOp::Mix {
                alpha: SCALAR_ONE + 1,
                source: 0,
            },
            BadScalar,
        ),
    ]
}

#[test]
fn refused_operations_change_nothing() {
    let mut memory = Memory::from_seed(2, [7; 32]);
    let before = memory.clone();
    for (target, op, error) in refused_ops() {
        assert_eq!(memory.check(target, &op), Err(error), "{op:?}");
        assert_eq!(memory.apply(target, &op), Err(error), "{op:?}");
        assert_eq!(memory.apply_batch(&[(target, op)]), [Err(error)]);
    }
    for values in [
        vec![0; DIMENSION - 1],
        vec![CLIP + 1; DIMENSION],
        vec![i32::MIN; DIMENSION],
    ] {
        assert_eq!(memory.load_slot(ID, &values), Err(MemoryError::BadVector));
    }
    assert_eq!(memory, before);
    assert_eq!(
        Memory::zero(0).apply(ID, &MemoryOp::Clip),
        Err(MemoryError::BadShard)
    );
    assert_eq!(Memory::zero(0).apply_batch(&[]), []);
}

fn random_op(rng: &mut Rng) -> MemoryOp {
    match rng.below(4) {
        0 => {
            let bound = [4, 100, 32_767][rng.below(3) as usize];
            MemoryOp::Add {
                vector: (0..DIMENSION)
                    .map(|_| rng.between(-bound, bound) as i16)
                    .collect(),
            }
        }
        1 => MemoryOp::Decay {
            factor: rng.between(8_000, 9_999) as u16,
        },
        2 => MemoryOp::Mix {
            alpha: rng.below(10_001) as u16,
            source: rng.below(64) as u8,
        },
        _ => MemoryOp::Clip,
    }
}

#[test]
fn a_million_operations_stay_within_the_bound() {
    let mut rng = Rng::new(2);
    // A fixed stock of operations keeps the test about the operations, not about making them.
    let stock: Vec<MemoryOp> = (0..500).map(|_| random_op(&mut rng)).collect();
    let mut memory = Memory::from_seed(1, [1; 32]);
    for _ in 0..1_000_000 {
        let op = &stock[rng.below(500) as usize];
        let id = SlotId {
            shard: 0,
            layer: rng.below(4) as u8,
            slot: rng.below(64) as u8,
        };
        memory.apply(id, op).unwrap();
        let values = memory.slot(id).unwrap();
        assert!(values.iter().all(|v| v.abs() <= CLIP), "{op:?}");
    }
    assert_eq!(memory.iter().count(), 256);
    let before = memory.clone();
    for (id, _) in before.iter() {
        memory.apply(id, &MemoryOp::Clip).unwrap();
    }
    assert_eq!(memory, before, "clip of a bounded state changes nothing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_batch_equals_one_by_one_and_the_oracle(seed: u64, length in 0_usize..1500, threads in 1_usize..4) {
        let mut rng = Rng::new(seed);
        let refused = refused_ops();
        let ops: Vec<(SlotId, MemoryOp)> = (0..length)
            .map(|_| {
                if rng.below(10) == 0 {
                    let (id, op, _) = &refused[rng.below(refused.len() as u64) as usize];
                    return (*id, op.clone());
                }
                // Few slots, so that chains of mixes and repeated targets are common.
                let id = SlotId { shard: rng.below(2) as u16, layer: rng.below(2) as u8, slot: rng.below(5) as u8 };
                let op = match random_op(&mut rng) {
                    MemoryOp::Mix { alpha, source } => MemoryOp::Mix { alpha, source: source % 5 },
                    op => op,
                };
                (id, op)
            })
            .collect();
        let mut one_by_one = Memory::from_seed(2, [3; 32]);
        let mut batched = one_by_one.clone();
        let expected: Vec<_> = ops.iter().map(|(id, op)| one_by_one.apply(*id, op)).collect();
        let mut defined = batched.clone();
        let results: Vec<_> = ops.iter().map(|(id, op)| oracle::memory::apply(&mut defined, *id, op)).collect();
        prop_assert_eq!(&results, &expected);
        prop_assert_eq!(&defined, &one_by_one);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        prop_assert_eq!(pool.install(|| batched.apply_batch(&ops)), expected);
        prop_assert_eq!(batched.digest(), one_by_one.digest());
        prop_assert_eq!(batched, one_by_one);
    }
}

#[test]
fn seeded_genesis_is_bounded_spread_and_fixed() {
    let memory = Memory::from_seed(8, [0; 32]);
    assert_eq!(memory.shards(), 8);
    let values: Vec<i32> = memory
        .iter()
        .flat_map(|(_, values)| values)
        .copied()
        .collect();
    assert_eq!(values.len() * 4, 8 * 131_072);
    let (least, most) = (values.iter().min().unwrap(), values.iter().max().unwrap());
    assert_eq!((*least, *most), (-SEED_BOUND, SEED_BOUND));
    // Mean of 2^18 values uniform on ±205 (deviation 118.6): five deviations of the mean are 1.2.
    let sum: i64 = values.iter().map(|v| i64::from(*v)).sum();
    assert!(sum.abs() < (1 << 18) * 12 / 10);
    assert_ne!(memory, Memory::from_seed(8, [1; 32]));
    // A prefix does not depend on the shard count.
    let (first, second) = (
        SlotId {
            shard: 1,
            layer: 3,
            slot: 63,
        },
        Memory::from_seed(2, [0; 32]),
    );
    assert_eq!(memory.slot(first).unwrap(), second.slot(first).unwrap());
}

#[test]
fn seeded_genesis_has_known_values() {
    // From an implementation of the documented rule in another language.
    let first = Memory::from_seed(1, [0; 32]);
    let expected = [147, 152, -35, -31, -94, -69, 168, 175];
    assert_eq!(first.slot(ID).unwrap()[..8], expected);
    let last = Memory::from_seed(2, [9; 32]);
    let id = SlotId {
        shard: 1,
        layer: 2,
        slot: 63,
    };
    let expected = [-200, 109, 149, -71, 199, 59, -44, -23];
    assert_eq!(last.slot(id).unwrap()[..8], expected);
}

#[test]
fn iteration_visits_every_slot_at_its_address() {
    let memory = Memory::from_seed(3, [9; 32]);
    let mut count = 0;
    for (position, (id, values)) in memory.iter().enumerate() {
        assert_eq!(id.position(), position);
        assert_eq!(memory.slot(id).unwrap(), values);
        count += 1;
    }
    assert_eq!(count, 3 * 4 * 64);
    let mut copy = Memory::zero(3);
    for (id, values) in memory.iter() {
        copy.load_slot(id, values).unwrap();
    }
    assert_eq!(copy.digest(), memory.digest());
}
