//! Rows of numbers through small definitions: weight nets, recursion, what leaves the numbers, every kind, edges, every error.

use std::fmt::Write;
use std::sync::Arc;

use super::nets::random;
use super::{Run, Stop, shorten};
use crate::coprocessor::{Columns, EvaluateJob, EvaluateOutput, evaluate_digest};
use crate::net::{Book, Limits, ReduceError};
use crate::spec::number::{Kind, Number, Operator};
use crate::spec::word::Term;
use crate::testing::Rng;

/// Rows of a job: enough to be worth a kernel.
const ROWS: usize = 600;

const PROGRAMS: &str = "\
@stake = (stake (* (* stake)))
@decay = (stake (age (* weight)))
  & age ~ $([:/1024] spans) & spans ~ $([+1] divisor) & stake ~ $([/] $(divisor weight))
@fact = (?((1 @fact.s) r) r)
@fact.s = ({a b} r) & @fact ~ (a $([*] $(c r))) & b ~ $([+1] c)
@gcd = (a (?((@gcd.z @gcd.s) (a r)) r))
@gcd.z = (a a)
@gcd.s = (p (a r)) & p ~ $([+1] {b c}) & a ~ $([%] $(b m)) & @gcd ~ (c (m r))
@fib = (?((0 @fib.s) r) r)
@fib.s = (?((1 @fib.t) r) r)
@fib.t = ({a b} r) & b ~ $([+1] c) & @fib ~ (c $([+] $(x r))) & @fib ~ (a x)
@power = (b (?((@power.z @power.s) (b r)) r))
@power.z = (* 1)
@power.s = (e ({a b} r)) & @power ~ (a (e $([*] $(b r))))
@pair = (a (b (a b)))
@some = (?((5 @some.s) r) r)
@some.s = (p (p (1 2)))
@part = (a r) & a ~ $([+] r)
@spin = (?((7 @spin.s) r) r)
@spin.s = (p r) & p ~ $([+1] q) & @spin ~ (q r)
@apply = (a (b r)) & a ~ $(b r)
";

/// Every operator on the same two numbers, and all results in one.
fn every_operator() -> String {
    let last = Operator::ALL.len() - 1;
    let copies = |name: &str| {
        let opened: String = (0..last).map(|i| format!("{{{name}{i} ")).collect();
        format!("{opened}{name}{last}{}", "}".repeat(last))
    };
    let mut text = format!("@every = ({} ({} y{last}))", copies("a"), copies("b"));
    for (i, operator) in Operator::ALL.into_iter().enumerate() {
        let name = operator.name();
        let result = if i == 0 { "y0".into() } else { format!("x{i}") };
        let _ = write!(text, "\n  & a{i} ~ $([{name}] $(b{i} {result}))");
        if i > 0 {
            let _ = write!(text, " & y{} ~ $([^] $(x{i} y{i}))", i - 1);
        }
    }
    text + "\n"
}

pub(super) fn run(run: &mut Run<'_>) -> Result<(), Stop> {
    let text = format!("{PROGRAMS}{}", every_operator());
    let book = Book::parse(&text).map_err(|error| failed(&error))?;
    let suite = &mut Rows {
        run,
        book: Arc::new(book),
        rng: Rng::new(0x524f_5753),
    };
    suite.weights()?;
    suite.recursion()?;
    suite.leaving()?;
    suite.kinds()?;
    suite.errors()
}

fn failed(error: &dyn std::fmt::Display) -> Stop {
    Stop::Failed {
        case: "rows of numbers".into(),
        message: error.to_string(),
    }
}

struct Rows<'a, 'b> {
    run: &'a mut Run<'b>,
    book: Arc<Book>,
    rng: Rng,
}

/// Gas that every row which ends has enough of.
const AMPLE: Limits = Limits {
    gas: 2_000_000,
    nodes: 1 << 20,
    result_bytes: 1 << 16,
};

impl Rows<'_, '_> {
    fn evaluate(
        &mut self,
        name: &str,
        arity: usize,
        arguments: &[Term],
        limits: Limits,
    ) -> Result<EvaluateOutput, Stop> {
        let entry = self.book.find(name).ok_or_else(|| failed(&name))?;
        self.evaluate_entry(name, entry, (arity, arguments), limits)
    }

    fn evaluate_entry(
        &mut self,
        name: &str,
        entry: u32,
        (arity, arguments): (usize, &[Term]),
        limits: Limits,
    ) -> Result<EvaluateOutput, Stop> {
        let columns = Columns::of_rows(arguments, arity);
        let job = EvaluateJob {
            book: Arc::clone(&self.book),
            entry,
            arguments: &columns.arguments(),
            limits,
        };
        self.run.compare(
            || format!("@{name} on rows of {arity}, {limits:?}"),
            |backend| backend.evaluate(&job),
            |output| (evaluate_digest(output), shorten(format!("{output:?}"))),
        )
    }

    /// Numbers made by `term`, which is given the index of the row and that of the column.
    fn rows(&mut self, arity: usize, term: impl Fn(&mut Rng, usize, usize) -> Term) -> Vec<Term> {
        let mut all = Vec::with_capacity(ROWS * arity);
        for row in 0..ROWS {
            all.extend((0..arity).map(|column| term(&mut self.rng, row, column)));
        }
        all
    }

    /// What the chain asks for: stake, age and a third number.
    fn weights(&mut self) -> Result<(), Stop> {
        let rows = self.rows(3, |rng, _, _| edge(rng, Kind::U24));
        for name in ["stake", "decay"] {
            let output = self.evaluate(name, 3, &rows, AMPLE)?;
            // Every row takes as much: just enough, and too little.
            let gas = output.interactions[0];
            for gas in [gas, gas - 1] {
                self.evaluate(name, 3, &rows, Limits { gas, ..AMPLE })?;
            }
        }
        let wide = self.rows(3, |rng, _, column| {
            edge(rng, [Kind::U32, Kind::U24, Kind::I32][column])
        });
        self.evaluate("decay", 3, &wide, AMPLE)?;
        let mixed = self.rows(3, |rng, _, _| any(rng));
        self.evaluate("decay", 3, &mixed, AMPLE)?;
        Ok(())
    }

    /// Calls that return, calls that do not, deep ones and many; gas that suffices for some.
    fn recursion(&mut self) -> Result<(), Stop> {
        let small = self.rows(1, |_, row, _| Term::u24(row as u32 % 300));
        let output = self.evaluate("fact", 1, &small, AMPLE)?;
        let gas = output.interactions[100];
        for gas in [0, 1, gas, gas - 1] {
            self.evaluate("fact", 1, &small, Limits { gas, ..AMPLE })?;
        }
        let pairs = self.rows(2, |rng, _, _| edge(rng, Kind::U24));
        let output = self.evaluate("gcd", 2, &pairs, AMPLE)?;
        let total: u64 = output.interactions.iter().sum();
        let gas = total / ROWS as u64;
        self.evaluate("gcd", 2, &pairs, Limits { gas, ..AMPLE })?;
        let fib = self.rows(1, |_, row, _| match row {
            7 | 400 => Term::u24(19),
            _ => Term::u24(row as u32 % 11),
        });
        self.evaluate("fib", 1, &fib, AMPLE)?;
        self.evaluate("fib", 1, &fib, Limits { gas: 500, ..AMPLE })?;
        let powers = self.rows(2, |rng, row, column| match column {
            0 => edge(rng, Kind::I32),
            _ => Term::u24(row as u32 % 80),
        });
        self.evaluate("power", 2, &powers, AMPLE)?;
        // Endless but for zero.
        let spin = self.rows(1, |rng, _, _| Term::u24(rng.below(2) as u32));
        let limits = Limits {
            gas: 2_000,
            ..AMPLE
        };
        self.evaluate("spin", 1, &spin[..520], limits)?;
        Ok(())
    }

    /// Results that are no numbers, in all rows or in some, and what the shape of the arguments does not fit.
    fn leaving(&mut self) -> Result<(), Stop> {
        let rows = self.rows(2, |rng, _, _| edge(rng, Kind::U24));
        self.evaluate("pair", 2, &rows, AMPLE)?;
        self.evaluate("part", 1, &rows, AMPLE)?;
        self.evaluate("fact", 2, &rows, Limits { gas: 900, ..AMPLE })?;
        self.evaluate("decay", 2, &rows, AMPLE)?;
        let some = self.rows(1, |rng, _, _| Term::u24(rng.below(3) as u32));
        self.evaluate("some", 1, &some, AMPLE)?;
        let many = self.rows(9, |rng, _, _| edge(rng, Kind::U24));
        self.evaluate("stake", 9, &many, AMPLE)?;
        Ok(())
    }

    /// Every operator on every kind, and what becomes of symbols and partial applications.
    fn kinds(&mut self) -> Result<(), Stop> {
        for kind in [Kind::U24, Kind::I24, Kind::U32, Kind::I32] {
            let rows = self.rows(2, |rng, _, _| edge(rng, kind));
            self.evaluate("every", 2, &rows, AMPLE)?;
        }
        let rows = self.rows(2, |rng, _, column| match column {
            0 => edge(rng, Kind::I24),
            _ => edge(rng, Kind::U32),
        });
        self.evaluate("every", 2, &rows, AMPLE)?;
        let rows = self.rows(2, |rng, _, _| any(rng));
        for name in ["every", "apply"] {
            self.evaluate(name, 2, &rows, AMPLE)?;
        }
        Ok(())
    }

    /// Calls that do not fit the book, rows of which a part is missing, results too long, and no rows.
    fn errors(&mut self) -> Result<(), Stop> {
        let mut rows = self.rows(3, |rng, _, _| edge(rng, Kind::U24));
        let short = Limits {
            result_bytes: 3,
            ..AMPLE
        };
        let output = self.evaluate("decay", 3, &rows, short)?;
        let long = |error: &ReduceError| matches!(error, ReduceError::ResultTooLong { .. });
        if !output.failures.iter().any(|(_, error)| long(error)) {
            return Err(failed(&"no result is too long"));
        }
        self.evaluate("decay", 3, &rows[..1799], AMPLE)?;
        self.evaluate("decay", 3, &[], AMPLE)?;
        self.evaluate("decay", 3, &rows[..3], AMPLE)?;
        for entry in [self.book.definitions().len() as u32, u32::MAX] {
            self.evaluate_entry("absent", entry, (3, &rows), AMPLE)?;
        }
        rows[700] = Term::var(0);
        rows[900] = Term::ABSENT;
        self.evaluate("stake", 3, &rows, AMPLE)?;
        Ok(())
    }
}

/// A number of this kind, often one where something changes.
fn edge(rng: &mut Rng, kind: Kind) -> Term {
    let bits: u32 = if kind.is_wide() { 32 } else { 24 };
    let mask = u32::MAX >> (32 - bits);
    let random = rng.next_u64() as u32;
    let value = match rng.below(8) {
        0 => rng.below(3) as u32,
        1 => (rng.below(3) as u32).wrapping_neg(),
        2 => (1 << (bits - 1)) - rng.below(2) as u32,
        3 => rng.below(40) as u32,
        _ => random >> rng.below(bits.into()),
    };
    Number::Plain(kind, value & mask).term()
}

/// A number of any kind, sometimes a symbol or a partial application.
fn any(rng: &mut Rng) -> Term {
    let operator = Operator::ALL[rng.below(Operator::ALL.len() as u64) as usize];
    match rng.below(8) {
        0 => Number::Operator(operator).term(),
        1 => Number::Cast(Kind::ALL[rng.below(6) as usize]).term(),
        2 => {
            let wide = rng.below(2) == 1;
            let bits = rng.next_u64() as u32 >> if wide { 0 } else { 8 };
            Number::Partial {
                operator,
                bits,
                wide,
            }
            .term()
        }
        3..5 => random::number(rng),
        _ => {
            let kind = [Kind::U24, Kind::I24, Kind::U32, Kind::I32][rng.below(4) as usize];
            edge(rng, kind)
        }
    }
}
