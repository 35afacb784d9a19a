//! Read graphs from files.
//!
//! | format | nodes | edges |
//! |---|---|---|
//! | [edge list](Format::EdgeList) | words, kept as labels | `source target [weight]`, weight 1 by default |
//! | [Matrix Market](Format::MatrixMarket) | 1 to the declared size | row → column; `symmetric` adds the mirror image |
//! | [GAPBS `.sg`](Format::Gapbs) | 0 to the declared count | the serialized out-neighbours, weight 1 |
//! | [`Cargo.lock`](Format::CargoLock) | packages, `name version` | package → dependency, weight 1 |
//! | [Debian `Packages`](Format::Debian) | package names | package → dependency, weight 1 |
//!
//! Each may be gzipped. What a file says twice counts twice: the weights of equal edges are summed, and a sum that does
//! not fit 64 bits is an error. Readers keep no more than what the file justifies, stop at [`Limits`], and name the line
//! of what they refuse.
//!
//! ```
//! use ffcm_formats::{Format, Limits, read};
//!
//! let text = "# who links to whom\nana ben 3\nben ana\nben cleo\n";
//! let file = read(text.as_bytes(), Some(Format::EdgeList), &Limits::default())?;
//! assert_eq!(file.labels, ["ana", "ben", "cleo"]);
//! assert_eq!(file.links().next(), Some(("ana", "ben", 3)));
//! # Ok::<(), ffcm_formats::FormatError>(())
//! ```

mod builder;
mod cargo_lock;
mod debian;
mod decimal;
mod edge_list;
mod error;
mod format;
mod input;
mod matrix_market;
mod sg;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ffcm::graph::Graph;

pub use error::{FormatError, LineError};
pub use format::{Format, UnknownFormatName};

use input::Input;

/// Bounds on what a reader accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most nodes.
    pub nodes: u32,
    /// Most edges, before equal ones are summed.
    pub edges: u64,
    /// Longest line in bytes.
    pub line_bytes: usize,
    /// Most bytes read, after decompression.
    pub bytes: u64,
}

impl Default for Limits {
    /// 2^26 nodes, 2^28 edges, lines of 1 MiB, 16 GiB.
    fn default() -> Limits {
        Limits {
            nodes: 1 << 26,
            edges: 1 << 28,
            line_bytes: 1 << 20,
            bytes: 1 << 34,
        }
    }
}

/// A graph and what its nodes are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabeledGraph {
    /// The graph; all stakes are 0.
    pub graph: Graph,
    /// Label of each node, all different. Nodes are in order of first appearance, or of their numbers where the format
    /// numbers them.
    pub labels: Vec<String>,
}

impl LabeledGraph {
    /// All edges as (source label, target label, weight), by source, then target.
    pub fn links(&self) -> impl Iterator<Item = (&str, &str, u64)> + '_ {
        self.graph.edges().map(|edge| {
            let label = |node: u32| self.labels[node as usize].as_str();
            (label(edge.source), label(edge.target), edge.weight)
        })
    }
}

/// Reads the file at `path`; without a `format`, the name tells it, or else the content. Errors name the path.
pub fn read_path(
    path: &Path,
    format: Option<Format>,
    limits: &Limits,
) -> Result<LabeledGraph, FormatError> {
    let by_name = || {
        path.file_name()
            .and_then(|name| Format::of_name(&name.to_string_lossy()))
    };
    File::open(path)
        .map_err(FormatError::Io)
        .and_then(|file| read(file, format.or_else(by_name), limits))
        .map_err(|error| FormatError::File {
            path: path.to_owned(),
            source: Box::new(error),
        })
}

/// Reads a graph, gzipped or not; without a `format`, the content tells it.
pub fn read(
    reader: impl Read,
    format: Option<Format>,
    limits: &Limits,
) -> Result<LabeledGraph, FormatError> {
    let mut input = Input::new(reader, limits)?;
    let format = match format {
        Some(format) => format,
        None => Format::of_content(input.peek()?).ok_or(FormatError::UnknownFormat)?,
    };
    match format {
        Format::EdgeList => edge_list::read(&mut input, limits),
        Format::MatrixMarket => matrix_market::read(&mut input, limits),
        Format::Gapbs => sg::read(&mut input, limits),
        Format::CargoLock => cargo_lock::read(&mut input, limits),
        Format::Debian => debian::read(&mut input, limits),
    }
}
