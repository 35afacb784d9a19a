//! The CUDA backend: its kernels compiled by NVRTC, run on the CPU, and run on a device where there
//! is one.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::cargo::{Cargo, Program, Tally};
use crate::test::{DeviceRun, Outcome, Status};
use crate::wgsl::Digests;

/// The compiler as it comes from PyPI, and where it is kept.
const PACKAGE: &str = "nvidia-cuda-nvrtc==13.0.88";
const KEPT: &str = "target/nvrtc";

/// Names the compiler's library to the backend.
const VARIABLE: &str = "FFCM_NVRTC";

/// What the backend's tests print where they could not do anything.
const COMPILE_NOT_RUN: &str = "CUDA compile: NOT RUN";
const HARDWARE_NOT_RUN: &str = "CUDA on hardware: NOT RUN";

/// Whether a test program is one of the backend's.
pub fn is_one(program: &Program) -> bool {
    program.is_test && program.folder.ends_with("cuda")
}

/// A compiler: what it is, and the variables that let the backend find it.
type Compiler = (String, Vec<(&'static str, OsString)>);

/// Every step, also after one has failed.
pub fn run(cargo: &Cargo<'_>) -> Vec<Outcome> {
    let start = Instant::now();
    let programs = match cargo.programs() {
        Ok(programs) => programs,
        Err(reason) => return vec![outcome("CUDA", start, Err(reason))],
    };
    let start = Instant::now();
    let compiler = compiler_of(cargo, &programs);
    let tests: Vec<&Program> = programs.iter().filter(|program| is_one(program)).collect();
    let compiled = compile(cargo, &tests, &compiler);
    let mut outcomes = vec![outcome("CUDA compile", start, compiled)];
    let variables = compiler.map(|(_, variables)| variables).unwrap_or_default();
    let cargo = with_variables(cargo, &variables);
    let start = Instant::now();
    outcomes.push(outcome(
        "CUDA on the CPU",
        start,
        on_the_cpu(&cargo, &tests),
    ));
    let start = Instant::now();
    outcomes.push(outcome(
        "CUDA on hardware",
        start,
        on_hardware(&cargo, &tests),
    ));
    agree(&mut outcomes);
    outcomes
}

/// A step's result: what it ran on, or why it did not run.
type Done = Result<Result<DeviceRun, String>, String>;

fn outcome(step: &str, start: Instant, done: Done) -> Outcome {
    let (status, device) = match done {
        Ok(Ok(device)) => (Status::Ok, Some(device)),
        Ok(Err(reason)) => (Status::NotRun { reason }, None),
        Err(reason) => (Status::Failed { reason }, None),
    };
    Outcome {
        step: step.into(),
        seconds: start.elapsed().as_secs_f64(),
        status,
        device,
    }
}

/// Digests that differ are a failure of the later step.
fn agree(outcomes: &mut [Outcome]) {
    let mut first: Option<DeviceRun> = None;
    for outcome in outcomes {
        let Some(device) = &outcome.device else {
            continue;
        };
        if device.digests.is_empty() {
            continue;
        }
        match &first {
            None => first = Some(device.clone()),
            Some(first) if first.digests != device.digests => {
                let reason = format!("digests differ from those of {}", first.adapter);
                outcome.status = Status::Failed { reason };
            }
            Some(_) => {}
        }
    }
}

fn with_variables<'a>(cargo: &Cargo<'a>, more: &[(&'static str, OsString)]) -> Cargo<'a> {
    let mut variables = cargo.variables.clone();
    variables.extend(more.iter().cloned());
    Cargo {
        variables,
        ..*cargo
    }
}

fn named<'a>(tests: &[&'a Program], name: &str) -> Result<&'a Program, String> {
    let found = tests.iter().find(|program| program.name == name);
    found
        .copied()
        .ok_or_else(|| format!("cargo built no test `{name}`"))
}

/// The compiler that the built example `ptx` finds.
fn compiler_of(cargo: &Cargo<'_>, programs: &[Program]) -> Result<Compiler, String> {
    compiler(cargo.root, |variables| {
        let with = with_variables(cargo, variables);
        let find = programs
            .iter()
            .find(|program| !program.is_test && program.name == "ptx");
        let find = find.ok_or("cargo built no example `ptx`")?;
        let mut found = String::new();
        with.start_program(find, &["find"], |line| found.push_str(line))?;
        Ok(found)
    })
}

/// Compiles every kernel and does nothing else: the compiler, or why there is none.
pub fn compile_only(
    cargo: &Cargo<'_>,
    programs: &[Program],
) -> Result<Result<String, String>, String> {
    let compiler = compiler_of(cargo, programs);
    let tests: Vec<&Program> = programs.iter().filter(|program| is_one(program)).collect();
    let compiled = compile(cargo, &tests, &compiler)?;
    Ok(compiled.map(|run| run.adapter))
}

/// Compiles every kernel. The report of what each takes is part of the output.
fn compile(cargo: &Cargo<'_>, tests: &[&Program], compiler: &Result<Compiler, String>) -> Done {
    let (what, variables) = match compiler {
        Ok(compiler) => compiler,
        Err(reason) => return Ok(Err(reason.clone())),
    };
    let mut tests_run = Tally::default();
    let mut not_run = None;
    let cargo = with_variables(cargo, variables);
    cargo.start_program(named(tests, "compile")?, &["--show-output"], |line| {
        tests_run.add(line);
        if line.starts_with(COMPILE_NOT_RUN) {
            not_run = Some(line.to_string());
        }
    })?;
    match not_run {
        Some(line) => Err(format!("{what} was found, and then: {line}")),
        None => Ok(Ok(DeviceRun {
            adapter: what.clone(),
            tests: tests_run.some()?,
            digests: [].into(),
        })),
    }
}

/// Every test but the two that want a compiler or a device.
fn on_the_cpu(cargo: &Cargo<'_>, tests: &[&Program]) -> Done {
    let mut tests_run = Tally::default();
    let mut digests = Digests::default();
    let elsewhere = ["compile", "hardware"];
    for program in tests {
        if elsewhere.contains(&program.name.as_str()) {
            continue;
        }
        cargo.start_program(program, &["--show-output"], |line| {
            tests_run.add(line);
            digests.add(line);
        })?;
    }
    Ok(Ok(DeviceRun {
        adapter: "kernels compiled by the system's C++ compiler".into(),
        tests: tests_run.some()?,
        digests: digests.finish()?,
    }))
}

fn on_hardware(cargo: &Cargo<'_>, tests: &[&Program]) -> Done {
    let mut tests_run = Tally::default();
    let mut digests = Digests::default();
    let mut adapters = Vec::new();
    let mut not_run = false;
    cargo.start_program(named(tests, "hardware")?, &["--show-output"], |line| {
        tests_run.add(line);
        digests.add(line);
        not_run |= line.starts_with(HARDWARE_NOT_RUN);
        adapters.extend(line.strip_prefix("device ").map(String::from));
    })?;
    if not_run {
        return Ok(Err("this machine has no GPU".into()));
    }
    Ok(Ok(DeviceRun {
        adapter: adapters.join("; "),
        tests: tests_run.some()?,
        digests: digests.finish()?,
    }))
}

/// The compiler that `find` finds with some variables: the machine's, one kept from before, or one
/// fetched from PyPI. The error says why there is none, and how to get it.
fn compiler(
    root: &Path,
    find: impl Fn(&[(&'static str, OsString)]) -> Result<String, String>,
) -> Result<Compiler, String> {
    if let Ok(found) = find(&[]) {
        return Ok((found, vec![]));
    }
    let folder = root.join(KEPT);
    let library = match library_in(&folder) {
        Some(library) => library,
        None => {
            fetch(&folder)?;
            library_in(&folder).ok_or_else(|| format!("{PACKAGE} has no library of NVRTC"))?
        }
    };
    let variables = vec![(VARIABLE, library.into_os_string())];
    find(&variables).map(|found| (found, variables))
}

/// Renders the assembly that comes with the backend.
pub fn render(root: &Path) -> Result<String, String> {
    let cargo = Cargo {
        root,
        json: false,
        quiet: true,
        variables: vec![],
    };
    let example = |variables: &[(&'static str, OsString)], what: &str| {
        let arguments = [
            "run",
            "--quiet",
            "-p",
            "ffcm-cuda",
            "--example",
            "ptx",
            what,
        ];
        let mut printed = String::new();
        let with = with_variables(&cargo, variables);
        with.lines(&arguments, |line| printed.push_str(line))?;
        Ok(printed)
    };
    let variables = match compiler(root, |variables| example(variables, "find")) {
        Ok((_, variables)) => variables,
        Err(reason) => {
            eprintln!("{reason}");
            vec![]
        }
    };
    example(&variables, "write")
}

/// The compiler's library somewhere in a folder.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    let is_library = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name == "libnvrtc.so.13" || name == "nvrtc64_130_0.dll")
    };
    if let Some(library) = paths.iter().find(|path| is_library(path)) {
        return Some(library.clone());
    }
    paths.iter().find_map(|path| match path.is_dir() {
        true => library_in(path),
        false => None,
    })
}

/// Downloads the compiler's package and unpacks it.
fn fetch(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let to = folder.to_string_lossy();
    let download = [
        "-m",
        "pip",
        "download",
        "--quiet",
        PACKAGE,
        "--no-deps",
        "-d",
        &to,
    ];
    python(&download).map_err(|reason| {
        format!("no NVRTC on this machine, and PyPI's {PACKAGE} cannot be had: {reason}; install it, or let {VARIABLE} name libnvrtc.so.13")
    })?;
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let wheel = entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "whl"));
    let wheel = wheel.ok_or("pip wrote no wheel")?;
    python(&["-m", "zipfile", "-e", &wheel.to_string_lossy(), &to])
}

/// Runs Python. The error is the last line of what it says.
fn python(arguments: &[&str]) -> Result<(), String> {
    eprintln!("$ python3 {}", arguments.join(" "));
    let output = Command::new("python3").args(arguments).output();
    let output = output.map_err(|error| format!("python3: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    Err(last.unwrap_or("python3 failed").trim().to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn ran(digest: Option<&str>) -> Outcome {
        let digests: BTreeMap<_, _> = digest
            .map(|digest| ("nets".to_string(), digest.to_string()))
            .into_iter()
            .collect();
        let device = DeviceRun {
            adapter: "a".into(),
            tests: Tally::default(),
            digests,
        };
        outcome("CUDA", Instant::now(), Ok(Ok(device)))
    }

    #[test]
    fn digests_that_differ_are_a_failure_and_missing_devices_are_not() {
        let not = || outcome("b", Instant::now(), Ok(Err("none".into())));
        let after = |mut outcomes: Vec<Outcome>| {
            agree(&mut outcomes);
            let failed = |outcome: &Outcome| matches!(outcome.status, Status::Failed { .. });
            outcomes.iter().map(failed).collect::<Vec<_>>()
        };
        assert_eq!(after(vec![ran(None), ran(Some("1")), not()]), [false; 3]);
        assert_eq!(after(vec![ran(Some("1")), ran(Some("1"))]), [false; 2]);
        assert_eq!(after(vec![ran(Some("1")), ran(Some("2"))]), [false, true]);
    }

    #[test]
    fn the_machines_compiler_comes_before_one_that_is_kept() {
        let root = std::env::temp_dir().join(format!("xtask-cuda-{}", std::process::id()));
        let folder = root.join(KEPT).join("nvidia/cu13/lib");
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(library_in(&root.join(KEPT)), None);
        let library = folder.join("libnvrtc.so.13");
        fs::write(&library, "").unwrap();
        fs::write(folder.join("libnvrtc-builtins.so.13.0"), "").unwrap();
        assert_eq!(library_in(&root.join(KEPT)), Some(library.clone()));
        let own = compiler(&root, |variables| match variables {
            [] => Ok("NVRTC".into()),
            _ => Err("another".into()),
        });
        assert_eq!(own.unwrap(), ("NVRTC".into(), vec![]));
        let kept = compiler(&root, |variables| match variables {
            [] => Err("none".into()),
            [(name, path)] => Ok(format!("{name} {}", path.to_string_lossy())),
            _ => Err("too many".into()),
        });
        let expected = format!("{VARIABLE} {}", library.display());
        assert_eq!(kept.unwrap().0, expected);
        assert_eq!(
            compiler(&root, |_| Err("broken".into())).unwrap_err(),
            "broken"
        );
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn python_that_fails_says_why() {
        // Where there is no Python, that is said.
        let error = python(&["-c", "raise SystemExit('no\\nnetwork\\n')"]).unwrap_err();
        assert!(
            error == "network" || error.starts_with("python3: "),
            "{error}"
        );
    }
}
