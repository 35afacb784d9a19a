//! The protocol of the parallel engine under a detector of races: a build of the reducer that stamps every access.
//!
//! Drivers that run on processors rarely show a race, however wrong the protocol. The detector does not wait for one to
//! happen: it finds two accesses to one place that nothing orders. That it can is shown by mutants of the protocol.

use std::path::Path;
use std::sync::Arc;

use ffcm::coprocessor::JobError;
use ffcm::net::{Book, Limits};
use ffcm::oracle;

use super::buffers::Capacity;
use super::engine::{ParallelEngine, Tuning};
use super::sources::{Build, Mutant};
use crate::device::{Gpu, Options};

/// What the engine says when `count` accesses were not ordered.
pub(super) fn message(count: u32) -> String {
    format!("races: {count} accesses that nothing orders")
}

/// Rounds of a run, at most: their number has 8 bits in a stamp.
const ROUNDS_MAX: u64 = 255;

/// A tree of 2^`depth` numbers, summed as it is made: every number meets its parent in a wire.
fn sum(depth: u32) -> String {
    format!(
        "@main = r & @sum ~ ({depth} r)\n\
         @sum = (?((1 @sum.s) r) r)\n\
         @sum.s = ({{a b}} r) & @sum ~ (a $([+] $(c r))) & @sum ~ (b c)\n"
    )
}

fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ffcm/golden/nets");
    std::fs::read_to_string(folder.join(name)).expect("a golden program")
}

/// Wide, with much traffic between workgroups; narrow and deep; many duplicators.
fn programs() -> Vec<(&'static str, String)> {
    vec![
        ("sum", sum(13)),
        ("sort_bitonic", golden("sort_bitonic.hvm")),
        ("church", golden("church.hvm")),
        ("cnots", golden("cnots.hvm")),
        ("stress", golden("stress.hvm")),
    ]
}

/// Ways to divide the same work.
fn tunings(gpu: &Gpu, build: Build) -> [Tuning; 3] {
    let usual = Tuning {
        steps: 200,
        rounds: 8,
        build,
        ..Tuning::of(gpu)
    };
    [
        usual,
        // Short steps and rounds: much is handed from lane to lane and from workgroup to workgroup.
        Tuning {
            groups: 16,
            steps: 60,
            trips: 24,
            ..usual
        },
        // Memory that must grow, and is used again and again.
        Tuning {
            groups: 4,
            capacity: Capacity {
                nodes: 1 << 10,
                wires: 1 << 10,
                pairs: 1 << 14,
            },
            ..usual
        },
    ]
}

/// Reduces `main`. The races found, if any; a net that none was found in is compared with the oracle.
fn races(engine: &mut ParallelEngine, what: &str, text: &str) -> Option<String> {
    let book = Arc::new(Book::parse(text).expect("a valid book"));
    let call = book.main().expect("main");
    let limits = Limits::default();
    let before = engine.stats().rounds;
    match engine.reduce(&book, &call, &limits) {
        Ok(found) => {
            let rounds = engine.stats().rounds - before;
            assert!(rounds <= ROUNDS_MAX, "{what}: {rounds} rounds");
            assert_eq!(found, oracle::reduce(&book, &call, &limits), "{what}");
            None
        }
        Err(JobError::Device(found)) if found.contains("races: ") => Some(found),
        Err(error) => panic!("{what}: {error}"),
    }
}

#[test]
fn the_protocol_orders_every_access() {
    let gpu = Arc::new(Gpu::open(&Options::default()).expect("an adapter"));
    for tuning in tunings(&gpu, Build::Race) {
        let mut engine = ParallelEngine::new(&gpu, tuning).expect("the kernels compile");
        for (name, text) in programs() {
            let what = format!("{name}, {tuning:?}");
            assert_eq!(races(&mut engine, &what, &text), None, "{what}");
        }
        println!("{:?}", engine.stats());
    }
}

/// Runs until the detector finds something, and returns after how many.
fn runs_until_caught(mutant: Mutant) -> usize {
    let gpu = Arc::new(Gpu::open(&Options::default()).expect("an adapter"));
    let mut runs = 0;
    for tuning in tunings(&gpu, Build::Mutant(mutant)) {
        for (name, text) in programs() {
            // What a mutant leaves on the device is no start for another run.
            let mut engine = ParallelEngine::new(&gpu, tuning).expect("the kernels compile");
            runs += 1;
            let what = format!("{mutant:?}, {name}, {tuning:?}");
            if let Some(found) = races(&mut engine, &what, &text) {
                println!("{mutant:?} is caught in run {runs}: {found}");
                return runs;
            }
        }
    }
    panic!("{mutant:?} is not caught in {runs} runs");
}

#[test]
fn a_protocol_that_defers_nothing_is_caught() {
    assert!(runs_until_caught(Mutant::Everything) <= 5);
}

#[test]
fn a_protocol_that_ignores_the_step_is_caught() {
    assert!(runs_until_caught(Mutant::SameStep) <= 5);
}

#[test]
fn a_protocol_that_ignores_other_workgroups_is_caught() {
    assert!(runs_until_caught(Mutant::SameRound) <= 10);
}

#[test]
fn numbers_that_are_free_since_this_step_are_caught() {
    assert!(runs_until_caught(Mutant::FreshPool) <= 10);
}

#[test]
fn numbers_that_are_free_since_this_round_are_caught() {
    assert!(runs_until_caught(Mutant::FreshRing) <= 10);
}

#[test]
fn pairs_left_in_the_place_of_others_are_caught() {
    assert!(runs_until_caught(Mutant::SharedPlaces) <= 10);
}
