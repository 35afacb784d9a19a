//! Every program of `golden/nets` and `golden/bend` gives its golden record, on every engine.
//!
//! Those of `golden/bend` are what Bend's compiler makes of the sources beside them; `cargo run --release -p peers -- bend`
//! compiles them again.
//!
//! `UPDATE_GOLDEN=1 cargo test -p ffcm --test golden_nets` rewrites the records from the oracle. A record that the
//! published runtime confirmed keeps that source as long as its facts stay; a changed one says `oracle` until
//! `cargo run --release -p peers -- golden --write` confirms it.

mod record;

use std::fs;
use std::path::{Path, PathBuf};

use ffcm::cpu::NetEngine;
use ffcm::net::{Book, Limits, Outcome, ReduceError};
use ffcm::oracle;
use record::Record;

/// A golden program may take this many interactions, so that the slowest engine stays quick.
const LIMITS: Limits = Limits {
    gas: 1_000_000,
    nodes: 1 << 20,
    result_bytes: 1 << 16,
};

/// Folders of programs, with how many there are at least.
const FOLDERS: [(&str, usize); 2] = [("nets", 20), ("bend", 16)];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// Folder and name of all files with `extension`, without it, sorted.
fn names(extension: &str) -> Vec<String> {
    FOLDERS
        .iter()
        .flat_map(|(folder, _)| names_in(folder, extension))
        .collect()
}

fn names_in(folder: &str, extension: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(golden().join(folder))
        .expect("the folder is there")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy();
            format!("{folder}/{name}")
        })
        .collect();
    names.sort();
    names
}

fn read(name: &str, extension: &str) -> String {
    let path = golden().join(format!("{name}.{extension}"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn record_of(outcome: &Outcome, source: &str) -> Record {
    Record {
        source: source.to_owned(),
        result: outcome.result.clone(),
        counts: outcome.counts,
    }
}

/// Reduces every program with `engine` and lists those whose record differs.
fn differences(engine: impl Fn(&Book) -> Result<Outcome, ReduceError>) -> Vec<String> {
    let mut differences = Vec::new();
    for name in names("hvm") {
        let book = Book::parse(&read(&name, "hvm")).unwrap_or_else(|e| panic!("{name}.hvm: {e}"));
        let golden = Record::parse(&read(&name, "golden"))
            .unwrap_or_else(|error| panic!("{name}.golden: {error}"));
        let outcome = match engine(&book) {
            Ok(outcome) => outcome,
            Err(error) => {
                differences.push(format!("{name}: {error}"));
                continue;
            }
        };
        let found = record_of(&outcome, &golden.source);
        if found != golden {
            differences.push(format!("{name}: golden\n{golden}found\n{found}"));
        }
    }
    differences
}

fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn oracle(book: &Book) -> Result<Outcome, ReduceError> {
    oracle::reduce(
        book,
        &book.main().expect("golden programs have a main"),
        &LIMITS,
    )
}

fn update() {
    for name in names("hvm") {
        let book = Book::parse(&read(&name, "hvm")).unwrap_or_else(|e| panic!("{name}.hvm: {e}"));
        let outcome = oracle(&book).unwrap_or_else(|error| panic!("{name}: {error}"));
        let path = golden().join(format!("{name}.golden"));
        let old = fs::read_to_string(&path)
            .ok()
            .and_then(|text| Record::parse(&text).ok());
        let confirmed = old.filter(|old| record_of(&outcome, &old.source) == *old);
        let source = confirmed.map_or_else(|| "oracle".to_owned(), |old| old.source);
        fs::write(&path, record_of(&outcome, &source).to_string()).expect("the folder is writable");
    }
}

#[test]
fn every_program_has_a_record_and_every_record_a_program() {
    for (folder, least) in FOLDERS {
        let count = names_in(folder, "hvm").len();
        assert!(count >= least, "{folder}: only {count} programs");
    }
    let programs = names("hvm");
    if std::env::var_os("UPDATE_GOLDEN").is_none() {
        assert_eq!(programs, names("golden"));
    }
}

#[test]
fn oracle_gives_the_golden_records() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        update();
    }
    assert_none(&differences(oracle));
}

#[test]
fn cpu_engine_gives_the_golden_records() {
    for threads in [1, 2] {
        assert_none(&differences(|book| {
            let call = book.main().expect("golden programs have a main");
            NetEngine::new(book).reduce(&call, &LIMITS, threads, None)
        }));
    }
}

#[test]
fn a_record_survives_printing_and_rejects_damage() {
    let text = read("nets/sum_tree", "golden");
    let record = Record::parse(&text).expect("a valid record");
    assert_eq!(record.to_string(), text);
    let wrong_sum = text.replace("interactions: ", "interactions: 1");
    assert!(Record::parse(&wrong_sum).is_err_and(|e| e.contains("add up")));
    assert!(Record::parse(&text.replace("result", "resolt")).is_err());
    assert!(Record::parse(&format!("{text}more\n")).is_err());
    assert!(Record::parse("").is_err());
}
