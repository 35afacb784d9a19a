//! Memory Arithmetic (MA): `int32` tensors `[shard][layer][slot][dimension]` under four bounded operations.
//!
//! Values are fixed point with scale [`SCALE`] and stay within ±[`CLIP`]. Scalars (decay factor, α) are integers in
//! units of 1e-4. Every result is an exact rational rounded half to even:
//!
//! ```text
//! add    x ← clip(x + v)                                    v ← round(v · 2048 / ‖v‖₁) first, if ‖v‖₁ > 2048
//! decay  x ← round(x · factor / 10⁴)                        8000 ≤ factor ≤ 9999
//! mix    x ← clip(round((α·x + (10⁴−α)·source) / 10⁴))      0 ≤ α ≤ 10⁴, source in the same shard and layer
//! clip   x ← clip(x)
//! ```
//!
//! A scalar out of its range is refused, never moved into it: a client that wants clamping clamps before it signs.
//! Scaling rounds each component by itself, so the L1 norm of a scaled vector can exceed the bound by the rounding,
//! at most half a unit per dimension.

mod batch;
mod kernels;
mod layer;

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use thiserror::Error;

use kernels::{Slot, Step};
use layer::Instructions;

/// Fixed-point scale: 1.0 is 1024.
pub const SCALE: i32 = 1024;
/// Clip bound ±8.0 in raw units.
pub const CLIP: i32 = 8 * SCALE;
/// Layers per shard.
pub const LAYERS: u8 = 4;
/// Slots per layer.
pub const SLOTS: u8 = 64;
/// Values per slot.
pub const DIMENSION: usize = 128;
/// Scalars (decay factor, α) are integers in units of 1e-4.
pub const SCALAR_ONE: u16 = 10_000;
/// Bound on the L1 norm of an added vector, in raw units; longer vectors are scaled down to it.
pub const DELTA_NORM_MAX: i32 = 2 * SCALE;
/// Smallest decay factor, in units of 1e-4.
pub const DECAY_MIN: u16 = 8_000;
/// Largest decay factor, in units of 1e-4.
pub const DECAY_MAX: u16 = 9_999;
/// Decay factor when a transaction names none, in units of 1e-4.
pub const DECAY_DEFAULT: u16 = 9_850;
/// Values of [`Memory::from_seed`] lie within ± this (0.2).
pub const SEED_BOUND: i32 = 205;

/// The address of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId {
    /// Shard, below the tensor's shard count.
    pub shard: u16,
    /// Layer, below [`LAYERS`].
    pub layer: u8,
    /// Slot, below [`SLOTS`].
    pub slot: u8,
}

impl SlotId {
    /// Position of the slot in tensor order, the same for any number of shards. The address must be one of a tensor:
    /// layer and slot within their ranges.
    pub fn position(self) -> usize {
        debug_assert!(self.layer < LAYERS && self.slot < SLOTS);
        let layer = usize::from(self.shard) * usize::from(LAYERS) + usize::from(self.layer);
        layer * SLOTS_PER_LAYER + usize::from(self.slot)
    }

    /// The address at a position in tensor order, the inverse of [`SlotId::position`]. Below 2^24, which every
    /// position of a tensor is.
    pub fn at(position: usize) -> SlotId {
        debug_assert!(position < SLOTS_PER_SHARD << 16);
        SlotId {
            // A tensor holds at most 2^16 shards, so each quotient fits its type.
            shard: (position / SLOTS_PER_SHARD) as u16,
            layer: (position / SLOTS_PER_LAYER % usize::from(LAYERS)) as u8,
            slot: (position % SLOTS_PER_LAYER) as u8,
        }
    }
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemoryOp {
    /// slot ← clip(slot + v), v scaled down to the L1 bound when above it. `vector` has [`DIMENSION`] entries.
    Add {
        /// The vector, raw units.
        vector: Vec<i16>,
    },
    /// slot ← round(slot · factor).
    Decay {
        /// Factor in 1e-4 units, [`DECAY_MIN`]`..=`[`DECAY_MAX`].
        factor: u16,
    },
    /// slot ← clip(α·slot + (1−α)·source), source a slot of the same shard and layer.
    Mix {
        /// α in 1e-4 units, 0..=10000.
        alpha: u16,
        /// Source slot in the same shard and layer.
        source: u8,
    },
    /// slot ← clip(slot).
    Clip,
}

/// An operation whose operands are all within their ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckedOp<'a> {
    /// See [`MemoryOp::Add`].
    Add(&'a [i16; DIMENSION]),
    /// See [`MemoryOp::Decay`]; the factor.
    Decay(u16),
    /// See [`MemoryOp::Mix`].
    Mix {
        /// α in 1e-4 units, 0..=10000.
        alpha: u16,
        /// Source slot, below [`SLOTS`].
        source: u8,
    },
    /// See [`MemoryOp::Clip`].
    Clip,
}

impl MemoryOp {
    /// The operation if its operands are within their ranges, else why it is refused wherever it is applied.
    pub fn check(&self) -> Result<CheckedOp<'_>, MemoryError> {
        match *self {
            MemoryOp::Add { ref vector } => {
                let vector = vector.as_slice().try_into();
                vector
                    .map(CheckedOp::Add)
                    .map_err(|_| MemoryError::BadVector)
            }
            MemoryOp::Decay { factor } if !(DECAY_MIN..=DECAY_MAX).contains(&factor) => {
                Err(MemoryError::BadScalar)
            }
            MemoryOp::Decay { factor } => Ok(CheckedOp::Decay(factor)),
            MemoryOp::Mix { source, .. } if source >= SLOTS => Err(MemoryError::BadSlot),
            MemoryOp::Mix { alpha, .. } if alpha > SCALAR_ONE => Err(MemoryError::BadScalar),
            MemoryOp::Mix { alpha, source } => Ok(CheckedOp::Mix { alpha, source }),
            MemoryOp::Clip => Ok(CheckedOp::Clip),
        }
    }
}

/// Why an operation was refused; the state is unchanged by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// Shard out of range.
    #[error("bad_shard")]
    BadShard,
    /// Layer out of range.
    #[error("bad_layer")]
    BadLayer,
    /// Slot or source slot out of range.
    #[error("bad_slot")]
    BadSlot,
    /// The vector does not have [`DIMENSION`] entries, or a stored value lies outside ±[`CLIP`].
    #[error("bad_vec")]
    BadVector,
    /// A scalar is out of its range.
    #[error("bad_scalar")]
    BadScalar,
}

/// The tensor. Invariant: every value lies within ±[`CLIP`].
///
/// ```
/// use ffcm::memory::{DIMENSION, Memory, MemoryError, MemoryOp, SCALE, SlotId};
///
/// let mut memory = Memory::zero(1);
/// let id = SlotId { shard: 0, layer: 2, slot: 5 };
/// let mut vector = vec![0; DIMENSION];
/// vector[0] = SCALE as i16; // 1.0
/// memory.apply(id, &MemoryOp::Add { vector })?;
/// memory.apply(id, &MemoryOp::Decay { factor: 9_000 })?;
/// assert_eq!(memory.slot(id)?[0], 922); // 921.6, rounded
/// // Refused, not moved into its range.
/// let refused = memory.apply(id, &MemoryOp::Decay { factor: 1 });
/// assert_eq!(refused, Err(MemoryError::BadScalar));
/// # Ok::<(), MemoryError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    shards: u16,
    /// `[shard][layer][slot][dimension]`, row-major.
    slots: Vec<Slot>,
}

const SLOTS_PER_LAYER: usize = SLOTS as usize;
const SLOTS_PER_SHARD: usize = SLOTS_PER_LAYER * LAYERS as usize;

impl Memory {
    /// All zero, `shards` × [`LAYERS`] × [`SLOTS`] × [`DIMENSION`]: 128 KiB a shard.
    pub fn zero(shards: u16) -> Memory {
        Memory {
            shards,
            slots: vec![Slot([0; DIMENSION]); usize::from(shards) * SLOTS_PER_SHARD],
        }
    }

    /// A genesis tensor expanded from `seed`, values nearly uniform in ±[`SEED_BOUND`].
    ///
    /// Block `b` (from 0, 16 values each, in tensor order) is SHA-256 of `"ffcm/memory/seed"`, the seed and `b` as
    /// `u64` little-endian; each 16-bit little-endian word `w` of it becomes `⌊w · 411 / 2^16⌋ − 205`.
    pub fn from_seed(shards: u16, seed: [u8; 32]) -> Memory {
        const WORDS: usize = 16;
        const BLOCKS_PER_SLOT: u64 = (DIMENSION / WORDS) as u64;
        let prefix = Sha256::new_with_prefix(b"ffcm/memory/seed").chain_update(seed);
        let mut memory = Memory::zero(shards);
        memory
            .slots
            .par_iter_mut()
            .enumerate()
            .for_each(|(index, slot)| {
                let first = index as u64 * BLOCKS_PER_SLOT;
                for (block, values) in (first..).zip(slot.0.chunks_exact_mut(WORDS)) {
                    let hash = prefix.clone().chain_update(block.to_le_bytes()).finalize();
                    for (value, word) in values.iter_mut().zip(hash.as_chunks::<2>().0) {
                        let word = i32::from(u16::from_le_bytes(*word));
                        *value = ((word * (2 * SEED_BOUND + 1)) >> 16) - SEED_BOUND;
                    }
                }
            });
        memory
    }

    /// Number of shards.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// The values of one slot, [`DIMENSION`] of them.
    pub fn slot(&self, id: SlotId) -> Result<&[i32], MemoryError> {
        Ok(&self.slots[self.index(id)?].0)
    }

    /// Every slot with its address, in tensor order.
    pub fn iter(&self) -> impl Iterator<Item = (SlotId, &[i32])> {
        self.slots
            .iter()
            .enumerate()
            .map(|(index, values)| (SlotId::at(index), values.0.as_slice()))
    }

    /// Overwrites one slot with stored values; [`MemoryError::BadVector`] unless there are [`DIMENSION`] of them,
    /// each within ±[`CLIP`].
    pub fn load_slot(&mut self, id: SlotId, values: &[i32]) -> Result<(), MemoryError> {
        let index = self.index(id)?;
        let values: &[i32; DIMENSION] = values.try_into().map_err(|_| MemoryError::BadVector)?;
        if values.iter().any(|v| v.unsigned_abs() > CLIP as u32) {
            return Err(MemoryError::BadVector);
        }
        self.slots[index] = Slot(*values);
        Ok(())
    }

    /// What [`Memory::apply`] would say to this operation, and its operands if it would be applied. No operation
    /// changes the answer for another.
    pub fn check<'a>(
        &self,
        target: SlotId,
        op: &'a MemoryOp,
    ) -> Result<CheckedOp<'a>, MemoryError> {
        self.index(target)?;
        op.check()
    }

    /// Applies one operation.
    pub fn apply(&mut self, target: SlotId, op: &MemoryOp) -> Result<(), MemoryError> {
        let position = self.index(target)?;
        // A tensor has at most 2^24 slots.
        let Some(step) = Step::decode(position as u32, op) else {
            return op.check().map(|_| ());
        };
        let (layers, _) = self.slots.as_chunks_mut();
        if !matches!(op, MemoryOp::Clip) {
            Instructions::widest().apply(&mut layers[position / SLOTS_PER_LAYER], &step);
        }
        Ok(())
    }

    /// Applies a batch on the current rayon pool, the same bits as [`Memory::apply`] one by one. Refused operations
    /// do not stop the others.
    ///
    /// Mix ties the slots of one layer together, so a layer's operations run in batch order on one thread; layers
    /// and shards never touch each other and run in parallel.
    pub fn apply_batch(&mut self, ops: &[(SlotId, MemoryOp)]) -> Vec<Result<(), MemoryError>> {
        batch::apply(self, ops)
    }

    /// BLAKE3 over all values as little-endian `i32`, in tensor order.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        // A layer at a time: the hash takes several of its chunks of 1 KiB side by side.
        let mut bytes = vec![0; 4 * DIMENSION * SLOTS_PER_LAYER];
        for layer in self.slots.chunks(SLOTS_PER_LAYER) {
            let values = layer.iter().flat_map(|slot| &slot.0);
            for (out, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(values) {
                *out = value.to_le_bytes();
            }
            hasher.update(&bytes);
        }
        *hasher.finalize().as_bytes()
    }

    /// Position of a slot in `slots`.
    #[inline]
    fn index(&self, id: SlotId) -> Result<usize, MemoryError> {
        if id.shard >= self.shards {
            return Err(MemoryError::BadShard);
        }
        if id.layer >= LAYERS {
            return Err(MemoryError::BadLayer);
        }
        if id.slot >= SLOTS {
            return Err(MemoryError::BadSlot);
        }
        Ok(id.position())
    }
}

#[cfg(test)]
mod tests;
