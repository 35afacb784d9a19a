//! What the server asks of a node.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::ApiError;

/// A node as the server sees it. Calls may block and may come from many threads at once.
pub trait NodeApi: Send + Sync + 'static {
    /// Identity, tip and counters.
    fn health(&self) -> Result<Health, ApiError>;
    /// Offers a transaction, the value of `tx` in the body of `POST /tx`. A refusal is an answer, not an error.
    fn submit(&self, tx: Value) -> Result<Submitted, ApiError>;
    /// Offers transactions that came together, the values of `txs` in the body of `POST /txs`: one answer for each, in order,
    /// as [`NodeApi::submit`] would give one after the other.
    fn submit_all(&self, txs: Vec<Value>) -> Result<Vec<Submitted>, ApiError>;
    /// Header and transactions of the block at `height`.
    fn block(&self, height: u64) -> Result<Option<Value>, ApiError>;
    /// The receipt of a committed transaction.
    fn receipt(&self, txid: [u8; 32]) -> Result<Option<Value>, ApiError>;
    /// The `count` heaviest particles, heaviest first.
    fn top(&self, count: usize) -> Result<Vec<Particle>, ApiError>;
    /// The value under `key` (a path as [`crate`] documents it) with its proof.
    fn prove(&self, key: &str) -> Result<KeyProof, ApiError>;
    /// Operations per slot since the node started.
    fn memory_activity(&self) -> Result<MemoryActivity, ApiError>;
}

/// Answer to `GET /health`.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// Program version.
    pub version: String,
    /// Chain name.
    pub chain_id: String,
    /// Hash of the genesis file, hex.
    pub genesis_hash: String,
    /// Public key of this node, hex.
    pub node_key: String,
    /// Height of the tip.
    pub height: u64,
    /// Consensus round at the tip's height; always 0 under solo consensus.
    pub round: u64,
    /// Hash of the tip, hex.
    pub tip: String,
    /// State root at the tip, hex.
    pub state_root: String,
    /// Transactions that wait.
    pub mempool: u64,
    /// Totals by name.
    pub counters: BTreeMap<String, u64>,
    /// Coprocessor backend as the command line names it.
    pub backend: String,
    /// The device in words.
    pub device: String,
    /// Worker threads, 0 where that means nothing.
    pub threads: usize,
    /// Whether that backend still serves.
    pub coprocessor: CoprocessorHealth,
    /// Native code for nets on the CPU; for the metrics only.
    #[serde(skip)]
    pub jit: Option<JitHealth>,
    /// Process id.
    pub pid: u32,
    /// Resident memory in bytes, where the system tells.
    pub rss: Option<u64>,
}

/// What has become of the backend that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CoprocessorHealth {
    /// The backend that runs the next job: the one asked for, or after its failure the CPU.
    pub serving: String,
    /// Why the backend asked for serves no longer; null as long as it does.
    pub failure: Option<String>,
    /// How often a device was given up for the CPU.
    pub failovers: u64,
    /// Jobs that the CPU ran because the device does not take them.
    pub unsupported: u64,
}

/// What making native code has come to since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitHealth {
    /// Functions made.
    pub functions: u64,
    /// Time spent making them, beside the work of the node.
    pub compile_micros: u64,
    /// Bytes of code made.
    pub code_bytes: u64,
    /// Books whose code was found in memory.
    pub memory_hits: u64,
    /// Books whose code was found in the cache on disk.
    pub disk_hits: u64,
    /// Books whose code was not found.
    pub misses: u64,
    /// Failures of the cache on disk, damaged files among them.
    pub disk_errors: u64,
    /// Books given up: they took too long, or cannot be compiled.
    pub books_given_up: u64,
}

/// Answer to `POST /tx`, and to each transaction of `POST /txs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Submitted {
    /// Whether the transaction entered the mempool.
    pub ok: bool,
    /// Why not: a stable reason code; null when it did.
    pub reason: Option<String>,
    /// Transaction id, hex; null when the transaction could not be read.
    pub txid: Option<String>,
}

/// One particle of the ranking.
#[derive(Clone, Debug, Serialize)]
pub struct Particle {
    /// Name for people.
    pub label: String,
    /// Content id, hex.
    pub id: String,
    /// Share of the mass, for display.
    pub pi: f64,
    /// Exact mass out of 2^62, decimal.
    pub units: String,
}

/// Answer to `GET /proof`.
#[derive(Clone, Debug, Serialize)]
pub struct KeyProof {
    /// The state key, hex.
    pub key: String,
    /// The value, hex; null when the proof shows absence.
    pub value: Option<String>,
    /// The encoded proof, hex.
    pub proof: String,
    /// The root it leads to, hex.
    pub state_root: String,
    /// Height of that root.
    pub height: u64,
}

/// Memory Arithmetic operations per slot.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MemoryActivity {
    /// Shards.
    pub shards: u16,
    /// Layers per shard.
    pub layers: u8,
    /// Slots per layer.
    pub slots: u8,
    /// `counts[(shard · layers + layer) · slots + slot]`.
    pub counts: Vec<u64>,
}

/// One stage of making a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Name.
    pub name: String,
    /// Duration in microseconds.
    pub micros: u64,
}

/// One committed block, as events and the page show it.
#[derive(Clone, Debug, Serialize)]
pub struct BlockSummary {
    /// Height.
    pub height: u64,
    /// Hash, hex.
    pub hash: String,
    /// Transactions.
    pub transactions: u64,
    /// Edges of the graph after the block.
    pub edges: u64,
    /// π iterations.
    pub iterations: u32,
    /// Whether π converged below its bound.
    pub converged: bool,
    /// Last residual as a share of the mass, for display.
    pub residual: f64,
    /// Last residual in units of 2^-62, decimal.
    pub residual_units: String,
    /// Residual after each iteration, as shares of the mass.
    pub residuals: Vec<f64>,
    /// Digest of π, hex.
    pub pi_digest: String,
    /// State root, hex.
    pub state_root: String,
    /// Memory Arithmetic operations applied.
    pub memory_ops: u64,
    /// Transactions that failed: their receipts say why.
    pub failed: u64,
    /// Gas used, which counts the interactions of weight nets.
    pub gas: u64,
    /// Stages in order.
    pub stages: Vec<Stage>,
}
