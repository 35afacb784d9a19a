//! A list of commands for one submission.

use std::sync::atomic::Ordering;
use std::sync::mpsc;

use wgpu::{
    BufferDescriptor, BufferUsages, CommandEncoderDescriptor, ComputePassDescriptor, MapMode,
    PollType,
};

use super::gpu::lock;
use super::{Bound, Buffer, Gpu, GpuError};

/// How many workgroups a dispatch has.
#[derive(Clone, Copy, Debug)]
pub enum Groups<'a> {
    /// So many; spread over the second dimension where they exceed the limit of the first, so a kernel computes its
    /// index as `workgroup_id.x + workgroup_id.y * num_workgroups.x` and checks it.
    Count(u32),
    /// Three words of a buffer, at this word.
    Indirect(&'a Buffer, u64),
}

pub(super) enum Step<'a> {
    Dispatch(&'a Bound, Groups<'a>),
    Copy {
        from: &'a Buffer,
        start: u64,
        to: &'a Buffer,
        at: u64,
        words: u64,
    },
    Clear {
        buffer: &'a Buffer,
        start: u64,
        words: u64,
    },
}

/// Commands to be submitted together. Each sees the effects of those before it.
pub struct Commands<'a> {
    gpu: &'a Gpu,
    label: &'static str,
    steps: Vec<Step<'a>>,
}

impl<'a> Commands<'a> {
    pub(super) fn new(gpu: &'a Gpu, label: &'static str) -> Commands<'a> {
        Commands {
            gpu,
            label,
            steps: Vec::new(),
        }
    }

    /// Runs a kernel. No workgroups, no dispatch.
    pub fn dispatch(&mut self, bound: &'a Bound, groups: Groups<'a>) -> &mut Self {
        if !matches!(groups, Groups::Count(0)) {
            self.steps.push(Step::Dispatch(bound, groups));
        }
        self
    }

    /// Copies `words` words.
    pub fn copy(
        &mut self,
        from: &'a Buffer,
        start: u64,
        to: &'a Buffer,
        at: u64,
        words: u64,
    ) -> &mut Self {
        if words > 0 {
            self.steps.push(Step::Copy {
                from,
                start,
                to,
                at,
                words,
            });
        }
        self
    }

    /// Sets `words` words to zero.
    pub fn clear(&mut self, buffer: &'a Buffer, start: u64, words: u64) -> &mut Self {
        if words > 0 {
            self.steps.push(Step::Clear {
                buffer,
                start,
                words,
            });
        }
        self
    }

    /// Submits without waiting.
    pub fn submit(self) -> Result<(), GpuError> {
        #[cfg(feature = "remote")]
        if self.gpu.remote_submit(self.label, &self.steps)? {
            return Ok(());
        }
        self.encode_and_submit(None).map(|_| ())
    }

    /// Submits, waits, and reads `words` words of `buffer` from word `start` on.
    pub fn submit_and_read(
        self,
        buffer: &Buffer,
        start: u64,
        words: u64,
    ) -> Result<Vec<u32>, GpuError> {
        debug_assert!(start + words <= buffer.words());
        if words == 0 {
            self.submit()?;
            return Ok(vec![]);
        }
        let gpu = self.gpu;
        #[cfg(feature = "remote")]
        if gpu.remote_submit(self.label, &self.steps)?
            && let Some(data) = gpu.remote_read(buffer, start, words)?
        {
            return Ok(data);
        }
        let bytes = words * 4;
        let mut kept = lock(&gpu.staging);
        let staging = match kept.take() {
            Some(staging) if staging.size() >= bytes => staging,
            _ => gpu.device.create_buffer(&BufferDescriptor {
                label: Some("readback"),
                size: bytes.next_power_of_two().max(1024),
                usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
        };
        gpu.check()?;
        let index = self.encode_and_submit(Some((buffer, start, &staging, bytes)))?;
        let slice = staging.slice(..bytes);
        let (sender, receiver) = mpsc::channel();
        slice.map_async(MapMode::Read, move |result| {
            // The receiver is gone only if this function has given up.
            let _ = sender.send(result);
        });
        gpu.counters.round_trips.fetch_add(1, Ordering::Relaxed);
        let waited = gpu.device.poll(PollType::Wait {
            submission_index: Some(index),
            timeout: Some(gpu.timeout),
        });
        gpu.check()?;
        if let Err(error) = waited {
            return Err(match error {
                wgpu::PollError::Timeout => GpuError::Timeout {
                    seconds: gpu.timeout.as_secs(),
                },
                other => GpuError::Driver {
                    message: other.to_string(),
                },
            });
        }
        let driver = |message: String| GpuError::Driver { message };
        receiver
            .try_recv()
            .map_err(|_| driver("the readback was not mapped".into()))?
            .map_err(|error| driver(format!("readback: {error}")))?;
        let view = slice
            .get_mapped_range()
            .map_err(|error| driver(format!("readback: {error}")))?;
        let data = bytemuck::pod_collect_to_vec(&view[..]);
        drop(view);
        staging.unmap();
        *kept = Some(staging);
        gpu.counters.read_back.fetch_add(bytes, Ordering::Relaxed);
        Ok(data)
    }

    fn encode_and_submit(
        self,
        readback: Option<(&Buffer, u64, &wgpu::Buffer, u64)>,
    ) -> Result<wgpu::SubmissionIndex, GpuError> {
        let gpu = self.gpu;
        gpu.check()?;
        let mut encoder = gpu
            .device
            .create_command_encoder(&CommandEncoderDescriptor {
                label: Some(self.label),
            });
        let mut dispatches = 0;
        let mut steps = self.steps.iter().peekable();
        while let Some(step) = steps.next() {
            match step {
                Step::Copy {
                    from,
                    start,
                    to,
                    at,
                    words,
                } => {
                    encoder.copy_buffer_to_buffer(&from.raw, start * 4, &to.raw, at * 4, words * 4);
                }
                Step::Clear {
                    buffer,
                    start,
                    words,
                } => {
                    encoder.clear_buffer(&buffer.raw, start * 4, Some(words * 4));
                }
                Step::Dispatch(bound, groups) => {
                    // Dispatches in a row share a pass; the driver orders them by what they touch.
                    let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
                    let mut next = (*bound, *groups);
                    loop {
                        dispatches += 1;
                        encode_dispatch(gpu, &mut pass, next.0, next.1);
                        match steps.peek() {
                            Some(Step::Dispatch(bound, groups)) => next = (*bound, *groups),
                            _ => break,
                        }
                        steps.next();
                    }
                }
            }
        }
        if let Some((buffer, start, staging, bytes)) = readback {
            encoder.copy_buffer_to_buffer(&buffer.raw, start * 4, staging, 0, bytes);
        }
        let index = gpu.queue.submit([encoder.finish()]);
        gpu.counters.submissions.fetch_add(1, Ordering::Relaxed);
        gpu.counters
            .dispatches
            .fetch_add(dispatches, Ordering::Relaxed);
        gpu.check()?;
        Ok(index)
    }
}

/// Two dimensions, neither above `limit`, that hold at least `count` workgroups.
pub(super) fn spread(count: u32, limit: u32) -> (u32, u32) {
    let rows = count.div_ceil(limit).max(1);
    (count.div_ceil(rows), rows)
}

fn encode_dispatch(gpu: &Gpu, pass: &mut wgpu::ComputePass<'_>, bound: &Bound, groups: Groups<'_>) {
    pass.set_pipeline(&bound.kernel.pipeline);
    pass.set_bind_group(0, &bound.group, &[]);
    match groups {
        Groups::Count(count) => {
            let (columns, rows) = spread(count, gpu.profile().workgroups);
            pass.dispatch_workgroups(columns, rows, 1);
        }
        Groups::Indirect(buffer, word) => pass.dispatch_workgroups_indirect(&buffer.raw, word * 4),
    }
}
