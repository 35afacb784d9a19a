//! The machine's methods give what the jobs behind them give, and its errors say what is wrong.

use std::sync::Arc;

use ffcm::Machine;
use ffcm::coprocessor::{
    Accelerator, AcceleratorError, Coprocessor, JobError, OracleCoprocessor, ProvidedDevice,
    Provider,
};
use ffcm::focus::{FocusParams, MASS};
use ffcm::graph::{EdgeDelta, Graph};
use ffcm::machine::{CallError, Program};
use ffcm::memory::{DIMENSION, Memory, MemoryOp, SlotId};
use ffcm::net::data::{DecodeError, U24};
use ffcm::net::{Limits, ReduceError};

/// The oracle in the place of a GPU.
struct Slow;

impl Provider for Slow {
    fn name(&self) -> &'static str {
        "wgpu"
    }

    fn devices(&self) -> Vec<ProvidedDevice> {
        vec![]
    }

    fn open(&self, index: Option<u32>) -> Result<Arc<dyn Coprocessor>, JobError> {
        match index {
            None | Some(0) => Ok(Arc::new(OracleCoprocessor)),
            Some(other) => Err(JobError::Device(format!("there is no device {other}"))),
        }
    }
}

fn machines() -> [Machine; 3] {
    let cpu = |threads| {
        Machine::builder()
            .accelerator(Accelerator::Cpu)
            .threads(threads)
    };
    let slow = Machine::builder().provider(&Slow);
    let slow = slow.accelerator("wgpu:0".parse().expect("a name"));
    [cpu(1), cpu(3), slow].map(|builder| builder.build().expect("it starts"))
}

#[test]
fn a_machine_is_chosen_by_name() {
    let auto = Machine::auto().expect("there is a CPU");
    assert_eq!(auto.accelerator(), Accelerator::Cpu);
    assert_eq!(
        auto.choice(),
        Some("auto chose cpu: this version has no GPU backend")
    );
    let [one, three, slow] = machines();
    assert_eq!((one.info().threads, three.info().threads), (1, 3));
    assert_eq!(
        (slow.accelerator(), slow.choice()),
        (Accelerator::Wgpu(Some(0)), None)
    );

    let missing = Machine::builder()
        .accelerator(Accelerator::Cuda(None))
        .provider(&Slow);
    assert!(format!("{missing:?}").contains("wgpu"));
    assert!(matches!(
        missing.build(),
        Err(AcceleratorError::NotBuilt(_))
    ));
    let absent = Machine::builder()
        .accelerator(Accelerator::Wgpu(Some(1)))
        .provider(&Slow);
    let error = absent.build().expect_err("there is one device");
    assert_eq!(
        error.to_string(),
        "backend `wgpu:1` does not start: device: there is no device 1"
    );
    assert!(matches!(error, AcceleratorError::Start { .. }));
}

#[test]
fn every_machine_gives_the_same() {
    let mut graph = Graph::with_nodes(50).expect("few nodes");
    let edges: Vec<_> = (0..50)
        .map(|i| EdgeDelta::weighted(i, i * i % 50, 1 + u64::from(i)))
        .collect();
    graph.apply(&edges).expect("they fit");
    let inputs = ["", "abc", "focus"];
    let [one, others @ ..] = machines();
    let ranking = one.rank(&graph).expect("it ranks");
    assert_eq!(ranking.mass.iter().sum::<u64>(), MASS);
    let change = |machine: &Machine| {
        let mut memory = Memory::from_seed(1, [7; 32]);
        let at = |slot| SlotId {
            shard: 0,
            layer: 0,
            slot,
        };
        let vector = vec![9; DIMENSION];
        let ops = [
            (at(3), MemoryOp::Add { vector }),
            (
                at(4),
                MemoryOp::Mix {
                    alpha: 5_000,
                    source: 3,
                },
            ),
            (at(5), MemoryOp::Decay { factor: 1 }),
        ];
        let results = machine.memory(&mut memory, &ops).expect("it runs");
        let passed: Vec<bool> = results.iter().map(Result::is_ok).collect();
        assert_eq!(passed, [true, true, false]);
        memory.digest()
    };
    for other in others {
        assert_eq!(other.rank(&graph).expect("it ranks"), ranking);
        let params = FocusParams::default();
        let warm = other
            .rank_from(&graph, &params, Some(&ranking.mass))
            .expect("it ranks");
        assert_eq!(
            warm,
            one.rank_from(&graph, &params, Some(&ranking.mass))
                .expect("it ranks")
        );
        assert_eq!(change(&other), change(&one));
        let search = |machine: &Machine| {
            machine
                .search(b"header", 5, 1_000, [1; 32])
                .expect("it runs")
        };
        assert!(search(&one).is_some());
        assert_eq!(search(&other), search(&one));
        let hashes = |machine: &Machine| {
            let (a, b) = (machine.blake3(&inputs), machine.sha256(&inputs));
            (a.expect("it runs"), b.expect("it runs"))
        };
        assert_eq!(hashes(&other), hashes(&one));
        let operators = other.operators(&graph).expect("threads start");
        assert_eq!(
            operators.wcc(),
            one.operators(&graph).expect("threads start").wcc()
        );
    }
    let too_many = vec![0; 51];
    let refused = one.rank_from(&graph, &FocusParams::default(), Some(&too_many));
    assert!(matches!(refused, Err(JobError::Focus(_))));
}

const PROGRAM: &str = "
@quotient = (a (b r)) & a ~ $([/] $(b r))
@swap = ((a b) (b a))
@pick = (?((* 5) r) r)
@loop = (a r) & @loop ~ (a r)";

#[test]
fn calls_take_and_give_values() {
    let program: Program = PROGRAM.parse().expect("it parses");
    for machine in machines() {
        let seven: u32 = machine
            .call(&program, "quotient", (50_u32, 7_u32))
            .expect("a number");
        assert_eq!(seven, 7);
        let swapped: ((bool, String), Vec<i8>) = machine
            .call(&program, "swap", ((vec![-1_i8, 5], (true, "ok")),))
            .expect("a pair");
        assert_eq!(swapped, ((true, "ok".to_owned()), vec![-1, 5]));
        let rows: Vec<[U24; 2]> = (0..600)
            .map(|i| [4_000_000 + i, i].map(U24::wrapping))
            .collect();
        let quotients = machine
            .map::<U24, U24, 2>(&program, "quotient", &rows)
            .expect("it runs");
        assert_eq!(quotients.len(), rows.len());
        for ([a, b], quotient) in rows.iter().zip(quotients) {
            let expected = a.get().checked_div(b.get()).unwrap_or(U24::MAX.get());
            assert_eq!(quotient.expect("a number").get(), expected);
        }
        // Without arguments, the definition itself.
        let five = Program::parse("@five = r & 2 ~ $([+] $(3 r))").expect("it parses");
        assert_eq!(machine.call::<u8>(&five, "five", ()).expect("a number"), 5);
        let fives = machine
            .map::<u8, u8, 0>(&five, "five", &[[], []])
            .expect("it runs");
        assert_eq!(
            fives.into_iter().map(Result::ok).collect::<Vec<_>>(),
            [Some(5); 2]
        );
    }
}

#[test]
fn what_fails_is_told_one_by_one() {
    let limits = Limits {
        gas: 100,
        ..Limits::default()
    };
    let program = Program::parse(PROGRAM)
        .expect("it parses")
        .with_limits(limits);
    for machine in machines() {
        let missing = machine
            .call::<u8>(&program, "gone", (1_u8,))
            .expect_err("no definition");
        assert_eq!(missing.to_string(), "no definition @gone");
        let missing = machine
            .call::<u8>(&program, "gone", ("text",))
            .expect_err("no definition");
        assert!(matches!(missing, CallError::Build(_)));
        let endless = machine
            .call::<u8>(&program, "loop", (1_u8,))
            .expect_err("endless");
        assert!(matches!(
            endless,
            CallError::Reduce(ReduceError::OutOfGas { limit: 100 })
        ));
        let pair = machine
            .call::<u8>(&program, "swap", ((1_u8, 2_u8),))
            .expect_err("a pair");
        assert!(matches!(
            pair,
            CallError::Decode(DecodeError::Unexpected { .. })
        ));
        assert_eq!(
            pair.to_string(),
            "result: expected a u24 below 2^8, found a pair `(a b)`"
        );
        let outcome = machine
            .outcome(&program, "swap", ((1_u8, 2_u8),))
            .expect("a pair");
        assert_eq!(outcome.result, "(2 1)");

        // Zero gives no number; others more than a byte holds, or what they should.
        let rows = machine.map::<u32, u8, 2>(&program, "quotient", &[[300, 1], [9, 2]]);
        let rows = rows.expect("it runs");
        assert!(matches!(rows[0], Err(CallError::Decode(_))));
        assert!(
            matches!(rows[1], Err(CallError::Decode(_))),
            "a u32 is no u8"
        );
        let rows = machine
            .map::<u8, u8, 1>(&program, "loop", &[[1], [2]])
            .expect("it runs");
        assert!(
            rows.iter()
                .all(|row| matches!(row, Err(CallError::Reduce(_))))
        );
    }
}
