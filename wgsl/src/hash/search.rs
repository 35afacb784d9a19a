//! The search for the lowest nonce whose SHA-256d is below a target.

use std::sync::Arc;

use ffcm::device::hash::search::{Prepared, windows};

use super::sha256::{self, CONSTANTS};
use super::{HashStats, WORKGROUP, wave_bytes};
use crate::device::{Binding, Gpu, GpuError, Groups, Kernel, Scratch, Source};

/// Nonces of the first window; each next one has four times as many.
const FIRST_WINDOW: u32 = 1 << 12;
/// Nonces of the largest window.
const LARGEST_WINDOW: u32 = 1 << 20;
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
        if count == 0 {
            return Ok(None);
        }
        wave_bytes(gpu, "a nonce search", 4 * CONSTANTS.len() as u64)?;
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
        for (first, count) in windows(start, count, FIRST_WINDOW, LARGEST_WINDOW) {
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
                [u32::MAX] => {}
                other => {
                    return Err(GpuError::Driver {
                        message: format!("a search of {count} nonces gave {other:?}"),
                    });
                }
            }
        }
        Ok(None)
    }
}

/// The kernel's uniform, without the nonces.
fn prepared(header: &[u8], target: &[u8; 32]) -> [u32; UNIFORM_WORDS] {
    let prepared = Prepared::new(header, target);
    let mut words = [0; UNIFORM_WORDS];
    words[..8].copy_from_slice(&prepared.state);
    words[8..16].copy_from_slice(&prepared.below);
    words[16..48].copy_from_slice(&prepared.tail);
    words[51..54].copy_from_slice(&[prepared.blocks, prepared.word, prepared.shift]);
    words
}

pub(super) fn source() -> Source {
    sha256::source(
        "hash.sha256_search",
        include_str!("../kernels/hash/sha256_search.wgsl"),
        &[Binding::Uniform, Binding::Uniform, Binding::Write],
    )
}
