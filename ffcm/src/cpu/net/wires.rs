//! Arriving at cells and joining wires: what the module documentation describes, for one worker.
//!
//! # Cells of one's own
//! An atomic exchange costs as much as an interaction, and most wires are made and used up by one worker. So an absent
//! cell names its *owner*: the worker that made it, and the period in which it did. A cell of the worker's present period
//! is one that nobody else can have an end of: *whatever others may get at leads to no such cell.* There reading and
//! writing do. Others get at a worker's terms in two ways.
//!
//! * It gives redexes away. That ends the period.
//! * It exchanges a term into a cell that is not its own. Before, it *lets go* of that term: it follows it to the cells it
//!   leads to, and makes those of the present period nobody's. What it follows is its own: a term has one owner, so
//!   whoever holds one is the only one who can reach the nodes behind it, and what has arrived at the cells of wires it
//!   holds an end of; the walk ends at absent cells, where another end is all there is. A worker's plain writes come before
//!   the exchange that releases them. Where a term leads to much, the period ends instead, which is as good, but leaves no
//!   older cell its own.
//!
//! A node whose contents are still being made would take all of that with it: cells that are nobody's, at which each part
//! arrives by an exchange, letting go of what is to come to *it*. So the arrival of a node that has an absent cell of its
//! worker's own is *put off* once: as a redex of a wire's end and a node it goes onto the stack, below the calls that the
//! entry being run will leave. When it is reached they are through, and the node is most often whole. In `sum_tree`, two
//! workers made 10^6 exchanges each, and make 30.
//!
//! It follows that a worker which reduces a part of the net by itself makes about as many exchanges as there are wires
//! between that part and the rest. If the period ended at each of them, every cell that was waiting then would be under
//! suspicion, and each arrival there would put the next ones there: in `sort_bitonic` three times as many exchanges.
//! Periods are numbered through over all workers; when the numbers are used up, cells made from then on are nobody's own.

use super::program::NOTHING;
use super::worker::{Worker, class, is_var};
use crate::spec::word::Term;

/// Set in an absent cell one of whose ends is known to wait in another cell. Only a hint for [`Worker::splice`].
pub(super) const TRAILING: Term = Term(1 << 32);
/// Most terms that are followed before the period ends instead. In tests small nets are to lead to much, too.
const FOLLOWED: usize = if cfg!(test) { 2 } else { 16 };
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

/// Whether a term leads to a cell or a node.
#[inline(always)]
fn leads_on(term: Term) -> bool {
    is_var(term) || class(term) > 3
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
    pub(super) fn owns(&self, cell: Term) -> bool {
        !SHARED || cell.w1() & !1 == self.period.number || !self.others
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
        self.arrive_shared(at, term)
    }

    /// An arrival at a cell that another worker may have an end of. Out of line, so that all the places where a worker
    /// arrives at its own cells stay small.
    #[cold]
    #[inline(never)]
    fn arrive_shared(&mut self, at: u32, term: Term) -> Term {
        if self.puts_off && self.is_unfinished(term) && self.stack.len() < self.stack.capacity() {
            self.stack.push((Term::var(at), term.without_sub()));
            return Term::ABSENT;
        }
        if leads_on(term) {
            self.let_go(term);
        }
        self.exchanged += 1;
        self.heap.exchange(at, term)
    }

    /// Whether something is still to come to a node from this worker.
    fn is_unfinished(&self, term: Term) -> bool {
        class(term) > 3 && {
            let slots = [term.offset(), term.offset() + 1].map(|at| self.heap.load(at));
            slots
                .iter()
                .any(|slot| slot.is_absent() && self.owns(*slot))
        }
    }

    /// Makes the cells that `term` leads to nobody's own, or all cells, by ending the period, if it leads to much.
    fn let_go(&mut self, term: Term) {
        // Each step takes one term and leaves two at most.
        let mut terms = [term; FOLLOWED + 1];
        let mut count = 1;
        for _ in 0..FOLLOWED {
            count -= 1;
            let term = terms[count];
            let slots = if is_var(term) { 1 } else { 2 };
            for at in term.offset()..term.offset() + slots {
                let met = self.heap.load(at);
                if met.is_absent() {
                    self.disown(at, met);
                } else if leads_on(met) {
                    terms[count] = met.without_sub();
                    count += 1;
                }
            }
            if count == 0 {
                return;
            }
        }
        self.end_period();
    }

    /// Makes a cell nobody's own if it is one of the present period, of which nobody else has an end yet.
    #[inline(always)]
    fn disown(&self, at: u32, cell: Term) {
        if cell.w1() & !1 == self.period.number {
            self.heap.store(at, Term(cell.0 & TRAILING.0));
        }
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
        self.mark_shared(end, cell, changed)
    }

    /// The same in a cell that another worker may have an end of.
    #[cold]
    #[inline(never)]
    fn mark_shared(&self, end: Term, cell: Term, changed: Term) -> bool {
        self.heap.replace(end.offset(), cell, changed)
    }
}
