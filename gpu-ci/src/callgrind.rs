//! `cargo xtask callgrind`: instructions per unit of work of small kernels, counted by valgrind.
//!
//! Counting is on only inside one function of the kernels' program, so that preparing and checking cost nothing. The
//! counts do not depend on how busy the machine is. They do depend on the processor that valgrind imitates: it knows AVX2
//! and not AVX-512, so code chosen at run time is the AVX2 form.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::cargo::Cargo;

/// The program with the kernels, and the function inside which instructions count.
const PROGRAM: &str = "ffcm-kernels";
const REGION: &str = "*measured_region*";

/// Why there is nothing to count with.
const NO_VALGRIND: &str = "valgrind is missing: apt-get install valgrind";

/// One kernel, counted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Count {
    kernel: String,
    /// Work done.
    units: u64,
    /// What the work is counted in.
    unit: String,
    /// Instructions of all of it.
    instructions: u64,
    /// Instructions of one unit.
    per_unit: f64,
}

/// What a run found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Counts {
    valgrind: String,
    rows: Vec<Count>,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "instructions by {}, one thread", self.valgrind)?;
        let head = ["kernel", "units", "instructions", "per unit"];
        let [kernel, units, instructions, per_unit] = head;
        writeln!(
            f,
            "{kernel:<14} {units:>22} {instructions:>14} {per_unit:>10}"
        )?;
        for row in &self.rows {
            let units = format!("{} {}s", row.units, row.unit);
            writeln!(
                f,
                "{:<14} {units:>22} {:>14} {:>10.2}",
                row.kernel, row.instructions, row.per_unit
            )?;
        }
        Ok(())
    }
}

/// The version of valgrind, if there is one.
pub fn valgrind() -> Option<String> {
    let output = Command::new("valgrind").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Counts and shows: a table, or one JSON document.
pub fn run(root: &Path, json: bool, quick: bool) -> Result<String, String> {
    let cargo = Cargo {
        root,
        json,
        quiet: false,
        variables: vec![],
    };
    let counts = count(&cargo, quick)?.map_err(str::to_owned)?;
    match json {
        true => serde_json::to_string_pretty(&counts).map_err(|error| error.to_string()),
        false => Ok(counts.to_string()),
    }
}

/// Counts every kernel; the inner error says why that cannot be done here. `quick` takes little work and the
/// development profile: it tries the machinery, its counts say nothing.
pub fn count(cargo: &Cargo<'_>, quick: bool) -> Result<Result<Counts, &'static str>, String> {
    let Some(version) = valgrind() else {
        return Ok(Err(NO_VALGRIND));
    };
    let program = build(cargo, quick)?;
    let names = text(Command::new(&program).arg("--list"))?;
    let folder = std::env::temp_dir().join(format!("ffcm-callgrind-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let rows: Result<Vec<Count>, String> = names
        .lines()
        .map(|name| {
            let file = folder.join(name);
            let found = kernel(&program, name, quick, &file)?;
            eprintln!("{name}: {} instructions", found.instructions);
            Ok(found)
        })
        .collect();
    let removed = fs::remove_dir_all(&folder);
    let rows = rows?;
    removed.map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(Ok(Counts {
        valgrind: version,
        rows,
    }))
}

fn build(cargo: &Cargo<'_>, quick: bool) -> Result<PathBuf, String> {
    let mut arguments = vec!["build", "-p", "ffcm-suite", "--bin", PROGRAM];
    if !quick {
        arguments.push("--release");
    }
    let built = cargo.built(&arguments)?;
    let program = built.into_iter().find(|program| program.name == PROGRAM);
    let program = program.ok_or_else(|| format!("cargo built no {PROGRAM}"))?;
    Ok(program.path)
}

fn kernel(program: &Path, name: &str, quick: bool, file: &Path) -> Result<Count, String> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--toggle-collect={REGION}"))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .arg(name);
    if quick {
        command.arg("--quick");
    }
    let said = text(&mut command)?;
    let (units, unit) = did(&said).ok_or_else(|| format!("{name}: it said `{}`", said.trim()))?;
    let profile =
        fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    match instructions(&profile) {
        None | Some(0) => Err(format!("{name}: nothing was counted inside {REGION}")),
        Some(instructions) => Ok(Count {
            kernel: name.to_owned(),
            units,
            unit: unit.to_owned(),
            instructions,
            per_unit: instructions as f64 / units as f64,
        }),
    }
}

/// The line `did COUNT UNIT`.
fn did(said: &str) -> Option<(u64, &str)> {
    let line = said.lines().find_map(|line| line.strip_prefix("did "))?;
    let (count, unit) = line.split_once(' ')?;
    let count = count.parse().ok().filter(|count| *count > 0)?;
    Some((count, unit))
}

/// The sum over all of a profile: the line `totals: COUNT` at its end.
fn instructions(profile: &str) -> Option<u64> {
    let totals = profile.lines().rev().find_map(|line| {
        line.strip_prefix("totals:")
            .or_else(|| line.strip_prefix("summary:"))
    })?;
    totals.split_whitespace().next()?.parse().ok()
}

/// What a command prints; that it fails is an error with its last words.
fn text(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let last = words.lines().last().unwrap_or_default();
        return Err(format!("{name}: {}: {last}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_and_counted_is_read() {
        assert_eq!(did("x\ndid 120 arc\n"), Some((120, "arc")));
        for said in ["", "did 120", "did many arc", "did 0 arc"] {
            assert_eq!(did(said), None, "{said}");
        }
        let profile = "version: 1\nevents: Ir\nsummary: 7\n\nfn=(1) x\n1 700\n\ntotals: 700\n";
        assert_eq!(instructions(profile), Some(700));
        assert_eq!(instructions("events: Ir\n"), None);
    }

    #[test]
    fn a_failing_command_is_an_error() {
        assert!(
            text(Command::new("sh").args(["-c", "echo wrong >&2; exit 3"]))
                .is_err_and(|error| error.ends_with("wrong"))
        );
        assert!(text(&mut Command::new("/no/such/program")).is_err());
        assert_eq!(text(Command::new("echo").arg("x")).as_deref(), Ok("x\n"));
    }

    #[test]
    fn rows_are_shown() {
        let counts = Counts {
            valgrind: "valgrind-3".into(),
            rows: vec![Count {
                kernel: "pi".into(),
                units: 4,
                unit: "arc".into(),
                instructions: 10,
                per_unit: 2.5,
            }],
        };
        let shown = counts.to_string();
        assert!(
            shown.contains("4 arcs") && shown.contains("2.50"),
            "{shown}"
        );
    }
}
