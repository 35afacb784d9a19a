//! Rows of numbers, column by column: what goes in, what comes out, and the way through single calls.

use std::ops::Range;
use std::sync::Arc;

use super::{Coprocessor, JobError, RewriteJob};
use crate::net::{Book, Call, Limits, Outcome, ReduceError};
use crate::spec::number::{Kind, Number};
use crate::spec::rules::Counts;
use crate::spec::word::Term;

/// One argument of every row.
#[derive(Clone, Copy, Debug)]
pub enum Argument<'a> {
    /// Plain numbers of one kind, given by their bits. Bits that are too wide for the kind are no number.
    Plain(Kind, &'a [u32]),
    /// NUM terms of any kind.
    Terms(&'a [Term]),
}

impl<'a> Argument<'a> {
    /// How many rows it reaches.
    pub fn len(&self) -> usize {
        match self {
            Argument::Plain(_, bits) => bits.len(),
            Argument::Terms(terms) => terms.len(),
        }
    }

    /// Whether it reaches none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// That of one row, if it reaches it.
    pub fn get(&self, row: usize) -> Option<Term> {
        match self {
            Argument::Plain(kind, bits) => Some(Number::Plain(*kind, *bits.get(row)?).term()),
            Argument::Terms(terms) => terms.get(row).copied(),
        }
    }

    /// Those of some rows that it reaches.
    ///
    /// # Panics
    /// If it does not reach all of them.
    pub fn of(&self, rows: Range<usize>) -> Argument<'a> {
        match self {
            Argument::Plain(kind, bits) => Argument::Plain(*kind, &bits[rows]),
            Argument::Terms(terms) => Argument::Terms(&terms[rows]),
        }
    }
}

/// Apply one definition to many rows of numbers: the same as a [`RewriteJob`] with a [`Call`] for each row, without the
/// texts of the results.
///
/// ```
/// use std::sync::Arc;
///
/// use ffcm::coprocessor::{Argument, Coprocessor, EvaluateJob};
/// use ffcm::cpu::CpuCoprocessor;
/// use ffcm::net::{Book, Limits};
/// use ffcm::spec::number::Kind;
/// use ffcm::spec::word::Term;
///
/// let book = Arc::new(Book::parse("@area = (a (b r)) & a ~ $([*] $(b r))")?);
/// let job = EvaluateJob {
///     entry: book.find("area").ok_or("no area")?,
///     book,
///     arguments: &[Argument::Plain(Kind::U24, &[2, 10]), Argument::Plain(Kind::U24, &[3, 10])],
///     limits: Limits::default(),
/// };
/// let output = CpuCoprocessor::new(1)?.evaluate(&job)?;
/// assert_eq!(output.numbers, [Term::u24(6), Term::u24(100)]);
/// assert!(output.failures.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct EvaluateJob<'a> {
    /// The program.
    pub book: Arc<Book>,
    /// Index of the definition in the book.
    pub entry: u32,
    /// Arguments, outermost first. There is a row for each number of the first one; a row has all arguments up to the first one
    /// that does not reach it, so it may be a call with fewer arguments than others.
    pub arguments: &'a [Argument<'a>],
    /// Bounds on each row.
    pub limits: Limits,
}

impl EvaluateJob<'_> {
    /// How many rows.
    pub fn count(&self) -> usize {
        self.arguments.first().map_or(0, Argument::len)
    }

    /// Rows that have all arguments, which come before all others.
    pub fn whole(&self) -> usize {
        self.arguments.iter().map(Argument::len).min().unwrap_or(0)
    }

    /// The arguments of one row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = Term> {
        self.arguments.iter().map_while(move |one| one.get(row))
    }

    /// One row as a call.
    pub fn call(&self, row: usize) -> Call {
        Call {
            entry: self.entry,
            arguments: self.row(row).collect(),
        }
    }
}

/// Columns made of rows.
#[derive(Clone, Debug)]
pub struct Columns(Vec<Column>);

#[derive(Clone, Debug)]
enum Column {
    Plain(Kind, Vec<u32>),
    Terms(Vec<Term>),
}

impl Columns {
    /// Of terms row by row, `width` in each but the last, which may be short; no row is empty. Columns that hold plain numbers of
    /// one kind are [`Argument::Plain`].
    pub fn of_rows(terms: &[Term], width: usize) -> Columns {
        let width = width.max(1);
        let column = |index| {
            let terms = terms.iter().skip(index).step_by(width).copied();
            Column::of(terms.collect())
        };
        Columns((0..width).map(column).collect())
    }

    /// The same with [`Argument::Terms`] alone.
    pub fn of_terms(terms: &[Term], width: usize) -> Columns {
        let width = width.max(1);
        let column = |index| terms.iter().skip(index).step_by(width).copied().collect();
        Columns((0..width).map(column).map(Column::Terms).collect())
    }

    /// As the arguments of a job.
    pub fn arguments(&self) -> Vec<Argument<'_>> {
        let argument = |column| match column {
            &Column::Plain(kind, ref bits) => Argument::Plain(kind, bits),
            Column::Terms(terms) => Argument::Terms(terms),
        };
        self.0.iter().map(argument).collect()
    }
}

impl Column {
    fn of(terms: Vec<Term>) -> Column {
        let first = terms.first().and_then(|term| term.as_plain());
        let Some((kind, _)) = first else {
            return Column::Terms(terms);
        };
        let bits = |term: &Term| {
            let plain = Number::Plain(kind, term.w1()).term();
            (*term == plain).then_some(term.w1())
        };
        match terms.iter().map(bits).collect() {
            Some(bits) => Column::Plain(kind, bits),
            None => Column::Terms(terms),
        }
    }
}

/// Answer to an [`EvaluateJob`], column by column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvaluateOutput {
    /// For each row the NUM term that is the normal form; [`Term::ABSENT`] if that is no number, or there is none.
    pub numbers: Vec<Term>,
    /// For each row the interactions made; 0 if it failed.
    pub interactions: Vec<u64>,
    /// Rows that failed, ascending, and why.
    pub failures: Vec<(usize, ReduceError)>,
    /// Interactions of all rows that did not fail.
    pub counts: Counts,
}

impl EvaluateOutput {
    /// Adds the answer to the next row.
    pub fn push(&mut self, answer: Result<Outcome, ReduceError>) {
        self.numbers.push(Term::ABSENT);
        self.interactions.push(0);
        self.set(self.numbers.len() - 1, answer);
    }

    /// Sets the answer to a row that there is none for yet; failures are put at the end.
    ///
    /// # Panics
    /// If there are no such rows.
    pub fn set(&mut self, row: usize, answer: Result<Outcome, ReduceError>) {
        match answer {
            Ok(outcome) => {
                self.numbers[row] = outcome.number.unwrap_or(Term::ABSENT);
                self.interactions[row] = outcome.counts.total();
                self.counts.merge(&outcome.counts);
            }
            Err(error) => self.failures.push((row, error)),
        }
    }
}

/// Rows of an [`EvaluateJob`] that are made into calls at once where there is no better way.
const ROWS_AT_ONCE: usize = 1 << 14;

/// [`Coprocessor::evaluate`] by calls of [`Coprocessor::rewrite`].
pub fn evaluate_by_rewriting(
    coprocessor: &(impl Coprocessor + ?Sized),
    job: &EvaluateJob<'_>,
) -> Result<EvaluateOutput, JobError> {
    let mut output = EvaluateOutput::default();
    for first in (0..job.count()).step_by(ROWS_AT_ONCE) {
        let rows = first..job.count().min(first + ROWS_AT_ONCE);
        let answers = coprocessor.rewrite(&RewriteJob {
            book: Arc::clone(&job.book),
            calls: rows.map(|row| job.call(row)).collect(),
            limits: job.limits,
        })?;
        for answer in answers {
            output.push(answer);
        }
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes into columns row by row comes out of them again, the short row at the end included.
    #[test]
    fn rows_and_columns_are_the_same() {
        let book = Arc::new(Book::parse("@main = 1").unwrap());
        let plain: Vec<Term> = (0..11).map(Term::u32).collect();
        let mut mixed = plain.clone();
        mixed[3] = Term::u24(3);
        mixed[4] = Term::ERA;
        // Too wide for its kind: no plain number, which does not show in its meta word.
        mixed[8] = Number::Plain(Kind::U24, 1 << 24).term();
        for terms in [&plain[..], &mixed, &mixed[..8], &plain[..2], &[]] {
            for width in 0..5 {
                let columns = Columns::of_rows(terms, width);
                for columns in [&columns, &Columns::of_terms(terms, width)] {
                    let job = EvaluateJob {
                        book: Arc::clone(&book),
                        entry: 0,
                        arguments: &columns.arguments(),
                        limits: Limits::default(),
                    };
                    let width = width.max(1);
                    assert_eq!(job.count(), terms.len().div_ceil(width));
                    assert_eq!(job.whole(), terms.len() / width);
                    let rows = (0..job.count()).map(|row| job.call(row).arguments);
                    let expected: Vec<_> = terms.chunks(width).map(<[Term]>::to_vec).collect();
                    assert_eq!(rows.collect::<Vec<_>>(), expected);
                }
            }
        }
        let kinds = |terms| {
            let columns = Columns::of_rows(terms, 3);
            let plain = |one: &Argument<'_>| matches!(one, Argument::Plain(Kind::U32, _));
            columns.arguments().iter().map(plain).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&plain), [true; 3]);
        assert_eq!(kinds(&mixed), [false; 3]);
        assert_eq!(kinds(&mixed[..6]), [false, false, true]);
    }
}
