//! `cargo xtask test`: every check, in the order that fails soonest.

use std::io::{self, BufRead, BufReader, Write};
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
    /// `cargo test` with these arguments; that no test ran is a failure.
    Tests(&'static [&'static str]),
    /// A check in this process.
    Check(fn(&Path) -> Result<String, String>),
    /// Nothing, for the reason given.
    NotRun(&'static str),
}

const STEPS: [(&str, Action); 10] = [
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
        "docs",
        Action::Cargo(&[
            "--config",
            "build.rustdocflags=[\"-D\",\"warnings\"]",
            "doc",
            "--workspace",
            "--exclude",
            "peers",
            "--no-deps",
            "--quiet",
        ]),
    ),
    (
        "tests",
        Action::Tests(&["test", "--workspace", "--exclude", "peers"]),
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
    let mut tally = Tally::default();
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
                    Ok(counted) => {
                        tally = counted.unwrap_or(tally);
                        Status::Ok
                    }
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
            serde_json::json!({ "ok": failed.is_none(), "steps": outcomes, "tests": tally })
        );
    } else {
        outcomes
            .iter()
            .for_each(|outcome| println!("{}", line(outcome)));
        let Tally {
            passed,
            failed,
            skipped,
        } = tally;
        println!("total: {passed} passed, {failed} failed, {skipped} skipped");
    }
    match failed {
        None => ExitCode::SUCCESS,
        Some(step) => {
            eprintln!("cargo xtask test: step `{step}` failed");
            ExitCode::FAILURE
        }
    }
}

fn perform(root: &Path, action: &Action, json: bool) -> Result<Option<Tally>, String> {
    match action {
        Action::Cargo(arguments) => cargo_lines(root, arguments, json, None, |_, _| {}),
        Action::Tests(arguments) => {
            let tally = Tally::default();
            let tally = cargo_lines(root, arguments, json, tally, |tally, line| tally.add(line))?;
            match tally.passed {
                0 => Err("no test ran".into()),
                _ => Ok(Some(tally)),
            }
        }
        Action::Check(check) => {
            eprintln!("{}", check(root)?);
            Ok(None)
        }
        Action::NotRun(_) => Ok(None),
    }
}

/// Sums of the `test result:` lines of all test programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    /// Adds one line of output, if it is a summary.
    fn add(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in counts.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(what)) = (words.next(), words.next()) else {
                continue;
            };
            let Ok(count) = count.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.skipped += count,
                _ => {}
            }
        }
    }
}

/// Runs cargo and shows what it prints while `each` looks at every line. With `json`, standard output belongs to the
/// document, so what cargo prints goes to standard error.
fn cargo_lines<T>(
    root: &Path,
    arguments: &[&str],
    json: bool,
    mut state: T,
    mut each: impl FnMut(&mut T, &str),
) -> Result<T, String> {
    let shown = format!("cargo {}", arguments.join(" "));
    eprintln!("$ {shown}");
    let failed = |error: &dyn std::fmt::Display| format!("{shown}: {error}");
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error))?;
    if let Some(output) = child.stdout.take() {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output
            .read_until(b'\n', &mut line)
            .map_err(|error| failed(&error))?
            > 0
        {
            let shown = if json {
                io::stderr().write_all(&line)
            } else {
                io::stdout().write_all(&line)
            };
            shown.map_err(|error| failed(&error))?;
            each(&mut state, String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(state),
        Ok(status) => Err(failed(&status)),
        Err(error) => Err(failed(&error)),
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
    fn summaries_of_test_programs_add_up() {
        let mut tally = Tally::default();
        tally.add("test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 1 filtered out");
        tally.add("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured");
        tally.add("running 7 passed tests");
        let (passed, failed, skipped) = (13, 2, 3);
        assert_eq!(
            tally,
            Tally {
                passed,
                failed,
                skipped
            }
        );
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
