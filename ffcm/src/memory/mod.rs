//! Memory Arithmetic (MA): `int32` tensors `[shard][layer][slot][dimension]` under four bounded operations.

use thiserror::Error;

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

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemoryOp {
    /// slot ← clip(slot + v), v scaled down to the L1 bound when above it. `vector` has [`DIMENSION`] entries.
    Add {
        /// The vector, raw units.
        vector: Vec<i16>,
    },
    /// slot ← round(slot · factor); `factor` in 1e-4 units, 8000..=9999; the default is 9850.
    Decay {
        /// Factor in 1e-4 units.
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
    /// The vector does not have [`DIMENSION`] entries.
    #[error("bad_vec")]
    BadVector,
    /// A scalar is out of its range.
    #[error("bad_scalar")]
    BadScalar,
}

/// The tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    shards: u16,
    cells: Vec<i32>,
}

impl Memory {
    /// All zero, `shards` × [`LAYERS`] × [`SLOTS`] × [`DIMENSION`].
    pub fn zero(shards: u16) -> Memory {
        let words = usize::from(shards) * usize::from(LAYERS) * usize::from(SLOTS) * DIMENSION;
        Memory {
            shards,
            cells: vec![0; words],
        }
    }

    /// Number of shards.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// The values of one slot.
    pub fn slot(&self, id: SlotId) -> Result<&[i32], MemoryError> {
        let _ = (id, &self.cells);
        todo!()
    }

    /// Overwrites one slot with stored values; each must lie within ±[`CLIP`].
    pub fn load_slot(&mut self, id: SlotId, values: &[i32]) -> Result<(), MemoryError> {
        let _ = (id, values);
        todo!()
    }

    /// Applies one operation.
    pub fn apply(&mut self, target: SlotId, op: &MemoryOp) -> Result<(), MemoryError> {
        let _ = (target, op);
        todo!()
    }

    /// Applies a batch on the current rayon pool: in order per slot, in parallel across slots, the same bits as
    /// [`Memory::apply`] one by one. Refused operations do not stop the others.
    pub fn apply_batch(&mut self, ops: &[(SlotId, MemoryOp)]) -> Vec<Result<(), MemoryError>> {
        let _ = ops;
        todo!()
    }

    /// BLAKE3 over all values as little-endian `i32`.
    pub fn digest(&self) -> [u8; 32] {
        todo!()
    }
}
