//! Arriving at cells and joining wires: what the module documentation describes, for one worker.
//!
//! # Cells of one's own
//! An atomic exchange costs as much as an interaction, and most wires are made and used up by one worker. So an absent
//! cell names its *owner*: the worker that made it, and the period in which it did. A period ends when the worker lets
//! anybody else have a term that leads to other terms: when it gives redexes away, and before it exchanges such a term
//! into a cell that is not its own. A cell of the worker's present period is one that nobody else can have an end of,
//! since all of its ends were made after the worker last let go of anything. There reading and writing do.
//!
//! It follows that a worker which reduces a part of the net by itself makes about as many exchanges as there are wires
//! between that part and the rest. Periods are numbered through over all workers; when the numbers are used up, cells
//! made from then on are nobody's own.

use super::program::NOTHING;
use super::worker::{Worker, class, is_var};
use crate::spec::word::Term;

/// Set in an absent cell one of whose ends is known to wait in another cell. Only a hint for [`Worker::splice`].
pub(super) const TRAILING: Term = Term(1 << 32);
/// Numbers of periods that a worker takes at once. Period `p` stands in a cell's second word as `2 p`.
const PERIODS: u32 = 1 << 12;
/// Such blocks of numbers; the last one stays free for [`Period::NONE`].
const BLOCKS: u32 = u32::MAX / (2 * PERIODS);

/// A worker's present period.
pub(super) struct Period {
    /// As it stands in cells; odd, which no cell has, if this is no period.
    number: u32,
}

impl Period {
    /// No period: before the first, and after the last.
    pub(super) const NONE: Period = Period { number: u32::MAX };

    /// What a cell that is made in this period holds.
    #[inline(always)]
    pub(super) fn absent(&self) -> Term {
        Term(u64::from(self.number & !1) << 32)
    }
}

#[inline(always)]
fn trails(cell: Term) -> bool {
    cell.is_absent() && cell.0 & TRAILING.0 != 0
}

impl<const SHARED: bool> Worker<'_, SHARED> {
    /// Ends the present period, if somebody may have a part of the net from now on.
    #[inline(always)]
    pub(super) fn end_period(&mut self) {
        self.period.number = self.period.number.wrapping_add(2);
        if self.period.number & (2 * PERIODS - 1) <= 1 {
            self.new_periods();
        }
        self.registers[NOTHING as usize] = self.period.absent();
    }

    #[cold]
    fn new_periods(&mut self) {
        let block = self.pool.periods(BLOCKS);
        self.period = block.map_or(Period::NONE, |block| Period {
            number: block * 2 * PERIODS,
        });
    }

    /// Whether nobody else can have an end of the wire whose absent cell holds `cell`.
    #[inline(always)]
    fn owns(&self, cell: Term) -> bool {
        !SHARED || !self.others || cell.w1() & !1 == self.period.number
    }

    /// One arrival at a wire's cell: returns what the other end left there, and is the cell's last use then; or leaves
    /// `term` and returns absent.
    #[inline(always)]
    pub(super) fn arrive(&mut self, at: u32, term: Term) -> Term {
        // Reading first saves the second arrival an exchange.
        let met = self.heap.load(at);
        if !met.is_absent() {
            return met;
        }
        if self.owns(met) {
            self.heap.store(at, term);
            return Term::ABSENT;
        }
        if is_var(term) || class(term) > 3 {
            self.end_period();
        }
        self.exchanged += 1;
        self.heap.exchange(at, term)
    }

    /// Joins two wires, one end of each being in the caller's hands. Returns a wire end and what has arrived at its cell
    /// already, to be connected, or `None` when one of the ends was left at the other wire.
    ///
    /// Either end may be left. Left is the one whose wire trails another cell: the far end of the other wire finds it
    /// there and takes it along. The other way round, a wire that is lengthened again and again behind an end that
    /// never moves, such as the root, would become a chain of one cell for each time.
    #[inline(always)]
    pub(super) fn splice(&mut self, a: Term, b: Term) -> Option<(Term, Term, Term)> {
        let (mut at, mut left) = (a, b);
        let mut met = self.heap.load(at.offset());
        if trails(met) {
            (at, left) = (b, a);
            met = self.heap.load(at.offset());
        }
        if met.is_absent() {
            // The mark is made and taken back while the end is in hand, so that the cell cannot be freed meanwhile.
            let marked = self.set_trailing(left, true);
            met = self.arrive(at.offset(), left.with_sub());
            if met.is_absent() {
                return None;
            }
            if marked {
                self.set_trailing(left, false);
            }
        }
        let met = met.without_sub();
        if is_var(met) {
            // This end waited here, and goes on now.
            self.set_trailing(met, false);
        }
        Some((at, met, left))
    }

    /// Says in an absent cell whether its wire trails another; whether that is new. The caller holds an end of it.
    #[inline(always)]
    pub(super) fn set_trailing(&self, end: Term, to: bool) -> bool {
        let cell = self.heap.load(end.offset());
        if !cell.is_absent() || trails(cell) == to {
            return false;
        }
        let changed = Term(cell.0 ^ TRAILING.0);
        if self.owns(cell) {
            self.heap.store(end.offset(), changed);
            return true;
        }
        self.heap.replace(end.offset(), cell, changed)
    }
}
