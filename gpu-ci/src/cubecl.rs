//! The kernels that cubecl compiles, on each software driver of this machine.
//!
//! Not part of `cargo xtask test`: the compiler of kernels takes several times as long to build as all that the node uses.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cargo::{Cargo, Tally};
use crate::vulkan::{self, Kind};

const PACKAGE: [&str; 2] = ["-p", "ffcm-cubecl"];
const NODE: [&str; 4] = ["-p", "focus-node", "--features", "cubecl"];
const WARNINGS: [&str; 4] = ["--all-targets", "--", "-D", "warnings"];

/// Suites that the backend has.
const SUITES: [&str; 2] = ["focus", "memory"];

const DRIVERS: [(&str, Kind); 2] = [
    ("lavapipe", Kind::Lavapipe),
    ("SwiftShader", Kind::SwiftShader),
];

/// Runs clippy on the crate and on the node with it, and the tests on every driver; that there is none is a failure.
pub fn run(root: &Path) -> Result<String, String> {
    let cargo = Cargo {
        root,
        json: false,
        quiet: false,
        variables: Vec::new(),
    };
    cargo.run(&[&["clippy"], &PACKAGE[..], &WARNINGS].concat())?;
    cargo.run(&[&["clippy"], &NODE[..], &WARNINGS].concat())?;
    let manifests = vulkan::manifests();
    let mut lines = Vec::new();
    let mut runs = Vec::new();
    for (name, kind) in DRIVERS {
        let own = vulkan::of_kind(&manifests, kind);
        if own.is_empty() {
            lines.push(format!("CubeCL on {name}: NOT RUN (no such driver)"));
            continue;
        }
        let on_driver = Cargo {
            variables: vulkan::only(&own)?,
            ..cargo
        };
        let mut tally = Tally::default();
        let mut printed = Vec::new();
        let test = [&["test"], &PACKAGE[..], &["--", "--show-output"]].concat();
        on_driver.lines(&test, |line| {
            tally.add(line);
            printed.push(line.to_string());
        })?;
        lines.push(format!("CubeCL on {name}: {}", tally.some()?));
        runs.push(digests(&printed)?);
    }
    let digests = agreed(&runs)?;
    lines.extend(
        digests
            .iter()
            .map(|(suite, digest)| format!("    {suite} {digest}")),
    );
    Ok(lines.join("\n"))
}

/// Digest of each suite that the backend has, from what its tests printed.
fn digests(lines: &[String]) -> Result<BTreeMap<&'static str, String>, String> {
    let of = |suite: &'static str| {
        let found = lines.iter().find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["conformance", _, name, "digest", digest, ..] if name == suite => {
                    Some(digest.to_string())
                }
                _ => None,
            }
        });
        let digest = found.ok_or_else(|| format!("suite {suite} printed no digest"))?;
        Ok((suite, digest))
    };
    SUITES.into_iter().map(of).collect()
}

/// What all runs gave. None, and two that differ, are failures.
fn agreed(
    runs: &[BTreeMap<&'static str, String>],
) -> Result<BTreeMap<&'static str, String>, String> {
    let first = runs
        .first()
        .ok_or("no software driver is here: `cargo xtask ci-deps`")?;
    match runs.iter().find(|run| *run != first) {
        Some(other) => Err(format!("drivers differ: {first:?} and {other:?}")),
        None => Ok(first.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_digest_no_run_and_runs_that_differ_are_failures() {
        let lines = |focus: &str| {
            [
                format!("conformance cubecl:0/0 focus digest {focus} cases 2"),
                "conformance cubecl:0/0 nets not supported".into(),
                "conformance cubecl:0/0 memory digest 02 cases 1".into(),
            ]
        };
        let run = digests(&lines("01")).unwrap();
        assert_eq!(
            run,
            [("focus", "01".into()), ("memory", "02".into())].into()
        );
        assert!(digests(&lines("01")[..2]).unwrap_err().contains("memory"));
        assert_eq!(agreed(&[run.clone(), run.clone()]), Ok(run.clone()));
        assert!(agreed(&[run, digests(&lines("03")).unwrap()]).is_err());
        assert!(agreed(&[]).is_err());
    }
}
