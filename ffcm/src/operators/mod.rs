//! Operators on graphs beside π: search, components, shortest paths, communities, clustering, triangles, random walks and
//! personalised ranking. Whole numbers only: the same answer for every number of threads and every order of edges.
//!
//! ```
//! use ffcm::graph::{EdgeDelta, Graph};
//! use ffcm::operators::{Operators, UNREACHED};
//!
//! let mut graph = Graph::new();
//! graph.add_nodes(4)?;
//! let road = |source, target, weight| EdgeDelta { source, target, weight };
//! graph.apply(&[road(0, 1, 5), road(1, 2, 5), road(0, 2, 20)])?;
//!
//! let operators = Operators::builder().threads(2).prepare(&graph)?;
//! assert_eq!(operators.bfs(0)?, [0, 1, 1, i64::MAX]);
//! assert_eq!(operators.sssp(0)?, [0, 5, 10, UNREACHED]);
//! assert_eq!(operators.wcc()?, [0, 0, 0, 3]);
//! assert_eq!(operators.triangle_count()?, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Definitions
//!
//! BFS, WCC, CDLP, LCC and SSSP are those of LDBC Graphalytics (Iosup et al.: *The LDBC Graphalytics Benchmark*,
//! arXiv:2011.15028, section 2.3 and appendix A), whose PageRank has its place in [`crate::focus`]. Let E be the edges, and
//!
//! ```text
//! out(v) = { u : (v, u) ∈ E }     in(v) = { u : (u, v) ∈ E }     N(v) = out(v) ∪ in(v) without v itself
//! ```
//!
//! | operator | of node v |
//! |---|---|
//! | [BFS](Operators::bfs) | edges on a shortest directed path from the source; `i64::MAX` without one |
//! | [SSSP](Operators::sssp) | least sum of weights on a directed path from the source; [`UNREACHED`] without one |
//! | [WCC](Operators::wcc) | smallest node that a path leads to when directions are ignored |
//! | [CDLP](Operators::cdlp) | label\[v\] = v at first; in each round, for all nodes at once, the most frequent label among in(v) and among out(v), who is in both counting twice, the smallest of several; its own if there are none |
//! | [LCC](Operators::lcc) | edges (u, w) ∈ E with u, w ∈ N(v) over d·(d − 1), d the size of N(v); 0 where d < 2 |
//! | [triangles](Operators::triangles) | unordered pairs u, w ∈ N(v) with w ∈ N(u) |
//!
//! Graphalytics has no self-loops. Here they are edges like any other for BFS, SSSP, WCC and CDLP, where only the last can
//! tell: they count twice. LCC and triangles ignore them. Weights matter to SSSP, walks and ranking only, and
//! are at least 1: setting an edge to 0 removes it.
//!
//! A [random walk](Operators::walks) goes from a node to one of its targets with a probability of exactly the edge's weight
//! over the sum of the row (Perozzi, Al-Rfou, Skiena: *DeepWalk*, KDD 2014, with weights), and ends early at a node without
//! out-edges. [`WalkOptions`] says which numbers are drawn. [Personalised ranking](Operators::personalised) is π
//! whose teleport goes to given nodes only (Haveliwala: *Topic-sensitive PageRank*, WWW 2002).
//!
//! [`crate::oracle::operators`] says the same as short sequential programs.
//!
//! # Cost
//!
//! An operator makes the layouts it needs when it is first called and keeps them: flat rows of targets, the same turned
//! round, and rows by falling degree for triangles. A graph that is its own mirror image keeps one form for both directions.
//! Before anything is made, the bytes for it are [predicted](Operators::memory) and refused above the limit.

mod bfs;
mod clustering;
mod communities;
mod components;
mod layout;
mod paths;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::{Mutex, OnceLock};

use rayon::{ThreadPool, ThreadPoolBuilder};
use thiserror::Error;

use crate::focus::{FocusError, FocusParams, Ranker, Ranking};
use crate::graph::{Graph, GraphError};
use clustering::Oriented;
use layout::Csr;
use paths::Weighted;
use walk::Urns;

/// Level of a node that BFS does not reach: Graphalytics' infinity.
pub const UNREACHABLE: i64 = i64::MAX;

/// Distance of a node that SSSP does not reach. Paths are shorter.
pub const UNREACHED: u64 = paths::UNREACHED;

/// Most bytes that an operator may take, unless told otherwise: 16 GiB.
pub const MEMORY_MAX: u64 = 1 << 34;

/// Most rounds of label propagation.
pub const ITERATIONS_MAX: u32 = 1 << 20;

/// Why an operator gives no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// A source or start is not in the graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// More memory may be needed than is allowed.
    #[error("{operator} may take {needed} bytes, {limit} are allowed")]
    Memory {
        /// What was to be done.
        operator: &'static str,
        /// Bytes it may take.
        needed: u64,
        /// Bytes it may take at most.
        limit: u64,
    },
    /// The shortest path to a node is longer than distances can say.
    #[error("a shortest path from node {source_node} is 2^64 - 1 or longer")]
    DistanceOverflow {
        /// Where the path begins.
        source_node: u32,
    },
    /// A parameter is out of range.
    #[error("{0}")]
    InvalidParameter(String),
    /// The threads did not start.
    #[error("threads: {0}")]
    Threads(String),
    /// A ranking was refused.
    #[error(transparent)]
    Focus(#[from] FocusError),
}

/// An operator, for predicting its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operator {
    /// [`Operators::bfs`].
    Bfs,
    /// [`Operators::wcc`].
    Wcc,
    /// [`Operators::sssp`].
    Sssp,
    /// [`Operators::cdlp`].
    Cdlp,
    /// [`Operators::lcc`].
    Lcc,
    /// [`Operators::triangles`] and [`Operators::triangle_count`].
    Triangles,
    /// [`Operators::walks`].
    Walks {
        /// How many.
        count: u64,
        /// Most steps of each.
        steps: u32,
    },
    /// [`Operators::personalised`].
    Personalised,
}

impl Operator {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Operator::Bfs => "bfs",
            Operator::Wcc => "wcc",
            Operator::Sssp => "sssp",
            Operator::Cdlp => "cdlp",
            Operator::Lcc => "lcc",
            Operator::Triangles => "triangles",
            Operator::Walks { .. } => "walks",
            Operator::Personalised => "personalised ranking",
        }
    }

    /// Most bytes that it takes on a graph of `nodes` and `edges` with `threads` workers, layouts and answer included; for a
    /// personalised ranking an estimate. Saturates.
    pub fn memory(self, nodes: u32, edges: u64, threads: usize) -> u64 {
        let (n, m, t) = (u128::from(nodes) + 1, u128::from(edges), threads as u128);
        let rows = 8 * n + 4 * m;
        // Both directions, and where the next edge of each row goes while one is made of the other.
        let both = 2 * rows + 8 * n;
        let bytes = match self {
            // Levels twice, three lists and two sets of nodes.
            Operator::Bfs => both + (4 + 8 + 12 + 1) * n,
            Operator::Wcc => rows + 8 * n,
            // Weights take 8 bytes at most, beside a target; 2 m list entries, which may have grown twofold, found and put.
            Operator::Sssp => 8 * n + 16 * m + (8 + 8 + 1 + 8) * n + (16 + 8) * m,
            Operator::Cdlp => both + (8 + 8 + 1 + 4 * t) * n,
            // Order, labels and degrees; edges by degree with their directions; marks and sums of each worker.
            Operator::Lcc | Operator::Triangles => {
                both + (8 + 8 + 4 + 4) * n + 8 * n + 5 * m + (9 * t + 24) * n
            }
            Operator::Walks { count, steps } => {
                let nodes = u128::from(count).saturating_mul(u128::from(steps) + 1);
                let walks = nodes.saturating_mul(12);
                (24 * n + 16 * m).saturating_add(walks + 24 * u128::from(count))
            }
            Operator::Personalised => 120 * n + 40 * m,
        };
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// How operators run.
#[derive(Clone, Copy, Debug)]
pub struct Builder {
    threads: Option<usize>,
    memory_max: u64,
}

impl Builder {
    /// Runs on this many threads of its own; 0 takes one per core. Without this, operators run on the current rayon pool.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Builder {
        self.threads = Some(threads);
        self
    }

    /// Refuses what may take more bytes than this; [`MEMORY_MAX`] unless told otherwise.
    #[must_use]
    pub fn memory_max(mut self, bytes: u64) -> Builder {
        self.memory_max = bytes;
        self
    }

    /// Operators on `graph`. Layouts are made when first needed.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Threads`] if they do not start.
    pub fn prepare(self, graph: &Graph) -> Result<Operators, OperatorError> {
        let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = self.threads.map(pool).transpose();
        let pool = pool.map_err(|error| OperatorError::Threads(error.to_string()))?;
        Ok(Operators {
            graph: graph.clone(),
            pool,
            memory_max: self.memory_max,
            out: OnceLock::new(),
            into: OnceLock::new(),
            weighted: OnceLock::new(),
            oriented: OnceLock::new(),
            urns: OnceLock::new(),
            ranker: Mutex::new(None),
        })
    }
}

/// An exact fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fraction {
    /// Upper part.
    pub numerator: u64,
    /// Lower part, at least 1.
    pub denominator: u64,
}

/// Which walks are made.
///
/// Walk w, counted from 0, is walk w mod `per_start` from start ⌊w / `per_start`⌋. It draws from SplitMix64 seeded with the
/// number that SplitMix64 seeded with `seed` gives after w others. A step draws r below the sum W of the row's weights:
/// ⌊x·W / 2^64⌋ of the next number x for which (x·W mod 2^64) ≥ 2^64 mod W. It follows the first edge, by ascending
/// target, up to which the weights sum to more than r.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkOptions {
    /// Most steps of a walk.
    pub steps: u32,
    /// Walks from each start.
    pub per_start: u32,
    /// Where all chance comes from.
    pub seed: u64,
}

impl Default for WalkOptions {
    /// One walk of at most 80 steps from each start, seed 0.
    fn default() -> WalkOptions {
        WalkOptions {
            steps: 80,
            per_start: 1,
            seed: 0,
        }
    }
}

/// Walks, as the nodes they visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walks {
    nodes: Vec<u32>,
    ends: Vec<usize>,
}

impl Walks {
    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Each walk, its start first.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.nodes[start..end])
    }

    /// How often each of `nodes` nodes was visited, starts included.
    pub fn visits(&self, nodes: u32) -> Vec<u64> {
        let mut visits = vec![0; nodes as usize];
        for &node in &self.nodes {
            if let Some(visits) = visits.get_mut(node as usize) {
                *visits += 1;
            }
        }
        visits
    }
}

/// Operators on one state of a graph; see the [module](self).
#[derive(Debug)]
pub struct Operators {
    graph: Graph,
    pool: Option<ThreadPool>,
    memory_max: u64,
    out: OnceLock<Csr>,
    /// `None` in it if it equals `out`.
    into: OnceLock<Option<Csr>>,
    weighted: OnceLock<Weighted>,
    oriented: OnceLock<Oriented>,
    urns: OnceLock<Urns>,
    /// Taken out while it ranks.
    ranker: Mutex<Option<Ranker>>,
}

impl Operators {
    /// Operators on `graph`, on the current rayon pool and within [`MEMORY_MAX`].
    pub fn new(graph: &Graph) -> Result<Operators, OperatorError> {
        Operators::builder().prepare(graph)
    }

    /// For other threads or another limit.
    pub fn builder() -> Builder {
        Builder {
            threads: None,
            memory_max: MEMORY_MAX,
        }
    }

    /// The graph they work on.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Worker threads.
    pub fn threads(&self) -> usize {
        let pool = self.pool.as_ref();
        pool.map_or_else(rayon::current_num_threads, ThreadPool::current_num_threads)
    }

    /// Most bytes that `operator` takes here: see [`Operator::memory`].
    pub fn memory(&self, operator: Operator) -> u64 {
        operator.memory(
            self.graph.node_count(),
            self.graph.edge_count(),
            self.threads(),
        )
    }

    /// Makes the layouts that `operator` needs now and not when it is first called.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Memory`], as from the operator.
    pub fn warm_up(&self, operator: Operator) -> Result<(), OperatorError> {
        self.run(operator, || {
            match operator {
                Operator::Bfs | Operator::Cdlp => _ = self.into(),
                Operator::Wcc => _ = self.out(),
                Operator::Sssp => _ = self.weighted(),
                Operator::Lcc | Operator::Triangles => _ = self.oriented(),
                Operator::Walks { .. } => _ = self.urns(),
                Operator::Personalised => {
                    let ranker = self.ranker()?;
                    self.keep(ranker);
                }
            }
            Ok(())
        })
    }

    /// Breadth-first search from `source`: the level of every node, [`UNREACHABLE`] where no path leads.
    ///
    /// # Errors
    ///
    /// A source that does not exist; too little memory allowed.
    pub fn bfs(&self, source: u32) -> Result<Vec<i64>, OperatorError> {
        self.check_node(source)?;
        self.run(Operator::Bfs, || {
            let levels = bfs::levels(self.out(), self.into().unwrap_or(self.out()), source);
            let level = |level| match level {
                bfs::UNSEEN => UNREACHABLE,
                level => i64::from(level),
            };
            Ok(levels.into_iter().map(level).collect())
        })
    }

    /// Weakly connected components: the smallest node of every node's component.
    ///
    /// # Errors
    ///
    /// Too little memory allowed.
    pub fn wcc(&self) -> Result<Vec<u32>, OperatorError> {
        self.run(Operator::Wcc, || {
            // Not worth making, but worth using.
            let into = self
                .into
                .get()
                .map(|into| into.as_ref().unwrap_or(self.out()));
            Ok(components::components(self.out(), into))
        })
    }

    /// Single-source shortest paths: the distance of every node from `source`, [`UNREACHED`] where no path leads.
    ///
    /// # Errors
    ///
    /// A source that does not exist; too little memory allowed; [`OperatorError::DistanceOverflow`] if a node can be reached,
    /// but by no path shorter than [`UNREACHED`].
    pub fn sssp(&self, source: u32) -> Result<Vec<u64>, OperatorError> {
        self.check_node(source)?;
        self.run(Operator::Sssp, || {
            let distances = paths::distances(self.weighted(), source);
            distances.ok_or(OperatorError::DistanceOverflow {
                source_node: source,
            })
        })
    }

    /// Communities by label propagation: the label of every node after `iterations` rounds.
    ///
    /// # Errors
    ///
    /// More than [`ITERATIONS_MAX`] rounds; too little memory allowed.
    pub fn cdlp(&self, iterations: u32) -> Result<Vec<u32>, OperatorError> {
        if iterations > ITERATIONS_MAX {
            return Err(OperatorError::InvalidParameter(format!(
                "{iterations} iterations, at most {ITERATIONS_MAX}"
            )));
        }
        self.run(Operator::Cdlp, || {
            Ok(communities::communities(
                self.out(),
                self.into(),
                iterations,
            ))
        })
    }

    /// Local clustering coefficient of every node, not reduced: edges between neighbours over ordered pairs of neighbours;
    /// 0 / 1 for a node with fewer than two.
    ///
    /// # Errors
    ///
    /// Too little memory allowed.
    pub fn lcc(&self) -> Result<Vec<Fraction>, OperatorError> {
        let fraction = |(numerator, denominator)| Fraction {
            numerator,
            denominator,
        };
        self.run(Operator::Lcc, || {
            let parts = self.oriented().clustering();
            Ok(parts.into_iter().map(fraction).collect())
        })
    }

    /// Number of triangles that each node is part of, directions ignored.
    ///
    /// # Errors
    ///
    /// Too little memory allowed.
    pub fn triangles(&self) -> Result<Vec<u64>, OperatorError> {
        self.run(Operator::Triangles, || Ok(self.oriented().triangles()))
    }

    /// Number of triangles in the graph, directions ignored; faster than [`Operators::triangles`].
    ///
    /// # Errors
    ///
    /// Too little memory allowed.
    pub fn triangle_count(&self) -> Result<u64, OperatorError> {
        self.run(Operator::Triangles, || Ok(self.oriented().count()))
    }

    /// Random walks from `starts`.
    ///
    /// # Errors
    ///
    /// A start that does not exist; too little memory allowed.
    pub fn walks(&self, starts: &[u32], options: &WalkOptions) -> Result<Walks, OperatorError> {
        starts
            .iter()
            .try_for_each(|&start| self.check_node(start))?;
        let count = (starts.len() as u64).saturating_mul(u64::from(options.per_start));
        let steps = options.steps;
        self.run(Operator::Walks { count, steps }, || {
            let (nodes, ends) = walk::walks(self.urns(), starts, options);
            Ok(Walks { nodes, ends })
        })
    }

    /// Personalised π: [`crate::focus::rank`] of the graph as if `interests`, pairs of node and stake, were all stakes there
    /// are. Stakes of a node named twice add up. To follow a changing graph, or to start from an earlier ranking, keep a
    /// [`Ranker`] and [personalise](Ranker::personalise) it.
    ///
    /// # Errors
    ///
    /// A node that does not exist, no stake at all, or stakes of a node above `u64::MAX`; parameters that π refuses; too
    /// little memory allowed.
    pub fn personalised(
        &self,
        interests: &[(u32, u64)],
        params: &FocusParams,
    ) -> Result<Ranking, OperatorError> {
        params.check()?;
        self.run(Operator::Personalised, || {
            let mut ranker = self.ranker()?;
            let ranking = ranker.personalise(interests).and_then(|()| {
                // Shards never change a bit.
                ranker.rank(
                    &FocusParams {
                        shards: 1,
                        ..*params
                    },
                    None,
                )
            });
            self.keep(ranker);
            Ok(ranking?)
        })
    }

    /// Runs `work` on the chosen threads if `operator` fits.
    fn run<R: Send>(
        &self,
        operator: Operator,
        work: impl FnOnce() -> Result<R, OperatorError> + Send,
    ) -> Result<R, OperatorError> {
        let (needed, limit) = (self.memory(operator), self.memory_max);
        if needed > limit {
            let operator = operator.name();
            return Err(OperatorError::Memory {
                operator,
                needed,
                limit,
            });
        }
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    fn check_node(&self, node: u32) -> Result<(), GraphError> {
        let nodes = self.graph.node_count();
        match node < nodes {
            true => Ok(()),
            false => Err(GraphError::NoSuchNode { node, nodes }),
        }
    }

    fn out(&self) -> &Csr {
        kept(&self.out, || Csr::of(&self.graph))
    }

    /// In-neighbours; `None` where they are the out-neighbours.
    fn into(&self) -> Option<&Csr> {
        let turned = || Some(self.out().transposed()).filter(|turned| turned != self.out());
        kept(&self.into, turned).as_ref()
    }

    fn weighted(&self) -> &Weighted {
        kept(&self.weighted, || Weighted::of(&self.graph))
    }

    fn oriented(&self) -> &Oriented {
        kept(&self.oriented, || Oriented::of(self.out(), self.into()))
    }

    fn urns(&self) -> &Urns {
        kept(&self.urns, || Urns::of(&self.graph))
    }

    /// The kept ranker or a new one. It is taken away, as the lock must not be held while threads wait for each other; who
    /// comes meanwhile makes another.
    fn ranker(&self) -> Result<Ranker, OperatorError> {
        let kept = self.ranker.lock().ok().and_then(|mut kept| kept.take());
        Ok(match kept {
            Some(ranker) => ranker,
            None => Ranker::new(&self.graph, 1)?,
        })
    }

    fn keep(&self, ranker: Ranker) {
        // A poisoned lock costs the next caller the preparation, nothing else.
        if let Ok(mut kept) = self.ranker.lock() {
            *kept = Some(ranker);
        }
    }
}

/// What is in `cell`, made now if there is nothing. Not within `get_or_init`: while pieces are waited for, this thread may
/// take up other work that asks for the same, and would wait for itself.
fn kept<T>(cell: &OnceLock<T>, make: impl FnOnce() -> T) -> &T {
    if let Some(value) = cell.get() {
        return value;
    }
    let value = make();
    cell.get_or_init(|| value)
}
