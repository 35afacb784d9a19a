//! Order work deterministically.
//!
//! Executors read state through a [`StateView`] and yield a [`WriteSet`]; write-sets merge in canonical order into the
//! one that storage commits. [`execute`] is the sequential definition: whatever runs tasks in parallel has to give the
//! same outcomes, the same writes and the same credits.

mod execute;
mod task;
mod writes;

pub use execute::{Budget, Cost, Execution, Executor, OutcomeOf, TaskOutcome, execute};
pub use task::TaskView;
pub use writes::{CreditError, Credits, Pending, WriteSet};

use thiserror::Error;

/// A read failed below the scheduler (storage damaged or gone). Never the fault of a transaction.
#[derive(Debug, Error)]
#[error("state read failed: {0}")]
pub struct ReadError(pub String);

/// Read access to a snapshot of the one key-space.
pub trait StateView {
    /// The value under `key`, or `None`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError>;
}
