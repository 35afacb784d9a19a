//! A list of commands for one submission.

use std::sync::atomic::Ordering;
use std::time::Duration;

use wgpu::{CommandEncoderDescriptor, ComputePassDescriptor, SubmissionIndex};

use super::gpu::add_time;
use super::readback::{self, Readback, Timer};
use super::{Bound, Buffer, Gpu, GpuError};

/// How many workgroups a dispatch has.
#[derive(Clone, Copy, Debug)]
pub enum Groups<'a> {
    /// So many, at most the square of the limit of a dimension; spread over the second dimension where they exceed the limit of the first, so a kernel computes its
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

/// Commands to be submitted together. Each sees the effects of those before it. Ranges are checked as commands are
/// added; the first error is what the submission fails with, and nothing runs.
pub struct Commands<'a> {
    gpu: &'a Gpu,
    label: &'static str,
    steps: Vec<Step<'a>>,
    error: Option<GpuError>,
}

impl<'a> Commands<'a> {
    pub(super) fn new(gpu: &'a Gpu, label: &'static str) -> Commands<'a> {
        Commands {
            gpu,
            label,
            steps: Vec::new(),
            error: None,
        }
    }

    /// Runs a kernel. No workgroups, no dispatch.
    pub fn dispatch(&mut self, bound: &'a Bound, groups: Groups<'a>) -> &mut Self {
        if !matches!(groups, Groups::Count(0)) {
            let checked = self.check_dispatch(bound, groups);
            self.push(checked, Step::Dispatch(bound, groups));
        }
        self
    }

    fn check_dispatch(&self, bound: &Bound, groups: Groups<'_>) -> Result<(), GpuError> {
        bound.kernel.check(self.gpu)?;
        match groups {
            Groups::Count(count) => {
                let limit = self.gpu.profile().workgroups;
                let (_, rows) = spread(count, limit);
                match rows <= limit {
                    true => Ok(()),
                    false => Err(GpuError::TooManyGroups { count, limit }),
                }
            }
            Groups::Indirect(buffer, word) => buffer.check(self.gpu, word, 3),
        }
    }

    fn push(&mut self, checked: Result<(), GpuError>, step: Step<'a>) {
        match checked {
            Ok(()) => self.steps.push(step),
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
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
        let checked = from
            .check(self.gpu, start, words)
            .and_then(|()| to.check(self.gpu, at, words));
        if words > 0 || checked.is_err() {
            let step = Step::Copy {
                from,
                start,
                to,
                at,
                words,
            };
            self.push(checked, step);
        }
        self
    }

    /// Sets `words` words to zero.
    pub fn clear(&mut self, buffer: &'a Buffer, start: u64, words: u64) -> &mut Self {
        let checked = buffer.check(self.gpu, start, words);
        if words > 0 || checked.is_err() {
            let step = Step::Clear {
                buffer,
                start,
                words,
            };
            self.push(checked, step);
        }
        self
    }

    /// Submits without waiting.
    pub fn submit(self) -> Result<(), GpuError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        #[cfg(feature = "remote")]
        if self.gpu.remote_submit(self.label, &self.steps)? {
            return Ok(());
        }
        self.encode_and_submit(None, None).map(|_| ())
    }

    /// Submits, waits, and reads `words` words of `buffer` from word `start` on.
    pub fn submit_and_read(
        self,
        buffer: &Buffer,
        start: u64,
        words: u64,
    ) -> Result<Vec<u32>, GpuError> {
        self.run(buffer, start, words, false).map(|(data, _)| data)
    }

    /// As [`Commands::submit_and_read`], with the time the device took from the beginning of the first kernel to the end
    /// of the last one. No time where the device has no time stamps, nothing is dispatched or nothing is read.
    pub fn submit_and_read_timed(
        self,
        buffer: &Buffer,
        start: u64,
        words: u64,
    ) -> Result<(Vec<u32>, Option<Duration>), GpuError> {
        self.run(buffer, start, words, true)
    }

    fn run(
        self,
        buffer: &Buffer,
        start: u64,
        words: u64,
        timed: bool,
    ) -> Result<(Vec<u32>, Option<Duration>), GpuError> {
        let gpu = self.gpu;
        readback::readable(gpu, buffer, start, words)?;
        if words == 0 || self.error.is_some() {
            self.submit()?;
            return Ok((vec![], None));
        }
        #[cfg(feature = "remote")]
        if gpu.remote_submit(self.label, &self.steps)?
            && let Some(data) = gpu.remote_read(buffer, start, words)?
        {
            return Ok((data, None));
        }
        let readback = Readback::new(gpu, words * 4)?;
        let timer = match timed && self.passes() > 0 {
            true => Timer::new(gpu)?,
            false => None,
        };
        let copied = (buffer, start, &readback);
        // Timed, the copy is a submission of its own, made when what comes before is done.
        let (index, started) = match gpu.is_timing() {
            false => (self.encode_and_submit(Some(copied), timer.as_ref())?, None),
            true => {
                let label = self.label;
                self.encode_and_submit(None, timer.as_ref())?;
                let started = gpu.transfer_begins()?;
                let copy = Commands::new(gpu, label);
                (copy.encode_and_submit(Some(copied), None)?, started)
            }
        };
        let mapping = readback.request(gpu)?;
        let timer = match timer {
            Some(timer) => Some((timer.request(gpu)?, timer)),
            None => None,
        };
        readback::wait(gpu, index)?;
        let data = readback.finish(gpu, &mapping)?;
        if let Some(started) = started {
            add_time(&gpu.counters.read_time, started);
        }
        let time = match timer {
            Some((mapping, timer)) => timer.finish(gpu, &mapping)?,
            None => None,
        };
        Ok((data, time))
    }

    /// How many compute passes the steps make: dispatches in a row share one.
    fn passes(&self) -> usize {
        let is_dispatch = |step: &Step<'_>| matches!(step, Step::Dispatch(..));
        let rows = self.steps.chunk_by(|a, b| is_dispatch(a) == is_dispatch(b));
        rows.filter(|row| row.first().is_some_and(is_dispatch))
            .count()
    }

    fn encode_and_submit(
        self,
        readback: Option<(&Buffer, u64, &Readback)>,
        timer: Option<&Timer>,
    ) -> Result<SubmissionIndex, GpuError> {
        let gpu = self.gpu;
        let (index, dispatches) = gpu.guarded(|| {
            let (mut encoder, dispatches) = self.encode(timer);
            if let Some((buffer, start, readback)) = readback {
                readback.copy(&mut encoder, &buffer.raw, start);
            }
            (gpu.queue.submit([encoder.finish()]), dispatches)
        })?;
        gpu.counters.submissions.fetch_add(1, Ordering::Relaxed);
        gpu.counters
            .dispatches
            .fetch_add(dispatches, Ordering::Relaxed);
        Ok(index)
    }

    /// The steps and how many of them are dispatches.
    fn encode(&self, timer: Option<&Timer>) -> (wgpu::CommandEncoder, u64) {
        let gpu = self.gpu;
        let descriptor = CommandEncoderDescriptor {
            label: Some(self.label),
        };
        let mut encoder = gpu.device.create_command_encoder(&descriptor);
        let (mut dispatches, mut pass_index, passes) = (0, 0, self.passes());
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
                    pass_index += 1;
                    let timestamp_writes =
                        timer.and_then(|timer| timer.writes(pass_index == 1, pass_index == passes));
                    let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor {
                        label: Some(self.label),
                        timestamp_writes,
                    });
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
        if let Some(timer) = timer {
            timer.resolve(&mut encoder);
        }
        (encoder, dispatches)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workgroups_spread_over_two_dimensions() {
        const LIMIT: u32 = 65535;
        for count in [
            1,
            2,
            LIMIT - 1,
            LIMIT,
            LIMIT + 1,
            2 * LIMIT,
            2 * LIMIT + 1,
            1 << 24,
            LIMIT * LIMIT - 1,
            LIMIT * LIMIT,
        ] {
            let (columns, rows) = spread(count, LIMIT);
            assert!(columns <= LIMIT && rows <= LIMIT, "{count}");
            let all = u64::from(columns) * u64::from(rows);
            // Less than a row too many.
            assert!(all >= count.into(), "{count}");
            assert!(all - u64::from(count) < rows.into(), "{count}");
        }
        assert_eq!(spread(LIMIT, LIMIT), (LIMIT, 1));
        assert!(spread(LIMIT * LIMIT + 1, LIMIT).1 > LIMIT);
    }
}
