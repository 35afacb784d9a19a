//! Suite `conformance`: a backend against the sequential oracle, case by case.
//!
//! The suites of `ffcm::conformance` in a binary that can be carried to a machine without a toolchain. Jobs come from fixed
//! seeds, so equal digests on two machines and backends mean equal results there.

use std::path::PathBuf;

use ffcm::conformance::Suite;
use ffcm::coprocessor::{Accelerator, AcceleratorError, Coprocessor, SelfTestError};
use serde::Serialize;

use crate::failure::Failure;
use crate::gpu::{PROVIDERS, hex};
use crate::machine::Machine;
use crate::options::write_json;
use crate::table::Table;
use crate::timing::{seconds, time};

/// Arguments of the suite.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only these: nets, focus, memory, hash.
    #[arg(long, value_delimiter = ',', value_parser = suite)]
    only: Vec<Suite>,
    /// Threads, where the CPU computes.
    #[arg(
        long,
        default_value_t = 2,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024)
    )]
    threads: usize,
    /// Also write the digests to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn suite(name: &str) -> Result<Suite, String> {
    let found = Suite::ALL.into_iter().find(|suite| suite.name() == name);
    found.ok_or_else(|| "suites are nets, focus, memory and hash".into())
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    backend: String,
    device: String,
    /// Whether every suite agreed with the oracle.
    passed: bool,
    suites: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    suite: &'static str,
    /// Cases compared.
    cases: usize,
    /// Over all results, if the suite agreed.
    digest: Option<String>,
    /// The first case that differs, or why there is no digest.
    error: Option<String>,
    /// Of the backend and of the oracle together.
    seconds: f64,
}

/// Runs the suites, all of them also after one that fails.
pub fn run(arguments: &Arguments, accelerator: Accelerator) -> Result<(), Failure> {
    let opened = accelerator.open(arguments.threads, &PROVIDERS);
    let opened = opened.map_err(|error| match error {
        AcceleratorError::SelfTest(SelfTestError::Mismatch { .. }) => {
            Failure::Mismatch(error.to_string())
        }
        error => Failure::failed(error),
    })?;
    let report = compare(&*opened.coprocessor, &arguments.only);
    print(&report);
    if let Some(path) = &arguments.json {
        write_json(path, &report)?;
    }
    verdict(&report)
}

fn compare(backend: &dyn Coprocessor, only: &[Suite]) -> Report {
    let chosen = |suite: &Suite| only.is_empty() || only.contains(suite);
    let row = |suite: Suite| {
        let (result, sample) = time(|| suite.run(backend));
        let (cases, digest, error) = match result {
            Ok(report) => {
                let refused = || "the backend does not support these jobs".to_owned();
                let error = report.digest.is_none().then(refused);
                (
                    report.cases,
                    report.digest.map(|digest| hex(&digest)),
                    error,
                )
            }
            Err(error) => (0, None, Some(error.to_string())),
        };
        Row {
            suite: suite.name(),
            cases,
            digest,
            error,
            seconds: sample.wall,
        }
    };
    let suites: Vec<Row> = Suite::ALL.into_iter().filter(chosen).map(row).collect();
    let info = backend.info();
    Report {
        machine: Machine::here(),
        backend: info.backend,
        device: info.device,
        passed: suites.iter().all(|row| row.digest.is_some()),
        suites,
    }
}

fn print(report: &Report) {
    println!("{}", report.machine);
    println!("backend: {}, {}", report.backend, report.device);
    let mut table = Table::new(["suite", "cases", "time", "digest"]);
    for row in &report.suites {
        let word = |digest: &String| digest.clone();
        table.row([
            row.suite.to_owned(),
            row.cases.to_string(),
            seconds(row.seconds),
            row.digest.as_ref().map_or("NONE".into(), word),
        ]);
    }
    println!("{table}");
}

fn verdict(report: &Report) -> Result<(), Failure> {
    let errors: Vec<&str> = report
        .suites
        .iter()
        .filter_map(|row| row.error.as_deref())
        .collect();
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Failure::Mismatch(errors.join("; "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use ffcm::coprocessor::{
        DeviceInfo, FocusJob, HashJob, HashOutput, JobError, OracleCoprocessor, RewriteJob,
        RewriteOutput,
    };
    use ffcm::focus::Ranking;
    use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};

    /// The oracle, but no memory and wrong hashes.
    struct Odd;

    impl Coprocessor for Odd {
        fn info(&self) -> DeviceInfo {
            OracleCoprocessor.info()
        }
        fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
            OracleCoprocessor.rewrite(job)
        }
        fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
            OracleCoprocessor.focus(job)
        }
        fn memory(
            &self,
            _: &mut Memory,
            _: &[(SlotId, MemoryOp)],
        ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
            Err(JobError::NotSupported {
                backend: "odd".into(),
                job: "memory",
            })
        }
        fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
            match OracleCoprocessor.hash(job)? {
                HashOutput::Digests(mut digests) => {
                    digests.iter_mut().for_each(|digest| digest[0] ^= 1);
                    Ok(HashOutput::Digests(digests))
                }
                other => Ok(other),
            }
        }
    }

    #[test]
    fn a_difference_and_a_missing_job_are_mismatches_and_the_rest_is_still_run() {
        let only = [Suite::Memory, Suite::Hash];
        let good = compare(&OracleCoprocessor, &only);
        assert!(good.passed && verdict(&good).is_ok());
        let names: Vec<&str> = good.suites.iter().map(|row| row.suite).collect();
        assert_eq!(names, ["memory", "hash"]);
        let bad = compare(&Odd, &only);
        assert!(!bad.passed);
        assert!(bad.suites.iter().all(|row| row.digest.is_none()));
        let failure = verdict(&bad).unwrap_err();
        assert_eq!(failure.code(), 3);
        let text = failure.to_string();
        assert!(text.contains("does not support"), "{text}");
        assert!(text.contains("hash: "), "{text}");
    }

    #[test]
    fn suites_are_chosen_by_name() {
        assert!(suite("nets").is_ok_and(|found| found == Suite::Nets));
        assert!(suite("Nets").is_err());
    }
}
