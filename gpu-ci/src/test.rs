//! `cargo xtask test`: every check, in the order that fails soonest.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;

use crate::cargo::{Cargo, Program, Tally};
use crate::vulkan::{self, Kind};
use crate::{api, callgrind, codegen, cuda, deps, tidy, wgsl};

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// It passed.
    Ok,
    /// It did not.
    Failed { reason: String },
    /// It could not be tried.
    NotRun { reason: String },
}

/// A step with what became of it.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Its name.
    pub step: String,
    /// Time it took.
    pub seconds: f64,
    /// What became of it.
    #[serde(flatten)]
    pub status: Status,
    /// For a step that ran on a device.
    #[serde(flatten)]
    pub device: Option<DeviceRun>,
}

/// What tests on a device gave.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceRun {
    /// Name and driver.
    pub adapter: String,
    /// How many tests.
    pub tests: Tally,
    /// Digest of each conformance suite.
    pub digests: BTreeMap<String, String>,
}

enum Action {
    /// `cargo` with these arguments.
    Cargo(&'static [&'static str]),
    /// `cargo test` with these arguments; that no test ran is a failure.
    Tests(&'static [&'static str]),
    /// A check in this process.
    Check(fn(&Path) -> Result<String, String>),
    /// The workspace's test programs; that no test ran is a failure.
    Programs,
    /// Tests on every driver, each a step of its own.
    Drivers,
    /// The kernels of the CUDA backend, in several steps.
    Cuda,
    /// Instructions of kernels far too small to say anything.
    Callgrind,
    /// What is left to a command of its own, for this reason.
    Elsewhere(&'static str),
}

const STEPS: [(&str, Action); 15] = [
    ("packages", Action::Check(deps::check)),
    ("fmt", Action::Cargo(&["fmt", "--all", "--check"])),
    ("tidy", Action::Check(tidy::run)),
    ("codegen", Action::Check(codegen::check)),
    (
        "clippy",
        Action::Cargo(&[
            "clippy",
            "--workspace",
            "--exclude",
            "peers",
            "--exclude",
            "ffcm-cubecl",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]),
    ),
    (
        "docs",
        Action::Cargo(&[
            "--config",
            "build.rustdocflags=[\"-D\",\"warnings\"]",
            "doc",
            "--workspace",
            "--exclude",
            "peers",
            "--exclude",
            "ffcm-cubecl",
            "--no-deps",
            "--quiet",
        ]),
    ),
    ("public interface", Action::Check(api::check)),
    (
        "tests",
        // The GPU backends' own tests come next.
        Action::Programs,
    ),
    (
        "doc tests",
        Action::Tests(&[
            "test",
            "--workspace",
            "--exclude",
            "peers",
            "--exclude",
            "ffcm-cubecl",
            "--doc",
        ]),
    ),
    ("WGSL", Action::Drivers),
    ("CUDA", Action::Cuda),
    (
        "CubeCL",
        Action::Elsewhere("compiles a compiler: `cargo xtask cubecl`"),
    ),
    (
        "AddressSanitizer",
        Action::Elsewhere("builds ffcm anew: `cargo xtask sanitize`"),
    ),
    (
        "benches",
        // Checks results alone: sizes too small, and code not optimised enough, for the times to say anything.
        Action::Cargo(&["run", "--quiet", "-p", "ffcm-benches", "--", "tiny"]),
    ),
    ("callgrind", Action::Callgrind),
];

/// Runs the steps until one fails. Prints a line per step at the end, or one JSON document.
pub fn run(root: &Path, json: bool) -> ExitCode {
    run_steps(root, json, STEPS)
}

/// Runs the tests of the WebGPU backend alone.
pub fn run_drivers(root: &Path) -> ExitCode {
    run_steps(root, false, [("WGSL", Action::Drivers)])
}

/// Runs the tests of the CUDA backend alone.
pub fn run_cuda(root: &Path) -> ExitCode {
    run_steps(root, false, [("CUDA", Action::Cuda)])
}

fn run_steps(
    root: &Path,
    json: bool,
    steps: impl IntoIterator<Item = (&'static str, Action)>,
) -> ExitCode {
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut failed: Option<String> = None;
    let mut tally = Tally::default();
    for (step, action) in steps {
        let done = match (&failed, action) {
            (Some(earlier), _) => vec![not_run(step, &format!("`{earlier}` failed"))],
            (None, action) => perform(root, step, &action, json, &mut tally),
        };
        for outcome in done {
            if let Some(device) = &outcome.device {
                tally += device.tests;
            }
            if failed.is_none() && matches!(outcome.status, Status::Failed { .. }) {
                failed = Some(outcome.step.clone());
            }
            outcomes.push(outcome);
        }
    }
    if json {
        println!(
            "{}",
            serde_json::json!({ "ok": failed.is_none(), "steps": outcomes, "tests": tally })
        );
    } else {
        outcomes
            .iter()
            .for_each(|outcome| println!("{}", line(outcome)));
        println!("total: {tally}");
    }
    match failed {
        None => ExitCode::SUCCESS,
        Some(step) => {
            eprintln!("cargo xtask: step `{step}` failed");
            ExitCode::FAILURE
        }
    }
}

fn not_run(step: &str, reason: &str) -> Outcome {
    Outcome {
        step: step.into(),
        seconds: 0.0,
        status: Status::NotRun {
            reason: reason.into(),
        },
        device: None,
    }
}

fn perform(
    root: &Path,
    step: &str,
    action: &Action,
    json: bool,
    tally: &mut Tally,
) -> Vec<Outcome> {
    let start = Instant::now();
    let mut cargo = Cargo {
        root,
        json,
        quiet: false,
        variables: environment(),
    };
    let result = match action {
        Action::Cargo(arguments) => cargo.run(arguments),
        Action::Tests(arguments) => cargo.tests(arguments).map(|counted| *tally += counted),
        Action::Programs => one_driver().and_then(|driver| {
            cargo.variables.extend(driver);
            *tally += programs(&cargo)?;
            Ok(())
        }),
        Action::Check(check) => check(root).map(|done| eprintln!("{done}")),
        Action::Drivers => return wgsl::run(&cargo),
        Action::Cuda => return cuda::run(&cargo),
        Action::Callgrind => match callgrind::count(&cargo, true) {
            Ok(Err(reason)) => return vec![not_run(step, reason)],
            Ok(Ok(_)) => Ok(()),
            Err(reason) => Err(reason),
        },
        Action::Elsewhere(reason) => return vec![not_run(step, reason)],
    };
    vec![Outcome {
        step: step.into(),
        seconds: start.elapsed().as_secs_f64(),
        status: match result {
            Ok(()) => Status::Ok,
            Err(reason) => Status::Failed { reason },
        },
        device: None,
    }]
}

/// Runs the test programs that need no particular driver, until one fails.
fn programs(cargo: &Cargo<'_>) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let programs = cargo.programs()?;
    let elsewhere = |program: &Program| wgsl::runs_on_drivers(program) || cuda::is_one(program);
    let here = |program: &&Program| program.is_test && !elsewhere(program);
    for program in programs.iter().filter(here) {
        cargo.start_program(program, &[], |line| tally.add(line))?;
    }
    tally.some()
}

/// Mesa warns about a missing runtime folder in every program.
fn environment() -> Vec<(&'static str, OsString)> {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(_) => vec![],
        None => vec![("XDG_RUNTIME_DIR", std::env::temp_dir().into())],
    }
}

/// The software driver for tests that need some device, so that they run alike everywhere; whatever there is where it
/// is missing.
fn one_driver() -> Result<Vec<(&'static str, OsString)>, String> {
    let lavapipe = vulkan::of_kind(&vulkan::manifests(), Kind::Lavapipe);
    if lavapipe.is_empty() {
        return Ok(vec![]);
    }
    vulkan::only(&lavapipe)
}

/// One line, and one for each digest.
fn line(outcome: &Outcome) -> String {
    let Outcome {
        step,
        seconds,
        status,
        device,
    } = outcome;
    let mut text = match status {
        Status::Ok => format!("{step}: ok ({seconds:.1} s)"),
        Status::Failed { reason } => format!("{step}: FAILED ({seconds:.1} s): {reason}"),
        Status::NotRun { reason } => format!("{step}: NOT RUN ({reason})"),
    };
    if let Some(device) = device {
        text.push_str(&format!(": {}; {}", device.adapter, device.tests));
        for (suite, digest) in &device.digests {
            text.push_str(&format!("\n    {suite} {digest}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_and_a_failing_check_are_failures() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let status = |action: Action| {
            let outcomes = perform(here, "a", &action, true, &mut Tally::default());
            assert_eq!(outcomes.len(), 1);
            outcomes.into_iter().next().unwrap().status
        };
        let failed = |status: Status| matches!(status, Status::Failed { .. });
        assert!(failed(status(Action::Cargo(&["no-such-command-of-cargo"]))));
        assert!(failed(status(Action::Check(|_| Err("wrong".into())))));
        assert!(failed(status(Action::Tests(&["--version"]))));
        assert_eq!(status(Action::Cargo(&["--version"])), Status::Ok);
    }

    #[test]
    fn lines_say_what_happened() {
        let outcome = |status| Outcome {
            step: "CUDA".into(),
            seconds: 1.25,
            status,
            device: None,
        };
        let reason = || "no device".to_string();
        assert_eq!(
            line(&outcome(Status::NotRun { reason: reason() })),
            "CUDA: NOT RUN (no device)"
        );
        assert_eq!(
            line(&outcome(Status::Failed { reason: reason() })),
            "CUDA: FAILED (1.2 s): no device"
        );
        assert_eq!(line(&outcome(Status::Ok)), "CUDA: ok (1.2 s)");
        let json = serde_json::to_value(outcome(Status::Failed { reason: reason() })).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"step": "CUDA", "seconds": 1.25, "status": "failed", "reason": "no device"})
        );
        let device = Some(DeviceRun {
            adapter: "Soft, drv".into(),
            tests: Tally {
                passed: 3,
                ..Tally::default()
            },
            digests: [("nets".to_string(), "00ff".to_string())].into(),
        });
        let outcome = Outcome {
            device,
            ..outcome(Status::Ok)
        };
        assert_eq!(
            line(&outcome),
            "CUDA: ok (1.2 s): Soft, drv; 3 passed, 0 failed, 0 skipped\n    nets 00ff"
        );
        let json = serde_json::to_value(outcome).unwrap();
        assert_eq!(json["digests"]["nets"], "00ff");
        assert_eq!(json["tests"]["passed"], 3);
    }
}
