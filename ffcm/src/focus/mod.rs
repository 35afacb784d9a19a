//! Focus (π): token-weighted PageRank as exact push-sum in pool form.
//!
//! This is the definition that every backend reproduces bit for bit. It uses whole numbers only, each of which fits two
//! `u32`; products of two such numbers appear only per node, never per edge. ⌊ ⌋ is rounding down.
//!
//! # Prepared once per graph
//!
//! Mass is counted in units; the total is M = 2^62 ([`MASS`]). For a source u with out-weights w(e), their sum W and
//! their maximum w̄:
//!
//! ```text
//! ratio   r[u] = ⌊w̄ · 2^k / W⌋         k = k[u] ≥ 31 such that 2^31 ≤ r[u] < 2^32 (it is unique, and at most 63)
//! quota   q[e] = ⌊w(e) · 2^31 / w̄⌋     at most 2^31, and exactly that for the heaviest edges
//! ```
//!
//! So the heaviest edge gets the share r/2^k of what its source gives, and every edge the fraction q/2^31 of that. Where
//! the weights of a source are equal, every q is 2^31 and the edge term below is the share itself: a backend may then
//! leave q out.
//!
//! For a node v with stake t\[v\], T = Σ t (all t count as 1 when all are 0):
//!
//! ```text
//! teleport τ[v] = ⌊t[v] · M / T⌋ ,  then M − Σ τ, fewer units than there are nodes with t > 0, one unit each to
//!                                   the lowest-numbered nodes with t > 0; hence Σ τ = M
//! ```
//!
//! # One iteration, from x with Σ x = M
//!
//! ```text
//! damped    a[u] = ⌊d · x[u] / 2^32⌋            d: damping, Q32
//! share     b[u] = ⌊a[u] · r[u] / 2^k[u]⌋
//!           s[u] = ⌊b[u] / 4^j⌋ · 4^j            least j ≥ 0 with b[u] < 2^27 · 4^j (0 ≤ j ≤ 18): 27 + 5 bits, 4 bytes
//! edge      c(e) = ⌊s[u] · q[e] / 2^31⌋          e from u
//! arrived  in[v] = Σ c(e) over edges e into v, self-loops included
//! pool         p = M − Σ in                      teleport, dangling nodes and everything rounded off
//! spread    y[v] = in[v] + ⌊p · τ[v] / M⌋ ,  then what is left of p, fewer units than there are nodes, one unit each
//!                                                to the lowest-numbered nodes
//! residual     ρ = Σ |y[v] − x[v]|               at most 2 M = 2^63
//! ```
//!
//! Σ y = M always: what an edge cannot carry stays in the pool. Sums of integers do not depend on their order, so
//! neither threads, shards, layout nor device can change a bit. The first x is the start vector with the mass it
//! misses spread as a pool: an empty start vector gives x = τ, nodes appended since start with their part of that pool,
//! nothing otherwise. Iteration ends when ρ < ε, or at the cap, and π is the last y. The next x is y, except in warm runs.
//!
//! # Warm runs
//!
//! A run is *warm* if its start vector is not empty and ε > 0. It starts near its end: a few sources have much to tell, the
//! rest so little that ε covers it. So in iteration k only nodes with enough to tell take part; the others wait:
//!
//! ```text
//! next    x[v] = y[v] if |y[v] − x[v]| > θ[k] · δ[v], else x[v] as it is          δ[v]: out-edges of v, at most 2^26 − 1
//! waiting    κ = M − Σ x                                       what x misses, or has too much, since some nodes wait
//! residual   ρ = Σ |y[v] − x[v]| + |κ|
//! threshold θ[k] = ⌊t / 2^f⌋ , t = q + ⌊q/4⌋ , q = ⌊ρ[k−1] / m⌋     m: number of edges; ρ[−1] = 128 ε
//!              0 if ρ[k−1] > (1−d)·M/2 or f = 4
//! failures   f : how many of the residuals ρ[0] … ρ[k−1] were above ρ[i−1] − ⌊ρ[i−1]/32⌋, counted to 4 at most; ρ[0] as 4
//! ```
//!
//! θ is a threshold per out-edge, because edges are what taking part costs: a node takes part if each of its edges gets
//! rid of more than 5/4 of the residual that falls to an edge on average. Sources that wait have the share they had, so
//! `in` changes only by the differences c(e) − c(e) before over the out-edges of those that do not. A backend may keep `in` and
//! add such differences, or gather it anew: it is the same function of x. θ\[k\] is known before iteration k begins, so
//! an iteration stays one pass over the nodes. With θ = 0 all take part, and the iteration is that of a cold run.
//!
//! If the first residual is not below 31/32 · 128 ε, much has changed: many sources have something to tell, to wait would
//! only make for more iterations, and all take part from then on.
//!
//! Warm runs end. A residual that falls by less than 1/32 is a failure, which halves what waiting may keep back; after the
//! fourth all take part, and then ρ falls by d per iteration up to rounding. Nodes that wait keep back at most
//! m·θ ≤ 5/8·(1−d)·M, so what arrives, at most d·Σ x, stays below M, and no sum exceeds 64 bits.
//!
//! # Error
//!
//! One iteration contracts L1 distances between vectors of equal sum by d up to rounding, hence the distance of π to the
//! fixed point is at most ρ·d/(1−d) plus rounding. In warm runs, where Σ x = M − κ, think of κ as the mass of one more node
//! that gives all of it to the pool: the vectors (x, κ) have equal sums, y is what an iteration makes of them with nothing
//! left on that node, and ρ is the L1 distance between the two. So the bound holds as it stands. Rounding loses per source
//! less than 2^-26 of its share (the 27-bit mantissa), 2^-31 of it (r), at most 2^-31 of the heaviest edge's part per edge
//! (q), and a unit per edge (c); what is lost teleports.

mod arith;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod blocks;
mod outbox;
mod prefetch;
pub mod prepare;
mod ranker;
mod rows;
mod run;
mod settle;
mod shards;
mod teleport;
#[cfg(test)]
mod tests;
mod threshold;
mod tiles;
mod warm;

use thiserror::Error;

pub use ranker::{Effort, Ranker};
pub use shards::shard_of;
pub use threshold::{DEGREE_MAX, Threshold};

use crate::graph::Graph;

/// Total mass of π, exactly conserved: 2^62 units are probability 1.
pub const MASS: u64 = 1 << 62;

/// Most iterations a run may ask for: it bounds the list of residuals.
pub const MAX_ITERATIONS: u32 = 1 << 20;

/// Most shards.
pub const MAX_SHARDS: u32 = 4096;

/// What to compute. All fields are integers, so equal parameters give equal bits everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FocusParams {
    /// Damping d as a Q32 fraction of 1 (0.85 is 3 650 722 202).
    pub damping: u32,
    /// Stop when the residual, in units of mass, falls below this. 0 never stops early: exactly `max_iterations` run.
    pub epsilon: u64,
    /// Hard cap on iterations, from 1 to [`MAX_ITERATIONS`].
    pub max_iterations: u32,
    /// Shards K, by murmur64 of the node index, from 1 to [`MAX_SHARDS`]; never changes a bit of the result.
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

impl FocusParams {
    /// Refuses what is out of range.
    pub fn check(&self) -> Result<(), FocusError> {
        let refuse = |what: String| Err(FocusError::InvalidParameter(what));
        if !(1..=MAX_ITERATIONS).contains(&self.max_iterations) {
            let given = self.max_iterations;
            return refuse(format!(
                "max_iterations is {given}, not in 1..={MAX_ITERATIONS}"
            ));
        }
        if !(1..=MAX_SHARDS).contains(&self.shards) {
            return refuse(format!(
                "shards is {}, not in 1..={MAX_SHARDS}",
                self.shards
            ));
        }
        Ok(())
    }
}

/// π and how it was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranking {
    /// Mass of each node in units of 2^-62; sums to exactly [`MASS`] (empty for the empty graph).
    pub mass: Vec<u64>,
    /// Iterations made; none for the empty graph.
    pub iterations: u32,
    /// Last residual ρ in units of mass.
    pub residual: u64,
    /// Residual after each iteration.
    pub residuals: Vec<u64>,
    /// Whether the residual fell below ε within the cap. The empty graph has converged; a run with ε = 0 never does.
    pub converged: bool,
}

impl Ranking {
    /// The only ranking of no nodes.
    pub fn of_empty_graph() -> Ranking {
        Ranking {
            mass: vec![],
            iterations: 0,
            residual: 0,
            residuals: vec![],
            converged: true,
        }
    }

    /// Takes note of an iteration that left this residual.
    pub(crate) fn note(&mut self, residual: u64, epsilon: u64) {
        self.iterations += 1;
        self.residual = residual;
        self.residuals.push(residual);
        self.converged = residual < epsilon;
    }

    /// BLAKE3 over the masses as little-endian `u64`, in node order.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        let mut bytes = Vec::with_capacity(8 * 8192);
        for run in self.mass.chunks(8192) {
            bytes.clear();
            bytes.extend(run.iter().flat_map(|mass| mass.to_le_bytes()));
            hasher.update(&bytes);
        }
        *hasher.finalize().as_bytes()
    }

    /// The `count` heaviest nodes as `(node, mass)`, heaviest first, ties by lower index.
    pub fn top(&self, count: usize) -> Vec<(u32, u64)> {
        let order = |&(node, mass): &(u32, u64)| (std::cmp::Reverse(mass), node);
        let mut nodes: Vec<(u32, u64)> = (0u32..).zip(self.mass.iter().copied()).collect();
        if count < nodes.len() {
            nodes.select_nth_unstable_by_key(count, order);
            nodes.truncate(count);
        }
        nodes.sort_unstable_by_key(order);
        nodes
    }

    /// Estimate of the spectral gap, 1 − ρ\[k+1\]/ρ\[k\] of the last two iterations; `None` before the second iteration or
    /// once the residual is 0. Early estimates are too large. **Telemetry only**: a float, never committed or hashed.
    pub fn spectral_gap(&self) -> Option<f64> {
        match self.residuals[..] {
            [.., before, last] if before > 0 => Some(1.0 - last as f64 / before as f64),
            _ => None,
        }
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

/// What `start`, masses for a graph of `nodes` nodes, misses to [`MASS`].
///
/// # Errors
///
/// More masses than nodes, or a sum above [`MASS`].
pub fn missing_mass(nodes: u32, start: &[u64]) -> Result<u64, FocusError> {
    if start.len() > nodes as usize {
        let given = start.len();
        let what = format!("{given} masses for a graph of {nodes} nodes");
        return Err(FocusError::InvalidStart(what));
    }
    start
        .iter()
        .try_fold(MASS, |left, &mass| left.checked_sub(mass))
        .ok_or_else(|| {
            FocusError::InvalidStart(format!("the masses sum to more than {MASS} units"))
        })
}

/// π of `graph` on the current rayon pool, from `start` (masses of an earlier ranking; missing nodes start at 0,
/// and what is missing to [`MASS`] goes to the pool) or from the teleport distribution.
///
/// To rank a graph again and again as it changes, keep a [`Ranker`].
///
/// # Errors
///
/// Parameters out of range; a start vector of more nodes than there are, or of more than [`MASS`].
///
/// ```
/// use ffcm::focus::{FocusParams, MASS, rank};
/// use ffcm::graph::{EdgeDelta, Graph};
///
/// let mut graph = Graph::with_nodes(3)?;
/// graph.apply(&[EdgeDelta::new(0, 1), EdgeDelta::new(2, 1)])?;
/// let params = FocusParams::default();
/// let ranking = rank(&graph, &params, None)?;
/// assert_eq!(ranking.mass.iter().sum::<u64>(), MASS);
/// assert_eq!(ranking.top(1)[0].0, 1);
/// // From where it was, once the graph has changed.
/// graph.apply(&[EdgeDelta::weighted(1, 2, 10)])?;
/// let next = rank(&graph, &params, Some(&ranking.mass))?;
/// assert!(next.converged && next.mass[2] > ranking.mass[2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn rank(
    graph: &Graph,
    params: &FocusParams,
    start: Option<&[u64]>,
) -> Result<Ranking, FocusError> {
    // What is wrong is told before anything is prepared.
    params.check()?;
    missing_mass(graph.node_count(), start.unwrap_or(&[]))?;
    Ranker::new(graph, params.shards)?.rank(params, start)
}
