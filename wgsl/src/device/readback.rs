//! Waiting for a submission and reading what it leaves.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use wgpu::{
    BufferAsyncError, BufferUsages, CommandEncoder, ComputePassTimestampWrites, MapMode, PollType,
    QuerySet, QuerySetDescriptor, QueryType, SubmissionIndex,
};

use super::faults::lock;
use super::{Buffer, Gpu, GpuError};

/// The largest staging buffer that is kept for the next readback.
const KEPT_BYTES_MAX: u64 = 64 << 20;

/// Host-visible memory that a submission copies to.
pub(super) struct Readback {
    staging: wgpu::Buffer,
    bytes: u64,
}

type Mapping = Receiver<Result<(), BufferAsyncError>>;

impl Readback {
    /// Room for `bytes` bytes, at least one word: the kept buffer if it is large enough. Each reading thread has one of
    /// its own.
    pub(super) fn new(gpu: &Gpu, bytes: u64) -> Result<Readback, GpuError> {
        let kept = lock(&gpu.staging).take();
        let staging = match kept {
            Some(staging) if staging.size() >= bytes => staging,
            _ => {
                let round = bytes.next_power_of_two().max(1024);
                // The next power of two may be more than the device allows.
                let size = round.min(gpu.profile().binding_bytes).max(bytes);
                gpu.allocate(
                    "readback",
                    size,
                    BufferUsages::MAP_READ | BufferUsages::COPY_DST,
                )?
            }
        };
        Ok(Readback { staging, bytes })
    }

    /// Copies from word `start` of a buffer on, as far as there is room.
    pub(super) fn copy(&self, encoder: &mut CommandEncoder, from: &wgpu::Buffer, start: u64) {
        encoder.copy_buffer_to_buffer(from, start * 4, &self.staging, 0, self.bytes);
    }

    /// Asks for the data of what has been submitted.
    pub(super) fn request(&self, gpu: &Gpu) -> Result<Mapping, GpuError> {
        let (sender, receiver) = mpsc::channel();
        gpu.guarded(|| {
            self.staging
                .slice(..self.bytes)
                .map_async(MapMode::Read, move |result| {
                    // The receiver is gone only if its thread has given up.
                    let _ = sender.send(result);
                });
        })?;
        Ok(receiver)
    }

    /// The words, once the wait for the submission is over.
    pub(super) fn finish(self, gpu: &Gpu, mapping: &Mapping) -> Result<Vec<u32>, GpuError> {
        let driver = |message: String| GpuError::Driver { message };
        // Another thread's wait may be the one that tells, a moment later.
        let told = mapping.recv_timeout(gpu.timeout);
        gpu.check()?;
        told.map_err(|_| driver("the readback was not mapped".into()))?
            .map_err(|error| driver(format!("readback: {error}")))?;
        let data = gpu.guarded(|| {
            let view = self.staging.slice(..self.bytes).get_mapped_range();
            let data = view.map(|view| bytemuck::pod_collect_to_vec(&view[..]));
            self.staging.unmap();
            data
        })?;
        let data = data.map_err(|error| driver(format!("readback: {error}")))?;
        gpu.counters
            .read_back
            .fetch_add(self.bytes, Ordering::Relaxed);
        let mut kept = lock(&gpu.staging);
        let largest = kept.as_ref().map_or(0, wgpu::Buffer::size);
        if self.staging.size() > largest && self.staging.size() <= KEPT_BYTES_MAX {
            *kept = Some(self.staging);
        }
        Ok(data)
    }
}

/// Waits for a submission, and counts that.
pub(super) fn wait(gpu: &Gpu, index: SubmissionIndex) -> Result<(), GpuError> {
    gpu.counters.round_trips.fetch_add(1, Ordering::Relaxed);
    poll(gpu, index)
}

/// Waits for a submission.
pub(super) fn poll(gpu: &Gpu, index: SubmissionIndex) -> Result<(), GpuError> {
    let started = Instant::now();
    let waited = gpu.guarded(|| {
        gpu.device.poll(PollType::Wait {
            submission_index: Some(index),
            timeout: Some(gpu.timeout),
        })
    })?;
    match waited {
        Ok(_) => Ok(()),
        Err(wgpu::PollError::Timeout) => {
            tracing::warn!(waited = ?started.elapsed(), "the GPU does not answer");
            Err(GpuError::Timeout {
                seconds: gpu.timeout.as_secs(),
            })
        }
        Err(other) => Err(GpuError::Driver {
            message: other.to_string(),
        }),
    }
}

/// Time stamps around the compute passes of one submission.
pub(super) struct Timer {
    set: QuerySet,
    resolved: wgpu::Buffer,
    readback: Readback,
}

impl Timer {
    const BYTES: u64 = 16;

    /// Nothing where the device has no time stamps.
    pub(super) fn new(gpu: &Gpu) -> Result<Option<Timer>, GpuError> {
        if !gpu.adapter().timestamps {
            return Ok(None);
        }
        let set = gpu.guarded(|| {
            gpu.device.create_query_set(&QuerySetDescriptor {
                label: Some("timer"),
                ty: QueryType::Timestamp,
                count: 2,
            })
        })?;
        let usage = BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC;
        let resolved = gpu.allocate("timer", Timer::BYTES, usage)?;
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let staging = gpu.allocate("timer readback", Timer::BYTES, usage)?;
        let bytes = Timer::BYTES;
        let readback = Readback { staging, bytes };
        Ok(Some(Timer {
            set,
            resolved,
            readback,
        }))
    }

    /// What a pass has to write: the first one the beginning, the last one the end.
    pub(super) fn writes(
        &self,
        is_first: bool,
        is_last: bool,
    ) -> Option<ComputePassTimestampWrites<'_>> {
        (is_first || is_last).then_some(ComputePassTimestampWrites {
            query_set: &self.set,
            beginning_of_pass_write_index: is_first.then_some(0),
            end_of_pass_write_index: is_last.then_some(1),
        })
    }

    /// Makes the stamps readable.
    pub(super) fn resolve(&self, encoder: &mut CommandEncoder) {
        encoder.resolve_query_set(&self.set, 0..2, &self.resolved, 0);
        self.readback.copy(encoder, &self.resolved, 0);
    }

    /// As [`Readback::request`].
    pub(super) fn request(&self, gpu: &Gpu) -> Result<Mapping, GpuError> {
        self.readback.request(gpu)
    }

    /// The time between the stamps; nothing if the device's clock was set back between them.
    pub(super) fn finish(self, gpu: &Gpu, mapping: &Mapping) -> Result<Option<Duration>, GpuError> {
        let words = self.readback.finish(gpu, mapping)?;
        let stamp = |at: usize| u64::from(words[at + 1]) << 32 | u64::from(words[at]);
        let ticks = stamp(2).checked_sub(stamp(0));
        let nanoseconds = ticks.map(|t| t as f64 * f64::from(gpu.queue.get_timestamp_period()));
        Ok(nanoseconds.map(|n| Duration::from_nanos(n as u64)))
    }
}

/// Whether these words can be read.
pub(super) fn readable(gpu: &Gpu, buffer: &Buffer, start: u64, words: u64) -> Result<(), GpuError> {
    gpu.check()?;
    buffer.check(gpu, start, words)
}
