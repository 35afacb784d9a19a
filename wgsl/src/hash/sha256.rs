//! SHA-256 of a batch: one lane per message.
//!
//! A dispatch takes every message some blocks further. One message is one chain of compressions, which no device runs
//! side by side: a batch of many is what this is fast for.

use std::sync::Arc;

use ffcm::device::hash::sha256::{State, Wave, digests};
use ffcm::device::hash::{BLOCK, DIGEST_WORDS};

use super::{HashStats, UNIFORM_STRIDE, WORKGROUP, wave_bytes};
use crate::device::{Binding, Gpu, GpuError, Groups, Kernel, Scratch, Source};

/// Blocks of a message that one dispatch takes: 16 trips of the inner loop each, and some drivers stop a shader after
/// 65 535 trips.
const DISPATCH_BLOCKS: usize = 1 << 10;
/// Blocks of a message that one wave takes, so that no submission runs for long.
const WAVE_BLOCKS: usize = 64 * DISPATCH_BLOCKS;

/// The round constants (FIPS 180-4, section 4.2.2).
#[rustfmt::skip]
pub(super) const CONSTANTS: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

#[derive(Debug)]
pub(super) struct Hasher {
    kernel: Arc<Kernel>,
    constants: Scratch,
    windows: Scratch,
    messages: Scratch,
    data: Scratch,
    states: Scratch,
}

fn stats(wave: &Wave) -> HashStats {
    let data = wave.data.len() * 4;
    let dispatches = wave.longest.div_ceil(DISPATCH_BLOCKS);
    let reads = wave.count() * dispatches * 8;
    // A state is read and written by every dispatch that takes its message further.
    let turns = wave.blocks().map(|blocks| blocks.div_ceil(DISPATCH_BLOCKS));
    let states = turns.sum::<usize>() * 2 * 4 * DIGEST_WORDS;
    HashStats {
        waves: 1,
        compressions: (data / BLOCK) as u64,
        kernel_bytes: (data + reads + states) as u64,
        nonces: 0,
    }
}

impl Hasher {
    pub(super) fn new(gpu: &Gpu) -> Result<Hasher, GpuError> {
        Ok(Hasher {
            kernel: gpu.kernel(&blocks())?,
            constants: Scratch::new("sha256: constants"),
            windows: Scratch::new("sha256: windows"),
            messages: Scratch::new("sha256: messages"),
            data: Scratch::new("sha256: data"),
            states: Scratch::new("sha256: states"),
        })
    }

    pub(super) fn hash(
        &mut self,
        gpu: &Gpu,
        inputs: &[&[u8]],
        stats_of: &mut HashStats,
    ) -> Result<Vec<[u8; 32]>, GpuError> {
        // The windows of a wave as well as its blocks.
        let needs = 4 * (CONSTANTS.len() + UNIFORM_STRIDE) as u64;
        let room = wave_bytes(gpu, "a block of SHA-256", needs)? / BLOCK;
        digests(inputs, room, WAVE_BLOCKS, |wave| {
            let states = self.run(gpu, wave)?;
            stats_of.add(stats(wave));
            Ok(states)
        })
    }

    /// Runs a wave: the states of its messages after it.
    fn run(&mut self, gpu: &Gpu, wave: &Wave) -> Result<Vec<State>, GpuError> {
        let count = wave.count() as u32;
        let mut uniforms = Vec::new();
        for first in (0..wave.longest).step_by(DISPATCH_BLOCKS) {
            uniforms.resize(uniforms.len().next_multiple_of(UNIFORM_STRIDE), 0);
            let end = wave.longest.min(first + DISPATCH_BLOCKS);
            uniforms.extend([count, first as u32, end as u32, 0]);
        }
        let constants = self.constants.filled(gpu, &CONSTANTS)?;
        let windows = self.windows.filled(gpu, &uniforms)?;
        let messages = self.messages.filled(gpu, &wave.messages)?;
        let data = self.data.filled(gpu, &wave.data)?;
        let states = self.states.filled(gpu, &wave.states)?;
        let mut bound = Vec::new();
        for at in (0..uniforms.len()).step_by(UNIFORM_STRIDE) {
            let buffers = [
                constants.slice(0, CONSTANTS.len() as u64),
                windows.slice(at as u64, 4),
                messages.into(),
                data.into(),
                states.into(),
            ];
            bound.push(gpu.bind(&self.kernel, &buffers)?);
        }
        let mut commands = gpu.commands("sha256");
        for bound in &bound {
            commands.dispatch(bound, Groups::Count(count.div_ceil(WORKGROUP)));
        }
        let found = commands.submit_and_read(states, 0, wave.states.len() as u64)?;
        Ok(found.as_chunks().0.to_vec())
    }
}

/// A kernel with the compression function before it.
pub(super) fn source(name: &'static str, kernel: &str, bindings: &'static [Binding]) -> Source {
    let common = include_str!("../kernels/hash/sha256.wgsl");
    Source {
        name,
        text: [common, kernel].concat(),
        entry: "main",
        bindings,
    }
}

pub(super) fn blocks() -> Source {
    source(
        "hash.sha256_blocks",
        include_str!("../kernels/hash/sha256_blocks.wgsl"),
        &[
            Binding::Uniform,
            Binding::Uniform,
            Binding::Read,
            Binding::Read,
            Binding::Write,
        ],
    )
}

#[cfg(test)]
mod tests {
    use ffcm::device::hash::sha256::INITIAL;

    use super::*;

    #[test]
    fn bytes_are_counted_by_dispatch() {
        let mut wave = Wave::default();
        let long = vec![0; 64 * DISPATCH_BLOCKS];
        wave.push(&long, 0, DISPATCH_BLOCKS + 1, &INITIAL);
        wave.push(b"", 0, 1, &INITIAL);
        let blocks = DISPATCH_BLOCKS as u64 + 2;
        let expected = HashStats {
            waves: 1,
            compressions: blocks,
            // Two dispatches look at two messages; three states move.
            kernel_bytes: blocks * 64 + 2 * 2 * 8 + 3 * 64,
            nonces: 0,
        };
        assert_eq!(stats(&wave), expected);
    }
}
