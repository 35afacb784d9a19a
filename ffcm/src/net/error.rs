//! Errors of loading and of reducing a net.

use thiserror::Error;

/// Why a text is not a valid book. Lines and columns count from 1, columns in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The text does not follow the grammar.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// What was expected or found.
        message: String,
    },
    /// The file is not text.
    #[error("not valid UTF-8 at byte {offset}")]
    NotUtf8 {
        /// First byte that does not belong to a character, from 0.
        offset: usize,
    },
    /// A name is defined twice.
    #[error("line {line}: @{name} is already defined")]
    DuplicateDefinition {
        /// The name.
        name: String,
        /// Line of the later definition, from 1.
        line: usize,
    },
    /// A reference names no definition.
    #[error("@{definition}: reference to undefined @{name}")]
    UndefinedReference {
        /// Definition that holds the reference.
        definition: String,
        /// The missing name.
        name: String,
    },
    /// A variable does not occur exactly twice in its definition.
    #[error(
        "@{definition}: variable `{variable}` occurs {count} time(s), must occur exactly twice"
    )]
    NotAffine {
        /// Definition that holds the variable.
        definition: String,
        /// The variable's name.
        variable: String,
        /// How often it occurs.
        count: usize,
    },
    /// Something is larger than the loader allows.
    #[error("{what} is {size}, the limit is {limit}")]
    TooLarge {
        /// What was measured.
        what: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The book lacks the definition that was to be run.
    #[error("no definition @{name}")]
    NoEntry {
        /// The missing name.
        name: String,
    },
}

/// Why a reduction gave no result. All of these leave the book untouched.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReduceError {
    /// More interactions than allowed: a property of the net, not of the schedule.
    #[error("out of gas: the net needs more than {limit} interactions")]
    OutOfGas {
        /// The limit that was set.
        limit: u64,
    },
    /// The heap limit was reached. Depends on the schedule; raise the limit and run again.
    #[error("out of heap: the limit of {limit} nodes ({} MiB) was reached", limit / 65536)]
    OutOfHeap {
        /// The limit in nodes of 16 bytes.
        limit: u64,
    },
    /// The normal form contains itself.
    #[error("vicious circle: the normal form contains itself")]
    ViciousCircle,
    /// The normal form is longer than the limit.
    #[error("the result is longer than {limit} bytes")]
    ResultTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The call does not fit the book.
    #[error("invalid call: {0}")]
    InvalidCall(String),
    /// The caller asked the engine to stop.
    #[error("stopped after {interactions} interactions")]
    Cancelled {
        /// Interactions made so far; depends on the schedule.
        interactions: u64,
    },
}
