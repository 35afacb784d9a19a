//! Rows of [`CHUNK_NODES`] consecutive nodes: the unit of sharing, rewriting and hashing.

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
    /// Hash of the above, computed when first asked for.
    digest: OnceLock<[u8; 32]>,
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
        let capacity = self.targets.len() + deltas.len();
        let mut merged = Chunk {
            offsets: Vec::with_capacity(CHUNK_NODES + 1),
            targets: Vec::with_capacity(capacity),
            weights: Vec::with_capacity(capacity),
            stakes: self.stakes.clone(),
            digest: OnceLock::new(),
        };
        merged.offsets.push(0);
        let mut rest = deltas;
        for local in 0..CHUNK_NODES {
            let node = base + local as u32;
            let count = rest.iter().take_while(|delta| delta.source == node).count();
            let (row_deltas, later) = rest.split_at(count);
            rest = later;
            merged.push_row(self.row(local), row_deltas);
            let start = merged.offsets[local] as usize;
            if count > 0 && row_sum(&merged.weights[start..]).is_none() {
                return Err(GraphError::WeightOverflow { node });
            }
            let end = u32::try_from(merged.targets.len()).map_err(|_| GraphError::TooLarge {
                what: "edges in one chunk of rows",
            })?;
            merged.offsets.push(end);
        }
        debug_assert!(rest.is_empty(), "deltas belong to this chunk");
        if merged.targets.is_empty() {
            merged.offsets = Vec::new();
        }
        Ok(merged)
    }

    /// Appends the merge of one row and its deltas; both ascend by target, and on equal targets the delta wins.
    fn push_row(&mut self, (targets, weights): (&[u32], &[u64]), deltas: &[EdgeDelta]) {
        let mut at = 0;
        for delta in deltas {
            let kept = targets[at..].partition_point(|&target| target < delta.target);
            self.targets.extend_from_slice(&targets[at..at + kept]);
            self.weights.extend_from_slice(&weights[at..at + kept]);
            at += kept;
            if targets.get(at) == Some(&delta.target) {
                at += 1;
            }
            if delta.weight != 0 {
                self.targets.push(delta.target);
                self.weights.push(delta.weight);
            }
        }
        self.targets.extend_from_slice(&targets[at..]);
        self.weights.extend_from_slice(&weights[at..]);
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
