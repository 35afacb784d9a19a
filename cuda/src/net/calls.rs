//! Many small calls at once, one thread of the device for each.
//!
//! Batches of calls of a small definition, such as weight nets, have no parallelism inside a call worth looking for, and
//! plenty between calls. Each thread reduces its call alone: first in little memory, which the device's first cache
//! holds ([`small`]); what does not end there, in more ([`large`]). A call that does not fit even that is left to the
//! engine that spreads one net over the whole device.

mod encode;
mod large;
mod small;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ffcm::device::net::{Outside, encode as encode_book, names_nothing};
use ffcm::net::readback::{Heap, readback};
use ffcm::net::{Book, Call, Limits, Outcome, ReduceError};
use ffcm::spec::rules::{Counts, Opcode};
use ffcm::spec::word::{Class, Term};

use self::encode::DeviceCalls;
use self::large::Large;
use self::small::Small;
use crate::device::{Buffer, CudaError, Gpu, Source};

// Constants of `calls.cu`; a test compares them.
const WARP: u32 = 32;
const NO_ENTRY: u32 = u32::MAX;
const STATUS_NEW: u64 = 0;
const STATUS_RUNNING: u64 = 1;
const STATUS_DONE: u64 = 2;
const STATUS_OUT_OF_GAS: u64 = 3;
const STATUS_LARGER: u64 = 4;
const STATUS_HOST: u64 = 5;

/// Threads of a block.
const THREADS: u32 = 128;

/// Most nodes of a thread.
const NODES_MAX: u32 = 256;

const SOURCE: Source = Source {
    name: "net/calls",
    text: include_str!("../kernels/net/calls.cu"),
    entries: &["calls_small", "calls_large", "calls_gather"],
    defines: &[],
};

/// The units of this module.
pub(crate) fn sources() -> Vec<Source> {
    vec![SOURCE]
}

/// What a call came to; none of one that is left to the engine of single nets.
pub(crate) type Ending = Option<Result<Outcome, ReduceError>>;

/// A book on the device.
struct Loaded {
    book: Arc<Book>,
    buffer: Buffer<u32>,
    /// Most nodes and most wires of a definition, as far as a thread has them: [`NODES_MAX`] and [`large::WIRES`].
    map: u32,
}

/// What the calls of a batch have in common.
struct Batch<'a> {
    book: &'a Loaded,
    limits: &'a Limits,
    /// Nodes of a thread, at most. A call with more arguments does not fit.
    nodes: u32,
}

/// Reduces batches of calls.
pub(crate) struct CallsEngine {
    gpu: Arc<Gpu>,
    loaded: Option<Loaded>,
    calls: DeviceCalls,
    small: Small,
    large: Large,
}

impl CallsEngine {
    pub(crate) fn new(gpu: &Arc<Gpu>) -> Result<CallsEngine, CudaError> {
        let [small, large, gather] =
            gpu.kernels(&SOURCE)?
                .try_into()
                .map_err(|kernels: Vec<_>| CudaError::Kernel {
                    kernel: SOURCE.name.into(),
                    message: format!("{} entries", kernels.len()),
                })?;
        Ok(CallsEngine {
            gpu: Arc::clone(gpu),
            loaded: None,
            calls: DeviceCalls::new(),
            small: Small::new(small),
            large: Large::new(large, gather),
        })
    }

    /// Reduces `calls`, each under `limits`. Where the device has no memory for more of them, the rest is left.
    pub(crate) fn run(
        &mut self,
        book: &Arc<Book>,
        calls: &[Call],
        limits: &Limits,
    ) -> Result<Vec<Ending>, CudaError> {
        let mut endings = Vec::with_capacity(calls.len());
        let done = self.load_and_run(book, calls, limits, &mut endings);
        endings.resize(calls.len(), None);
        match done {
            // Nothing is wrong with what has ended so far.
            Err(CudaError::OutOfMemory { .. } | CudaError::TooLarge { .. }) | Ok(()) => Ok(endings),
            Err(error) => Err(error),
        }
    }

    fn load_and_run(
        &mut self,
        book: &Arc<Book>,
        calls: &[Call],
        limits: &Limits,
        endings: &mut Vec<Ending>,
    ) -> Result<(), CudaError> {
        let book = self.load(book)?;
        let batch = Batch {
            book: &book,
            limits,
            nodes: limits.nodes.min(NODES_MAX.into()) as u32,
        };
        let done = self.run_all(&batch, calls, endings);
        self.loaded = Some(book);
        done
    }

    /// Adds the endings of `calls`, from the first on, to `endings`. After an error some are missing.
    fn run_all(
        &mut self,
        batch: &Batch<'_>,
        calls: &[Call],
        endings: &mut Vec<Ending>,
    ) -> Result<(), CudaError> {
        if batch.nodes == 0 {
            let invalid = |call: &Call| call.check(&batch.book.book).err().map(Err);
            endings.extend(calls.iter().map(invalid));
            return Ok(());
        }
        let mut larger = Vec::new();
        for encoded in encode::Waves::new(batch, calls, encode::CALLS_MAX) {
            let start = endings.len();
            let calls = &calls[start..start + encoded.len()];
            let on_device = self.calls.upload(&self.gpu, &encoded)?;
            let left = self
                .small
                .run(&self.gpu, batch, &encoded, &on_device, calls, endings)?;
            larger.extend(left.into_iter().map(|at| start + at));
        }
        if larger.is_empty() {
            return Ok(());
        }
        self.large
            .run(&self.gpu, batch, &mut self.calls, calls, &larger, endings)
    }

    /// The book on the device, brought there unless it is the last one.
    fn load(&mut self, book: &Arc<Book>) -> Result<Loaded, CudaError> {
        if let Some(loaded) = self.loaded.take()
            && Arc::ptr_eq(&loaded.book, book)
        {
            return Ok(loaded);
        }
        let encoded = encode_book(book, self.gpu.memory_limit())?;
        let map = encoded.nodes_max.min(NODES_MAX) + encoded.wires_max.min(large::WIRES);
        Ok(Loaded {
            book: Arc::clone(book),
            buffer: self.gpu.buffer_of("book of calls", &encoded.words)?,
            map: map.max(1),
        })
    }
}

/// What waits at the root, from its cell; the wire itself if nothing does, or another wire.
fn root(cell: u64, definitions: usize) -> Result<Term, Outside> {
    let term = Term(cell);
    if term.is_absent() || term.class() == Class::Var {
        return Ok(Term::var(0));
    }
    if names_nothing(term, definitions) {
        return Err(Outside);
    }
    Ok(term)
}

/// Interactions, from APPLY to SPECIALIZE.
fn counts_of(words: impl IntoIterator<Item = u64>) -> Counts {
    let mut counts = Counts::default();
    for (op, count) in Opcode::COUNTED.into_iter().zip(words) {
        counts.add(op, count);
    }
    counts
}

fn outcome(
    batch: &Batch<'_>,
    heap: &impl Heap,
    root: Term,
    counts: Counts,
) -> Result<Outcome, ReduceError> {
    let result = readback(&batch.book.book, heap, root, batch.limits.result_bytes)?;
    Ok(Outcome {
        result: result.text,
        number: result.number,
        counts,
    })
}

fn out_of_gas(batch: &Batch<'_>) -> ReduceError {
    ReduceError::OutOfGas {
        limit: batch.limits.gas,
    }
}
