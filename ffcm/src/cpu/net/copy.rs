//! Copying spines of constructors in one go.
//!
//! A duplicator that meets a constructor makes two of it, and two duplicators that meet what is in it. What follows is known
//! where that is there already: a constructor is copied in turn, an atom goes to both sides, a duplicator of the same label
//! annihilates. So the duplicator is walked down the spine of second ports in registers, and the four nodes of each
//! interaction, of which the next one would use up two, are written in their last form. Every step counts as the
//! interactions that it stands for. Whatever else is met gets a duplicator, as if nothing was known.
//!
//! A node that has been copied is the worker's alone and becomes a node of the first copy. A duplicator that is left in a
//! port leads to cells of two new nodes, which are written before anything is connected to it; what is behind these nodes is
//! reached through the first two alone, which are connected last.
//!
//! # The rest of a long spine
//! After [`STEPS`] steps the rest is left until there is nothing else to do: one rest of a worker at a time, so that what it
//! holds on to is bounded; another one is a redex like any. A copy of a copy of a spine and so on, as in the powers of a
//! Church numeral, is then made and used up piece by piece, where each would have been made whole before the next. In `cnots`
//! that halves the memory, and first touching it takes most of the time that is left.

use super::pool::Redex;
use super::worker::{Halt, Worker, class};
use crate::net::partial::CON;
use crate::spec::rules::Opcode;
use crate::spec::word::{Class, Term, variant};

/// Most steps down a spine at once. What the first copy meets goes first then, and frees its nodes for the copies of the
/// rest. Fewer steps would scatter these over nodes that lie far apart, which costs more than the nodes do.
const STEPS: u32 = if cfg!(test) { 3 } else { 1 << 11 };
/// Nodes that a step may take.
const NODES: usize = 4;

/// The constructor at an offset.
#[inline(always)]
fn constructor(at: u32) -> Term {
    Term(u64::from(CON) | u64::from(at) << 32)
}

/// Whether a duplicator copies a term by the rule DUPLICATE: a number, or a reference to what holds no duplicator.
#[inline(always)]
fn copyable(term: Term) -> bool {
    const NUMBER: u32 = Class::Num as u32;
    const REFERENCE: u32 = Class::Ref as u32;
    match class(term) {
        NUMBER => true,
        REFERENCE => term.variant() == variant::COPYABLE,
        _ => false,
    }
}

impl<const SHARED: bool> Worker<'_, SHARED> {
    /// Whether interactions whose next ones are known are made together: where there may be native code. The interpreter by
    /// itself makes one after the other; the two are held against each other.
    #[inline(always)]
    pub(super) fn fuses(&self) -> bool {
        self.native.code.is_some()
    }

    /// A duplicator meets a constructor.
    #[inline(never)]
    pub(super) fn copy_spine(&mut self, con: Term, dup: Term) -> Result<Option<Redex>, Halt> {
        self.reserve(2)?;
        let copies = [self.allocate(), self.allocate()];
        let (mut next, mut steps) = (Some((con, copies)), STEPS);
        while let Some((con, copies)) = next {
            let (con, copies) = self.copy_known(con, copies, &mut steps);
            self.reserve(NODES)?;
            next = self.copy_step(con, dup, copies, &mut steps)?;
        }
        let (left, right) = self.open(dup);
        self.link_to(constructor(copies[1]), right)?;
        Ok(self.attach(constructor(copies[0]), left))
    }

    /// Copies as long as an atom is followed by a constructor. The constructor that is next then, and the two nodes for its
    /// copies.
    #[inline(always)]
    fn copy_known(&mut self, con: Term, copies: [u32; 2], steps: &mut u32) -> (Term, [u32; 2]) {
        let (mut at, [mut r, mut s]) = (con.offset(), copies);
        let before = *steps;
        while *steps > 0 && !self.free.is_empty() {
            let [atom, next] = [at, at + 1].map(|at| self.heap.load(at).without_sub());
            if next.w0() != CON || !copyable(atom) {
                break;
            }
            self.heap.retire(at);
            let copy = self.allocate();
            self.pair(r, atom, constructor(at));
            self.pair(s, atom, constructor(copy));
            (at, r, s) = (next.offset(), at, copy);
            *steps -= 1;
        }
        let made = before - *steps;
        self.counts.add(Opcode::Distribute, u64::from(made));
        self.counts.add(Opcode::Duplicate, u64::from(made));
        self.ticks -= 2 * i64::from(made);
        (constructor(at), [r, s])
    }

    /// Copies a constructor to the nodes `r` and `s`, and leaves duplicators for what is not known; none of these nodes gets
    /// two cells. A constructor in its second port is next, with two nodes for its copies.
    #[inline(always)]
    fn copy_step(
        &mut self,
        con: Term,
        dup: Term,
        [r, s]: [u32; 2],
        steps: &mut u32,
    ) -> Result<Option<(Term, [u32; 2])>, Halt> {
        self.counts.add(Opcode::Distribute, 1);
        let (a, b) = self.open(con);
        let (a, b) = (self.resolve(a), self.resolve(b));
        let duplicator = |at: u32| Term(u64::from(dup.w0()) | u64::from(at) << 32);
        let absent = self.period.absent();
        let mut next = None;
        let seconds = if b.w0() == CON && *steps > 0 {
            *steps -= 1;
            self.ticks -= 1;
            let copies = [self.allocate(), self.allocate()];
            next = Some((b, copies));
            Some((constructor(copies[0]), constructor(copies[1])))
        } else {
            self.known_copies(b, dup)
        };
        match (self.known_copies(a, dup), seconds) {
            (Some(a), Some(b)) => {
                self.pair(r, a.0, b.0);
                self.pair(s, a.1, b.1);
            }
            (None, Some(b)) => {
                let x = self.allocate();
                self.pair(x, Term::var(r), Term::var(s));
                self.pair(r, absent, b.0);
                self.pair(s, absent, b.1);
                self.link_to(duplicator(x), a)?;
            }
            (Some(a), None) => {
                let y = self.allocate();
                self.pair(y, Term::var(r + 1), Term::var(s + 1));
                self.pair(r, a.0, absent);
                self.pair(s, a.1, absent);
                self.link_rest(duplicator(y), b)?;
            }
            (None, None) => {
                // Wires x.0-r.0, x.1-s.0, y.0-r.1, y.1-s.1.
                let [x, y] = [(); 2].map(|()| self.allocate());
                self.pair(x, absent, Term::var(s));
                self.pair(y, Term::var(r + 1), absent);
                self.pair(r, Term::var(x), absent);
                self.pair(s, absent, Term::var(y + 1));
                self.link_rest(duplicator(y), b)?;
                self.link_to(duplicator(x), a)?;
            }
        }
        Ok(next)
    }

    /// Connects a duplicator with what comes next on the spine.
    #[inline(always)]
    fn link_rest(&mut self, dup: Term, next: Term) -> Result<(), Halt> {
        if next.w0() == CON && self.later.is_none() {
            self.later = Some((next, dup));
            return Ok(());
        }
        self.link_to(dup, next)
    }

    /// The two copies of an atom, or what is at the ports of a duplicator that annihilates with this one; counts that.
    #[inline(always)]
    fn known_copies(&mut self, term: Term, dup: Term) -> Option<(Term, Term)> {
        if term.w0() == dup.w0() {
            self.counts.add(Opcode::Duplicate, 1);
            return Some(self.open(term));
        }
        self.copied(term).then_some((term, term))
    }
}
