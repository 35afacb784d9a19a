//! The CPU on one and two threads, and the oracle itself, in the conformance suite; equal digests on all.

use ffcm::conformance::{Suite, check};
use ffcm::coprocessor::{Coprocessor, OracleCoprocessor};
use ffcm::cpu::CpuCoprocessor;

fn cpu(threads: usize) -> CpuCoprocessor {
    CpuCoprocessor::new(threads).expect("threads start")
}

ffcm::conformance!(three_threads, || super::cpu(3));

/// Each run compares every case with the oracle; this compares what the runs would publish.
#[test]
fn digests_are_equal_on_every_backend() {
    let backends: [&dyn Coprocessor; 3] = [&OracleCoprocessor, &cpu(1), &cpu(2)];
    for suite in Suite::ALL {
        let reports = backends.map(|backend| check(suite, backend));
        for report in &reports[1..] {
            assert!(report.digest.is_some());
            assert_eq!(
                (report.digest, report.cases),
                (reports[0].digest, reports[0].cases)
            );
        }
    }
}
