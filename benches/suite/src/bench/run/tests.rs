use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ffcm::coprocessor::{
    DeviceInfo, FocusJob, HashJob, HashOutput, JobError, RewriteJob, RewriteOutput,
};
use ffcm::focus::Ranking;
use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};

use super::*;
use crate::bench::schema::Told;

/// The CPU, which hashes wrongly or fails after so many batches.
struct Odd {
    cpu: CpuCoprocessor,
    hashes: AtomicU64,
    fails_after: u64,
    wrong: bool,
}

impl Odd {
    fn contender(backend: &str, fails_after: u64, wrong: bool) -> Contender {
        let odd = Odd {
            cpu: CpuCoprocessor::new(1).unwrap(),
            hashes: AtomicU64::new(0),
            fails_after,
            wrong,
        };
        Contender {
            backend: backend.to_owned(),
            threads: 0,
            started: Ok(Started {
                coprocessor: Arc::new(odd),
                meter: Some(Arc::new(Wire {
                    looks: AtomicU64::new(0),
                    timing: AtomicBool::new(false),
                    tells: backend != "mute:0",
                })),
            }),
        }
    }
}

impl Coprocessor for Odd {
    fn info(&self) -> DeviceInfo {
        self.cpu.info()
    }
    fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        self.cpu.rewrite(job)
    }
    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        self.cpu.focus(job)
    }
    fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        self.cpu.memory(memory, ops)
    }
    fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        if self.hashes.fetch_add(1, Ordering::Relaxed) >= self.fails_after {
            return Err(JobError::Device("un-\nplugged".into()));
        }
        match self.wrong {
            true => Ok(HashOutput::Digests(vec![[1; 32]])),
            false => self.cpu.hash(job),
        }
    }
}

/// Ten bytes more at each look, and ten nanoseconds if copies are timed.
struct Wire {
    looks: AtomicU64,
    timing: AtomicBool,
    tells: bool,
}

impl Meter for Wire {
    fn transfers(&self) -> Transfers {
        let uploaded = self.looks.fetch_add(10, Ordering::Relaxed);
        let timed = self.timing.load(Ordering::Relaxed);
        Transfers {
            uploaded,
            upload_time: Duration::from_nanos(if timed { uploaded } else { 0 }),
            ..Transfers::default()
        }
    }
    fn time_transfers(&self, on: bool) -> bool {
        self.timing.store(on && self.tells, Ordering::Relaxed);
        self.tells
    }
    fn most_words(&self) -> u64 {
        1000
    }
    fn time_copies(&self, words: u64, copies: u32, _: u32) -> Result<Duration, JobError> {
        Ok(Duration::from_nanos(2 * 4 * words * u64::from(copies)))
    }
    fn time_wire(&self, words: u64, _: u32) -> Result<(Duration, Duration), JobError> {
        let time = Duration::from_nanos(4 * words);
        Ok((time, 2 * time))
    }
    fn time_atomics(&self, _: u32, _: u32) -> Result<Duration, JobError> {
        Err(JobError::Device("no atomics".into()))
    }
}

fn plan(workloads: Vec<Workload>, sizes: &[u64]) -> Plan {
    Plan {
        workloads,
        cases: Vec::new(),
        sizes: sizes.to_vec(),
        runs: 5,
        warmup: 0,
        quick: true,
        seed: 1,
        input: "rmat".into(),
        threads: vec![1],
    }
}

#[test]
fn what_is_missing_lost_or_wrong_is_a_row_and_the_others_go_on() {
    let contenders = [
        Contender::cpu(1),
        Odd::contender("right:0", u64::MAX, false),
        Odd::contender("lost:0", 4, false),
        Odd::contender("wrong:0", u64::MAX, true),
        Contender {
            backend: "none".into(),
            threads: 0,
            started: Err("no adapter".into()),
        },
    ];
    let plan = plan(vec![Workload::Blake3], &[4096, 100_000]);
    let report = run(plan, &contenders, &|_| ()).unwrap();
    let states: Vec<State> = report.rows.iter().map(|row| row.state).collect();
    use State::{Failed, Ok, Unavailable, Wrong};
    let each = [Ok, Ok, Failed, Wrong, Unavailable];
    assert_eq!(states, [each, each].concat());
    assert_eq!(report.wrong().count(), 2);
    let [_, right, lost, wrong, none, .., large, _, _, _] = &report.rows[..] else {
        panic!("five rows a size");
    };
    assert_eq!(lost.why.as_deref(), Some("device: un- plugged"));
    assert_eq!(none.why.as_deref(), Some("no adapter"));
    assert!(lost.figures.is_none() && wrong.figures.is_none());
    let figures = right.figures.as_ref().unwrap();
    assert_eq!(figures.seconds.samples.len(), 5);
    let transfers = &figures.transfers;
    assert_eq!((transfers.told, transfers.timed_runs), (Told::Timed, 3));
    assert_eq!(transfers.uploaded, 10);
    // Ten nanoseconds between two looks; what the clock showed in between, without them.
    assert_eq!(transfers.upload_seconds, Some(1e-8));
    assert_eq!(transfers.download_seconds, Some(0.0));
    assert!(transfers.compute_seconds.unwrap() > 0.0);
    let ceiling = report.ceiling(right).unwrap();
    let rates = [ceiling.copy, ceiling.upload, ceiling.download];
    assert_eq!(rates, [Some(1e9), Some(1e9), Some(5e8)]);
    assert_eq!(ceiling.atomics, None);
    assert_eq!(ceiling.why.as_deref(), Some("device: no atomics"));
    // The oracle did the smaller size itself; beyond it, the CPU stands in.
    let against = |row: &Row| row.parity.as_ref().unwrap().against.clone();
    assert_eq!((&*against(right), &*against(large)), ("oracle", "cpu x1"));
    assert_eq!(large.parity.as_ref().unwrap().oracle_items, 1 << 16);
    assert!(report.crossovers.iter().all(|c| c.backend == "right:0"));
    assert_eq!(report.crossovers.len(), 1);
    let text = serde_json::to_vec(&report).unwrap();
    // But for the last bit of some times, which JSON does not keep.
    let read = Report::parse(&text).unwrap();
    let shown = |report: &Report| {
        let rows = report.rows.iter();
        rows.map(|row| (row.contender(), row.state, row.parity.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(&read), shown(&report));
    assert_eq!(read.settings, report.settings);
}

#[test]
fn times_that_are_not_measured_are_not_made_up() {
    let contenders = [Odd::contender("mute:0", u64::MAX, false)];
    let report = run(plan(vec![Workload::Blake3], &[4096]), &contenders, &|_| ()).unwrap();
    let transfers = &report.rows[0].figures.as_ref().unwrap().transfers;
    assert_eq!((transfers.told, transfers.timed_runs), (Told::Counted, 0));
    assert_eq!(transfers.uploaded, 10);
    let seconds = [
        transfers.upload_seconds,
        transfers.compute_seconds,
        transfers.download_seconds,
    ];
    assert_eq!(seconds, [None; 3]);
    let text = crate::bench::text::report(&report);
    assert!(text.contains("was not measured"), "{text}");
}

#[test]
fn a_device_that_goes_while_its_copies_are_timed_is_a_row_that_says_so() {
    // One batch for the oracle's input, the first, five timed ones; the next is the first with timed copies.
    let contenders = [
        Odd::contender("lost:0", 7, false),
        Odd::contender("right:0", u64::MAX, false),
    ];
    let report = run(plan(vec![Workload::Blake3], &[4096]), &contenders, &|_| ()).unwrap();
    let [lost, right] = &report.rows[..] else {
        panic!("a row each");
    };
    assert_eq!((lost.state, right.state), (State::Failed, State::Ok));
    assert!(lost.figures.is_none());
    assert_eq!(lost.why.as_deref(), Some("device: un- plugged"));
}

#[test]
fn sizes_of_the_oracle_are_held_against_it() {
    let plan = plan(vec![Workload::AgeDecay, Workload::Memory], &[200]);
    let report = run(plan, &[Contender::cpu(1), Contender::cpu(2)], &|_| ()).unwrap();
    assert_eq!(report.rows.len(), 4);
    for row in &report.rows {
        let parity = row.parity.as_ref().unwrap();
        assert_eq!((&*parity.against, parity.equal), ("oracle", true));
        assert_eq!(parity.oracle_items, 200);
        let told = row.figures.as_ref().unwrap().transfers.told;
        assert_eq!(told, Told::None);
    }
    assert!(report.crossovers.is_empty());
}
