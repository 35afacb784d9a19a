//! Weighted directed graphs that change by batches of edge deltas.

use thiserror::Error;

/// One edge delta: the edge `source → target` gets `weight`; 0 removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeDelta {
    /// Source node.
    pub source: u32,
    /// Target node.
    pub target: u32,
    /// New weight, replacing any old one; 0 removes the edge.
    pub weight: u64,
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
#[derive(Clone, Debug, Default)]
pub struct Graph {}

impl Graph {
    /// The empty graph.
    pub fn new() -> Graph {
        Graph::default()
    }

    /// Appends `count` nodes without edges, stake 0.
    pub fn add_nodes(&mut self, count: u32) -> Result<(), GraphError> {
        let _ = count;
        todo!()
    }

    /// Number of nodes.
    pub fn node_count(&self) -> u32 {
        todo!()
    }

    /// Number of edges.
    pub fn edge_count(&self) -> u64 {
        todo!()
    }

    /// Applies a batch, later deltas of one edge winning, all or nothing. Order between different edges is irrelevant.
    pub fn apply(&mut self, deltas: &[EdgeDelta]) -> Result<(), GraphError> {
        let _ = deltas;
        todo!()
    }

    /// Sets the teleport stake of `node`. While all stakes are zero, teleport is uniform.
    pub fn set_stake(&mut self, node: u32, stake: u64) -> Result<(), GraphError> {
        let _ = (node, stake);
        todo!()
    }

    /// Out-edges of `node` as `(target, weight)`, targets ascending.
    pub fn out_edges(&self, node: u32) -> impl Iterator<Item = (u32, u64)> + '_ {
        let _ = node;
        [].into_iter()
    }
}
