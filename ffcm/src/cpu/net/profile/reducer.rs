//! A reducer that makes one interaction at a time and marks the net with origins and causes.
//!
//! Its heap is the engine's, with the same protocol of cells, kept by one thread, but for wires that are joined before
//! anything has come to either: then each cell names the other, and the first end to arrive at or be taken out of one
//! makes the other a wire by itself again. So no chain of cells ever grows. Definitions are always copied from their
//! templates.

use std::sync::atomic::Ordering;

use super::super::Progress;
use super::super::heap::Heap;
use super::super::pool::Stop;
use super::super::template::{FIRST, Lowered, NODES, Slot, most_nodes};
use super::super::worker::{class, is_num, is_var};
use super::{CHAINS, DefinitionProfile, Profile};
use crate::net::{Call, readback};
use crate::spec::number;
use crate::spec::rules::{Opcode, opcode};
use crate::spec::word::{Class, Term};

/// Interactions between two looks at what the caller wants.
const LOOK: u64 = 4096;
/// Free nodes fetched at once.
const FETCH: u32 = 1024;

/// Bits of a definition's number in a mark; a book has at most 2^20 definitions.
const DEFINITION_BITS: u32 = 20;
const _: () = assert!(crate::net::syntax::MAX_DEFINITIONS <= 1 << DEFINITION_BITS);
/// Greatest depth that a mark holds. What is deeper counts as just as deep, so marks stay properties of the net.
const DEPTH_MAX: u64 = (1 << 38) - 1;

/// An interaction as the cause of others: `38 depth | 3 opcode of its own cause | 3 opcode | 20 definition`. The later of
/// two is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cause(u64);

impl Cause {
    fn depth(self) -> u64 {
        self.0 >> (DEFINITION_BITS + 6)
    }

    /// The opcodes of its own cause and of itself.
    fn opcodes(self) -> usize {
        (self.0 >> DEFINITION_BITS) as usize & 63
    }

    fn definition(self) -> u32 {
        self.0 as u32 & ((1 << DEFINITION_BITS) - 1)
    }

    /// The interaction that consumes a redex of this cause.
    fn next(self, opcode: Opcode, definition: u32) -> Cause {
        let depth = (self.depth() + 1).min(DEPTH_MAX);
        let opcodes = ((self.opcodes() as u64) & 7) << 3 | opcode as u64;
        Cause((depth << 6 | opcodes) << DEFINITION_BITS | u64::from(definition))
    }
}

/// Where a node comes from: `44 depth of the expansion | 20 definition`. The later of two is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Origin(u64);

impl Origin {
    fn of(expansion: Cause) -> Origin {
        let definition = u64::from(expansion.definition());
        Origin(expansion.depth() << DEFINITION_BITS | definition)
    }

    fn definition(self) -> u32 {
        self.0 as u32 & ((1 << DEFINITION_BITS) - 1)
    }
}

/// An active pair, and the cause of the connection.
pub(super) type Redex = (Term, Term, Cause);
/// A term, and the cause of the connection that it is an end of.
type End = (Term, Cause);

/// One reduction.
pub(super) struct Reducer<'r> {
    heap: &'r Heap,
    lowered: &'r [Lowered],
    progress: Option<&'r Progress>,
    free: Vec<u32>,
    stack: Vec<Redex>,
    /// Of the connection at each slot; of a wire at its cell.
    causes: Vec<Cause>,
    /// Of each node.
    origins: Vec<Origin>,
    /// What template terms are relative to; see [`Slot`].
    values: Vec<u64>,
    gas: u64,
    made: u64,
    definitions: Vec<DefinitionProfile>,
    span: u64,
    chains: Box<[u64; CHAINS]>,
}

impl<'r> Reducer<'r> {
    pub(super) fn new(
        heap: &'r Heap,
        lowered: &'r [Lowered],
        gas: u64,
        progress: Option<&'r Progress>,
    ) -> Reducer<'r> {
        Reducer {
            heap,
            lowered,
            progress,
            free: Vec::new(),
            stack: Vec::new(),
            causes: Vec::new(),
            origins: Vec::new(),
            values: vec![0; NODES as usize + most_nodes(lowered)],
            gas,
            made: 0,
            definitions: vec![DefinitionProfile::default(); lowered.len()],
            span: 0,
            chains: Box::new([0; CHAINS]),
        }
    }

    /// Interactions made so far.
    pub(super) fn made(&self) -> u64 {
        self.made
    }

    pub(super) fn finish(self) -> Profile {
        Profile {
            definitions: self.definitions,
            span: self.span,
            chains: self.chains,
        }
    }

    /// Builds the net of a call, as the engine does, and returns the root cell.
    pub(super) fn boot(&mut self, call: &Call) -> Result<u32, Stop> {
        let start = Cause(u64::from(call.entry));
        self.reserve(1 + call.arguments.len())?;
        let root = self.allocate();
        self.heap.store(root, Term::ABSENT);
        self.causes[root as usize] = start;
        let mut spine = Term::var(root);
        for &argument in call.arguments.iter().rev() {
            let ports = [(argument, start), (spine, start)];
            spine = self.node(Class::Con, ports, Origin::of(start));
        }
        let entry = Term::reference(call.entry, false);
        if call.arguments.is_empty() {
            // A reference that meets the root is otherwise left alone.
            let cause = self.count(Opcode::Specialize, entry, Term::ERA, start)?;
            self.expand(call.entry, spine, cause)?;
        } else {
            self.push((entry, spine, start))?;
        }
        Ok(root)
    }

    /// Reduces until no redex is left.
    pub(super) fn run(
        &mut self,
        mut next: impl FnMut(&mut Vec<Redex>) -> Option<Redex>,
    ) -> Result<(), Stop> {
        while let Some((a, b, cause)) = next(&mut self.stack) {
            self.interact(a, b, cause)?;
        }
        self.report(self.made % LOOK)
    }

    // ---- counting ---------------------------------------------------------------------------------------------

    /// Counts the interaction of `a` and `b`, a redex of cause `before`. Returns it as a cause.
    #[inline(always)]
    fn count(&mut self, opcode: Opcode, a: Term, b: Term, before: Cause) -> Result<Cause, Stop> {
        if self.made == self.gas {
            return Err(Stop::Gas);
        }
        self.made += 1;
        if self.made.is_multiple_of(LOOK) {
            self.report(LOOK)?;
        }
        let definition = match (opcode, self.origin(a).max(self.origin(b))) {
            (Opcode::Specialize, _) => {
                self.definitions[a.offset() as usize].expansions += 1;
                a.offset()
            }
            (_, Some(origin)) => origin.definition(),
            (_, None) => before.definition(),
        };
        self.definitions[definition as usize].interactions += 1;
        self.chains[before.opcodes() << 3 | opcode as usize] += 1;
        let cause = before.next(opcode, definition);
        self.span = self.span.max(cause.depth());
        Ok(cause)
    }

    #[inline(always)]
    fn origin(&self, term: Term) -> Option<Origin> {
        (class(term) >= 4).then(|| self.origins[term.offset() as usize / 2])
    }

    /// Says how far it is, and obeys.
    fn report(&self, made: u64) -> Result<(), Stop> {
        let Some(progress) = self.progress else {
            return Ok(());
        };
        progress.interactions.fetch_add(made, Ordering::Relaxed);
        if progress.cancel.load(Ordering::Relaxed) {
            return Err(Stop::Cancelled);
        }
        Ok(())
    }

    // ---- memory -----------------------------------------------------------------------------------------------

    /// Makes sure that `nodes` nodes can be allocated.
    fn reserve(&mut self, nodes: usize) -> Result<(), Stop> {
        while self.free.len() < nodes {
            if !self.heap.take(&mut self.free, FETCH) {
                return Err(Stop::Heap);
            }
            let touched = self.heap.touched() as usize;
            grow(&mut self.causes, 2 * touched, Cause(0))?;
            grow(&mut self.origins, touched, Origin(0))?;
        }
        Ok(())
    }

    /// Takes a node that [`Reducer::reserve`] has made sure of.
    fn allocate(&mut self) -> u32 {
        self.free
            .pop()
            .expect("nodes are made sure of before an interaction")
    }

    fn node(&mut self, class: Class, ports: [End; 2], origin: Origin) -> Term {
        let at = self.allocate();
        self.write(at, ports, origin);
        Term::node(class, 0, at)
    }

    #[inline(always)]
    fn write(&mut self, at: u32, ports: [End; 2], origin: Origin) {
        for (slot, (term, cause)) in (at..).zip(ports) {
            self.heap.store(slot, term);
            self.causes[slot as usize] = cause;
        }
        self.origins[at as usize / 2] = origin;
    }

    fn free(&mut self, at: u32) {
        let node = at & !1;
        self.heap.retire(node);
        self.free.push(node);
    }

    /// Takes both ends out of a node, and frees it unless one of its slots is a cell that nothing has come to.
    #[inline(always)]
    fn open(&mut self, node: Term, cause: Cause) -> [End; 2] {
        let at = node.offset();
        let terms = [at, at + 1].map(|slot| self.heap.load(slot));
        let ends = [at, at + 1].map(|slot| self.causes[slot as usize].max(cause));
        match terms.map(Term::is_absent) {
            [true, _] => [(Term::var(at), ends[0]), (self.take(terms[1]), ends[1])],
            [_, true] => [(self.take(terms[0]), ends[0]), (Term::var(at + 1), ends[1])],
            _ => {
                self.free(at);
                [0, 1].map(|side| (self.take(terms[side]), ends[side]))
            }
        }
    }

    fn push(&mut self, redex: Redex) -> Result<(), Stop> {
        // Each holds a node's principal port, so the limit on nodes bounds them.
        if self.stack.len() == self.stack.capacity() {
            let more = self.stack.len().max(256);
            self.stack.try_reserve(more).map_err(|_| Stop::Heap)?;
        }
        self.stack.push(redex);
        Ok(())
    }

    // ---- wiring -----------------------------------------------------------------------------------------------

    /// Connects two ends; what results is a redex, or waits at a cell.
    #[inline(always)]
    fn join(&mut self, (mut a, cause): End, (mut b, other): End) -> Result<(), Stop> {
        let mut cause = cause.max(other);
        loop {
            if !is_var(a) {
                (a, b) = (b, a);
            }
            if !is_var(a) {
                return self.meet(a, b, cause);
            }
            if a == b {
                // Both ends of one wire: a loop, gone with its cell.
                self.free(a.offset());
                return Ok(());
            }
            let (at, met) = (a.offset(), self.heap.load(a.offset()));
            cause = cause.max(self.causes[at as usize]);
            if !met.is_absent() {
                self.free(at);
                a = self.take(met);
                continue;
            }
            if is_var(b) {
                let (from, met) = (b.offset(), self.heap.load(b.offset()));
                cause = cause.max(self.causes[from as usize]);
                if !met.is_absent() {
                    self.free(from);
                    b = self.take(met);
                    continue;
                }
                self.heap.store(from, a.with_sub());
                self.causes[from as usize] = cause;
            }
            self.heap.store(at, b.with_sub());
            self.causes[at as usize] = cause;
            return Ok(());
        }
    }

    /// What waited at a cell. Of two joined wires, the other is a wire by itself again.
    #[inline(always)]
    fn take(&mut self, met: Term) -> Term {
        if is_var(met) && met.is_sub() {
            self.heap.store(met.offset(), Term::ABSENT);
        }
        met.without_sub()
    }

    /// Two principal ports meet. Atoms vanish at once.
    #[inline(always)]
    fn meet(&mut self, a: Term, b: Term, cause: Cause) -> Result<(), Stop> {
        if class(a) < 4 && class(b) < 4 {
            return self.count(Opcode::Collapse, a, b, cause).map(drop);
        }
        self.push((a, b, cause))
    }

    // ---- interactions -----------------------------------------------------------------------------------------

    /// One interaction between two principal ports, at least one of them of a node.
    fn interact(&mut self, mut a: Term, mut b: Term, before: Cause) -> Result<(), Stop> {
        if class(a) > class(b) {
            (a, b) = (b, a);
        }
        let opcode = opcode(a, b);
        let cause = self.count(opcode, a, b, before)?;
        match opcode {
            Opcode::Link => unreachable!("no end of a wire is part of a redex"),
            Opcode::Apply => self.annihilate(a, b, cause),
            Opcode::Duplicate if class(a) >= 4 => self.annihilate(a, b, cause),
            Opcode::Duplicate | Opcode::Collapse => self.copy(a, b, cause),
            Opcode::Distribute => self.commute(a, b, cause),
            Opcode::Succ => self.operate(a, b, cause),
            Opcode::Switch => self.switch(a, b, cause),
            Opcode::Specialize => self.expand(a.offset(), b, cause),
        }
    }

    /// Two nodes of one kind: their ports are connected pairwise.
    fn annihilate(&mut self, a: Term, b: Term, cause: Cause) -> Result<(), Stop> {
        let [a1, a2] = self.open(a, cause);
        let [b1, b2] = self.open(b, cause);
        self.join(a1, b1)?;
        self.join(a2, b2)
    }

    /// An atom meets a node: it goes to both of the node's ports.
    fn copy(&mut self, a: Term, b: Term, cause: Cause) -> Result<(), Stop> {
        let [b1, b2] = self.open(b, cause);
        self.join((a, cause), b1)?;
        self.join((a, cause), b2)
    }

    /// Two nodes of different kinds pass through each other. None of the new nodes gets two cells.
    fn commute(&mut self, a: Term, b: Term, cause: Cause) -> Result<(), Stop> {
        self.reserve(4)?;
        let origins = [a, b].map(|node| self.origins[node.offset() as usize / 2]);
        let [a1, a2] = self.open(a, cause);
        let [b1, b2] = self.open(b, cause);
        let [p, q, r, s] = [(); 4].map(|()| self.allocate());
        // b's kind at p and q, a's kind at r and s; wires p.0-r.0, p.1-s.0, q.0-r.1, q.1-s.1.
        let var = |at| (Term::var(at), cause);
        let cell = (Term::ABSENT, cause);
        self.write(p, [cell, var(s)], origins[1]);
        self.write(q, [var(r + 1), cell], origins[1]);
        self.write(r, [var(p), cell], origins[0]);
        self.write(s, [cell, var(q + 1)], origins[0]);
        let at = |node: Term, at| (Term::node(node.class(), node.label(), at), cause);
        self.join(at(a, s), b2)?;
        self.join(at(b, q), a2)?;
        self.join(at(b, p), a1)?;
        self.join(at(a, r), b1)
    }

    /// A number meets an arithmetic node. An operand that was a variable in the source changes places with it.
    fn operate(&mut self, a: Term, b: Term, cause: Cause) -> Result<(), Stop> {
        self.reserve(1)?;
        let origin = self.origins[b.offset() as usize / 2];
        let slot = self.heap.load(b.offset());
        let [left, right] = self.open(b, cause);
        if is_num(slot) && !slot.is_sub() {
            return self.join((number::operate(a, left.0), cause), right);
        }
        let swapped = self.node(Class::Opr, [(a, cause), right], origin);
        self.join(left, (swapped, cause))
    }

    /// A number meets a switch.
    fn switch(&mut self, a: Term, b: Term, cause: Cause) -> Result<(), Stop> {
        self.reserve(2)?;
        let origin = self.origins[b.offset() as usize / 2];
        let [arms, out] = self.open(b, cause);
        let eraser = (Term::ERA, cause);
        let taken = match number::predecessor(a) {
            None => self.node(Class::Con, [out, eraser], origin),
            Some(before) => {
                let inner = self.node(Class::Con, [(before, cause), out], origin);
                self.node(Class::Con, [eraser, (inner, cause)], origin)
            }
        };
        self.join(arms, (taken, cause))
    }

    /// A definition is copied beside the term that met its reference.
    fn expand(&mut self, definition: u32, b: Term, cause: Cause) -> Result<(), Stop> {
        let lowered = self.lowered;
        let template = &lowered[definition as usize].plain;
        let count = template.nodes.len();
        self.reserve(count)?;
        self.values[FIRST as usize] = b.0;
        for value in 0..count {
            self.values[NODES as usize + value] = u64::from(self.allocate()) << 32;
        }
        let origin = Origin::of(cause);
        for (node, ports) in template.nodes.iter().enumerate() {
            let at = (self.values[NODES as usize + node] >> 32) as u32;
            let ports = ports.map(|slot| (self.term(slot), cause));
            self.write(at, ports, origin);
        }
        for _ in 0..template.collapses {
            self.count(Opcode::Collapse, Term::ERA, Term::ERA, cause)?;
        }
        for &[a, b] in &template.redexes {
            self.push((self.term(a), self.term(b), cause))?;
        }
        for &[a, b] in &template.joins {
            self.join((self.term(a), cause), (self.term(b), cause))?;
        }
        Ok(())
    }

    #[inline(always)]
    fn term(&self, slot: Slot) -> Term {
        Term(slot.word + self.values[slot.value as usize])
    }
}

/// Lengthens marks to at least `len`, with what no node has yet.
fn grow<T: Copy>(marks: &mut Vec<T>, len: usize, none: T) -> Result<(), Stop> {
    let more = len.saturating_sub(marks.len());
    marks.try_reserve(more).map_err(|_| Stop::Heap)?;
    marks.resize(len.max(marks.len()), none);
    Ok(())
}

/// The heap at rest.
pub(super) struct AtRest<'h>(pub(super) &'h Heap);

impl readback::Heap for AtRest<'_> {
    fn wire(&self, var: Term) -> Option<Term> {
        let met = self.0.load(var.offset());
        // Two joined wires are one, known by the lower offset.
        let joined = is_var(met) && met.offset() > var.offset();
        (!met.is_absent() && !joined).then(|| met.without_sub())
    }

    fn node(&self, node: Term) -> [Term; 2] {
        [node.offset(), node.offset() + 1].map(|at| {
            let term = self.0.load(at);
            if term.is_absent() || is_var(term) && term.is_sub() {
                Term::var(at)
            } else {
                term
            }
        })
    }
}
