//! Rows of numbers: by native code for rows where there is some, and one by one where not, without an allocation for each.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::NetEngine;
use super::batch::{Answer, BLOCK, Calls, ScratchPool};
use super::compiled::Compiled;
use crate::coprocessor::{Argument, EvaluateJob, EvaluateOutput};
use crate::cpu::native::{FusedRows, Fuser};
use crate::net::{Book, Limits, ReduceError, readback};
use crate::spec::number::{Kind, Number};
use crate::spec::rules::Counts;
use crate::spec::word::Term;

/// Rows that a thread takes at once if there is native code for them: what stays in its cache.
pub(crate) const FUSED_BLOCK: usize = 1 << 11;
/// Rows of one kind after which there is native code for them. One by one they take about as long as making it.
const ROWS_MIN: usize = 1 << 13;
/// Kinds of rows of a book for which native code is kept.
const KINDS_MAX: usize = 8;
/// No number has a longer text, in bytes.
const NUMBER_BYTES_MAX: usize = 64;
/// Most nodes that an interaction takes besides those of a definition's body, and those of the call itself.
const NODES: (u64, u64) = (8, 64);

/// What is told of a row: its number, if that is what it gave, and its interactions.
struct Row(Term, Counts);

impl Answer for Row {
    fn read(
        book: &Book,
        heap: &impl readback::Heap,
        root: Term,
        limits: &Limits,
        counts: Counts,
    ) -> Result<Row, ReduceError> {
        let number = readback::number(book, heap, root, limits.result_bytes)?;
        Ok(Row(number.unwrap_or(Term::ABSENT), counts))
    }
}

impl Calls for EvaluateJob<'_> {
    fn count(&self) -> usize {
        EvaluateJob::count(self)
    }

    fn entry(&self, _: usize) -> u32 {
        self.entry
    }

    fn arguments<'a>(&'a self, index: usize, room: &'a mut Vec<Term>) -> &'a [Term] {
        room.clear();
        room.extend(self.row(index));
        room
    }
}

/// Places for the answers to some rows.
struct Places<'a> {
    first: usize,
    numbers: &'a mut [Term],
    interactions: &'a mut [u64],
}

impl Places<'_> {
    fn rows(&self) -> Range<usize> {
        self.first..self.first + self.numbers.len()
    }

    fn set(&mut self, row: usize, number: Term, interactions: u64) {
        self.numbers[row - self.first] = number;
        self.interactions[row - self.first] = interactions;
    }
}

/// What some rows gave besides their answers.
#[derive(Default)]
struct Rest {
    failures: Vec<(usize, ReduceError)>,
    counts: Counts,
}

impl Rest {
    /// With that of the rows after these.
    fn then(mut self, next: Rest) -> Rest {
        self.failures.extend(next.failures);
        self.counts.merge(&next.counts);
        self
    }
}

impl NetEngine<'_> {
    /// Reduces the rows of a job, on all threads of the current rayon pool if `shared`. Uses the memory of `output`, whatever
    /// is in it.
    pub(crate) fn reduce_rows(
        &self,
        job: &EvaluateJob<'_>,
        code: Option<&RowCode>,
        (scratch, shared): (&ScratchPool, bool),
        output: &mut EvaluateOutput,
    ) {
        let count = job.count();
        let block = if code.is_some() { FUSED_BLOCK } else { BLOCK };
        let EvaluateOutput {
            numbers,
            interactions,
            ..
        } = output;
        let kept = count.min(numbers.len()).min(interactions.len());
        numbers.truncate(kept);
        interactions.truncate(kept);
        let mut rest = Rest::default();
        let run = |first, numbers: &mut [Term], interactions: &mut [u64]| {
            let places = Places {
                first,
                numbers,
                interactions,
            };
            self.row_block(job, code, places, scratch)
        };
        if shared && count > block {
            if numbers.len() < count {
                // Written twice, by all threads, which share the work of making memory usable.
                let fill = (0..count).into_par_iter().with_min_len(block);
                (*numbers, *interactions) = fill.map(|_| (Term::ABSENT, 0)).unzip();
            }
            let blocks = numbers.par_chunks_mut(block);
            let blocks = blocks.zip(interactions.par_chunks_mut(block)).enumerate();
            rest = blocks
                .map(|(index, (numbers, made))| run(index * block, numbers, made))
                .reduce(Rest::default, Rest::then);
        } else {
            numbers.reserve_exact(count - numbers.len());
            interactions.reserve_exact(count - interactions.len());
            for first in (0..count).step_by(block) {
                let end = count.min(first + block);
                if numbers.len() < end {
                    numbers.resize(end, Term::ABSENT);
                    interactions.resize(end, 0);
                }
                let places = (&mut numbers[first..end], &mut interactions[first..end]);
                rest = rest.then(run(first, places.0, places.1));
            }
        }
        (output.failures, output.counts) = (rest.failures, rest.counts);
    }

    /// Reduces as many rows as there are places for answers.
    fn row_block(
        &self,
        job: &EvaluateJob<'_>,
        code: Option<&RowCode>,
        mut places: Places<'_>,
        scratch: &ScratchPool,
    ) -> Rest {
        let mut rest = Rest::default();
        match code {
            None => self.row_by_row(job, places.rows(), &mut places, &mut rest, scratch),
            Some(code) => {
                let left = code.run(job, &mut places, &mut rest.counts);
                if !left.is_empty() {
                    self.row_by_row(job, left, &mut places, &mut rest, scratch);
                }
            }
        }
        rest
    }

    /// Reduces some rows one after the other.
    fn row_by_row(
        &self,
        job: &EvaluateJob<'_>,
        rows: impl IntoIterator<Item = usize, IntoIter: Clone>,
        places: &mut Places<'_>,
        rest: &mut Rest,
        scratch: &ScratchPool,
    ) {
        let rows = rows.into_iter();
        let mut answered = rows.clone();
        let answer = |answer: Result<Row, ReduceError>| {
            let row = answered.next().expect("there is an answer for each row");
            match answer {
                Ok(Row(number, counts)) => {
                    places.set(row, number, counts.total());
                    rest.counts.merge(&counts);
                }
                Err(error) => {
                    places.set(row, Term::ABSENT, 0);
                    rest.failures.push((row, error));
                }
            }
        };
        scratch.lend(|scratch| self.reduce_block(job, rows, &job.limits, scratch, answer));
    }
}

/// Native code for rows of a kind.
pub(crate) struct RowCode {
    code: Arc<dyn FusedRows>,
    kinds: Vec<Kind>,
    /// Nodes that a row takes at most without it.
    nodes: u64,
}

impl RowCode {
    /// Answers the rows that it can, and says which others there are, ascending.
    fn run(
        &self,
        job: &EvaluateJob<'_>,
        places: &mut Places<'_>,
        counts: &mut Counts,
    ) -> Vec<usize> {
        let all = places.rows();
        let mut left = Vec::new();
        let mut next = all.start;
        for rows in self.fitting(job, all.clone()) {
            left.extend(next..rows.start);
            next = rows.end;
            let within = rows.start - all.start..rows.end - all.start;
            let answers = (
                &mut places.numbers[within.clone()],
                &mut places.interactions[within],
            );
            let arguments = job.arguments.iter().map(|one| one.of(rows.clone()));
            let columns: Vec<Cow<'_, [u32]>> = arguments.map(bits).collect();
            let columns: Vec<&[u32]> = columns.iter().map(|column| &**column).collect();
            let mut odd = Vec::new();
            self.code.run(&columns, answers, &mut odd, counts);
            left.extend(odd.into_iter().map(|row| rows.start + row as usize));
        }
        left.extend(next..all.end);
        left
    }

    /// The rows that are of its kind: nearly always all of them.
    fn fitting(&self, job: &EvaluateJob<'_>, rows: Range<usize>) -> Vec<Range<usize>> {
        let mut columns = self.kinds.iter().zip(job.arguments);
        let whole = rows.end <= job.whole();
        if whole && columns.all(|(kind, column)| is_all(column.of(rows.clone()), *kind)) {
            return vec![rows];
        }
        let fits = |row: &usize| {
            let terms: Vec<Term> = job.row(*row).collect();
            let mut pairs = terms.iter().zip(&self.kinds);
            terms.len() == self.kinds.len() && pairs.all(|(term, kind)| is_plain(*term, *kind))
        };
        let rows: Vec<usize> = rows.filter(fits).collect();
        let runs = rows.chunk_by(|a, b| a + 1 == *b);
        runs.map(|run| run[0]..run[run.len() - 1] + 1).collect()
    }
}

/// Whether a term is a plain number of a kind, nothing else set.
fn is_plain(term: Term, kind: Kind) -> bool {
    term.as_plain().is_some() && term == Number::Plain(kind, term.w1()).term()
}

/// Whether a column holds plain numbers of a kind alone.
fn is_all(column: Argument<'_>, kind: Kind) -> bool {
    match column {
        Argument::Plain(other, _) if other != kind => false,
        Argument::Plain(..) if kind.is_wide() => true,
        // Without a branch for each.
        Argument::Plain(_, bits) => bits.iter().fold(0, |all, bits| all | bits) >> 24 == 0,
        Argument::Terms(terms) => terms.iter().all(|term| is_plain(*term, kind)),
    }
}

/// The bits of a column of plain numbers.
fn bits(column: Argument<'_>) -> Cow<'_, [u32]> {
    match column {
        Argument::Plain(_, bits) => Cow::Borrowed(bits),
        Argument::Terms(terms) => terms.iter().map(|term| term.w1()).collect(),
    }
}

/// The definition that is applied, and the kinds of its arguments.
#[derive(Clone, PartialEq, Eq)]
struct RowKind {
    entry: u32,
    columns: Vec<Kind>,
}

impl RowKind {
    /// That of the first row of a job; none if it is short, or not of plain numbers alone.
    fn of(job: &EvaluateJob<'_>) -> Option<RowKind> {
        if job.whole() == 0 {
            return None;
        }
        let kind = |term: Term| Some(term.as_plain()?.0);
        Some(RowKind {
            entry: job.entry,
            columns: job.row(0).map(kind).collect::<Option<_>>()?,
        })
    }
}

/// What there is for rows of a kind.
enum State {
    /// So many rows have been asked for.
    Counted(usize),
    /// A thread makes their code, and others go on without. If that panics, there is none.
    Being,
    /// Code, if there is some.
    Made(Option<Arc<RowCode>>),
}

/// Native code for rows of a book, the kind asked for last at the end.
#[derive(Default)]
pub(super) struct RowKinds(Mutex<Vec<(RowKind, State)>>);

impl RowKinds {
    /// Code for the rows of a job, if there is some that does what is done without. It is made at once when so many rows
    /// have been asked for that it would have paid: to make it takes less time than a batch of this size without it.
    pub(super) fn code(
        &self,
        job: &EvaluateJob<'_>,
        compiled: &Compiled,
        fuser: &dyn Fuser,
    ) -> Option<Arc<RowCode>> {
        let known = (job.entry as usize) < job.book.definitions().len();
        if !known || job.limits.result_bytes < NUMBER_BYTES_MAX {
            return None;
        }
        let kind = RowKind::of(job)?;
        let made = match self.find(&kind, job.count()) {
            Some(made) => made,
            None => {
                let columns = &kind.columns;
                let code = fuser.fuse_rows(&job.book, compiled, job.entry, columns);
                let made = code.map(|code| {
                    Arc::new(RowCode {
                        nodes: nodes(&job.book, code.most()),
                        code,
                        kinds: columns.clone(),
                    })
                });
                self.set(&kind, State::Made(made.clone()));
                made
            }
        };
        // Where the gas or the heap could be too small for a row, that has to be found out.
        let enough = |made: &Arc<RowCode>| {
            made.code.most() <= job.limits.gas && made.nodes <= job.limits.nodes
        };
        made.filter(enough)
    }

    /// What there is for so many rows of a kind; none if it is to be made now.
    fn find(&self, kind: &RowKind, rows: usize) -> Option<Option<Arc<RowCode>>> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kinds.iter().rposition(|(one, _)| one == kind) {
            Some(at) => kinds[at..].rotate_left(1),
            None => {
                if kinds.len() == KINDS_MAX {
                    kinds.remove(0);
                }
                kinds.push((kind.clone(), State::Counted(0)));
            }
        }
        let (_, state) = kinds.last_mut()?;
        match state {
            State::Made(made) => Some(made.clone()),
            State::Being => Some(None),
            State::Counted(count) => {
                *count = count.saturating_add(rows);
                if *count < ROWS_MIN {
                    return Some(None);
                }
                *state = State::Being;
                None
            }
        }
    }

    fn set(&self, kind: &RowKind, state: State) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, place)) = kinds.iter_mut().find(|(one, _)| one == kind) {
            *place = state;
        }
    }
}

/// Nodes that so many interactions take at most.
fn nodes(book: &Book, interactions: u64) -> u64 {
    let sizes = book.definitions().iter();
    let sizes = sizes.map(|one| one.nodes.len() as u64 + u64::from(one.wires));
    let (rule, call) = NODES;
    interactions * (sizes.max().unwrap_or(0) + rule) + call
}
