//! Run one node.
//!
//! [`Node`] owns a data folder: a redb store, the JSONL log beside it, and the key of a validator. It admits
//! transactions, makes blocks under solo consensus, and answers questions about what is committed. [`replay_data`] and
//! [`replay_log`] execute a chain again and compare every header field.

mod error;
mod node;
mod report;

pub use error::NodeError;
pub use node::{Node, NodeOptions, replay_data, replay_log};
pub use report::{
    AccountView, BlockReport, MemoryActivity, Metrics, ParticleRank, ProofView, ReplayReport,
};
