//! Errors that the driver reports on its own time, and panics of the layer below.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wgpu::ErrorFilter;

use super::GpuError;

/// A lock of which the data stays valid whatever happened to its last holder.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Losing the device is for ever, the rest is taken by who looks.
#[derive(Debug, Default)]
pub(super) struct Faults {
    lost: Mutex<Option<String>>,
    error: Mutex<Option<GpuError>>,
}

impl Faults {
    /// Keeps an error that belongs to no operation.
    pub(super) fn report(&self, error: wgpu::Error) {
        let error = described(error);
        tracing::error!(%error, "the GPU driver reports an error");
        lock(&self.error).get_or_insert(error);
    }

    /// The device is gone. The first reason stands.
    pub(super) fn lose(&self, reason: &str) {
        tracing::error!(reason, "the GPU device is lost");
        lock(&self.lost).get_or_insert_with(|| reason.into());
    }

    /// Fails if the device is lost or an error was kept.
    pub(super) fn take(&self) -> Result<(), GpuError> {
        if let Some(message) = lock(&self.lost).clone() {
            return Err(GpuError::Lost { message });
        }
        match lock(&self.error).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Runs an operation on the device. An error that it reports is its own, whatever other threads do: error scopes
    /// belong to a thread. `wgpu` panics where it has no better way to say that the driver failed, at a wait for a lost
    /// device above all; whatever it was doing is then half done, so the device is not used again.
    pub(super) fn guarded<T>(
        &self,
        device: &wgpu::Device,
        describe: impl FnOnce(wgpu::Error) -> GpuError,
        run: impl FnOnce() -> T,
    ) -> Result<T, GpuError> {
        self.take()?;
        let memory = device.push_error_scope(ErrorFilter::OutOfMemory);
        let internal = device.push_error_scope(ErrorFilter::Internal);
        let validation = device.push_error_scope(ErrorFilter::Validation);
        let result = catch_unwind(AssertUnwindSafe(run));
        // In the reverse order of their making.
        let validation = pollster::block_on(validation.pop());
        let internal = pollster::block_on(internal.pop());
        let memory = pollster::block_on(memory.pop());
        let value = match result {
            Ok(value) => Some(value),
            Err(panic) => {
                self.lose(&format!("panic: {}", text(&*panic)));
                None
            }
        };
        // A lost device makes other errors by the way.
        self.take()?;
        match (memory.or(internal).or(validation), value) {
            (None, Some(value)) => Ok(value),
            (Some(error), _) => Err(describe(error)),
            (None, None) => Err(GpuError::Lost {
                message: "panic".into(),
            }),
        }
    }
}

/// An error as it stands, where no more is known.
pub(super) fn described(error: wgpu::Error) -> GpuError {
    match error {
        wgpu::Error::OutOfMemory { .. } => GpuError::OutOfMemory {
            what: "a driver allocation".into(),
            bytes: 0,
        },
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            GpuError::Driver {
                message: description,
            }
        }
    }
}

/// What a panic says.
fn text(panic: &(dyn Any + Send)) -> String {
    let borrowed = panic.downcast_ref::<&str>().map(|text| text.to_string());
    borrowed
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "of an unknown kind".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_of_a_loss_stands_and_errors_are_taken_once() {
        let faults = Faults::default();
        assert_eq!(faults.take(), Ok(()));
        let driver = |message: &str| GpuError::Driver {
            message: message.into(),
        };
        *lock(&faults.error) = Some(driver("odd"));
        assert_eq!(faults.take(), Err(driver("odd")));
        assert_eq!(faults.take(), Ok(()));
        faults.lose("first");
        faults.lose("second");
        let lost = GpuError::Lost {
            message: "first".into(),
        };
        assert_eq!(faults.take(), Err(lost.clone()));
        assert_eq!(faults.take(), Err(lost));
    }

    #[test]
    fn a_lock_outlives_a_panic() {
        let faults = Faults::default();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let _held = lock(&faults.lost);
            panic!("number {}", 7);
        }))
        .unwrap_err();
        assert_eq!(text(&*panic), "number 7");
        assert_eq!(faults.take(), Ok(()));
    }
}
