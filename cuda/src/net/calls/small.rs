//! Calls that a thread reduces in its own arrays, from beginning to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ffcm::device::net::{Bare, Outside};
use ffcm::net::Call;
use rayon::prelude::*;

use super::encode::{Encoded, OnDevice};
use super::{
    Batch, Ending, STATUS_DONE, STATUS_HOST, STATUS_LARGER, STATUS_OUT_OF_GAS, THREADS, counts_of,
    out_of_gas, outcome, root,
};
use crate::device::{CudaError, Gpu, Grid, Kernel, Scratch};

/// Words of a call's result: the root; then 16 bits each, the status and the counts.
pub(super) const RESULT: usize = 3;

pub(super) struct Small {
    kernel: Arc<Kernel>,
    results: Scratch<u64>,
}

impl Small {
    pub(super) fn new(kernel: Arc<Kernel>) -> Small {
        Small {
            kernel,
            results: Scratch::new("results of calls"),
        }
    }

    /// Reduces `calls`, which are `encoded` and lie `on_device`. Adds their endings, and gives the numbers of those that
    /// need more than there is here; they have none yet.
    pub(super) fn run(
        &mut self,
        gpu: &Gpu,
        batch: &Batch<'_>,
        encoded: &Encoded,
        on_device: &OnDevice,
        calls: &[Call],
        endings: &mut Vec<Ending>,
    ) -> Result<Vec<usize>, CudaError> {
        let words = (calls.len() * RESULT) as u64;
        let results = self.results.at_least(gpu, words)?;
        gpu.launch(
            &self.kernel,
            Grid::covering(calls.len() as u64, THREADS),
            &[
                (&batch.book.buffer).into(),
                (&on_device.heads).into(),
                (&on_device.arguments).into(),
                results.into(),
                (calls.len() as u32).into(),
                batch.nodes.into(),
                batch.limits.gas.into(),
            ],
        )?;
        let results = gpu.read(results, 0, words)?;
        let status = |at: usize| results[at * RESULT + 1] & STATUS;
        let damaged = AtomicBool::new(false);
        endings.par_extend(calls.par_iter().enumerate().map(|(at, call)| {
            if !encoded.is_call(at) {
                return call.check(&batch.book.book).err().map(Err);
            }
            if status(at) == STATUS_LARGER {
                return None;
            }
            let result = &results[at * RESULT..(at + 1) * RESULT];
            ending_of(batch, result).unwrap_or_else(|Outside| {
                damaged.store(true, Ordering::Relaxed);
                None
            })
        }));
        if damaged.into_inner() {
            return Err(Outside.into());
        }
        let is_larger = |at: &usize| encoded.is_call(*at) && status(*at) == STATUS_LARGER;
        Ok((0..calls.len()).into_par_iter().filter(is_larger).collect())
    }
}

/// The bits of the second word of a result that have the status.
const STATUS: u64 = 0xffff;

/// What a call came to.
pub(super) fn ending_of(batch: &Batch<'_>, result: &[u64]) -> Result<Ending, Outside> {
    match result[1] & STATUS {
        STATUS_DONE => {
            let root = root(result[0], batch.book.book.definitions().len())?;
            if root.class().is_node() {
                // The memory that it was in is gone, and the kernel knows.
                return Err(Outside);
            }
            let count = |op: usize| result[1 + op / 4] >> (16 * (op % 4)) & 0xffff;
            let counts = counts_of((1..8).map(count));
            Ok(Some(outcome(batch, &Bare, root, counts)))
        }
        STATUS_OUT_OF_GAS => Ok(Some(Err(out_of_gas(batch)))),
        STATUS_HOST => Ok(None),
        _ => Err(Outside),
    }
}
