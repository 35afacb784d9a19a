//! Rows of numbers on a device: what is the same for every device.
//!
//! A job's rows go to the device in batches, column by column as they come. What the lanes leave is answered by rewriting, and so is
//! a whole job for which there is no lane function, that is too small to be worth a kernel, or whose arguments are not all
//! numbers.

use std::ops::Range;
use std::sync::Arc;

use ffcm::coprocessor::{
    Argument, Coprocessor, EvaluateJob, EvaluateOutput, JobError, RewriteJob, evaluate_by_rewriting,
};
use ffcm::net::{Book, ReduceError};
use ffcm::spec::number::{Kind, Number};
use ffcm::spec::rules::{Counts, Opcode};
use ffcm::spec::word::Term;

use super::{Column, GROUP_LANES, Program, Reason, Refusal};
use crate::Target;

/// Opcodes counted.
const COUNTED: usize = Opcode::COUNTED.len();
/// Words that a lane leaves.
const ANSWER_WORDS: usize = 3;
/// Fewest rows that are worth compiling a kernel.
const ROWS_MIN: usize = 512;
/// Most rows of a batch, on any device: bounds what both sides keep.
const BATCH_ROWS_MAX: usize = 1 << 18;
/// Results longer than the limit are failures. No number is as long as this, in bytes.
const NUMBER_BYTES_MAX: usize = 64;
/// Most nodes of a book that is compiled for lanes.
const BOOK_NODES_MAX: usize = 1 << 14;
/// Most kernels kept.
const KERNELS_MAX: usize = 32;
/// Rows rewritten at once.
const REWRITE_ROWS: usize = 1 << 14;

/// Compiles and runs kernels.
pub trait LaneDevice {
    /// A kernel of [`render_kernel`](super::render_kernel).
    type Kernel: Clone;

    /// What the kernels are written in.
    fn target(&self) -> Target;

    /// Compiles a kernel. None where the device has no use for more of them; why has been logged.
    ///
    /// # Errors
    /// What the device says.
    fn compile(&mut self, text: String) -> Result<Option<Self::Kernel>, JobError>;

    /// Words of the largest buffer.
    fn buffer_words(&self) -> usize;

    /// Runs a batch.
    ///
    /// # Errors
    /// What the device says.
    fn run(&mut self, kernel: &Self::Kernel, batch: &Batch) -> Result<Answers, JobError>;
}

/// Rows for a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How many, at least one.
    pub rows: u32,
    /// Most interactions of a row.
    pub gas: u32,
    /// Word `c` of row `r` is at `c * rows + r`.
    pub columns: Vec<u32>,
}

impl Batch {
    /// Groups of [`GROUP_LANES`] rows.
    pub fn groups(&self) -> u32 {
        self.rows.div_ceil(GROUP_LANES)
    }

    /// Words of [`Answers::rows`].
    pub fn answer_words(&self) -> usize {
        ANSWER_WORDS * self.rows as usize
    }

    /// Words of [`Answers::totals`].
    pub fn total_words(&self) -> usize {
        COUNTED * self.groups() as usize
    }
}

/// What a kernel left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Meta words, payloads, and interactions of all rows.
    pub rows: Vec<u32>,
    /// Interactions by opcode of each group.
    pub totals: Vec<u32>,
}

/// What a kernel is for: a book, one of its definitions, and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    book: [u8; 32],
    entry: u32,
    columns: Vec<Column>,
}

/// The kernels made lately, the one asked for last at the end; none where there can be none.
#[derive(Debug)]
pub struct Kernels<K> {
    kept: Vec<(Key, Option<K>)>,
    stats: LaneStats,
}

impl<K> Default for Kernels<K> {
    fn default() -> Kernels<K> {
        Kernels {
            kept: Vec::new(),
            stats: LaneStats::default(),
        }
    }
}

/// What has been done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneStats {
    /// Kernels compiled.
    pub compiled: u64,
    /// Batches run.
    pub batches: u64,
    /// Rows that lanes answered.
    pub rows: u64,
    /// Rows that lanes left because they need the heap.
    pub heap: u64,
    /// Rows left because of a term that is no number, or arithmetic that is the host's.
    pub term: u64,
    /// Rows left because the stack was full, or after too many segments.
    pub bounds: u64,
}

/// What the lanes have answered, and which rows they have left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partial {
    output: EvaluateOutput,
    left: Vec<usize>,
}

/// Makes a lane function of a definition applied to numbers of these kinds.
pub type Compile<'c> = &'c dyn Fn(&Book, u32, &[Column]) -> Result<Program, Refusal>;

impl<K: Clone> Kernels<K> {
    /// What has been done so far.
    pub fn stats(&self) -> LaneStats {
        self.stats
    }

    /// Runs the rows of a job that lanes can run; none if that is not worth while.
    ///
    /// # Errors
    /// What the device says.
    pub fn evaluate(
        &mut self,
        device: &mut impl LaneDevice<Kernel = K>,
        job: &EvaluateJob<'_>,
        compile: Compile<'_>,
    ) -> Result<Option<Partial>, JobError> {
        let count = job.count();
        let few = count < ROWS_MIN || job.whole() < count;
        let known = (job.entry as usize) < job.book.definitions().len();
        if few || !known || job.limits.result_bytes < NUMBER_BYTES_MAX {
            return Ok(None);
        }
        // Such rows fail, each with its reason, and must not be counted.
        if !job.arguments.iter().all(is_numbers) {
            return Ok(None);
        }
        let columns: Vec<Column> = job.arguments.iter().map(column).collect();
        let Some(kernel) = self.kernel(device, job, &columns, compile)? else {
            return Ok(None);
        };
        let words: usize = columns.iter().map(|column| column.words()).sum();
        let most = device.buffer_words() / words.max(ANSWER_WORDS);
        let most = most.min(BATCH_ROWS_MAX);
        if most < GROUP_LANES as usize {
            return Ok(None);
        }
        let mut partial = Partial::default();
        for first in (0..count).step_by(most) {
            let batch = batch(job, &columns, first..count.min(first + most));
            let answers = device.run(&kernel, &batch)?;
            self.stats.batches += 1;
            self.add(&mut partial, batch.rows as usize, &answers, job)?;
        }
        Ok(Some(partial))
    }

    /// The kernel for a job, if there is one.
    fn kernel(
        &mut self,
        device: &mut impl LaneDevice<Kernel = K>,
        job: &EvaluateJob<'_>,
        columns: &[Column],
        compile: Compile<'_>,
    ) -> Result<Option<K>, JobError> {
        let key = Key {
            book: job.book.digest(),
            entry: job.entry,
            columns: columns.to_vec(),
        };
        if let Some(at) = self.kept.iter().rposition(|(kept, _)| *kept == key) {
            self.kept[at..].rotate_left(1);
            return Ok(self.kept.last().and_then(|(_, kernel)| kernel.clone()));
        }
        let definitions = job.book.definitions().iter();
        let nodes: usize = definitions.map(|definition| definition.nodes.len()).sum();
        let program = match nodes <= BOOK_NODES_MAX {
            true => compile(&job.book, job.entry, columns),
            false => Err(Refusal::TooLarge),
        };
        let kernel = match program {
            Ok(program) => {
                let text = super::render_kernel(&program, device.target());
                let kernel = device.compile(text)?;
                self.stats.compiled += u64::from(kernel.is_some());
                kernel
            }
            Err(_) => None,
        };
        if self.kept.len() == KERNELS_MAX {
            self.kept.remove(0);
        }
        self.kept.push((key, kernel.clone()));
        Ok(kernel)
    }

    /// Adds what a batch of `rows` gave.
    fn add(
        &mut self,
        partial: &mut Partial,
        count: usize,
        answers: &Answers,
        job: &EvaluateJob<'_>,
    ) -> Result<(), JobError> {
        let bad = || JobError::Device("a kernel left something else than its answers".into());
        if answers.rows.len() != ANSWER_WORDS * count
            || !answers.totals.len().is_multiple_of(COUNTED)
        {
            return Err(bad());
        }
        for index in 0..count {
            let at = partial.output.numbers.len();
            let word = |n: usize| answers.rows[n * count + index];
            let interactions = u64::from(word(2));
            let term = Term(u64::from(word(1)) << 32 | u64::from(word(0)));
            let mut answer = (Term::ABSENT, 0);
            if word(0) == 0 {
                self.stopped(word(1));
                partial.left.push(at);
            } else if interactions > job.limits.gas {
                let limit = job.limits.gas;
                let failure = (at, ReduceError::OutOfGas { limit });
                partial.output.failures.push(failure);
            } else {
                let number = Number::from_term(term).ok_or_else(bad)?;
                self.stats.rows += 1;
                let number = match number {
                    Number::Plain(..) => term,
                    _ => Term::ABSENT,
                };
                answer = (number, interactions);
            }
            partial.output.numbers.push(answer.0);
            partial.output.interactions.push(answer.1);
        }
        let mut counts = Counts::default();
        for totals in answers.totals.chunks(COUNTED) {
            for (opcode, total) in Opcode::COUNTED.into_iter().zip(totals) {
                counts.add(opcode, u64::from(*total));
            }
        }
        partial.output.counts.merge(&counts);
        Ok(())
    }

    fn stopped(&mut self, reason: u32) {
        let stats = &mut self.stats;
        match reason {
            _ if reason == Reason::Heap as u32 => stats.heap += 1,
            _ if reason == Reason::Term as u32 => stats.term += 1,
            _ => stats.bounds += 1,
        }
    }
}

/// Answers a job: the rows that the lanes have left, or all where there is no [`Partial`], by rewriting.
///
/// # Errors
/// Those of [`Coprocessor::rewrite`].
pub fn complete(
    coprocessor: &impl Coprocessor,
    job: &EvaluateJob<'_>,
    partial: Option<Partial>,
) -> Result<EvaluateOutput, JobError> {
    let Some(Partial { mut output, left }) = partial else {
        return evaluate_by_rewriting(coprocessor, job);
    };
    for indices in left.chunks(REWRITE_ROWS) {
        let answers = coprocessor.rewrite(&RewriteJob {
            book: Arc::clone(&job.book),
            calls: indices.iter().map(|&index| job.call(index)).collect(),
            limits: job.limits,
        })?;
        for (&index, answer) in indices.iter().zip(answers) {
            output.set(index, answer);
        }
    }
    output.failures.sort_by_key(|(index, _)| *index);
    Ok(output)
}

/// Whether a term may be an argument, as [`Call::check`] has it.
fn is_number(term: Term) -> bool {
    Number::from_term(term).map(Number::term) == Some(term)
}

/// Whether all terms of a column are numbers.
fn is_numbers(argument: &Argument<'_>) -> bool {
    match argument {
        Argument::Plain(kind, _) if kind.is_wide() => true,
        Argument::Plain(_, bits) => bits.iter().fold(0, |all, bits| all | bits) >> 24 == 0,
        Argument::Terms(terms) => terms.iter().copied().all(is_number),
    }
}

/// What the terms of a column have in common.
fn column(argument: &Argument<'_>) -> Column {
    match argument {
        Argument::Plain(kind, _) => Column::Plain(*kind as u8),
        Argument::Terms(terms) => {
            let ext = terms.first().map_or(Kind::U24 as u8, |term| term.ext());
            match Kind::from_ext(ext) {
                Some(_) if terms.iter().all(|term| term.ext() == ext) => Column::Plain(ext),
                _ => Column::Any,
            }
        }
    }
}

/// Rows as a kernel reads them. All have every argument, and all are numbers.
fn batch(job: &EvaluateJob<'_>, columns: &[Column], rows: Range<usize>) -> Batch {
    let width: usize = columns.iter().map(|column| column.words()).sum();
    let mut words = Vec::with_capacity(rows.len() * width);
    for (argument, column) in job.arguments.iter().zip(columns) {
        match argument.of(rows.clone()) {
            Argument::Plain(_, bits) => words.extend(bits),
            Argument::Terms(terms) => {
                if *column == Column::Any {
                    words.extend(terms.iter().map(|term| term.w0()));
                }
                words.extend(terms.iter().map(|term| term.w1()));
            }
        }
    }
    Batch {
        // At most `BATCH_ROWS_MAX`.
        rows: rows.len() as u32,
        gas: u32::try_from(job.limits.gas).unwrap_or(u32::MAX),
        columns: words,
    }
}
