//! What a block leaves in the store, all in one transaction.
//!
//! ```text
//! State     state key                       value
//! Pages     pages of the state tree
//! Meta      "genesis"                       canonical JSON of the genesis
//!           "head"                          header of the last block
//!           "pi/" chunk u32 big-endian      1024 masses, u64 little-endian
//! Blocks    height u64 big-endian           block, and the transition it made
//! Receipts  transaction id                  receipt
//! ```

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use ffcm::focus::MASS;
use ffcm::graph::Graph;
use ffcm::memory::Memory;
use ffcm_scheduler::WriteSet;
use focus_modules::{keys, memory};
use focus_state::StateTree;
use focus_store::{Batch, Snapshot, Store, Table};
use focus_types::{
    AssetId, Block, Certificate, Domain, HEADER_VERSION, Hash32, Header, MemoryInit, Receipt, TxId,
    hash, merkle,
};
use serde::{Deserialize, Serialize};

use crate::NodeError;
use crate::chain::{Chain, Executed, Tip};

/// Meta key of the genesis.
pub const GENESIS: &[u8] = b"genesis";
/// Meta key of the last header.
pub const HEAD: &[u8] = b"head";
/// Meta prefix of the chunks of π.
pub const PI: &[u8] = b"pi/";

/// What a block did to the state.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    /// State root before.
    pub from: Hash32,
    /// State root after.
    pub to: Hash32,
    /// State keys written or deleted.
    pub keys: u64,
    /// BLAKE3 over the sorted changes.
    pub digest: Hash32,
}

impl Transition {
    /// The transition that `writes` make: each change as key length u32, key, and 0 or 1, value length u32, value.
    pub fn of(from: Hash32, to: Hash32, writes: &WriteSet) -> Transition {
        let mut hasher = blake3::Hasher::new();
        for (key, value) in writes.iter() {
            hasher.update(&(key.len() as u32).to_le_bytes());
            hasher.update(key);
            match value {
                None => hasher.update(&[0]),
                Some(value) => {
                    hasher.update(&[1]);
                    hasher.update(&(value.len() as u32).to_le_bytes());
                    hasher.update(value)
                }
            };
        }
        Transition {
            from,
            to,
            keys: writes.len() as u64,
            digest: Hash32(*hasher.finalize().as_bytes()),
        }
    }
}

/// A block as stored under its height.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BlockRecord {
    /// The block.
    pub block: Block,
    /// What it did.
    pub transition: Transition,
}

/// The key of a block.
pub fn block_key(height: u64) -> [u8; 8] {
    height.to_be_bytes()
}

/// The key of a chunk of π.
pub fn pi_key(chunk: u32) -> Vec<u8> {
    [PI, &chunk.to_be_bytes()].concat()
}

/// Everything a block writes.
pub fn block_batch(parent: &Header, executed: &Executed) -> (Batch, BlockRecord) {
    let header = &executed.tip.header;
    let record = BlockRecord {
        block: Block {
            header: header.clone(),
            transactions: executed
                .included
                .iter()
                .map(|task| (*task.tx).clone())
                .collect(),
        },
        transition: Transition::of(parent.state_root, header.state_root, &executed.writes),
    };
    let mut batch = state_batch(&executed.writes);
    executed.tree.add_to(&mut batch);
    for (chunk, bytes) in &executed.pi_chunks {
        batch.put(Table::Meta, pi_key(*chunk), bytes.clone());
    }
    put_record(&mut batch, &record);
    for receipt in &executed.receipts {
        batch.put(Table::Receipts, receipt.txid.0, receipt.encode());
    }
    (batch, record)
}

fn state_batch(writes: &WriteSet) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in writes.iter() {
        match value {
            Some(value) => batch.put(Table::State, key, value),
            None => batch.delete(Table::State, key),
        }
    }
    batch
}

fn put_record(batch: &mut Batch, record: &BlockRecord) {
    let header = &record.block.header;
    batch.put(Table::Meta, HEAD, encode(header));
    batch.put(Table::Blocks, block_key(header.height), encode(record));
}

fn encode<T: BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("writing to a vector does not fail")
}

/// Commits height 0 to an empty store and returns its state.
pub fn commit_genesis(chain: &Chain, store: &dyn Store) -> Result<Tip, NodeError> {
    let (tip, writes) = genesis_tip(chain)?;
    let mut tip = tip;
    let tree = StateTree::of(store)?.update(writes.iter())?;
    tip.header.state_root = Hash32(tree.root());
    tip.hash = tip.header.hash();
    let mut batch = state_batch(&writes);
    tree.add_to(&mut batch);
    batch.put(Table::Meta, GENESIS, chain.genesis.canonical());
    let record = BlockRecord {
        block: Block {
            header: tip.header.clone(),
            transactions: Vec::new(),
        },
        transition: Transition::of(Hash32::ZERO, tip.header.state_root, &writes),
    };
    put_record(&mut batch, &record);
    store.commit(&batch)?;
    Ok(tip)
}

/// Height 0 without its state root, and what it writes.
fn genesis_tip(chain: &Chain) -> Result<(Tip, WriteSet), NodeError> {
    let genesis = &chain.genesis;
    let mut writes = WriteSet::new();
    let mut supply = 0u64;
    for account in &genesis.accounts {
        if account.balance > 0 {
            let key = keys::balance(AssetId::FOCUS, &account.address);
            writes.put(key, account.balance.to_le_bytes());
        }
        supply += account.balance;
    }
    writes.put(keys::supply(AssetId::FOCUS), supply.to_le_bytes());
    let tensor = match genesis.ma.init {
        MemoryInit::Zero => Memory::zero(genesis.ma.shards),
        MemoryInit::Hash(seed) => Memory::from_seed(genesis.ma.shards, seed.0),
    };
    if genesis.ma.init != MemoryInit::Zero {
        for (slot, values) in tensor.iter() {
            writes.put(keys::memory(slot), memory::encode(values));
        }
    }
    let slot_hashes = slot_hashes(&tensor);
    let graph = Graph::new();
    let header = Header {
        version: HEADER_VERSION,
        chain: chain.hash,
        height: 0,
        parent: Hash32::ZERO,
        state_root: Hash32::ZERO,
        tx_root: merkle::root([]),
        receipt_root: merkle::root([]),
        pi_root: merkle::root([]),
        graph_root: Hash32(graph.digest()),
        ma_root: merkle::root(slot_hashes.iter().copied()),
        residual: 0,
        iterations: 0,
        converged: true,
        gas_used: 0,
        nodes: 0,
        edges: 0,
        proposer: genesis.validators[0],
        certificate: Certificate::Genesis,
    };
    let tip = Tip {
        hash: header.hash(),
        header,
        graph,
        pi: Vec::new(),
        pi_hashes: Vec::new(),
        memory: Arc::new(tensor),
        slot_hashes: Arc::new(slot_hashes),
    };
    Ok((tip, writes))
}

/// Hash of each slot in order of position.
pub fn slot_hashes(tensor: &Memory) -> Vec<Hash32> {
    tensor
        .iter()
        .map(|(_, values)| hash(Domain::MemorySlot, &memory::encode(values)))
        .collect()
}

/// Reads the last header.
pub fn head(store: &dyn Store) -> Result<Option<Header>, NodeError> {
    decode_opt(store.get(Table::Meta, HEAD)?, "the last header")
}

/// Reads the last header of a snapshot.
pub fn head_in(snapshot: &dyn Snapshot) -> Result<Option<Header>, NodeError> {
    decode_opt(snapshot.get(Table::Meta, HEAD)?, "the last header")
}

/// Reads the record of a block.
pub fn record(store: &dyn Store, height: u64) -> Result<Option<BlockRecord>, NodeError> {
    let bytes = store.get(Table::Blocks, &block_key(height))?;
    let record: Option<BlockRecord> = decode_opt(bytes, &format!("block {height}"))?;
    if record
        .as_ref()
        .is_some_and(|r| r.block.header.height != height)
    {
        return Err(NodeError::Damaged(format!(
            "block {height} has another height"
        )));
    }
    Ok(record)
}

/// Reads the record of a block that has to be there.
pub fn record_of(store: &dyn Store, height: u64) -> Result<BlockRecord, NodeError> {
    record(store, height)?.ok_or_else(|| NodeError::Damaged(format!("block {height} is missing")))
}

/// Reads a receipt.
pub fn receipt(store: &dyn Store, id: &TxId) -> Result<Option<Receipt>, NodeError> {
    decode_opt(
        store.get(Table::Receipts, &id.0)?,
        &format!("the receipt of {id}"),
    )
}

/// Reads the receipts of a block that has to be there.
pub fn receipts_of(store: &dyn Store, block: &Block) -> Result<Vec<Receipt>, NodeError> {
    let read = |id: TxId| {
        receipt(store, &id)?
            .ok_or_else(|| NodeError::Damaged(format!("the receipt of {id} is missing")))
    };
    block.transactions.iter().map(|tx| read(tx.id())).collect()
}

fn decode_opt<T: BorshDeserialize>(
    bytes: Option<Vec<u8>>,
    what: &str,
) -> Result<Option<T>, NodeError> {
    bytes
        .map(|bytes| {
            borsh::from_slice(&bytes)
                .map_err(|error| NodeError::Damaged(format!("{what} cannot be read: {error}")))
        })
        .transpose()
}

/// Sum of π; [`MASS`] for a graph with nodes.
pub fn mass_is_whole(pi: &[u64]) -> bool {
    let sum: u128 = pi.iter().map(|mass| u128::from(*mass)).sum();
    sum == if pi.is_empty() { 0 } else { u128::from(MASS) }
}
