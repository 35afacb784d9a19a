//! The self-test: a small fixed job of each kind, compared with digests recorded from the oracle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::{
    Coprocessor, FocusJob, HashJob, JobError, RewriteJob, hash_digest, memory_digest,
    ranking_digest, rewrite_digest,
};
use crate::focus::{FocusParams, MASS};
use crate::graph::{EdgeDelta, Graph};
use crate::memory::{DIMENSION, Memory, MemoryOp, SlotId};
use crate::net::{Book, Call, Limits};
use crate::spec::word::Term;

/// Why a backend may not serve.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SelfTestError {
    /// It computed something else than the reference.
    #[error(
        "self-test of `{backend}`: wrong {job} result {found}, expected {expected}; the device cannot be trusted"
    )]
    Mismatch {
        /// The backend.
        backend: String,
        /// The job.
        job: &'static str,
        /// Recorded digest, hex.
        expected: &'static str,
        /// Digest of what the backend gave, hex.
        found: String,
    },
    /// It could not run a job.
    #[error("self-test of `{backend}`: {job}: {source}")]
    Failed {
        /// The backend.
        backend: String,
        /// The job.
        job: &'static str,
        /// What happened.
        source: JobError,
    },
}

/// Each job with its expected digest.
const JOBS: [(&str, Run, &str); 4] = [
    (
        "rewrite",
        run_rewrite,
        "e1be8619e20d6cc9255eb10d224e2d5a6825ad3e289e11461f3d0eab1f3bde8f",
    ),
    (
        "focus",
        run_focus,
        "82b4f88d150d49a36d3551dfe3bd0bf4e93aa2724ba259821b80acec44607d99",
    ),
    (
        "memory",
        run_memory,
        "f81981bbaf7b9844aac8021bf86f1beb0d2db9dcfffe946a089157b8d60e983f",
    ),
    (
        "hash",
        run_hash,
        "b7c4e47eeb740cca8a7d3eb1f2e86a15ebc1989c26baeaae66772262a5c37524",
    ),
];

/// The kinds of jobs that the self-test has, in its order.
pub const SELF_TEST_JOBS: [&str; 4] = ["rewrite", "focus", "memory", "hash"];

type Run = fn(&dyn Coprocessor) -> Result<[u8; 32], JobError>;

/// One job of the self-test and what came of it.
#[derive(Debug)]
pub struct SelfTestJob {
    /// The kind of job: `rewrite`, `focus`, `memory` or `hash`.
    pub job: &'static str,
    /// Digest recorded from the oracle, hex.
    pub expected: &'static str,
    /// Digest found, hex, or why there is none.
    pub found: Result<String, JobError>,
    /// How long it took. The first time on a device that is mostly the compilation of its kernels. Telemetry only.
    pub time: Duration,
}

impl SelfTestJob {
    /// Whether the digest found is the recorded one.
    pub fn passed(&self) -> bool {
        matches!(&self.found, Ok(found) if found == self.expected)
    }
}

/// Runs the jobs of the self-test one after the other, each when it is asked for.
pub fn self_test_jobs(coprocessor: &dyn Coprocessor) -> impl Iterator<Item = SelfTestJob> {
    JOBS.iter().map(move |&(job, run, expected)| {
        let start = Instant::now();
        let found = run(coprocessor).map(|digest| hex(&digest));
        SelfTestJob {
            job,
            expected,
            found,
            time: start.elapsed(),
        }
    })
}

/// Runs a small fixed job of each kind and refuses a backend that gets one bit wrong, at the first that it does. Returns
/// what was run. It takes milliseconds on a CPU; on a device, the time that its kernels take to compile.
pub fn self_test(coprocessor: &dyn Coprocessor) -> Result<Vec<SelfTestJob>, SelfTestError> {
    self_test_of(coprocessor, &SELF_TEST_JOBS)
}

/// The same for a backend that takes these `jobs` of [`SELF_TEST_JOBS`] and says of all others that it does not support them.
/// One that fails otherwise is refused.
pub fn self_test_of(
    coprocessor: &dyn Coprocessor,
    jobs: &[&str],
) -> Result<Vec<SelfTestJob>, SelfTestError> {
    let backend = || coprocessor.info().backend;
    let mut done = Vec::with_capacity(JOBS.len());
    for tried in self_test_jobs(coprocessor) {
        let unsupported = matches!(tried.found, Err(JobError::NotSupported { .. }));
        if unsupported && !jobs.contains(&tried.job) {
            continue;
        }
        let (job, expected) = (tried.job, tried.expected);
        match tried.found {
            Ok(found) if found != expected => {
                return Err(SelfTestError::Mismatch {
                    backend: backend(),
                    job,
                    expected,
                    found,
                });
            }
            Err(source) => {
                return Err(SelfTestError::Failed {
                    backend: backend(),
                    job,
                    source,
                });
            }
            Ok(_) => done.push(tried),
        }
    }
    Ok(done)
}

fn hex(digest: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}

/// Digest of several digests.
fn join(parts: &[[u8; 32]]) -> [u8; 32] {
    *blake3::hash(parts.as_flattened()).as_bytes()
}

/// Every opcode: 2^depth by recursion, and a pair copied through a duplicator that commutes with it.
const PROGRAM: &str = "
@main = (r (x y)) & @sum ~ (6 r) & {#3 x y} ~ ([*2] *)
@sum = (?((1 @both) r) r)
@both = ({a b} r) & @sum ~ (a $([+] $(c r))) & @sum ~ (b c)
";

/// The program alone, which may use every thread, with the gas that it needs and with less; then calls in a batch.
fn run_rewrite(coprocessor: &dyn Coprocessor) -> Result<[u8; 32], JobError> {
    let book = Arc::new(Book::parse(PROGRAM).expect("the program is part of this file"));
    let main = book.main().expect("the program has a main");
    let mut digests = Vec::new();
    for gas in [100_000, 200] {
        let limits = Limits {
            gas,
            ..Limits::default()
        };
        let calls = vec![main.clone()];
        digests.push(rewrite_digest(&coprocessor.rewrite(&RewriteJob {
            book: Arc::clone(&book),
            calls,
            limits,
        })?));
    }
    let sum = book.find("sum").expect("the program has a sum");
    let call = |depth| Call {
        entry: sum,
        arguments: vec![Term::u24(depth)],
    };
    let calls = (0..10).map(call).chain([main]).collect();
    let limits = Limits {
        gas: 2_000,
        ..Limits::default()
    };
    digests.push(rewrite_digest(&coprocessor.rewrite(&RewriteJob {
        book,
        calls,
        limits,
    })?));
    Ok(join(&digests))
}

/// 48 nodes with uneven weights, self-loops, dangling nodes and stakes: from the teleport distribution for a fixed
/// number of iterations, then on from there until converged, sharded.
fn run_focus(coprocessor: &dyn Coprocessor) -> Result<[u8; 32], JobError> {
    const NODES: u32 = 48;
    let mut graph = Graph::new();
    graph.add_nodes(NODES).expect("48 nodes fit");
    let mut deltas = Vec::new();
    for source in (0..NODES).filter(|node| node % 8 != 5) {
        for step in 0..=source % 7 {
            deltas.push(EdgeDelta {
                source,
                target: (source * source + 11 * step) % NODES,
                weight: 1 + u64::from(step) * u64::from(source),
            });
        }
    }
    graph
        .apply(&deltas)
        .expect("every index is below 48 and the weights are small");
    for node in 0..NODES {
        graph
            .set_stake(node, u64::from(node % 5))
            .expect("the node exists");
    }
    let fixed = FocusParams {
        epsilon: 0,
        max_iterations: 9,
        ..FocusParams::default()
    };
    let first = coprocessor.focus(&FocusJob {
        graph: &graph,
        params: fixed,
        start: None,
    })?;
    // The first of these is near its end, so some nodes wait in it; in the second none do.
    let mut digests = vec![ranking_digest(&first)];
    for epsilon in [MASS >> 13, FocusParams::default().epsilon] {
        let params = FocusParams {
            shards: 4,
            epsilon,
            ..FocusParams::default()
        };
        let ranking = coprocessor.focus(&FocusJob {
            graph: &graph,
            params,
            start: Some(&first.mass),
        })?;
        digests.push(ranking_digest(&ranking));
    }
    Ok(join(&digests))
}

/// Every operation on a seeded tensor, mixes in a chain, one refused.
fn run_memory(coprocessor: &dyn Coprocessor) -> Result<[u8; 32], JobError> {
    let mut memory = Memory::from_seed(2, [0x5a; 32]);
    let mut ops = Vec::new();
    for step in 0..96_u16 {
        let target = SlotId {
            shard: step % 2,
            layer: (step % 3) as u8,
            slot: (step % 5) as u8,
        };
        let scale = 1 + i32::from(step) * 7;
        let vector =
            (0..DIMENSION as i32).map(|d| ((d * d + scale) % 97 * scale - 48 * scale) as i16);
        ops.push((
            target,
            match step % 4 {
                0 => MemoryOp::Add {
                    vector: vector.collect(),
                },
                1 => MemoryOp::Decay {
                    factor: 8_000 + step * 20,
                },
                2 => MemoryOp::Mix {
                    alpha: step * 104,
                    source: (step * 3 % 5) as u8,
                },
                _ => MemoryOp::Clip,
            },
        ));
    }
    ops.push((
        SlotId {
            shard: 0,
            layer: 0,
            slot: 0,
        },
        MemoryOp::Decay { factor: 1 },
    ));
    let results = coprocessor.memory(&mut memory, &ops)?;
    Ok(memory_digest(&memory, &results))
}

/// Inputs around the block sizes of both hashes, and a short search.
fn run_hash(coprocessor: &dyn Coprocessor) -> Result<[u8; 32], JobError> {
    let data: Vec<u8> = (0..5_000_u32).map(|i| (i * i % 251) as u8).collect();
    let inputs: Vec<&[u8]> = [0, 1, 55, 56, 63, 64, 65, 119, 128, 1024, 1025, 2049, 5_000]
        .map(|n| &data[..n])
        .to_vec();
    let mut target = [0xff; 32];
    target[0] = 0;
    let search = |count| HashJob::PowSearch {
        header: &data[..100],
        start: 7,
        count,
        target,
    };
    let jobs = [
        HashJob::Blake3(&inputs),
        HashJob::Sha256(&inputs),
        search(4_096),
        search(1),
    ];
    let digests: Result<Vec<[u8; 32]>, JobError> = jobs
        .iter()
        .map(|job| Ok(hash_digest(&coprocessor.hash(job)?)))
        .collect();
    Ok(join(&digests?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coprocessor::{DeviceInfo, HashOutput, OracleCoprocessor, RewriteOutput};
    use crate::cpu::CpuCoprocessor;
    use crate::focus::Ranking;
    use crate::memory::MemoryError;

    #[test]
    fn the_oracle_and_the_cpu_pass() {
        let jobs = self_test(&OracleCoprocessor).unwrap();
        let names: Vec<&str> = jobs.iter().map(|done| done.job).collect();
        assert_eq!(names, JOBS.map(|(job, ..)| job));
        assert!(jobs.iter().all(SelfTestJob::passed));
        for threads in [1, 2] {
            self_test(&CpuCoprocessor::new(threads).unwrap()).unwrap();
        }
    }

    #[test]
    fn the_program_uses_every_opcode_and_runs_out_of_gas_when_it_should() {
        let book = Arc::new(Book::parse(PROGRAM).unwrap());
        let limits = Limits::default();
        let calls = vec![book.main().unwrap()];
        let output = OracleCoprocessor
            .rewrite(&RewriteJob {
                book,
                calls,
                limits,
            })
            .unwrap();
        let outcome = output[0].as_ref().unwrap();
        assert_eq!(outcome.result, "(64 (([*0x0000002] *) ([*0x0000002] *)))");
        assert!(
            outcome.counts.iter().all(|(_, count)| count > 0),
            "{:?}",
            outcome.counts
        );
        assert!(
            (200..2_000).contains(&outcome.counts.total()),
            "{}",
            outcome.counts.total()
        );
    }

    /// The oracle with one bit wrong in one kind of job.
    struct Faulty(&'static str);

    impl Coprocessor for Faulty {
        fn info(&self) -> DeviceInfo {
            DeviceInfo {
                backend: "faulty".into(),
                ..OracleCoprocessor.info()
            }
        }

        fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
            let mut output = OracleCoprocessor.rewrite(job)?;
            if let ("rewrite", Some(Ok(outcome))) = (self.0, output.first_mut()) {
                outcome.counts.add(crate::spec::rules::Opcode::Apply, 1);
            }
            Ok(output)
        }

        fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
            let mut ranking = OracleCoprocessor.focus(job)?;
            if self.0 == "focus" {
                ranking.mass[7] ^= 1;
            }
            Ok(ranking)
        }

        fn memory(
            &self,
            memory: &mut Memory,
            ops: &[(SlotId, MemoryOp)],
        ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
            let results = OracleCoprocessor.memory(memory, ops)?;
            if self.0 == "memory" {
                let id = SlotId {
                    shard: 1,
                    layer: 3,
                    slot: 63,
                };
                let mut values = memory.slot(id).unwrap().to_vec();
                values[127] ^= 1;
                memory.load_slot(id, &values).unwrap();
            }
            Ok(results)
        }

        fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
            match (self.0, job) {
                ("hash", HashJob::PowSearch { start, .. }) => Ok(HashOutput::Nonce(Some(*start))),
                ("refuse", _) => Err(JobError::NotSupported {
                    backend: "faulty".into(),
                    job: "hash",
                }),
                _ => OracleCoprocessor.hash(job),
            }
        }
    }

    #[test]
    fn one_wrong_bit_is_found_and_named() {
        for (name, _, _) in JOBS {
            match self_test(&Faulty(name)) {
                Err(SelfTestError::Mismatch {
                    backend,
                    job,
                    expected,
                    found,
                }) => {
                    assert_eq!((backend.as_str(), job), ("faulty", name));
                    assert_ne!(expected, found);
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        let refused = self_test(&Faulty("refuse")).unwrap_err();
        assert!(
            matches!(refused, SelfTestError::Failed { job: "hash", .. }),
            "{refused}"
        );
        self_test(&Faulty("nothing")).unwrap();
        // A job that a backend need not take may be refused, but not be wrong.
        let some = ["rewrite", "focus", "memory"];
        assert_eq!(self_test_of(&Faulty("refuse"), &some).unwrap().len(), 3);
        for name in ["focus", "hash"] {
            let wrong = self_test_of(&Faulty(name), &some).unwrap_err();
            let found = matches!(wrong, SelfTestError::Mismatch { job, .. } if job == name);
            assert!(found, "{wrong}");
        }
        let refused = self_test_of(&Faulty("refuse"), &["hash"]).unwrap_err();
        assert!(matches!(refused, SelfTestError::Failed { .. }), "{refused}");
        // All jobs are tried by who asks for them, whatever the first of them gave.
        let passed = |name| -> Vec<bool> {
            let faulty = Faulty(name);
            let jobs = self_test_jobs(&faulty);
            jobs.map(|done| done.passed()).collect()
        };
        assert_eq!(passed("rewrite"), [false, true, true, true]);
        assert_eq!(passed("refuse"), [true, true, true, false]);
    }
}
