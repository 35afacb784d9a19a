//! The parallel engine: one net, reduced by the whole device, round after round.
//!
//! The host submits rounds in batches and reads a few words after each: whether the net is done, what it has cost, what
//! there is too little of. It joins the answers of arithmetic that kernels leave to it, and enlarges the buffers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ffcm::coprocessor::JobError;
use ffcm::device::net::{Pace, encode, term};
use ffcm::net::readback::readback;
use ffcm::net::{Book, Call, Limits, Outcome, ReduceError};
use ffcm::spec::number::operate;
use ffcm::spec::rules::{Counts, Opcode};
use ffcm::spec::word::{Class, Term};
use ffcm_jit::lane::ROW_TRIPS;

use super::buffers::{
    Bindings, Buffers, Capacity, Kernels, REPORT_HEAP, REPORT_WORDS, free_entries,
};
use super::control::*;
use super::fuel;
use super::functions::{Functions, LaneFunctions, With};
use super::heap::{DeviceHeap, Table};
use super::report;
use super::sources::{self, Build};
use crate::device::{Buffer, Gpu, GpuError, Groups};

/// How the engine goes about its work. No choice changes a result or a count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    /// Most workgroups of a round, up to 1024.
    pub(crate) groups: u32,
    /// Most moves of a lane in a step.
    pub(crate) trips: u32,
    /// Most steps of a round, up to 255.
    pub(crate) steps: u32,
    /// Most trips of all loops of a lane in a dispatch; probed if not given.
    pub(crate) fuel: Option<u32>,
    /// What to start with.
    pub(crate) capacity: Capacity,
    /// Most rounds of a batch.
    pub(crate) rounds: u32,
    /// Some time in which a round should end.
    pub(crate) patience: Duration,
    /// Which kernel.
    pub(crate) build: Build,
    /// When lane functions take the place of expansions.
    pub(crate) functions: LaneFunctions,
    /// Most segments that a lane function goes through before its definition is expanded instead, up to 4096: the more, the
    /// more is done in registers, and the fewer lanes have work in a net that is not large.
    pub(crate) call_trips: u32,
}

impl Tuning {
    /// What suits the device.
    pub(crate) fn of(gpu: &Gpu) -> Tuning {
        let on_processor = gpu.adapter().kind == "CPU";
        Tuning {
            // A driver that runs on processors takes workgroups one after the other.
            groups: if on_processor { 8 } else { 512 },
            patience: if on_processor {
                fuel::ROUND_ON_PROCESSOR
            } else {
                Pace::ROUND
            },
            trips: 128,
            steps: 255,
            fuel: None,
            capacity: Capacity::start(),
            rounds: 32,
            build: Build::Plain,
            functions: LaneFunctions::Off,
            call_trips: if on_processor { 4096 } else { 512 },
        }
    }
}

/// What reductions have cost, in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetStats {
    /// Nets reduced one by one by the whole device.
    pub reductions: u64,
    /// Rounds in which pairs were reduced.
    pub rounds: u64,
    /// Dispatches submitted.
    pub dispatches: u64,
    /// Times the host waited for the device, readback of results aside.
    pub round_trips: u64,
    /// Times the buffers were enlarged.
    pub growths: u64,
    /// Arithmetic steps that the host computed.
    pub host_operations: u64,
    /// Most pairs that were alive at once between two rounds of a reduction: interactions and links that nothing keeps
    /// from being done at the same time. No sum: the most of all reductions.
    pub pairs_peak: u64,
    /// Lane functions that ran in place of an expansion.
    pub calls: u64,
    /// Lane functions that stopped without an answer, so that a definition was expanded.
    pub calls_left: u64,
    /// Bytes that kernels read and wrote in nodes, stamps, payloads, pairs, lists of free nodes and wires, and the book:
    /// every access of every lane, an exchange of a stamp once. Control words and workgroup memory are not among them.
    /// None unless [`NetOptions::count_bytes`](super::NetOptions::count_bytes).
    pub kernel_bytes: Option<u64>,
}

impl NetStats {
    /// What was added since `before`, an earlier look at the same counters. The peak is that of all reductions.
    pub fn since(self, before: NetStats) -> NetStats {
        NetStats {
            reductions: self.reductions - before.reductions,
            rounds: self.rounds - before.rounds,
            dispatches: self.dispatches - before.dispatches,
            round_trips: self.round_trips - before.round_trips,
            growths: self.growths - before.growths,
            host_operations: self.host_operations - before.host_operations,
            pairs_peak: self.pairs_peak,
            calls: self.calls - before.calls,
            calls_left: self.calls_left - before.calls_left,
            kernel_bytes: self
                .kernel_bytes
                .map(|bytes| bytes - before.kernel_bytes.unwrap_or(0)),
        }
    }
}

/// The book on the device.
struct Loaded {
    book: Arc<Book>,
    buffer: Buffer,
}

/// Reduces one net at a time.
pub(crate) struct ParallelEngine {
    gpu: Arc<Gpu>,
    tuning: Tuning,
    fuel_most: u32,
    kernels: Kernels,
    buffers: Buffers,
    loaded: Option<Loaded>,
    /// Made of what is loaded and of the buffers; made again when either changes.
    bindings: Option<Bindings>,
    functions: Functions,
    /// Stamps below this may not be zero.
    wires_used: u32,
    stats: NetStats,
}

/// The bounds of one call.
struct Bounds {
    gas: u64,
    nodes: u32,
    wires: u32,
    most: Capacity,
}

/// Where a reduction stands after a batch.
enum Progress {
    Goes,
    Ends,
    Fails(ReduceError),
}

/// Batches without a round, one after another. All that a working device needs such batches for is that buffers double,
/// each up to its most, before a large definition fits.
const IDLE_MAX: u32 = 128;

impl ParallelEngine {
    /// Compiles the kernels and finds out how long they may loop.
    pub(crate) fn new(gpu: &Arc<Gpu>, tuning: Tuning) -> Result<ParallelEngine, GpuError> {
        let fuel_most = match tuning.fuel {
            Some(fuel) => fuel,
            None => fuel::probe(gpu)?,
        };
        let most = Capacity::most(gpu.profile().binding_bytes);
        let (with, when): (With, _) = match tuning.build {
            Build::Plain => (
                |text| sources::main(Build::Plain, Some(text)),
                tuning.functions,
            ),
            // Bytes are counted of nets that are expanded.
            Build::Count => (
                |text| sources::main(Build::Count, Some(text)),
                LaneFunctions::Off,
            ),
            #[cfg(test)]
            Build::Race | Build::Mutant(_) => (
                |text| sources::main(Build::Race, Some(text)),
                tuning.functions,
            ),
        };
        Ok(ParallelEngine {
            gpu: Arc::clone(gpu),
            tuning,
            fuel_most,
            kernels: Kernels::new(gpu, tuning.build)?,
            buffers: Buffers::new(gpu, tuning.capacity.min(most), tuning.build)?,
            loaded: None,
            bindings: None,
            functions: Functions::new(gpu, with, when),
            wires_used: 0,
            stats: NetStats {
                kernel_bytes: (tuning.build == Build::Count).then_some(0),
                ..NetStats::default()
            },
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
        let most = Capacity::most(self.gpu.profile().binding_bytes);
        let bounds = Bounds {
            gas: limits.gas,
            nodes: limits.nodes.min(u64::from(most.nodes)) as u32,
            wires: (limits.nodes.saturating_mul(4).saturating_add(1024)).min(u64::from(most.wires))
                as u32,
            most,
        };
        self.stats.reductions += 1;
        Ok(self.run(book, call, limits, &bounds)?)
    }

    /// Brings the book to the device, unless it is there.
    fn load(&mut self, book: &Arc<Book>) -> Result<(), GpuError> {
        if self
            .loaded
            .as_ref()
            .is_some_and(|loaded| Arc::ptr_eq(&loaded.book, book))
        {
            return Ok(());
        }
        let encoded = encode(book, self.gpu.profile().binding_bytes)?;
        let words = encoded.words.len() as u64;
        let fitting = match self.loaded.take() {
            Some(loaded) if loaded.buffer.words() >= words => Some(loaded.buffer),
            _ => None,
        };
        let buffer = match fitting {
            Some(buffer) => buffer,
            None => {
                self.bindings = None;
                let limit = self.gpu.profile().binding_bytes / 4;
                let room = words.next_power_of_two().clamp(1 << 12, limit.max(words));
                self.gpu.buffer("net.book", room)?
            }
        };
        self.gpu.upload(&buffer, 0, &encoded.words)?;
        self.loaded = Some(Loaded {
            book: Arc::clone(book),
            buffer,
        });
        Ok(())
    }

    /// Takes the kernel with the lane functions of a book, when it is there.
    fn choose(&mut self, book: &Arc<Book>, interactions: u64) {
        let kernel = self.functions.kernel(book, interactions);
        if self.kernels.choose(kernel) {
            self.bindings = None;
        }
    }

    fn run(
        &mut self,
        book: &Arc<Book>,
        call: &Call,
        limits: &Limits,
        bounds: &Bounds,
    ) -> Result<Result<Outcome, ReduceError>, GpuError> {
        let mut control = match self.start(book, call, bounds)? {
            Ok(control) => control,
            Err(error) => return Ok(Err(error)),
        };
        let mut pace = Pace::new(self.tuning.rounds, fuel::FIRST, self.fuel_most)
            .patient(self.tuning.patience);
        let mut batches = 0;
        let mut idle = 0;
        while idle < IDLE_MAX {
            self.choose(book, counts(&control).total());
            control[FUEL as usize] = pace.fuel;
            control[PARCHED as usize] = 0;
            let started = Instant::now();
            let reports = batches < 2;
            let (before, bytes_before) = (control[ROUND as usize], bytes(&control));
            let before_calls = [CALLS_DONE, CALLS_LEFT].map(|at| control[at as usize]);
            let report = self.batch(&control, pace.rounds, batches == 0, reports)?;
            let took = started.elapsed();
            batches += 1;
            report::check(&control, &report)?;
            control.copy_from_slice(&report[..WORDS as usize]);
            // Workgroups count on beyond the last number there is.
            for words in [0, POOL_WORDS] {
                let most = control[(NODE_CAPACITY + words) as usize];
                let bump = &mut control[(NODE_BUMP + words) as usize];
                *bump = most.min(*bump);
            }
            #[cfg(test)]
            if control[RACES as usize] > 0 {
                let message = super::races::message(control[RACES as usize]);
                return Err(GpuError::Driver { message });
            }
            self.wires_used = self.wires_used.max(control[WIRE_BUMP as usize]);
            let ran = control[ROUND as usize].wrapping_sub(before);
            self.stats.rounds += u64::from(ran);
            let peak = u64::from(control[PAIRS_PEAK as usize]);
            self.stats.pairs_peak = self.stats.pairs_peak.max(peak);
            let [done, left] = [CALLS_DONE, CALLS_LEFT].map(|at| {
                let before = before_calls[(at - CALLS_DONE) as usize];
                u64::from(control[at as usize].wrapping_sub(before))
            });
            self.stats.calls += done;
            self.stats.calls_left += left;
            if let Some(all) = &mut self.stats.kernel_bytes {
                *all += bytes(&control).saturating_sub(bytes_before);
            }
            match self.look(&mut control, bounds)? {
                Progress::Goes => idle = if ran > 0 { 0 } else { idle + 1 },
                Progress::Fails(error) => return Ok(Err(error)),
                Progress::Ends => return self.finish(book, limits, &control, &report),
            }
            pace.adapt(took, ran, report[PARCHED as usize] > 0);
        }
        Err(GpuError::Driver {
            message: "kernels are submitted, and nothing happens".into(),
        })
    }

    /// Puts the first pair, and the nodes that hold the arguments, into an empty heap. The control words.
    fn start(
        &mut self,
        book: &Book,
        call: &Call,
        bounds: &Bounds,
    ) -> Result<Result<Vec<u32>, ReduceError>, GpuError> {
        let root = Term::var(0);
        let arguments = call.arguments.len() as u64;
        let copyable = book.definitions()[call.entry as usize].copyable;
        let reference = Term::reference(call.entry, copyable);
        let mut control = vec![0; WORDS as usize];
        let set = &mut |at: u32, value: u32| control[at as usize] = value;
        set(GROUPS_MAX, self.tuning.groups.clamp(1, 1024));
        set(TRIPS, self.tuning.trips);
        set(CALL_TRIPS, self.tuning.call_trips.clamp(1, ROW_TRIPS));
        set(STEPS_MAX, self.tuning.steps.clamp(1, 255));
        set(GAS, bounds.gas as u32);
        set(GAS + 1, (bounds.gas >> 32) as u32);
        set(PUSHED, 1);
        set(WIRE_BUMP, 1);
        set(NODE_BUMP, arguments.min(u64::from(u32::MAX)) as u32);
        if arguments > u64::from(bounds.nodes) {
            return Ok(Err(out_of_heap(bounds)));
        }
        while arguments > u64::from(self.buffers.capacity.nodes) {
            let mut empty = vec![0; WORDS as usize];
            let wanted = Capacity {
                nodes: self.buffers.capacity.nodes * 2,
                ..self.buffers.capacity
            };
            self.bindings = None;
            self.buffers.grow(&self.gpu, wanted, &mut empty)?;
        }
        self.buffers
            .describe(&mut control, bounds.nodes, bounds.wires);
        control[PUSH_LIMIT as usize] = control[BAG_CAPACITY as usize];
        control[DUMP_AT as usize] = control[BAG_CAPACITY as usize];
        // Without arguments the definition stands at the root, where references rest: the sub bit has it expanded.
        let (mut a, mut b) = (reference.with_sub(), root);
        if arguments > 0 {
            let last = call.arguments.len() - 1;
            let mut words = Vec::with_capacity(call.arguments.len() * 4);
            for (index, argument) in (0u32..).zip(&call.arguments) {
                let next = if index as usize == last {
                    root
                } else {
                    Term::node(Class::Con, 0, index + 1)
                };
                words.extend([argument.w0(), argument.w1(), next.w0(), next.w1()]);
            }
            self.gpu.upload(&self.buffers.nodes, 0, &words)?;
            (a, b) = (reference, Term::node(Class::Con, 0, 0));
        }
        self.gpu
            .upload(&self.buffers.bag, 0, &[a.w0(), a.w1(), b.w0(), b.w1()])?;
        Ok(Ok(control))
    }

    /// Runs some rounds with these control words. The control words they leave, and the beginning of the heap if
    /// `reports`.
    fn batch(
        &mut self,
        control: &[u32],
        rounds: u32,
        is_first: bool,
        reports: bool,
    ) -> Result<Vec<u32>, GpuError> {
        let bindings = match self.bindings.take() {
            Some(bindings) => bindings,
            None => {
                let loaded = self.loaded.as_ref().expect("a book is loaded before a run");
                self.buffers
                    .bind(&self.gpu, &self.kernels, &loaded.buffer)?
            }
        };
        let buffers = &self.buffers;
        self.gpu.upload(&buffers.control, 0, control)?;
        let mut commands = self.gpu.commands("net.batch");
        if is_first {
            commands.clear(&buffers.stamps, 0, u64::from(self.wires_used));
            if let Some(shadows) = &buffers.shadows {
                commands.clear(shadows, 0, shadows.words());
            }
        }
        for _ in 0..rounds {
            commands
                .dispatch(&bindings.plan, Groups::Count(1))
                .dispatch(&bindings.spread, Groups::Indirect(&buffers.arguments, 3))
                .dispatch(&bindings.main, Groups::Indirect(&buffers.arguments, 0));
        }
        self.stats.dispatches += 3 * u64::from(rounds);
        self.stats.round_trips += 1;
        let words = u64::from(WORDS);
        let report = if reports {
            let to = &buffers.report;
            commands
                .copy(&buffers.control, 0, to, 0, words)
                .copy(&buffers.nodes, 0, to, words, REPORT_HEAP * 4)
                .copy(&buffers.stamps, 0, to, words + REPORT_HEAP * 4, REPORT_HEAP)
                .copy(
                    &buffers.payloads,
                    0,
                    to,
                    words + REPORT_HEAP * 5,
                    REPORT_HEAP * 2,
                );
            commands.submit_and_read(to, 0, REPORT_WORDS)?
        } else {
            commands.submit_and_read(&buffers.control, 0, words)?
        };
        if is_first {
            self.wires_used = 0;
        }
        self.bindings = Some(bindings);
        Ok(report)
    }

    /// Judges what a batch left, and does the host's part of the work.
    fn look(&mut self, control: &mut [u32], bounds: &Bounds) -> Result<Progress, GpuError> {
        let status = control[STATUS as usize];
        if counts(control).total() > bounds.gas {
            return Ok(Progress::Fails(ReduceError::OutOfGas { limit: bounds.gas }));
        }
        if status == STATUS_OUT_OF_GAS {
            return Err(GpuError::Driver {
                message: "the device stopped for gas, but its counters do not say so".into(),
            });
        }
        let operations = control[HOST_WAITING as usize].min(HOST_MAX);
        if operations > 0 {
            self.compute(control, operations)?;
        }
        if operations == 0 && pairs(control) == 0 && waiting(control) == 0 {
            return Ok(Progress::Ends);
        }
        let mut grew = false;
        if status == STATUS_STALLED {
            let stall = control[STALL as usize];
            let lacking = stall & (STALL_NODES | STALL_WIRES | STALL_BAG);
            if lacking != 0 {
                grew = self.grow(control, lacking, bounds)?;
                // Answers of the host may be all that is lacking.
                if !grew && operations == 0 {
                    return Ok(Progress::Fails(out_of_heap(bounds)));
                }
            } else if operations == 0 {
                return Err(GpuError::Driver {
                    message: format!("the net stands still for no reason (stall {stall:#x})"),
                });
            }
        } else {
            let scarce = self.scarce(control);
            grew = match self.grow(control, scarce, bounds) {
                // Perhaps it is not needed.
                Err(GpuError::OutOfMemory { .. }) => false,
                grew => grew?,
            };
        }
        control[STATUS as usize] = STATUS_RUNNING;
        if grew || operations > 0 {
            // A round in which nothing moved says nothing about the next.
            control[GROUPS_RAN as usize] = 0;
        }
        Ok(Progress::Goes)
    }

    /// What there may soon be too little of.
    fn scarce(&self, control: &[u32]) -> u32 {
        let low = |words: u32| {
            let capacity = control[(NODE_CAPACITY + words) as usize];
            free_entries(control, words) < capacity / 4
        };
        let pairs = pairs(control);
        let capacity = control[BAG_CAPACITY as usize];
        let groups = self.tuning.groups.clamp(1, 1024).min(pairs.div_ceil(64));
        let narrow = u64::from(capacity)
            < u64::from(pairs) * 2 + u64::from(groups) * u64::from(SLACK) + u64::from(HOST_MAX);
        let mut scarce = 0;
        for (is_scarce, flag) in [
            (low(0), STALL_NODES),
            (low(POOL_WORDS), STALL_WIRES),
            (narrow, STALL_BAG),
        ] {
            if is_scarce {
                scarce |= flag;
            }
        }
        scarce
    }

    /// Doubles what is lacking, as far as allowed. Whether anything grew.
    fn grow(
        &mut self,
        control: &mut [u32],
        lacking: u32,
        bounds: &Bounds,
    ) -> Result<bool, GpuError> {
        let now = self.buffers.capacity;
        let double = |flag: u32, now: u32, most: u32| {
            if lacking & flag != 0 && now < most {
                now * 2
            } else {
                now
            }
        };
        let most_nodes = bounds.nodes.min(bounds.most.nodes);
        let most_wires = bounds.wires.min(bounds.most.wires);
        let wanted = Capacity {
            nodes: double(STALL_NODES, now.nodes, most_nodes),
            wires: double(STALL_WIRES, now.wires, most_wires),
            pairs: double(STALL_BAG, now.pairs, bounds.most.pairs),
        };
        if wanted == now {
            return Ok(false);
        }
        self.bindings = None;
        self.buffers.grow(&self.gpu, wanted, control)?;
        self.buffers.describe(control, bounds.nodes, bounds.wires);
        self.stats.growths += 1;
        Ok(true)
    }

    /// Computes the arithmetic steps that kernels left; the answers meet what waits for them in the next round. The
    /// steps have been counted when they were left.
    fn compute(&mut self, control: &mut [u32], operations: u32) -> Result<(), GpuError> {
        let words = u64::from(operations * HOST_ENTRY);
        let list = self
            .gpu
            .read(&self.buffers.control, u64::from(HOST_LIST), words)?;
        self.stats.round_trips += 1;
        let mut answers = Vec::with_capacity(operations as usize * 4);
        for entry in list.chunks_exact(HOST_ENTRY as usize) {
            let answer = operate(term(entry[0], entry[1]), term(entry[2], entry[3]));
            answers.extend([answer.w0(), answer.w1(), entry[4], entry[5]]);
        }
        // The bag keeps so many places free beyond those that kernels fill.
        let n = control[N as usize];
        let pushed = control[PUSHED as usize].min(control[PUSH_LIMIT as usize] - n);
        let end = pushed + operations;
        self.gpu
            .upload(&self.buffers.bag, u64::from(n + pushed) * 4, &answers)?;
        control[PUSHED as usize] = end;
        control[PUSH_LIMIT as usize] = control[PUSH_LIMIT as usize].max(n + end);
        control[HOST_WAITING as usize] = 0;
        self.stats.host_operations += u64::from(operations);
        Ok(())
    }

    /// Reads the normal form back.
    fn finish(
        &mut self,
        book: &Book,
        limits: &Limits,
        control: &[u32],
        report: &[u32],
    ) -> Result<Result<Outcome, ReduceError>, GpuError> {
        let buffers = &self.buffers;
        let heap = DeviceHeap::new(
            &self.gpu,
            [&buffers.nodes, &buffers.stamps, &buffers.payloads],
            book.definitions().len(),
        );
        let used = control[NODE_BUMP as usize].max(control[WIRE_BUMP as usize]);
        if report.len() as u64 == REPORT_WORDS && u64::from(used) <= REPORT_HEAP {
            let size = REPORT_HEAP as usize;
            let (nodes, wires) = report[WORDS as usize..].split_at(size * 4);
            let (stamps, payloads) = wires.split_at(size);
            heap.insert(Table::Nodes, nodes.to_vec());
            heap.insert(Table::Stamps, stamps.to_vec());
            heap.insert(Table::Payloads, payloads.to_vec());
        }
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
        limit: bounds.nodes.into(),
    }
}

/// Interactions so far.
pub(super) fn counts(control: &[u32]) -> Counts {
    let mut counts = Counts::default();
    for op in Opcode::COUNTED {
        let at = (COUNTS + op as u32) as usize;
        counts.add(
            op,
            u64::from(control[at + 8]) << 32 | u64::from(control[at]),
        );
    }
    counts
}

/// Bytes accessed so far, in the build that counts them.
fn bytes(control: &[u32]) -> u64 {
    u64::from(control[BYTES as usize + 1]) << 32 | u64::from(control[BYTES as usize])
}

/// Pairs in the bag.
pub(super) fn pairs(control: &[u32]) -> u32 {
    let word = |at: u32| control[at as usize];
    let n = word(N);
    let kept = n - word(TAKEN).min(n);
    kept + word(PUSHED).min(word(PUSH_LIMIT) - n) + word(DUMPED)
}

/// Large definitions that wait to be expanded.
pub(super) fn waiting(control: &[u32]) -> u32 {
    let placed = control[EXPAND_PLACED as usize];
    control[EXPAND_WAITING as usize].min(EXPAND_MAX) - placed
}
