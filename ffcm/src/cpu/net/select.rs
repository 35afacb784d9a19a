//! Applying selectors.
//!
//! Where all the arguments of a [`Selector`] are there, its outcome is that argument in the place of the result, and nothing is built.
//! Where that is a selector again, which then has what comes next for its arguments, it goes on in registers.

use super::pool::Redex;
use super::worker::{Halt, Worker, class};
use crate::net::partial::{CON, Selector};
use crate::spec::rules::Opcode;
use crate::spec::word::{Class, Term};

/// Most selectors that are applied at once.
const TURNS: u32 = if cfg!(test) { 3 } else { 256 };

impl<const SHARED: bool> Worker<'_, SHARED> {
    /// A reference to a selector meets a constructor. `None` if not all arguments are there.
    #[inline(never)]
    pub(super) fn select(&mut self, selector: Selector, con: Term) -> Result<Option<Redex>, Halt> {
        let (mut selector, mut con) = (selector, con);
        for _ in 1..TURNS {
            let (chosen, rest) = self.take_arguments(selector, con)?;
            let Some(next) = self
                .selector(chosen)
                .filter(|&next| self.applied(next, rest))
            else {
                return Ok(self.join(chosen, rest));
            };
            (selector, con) = (next, rest);
        }
        let (chosen, rest) = self.take_arguments(selector, con)?;
        Ok(self.join(chosen, rest))
    }

    /// The selector that a term refers to.
    #[inline(always)]
    pub(super) fn selector(&self, term: Term) -> Option<Selector> {
        if class(term) != Class::Ref as u32 {
            return None;
        }
        self.lowered[term.offset() as usize].selector
    }

    /// Whether a term is a constructor that holds all arguments of a selector, and what comes next.
    #[inline(always)]
    pub(super) fn applied(&self, selector: Selector, term: Term) -> bool {
        let mut term = term;
        for _ in 1..selector.arguments {
            if term.w0() != CON {
                return false;
            }
            term = self.heap.load(term.offset() + 1).without_sub();
        }
        term.w0() == CON
    }

    /// Makes the interactions of a selector with its arguments: the chosen one, and what is to get it.
    #[inline(always)]
    fn take_arguments(&mut self, selector: Selector, con: Term) -> Result<(Term, Term), Halt> {
        let arguments = u64::from(selector.arguments);
        self.counts.add(Opcode::Specialize, 1);
        self.counts.add(Opcode::Apply, arguments);
        self.ticks -= 2 * arguments as i64;
        let (mut chosen, mut rest) = (Term::ERA, con);
        for i in 0..selector.arguments {
            let (argument, next) = self.open(rest);
            rest = next;
            if i == selector.chosen {
                chosen = argument;
            } else {
                self.erase_argument(argument)?;
            }
        }
        Ok((chosen, rest))
    }

    #[inline(always)]
    fn erase_argument(&mut self, argument: Term) -> Result<(), Halt> {
        if matches!(class(argument), 1..4) {
            self.counts.add(Opcode::Collapse, 1);
            return Ok(());
        }
        self.link_to(Term::ERA, argument)
    }
}
