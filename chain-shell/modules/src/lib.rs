//! Apply transactions.
//!
//! One module per concern, all on the one key-space of [`keys`]: [`bank`] moves tokens, [`links`] turns stakes on links
//! into edge deltas, [`memory`] checks and stores Memory Arithmetic. [`ChainExecutor`] runs them under the scheduler.
//!
//! # Order within a block
//!
//! 1. Every transaction in block order: nonce, fee, then its body. A transfer is done here. A link moves its stake here
//!    and yields a [`links::LinkEffect`]; a Memory Arithmetic operation is checked and yielded.
//! 2. The Memory Arithmetic operations, as one batch.
//! 3. The link effects in block order: particles, edge records, one weight-net call each, then edge deltas.
//! 4. Refunds of unused gas and the proposer's fees, as credits.

pub mod bank;
mod error;
mod executor;
pub mod gas;
pub mod keys;
pub mod links;
pub mod memory;

pub use error::ModuleError;
pub use executor::{ChainExecutor, Effect, Rules, Task};
