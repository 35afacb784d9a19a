//! Running compiled entries.

use super::pool::Redex;
use super::program::{NONE, Op};
use super::worker::{Halt, Worker, class, is_num, is_var};
use crate::net::partial::{ARGUMENTS_MAX, CON, Tally};
use crate::spec::number;
use crate::spec::rules::Opcode;
use crate::spec::word::{Class, Term, variant};

/// The first and last word of a frame on the stack. No live term has a meta word of 0.
#[inline(always)]
fn mark(entry: u32) -> Term {
    Term(u64::from(entry) << 32)
}

/// The entry of a frame whose first or last word this is.
#[inline(always)]
pub(super) fn frame(word: Term) -> Option<u32> {
    word.is_absent().then(|| word.w1())
}

/// Pairs of words that a frame of so many arguments takes.
#[inline(always)]
pub(super) fn pairs(arguments: u8) -> usize {
    (usize::from(arguments) + 3) / 2
}

impl<const SHARED: bool> Worker<'_, SHARED> {
    /// What a term stands for as far as is known now: a wire that something waits at is gone afterwards.
    #[inline(always)]
    pub(super) fn resolve(&mut self, mut term: Term) -> Term {
        while is_var(term) {
            let met = self.heap.load(term.offset());
            if met.is_absent() {
                break;
            }
            self.free(term.offset());
            term = met.without_sub();
            if is_var(term) {
                self.set_trailing(term, false);
            }
        }
        term
    }

    /// A node of which the caller has one port, which nobody else can reach yet, and two ends of wires that stand for
    /// the others.
    #[inline(always)]
    pub(super) fn build_open(&mut self, w0: u32) -> (Term, Term, Term) {
        let (node, wire) = (self.allocate(), self.allocate());
        let absent = self.period.absent();
        self.heap.store(wire, absent);
        self.heap.store(wire + 1, absent);
        self.heap.store(node, absent);
        self.heap.store(node + 1, Term::var(wire));
        (term(w0, node), Term::var(node), Term::var(wire))
    }

    /// Connects two terms; what results is reduced when the entry is through, before its calls.
    #[inline(always)]
    pub(super) fn connect(&mut self, a: Term, b: Term) {
        if let Some(redex) = self.join(a, b) {
            self.pending.push(redex);
        }
    }

    /// Puts a call on the stack.
    #[inline(always)]
    pub(super) fn push_frame(&mut self, entry: u32, arguments: &[Term]) -> Result<(), Halt> {
        let last = mark(entry);
        match *arguments {
            [a, b] => {
                self.push((last, a))?;
                self.push((b, last))
            }
            [a, b, c] => {
                self.push((last, a))?;
                self.push((b, c))?;
                self.push((Term::ABSENT, last))
            }
            _ => {
                self.push((last, arguments[0]))?;
                let rest = arguments[1..].chunks_exact(2);
                let odd = rest.remainder();
                for pair in rest {
                    self.push((pair[0], pair[1]))?;
                }
                self.push((odd.first().copied().unwrap_or(Term::ABSENT), last))
            }
        }
    }

    /// Takes the arguments of the frame whose last pair has been popped, and `word` with it.
    #[inline(always)]
    pub(super) fn pop_frame(&mut self, entry: u32, word: Term) {
        let count = self.program.entries[entry as usize].arguments;
        let below = self.stack.len() + 1 - pairs(count);
        let registers = &mut self.registers;
        if count == 3 {
            if let [(_, a), (b, c)] = self.stack[below..] {
                (registers[0], registers[1], registers[2]) = (a, b, c);
            }
        } else {
            let mut to = 0;
            for (i, &(a, b)) in self.stack[below..].iter().enumerate() {
                if i > 0 {
                    registers[to] = a;
                    to += 1;
                }
                registers[to] = b;
                to += 1;
            }
            if to < usize::from(count) {
                registers[to] = word;
            }
        }
        self.stack.truncate(below);
    }

    /// What is to be reduced once an entry is through.
    #[inline(always)]
    pub(super) fn through(&mut self) -> Result<Option<Redex>, Halt> {
        let last = self.pending.pop();
        self.push_pending()?;
        Ok(last)
    }

    #[inline(always)]
    fn push_pending(&mut self) -> Result<(), Halt> {
        for i in 0..self.pending.len() {
            self.push(self.pending[i])?;
        }
        self.pending.clear();
        Ok(())
    }

    /// Applies a term to two terms, one interaction at most.
    #[inline(always)]
    pub(super) fn apply(&mut self, from: Term, first: Term, second: Term) -> Option<u32> {
        let function = self.resolve(from);
        if class(function) == Class::Ref as u32 {
            return Some(self.program.bases[function.offset() as usize]);
        }
        if function.w0() == CON {
            self.counts.add(Opcode::Apply, 1);
            let (a, b) = self.open(function);
            self.connect(a, first);
            self.connect(b, second);
        } else {
            let node = self.node(Class::Con, first, second);
            self.connect(function, node);
        }
        None
    }

    /// Runs an entry whose arguments are in the first registers, and those that it calls last.
    #[inline(always)]
    pub(super) fn execute(&mut self, entry: u32) -> Result<Option<Redex>, Halt> {
        match self.native.code {
            None => self.execute_as::<false>(entry),
            Some(_) => self.execute_as::<true>(entry),
        }
    }

    /// The same; `NATIVE` says that there may be functions to call instead.
    #[inline(never)]
    fn execute_as<const NATIVE: bool>(&mut self, mut entry: u32) -> Result<Option<Redex>, Halt> {
        let program = self.program;
        'entry: loop {
            if NATIVE {
                self.sample(entry);
            }
            self.attend()?;
            if NATIVE && let Some(function) = self.function(entry) {
                if SHARED && self.puts_aside(entry)? {
                    return self.through();
                }
                self.call(entry, function)?;
                return self.through();
            }
            let at = program.entries[entry as usize];
            self.reserve(at.nodes as usize)?;
            let mut pc = at.at as usize;
            loop {
                let op = program.op(pc);
                pc += 1;
                match *op {
                    Op::Count { tally } => {
                        let (tally, total) = program.tallies[tally as usize];
                        self.tally.add(tally);
                        self.ticks -= total;
                    }
                    Op::Open {
                        from,
                        first,
                        second,
                        w0,
                        miss,
                    } => {
                        let term = self.resolve(self.registers[from as usize]);
                        if term.w0() == w0 {
                            let (a, b) = self.open(term);
                            self.registers[first as usize] = a;
                            self.registers[second as usize] = b;
                        } else {
                            self.registers[from as usize] = term;
                            pc = miss as usize;
                        }
                    }
                    Op::Known { from, table } => {
                        let term = self.registers[from as usize];
                        if class(term) == Class::Ref as u32 {
                            let number = program.constructors[term.offset() as usize];
                            if number != NONE {
                                pc = program.tables[(table + number) as usize] as usize;
                            }
                        }
                    }
                    Op::Copy {
                        from,
                        first,
                        second,
                        w0,
                    } => {
                        let term = self.resolve(self.registers[from as usize]);
                        let (a, b) = if is_num(term) {
                            (term, term)
                        } else {
                            self.copy_other(term, w0)
                        };
                        self.registers[first as usize] = a;
                        self.registers[second as usize] = b;
                    }
                    Op::Constant {
                        from,
                        out,
                        steps,
                        swapped,
                        left,
                    } => {
                        let term = self.resolve(self.registers[from as usize]);
                        self.registers[out as usize] = if is_num(term) {
                            number::operate(term, left)
                        } else {
                            // A swap has been made, or will be when a number comes.
                            match (swapped, steps) {
                                (true, _) => self.operate_later(term, left, 1),
                                (false, 1) => self.operate_later(term, left, 1),
                                (false, _) => self.operate_later(term, left.with_sub(), steps),
                            }
                        };
                    }
                    Op::Operate {
                        from,
                        left,
                        out,
                        steps,
                    } => {
                        let term = self.resolve(self.registers[from as usize]);
                        let left = self.resolve(self.registers[left as usize]);
                        self.registers[out as usize] = if is_num(term) && is_num(left) {
                            number::operate(term, left)
                        } else {
                            self.operate_later(term, left.with_sub(), steps)
                        };
                    }
                    Op::Switch {
                        from,
                        before,
                        zero,
                        miss,
                    } => {
                        let term = self.resolve(self.registers[from as usize]);
                        if !is_num(term) {
                            self.registers[from as usize] = term;
                            pc = miss as usize;
                        } else if let Some(number) = number::predecessor(term) {
                            self.registers[before as usize] = number;
                        } else {
                            pc = zero as usize;
                        }
                    }
                    Op::Erase { from } => {
                        let term = self.resolve(self.registers[from as usize]);
                        if is_var(term) || class(term) >= 4 {
                            self.uncount(Opcode::Collapse, 1);
                            self.connect(term, Term::ERA);
                        }
                    }
                    Op::Link { a, b } => {
                        self.connect(self.registers[a as usize], self.registers[b as usize]);
                    }
                    Op::Load { to, term } => self.registers[to as usize] = term,
                    Op::Move { to, from } => {
                        self.registers[to as usize] = self.registers[from as usize];
                    }
                    Op::Allocate { to, w0 } => {
                        self.registers[to as usize] = term(w0, self.allocate());
                    }
                    Op::Write {
                        at,
                        first,
                        second,
                        variable,
                    } => {
                        let node = self.registers[at as usize].offset();
                        self.write_node(node, first, second, variable);
                    }
                    Op::Node {
                        to,
                        first,
                        second,
                        w0,
                        variable,
                    } => {
                        let node = self.allocate();
                        self.write_node(node, first, second, variable);
                        self.registers[to as usize] = term(w0, node);
                    }
                    Op::Cell { to, node, side } => {
                        let node = self.registers[node as usize].offset();
                        self.registers[to as usize] = Term::var(node + u32::from(side));
                    }
                    Op::Wire { to } => {
                        let wire = self.allocate();
                        self.heap.store(wire, self.period.absent());
                        self.heap.store(wire + 1, self.period.absent());
                        self.registers[to as usize] = Term::var(wire);
                    }
                    Op::Apply {
                        from,
                        first,
                        second,
                    } => {
                        let pair = [first, second].map(|at| self.registers[at as usize]);
                        let from = self.registers[from as usize];
                        if let Some(entry) = self.apply(from, pair[0], pair[1]) {
                            self.push_frame(entry, &pair)?;
                        }
                    }
                    Op::ApplyLast {
                        from,
                        first,
                        second,
                    } => {
                        let pair = [first, second].map(|at| self.registers[at as usize]);
                        let from = self.registers[from as usize];
                        let Some(callee) = self.apply(from, pair[0], pair[1]) else {
                            return self.through();
                        };
                        if self.pending.is_empty() {
                            (self.registers[0], self.registers[1]) = (pair[0], pair[1]);
                            entry = callee;
                            continue 'entry;
                        }
                        self.push_frame(callee, &pair)?;
                        return self.through();
                    }
                    Op::Push {
                        entry,
                        count,
                        arguments,
                    } => {
                        let values = self.gather(count, &arguments);
                        self.push_frame(entry, &values[..usize::from(count)])?;
                    }
                    Op::Call {
                        entry: callee,
                        count,
                        arguments,
                    } => {
                        let values = self.gather(count, &arguments);
                        if !self.pending.is_empty() {
                            self.push_frame(callee, &values[..usize::from(count)])?;
                            return self.through();
                        }
                        self.registers[..4].copy_from_slice(&values[..4]);
                        if count > 4 {
                            self.registers[4..ARGUMENTS_MAX].copy_from_slice(&values[4..]);
                        }
                        entry = callee;
                        continue 'entry;
                    }
                    Op::Jump { to } => pc = to as usize,
                    Op::Expand { definition, node } => {
                        let node = self.registers[node as usize];
                        return self.expand_template(definition, node);
                    }
                    Op::End => return self.through(),
                }
            }
        }
    }

    /// The arguments of a call, of which there are `count`.
    #[inline(always)]
    fn gather(&self, count: u8, arguments: &[u8; ARGUMENTS_MAX]) -> [Term; ARGUMENTS_MAX] {
        let mut values = [Term::ABSENT; ARGUMENTS_MAX];
        for i in 0..4 {
            values[i] = self.registers[arguments[i] as usize];
        }
        if count > 4 {
            for i in 4..ARGUMENTS_MAX {
                values[i] = self.registers[arguments[i] as usize];
            }
        }
        values
    }

    #[inline(always)]
    fn write_node(&mut self, node: u32, first: u8, second: u8, variable: bool) {
        let mut left = self.registers[first as usize];
        if variable {
            left = left.with_sub();
        }
        self.heap.store(node, left);
        self.heap.store(node + 1, self.registers[second as usize]);
    }

    /// Takes back interactions that a block has counted and that are not made.
    #[inline(always)]
    pub(super) fn uncount(&mut self, opcode: Opcode, n: u64) {
        self.tally.subtract(Tally::of(opcode, n));
        self.ticks += n as i64;
    }

    /// A duplicator meets what is not a number.
    pub(super) fn copy_other(&mut self, term: Term, w0: u32) -> (Term, Term) {
        if term.w0() == w0 {
            return self.open(term);
        }
        if class(term) == Class::Ref as u32 && term.variant() == variant::COPYABLE {
            return (term, term);
        }
        self.uncount(Opcode::Duplicate, 1);
        if term == Term::ERA {
            self.counts.add(Opcode::Collapse, 1);
            return (term, term);
        }
        let (node, first, second) = self.build_open(w0);
        self.connect(term, node);
        (first, second)
    }

    /// An arithmetic node that has to wait; the end of its output.
    pub(super) fn operate_later(&mut self, number: Term, left: Term, steps: u8) -> Term {
        self.uncount(Opcode::Succ, u64::from(steps));
        let node = self.node(Class::Opr, left, self.period.absent());
        self.connect(number, node);
        Term::var(node.offset() + 1)
    }
}

/// The node at an offset, with its meta word.
#[inline(always)]
fn term(w0: u32, at: u32) -> Term {
    Term(u64::from(w0) | (u64::from(at) << 32))
}
