//! What the node tells about itself.

use std::collections::BTreeMap;
use std::time::Duration;

use focus_types::{Address, AssetId, Cid, Hash32, Header, RejectReason};

/// One committed block as an operator wants to see it.
#[derive(Clone, Debug)]
pub struct BlockReport {
    /// Header.
    pub header: Header,
    /// Block hash.
    pub hash: Hash32,
    /// Transactions in the block.
    pub transactions: u32,
    /// Of these, how many failed: their receipts say why.
    pub failed: u32,
    /// Transactions dropped from the mempool while this block was built, because they can never run.
    pub rejected: u32,
    /// Edge deltas in the block.
    pub links: u32,
    /// Edges in the graph after it.
    pub edges: u64,
    /// Memory Arithmetic operations in the block.
    pub memory_ops: u32,
    /// Iterations π took.
    pub iterations: u32,
    /// Last residual in units of 2^-62.
    pub residual: u64,
    /// Residual after each iteration.
    pub residuals: Vec<u64>,
    /// BLAKE3 over all masses of π.
    pub pi_digest: [u8; 32],
    /// State root.
    pub state_root: Hash32,
    /// Wall time per stage, in pipeline order. Telemetry only.
    pub stages: Vec<(&'static str, Duration)>,
}

/// An account as of the last block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// Account.
    pub address: Address,
    /// Transactions it has made.
    pub nonce: u64,
    /// Units of each asset it holds, ascending by asset; none of what is locked on links.
    pub balances: Vec<(AssetId, u64)>,
}

/// A particle and its share of π.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParticleRank {
    /// Node index in the graph.
    pub index: u32,
    /// Content id.
    pub cid: Cid,
    /// The content itself if it came inline and is printable UTF-8.
    pub label: Option<String>,
    /// Mass in units of 2^-62.
    pub mass: u64,
}

/// A state proof that anybody can check against the state root of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofView {
    /// State key.
    pub key: Vec<u8>,
    /// Value, or `None` if the proof shows its absence.
    pub value: Option<Vec<u8>>,
    /// Encoded proof, as the proof crate decodes it.
    pub proof: Vec<u8>,
    /// State root it verifies against.
    pub state_root: Hash32,
    /// Height of that root.
    pub height: u64,
}

/// Memory Arithmetic at a glance. Both vectors are indexed `(shard · layers + layer) · slots + slot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryActivity {
    /// Shards.
    pub shards: u16,
    /// Layers per shard.
    pub layers: u8,
    /// Slots per layer.
    pub slots: u8,
    /// Operations applied to each slot since the node started.
    pub operations: Vec<u64>,
    /// Σ|value| of each slot, raw units.
    pub norms: Vec<u64>,
}

/// Counters since the node started, and gauges of now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Height of the last block.
    pub height: u64,
    /// Pending transactions.
    pub mempool: u64,
    /// Transactions admitted.
    pub admitted: u64,
    /// Transactions turned away, by reason; every reason has an entry.
    pub rejected: BTreeMap<RejectReason, u64>,
    /// Blocks committed.
    pub blocks: u64,
    /// Transactions committed.
    pub transactions: u64,
    /// Of these, how many failed.
    pub failed: u64,
    /// Edge deltas committed.
    pub links: u64,
    /// Memory Arithmetic operations committed.
    pub memory_ops: u64,
    /// Gas used.
    pub gas: u64,
    /// Iterations of π.
    pub iterations: u64,
    /// Blocks whose π did not converge.
    pub not_converged: u64,
    /// Particles in the graph.
    pub nodes: u64,
    /// Edges in the graph.
    pub edges: u64,
}

/// Result of executing a chain again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayReport {
    /// Last height.
    pub height: u64,
    /// Hash of the last block.
    pub tip: Hash32,
    /// Its state root.
    pub state_root: Hash32,
}
