use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::coprocessor::{
    Argument, OracleCoprocessor, WithFallback, evaluate_digest, hash_digest, memory_digest,
    ranking_digest, rewrite_digest,
};
use crate::focus::FocusParams;
use crate::graph::{EdgeDelta, Graph};
use crate::net::{Book, Limits};
use crate::spec::number::Kind;

/// The oracle, which counts its jobs and is unplugged after so many.
struct Counted {
    jobs: Arc<AtomicU64>,
    fails_after: u64,
}

impl Counted {
    fn new(fails_after: u64) -> (Arc<Counted>, Arc<AtomicU64>) {
        let jobs = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            jobs: Arc::clone(&jobs),
            fails_after,
        };
        (Arc::new(counted), jobs)
    }

    fn count(&self) -> Result<&OracleCoprocessor, JobError> {
        match self.jobs.fetch_add(1, Ordering::Relaxed) < self.fails_after {
            true => Ok(&OracleCoprocessor),
            false => Err(JobError::Device("unplugged".into())),
        }
    }
}

impl Coprocessor for Counted {
    fn info(&self) -> DeviceInfo {
        OracleCoprocessor.info()
    }
    fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        self.count()?.rewrite(job)
    }
    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        self.count()?.focus(job)
    }
    fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        self.count()?.memory(memory, ops)
    }
    fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        self.count()?.hash(job)
    }
    fn rows_at_once(&self) -> usize {
        self.fails_after as usize
    }
}

/// A job of every kind, of `size`: digests.
fn every_job(coprocessor: &dyn Coprocessor, size: u32) -> Vec<[u8; 32]> {
    let book = Arc::new(Book::parse("@main = r & $([+1] r) ~ 2 @next = ($([+1] r) r)").unwrap());
    let limits = Limits {
        gas: size.into(),
        ..Limits::default()
    };
    let rewrite = RewriteJob {
        book: Arc::clone(&book),
        calls: vec![book.main().unwrap()],
        limits,
    };
    let numbers: Vec<u32> = (0..size).collect();
    let evaluate = EvaluateJob {
        entry: book.find("next").unwrap(),
        book,
        arguments: &[Argument::Plain(Kind::U24, &numbers)],
        limits: Limits::default(),
    };
    let mut graph = Graph::new();
    graph.add_nodes(size + 1).unwrap();
    let edge = |source| EdgeDelta {
        source,
        target: source + 1,
        weight: 1,
    };
    graph
        .apply(&(0..size).map(edge).collect::<Vec<_>>())
        .unwrap();
    let focus = FocusJob {
        graph: &graph,
        params: FocusParams::default(),
        start: None,
    };
    let mut memory = Memory::from_seed(1, [1; 32]);
    let ops: Vec<_> = (0..size)
        .map(|i| (SlotId::at(i as usize % 7), MemoryOp::Clip))
        .collect();
    let results = coprocessor.memory(&mut memory, &ops).unwrap();
    let input = vec![7; size as usize];
    let search = HashJob::PowSearch {
        header: &[1; 80],
        start: 0,
        count: size.into(),
        target: [0; 32],
    };
    vec![
        rewrite_digest(&coprocessor.rewrite(&rewrite).unwrap()),
        evaluate_digest(&coprocessor.evaluate(&evaluate).unwrap()),
        ranking_digest(&coprocessor.focus(&focus).unwrap()),
        memory_digest(&memory, &results),
        hash_digest(&coprocessor.hash(&HashJob::Blake3(&[&input])).unwrap()),
        hash_digest(&coprocessor.hash(&search).unwrap()),
    ]
}

fn all(crossover: Crossover) -> Crossovers {
    let mut all = Crossovers::default();
    for kind in JobKind::ALL {
        all.set(kind, crossover);
    }
    all
}

#[test]
fn every_job_goes_where_its_size_says_with_the_same_answer() {
    for (crossover, size, is_large) in [
        (Crossover::From(100), 99, false),
        (Crossover::From(100), 100, true),
        (Crossover::From(0), 1, true),
        (Crossover::Never, 200, false),
        (Crossover::Unknown, 1, true),
    ] {
        let ((small, on_small), (large, on_large)) = (Counted::new(99), Counted::new(99));
        let by_size = BySize::new(small, large, all(crossover));
        assert_eq!(
            every_job(&by_size, size),
            every_job(&OracleCoprocessor, size)
        );
        let kinds = JobKind::ALL.len() as u64;
        let jobs = [&on_small, &on_large].map(|jobs| jobs.load(Ordering::Relaxed));
        let expected = if is_large { [0, kinds] } else { [kinds, 0] };
        assert_eq!(jobs, expected, "{crossover:?} {size}");
    }
}

#[test]
fn one_kind_alone_is_decided() {
    let ((small, on_small), (large, on_large)) = (Counted::new(99), Counted::new(50));
    let mut crossovers = all(Crossover::From(1));
    crossovers.set(JobKind::Memory, Crossover::From(1000));
    let by_size = BySize::new(small, large, crossovers);
    every_job(&by_size, 64);
    let jobs = [&on_small, &on_large].map(|jobs| jobs.load(Ordering::Relaxed));
    assert_eq!(jobs, [1, 5]);
    assert_eq!(by_size.rows_at_once(), 50);
    crossovers.set(JobKind::Evaluate, Crossover::Never);
    let by_size = BySize::new(by_size.small, by_size.large, crossovers);
    assert_eq!(by_size.rows_at_once(), 99);
}

#[test]
fn a_device_that_fails_in_the_middle_changes_no_answer() {
    for fails_after in 0..6 {
        let ((cpu, on_cpu), (device, _)) = (Counted::new(99), Counted::new(fails_after));
        let behind = WithFallback::new(device, Arc::clone(&cpu) as _, |_| ());
        let mut crossovers = all(Crossover::From(10));
        crossovers.set(JobKind::Focus, Crossover::From(1000));
        let by_size = BySize::new(cpu, Arc::new(behind), crossovers);
        assert_eq!(every_job(&by_size, 64), every_job(&OracleCoprocessor, 64));
        let all_but_the_devices = 6 - fails_after.min(5);
        assert_eq!(on_cpu.load(Ordering::Relaxed), all_but_the_devices);
    }
}

#[test]
fn newer_figures_replace_older_ones_and_nothing_else() {
    let mut newer = Crossovers::default();
    assert!(!newer.wins() && !all(Crossover::Never).wins());
    assert_eq!(newer.to_string(), "nothing measured");
    newer.set(JobKind::Focus, Crossover::From(12));
    assert!(newer.wins());
    let updated = all(Crossover::Never).updated(&newer);
    assert_eq!(updated.get(JobKind::Focus), Crossover::From(12));
    assert_eq!(updated.get(JobKind::Memory), Crossover::Never);
    assert_eq!(newer.updated(&all(Crossover::Never)), all(Crossover::Never));
    newer.set(JobKind::Hash, Crossover::Never);
    assert_eq!(newer.to_string(), "focus from 12 edges, hash never");
}
