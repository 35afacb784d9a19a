use std::fs;
use std::path::Path;

use ffcm::cpu::Compiled;
use ffcm::net::sample::{Dialect, book};
use ffcm::net::{Book, Limits};
use ffcm::oracle;

use super::*;
use crate::ir::run::{Machine, Schedule};
use crate::ir::validate;

const SCHEDULES: [Schedule; 4] = [
    Schedule {
        seed: 1,
        deferred: 0,
        expanded: 0,
    },
    Schedule {
        seed: 2,
        deferred: 20,
        expanded: 0,
    },
    Schedule {
        seed: 3,
        deferred: 50,
        expanded: 50,
    },
    Schedule {
        seed: 4,
        deferred: 100,
        expanded: 10,
    },
];

/// The golden programs: names and texts.
fn golden() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ffcm/golden/nets");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut programs: Vec<(String, String)> = files
        .filter(|path| path.extension().is_some_and(|e| e == "hvm"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    programs.sort();
    programs
}

fn fused(book: &Book) -> (Compiled, Module) {
    let compiled = Compiled::new(book);
    let module = fuse(book.definitions(), compiled.entries());
    if let Err(invalid) = validate(&module, book.definitions().len(), compiled.entries()) {
        panic!("{invalid}\n{}\n{module}", book.to_text());
    }
    (compiled, module)
}

fn agrees(text: &str, limits: &Limits, module: &Module, compiled: &Compiled) -> [u64; 4] {
    let book = Book::parse(text).unwrap();
    let expected = oracle::reduce(&book, &book.main().unwrap(), limits);
    let mut cost = [0; 4];
    for schedule in SCHEDULES {
        let mut machine = Machine::new(&book, compiled.entries(), module, schedule);
        let found = machine.run(limits);
        if schedule.seed == 1
            && let Ok(outcome) = &found
        {
            let [steps, nodes, later] = machine.cost;
            cost = [outcome.counts.total(), steps, nodes, later];
        }
        let same = match (&expected, &found) {
            (Ok(a), Ok(b)) => a == b,
            (Err(a), Err(b)) => a.to_string() == b.to_string(),
            _ => false,
        };
        assert!(
            same,
            "seed {}\n{expected:?}\n{found:?}\n{text}\n{module}",
            schedule.seed
        );
    }
    cost
}

#[test]
fn golden_programs_give_what_the_oracle_gives() {
    for (name, text) in golden() {
        let (compiled, module) = fused(&Book::parse(&text).unwrap());
        let limits = Limits {
            gas: 20_000_000,
            ..Limits::default()
        };
        let cost = agrees(&text, &limits, &module, &compiled);
        eprintln!("{name} {cost:?}");
    }
}

#[test]
fn random_nets_give_what_the_oracle_gives() {
    let limits = Limits {
        gas: 1000,
        nodes: 1 << 20,
        result_bytes: 100_000,
    };
    for dialect in [Dialect::Integers, Dialect::Floats, Dialect::Hvm2] {
        for seed in 0..300 {
            let text = book(seed, dialect);
            let (compiled, module) = fused(&Book::parse(&text).unwrap());
            agrees(&text, &limits, &module, &compiled);
        }
    }
}
