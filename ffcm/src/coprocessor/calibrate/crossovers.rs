//! Where a device begins to win: jobs of every kind in growing sizes, on it and on the CPU.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Clock, best, graph, rank, search, sum};
use crate::coprocessor::{
    Argument, Coprocessor, Crossover, Crossovers, EvaluateJob, HashJob, JobError, JobKind,
    RewriteJob, evaluate_digest, hash_digest, memory_digest, rewrite_digest,
};
use crate::graph::Graph;
use crate::memory::{Memory, MemoryOp, SlotId};
use crate::net::{Book, Limits};
use crate::spec::number::Kind;

/// From one size to the next, so many times as large.
const STEP: u64 = 8;
/// The least and the greatest size.
const LEAST: u64 = 64;
const MOST: u64 = 1 << 24;
/// A size for which the CPU takes so long is the last one.
const ENOUGH: Duration = Duration::from_millis(5);
/// A device may take so many times what the CPU takes before it is not run again.
const HOPELESS: u32 = 4;

/// A job of a kind and size.
enum Job {
    Rewrite(RewriteJob),
    Evaluate(Arc<Book>, u32, Vec<u32>),
    Focus(Graph),
    Memory(Memory, Vec<(SlotId, MemoryOp)>),
    Hash(Vec<u8>),
    Search(u64),
}

impl Job {
    /// About of this size.
    fn new(kind: JobKind, size: u64) -> Job {
        let log = size.ilog2();
        let count = size as usize;
        match kind {
            // A level doubles them, from some ten interactions on.
            JobKind::Rewrite => Job::Rewrite(sum(log.saturating_sub(4))),
            JobKind::Evaluate => {
                let book = Book::parse("@row = ($([*3] $([+1] r)) r)");
                let book = Arc::new(book.expect("the program is part of this file"));
                let entry = book.find("row").expect("the program has a row");
                Job::Evaluate(book, entry, (0..size as u32).collect())
            }
            JobKind::Focus => Job::Focus(graph(log.saturating_sub(3).max(1), size as u32)),
            JobKind::Memory => {
                let slots = 8 << 8;
                let op = |i: usize| {
                    (
                        SlotId::at(i.wrapping_mul(0x9e37_79b1) % slots),
                        MemoryOp::Clip,
                    )
                };
                let memory = Memory::from_seed(8, [7; 32]);
                Job::Memory(memory, (0..count).map(op).collect())
            }
            JobKind::Hash => Job::Hash(vec![0x5a; count]),
            JobKind::Search => Job::Search(size),
        }
    }

    /// Digest of what it gives.
    fn run(&self, coprocessor: &dyn Coprocessor) -> Result<[u8; 32], JobError> {
        Ok(match self {
            Job::Rewrite(job) => rewrite_digest(&coprocessor.rewrite(job)?),
            Job::Evaluate(book, entry, numbers) => {
                let job = EvaluateJob {
                    book: Arc::clone(book),
                    entry: *entry,
                    arguments: &[Argument::Plain(Kind::U24, numbers)],
                    limits: Limits {
                        gas: 10_000,
                        nodes: 1 << 16,
                        ..Limits::default()
                    },
                };
                evaluate_digest(&coprocessor.evaluate(&job)?)
            }
            Job::Focus(graph) => rank(coprocessor, graph)?,
            Job::Memory(memory, ops) => {
                let mut memory = memory.clone();
                let results = coprocessor.memory(&mut memory, ops)?;
                memory_digest(&memory, &results)
            }
            Job::Hash(data) => {
                let inputs: Vec<&[u8]> = data.chunks(1024).collect();
                hash_digest(&coprocessor.hash(&HashJob::Blake3(&inputs))?)
            }
            Job::Search(count) => search(coprocessor, *count)?,
        })
    }
}

/// Measures from which size on `device` is faster than `cpu`, for every kind of job: sizes from 64 on, each 8 times
/// the one before, up to what takes the CPU some milliseconds. A kind that the device does not take is one that it never
/// wins. Takes less than a second on most machines.
///
/// # Errors
///
/// What either of them says, and [`JobError::Device`] where an answer differs from the CPU's: the device cannot be
/// trusted.
pub fn measure_crossovers(
    cpu: &dyn Coprocessor,
    device: &dyn Coprocessor,
) -> Result<Crossovers, JobError> {
    let start = Instant::now();
    measure(cpu, device, &|| start.elapsed())
}

/// The same by this clock.
pub(super) fn measure(
    cpu: &dyn Coprocessor,
    device: &dyn Coprocessor,
    clock: &Clock<'_>,
) -> Result<Crossovers, JobError> {
    let mut all = Crossovers::default();
    for kind in JobKind::ALL {
        let crossover = match one(kind, cpu, device, clock) {
            Err(JobError::NotSupported { .. }) => Crossover::Never,
            other => other?,
        };
        all.set(kind, crossover);
    }
    Ok(all)
}

fn one(
    kind: JobKind,
    cpu: &dyn Coprocessor,
    device: &dyn Coprocessor,
    clock: &Clock<'_>,
) -> Result<Crossover, JobError> {
    let mut from = Crossover::Never;
    let mut size = LEAST;
    while size <= MOST {
        let job = Job::new(kind, size);
        let (expected, on_cpu) = best(|| job.run(cpu), Duration::MAX, clock)?;
        let hopeless = on_cpu.saturating_mul(HOPELESS);
        let (found, on_device) = best(|| job.run(device), hopeless, clock)?;
        if found != expected {
            let name = kind.name();
            let wrong = format!("wrong {name} result of size {size}, it cannot be trusted");
            return Err(JobError::Device(wrong));
        }
        from = match (on_device < on_cpu, from) {
            (false, _) => Crossover::Never,
            (true, Crossover::Never) if size == LEAST => Crossover::From(0),
            (true, Crossover::Never) => Crossover::From(size),
            (true, known) => known,
        };
        if on_cpu >= ENOUGH {
            break;
        }
        size *= STEP;
    }
    Ok(from)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::coprocessor::{DeviceInfo, FocusJob, HashOutput, OracleCoprocessor, RewriteOutput};
    use crate::focus::Ranking;
    use crate::memory::MemoryError;

    /// The oracle, at a price for each job and one for each item, in microseconds on a clock that nothing else moves.
    struct Priced<'a> {
        now: &'a Mutex<Duration>,
        job: u64,
        item: u64,
        fault: &'static str,
    }

    impl Priced<'_> {
        fn pay(&self, items: u64) {
            let mut now = self.now.lock().unwrap();
            *now += Duration::from_micros(self.job + self.item * items);
        }
    }

    impl Coprocessor for Priced<'_> {
        fn info(&self) -> DeviceInfo {
            OracleCoprocessor.info()
        }
        fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
            let output = OracleCoprocessor.rewrite(job)?;
            let counts = output
                .iter()
                .flatten()
                .map(|outcome| outcome.counts.total());
            self.pay(counts.sum());
            Ok(output)
        }
        fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
            self.pay(job.graph.edge_count());
            let mut ranking = OracleCoprocessor.focus(job)?;
            if self.fault == "wrong" {
                ranking.mass[0] ^= 1;
            }
            Ok(ranking)
        }
        fn memory(
            &self,
            memory: &mut Memory,
            ops: &[(SlotId, MemoryOp)],
        ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
            self.pay(ops.len() as u64);
            match self.fault {
                "none" => Err(JobError::NotSupported {
                    backend: "card".into(),
                    job: "memory",
                }),
                "fails" => Err(JobError::Device("unplugged".into())),
                _ => OracleCoprocessor.memory(memory, ops),
            }
        }
        fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
            self.pay(match job {
                HashJob::Blake3(inputs) | HashJob::Sha256(inputs) => {
                    inputs.iter().map(|input| input.len() as u64).sum()
                }
                HashJob::PowSearch { count, .. } => *count,
            });
            OracleCoprocessor.hash(job)
        }
    }

    /// A CPU of 10 µs an item against a device of 2 µs an item and `launch` a job.
    fn measured(launch: u64, fault: &'static str) -> Result<Crossovers, JobError> {
        let now = Mutex::new(Duration::ZERO);
        let priced = |job, item, fault| Priced {
            now: &now,
            job,
            item,
            fault,
        };
        let clock = || *now.lock().unwrap();
        measure(&priced(0, 10, ""), &priced(launch, 2, fault), &clock)
    }

    #[test]
    fn a_device_wins_from_the_size_at_which_it_is_measured_to() {
        // 640 µs at 64 items, 5120 µs at 512, which is the last size.
        for (launch, expected) in [
            (0, Crossover::From(0)),
            (1000, Crossover::From(512)),
            (100_000, Crossover::Never),
        ] {
            let found = measured(launch, "").unwrap();
            for kind in [JobKind::Memory, JobKind::Hash, JobKind::Search] {
                assert_eq!(found.get(kind), expected, "{kind:?} {launch}");
            }
            // Sizes of these are about those asked for.
            for kind in [JobKind::Rewrite, JobKind::Evaluate, JobKind::Focus] {
                let found = found.get(kind);
                assert_eq!(found == Crossover::Never, expected == Crossover::Never);
                assert_ne!(found, Crossover::Unknown, "{kind:?}");
            }
        }
    }

    #[test]
    fn a_kind_that_a_device_lacks_is_never_won_and_what_is_wrong_is_an_error() {
        let found = measured(0, "none").unwrap();
        assert_eq!(found.get(JobKind::Memory), Crossover::Never);
        assert_eq!(found.get(JobKind::Hash), Crossover::From(0));
        let error = |fault| measured(0, fault).unwrap_err().to_string();
        assert!(
            error("wrong").contains("wrong focus result"),
            "{}",
            error("wrong")
        );
        assert!(error("fails").contains("unplugged"));
    }
}
