//! Rows of numbers on the device: how many the lanes answer.

use std::sync::Arc;

use ffcm::coprocessor::{Columns, Coprocessor, EvaluateJob, EvaluateOutput, OracleCoprocessor};
use ffcm::net::{Book, Limits};
use ffcm::spec::word::Term;
use ffcm_cuda::CudaCoprocessor;
use ffcm_cuda::device::shim::{self, ShimOptions};
use ffcm_jit::lane::LaneStats;

fn open() -> CudaCoprocessor {
    CudaCoprocessor::on(shim::open(&ShimOptions::default()).expect("a C++ compiler"))
}

fn small() -> CudaCoprocessor {
    let options = ShimOptions {
        memory: 1 << 17,
        ..ShimOptions::default()
    };
    CudaCoprocessor::on(shim::open(&options).expect("a C++ compiler"))
}

const PROGRAMS: &str = "\
@decay = (stake (age (* weight)))
  & age ~ $([:/1024] spans) & spans ~ $([+1] divisor) & stake ~ $([/] $(divisor weight))
@fact = (?((1 @fact.s) r) r)
@fact.s = ({a b} r) & @fact ~ (a $([*] $(c r))) & b ~ $([+1] c)
@some = (?((5 @some.s) r) r)
@some.s = (p (p (1 2)))
";

/// Runs a job on the device and on the oracle; the answers are the same.
fn evaluate(
    device: &CudaCoprocessor,
    name: &str,
    arity: usize,
    arguments: &[Term],
) -> EvaluateOutput {
    let book = Arc::new(Book::parse(PROGRAMS).expect("a book"));
    let columns = Columns::of_rows(arguments, arity);
    let job = EvaluateJob {
        entry: book.find(name).expect("a definition"),
        book,
        arguments: &columns.arguments(),
        limits: Limits::default(),
    };
    let found = device.evaluate(&job).expect("a device");
    let expected = OracleCoprocessor.evaluate(&job).expect("the oracle");
    assert_eq!(found, expected, "@{name}");
    found
}

#[test]
fn lanes_answer_what_they_can_and_leave_the_rest() {
    let device = open();
    let rows: Vec<Term> = (0..3000).map(|n| Term::u24(n * 1117)).collect();
    evaluate(&device, "decay", 3, &rows);
    let stats = device.lane_stats();
    let expected = LaneStats {
        compiled: 1,
        batches: 1,
        rows: 1000,
        ..LaneStats::default()
    };
    assert_eq!(stats, expected);
    // The kernel is there already, and few rows are none of its business.
    evaluate(&device, "decay", 3, &rows[..2400]);
    evaluate(&device, "decay", 3, &rows[..300]);
    let stats = device.lane_stats();
    assert_eq!((stats.compiled, stats.batches, stats.rows), (1, 2, 1800));
    // Half of the rows build a node.
    let halves: Vec<Term> = (0..700).map(|n| Term::u24(n % 2)).collect();
    evaluate(&device, "some", 1, &halves);
    let stats = device.lane_stats();
    assert_eq!((stats.compiled, stats.rows, stats.heap), (2, 2150, 350));
}

#[test]
fn without_kernels_no_lane_runs() {
    let device = open().with_row_kernels(false);
    let rows: Vec<Term> = (0..1800).map(|n| Term::u24(n * 1117)).collect();
    evaluate(&device, "decay", 3, &rows);
    assert_eq!(device.lane_stats(), LaneStats::default());
}

#[test]
fn a_lane_that_goes_too_deep_is_left() {
    let device = open();
    let deep = |n: u32| Term::u24(if n == 77 { 2000 } else { n % 20 });
    let rows: Vec<Term> = (0..600).map(deep).collect();
    evaluate(&device, "fact", 1, &rows);
    let stats = device.lane_stats();
    assert_eq!((stats.rows, stats.bounds), (599, 1));
}

#[test]
fn a_small_device_takes_many_batches() {
    let device = small();
    let rows: Vec<Term> = (0..30_000).map(|n| Term::u24(n * 701)).collect();
    evaluate(&device, "decay", 3, &rows);
    let stats = device.lane_stats();
    assert_eq!(stats.rows, 10_000);
    assert!(stats.batches > 5, "{stats:?}");
}
