//! Hashes on the device: batches of BLAKE3 and SHA-256, and the search for a nonce.

mod blake3;
mod search;
mod sha256;

use std::sync::Arc;

use ffcm::coprocessor::{HashJob, HashOutput, JobError};

use crate::device::{Gpu, GpuError, Source};

/// No buffer of a wave is larger than this, on any device: it bounds what the engine keeps, on both sides.
const WAVE_BYTES: u64 = 32 << 20;
/// Lanes of a workgroup of every kernel here.
const WORKGROUP: u32 = 64;
/// Words from one uniform to the next: bindings are aligned to 256 bytes.
const UNIFORM_STRIDE: usize = 64;

/// What an engine has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashStats {
    /// Waves that batches were cut into and windows of searches, one round trip each.
    pub waves: u64,
    /// Compressions of 64 bytes, of both functions.
    pub compressions: u64,
    /// Bytes that the kernels of the batches addressed: each word that an invocation reads or writes. A search
    /// addresses next to none.
    pub kernel_bytes: u64,
    /// Nonces tried.
    pub nonces: u64,
}

impl HashStats {
    fn add(&mut self, other: HashStats) {
        self.waves += other.waves;
        self.compressions += other.compressions;
        self.kernel_bytes += other.kernel_bytes;
        self.nonces += other.nonces;
    }
}

/// Hashes batches, and searches. A kernel is compiled when a job first needs it.
#[derive(Debug)]
pub struct HashEngine {
    gpu: Arc<Gpu>,
    stats: HashStats,
    blake3: Option<blake3::Hasher>,
    sha256: Option<sha256::Hasher>,
    search: Option<search::Searcher>,
}

impl HashEngine {
    /// An engine on this device.
    ///
    /// # Errors
    ///
    /// What the device says.
    pub fn new(gpu: &Arc<Gpu>) -> Result<HashEngine, GpuError> {
        Ok(HashEngine {
            gpu: Arc::clone(gpu),
            stats: HashStats::default(),
            blake3: None,
            sha256: None,
            search: None,
        })
    }

    /// What has been done so far.
    pub fn stats(&self) -> HashStats {
        self.stats
    }

    /// Runs a job, with the results of [`ffcm::hash`].
    ///
    /// # Errors
    ///
    /// [`JobError::NotSupported`] where the device is too small for a block, [`JobError::Device`] for what else it says.
    pub fn hash(&mut self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        let gpu = &*self.gpu;
        let stats = &mut self.stats;
        let output = match job {
            HashJob::Blake3(inputs) => {
                let hasher = made(&mut self.blake3, || blake3::Hasher::new(gpu))?;
                HashOutput::Digests(hasher.hash(gpu, inputs, stats)?)
            }
            HashJob::Sha256(inputs) => {
                let hasher = made(&mut self.sha256, || sha256::Hasher::new(gpu))?;
                HashOutput::Digests(hasher.hash(gpu, inputs, stats)?)
            }
            HashJob::PowSearch {
                header,
                start,
                count,
                target,
            } => {
                let searcher = made(&mut self.search, || search::Searcher::new(gpu))?;
                let nonces = (*start, *count);
                HashOutput::Nonce(searcher.search(gpu, header, nonces, target, stats)?)
            }
        };
        Ok(output)
    }
}

fn made<T>(
    slot: &mut Option<T>,
    make: impl FnOnce() -> Result<T, GpuError>,
) -> Result<&mut T, GpuError> {
    let made = match slot.take() {
        Some(made) => made,
        None => make()?,
    };
    Ok(slot.insert(made))
}

/// Bytes that every buffer of a wave may have, at least `needs`.
fn wave_bytes(gpu: &Gpu, what: &str, needs: u64) -> Result<usize, GpuError> {
    let limit = gpu.profile().binding_bytes.min(WAVE_BYTES);
    if limit < needs {
        return Err(GpuError::TooLarge {
            what: what.into(),
            needs,
            limit,
        });
    }
    Ok(limit as usize)
}

/// The kernels of this module.
pub(crate) fn sources() -> Vec<Source> {
    vec![
        blake3::chunks(),
        blake3::parents(),
        sha256::blocks(),
        search::source(),
    ]
}
