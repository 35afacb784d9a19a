//! Many small calls at once, one lane of the device for each.
//!
//! Batches of calls of a small definition, such as weight nets, have no parallelism inside a call worth looking for, and
//! plenty between calls. Each lane reduces its call alone in a small memory of its own. A call that does not fit is left
//! to the engine that spreads one net over the whole device.

use std::cell::Cell;
use std::sync::Arc;

use ffcm::device::net::{Bare, Encoded, Outside, encode as encode_book, names_nothing, term};
use ffcm::net::readback::{Heap, readback};
use ffcm::net::{Book, Call, Limits, Outcome, ReduceError};
use ffcm::spec::rules::{Counts, Opcode};
use ffcm::spec::word::{Class, Term};

use super::fire::FIRE;
use super::functions::{Functions, LaneFunctions};
use crate::RULES;
use crate::device::{Binding, Bound, Buffer, Gpu, GpuError, Groups, Kernel, Source};

const NUMBER: &str = include_str!("../kernels/number.wgsl");
const CALLS: &str = include_str!("../kernels/net/calls.wgsl");
const CALLS_NONE: &str = include_str!("../kernels/net/calls_none.wgsl");
const CALLS_LANE: &str = include_str!("../kernels/net/calls_lane.wgsl");

// Constants of `calls.wgsl`; a test compares them.
const LANES_PER_GROUP: u32 = 64;
const FUEL: u32 = 4096;
const CALL_FUEL: u32 = 1024;
const STATUS_NEW: u32 = 0;
const STATUS_RUNNING: u32 = 1;
const STATUS_DONE: u32 = 2;
const STATUS_OUT_OF_GAS: u32 = 3;
const STATE_ROOT: u32 = 1;
const STATE_NODES_USED: u32 = 3;
const STATE_WIRES_USED: u32 = 4;
const STATE_COUNTS: u32 = 5;
/// The words of a lane's state that the host reads.
const RESULT_WORDS: u32 = 19;
/// All of them.
const STATE_WORDS: u32 = 27;

/// Nodes, wires and waiting pairs of a lane.
const NODES: u32 = 256;
const WIRES: u32 = 256;
const PAIRS: u32 = 64;

/// Lanes of a wave, at most. A lane takes 7 KiB of memory, and 4 bytes for each node and wire of the largest definition.
const LANES_MAX: u64 = 1 << 14;

/// Trips of loops that one submission may take, over all lanes together, so that it ends long before the time limit of
/// the device even where lanes run one after another.
const TRIPS_PER_SUBMISSION: u32 = 1 << 26;

// One dispatch of all lanes is the least that a submission can be.
const _: () = assert!(LANES_MAX * FUEL as u64 <= TRIPS_PER_SUBMISSION as u64);

/// Dispatches after which a wave is no longer worth keeping for [`LANES_FEW`] lanes or fewer.
const DISPATCHES_MANY: u32 = 256;
const LANES_FEW: usize = 16;

// A SIMD group of 8 lanes takes at most the trips of its lanes together; one common driver ends loops silently after
// 65535. Fuel may be overdrawn by a lane function and the largest expansion.
const _: () = assert!(8 * (FUEL + CALL_FUEL + 2 * NODES + WIRES + PAIRS + 32) < 65535);

/// The kernel.
pub(crate) fn source() -> Source {
    of(&[RULES, NUMBER, FIRE, CALLS, CALLS_NONE])
}

/// The kernel with the lane functions of a book.
pub(crate) fn with_functions(text: &str) -> Source {
    of(&[RULES, NUMBER, FIRE, CALLS, CALLS_LANE, text])
}

fn of(parts: &[&str]) -> Source {
    Source {
        name: "net.calls",
        text: parts.concat(),
        entry: "main",
        bindings: &[
            Binding::Uniform,
            Binding::Read,
            Binding::Read,
            Binding::Write,
            Binding::Write,
            Binding::Write,
            Binding::Write,
            Binding::Write,
        ],
    }
}

/// A book on the device.
struct Loaded {
    book: Arc<Book>,
    encoded: Encoded,
    buffer: Buffer,
    /// What its calls have made so far.
    interactions: Cell<u64>,
}

/// What became of a call; `None` if it was not finished here.
pub(crate) type Ending = Option<Result<Outcome, ReduceError>>;

/// Reduces batches of small calls.
pub(crate) struct CallsEngine {
    gpu: Arc<Gpu>,
    kernel: Arc<Kernel>,
    functions: Functions,
    params: Buffer,
    loaded: Option<Loaded>,
    /// Kept from wave to wave, in the order of the bindings from `calls` on.
    memory: Vec<Buffer>,
    /// One group's nodes and wires, on their way to the host; made when first needed.
    gathered: Option<Buffer>,
}

/// Slots of each lane, and lanes.
#[derive(Clone, Copy, Debug)]
struct Shape {
    lanes: u32,
    nodes: u32,
    wires: u32,
    map: u32,
}

/// Calls that run together.
struct Wave<'a> {
    shape: Shape,
    calls: &'a [(usize, &'a Call)],
    limits: &'a Limits,
    book: &'a Loaded,
}

impl CallsEngine {
    pub(crate) fn new(gpu: &Arc<Gpu>, functions: LaneFunctions) -> Result<CallsEngine, GpuError> {
        Ok(CallsEngine {
            gpu: Arc::clone(gpu),
            kernel: gpu.kernel(&source())?,
            functions: Functions::new(gpu, with_functions, functions),
            params: gpu.buffer("params of calls", 8)?,
            loaded: None,
            memory: Vec::new(),
            gathered: None,
        })
    }

    /// Reduces `calls`, each under `limits`, in as many waves as the device needs.
    pub(crate) fn run(
        &mut self,
        book: &Arc<Book>,
        calls: &[Call],
        limits: &Limits,
    ) -> Result<Vec<Ending>, GpuError> {
        let mut endings: Vec<Ending> = vec![None; calls.len()];
        let mut valid = Vec::with_capacity(calls.len());
        for (index, call) in calls.iter().enumerate() {
            match call.check(book) {
                Ok(()) => valid.push((index, call)),
                Err(error) => endings[index] = Some(Err(error)),
            }
        }
        let nodes = limits.nodes.min(NODES.into()) as u32;
        // A call with more arguments than a lane has nodes does not fit.
        valid.retain(|(_, call)| call.arguments.len() <= nodes as usize);
        let Some(most) = self.lanes_max().filter(|_| nodes > 0) else {
            return Ok(endings);
        };
        let book = self.load(book)?;
        let encoded = &book.encoded;
        let map = encoded.nodes_max.min(NODES) + encoded.wires_max.min(WIRES);
        let mut rest = &valid[..];
        while !rest.is_empty() {
            let (wave, later) = rest.split_at(self.wave_length(rest, most));
            rest = later;
            let shape = Shape {
                lanes: (wave.len() as u32).next_multiple_of(LANES_PER_GROUP),
                nodes,
                wires: WIRES,
                map: map.max(1),
            };
            let wave = Wave {
                shape,
                calls: wave,
                limits,
                book: &book,
            };
            self.run_wave(&wave, &mut endings)?;
        }
        self.loaded = Some(book);
        Ok(endings)
    }

    /// The book on the device, brought there unless it is the last one.
    fn load(&mut self, book: &Arc<Book>) -> Result<Loaded, GpuError> {
        if let Some(loaded) = self.loaded.take()
            && Arc::ptr_eq(&loaded.book, book)
        {
            return Ok(loaded);
        }
        let encoded = encode_book(book, self.gpu.profile().binding_bytes)?;
        Ok(Loaded {
            book: Arc::clone(book),
            buffer: self.gpu.buffer_of("book of calls", &encoded.words)?,
            encoded,
            interactions: Cell::new(0),
        })
    }

    /// Lanes that the device's bindings allow; `None` if not one workgroup fits.
    fn lanes_max(&self) -> Option<usize> {
        let largest = [4 * NODES, 2 * WIRES, 4 * PAIRS, NODES + WIRES, STATE_WORDS]
            .into_iter()
            .fold(0, u32::max);
        let lanes = (self.gpu.profile().binding_bytes / (u64::from(largest) * 4)).min(LANES_MAX);
        let lanes = lanes as usize / LANES_PER_GROUP as usize * LANES_PER_GROUP as usize;
        (lanes > 0).then_some(lanes)
    }

    /// How many of these calls make a wave of at most `most` lanes: as many as have room for their arguments.
    fn wave_length(&self, calls: &[(usize, &Call)], most: usize) -> usize {
        let limit = self.gpu.profile().binding_bytes / 4;
        let mut words = 4 * most as u64;
        let fitting = calls.iter().take(most).take_while(|(_, call)| {
            words += 2 * call.arguments.len() as u64;
            words <= limit
        });
        // One call always fits: it has fewer arguments than a lane has nodes.
        fitting.count().max(1)
    }

    fn run_wave(&mut self, wave: &Wave<'_>, endings: &mut [Ending]) -> Result<(), GpuError> {
        let bound = self.prepare(wave)?;
        let statuses = self.reduce(wave, &bound)?;
        let lanes = wave.shape.lanes;
        let words = u64::from(RESULT_WORDS) * u64::from(lanes);
        let state = Results {
            words: self.gpu.read(self.state(), 0, words)?,
            lanes: lanes as usize,
        };
        let counts = (0..wave.calls.len()).map(|lane| state.counts(lane));
        let made = counts.fold(wave.book.interactions.get(), |made, counts| {
            let all = counts.iter().map(|(_, count)| count);
            all.fold(made, u64::saturating_add)
        });
        wave.book.interactions.set(made);
        let mut trees = Vec::new();
        for (lane, ((index, _), status)) in wave.calls.iter().zip(statuses).enumerate() {
            endings[*index] = match status {
                STATUS_OUT_OF_GAS => Some(Err(ReduceError::OutOfGas {
                    limit: wave.limits.gas,
                })),
                STATUS_DONE => {
                    let root = state.root(lane);
                    if names_nothing(root, wave.book.book.definitions().len()) {
                        return Err(Outside.into());
                    }
                    if root.class().is_node() {
                        trees.push(lane);
                        continue;
                    }
                    Some(outcome(wave, &Bare, root, state.counts(lane)))
                }
                _ => None,
            };
        }
        for trees in trees.chunk_by(|a, b| group_of(*a) == group_of(*b)) {
            self.read_trees(wave, &state, trees, endings)?;
        }
        Ok(())
    }

    fn state(&self) -> &Buffer {
        &self.memory[1]
    }

    /// Uploads the calls of a wave and binds its memory, which is made larger where it must be.
    fn prepare(&mut self, wave: &Wave<'_>) -> Result<Bound, GpuError> {
        let Shape {
            lanes,
            nodes,
            wires,
            map,
        } = wave.shape;
        let calls = encode(wave);
        let per_lane = |words: u32| u64::from(lanes) * u64::from(words);
        let wanted = [
            ("calls", calls.len() as u64),
            ("state of calls", per_lane(STATE_WORDS)),
            ("nodes of calls", per_lane(4 * nodes)),
            ("wires of calls", per_lane(2 * wires)),
            ("pairs of calls", per_lane(4 * PAIRS)),
            ("maps of calls", per_lane(map)),
        ];
        for (at, (label, words)) in wanted.into_iter().enumerate() {
            match self.memory.get(at) {
                Some(buffer) if buffer.words() >= words => {}
                Some(_) => self.memory[at] = self.gpu.buffer(label, words)?,
                None => self.memory.push(self.gpu.buffer(label, words)?),
            }
        }
        let gas = wave.limits.gas;
        let params = [
            lanes,
            wave.calls.len() as u32,
            nodes,
            wires,
            PAIRS,
            map,
            gas as u32,
            (gas >> 32) as u32,
        ];
        self.gpu.upload(&self.params, 0, &params)?;
        self.gpu.upload(&self.memory[0], 0, &calls)?;
        let mut buffers = vec![(&self.params).into(), (&wave.book.buffer).into()];
        buffers.extend(self.memory.iter().map(crate::device::Slice::from));
        let interactions = wave.book.interactions.get();
        let with_functions = self.functions.kernel(&wave.book.book, interactions);
        self.gpu
            .bind(with_functions.as_ref().unwrap_or(&self.kernel), &buffers)
    }

    /// Dispatches until every lane has ended, or the few that have not are better off elsewhere. The status of each lane.
    fn reduce(&self, wave: &Wave<'_>, bound: &Bound) -> Result<Vec<u32>, GpuError> {
        let lanes = wave.shape.lanes;
        let groups = Groups::Count(lanes / LANES_PER_GROUP);
        let (mut dispatched, mut batch) = (0, 1);
        loop {
            let mut commands = self.gpu.commands("calls");
            if dispatched == 0 {
                commands.clear(self.state(), 0, lanes.into());
            }
            for _ in 0..batch {
                commands.dispatch(bound, groups);
            }
            let statuses = commands.submit_and_read(self.state(), 0, lanes.into())?;
            dispatched += batch;
            if statuses[..wave.calls.len()].contains(&STATUS_NEW) {
                return Err(GpuError::Driver {
                    message: "kernels are submitted, and nothing happens".into(),
                });
            }
            let ended = |status: &&u32| **status > STATUS_RUNNING;
            let running =
                wave.calls.len() - statuses[..wave.calls.len()].iter().filter(ended).count();
            if running == 0 || (dispatched >= DISPATCHES_MANY && running <= LANES_FEW) {
                return Ok(statuses);
            }
            let affordable = TRIPS_PER_SUBMISSION / FUEL / running as u32;
            batch = (2 * batch).min(affordable).clamp(1, 64);
        }
    }

    /// Reads back the normal forms of some lanes of one workgroup.
    fn read_trees(
        &mut self,
        wave: &Wave<'_>,
        state: &Results,
        lanes: &[usize],
        endings: &mut [Ending],
    ) -> Result<(), GpuError> {
        let used = |word| lanes.iter().map(|lane| state.word(word, *lane)).max();
        let nodes = used(STATE_NODES_USED).unwrap_or(0).min(wave.shape.nodes);
        let wires = used(STATE_WIRES_USED).unwrap_or(0).min(wave.shape.wires);
        let group = lanes.first().map_or(0, |lane| group_of(*lane)) as u64;
        let words = |slots: u32, size: u32| u64::from(slots) * u64::from(LANES_PER_GROUP * size);
        let (node_words, wire_words) = (words(nodes, 4), words(wires, 2));
        let gathered = match &mut self.gathered {
            Some(gathered) => gathered,
            none => {
                let most = words(NODES, 4) + words(WIRES, 2);
                none.insert(self.gpu.buffer("results of calls", most)?)
            }
        };
        let start = |capacity, size| group * words(capacity, size);
        let (all_nodes, all_wires) = (&self.memory[2], &self.memory[3]);
        let (nodes_at, wires_at) = (start(wave.shape.nodes, 4), start(wave.shape.wires, 2));
        let mut commands = self.gpu.commands("results of calls");
        commands
            .copy(all_nodes, nodes_at, gathered, 0, node_words)
            .copy(all_wires, wires_at, gathered, node_words, wire_words);
        let heap = commands.submit_and_read(gathered, 0, node_words + wire_words)?;
        let (nodes, wires) = heap.split_at(node_words as usize);
        for lane in lanes {
            let heap = LaneHeap {
                nodes,
                wires,
                definitions: wave.book.book.definitions().len(),
                lane: lane % LANES_PER_GROUP as usize,
                damaged: Cell::new(false),
            };
            let ending = outcome(wave, &heap, state.root(*lane), state.counts(*lane));
            if heap.damaged.get() {
                return Err(Outside.into());
            }
            endings[wave.calls[*lane].0] = Some(ending);
        }
        Ok(())
    }
}

fn group_of(lane: usize) -> usize {
    lane / LANES_PER_GROUP as usize
}

/// The `calls` buffer: references to definitions and where the arguments are, then the arguments.
fn encode(wave: &Wave<'_>) -> Vec<u32> {
    let definitions = wave.book.book.definitions();
    let mut words = Vec::new();
    let mut arguments_at = 4 * wave.shape.lanes;
    for (_, call) in wave.calls {
        let entry = Term::reference(call.entry, definitions[call.entry as usize].copyable);
        let arguments = call.arguments.len() as u32;
        words.extend([entry.w0(), entry.w1(), arguments, arguments_at]);
        arguments_at += 2 * arguments;
    }
    words.resize(4 * wave.shape.lanes as usize, 0);
    let arguments = wave.calls.iter().flat_map(|(_, call)| &call.arguments);
    words.extend(arguments.flat_map(|term| [term.w0(), term.w1()]));
    words
}

fn outcome(
    wave: &Wave<'_>,
    heap: &impl Heap,
    root: Term,
    counts: Counts,
) -> Result<Outcome, ReduceError> {
    let result = readback(&wave.book.book, heap, root, wave.limits.result_bytes)?;
    Ok(Outcome {
        result: result.text,
        number: result.number,
        counts,
    })
}

/// The leading words of every lane's state.
struct Results {
    words: Vec<u32>,
    lanes: usize,
}

impl Results {
    fn word(&self, word: u32, lane: usize) -> u32 {
        self.words[word as usize * self.lanes + lane]
    }

    /// What waits at the root; the wire itself if nothing does, or another wire.
    fn root(&self, lane: usize) -> Term {
        let at_root = term(self.word(STATE_ROOT, lane), self.word(STATE_ROOT + 1, lane));
        if at_root.is_absent() || at_root.class() == Class::Var {
            return Term::var(0);
        }
        at_root
    }

    fn counts(&self, lane: usize) -> Counts {
        let mut counts = Counts::default();
        for (at, op) in (STATE_COUNTS..).step_by(2).zip(Opcode::COUNTED) {
            let [low, high] = [at, at + 1].map(|word| u64::from(self.word(word, lane)));
            counts.add(op, high << 32 | low);
        }
        counts
    }
}

/// A lane's slots among those of its workgroup.
struct LaneHeap<'a> {
    nodes: &'a [u32],
    wires: &'a [u32],
    /// Of the book.
    definitions: usize,
    lane: usize,
    /// A term pointed outside.
    damaged: Cell<bool>,
}

impl LaneHeap<'_> {
    /// Slot number `offset`, of `N` words.
    fn slot<const N: usize>(&self, slots: &[u32], offset: u32) -> [u32; N] {
        let at = (offset as usize * LANES_PER_GROUP as usize + self.lane) * N;
        let found = slots.get(at..at + N).and_then(|slot| slot.try_into().ok());
        found.unwrap_or_else(|| {
            self.damaged.set(true);
            [0; N]
        })
    }

    /// A term that is safe to read back.
    fn checked(&self, term: Term) -> Term {
        if names_nothing(term, self.definitions) {
            self.damaged.set(true);
            return Term::ERA;
        }
        term
    }
}

impl Heap for LaneHeap<'_> {
    fn wire(&self, var: Term) -> Option<Term> {
        let [w0, w1] = self.slot(self.wires, var.offset());
        let waiting = term(w0, w1);
        if waiting.is_absent() || (waiting.is_sub() && waiting.offset() > var.offset()) {
            // Two joined wires are one wire, known by the lower number.
            return None;
        }
        Some(self.checked(waiting.without_sub()))
    }

    fn node(&self, node: Term) -> [Term; 2] {
        let [a0, a1, b0, b1] = self.slot(self.nodes, node.offset());
        [term(a0, a1), term(b0, b1)].map(|term| self.checked(term))
    }
}

#[cfg(test)]
mod tests;
