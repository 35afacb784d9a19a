//! Putting a record together: what `gpu-ci/record.sh` ran on a machine, as one JSON and one Markdown file.
//!
//! Of each part the script leaves `NAME.status` (`ok`, `failed`, `wrong` or `not-run`; seconds; why) and, where it has any,
//! `NAME.json`. A part of which there is nothing was not asked for. No part is left out.

mod page;
mod tables;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::options::write_json;

/// Arguments of the command.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder with the parts.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Folder for `record.json` and `record.md`.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Every part, in the order of the page.
const PARTS: [&str; 34] = [
    "doctor",
    "conformance-cpu",
    "conformance-cuda",
    "conformance-wgpu",
    "memcheck-nets",
    "memcheck-focus",
    "memcheck-memory",
    "memcheck-hash",
    "racecheck-nets",
    "racecheck-focus",
    "racecheck-memory",
    "racecheck-hash",
    "nets-cpu",
    "nets-cuda",
    "nets-wgpu",
    "nets-persistent-cuda",
    "nets-local-cuda",
    "nets-large-cpu",
    "nets-large-cuda",
    "nets-large-persistent-cuda",
    "nets-large-local-cuda",
    "nets-large-both-cuda",
    "focus-cpu",
    "focus-cuda",
    "focus-wgpu",
    "focus-large-cuda",
    "cusparse-focus",
    "cusparse-focus-large",
    "memory-cpu",
    "memory-cuda",
    "memory-wgpu",
    "hash-cpu",
    "hash-cuda",
    "hash-wgpu",
];

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    /// It did not end as it should, or left something unreadable.
    Failed,
    /// A result differs from what it should be.
    Wrong,
    NotRun,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Failed => "FAILED",
            State::Wrong => "WRONG",
            State::NotRun => "NOT RUN",
        }
    }
}

/// A part of the record.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Part {
    name: &'static str,
    state: State,
    /// Time that it took.
    seconds: u64,
    /// Why it is not `ok`.
    reason: Option<String>,
    /// What it reports: nothing unless it is `ok`, but for what shows a wrong result.
    data: Option<Value>,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Record {
    /// Version of this format.
    format: u32,
    /// Commit, binaries and machine, as the script found them.
    facts: Vec<(String, String)>,
    parts: Vec<Part>,
    /// Suites of which two backends gave different digests.
    conflicts: Vec<String>,
}

/// Reads the parts and writes the record.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let record = read(&arguments.from)?;
    fs::create_dir_all(&arguments.out).map_err(|error| Failure::file(&arguments.out, &error))?;
    write_json(&arguments.out.join("record.json"), &record)?;
    let page = arguments.out.join("record.md");
    fs::write(&page, page::page(&record)).map_err(|error| Failure::file(&page, &error))?;
    println!("{}", page.display());
    verdict(&record)
}

/// A wrong result is one also where the record could be written.
fn verdict(record: &Record) -> Result<(), Failure> {
    let wrong = record
        .parts
        .iter()
        .filter(|part| part.state == State::Wrong);
    let words = wrong.map(|part| {
        format!(
            "{}: {}",
            part.name,
            part.reason.as_deref().unwrap_or("wrong")
        )
    });
    let all: Vec<String> = words.chain(record.conflicts.iter().cloned()).collect();
    match all.is_empty() {
        true => Ok(()),
        false => Err(Failure::Mismatch(all.join("; "))),
    }
}

fn read(folder: &Path) -> Result<Record, Failure> {
    if !folder.is_dir() {
        return Err(Failure::file(folder, &"not a folder"));
    }
    let facts = match fs::read_to_string(folder.join("facts")) {
        Ok(text) => facts(&text),
        Err(error) => vec![("facts".into(), format!("unknown: {error}"))],
    };
    let parts: Vec<Part> = PARTS.iter().map(|name| part(folder, name)).collect();
    Ok(Record {
        format: 1,
        facts,
        conflicts: conflicts(&parts),
        parts,
    })
}

/// Lines of a name and a value with a tab between.
fn facts(text: &str) -> Vec<(String, String)> {
    let fact = |line: &str| {
        let (name, value) = line.split_once('\t')?;
        Some((name.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(fact).collect()
}

fn part(folder: &Path, name: &'static str) -> Part {
    let mut part = Part {
        name,
        state: State::NotRun,
        seconds: 0,
        reason: None,
        data: None,
    };
    let Ok(status) = fs::read_to_string(folder.join(format!("{name}.status"))) else {
        part.reason = Some("not asked for".into());
        return part;
    };
    let mut lines = status.lines();
    let word = lines.next().unwrap_or("");
    part.seconds = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
    part.reason = lines
        .next()
        .filter(|line| !line.is_empty())
        .map(str::to_owned);
    part.state = match word {
        "ok" => State::Ok,
        "failed" => State::Failed,
        "wrong" => State::Wrong,
        "not-run" => State::NotRun,
        other => {
            part.reason = Some(format!("its status is `{other}`"));
            State::Failed
        }
    };
    if matches!(part.state, State::Ok | State::Wrong) {
        match data(&folder.join(format!("{name}.json"))) {
            Ok(data) => part.data = Some(data),
            Err(error) if part.state == State::Ok => {
                part.state = State::Failed;
                part.reason = Some(error);
            }
            // A device that computes wrongly may be refused before there is a report.
            Err(_) => {}
        }
    }
    part
}

fn data(path: &Path) -> Result<Value, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{name}: {error}"))
}

/// Digests of conformance suites by suite and backend.
fn digests(parts: &[Part]) -> BTreeMap<String, Vec<(&'static str, String)>> {
    let mut digests: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for part in parts {
        let Some(backend) = part.name.strip_prefix("conformance-") else {
            continue;
        };
        for row in tables::list(part.data.as_ref(), "suites") {
            let digest = row["digest"].as_str().unwrap_or("none");
            let suite = row["suite"].as_str().unwrap_or("unnamed").to_owned();
            digests
                .entry(suite)
                .or_default()
                .push((backend, digest.to_owned()));
        }
    }
    digests
}

fn conflicts(parts: &[Part]) -> Vec<String> {
    let differ = |(suite, found): (String, Vec<(&str, String)>)| {
        let same = found.windows(2).all(|pair| pair[0].1 == pair[1].1);
        let words = || -> Vec<String> {
            let word = |(backend, digest): &(&str, String)| format!("{backend} {digest}");
            found.iter().map(word).collect()
        };
        (!same).then(|| format!("suite {suite}: {}", words().join(", ")))
    };
    digests(parts).into_iter().filter_map(differ).collect()
}

#[cfg(test)]
mod tests;
