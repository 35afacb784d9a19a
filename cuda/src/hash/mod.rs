//! Hashes on the device: batches of BLAKE3 and SHA-256, and the search for a nonce.

mod blake3;
mod search;
mod sha256;

use std::sync::Arc;
use std::time::Duration;

use ffcm::coprocessor::{HashJob, HashOutput, JobError};

use crate::device::{CudaError, Gpu, Kernel, Source};

/// No buffer of a wave is larger than this, on any device: it bounds what the engine keeps, on both sides.
const WAVE_BYTES: u64 = 64 << 20;

/// What an engine has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashStats {
    /// Waves that batches were cut into and windows of searches, one round trip each.
    pub waves: u64,
    /// Compressions of 64 bytes, of both functions. For a search, those of all nonces of a window: how many threads ended
    /// early is not counted.
    pub compressions: u64,
    /// Bytes that the kernels of the batches addressed: each word that a thread reads or writes. A search addresses next
    /// to none.
    pub kernel_bytes: u64,
    /// Nonces of the windows tried.
    pub nonces: u64,
    /// Time the device spent in kernels. Telemetry only.
    pub kernel_time: Duration,
}

impl HashStats {
    fn add(&mut self, other: HashStats) {
        self.waves += other.waves;
        self.compressions += other.compressions;
        self.kernel_bytes += other.kernel_bytes;
        self.nonces += other.nonces;
        self.kernel_time += other.kernel_time;
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
    pub fn new(gpu: &Arc<Gpu>) -> Result<HashEngine, CudaError> {
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
    make: impl FnOnce() -> Result<T, CudaError>,
) -> Result<&mut T, CudaError> {
    let made = match slot.take() {
        Some(made) => made,
        None => make()?,
    };
    Ok(slot.insert(made))
}

/// Bytes that every buffer of a wave may have, at least `needs`: as the lengths of buffers are powers of two, so is this.
///
/// Of this, BLAKE3's buffers need 2 3/4 in all and SHA-256's 1 5/8. With an eighth of the device for each, there is room
/// for both, and for other engines.
fn wave_bytes(gpu: &Gpu, what: &str, needs: u64) -> Result<usize, CudaError> {
    let limit = (gpu.memory_limit() / 8).min(WAVE_BYTES);
    if limit < needs {
        return Err(CudaError::TooLarge {
            what: what.into(),
            needs: 8 * needs,
            limit: gpu.memory_limit(),
        });
    }
    Ok(1 << limit.ilog2())
}

/// The kernels of a unit with `N` entries.
fn entries<const N: usize>(gpu: &Gpu, source: &Source) -> Result<[Arc<Kernel>; N], CudaError> {
    debug_assert_eq!(source.entries.len(), N);
    let kernels = gpu.kernels(source)?;
    Ok(kernels
        .try_into()
        .expect("a kernel for each entry of the unit"))
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
