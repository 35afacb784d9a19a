//! The parallel engine against the oracle.

use std::sync::Arc;
use std::time::Instant;

use ffcm::coprocessor::{Coprocessor, OracleCoprocessor, RewriteJob};
use ffcm::net::{Book, Limits};
use ffcm_wgsl::WgpuCoprocessor;
use ffcm_wgsl::device::Options;

fn job(text: &str, limits: Limits) -> RewriteJob {
    let book = Arc::new(Book::parse(text).expect("valid"));
    let call = book.main().expect("a main");
    RewriteJob {
        book,
        calls: vec![call],
        limits,
    }
}

#[test]
fn golden_programs_equal_the_oracle() {
    let device = WgpuCoprocessor::open(&Options::default()).expect("an adapter");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../ffcm/golden/nets");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "hvm"))
        .collect();
    names.sort();
    for path in names {
        let text = std::fs::read_to_string(&path).unwrap();
        let job = job(&text, Limits::default());
        let expected = OracleCoprocessor.rewrite(&job).unwrap();
        let started = Instant::now();
        let found = device.rewrite(&job).unwrap();
        println!(
            "{}: {:?} {:?}",
            path.file_name().unwrap().to_string_lossy(),
            started.elapsed(),
            found[0].as_ref().map(|o| o.counts.total())
        );
        assert_eq!(found, expected, "{}", path.display());
    }
}
