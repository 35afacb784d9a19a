//! Agree on blocks.
//!
//! An [`Engine`] is a state machine without input or output of its own: the node feeds it [`Input`]s in any order and
//! carries out the [`Output`]s it answers with, in the order given. It knows no clock, no network and no disk, so that
//! a simulator can drive it as well as a node. Blocks are known to it by height and hash only.
//!
//! ```text
//! node                      engine
//!  ── Start ──────────────▶  Propose { height, parent }
//!  builds a block, executes it
//!  ── PayloadReady ───────▶  (votes, certificates, messages …)  Decide { height, block, certificate }
//!  commits in one transaction
//!  ── CommitDone ─────────▶  next height
//! ```
//! [`Output::Persist`] has to be durable before any later output of the same answer is carried out; an engine that restarts gets
//! the last persisted bytes back when it is made.

mod solo;

use std::time::Duration;

use focus_types::{Address, Certificate, Hash32};
use thiserror::Error;

pub use solo::Solo;

/// What happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// The node is ready to make or follow blocks.
    Start,
    /// Another member sent bytes.
    Message {
        /// Who.
        from: Address,
        /// What; anything at all.
        bytes: Vec<u8>,
    },
    /// A timer set by [`Output::SetTimer`] went off.
    Timeout {
        /// Its number.
        timer: u64,
    },
    /// The block asked for by [`Output::Propose`] is built and executed.
    PayloadReady {
        /// Height.
        height: u64,
        /// Parent.
        parent: Hash32,
        /// Block hash.
        block: Hash32,
        /// What a certificate signs for it.
        certificate_bytes: [u8; 32],
    },
    /// The block asked for cannot be built now: nothing to put into it, or building failed.
    PayloadAbsent {
        /// Height.
        height: u64,
    },
    /// A decided block could not be made durable; it is as if it had not been built.
    CommitFailed {
        /// Height.
        height: u64,
    },
    /// A decided block is durable.
    CommitDone {
        /// Height.
        height: u64,
        /// Block hash.
        block: Hash32,
    },
}

/// What the node has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Build a block on `parent` and answer with [`Input::PayloadReady`] or [`Input::PayloadAbsent`].
    Propose {
        /// Height.
        height: u64,
        /// Parent.
        parent: Hash32,
    },
    /// Send bytes to one member.
    Send {
        /// Whom.
        to: Address,
        /// What.
        bytes: Vec<u8>,
    },
    /// Send bytes to all members.
    Broadcast {
        /// What.
        bytes: Vec<u8>,
    },
    /// Answer with [`Input::Timeout`] after a while; a timer set again starts anew.
    SetTimer {
        /// Its number.
        timer: u64,
        /// How long.
        after: Duration,
    },
    /// Keep bytes, replacing the last ones.
    Persist {
        /// What.
        bytes: Vec<u8>,
    },
    /// The block is agreed on: commit it with this certificate and answer with [`Input::CommitDone`].
    Decide {
        /// Height.
        height: u64,
        /// Block hash.
        block: Hash32,
        /// Proof of agreement.
        certificate: Certificate,
    },
}

/// An input that does not belong to what the engine is doing. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// It does not fit the engine's state.
    #[error("consensus at height {height}: unexpected {input}")]
    Unexpected {
        /// Height the engine works on.
        height: u64,
        /// What came.
        input: &'static str,
    },
    /// The key cannot speak for this chain.
    #[error("{0} is not a validator")]
    NotValidator(Address),
}

/// A consensus protocol.
pub trait Engine: Send {
    /// Name as configuration knows it.
    fn name(&self) -> &'static str;

    /// Takes one input and answers with what to do.
    fn handle(&mut self, input: Input) -> Result<Vec<Output>, EngineError>;
}
