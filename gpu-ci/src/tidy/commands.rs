//! Checks on commands that people and runners are told to run: what they name is there.

use std::collections::BTreeSet;

use super::{File, Problems};

/// The sample workflow.
const WORKFLOW: &str = "gpu-ci/workflow.yml";
/// What tells people and runners what to run.
const TOLD: [&str; 3] = [WORKFLOW, "gpu-ci/README.md", "README.md"];
/// The script that makes a card's record.
const SCRIPT: &str = "gpu-ci/record.sh";

/// Commands and options of `cargo xtask`, packages, scripts and their options, jobs that wait for others.
pub fn named(files: &[File]) -> Problems {
    let text = |path: &str| {
        files
            .iter()
            .find(|file| file.path == path)
            .and_then(File::text)
    };
    let mut problems = Vec::new();
    for path in TOLD {
        let Some(told) = text(path) else {
            problems.push(format!("{path}: missing"));
            continue;
        };
        for (number, line) in (1..).zip(told.lines()) {
            let missing = missing(files, line);
            problems.extend(missing.map(|what| format!("{path}:{number}: {what}")));
        }
    }
    problems.extend(text(WORKFLOW).into_iter().flat_map(jobs));
    problems
}

/// What a line names that is not there.
fn missing(files: &[File], line: &str) -> impl Iterator<Item = String> {
    let mut problems = Vec::new();
    for behind in line.split("cargo xtask ").skip(1) {
        let mut words = words(behind);
        let command = words.next().unwrap_or("");
        if !has_command(command) {
            problems.push(format!("`cargo xtask {command}` is no command"));
        }
        let options = words.take_while(|word| word.starts_with("--"));
        let unknown = options.filter(|option| !crate::USAGE.contains(option));
        problems.extend(unknown.map(|option| format!("cargo xtask knows no `{option}`")));
    }
    if line.contains("cargo build") || line.contains("cargo run") {
        for behind in line.split(" -p ").skip(1) {
            let package = words(behind).next().unwrap_or("");
            if !has_package(files, package) {
                problems.push(format!("`{package}` is no package"));
            }
        }
    }
    if let Some((_, behind)) = line.split_once("record.sh ") {
        let script = files
            .iter()
            .find(|file| file.path == SCRIPT)
            .and_then(File::text);
        let options = words(behind).filter(|word| word.starts_with("--"));
        let known =
            |option: &str| script.is_some_and(|text| text.contains(&format!("  {option} ")));
        let unknown = options.filter(|option| !known(option));
        problems.extend(unknown.map(|option| format!("{SCRIPT} knows no `{option}`")));
    }
    for path in words(line).filter(|word| word.starts_with("gpu-ci/") || word.starts_with(".ci/")) {
        // Records are made, and folders end in a slash.
        let is_made = path.starts_with("gpu-ci/records") || path.ends_with('/');
        if !is_made && !files.iter().any(|file| file.path == path) {
            problems.push(format!("{path} is not there"));
        }
    }
    problems.into_iter()
}

/// Words without the marks of prose and shell around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split([' ', '(', ')', '`', '"', ',', ';', '|', '[', ']', '*']);
    words
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|word| !word.is_empty())
}

fn has_command(name: &str) -> bool {
    let commands = crate::USAGE
        .lines()
        .filter_map(|line| line.strip_prefix("  "));
    commands
        .into_iter()
        .any(|line| line.split(' ').next() == Some(name) && !name.is_empty())
}

fn has_package(files: &[File], name: &str) -> bool {
    let line = format!("name = \"{name}\"");
    let mut manifests = files
        .iter()
        .filter(|file| file.path.ends_with("Cargo.toml"));
    manifests.any(|file| {
        file.text()
            .is_some_and(|text| text.lines().any(|found| found == line))
    })
}

/// Jobs of a workflow wait for jobs that are there. Names stand two spaces deep below `jobs:`.
fn jobs(workflow: &str) -> Problems {
    let lines = || workflow.lines().skip_while(|line| *line != "jobs:").skip(1);
    let name = |line: &'_ str| -> Option<String> {
        let name = line.strip_prefix("  ")?.strip_suffix(':')?;
        (!name.starts_with([' ', '#'])).then(|| name.to_string())
    };
    let names: BTreeSet<String> = lines().filter_map(name).collect();
    let needs = lines().filter_map(|line| line.trim().strip_prefix("needs: "));
    let unknown = needs.filter(|job| !names.contains(*job));
    let mut problems: Problems = unknown
        .map(|job| format!("{WORKFLOW}: no job `{job}` to wait for"))
        .collect();
    if names.is_empty() {
        problems.push(format!("{WORKFLOW}: no jobs"));
    }
    if workflow.contains('\t') {
        problems.push(format!("{WORKFLOW}: a tab, which YAML has not"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;

    fn check(line: &str) -> Problems {
        let files = [
            file("gpu-ci/README.md", ""),
            file("README.md", ""),
            file("benches/Cargo.toml", "[package]\nname = \"ffcm-benches\"\n"),
            file(".ci/run", ""),
            file("gpu-ci/record.sh", "usage\n  --out DIR   where\n"),
            file(
                WORKFLOW,
                &format!("jobs:\n  a:\n    needs: a\n    x: {line}\n"),
            ),
        ];
        named(&files)
    }

    #[test]
    fn what_is_there_passes() {
        for line in [
            "cargo xtask matrix --write",
            "`cargo xtask test`, and more",
            "x $(cargo xtask ci-deps) $(cargo xtask ci-deps --optional)",
            "cargo build --release -p ffcm-benches",
            "carry/record.sh --out record",
            "cp gpu-ci/record.sh carry/",
            "- run: .ci/run",
            "gpu-ci/records/gpu-1/record.json",
        ] {
            assert_eq!(check(line), Problems::new(), "{line}");
        }
    }

    #[test]
    fn what_is_missing_is_found() {
        for line in [
            "cargo xtask matrices",
            "cargo xtask matrix --publish",
            "cargo build --release -p ffcm-bench",
            "carry/record.sh --into record",
            "cp gpu-ci/recorder.sh carry/",
            ".ci/all",
            "y\n    needs: b",
            "\t",
        ] {
            assert_eq!(check(line).len(), 1, "{line}");
        }
        assert_eq!(named(&[]).len(), TOLD.len());
        let empty = [
            file("README.md", ""),
            file("gpu-ci/README.md", ""),
            file(WORKFLOW, ""),
        ];
        assert_eq!(named(&empty).len(), 1, "a workflow without jobs");
    }
}
