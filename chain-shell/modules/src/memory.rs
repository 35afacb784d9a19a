//! Memory Arithmetic on the chain: conversion, checks, storage.

use ffcm::memory::{
    CLIP, DECAY_MAX, DECAY_MIN, DIMENSION, LAYERS, MemoryError, MemoryOp, SLOTS, SlotId,
};
use focus_types::{MaOp, Outcome, RejectReason, SlotTarget};

/// Slots of one shard.
pub const SLOTS_PER_SHARD: usize = LAYERS as usize * SLOTS as usize;

/// The slot a target names.
pub fn slot(target: SlotTarget) -> SlotId {
    SlotId {
        shard: target.shard,
        layer: target.layer,
        slot: target.slot,
    }
}

/// Position of a slot among all slots of all shards.
pub fn position(slot: SlotId) -> usize {
    (usize::from(slot.shard) * usize::from(LAYERS) + usize::from(slot.layer)) * usize::from(SLOTS)
        + usize::from(slot.slot)
}

/// The operation for the machine; a decay factor is clamped into its range.
pub fn op(op: &MaOp) -> MemoryOp {
    match op {
        MaOp::Add { vector } => MemoryOp::Add {
            vector: vector.clone(),
        },
        MaOp::Decay { factor } => MemoryOp::Decay {
            factor: (*factor).clamp(DECAY_MIN, DECAY_MAX),
        },
        MaOp::Mix { alpha, source } => MemoryOp::Mix {
            alpha: *alpha,
            source: *source,
        },
        MaOp::Clip {} => MemoryOp::Clip,
    }
}

/// Checks what admission checks: that target and source exist.
pub fn check(target: SlotTarget, op: &MaOp, shards: u16) -> Result<(), RejectReason> {
    if target.shard >= shards {
        return Err(RejectReason::BadShard);
    }
    if target.layer >= LAYERS {
        return Err(RejectReason::BadLayer);
    }
    let source = match op {
        MaOp::Mix { source, .. } => *source,
        _ => 0,
    };
    if target.slot >= SLOTS || source >= SLOTS {
        return Err(RejectReason::BadSlot);
    }
    Ok(())
}

/// The machine's refusal as an outcome.
pub fn outcome(error: MemoryError) -> Outcome {
    match error {
        MemoryError::BadShard => Outcome::BadShard,
        MemoryError::BadLayer => Outcome::BadLayer,
        MemoryError::BadSlot => Outcome::BadSlot,
        MemoryError::BadVector => Outcome::BadVec,
        _ => Outcome::BadScalar,
    }
}

/// The stored form of a slot: [`DIMENSION`] little-endian `i32`.
pub fn encode(values: &[i32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Reads [`encode`]'s form; `None` if the length or a value is out of bounds.
pub fn decode(bytes: &[u8]) -> Option<Vec<i32>> {
    let (chunks, rest) = bytes.as_chunks::<4>();
    let values: Vec<i32> = chunks
        .iter()
        .map(|chunk| i32::from_le_bytes(*chunk))
        .collect();
    let fits = rest.is_empty()
        && values.len() == DIMENSION
        && values.iter().all(|value| (-CLIP..=CLIP).contains(value));
    fits.then_some(values)
}
