//! Rows of numbers: by native code for rows where there is some, and one by one where not, without an allocation for each.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::NetEngine;
use super::batch::{Answer, BLOCK, Calls, ScratchPool};
use super::compiled::Compiled;
use crate::coprocessor::{EvaluateJob, EvaluateOutput, Evaluated};
use crate::cpu::native::{FusedRows, Fuser, LEFT};
use crate::net::{Book, Limits, ReduceError, readback};
use crate::spec::number::Kind;
use crate::spec::rules::Counts;
use crate::spec::word::Term;

/// Rows that a thread takes at once if there is native code for them: what stays in its cache.
pub(crate) const FUSED_BLOCK: usize = 1 << 12;
/// Rows of one kind after which there is native code for them. One by one they take about as long as making it.
const ROWS_MIN: usize = 1 << 13;
/// Kinds of rows of a book for which native code is kept.
const KINDS_MAX: usize = 8;
/// No number has a longer text, in bytes.
const NUMBER_BYTES_MAX: usize = 64;
/// Most nodes that an interaction takes besides those of a definition's body, and those of the call itself.
const NODES: (u64, u64) = (8, 64);

/// What is told of a row, and its interactions.
struct Row(Evaluated, Counts);

impl Answer for Row {
    fn read(
        book: &Book,
        heap: &impl readback::Heap,
        root: Term,
        limits: &Limits,
        counts: Counts,
    ) -> Result<Row, ReduceError> {
        let number = readback::number(book, heap, root, limits.result_bytes)?;
        let row = Evaluated {
            number: number.unwrap_or(Term::ABSENT),
            interactions: counts.total(),
        };
        Ok(Row(row, counts))
    }
}

impl Calls for EvaluateJob<'_> {
    fn count(&self) -> usize {
        self.rows().len()
    }

    fn get(&self, index: usize) -> (u32, &[Term]) {
        let row = &self.arguments[index * self.width()..];
        (self.entry, &row[..self.width().min(row.len())])
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
    /// Reduces the rows of a job, on all threads of the current rayon pool if `shared`.
    pub(crate) fn reduce_rows(
        &self,
        job: &EvaluateJob<'_>,
        fused: Option<&dyn FusedRows>,
        scratch: &ScratchPool,
        shared: bool,
    ) -> EvaluateOutput {
        let count = job.count();
        let block = if fused.is_some() { FUSED_BLOCK } else { BLOCK };
        let mut rows: Vec<Evaluated>;
        let mut rest = Rest::default();
        if shared && count > block {
            // Written twice, by all threads, which share the work of making memory usable.
            let fill = (0..count).into_par_iter().with_min_len(block);
            rows = fill.map(|_| Evaluated::default()).collect();
            let blocks = rows.par_chunks_mut(block).enumerate();
            rest = blocks
                .map(|(index, rows)| self.row_block(job, fused, index * block, rows, scratch))
                .reduce(Rest::default, Rest::then);
        } else {
            rows = Vec::with_capacity(count);
            while rows.len() < count {
                let first = rows.len();
                rows.resize(count.min(first + block), Evaluated::default());
                rest = rest.then(self.row_block(job, fused, first, &mut rows[first..], scratch));
            }
        }
        EvaluateOutput {
            rows,
            failures: rest.failures,
            counts: rest.counts,
        }
    }

    /// Reduces the rows from number `first` on, as many as there are places for answers.
    fn row_block(
        &self,
        job: &EvaluateJob<'_>,
        fused: Option<&dyn FusedRows>,
        first: usize,
        rows: &mut [Evaluated],
        scratch: &ScratchPool,
    ) -> Rest {
        let mut rest = Rest::default();
        let all = first..first + rows.len();
        let Some(fused) = fused else {
            self.row_by_row(job, all, (first, rows), &mut rest, scratch);
            return rest;
        };
        let width = job.width();
        let arguments = &job.arguments[first * width..];
        // The last row may be short.
        let whole = rows.len().min(arguments.len() / width);
        let (most, short) = rows.split_at_mut(whole);
        let arguments = &arguments[..whole * width];
        let left = fused.run(arguments, most, &mut rest.counts);
        if left + short.len() > 0 {
            short.fill(LEFT);
            let is_left = |index: &usize| rows[index - first] == LEFT;
            let left: Vec<usize> = all.filter(is_left).collect();
            self.row_by_row(job, left, (first, rows), &mut rest, scratch);
        }
        rest
    }

    /// Reduces some rows one after the other. The answer to row `first` is the first one.
    fn row_by_row(
        &self,
        job: &EvaluateJob<'_>,
        indices: impl IntoIterator<Item = usize, IntoIter: Clone>,
        (first, rows): (usize, &mut [Evaluated]),
        rest: &mut Rest,
        scratch: &ScratchPool,
    ) {
        let indices = indices.into_iter();
        let mut answered = indices.clone();
        let answer = |answer: Result<Row, ReduceError>| {
            let index = answered.next().expect("there is an answer for each row");
            rows[index - first] = match answer {
                Ok(Row(row, counts)) => {
                    rest.counts.merge(&counts);
                    row
                }
                Err(error) => {
                    rest.failures.push((index, error));
                    Evaluated::default()
                }
            };
        };
        scratch.lend(|scratch| self.reduce_block(job, indices, &job.limits, scratch, answer));
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
        let row = job.arguments.get(..job.arity).filter(|row| !row.is_empty());
        let kind = |term: &Term| Some(term.as_plain()?.0);
        Some(RowKind {
            entry: job.entry,
            columns: row?.iter().map(kind).collect::<Option<_>>()?,
        })
    }
}

/// What there is for rows of a kind.
enum State {
    /// So many rows have been asked for.
    Counted(usize),
    /// A thread makes their code, and others go on without. If that panics, there is none.
    Being,
    /// Code, if there is some, and how many nodes a row takes at most without it.
    Made(Option<(Arc<dyn FusedRows>, u64)>),
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
    ) -> Option<Arc<dyn FusedRows>> {
        let known = (job.entry as usize) < job.book.definitions().len();
        if !known || job.limits.result_bytes < NUMBER_BYTES_MAX {
            return None;
        }
        let kind = RowKind::of(job)?;
        let made = match self.find(&kind, job.rows().len()) {
            Some(made) => made,
            None => {
                let columns = &kind.columns;
                let code = fuser.fuse_rows(&job.book, compiled, job.entry, columns);
                let made = code.map(|code| {
                    let nodes = nodes(&job.book, code.most());
                    (code, nodes)
                });
                self.set(&kind, State::Made(made.clone()));
                made
            }
        };
        // Where the gas or the heap could be too small for a row, that has to be found out.
        let (code, nodes) = made?;
        (code.most() <= job.limits.gas && nodes <= job.limits.nodes).then_some(code)
    }

    /// What there is for so many rows of a kind; none if it is to be made now.
    fn find(&self, kind: &RowKind, rows: usize) -> Option<Option<(Arc<dyn FusedRows>, u64)>> {
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
