//! The flat heap: one lazily reserved array of slots, handed out as nodes of two slots.

use super::sync::{self, AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering};
use crate::net::readback;
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

    /// Nodes ever touched since the last [`Heap::reset`].
    pub(super) fn touched(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }

    /// Forgets every node. Slots keep their stale contents: a slot is always written before it is read.
    pub(super) fn reset(&mut self) {
        self.next.store(0, Ordering::Relaxed);
        sync::lock(&self.spare).clear();
        self.spare_chunks.store(0, Ordering::Relaxed);
    }

    #[inline(always)]
    fn slot(&self, at: u32) -> &AtomicU64 {
        &self.slots[at as usize]
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
    /// `term` and returns absent. An exchange if there are `others`; else no other worker has any end of a wire.
    #[inline(always)]
    pub(super) fn arrive(&self, at: u32, term: Term, others: bool) -> Term {
        // Reading first saves the second arrival an exchange, which costs as much as a whole interaction.
        let met = self.load(at);
        if !met.is_absent() {
            return met;
        }
        if !others {
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
    pub(super) fn splice(&self, a: Term, b: Term, others: bool) -> Option<(Term, Term, Term)> {
        let (mut at, mut left) = (a, b);
        let mut met = self.load(at.offset());
        if met == TRAILING {
            (at, left) = (b, a);
            met = self.load(at.offset());
        }
        if met.is_absent() {
            // The mark is made and taken back while the end is in hand, so that the cell cannot be freed meanwhile.
            let marked = self.exchange(left.offset(), Term::ABSENT, TRAILING, others);
            met = self.arrive(at.offset(), left.with_sub(), others);
            if met.is_absent() {
                return None;
            }
            if marked {
                self.exchange(left.offset(), TRAILING, Term::ABSENT, others);
            }
        }
        let met = met.without_sub();
        if met.class() == Class::Var {
            // This end waited here, and goes on now.
            self.exchange(met.offset(), TRAILING, Term::ABSENT, others);
        }
        Some((at, met, left))
    }

    /// Replaces `from` by `to` in the cell at `at`, of whose wire the caller holds an end; whether `from` was there. An
    /// arrival that comes between is not disturbed.
    #[inline(always)]
    pub(super) fn exchange(&self, at: u32, from: Term, to: Term, others: bool) -> bool {
        let slot = self.slot(at);
        if slot.load(Ordering::Relaxed) != from.0 {
            return false;
        }
        if !others {
            slot.store(to.0, Ordering::Relaxed);
            return true;
        }
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

    /// Takes a surplus of free nodes from a worker.
    pub(super) fn give(&self, chunk: Vec<u32>) {
        let mut spare = sync::lock(&self.spare);
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
