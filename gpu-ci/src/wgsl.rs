//! The WebGPU backend's tests, once on each Vulkan driver of this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use crate::cargo::{Cargo, Program, Tally};
use crate::test::{DeviceRun, Outcome, Status};
use crate::vulkan::{self, Kind};

const HINT: &str = "install a software Vulkan driver: on Debian or Ubuntu, as root: apt-get install \
    --no-install-recommends mesa-vulkan-drivers libvulkan1";

/// Each driver: the name of its line, what it is, and what to do where it is missing.
const DRIVERS: [(&str, Kind, &str); 3] = [
    ("WGSL on lavapipe", Kind::Lavapipe, HINT),
    (
        "WGSL on SwiftShader",
        Kind::SwiftShader,
        "no browser here brings it: Debian's package `chromium` does",
    ),
    ("WGSL on hardware", Kind::Other, "this machine has no GPU"),
];

/// The conformance suites. The backend has all of them, so one that gives no digest is a failure.
const SUITES: [&str; 5] = ["focus", "hash", "memory", "nets", "rows"];

/// What stands for the digest of a suite that a backend does not have.
const NOT_SUPPORTED: &str = "not supported";

/// Whether a test program runs on each driver: those of the backend, except what needs a browser, which brings its own.
pub fn runs_on_drivers(program: &Program) -> bool {
    program.is_test && program.folder.ends_with("wgsl") && program.name != "browser"
}

/// Tests every driver, also after one has failed. That no driver ran is a failure.
pub fn run(cargo: &Cargo<'_>) -> Vec<Outcome> {
    let start = Instant::now();
    let programs = match cargo.programs() {
        Ok(programs) => programs,
        Err(reason) => {
            return vec![Outcome {
                step: "WGSL".into(),
                seconds: start.elapsed().as_secs_f64(),
                status: Status::Failed { reason },
                device: None,
            }];
        }
    };
    let manifests = vulkan::manifests();
    let mut outcomes = Vec::new();
    for (step, kind, absent) in DRIVERS {
        let start = Instant::now();
        let own = vulkan::of_kind(&manifests, kind);
        let (status, device) = match test(cargo, &programs, kind, &own) {
            Ok(Some(device)) => (Status::Ok, Some(device)),
            Ok(None) => (
                Status::NotRun {
                    reason: absent.into(),
                },
                None,
            ),
            Err(reason) => (Status::Failed { reason }, None),
        };
        outcomes.push(Outcome {
            step: step.into(),
            seconds: start.elapsed().as_secs_f64(),
            status,
            device,
        });
    }
    judge(&mut outcomes);
    outcomes
}

/// Drivers that differ in a digest have failed, and so has the whole where no driver ran.
fn judge(outcomes: &mut Vec<Outcome>) {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for outcome in outcomes.iter_mut() {
        let digests = outcome.device.iter().flat_map(|device| &device.digests);
        for (suite, digest) in digests {
            let expected = first.entry(suite.clone()).or_insert_with(|| digest.clone());
            if expected != digest {
                let reason = format!("suite {suite}: {digest}, an earlier driver gave {expected}");
                outcome.status = Status::Failed { reason };
            }
        }
    }
    let not_run = |outcome: &Outcome| matches!(outcome.status, Status::NotRun { .. });
    if outcomes.iter().all(not_run) {
        outcomes.push(Outcome {
            step: "WGSL".into(),
            seconds: 0.0,
            status: Status::Failed {
                reason: format!("no driver ran; {HINT}"),
            },
            device: None,
        });
    }
}

/// Runs the tests on one driver; nothing where it or its device is missing.
fn test(
    cargo: &Cargo<'_>,
    programs: &[Program],
    kind: Kind,
    manifests: &[PathBuf],
) -> Result<Option<DeviceRun>, String> {
    // Elsewhere the system's own interface is used, and no manifests.
    let native = kind == Kind::Other && !cfg!(target_os = "linux");
    if manifests.is_empty() && !native {
        return Ok(None);
    }
    let mut variables = cargo.variables.clone();
    if !native {
        variables.extend(vulkan::only(manifests)?);
    }
    let cargo = Cargo {
        variables,
        ..*cargo
    };
    let Some(adapter) = adapter(&cargo, programs, kind)? else {
        return Ok(None);
    };
    let mut digests = Digests::default();
    let mut tests = Tally::default();
    for program in programs.iter().filter(|program| runs_on_drivers(program)) {
        cargo.start_program(program, &["--show-output"], |line| {
            tests.add(line);
            digests.add(line);
        })?;
    }
    let tests = tests.some()?;
    Ok(Some(DeviceRun {
        adapter,
        tests,
        digests: digests.finish()?,
    }))
}

/// Name and driver of the adapter that tests will take with the variables of `cargo`; nothing where there is no hardware.
pub fn adapter(
    cargo: &Cargo<'_>,
    programs: &[Program],
    kind: Kind,
) -> Result<Option<String>, String> {
    let list = programs
        .iter()
        .find(|program| !program.is_test && program.name == "adapters");
    let list = list.ok_or("cargo built no example `adapters`")?;
    let mut listed = Vec::new();
    cargo.start_program(list, &[], |line| listed.push(line.to_string()))?;
    match first_usable(&listed, kind) {
        Some(adapter) => Ok(Some(adapter)),
        None if kind == Kind::Other => Ok(None),
        None if listed.is_empty() => Err(format!("the driver shows no adapter; {HINT}")),
        None => Err(format!("no adapter is usable: {}", listed.join("; "))),
    }
}

/// Name and driver of the first usable adapter, from the lines of the example `adapters`. Software is no
/// hardware.
fn first_usable(listed: &[String], kind: Kind) -> Option<String> {
    let mut lines = listed
        .iter()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    lines.find_map(|fields| match fields[..] {
        [_, "CPU", ..] if kind == Kind::Other => None,
        [_, _, name, driver, "usable"] => Some(format!("{name}, {driver}")),
        _ => None,
    })
}

/// Digests of the conformance suites by suite, collected from what the tests print.
#[derive(Default)]
pub struct Digests {
    by_suite: BTreeMap<String, String>,
    conflicts: Vec<String>,
}

impl Digests {
    /// Looks at one line of output.
    pub fn add(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (suite, digest) = match words[..] {
            ["conformance", _, suite, "digest", digest, "cases", _] => (suite, digest),
            ["conformance", _, suite, "not", "supported"] => (suite, NOT_SUPPORTED),
            _ => return,
        };
        let known = self.by_suite.entry(suite.into());
        let known = known.or_insert_with(|| digest.into());
        if known != digest {
            self.conflicts
                .push(format!("suite {suite}: both {known} and {digest}"));
        }
    }

    /// The digests, if every suite has one, and no suite two.
    pub fn finish(self) -> Result<BTreeMap<String, String>, String> {
        if !self.conflicts.is_empty() {
            return Err(self.conflicts.join("; "));
        }
        for suite in SUITES {
            match self.by_suite.get(suite).map(String::as_str) {
                None => return Err(format!("suite {suite} printed no digest")),
                Some(NOT_SUPPORTED) => return Err(format!("suite {suite} is {NOT_SUPPORTED}")),
                Some(_) => {}
            }
        }
        Ok(self.by_suite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_usable_adapter_is_named_and_software_is_no_hardware() {
        let lines = [
            "0\tdiscrete GPU\tOld\tdrv 1\tadapter `Old` has no compute shaders".to_string(),
            "1\tCPU\tSoft\tdrv 2\tusable".to_string(),
            "2\tdiscrete GPU\tNew\tdrv 3\tusable".to_string(),
        ];
        let name = |kind| first_usable(&lines, kind);
        assert_eq!(name(Kind::Lavapipe).as_deref(), Some("Soft, drv 2"));
        assert_eq!(name(Kind::Other).as_deref(), Some("New, drv 3"));
        assert_eq!(first_usable(&lines[..2], Kind::Other), None);
        assert_eq!(first_usable(&["warning: odd".into()], Kind::Lavapipe), None);
    }

    #[test]
    fn digests_are_collected_and_conflicts_found() {
        let of = |lines: &[&str]| {
            let mut digests = Digests::default();
            lines.iter().for_each(|line| digests.add(line));
            digests.finish()
        };
        let some = [
            "conformance wgpu/0 nets digest 00ff cases 3",
            "conformance wgpu/0 focus digest 01 cases 1",
            "test wgpu::nets ... ok",
            "conformance wgpu/0 memory digest 02 cases 1",
            "conformance small/0 nets digest 00ff cases 3",
            "conformance wgpu/0 rows digest 04 cases 1",
        ];
        let with = |line| of(&[&some[..], &[line]].concat());
        let found = with("conformance wgpu/0 hash digest 03 cases 1").unwrap();
        let expected = [
            ("focus", "01"),
            ("hash", "03"),
            ("memory", "02"),
            ("nets", "00ff"),
            ("rows", "04"),
        ];
        assert_eq!(found, expected.map(|(s, d)| (s.into(), d.into())).into());
        assert!(of(&some).unwrap_err().contains("hash printed no"));
        let error = with("conformance wgpu/0 hash not supported").unwrap_err();
        assert!(error.contains("hash is not supported"), "{error}");
        assert!(Digests::default().finish().is_err());
        let mut digests = Digests::default();
        digests.add("conformance wgpu/0 nets digest 00ff cases 3");
        digests.add("conformance small/0 nets digest 00fe cases 3");
        assert!(digests.finish().unwrap_err().contains("nets"));
    }

    #[test]
    fn drivers_that_differ_and_no_driver_at_all_are_failures() {
        let ran = |digest: &str| Outcome {
            step: "WGSL on a".into(),
            seconds: 0.0,
            status: Status::Ok,
            device: Some(DeviceRun {
                adapter: "a".into(),
                tests: Tally::default(),
                digests: [("nets".to_string(), digest.to_string())].into(),
            }),
        };
        let not = || Outcome {
            step: "WGSL on b".into(),
            seconds: 0.0,
            status: Status::NotRun { reason: "b".into() },
            device: None,
        };
        let after = |mut outcomes: Vec<Outcome>| {
            judge(&mut outcomes);
            outcomes.into_iter().map(|o| o.status).collect::<Vec<_>>()
        };
        let failed = |status: &Status| matches!(status, Status::Failed { .. });
        assert!(!after(vec![ran("1"), not(), ran("1")]).iter().any(failed));
        assert!(failed(&after(vec![ran("1"), ran("2")])[1]));
        assert!(after(vec![not(), not()]).last().is_some_and(failed));
    }
}
