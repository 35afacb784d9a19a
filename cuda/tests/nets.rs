//! Nets on the shim, through the public interface.

use std::path::Path;
use std::sync::Arc;

use ffcm::conformance::{Suite, check};
use ffcm::coprocessor::{Coprocessor, OracleCoprocessor, RewriteJob};
use ffcm::net::{Book, Limits};
use ffcm_cuda::CudaCoprocessor;
use ffcm_cuda::device::shim::{ShimOptions, open};
use ffcm_cuda::net::{Local, NetOptions, Schedule};

fn device(seed: u64, schedule: Schedule, local: Local) -> CudaCoprocessor {
    let options = ShimOptions {
        seed,
        ..ShimOptions::default()
    };
    let gpu = open(&options).expect("a C++ compiler");
    CudaCoprocessor::on(gpu).with_net_options(NetOptions { schedule, local })
}

/// Results and counts by opcode of every golden program, one call alone.
#[test]
fn golden_programs_equal_the_oracle() {
    for (seed, schedule, local) in [
        (1, Schedule::Rounds, Local::Off),
        (2, Schedule::Persistent, Local::Off),
        (3, Schedule::Rounds, Local::Auto),
        (4, Schedule::Persistent, Local::Auto),
    ] {
        let device = device(seed, schedule, local);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ffcm/golden/nets");
        let mut programs = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "hvm") {
                continue;
            }
            let book = Arc::new(Book::parse(&std::fs::read_to_string(&path).unwrap()).unwrap());
            let job = RewriteJob {
                calls: vec![book.main().unwrap()],
                book,
                limits: Limits::default(),
            };
            let found = device.rewrite(&job).unwrap();
            let expected = OracleCoprocessor.rewrite(&job).unwrap();
            assert_eq!(
                found,
                expected,
                "{}, {schedule:?}, {local:?}",
                path.display()
            );
            programs += 1;
        }
        assert!(programs > 0, "no golden programs");
        let stats = device.net_stats();
        assert_eq!(stats.reductions, programs, "{stats:?}");
        assert!(stats.rounds >= programs, "{stats:?}");
    }
}

#[test]
fn rounds_pass_the_suite_of_all_backends() {
    let device = device(5, Schedule::Rounds, Local::Off);
    let report = check(Suite::Nets, &device);
    assert!(report.digest.is_some());
}

#[test]
fn nodes_in_shared_memory_pass_the_suite_of_all_backends() {
    let device = device(6, Schedule::Persistent, Local::Auto);
    let report = check(Suite::Nets, &device);
    assert!(report.digest.is_some());
}
