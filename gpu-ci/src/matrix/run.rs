//! `cargo xtask matrix run`: a record of what this machine can run without a GPU.
//!
//! It runs the conformance tests of every backend on the CPU and on each software Vulkan driver, and compiles the CUDA kernels
//! where NVRTC is found. What a GPU gives is recorded by `gpu-ci/record.sh`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::record::{Cell, FOLDER, FORMAT, Kind, Outcome, Record, Row, SOFTWARE, one_line};
use super::suites::{Given, Printed, Suites};
use super::{CPU, LAVAPIPE, NVRTC, README, SHIM, SWIFTSHADER};
use crate::cargo::{Cargo, Program};
use crate::tidy;
use crate::vulkan::{self, Kind as Driver};
use crate::{cuda, wgsl};

/// The test programs that run the suites, and the one that compiles CUDA kernels.
const TESTS: [&str; 5] = ["--no-run", "--test", "conformance", "--test", "compile"];
/// What tells of devices and compilers; `cargo test` would make test programs of them.
const EXAMPLES: [&str; 4] = ["--example", "adapters", "--example", "ptx"];

/// A package that takes minutes to build, and its folder: tried when asked for.
const CUBECL: (&str, &str) = ("ffcm-cubecl", "wgsl/cubecl");

const DRIVERS: [(&str, Driver); 2] = [
    (LAVAPIPE, Driver::Lavapipe),
    (SWIFTSHADER, Driver::SwiftShader),
];

/// Makes a record of this commit. `more` are packages that are not built by default and have a conformance test.
pub fn run(root: &Path, more: &[&str]) -> Result<String, String> {
    let commit = commit(root)?;
    let files = tidy::read(root)?;
    let suites = Suites::parse(super::text(&files, super::suites::PATH)?)?;
    let cargo = Cargo {
        root,
        json: false,
        quiet: false,
        variables: vec![],
    };
    let all = ["--workspace", "--exclude", "peers"];
    let mut without: Vec<&str> = more.iter().flat_map(|name| ["--exclude", name]).collect();
    if root.join(CUBECL.1).is_dir() && !more.contains(&CUBECL.0) {
        without.extend(["--exclude", CUBECL.0]);
    }
    let mut programs = cargo.built(&[&["test"], &all[..], &without, &TESTS].concat())?;
    programs.extend(cargo.built(&[&["build"], &all[..], &without, &EXAMPLES].concat())?);
    for package in more {
        let test = ["test", "-p", package, "--no-run", "--test", "conformance"];
        programs.extend(cargo.built(&test)?);
    }
    let bench = Bench {
        cargo,
        root,
        suites: &suites,
        programs: &programs,
    };
    let mut rows = Vec::new();
    for program in programs
        .iter()
        .filter(|p| p.is_test && p.name == "conformance")
    {
        rows.extend(bench.rows(program));
    }
    rows.push(bench.compiled(super::kernels(&files)));
    let record = Record {
        format: FORMAT,
        kind: Kind::Software,
        commit,
        taken: said(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]))?,
        machine: machine(),
        rows,
    };
    keep(root, &record)
}

/// Writes the record, and fails if something in it did: a record of a failure is one too.
fn keep(root: &Path, record: &Record) -> Result<String, String> {
    let name = format!("{SOFTWARE}{}", record.commit);
    let path = format!("{FOLDER}{name}/record.json");
    let mut text = serde_json::to_string_pretty(record).map_err(|error| error.to_string())?;
    text.push('\n');
    // What cannot be read back would fail every later command.
    Record::parse(&name, text.as_bytes()).map_err(|error| format!("{path}: {error}"))?;
    let folder = root.join(format!("{FOLDER}{name}"));
    let written =
        fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join("record.json"), &text));
    written.map_err(|error| format!("{path}: {error}"))?;
    let failed: Vec<String> = record.rows.iter().flat_map(failures).collect();
    match failed.is_empty() {
        true => Ok(format!(
            "{path}: written; `cargo xtask matrix --write` puts it into {README}"
        )),
        false => Err(format!(
            "{path}: written, with failures:\n{}",
            failed.join("\n")
        )),
    }
}

fn failures(row: &Row) -> Vec<String> {
    let line =
        |what: &str, reason: &str| format!("{} on {}{what}: {reason}", row.backend, row.driver);
    match &row.outcome {
        Outcome::Failed(reason) => vec![line("", reason)],
        Outcome::NotRun(_) | Outcome::Compiled(_) => vec![],
        Outcome::Suites(suites) => suites
            .iter()
            .filter_map(|(suite, cell)| match cell {
                Cell::Failed { reason } => Some(line(&format!(", {suite}"), reason)),
                Cell::Passed { .. } | Cell::NotSupported => None,
            })
            .collect(),
    }
}

/// What runs here.
struct Bench<'a> {
    cargo: Cargo<'a>,
    root: &'a Path,
    suites: &'a Suites,
    programs: &'a [Program],
}

impl Bench<'_> {
    /// The rows of a conformance test: one for each backend that prints digests, on each driver where it needs one.
    fn rows(&self, program: &Program) -> Vec<Row> {
        let folder = program
            .folder
            .strip_prefix(self.root)
            .unwrap_or(&program.folder);
        if folder.starts_with("wgsl") {
            let family = match folder == Path::new("wgsl") {
                true => "wgpu",
                false => folder
                    .file_name()
                    .and_then(|name| name.to_str())
                    .unwrap_or("wgpu"),
            };
            let on = |(name, kind)| self.on_driver(program, family, name, kind);
            DRIVERS.into_iter().flat_map(on).collect()
        } else if folder.starts_with("cuda") {
            let device = "the text of the kernels, built by the system's C++ compiler";
            self.measured(&self.cargo, program, "cuda", SHIM, device)
        } else {
            self.measured(&self.cargo, program, "cpu", CPU, &cpu())
        }
    }

    fn on_driver(&self, program: &Program, family: &str, name: &str, kind: Driver) -> Vec<Row> {
        let row = |device: &str, outcome| {
            vec![Row {
                backend: family.into(),
                driver: name.into(),
                device: device.into(),
                outcome,
            }]
        };
        let manifests = vulkan::of_kind(&vulkan::manifests(), kind);
        if manifests.is_empty() {
            let reason = format!("this machine has no {name}");
            return row("none", Outcome::NotRun(reason));
        }
        let found = vulkan::only(&manifests).and_then(|variables| {
            let cargo = Cargo {
                variables,
                ..self.cargo
            };
            let adapter = wgsl::adapter(&cargo, self.programs, kind)?;
            Ok((cargo, adapter.ok_or("the driver shows no device")?))
        });
        match found {
            Ok((cargo, adapter)) => {
                self.measured(&cargo, program, family, name, &one_line(&adapter))
            }
            Err(reason) => row("none", Outcome::Failed(one_line(&reason))),
        }
    }

    /// Runs the test and reads what it prints. That it prints nothing of `family` is a failure.
    fn measured(
        &self,
        cargo: &Cargo<'_>,
        program: &Program,
        family: &str,
        driver: &str,
        device: &str,
    ) -> Vec<Row> {
        let mut printed = Printed::default();
        let ended = cargo.start_program(program, &["--show-output"], |line| printed.add(line));
        let mut found = printed.finish();
        found.entry(family.into()).or_default();
        let row = |(backend, given): (String, BTreeMap<String, Given>)| Row {
            outcome: outcome(
                self.suites,
                given,
                ended.as_ref().map_err(String::as_str).copied(),
            ),
            device: match backend.as_str() {
                "oracle" => "the sequential reference".into(),
                _ => device.into(),
            },
            backend,
            driver: driver.into(),
        };
        found.into_iter().map(row).collect()
    }

    /// The CUDA kernels behind NVRTC.
    fn compiled(&self, kernels: String) -> Row {
        let (device, outcome) = match cuda::compile_only(&self.cargo, self.programs) {
            Ok(Ok(what)) => (what, Outcome::Compiled(kernels)),
            Ok(Err(reason)) => ("none".into(), Outcome::NotRun(one_line(&reason))),
            Err(reason) => ("none".into(), Outcome::Failed(one_line(&reason))),
        };
        Row {
            backend: "cuda".into(),
            driver: NVRTC.into(),
            device: one_line(&device),
            outcome,
        }
    }
}

/// What a test program's words and its end are worth, suite by suite.
fn outcome(
    suites: &Suites,
    mut given: BTreeMap<String, Given>,
    ended: Result<(), &str>,
) -> Outcome {
    let differs = given
        .values()
        .any(|given| matches!(given, Given::Failed(_)));
    match ended {
        // A test that fails without a word about a suite casts doubt on all.
        Err(reason) if !differs => return Outcome::Failed(one_line(reason)),
        _ => {}
    }
    let cell = |name: &str| match given.remove(name) {
        Some(Given::Digest { digest, cases }) => Cell::Passed { digest, cases },
        Some(Given::NotSupported) => Cell::NotSupported,
        Some(Given::Failed(reason)) => Cell::Failed {
            reason: one_line(&reason),
        },
        None => Cell::Failed {
            reason: "printed no digest".into(),
        },
    };
    let names: Vec<&str> = suites.iter().map(|suite| suite.name.as_str()).collect();
    let cells = names.iter().copied().map(cell);
    Outcome::Suites(
        names
            .iter()
            .map(|name| name.to_string())
            .zip(cells)
            .collect(),
    )
}

/// The commit, if what is built is what it says: only records and the README may differ.
fn commit(root: &Path) -> Result<String, String> {
    let git = |arguments: &[&str]| said(Command::new("git").args(arguments).current_dir(root));
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    let other = |line: &&str| {
        // Two letters and a space stand before the path; a line at the start may have lost the first.
        let path = line
            .trim_start()
            .split_once(' ')
            .map_or("", |(_, path)| path.trim_start());
        path != README && !path.starts_with(FOLDER)
    };
    if let Some(line) = changed.lines().find(other) {
        return Err(format!(
            "a record is of a commit, and files differ from it: {}",
            line.trim()
        ));
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

/// What a command prints, without the line's end.
fn said(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_string()),
        false => Err(format!(
            "{name}: {}",
            one_line(&String::from_utf8_lossy(&output.stderr))
        )),
    }
}

/// Model and number of cores of the processor.
fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_string())
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    one_line(&format!(
        "{}, {cores} cores",
        model.as_deref().unwrap_or("unknown processor")
    ))
}

/// Processor, system and architecture; nothing that names the machine.
fn machine() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let system = name.map_or(std::env::consts::OS, |name| name.trim_matches('"'));
    one_line(&format!("{}, {system}, {}", cpu(), std::env::consts::ARCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites() -> Suites {
        let digest = "a".repeat(64);
        Suites::parse(&format!("nets {digest} 3\nhash {digest} 1\n")).unwrap()
    }

    #[test]
    fn a_silent_suite_and_a_failing_program_are_failures() {
        let passed = || Given::Digest {
            digest: "a".repeat(64),
            cases: 3,
        };
        let given = |pairs: &[(&str, Given)]| -> BTreeMap<String, Given> {
            let pairs = pairs.iter().cloned();
            pairs
                .map(|(name, given)| (name.to_string(), given))
                .collect()
        };
        let of = |given, ended| match outcome(&suites(), given, ended) {
            Outcome::Suites(cells) => cells,
            other => panic!("{other:?}"),
        };
        let all = given(&[("nets", passed()), ("hash", Given::NotSupported)]);
        let cells = of(all.clone(), Ok(()));
        assert!(matches!(cells["nets"], Cell::Passed { cases: 3, .. }));
        assert_eq!(cells["hash"], Cell::NotSupported);
        let cells = of(given(&[("nets", passed())]), Ok(()));
        assert!(matches!(&cells["hash"], Cell::Failed { reason } if reason.contains("no digest")));
        let one = given(&[("nets", passed()), ("hash", Given::Failed("case 1".into()))]);
        let cells = of(one, Err("exit code 101"));
        assert!(matches!(cells["nets"], Cell::Passed { .. }));
        assert!(matches!(&cells["hash"], Cell::Failed { reason } if reason == "case 1"));
        let crashed = outcome(&suites(), all, Err("signal 11"));
        assert_eq!(crashed, Outcome::Failed("signal 11".into()));
    }

    #[test]
    fn failures_are_kept_and_told() {
        let row = |outcome| Row {
            backend: "wgpu".into(),
            driver: LAVAPIPE.into(),
            device: "x".into(),
            outcome,
        };
        let record = |outcome| Record {
            format: FORMAT,
            kind: Kind::Software,
            commit: "00ff".into(),
            taken: "2026-01-31T12:00:00Z".into(),
            machine: machine(),
            rows: vec![row(outcome)],
        };
        let root = std::env::temp_dir().join(format!("xtask-matrix-{}", std::process::id()));
        let path = root.join(FOLDER).join("software-00ff/record.json");
        let good = record(Outcome::NotRun("none here".into()));
        assert!(keep(&root, &good).is_ok_and(|words| words.contains("written")));
        let read = fs::read(&path).unwrap();
        assert_eq!(Record::parse("software-00ff", &read), Ok(good));
        let bad = record(Outcome::Failed("it broke".into()));
        let error = keep(&root, &bad).unwrap_err();
        assert!(error.contains("wgpu on lavapipe: it broke"), "{error}");
        let read = fs::read(&path).unwrap();
        assert_eq!(Record::parse("software-00ff", &read), Ok(bad));
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_folder_without_git_has_no_commit() {
        let root = std::env::temp_dir().join(format!("xtask-no-git-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        assert!(commit(&root).is_err());
        fs::remove_dir_all(&root).unwrap();
    }
}
