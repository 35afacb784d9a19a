//! More than a million pairs alive at once, again and again: what comes out never moves.

use std::sync::Arc;

use ffcm::coprocessor::rewrite_digest;
use ffcm::cpu::NetEngine;
use ffcm::net::{Book, Limits};

use super::buffers::Capacity;
use super::engine::{ParallelEngine, Tuning};
use crate::device::{Gpu, Options};

/// Pairs that must have been alive at once.
const ALIVE: u64 = 1 << 20;

/// Calls of the wide definition; all can be expanded in one round.
const CALLS: u32 = 27;
/// Pairs that a call leaves.
const PAIRS: u32 = 40_000;
/// One pair in so many calls a definition, with a number that goes through all of these calls, and comes out greater by
/// one for each.
const THREADED: u32 = 100;
/// One pair in so many is an arithmetic step.
const ARITHMETIC: u32 = 4;

/// Calls of a definition that many lanes expand, into pairs that all live at once.
fn wide_net() -> String {
    let calls: String = (0..CALLS)
        .map(|i| format!(" & @wide ~ (x{i} x{})", i + 1))
        .collect();
    let pair = |i: u32| match i {
        _ if i.is_multiple_of(THREADED) => {
            let at = i / THREADED;
            format!(" & @next ~ (x{at} x{})", at + 1)
        }
        _ if i.is_multiple_of(ARITHMETIC) => format!(" & {i} ~ $([+1] *)"),
        _ => format!(" & {i} ~ *"),
    };
    let pairs: String = (0..PAIRS).map(pair).collect();
    let last = PAIRS / THREADED;
    format!(
        "@main = x{CALLS} & 0 ~ x0{calls}\n@wide = (x0 x{last}){pairs}\n@next = ($([+1] r) r)\n"
    )
}

/// Different grids, lengths of rounds, and memory that suffices from the start or has to grow.
fn tunings(gpu: &Gpu) -> [Tuning; 3] {
    let usual = Tuning {
        capacity: Capacity {
            nodes: 1 << 20,
            wires: 1 << 17,
            pairs: 1 << 22,
        },
        ..Tuning::of(gpu)
    };
    [
        usual,
        Tuning {
            groups: 700,
            steps: 3,
            trips: 24,
            ..usual
        },
        Tuning {
            groups: 33,
            rounds: 3,
            capacity: Capacity {
                pairs: 1 << 21,
                ..usual.capacity
            },
            ..usual
        },
    ]
}

#[test]
fn a_million_live_pairs_come_to_the_same_every_time() {
    let gpu = Arc::new(Gpu::open(&Options::default()).expect("an adapter"));
    let book = Arc::new(Book::parse(&wide_net()).expect("a valid book"));
    let call = book.main().expect("main");
    let limits = Limits::default();
    let expected = NetEngine::new(&book).reduce(&call, &limits, 1, None);
    let result = expected.as_ref().expect("it ends").result.clone();
    assert_eq!(result, (CALLS * PAIRS / THREADED).to_string());
    let digest = rewrite_digest(&vec![expected.clone()]);
    for tuning in tunings(&gpu) {
        let mut engine = ParallelEngine::new(&gpu, tuning).expect("the kernels compile");
        let found = engine.reduce(&book, &call, &limits).expect("a device");
        let stats = engine.stats();
        assert_eq!(found, expected, "{tuning:?}");
        assert_eq!(rewrite_digest(&vec![found]), digest, "{tuning:?}");
        assert!(stats.pairs_peak > ALIVE, "{stats:?}, {tuning:?}");
        println!("{stats:?}");
    }
}
