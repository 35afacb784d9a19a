//! The parallel engine with lane functions, against the oracle.

use std::path::Path;
use std::sync::Arc;

use ffcm::net::{Book, Limits};
use ffcm::oracle;

use super::engine::{NetStats, ParallelEngine, Tuning};
use super::functions::LaneFunctions;
use crate::device::{Gpu, Options};

fn device() -> Arc<Gpu> {
    Arc::new(Gpu::open(&Options::default()).expect("an adapter"))
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

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}

#[test]
#[ignore = "a measurement"]
fn measure() {
    let gpu = device();
    println!("fuel {:?}", super::fuel::probe(&gpu));
    for (name, from, to) in [
        ("sum_rec.hvm", "@depth = 12", "@depth = 16"),
        ("sum_rec.hvm", "@depth = 12", "@depth = 18"),
        ("stress.hvm", "@depth = 3", "@depth = 8"),
        ("sum_tree.hvm", "@depth = 12", "@depth = 14"),
    ] {
        let text = golden(name).replace(from, to);
        let book = Arc::new(Book::parse(&text).unwrap());
        let call = book.main().unwrap();
        let limits = Limits::default();
        let mut results = vec![];
        for functions in [LaneFunctions::Off, LaneFunctions::Always] {
            let mut engine = ParallelEngine::new(
                &gpu,
                Tuning {
                    functions,
                    ..Tuning::of(&gpu)
                },
            )
            .unwrap();
            for turn in 0..3 {
                let (c, w) = (cpu(), std::time::Instant::now());
                let before = engine.stats();
                let found = engine.reduce(&book, &call, &limits).unwrap();
                let stats = engine.stats().since(before);
                println!(
                    "{name} {to} {functions:?} turn {turn}: cpu {:.2} wall {:.2} rounds {} calls {} left {} itrs {}",
                    cpu() - c,
                    w.elapsed().as_secs_f64(),
                    stats.rounds,
                    stats.calls,
                    stats.calls_left,
                    found.as_ref().unwrap().counts.total()
                );
                results.push(found);
            }
        }
        assert!(results.iter().all(|r| *r == results[0]));
    }
}

#[test]
fn golden_programs_equal_the_oracle() {
    let gpu = device();
    let mut engine = ParallelEngine::new(&gpu, always(&gpu)).expect("the kernels compile");
    for name in ["sum_rec.hvm", "stress.hvm", "sum_tree.hvm"] {
        let stats = check(&mut engine, name, &golden(name), Limits::default());
        println!("{name}: {stats:?}");
    }
}
