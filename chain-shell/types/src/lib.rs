//! Name what the chain is made of.
//!
//! Byte types, keys, transactions, blocks, receipts and the genesis file, with their canonical encodings: `borsh` for
//! everything that is hashed or signed, JSON for people. Nothing here reads a clock, a file or the network.

mod block;
mod bytes;
mod genesis;
mod hash;
pub mod json;
mod keys;
pub mod merkle;
mod reason;
#[cfg(test)]
mod tests;
mod transaction;

pub use block::{Block, BlockDecodeError, Certificate, HEADER_VERSION, Header, Receipt};
pub use bytes::{Address, Cid, Hash32, ParseBytesError, Signature, TxId};
pub use genesis::{
    Budgets, Fees, FocusGenesis, Genesis, GenesisAccount, GenesisError, MemoryGenesis, MemoryInit,
    WeightNet,
};
pub use hash::{Domain, hash};
pub use keys::{
    KeyError, Keypair, SignatureError, SignedMessage, verify, verify_batch, verify_each,
};
pub use reason::{Outcome, RejectReason};
pub use transaction::{
    AssetId, Body, INLINE_MAX, MaOp, Particle, SignedTx, SlotTarget, TX_BYTES_MAX, Transaction,
};
