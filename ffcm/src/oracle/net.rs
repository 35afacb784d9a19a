//! The sequential reducer: one interaction at a time, in plain data structures.
//!
//! Nodes and wires live in two separate tables. A node term names the node, whose two slots hold the terms at its
//! auxiliary ports. A VAR term names a wire, which has two ends; the first term that reaches the wire is left in its
//! cell, the second takes it out and meets it. When two wires are joined end to end, each cell names the other wire,
//! with the sub bit set. Nothing is shared, so a node or a wire is freed when it is taken.
//!
//! Memory is bounded by the limit on nodes. Active pairs that shrink the net go first, and a pending pair of the others
//! holds a node. Every wire has an end outside its cell and those of other wires, in a node, at the root, or in the
//! definition being expanded.
//!
//! # What is counted
//!
//! Every interaction counts one under its opcode, links count nothing. An OPR node that meets a number while its first
//! slot does not itself hold a number changes its operands' places, which counts as one [`Opcode::Succ`] as in HVM2.
//! A wire in the slot counts as *not a number* even when a number already waits in its cell, so the count does
//! not depend on the order: it is decided by what the source, or the rule that made the node, put into the slot.

use crate::net::readback::{Heap, readback};
use crate::net::{Book, Call, Definition, Limits, Outcome, ReduceError};
use crate::spec::number::{operate, predecessor};
use crate::spec::rules::{Counts, Opcode, opcode};
use crate::spec::word::{Class, Term};

/// Reduces one call, one interaction at a time, in plain data structures.
///
/// A call without arguments expands its definition at the root, which counts as one [`Opcode::Specialize`]. A reference
/// that reaches the root later stays, as in HVM2.
pub fn reduce(book: &Book, call: &Call, limits: &Limits) -> Result<Outcome, ReduceError> {
    call.check(book)?;
    let mut net = Net::new(book, limits);
    let root = Term::var(net.new_wire());
    if call.arguments.is_empty() {
        net.pay(Opcode::Specialize)?;
        net.specialize(call.entry, root)?;
    } else {
        let mut spine = root;
        for argument in call.arguments.iter().rev() {
            spine = net.new_node(Class::Con, 0, [*argument, spine])?;
        }
        let copyable = book.definitions()[call.entry as usize].copyable;
        net.link(Term::reference(call.entry, copyable), spine);
    }
    while let Some((a, b)) = net.next_pair() {
        net.interact(a, b)?;
    }
    let result = readback(book, &net, root, limits.result_bytes)?;
    Ok(Outcome {
        result: result.text,
        number: result.number,
        counts: net.counts,
    })
}

/// Most nodes, whatever the limit, so that wire numbers fit 31 bits.
const MAX_NODES: u64 = 1 << 29;

struct Net<'b> {
    book: &'b Book,
    limits: &'b Limits,
    node_limit: usize,
    nodes: Vec<[Term; 2]>,
    free_nodes: Vec<u32>,
    /// What waits at each wire; [`Term::ABSENT`] while neither end has met anything.
    wires: Vec<Term>,
    free_wires: Vec<u32>,
    /// Pairs that make the net smaller, or copy an atom.
    shrinking: Vec<(Term, Term)>,
    /// Pairs that may make it larger.
    growing: Vec<(Term, Term)>,
    counts: Counts,
    spent: u64,
    /// Node and wire numbers of the definition being expanded.
    node_map: Vec<u32>,
    wire_map: Vec<u32>,
}

impl<'b> Net<'b> {
    fn new(book: &'b Book, limits: &'b Limits) -> Net<'b> {
        Net {
            book,
            limits,
            node_limit: limits.nodes.min(MAX_NODES) as usize,
            nodes: Vec::new(),
            free_nodes: Vec::new(),
            wires: Vec::new(),
            free_wires: Vec::new(),
            shrinking: Vec::new(),
            growing: Vec::new(),
            counts: Counts::default(),
            spent: 0,
            node_map: Vec::new(),
            wire_map: Vec::new(),
        }
    }

    fn next_pair(&mut self) -> Option<(Term, Term)> {
        self.shrinking.pop().or_else(|| self.growing.pop())
    }

    /// Checks the gas for one interaction, then counts it.
    fn pay(&mut self, op: Opcode) -> Result<(), ReduceError> {
        if self.spent == self.limits.gas {
            return Err(ReduceError::OutOfGas {
                limit: self.limits.gas,
            });
        }
        self.spent += 1;
        self.counts.add(op, 1);
        Ok(())
    }

    fn interact(&mut self, a: Term, b: Term) -> Result<(), ReduceError> {
        // The rules below have the node of a mixed pair second.
        let (a, b) = if a.class() > b.class() {
            (b, a)
        } else {
            (a, b)
        };
        let op = opcode(a, b);
        if op == Opcode::Link {
            self.link(a, b);
            return Ok(());
        }
        self.pay(op)?;
        match op {
            Opcode::Link => {}
            Opcode::Apply => self.annihilate(a, b),
            Opcode::Duplicate if a.class().is_node() => self.annihilate(a, b),
            Opcode::Duplicate => self.copy_atom(a, b),
            Opcode::Distribute => self.distribute(a, b)?,
            Opcode::Succ => self.succ(a, b)?,
            Opcode::Switch => self.switch(a, b)?,
            Opcode::Collapse => self.collapse(a, b),
            Opcode::Specialize => self.specialize(a.offset(), b)?,
        }
        Ok(())
    }

    /// `(a1 a2) ~ (b1 b2)`: the ports are joined, `a1 ~ b1` and `a2 ~ b2`.
    fn annihilate(&mut self, a: Term, b: Term) {
        let [a1, a2] = self.take_node(a);
        let [b1, b2] = self.take_node(b);
        self.link(a1, b1);
        self.link(a2, b2);
    }

    /// `atom ~ {b1 b2}`: the atom goes to both ports.
    fn copy_atom(&mut self, atom: Term, b: Term) {
        let [b1, b2] = self.take_node(b);
        self.link(atom, b1);
        self.link(atom, b2);
    }

    /// `(a1 a2) ~ {b1 b2}`: two nodes of each kind pass through each other.
    fn distribute(&mut self, a: Term, b: Term) -> Result<(), ReduceError> {
        let [a1, a2] = self.take_node(a);
        let [b1, b2] = self.take_node(b);
        let [x, y, z, w] = core::array::from_fn(|_| Term::var(self.new_wire()));
        let b_at_a1 = self.new_node(b.class(), b.label(), [x, y])?;
        let b_at_a2 = self.new_node(b.class(), b.label(), [z, w])?;
        let a_at_b1 = self.new_node(a.class(), a.label(), [x, z])?;
        let a_at_b2 = self.new_node(a.class(), a.label(), [y, w])?;
        self.link(b_at_a1, a1);
        self.link(b_at_a2, a2);
        self.link(a_at_b1, b1);
        self.link(a_at_b2, b2);
        Ok(())
    }

    /// `n ~ $(m r)`: the step `n m` goes to `r`. While the slot holds no number, `n` takes its place and the node waits
    /// for what comes out of the slot.
    fn succ(&mut self, number: Term, node: Term) -> Result<(), ReduceError> {
        let [operand, result] = self.take_node(node);
        if operand.class() == Class::Num {
            self.link(operate(number, operand), result);
        } else {
            let swapped = self.new_node(Class::Opr, 0, [number, result])?;
            self.link(operand, swapped);
        }
        Ok(())
    }

    /// `0 ~ ?(b r)`: `b ~ (r *)`. `n ~ ?(b r)`: `b ~ (* (n-1 r))`.
    fn switch(&mut self, number: Term, node: Term) -> Result<(), ReduceError> {
        let [branches, result] = self.take_node(node);
        let chosen = match predecessor(number) {
            None => self.new_node(Class::Con, 0, [result, Term::ERA])?,
            Some(before) => {
                let taken = self.new_node(Class::Con, 0, [before, result])?;
                self.new_node(Class::Con, 0, [Term::ERA, taken])?
            }
        };
        self.link(chosen, branches);
        Ok(())
    }

    /// Both terms vanish; the ports of a node are erased.
    fn collapse(&mut self, a: Term, b: Term) {
        for term in [a, b] {
            if term.class().is_node() {
                for port in self.take_node(term) {
                    self.link(Term::ERA, port);
                }
            }
        }
    }

    /// `@definition ~ b`: a fresh copy of the definition takes the reference's place.
    fn specialize(&mut self, definition: u32, b: Term) -> Result<(), ReduceError> {
        let book = self.book;
        let template: &Definition = &book.definitions()[definition as usize];
        self.node_map.clear();
        for _ in &template.nodes {
            let node = self.reserve_node()?;
            self.node_map.push(node);
        }
        self.wire_map.clear();
        for _ in 0..template.wires {
            let wire = self.new_wire();
            self.wire_map.push(wire);
        }
        for (i, [first, second]) in template.nodes.iter().enumerate() {
            let ports = [self.relocate(*first), self.relocate(*second)];
            self.nodes[self.node_map[i] as usize] = ports;
        }
        for (a, b) in &template.redexes {
            self.link(self.relocate(*a), self.relocate(*b));
        }
        self.link(self.relocate(template.root), b);
        Ok(())
    }

    /// A term of the definition being expanded, with its local numbers replaced.
    fn relocate(&self, term: Term) -> Term {
        match term.class() {
            Class::Var => Term::var(self.wire_map[term.offset() as usize]),
            class if class.is_node() => {
                Term::node(class, term.label(), self.node_map[term.offset() as usize])
            }
            _ => term,
        }
    }

    /// Joins two terms: through a wire if one is a VAR, as a pair to reduce otherwise.
    fn link(&mut self, mut a: Term, mut b: Term) {
        while let Some(waiting) = self.arrive(a) {
            a = waiting;
        }
        while let Some(waiting) = self.arrive(b) {
            b = waiting;
        }
        match (a.class(), b.class()) {
            // Both ends of one wire: a loop without anything on it.
            (Class::Var, Class::Var) if a == b => self.free_wires.push(a.offset()),
            (Class::Var, Class::Var) => {
                self.wires[a.offset() as usize] = b.with_sub();
                self.wires[b.offset() as usize] = a.with_sub();
            }
            (Class::Var, _) => self.wires[a.offset() as usize] = b,
            (_, Class::Var) => self.wires[b.offset() as usize] = a,
            _ => self.push_pair(a, b),
        }
    }

    /// Takes out what waits at the wire of a VAR term, if anything does, and frees the wire.
    fn arrive(&mut self, term: Term) -> Option<Term> {
        if term.class() != Class::Var {
            return None;
        }
        let waiting = core::mem::take(&mut self.wires[term.offset() as usize]);
        if waiting.is_absent() {
            return None;
        }
        self.free_wires.push(term.offset());
        if waiting.is_sub() {
            // The other of two joined wires is a wire by itself again.
            self.wires[waiting.offset() as usize] = Term::ABSENT;
        }
        Some(waiting.without_sub())
    }

    fn push_pair(&mut self, a: Term, b: Term) {
        match opcode(a, b) {
            Opcode::Apply | Opcode::Duplicate | Opcode::Collapse => self.shrinking.push((a, b)),
            _ => self.growing.push((a, b)),
        }
    }

    fn new_wire(&mut self) -> u32 {
        self.free_wires.pop().unwrap_or_else(|| {
            self.wires.push(Term::ABSENT);
            self.wires.len() as u32 - 1
        })
    }

    fn reserve_node(&mut self) -> Result<u32, ReduceError> {
        if let Some(node) = self.free_nodes.pop() {
            return Ok(node);
        }
        if self.nodes.len() >= self.node_limit {
            return Err(ReduceError::OutOfHeap {
                limit: self.node_limit as u64,
            });
        }
        self.nodes.push([Term::ABSENT; 2]);
        Ok(self.nodes.len() as u32 - 1)
    }

    fn new_node(
        &mut self,
        class: Class,
        label: u32,
        ports: [Term; 2],
    ) -> Result<Term, ReduceError> {
        let node = self.reserve_node()?;
        self.nodes[node as usize] = ports;
        Ok(Term::node(class, label, node))
    }

    /// The ports of a node that an interaction consumes. The node is free afterwards.
    fn take_node(&mut self, term: Term) -> [Term; 2] {
        let ports = core::mem::take(&mut self.nodes[term.offset() as usize]);
        debug_assert!(!ports[0].is_absent(), "a node is taken once");
        self.free_nodes.push(term.offset());
        ports
    }
}

impl Heap for Net<'_> {
    fn wire(&self, var: Term) -> Option<Term> {
        let waiting = self.wires[var.offset() as usize];
        if waiting.is_absent() || (waiting.is_sub() && waiting.offset() > var.offset()) {
            // Two joined wires are one wire, known by the lower number.
            return None;
        }
        Some(waiting.without_sub())
    }

    fn node(&self, node: Term) -> [Term; 2] {
        self.nodes[node.offset() as usize]
    }
}

#[cfg(test)]
mod tests;
