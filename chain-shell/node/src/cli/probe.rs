//! Trying every backend of this machine.

#[cfg(feature = "cubecl")]
mod cubecl;
mod cuda;
mod device;
mod wgpu;

use std::fmt::Display;
use std::time::{Duration, Instant};

use ffcm::coprocessor::{Coprocessor, DeviceInfo, SELF_TEST_JOBS, SelfTestJob, self_test_jobs};
use ffcm::cpu::CpuCoprocessor;
use serde_json::{Value, json};

#[cfg(feature = "cubecl")]
pub(crate) use self::cubecl::cubecl;
pub(crate) use self::cuda::cuda;
use self::device::{Device, Missing, Unit};
pub(crate) use self::wgpu::wgpu;
use super::failure::one_line;

/// What came of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It passed its self-test.
    Ready,
    /// It computes something else than the reference.
    Wrong,
    /// It does not start, or does not do a job.
    Failed,
    /// Its device lacks something that is needed.
    Refused,
    /// There is none.
    Absent,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Ready => "ready",
            State::Wrong => "WRONG",
            State::Failed => "failed",
            State::Refused => "refused",
            State::Absent => "absent",
        }
    }
}

/// A backend, tried.
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) state: State,
    /// One line: the device, or why there is none.
    pub(crate) detail: String,
    device: Option<Device>,
    /// What of it this machine lacks.
    missing: Vec<Missing>,
    /// Time to open the device.
    opened: Option<Duration>,
    /// The jobs of the self-test, each with the time of a second run if the first was right.
    jobs: Vec<(SelfTestJob, Option<Duration>)>,
    units: Vec<Unit>,
}

impl Backend {
    fn without_device(name: &str, state: State, detail: String) -> Backend {
        Backend {
            name: name.to_owned(),
            state,
            detail,
            device: None,
            missing: Vec::new(),
            opened: None,
            jobs: Vec::new(),
            units: Vec::new(),
        }
    }

    /// Opens a device unless it is `refused`, tests it, and asks for its kernels.
    fn of_device<C: Coprocessor, E: Display>(
        name: String,
        device: Device,
        refused: Option<E>,
        open: impl FnOnce() -> Result<C, E>,
        units: impl FnOnce(&C) -> Vec<Unit>,
    ) -> Backend {
        Backend::of_partial(name, device, refused, &SELF_TEST_JOBS, open, units)
    }

    /// The same for a device that takes these `jobs` of the self-test.
    fn of_partial<C: Coprocessor, E: Display>(
        name: String,
        device: Device,
        refused: Option<E>,
        jobs: &[&str],
        open: impl FnOnce() -> Result<C, E>,
        units: impl FnOnce(&C) -> Vec<Unit>,
    ) -> Backend {
        let state = match refused {
            Some(_) => State::Refused,
            None => State::Failed,
        };
        let mut backend = Backend::without_device(&name, state, String::new());
        backend.device = Some(device);
        let start = Instant::now();
        match refused.map_or_else(open, Err) {
            Ok(coprocessor) => {
                backend.opened = Some(start.elapsed());
                backend.test(&coprocessor, jobs);
                backend.units = units(&coprocessor);
            }
            Err(error) => backend.detail = one_line(&error.to_string()),
        }
        backend
    }

    /// Runs the self-test, all of it whatever comes of its jobs.
    fn test(&mut self, coprocessor: &dyn Coprocessor, jobs: &[&str]) {
        let tried = || -> Vec<SelfTestJob> {
            let all = self_test_jobs(coprocessor);
            all.filter(|tried| jobs.contains(&tried.job)).collect()
        };
        let first = tried();
        let passed = first.iter().all(SelfTestJob::passed);
        let again = if passed { tried() } else { Vec::new() };
        let wrong = |job: &&SelfTestJob| !job.passed();
        (self.state, self.detail) = match first.iter().chain(&again).find(wrong) {
            None => (State::Ready, device_line(&coprocessor.info())),
            Some(job) => match &job.found {
                Ok(found) => (
                    State::Wrong,
                    format!(
                        "self-test: wrong {} result {found}, expected {}; the device cannot be trusted",
                        job.job, job.expected
                    ),
                ),
                Err(error) => (
                    State::Failed,
                    one_line(&format!("self-test: {}: {error}", job.job)),
                ),
            },
        };
        let mut warm = again.iter().map(|job| job.time);
        self.jobs = first.into_iter().map(|job| (job, warm.next())).collect();
    }

    pub(crate) fn to_json(&self) -> Value {
        let job = |(job, warm): &(SelfTestJob, Option<Duration>)| {
            json!({
                "job": job.job,
                "expected": job.expected,
                "digest": job.found.as_ref().ok(),
                "error": job.found.as_ref().err().map(ToString::to_string),
                "passed": job.passed(),
                "first_seconds": job.time.as_secs_f64(),
                "warm_seconds": warm.map(|time| time.as_secs_f64()),
            })
        };
        json!({
            "backend": self.name,
            "state": self.state.word(),
            "detail": self.detail,
            "adapter": self.device.as_ref().map(Device::to_json),
            "missing": self.missing.iter().map(Missing::to_json).collect::<Vec<_>>(),
            "open_seconds": self.opened.map(|time| time.as_secs_f64()),
            "self_test": self.jobs.iter().map(job).collect::<Vec<_>>(),
            "kernels": self.units.iter().map(Unit::to_json).collect::<Vec<_>>(),
        })
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = format!(
            "{:<6} {:<8} {}\n",
            self.name,
            self.state.word(),
            self.detail
        );
        let mut row = |name: &str, words: String| text += &format!("  {name:<10} {words}\n");
        for missing in &self.missing {
            row("missing", missing.to_string());
        }
        for (name, words) in self.device.iter().flat_map(Device::rows) {
            row(name, words);
        }
        if let Some(time) = self.opened {
            row("opened in", seconds(time));
        }
        for (job, warm) in &self.jobs {
            let found = match &job.found {
                Ok(digest) if job.passed() => digest.clone(),
                Ok(digest) => format!("{digest} WRONG, expected {}", job.expected),
                Err(error) => format!("- {}", one_line(&error.to_string())),
            };
            let times = match warm {
                Some(warm) => format!("first {}, then {}", seconds(job.time), seconds(*warm)),
                None => format!("first {}", seconds(job.time)),
            };
            row("self-test", format!("{:<8} {found}  {times}", job.job));
        }
        for (name, words) in self.units.iter().flat_map(Unit::rows) {
            row(name, words);
        }
        text
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

fn device_line(info: &DeviceInfo) -> String {
    match info.threads {
        0 => format!("{}, self-test passed", info.device),
        threads => format!("{}, {threads} threads, self-test passed", info.device),
    }
}

/// The CPU.
pub(crate) fn cpu() -> Backend {
    match CpuCoprocessor::new(0) {
        Ok(cpu) => {
            let mut backend = Backend::without_device("cpu", State::Ready, String::new());
            backend.test(&cpu, &SELF_TEST_JOBS);
            backend
        }
        Err(error) => Backend::without_device("cpu", State::Failed, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use ffcm::coprocessor::{
        FocusJob, HashJob, HashOutput, JobError, OracleCoprocessor, RewriteJob, RewriteOutput,
    };
    use ffcm::focus::Ranking;
    use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};

    use super::*;

    /// The oracle, with π wrong or no π at all.
    struct Odd(Option<u64>);

    impl Coprocessor for Odd {
        fn info(&self) -> DeviceInfo {
            OracleCoprocessor.info()
        }
        fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
            OracleCoprocessor.rewrite(job)
        }
        fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
            let mut ranking = OracleCoprocessor.focus(job)?;
            ranking.mass[0] ^= self.0.ok_or(JobError::Device("un-\nplugged".into()))?;
            Ok(ranking)
        }
        fn memory(
            &self,
            memory: &mut Memory,
            ops: &[(SlotId, MemoryOp)],
        ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
            OracleCoprocessor.memory(memory, ops)
        }
        fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
            OracleCoprocessor.hash(job)
        }
    }

    fn tested(device: &dyn Coprocessor) -> Backend {
        let mut backend = Backend::without_device("odd:0", State::Failed, String::new());
        backend.test(device, &SELF_TEST_JOBS);
        backend
    }

    #[test]
    fn a_right_device_is_ready_with_all_digests_and_both_times() {
        let backend = tested(&Odd(Some(0)));
        assert_eq!(backend.state, State::Ready);
        assert_eq!(
            backend.detail,
            "sequential reference, 1 threads, self-test passed"
        );
        let value = backend.to_json();
        for job in value["self_test"].as_array().unwrap() {
            assert_eq!(job["digest"], job["expected"]);
            assert_eq!(job["passed"], true);
            assert!(job["warm_seconds"].is_f64() && job["first_seconds"].is_f64());
            let line = format!("{} ", job["digest"].as_str().unwrap());
            assert!(backend.to_text().contains(&line), "{}", backend.to_text());
        }
        assert_eq!(value["self_test"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn wrong_and_failed_are_told_apart_and_the_rest_is_still_tried() {
        let wrong = tested(&Odd(Some(1)));
        assert_eq!(wrong.state, State::Wrong);
        assert!(
            wrong.detail.contains("wrong focus result"),
            "{}",
            wrong.detail
        );
        assert!(
            wrong.to_text().contains(" WRONG, expected 82b4f88d"),
            "{}",
            wrong.to_text()
        );
        let failed = tested(&Odd(None));
        assert_eq!(failed.state, State::Failed);
        assert_eq!(failed.detail, "self-test: focus: device: un- plugged");
        assert!(
            failed.to_text().contains("- device: un- plugged"),
            "{}",
            failed.to_text()
        );
        for backend in [wrong, failed] {
            let value = backend.to_json();
            let jobs = value["self_test"].as_array().unwrap();
            let passed: Vec<bool> = jobs.iter().map(|j| j["passed"] == true).collect();
            assert_eq!(passed, [true, false, true, true]);
            assert!(jobs[0]["warm_seconds"].is_null());
        }
    }
}
