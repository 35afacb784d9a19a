//! What modules mean, executed: every instruction as its documentation says, on a heap that nothing else is done for.
//!
//! Renderers are tested against this. It follows no order: the pairs and calls that are left for later are taken as a
//! seed has it, calls are left for later at random, and functions are used or not at random too.

use ffcm::net::partial::Shape;
use ffcm::net::readback::{Heap, readback};
use ffcm::net::{Book, Limits, Outcome, ReduceError};
use ffcm::spec::number::{operate, predecessor};
use ffcm::spec::rules::{Counts, Opcode, opcode};
use ffcm::spec::word::{Class, Term, variant};
use ffcm::testing::Rng;

use super::{BlockId, End, Function, Inst, Mode, Module, Tree, ValueId};

/// How a run differs from others that give the same.
#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) seed: u64,
    /// Of a hundred calls, so many are left for later.
    pub(crate) deferred: u64,
    /// Of a hundred references and frames, so many are expanded from the definition's template.
    pub(crate) expanded: u64,
}

/// Calls under way at most; others are left for later.
const DEPTH_MAX: usize = 64;

enum Task {
    Pair(Term, Term),
    Frame(u32, Vec<Term>),
}

pub(crate) struct Machine<'m> {
    book: &'m Book,
    entries: &'m [(u32, Shape)],
    module: &'m Module,
    schedule: Schedule,
    rng: Rng,
    gas: i64,
    heap: Vec<Term>,
    tasks: Vec<Task>,
    /// Interactions by opcode.
    counts: [i64; 8],
    depth: usize,
    /// Nodes that may still be allocated without a reservation.
    reserved: u32,
    /// Instructions executed, nodes allocated, and pairs and calls that were left for later.
    pub(crate) cost: [u64; 3],
}

impl<'m> Machine<'m> {
    pub(crate) fn new(
        book: &'m Book,
        entries: &'m [(u32, Shape)],
        module: &'m Module,
        schedule: Schedule,
    ) -> Machine<'m> {
        Machine {
            book,
            entries,
            module,
            schedule,
            rng: Rng::new(schedule.seed),
            gas: 0,
            heap: Vec::new(),
            tasks: Vec::new(),
            counts: [0; 8],
            depth: 0,
            reserved: 0,
            cost: [0; 3],
        }
    }

    /// Reduces the book's `main`.
    pub(crate) fn run(&mut self, limits: &Limits) -> Result<Outcome, ReduceError> {
        self.gas = limits.gas as i64;
        let root = self.new_wire();
        self.count(Opcode::Specialize, 1);
        self.expand(0, root);
        while let Some(task) = self.next_task() {
            self.cost[2] += 1;
            match task {
                Task::Pair(a, b) => self.interact(a, b),
                Task::Frame(entry, leaves) => self.enter(entry, &leaves),
            }
            if self.spent() > self.gas {
                return Err(ReduceError::OutOfGas { limit: limits.gas });
            }
        }
        assert_eq!(self.depth, 0);
        let result = readback(self.book, &*self, root, limits.result_bytes)?;
        let mut counts = Counts::default();
        for opcode in Opcode::COUNTED {
            let n = self.counts[opcode as usize];
            counts.add(
                opcode,
                u64::try_from(n).expect("nothing is taken back twice"),
            );
        }
        Ok(Outcome {
            result: result.text,
            number: result.number,
            counts,
        })
    }

    fn next_task(&mut self) -> Option<Task> {
        // Mostly the last one, so that nets stay small.
        let count = self.tasks.len();
        if count > 1 && self.rng.below(8) == 0 {
            let other = self.rng.below(count as u64) as usize;
            self.tasks.swap(other, count - 1);
        }
        self.tasks.pop()
    }

    fn spent(&self) -> i64 {
        self.counts.iter().sum()
    }

    fn count(&mut self, opcode: Opcode, n: i64) {
        self.counts[opcode as usize] += n;
    }

    fn chance(&mut self, of_a_hundred: u64) -> bool {
        self.rng.below(100) < of_a_hundred
    }

    // ---- the heap ---------------------------------------------------------------------------------------------

    fn allocate(&mut self, slots: [Term; 2]) -> u32 {
        self.cost[1] += 1;
        self.heap.extend(slots);
        self.heap.len() as u32 - 2
    }

    /// The same for an instruction, which has to have made sure of it.
    fn allocate_reserved(&mut self, slots: [Term; 2]) -> u32 {
        assert!(self.reserved > 0, "allocated without a reservation");
        self.reserved -= 1;
        self.allocate(slots)
    }

    fn new_wire(&mut self) -> Term {
        Term::var(self.allocate([Term::ABSENT; 2]))
    }

    fn new_node(&mut self, class: Class, label: u32, ports: [Term; 2]) -> Term {
        Term::node(class, label, self.allocate(ports))
    }

    /// The ports of a node; a slot that is the cell of its wire is one end of it, the cell the other.
    fn ports(&mut self, node: Term) -> [Term; 2] {
        [0, 1].map(|side| {
            let at = node.offset() + side;
            match self.heap[at as usize] {
                Term::ABSENT => Term::var(at),
                found => found.without_sub(),
            }
        })
    }

    /// What a term stands for: takes out what waits at a wire.
    fn resolve(&mut self, mut term: Term) -> Term {
        while term.class() == Class::Var {
            let cell = self.heap[term.offset() as usize];
            if cell.is_absent() {
                break;
            }
            term = cell.without_sub();
        }
        term
    }

    fn link(&mut self, a: Term, b: Term) {
        let (a, b) = (self.resolve(a), self.resolve(b));
        match (a.class(), b.class()) {
            (Class::Var, _) if a == b => {}
            (Class::Var, _) => self.heap[a.offset() as usize] = b.with_sub(),
            (_, Class::Var) => self.heap[b.offset() as usize] = a.with_sub(),
            _ => self.tasks.push(Task::Pair(a, b)),
        }
    }

    // ---- the net ----------------------------------------------------------------------------------------------

    fn interact(&mut self, a: Term, b: Term) {
        let (a, b) = if a.class() > b.class() {
            (b, a)
        } else {
            (a, b)
        };
        let op = opcode(a, b);
        if op == Opcode::Specialize && b.class() == Class::Con {
            let [first, second] = self.ports(b);
            return self.enter(a.offset(), &[first, second]);
        }
        self.count(op, 1);
        match op {
            Opcode::Link => unreachable!("pairs are of principal ports"),
            Opcode::Apply => self.annihilate(a, b),
            Opcode::Duplicate if a.class().is_node() => self.annihilate(a, b),
            Opcode::Duplicate => {
                for port in self.ports(b) {
                    self.link(a, port);
                }
            }
            Opcode::Distribute => self.distribute(a, b),
            Opcode::Succ => self.succ(a, b),
            Opcode::Switch => self.switch(a, b),
            Opcode::Collapse => {
                for node in [a, b].into_iter().filter(|term| term.class().is_node()) {
                    for port in self.ports(node) {
                        self.link(Term::ERA, port);
                    }
                }
            }
            Opcode::Specialize => self.expand(a.offset(), b),
        }
    }

    fn annihilate(&mut self, a: Term, b: Term) {
        let ([a1, a2], [b1, b2]) = (self.ports(a), self.ports(b));
        self.link(a1, b1);
        self.link(a2, b2);
    }

    fn distribute(&mut self, a: Term, b: Term) {
        let ([a1, a2], [b1, b2]) = (self.ports(a), self.ports(b));
        let [x, y, z, w] = [(); 4].map(|()| self.new_wire());
        let pairs = [
            (self.new_node(b.class(), b.label(), [x, y]), a1),
            (self.new_node(b.class(), b.label(), [z, w]), a2),
            (self.new_node(a.class(), a.label(), [x, z]), b1),
            (self.new_node(a.class(), a.label(), [y, w]), b2),
        ];
        for (node, port) in pairs {
            self.link(node, port);
        }
    }

    /// The first slot of an arithmetic node has the substitution bit where the port was a variable in the source.
    fn succ(&mut self, number: Term, node: Term) {
        let first = self.heap[node.offset() as usize];
        let [left, out] = self.ports(node);
        if first.class() == Class::Num && !first.is_sub() {
            return self.link(operate(number, first), out);
        }
        let swapped = self.new_node(Class::Opr, 0, [number, out]);
        self.link(left, swapped);
    }

    fn switch(&mut self, number: Term, node: Term) {
        let [arms, out] = self.ports(node);
        let chosen = match predecessor(number) {
            None => self.new_node(Class::Con, 0, [out, Term::ERA]),
            Some(before) => {
                let taken = self.new_node(Class::Con, 0, [before, out]);
                self.new_node(Class::Con, 0, [Term::ERA, taken])
            }
        };
        self.link(chosen, arms);
    }

    /// Connects a copy of a definition with a term.
    fn expand(&mut self, definition: u32, with: Term) {
        let template = &self.book.definitions()[definition as usize];
        let wires: Vec<Term> = (0..template.wires).map(|_| self.new_wire()).collect();
        let nodes = self.heap.len() as u32;
        let place = |term: Term| match term.class() {
            Class::Var => wires[term.offset() as usize],
            class if class.is_node() => Term::node(class, term.label(), nodes + 2 * term.offset()),
            _ => term,
        };
        for ports in &template.nodes {
            self.cost[1] += 1;
            self.heap.extend(ports.map(place));
        }
        for &(a, b) in &template.redexes {
            self.link(place(a), place(b));
        }
        self.link(place(template.root), with);
    }

    // ---- entries ----------------------------------------------------------------------------------------------

    /// Runs an entry whose leaves are all at hand.
    fn enter(&mut self, entry: u32, leaves: &[Term]) {
        let (definition, shape) = &self.entries[entry as usize];
        let expanded = self.schedule.expanded;
        let Some(function) = self.module.functions[entry as usize]
            .as_ref()
            .filter(|_| !self.chance(expanded))
        else {
            let mut leaves = leaves.iter().copied();
            let argument = self.build(shape, &mut leaves);
            self.count(Opcode::Specialize, 1);
            return self.expand(*definition, argument);
        };
        let (ins, outs) = apart(function, leaves);
        for (result, leaf) in self.call(function, &ins).into_iter().zip(outs) {
            self.link(result, leaf);
        }
    }

    fn build(&mut self, shape: &Shape, leaves: &mut impl Iterator<Item = Term>) -> Term {
        match shape {
            Shape::Leaf => leaves.next().expect("a term for each leaf"),
            Shape::Pair(first, second) => {
                let ports = [self.build(first, leaves), self.build(second, leaves)];
                self.new_node(Class::Con, 0, ports)
            }
        }
    }

    /// Leaves an entry for later; what it will have at the leaves that go out.
    fn defer(&mut self, entry: u32, function: &Function, ins: &[Term]) -> Vec<Term> {
        let (mut ins, mut outs) = (ins.iter(), Vec::new());
        let leaves = function.modes.iter().map(|mode| match mode {
            Mode::In => *ins.next().expect("a term for each leaf that comes in"),
            Mode::Out => {
                outs.push(self.new_wire());
                outs[outs.len() - 1]
            }
        });
        let frame = Task::Frame(entry, leaves.collect());
        self.tasks.push(frame);
        outs
    }

    fn call(&mut self, function: &'m Function, ins: &[Term]) -> Vec<Term> {
        self.depth += 1;
        let mut function = function;
        let mut ins = ins.to_vec();
        let outs = loop {
            match self.execute(function, &ins) {
                Exit::Return(outs) => break outs,
                Exit::Tail(entry, then) => {
                    let callee = self.function(entry);
                    if self.holds_back() {
                        break self.defer(entry, callee, &then);
                    }
                    (function, ins) = (callee, then);
                }
            }
        };
        self.depth -= 1;
        outs
    }

    fn function(&self, entry: u32) -> &'m Function {
        let found = &self.module.functions[entry as usize];
        found.as_ref().expect("a function that is called exists")
    }

    fn holds_back(&mut self) -> bool {
        let deferred = self.schedule.deferred;
        self.depth >= DEPTH_MAX || self.spent() > self.gas || self.chance(deferred)
    }

    // ---- instructions -----------------------------------------------------------------------------------------

    fn execute(&mut self, function: &'m Function, ins: &[Term]) -> Exit {
        let mut values = vec![Term::ABSENT; function.types.len()];
        values[..ins.len()].copy_from_slice(ins);
        let mut at = BlockId(0);
        self.reserved = 0;
        loop {
            let block = &function.blocks[at.0 as usize];
            for (opcode, n) in block.tally.counts().iter() {
                self.count(opcode, n as i64);
            }
            for inst in &block.insts {
                self.cost[0] += 1;
                self.inst(inst, &mut values);
            }
            let get = |value: &ValueId| values[value.0 as usize];
            let all = |list: &[ValueId]| list.iter().map(get).collect();
            match &block.end {
                End::Return { outs } => return Exit::Return(all(outs)),
                End::Tail { function, ins } => return Exit::Tail(function.0, all(ins)),
                End::Switch {
                    from,
                    zero,
                    successor,
                    before,
                    other,
                } => {
                    let term = self.resolve(get(from));
                    values[from.0 as usize] = term;
                    at = match (term.class(), predecessor(term)) {
                        (Class::Num, Some(number)) => {
                            values[before.0 as usize] = number;
                            *successor
                        }
                        (Class::Num, None) => *zero,
                        _ => *other,
                    };
                }
                End::Match { from, cases, other } => {
                    let term = self.resolve(get(from));
                    values[from.0 as usize] = term;
                    let is = |&&(definition, _): &&(u32, BlockId)| {
                        term.class() == Class::Ref && term.offset() == definition
                    };
                    at = cases.iter().find(is).map_or(*other, |&(_, block)| block);
                }
                End::Take {
                    from,
                    tree,
                    holes,
                    then,
                    other,
                } => {
                    let term = self.resolve(get(from));
                    values[from.0 as usize] = term;
                    // It may always be taken for another.
                    let found = if self.chance(self.schedule.deferred) {
                        None
                    } else {
                        self.take(term, tree)
                    };
                    at = if found.is_some() { *then } else { *other };
                    for (hole, term) in holes.iter().zip(found.unwrap_or_default()) {
                        values[hole.0 as usize] = term;
                    }
                }
            }
            self.reserved = 0;
        }
    }

    fn inst(&mut self, inst: &Inst, values: &mut [Term]) {
        let get = |value: &ValueId| values[value.0 as usize];
        let slot = |value: &Option<ValueId>| value.as_ref().map_or(Term::ABSENT, get);
        let mark = |variable: bool, [first, second]: [Term; 2]| {
            [if variable { first.with_sub() } else { first }, second]
        };
        let (to, result) = match inst {
            Inst::Load { to, term } => (to, *term),
            Inst::Reserve { nodes } => {
                self.reserved = *nodes;
                return;
            }
            Inst::Open {
                first,
                second,
                from,
            } => {
                let ports = self.open(get(from));
                values[first.0 as usize] = ports[0];
                (second, ports[1])
            }
            Inst::Copy {
                first,
                second,
                from,
                w0,
            } => {
                let copies = self.copy(get(from), *w0);
                values[first.0 as usize] = copies[0];
                (second, copies[1])
            }
            Inst::Operate {
                to,
                number,
                left,
                steps,
                swapped,
            } => (to, self.operate(get(number), get(left), *steps, *swapped)),
            Inst::Erase { from } => return self.erase(get(from)),
            Inst::Link { a, b } => return self.link(get(a), get(b)),
            Inst::Allocate { to, w0 } => {
                let at = self.allocate_reserved([Term::ABSENT; 2]);
                (to, Term(u64::from(*w0) | u64::from(at) << 32))
            }
            Inst::Write {
                at,
                slots,
                variable,
            } => {
                let at = get(at).offset() as usize;
                let slots = mark(*variable, slots.each_ref().map(slot));
                self.heap[at..at + 2].copy_from_slice(&slots);
                return;
            }
            Inst::Node {
                to,
                w0,
                slots,
                variable,
            } => {
                let slots = mark(*variable, slots.each_ref().map(slot));
                let at = self.allocate_reserved(slots);
                (to, Term(u64::from(*w0) | u64::from(at) << 32))
            }
            Inst::Cell { to, node, side } => (to, Term::var(get(node).offset() + u32::from(*side))),
            Inst::Wire { to } => (to, Term::var(self.allocate_reserved([Term::ABSENT; 2]))),
            Inst::Call {
                outs,
                function,
                ins,
            } => {
                let ins: Vec<Term> = ins.iter().map(get).collect();
                let callee = self.function(function.0);
                let results = if self.holds_back() {
                    self.defer(function.0, callee, &ins)
                } else {
                    self.call(callee, &ins)
                };
                self.reserved = 0;
                for (to, result) in outs.iter().zip(results) {
                    values[to.0 as usize] = result;
                }
                return;
            }
            Inst::Apply {
                from,
                first,
                second,
            } => return self.apply(get(from), get(first), get(second)),
            Inst::Defer { entry, leaves } => {
                let leaves = leaves.iter().map(get).collect();
                self.tasks.push(Task::Frame(*entry, leaves));
                return;
            }
        };
        values[to.0 as usize] = result;
    }

    fn open(&mut self, term: Term) -> [Term; 2] {
        let term = self.resolve(term);
        if term.class() == Class::Con {
            return self.ports(term);
        }
        self.count(Opcode::Apply, -1);
        self.pattern(term, Class::Con, 0)
    }

    /// What is in the holes of a tree, if the term is one.
    fn take(&mut self, term: Term, tree: &Tree) -> Option<Vec<Term>> {
        let (mut holes, mut ends) = (Vec::new(), Vec::new());
        let mut stack = vec![(term, tree)];
        while let Some((term, tree)) = stack.pop() {
            match tree {
                Tree::Hole => holes.push(term),
                Tree::Pair(trees) => {
                    let term = self.resolve(term);
                    if term.class() != Class::Con {
                        return None;
                    }
                    let [first, second] = self.ports(term);
                    stack.extend([(second, &trees[1]), (first, &trees[0])]);
                }
                Tree::Eraser if self.resolve(term) == Term::ERA => {}
                Tree::Eraser => return None,
                Tree::Wire(wire) => {
                    let end = self.resolve(term);
                    match ends.get(usize::from(*wire)) {
                        None if end.class() == Class::Var => ends.push(end),
                        Some(&other) if other == end => {}
                        _ => return None,
                    }
                }
            }
        }
        Some(holes)
    }

    /// Connects a term with a new node, of which the ports are returned.
    fn pattern(&mut self, term: Term, class: Class, label: u32) -> [Term; 2] {
        let slots = [(); 2].map(|()| Term::var(self.allocate_reserved([Term::ABSENT; 2])));
        let node = self.new_node(class, label, slots);
        self.link(term, node);
        slots
    }

    fn copy(&mut self, term: Term, w0: u32) -> [Term; 2] {
        let term = self.resolve(term);
        let copied = match term.class() {
            Class::Num => true,
            Class::Ref => term.variant() == variant::COPYABLE,
            _ => false,
        };
        if copied {
            return [term; 2];
        }
        if term.w0() == w0 {
            return self.ports(term);
        }
        self.count(Opcode::Duplicate, -1);
        if term == Term::ERA {
            self.count(Opcode::Collapse, 1);
            return [term; 2];
        }
        let node = Term(u64::from(w0));
        self.pattern(term, node.class(), node.label())
    }

    fn operate(&mut self, number: Term, left: Term, steps: u8, swapped: bool) -> Term {
        let (number, left) = (self.resolve(number), self.resolve(left));
        if number.class() == Class::Num && left.class() == Class::Num {
            return operate(number, left);
        }
        let (done, left) = match (swapped, steps) {
            // What was in hand has changed places with what is waited for.
            (true, _) => (1, left),
            (false, 1) => (1, left),
            (false, _) => (2, left.with_sub()),
        };
        self.count(Opcode::Succ, -done);
        let at = self.allocate_reserved([left, Term::ABSENT]);
        self.link(number, Term::node(Class::Opr, 0, at));
        Term::var(at + 1)
    }

    fn erase(&mut self, term: Term) {
        let term = self.resolve(term);
        if term.class() == Class::Var || term.class().is_node() {
            self.count(Opcode::Collapse, -1);
            self.link(term, Term::ERA);
        }
    }

    fn apply(&mut self, term: Term, first: Term, second: Term) {
        let term = self.resolve(term);
        match term.class() {
            Class::Ref => self
                .tasks
                .push(Task::Frame(term.offset(), vec![first, second])),
            Class::Con => {
                self.count(Opcode::Apply, 1);
                let ports = self.ports(term);
                self.link(ports[0], first);
                self.link(ports[1], second);
            }
            _ => {
                let at = self.allocate_reserved([first, second]);
                self.link(term, Term::node(Class::Con, 0, at));
            }
        }
    }
}

enum Exit {
    Return(Vec<Term>),
    Tail(u32, Vec<Term>),
}

/// The leaves that come in, and those that go out.
fn apart(function: &Function, leaves: &[Term]) -> (Vec<Term>, Vec<Term>) {
    let of = |mode| {
        let modes = function.modes.iter().zip(leaves);
        let leaves = modes.filter(move |&(&leaf, _)| leaf == mode);
        leaves.map(|(_, &term)| term).collect()
    };
    (of(Mode::In), of(Mode::Out))
}

impl Heap for Machine<'_> {
    fn wire(&self, var: Term) -> Option<Term> {
        let cell = self.heap[var.offset() as usize];
        (!cell.is_absent()).then(|| cell.without_sub())
    }

    fn node(&self, node: Term) -> [Term; 2] {
        [0, 1].map(|side| {
            let at = node.offset() + side;
            match self.heap[at as usize] {
                Term::ABSENT => Term::var(at),
                found => found.without_sub(),
            }
        })
    }
}
