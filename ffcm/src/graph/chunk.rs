//! Rows of [`CHUNK_NODES`] consecutive nodes: the unit of sharing, rewriting and hashing.

use std::ops::Range;
use std::sync::OnceLock;

use super::{EdgeDelta, GraphError};

/// Nodes per chunk.
pub(crate) const CHUNK_NODES: usize = 1024;

/// Domain separation of a chunk's hash, so that no chunk can be read as anything else.
const CHUNK_CONTEXT: &[u8] = b"ffcm graph chunk v1";

/// Out-rows and stakes of [`CHUNK_NODES`] nodes; rows of nodes that do not exist yet are empty.
///
/// Invariants: `offsets` is empty (no edges at all) or has `CHUNK_NODES + 1` ascending entries; targets ascend strictly
/// within a row; every weight is positive and the weights of a row sum to at most `u64::MAX`; `stakes` is empty (all
/// zero) or has `CHUNK_NODES` entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunk {
    offsets: Vec<u32>,
    targets: Vec<u32>,
    weights: Vec<u64>,
    stakes: Vec<u64>,
    /// Every bit set in a weight, and maybe more: rows of weights below 2^32 cannot sum to more than `u64::MAX`, so
    /// that their sums need not be looked at.
    weight_bits: u64,
    /// Hash of the above, computed when first asked for.
    digest: OnceLock<[u8; 32]>,
}

/// What a merge does, found out before anything is copied.
struct Plan {
    offsets: Vec<u32>,
    /// One per delta.
    places: Vec<Place>,
}

/// Where a delta goes among the edges of a chunk.
struct Place {
    /// Edges that stay before it.
    at: u32,
    /// Whether the edge `at` is the delta's own and goes.
    replaces: bool,
}

impl Chunk {
    /// Number of edges.
    pub(crate) fn edge_count(&self) -> usize {
        self.targets.len()
    }

    /// Targets and weights of row `local`, which is below [`CHUNK_NODES`].
    pub(crate) fn row(&self, local: usize) -> (&[u32], &[u64]) {
        debug_assert!(local < CHUNK_NODES);
        if self.offsets.is_empty() {
            return (&[], &[]);
        }
        let range = self.offsets[local] as usize..self.offsets[local + 1] as usize;
        (&self.targets[range.clone()], &self.weights[range])
    }

    /// Stake of node `local`.
    pub(crate) fn stake(&self, local: usize) -> u64 {
        self.stakes.get(local).copied().unwrap_or(0)
    }

    /// Sets the stake of node `local`.
    pub(crate) fn set_stake(&mut self, local: usize, stake: u64) {
        if self.stakes.is_empty() {
            self.stakes.resize(CHUNK_NODES, 0);
        }
        self.stakes[local] = stake;
        self.digest = OnceLock::new();
    }

    /// This chunk with `deltas` merged in: all of this chunk, sorted by (source, target), one per edge.
    pub(crate) fn merged(&self, deltas: &[EdgeDelta]) -> Result<Chunk, GraphError> {
        let Some(first) = deltas.first() else {
            return Ok(self.clone());
        };
        let base = first.source - first.source % CHUNK_NODES as u32;
        let Plan { offsets, places } = self.plan(base, deltas)?;
        let edges = offsets[CHUNK_NODES] as usize;
        let mut merged = Chunk {
            offsets,
            targets: Vec::with_capacity(edges),
            weights: Vec::with_capacity(edges),
            stakes: self.stakes.clone(),
            weight_bits: deltas.iter().fold(self.weight_bits, |b, d| b | d.weight),
            digest: OnceLock::new(),
        };
        if self.targets.is_empty() {
            let kept = || deltas.iter().filter(|delta| delta.weight != 0);
            merged.targets.extend(kept().map(|delta| delta.target));
            merged.weights.extend(kept().map(|delta| delta.weight));
        } else {
            merged.push_pieces(self, deltas, &places);
        }
        debug_assert_eq!(merged.targets.len(), edges);
        if merged.weight_bits > u64::from(u32::MAX) {
            merged.check_sums(deltas)?;
        }
        if edges == 0 {
            merged.offsets = Vec::new();
        }
        Ok(merged)
    }

    /// Appends the edges of `old` and, in their `places`, `deltas`. All between two deltas moves in one piece, however
    /// many rows it spans.
    fn push_pieces(&mut self, old: &Chunk, deltas: &[EdgeDelta], places: &[Place]) {
        let mut moved = 0;
        for (delta, place) in deltas.iter().zip(places) {
            let at = place.at as usize;
            self.targets.extend_from_slice(&old.targets[moved..at]);
            self.weights.extend_from_slice(&old.weights[moved..at]);
            if delta.weight != 0 {
                self.targets.push(delta.target);
                self.weights.push(delta.weight);
            }
            moved = at + usize::from(place.replaces);
        }
        self.targets.extend_from_slice(&old.targets[moved..]);
        self.weights.extend_from_slice(&old.weights[moved..]);
    }

    /// Where `deltas` go, which are as [`Chunk::merged`] takes them, and the offsets of the rows after them.
    fn plan(&self, base: u32, deltas: &[EdgeDelta]) -> Result<Plan, GraphError> {
        let mut offsets = vec![0; CHUNK_NODES + 1];
        let mut places = Vec::with_capacity(deltas.len());
        // Edges so far beyond those of this chunk, and the first row whose offset is not written.
        let (mut shift, mut next) = (0i64, 0);
        for deltas in deltas.chunk_by(|a, b| a.source == b.source) {
            let local = (deltas[0].source - base) as usize;
            self.shift_offsets(&mut offsets, next..local + 1, shift)?;
            next = local + 1;
            let mut at = self.offsets.get(local).map_or(0, |&at| at as usize);
            let (targets, _) = self.row(local);
            let end = at + targets.len();
            for delta in deltas {
                at += self.targets[at..end].partition_point(|&target| target < delta.target);
                let replaces = at < end && self.targets[at] == delta.target;
                places.push(Place {
                    at: at as u32,
                    replaces,
                });
                at += usize::from(replaces);
                shift += i64::from(delta.weight != 0) - i64::from(replaces);
            }
        }
        self.shift_offsets(&mut offsets, next..CHUNK_NODES + 1, shift)?;
        Ok(Plan { offsets, places })
    }

    /// Writes the offsets of `rows`, moved by `shift`. The last of them must fit, then all do.
    fn shift_offsets(
        &self,
        offsets: &mut [u32],
        rows: Range<usize>,
        shift: i64,
    ) -> Result<(), GraphError> {
        let old = |row: usize| self.offsets.get(row).copied().unwrap_or(0);
        if u32::try_from(i64::from(old(rows.end - 1)) + shift).is_err() {
            return Err(GraphError::TooLarge {
                what: "edges in one chunk of rows",
            });
        }
        // Modulo 2^32, where a negative shift is one too.
        let shift = shift as u32;
        match self.offsets.get(rows.clone()) {
            Some(old) => (offsets[rows].iter_mut().zip(old))
                .for_each(|(new, old)| *new = old.wrapping_add(shift)),
            None => offsets[rows].fill(shift),
        }
        Ok(())
    }

    /// The rows of `deltas` may each have weights of at most `u64::MAX` in all.
    fn check_sums(&self, deltas: &[EdgeDelta]) -> Result<(), GraphError> {
        for deltas in deltas.chunk_by(|a, b| a.source == b.source) {
            let node = deltas[0].source;
            let (_, weights) = self.row(node as usize % CHUNK_NODES);
            row_sum(weights).ok_or(GraphError::WeightOverflow { node })?;
        }
        Ok(())
    }

    /// BLAKE3 of the canonical form: a context string; then per node its stake (`u64`), out-degree (`u32`) and edges
    /// (target `u32`, weight `u64`), everything little-endian.
    pub(crate) fn digest(&self) -> &[u8; 32] {
        self.digest.get_or_init(|| {
            let mut bytes = Vec::with_capacity(CHUNK_NODES * 12 + self.targets.len() * 12);
            bytes.extend_from_slice(CHUNK_CONTEXT);
            for local in 0..CHUNK_NODES {
                let (targets, weights) = self.row(local);
                bytes.extend_from_slice(&self.stake(local).to_le_bytes());
                bytes.extend_from_slice(&(targets.len() as u32).to_le_bytes());
                for (target, weight) in targets.iter().zip(weights) {
                    bytes.extend_from_slice(&target.to_le_bytes());
                    bytes.extend_from_slice(&weight.to_le_bytes());
                }
            }
            *blake3::hash(&bytes).as_bytes()
        })
    }
}

/// Sum of the weights of a row, `None` above `u64::MAX`.
fn row_sum(weights: &[u64]) -> Option<u64> {
    weights
        .iter()
        .try_fold(0u64, |sum, &weight| sum.checked_add(weight))
}
