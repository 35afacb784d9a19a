//! The CPU as a coprocessor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::native::Fuser;
use super::net::{Answer, Calls, CompiledBooks, FUSED_BLOCK, ScratchPool};
use super::{NetEngine, THREADS_MAX};
use crate::coprocessor::{
    Coprocessor, DeviceInfo, EvaluateJob, EvaluateOutput, FocusJob, HashJob, HashOutput, JobError,
    RewriteJob, RewriteOutput,
};
use crate::focus::{Ranker, Ranking};
use crate::hash;
use crate::memory::{Memory, MemoryError, MemoryOp, SlotId};
use crate::net::{Limits, ReduceError};

/// Runs every job on its own pool of threads.
///
/// The graph ranked last stays prepared (it shares storage with the caller's), so that ranking it again after small
/// changes, block after block, skips most of the preparation. So do the compiled forms of the books run lately.
#[derive(Debug)]
pub struct CpuCoprocessor {
    pool: ThreadPool,
    /// Of the machine, when this was made: to find that out takes longer than a small job.
    cores: usize,
    books: CompiledBooks,
    scratch: ScratchPool,
    ranker: Mutex<Option<KeptRanker>>,
}

/// Least gas for which a call alone is worth more than one thread: with less it may be over before the others have
/// started. Weight nets always have less, so what they hold of a heap does not depend on the number of threads.
const SHARED_GAS_MIN: u64 = 1 << 20;

/// A prepared graph, and the shard count it is prepared for.
type KeptRanker = (u32, Ranker);

impl CpuCoprocessor {
    /// A pool of `threads` workers, at most [`THREADS_MAX`]; 0 takes one per available core. [`JobError::Device`] if
    /// there are too many, or the system refuses them.
    pub fn new(threads: usize) -> Result<CpuCoprocessor, JobError> {
        CpuCoprocessor::start(threads, None)
    }

    /// The same, calling the native code that `fuser` makes for the books run.
    pub fn with_fuser(threads: usize, fuser: Arc<dyn Fuser>) -> Result<CpuCoprocessor, JobError> {
        CpuCoprocessor::start(threads, Some(fuser))
    }

    fn start(threads: usize, fuser: Option<Arc<dyn Fuser>>) -> Result<CpuCoprocessor, JobError> {
        if threads > THREADS_MAX {
            let what = format!("{threads} threads are asked for, the most is {THREADS_MAX}");
            return Err(JobError::Device(what));
        }
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("ffcm-{index}"))
            .build()
            .map_err(|error| {
                JobError::Device(format!("cannot start {threads} threads: {error}"))
            })?;
        Ok(CpuCoprocessor {
            pool,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            books: CompiledBooks::new(fuser),
            scratch: ScratchPool::default(),
            ranker: Mutex::new(None),
        })
    }

    /// Worker threads.
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    fn batch<A: Answer>(
        &self,
        engine: &NetEngine<'_>,
        calls: &(impl Calls + ?Sized),
        limits: &Limits,
    ) -> Vec<Result<A, ReduceError>> {
        // One thread is not worth a change of threads.
        match self.threads() {
            1 => engine.reduce_in_order(calls, limits, &self.scratch),
            _ => self
                .pool
                .install(|| engine.reduce_shared(calls, limits, &self.scratch)),
        }
    }

    fn kept_ranker(&self) -> MutexGuard<'_, Option<KeptRanker>> {
        self.ranker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Coprocessor for CpuCoprocessor {
    fn info(&self) -> DeviceInfo {
        let arch = std::env::consts::ARCH;
        DeviceInfo {
            backend: "cpu".into(),
            device: format!("{arch} CPU, {} cores available", self.cores),
            threads: self.threads(),
        }
    }

    /// One call alone is spread over all threads if its gas makes that worthwhile; a batch gives each thread whole calls.
    fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        let engine = self.books.engine(&job.book);
        Ok(match &job.calls[..] {
            [] => vec![],
            [call] => {
                let threads = match job.limits.gas < SHARED_GAS_MIN {
                    true => 1,
                    false => self.threads(),
                };
                vec![engine.reduce(call, &job.limits, threads, None)]
            }
            calls => self.batch(&engine, calls, &job.limits),
        })
    }

    fn evaluate(&self, job: &EvaluateJob<'_>) -> Result<EvaluateOutput, JobError> {
        let mut output = EvaluateOutput::default();
        self.evaluate_into(job, &mut output)?;
        Ok(output)
    }

    /// Gives each thread whole rows.
    fn evaluate_into(
        &self,
        job: &EvaluateJob<'_>,
        output: &mut EvaluateOutput,
    ) -> Result<(), JobError> {
        let (engine, code) = self.books.rows(job);
        let mut evaluate = |shared| {
            let how = (&self.scratch, shared);
            engine.reduce_rows(job, code.as_deref(), how, output);
        };
        // Neither one thread nor one block of rows is worth a change of threads.
        let few = code.is_some() && job.count() <= FUSED_BLOCK;
        match self.threads() == 1 || few {
            true => evaluate(false),
            false => self.pool.install(|| evaluate(true)),
        }
        Ok(())
    }

    /// Without native code every row takes longer than memory does, and all threads share the rows of a job.
    fn rows_at_once(&self) -> usize {
        match self.books.fuses() {
            true => FUSED_BLOCK,
            false => usize::MAX,
        }
    }

    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        self.pool.install(|| {
            job.params.check()?;
            let shards = job.params.shards;
            // Taken out while in use: a job beside this one prepares its own, and a panic leaves none behind.
            let kept = self.kept_ranker().take();
            let ranker = match kept {
                Some((kept_shards, mut ranker)) if kept_shards == shards => {
                    ranker.refresh(job.graph)?;
                    ranker
                }
                _ => Ranker::new(job.graph, shards)?,
            };
            let ranking = ranker.rank(&job.params, job.start)?;
            *self.kept_ranker() = Some((shards, ranker));
            Ok(ranking)
        })
    }

    fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        Ok(self.pool.install(|| memory.apply_batch(ops)))
    }

    fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        Ok(self.pool.install(|| match *job {
            HashJob::Blake3(inputs) => HashOutput::Digests(hash::blake3(inputs)),
            HashJob::Sha256(inputs) => HashOutput::Digests(hash::sha256(inputs)),
            HashJob::PowSearch {
                header,
                start,
                count,
                target,
            } => HashOutput::Nonce(hash::pow_search(header, start, count, &target)),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coprocessor::Columns;
    use crate::focus::FocusParams;
    use crate::graph::{EdgeDelta, Graph};
    use crate::net::Book;
    use crate::spec::word::Term;

    #[test]
    fn thread_counts_are_taken_as_given_and_bounded() {
        assert_eq!(CpuCoprocessor::new(3).unwrap().threads(), 3);
        assert!(CpuCoprocessor::new(0).unwrap().threads() >= 1);
        let error = CpuCoprocessor::new(THREADS_MAX + 1).unwrap_err();
        assert!(
            matches!(&error, JobError::Device(what) if what.contains("1025")),
            "{error}"
        );
    }

    /// A heap that is just enough for one worker is enough for a small call whatever the threads: none is hoarded.
    #[test]
    fn a_small_call_needs_the_same_heap_on_every_machine() {
        let text = "@main = r & @sum ~ (7 r)\n@sum = (?((1 @two) r) r)
            @two = ({a b} r) & @sum ~ (a x) & @sum ~ (b y) & x ~ $([+] $(y r))";
        let book = Arc::new(Book::parse(text).unwrap());
        let call = book.main().unwrap();
        let rewrite = |threads: usize, nodes: u64| {
            let limits = Limits {
                gas: SHARED_GAS_MIN - 1,
                nodes,
                ..Limits::default()
            };
            let job = RewriteJob {
                book: Arc::clone(&book),
                calls: vec![call.clone()],
                limits,
            };
            let cpu = CpuCoprocessor::new(threads).unwrap();
            cpu.rewrite(&job).unwrap().remove(0)
        };
        let least = (1..).find(|&nodes| rewrite(1, nodes).is_ok()).unwrap();
        assert_eq!(rewrite(1, least).unwrap().result, "128");
        for threads in [2, 8, 32] {
            assert_eq!(rewrite(threads, least), rewrite(1, least));
            assert_eq!(rewrite(threads, least - 1), rewrite(1, least - 1));
        }
    }

    /// Compiled books, heaps and buffers are kept from job to job: other books, sizes and endings must not show.
    #[test]
    fn rows_give_what_calls_give_whatever_ran_before() {
        let text = "@add = (x (y r)) & x ~ $([+] $(y r))
            @pair = ({x x1} ({y y1} (x (y (x1 y1)))))
            @long = ({x x1} (y (x (x1 (y (1 (2 3)))))))
            @loop = (x (y r)) & @loop ~ (x (y r))
            @grow = ({a b} (y r)) & @grow ~ ((a b) (y r))
            @float = (x (y r)) & x ~ $([f32] s) & s ~ $([+] $(y r))";
        let other = format!("{text}\n@another = 1");
        let books = [text, &other].map(|text| Arc::new(Book::parse(text).unwrap()));
        let arguments: Vec<Term> = (0..700)
            .map(|i| match i % 11 {
                10 => Term::ERA,
                7 => Term::i32(-(i as i32)),
                _ => Term::u24(i),
            })
            .collect();
        let mut endings = std::collections::BTreeSet::new();
        let mut used = EvaluateOutput::default();
        for threads in [1, 2, 4] {
            let cpu = CpuCoprocessor::new(threads).unwrap();
            for (round, result_bytes) in [(0, 1 << 10), (1, 13), (2, 4)] {
                for book in &books {
                    for entry in 0..=book.definitions().len() as u32 {
                        let limits = Limits {
                            gas: 2_000,
                            nodes: 500 + 500 * round,
                            result_bytes,
                        };
                        // The last row is short.
                        let terms = &arguments[..1 + 300 * round as usize];
                        let columns = Columns::of_rows(terms, 2);
                        let job = EvaluateJob {
                            book: Arc::clone(book),
                            entry,
                            arguments: &columns.arguments(),
                            limits,
                        };
                        let found = cpu.evaluate(&job).unwrap();
                        // Whatever the memory was used for before.
                        cpu.evaluate_into(&job, &mut used).unwrap();
                        assert_eq!(used, found);
                        used.numbers.push(Term::ERA);
                        let engine = NetEngine::new(book);
                        let mut expected = EvaluateOutput::default();
                        for row in 0..job.count() {
                            let alone = engine.reduce(&job.call(row), &limits, 1, None);
                            endings.insert(crate::coprocessor::ending(&alone));
                            expected.push(alone);
                        }
                        assert_eq!(found, expected);
                    }
                }
            }
        }
        let endings: Vec<_> = endings.into_iter().collect();
        assert_eq!(
            endings,
            [
                "invalid call",
                "ok",
                "out of gas",
                "out of heap",
                "result too long"
            ]
        );
    }

    /// The prepared graph must not leak from one job into another: other graphs, other shards, refused jobs between.
    #[test]
    fn a_kept_graph_does_not_change_an_answer() {
        let ring = |nodes: u32, step: u32| {
            let mut graph = Graph::new();
            graph.add_nodes(nodes).unwrap();
            let edge = |source| EdgeDelta {
                source,
                target: (source * step + 1) % nodes,
                weight: 1 + u64::from(source),
            };
            graph
                .apply(&(0..nodes).map(edge).collect::<Vec<_>>())
                .unwrap();
            graph
        };
        let graphs = [ring(100, 3), ring(40, 7), ring(100, 9)];
        let cpu = CpuCoprocessor::new(2).unwrap();
        for round in 0..12_u32 {
            let graph = &graphs[round as usize % 3];
            let params = FocusParams {
                shards: 1 + round / 5,
                ..FocusParams::default()
            };
            let found = cpu
                .focus(&FocusJob {
                    graph,
                    params,
                    start: None,
                })
                .unwrap();
            assert_eq!(
                found,
                crate::oracle::focus::rank(graph, &params, None).unwrap()
            );
            let refused = FocusParams {
                max_iterations: 0,
                ..params
            };
            assert!(
                cpu.focus(&FocusJob {
                    graph,
                    params: refused,
                    start: None
                })
                .is_err()
            );
        }
    }
}
