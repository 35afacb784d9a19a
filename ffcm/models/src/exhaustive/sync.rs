//! The engine's synchronisation, on loom.

use std::cell::Cell;
use std::sync::PoisonError;
use std::time::Duration;

use loom::sync::atomic::AtomicBool;

pub(super) use loom::sync::Arc;
pub(super) use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub(super) use loom::sync::{Condvar, Mutex, MutexGuard};

/// Words of stack of a thread: a worker needs more than the usual 4096.
const STACK: usize = 1 << 19;

pub(super) fn spawn<T: Send + 'static>(
    run: impl FnOnce() -> T + Send + 'static,
) -> loom::thread::JoinHandle<T> {
    let thread = loom::thread::Builder::new().stack_size(STACK);
    thread.spawn(run).expect("the model starts every thread")
}

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

loom::thread_local! {
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

/// The time is over at once. Nobody may depend on being woken here, since the time may be over first.
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
