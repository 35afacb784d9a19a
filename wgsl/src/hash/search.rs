//! The search for the lowest nonce whose SHA-256d is below a target.
//!
//! Nonces are tried in windows of increasing nonces, so the lowest of the first window with any is the lowest of all.
//! Windows grow, so that an easy target costs little beyond its nonce and a hard one few round trips.

use std::sync::Arc;

use sha2::block_api::compress256;

use super::sha256::{self, CONSTANTS, INITIAL, State};
use super::{BLOCK, HashStats, WORKGROUP, wave_bytes};
use crate::device::{Binding, Gpu, GpuError, Groups, Kernel, Scratch, Source};

/// Nonces of the first window; each next one has four times as many.
const FIRST_WINDOW: u64 = 1 << 12;
/// Nonces of the largest window.
const LARGEST_WINDOW: u64 = 1 << 20;
/// Words of the search's uniform.
const UNIFORM_WORDS: usize = 56;

#[derive(Debug)]
pub(super) struct Searcher {
    kernel: Arc<Kernel>,
    constants: Scratch,
    uniform: Scratch,
    found: Scratch,
}

impl Searcher {
    pub(super) fn new(gpu: &Gpu) -> Result<Searcher, GpuError> {
        Ok(Searcher {
            kernel: gpu.kernel(&source())?,
            constants: Scratch::new("search: constants"),
            uniform: Scratch::new("search"),
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
    ) -> Result<Option<u64>, GpuError> {
        let Some(further) = count.checked_sub(1) else {
            return Ok(None);
        };
        wave_bytes(gpu, "a nonce search", 4 * CONSTANTS.len() as u64)?;
        let last = start.saturating_add(further);
        let constants = self.constants.filled(gpu, &CONSTANTS)?;
        let uniform = self.uniform.at_least(gpu, UNIFORM_WORDS as u64)?;
        let found = self.found.at_least(gpu, 1)?;
        let buffers = [
            constants.slice(0, CONSTANTS.len() as u64),
            uniform.slice(0, UNIFORM_WORDS as u64),
            found.slice(0, 1),
        ];
        let bound = gpu.bind(&self.kernel, &buffers)?;

        let mut words = prepared(header, target);
        let (mut first, mut window) = (start, FIRST_WINDOW);
        loop {
            let end = last.min(first.saturating_add(window - 1));
            let count = (end - first + 1) as u32;
            words[48..51].copy_from_slice(&[first as u32, (first >> 32) as u32, count]);
            gpu.upload(uniform, 0, &words)?;
            gpu.upload(found, 0, &[u32::MAX])?;
            let mut commands = gpu.commands("search");
            commands.dispatch(&bound, Groups::Count(count.div_ceil(WORKGROUP)));
            let answer = commands.submit_and_read(found, 0, 1)?;
            stats.add(HashStats {
                waves: 1,
                // The tail's blocks, and the hash of the hash.
                compressions: u64::from(count) * u64::from(words[51] + 1),
                kernel_bytes: 0,
                nonces: count.into(),
            });
            match answer.as_slice() {
                [distance] if *distance < count => return Ok(Some(first + u64::from(*distance))),
                [u32::MAX] if end == last => return Ok(None),
                [u32::MAX] => {}
                other => {
                    return Err(GpuError::Driver {
                        message: format!("a search of {count} nonces gave {other:?}"),
                    });
                }
            }
            first = end + 1;
            window = LARGEST_WINDOW.min(window * 4);
        }
    }
}

/// The kernel's uniform, without the nonces.
fn prepared(header: &[u8], target: &[u8; 32]) -> [u32; UNIFORM_WORDS] {
    let (whole, rest) = header.as_chunks::<BLOCK>();
    let mut state: State = INITIAL;
    compress256(&mut state, whole);
    // The rest, the nonce, a bit, zeros, and the length.
    let mut tail = [0; 2 * BLOCK];
    tail[..rest.len()].copy_from_slice(rest);
    tail[rest.len() + 8] = 0x80;
    let blocks = (rest.len() + 8 + 9).div_ceil(BLOCK);
    let bits = (header.len() as u64).wrapping_add(8).wrapping_mul(8);
    tail[blocks * BLOCK - 8..blocks * BLOCK].copy_from_slice(&bits.to_be_bytes());

    let mut words = [0; UNIFORM_WORDS];
    words[..8].copy_from_slice(&state);
    let bytes = target.iter().chain(&tail);
    for (index, byte) in bytes.enumerate() {
        words[8 + index / 4] |= u32::from(*byte) << (24 - 8 * (index % 4));
    }
    words[51] = blocks as u32;
    words[52] = (rest.len() / 4) as u32;
    words[53] = 8 * (rest.len() % 4) as u32;
    words
}

pub(super) fn source() -> Source {
    sha256::source(
        "hash.sha256_search",
        include_str!("../kernels/hash/sha256_search.wgsl"),
        &[Binding::Uniform, Binding::Uniform, Binding::Write],
    )
}
