//! The parallel engine against the oracle, however it is tuned.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ffcm::coprocessor::{Coprocessor, OracleCoprocessor, RewriteJob};
use ffcm::net::{Book, Call, Limits, Outcome, ReduceError};
use ffcm::spec::rules::Opcode;
use ffcm::spec::word::Term;

use super::buffers::Capacity;
use super::control::EXPAND_GROUPS;
use super::engine::{NetStats, ParallelEngine, Tuning};
use super::sources::Build;
use crate::device::{Gpu, Options};

type Found = Result<Outcome, ReduceError>;

/// One device for all tests, which take turns.
fn device() -> MutexGuard<'static, Arc<Gpu>> {
    static DEVICE: OnceLock<Mutex<Arc<Gpu>>> = OnceLock::new();
    DEVICE
        .get_or_init(|| {
            Mutex::new(Arc::new(
                Gpu::open(&Options::default()).expect("an adapter"),
            ))
        })
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
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
    let found = engine.reduce(&book, &call, &limits).expect("a device");
    assert_eq!(found, expected(&book, &call, limits), "{what}");
    engine.stats().since(before)
}

fn small() -> Capacity {
    Capacity {
        nodes: 256,
        wires: 256,
        pairs: 1 << 13,
    }
}

#[test]
fn no_grid_and_no_budget_changes_anything() {
    let gpu = device();
    let usual = Tuning::of(&gpu);
    let tunings = [
        Tuning { groups: 1, ..usual },
        Tuning {
            groups: 3,
            steps: 7,
            trips: 20,
            ..usual
        },
        Tuning {
            groups: 64,
            steps: 3,
            trips: 16,
            rounds: 4,
            ..usual
        },
        Tuning {
            fuel: Some(8192),
            groups: 16,
            ..usual
        },
    ];
    for tuning in tunings {
        let mut engine = ParallelEngine::new(&gpu, tuning).unwrap();
        for name in [
            "lists.hvm",
            "labels.hvm",
            "cnots.hvm",
            "tuples.hvm",
            "stress.hvm",
        ] {
            for _ in 0..2 {
                let what = format!("{name} with {tuning:?}");
                check(&mut engine, &what, &golden(name), Limits::default());
            }
        }
    }
}

#[test]
fn tiny_buffers_grow_until_the_net_fits() {
    let gpu = device();
    let tuning = Tuning {
        capacity: small(),
        ..Tuning::of(&gpu)
    };
    for name in ["sum_rec.hvm", "sort_bitonic.hvm", "sum_tree.hvm"] {
        let mut engine = ParallelEngine::new(&gpu, tuning).unwrap();
        let stats = check(&mut engine, name, &golden(name), Limits::default());
        assert!(stats.growths > 0, "{name}: {stats:?}");
        check(&mut engine, name, &golden(name), Limits::default());
    }
}

#[test]
fn a_heap_that_is_too_small_is_an_error_and_the_engine_goes_on() {
    let gpu = device();
    let tuning = Tuning {
        capacity: small(),
        ..Tuning::of(&gpu)
    };
    let mut engine = ParallelEngine::new(&gpu, tuning).unwrap();
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
    check(
        &mut engine,
        "afterwards",
        &golden("lists.hvm"),
        Limits::default(),
    );
}

/// A definition that is a list of `n` numbers, and one that takes it apart: its nodes are too many for one lane.
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
fn large_definitions_are_expanded_by_many_lanes() {
    let gpu = device();
    for tuning in [
        Tuning::of(&gpu),
        Tuning {
            capacity: small(),
            groups: 4,
            ..Tuning::of(&gpu)
        },
    ] {
        let mut engine = ParallelEngine::new(&gpu, tuning).unwrap();
        check(&mut engine, "a list", &long_list(5000), Limits::default());
        // Alone at the root.
        let root = format!("@main = {}*{}\n", "(1 ".repeat(5000), ")".repeat(5000));
        check(&mut engine, "at the root", &root, Limits::default());
        // Many redexes, and a definition that is expanded many times over, in memory that it has used before.
        let redexes: String = (0..300).map(|i| format!(" & @one ~ ({i} a{i})")).collect();
        let tree: String = (0..300).map(|i| format!("(a{i} ")).collect();
        let text = format!(
            "@main = (x {tree}*{}) & @loop ~ (200 x){redexes}\n@one = (n $([+1] n1))\n@loop = (?((7 @loop.s) r) r)\n\
             @loop.s = (n r) & @loop ~ (n r) & {}*{} ~ *\n",
            ")".repeat(300),
            "(1 ".repeat(100),
            ")".repeat(100),
        )
        .replace("(n $([+1] n1))", "($([+1] r) r)");
        check(&mut engine, "many times", &text, Limits::default());
    }
}

#[test]
fn what_kernels_cannot_compute_the_host_does() {
    let gpu = device();
    let mut engine = ParallelEngine::new(&gpu, Tuning::of(&gpu)).unwrap();
    let many: String = (0..200)
        .map(|i| format!("\n & $([|{i}.5] $([|] a{i})) ~ {i}.25 & a{i} ~ $(2.5 b{i})"))
        .collect();
    let tree: String = (0..200).map(|i| format!("(b{i} ")).collect();
    let text = format!("@main = {tree}*{}{many}\n", ")".repeat(200));
    let stats = check(&mut engine, "logarithms", &text, Limits::default());
    assert!(stats.host_operations > 0, "{stats:?}");
}

#[test]
fn gas_is_exact() {
    let gpu = device();
    let mut engine = ParallelEngine::new(&gpu, Tuning::of(&gpu)).unwrap();
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

#[test]
fn arguments_are_nodes_of_the_first_pair() {
    let gpu = device();
    let mut engine = ParallelEngine::new(&gpu, Tuning::of(&gpu)).unwrap();
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

/// Church numerals: a long chain that one lane has to follow.
#[test]
fn a_deep_narrow_net_takes_few_rounds() {
    let gpu = device();
    let mut engine = ParallelEngine::new(&gpu, Tuning::of(&gpu)).unwrap();
    let text = golden("cnots.hvm").replace("@depth = 8", "@depth = 11");
    let stats = check(&mut engine, "cnots", &text, Limits::default());
    assert!(stats.rounds < 6, "{stats:?}");
    let stats = check(
        &mut engine,
        "church",
        &golden("church.hvm"),
        Limits::default(),
    );
    assert_eq!((stats.rounds, stats.round_trips), (1, 1), "{stats:?}");
}

/// Divisions have a loop of their own inside the lane's: the longest remainders, one after another.
#[test]
fn long_divisions_are_charged() {
    let gpu = device();
    let mut engine = ParallelEngine::new(&gpu, Tuning::of(&gpu)).unwrap();
    let (large, tiny) = (
        "1".to_owned() + &"0".repeat(38),
        "0.".to_owned() + &"0".repeat(30) + "3",
    );
    let text = format!(
        "@main = r & @loop ~ (2000 (0.0f32 r))\n\
         @loop = (?((@done @loop.s) r) r)\n\
         @done = (x x)\n\
         @loop.s = (n (sum r)) & {large}.0f32 ~ $([%] $({tiny}f32 rest)) & rest ~ $([+] $(sum next)) & @loop ~ (n (next r))\n"
    );
    let stats = check(&mut engine, "remainders", &text, Limits::default());
    assert!(stats.rounds > 1, "{stats:?}");
}

#[test]
fn repeated_runs_of_a_wide_net_count_the_same() {
    let gpu = device();
    let mut engine = ParallelEngine::new(&gpu, Tuning::of(&gpu)).unwrap();
    let text = golden("sum_rec.hvm");
    let book = Arc::new(Book::parse(&text).unwrap());
    let call = book.main().unwrap();
    let limits = Limits::default();
    let first = engine.reduce(&book, &call, &limits).unwrap().unwrap();
    assert_eq!(Ok(first.clone()), expected(&book, &call, limits));
    assert!(first.counts.get(Opcode::Specialize) > 0);
    for _ in 0..3 {
        assert_eq!(
            engine.reduce(&book, &call, &limits).unwrap(),
            Ok(first.clone())
        );
    }
}

/// What kernels access for nets so small that it can be said.
#[test]
fn bytes_are_counted() {
    let gpu = device();
    let tuning = Tuning {
        build: Build::Count,
        ..Tuning::of(&gpu)
    };
    let mut engine = ParallelEngine::new(&gpu, tuning).unwrap();
    // The pools of a round with one pair take 64 unused nodes and as many wires, and give their numbers back.
    let pools = 2 * 64 * 4;
    // The first pair, the header of the definition, its root, an arrival: a stamp and a payload.
    let root = 16 + 16 + 16 + (4 + 8);
    let limits = Limits::default();
    let stats = check(&mut engine, "a number", "@main = 3\n", limits);
    assert_eq!(stats.kernel_bytes, Some(root + pools));
    // A body out of the book into the heap and out of it again, the pair out of the book, and the end of the wire that
    // the answer comes through: an arrival, after a look at the root's stamp, and one that takes the payload and clears
    // the stamp. The answer arrives at the root then.
    let step = (16 + 16 + 16) + 16 + (4 + 4 + 8) + (4 + 8 + 4);
    let text = "@main = r & 1 ~ $([+2] r)\n";
    let stats = check(&mut engine, "a step", text, limits);
    assert_eq!(stats.kernel_bytes, Some(root + step + pools));
    // A definition that many lanes expand, all of which read its header. The first round takes the pair and the header.
    let first = 16 + 16 + pools;
    let headers = u64::from(EXPAND_GROUPS) * 64 * 16;
    // Each of 101 items, the root and the nodes, out of the book and into the bag or the heap. A number from a list for
    // each node, each of the terms that point to one, and the unused second half of the root.
    let items = 101 * (16 + 16) + (100 + 100 + 1) * 4;
    // The pair out of the bag, an arrival, and 64 wires that the first round gave back.
    let last = 16 + (4 + 8) + pools + 64 * 4;
    let text = format!("@main = {}*{}\n", "(1 ".repeat(100), ")".repeat(100));
    let stats = check(&mut engine, "many nodes", &text, limits);
    assert_eq!(stats.kernel_bytes, Some(first + headers + items + last));
    let mut plain = ParallelEngine::new(&gpu, Tuning::of(&gpu)).unwrap();
    let stats = check(&mut plain, "uncounted", "@main = 3\n", limits);
    assert_eq!(stats.kernel_bytes, None);
}

/// A loop hands its result's wire on, from turn to turn: joined wires must not pile up.
#[test]
fn a_loop_needs_no_more_memory_the_longer_it_runs() {
    let gpu = device();
    let tuning = Tuning {
        capacity: Capacity {
            nodes: 1 << 12,
            wires: 1 << 12,
            pairs: 1 << 15,
        },
        ..Tuning::of(&gpu)
    };
    let mut engine = ParallelEngine::new(&gpu, tuning).unwrap();
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
        let stats = check(&mut engine, what, text, limits);
        assert_eq!(stats.growths, 0, "{what}: {stats:?}");
    }
}

/// Buffers grow before they are full. A device that has no more memory is no error as long as they are not.
#[test]
fn growth_that_is_refused_and_not_needed_is_no_error() {
    let _turn = device();
    let options = Options {
        memory_bytes_max: Some(2 << 20),
        ..Options::default()
    };
    let gpu = Arc::new(Gpu::open(&options).expect("an adapter"));
    let mut engine = ParallelEngine::new(&gpu, Tuning::of(&gpu)).unwrap();
    // A list that stays, and a loop long enough for several batches.
    let list = |n: usize| {
        let open = "(1 ".repeat(n);
        let close = ")".repeat(n);
        format!(
            "@main = {open}*{close} & @loop ~ (5000 *)\n@loop = (?((0 @loop.s) r) r)\n\
             @loop.s = (n r) & @loop ~ (n r)\n"
        )
    };
    // 16384 nodes are there.
    let stats = check(&mut engine, "nearly full", &list(15_000), Limits::default());
    assert_eq!(stats.growths, 0, "{stats:?}");
    let book = Arc::new(Book::parse(&list(17_000)).unwrap());
    let found = engine.reduce(&book, &book.main().unwrap(), &Limits::default());
    let error = found.expect_err("no room").to_string();
    assert!(error.contains("out of memory"), "{error}");
}
