//! What the workers meet through: atomics, a lock, a condition variable, and the memory of the slots.
//!
//! All of the engine's synchronisation goes through these names, so that the models in `ffcm/models` can compile the
//! engine's own sources beside a `sync` of theirs, which tries every interleaving and every value that the memory
//! orderings permit.

use std::alloc::{Layout, alloc_zeroed};
use std::time::Duration;

pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
pub(super) use std::thread::panicking;

use std::sync::PoisonError;

/// Locks. A worker that panicked while it held the lock has left nothing half done under it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits to be woken, with the lock released meanwhile.
pub(super) fn wait<'m, T>(wake: &Condvar, guard: MutexGuard<'m, T>) -> MutexGuard<'m, T> {
    wake.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits to be woken or for `rest` to pass. The mutex is the guard's.
pub(super) fn wait_at_most<'m, T>(
    _mutex: &'m Mutex<T>,
    wake: &Condvar,
    guard: MutexGuard<'m, T>,
    rest: Duration,
) -> MutexGuard<'m, T> {
    let woken = wake.wait_timeout(guard, rest);
    woken.unwrap_or_else(PoisonError::into_inner).0
}

/// `len` zeroed slots, or `None` if the allocator refuses.
pub(super) fn zeroed_slots(len: usize) -> Option<Box<[AtomicU64]>> {
    if len == 0 {
        return Some(Box::new([]));
    }
    let layout = Layout::array::<AtomicU64>(len).ok()?;
    debug_assert!(layout.size() == len * 8 && layout.align() == align_of::<AtomicU64>());
    // SAFETY: the layout's size is not zero, as `len` is not.
    let start = unsafe { alloc_zeroed(layout) }.cast::<AtomicU64>();
    if start.is_null() {
        return None;
    }
    ask_for_large_pages(start.cast(), layout.size());
    // SAFETY: `start` is a fresh allocation of exactly `len` slots with the layout that the box frees it with, and
    // all-zero bytes are valid atomics.
    Some(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(start, len)) })
}

/// Bytes at the start of the slots that have pages of the usual size, so that small reductions do not wait for a large one to
/// be zeroed.
const SMALL: usize = 4 << 20;

/// Asks for large pages for all but the first bytes of a fresh allocation. Only speed depends on whether they are given:
/// looking up addresses and faults of small pages are a fifth of the time of `cnots` and an eighth of `sum_tree`.
#[cfg(target_os = "linux")]
fn ask_for_large_pages(start: *mut u8, size: usize) {
    use rustix::mm::{Advice, madvise};
    let page = rustix::param::page_size();
    let skip = start.addr().wrapping_add(SMALL).wrapping_neg() % page + SMALL;
    let Some(length) = size.checked_sub(skip).map(|rest| rest / page * page) else {
        return;
    };
    let from = start.wrapping_add(skip);
    debug_assert!(from.addr().is_multiple_of(page) && skip + length <= size);
    // SAFETY: the pages are whole pages of an allocation of the caller's, and this advice changes no contents.
    // A kernel without large pages refuses, and gives small ones.
    let _ = unsafe { madvise(from.cast(), length, Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_large_pages(_start: *mut u8, _size: usize) {}
