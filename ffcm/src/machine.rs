//! The machine: a chosen device, and a method for each thing it does.
//!
//! Everything is a job of [`Coprocessor`], which a [`Machine`] holds one of; its methods say the common ones shorter, with
//! Rust values in and out. Results are the same bits on every device.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::coprocessor::{
    Accelerator, AcceleratorError, Columns, Coprocessor, DeviceInfo, EvaluateJob, FocusJob,
    HashJob, HashOutput, JobError, Opened, Provider, RewriteJob,
};
use crate::cpu::native::Fuser;
use crate::focus::{FocusParams, Ranking};
use crate::graph::Graph;
use crate::memory::{Memory, MemoryError, MemoryOp, SlotId};
use crate::net::data::{Arguments, Decode, DecodeError, Numeric};
use crate::net::{Book, BuildError, Call, Limits, LoadError, Outcome, ReduceError};
use crate::operators::{OperatorError, Operators};
use crate::spec::word::Term;

/// Why a call of a net gave no Rust value.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no such definition.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The arguments make no net, or too large a one.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The device gave nothing.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The net has no normal form within its limits.
    #[error(transparent)]
    Reduce(#[from] ReduceError),
    /// The normal form is no value of the type asked for.
    #[error("result: {0}")]
    Decode(#[from] DecodeError),
}

/// A net program: a [`Book`] and the bounds under which its definitions are called. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    book: Arc<Book>,
    limits: Limits,
}

impl Program {
    /// Parses and validates a `.hvm` text; [`crate::net::syntax`] has the grammar.
    ///
    /// # Errors
    ///
    /// The line and the column of what is wrong.
    pub fn parse(text: &str) -> Result<Program, LoadError> {
        Ok(Program::from(Book::parse(text)?))
    }

    /// The same under other bounds, each call by itself.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Program {
        self.limits = limits;
        self
    }

    /// The definitions.
    pub fn book(&self) -> &Arc<Book> {
        &self.book
    }

    /// The bounds.
    pub fn limits(&self) -> Limits {
        self.limits
    }
}

impl From<Arc<Book>> for Program {
    fn from(book: Arc<Book>) -> Program {
        let limits = Limits::default();
        Program { book, limits }
    }
}

impl From<Book> for Program {
    fn from(book: Book) -> Program {
        Arc::new(book).into()
    }
}

impl FromStr for Program {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Program, LoadError> {
        Program::parse(text)
    }
}

/// Chooses the device of a [`Machine`].
#[derive(Default)]
pub struct MachineBuilder<'p> {
    accelerator: Accelerator,
    threads: usize,
    providers: Vec<&'p dyn Provider>,
    fuser: Option<Arc<dyn Fuser>>,
}

impl fmt::Debug for MachineBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let providers: Vec<&str> = self.providers.iter().map(|one| one.name()).collect();
        f.debug_struct("MachineBuilder")
            .field("accelerator", &self.accelerator)
            .field("threads", &self.threads)
            .field("providers", &providers)
            .field("fuses", &self.fuser.is_some())
            .finish()
    }
}

impl<'p> MachineBuilder<'p> {
    /// The device: `auto` unless told otherwise. A name is parsed: `"wgpu:0".parse()?`.
    #[must_use]
    pub fn accelerator(mut self, accelerator: Accelerator) -> MachineBuilder<'p> {
        self.accelerator = accelerator;
        self
    }

    /// A family of devices, such as that of `ffcm-wgsl` or `ffcm-cuda`: this crate knows no GPU.
    #[must_use]
    pub fn provider(mut self, provider: &'p dyn Provider) -> MachineBuilder<'p> {
        self.providers.push(provider);
        self
    }

    /// Threads of the CPU; 0, as without this, is one per core.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> MachineBuilder<'p> {
        self.threads = threads;
        self
    }

    /// What makes native code of net programs on the CPU, such as that of `ffcm-jit`.
    #[must_use]
    pub fn fuser(mut self, fuser: Arc<dyn Fuser>) -> MachineBuilder<'p> {
        self.fuser = Some(fuser);
        self
    }

    /// Starts the device, runs its self-test, and refuses it if one bit is wrong.
    ///
    /// # Errors
    ///
    /// A device named that is not there: only `auto` takes another.
    pub fn build(self) -> Result<Machine, AcceleratorError> {
        let fused = (self.threads, &self.providers[..], self.fuser);
        let opened = self.accelerator.open_fused(fused.0, fused.1, fused.2)?;
        Ok(Machine {
            opened,
            threads: self.threads,
        })
    }
}

/// A device that computes, and what it can be asked for. Cloning is cheap and shares the device.
///
/// ```
/// use ffcm::Machine;
/// use ffcm::machine::Program;
/// use ffcm::net::data::U24;
///
/// let machine = Machine::builder().accelerator("cpu".parse()?).threads(2).build()?;
/// let program = Program::parse("@twice = ({a b} r) & a ~ $([+] $(b r))")?;
/// let four: U24 = machine.call(&program, "twice", (U24::wrapping(2),))?;
/// assert_eq!(four.get(), 4);
/// assert_eq!(machine.sha256(&["", "abc"])?.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Machine {
    opened: Opened,
    /// As asked for; 0 is one per core.
    threads: usize,
}

impl Machine {
    /// The best device. Without [providers](MachineBuilder::provider) that is the CPU, with one thread per core.
    ///
    /// # Errors
    ///
    /// The threads do not start, or the CPU fails its self-test.
    pub fn auto() -> Result<Machine, AcceleratorError> {
        Machine::builder().build()
    }

    /// The CPU, with one thread per core.
    ///
    /// # Errors
    ///
    /// The threads do not start, or the CPU fails its self-test.
    pub fn cpu() -> Result<Machine, AcceleratorError> {
        Machine::builder().accelerator(Accelerator::Cpu).build()
    }

    /// For a chosen device, other families of devices, or another number of threads.
    pub fn builder<'p>() -> MachineBuilder<'p> {
        MachineBuilder::default()
    }

    /// Which device was started; never [`Accelerator::Auto`].
    pub fn accelerator(&self) -> Accelerator {
        self.opened.accelerator
    }

    /// What `auto` chose and why, one line; `None` where the choice was explicit.
    pub fn choice(&self) -> Option<&str> {
        self.opened.choice.as_deref()
    }

    /// The device in words.
    pub fn info(&self) -> DeviceInfo {
        self.opened.coprocessor.info()
    }

    /// The device itself, for jobs beyond those here.
    pub fn coprocessor(&self) -> &Arc<dyn Coprocessor> {
        &self.opened.coprocessor
    }

    /// π of a graph with the default parameters, from nothing.
    ///
    /// # Errors
    ///
    /// The device fails.
    pub fn rank(&self, graph: &Graph) -> Result<Ranking, JobError> {
        self.rank_from(graph, &FocusParams::default(), None)
    }

    /// π of a graph, from the masses of an earlier ranking if given: see [`crate::focus::rank`]. The device keeps what it
    /// prepared, so ranking the same graph again after small changes costs little.
    ///
    /// # Errors
    ///
    /// Parameters out of range, masses that do not fit the graph, or a device that fails.
    pub fn rank_from(
        &self,
        graph: &Graph,
        params: &FocusParams,
        start: Option<&[u64]>,
    ) -> Result<Ranking, JobError> {
        let params = *params;
        self.coprocessor().focus(&FocusJob {
            graph,
            params,
            start,
        })
    }

    /// Operators on one state of a graph: search, components, shortest paths, communities, personalised ranking and more. They
    /// run on the CPU, whatever the device, with as many threads as the machine was built with.
    ///
    /// # Errors
    ///
    /// The threads do not start.
    pub fn operators(&self, graph: &Graph) -> Result<Operators, OperatorError> {
        Operators::builder().threads(self.threads).prepare(graph)
    }

    /// Applies a definition to Rust values and reads the normal form as one: [`crate::net::data`] says how values look as
    /// nets. The arguments are a tuple, `()` for none and `(a,)` for one.
    ///
    /// Numbers are handed over as they are. For anything larger the book is copied with one more definition, which holds
    /// the values, and compiled again: of large books, call definitions with much data rather than often.
    ///
    /// # Errors
    ///
    /// No such definition; arguments too large for a definition; no normal form within the program's limits; a result that is
    /// no `T`.
    pub fn call<T: Decode>(
        &self,
        program: &Program,
        name: &str,
        arguments: impl Arguments,
    ) -> Result<T, CallError> {
        let (book, call) = compose(program, name, &arguments)?;
        let outcome = self.reduce(&book, call, program.limits)?;
        Ok(outcome.decode(&book)?)
    }

    /// The same with the text of the normal form and the interactions it took, for results that are no data.
    ///
    /// # Errors
    ///
    /// As for [`Machine::call`].
    pub fn outcome(
        &self,
        program: &Program,
        name: &str,
        arguments: impl Arguments,
    ) -> Result<Outcome, CallError> {
        let (book, call) = compose(program, name, &arguments)?;
        self.reduce(&book, call, program.limits)
    }

    /// Applies a definition to each of many rows of numbers, in one job. Rows fail one by one: those with a normal form that
    /// is no `T` with [`CallError::Decode`], those without one with [`CallError::Reduce`].
    ///
    /// ```
    /// use ffcm::Machine;
    /// use ffcm::machine::Program;
    ///
    /// let machine = Machine::cpu()?;
    /// let program = Program::parse("@area = (a (b r)) & a ~ $([*] $(b r))")?;
    /// let areas = machine.map::<u32, u32, 2>(&program, "area", &[[2, 3], [10, 10]])?;
    /// let areas: Result<Vec<u32>, _> = areas.into_iter().collect();
    /// assert_eq!(areas?, [6, 100]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// No such definition, or a device that fails.
    pub fn map<A: Numeric, T: Numeric, const N: usize>(
        &self,
        program: &Program,
        name: &str,
        rows: &[[A; N]],
    ) -> Result<Vec<Result<T, CallError>>, CallError> {
        let entry = program.book.call(name, vec![])?.entry;
        let terms: Vec<Term> = rows.iter().flatten().map(|value| value.term()).collect();
        // Without arguments there are no columns to tell how many rows there are.
        if N == 0 {
            let one = || self.evaluate_alone::<T>(program, entry);
            return Ok(rows.iter().map(|_| one()).collect());
        }
        let columns = Columns::of_rows(&terms, N);
        let output = self.coprocessor().evaluate(&EvaluateJob {
            book: Arc::clone(&program.book),
            entry,
            arguments: &columns.arguments(),
            limits: program.limits,
        })?;
        let mut results: Vec<Result<T, CallError>> =
            output.numbers.iter().map(|&term| number(term)).collect();
        for (row, error) in output.failures {
            if let Some(result) = results.get_mut(row) {
                *result = Err(error.into());
            }
        }
        Ok(results)
    }

    /// Applies a batch of Memory Arithmetic, in its order. Refused operations are part of the result.
    ///
    /// # Errors
    ///
    /// The device fails.
    pub fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        self.coprocessor().memory(memory, ops)
    }

    /// BLAKE3 of each input.
    ///
    /// # Errors
    ///
    /// The device fails.
    pub fn blake3(&self, inputs: &[impl AsRef<[u8]>]) -> Result<Vec<[u8; 32]>, JobError> {
        let inputs: Vec<&[u8]> = inputs.iter().map(AsRef::as_ref).collect();
        self.digests(&HashJob::Blake3(&inputs))
    }

    /// SHA-256 of each input.
    ///
    /// # Errors
    ///
    /// The device fails.
    pub fn sha256(&self, inputs: &[impl AsRef<[u8]>]) -> Result<Vec<[u8; 32]>, JobError> {
        let inputs: Vec<&[u8]> = inputs.iter().map(AsRef::as_ref).collect();
        self.digests(&HashJob::Sha256(&inputs))
    }

    /// The lowest nonce among `count` from `start` on that [`HashJob::PowSearch`] finds, if there is one.
    ///
    /// # Errors
    ///
    /// The device fails.
    pub fn search(
        &self,
        header: &[u8],
        start: u64,
        count: u64,
        target: [u8; 32],
    ) -> Result<Option<u64>, JobError> {
        let job = HashJob::PowSearch {
            header,
            start,
            count,
            target,
        };
        match self.coprocessor().hash(&job)? {
            HashOutput::Nonce(nonce) => Ok(nonce),
            HashOutput::Digests(_) => Err(self.misunderstood("a search")),
        }
    }

    fn digests(&self, job: &HashJob<'_>) -> Result<Vec<[u8; 32]>, JobError> {
        match self.coprocessor().hash(job)? {
            HashOutput::Digests(digests) => Ok(digests),
            HashOutput::Nonce(_) => Err(self.misunderstood("hashes")),
        }
    }

    /// Backends are for anyone to write.
    fn misunderstood(&self, job: &str) -> JobError {
        let backend = self.info().backend;
        JobError::Device(format!(
            "{backend} was asked for {job} and gave something else"
        ))
    }

    fn evaluate_alone<T: Numeric>(&self, program: &Program, entry: u32) -> Result<T, CallError> {
        let call = Call {
            entry,
            arguments: vec![],
        };
        let outcome = self.reduce(&program.book, call, program.limits)?;
        number(outcome.number.unwrap_or(Term::ABSENT))
    }

    fn reduce(&self, book: &Arc<Book>, call: Call, limits: Limits) -> Result<Outcome, CallError> {
        let job = RewriteJob {
            book: Arc::clone(book),
            calls: vec![call],
            limits,
        };
        match self.coprocessor().rewrite(&job)?.pop() {
            Some(outcome) => Ok(outcome?),
            None => Err(self.misunderstood("a call").into()),
        }
    }
}

impl From<Opened> for Machine {
    /// Of a device that was opened before; operators have one thread per core.
    fn from(opened: Opened) -> Machine {
        Machine { opened, threads: 0 }
    }
}

/// The call, and the book it belongs to: the program's own where all arguments are numbers.
fn compose(
    program: &Program,
    name: &str,
    arguments: &impl Arguments,
) -> Result<(Arc<Book>, Call), CallError> {
    if let Some(numbers) = arguments.numbers() {
        let call = program.book.call(name, numbers)?;
        return Ok((Arc::clone(&program.book), call));
    }
    let (book, call) = program
        .book
        .with_call(name, |net| Ok(arguments.encode(net)))?;
    Ok((Arc::new(book), call))
}

fn number<T: Numeric>(term: Term) -> Result<T, CallError> {
    let plain = term.as_plain();
    let number = plain.and_then(|(kind, bits)| T::from_plain(kind, bits));
    number.ok_or_else(|| {
        let found = match crate::spec::number::Number::from_term(term) {
            Some(number) => format!("`{number}`"),
            None => "no number".into(),
        };
        let expected = T::NAME;
        CallError::Decode(DecodeError::Unexpected { expected, found })
    })
}
