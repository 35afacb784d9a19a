//! `cargo xtask matrix`: backends × drivers × suites, from records.
//!
//! Every cell is what a record in `gpu-ci/records` says, held against the suites as they are today
//! (`ffcm/golden/conformance.txt`). What has no record is `NOT RUN`, what was recorded with other suites is `stale`, and neither is
//! ever a pass. Lines come from the records; [`BACKENDS`] only says which of them must not be missing.

mod card;
mod record;
mod run;
mod suites;
mod table;

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::tidy::{self, File};

pub use run::run;

use record::{FOLDER, Record};
use suites::Suites;
use table::{Matrix, Tree};

/// The driver of what runs on the machine itself.
const CPU: &str = "CPU";
/// Software Vulkan drivers.
const LAVAPIPE: &str = "lavapipe";
const SWIFTSHADER: &str = "SwiftShader";
/// CUDA's compiler, and its kernels behind a C++ compiler.
const NVRTC: &str = "NVRTC, compiled only";
const SHIM: &str = "C++ on the CPU";
/// A GPU.
const HARDWARE: &str = "hardware";

/// Lines that the table has with and without records: the crate that brings the backend, its name, its drivers. A crate
/// that is no member of the workspace brings none.
const BACKENDS: [(&str, &str, &[&str]); 5] = [
    ("ffcm", "oracle", &[CPU]),
    ("ffcm", "cpu", &[CPU]),
    ("wgsl", "wgpu", &[LAVAPIPE, SWIFTSHADER, HARDWARE]),
    ("wgsl/cubecl", "cubecl", &[LAVAPIPE, SWIFTSHADER, HARDWARE]),
    ("cuda", "cuda", &[NVRTC, SHIM, HARDWARE]),
];

/// What the table stands between in the README.
const BEGIN: &str = "<!-- Written by `cargo xtask matrix --write` from gpu-ci/records. -->\n";
const END: &str = "<!-- End of what is written. -->\n";
const README: &str = "README.md";

/// Shows the table.
pub fn show(root: &Path) -> Result<String, String> {
    Ok(matrix(&tidy::read(root)?)?.to_markdown().trim_end().into())
}

/// Shows it as JSON.
pub fn show_json(root: &Path) -> Result<String, String> {
    let json = matrix(&tidy::read(root)?)?.to_json();
    serde_json::to_string_pretty(&json).map_err(|error| error.to_string())
}

/// Puts it into the README.
pub fn write(root: &Path) -> Result<String, String> {
    let files = tidy::read(root)?;
    let table = matrix(&files)?.to_markdown();
    let (before, _, after) = parts(text(&files, README)?)?;
    let path = root.join(README);
    std::fs::write(&path, format!("{before}{table}{after}"))
        .map_err(|error| format!("{README}: {error}"))?;
    Ok(format!("{README}: written"))
}

/// The tidy check: records can be read, and the README's table is theirs.
pub fn check(files: &[File]) -> Vec<String> {
    let stands = text(files, README).and_then(parts);
    match (matrix(files), stands) {
        (Err(problem), _) | (_, Err(problem)) => problem.lines().map(str::to_owned).collect(),
        (Ok(matrix), Ok((_, stands, _))) if matrix.to_markdown() != stands => vec![format!(
            "{README}: its table is not that of the records: `cargo xtask matrix run` makes a new record, \
             `cargo xtask matrix --write` the table"
        )],
        _ => vec![],
    }
}

/// What stands before, between and behind the two marks, with the marks in the outer parts.
fn parts(readme: &str) -> Result<(&str, &str, &str), String> {
    let lacks = |mark: &str| format!("{README}: no line `{}`", mark.trim());
    let begin = readme.find(BEGIN).ok_or_else(|| lacks(BEGIN))? + BEGIN.len();
    let end = readme[begin..].find(END).ok_or_else(|| lacks(END))? + begin;
    Ok((&readme[..begin], &readme[begin..end], &readme[end..]))
}

fn text<'a>(files: &'a [File], path: &str) -> Result<&'a str, String> {
    let file = files.iter().find(|file| file.path == path);
    let text = file.and_then(|file| std::str::from_utf8(&file.bytes).ok());
    text.ok_or_else(|| format!("{path}: missing, or no text"))
}

/// The table that the files of the repository give.
fn matrix(files: &[File]) -> Result<Matrix, String> {
    Ok(Matrix::of(tree(files)?, records(files)?))
}

fn tree(files: &[File]) -> Result<Tree, String> {
    let manifest: toml::Table = text(files, "Cargo.toml")?
        .parse()
        .map_err(|error| format!("Cargo.toml: {error}"))?;
    let members = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("members"))
        .and_then(|members| members.as_array());
    let is_member = |folder: &str| {
        let members = members.into_iter().flatten();
        members
            .filter_map(|member| member.as_str())
            .any(|member| member == folder)
    };
    let expected = BACKENDS
        .iter()
        .filter(|(folder, ..)| is_member(folder))
        .flat_map(|(_, backend, drivers)| drivers.iter().map(|driver| (*backend, *driver)));
    Ok(Tree {
        suites: Suites::parse(text(files, suites::PATH)?)?,
        expected: expected.collect(),
        kernels: kernels(files),
    })
}

/// Digest of names and text of the CUDA kernels and of what they include.
fn kernels(files: &[File]) -> String {
    let is_kernel = |file: &&File| {
        let path = &file.path;
        path.starts_with("cuda/src/") && (path.ends_with(".cu") || path.ends_with(".cuh"))
    };
    let mut kernels: Vec<&File> = files.iter().filter(is_kernel).collect();
    kernels.sort_by(|a, b| a.path.cmp(&b.path));
    let mut hasher = blake3::Hasher::new();
    for file in kernels {
        for bytes in [file.path.as_bytes(), &file.bytes] {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
    }
    hasher.finalize().to_string()
}

/// Name and content of every record; one that cannot be read fails the whole, with a line for each.
fn records(files: &[File]) -> Result<Vec<(String, Record)>, String> {
    let mut records = Vec::new();
    let mut problems = Vec::new();
    for file in files {
        let Some(path) = file.path.strip_prefix(FOLDER) else {
            continue;
        };
        match path.split_once('/') {
            Some((name, "record.json")) => match Record::parse(name, &file.bytes) {
                Ok(record) => records.push((name.to_owned(), record)),
                Err(error) => problems.push(format!("{}: {error}", file.path)),
            },
            // A page for people lies beside.
            Some((_, "record.md")) => {}
            _ => problems.push(format!("{}: neither record.json nor record.md", file.path)),
        }
    }
    match problems.is_empty() {
        true => Ok(records),
        false => Err(problems.join("\n")),
    }
}
