//! Compiling: definitions to instructions that match their pattern against what they are applied to.
//!
//! An entry is compiled by reducing the definition, applied to an argument whose leaves are registers, as far as it is
//! known ([`crate::net::partial`]). Where a register meets a node of the definition an instruction is written that tests what
//! the register holds, and the reduction goes on with the outcome that programs are written for: a constructor is taken
//! apart, a number copied or calculated with. A switch ends a block, and the reduction goes on twice. In the end what is
//! left is built and connected, and the calls that are left are put on the stack as frames, except the
//! last, which is a jump.
//!
//! * Definitions met on the way, such as the arms of a switch, are compiled in, unless that would repeat one; so are calls
//!   of constructors, and the last call if it leads to no recursion.
//! * References to constructors are matched too: at each place where a constructor is taken apart, for each definition
//!   of the book that is a small tree of constructors, its meeting with the pattern is compiled in advance.
//!
//! An entry that would become too large is compiled to one instruction that expands the definition's template.

use std::collections::{BTreeMap, VecDeque};

use super::order;
use super::program::{Entry, NONE, NOTHING, Op, Program};
use crate::net::Definition;
use crate::net::partial::{
    ARGUMENTS_MAX, Builder, CON, Call, Emit, Net, Ports, Shape, TALLY_MAX, Tally, Value,
    is_constructor,
};
use crate::spec::rules::Opcode;
use crate::spec::word::{Class, Term};

/// Most instructions of an entry.
const OPS_MAX: usize = 2048;
/// Most nodes an entry reserves, and most that it handles while it is compiled.
const NODES_MAX: (u32, usize) = (1024, 1024);
/// Most nodes of a definition that is compiled into another, and of one that is compiled at all.
const INLINE_MAX: usize = 24;
const DEFINITION_MAX: usize = 128;
/// Most definitions compiled into each other, and switches decided one after the other.
const CHAIN_MAX: usize = 12;
const SWITCHES_MAX: usize = 3;
/// Most shapes of one definition.
const SHAPES_MAX: u32 = 4;
/// Most constructors that are matched.
const CONSTRUCTORS_MAX: usize = 16;

/// What compiling a book may cost, in instructions written and nodes handled: so much, and so much more for each node of its
/// definitions. The golden programs take 3 to 54 a node.
const EFFORT: (usize, usize) = (1 << 16, 64);

/// An entry exceeds a limit.
#[derive(Debug)]
pub(super) struct TooLarge;

/// Compiles a book.
pub(super) fn compile(definitions: &[Definition]) -> Program {
    let effort = definitions.iter().fold(EFFORT.0, |effort, definition| {
        effort.saturating_add(EFFORT.1.saturating_mul(definition.nodes.len()))
    });
    compile_within(definitions, effort)
}

/// Compiles a book with so much effort, see [`EFFORT`].
pub(super) fn compile_within(definitions: &[Definition], effort: usize) -> Program {
    let mut compiler = Compiler::new(definitions, effort);
    for i in 0..definitions.len() as u32 {
        let base = compiler.entry(i, Shape::base());
        compiler.program.bases.push(base);
    }
    compiler.compile_all();
    compiler.enter_calls();
    compiler.compile_all();
    assert!(
        compiler.program.is_closed(),
        "no entry leads out of the instructions"
    );
    compiler.program
}

/// The instructions of one entry, being written.
pub(super) struct Code {
    pub(super) ops: Vec<Op>,
    /// Registers in use, and most that were in use on any path.
    pub(super) registers: usize,
    pub(super) most_registers: usize,
    /// Nodes that the path to here allocates at most, its misses not included.
    pub(super) nodes: u32,
}

impl Code {
    fn new(shape: &Shape) -> Code {
        Code {
            ops: Vec::new(),
            registers: shape.leaves(),
            most_registers: shape.leaves(),
            nodes: 0,
        }
    }

    pub(super) fn emit(&mut self, op: Op) -> Result<usize, TooLarge> {
        if self.ops.len() >= OPS_MAX {
            return Err(TooLarge);
        }
        self.ops.push(op);
        Ok(self.ops.len() - 1)
    }

    /// Emits an instruction that allocates at most `nodes` nodes.
    pub(super) fn allocating(&mut self, op: Op, nodes: u32) -> Result<usize, TooLarge> {
        self.nodes += nodes;
        self.emit(op)
    }

    /// A register that nothing has been written to.
    pub(super) fn register(&mut self) -> Result<u8, TooLarge> {
        if self.registers >= NOTHING as usize {
            return Err(TooLarge);
        }
        self.registers += 1;
        self.most_registers = self.most_registers.max(self.registers);
        Ok(self.registers as u8 - 1)
    }

    pub(super) fn here(&self) -> u32 {
        self.ops.len() as u32
    }
}

impl Emit for Code {
    type Error = TooLarge;

    fn load(&mut self, term: Term) -> Result<u8, TooLarge> {
        let to = self.register()?;
        self.emit(Op::Load { to, term })?;
        Ok(to)
    }

    fn allocate(&mut self, w0: u32) -> Result<u8, TooLarge> {
        let to = self.register()?;
        self.allocating(Op::Allocate { to, w0 }, 1)?;
        Ok(to)
    }

    fn write(&mut self, at: u8, ports: Ports) -> Result<(), TooLarge> {
        let [first, second] = ports.slots.map(|slot| slot.unwrap_or(NOTHING));
        let variable = ports.variable;
        self.emit(Op::Write {
            at,
            first,
            second,
            variable,
        })?;
        Ok(())
    }

    fn node(&mut self, w0: u32, ports: Ports) -> Result<u8, TooLarge> {
        let to = self.register()?;
        let [first, second] = ports.slots.map(|slot| slot.unwrap_or(NOTHING));
        let variable = ports.variable;
        let op = Op::Node {
            to,
            first,
            second,
            w0,
            variable,
        };
        self.allocating(op, 1)?;
        Ok(to)
    }

    fn cell(&mut self, node: u8, side: u8) -> Result<u8, TooLarge> {
        let to = self.register()?;
        self.emit(Op::Cell { to, node, side })?;
        Ok(to)
    }

    fn wire(&mut self) -> Result<u8, TooLarge> {
        let to = self.register()?;
        self.allocating(Op::Wire { to }, 1)?;
        Ok(to)
    }
}

/// One path through an entry.
#[derive(Clone)]
struct Path {
    net: Net,
    /// Definitions compiled in so far.
    chain: Vec<u32>,
    /// Registers and the switches they met.
    switches: VecDeque<(u8, u32)>,
    /// Registers and the arguments they met.
    applications: Vec<(u8, u32)>,
    /// Registers that hold a number for sure.
    numbers: [u64; 4],
    decided: usize,
}

impl Path {
    fn is_number(&self, register: u8) -> bool {
        self.numbers[register as usize / 64] >> (register % 64) & 1 == 1
    }

    fn set_number(&mut self, register: u8) {
        self.numbers[register as usize / 64] |= 1 << (register % 64);
    }
}

/// The part of a pattern below one [`Op::Open`].
#[derive(Clone)]
pub(super) enum Tree {
    Node(Box<[Tree; 2]>),
    /// The wire whose other end is in this register after a hit.
    Hole(u8),
    /// What this register holds.
    Filled(u8),
    Atom(Term),
}

/// What to do where there was no constructor to take apart.
pub(super) struct Miss {
    /// The instruction that misses.
    pub(super) op: usize,
    pub(super) from: u8,
    pub(super) tree: Tree,
    /// Whether references to constructors are matched here.
    pub(super) tables: bool,
    /// What a hit counts, and where it leads to.
    pub(super) tally: Tally,
    pub(super) total: u64,
    pub(super) join: u32,
}

pub(super) struct Compiler<'b> {
    pub(super) definitions: &'b [Definition],
    pub(super) program: Program,
    index: BTreeMap<(u32, Shape), u32>,
    shapes: Vec<u32>,
    queue: VecDeque<(u32, u32, Shape)>,
    /// Whether a definition leads to no recursion.
    pub(super) finite: Vec<bool>,
    /// The elements of each definition's argument that other calls make.
    inputs: Vec<u8>,
    /// Definitions that are small trees of constructors.
    pub(super) constructors: Vec<u32>,
    pub(super) misses: Vec<Miss>,
    /// Whether the entry matches references to constructors.
    matching: bool,
    /// Most nodes on a path of the entry.
    pub(super) most_nodes: u32,
    /// What may still be spent on entries, see [`EFFORT`]. Those that come later expand their templates.
    effort: usize,
}

impl<'b> Compiler<'b> {
    fn new(definitions: &'b [Definition], effort: usize) -> Compiler<'b> {
        let mut program = Program {
            constructors: vec![NONE; definitions.len()],
            ..Program::default()
        };
        let constructors: Vec<u32> = (0..definitions.len() as u32)
            .filter(|&i| is_constructor(&definitions[i as usize]))
            .take(CONSTRUCTORS_MAX)
            .collect();
        for (number, &i) in (0..).zip(&constructors) {
            program.constructors[i as usize] = number;
        }
        Compiler {
            definitions,
            program,
            index: BTreeMap::new(),
            shapes: vec![0; definitions.len()],
            queue: VecDeque::new(),
            finite: finite(definitions),
            inputs: order::inputs(definitions),
            constructors,
            misses: Vec::new(),
            matching: true,
            most_nodes: 0,
            effort,
        }
    }

    /// Compiles the entries that wait, and those that they lead to.
    fn compile_all(&mut self) {
        while let Some((entry, definition, shape)) = self.queue.pop_front() {
            self.compile_entry(entry, definition, &shape);
        }
    }

    /// The number of an entry, which is compiled later.
    pub(super) fn entry(&mut self, definition: u32, shape: Shape) -> u32 {
        let next = self.program.entries.len() as u32;
        let entry = *self
            .index
            .entry((definition, shape.clone()))
            .or_insert(next);
        if entry == next {
            self.shapes[definition as usize] += 1;
            self.program.shapes.push((definition, shape.clone()));
            self.program.entries.push(Entry {
                at: 0,
                nodes: 0,
                arguments: shape.leaves() as u8,
                inputs: order::leaves(&shape, self.inputs[definition as usize]),
            });
            self.queue.push_back((entry, definition, shape));
        }
        entry
    }

    /// The shape of an entry for `definition` that takes a tree of `shape`.
    pub(super) fn shape_taken(&self, definition: u32, shape: Shape) -> Shape {
        if self.shapes[definition as usize] < SHAPES_MAX
            || self.index.contains_key(&(definition, shape.clone()))
        {
            shape
        } else {
            Shape::base()
        }
    }

    fn compile_entry(&mut self, entry: u32, definition: u32, shape: &Shape) {
        let program = &self.program;
        let marks = [program.tallies.len(), program.tables.len()];
        let mut written = None;
        for matching in [true, false] {
            self.matching = matching;
            self.misses.clear();
            self.most_nodes = 0;
            let mut code = Code::new(shape);
            let done = self.write_entry(&mut code, definition, shape);
            self.effort = self.effort.saturating_sub(code.ops.len());
            if done.is_ok() {
                written = Some(code);
                break;
            }
            self.program.tallies.truncate(marks[0]);
            self.program.tables.truncate(marks[1]);
        }
        let code = written.unwrap_or_else(|| {
            let code = by_template(definition, shape);
            self.most_nodes = code.nodes;
            code
        });
        let at = self.program.ops.len() as u32;
        let moved = code.ops.into_iter().map(|op| op.moved(at));
        self.program.ops.extend(moved);
        for table in &mut self.program.tables[marks[1]..] {
            if *table != NONE {
                *table += at;
            }
        }
        let slot = &mut self.program.entries[entry as usize];
        (slot.at, slot.nodes) = (at, self.most_nodes);
    }

    fn write_entry(
        &mut self,
        code: &mut Code,
        definition: u32,
        shape: &Shape,
    ) -> Result<(), TooLarge> {
        let nodes = self.definitions[definition as usize].nodes.len();
        if nodes > DEFINITION_MAX || self.effort == 0 {
            return Err(TooLarge);
        }
        let mut path = Path {
            net: Net::default(),
            chain: vec![definition],
            switches: VecDeque::new(),
            applications: Vec::new(),
            numbers: [0; 4],
            decided: 0,
        };
        let argument = put_together(shape, &mut path.net);
        path.net.count(Opcode::Specialize, 1);
        let root = path
            .net
            .instantiate(&self.definitions[definition as usize], 0);
        path.net.link(root, argument);
        self.block(code, path)?;
        self.write_misses(code)?;
        if self.most_nodes > NODES_MAX.0 {
            return Err(TooLarge);
        }
        Ok(())
    }

    /// Writes the rest of a path, which is a tree of blocks.
    fn block(&mut self, code: &mut Code, mut path: Path) -> Result<(), TooLarge> {
        let tally = self.program.tallies.len();
        self.program.tallies.push((Tally::default(), 0));
        code.emit(Op::Count {
            tally: tally as u32,
        })?;
        loop {
            self.meet_all(code, &mut path)?;
            if path.net.nodes.len() > NODES_MAX.1 {
                return Err(TooLarge);
            }
            self.effort = self.effort.saturating_sub(1 + path.net.nodes.len());
            if !self.unfold(&mut path) {
                break;
            }
        }
        if path.net.total > TALLY_MAX {
            return Err(TooLarge);
        }
        self.program.tallies[tally] = (path.net.tally, path.net.total as i64);
        (path.net.tally, path.net.total) = (Tally::default(), 0);
        match self.next_switch(&mut path) {
            Some((from, node)) => self.switch(code, path, from, node),
            None => self.finish(code, path),
        }
    }

    // ---- meetings ---------------------------------------------------------------------------------------------

    /// Writes the tests that can be made now.
    fn meet_all(&mut self, code: &mut Code, path: &mut Path) -> Result<(), TooLarge> {
        loop {
            if let Some(from) = path.net.erasures.pop() {
                path.net.count(Opcode::Collapse, 1);
                code.emit(Op::Erase { from })?;
            } else if let Some((register, node)) = path.net.meetings.pop_front() {
                self.meet(code, path, register, node)?;
            } else {
                let known =
                    |&(_, node): &(Value, u32)| !matches!(path.net.port(node, 0), Value::Wire(_));
                let Some(ready) = path.net.waiting.iter().position(known) else {
                    return Ok(());
                };
                let (number, node) = path.net.waiting.remove(ready);
                self.operate(code, path, number, node)?;
            }
        }
    }

    fn meet(
        &mut self,
        code: &mut Code,
        path: &mut Path,
        from: u8,
        node: u32,
    ) -> Result<(), TooLarge> {
        let meeting = path.net.nodes[node as usize];
        match meeting.class() {
            Class::Con if path.net.is_argument(node) => path.applications.push((from, node)),
            Class::Con => self.take_apart(code, path, from, node)?,
            Class::Dup if path.is_number(from) => {
                path.net.count(Opcode::Duplicate, 1);
                path.net.link(Value::Register(from), meeting.ports[0]);
                path.net.link(Value::Register(from), meeting.ports[1]);
            }
            Class::Dup => {
                let (first, second) = (code.register()?, code.register()?);
                let op = Op::Copy {
                    from,
                    first,
                    second,
                    w0: meeting.w0,
                };
                code.allocating(op, 2)?;
                path.net.count(Opcode::Duplicate, 1);
                path.net.link(Value::Register(first), meeting.ports[0]);
                path.net.link(Value::Register(second), meeting.ports[1]);
            }
            Class::Opr => self.operate(code, path, Value::Register(from), node)?,
            _ => path.switches.push_back((from, node)),
        }
        Ok(())
    }

    /// A number, or what may be one, has met an arithmetic node.
    fn operate(
        &mut self,
        code: &mut Code,
        path: &mut Path,
        number: Value,
        node: u32,
    ) -> Result<(), TooLarge> {
        let meeting = path.net.nodes[node as usize];
        let steps = 1 + u8::from(meeting.variable);
        let swapped = matches!(number, Value::Atom(_));
        let (from, left) = match (number, path.net.resolve(meeting.ports[0])) {
            (Value::Register(from), left) => (from, left),
            // Either may come first.
            (number @ Value::Atom(_), Value::Register(left)) => (left, number),
            (number, _) => {
                path.net.link(number, Value::Node(node));
                return Ok(());
            }
        };
        let (op, sure) = match left {
            Value::Atom(left) if left.class() == Class::Num => {
                let out = code.register()?;
                let op = Op::Constant {
                    from,
                    out,
                    steps,
                    swapped,
                    left,
                };
                (op, path.is_number(from).then_some(out))
            }
            Value::Register(left) => {
                let out = code.register()?;
                let op = Op::Operate {
                    from,
                    left,
                    out,
                    steps,
                };
                let sure = path.is_number(from) && path.is_number(left);
                (op, sure.then_some(out))
            }
            Value::Wire(_) => {
                path.net.waiting.push((Value::Register(from), node));
                return Ok(());
            }
            Value::Atom(_) | Value::Node(_) => {
                let pair = (Value::Register(from), Value::Node(node));
                path.net.links.push(pair);
                return Ok(());
            }
        };
        let (Op::Constant { out, .. } | Op::Operate { out, .. }) = op else {
            return Ok(());
        };
        code.allocating(op, 1)?;
        if let Some(out) = sure {
            path.set_number(out);
        }
        path.net.count(Opcode::Succ, u64::from(steps));
        path.net.link(Value::Register(out), meeting.ports[1]);
        Ok(())
    }

    /// Matches a pattern of constructors. What is at its leaves meets what the leaves hold afterwards.
    fn take_apart(
        &mut self,
        code: &mut Code,
        path: &mut Path,
        from: u8,
        node: u32,
    ) -> Result<(), TooLarge> {
        let mut after = Vec::new();
        let tables = self.matching;
        self.open(code, path, from, node, tables, &mut after)?;
        for (register, value) in after {
            path.net.link(Value::Register(register), value);
        }
        Ok(())
    }

    fn open(
        &mut self,
        code: &mut Code,
        path: &mut Path,
        from: u8,
        node: u32,
        tables: bool,
        after: &mut Vec<(u8, Value)>,
    ) -> Result<Tree, TooLarge> {
        let (first, second) = (code.register()?, code.register()?);
        let op = code.emit(Op::Open {
            from,
            first,
            second,
            w0: CON,
            miss: NONE,
        })?;
        let before = (path.net.tally, path.net.total);
        path.net.count(Opcode::Apply, 1);
        let ports = path.net.nodes[node as usize].ports;
        let tree = Tree::Node(Box::new([
            self.leaf(code, path, first, ports[0], after)?,
            self.leaf(code, path, second, ports[1], after)?,
        ]));
        let mut tally = path.net.tally;
        tally.subtract(before.0);
        self.misses.push(Miss {
            op,
            from,
            tree: tree.clone(),
            tables,
            tally,
            total: path.net.total - before.1,
            join: code.here(),
        });
        Ok(tree)
    }

    fn leaf(
        &mut self,
        code: &mut Code,
        path: &mut Path,
        register: u8,
        value: Value,
        after: &mut Vec<(u8, Value)>,
    ) -> Result<Tree, TooLarge> {
        match path.net.resolve(value) {
            Value::Node(child)
                if path.net.nodes[child as usize].w0 == CON && !path.net.is_argument(child) =>
            {
                self.open(code, path, register, child, false, after)
            }
            Value::Node(child) => {
                after.push((register, Value::Node(child)));
                Ok(Tree::Hole(register))
            }
            Value::Wire(wire) => {
                path.net.wires[wire as usize] = Some(Value::Register(register));
                Ok(Tree::Hole(register))
            }
            Value::Register(other) => {
                code.emit(Op::Link {
                    a: register,
                    b: other,
                })?;
                Ok(Tree::Filled(other))
            }
            Value::Atom(Term::ERA) => {
                path.net.count(Opcode::Collapse, 1);
                code.emit(Op::Erase { from: register })?;
                Ok(Tree::Atom(Term::ERA))
            }
            Value::Atom(term) => {
                let to = code.register()?;
                code.emit(Op::Load { to, term })?;
                code.emit(Op::Link { a: register, b: to })?;
                Ok(Tree::Atom(term))
            }
        }
    }

    // ---- calls ------------------------------------------------------------------------------------------------

    /// Compiles one more definition into the path, if there is one that should be.
    fn unfold(&mut self, path: &mut Path) -> bool {
        if path.chain.len() >= CHAIN_MAX {
            return false;
        }
        let last = path.net.calls.len();
        let worthy = |(i, call): &(usize, &Call)| {
            let index = call.reference.offset();
            let definition = &self.definitions[index as usize];
            let finite = self.finite[index as usize];
            definition.nodes.len() <= INLINE_MAX
                && (is_constructor(definition)
                    || finite && i + 1 == last
                    || !call.written && !path.chain.contains(&index))
        };
        let Some((i, &call)) = path.net.calls.iter().enumerate().find(worthy) else {
            return false;
        };
        path.net.calls.remove(i);
        let index = call.reference.offset();
        path.chain.push(index);
        path.net.count(Opcode::Specialize, 1);
        let root = path.net.instantiate(&self.definitions[index as usize], i);
        path.net.link(root, Value::Node(call.node));
        true
    }

    /// The next switch to decide. Others stay nodes, as do those whose arms are not known.
    fn next_switch(&self, path: &mut Path) -> Option<(u8, u32)> {
        while let Some((from, node)) = path.switches.pop_front() {
            let arms = path.net.port(node, 0);
            let known =
                matches!(arms, Value::Node(arms) if path.net.nodes[arms as usize].w0 == CON);
            if known && path.decided < SWITCHES_MAX {
                path.decided += 1;
                return Some((from, node));
            }
            let pair = (Value::Register(from), Value::Node(node));
            path.net.links.push(pair);
        }
        None
    }

    fn switch(&mut self, code: &mut Code, path: Path, from: u8, node: u32) -> Result<(), TooLarge> {
        let before = code.register()?;
        let at = code.emit(Op::Switch {
            from,
            before,
            zero: NONE,
            miss: NONE,
        })?;
        let (registers, nodes) = (code.registers, code.nodes);
        let out = path.net.nodes[node as usize].ports[1];
        let mut targets = [NONE; 3];
        for (way, target) in targets.iter_mut().enumerate() {
            *target = code.here();
            (code.registers, code.nodes) = (registers, nodes);
            let mut path = path.clone();
            let net = &mut path.net;
            let chosen = match way {
                0 => {
                    let taken = net.node(CON, [Value::Register(before), out]);
                    net.node(CON, [Value::Atom(Term::ERA), taken])
                }
                1 => net.node(CON, [out, Value::Atom(Term::ERA)]),
                _ => {
                    net.links.push((Value::Register(from), Value::Node(node)));
                    self.block(code, path)?;
                    continue;
                }
            };
            net.count(Opcode::Switch, 1);
            let arms = net.port(node, 0);
            path.set_number(before);
            path.net.link(chosen, arms);
            self.block(code, path)?;
        }
        code.ops[at] = Op::Switch {
            from,
            before,
            zero: targets[1],
            miss: targets[2],
        };
        Ok(())
    }

    /// Ends a path: builds what is left, connects it and makes the calls.
    fn finish(&mut self, code: &mut Code, mut path: Path) -> Result<(), TooLarge> {
        let waiting = std::mem::take(&mut path.net.waiting);
        let waiting = waiting.into_iter().map(|(n, node)| (n, Value::Node(node)));
        path.net.links.extend(waiting);
        let mut calls = Vec::new();
        for call in std::mem::take(&mut path.net.calls) {
            if path.net.nodes[call.node as usize].w0 != CON {
                let pair = (Value::Atom(call.reference), Value::Node(call.node));
                path.net.links.push(pair);
                continue;
            }
            let definition = call.reference.offset();
            let shape = self.shape_taken(definition, Shape::of(&path.net, call.node));
            let mut leaves = Vec::with_capacity(ARGUMENTS_MAX);
            shape.take_apart(&path.net, Value::Node(call.node), &mut leaves);
            calls.push((self.entry(definition, shape), leaves));
        }
        let calls = order::makers_last(calls);
        let net = &path.net;
        let applications: Vec<(u8, [Value; 2])> = path
            .applications
            .iter()
            .map(|&(from, node)| (from, net.nodes[node as usize].ports))
            .collect();
        let mut roots: Vec<Value> = net.links.iter().flat_map(|&(a, b)| [a, b]).collect();
        roots.extend(calls.iter().flat_map(|(_, leaves)| leaves));
        roots.extend(applications.iter().flat_map(|(_, ports)| ports));
        let mut builder = Builder::new(net, &roots);
        let mut built = Vec::with_capacity(roots.len());
        for root in roots {
            built.push(builder.build(code, root)?);
        }
        let mut built = built.into_iter();
        let mut next = || built.next().expect("as many as there are roots");
        for _ in &net.links {
            let (a, b) = (next(), next());
            code.emit(Op::Link { a, b })?;
        }
        let tail = applications.is_empty();
        for (i, (entry, leaves)) in calls.iter().enumerate() {
            let mut arguments = [0; ARGUMENTS_MAX];
            for argument in &mut arguments[..leaves.len()] {
                *argument = next();
            }
            let (entry, count) = (*entry, leaves.len() as u8);
            code.emit(if tail && i + 1 == calls.len() {
                Op::Call {
                    entry,
                    count,
                    arguments,
                }
            } else {
                Op::Push {
                    entry,
                    count,
                    arguments,
                }
            })?;
        }
        for (i, (from, _)) in applications.iter().enumerate() {
            let (from, first, second) = (*from, next(), next());
            let last = i + 1 == applications.len();
            let op = if last {
                Op::ApplyLast {
                    from,
                    first,
                    second,
                }
            } else {
                Op::Apply {
                    from,
                    first,
                    second,
                }
            };
            code.allocating(op, 1)?;
        }
        code.emit(Op::End)?;
        self.most_nodes = self.most_nodes.max(code.nodes);
        Ok(())
    }
}

/// A tree of this shape whose leaves are the first registers.
fn put_together(shape: &Shape, net: &mut Net) -> Value {
    let mut next = 0;
    shape.put_together(net, &mut |_| {
        next += 1;
        Value::Register(next - 1)
    })
}

/// An entry that builds the argument and expands the definition's template.
fn by_template(definition: u32, shape: &Shape) -> Code {
    let mut code = Code::new(shape);
    let mut net = Net::default();
    let argument = put_together(shape, &mut net);
    let mut builder = Builder::new(&net, &[argument]);
    let node = builder
        .build(&mut code, argument)
        .expect("a shape has few nodes");
    code.ops.push(Op::Expand { definition, node });
    code
}

impl Op {
    /// The same instruction in code that begins at `base`.
    fn moved(self, base: u32) -> Op {
        match self {
            Op::Open {
                from,
                first,
                second,
                w0,
                miss,
            } => Op::Open {
                from,
                first,
                second,
                w0,
                miss: miss + base,
            },
            Op::Switch {
                from,
                before,
                zero,
                miss,
            } => Op::Switch {
                from,
                before,
                zero: zero + base,
                miss: miss + base,
            },
            Op::Jump { to } => Op::Jump { to: to + base },
            op => op,
        }
    }
}

/// Which definitions lead to no recursion.
fn finite(definitions: &[Definition]) -> Vec<bool> {
    let references = |definition: &Definition| -> Vec<u32> {
        let terms = definition.terms().filter(|t| t.class() == Class::Ref);
        terms.map(Term::offset).collect()
    };
    let mut users = vec![Vec::new(); definitions.len()];
    let mut open: Vec<usize> = Vec::with_capacity(definitions.len());
    for (i, definition) in (0u32..).zip(definitions) {
        let used = references(definition);
        open.push(used.len());
        for target in used {
            users[target as usize].push(i);
        }
    }
    let mut finite = vec![false; definitions.len()];
    let mut ready: Vec<u32> = (0..definitions.len() as u32)
        .filter(|&i| open[i as usize] == 0)
        .collect();
    while let Some(i) = ready.pop() {
        finite[i as usize] = true;
        for &user in &users[i as usize] {
            open[user as usize] -= 1;
            if open[user as usize] == 0 {
                ready.push(user);
            }
        }
    }
    finite
}
