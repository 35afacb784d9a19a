use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::coprocessor::{
    Argument, OracleCoprocessor, hash_digest, memory_digest, ranking_digest, rewrite_digest,
};
use crate::cpu::CpuCoprocessor;
use crate::focus::FocusParams;
use crate::graph::{EdgeDelta, Graph};
use crate::net::{Book, Limits};
use crate::spec::number::Kind;
use crate::spec::word::Term;

/// What goes wrong at the k-th job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Device,
    NotSupported,
    OutOfHeap,
}

/// The oracle under another name. From its k-th job on it fails, and it leaves rubbish in a tensor that it fails on.
struct Failing {
    jobs: AtomicUsize,
    fails_at: usize,
    fault: Fault,
}

impl Failing {
    fn fault(&self, job: &'static str) -> Option<JobError> {
        let number = self.jobs.fetch_add(1, Ordering::Relaxed);
        (number >= self.fails_at).then(|| match self.fault {
            Fault::Device => JobError::Device("the device is lost:\n  \tunplugged".into()),
            _ => JobError::NotSupported {
                backend: "failing:3".into(),
                job,
            },
        })
    }
}

impl Coprocessor for Failing {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            backend: "failing:3".into(),
            device: "a device that fails".into(),
            threads: 0,
        }
    }

    fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        match self.fault("rewrite") {
            Some(_) if self.fault == Fault::OutOfHeap => {
                let mut output = OracleCoprocessor.rewrite(job)?;
                output[0] = Err(ReduceError::OutOfHeap { limit: 7 });
                Ok(output)
            }
            Some(error) => Err(error),
            None => OracleCoprocessor.rewrite(job),
        }
    }

    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        self.fault("focus")
            .map_or_else(|| OracleCoprocessor.focus(job), Err)
    }

    fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        let results = OracleCoprocessor.memory(memory, ops)?;
        match self.fault("memory") {
            None => Ok(results),
            Some(error) => {
                *memory = Memory::from_seed(3, [0xee; 32]);
                Err(error)
            }
        }
    }

    fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        self.fault("hash")
            .map_or_else(|| OracleCoprocessor.hash(job), Err)
    }
}

const JOBS: [&str; 4] = ["rewrite", "focus", "memory", "hash"];
const ROUNDS: usize = 3;

/// Digests of [`ROUNDS`] times one job of each kind, in the order of [`JOBS`], on one tensor.
fn work(coprocessor: &dyn Coprocessor) -> Vec<[u8; 32]> {
    let book = Arc::new(Book::parse("@main = a & $([+2] a) ~ 40").unwrap());
    let calls = vec![book.main().unwrap(), book.main().unwrap()];
    let limits = Limits::default();
    let rewrite = RewriteJob {
        book,
        calls,
        limits,
    };
    let mut graph = Graph::new();
    graph.add_nodes(5).unwrap();
    let edge = |source| EdgeDelta {
        source,
        target: (source * 3 + 1) % 5,
        weight: 1 + u64::from(source),
    };
    graph.apply(&(0..5).map(edge).collect::<Vec<_>>()).unwrap();
    let focus = FocusJob {
        graph: &graph,
        params: FocusParams::default(),
        start: None,
    };
    let mut memory = Memory::from_seed(2, [1; 32]);
    let target = SlotId {
        shard: 1,
        layer: 2,
        slot: 3,
    };
    let mut digests = Vec::new();
    for round in 0..ROUNDS {
        digests.push(rewrite_digest(&coprocessor.rewrite(&rewrite).unwrap()));
        digests.push(ranking_digest(&coprocessor.focus(&focus).unwrap()));
        let ops = [
            (target, MemoryOp::Decay { factor: 9_850 }),
            (
                target,
                MemoryOp::Mix {
                    alpha: 1_234,
                    source: round as u8,
                },
            ),
        ];
        let results = coprocessor.memory(&mut memory, &ops).unwrap();
        digests.push(memory_digest(&memory, &results));
        let inputs: [&[u8]; 2] = [b"", b"abc"];
        digests.push(hash_digest(
            &coprocessor.hash(&HashJob::Blake3(&inputs)).unwrap(),
        ));
    }
    digests
}

type Seen = Arc<Mutex<Vec<String>>>;

fn wrapped(fails_at: usize, fault: Fault) -> (WithFallback, Arc<Failing>, Seen) {
    let device = Arc::new(Failing {
        jobs: AtomicUsize::new(0),
        fails_at,
        fault,
    });
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    let cpu = Arc::new(CpuCoprocessor::new(1).unwrap());
    let observer = move |event: &FallbackEvent<'_>| log.lock().unwrap().push(format!("{event:?}"));
    let wrapped = WithFallback::new(Arc::clone(&device) as _, cpu, observer);
    (wrapped, device, seen)
}

#[test]
fn a_device_that_fails_at_any_job_is_replaced_and_no_bit_changes() {
    let expected = work(&OracleCoprocessor);
    for fails_at in 0..JOBS.len() * ROUNDS {
        let (coprocessor, device, seen) = wrapped(fails_at, Fault::Device);
        assert_eq!(work(&coprocessor), expected, "{fails_at}");
        let state = coprocessor.state();
        assert_eq!(
            state,
            FallbackState {
                backend: "failing:3".into(),
                serving: "cpu".into(),
                failure: Some("device: the device is lost: unplugged".into()),
                failovers: 1,
                unsupported: 0,
            }
        );
        let info = coprocessor.info();
        assert_eq!(
            info.backend,
            "failing:3, failed over to cpu: device: the device is lost: unplugged"
        );
        assert_eq!(info.threads, 1);
        // One event, and the device is not asked again.
        let job = JOBS[fails_at % JOBS.len()];
        assert_eq!(
            *seen.lock().unwrap(),
            [format!(
                "FailedOver {{ backend: \"failing:3\", job: {job:?}, reason: {:?} }}",
                state.failure.unwrap()
            )]
        );
        assert_eq!(device.jobs.load(Ordering::Relaxed), fails_at + 1);
    }
}

#[test]
fn a_job_the_device_lacks_goes_to_the_cpu_and_the_device_stays() {
    let expected = work(&OracleCoprocessor);
    let jobs = JOBS.len() * ROUNDS;
    for fails_at in [0, 5, jobs - 1] {
        let (coprocessor, device, seen) = wrapped(fails_at, Fault::NotSupported);
        assert_eq!(work(&coprocessor), expected, "{fails_at}");
        let state = coprocessor.state();
        let lacked = (jobs - fails_at) as u64;
        assert_eq!((state.failovers, state.unsupported), (0, lacked));
        assert_eq!((state.serving.as_str(), state.failure), ("failing:3", None));
        assert_eq!(coprocessor.info(), device.info());
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), jobs - fails_at);
        assert!(seen[0].starts_with("Unsupported"), "{seen:?}");
        assert_eq!(device.jobs.load(Ordering::Relaxed), jobs);
    }
}

#[test]
fn running_out_of_heap_on_the_device_is_no_result() {
    let (coprocessor, _, seen) = wrapped(0, Fault::OutOfHeap);
    let book = Arc::new(Book::parse("@main = 7").unwrap());
    let job = RewriteJob {
        calls: vec![book.main().unwrap()],
        book,
        limits: Limits::default(),
    };
    let output = coprocessor.rewrite(&job).unwrap();
    assert_eq!(output[0].as_ref().unwrap().result, "7");
    assert_eq!(coprocessor.state().unsupported, 1);
    assert_eq!(seen.lock().unwrap().len(), 1);
    let output = coprocessor.evaluate(&rows(&next())).unwrap();
    assert_eq!(output.numbers[0], Term::u24(8));
    assert_eq!(coprocessor.state().unsupported, 2);
}

fn next() -> Arc<Book> {
    Arc::new(Book::parse("@next = (n r) & n ~ $([+1] r)").unwrap())
}

/// Two rows of one number.
fn rows(book: &Arc<Book>) -> EvaluateJob<'static> {
    EvaluateJob {
        book: Arc::clone(book),
        entry: 0,
        arguments: const { &[Argument::Plain(Kind::U24, &[7, 3])] },
        limits: Limits::default(),
    }
}

#[test]
fn a_device_lost_while_it_evaluates_rows_is_replaced() {
    let next = next();
    for fails_at in [0, usize::MAX] {
        let (coprocessor, _, seen) = wrapped(fails_at, Fault::Device);
        let expected = OracleCoprocessor.evaluate(&rows(&next)).unwrap();
        assert_eq!(expected.numbers[1], Term::u24(4));
        assert_eq!(coprocessor.evaluate(&rows(&next)).unwrap(), expected);
        let lost = usize::from(fails_at == 0);
        assert_eq!(coprocessor.state().failovers, lost as u64);
        assert_eq!(seen.lock().unwrap().len(), lost);
    }
}

#[test]
fn a_device_that_works_serves_alone_and_wrong_jobs_stay_wrong() {
    let (coprocessor, device, seen) = wrapped(usize::MAX, Fault::Device);
    assert_eq!(work(&coprocessor), work(&OracleCoprocessor));
    let refused = FocusParams {
        max_iterations: 0,
        ..FocusParams::default()
    };
    let error = coprocessor
        .focus(&FocusJob {
            graph: &Graph::new(),
            params: refused,
            start: None,
        })
        .unwrap_err();
    assert!(matches!(error, JobError::Focus(_)), "{error}");
    assert_eq!(coprocessor.info(), device.info());
    let state = coprocessor.state();
    assert_eq!((state.failovers, state.unsupported), (0, 0));
    assert!(seen.lock().unwrap().is_empty());
}
