//! Headers, blocks and receipts.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Address, Domain, Hash32, Outcome, Signature, SignedTx, TxId, hash, json};

/// Version of the header's fields. Later roots get a new version.
pub const HEADER_VERSION: u16 = 1;

/// Bytes that are not a block.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a block: {0}")]
pub struct BlockDecodeError(pub String);

/// What shows that a header was agreed on.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Certificate {
    /// Height 0: agreed on by having the same genesis.
    Genesis,
    /// One validator: the proposer's signature over [`Header::certificate_bytes`].
    Solo(Signature),
}

/// Everything a block commits to. Roots are over the state after the block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Header {
    /// [`HEADER_VERSION`].
    pub version: u16,
    /// Genesis hash.
    pub chain: Hash32,
    /// Height; genesis is 0.
    #[serde(with = "json::integer")]
    pub height: u64,
    /// Hash of the header before.
    pub parent: Hash32,
    /// Root of the state tree.
    pub state_root: Hash32,
    /// Merkle root of the signed transactions.
    pub tx_root: Hash32,
    /// Merkle root of the receipts.
    pub receipt_root: Hash32,
    /// Merkle root of the chunks of π.
    pub pi_root: Hash32,
    /// Digest of the graph: nodes, edges, weights and teleport stakes.
    pub graph_root: Hash32,
    /// Merkle root of all Memory Arithmetic slots; 256 consecutive leaves are one shard.
    pub ma_root: Hash32,
    /// Last residual of π in units of 2^-62.
    #[serde(with = "json::integer")]
    pub residual: u64,
    /// Iterations π took.
    pub iterations: u32,
    /// Whether the residual fell below ε within the cap.
    pub converged: bool,
    /// Gas used by the transactions.
    #[serde(with = "json::integer")]
    pub gas_used: u64,
    /// Particles in the graph.
    pub nodes: u32,
    /// Edges in the graph.
    #[serde(with = "json::integer")]
    pub edges: u64,
    /// Who made the block and gets its fees.
    pub proposer: Address,
    /// Agreement. Not part of the block hash.
    pub certificate: Certificate,
}

impl Header {
    /// Hash of everything but the certificate: the block's hash.
    pub fn hash(&self) -> Hash32 {
        let bare = Header {
            certificate: Certificate::Genesis,
            ..self.clone()
        };
        let bytes = borsh::to_vec(&bare).expect("writing to a vector does not fail");
        hash(Domain::Header, &bytes)
    }

    /// What a validator signs to agree: the block hash in the domain of certificates.
    pub fn certificate_bytes(&self) -> [u8; 32] {
        hash(Domain::Certificate, &self.hash().0).0
    }
}

/// A header and the transactions under it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Block {
    /// Header.
    pub header: Header,
    /// Transactions in order.
    pub transactions: Vec<SignedTx>,
}

impl Block {
    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to a vector does not fail")
    }

    /// Reads canonical bytes: nothing missing, nothing left over.
    pub fn decode(bytes: &[u8]) -> Result<Block, BlockDecodeError> {
        borsh::from_slice(bytes).map_err(|error| BlockDecodeError(error.to_string()))
    }
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Receipt {
    /// Transaction.
    pub txid: TxId,
    /// Whether it did what it says.
    pub ok: bool,
    /// Why not, or `ok`.
    pub reason: Outcome,
    /// Block.
    #[serde(with = "json::integer")]
    pub height: u64,
    /// Position in the block.
    pub index: u32,
    /// Gas used.
    #[serde(with = "json::integer")]
    pub gas: u64,
}

impl Receipt {
    /// Canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        borsh::to_vec(self).expect("writing to a vector does not fail")
    }

    /// Reads canonical bytes.
    pub fn decode(bytes: &[u8]) -> Result<Receipt, BlockDecodeError> {
        borsh::from_slice(bytes).map_err(|error| BlockDecodeError(error.to_string()))
    }

    /// Leaf of the receipt root.
    pub fn leaf(&self) -> Hash32 {
        hash(Domain::Receipt, &self.encode())
    }
}
