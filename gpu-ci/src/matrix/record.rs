//! Records of conformance: which backend gave what, on which driver, at which commit.
//!
//! There are two kinds. A *software* record, `gpu-ci/records/software-COMMIT/record.json`, is written by
//! `cargo xtask matrix run`. A *card's*, `gpu-ci/records/CARD-COMMIT/record.json`, by `gpu-ci/record.sh`. Neither may pass for the
//! other. Files come from other people's machines, so all that is read is bounded and nothing of it is trusted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::suites::is_digest;

/// Where records lie.
pub const FOLDER: &str = "gpu-ci/records/";
/// What the name of a software record's folder begins with.
pub const SOFTWARE: &str = "software-";
/// The version of both formats that is read and written.
pub const FORMAT: u64 = 1;

/// Longest record in bytes, most rows and suites, longest text.
const BYTES_MAX: usize = 1 << 20;
const ROWS_MAX: usize = 64;
const SUITES_MAX: usize = 32;
const TEXT_MAX: usize = 400;

/// Why a file is no record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Longer than any record.
    #[error("{0} bytes, the most is {BYTES_MAX}")]
    TooLarge(usize),
    /// No JSON, or not that of a record.
    #[error("{0}")]
    Shape(String),
    /// Written by another version.
    #[error("format {0}, this version reads {FORMAT}")]
    Format(u64),
    /// More entries than any record has.
    #[error("{count} {what}, the most is {most}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A value that cannot be.
    #[error("{what}: `{value}`")]
    Value {
        /// Which one.
        what: &'static str,
        /// Its beginning.
        value: String,
    },
    /// A software driver's results among those of cards, or the other way round.
    #[error("{0}")]
    Misplaced(String),
}

/// What a machine gave, as the matrix shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`FORMAT`].
    pub format: u64,
    /// `software`, or `card` for what is read from a card's record.
    pub kind: Kind,
    /// The commit, abbreviated.
    pub commit: String,
    /// When, as `2026-01-31T12:00:00Z`; records are compared by it as text.
    pub taken: String,
    /// The machine in words.
    pub machine: String,
    /// One for each backend and driver.
    pub rows: Vec<Row>,
}

/// What a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Software drivers and the CPU: says nothing about a GPU.
    Software,
    /// A GPU.
    Card,
}

/// A backend on a driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// `cpu`, `wgpu`, `cuda` and so on.
    pub backend: String,
    /// `lavapipe`, `SwiftShader`, `hardware` and so on.
    pub driver: String,
    /// What it ran on, with versions.
    pub device: String,
    /// What it gave.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Suites by name.
    Suites(BTreeMap<String, Cell>),
    /// The kernels compiled and were not run: the digest of their text.
    Compiled(String),
    /// Nothing ran, and why.
    NotRun(String),
    /// It did not end as it should.
    Failed(String),
}

/// A suite on a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Cell {
    /// Every case was equal to the oracle.
    Passed {
        /// Over all results.
        digest: String,
        /// Cases compared.
        cases: u64,
    },
    /// The backend has no such jobs.
    NotSupported,
    /// It differs from the oracle, or did not end.
    Failed {
        /// What differs.
        reason: String,
    },
}

impl Record {
    /// Reads the record of the folder `name`.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Record, RecordError> {
        if bytes.len() > BYTES_MAX {
            return Err(RecordError::TooLarge(bytes.len()));
        }
        check("the folder's name", name, 80, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
        })?;
        let shape = |error: serde_json::Error| RecordError::Shape(error.to_string());
        let value: Value = serde_json::from_slice(bytes).map_err(shape)?;
        match value["format"].as_u64() {
            Some(FORMAT) => {}
            Some(other) => return Err(RecordError::Format(other)),
            None => return Err(RecordError::Shape("no `format`".into())),
        }
        let record = match value["kind"].is_null() {
            true => super::card::read(&value)?,
            false => serde_json::from_value(value).map_err(shape)?,
        };
        record.check(name)?;
        Ok(record)
    }

    /// Checks sizes and values, and that the folder is one for records of this kind.
    fn check(&self, name: &str) -> Result<(), RecordError> {
        let is_software = name.starts_with(SOFTWARE);
        if is_software != (self.kind == Kind::Software) {
            let words = match self.kind {
                Kind::Software => format!(
                    "a software record in a folder whose name does not begin with `{SOFTWARE}`"
                ),
                Kind::Card => "a card's record in a software record's folder".into(),
            };
            return Err(RecordError::Misplaced(words));
        }
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        check("commit", &self.commit, 40, hex)?;
        let time = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'T' | b'Z');
        check("taken", &self.taken, 20, time)?;
        check_text("machine", &self.machine)?;
        at_most("rows", self.rows.len(), ROWS_MAX)?;
        self.rows.iter().try_for_each(|row| self.check_row(row))
    }

    fn check_row(&self, row: &Row) -> Result<(), RecordError> {
        let word = |byte: u8| byte.is_ascii_graphic() && byte != b'|' || byte == b' ';
        check("backend", &row.backend, 32, |byte| {
            byte.is_ascii_alphanumeric()
        })?;
        check("driver", &row.driver, 48, word)?;
        check_text("device", &row.device)?;
        if self.kind == Kind::Software && row.driver == super::HARDWARE {
            let words = format!("{} on hardware in a software record", row.backend);
            return Err(RecordError::Misplaced(words));
        }
        match &row.outcome {
            Outcome::Compiled(digest) => check_digest(digest),
            Outcome::NotRun(reason) | Outcome::Failed(reason) => check_text("reason", reason),
            Outcome::Suites(suites) => {
                at_most("suites", suites.len(), SUITES_MAX)?;
                for (suite, cell) in suites {
                    check("suite", suite, 32, |byte| byte.is_ascii_alphanumeric())?;
                    match cell {
                        Cell::Passed { digest, .. } => check_digest(digest)?,
                        Cell::Failed { reason } => check_text("reason", reason)?,
                        Cell::NotSupported => {}
                    }
                }
                Ok(())
            }
        }
    }
}

fn at_most(what: &'static str, count: usize, most: usize) -> Result<(), RecordError> {
    match count <= most {
        true => Ok(()),
        false => Err(RecordError::TooMany { what, count, most }),
    }
}

fn check(
    what: &'static str,
    text: &str,
    most: usize,
    accept: impl Fn(u8) -> bool,
) -> Result<(), RecordError> {
    if !text.is_empty() && text.len() <= most && text.bytes().all(accept) {
        return Ok(());
    }
    let value = text.chars().take(40).collect();
    Err(RecordError::Value { what, value })
}

/// Words of a driver or an error: any text of a bounded length on one line.
fn check_text(what: &'static str, text: &str) -> Result<(), RecordError> {
    check(what, text, TEXT_MAX, |byte| !byte.is_ascii_control())
}

fn check_digest(text: &str) -> Result<(), RecordError> {
    match is_digest(text) {
        true => Ok(()),
        false => Err(RecordError::Value {
            what: "digest",
            value: text.chars().take(70).collect(),
        }),
    }
}

/// Any text on one line of a bounded length, for what programs say.
pub fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|c| !c.is_control());
    if line.is_empty() {
        return "nothing was said".into();
    }
    let mut end = line.len().min(TEXT_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    line
}
