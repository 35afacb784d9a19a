//! A device with the CPU behind it: what the device cannot do, the CPU does, and nobody is left in the dark about it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::{
    Coprocessor, DeviceInfo, EvaluateJob, EvaluateOutput, FocusJob, HashJob, HashOutput, JobError,
    RewriteJob, RewriteOutput,
};
use crate::focus::Ranking;
use crate::memory::{Memory, MemoryError, MemoryOp, SlotId};
use crate::net::ReduceError;

/// Longest reason that is kept, in characters: drivers can be verbose.
const REASON_CHARS: usize = 400;

/// Something that an operator has to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallbackEvent<'a> {
    /// The device failed in a job. The CPU ran the job again, and runs every job from now on.
    FailedOver {
        /// The backend that failed.
        backend: &'a str,
        /// The job.
        job: &'static str,
        /// What the device says, one line.
        reason: &'a str,
    },
    /// The device works but does not take this job. The CPU ran it.
    Unsupported {
        /// The backend.
        backend: &'a str,
        /// The job.
        job: &'static str,
        /// Why, one line.
        reason: &'a str,
    },
}

/// Who serves, and what has happened so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackState {
    /// The backend that was asked for.
    pub backend: String,
    /// The backend that runs the next job.
    pub serving: String,
    /// Why the device serves no longer, if so: one line.
    pub failure: Option<String>,
    /// How often a device was given up: 0 or 1, it does not come back.
    pub failovers: u64,
    /// Jobs that the CPU ran because the device does not take them.
    pub unsupported: u64,
}

/// Runs jobs on a device as long as that works, and on a second coprocessor where it does not.
///
/// * [`JobError::Device`]: the device is given up for good. The job runs again on the second coprocessor, which serves
///   from then on.
/// * [`JobError::NotSupported`]: this one job runs on the second coprocessor. So does a batch of nets in which the device
///   ran out of heap: how much heap a reduction needs depends on its schedule, so that is no result.
///
/// Both are equally exact, so no bit of an answer depends on who gave it. A device that fails in the middle of a
/// Memory Arithmetic batch may leave anything behind: the batch starts from a copy.
pub struct WithFallback {
    device: Arc<dyn Coprocessor>,
    cpu: Arc<dyn Coprocessor>,
    observer: Box<Observer>,
    failure: OnceLock<String>,
    failovers: AtomicU64,
    unsupported: AtomicU64,
}

type Observer = dyn Fn(&FallbackEvent<'_>) + Send + Sync;

impl fmt::Debug for WithFallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WithFallback").field(&self.state()).finish()
    }
}

impl WithFallback {
    /// `device` with `cpu` behind it. `observer` is told of every event, on the thread that runs the job.
    pub fn new(
        device: Arc<dyn Coprocessor>,
        cpu: Arc<dyn Coprocessor>,
        observer: impl Fn(&FallbackEvent<'_>) + Send + Sync + 'static,
    ) -> WithFallback {
        WithFallback {
            device,
            cpu,
            observer: Box::new(observer),
            failure: OnceLock::new(),
            failovers: AtomicU64::new(0),
            unsupported: AtomicU64::new(0),
        }
    }

    /// Who serves, and what has happened so far.
    pub fn state(&self) -> FallbackState {
        let failure = self.failure.get().cloned();
        let backend = self.device.info().backend;
        FallbackState {
            serving: match failure {
                Some(_) => self.cpu.info().backend,
                None => backend.clone(),
            },
            backend,
            failure,
            failovers: self.failovers.load(Ordering::Relaxed),
            unsupported: self.unsupported.load(Ordering::Relaxed),
        }
    }

    /// The device, unless it was given up.
    fn device(&self) -> Option<&dyn Coprocessor> {
        self.failure.get().is_none().then_some(&*self.device)
    }

    /// What the device answered, or nothing if the CPU has to run the job.
    fn answer<T>(
        &self,
        job: &'static str,
        result: Result<T, JobError>,
    ) -> Option<Result<T, JobError>> {
        let error = match result {
            Ok(_) | Err(JobError::Focus(_)) => return Some(result),
            Err(error) => error,
        };
        let backend = &self.device.info().backend;
        let reason = &one_line(&error.to_string());
        if matches!(error, JobError::NotSupported { .. }) {
            self.unsupported.fetch_add(1, Ordering::Relaxed);
            (self.observer)(&FallbackEvent::Unsupported {
                backend,
                job,
                reason,
            });
        } else if self.failure.set(reason.clone()).is_ok() {
            // Jobs beside this one may fail for the same reason: the device is given up once.
            self.failovers.fetch_add(1, Ordering::Relaxed);
            (self.observer)(&FallbackEvent::FailedOver {
                backend,
                job,
                reason,
            });
        }
        None
    }
}

impl Coprocessor for WithFallback {
    /// The device's, or after a failure the CPU's under the name of both: `wgpu:0, failed over to cpu: reason`.
    fn info(&self) -> DeviceInfo {
        let device = self.device.info();
        match self.failure.get() {
            None => device,
            Some(reason) => {
                let cpu = self.cpu.info();
                DeviceInfo {
                    backend: format!(
                        "{}, failed over to {}: {reason}",
                        device.backend, cpu.backend
                    ),
                    ..cpu
                }
            }
        }
    }

    fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        if let Some(device) = self.device() {
            let result = device.rewrite(job).and_then(|output| {
                let full = output
                    .iter()
                    .any(|result| result.as_ref().is_err_and(is_full));
                within_heap(output, full)
            });
            if let Some(answer) = self.answer("rewrite", result) {
                return answer;
            }
        }
        self.cpu.rewrite(job)
    }

    fn evaluate(&self, job: &EvaluateJob<'_>) -> Result<EvaluateOutput, JobError> {
        if let Some(device) = self.device() {
            let result = device.evaluate(job).and_then(|output| {
                let full = output.failures.iter().any(|(_, error)| is_full(error));
                within_heap(output, full)
            });
            if let Some(answer) = self.answer("evaluate", result) {
                return answer;
            }
        }
        self.cpu.evaluate(job)
    }

    /// Straight to the CPU if that serves; a device makes its output anew.
    fn evaluate_into(
        &self,
        job: &EvaluateJob<'_>,
        output: &mut EvaluateOutput,
    ) -> Result<(), JobError> {
        match self.device() {
            Some(_) => *output = self.evaluate(job)?,
            None => self.cpu.evaluate_into(job, output)?,
        }
        Ok(())
    }

    fn rows_at_once(&self) -> usize {
        self.device().unwrap_or(&*self.cpu).rows_at_once()
    }

    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        if let Some(device) = self.device()
            && let Some(answer) = self.answer("focus", device.focus(job))
        {
            return answer;
        }
        self.cpu.focus(job)
    }

    fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        if let Some(device) = self.device() {
            let before = memory.clone();
            let result = device.memory(memory, ops);
            if result.is_err() {
                *memory = before;
            }
            if let Some(answer) = self.answer("memory", result) {
                return answer;
            }
        }
        self.cpu.memory(memory, ops)
    }

    fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        if let Some(device) = self.device()
            && let Some(answer) = self.answer("hash", device.hash(job))
        {
            return answer;
        }
        self.cpu.hash(job)
    }
}

fn is_full(error: &ReduceError) -> bool {
    matches!(error, ReduceError::OutOfHeap { .. })
}

/// The answer to a batch, of which a call ran out of heap if it is `full`.
fn within_heap<T>(output: T, full: bool) -> Result<T, JobError> {
    match full {
        false => Ok(output),
        true => Err(JobError::NotSupported {
            backend: "the device's heap".into(),
            job: "a net of this size",
        }),
    }
}

/// `text` as one line of bounded length.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(REASON_CHARS).collect()
}

#[cfg(test)]
mod tests;
