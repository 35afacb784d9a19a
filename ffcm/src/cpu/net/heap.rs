//! The flat heap: one lazily reserved array of slots, handed out as nodes of two slots.

use std::alloc::{Layout, alloc_zeroed};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::spec::word::{Class, OFFSET_MAX, Term};

/// Most nodes one heap holds: offsets count slots in 31 bits.
const NODES_MAX: u64 = 1 << 30;
const _: () = assert!(2 * NODES_MAX == OFFSET_MAX as u64 + 1);

/// An absent cell one of whose ends is known to wait in another cell, as what that cell holds. Only a hint for
/// [`Heap::splice`]: wherever it matters what a cell holds, this is absent like [`Term::ABSENT`].
pub(super) const TRAILING: Term = Term(1 << 32);

/// What the slots of a free node hold in builds with debug assertions. No live term has this variant.
const FREED: Term = Term(u64::MAX);

/// Slots of terms, and the supply of nodes that no worker holds.
///
/// The reservation is untouched zero pages until a node is first handed out, so its size costs address space only.
/// Every slot is atomic: two owners of a wire may arrive at its cell at the same time, and everything else is ordered
/// by those meetings (see the module documentation).
pub(super) struct Heap {
    slots: Box<[AtomicU64]>,
    /// Nodes handed out by bumping so far; never beyond `nodes`.
    next: AtomicU32,
    nodes: u32,
    /// Surplus free nodes given back by workers that free more than they allocate.
    spare: Mutex<Vec<Vec<u32>>>,
    spare_chunks: AtomicUsize,
}

impl Heap {
    /// Reserves `nodes` nodes of 16 bytes, at most 2^30. `None` if the address space cannot be had.
    pub(super) fn reserve(nodes: u64) -> Option<Heap> {
        let nodes = nodes.min(NODES_MAX);
        let slots = zeroed_slots(usize::try_from(nodes.checked_mul(2)?).ok()?)?;
        Some(Heap {
            slots,
            next: AtomicU32::new(0),
            nodes: nodes as u32,
            spare: Mutex::new(Vec::new()),
            spare_chunks: AtomicUsize::new(0),
        })
    }

    /// Nodes this heap can hold.
    pub(super) fn nodes(&self) -> u32 {
        self.nodes
    }

    /// Nodes ever touched since the last [`Heap::reset`].
    pub(super) fn touched(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }

    /// Forgets every node. Slots keep their stale contents: a slot is always written before it is read.
    pub(super) fn reset(&mut self) {
        *self.next.get_mut() = 0;
        self.spare
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        *self.spare_chunks.get_mut() = 0;
    }

    #[inline(always)]
    fn slot(&self, at: u32) -> &AtomicU64 {
        debug_assert!((at as usize) < self.slots.len(), "slots of this heap only");
        // SAFETY: every offset in a term is that of a slot of a node which `take` handed out, and `take` hands out nodes
        // below `nodes` only, for which there are slots. The checks cost a twentieth of the time of every program.
        unsafe { self.slots.get_unchecked(at as usize) }
    }

    /// Reads a slot, seeing everything its writer did before writing it.
    #[inline(always)]
    pub(super) fn load(&self, at: u32) -> Term {
        let term = Term(self.slot(at).load(Ordering::Acquire));
        debug_assert_ne!(term, FREED, "a freed node is not read");
        term
    }

    /// Writes a slot of a node that only the caller can reach.
    #[inline(always)]
    pub(super) fn store(&self, at: u32, term: Term) {
        self.slot(at).store(term.0, Ordering::Relaxed);
    }

    /// One arrival at a wire's cell: returns what the other end left there, and is the cell's last use then; or leaves
    /// `term` and returns absent. Atomic if `SHARED`; otherwise the caller is the only worker on this heap.
    #[inline(always)]
    pub(super) fn arrive<const SHARED: bool>(&self, at: u32, term: Term) -> Term {
        // Reading first saves the second arrival an exchange, which costs as much as a whole interaction.
        let met = self.load(at);
        if !met.is_absent() {
            return met;
        }
        if !SHARED {
            self.store(at, term);
            return Term::ABSENT;
        }
        #[cfg(test)]
        pause();
        let met = Term(self.slot(at).swap(term.0, Ordering::AcqRel));
        debug_assert_ne!(met, FREED, "a freed node is not arrived at");
        met
    }

    /// Joins two wires, one end of each being in the caller's hands. Returns a wire end and what has arrived at its cell
    /// already, to be connected, or `None` when one of the ends was left at the other wire.
    ///
    /// Either end may be left. Left is the one whose wire trails another cell: the far end of the other wire finds it
    /// there and takes it along. The other way round, a wire that is lengthened again and again behind an end that
    /// never moves, such as the root, would become a chain of one cell for each time.
    #[inline(always)]
    pub(super) fn splice<const SHARED: bool>(
        &self,
        a: Term,
        b: Term,
    ) -> Option<(Term, Term, Term)> {
        let (mut at, mut left) = (a, b);
        let mut met = self.load(at.offset());
        if met == TRAILING {
            (at, left) = (b, a);
            met = self.load(at.offset());
        }
        if met.is_absent() {
            // The mark is made and taken back while the end is in hand, so that the cell cannot be freed meanwhile.
            let marked = self.exchange::<SHARED>(left.offset(), Term::ABSENT, TRAILING);
            met = self.arrive::<SHARED>(at.offset(), left.with_sub());
            if met.is_absent() {
                return None;
            }
            if marked {
                self.exchange::<SHARED>(left.offset(), TRAILING, Term::ABSENT);
            }
        }
        let met = met.without_sub();
        if met.class() == Class::Var {
            // This end waited here, and goes on now.
            self.exchange::<SHARED>(met.offset(), TRAILING, Term::ABSENT);
        }
        Some((at, met, left))
    }

    /// Replaces `from` by `to` in the cell at `at`, of whose wire the caller holds an end; whether `from` was there. An
    /// arrival that comes between is not disturbed.
    #[inline(always)]
    pub(super) fn exchange<const SHARED: bool>(&self, at: u32, from: Term, to: Term) -> bool {
        let slot = self.slot(at);
        if slot.load(Ordering::Relaxed) != from.0 {
            return false;
        }
        if !SHARED {
            slot.store(to.0, Ordering::Relaxed);
            return true;
        }
        slot.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Marks a node as free, in builds that check.
    #[inline(always)]
    pub(super) fn retire(&self, node: u32) {
        if cfg!(debug_assertions) {
            let before =
                [node, node + 1].map(|at| Term(self.slot(at).swap(FREED.0, Ordering::AcqRel)));
            assert_ne!(before, [FREED; 2], "a node is freed once");
        }
    }

    /// Moves at least one and about `want` free nodes into `free`: surplus of other workers first, fresh ones
    /// otherwise. False when there is none.
    pub(super) fn take(&self, free: &mut Vec<u32>, want: u32) -> bool {
        if self.spare_chunks.load(Ordering::Relaxed) > 0 {
            let chunk = {
                let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
                let chunk = spare.pop();
                self.spare_chunks.store(spare.len(), Ordering::Relaxed);
                chunk
            };
            if let Some(chunk) = chunk {
                if free.try_reserve(chunk.len()).is_err() {
                    return false;
                }
                free.extend(chunk);
                return true;
            }
        }
        if free.try_reserve(want as usize).is_err() {
            return false;
        }
        let claim = |next: u32| Some(next + want.min(self.nodes - next)).filter(|&to| to > next);
        match self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim)
        {
            // Lowest offset last, so that it is allocated first.
            Ok(from) => free.extend(
                (from..from + want.min(self.nodes - from))
                    .rev()
                    .map(|n| 2 * n),
            ),
            Err(_) => return false,
        }
        true
    }

    /// Takes a surplus of free nodes from a worker.
    pub(super) fn give(&self, chunk: Vec<u32>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(chunk);
        self.spare_chunks.store(spare.len(), Ordering::Relaxed);
    }
}

/// Now and then lets the other workers run between the two steps of an arrival.
#[cfg(test)]
fn pause() {
    use std::cell::Cell;
    thread_local!(static STEPS: Cell<u32> = const { Cell::new(0) });
    let steps = STEPS.get();
    STEPS.set(steps.wrapping_add(1));
    if steps.is_multiple_of(61) {
        std::thread::yield_now();
    }
}

/// `len` zeroed slots, or `None` if the allocator refuses.
fn zeroed_slots(len: usize) -> Option<Box<[AtomicU64]>> {
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
    // SAFETY: `start` is a fresh allocation of exactly `len` slots with the layout that the box frees it with, and
    // all-zero bytes are valid atomics.
    Some(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(start, len)) })
}
