//! What readers refuse.

use std::io;
use std::path::PathBuf;

use ffcm::graph::GraphError;
use thiserror::Error;

/// Why a file gave no graph. Every message is one line.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Where it happened.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: Box<FormatError>,
    },
    /// Reading failed.
    #[error("cannot read: {0}")]
    Io(io::Error),
    /// A line is wrong.
    #[error("line {line}: {error}")]
    Line {
        /// Line number, from 1, after decompression.
        line: u64,
        /// What is wrong.
        error: LineError,
    },
    /// There is no node in it.
    #[error("the file is empty: it has no nodes")]
    Empty,
    /// The compressed stream stops in the middle.
    #[error("the gzip stream is cut: it ends before its checksum")]
    GzipTruncated,
    /// The compressed stream is damaged.
    #[error("the gzip stream is damaged: {0}")]
    GzipDamaged(io::Error),
    /// Compressed by something else.
    #[error("the file is compressed with {0}, of which only gzip is read: decompress it first")]
    Compression(&'static str),
    /// Neither name nor content tell the format.
    #[error("unknown format: name one of edges, mtx, sg, cargo-lock, debian")]
    UnknownFormat,
    /// A [`crate::Limits`] is reached.
    #[error("more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A `.sg` file is inconsistent.
    #[error("not a serialized graph: {0}")]
    Serialized(String),
    /// A `Cargo.lock` is inconsistent.
    #[error("not a Cargo.lock: {0}")]
    CargoLock(String),
    /// The weights of equal edges do not fit together.
    #[error("the weights of the edges from {from} to {to} sum to more than 2^64 - 1")]
    WeightSum {
        /// Label of the source.
        from: String,
        /// Label of the target.
        to: String,
    },
    /// The out-weights of a node do not fit together.
    #[error("the out-weights of {node} sum to more than 2^64 - 1")]
    OutWeight {
        /// Label of the node.
        node: String,
    },
    /// The edges make no graph.
    #[error(transparent)]
    Graph(GraphError),
}

impl FormatError {
    /// `error` on `line`.
    pub(crate) fn at(line: u64) -> impl Fn(LineError) -> FormatError {
        move |error| FormatError::Line { line, error }
    }
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LineError {
    /// Too long.
    #[error("longer than {0} bytes")]
    TooLong(usize),
    /// Not text.
    #[error("not UTF-8")]
    NotUtf8,
    /// Wrong number of words.
    #[error("expected {expected}, found {found} words")]
    Columns {
        /// What the format has there.
        expected: &'static str,
        /// How many words there are.
        found: usize,
    },
    /// A node id with a minus sign.
    #[error("node {0} is negative")]
    NegativeNode(String),
    /// A numeric node id that does not fit, or is not among the nodes.
    #[error("node {0} is out of range")]
    NodeRange(String),
    /// A weight below zero.
    #[error("weight {0} is negative")]
    NegativeWeight(String),
    /// Not a number.
    #[error("weight {0} is not a decimal number")]
    WeightSyntax(String),
    /// A weight that does not fit.
    #[error("weight {0} is too large")]
    WeightTooLarge(String),
    /// A positive weight below the smallest unit.
    #[error("weight {0} is below 1e-9")]
    WeightTooSmall(String),
    /// Matrix Market header.
    #[error("{0}")]
    Header(String),
    /// Entries of a Matrix Market file missing or in excess.
    #[error("{declared} entries were declared, {found}")]
    EntryCount {
        /// As the header says.
        declared: u64,
        /// What was found instead.
        found: String,
    },
    /// A control file line that is no field.
    #[error("expected `Field: value`")]
    NoField,
    /// A field before the stanza's name.
    #[error("a stanza has no Package field")]
    NoPackage,
}
