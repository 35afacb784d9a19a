//! Nets on the first adapter of this machine, through the public interface.

use std::path::Path;
use std::sync::Arc;

use ffcm::coprocessor::{Coprocessor, OracleCoprocessor, RewriteJob};
use ffcm::net::{Book, Limits};
use ffcm_wgsl::WgpuCoprocessor;
use ffcm_wgsl::device::Options;

/// Results and counts by opcode of every golden program, one call alone.
#[test]
fn golden_programs_equal_the_oracle() {
    let device = WgpuCoprocessor::open(&Options::default()).expect("an adapter");
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
        assert_eq!(found, expected, "{}", path.display());
        programs += 1;
    }
    assert!(programs > 0, "no golden programs");
    let stats = device.net_stats();
    assert!(
        stats.reductions > 0 && stats.dispatches >= 3 * stats.rounds,
        "{stats:?}"
    );
}
