//! What workers hand over to each other.
//!
//! A frame is *ripe* when the arguments are there that others make: those of its entry's
//! [`inputs`](super::program::Entry::inputs). One that is not can be reduced, but it would build nodes that wait for what
//! is to come, all the way down a recursion, and each of these would meet its other half in another worker's cache. On
//! its own a worker seldom has such a frame next, since calls that make arguments are reduced before those that take them.
//! So those that others get are ripe, too: without that, `sort_bitonic` takes twice the time on two threads.

use std::ops::Range;

use super::exec::{frame, pairs};
use super::pool::Redex;
use super::worker::{Halt, Worker, is_var};
use crate::spec::word::Term;

/// Part of the stack that is handed over at once, and most pairs of words of it.
const BAG: (usize, usize) = (8, 64);
/// Pairs of words that are looked through for something ripe.
const LOOK: usize = 64;
/// How often in a row a worker refuses to give anything because nothing is ripe. What is an input and what is a result is a
/// guess: where it is wrong, others would wait for ever. In tests the guess is soon given up, too.
const REFUSALS: u32 = if cfg!(test) { 2 } else { 4096 };

impl<const SHARED: bool> Worker<'_, SHARED> {
    #[cold]
    pub(super) fn share(&mut self) -> Result<(), Halt> {
        if self.pool.stopped() {
            return Err(Halt);
        }
        if self.offers() {
            self.refusals = 0;
            self.offer();
        } else {
            self.refusals += 1;
        }
        Ok(())
    }

    /// Who has nothing to give goes on without a look at the board, unless to learn that it is alone.
    pub(super) fn offers(&self) -> bool {
        !self.oldest().is_empty() || self.others && self.pool.calls_alone()
    }

    pub(super) fn offer(&mut self) {
        let pool = self.pool;
        if pool.offer(|| self.give()) {
            self.others = false;
        }
    }

    /// Where on the stack the oldest ripe redexes and frames are, which are to be handed over: a small part of the stack,
    /// but at least one of them, if as much is left. The oldest one usually leads to as much work as all the newer ones
    /// together; those next to it belong to what the newest ones are busy with.
    pub(super) fn oldest(&self) -> Range<usize> {
        let live = self.stack.len() - self.bottom;
        let most = (live / BAG.0).min(BAG.1);
        let last = self.bottom + (live / 2).min(LOOK);
        let (mut start, mut end) = (self.bottom, self.bottom);
        while let Some(&(word, _)) = self.stack.get(end) {
            let next = end + self.size(word);
            let none = start == end;
            let fits = if none {
                next <= last
            } else {
                next - start <= most
            };
            if !fits {
                break;
            }
            let ripe = self.refusals > REFUSALS || self.is_ripe(word, end);
            if !ripe && !none {
                break;
            }
            end = next;
            if !ripe {
                start = next;
            }
        }
        start..end
    }

    /// The oldest redexes, for another worker.
    pub(super) fn give(&mut self) -> Vec<Redex> {
        let Range { start, end } = self.oldest();
        let bag = self.stack[start..end].to_vec();
        if bag.is_empty() {
            return bag;
        }
        self.stack
            .copy_within(self.bottom..start, self.bottom + bag.len());
        self.bottom += bag.len();
        self.others = true;
        self.end_period();
        // The dead entries below `bottom` never outgrow the live ones.
        if self.bottom > self.stack.len() / 2 {
            self.stack.drain(..self.bottom);
            self.bottom = 0;
        }
        bag
    }

    /// Takes over what another worker gave.
    pub(super) fn accept(&mut self, bag: Vec<Redex>) {
        self.stack.extend(bag);
        self.others = true;
        self.end_period();
    }

    /// Pairs of words that belong to what has `word` at one of its ends.
    pub(super) fn size(&self, word: Term) -> usize {
        frame(word).map_or(1, |entry| {
            pairs(self.program.entries[entry as usize].arguments)
        })
    }

    /// Whether all is there that the redex or frame waits for which begins at a place of the stack.
    fn is_ripe(&self, word: Term, at: usize) -> bool {
        let Some(entry) = frame(word) else {
            // An arrival that has been put off waits for what is above it.
            return !is_var(word);
        };
        let mut inputs = self.program.entries[entry as usize].inputs;
        while inputs != 0 {
            let word = inputs.trailing_zeros() as usize + 1;
            let (even, odd) = self.stack[at + word / 2];
            if !self.is_there(if word.is_multiple_of(2) { even } else { odd }) {
                return false;
            }
            inputs &= inputs - 1;
        }
        true
    }

    /// Whether something has come to a wire.
    #[inline(always)]
    fn is_there(&self, mut term: Term) -> bool {
        while is_var(term) {
            let met = self.heap.load(term.offset());
            if met.is_absent() {
                return false;
            }
            term = met.without_sub();
        }
        true
    }
}
