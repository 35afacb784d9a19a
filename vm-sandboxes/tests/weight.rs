//! Weight nets on the oracle and on the CPU: weights, refusals and bounds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;

use ffcm::coprocessor::{
    Coprocessor, DeviceInfo, FocusJob, HashJob, HashOutput, JobError, OracleCoprocessor,
    RewriteJob, RewriteOutput,
};
use ffcm::cpu::CpuCoprocessor;
use ffcm::focus::Ranking;
use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};
use ffcm::net::{Book, Call, Limits, ReduceError};
use ffcm::spec::word::Term;
use ffcm_sandboxes::weight::{AGE_DECAY, MAX_GAS_PER_EDGE, MAX_TEXT_BYTES, STAKE};
use ffcm_sandboxes::{
    EdgeAttributes, LoadFailure, Refusal, WeightFailure, WeightNet, WeightVerdict,
};
use proptest::prelude::*;

const GAS: u64 = 1000;
const EDGE: EdgeAttributes = EdgeAttributes {
    stake: 5000,
    age: 3,
    kind: 9,
};

/// The oracle's verdicts, which the CPU's must equal.
fn verdicts(net: &WeightNet, edges: &[EdgeAttributes], gas: u64) -> Vec<WeightVerdict> {
    static CPUS: LazyLock<[CpuCoprocessor; 2]> =
        LazyLock::new(|| [1, 2].map(|threads| CpuCoprocessor::new(threads).unwrap()));
    let verdicts = net.evaluate(&OracleCoprocessor, edges, gas).unwrap();
    for cpu in &*CPUS {
        assert_eq!(
            net.evaluate(cpu, edges, gas).unwrap(),
            verdicts,
            "{:?}",
            cpu.info()
        );
    }
    verdicts
}

fn weigh(text: &str, edge: EdgeAttributes) -> WeightVerdict {
    verdicts(&WeightNet::parse(text, 0).unwrap(), &[edge], GAS)[0]
}

fn refused(text: &str) -> Refusal {
    match weigh(text, EDGE) {
        WeightVerdict::Refused(refusal) => refusal,
        WeightVerdict::Weight(weight) => panic!("{text}: weight {weight}"),
    }
}

fn failure(text: &str) -> String {
    WeightNet::parse(text, 0).unwrap_err().to_string()
}

#[test]
fn the_stake_is_shifted_then_saturates() {
    let edges: Vec<_> = [
        0,
        1,
        4095,
        4096,
        (1 << 32) - 1,
        1 << 32,
        (1 << 44) - 1,
        1 << 44,
        u64::MAX,
    ]
    .map(|stake| EdgeAttributes { stake, ..EDGE })
    .into();
    for shift in [0, 12, 63] {
        let net = WeightNet::parse(STAKE, shift).unwrap();
        let found = verdicts(&net, &edges, GAS);
        for (edge, verdict) in edges.iter().zip(found) {
            let expected = (edge.stake >> shift).min(u64::from(u32::MAX));
            assert_eq!(
                verdict,
                WeightVerdict::Weight(expected),
                "{} >> {shift}",
                edge.stake
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn age_decay_divides_by_the_spans_lived(
        stake in prop_oneof![any::<u64>(), 0u64..1 << 32], kind: u32,
        age in prop_oneof![any::<u64>(), 0u64..1 << 14, Just(u64::from(u32::MAX))],
    ) {
        let saturated = |value: u64| value.min(u64::from(u32::MAX));
        let expected = saturated(stake) / (1 + saturated(age) / 1024);
        let verdict = weigh(AGE_DECAY, EdgeAttributes { stake, age, kind });
        prop_assert_eq!(verdict, WeightVerdict::Weight(expected));
    }
}

#[test]
fn whole_numbers_of_every_kind_are_weights() {
    for (number, expected) in [
        ("7", 7),
        ("16777215", 16_777_215),
        ("4294967295u32", 4_294_967_295),
        ("+7", 7),
        ("+7i32", 7),
        ("0", 0),
    ] {
        let text = format!("@weight = (* (* (* {number})))");
        assert_eq!(
            weigh(&text, EDGE),
            WeightVerdict::Weight(expected),
            "{number}"
        );
    }
    // A number that is applied copies itself: a constant is a rule.
    assert_eq!(weigh("@weight = 5", EDGE), WeightVerdict::Weight(5));
    assert_eq!(weigh("@weight = (* (* (kind kind)))", EDGE).weight(), 9);
    assert_eq!(weigh("@weight = (* (age (* age)))", EDGE).weight(), 3);
}

#[test]
fn what_is_no_weight_is_refused() {
    for (result, refusal) in [
        ("-1", Refusal::Negative),
        ("-2147483648i32", Refusal::Negative),
        ("*", Refusal::NotANumber),
        ("(1 2)", Refusal::NotANumber),
        ("[+]", Refusal::NotANumber),
        ("[+1]", Refusal::NotANumber),
        ("[u24]", Refusal::NotANumber),
        ("@weight", Refusal::NotANumber),
    ] {
        assert_eq!(
            refused(&format!("@weight = (* (* (* {result})))")),
            refusal,
            "{result}"
        );
    }
    assert_eq!(refused("@weight = (* (* (* (* 5))))"), Refusal::NotANumber);
    // A list of 400 numbers, longer than any text that is kept.
    let list = "@weight = (* (* (* r))) & @list ~ (400 r)
        @list = (?((* @cons) r) r)
        @cons = (n (1 r)) & @list ~ (n r)";
    let net = WeightNet::parse(list, 0).unwrap();
    assert_eq!(
        verdicts(&net, &[EDGE], 10_000),
        [WeightVerdict::Refused(Refusal::NotANumber)]
    );
    assert_eq!(WeightVerdict::Refused(Refusal::Negative).weight(), 0);
}

#[test]
fn an_endless_net_runs_out_of_gas_and_its_neighbours_do_not() {
    // Spins on links of kind 1, weighs others 7.
    let text = "@weight = (* (* (?((7 @again) r) r)))
        @again = (* r) & @spin ~ (1 r)
        @spin = (n r) & @spin ~ (n r)";
    let net = WeightNet::parse(text, 0).unwrap();
    let edges = [0, 1, 0].map(|kind| EdgeAttributes { kind, ..EDGE });
    let found = verdicts(&net, &edges, GAS);
    let spun = WeightVerdict::Refused(Refusal::OutOfGas);
    assert_eq!(
        found,
        [WeightVerdict::Weight(7), spun, WeightVerdict::Weight(7)]
    );
    assert_eq!(verdicts(&net, &edges[..1], 0), [spun]);
    assert_eq!(verdicts(&net, &[], GAS), []);
}

/// Nets that allocate as fast as they can: the oracle on the least heap that suffices, the CPU on the one it is given.
#[test]
fn gas_ends_before_the_heap_does() {
    let twenty_nodes = "(0 ".repeat(20) + "list" + &")".repeat(20);
    for text in [
        format!("@weight = (list r) & @weight ~ ({twenty_nodes} r)"),
        "@weight = (a r) & @weight ~ ((a *) r)".into(),
        // Two of itself each time.
        "@weight = (* r) & @weight ~ (1 (* (* r))) & @weight ~ (1 (2 *))".into(),
        // A constructor and a duplicator that multiply one another.
        "@weight = (* (* (* r))) & @more ~ ({x (x *)} r)
         @more = ((a {b c}) r) & @more ~ (((b a) {(c *) c2}) r) & c2 ~ *"
            .into(),
    ] {
        let book = Book::parse(&text).unwrap();
        let entry = book.find("weight").unwrap();
        let net = WeightNet::new(book.clone(), 0).unwrap();
        let mut spent = 0;
        for gas in [0, 1, 2, 3, 10, 100, 5000] {
            let call = Call {
                entry,
                arguments: vec![Term::u32(1), Term::u32(2), Term::u32(3)],
            };
            let limits = Limits {
                gas,
                nodes: (net.heap_nodes(gas) - net.heap_nodes(0)) / 2 + 8,
                result_bytes: 100,
            };
            let outcome = ffcm::oracle::reduce(&book, &call, &limits);
            let full = matches!(outcome, Err(ReduceError::OutOfHeap { .. }));
            assert!(!full, "{text}: heap full within {gas} interactions");
            spent += usize::from(matches!(outcome, Err(ReduceError::OutOfGas { .. })));
        }
        assert!(spent >= 3, "{text}: ends by itself");
        let spun = WeightVerdict::Refused(Refusal::OutOfGas);
        assert_eq!(verdicts(&net, &[EDGE; 3], MAX_GAS_PER_EDGE), [spun; 3]);
    }
}

#[test]
fn programs_that_are_no_weight_nets_are_refused() {
    assert_eq!(
        failure("@main = 1"),
        "a weight net needs a definition @weight"
    );
    assert!(matches!(
        WeightNet::parse("@weight = (", 0),
        Err(LoadFailure::Book(_))
    ));
    for float in ["1.5", "1.5f32", "[f24]", "[f32]", "[*2.0]"] {
        // A float operand in an operator makes a float only with a float to its right; casts and numbers always.
        let held =
            format!("@weight = (* (* (* r))) & @other ~ (1 r) @other = (a r) & a ~ $({float} r)");
        match WeightNet::parse(&held, 0) {
            Err(LoadFailure::Float { definition }) => assert_eq!(definition, "other", "{float}"),
            Err(other) => panic!("{float}: {other}"),
            Ok(_) => assert_eq!(float, "[*2.0]"),
        }
    }
    let unreached = "@weight = (s (* (* s))) @other = 1.5";
    assert!(WeightNet::parse(unreached, 0).is_ok());
    let wide = format!("@weight = {}", "(1 ".repeat(200) + "1" + &")".repeat(200));
    assert_eq!(
        failure(&wide),
        "nodes and wires of @weight: 200, the limit is 128"
    );
    assert!(failure(&" ".repeat(MAX_TEXT_BYTES + 1)).contains("the limit is 65536"));
    let shift = WeightNet::parse(STAKE, 64).unwrap_err().to_string();
    assert_eq!(shift, "shift of the stake: 64, the limit is 63");
}

#[test]
fn more_gas_than_an_edge_may_have_is_refused() {
    let net = WeightNet::parse(STAKE, 0).unwrap();
    let evaluate = |gas| net.evaluate(&OracleCoprocessor, &[EDGE], gas);
    assert!(evaluate(MAX_GAS_PER_EDGE).is_ok());
    let error = evaluate(MAX_GAS_PER_EDGE + 1).unwrap_err();
    assert!(
        matches!(error, WeightFailure::Gas { asked: 65537 }),
        "{error}"
    );
}

/// A coprocessor that gives the same answer to every call, `answers` times.
struct Broken {
    answers: usize,
    error: ReduceError,
}

impl Coprocessor for Broken {
    fn info(&self) -> DeviceInfo {
        OracleCoprocessor.info()
    }

    fn rewrite(&self, _: &RewriteJob) -> Result<RewriteOutput, JobError> {
        Ok(vec![Err(self.error.clone()); self.answers])
    }

    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        OracleCoprocessor.focus(job)
    }

    fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        OracleCoprocessor.memory(memory, ops)
    }

    fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        OracleCoprocessor.hash(job)
    }
}

#[test]
fn failures_of_the_coprocessor_are_no_verdicts() {
    let net = WeightNet::parse(STAKE, 0).unwrap();
    let evaluate = |answers, error| net.evaluate(&Broken { answers, error }, &[EDGE, EDGE], GAS);
    for error in [
        ReduceError::OutOfHeap { limit: 7 },
        ReduceError::Cancelled { interactions: 3 },
        ReduceError::InvalidCall("no".into()),
    ] {
        let failed = evaluate(2, error).unwrap_err();
        assert!(
            matches!(failed, WeightFailure::Answer { edge: 0, .. }),
            "{failed}"
        );
    }
    let out_of_gas = || ReduceError::OutOfGas { limit: GAS };
    assert!(matches!(
        evaluate(1, out_of_gas()),
        Err(WeightFailure::Answer { edge: 1, .. })
    ));
    assert!(matches!(
        evaluate(3, out_of_gas()),
        Err(WeightFailure::Answer { edge: 2, .. })
    ));
    assert!(evaluate(2, out_of_gas()).is_ok());
}
