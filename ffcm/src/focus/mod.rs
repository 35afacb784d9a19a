//! Focus (π): token-weighted PageRank as exact push-sum in pool form.

use crate::graph::Graph;
use thiserror::Error;

/// Total mass of π, exactly conserved: 2^62 units are probability 1.
pub const MASS: u64 = 1 << 62;

/// What to compute. All fields are integers, so equal parameters give equal bits everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FocusParams {
    /// Damping d as a Q32 fraction of 1 (0.85 is 3 650 722 202).
    pub damping: u32,
    /// Stop when the residual, in units of mass, falls below this. 0 never stops early: exactly `max_iterations` run.
    pub epsilon: u64,
    /// Hard cap on iterations.
    pub max_iterations: u32,
    /// Shards K, by murmur64 of the node index; never changes a bit of the result.
    pub shards: u32,
}

impl Default for FocusParams {
    /// d = 0.85, ε = 1e-6 of the mass, at most 2048 iterations, one shard.
    fn default() -> FocusParams {
        FocusParams {
            damping: 3_650_722_202,
            epsilon: MASS / 1_000_000,
            max_iterations: 2048,
            shards: 1,
        }
    }
}

/// π and how it was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranking {
    /// Mass of each node in units of 2^-62; sums to exactly [`MASS`] (empty for the empty graph).
    pub mass: Vec<u64>,
    /// Iterations made.
    pub iterations: u32,
    /// Last residual: Σ|y − x| in units of mass.
    pub residual: u64,
    /// Residual after each iteration.
    pub residuals: Vec<u64>,
    /// Whether the residual fell below ε within the cap.
    pub converged: bool,
}

impl Ranking {
    /// BLAKE3 over the masses as little-endian `u64`, in node order.
    pub fn digest(&self) -> [u8; 32] {
        todo!()
    }

    /// The `count` heaviest nodes as `(node, mass)`, heaviest first, ties by lower index.
    pub fn top(&self, count: usize) -> Vec<(u32, u64)> {
        let _ = count;
        todo!()
    }
}

/// Why no ranking was computed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FocusError {
    /// A parameter is out of range.
    #[error("{0}")]
    InvalidParameter(String),
    /// The start vector does not fit the graph.
    #[error("start vector: {0}")]
    InvalidStart(String),
}

/// π of `graph` on the current rayon pool, from `start` (masses of an earlier ranking; missing nodes start at 0,
/// and what is missing to [`MASS`] goes to the pool) or from the teleport distribution.
pub fn rank(
    graph: &Graph,
    params: &FocusParams,
    start: Option<&[u64]>,
) -> Result<Ranking, FocusError> {
    let _ = (graph, params, start);
    todo!()
}
