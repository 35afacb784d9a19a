//! The parallel engine against the oracle, however it is tuned.

use std::path::Path;
use std::sync::{Arc, Mutex};

use ffcm::conformance::{Suite, check as check_suite};
use ffcm::coprocessor::{
    Coprocessor, DeviceInfo, FocusJob, HashJob, HashOutput, JobError, OracleCoprocessor,
    RewriteJob, RewriteOutput,
};
use ffcm::focus::Ranking;
use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};
use ffcm::net::{Book, Call, Limits, Outcome, ReduceError};
use ffcm::spec::word::Term;

use super::buffers::Capacity;
use super::engine::{Build, NetStats, ParallelEngine, Tuning};
use super::{Local, NetOptions, Schedule};
use crate::device::shim::{ShimOptions, open};
use crate::device::{CudaError, Gpu};

type Found = Result<Outcome, ReduceError>;

fn device(seed: u64) -> Arc<Gpu> {
    let options = ShimOptions {
        seed,
        ..ShimOptions::default()
    };
    Arc::new(open(&options).expect("a C++ compiler"))
}

/// Looks for damage.
fn usual(gpu: &Gpu) -> Tuning {
    Tuning {
        threads: 32,
        build: Build::Check,
        ..Tuning::of(gpu, NetOptions::default()).expect("the kernels compile")
    }
}

fn engine(gpu: &Arc<Gpu>, tuning: Tuning) -> ParallelEngine {
    ParallelEngine::tuned(gpu, tuning).expect("the kernels compile")
}

fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ffcm/golden/nets");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn expected(book: &Arc<Book>, call: &Call, limits: Limits) -> Found {
    let job = RewriteJob {
        book: Arc::clone(book),
        calls: vec![call.clone()],
        limits,
    };
    OracleCoprocessor.rewrite(&job).unwrap().remove(0)
}

/// Reduces `main` and compares with the oracle.
fn check(engine: &mut ParallelEngine, what: &str, text: &str, limits: Limits) -> NetStats {
    let book = Arc::new(Book::parse(text).expect("a valid book"));
    let call = book.main().unwrap();
    let before = engine.stats();
    let found = engine.reduce(&book, &call, &limits).expect(what);
    assert_eq!(found, expected(&book, &call, limits), "{what}");
    engine.stats().since(before)
}

const SMALL: Capacity = Capacity {
    nodes: 256,
    pairs: 1 << 11,
};

#[test]
fn no_grid_and_no_budget_changes_anything() {
    for seed in [1, 2, 3, 4] {
        let gpu = device(seed);
        let usual = usual(&gpu);
        let tunings = [
            Tuning { blocks: 1, ..usual },
            Tuning {
                blocks: 3,
                threads: 64,
                steps: 7,
                trips: 20,
                ..usual
            },
            Tuning {
                blocks: 16,
                steps: 3,
                trips: 16,
                rounds: 4,
                ..usual
            },
            Tuning {
                fuel: (100, 200),
                blocks: 3,
                threads: 256,
                ..usual
            },
            Tuning {
                schedule: Schedule::Persistent,
                fuel: (100, 200),
                ..usual
            },
            Tuning {
                local: Local::Auto,
                blocks: 1,
                ..usual
            },
            Tuning {
                local: Local::Auto,
                threads: 64,
                steps: 7,
                trips: 20,
                ..usual
            },
            Tuning {
                local: Local::Auto,
                schedule: Schedule::Persistent,
                fuel: (100, 200),
                ..usual
            },
        ];
        for tuning in tunings {
            let mut engine = engine(&gpu, tuning);
            for name in [
                "lists.hvm",
                "labels.hvm",
                "cnots.hvm",
                "tuples.hvm",
                "stress.hvm",
            ] {
                let what = format!("{name}, seed {seed}, {tuning:?}");
                check(&mut engine, &what, &golden(name), Limits::default());
            }
        }
    }
}

#[test]
fn tiny_buffers_grow_until_the_net_fits() {
    let gpu = device(3);
    for (name, local) in [
        ("sum_rec.hvm", Local::Off),
        ("sort_bitonic.hvm", Local::Off),
        ("sum_tree.hvm", Local::Off),
        ("sort_bitonic.hvm", Local::Auto),
        ("sum_tree.hvm", Local::Auto),
    ] {
        let tuning = Tuning {
            capacity: SMALL,
            local,
            ..usual(&gpu)
        };
        let mut engine = engine(&gpu, tuning);
        let stats = check(&mut engine, name, &golden(name), Limits::default());
        assert!(stats.growths > 0, "{name}: {stats:?}");
        check(&mut engine, name, &golden(name), Limits::default());
    }
}

#[test]
fn a_heap_that_is_too_small_is_an_error_and_the_engine_goes_on() {
    let gpu = device(4);
    let mut engine = engine(
        &gpu,
        Tuning {
            capacity: SMALL,
            ..usual(&gpu)
        },
    );
    let text = "@main = r & @grow ~ (0 r)\n@grow = ({a b} ((a c) r)) & @grow ~ (b (c r))\n";
    let book = Arc::new(Book::parse(text).unwrap());
    for nodes in [200, 1000] {
        let limits = Limits {
            nodes,
            ..Limits::default()
        };
        let found = engine
            .reduce(&book, &book.main().unwrap(), &limits)
            .unwrap();
        assert_eq!(found, Err(ReduceError::OutOfHeap { limit: nodes }));
    }
    let text = golden("lists.hvm");
    check(&mut engine, "afterwards", &text, Limits::default());
}

/// A definition that is a list of `n` numbers, and one that takes it apart: its nodes are too many for one thread.
fn long_list(n: u32) -> String {
    let mut text = String::from("@main = r & @list ~ (@sum r)\n@sum = (?((0 @sum.s) r) r)\n");
    text += "@sum.s = (* r) & r ~ 1\n@list = (f (f1 g)) & f ~ (0 f1) & g ~ ";
    for i in 0..n {
        text += &format!("({i} ");
    }
    text += "*";
    text += &")".repeat(n as usize);
    text.push('\n');
    text
}

#[test]
fn large_definitions_are_expanded_by_many_threads() {
    let gpu = device(5);
    for tuning in [
        usual(&gpu),
        Tuning {
            capacity: SMALL,
            schedule: Schedule::Persistent,
            ..usual(&gpu)
        },
        Tuning {
            capacity: SMALL,
            local: Local::Auto,
            ..usual(&gpu)
        },
    ] {
        let mut engine = engine(&gpu, tuning);
        check(&mut engine, "a list", &long_list(5000), Limits::default());
        // Alone at the root.
        let root = format!("@main = {}*{}\n", "(1 ".repeat(5000), ")".repeat(5000));
        check(&mut engine, "at the root", &root, Limits::default());
        // Many redexes, and a definition that is expanded many times over, in memory that it has used before.
        let redexes: String = (0..300).map(|i| format!(" & @one ~ ({i} a{i})")).collect();
        let tree: String = (0..300).map(|i| format!("(a{i} ")).collect();
        let text = format!(
            "@main = (x {tree}*{}) & @loop ~ (200 x){redexes}\n@one = ($([+1] r) r)\n@loop = (?((7 @loop.s) r) r)\n\
             @loop.s = (n r) & @loop ~ (n r) & {}*{} ~ * & 1 ~ 2\n",
            ")".repeat(300),
            "(1 ".repeat(100),
            ")".repeat(100),
        );
        check(&mut engine, "many times", &text, Limits::default());
    }
}

#[test]
fn what_kernels_cannot_compute_the_host_does() {
    let gpu = device(6);
    let many: String = (0..200)
        .map(|i| format!("\n & $([|{i}.5] $([|] a{i})) ~ {i}.25 & a{i} ~ $(2.5 b{i})"))
        .collect();
    let tree: String = (0..200).map(|i| format!("(b{i} ")).collect();
    let text = format!("@main = {tree}*{}{many}\n", ")".repeat(200));
    for local in [Local::Off, Local::Auto] {
        let tuning = Tuning {
            local,
            ..usual(&gpu)
        };
        let mut engine = engine(&gpu, tuning);
        let stats = check(&mut engine, "logarithms", &text, Limits::default());
        assert!(stats.host_operations > 0, "{stats:?}");
    }
}

#[test]
fn gas_is_exact() {
    let gpu = device(7);
    for (schedule, local) in [
        (Schedule::Rounds, Local::Off),
        (Schedule::Persistent, Local::Off),
        (Schedule::Rounds, Local::Auto),
    ] {
        let tuning = Tuning {
            schedule,
            local,
            ..usual(&gpu)
        };
        let mut engine = engine(&gpu, tuning);
        for name in ["stress.hvm", "lists.hvm", "references.hvm"] {
            let text = golden(name);
            let book = Arc::new(Book::parse(&text).unwrap());
            let total = expected(&book, &book.main().unwrap(), Limits::default())
                .unwrap()
                .counts
                .total();
            for gas in [0, 1, total - 1, total, total + 1] {
                let limits = Limits {
                    gas,
                    ..Limits::default()
                };
                check(&mut engine, &format!("{name}, gas {gas}"), &text, limits);
            }
        }
    }
}

#[test]
fn arguments_are_nodes_of_the_first_pair() {
    let gpu = device(8);
    let mut engine = engine(&gpu, usual(&gpu));
    let book = Arc::new(Book::parse("@main = (a (b (c (a (b c)))))\n").unwrap());
    for count in [1u32, 2, 3, 5, 40_000] {
        let call = Call {
            entry: 0,
            arguments: (0..count).map(Term::u24).collect(),
        };
        let limits = Limits::default();
        let found = engine.reduce(&book, &call, &limits).unwrap();
        assert_eq!(found, expected(&book, &call, limits), "{count} arguments");
    }
}

/// Church numerals: a long chain that one thread has to follow.
#[test]
fn a_deep_narrow_net_takes_few_rounds() {
    let gpu = device(9);
    let mut engine = engine(
        &gpu,
        Tuning {
            fuel: (1 << 20, 1 << 20),
            ..usual(&gpu)
        },
    );
    let text = golden("cnots.hvm").replace("@depth = 8", "@depth = 11");
    let stats = check(&mut engine, "cnots", &text, Limits::default());
    assert!(stats.rounds < 6, "{stats:?}");
    let text = golden("church.hvm");
    let stats = check(&mut engine, "church", &text, Limits::default());
    assert_eq!((stats.rounds, stats.round_trips), (1, 1), "{stats:?}");
}

/// A loop hands its result's wire on, from turn to turn: joined wires must not pile up.
#[test]
fn a_loop_needs_no_more_memory_the_longer_it_runs() {
    let gpu = device(10);
    let usual = Tuning {
        capacity: Capacity {
            nodes: 1 << 12,
            pairs: 1 << 14,
        },
        ..usual(&gpu)
    };
    let local = Tuning {
        local: Local::Auto,
        ..usual
    };
    let engines = &mut [engine(&gpu, usual), engine(&gpu, local)];
    for (what, text) in [
        (
            "counting down",
            "@main = r & @loop ~ (4000 r)\n@loop = (?((0 @loop.s) r) r)\n@loop.s = (n r) & @loop ~ (n r)\n",
        ),
        (
            "endless",
            "@main = r & @l ~ (0 r)\n@l = (a r) & @l ~ (a r)\n",
        ),
        (
            "endless, the older wires first",
            "@main = r & (0 r) ~ @l\n@l = (b q) & (a r) ~ @l & a ~ b & r ~ q\n",
        ),
    ] {
        let limits = Limits {
            gas: 30_000,
            ..Limits::default()
        };
        for engine in engines.iter_mut() {
            let stats = check(engine, what, text, limits);
            assert_eq!(stats.growths, 0, "{what}: {stats:?}");
        }
    }
}

/// Buffers grow before they are full. A device that has no more memory is no error as long as they are not.
#[test]
fn growth_that_is_refused_and_not_needed_is_no_error() {
    let options = ShimOptions {
        memory: 1400 << 10,
        ..ShimOptions::default()
    };
    let gpu = Arc::new(open(&options).expect("a C++ compiler"));
    let tuning = Tuning {
        capacity: Capacity {
            nodes: 1 << 14,
            pairs: 1 << 13,
        },
        ..usual(&gpu)
    };
    let mut engine = engine(&gpu, tuning);
    // A list that stays, and a loop long enough for several batches.
    let list = |n: usize| {
        let open = "(1 ".repeat(n);
        let close = ")".repeat(n);
        format!(
            "@main = {open}*{close} & @loop ~ (5000 *)\n@loop = (?((0 @loop.s) r) r)\n\
             @loop.s = (n r) & @loop ~ (n r)\n"
        )
    };
    let stats = check(&mut engine, "nearly full", &list(15_000), Limits::default());
    assert_eq!(stats.growths, 0, "{stats:?}");
    let book = Arc::new(Book::parse(&list(17_000)).unwrap());
    let found = engine.reduce(&book, &book.main().unwrap(), &Limits::default());
    let error = found.expect_err("no room").to_string();
    assert!(error.contains("out of memory"), "{error}");
}

/// Kernels with a mistake each, which the build that looks for damage, or the result, gives away.
#[test]
fn mistakes_in_the_protocol_are_found() {
    let mutants: [(&str, &'static [(&str, &str)]); 6] = [
        (
            "nodes are published before they are written",
            &[("NET_CHECK", "1"), ("MUTANT_PUBLISHED_EARLY", "1")],
        ),
        (
            "the block's nodes are left in global memory",
            &[("NET_LOCAL", "1"), ("MUTANT_UNLEAKED", "1")],
        ),
        (
            "arrivals are lost",
            &[("NET_CHECK", "1"), ("MUTANT_LOST_ARRIVAL", "1")],
        ),
        (
            "nodes are freed early",
            &[("NET_CHECK", "1"), ("MUTANT_FREED_EARLY", "1")],
        ),
        (
            "nodes are taken that are not there",
            &[("NET_CHECK", "1"), ("MUTANT_UNRESERVED", "1")],
        ),
        (
            "ring entries of this round are taken",
            &[("NET_CHECK", "1"), ("MUTANT_RING_UNSEEN", "1")],
        ),
    ];
    // A tree that is built, duplicated and summed twice at the same time.
    let text = golden("sum_tree.hvm").replace("@depth = 12", "@depth = 9");
    let twice = "@main = (one two)\n & @sum ~ (@depth (a one)) & @sum ~ (@depth (b two))\n \
                 & @build ~ (@depth (0 {a b}))";
    let once = text.find("@main").unwrap()..text.find("// build").unwrap();
    let text = text.replace(&text[once], &format!("{twice}\n"));
    let book = Arc::new(Book::parse(&text).unwrap());
    let call = book.main().unwrap();
    let limits = Limits {
        gas: 1_000_000,
        nodes: 1 << 16,
        ..Limits::default()
    };
    let right = expected(&book, &call, limits);
    let reduce = |seed, build, local| {
        let options = ShimOptions {
            seed,
            shake_one_in: 2,
            ..ShimOptions::default()
        };
        let gpu = Arc::new(open(&options).expect("a C++ compiler"));
        let tuning = Tuning {
            build,
            local,
            capacity: SMALL,
            fuel: (200, 400),
            ..usual(&gpu)
        };
        engine(&gpu, tuning).reduce(&book, &call, &limits)
    };
    for seed in 0..10 {
        for local in [Local::Off, Local::Auto] {
            let found = reduce(seed, Build::Check, local).expect("no mistake");
            assert_eq!(found, right, "seed {seed}, {local:?}");
        }
    }
    for (what, defines) in mutants {
        let local = if defines.contains(&("NET_LOCAL", "1")) {
            Local::Auto
        } else {
            Local::Off
        };
        let seen = (0..20).any(|seed| {
            let found = reduce(seed, Build::Mutant(defines), local);
            !matches!(found, Ok(found) if found == right)
        });
        assert!(seen, "{what}");
    }
}

#[test]
fn impossible_blocks_are_refused() {
    let gpu = device(1);
    for threads in [0, 33, 288] {
        let tuning = Tuning {
            threads,
            ..usual(&gpu)
        };
        let refused = ParallelEngine::tuned(&gpu, tuning).err();
        assert!(matches!(refused, Some(CudaError::BadLaunch { .. })));
    }
}

/// Reduces every call by one engine, however it is tuned.
struct Tuned(Mutex<ParallelEngine>);

impl Tuned {
    fn refuses<T>() -> Result<T, JobError> {
        Err(JobError::NotSupported {
            backend: "one engine".into(),
            job: "anything but nets",
        })
    }
}

impl Coprocessor for Tuned {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            backend: "cuda, tuned".into(),
            device: "shim".into(),
            threads: 0,
        }
    }

    fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        let mut engine = self.0.lock().expect("no test panicked with it");
        let reduce = |call| engine.reduce(&job.book, call, &job.limits);
        job.calls.iter().map(reduce).collect()
    }

    fn focus(&self, _: &FocusJob<'_>) -> Result<Ranking, JobError> {
        Tuned::refuses()
    }

    fn memory(
        &self,
        _: &mut Memory,
        _: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        Tuned::refuses()
    }

    fn hash(&self, _: &HashJob<'_>) -> Result<HashOutput, JobError> {
        Tuned::refuses()
    }
}

/// Random nets, errors and all golden programs, in rounds so short and buffers so small that everything happens often.
#[test]
fn the_suite_of_all_backends_passes_in_tight_places() {
    for (seed, local) in [(11, Local::Off), (12, Local::Auto)] {
        let gpu = device(seed);
        let tuning = Tuning {
            local,
            capacity: SMALL,
            steps: 5,
            trips: 8,
            fuel: (60, 1 << 12),
            ..usual(&gpu)
        };
        let tuned = Tuned(Mutex::new(engine(&gpu, tuning)));
        let report = check_suite(Suite::Nets, &tuned);
        assert!(report.digest.is_some());
    }
}
