use std::sync::atomic::{AtomicU64, Ordering};

use ffcm::coprocessor::{
    DeviceInfo, FocusJob, HashJob, HashOutput, JobError, RewriteJob, RewriteOutput,
};
use ffcm::focus::Ranking;
use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};

use super::*;

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
                meter: Some(Box::new(Wire(AtomicU64::new(0)))),
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

/// Ten bytes more at each look.
struct Wire(AtomicU64);

impl Meter for Wire {
    fn sent(&self) -> Sent {
        let uploaded = self.0.fetch_add(10, Ordering::Relaxed);
        Sent {
            uploaded,
            read_back: 0,
        }
    }
    fn rates(&self, _: bool) -> Result<Rates, String> {
        Ok(Rates {
            copy: 1e9,
            upload: 1e9,
            download: 1e9,
            atomics: None,
        })
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
    assert_eq!(figures.transfers.told, Told::Calculated);
    assert_eq!(figures.transfers.uploaded, 10);
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
