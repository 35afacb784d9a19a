//! The flat heap: one lazily reserved array of slots, handed out as nodes of two slots.

use super::sync::{self, AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering};
use crate::net::readback;
use crate::spec::word::{OFFSET_MAX, Term};

/// Most nodes one heap holds: offsets count slots in 31 bits.
const NODES_MAX: u64 = 1 << 30;
const _: () = assert!(2 * NODES_MAX == OFFSET_MAX as u64 + 1);

/// What the slots of a free node hold in builds with debug assertions. No live term has this variant.
const FREED: Term = Term(u64::MAX);

/// Slots of terms, and the supply of nodes that no worker holds.
///
/// The reservation is untouched zero pages until a node is first handed out, so its size costs address space only.
/// Every slot is atomic: two owners of a wire may arrive at its cell at the same time, and everything else is ordered
/// by those meetings (see the module documentation).
#[repr(align(128))]
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
        let slots = sync::zeroed_slots(usize::try_from(nodes.checked_mul(2)?).ok()?)?;
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

    /// Where the slots are, for native code. Atomics are words that may be written through a shared reference.
    pub(super) fn words(&self) -> *mut u64 {
        self.slots.as_ptr().cast::<u64>().cast_mut()
    }

    /// Nodes ever touched since the last [`Heap::reset`].
    pub(super) fn touched(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }

    /// Whether [`Heap::reserve`] of so many nodes gives a heap of this size.
    pub(super) fn is_of(&self, nodes: u64) -> bool {
        u64::from(self.nodes) == nodes.min(NODES_MAX)
    }

    /// Forgets every node, for a worker that has forgotten them too. Slots keep their stale contents: a slot is always
    /// written before it is read.
    pub(super) fn reset(&self) {
        self.next.store(0, Ordering::Relaxed);
        // Workers on their own give nothing, so that for them there is no lock to take.
        if self.spare_chunks.load(Ordering::Relaxed) > 0 {
            sync::lock(&self.spare).clear();
            self.spare_chunks.store(0, Ordering::Relaxed);
        }
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

    /// Exchanges the term in a cell that another worker may have an end of.
    #[inline(always)]
    pub(super) fn exchange(&self, at: u32, term: Term) -> Term {
        #[cfg(test)]
        pause();
        let met = Term(self.slot(at).swap(term.0, Ordering::AcqRel));
        debug_assert_ne!(met, FREED, "a freed node is not arrived at");
        met
    }

    /// Replaces `from` by `to` in a cell that another worker may have an end of; whether `from` was there. An arrival
    /// that comes between is not disturbed.
    #[inline(always)]
    pub(super) fn replace(&self, at: u32, from: Term, to: Term) -> bool {
        let slot = self.slot(at);
        slot.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Marks a node as free, in builds that check. Relaxed, so that the check itself orders nothing.
    #[inline(always)]
    pub(super) fn retire(&self, node: u32) {
        if cfg!(debug_assertions) {
            let before =
                [node, node + 1].map(|at| Term(self.slot(at).swap(FREED.0, Ordering::Relaxed)));
            assert_ne!(before, [FREED; 2], "a node is freed once");
        }
    }

    /// Moves at least one and about `want` free nodes into `free`: surplus of other workers first, fresh ones
    /// otherwise. False when there is none.
    pub(super) fn take(&self, free: &mut Vec<u32>, want: u32) -> bool {
        if self.spare_chunks.load(Ordering::Relaxed) > 0 {
            let chunk = {
                let mut spare = sync::lock(&self.spare);
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

    /// Takes a surplus of free nodes from a worker, in the portions in which others will get it.
    pub(super) fn give<'c>(&self, chunks: impl Iterator<Item = &'c [u32]>) {
        let mut spare = sync::lock(&self.spare);
        spare.extend(chunks.map(<[u32]>::to_vec));
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

/// Readback sees the heap at rest. An absent slot of a node is the cell of a wire that nothing has come to: there the
/// node holds an end of that wire.
impl readback::Heap for Heap {
    fn wire(&self, var: Term) -> Option<Term> {
        let met = self.load(var.offset());
        (!met.is_absent()).then(|| met.without_sub())
    }

    fn node(&self, node: Term) -> [Term; 2] {
        [node.offset(), node.offset() + 1].map(|at| {
            let term = self.load(at);
            if term.is_absent() {
                Term::var(at)
            } else {
                term.without_sub()
            }
        })
    }
}
