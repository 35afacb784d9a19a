//! The parallel engine: one net, reduced by the whole device, round after round.
//!
//! The host queues rounds in batches and reads a few words after each: whether the net is done, what it has cost, what
//! there is too little of. It joins the answers of arithmetic that kernels leave to it, and enlarges the buffers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ffcm::coprocessor::JobError;
use ffcm::device::net::{CellBook, Pace, encode_cells};
use ffcm::net::readback::readback;
use ffcm::net::{Book, Call, Limits, Outcome, ReduceError};
use ffcm::spec::number::operate;
use ffcm::spec::rules::{Counts, Opcode};
use ffcm::spec::word::{Class, Term};

use super::buffers::{Buffers, Capacity, Kernels, Launches, Terms, free_nodes, local_bytes};
use super::control::*;
use super::heap::DeviceHeap;
use super::{Local, NetOptions, Schedule, report};
use crate::device::{Buffer, CudaError, Gpu, Grid, Source};

/// Which kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// Those that work.
    Plain,
    /// Those that also look for nodes that are used after they were freed.
    #[cfg(test)]
    Check,
    /// Those that look for it, with a mistake.
    #[cfg(test)]
    Mutant(&'static [(&'static str, &'static str)]),
}

/// How the engine goes about its work. No choice changes a result or a count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    /// Most blocks of a round.
    pub(crate) blocks: u32,
    /// Threads of a block: a multiple of 32, up to 256.
    pub(crate) threads: u32,
    /// Most moves of a thread in a step.
    pub(crate) trips: u32,
    /// Most steps of a round.
    pub(crate) steps: u32,
    /// Moves of a thread in a round: at first, and at most.
    pub(crate) fuel: (u32, u32),
    /// What to start with.
    pub(crate) capacity: Capacity,
    /// Most rounds of a batch.
    pub(crate) rounds: u32,
    /// How rounds follow each other.
    pub(crate) schedule: Schedule,
    /// Where nodes are made.
    pub(crate) local: Local,
    /// Which kernels.
    pub(crate) build: Build,
}

/// Threads of a block.
const THREADS: u32 = 128;
/// Threads of a block that has nodes in shared memory.
const THREADS_LOCAL: u32 = 64;
/// Most blocks of a round: with more the bag alone takes too much memory.
const BLOCKS_MAX: u32 = 4096;

impl Tuning {
    /// What suits the device.
    pub(crate) fn of(gpu: &Gpu, options: NetOptions) -> Result<Tuning, CudaError> {
        if options.local == Local::Auto {
            let resident = resident(gpu, options, THREADS_LOCAL)?;
            if resident > 0 {
                return Ok(Tuning::with(gpu, options, resident, THREADS_LOCAL));
            }
        }
        let options = NetOptions {
            local: Local::Off,
            ..options
        };
        let resident = resident(gpu, options, THREADS)?;
        Ok(Tuning::with(gpu, options, resident, THREADS))
    }

    fn with(gpu: &Gpu, options: NetOptions, resident: u32, threads: u32) -> Tuning {
        let blocks = resident.clamp(1, BLOCKS_MAX);
        // Some of the memory to start with.
        let most = Capacity::most(gpu.memory_limit() / 8);
        let start = Capacity::start(blocks, threads);
        Tuning {
            blocks,
            threads,
            trips: 128,
            steps: 1 << 16,
            fuel: (1 << 12, 1 << 22),
            capacity: Capacity {
                nodes: start.nodes.min(most.nodes),
                pairs: start.pairs.min(most.pairs),
            },
            rounds: match options.schedule {
                Schedule::Rounds => 64,
                // One launch, which should stay below a second.
                Schedule::Persistent => 16,
            },
            schedule: options.schedule,
            local: options.local,
            build: Build::Plain,
        }
    }

    fn grid(&self) -> Grid {
        let shared = match self.local {
            Local::Off => 0,
            Local::Auto => local_bytes(self.threads),
        };
        let grid = Grid::new(self.blocks, self.threads).shared(shared);
        match self.schedule {
            Schedule::Rounds => grid,
            Schedule::Persistent => grid.cooperative(),
        }
    }
}

/// Blocks of so many threads that the device holds at a time.
fn resident(gpu: &Gpu, options: NetOptions, threads: u32) -> Result<u32, CudaError> {
    let kernels = compile(gpu, Build::Plain, options.local)?;
    let kernel = match options.schedule {
        Schedule::Rounds => &kernels.round,
        Schedule::Persistent => &kernels.persistent,
    };
    let shared = match options.local {
        Local::Off => 0,
        Local::Auto => local_bytes(threads),
    };
    if shared > gpu.summary().shared_per_block {
        return Ok(0);
    }
    gpu.resident_blocks(kernel, threads, shared)
}

/// What reductions have cost, in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetStats {
    /// Nets reduced one by one by the whole device.
    pub reductions: u64,
    /// Rounds in which pairs were reduced.
    pub rounds: u64,
    /// Times the host waited for the device, readback of results aside.
    pub round_trips: u64,
    /// Times the buffers were enlarged.
    pub growths: u64,
    /// Nodes that were moved out of shared memory.
    pub leaks: u64,
    /// Arithmetic steps that the host computed.
    pub host_operations: u64,
    /// Most pairs that were alive at once between two rounds of a reduction. No sum: the most of all reductions.
    pub pairs_peak: u64,
}

impl NetStats {
    /// What was added since `before`, an earlier look at the same counters. The peak is that of all reductions.
    pub fn since(self, before: NetStats) -> NetStats {
        NetStats {
            reductions: self.reductions - before.reductions,
            rounds: self.rounds - before.rounds,
            round_trips: self.round_trips - before.round_trips,
            growths: self.growths - before.growths,
            leaks: self.leaks - before.leaks,
            host_operations: self.host_operations - before.host_operations,
            pairs_peak: self.pairs_peak,
        }
    }
}

/// The book on the device.
struct Loaded {
    book: Arc<Book>,
    buffer: Buffer<u64>,
}

/// Reduces one net at a time.
pub(crate) struct ParallelEngine {
    gpu: Arc<Gpu>,
    tuning: Tuning,
    kernels: Kernels,
    buffers: Buffers,
    loaded: Option<Loaded>,
    /// Made of what is loaded and of the buffers; made again when either changes.
    launches: Option<Launches>,
    stats: NetStats,
}

/// The bounds of one call.
struct Bounds {
    gas: u64,
    nodes: u64,
    most: Capacity,
}

/// Where a reduction stands after a batch.
enum Progress {
    /// Goes on; the host has changed something, or not.
    Goes(bool),
    Ends,
    Fails(ReduceError),
}

/// Batches without a round, one after another. All that a working device needs such batches for is that buffers double,
/// each up to its most, before a large definition fits.
const IDLE_MAX: u32 = 128;

const NAME: &str = "net/main";
const TEXT: &str = include_str!("../kernels/net/main.cu");
const ENTRIES: &[&str] = &["net_plan", "net_spread", "net_round", "net_persistent"];

fn source(build: Build, local: Local) -> Source {
    let name = match local {
        Local::Off => NAME,
        Local::Auto => "net/main-local",
    };
    let defines: &'static [(&str, &str)] = match (build, local) {
        (Build::Plain, Local::Off) => &[],
        (Build::Plain, Local::Auto) => &[("NET_LOCAL", "1")],
        #[cfg(test)]
        (Build::Check, Local::Off) => &[("NET_CHECK", "1")],
        #[cfg(test)]
        (Build::Check, Local::Auto) => &[("NET_CHECK", "1"), ("NET_LOCAL", "1")],
        #[cfg(test)]
        (Build::Mutant(defines), _) => defines,
    };
    Source {
        name,
        text: TEXT,
        entries: ENTRIES,
        defines,
    }
}

pub(crate) fn sources() -> Vec<Source> {
    [Local::Off, Local::Auto]
        .map(|local| source(Build::Plain, local))
        .to_vec()
}

fn compile(gpu: &Gpu, build: Build, local: Local) -> Result<Kernels, CudaError> {
    let kernels = gpu.kernels(&source(build, local))?;
    let [plan, spread, round, persistent] =
        <[_; 4]>::try_from(kernels).map_err(|kernels| CudaError::Kernel {
            kernel: NAME.into(),
            message: format!("{} entries", kernels.len()),
        })?;
    Ok(Kernels {
        plan,
        spread,
        round,
        persistent,
    })
}

impl ParallelEngine {
    /// Compiles the kernels and takes memory to start with.
    pub(crate) fn new(gpu: &Arc<Gpu>, options: NetOptions) -> Result<ParallelEngine, CudaError> {
        ParallelEngine::tuned(gpu, Tuning::of(gpu, options)?)
    }

    pub(super) fn tuned(gpu: &Arc<Gpu>, tuning: Tuning) -> Result<ParallelEngine, CudaError> {
        let threads = tuning.threads;
        if threads == 0 || threads > THREADS_MAX || !threads.is_multiple_of(32) {
            return Err(CudaError::BadLaunch {
                kernel: NAME.into(),
                message: format!("{threads} threads a block"),
            });
        }
        // One block and one large definition at least.
        let capacity = Capacity {
            nodes: tuning.capacity.nodes.max(64),
            pairs: tuning
                .capacity
                .pairs
                .max((2 * slack(threads)).next_power_of_two()),
        };
        Ok(ParallelEngine {
            gpu: Arc::clone(gpu),
            tuning,
            kernels: compile(gpu, tuning.build, tuning.local)?,
            buffers: Buffers::new(gpu, capacity, tuning.grid())?,
            loaded: None,
            launches: None,
            stats: NetStats::default(),
        })
    }

    /// What all reductions so far have cost.
    pub(crate) fn stats(&self) -> NetStats {
        self.stats
    }

    /// Reduces one call.
    pub(crate) fn reduce(
        &mut self,
        book: &Arc<Book>,
        call: &Call,
        limits: &Limits,
    ) -> Result<Result<Outcome, ReduceError>, JobError> {
        if let Err(error) = call.check(book) {
            return Ok(Err(error));
        }
        self.load(book)?;
        let most = Capacity::most(self.gpu.memory_limit());
        let bounds = Bounds {
            gas: limits.gas,
            nodes: limits.nodes.min(most.nodes),
            most,
        };
        self.stats.reductions += 1;
        Ok(self.run(book, call, limits, &bounds)?)
    }

    /// Brings the book to the device, unless it is there.
    fn load(&mut self, book: &Arc<Book>) -> Result<(), CudaError> {
        if self
            .loaded
            .as_ref()
            .is_some_and(|loaded| Arc::ptr_eq(&loaded.book, book))
        {
            return Ok(());
        }
        let CellBook { words, .. } = encode_cells(book, self.gpu.memory_limit())?;
        let needs = words.len() as u64;
        let buffer = match self.loaded.take() {
            Some(loaded) if loaded.buffer.len() >= needs => loaded.buffer,
            _ => {
                self.launches = None;
                self.gpu
                    .buffer("net.book", needs.next_power_of_two().max(1 << 10))?
            }
        };
        self.gpu.upload(&buffer, 0, &words)?;
        self.loaded = Some(Loaded {
            book: Arc::clone(book),
            buffer,
        });
        Ok(())
    }

    fn run(
        &mut self,
        book: &Book,
        call: &Call,
        limits: &Limits,
        bounds: &Bounds,
    ) -> Result<Result<Outcome, ReduceError>, CudaError> {
        let mut control = match self.start(book, call, bounds)? {
            Ok(control) => control,
            Err(error) => return Ok(Err(error)),
        };
        let (first, most) = self.tuning.fuel;
        let mut pace = Pace::new(self.tuning.rounds, first, most);
        let mut idle = 0;
        let mut plans = true;
        while idle < IDLE_MAX {
            control[FUEL as usize] = pace.fuel.into();
            control[ROUNDS as usize] = pace.rounds.into();
            control[PARCHED as usize] = 0;
            control[BARRIER as usize] = 0;
            let (after, took) = self.batch(&control, pace.rounds, plans)?;
            report::check(&control, &after)?;
            let ran = after[ROUND as usize] - control[ROUND as usize];
            self.stats.leaks += after[COUNTS as usize].saturating_sub(control[COUNTS as usize]);
            control = after;
            self.stats.rounds += ran;
            self.stats.pairs_peak = self.stats.pairs_peak.max(control[PAIRS_PEAK as usize]);
            match self.look(&mut control, bounds)? {
                Progress::Goes(changed) => {
                    plans = changed;
                    idle = if ran > 0 { 0 } else { idle + 1 };
                }
                Progress::Fails(error) => return Ok(Err(error)),
                Progress::Ends => return self.finish(book, limits, &control),
            }
            let ran = u32::try_from(ran).unwrap_or(u32::MAX);
            pace.adapt(took, ran, control[PARCHED as usize] > 0);
        }
        Err(CudaError::Driver {
            message: "kernels are launched, and nothing happens".into(),
        })
    }

    /// Puts the root, the first pair, and the nodes that hold the arguments into an empty heap. The control words.
    fn start(
        &mut self,
        book: &Book,
        call: &Call,
        bounds: &Bounds,
    ) -> Result<Result<Vec<u64>, ReduceError>, CudaError> {
        // Node 0 holds the root's cell, which trails whoever reads the result.
        let root = Term::var(0);
        let mut nodes: Vec<Terms> = vec![[1 << 32, 0]];
        let last = call.arguments.len();
        for (index, argument) in (1..).zip(&call.arguments) {
            let next = if index as usize == last {
                root
            } else {
                Term::node(Class::Con, 0, 2 * (index + 1))
            };
            nodes.push([argument.0, next.0]);
        }
        let used = nodes.len() as u64;
        if used > bounds.nodes {
            return Ok(Err(out_of_heap(bounds)));
        }
        let mut control = vec![0; WORDS as usize];
        if used > self.buffers.capacity.nodes {
            let wanted = Capacity {
                nodes: used.next_power_of_two(),
                ..self.buffers.capacity
            };
            self.launches = None;
            self.buffers.grow(&self.gpu, wanted, &mut control)?;
        }
        for (at, value) in [
            (GROUPS_MAX, self.tuning.blocks.into()),
            (TRIPS, self.tuning.trips.into()),
            (STEPS_MAX, self.tuning.steps.into()),
            (SLACK, slack(self.tuning.threads)),
            (GAS, bounds.gas),
            (PUSHED, 1),
            (NODE_BUMP, used),
        ] {
            control[at as usize] = value;
        }
        self.buffers.describe(&mut control, bounds.nodes);
        control[PUSH_LIMIT as usize] = control[BAG_CAPACITY as usize];
        self.buffers.reset(&self.gpu)?;
        self.gpu.upload(&self.buffers.nodes, 0, &nodes)?;
        let copyable = book.definitions()[call.entry as usize].copyable;
        let reference = Term::reference(call.entry, copyable);
        // Without arguments the definition stands at the root, where references rest: the sub bit has it expanded.
        let pair = if call.arguments.is_empty() {
            [reference.with_sub().0, root.0]
        } else {
            [reference.0, Term::node(Class::Con, 0, 2).0]
        };
        self.gpu.upload(&self.buffers.bag, 0, &[pair])?;
        Ok(Ok(control))
    }

    /// Runs some rounds with these control words. The control words they leave, and how long it took.
    fn batch(
        &mut self,
        control: &[u64],
        rounds: u32,
        plans: bool,
    ) -> Result<(Vec<u64>, Duration), CudaError> {
        let loaded = self.loaded.as_ref().expect("a book is loaded before a run");
        let mut launches = match self.launches.take() {
            Some(launches) => launches,
            None => Launches::new(
                &self.gpu,
                &self.kernels,
                &self.buffers,
                &loaded.buffer,
                self.tuning.grid(),
            )?,
        };
        self.gpu.upload(&self.buffers.control, 0, control)?;
        let started = Instant::now();
        launches.queue(&self.gpu, rounds, plans)?;
        let after = self.gpu.read(&self.buffers.control, 0, WORDS.into())?;
        self.stats.round_trips += 1;
        self.launches = Some(launches);
        Ok((after, started.elapsed()))
    }

    /// Judges what a batch left, and does the host's part of the work.
    fn look(&mut self, control: &mut [u64], bounds: &Bounds) -> Result<Progress, CudaError> {
        let status = control[STATUS as usize];
        if counts(control).total() > bounds.gas {
            return Ok(Progress::Fails(ReduceError::OutOfGas { limit: bounds.gas }));
        }
        if status == u64::from(STATUS_OUT_OF_GAS) {
            return Err(CudaError::Driver {
                message: "the device stopped for gas, but its counters do not say so".into(),
            });
        }
        let operations = control[HOST_WAITING as usize].min(HOST_MAX.into());
        if operations > 0 {
            self.compute(control, operations)?;
        }
        let waiting = control[EXPAND_WAITING as usize] - control[EXPAND_PLACED as usize];
        let pairs = control[N as usize] > 0 || control[KEPT as usize] > 0;
        if operations == 0 && !pairs && waiting == 0 {
            return Ok(Progress::Ends);
        }
        let mut grew = false;
        if status == u64::from(STATUS_STALLED) {
            let stall = control[STALL as usize];
            let lacking = stall & u64::from(STALL_NODES | STALL_BAG);
            if lacking != 0 {
                grew = self.grow(control, lacking, bounds)?;
                // Answers of the host may be all that is lacking.
                if !grew && operations == 0 {
                    return Ok(Progress::Fails(out_of_heap(bounds)));
                }
            } else if operations == 0 {
                return Err(CudaError::Driver {
                    message: format!("the net stands still for no reason (stall {stall:#x})"),
                });
            }
        } else {
            let scarce = self.scarce(control);
            grew = match self.grow(control, scarce, bounds) {
                // Perhaps it is not needed.
                Err(CudaError::OutOfMemory { .. } | CudaError::TooLarge { .. }) => false,
                grew => grew?,
            };
        }
        let changed = grew || operations > 0;
        control[STATUS as usize] = STATUS_RUNNING.into();
        if changed {
            // A round in which nothing moved says nothing about the next.
            control[GROUPS_RAN as usize] = 0;
        }
        Ok(Progress::Goes(changed))
    }

    /// What there may soon be too little of.
    fn scarce(&self, control: &[u64]) -> u64 {
        let few = free_nodes(control) < control[NODE_CAPACITY as usize] / 4;
        let pairs = control[N as usize];
        let blocks = u64::from(self.tuning.blocks).min(pairs.div_ceil(self.tuning.threads.into()));
        let room = 2 * pairs + blocks * control[SLACK as usize] + u64::from(HOST_MAX);
        let narrow = control[BAG_CAPACITY as usize] < room;
        (u64::from(STALL_NODES) * u64::from(few)) | (u64::from(STALL_BAG) * u64::from(narrow))
    }

    /// Doubles what is lacking, as far as allowed. Whether anything grew.
    fn grow(
        &mut self,
        control: &mut [u64],
        lacking: u64,
        bounds: &Bounds,
    ) -> Result<bool, CudaError> {
        let now = self.buffers.capacity;
        let double = |flag: u32, now: u64, most: u64| {
            if lacking & u64::from(flag) != 0 && now < most {
                now * 2
            } else {
                now
            }
        };
        let wanted = Capacity {
            nodes: double(STALL_NODES, now.nodes, bounds.nodes.min(bounds.most.nodes)),
            pairs: double(STALL_BAG, now.pairs, bounds.most.pairs),
        };
        if wanted == now {
            return Ok(false);
        }
        self.launches = None;
        self.buffers.grow(&self.gpu, wanted, control)?;
        self.buffers.describe(control, bounds.nodes);
        self.stats.growths += 1;
        Ok(true)
    }

    /// Computes the arithmetic steps that kernels left; the answers meet what waits for them in the next round. The
    /// steps have been counted when they were left.
    fn compute(&mut self, control: &mut [u64], operations: u64) -> Result<(), CudaError> {
        let words = operations * u64::from(HOST_ENTRY);
        let list = self
            .gpu
            .read(&self.buffers.control, HOST_LIST.into(), words)?;
        self.stats.round_trips += 1;
        let answer = |entry: &[u64]| [operate(Term(entry[0]), Term(entry[1])).0, entry[2]];
        let answers: Vec<Terms> = list.chunks_exact(HOST_ENTRY as usize).map(answer).collect();
        // The bag keeps so many places free beyond those that kernels fill.
        let n = control[N as usize];
        self.gpu.upload(&self.buffers.bag, n, &answers)?;
        control[PUSHED as usize] = operations;
        control[PUSH_LIMIT as usize] = control[PUSH_LIMIT as usize].max(n + operations);
        control[HOST_WAITING as usize] = 0;
        self.stats.host_operations += operations;
        Ok(())
    }

    /// Reads the normal form back.
    fn finish(
        &mut self,
        book: &Book,
        limits: &Limits,
        control: &[u64],
    ) -> Result<Result<Outcome, ReduceError>, CudaError> {
        let heap = DeviceHeap::new(&self.gpu, &self.buffers.nodes, book.definitions().len());
        let result = readback(book, &heap, Term::var(0), limits.result_bytes);
        if let Some(error) = heap.into_error() {
            return Err(error);
        }
        Ok(result.map(|result| Outcome {
            result: result.text,
            number: result.number,
            counts: counts(control),
        }))
    }
}

fn out_of_heap(bounds: &Bounds) -> ReduceError {
    ReduceError::OutOfHeap {
        limit: bounds.nodes,
    }
}

/// Interactions so far.
pub(super) fn counts(control: &[u64]) -> Counts {
    let mut counts = Counts::default();
    for op in Opcode::COUNTED {
        counts.add(op, control[(COUNTS + op as u32) as usize]);
    }
    counts
}
