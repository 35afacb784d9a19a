//! The CPU on one and two threads, and the oracle itself, in the conformance suite; equal digests on all, and those of
//! `golden/conformance.txt`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p ffcm --test conformance` writes that file. It says which suites there are today: a record of a
//! device with other digests is one of older suites (`cargo xtask matrix`).

use std::fs;
use std::path::Path;

use ffcm::conformance::{Suite, check};
use ffcm::coprocessor::{
    Coprocessor, DeviceInfo, EvaluateJob, EvaluateOutput, FocusJob, HashJob, HashOutput, JobError,
    OracleCoprocessor, RewriteJob, RewriteOutput,
};
use ffcm::cpu::CpuCoprocessor;
use ffcm::focus::Ranking;
use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};
use ffcm::net::ReduceError;

fn cpu(threads: usize) -> CpuCoprocessor {
    CpuCoprocessor::new(threads).expect("threads start")
}

ffcm::conformance!(three_threads, || super::cpu(3));

/// Each run compares every case with the oracle; this compares what the runs would publish.
#[test]
fn digests_are_equal_on_every_backend() {
    let backends: [&dyn Coprocessor; 3] = [&OracleCoprocessor, &cpu(1), &cpu(2)];
    let mut found = String::new();
    for suite in Suite::ALL {
        let reports = backends.map(|backend| check(suite, backend));
        for report in &reports[1..] {
            assert!(report.digest.is_some());
            assert_eq!(
                (report.digest, report.cases),
                (reports[0].digest, reports[0].cases)
            );
        }
        let digest = blake3::Hash::from_bytes(reports[0].digest.expect("the oracle does all"));
        found += &format!("{} {digest} {}\n", suite.name(), reports[0].cases);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/conformance.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &found).expect("golden is writable");
    }
    let golden = fs::read_to_string(&path).expect("golden/conformance.txt");
    assert_eq!(
        found, golden,
        "the suites changed, and so do records of devices"
    );
}

/// The oracle, except that answers to one kind of job are a little wrong, or that it is missing.
struct Altered {
    wrong: Option<Suite>,
    missing: Option<Suite>,
}

impl Altered {
    fn supports(&self, suite: Suite) -> Result<(), JobError> {
        if self.missing == Some(suite) {
            return Err(JobError::NotSupported {
                backend: "altered".into(),
                job: suite.name(),
            });
        }
        Ok(())
    }
}

impl Coprocessor for Altered {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            backend: "altered".into(),
            device: "test".into(),
            threads: 1,
        }
    }

    fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        self.supports(Suite::Nets)?;
        let mut output = OracleCoprocessor.rewrite(job)?;
        if self.wrong == Some(Suite::Nets) {
            // Every error is taken for a lack of gas.
            let limit = job.limits.gas;
            output
                .iter_mut()
                .filter(|r| r.is_err())
                .for_each(|r| *r = Err(ReduceError::OutOfGas { limit }));
        }
        Ok(output)
    }

    fn evaluate(&self, job: &EvaluateJob<'_>) -> Result<EvaluateOutput, JobError> {
        self.supports(Suite::Rows)?;
        let mut output = OracleCoprocessor.evaluate(job)?;
        if self.wrong == Some(Suite::Rows) {
            // One interaction is counted twice.
            output
                .interactions
                .iter_mut()
                .take(1)
                .for_each(|interactions| *interactions += 1);
        }
        Ok(output)
    }

    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        self.supports(Suite::Focus)?;
        let mut ranking = OracleCoprocessor.focus(job)?;
        if self.wrong == Some(Suite::Focus) && ranking.mass.len() > 1 {
            ranking.mass.swap(0, 1);
        }
        Ok(ranking)
    }

    fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        self.supports(Suite::Memory)?;
        let mut ops = ops.to_vec();
        if self.wrong == Some(Suite::Memory) {
            // In the wrong order where one slot mixes in another.
            ops.sort_by_key(|(target, _)| target.slot);
        }
        OracleCoprocessor.memory(memory, &ops)
    }

    fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        self.supports(Suite::Hash)?;
        match OracleCoprocessor.hash(job)? {
            // A nonce that may be valid, but is not the lowest.
            HashOutput::Nonce(Some(nonce)) if self.wrong == Some(Suite::Hash) => {
                Ok(HashOutput::Nonce(Some(nonce + 1)))
            }
            output => Ok(output),
        }
    }
}

#[test]
fn a_wrong_backend_fails_its_suite_and_a_missing_job_does_not_pass() {
    for suite in Suite::ALL {
        let error = suite
            .run(&Altered {
                wrong: Some(suite),
                missing: None,
            })
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("conformance altered/1 {}: ", suite.name())),
            "{error}"
        );
        let report = suite
            .run(&Altered {
                wrong: None,
                missing: Some(suite),
            })
            .unwrap();
        assert_eq!(report.digest, None);
        assert_eq!(
            report.to_string(),
            format!("conformance altered/1 {} not supported", suite.name())
        );
    }
}
