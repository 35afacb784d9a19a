//! Run one node.
//!
//! [`Node`] owns a data folder: a redb store, the JSONL log beside it, and the key of a validator. It admits
//! transactions, makes blocks under solo consensus, and answers questions about what is committed. [`replay_data`] and
//! [`replay_log`] execute a chain again and compare every header field.
//!
//! # Crash safety
//!
//! A block is committed in one store transaction: state values, tree pages, π, block and receipts together. Only then is
//! its log line written and made durable. Whatever moment a process dies at, opening the folder finds the last committed
//! block, rebuilds graph, π and Memory Arithmetic from the store, checks them against the roots in its header, and
//! completes the log.

mod chain;
mod commit;
mod error;
mod folder;
mod log;
mod mempool;
mod node;
mod produce;
mod query;
mod recover;
mod replay;
mod report;
mod stages;

pub use error::NodeError;
pub use node::{Node, NodeOptions};
pub use replay::{replay_data, replay_log};
pub use report::{
    AccountView, BlockReport, MemoryActivity, Metrics, ParticleRank, ProofView, ReplayReport,
};
