//! The search for the lowest nonce whose SHA-256d is below a target.

use std::sync::Arc;

use ffcm::device::hash::search::{Prepared, windows};

use super::{HashStats, entries};
use crate::device::{CudaError, Gpu, Grid, Kernel, Scratch, Source};

/// Threads of a block.
const THREADS: u32 = 256;
/// Nonces of the first window; each next one has four times as many.
const FIRST_WINDOW: u32 = 1 << 14;
/// Nonces that one thread tries in the largest window: they bound how long a launch runs on any device.
const THREAD_NONCES: u32 = 1 << 8;

#[derive(Debug)]
pub(super) struct Searcher {
    kernel: Arc<Kernel>,
    /// Blocks that the device holds at a time.
    blocks: u32,
    search: Scratch<u32>,
    found: Scratch<u32>,
}

impl Searcher {
    pub(super) fn new(gpu: &Gpu) -> Result<Searcher, CudaError> {
        let [kernel] = entries(gpu, &source())?;
        let blocks = gpu.resident_blocks(&kernel, THREADS, 0)?.max(1);
        Ok(Searcher {
            kernel,
            blocks,
            search: Scratch::new("search"),
            found: Scratch::new("search: found"),
        })
    }

    pub(super) fn search(
        &mut self,
        gpu: &Gpu,
        header: &[u8],
        (start, count): (u64, u64),
        target: &[u8; 32],
        stats: &mut HashStats,
    ) -> Result<Option<u64>, CudaError> {
        if count == 0 {
            return Ok(None);
        }
        let prepared = Prepared::new(header, target);
        let words: Vec<u32> = [&prepared.state[..], &prepared.below, &prepared.tail].concat();
        let search = self.search.filled(gpu, &words)?;
        let found = self.found.at_least(gpu, 1)?;
        let threads = self.blocks.saturating_mul(THREADS);
        let largest = threads.saturating_mul(THREAD_NONCES).max(FIRST_WINDOW);
        for (first, count) in windows(start, count, FIRST_WINDOW, largest) {
            gpu.fill(found, 0, 1, u32::MAX)?;
            let blocks = self.blocks.min(count.div_ceil(THREADS));
            let arguments = [
                search.into(),
                prepared.blocks.into(),
                prepared.word.into(),
                prepared.shift.into(),
                first.into(),
                count.into(),
                found.into(),
            ];
            let grid = Grid::new(blocks, THREADS);
            let ((), kernel_time) = gpu.timed(|| gpu.launch(&self.kernel, grid, &arguments))?;
            stats.add(HashStats {
                waves: 1,
                // The tail's blocks, and the hash of the hash.
                compressions: u64::from(count) * u64::from(prepared.blocks + 1),
                kernel_bytes: 0,
                nonces: count.into(),
                kernel_time,
            });
            match gpu.read(found, 0, 1)?.as_slice() {
                [distance] if *distance < count => return Ok(Some(first + u64::from(*distance))),
                [u32::MAX] => {}
                other => {
                    return Err(CudaError::Driver {
                        message: format!("a search of {count} nonces gave {other:?}"),
                    });
                }
            }
        }
        Ok(None)
    }
}

pub(super) fn source() -> Source {
    Source {
        name: "hash/sha256_search",
        text: include_str!("../kernels/hash/sha256_search.cu"),
        entries: &["sha256_search"],
        defines: &[],
    }
}
