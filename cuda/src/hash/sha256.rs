//! SHA-256 of a batch: one thread per message.
//!
//! One message is one chain of compressions, which no device runs side by side: a batch of many is what this is fast for.

use std::sync::Arc;

use ffcm::device::hash::sha256::{State, Wave, digests};
use ffcm::device::hash::{BLOCK, DIGEST_WORDS};

use super::{HashStats, entries, wave_bytes};
use crate::device::{CudaError, Gpu, Grid, Kernel, Scratch, Source};

/// Threads of a block.
const THREADS: u32 = 128;
/// Blocks of a message that one wave takes, so that no launch runs for long.
const WAVE_BLOCKS: usize = 1 << 16;

#[derive(Debug)]
pub(super) struct Hasher {
    kernel: Arc<Kernel>,
    messages: Scratch<u32>,
    data: Scratch<u32>,
    states: Scratch<u32>,
}

impl Hasher {
    pub(super) fn new(gpu: &Gpu) -> Result<Hasher, CudaError> {
        let [kernel] = entries(gpu, &blocks())?;
        Ok(Hasher {
            kernel,
            messages: Scratch::new("sha256: messages"),
            data: Scratch::new("sha256: data"),
            states: Scratch::new("sha256: states"),
        })
    }

    pub(super) fn hash(
        &mut self,
        gpu: &Gpu,
        inputs: &[&[u8]],
        stats: &mut HashStats,
    ) -> Result<Vec<[u8; 32]>, CudaError> {
        let room = wave_bytes(gpu, "a block of SHA-256", BLOCK as u64)? / BLOCK;
        digests(inputs, room, WAVE_BLOCKS, |wave| self.run(gpu, wave, stats))
    }

    /// Runs a wave: the states of its messages after it.
    fn run(
        &mut self,
        gpu: &Gpu,
        wave: &Wave,
        stats: &mut HashStats,
    ) -> Result<Vec<State>, CudaError> {
        let count = wave.count() as u32;
        let messages = self.messages.filled(gpu, &wave.messages)?;
        let data = self.data.filled(gpu, &wave.data)?;
        let states = self.states.filled(gpu, &wave.states)?;
        let grid = Grid::covering(count.into(), THREADS);
        let arguments = [messages.into(), count.into(), data.into(), states.into()];
        let ((), kernel_time) = gpu.timed(|| gpu.launch(&self.kernel, grid, &arguments))?;
        let bytes = wave.data.len() * 4;
        stats.add(HashStats {
            waves: 1,
            compressions: (bytes / BLOCK) as u64,
            // The blocks; of each message where they are, and its state in and out.
            kernel_bytes: (bytes + wave.count() * (8 + 2 * 4 * DIGEST_WORDS)) as u64,
            nonces: 0,
            kernel_time,
        });
        let found = gpu.read(states, 0, wave.states.len() as u64)?;
        Ok(found.as_chunks().0.to_vec())
    }
}

pub(super) fn blocks() -> Source {
    Source {
        name: "hash/sha256_blocks",
        text: include_str!("../kernels/hash/sha256_blocks.cu"),
        entries: &["sha256_blocks"],
        defines: &[],
    }
}
