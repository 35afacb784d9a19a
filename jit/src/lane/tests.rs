use std::sync::Arc;

use ffcm::coprocessor::{EvaluateJob, Evaluated, OracleCoprocessor, evaluate_by_rewriting};
use ffcm::net::{Book, Limits};
use ffcm::spec::number::Number;
use ffcm::spec::rules::Counts;
use ffcm::spec::word::Term;

use super::*;
use crate::Target;

pub(crate) const PROGRAMS: &str = "\
@stake = (stake (* (* stake)))
@decay = (stake (age (* weight))) & age ~ $([:/1024] spans) & spans ~ $([+1] divisor) & stake ~ $([/] $(divisor weight))
@fact = (?((1 @fact.s) r) r)
@fact.s = ({a b} r) & @fact ~ (a $([*] $(c r))) & b ~ $([+1] c)
@gcd = (a (?((@gcd.z @gcd.s) (a r)) r))
@gcd.z = (a a)
@gcd.s = (p (a r)) & p ~ $([+1] {b c}) & a ~ $([%] $(b m)) & @gcd ~ (c (m r))
@fib = (?((0 @fib.s) r) r)
@fib.s = (?((1 @fib.t) r) r)
@fib.t = ({a b} r) & b ~ $([+1] c) & @fib ~ (c $([+] $(x r))) & @fib ~ (a x)
@pow = (b (?((@pow.z @pow.s) (b r)) r))
@pow.z = (* 1)
@pow.s = (e ({a b} r)) & @pow ~ (a (e $([*] $(b r))))
@pair = (a (b (a b)))
@part = (a r) & a ~ $([+] r)
";

fn book(text: &str) -> Arc<Book> {
    Arc::new(Book::parse(text).unwrap())
}

fn words(row: &[Term], columns: &[Column]) -> Vec<u32> {
    let word = |(term, column): (&Term, &Column)| match column {
        Column::Plain(ext) => {
            assert_eq!(term.ext(), *ext);
            vec![term.w1()]
        }
        Column::Any => vec![term.w0(), term.w1()],
    };
    row.iter().zip(columns).flat_map(word).collect()
}

/// Runs a row in both ways; whether the lane came to an end.
fn check(book: &Arc<Book>, program: &Program, entry: u32, row: &[Term]) -> bool {
    let Lane::Number { term, counts } = program.run(&words(row, &program.columns)) else {
        return false;
    };
    let job = EvaluateJob {
        book: Arc::clone(book),
        entry,
        arity: row.len(),
        arguments: row,
        limits: Limits::default(),
    };
    let expected = evaluate_by_rewriting(&OracleCoprocessor, &job).unwrap();
    assert_eq!(expected.failures, []);
    let plain = term.as_plain().map_or(Term::ABSENT, |_| term);
    let found = Evaluated {
        number: plain,
        interactions: counts.total(),
    };
    assert_eq!(
        (found, counts),
        (expected.rows[0], expected.counts),
        "{row:?}"
    );
    true
}

fn program(book: &Arc<Book>, name: &str, columns: &[Column]) -> (u32, Program) {
    let entry = book.find(name).unwrap();
    (entry, of_book(book, entry, columns).unwrap())
}

const U24: Column = Column::Plain(1);

#[test]
fn small_programs_run_in_lanes() {
    let book = book(PROGRAMS);
    for (name, arity) in [
        ("stake", 3),
        ("decay", 3),
        ("fact", 1),
        ("gcd", 2),
        ("fib", 1),
        ("pow", 2),
        ("part", 1),
    ] {
        for columns in [vec![U24; arity], vec![Column::Any; arity]] {
            let (entry, program) = program(&book, name, &columns);
            for seed in 0..12u32 {
                let row: Vec<Term> = (0..arity as u32)
                    .map(|i| Term::u24(seed * (i + 1)))
                    .collect();
                assert!(check(&book, &program, entry, &row), "@{name} {row:?}");
            }
        }
    }
}

#[test]
fn dump() {
    let book = book(PROGRAMS);
    for (name, arity) in [("decay", 3), ("gcd", 2), ("fib", 1)] {
        for columns in [vec![U24; arity], vec![Column::Any; arity]] {
            let (_, program) = program(&book, name, &columns);
            println!("{}", render_kernel(&program, Target::Wgsl));
        }
    }
}
