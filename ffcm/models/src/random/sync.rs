//! The engine's synchronisation, on shuttle.

use std::cell::Cell;
use std::sync::PoisonError;
use std::time::Duration;

use shuttle::sync::atomic::AtomicBool;

pub(super) use shuttle::sync::Arc;
pub(super) use shuttle::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub(super) use shuttle::sync::{Condvar, Mutex, MutexGuard};
pub(super) use shuttle::thread::spawn;

/// As the engine's own.
pub(super) struct Progress {
    pub(super) interactions: AtomicU64,
    pub(super) cancel: AtomicBool,
}

impl Progress {
    pub(super) fn new() -> Progress {
        Progress {
            interactions: AtomicU64::new(0),
            cancel: AtomicBool::new(false),
        }
    }
}

shuttle::thread_local! {
    static PANICKING: Cell<bool> = Cell::new(false);
}

/// Whether the worker of this thread unwinds.
pub(super) fn panicking() -> bool {
    PANICKING.with(Cell::get)
}

/// From here on the worker of this thread unwinds: a real panic would end the model.
pub(super) fn panic() {
    PANICKING.with(|panicking| panicking.set(true));
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn wait<'m, T>(wake: &Condvar, guard: MutexGuard<'m, T>) -> MutexGuard<'m, T> {
    wake.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// The time is over after others have run, or not.
pub(super) fn wait_at_most<'m, T>(
    mutex: &'m Mutex<T>,
    _wake: &Condvar,
    guard: MutexGuard<'m, T>,
    _rest: Duration,
) -> MutexGuard<'m, T> {
    drop(guard);
    lock(mutex)
}

pub(super) fn zeroed_slots(len: usize) -> Option<Box<[AtomicU64]>> {
    Some((0..len).map(|_| AtomicU64::new(0)).collect())
}
