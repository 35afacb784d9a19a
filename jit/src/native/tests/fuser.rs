//! Code for books: when it is made, where it is kept, what goes wrong.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ffcm::cpu::native::{Fused, Fuser};
use ffcm::cpu::{Compiled, NetEngine};
use ffcm::net::partial::Shape;
use ffcm::net::{Book, Definition, Limits};

use crate::ir::Module;
use crate::native::{Native, Options, Statistics};

const TEXT: &str = "
    @main = a & @sum ~ (6 a)
    @sum = (?((1 @more) a) a)
    @more = ({a b} c) & @sum ~ (a $([+] $(d c))) & @sum ~ (b d)
";

fn book() -> Book {
    Book::parse(TEXT).unwrap()
}

fn fused(native: &Native, book: &Book) -> Arc<dyn Fused> {
    let compiled = Compiled::new(book);
    native.fuse(book, &compiled).expect("the book is small")
}

fn with_disk(folder: &Path) -> Native {
    let options = Options {
        disk: Some(folder.to_owned()),
        ..hot_at_once()
    };
    Native::new(options).unwrap()
}

fn hot_at_once() -> Options {
    Options {
        samples: 1,
        samples_crowded: 0,
        ..Options::default()
    }
}

fn ready(fused: &dyn Fused) -> bool {
    (0..16).any(|entry| fused.function(entry).is_some())
}

/// What is done by making the code of the book hot in `native`.
fn heated(native: &Native, book: &Book) -> (Arc<dyn Fused>, Statistics) {
    let fused = fused(native, book);
    fused.sampled(0);
    native.wait();
    (fused, native.statistics())
}

#[test]
fn an_entry_is_compiled_when_it_is_hot() {
    let options = Options {
        samples: 3,
        samples_crowded: 0,
        ..Options::default()
    };
    let native = Native::new(options).unwrap();
    let book = book();
    let fused = fused(&native, &book);
    assert_eq!(fused.digest(), book.digest());
    for _ in 0..2 {
        fused.sampled(0);
        native.wait();
        assert!(!ready(&*fused));
    }
    assert_eq!(native.statistics(), Statistics::default());
    fused.sampled(1);
    fused.sampled(99);
    native.wait();
    assert!(!ready(&*fused));
    fused.sampled(0);
    fused.sampled(0);
    native.wait();
    assert!(fused.function(0).is_some());
    // Nor more than it calls.
    let all = Compiled::new(&book).entries().len() as u32;
    assert!((0..all).any(|entry| fused.function(entry).is_none()));
    let done = native.statistics();
    assert_eq!((done.entries, done.misses, done.failed), (1, 1, 0));
    assert!(done.functions > 0 && done.bytes > 0 && done.microseconds > 0);
    // It runs.
    let plain = NetEngine::new(&book);
    let call = book.main().unwrap();
    let limits = Limits::default();
    let expected = plain.reduce(&call, &limits, 1, None).unwrap();
    let engine = plain.with_fused(fused).unwrap();
    let found = engine.reduce(&call, &limits, 1, None).unwrap();
    assert_eq!(found, expected);
    assert_eq!(found.result, "64");
}

#[test]
fn where_no_core_is_idle_the_book_has_to_have_run_for_a_while() {
    let options = Options {
        samples: 1,
        samples_crowded: 6,
        ..Options::default()
    };
    let native = Native::new(options).unwrap();
    let fused = fused(&native, &book());
    let all = usize::MAX;
    for entry in [0, 1, 0, 2, 0] {
        fused.sampled_among(entry, all);
        native.wait();
        assert!(!ready(&*fused));
    }
    assert_eq!(native.statistics(), Statistics::default());
    // The sixth sample of the book is the fourth of the entry.
    for _ in 0..3 {
        fused.sampled_among(0, all);
        native.wait();
        assert!(fused.function(0).is_some());
    }
    let done = native.statistics();
    assert_eq!((done.entries, done.misses, done.refused), (1, 1, 0));
}

#[test]
fn code_is_found_in_memory_and_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    let native = with_disk(&folder);
    let (_, first) = heated(&native, &book());
    assert_eq!((first.entries, first.misses), (1, 1));
    let (again, second) = heated(&native, &book());
    assert!(ready(&*again));
    assert_eq!(
        (second.entries, second.memory_hits, second.disk_hits),
        (1, 1, 0)
    );
    drop(native);
    let native = with_disk(&folder);
    let (other, third) = heated(&native, &book());
    assert!(ready(&*other));
    let expected = Statistics {
        disk_hits: 1,
        ..Statistics::default()
    };
    assert_eq!(third, expected);
    // Another book is another entry.
    let (_, fourth) = heated(&native, &Book::parse(&TEXT.replace('6', "7")).unwrap());
    assert_eq!((fourth.entries, fourth.misses), (1, 1));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    assert_eq!(fourth.disk_errors, 0);
}

#[test]
fn what_is_damaged_on_disk_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    heated(&with_disk(&folder), &book());
    let file = fs::read_dir(&folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let whole = fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&file, damaged).unwrap();
    let (fused, done) = heated(&with_disk(&folder), &book());
    assert!(ready(&*fused));
    assert_eq!((done.disk_errors, done.misses, done.entries), (1, 1, 1));
    assert_eq!(fs::read(&file).unwrap(), whole);
}

#[test]
fn a_disk_that_cannot_be_costs_no_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let (fused, done) = heated(&with_disk(&file.join("below")), &book());
    assert!(ready(&*fused));
    assert_eq!((done.disk_errors, done.entries), (2, 1));
}

#[test]
fn a_book_that_takes_too_long_is_given_up() {
    let options = Options {
        budget: Duration::ZERO,
        ..hot_at_once()
    };
    let native = Native::new(options).unwrap();
    let (fused, done) = heated(&native, &book());
    assert!(!ready(&*fused));
    assert_eq!((done.over_budget, done.entries, done.failed), (1, 0, 0));
}

fn refuse(definitions: &[Definition], entries: &[(u32, Shape)]) -> Module {
    assert!(definitions.len() != 3, "on purpose");
    crate::fuse(definitions, entries)
}

#[test]
fn a_panic_costs_one_book() {
    let native = Native::with_build(hot_at_once(), refuse).unwrap();
    let (fused, done) = heated(&native, &book());
    assert!(!ready(&*fused));
    assert_eq!((done.failed, done.entries), (1, 0));
    let (fused, done) = heated(&native, &Book::parse("@main = ((a b) (b a))").unwrap());
    assert_eq!((done.failed, done.entries), (1, 1));
    drop(native);
    // What is there stays callable without the maker.
    assert!(ready(&*fused));
}
