//! Weighted directed graphs that change by batches of edge deltas.
//!
//! A graph is a list of chunks, each a small CSR over 1024 consecutive nodes behind an [`Arc`]. A batch rewrites the
//! chunks it touches by one sort-merge and leaves the others alone, so its cost follows the batch, not the graph; a
//! clone shares every chunk with its origin and costs one pointer per 1024 nodes; and the hash of a chunk is kept until
//! the chunk changes. Self-loops are edges like any other.

mod batch;
mod chunk;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;
use thiserror::Error;

pub(crate) use chunk::{CHUNK_NODES, Chunk};

/// Domain separation of [`Graph::digest`].
const GRAPH_CONTEXT: &[u8] = b"ffcm graph v1";

/// One edge delta: the edge `source → target` gets `weight`; 0 removes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeDelta {
    /// Source node.
    pub source: u32,
    /// Target node.
    pub target: u32,
    /// New weight, replacing any old one; 0 removes the edge.
    pub weight: u64,
}

impl EdgeDelta {
    /// An edge of weight 1.
    pub const fn new(source: u32, target: u32) -> EdgeDelta {
        EdgeDelta::weighted(source, target, 1)
    }

    /// An edge of this weight; 0 removes it.
    pub const fn weighted(source: u32, target: u32, weight: u64) -> EdgeDelta {
        EdgeDelta {
            source,
            target,
            weight,
        }
    }
}

/// Why a graph refuses a change. The graph is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A node index is not below the node count.
    #[error("node {node} does not exist, the graph has {nodes} nodes")]
    NoSuchNode {
        /// The index.
        node: u32,
        /// How many nodes there are.
        nodes: u32,
    },
    /// The out-weights of one node no longer fit.
    #[error("the out-weights of node {node} sum to more than 2^64 - 1")]
    WeightOverflow {
        /// The node.
        node: u32,
    },
    /// More nodes or edges than the index type holds.
    #[error("too many {what}")]
    TooLarge {
        /// Nodes or edges.
        what: &'static str,
    },
}

/// A directed graph: at most one edge per (source, target), weights in `1..=u64::MAX`, and a teleport stake per node.
/// Node indexes are dense and never reused.
///
/// The out-weights of one node sum to at most `u64::MAX`. Cloning is cheap and shares storage.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// `ceil(nodes / CHUNK_NODES)` chunks.
    chunks: Vec<Arc<Chunk>>,
    nodes: u32,
    edges: u64,
    /// Sum of all stakes; at most 2^32 stakes of 64 bits.
    stake_total: u128,
    version: u64,
}

impl Graph {
    /// The empty graph.
    pub fn new() -> Graph {
        Graph::default()
    }

    /// A graph of `count` nodes without edges, stake 0.
    ///
    /// ```
    /// use ffcm::graph::{EdgeDelta, Graph};
    ///
    /// let mut graph = Graph::with_nodes(3)?;
    /// graph.apply(&[EdgeDelta::new(0, 1), EdgeDelta::weighted(0, 2, 5)])?;
    /// assert_eq!(graph.out_edges(0).collect::<Vec<_>>(), [(1, 1), (2, 5)]);
    /// graph.apply(&[EdgeDelta::weighted(0, 1, 0)])?;
    /// assert_eq!((graph.edge_count(), graph.edge_weight(0, 1)), (1, 0));
    /// // All or nothing, and the error says what is wrong.
    /// let error = graph.apply(&[EdgeDelta::new(0, 0), EdgeDelta::new(0, 3)]).unwrap_err();
    /// assert_eq!(error.to_string(), "node 3 does not exist, the graph has 3 nodes");
    /// assert_eq!(graph.edge_count(), 1);
    /// # Ok::<(), ffcm::graph::GraphError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// None now: every `u32` is a possible number of nodes.
    pub fn with_nodes(count: u32) -> Result<Graph, GraphError> {
        let mut graph = Graph::new();
        graph.add_nodes(count)?;
        Ok(graph)
    }

    /// Appends `count` nodes without edges, stake 0.
    pub fn add_nodes(&mut self, count: u32) -> Result<(), GraphError> {
        static EMPTY: OnceLock<Arc<Chunk>> = OnceLock::new();
        let nodes = self
            .nodes
            .checked_add(count)
            .ok_or(GraphError::TooLarge { what: "nodes" })?;
        let empty = EMPTY.get_or_init(|| Arc::new(Chunk::default()));
        self.chunks
            .resize((nodes as usize).div_ceil(CHUNK_NODES), Arc::clone(empty));
        self.nodes = nodes;
        self.version += u64::from(count > 0);
        Ok(())
    }

    /// Number of nodes.
    pub fn node_count(&self) -> u32 {
        self.nodes
    }

    /// Number of edges.
    pub fn edge_count(&self) -> u64 {
        self.edges
    }

    /// Grows with every call that may have changed nodes, edges or stakes.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Applies a batch, later deltas of one edge winning, all or nothing. Order between different edges is irrelevant.
    ///
    /// Cost: a sort of the batch and one rewrite of each chunk it touches, on the current rayon pool.
    pub fn apply(&mut self, deltas: &[EdgeDelta]) -> Result<(), GraphError> {
        if deltas.is_empty() {
            return Ok(());
        }
        let merged = batch::merge(deltas, self.nodes, |deltas| {
            let index = chunk_of(deltas[0].source);
            let chunk = self.chunks[index].merged(deltas)?;
            Ok((index, Arc::new(chunk)))
        })?;
        for (index, chunk) in merged {
            self.edges -= self.chunks[index].edge_count() as u64;
            self.edges += chunk.edge_count() as u64;
            self.chunks[index] = chunk;
        }
        self.version += 1;
        Ok(())
    }

    /// Sets the teleport stake of `node`. While all stakes are zero, teleport is uniform.
    pub fn set_stake(&mut self, node: u32, stake: u64) -> Result<(), GraphError> {
        self.check_node(node)?;
        let old = self.stake(node);
        if old != stake {
            Arc::make_mut(&mut self.chunks[chunk_of(node)]).set_stake(local_of(node), stake);
            self.stake_total = self.stake_total - u128::from(old) + u128::from(stake);
            self.version += 1;
        }
        Ok(())
    }

    /// Stake of `node`, 0 for a node that does not exist.
    pub fn stake(&self, node: u32) -> u64 {
        self.chunks
            .get(chunk_of(node))
            .map_or(0, |chunk| chunk.stake(local_of(node)))
    }

    /// Sum of all stakes.
    pub fn stake_total(&self) -> u128 {
        self.stake_total
    }

    /// Out-edges of `node` as `(target, weight)`, targets ascending; none for a node that does not exist.
    pub fn out_edges(&self, node: u32) -> impl Iterator<Item = (u32, u64)> + '_ {
        let (targets, weights) = self.row(node);
        targets.iter().copied().zip(weights.iter().copied())
    }

    /// Targets (ascending) and weights of the out-edges of `node`; empty for a node that does not exist.
    pub fn row(&self, node: u32) -> (&[u32], &[u64]) {
        match self.chunks.get(chunk_of(node)) {
            Some(chunk) => chunk.row(local_of(node)),
            None => (&[], &[]),
        }
    }

    /// Number of out-edges of `node`.
    pub fn out_degree(&self, node: u32) -> u32 {
        // A chunk has fewer than 2^32 edges.
        self.row(node).0.len() as u32
    }

    /// Sum of the out-weights of `node`.
    pub fn out_weight(&self, node: u32) -> u64 {
        self.row(node).1.iter().sum()
    }

    /// Weight of the edge `source → target`, 0 when there is none.
    pub fn edge_weight(&self, source: u32, target: u32) -> u64 {
        let (targets, weights) = self.row(source);
        targets.binary_search(&target).map_or(0, |at| weights[at])
    }

    /// All edges as deltas, in ascending (source, target) order: a fresh graph with as many nodes becomes equal by them.
    pub fn edges(&self) -> impl Iterator<Item = EdgeDelta> + '_ {
        (0..self.nodes).flat_map(move |source| {
            self.out_edges(source)
                .map(move |(target, weight)| EdgeDelta {
                    source,
                    target,
                    weight,
                })
        })
    }

    /// BLAKE3 of nodes, edges and stakes, equal for equal graphs whatever their history.
    ///
    /// The hash of: the bytes `ffcm graph v1`, the node count (`u32`), the edge count (`u64`), then the hash of each run
    /// of 1024 nodes: of the bytes `ffcm graph chunk v1` and, per node of the run (absent ones at the end of the last
    /// count as empty), stake (`u64`), out-degree (`u32`), and by ascending target, target (`u32`) and weight (`u64`).
    /// All numbers little-endian.
    pub fn digest(&self) -> [u8; 32] {
        let hashes: Vec<&[u8; 32]> = self.chunks.par_iter().map(|chunk| chunk.digest()).collect();
        let mut hasher = blake3::Hasher::new();
        hasher.update(GRAPH_CONTEXT);
        hasher.update(&self.nodes.to_le_bytes());
        hasher.update(&self.edges.to_le_bytes());
        for hash in hashes {
            hasher.update(hash);
        }
        *hasher.finalize().as_bytes()
    }

    /// Runs of nodes whose out-edges or stakes may differ between `earlier` and this graph, ascending: all others are
    /// equal. Each is at most 1024 nodes, and may reach beyond the last node of either graph, where rows are empty.
    ///
    /// For engines that hold a prepared form and follow the graph. Graphs share the storage of what did not change, so
    /// this costs a comparison of pointers per 1024 nodes; of two unrelated graphs everything differs.
    pub fn changed_since<'a>(
        &'a self,
        earlier: &'a Graph,
    ) -> impl Iterator<Item = Range<u32>> + 'a {
        let count = self.chunks.len().max(earlier.chunks.len());
        let same = |index: usize| match (self.chunks.get(index), earlier.chunks.get(index)) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        (0..count).filter(move |&index| !same(index)).map(|index| {
            // At most 2^22 chunks; the last ends where node numbers do.
            let first = (index * CHUNK_NODES) as u32;
            first..first.saturating_add(CHUNK_NODES as u32)
        })
    }

    /// The chunks, for engines that keep a prepared form and look for what changed.
    pub(crate) fn chunks(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }

    fn check_node(&self, node: u32) -> Result<(), GraphError> {
        check_node(node, self.nodes)
    }
}

fn check_node(node: u32, nodes: u32) -> Result<(), GraphError> {
    if node < nodes {
        Ok(())
    } else {
        Err(GraphError::NoSuchNode { node, nodes })
    }
}

/// Graphs are equal when nodes, edges and stakes are; the version is history and does not count.
impl PartialEq for Graph {
    fn eq(&self, other: &Graph) -> bool {
        let same_chunk = |(a, b): (&Arc<Chunk>, &Arc<Chunk>)| {
            Arc::ptr_eq(a, b)
                || (0..CHUNK_NODES).all(|i| a.row(i) == b.row(i) && a.stake(i) == b.stake(i))
        };
        self.nodes == other.nodes
            && self.edges == other.edges
            && self.chunks.iter().zip(&other.chunks).all(same_chunk)
    }
}

impl Eq for Graph {}

fn chunk_of(node: u32) -> usize {
    node as usize / CHUNK_NODES
}

fn local_of(node: u32) -> usize {
    node as usize % CHUNK_NODES
}
