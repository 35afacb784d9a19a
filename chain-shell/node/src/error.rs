//! What can go wrong with a node.

use std::path::PathBuf;

use ffcm::coprocessor::JobError;
use ffcm_sandboxes::WeightFailure;
use ffcm_scheduler::ReadError;
use focus_modules::ModuleError;
use focus_state::StateError;
use focus_store::StoreError;
use focus_types::{Address, GenesisError, Hash32};
use thiserror::Error;

/// Why the node cannot do what was asked. One line: what, where, and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The genesis is not valid.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The genesis file of a data folder is not valid.
    #[error("{}: {error}", path.display())]
    GenesisFile {
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        error: GenesisError,
    },
    /// The genesis names a weight net that cannot be used.
    #[error("genesis: weight_net: {0}")]
    WeightNet(String),
    /// The genesis leaves too little room in a block.
    #[error("genesis: budgets: a block must hold any one transaction: {gas} gas, {bytes} bytes")]
    Budgets {
        /// Gas of the costliest transaction.
        gas: u64,
        /// Bytes of the longest.
        bytes: u64,
    },
    /// The folder holds another chain.
    #[error("{} holds the chain {found}, not {expected}; use another folder", path.display())]
    OtherGenesis {
        /// Data folder.
        path: PathBuf,
        /// Genesis hash of what is there.
        found: Hash32,
        /// Genesis hash of what was given.
        expected: Hash32,
    },
    /// The folder holds no chain.
    #[error("{} holds no chain; create one first", path.display())]
    NoChain {
        /// Data folder.
        path: PathBuf,
    },
    /// The key does not belong to a validator of the chain.
    #[error("{address} is not a validator of this chain")]
    NotValidator {
        /// Address of the key.
        address: Address,
    },
    /// A file of the data folder cannot be read or written.
    #[error("{}: {message}", path.display())]
    File {
        /// File or folder.
        path: PathBuf,
        /// What happened and what to do.
        message: String,
    },
    /// Another process runs on the folder.
    #[error("{} is in use by another process; stop it first or use another folder", path.display())]
    InUse {
        /// Data folder.
        path: PathBuf,
    },
    /// A line of the log is not what was written.
    #[error("{}, line {line}: {message}", path.display())]
    Log {
        /// Log file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong with it.
        message: String,
    },
    /// Executing a block again gives something else than its header says.
    #[error("block {height}: {field} differs from what executing it gives")]
    Mismatch {
        /// Header field, or what else was compared.
        field: &'static str,
        /// Height.
        height: u64,
    },
    /// Stored bytes are not what the node wrote.
    #[error("stored data is damaged: {0}; restore the folder, or rebuild it from the log")]
    Damaged(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state tree cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A module cannot work on what is stored.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The coprocessor failed.
    #[error(transparent)]
    Coprocessor(#[from] JobError),
    /// Weight nets could not be evaluated.
    #[error(transparent)]
    Weights(#[from] WeightFailure),
    /// Consensus and node disagree about what is going on.
    #[error("{0}")]
    Consensus(String),
}

impl From<ReadError> for NodeError {
    fn from(error: ReadError) -> NodeError {
        NodeError::Module(ModuleError::Read(error))
    }
}

impl NodeError {
    /// Whether this is a verification mismatch rather than a failure to run.
    pub fn is_mismatch(&self) -> bool {
        matches!(self, NodeError::Mismatch { .. })
    }
}
