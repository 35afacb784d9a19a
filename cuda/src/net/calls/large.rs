//! Calls that a thread reduces in a slice of device memory, launch after launch.

use std::cell::Cell;
use std::sync::Arc;

use ffcm::device::net::{Outside, names_nothing, term};
use ffcm::net::Call;
use ffcm::net::readback::Heap;
use ffcm::spec::word::Term;
use rayon::prelude::*;

use super::encode::{DeviceCalls, OnDevice, Waves};
use super::{
    Batch, Ending, NODES_MAX, STATUS_DONE, STATUS_NEW, STATUS_OUT_OF_GAS, STATUS_RUNNING, THREADS,
    WARP, counts_of, out_of_gas, outcome, root,
};
use crate::device::{CudaError, Gpu, Grid, Kernel, Scratch};

// Constants of `calls.cu`; a test compares them.
/// Wires of a slice.
pub(super) const WIRES: u32 = 256;
/// Pairs of a slice.
pub(super) const PAIRS: u32 = 64;
/// Trips of a thread's loops in one launch.
pub(super) const FUEL: u32 = 4096;
pub(super) const STATE_STATUS: u32 = 0;
pub(super) const STATE_ROOT: u32 = 1;
pub(super) const STATE_USED: u32 = 2;
pub(super) const STATE_COUNTS: u32 = 3;
/// The words of a slice's state that the host reads.
pub(super) const STATE_RESULT: u32 = 10;
/// All of them.
pub(super) const STATE_WORDS: u32 = 14;

/// Slices of a wave for each multiprocessor: threads wait for memory most of the time, so each has
/// several warps.
const LANES_EACH: u32 = 4 * THREADS;
/// Slices of a wave, at most: as many on small devices, so many on large ones.
const LANES_MAX: std::ops::RangeInclusive<u32> = 1 << 14..=1 << 17;

/// Trips that the launches between two looks at the device may take, over all threads together.
const TRIPS_MANY: u64 = 1 << 28;
/// Launches between two looks, at most.
const LAUNCHES_MAX: u32 = 64;
/// Launches after which a wave is no longer worth keeping for [`LANES_FEW`] calls or fewer.
const LAUNCHES_MANY: u32 = 256;
const LANES_FEW: usize = 16;

/// Words of packed results that are read at a time, before the last of them.
const PACKED_MANY: usize = 1 << 22;

// Where a packed result begins is 32 bits.
const _: () = assert!(PACKED_MANY + 2 * NODES_MAX as usize + WIRES as usize <= u32::MAX as usize);

pub(super) struct Large {
    kernel: Arc<Kernel>,
    gather: Arc<Kernel>,
    state: Scratch<u64>,
    nodes: Scratch<u64>,
    wires: Scratch<u64>,
    pairs: Scratch<u64>,
    map: Scratch<u32>,
    items: Scratch<u64>,
    packed: Scratch<u64>,
}

/// Calls that run together, one in each of so many slices.
struct Wave<'a> {
    batch: &'a Batch<'a>,
    calls: usize,
    lanes: u32,
}

/// A normal form in device memory.
#[derive(Clone, Copy)]
pub(super) struct Tree {
    lane: usize,
    root: Term,
    nodes: u32,
    wires: u32,
}

impl Tree {
    fn words(&self) -> usize {
        2 * self.nodes as usize + self.wires as usize
    }
}

/// How many slices there is memory for, if they may take a quarter of what the device allows. A multiple of the threads
/// of a warp.
pub(super) fn lanes_max(gpu: &Gpu, batch: &Batch<'_>) -> u32 {
    let words = 2 * batch.nodes + WIRES + 2 * PAIRS + STATE_WORDS;
    let bytes = 8 * u64::from(words) + 4 * u64::from(batch.book.map);
    let wanted = gpu.summary().multiprocessors.saturating_mul(LANES_EACH);
    let wanted = wanted.clamp(*LANES_MAX.start(), *LANES_MAX.end());
    let lanes = (gpu.memory_limit() / 4 / bytes).min(wanted.into()) as u32;
    lanes / WARP * WARP
}

impl Large {
    pub(super) fn new(kernel: Arc<Kernel>, gather: Arc<Kernel>) -> Large {
        Large {
            kernel,
            gather,
            state: Scratch::new("state of calls"),
            nodes: Scratch::new("nodes of calls"),
            wires: Scratch::new("wires of calls"),
            pairs: Scratch::new("pairs of calls"),
            map: Scratch::new("maps of calls"),
            items: Scratch::new("results of calls to pack"),
            packed: Scratch::new("packed results of calls"),
        }
    }

    /// Reduces those of `calls` whose numbers are in `which`, in as many waves as the device needs. Those that need more
    /// than there is here have no ending afterwards.
    pub(super) fn run(
        &mut self,
        gpu: &Gpu,
        batch: &Batch<'_>,
        on_device: &mut DeviceCalls,
        calls: &[Call],
        which: &[usize],
        endings: &mut [Ending],
    ) -> Result<(), CudaError> {
        let most = lanes_max(gpu, batch);
        if most == 0 {
            return Ok(());
        }
        let chosen: Vec<&Call> = which.iter().map(|at| &calls[*at]).collect();
        let mut rest = which;
        for encoded in Waves::new(batch, &chosen, most as usize) {
            let (which, later) = rest.split_at(encoded.len());
            rest = later;
            let wave = Wave {
                batch,
                calls: encoded.len(),
                lanes: (encoded.len() as u32).next_multiple_of(WARP),
            };
            let on_device = on_device.upload(gpu, &encoded)?;
            for (at, ending) in which.iter().zip(self.run_wave(gpu, &wave, &on_device)?) {
                endings[*at] = ending;
            }
        }
        Ok(())
    }

    fn run_wave(
        &mut self,
        gpu: &Gpu,
        wave: &Wave<'_>,
        calls: &OnDevice,
    ) -> Result<Vec<Ending>, CudaError> {
        self.reduce(gpu, wave, calls)?;
        let lanes = wave.lanes as usize;
        let words = u64::from(STATE_RESULT) * u64::from(wave.lanes);
        let state = gpu.read(self.state.at_least(gpu, words)?, 0, words)?;
        let word = |word: u32, lane: usize| state[word as usize * lanes + lane];
        let counts = |lane| counts_of((0..7).map(|op| word(STATE_COUNTS + op, lane)));
        let mut endings: Vec<Ending> = vec![None; wave.calls];
        let mut trees = Vec::new();
        for (lane, ending) in endings.iter_mut().enumerate() {
            match word(STATE_STATUS, lane) {
                STATUS_OUT_OF_GAS => *ending = Some(Err(out_of_gas(wave.batch))),
                STATUS_DONE => trees.push(tree(wave.batch, lane, |at| word(at, lane))?),
                _ => {}
            }
        }
        let mut rest = &trees[..];
        while !rest.is_empty() {
            let mut words = 0;
            let fitting = rest.iter().take_while(|tree| {
                let fits = words < PACKED_MANY;
                words += tree.words();
                fits
            });
            let (some, later) = rest.split_at(fitting.count());
            rest = later;
            let packed = self.pack(gpu, wave, some)?;
            let read: Result<Vec<(usize, Ending)>, Outside> = placed(some)
                .into_par_iter()
                .map(|(tree, at)| {
                    let heap = PackedHeap::new(wave.batch, &packed[at..at + tree.words()], tree);
                    let ending = outcome(wave.batch, &heap, tree.root, counts(tree.lane));
                    if heap.damaged.get() {
                        return Err(Outside);
                    }
                    Ok((tree.lane, Some(ending)))
                })
                .collect();
            for (lane, ending) in read? {
                endings[lane] = ending;
            }
        }
        Ok(endings)
    }

    /// Launches until every call has ended, or the few that have not are better off elsewhere.
    fn reduce(&mut self, gpu: &Gpu, wave: &Wave<'_>, calls: &OnDevice) -> Result<(), CudaError> {
        let lanes = u64::from(wave.lanes);
        let (nodes, map) = (wave.batch.nodes, wave.batch.book.map);
        let state = self.state.at_least(gpu, lanes * u64::from(STATE_WORDS))?;
        gpu.fill(state, 0, lanes * u64::from(STATE_WORDS), 0)?;
        let launch = gpu.prepare(
            &self.kernel,
            Grid::covering(wave.calls as u64, THREADS),
            &[
                (&wave.batch.book.buffer).into(),
                (&calls.heads).into(),
                (&calls.arguments).into(),
                state.into(),
                self.nodes
                    .at_least(gpu, lanes * 2 * u64::from(nodes))?
                    .into(),
                self.wires.at_least(gpu, lanes * u64::from(WIRES))?.into(),
                self.pairs
                    .at_least(gpu, lanes * 2 * u64::from(PAIRS))?
                    .into(),
                self.map.at_least(gpu, lanes * u64::from(map))?.into(),
                wave.lanes.into(),
                (wave.calls as u32).into(),
                nodes.into(),
                map.into(),
                wave.batch.limits.gas.into(),
            ],
        )?;
        let (mut launched, mut next) = (0, 1);
        loop {
            for _ in 0..next {
                gpu.run(&launch)?;
            }
            launched += next;
            let statuses = gpu.read(state, u64::from(STATE_STATUS) * lanes, wave.calls as u64)?;
            if statuses.contains(&STATUS_NEW) {
                return Err(CudaError::Driver {
                    message: "kernels are launched, and nothing happens".into(),
                });
            }
            let running = statuses
                .iter()
                .filter(|status| **status == STATUS_RUNNING)
                .count();
            if running == 0 || (launched >= LAUNCHES_MANY && running <= LANES_FEW) {
                return Ok(());
            }
            let affordable = TRIPS_MANY / u64::from(FUEL) / running as u64;
            next = (2 * next)
                .min(affordable.min(LAUNCHES_MAX.into()) as u32)
                .max(1);
        }
    }

    /// Reads the used parts of the slices of `trees`, one after another.
    fn pack(&mut self, gpu: &Gpu, wave: &Wave<'_>, trees: &[Tree]) -> Result<Vec<u64>, CudaError> {
        let items: Vec<u64> = placed(trees)
            .into_iter()
            .flat_map(|(tree, at)| {
                [
                    term(tree.lane as u32, tree.wires).0,
                    term(at as u32, tree.nodes).0,
                ]
            })
            .collect();
        let words = trees.iter().map(Tree::words).sum::<usize>() as u64;
        let lanes = u64::from(wave.lanes);
        let packed = self.packed.at_least(gpu, words)?;
        gpu.launch(
            &self.gather,
            Grid::covering(trees.len() as u64, THREADS),
            &[
                self.nodes
                    .at_least(gpu, lanes * 2 * u64::from(wave.batch.nodes))?
                    .into(),
                self.wires.at_least(gpu, lanes * u64::from(WIRES))?.into(),
                self.items.filled(gpu, &items)?.into(),
                packed.into(),
                (trees.len() as u32).into(),
                wave.batch.nodes.into(),
            ],
        )?;
        gpu.read(packed, 0, words)
    }
}

/// Each tree with the place of its first word, if they are packed.
fn placed(trees: &[Tree]) -> Vec<(Tree, usize)> {
    let mut end = 0;
    let place = |tree: &Tree| {
        let at = end;
        end += tree.words();
        (*tree, at)
    };
    trees.iter().map(place).collect()
}

/// A normal form, from the state of its lane. What passes lies within the lane's slice, and its counts have a sum.
pub(super) fn tree(
    batch: &Batch<'_>,
    lane: usize,
    word: impl Fn(u32) -> u64,
) -> Result<Tree, Outside> {
    let used = Term(word(STATE_USED));
    let (nodes, wires) = (used.w0(), used.w1());
    let counts_fit = (0..7).all(|op| word(STATE_COUNTS + op) < 1 << 60);
    if nodes > batch.nodes || wires > WIRES || !counts_fit {
        return Err(Outside);
    }
    Ok(Tree {
        lane,
        root: root(word(STATE_ROOT), batch.book.book.definitions().len())?,
        nodes,
        wires,
    })
}

/// The used part of a slice.
pub(super) struct PackedHeap<'a> {
    /// Two words each.
    pub(super) nodes: &'a [u64],
    pub(super) wires: &'a [u64],
    /// Of the book.
    pub(super) definitions: usize,
    /// A term pointed outside.
    pub(super) damaged: Cell<bool>,
}

impl PackedHeap<'_> {
    fn new<'a>(batch: &Batch<'_>, words: &'a [u64], tree: Tree) -> PackedHeap<'a> {
        let (nodes, wires) = words.split_at(2 * tree.nodes as usize);
        PackedHeap {
            nodes,
            wires,
            definitions: batch.book.book.definitions().len(),
            damaged: Cell::new(false),
        }
    }

    /// A term that is safe to read back.
    fn checked(&self, word: Option<&u64>) -> Term {
        match word {
            Some(word) if !names_nothing(Term(*word), self.definitions) => Term(*word),
            _ => {
                self.damaged.set(true);
                Term::ERA
            }
        }
    }
}

impl Heap for PackedHeap<'_> {
    fn wire(&self, var: Term) -> Option<Term> {
        let waiting = self.checked(self.wires.get(var.offset() as usize));
        if waiting.is_absent() || (waiting.is_sub() && waiting.offset() > var.offset()) {
            // Two joined wires are one wire, known by the lower number.
            return None;
        }
        Some(waiting.without_sub())
    }

    fn node(&self, node: Term) -> [Term; 2] {
        let at = 2 * node.offset() as usize;
        [at, at + 1].map(|at| self.checked(self.nodes.get(at)))
    }
}
