//! The node.

use std::path::Path;
use std::sync::Arc;

use ffcm::coprocessor::Coprocessor;
use focus_types::{
    Address, Block, Genesis, Header, Keypair, Receipt, RejectReason, SignedTx, TxId,
};

use crate::{
    AccountView, BlockReport, MemoryActivity, Metrics, NodeError, ParticleRank, ProofView,
    ReplayReport,
};

/// Bounds and habits of one node; none of them changes a committed byte of a given block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeOptions {
    /// Pending transactions in all.
    pub mempool_cap: usize,
    /// Pending transactions per sender.
    pub sender_cap: usize,
    /// Transaction ids remembered against resubmission.
    pub seen_cap: usize,
    /// How far a nonce may be ahead of its account.
    pub nonce_gap: u64,
    /// Whether [`Node::produce`] makes blocks without transactions.
    pub empty_blocks: bool,
    /// Block reports kept for [`Node::reports`].
    pub reports: usize,
}

impl Default for NodeOptions {
    /// 250 000 pending, 20 000 per sender, 500 000 remembered, gaps up to 20 000, no empty blocks, 256 reports.
    fn default() -> NodeOptions {
        NodeOptions {
            mempool_cap: 250_000,
            sender_cap: 20_000,
            seen_cap: 500_000,
            nonce_gap: 20_000,
            empty_blocks: false,
            reports: 256,
        }
    }
}

/// One node on one data folder. All methods may be called from any thread; the folder is locked against other
/// processes while this lives.
pub struct Node {}

impl Node {
    /// Creates a chain in `data`: a new or empty folder, or one that holds this very chain already (then it continues).
    pub fn create(
        data: &Path,
        genesis: &Genesis,
        key: Keypair,
        coprocessor: Arc<dyn Coprocessor>,
        options: NodeOptions,
    ) -> Result<Node, NodeError> {
        let _ = (data, genesis, key, coprocessor, options);
        todo!()
    }

    /// Opens the chain in `data`: recovers, verifies, continues. The validator's key is the one kept in the folder.
    pub fn open(
        data: &Path,
        coprocessor: Arc<dyn Coprocessor>,
        options: NodeOptions,
    ) -> Result<Node, NodeError> {
        let _ = (data, coprocessor, options);
        todo!()
    }

    /// Admits a transaction to the mempool, or says why not.
    pub fn submit(&self, tx: SignedTx) -> Result<TxId, RejectReason> {
        let _ = tx;
        todo!()
    }

    /// Counts a submission that never became a transaction, such as undecodable bytes.
    pub fn count_rejected(&self, reason: RejectReason) {
        let _ = reason;
        todo!()
    }

    /// Makes and commits one block. `None` if nothing is pending and empty blocks are off.
    pub fn produce(&self) -> Result<Option<BlockReport>, NodeError> {
        todo!()
    }

    /// Header of the last block.
    pub fn head(&self) -> Header {
        todo!()
    }

    /// What the chain starts from.
    pub fn genesis(&self) -> &Genesis {
        todo!()
    }

    /// Address of the validator whose key this node holds.
    pub fn address(&self) -> Address {
        todo!()
    }

    /// A block. Height 0 is genesis, without transactions.
    pub fn block(&self, height: u64) -> Result<Option<Block>, NodeError> {
        let _ = height;
        todo!()
    }

    /// How a transaction ended.
    pub fn receipt(&self, id: &TxId) -> Result<Option<Receipt>, NodeError> {
        let _ = id;
        todo!()
    }

    /// An account as of the last block; one that never appeared has nonce 0 and no balances.
    pub fn account(&self, address: &Address) -> Result<AccountView, NodeError> {
        let _ = address;
        todo!()
    }

    /// The `count` particles with the largest mass, heaviest first, ties by lower index.
    pub fn top(&self, count: usize) -> Result<Vec<ParticleRank>, NodeError> {
        let _ = count;
        todo!()
    }

    /// Proves the value of a state key, or its absence.
    pub fn prove(&self, key: &[u8]) -> Result<ProofView, NodeError> {
        let _ = key;
        todo!()
    }

    /// Memory Arithmetic at a glance.
    pub fn memory_activity(&self) -> MemoryActivity {
        todo!()
    }

    /// Pending transactions.
    pub fn mempool_len(&self) -> usize {
        todo!()
    }

    /// The last block reports, oldest first.
    pub fn reports(&self) -> Vec<Arc<BlockReport>> {
        todo!()
    }

    /// Counters and gauges.
    pub fn metrics(&self) -> Metrics {
        todo!()
    }
}

/// Executes the blocks in a data folder's store from genesis and compares every header field and the final state.
pub fn replay_data(
    data: &Path,
    coprocessor: Arc<dyn Coprocessor>,
) -> Result<ReplayReport, NodeError> {
    let _ = (data, coprocessor);
    todo!()
}

/// Executes a log from the genesis in its first line and compares every header field, receipt and transition.
pub fn replay_log(
    file: &Path,
    coprocessor: Arc<dyn Coprocessor>,
) -> Result<ReplayReport, NodeError> {
    let _ = (file, coprocessor);
    todo!()
}
