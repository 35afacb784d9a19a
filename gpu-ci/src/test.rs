//! `cargo xtask test`: every check, in the order that fails soonest.

use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use serde::Serialize;

use crate::{codegen, deps, tidy};

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Status {
    Ok,
    Failed { reason: String },
    NotRun { reason: String },
}

#[derive(Debug, Serialize)]
struct Outcome {
    step: &'static str,
    seconds: f64,
    #[serde(flatten)]
    status: Status,
}

enum Action {
    /// `cargo` with these arguments.
    Cargo(&'static [&'static str]),
    /// A check in this process.
    Check(fn(&Path) -> Result<String, String>),
    /// Nothing, for the reason given.
    NotRun(&'static str),
}

const STEPS: [(&str, Action); 9] = [
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
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]),
    ),
    (
        "tests",
        Action::Cargo(&["test", "--workspace", "--exclude", "peers"]),
    ),
    (
        "WGSL",
        Action::NotRun("no GPU kernels in this version; the header is checked in `tests`"),
    ),
    (
        "CUDA",
        Action::NotRun("no GPU kernels in this version; the header is checked in `tests`"),
    ),
    (
        "benches",
        // Checks results alone: sizes too small, and code not optimised enough, for the times to say anything.
        Action::Cargo(&["run", "--quiet", "-p", "ffcm-benches", "--", "tiny"]),
    ),
];

/// Runs the steps until one fails. Prints a line per step at the end, or one JSON document.
pub fn run(root: &Path, json: bool) -> ExitCode {
    let mut outcomes = Vec::new();
    let mut failed = None;
    for (step, action) in STEPS {
        let mut seconds = 0.0;
        let status = match (&failed, action) {
            (_, Action::NotRun(reason)) => Status::NotRun {
                reason: reason.into(),
            },
            (Some(earlier), _) => Status::NotRun {
                reason: format!("`{earlier}` failed"),
            },
            (None, action) => {
                let start = Instant::now();
                let result = perform(root, &action, json);
                seconds = start.elapsed().as_secs_f64();
                match result {
                    Ok(()) => Status::Ok,
                    Err(reason) => Status::Failed { reason },
                }
            }
        };
        if matches!(status, Status::Failed { .. }) {
            failed = Some(step);
        }
        outcomes.push(Outcome {
            step,
            seconds,
            status,
        });
    }
    if json {
        println!(
            "{}",
            serde_json::json!({ "ok": failed.is_none(), "steps": outcomes })
        );
    } else {
        outcomes
            .iter()
            .for_each(|outcome| println!("{}", line(outcome)));
    }
    match failed {
        None => ExitCode::SUCCESS,
        Some(step) => {
            eprintln!("cargo xtask test: step `{step}` failed");
            ExitCode::FAILURE
        }
    }
}

fn perform(root: &Path, action: &Action, json: bool) -> Result<(), String> {
    match action {
        Action::Cargo(arguments) => cargo(root, arguments, json),
        Action::Check(check) => check(root).map(|done| eprintln!("{done}")),
        Action::NotRun(_) => Ok(()),
    }
}

/// With `json`, standard output belongs to the document, so what cargo prints goes to standard error.
fn cargo(root: &Path, arguments: &[&str], json: bool) -> Result<(), String> {
    let shown = format!("cargo {}", arguments.join(" "));
    eprintln!("$ {shown}");
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = if json {
        Stdio::from(io::stderr())
    } else {
        Stdio::inherit()
    };
    let status = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .stdout(output)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown}: {status}")),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

fn line(outcome: &Outcome) -> String {
    let Outcome {
        step,
        seconds,
        status,
    } = outcome;
    match status {
        Status::Ok => format!("{step}: ok ({seconds:.1} s)"),
        Status::Failed { reason } => format!("{step}: FAILED ({seconds:.1} s): {reason}"),
        Status::NotRun { reason } => format!("{step}: NOT RUN ({reason})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_and_a_failing_check_are_failures() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(perform(here, &Action::Cargo(&["no-such-command-of-cargo"]), true).is_err());
        assert!(perform(here, &Action::Check(|_| Err("wrong".into())), true).is_err());
        assert!(perform(here, &Action::Cargo(&["--version"]), true).is_ok());
    }

    #[test]
    fn lines_say_what_happened() {
        let outcome = |status| Outcome {
            step: "CUDA",
            seconds: 1.25,
            status,
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
    }
}
