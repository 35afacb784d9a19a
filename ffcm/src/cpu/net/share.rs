//! What workers hand over to each other.
//!
//! A frame is *ripe* when the arguments are there that others make: those of its entry's
//! [`inputs`](super::program::Entry::inputs). One that is not can be reduced, but it would build nodes that wait for what
//! is to come, all the way down a recursion, and each of these would meet its other half in another worker's cache. On
//! its own a worker seldom has such a frame next, since calls that make arguments are reduced before those that take them.
//! So those that others get are ripe, too: without that, `sort_bitonic` takes twice the time on two threads.
//!
//! A frame whose argument *another* worker makes is put aside, if there is a function for it: native code makes a value as a
//! whole, so that there is nothing of it until it is there, and a function that meets its absence falls back to the heap at
//! every step. The worker goes on with its other frames, asks for work when there are none, and looks at what it has
//! put aside when it has done that, or another worker has done all it had. When nobody has anything else to do, somebody
//! goes on with what is not ripe: what is an argument is a guess. That takes `sum_tree` on two
//! threads from four times the time that it takes on one to less than that.

use std::ops::Range;

use super::exec::{frame, pairs};
use super::pool::{Redex, Stop};
use super::worker::{Halt, Worker, is_var};
use crate::net::partial::ARGUMENTS_MAX;
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
            let ripe = self.refusals > REFUSALS || self.is_ripe(word, &self.stack[end..]);
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
        (self.others, self.expects) = (true, true);
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
        (self.others, self.expects) = (true, true);
        self.end_period();
    }

    /// Pairs of words that belong to what has `word` at one of its ends.
    pub(super) fn size(&self, word: Term) -> usize {
        frame(word).map_or(1, |entry| {
            pairs(self.program.entries[entry as usize].arguments)
        })
    }

    /// Whether all is there that a redex or frame waits for, whose first word is `word` and which is at the beginning of `pairs`.
    fn is_ripe(&self, word: Term, pairs: &[Redex]) -> bool {
        let Some(entry) = frame(word) else {
            // An arrival that has been put off waits for what is above it.
            return !is_var(word);
        };
        let argument = |leaf: usize| {
            let (even, odd) = pairs[leaf.div_ceil(2)];
            if leaf % 2 == 1 { even } else { odd }
        };
        self.inputs(entry).all(|leaf| self.is_there(argument(leaf)))
    }

    /// The leaves of an entry that others make: those at which its function waits for something, or if there is none, those that
    /// calls of the same body make somewhere.
    fn inputs(&self, entry: u32) -> impl Iterator<Item = usize> + use<SHARED> {
        let at = &self.program.entries[entry as usize];
        let inputs = match self.function(entry) {
            Some(function) => !function.outs,
            None => at.inputs,
        };
        (0..usize::from(at.arguments)).filter(move |leaf| inputs >> leaf & 1 == 1)
    }

    /// Whether something has come to a wire.
    #[inline(always)]
    fn is_there(&self, term: Term) -> bool {
        self.end(term).is_none()
    }

    /// What the cell holds that a wire leads to at which nothing has arrived.
    #[inline(always)]
    fn end(&self, mut term: Term) -> Option<Term> {
        while is_var(term) {
            let met = self.heap.load(term.offset());
            if met.is_absent() {
                return Some(met);
            }
            term = met.without_sub();
        }
        None
    }

    /// Whether something is still to come to a wire, and from another worker.
    pub(super) fn awaits(&self, term: Term) -> bool {
        SHARED && self.expects && self.end(term).is_some_and(|cell| !self.owns(cell))
    }

    /// Puts the entry aside whose leaves are in the first registers, if others are to make some of them. Whether it has.
    pub(super) fn puts_aside(&mut self, entry: u32) -> Result<bool, Halt> {
        let awaits = |leaf: usize| self.awaits(self.registers[leaf]);
        if !(SHARED && self.others && self.inputs(entry).any(awaits)) {
            return Ok(false);
        }
        if self.aside.len() > self.pairs_max() {
            return Err(self.stop(Stop::Heap));
        }
        let leaves = usize::from(self.program.entries[entry as usize].arguments);
        let mut terms = [Term::ABSENT; ARGUMENTS_MAX];
        terms[..leaves].copy_from_slice(&self.registers[..leaves]);
        self.push_frame(entry, &terms[..leaves])?;
        let from = self.stack.len() - pairs(leaves as u8);
        let put = self.aside.try_reserve(pairs(leaves as u8));
        put.map_err(|_| self.stop(Stop::Heap))?;
        self.aside.extend(self.stack.drain(from..));
        Ok(true)
    }

    /// Goes on with what has been put aside and is ripe by now, in the order in which it was. Whether there is some.
    pub(super) fn take_ripe(&mut self) -> bool {
        let aside = std::mem::take(&mut self.aside);
        let mut rest = &aside[..];
        while let Some(&(word, _)) = rest.first() {
            let (one, more) = rest.split_at(self.size(word));
            if self.is_ripe(word, one) {
                self.stack.extend_from_slice(one);
            } else {
                self.aside.extend_from_slice(one);
            }
            rest = more;
        }
        self.reverse_frames(0);
        !self.stack.is_empty()
    }

    /// Nobody has given it anything, but something may be ripe; or, if all others rest, what is there is all there is.
    pub(super) fn look_again(&mut self, rests: bool, alone: bool) {
        self.others = !alone;
        if rests {
            self.expects = false;
            self.stack.append(&mut self.aside);
            self.reverse_frames(0);
        }
    }
}
