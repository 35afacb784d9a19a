//! Answering about what is committed.

use std::sync::Arc;

use ffcm::coprocessor::DeviceInfo;
use ffcm::memory::{LAYERS, SLOTS};
use focus_modules::keys;
use focus_modules::links::ParticleRecord;
use focus_state::StateTree;
use focus_store::Table;
use focus_types::{Address, AssetId, Block, Cid, Genesis, Hash32, Header, Receipt, TxId};

use crate::node::{Node, lock};
use crate::{
    AccountView, BlockReport, MemoryActivity, Metrics, NodeError, ParticleRank, ProofView, commit,
};

impl Node {
    /// Header of the last block.
    pub fn head(&self) -> Header {
        self.tip().header.clone()
    }

    /// What the chain starts from.
    pub fn genesis(&self) -> &Genesis {
        &self.chain.genesis
    }

    /// Genesis hash.
    pub fn chain_hash(&self) -> Hash32 {
        self.chain.hash
    }

    /// Address of the validator whose key this node holds.
    pub fn address(&self) -> Address {
        self.address
    }

    /// What runs the heavy jobs.
    pub fn device(&self) -> DeviceInfo {
        self.chain.coprocessor.info()
    }

    /// A block. Height 0 is genesis, without transactions.
    pub fn block(&self, height: u64) -> Result<Option<Block>, NodeError> {
        Ok(commit::record(&*self.store, height)?.map(|record| record.block))
    }

    /// How a transaction ended.
    pub fn receipt(&self, id: &TxId) -> Result<Option<Receipt>, NodeError> {
        commit::receipt(&*self.store, id)
    }

    /// An account as of the last block; one that never appeared has nonce 0 and no balances.
    pub fn account(&self, address: &Address) -> Result<AccountView, NodeError> {
        let (nonce, balance) = self.funds(address)?;
        let held = (balance > 0).then_some((AssetId::FOCUS, balance));
        Ok(AccountView {
            address: *address,
            nonce,
            balances: held.into_iter().collect(),
        })
    }

    /// The `count` particles with the largest mass, heaviest first, ties by lower index.
    pub fn top(&self, count: usize) -> Result<Vec<ParticleRank>, NodeError> {
        let tip = self.tip();
        let heaviest = top(&tip.pi, count);
        let snapshot = self.store.snapshot()?;
        let damaged = |index: u32| NodeError::Damaged(format!("particle {index}"));
        let mut ranks = Vec::with_capacity(heaviest.len());
        for (index, mass) in heaviest {
            let cid = snapshot.get(Table::State, &keys::index(index))?;
            let cid = cid.and_then(|bytes| bytes.try_into().ok()).map(Cid);
            let cid = cid.ok_or_else(|| damaged(index))?;
            let key = keys::particle(&cid);
            let record = snapshot.get(Table::State, &key)?;
            let record = ParticleRecord::decode(&key, &record.ok_or_else(|| damaged(index))?)?;
            ranks.push(ParticleRank {
                index,
                cid,
                label: record.label(),
                mass,
            });
        }
        Ok(ranks)
    }

    /// Proves the value of a state key, or its absence.
    pub fn prove(&self, key: &[u8]) -> Result<ProofView, NodeError> {
        let snapshot = self.store.snapshot()?;
        let head = commit::head_in(&*snapshot)?
            .ok_or_else(|| NodeError::Damaged("the last header is missing".into()))?;
        let value = snapshot.get(Table::State, key)?;
        let proof = StateTree::at(snapshot).prove(key)?;
        Ok(ProofView {
            key: key.to_vec(),
            value,
            proof: proof.encode(),
            state_root: head.state_root,
            height: head.height,
        })
    }

    /// Memory Arithmetic at a glance.
    pub fn memory_activity(&self) -> MemoryActivity {
        let tip = self.tip();
        let norm = |values: &[i32]| values.iter().map(|v| u64::from(v.unsigned_abs())).sum();
        MemoryActivity {
            shards: tip.memory.shards(),
            layers: LAYERS,
            slots: SLOTS,
            operations: lock(&self.telemetry).operations.clone(),
            norms: tip.memory.iter().map(|(_, values)| norm(values)).collect(),
        }
    }

    /// Pending transactions.
    pub fn mempool_len(&self) -> usize {
        lock(&self.mempool).len()
    }

    /// The last block reports, oldest first.
    pub fn reports(&self) -> Vec<Arc<BlockReport>> {
        lock(&self.telemetry).reports.iter().cloned().collect()
    }

    /// Counters and gauges.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = lock(&self.telemetry).metrics.clone();
        let tip = self.tip();
        metrics.height = tip.header.height;
        metrics.nodes = u64::from(tip.header.nodes);
        metrics.edges = tip.header.edges;
        metrics.mempool = self.mempool_len() as u64;
        metrics
    }
}

/// As [`ffcm::focus::Ranking::top`].
fn top(pi: &[u64], count: usize) -> Vec<(u32, u64)> {
    let order = |&(node, mass): &(u32, u64)| (std::cmp::Reverse(mass), node);
    let mut nodes: Vec<(u32, u64)> = (0u32..).zip(pi.iter().copied()).collect();
    if count < nodes.len() {
        nodes.select_nth_unstable_by_key(count, order);
        nodes.truncate(count);
    }
    nodes.sort_unstable_by_key(order);
    nodes
}
