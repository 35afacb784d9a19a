//! The parallel engine with lane functions, against the oracle.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ffcm::net::{Book, Call, Limits, ReduceError};
use ffcm::oracle;
use ffcm::testing::Rng;

use super::buffers::Capacity;
use super::calls::CallsEngine;
use super::engine::{NetStats, ParallelEngine, Tuning};
use super::functions::LaneFunctions;
use super::sources::Build;
use crate::device::{Gpu, Options};

/// One device for all tests, which take turns.
fn device() -> MutexGuard<'static, Arc<Gpu>> {
    static DEVICE: OnceLock<Mutex<Arc<Gpu>>> = OnceLock::new();
    let open = || Arc::new(Gpu::open(&Options::default()).expect("an adapter"));
    let device = DEVICE.get_or_init(|| Mutex::new(open()));
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

fn always(gpu: &Gpu) -> Tuning {
    Tuning {
        functions: LaneFunctions::Always,
        ..Tuning::of(gpu)
    }
}

fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ffcm/golden/nets");
    std::fs::read_to_string(folder.join(name)).expect("a golden program")
}

/// Reduces `main` and compares with the oracle.
fn check(engine: &mut ParallelEngine, what: &str, text: &str, limits: Limits) -> NetStats {
    let book = Arc::new(Book::parse(text).expect("a valid book"));
    let call = book.main().expect("main");
    let before = engine.stats();
    let found = engine.reduce(&book, &call, &limits).expect("a device");
    let expected = oracle::reduce(&book, &call, &limits);
    assert_eq!(found, expected, "{what}");
    engine.stats().since(before)
}

fn gas(gas: u64) -> Limits {
    Limits {
        gas,
        ..Limits::default()
    }
}

/// Every golden program, with functions that seldom stop and with functions that often do.
#[test]
fn golden_programs_equal_the_oracle() {
    let gpu = device();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ffcm/golden/nets");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .filter(|name| name.ends_with(".hvm"))
        .collect();
    names.sort();
    assert!(names.len() > 5);
    let mut engine = ParallelEngine::new(&gpu, always(&gpu)).expect("the kernels compile");
    for name in &names {
        let stats = check(&mut engine, name, &golden(name), Limits::default());
        if ["sum_rec.hvm", "stress.hvm"].contains(&name.as_str()) {
            assert!(stats.calls > 0, "{name}: {stats:?}");
        }
    }
}

#[test]
fn functions_that_often_stop_change_nothing() {
    let gpu = device();
    let tuning = Tuning {
        call_trips: 20,
        groups: 16,
        steps: 9,
        trips: 24,
        ..always(&gpu)
    };
    let mut engine = ParallelEngine::new(&gpu, tuning).expect("the kernels compile");
    let stats = check(
        &mut engine,
        "sum_rec",
        &golden("sum_rec.hvm"),
        Limits::default(),
    );
    assert!(stats.calls > 0 && stats.calls_left > 100, "{stats:?}");
}

#[test]
fn a_net_in_lane_functions_takes_few_rounds_and_little_memory() {
    let gpu = device();
    let tuning = Tuning {
        capacity: Capacity {
            nodes: 256,
            wires: 256,
            pairs: 1 << 13,
        },
        ..always(&gpu)
    };
    let mut with = ParallelEngine::new(&gpu, tuning).expect("the kernels compile");
    let without = Tuning {
        functions: LaneFunctions::Off,
        ..tuning
    };
    let mut without = ParallelEngine::new(&gpu, without).expect("the kernels compile");
    let text = golden("sum_rec.hvm");
    let limits = Limits::default();
    let stats = [&mut with, &mut without].map(|engine| check(engine, "sum_rec", &text, limits));
    assert!(stats[0].rounds < stats[1].rounds, "{stats:?}");
    assert!(stats[0].growths < stats[1].growths, "{stats:?}");
    assert_eq!((stats[1].calls, stats[1].calls_left), (0, 0));
}

/// Limits around what a net takes, and inside what a lane function counts at once.
#[test]
fn gas_is_exact() {
    let gpu = device();
    let mut engine = ParallelEngine::new(&gpu, always(&gpu)).expect("the kernels compile");
    let endless = "@main = r & @f ~ (9 r)\n@f = (n r) & @g ~ (n a) & @f ~ (a r)\n\
                   @g = (?((7 @g.s) r) r)\n@g.s = (n r) & @g ~ (n r)\n";
    let texts = [
        golden("stress.hvm").replace("@turns = 500", "@turns = 40"),
        golden("sum_rec.hvm").replace("@depth = 12", "@depth = 7"),
        endless.to_string(),
    ];
    for text in &texts {
        let book = Arc::new(Book::parse(text).expect("a valid book"));
        let call = book.main().expect("main");
        let total = match oracle::reduce(&book, &call, &gas(20_000)) {
            Ok(outcome) => outcome.counts.total(),
            Err(error) => {
                assert_eq!(error, ReduceError::OutOfGas { limit: 20_000 });
                900
            }
        };
        let limits = [0, 1, 2, 5, 17, total / 3, total / 2, total - 20];
        for limit in limits.into_iter().chain(total - 2..total + 3) {
            check(
                &mut engine,
                &format!("gas {limit}: {text}"),
                text,
                gas(limit),
            );
        }
    }
}

/// A net of random definitions on numbers: arithmetic, switches, recursion that goes down, copies, numbers that are ignored, and
/// now and then something that is no number.
fn random(rng: &mut Rng, kind: &str) -> String {
    let number = |rng: &mut Rng| match kind {
        "f32" => format!("{}.5f32", rng.below(9)),
        kind => format!("{}{kind}", rng.below(7)),
    };
    let operators = ["+", "-", "*", "/", "%", "&", "|", "^", "<", "=", ">>"];
    let mut text = String::new();
    let functions = 2 + rng.below(3);
    for f in 0..functions {
        let callee = rng.below(functions);
        let operator = operators[rng.below(11) as usize];
        let other = operators[rng.below(11) as usize];
        let constant = number(rng);
        text += &match if f == 0 { 0 } else { rng.below(6) } {
            // Straight.
            0 => format!("@f{f} = (a (b r)) & a ~ $([{operator}] $(b s)) & s ~ $([{other}{constant}] r)\n"),
            // A switch on the second argument, copies.
            1 => format!("@f{f} = ({{a c}} (?(({constant} @f{f}.s) r) r)) & a ~ * & c ~ *\n@f{f}.s = (n n)\n"),
            // A recursion of one branch.
            2 => format!(
                "@f{f} = (?((@f{f}.z @f{f}.s) (b r)) (b r))\n@f{f}.z = (b b)\n\
                 @f{f}.s = (n (b r)) & b ~ $([{operator}{constant}] c) & @f{f} ~ (n (c r))\n"
            ),
            // Of two.
            3 => format!(
                "@f{f} = (?((@f{f}.z @f{f}.s) (b r)) (b r))\n@f{f}.z = (b b)\n\
                 @f{f}.s = ({{n m}} ({{b c}} r)) & @f{f} ~ (n (b $([{operator}] $(s r)))) & @f{f} ~ (m (c s))\n"
            ),
            // One that ends in something else for some numbers.
            4 => format!(
                "@f{f} = (a (b r)) & a ~ ?(((b r0) @f{f}.s) r) & r0 ~ *\n@f{f}.s = (n (b b)) & n ~ *\n"
            )
            .replace("((b r0) @", "((* 3) @")
            .replace("& r0 ~ *", "& b ~ *"),
            // What others do.
            _ => format!("@f{f} = (a ({{b c}} r)) & @f{callee}x ~ (a (b s)) & s ~ $([{operator}] $(c r))\n"),
        };
        // Applied without a way back, so that nothing is endless.
        text += &format!("@f{f}x = (a (b r)) & a ~ $([{other}] $(b r))\n");
    }
    let mut mains = String::new();
    for main in 0..MAINS {
        mains += &format!("@main{main} = (r0 (r1 (r2 r3)))");
        for call in 0..4 {
            let f = rng.below(functions);
            let (a, b) = (number(rng), number(rng));
            mains += &format!(" & @f{f} ~ ({a} ({b} r{call}))");
        }
        mains += "\n";
    }
    mains + &text
}

/// Nets in a book: compiling takes longer than reducing them.
const MAINS: u64 = 16;

#[test]
fn random_nets_equal_the_oracle() {
    let gpu = device();
    let mut rng = Rng::new(20261122);
    let mut engine = ParallelEngine::new(&gpu, always(&gpu)).expect("the kernels compile");
    let mut lanes = CallsEngine::new(&gpu, LaneFunctions::Always).expect("the kernel compiles");
    let (mut calls, mut ended) = (0, 0);
    for kind in ["", "u32", "f32"] {
        let text = random(&mut rng, kind);
        let book = Arc::new(Book::parse(&text).expect("a valid book"));
        for main in 0..MAINS {
            let call = book
                .call(&format!("main{main}"), vec![])
                .expect("it is there");
            for limits in [gas(20_000), gas(20 + rng.below(200))] {
                let found = engine.reduce(&book, &call, &limits).expect("a device");
                let expected = oracle::reduce(&book, &call, &limits);
                assert_eq!(found, expected, "@main{main}, {limits:?}: {text}");
            }
        }
        assert!(engine.stats().calls > calls, "{text}");
        calls = engine.stats().calls;
        // The same nets in a batch, one lane each.
        let mains = (0..MAINS).map(|main| book.call(&format!("main{main}"), vec![]));
        let mains: Vec<Call> = mains.map(|call| call.expect("it is there")).collect();
        for limits in [gas(20_000), gas(20), gas(60), gas(61), gas(62)] {
            let endings = lanes.run(&book, &mains, &limits).expect("a device");
            for (call, found) in mains.iter().zip(endings) {
                let expected = oracle::reduce(&book, call, &limits);
                ended += u64::from(found.is_some());
                assert!(
                    found.is_none_or(|found| found == expected),
                    "{call:?}, {limits:?}: {text}"
                );
            }
        }
    }
    assert!(ended > 100, "{ended}");
}

/// The detector of races, on the build with lane functions.
#[test]
fn lane_functions_keep_the_protocol() {
    let gpu = device();
    let tuning = Tuning {
        build: Build::Race,
        groups: 16,
        steps: 60,
        rounds: 8,
        call_trips: 64,
        ..always(&gpu)
    };
    let mut engine = ParallelEngine::new(&gpu, tuning).expect("the kernels compile");
    let stats = check(
        &mut engine,
        "sum_rec",
        &golden("sum_rec.hvm"),
        Limits::default(),
    );
    assert!(stats.calls > 0 && stats.rounds < 256, "{stats:?}");
}

/// The usual kernel runs until the other is there; whether and when it is does not matter.
#[test]
fn a_hot_net_gets_its_functions_while_it_runs() {
    let gpu = device();
    let tuning = Tuning {
        functions: LaneFunctions::Hot,
        steps: 8,
        rounds: 2,
        ..Tuning::of(&gpu)
    };
    let mut engine = ParallelEngine::new(&gpu, tuning).expect("the kernels compile");
    let text = golden("sum_rec.hvm");
    let stats = check(&mut engine, "not hot", &text, Limits::default());
    assert_eq!((stats.calls, stats.calls_left), (0, 0));
    let text = text.replace("@depth = 12", "@depth = 16");
    // A million interactions are made long before the end, and a reduction after the build is there has it from the start.
    let mut stats = check(&mut engine, "hot", &text, Limits::default());
    while stats.calls == 0 {
        std::thread::yield_now();
        stats = check(&mut engine, "hot", &text, Limits::default());
    }
}
