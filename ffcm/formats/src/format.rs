//! Names of formats, and how they are told.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A line per edge: `source target [weight]`, words separated by spaces or tabs; empty lines and lines that begin
    /// with `#` or `%` are skipped.
    ///
    /// Nodes are any words; one that reads as an integer must be in `0..2^64`. Weights are decimal numbers, not
    /// negative; 0 is no edge (its nodes exist). Whole weights are taken as they are. If any weight of the file has a
    /// fraction, all are counted in units of 1e-9 and digits beyond are dropped; a positive weight below 1e-9 is an
    /// error.
    EdgeList,
    /// Matrix Market `coordinate` with `pattern`, `integer` or `real` entries, `general` or `symmetric`, square.
    /// An entry (i, j) is the edge i → j; weights as in [`Format::EdgeList`].
    MatrixMarket,
    /// The serialized graph of the GAP Benchmark Suite, unweighted, directed or not.
    Gapbs,
    /// Packages and their dependencies, resolved as cargo does.
    CargoLock,
    /// A Debian `Packages` index: `Depends` and `Pre-Depends`. Of alternatives (`a | b`) the first counts; version
    /// constraints, architecture qualifiers and restrictions are dropped. A name without a stanza (a virtual
    /// package, or another suite's) is a node without out-edges.
    Debian,
}

/// A name that is no format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown format {0:?}: use edges, mtx, sg, cargo-lock or debian")]
pub struct UnknownFormatName(pub String);

impl FromStr for Format {
    type Err = UnknownFormatName;

    fn from_str(name: &str) -> Result<Format, UnknownFormatName> {
        match name {
            "edges" | "el" | "wel" | "edge-list" => Ok(Format::EdgeList),
            "mtx" | "matrix-market" => Ok(Format::MatrixMarket),
            "sg" | "gapbs" => Ok(Format::Gapbs),
            "cargo-lock" | "cargo" => Ok(Format::CargoLock),
            "debian" | "packages" => Ok(Format::Debian),
            other => Err(UnknownFormatName(other.to_owned())),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::EdgeList => "edges",
            Format::MatrixMarket => "mtx",
            Format::Gapbs => "sg",
            Format::CargoLock => "cargo-lock",
            Format::Debian => "debian",
        })
    }
}

impl Format {
    /// The format a file name tells, with or without `.gz`.
    pub fn of_name(name: &str) -> Option<Format> {
        let name = name.strip_suffix(".gz").unwrap_or(name);
        if name == "Cargo.lock" {
            return Some(Format::CargoLock);
        }
        if name == "Packages" || name.ends_with("_Packages") {
            return Some(Format::Debian);
        }
        match name.rsplit_once('.')?.1 {
            "sg" => Some(Format::Gapbs),
            "mtx" => Some(Format::MatrixMarket),
            "el" | "wel" | "edges" | "tsv" => Some(Format::EdgeList),
            _ => None,
        }
    }

    /// The format the first bytes of a file tell. Text that is nothing else is an edge list.
    pub fn of_content(head: &[u8]) -> Option<Format> {
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        if head.contains(&0) {
            return None;
        }
        if head
            .get(..14)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"%%MatrixMarket"))
        {
            return Some(Format::MatrixMarket);
        }
        let mut lines = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
        let first = lines.find(|line| !matches!(line.first(), None | Some(b'#' | b'%')));
        Some(match first {
            Some(line) if line.starts_with(b"Package:") => Format::Debian,
            Some(b"[[package]]" | b"[root]") => Format::CargoLock,
            Some(line) if line.starts_with(b"version") && line.contains(&b'=') => Format::CargoLock,
            _ => Format::EdgeList,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for name in ["edges", "mtx", "sg", "cargo-lock", "debian"] {
            assert_eq!(name.parse::<Format>().unwrap().to_string(), name);
        }
        assert_eq!(
            "csv".parse::<Format>(),
            Err(UnknownFormatName("csv".into()))
        );
    }

    #[test]
    fn file_names_tell() {
        assert_eq!(Format::of_name("kron.sg"), Some(Format::Gapbs));
        assert_eq!(Format::of_name("Cargo.lock"), Some(Format::CargoLock));
        assert_eq!(Format::of_name("Packages.gz"), Some(Format::Debian));
        assert_eq!(
            Format::of_name("dists_main_binary-amd64_Packages"),
            Some(Format::Debian)
        );
        assert_eq!(Format::of_name("web.mtx.gz"), Some(Format::MatrixMarket));
        assert_eq!(Format::of_name("notes.txt"), None);
    }

    #[test]
    fn content_tells() {
        assert_eq!(
            Format::of_content(b"%%matrixmarket matrix"),
            Some(Format::MatrixMarket)
        );
        assert_eq!(
            Format::of_content(b"# c\n\nversion = 4\n"),
            Some(Format::CargoLock)
        );
        assert_eq!(Format::of_content(b"Package: a\n"), Some(Format::Debian));
        assert_eq!(
            Format::of_content(b"# c\r\n1 2\r\n"),
            Some(Format::EdgeList)
        );
        assert_eq!(Format::of_content(b""), Some(Format::EdgeList));
        assert_eq!(Format::of_content(b"\0\0"), None);
    }
}
