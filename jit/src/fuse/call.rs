//! Calls: which entry, in which order, and what their results meet. And what that says about the leaves of the function.

use std::collections::{BTreeMap, BTreeSet};

use ffcm::net::partial::{Builder, CON, Net, Shape, Value};
use ffcm::spec::word::{Class, Term};

use super::Fuser;
use super::block::connect;
use super::draft::{Draft, Leaves, Path, TooLarge, Writer};
use crate::ir::{End, FunctionId, Inst, Mode, Type, ValueId};

/// A call of an entry.
pub(super) struct Target {
    entry: u32,
    /// Terms at the leaves that come in, and at those that go out.
    ins: Vec<Value>,
    outs: Vec<Value>,
}

impl Fuser<'_> {
    /// Takes the next call: one that waits for no other, if there is one, and that whose results are those of the function
    /// last. A reference that met something else than a constructor is left to the net.
    pub(super) fn next_call(&mut self, path: &mut Path) -> Option<Target> {
        let mut targets = Vec::new();
        for call in std::mem::take(&mut path.net.calls) {
            if path.net.nodes[call.node as usize].w0 == CON {
                targets.push((self.target(&path.net, &call), call));
            } else {
                let pair = (Value::Atom(call.reference), Value::Node(call.node));
                path.net.links.push(pair);
            }
        }
        let wires = |values: &[Value]| -> BTreeSet<u32> {
            let found = open_wires(&path.net, values);
            found.into_keys().collect()
        };
        let sets: Vec<_> = targets
            .iter()
            .map(|(t, _)| (wires(&t.ins), wires(&t.outs)))
            .collect();
        let mut makers: BTreeMap<u32, usize> = BTreeMap::new();
        for wire in sets.iter().flat_map(|(_, outs)| outs) {
            *makers.entry(*wire).or_default() += 1;
        }
        let rank = |i: usize| {
            let (ins, outs) = &sets[i];
            let waits = |wire: &u32| {
                let own = usize::from(outs.contains(wire));
                makers.get(wire).is_some_and(|&all| all > own)
            };
            let last = self.tail(path, &targets[i].0);
            (ins.iter().any(waits), !ins.is_empty(), last, i)
        };
        let next = (0..targets.len()).min_by_key(|&i| rank(i))?;
        let (target, _) = targets.remove(next);
        path.net.calls = targets.into_iter().map(|(_, call)| call).collect();
        Some(target)
    }

    /// The entry for a call: the one with most leaves that fits.
    fn target(&self, net: &Net, call: &ffcm::net::partial::Call) -> Target {
        let node = Value::Node(call.node);
        let definition = call.reference.offset();
        let fits = |&&entry: &&u32| fits(net, &self.entries[entry as usize].1, node);
        let results = |&&entry: &&u32| {
            let modes = &self.modes[entry as usize];
            let outs = modes.iter().filter(|&&mode| mode == Mode::Out).count();
            (outs, modes.len())
        };
        let fitting = self.shapes[definition as usize].iter().filter(fits);
        let found = fitting.max_by_key(results);
        // The base entry of a definition has its number.
        let entry = found.copied().unwrap_or(definition);
        let mut leaves = Vec::new();
        self.entries[entry as usize]
            .1
            .take_apart(net, node, &mut leaves);
        let (mut ins, mut outs) = (Vec::new(), Vec::new());
        for (leaf, mode) in leaves.into_iter().zip(&self.modes[entry as usize]) {
            match mode {
                Mode::In => ins.push(leaf),
                Mode::Out => outs.push(leaf),
            }
        }
        Target { entry, ins, outs }
    }

    /// Whether a call is the last thing to do, and its results are those of the function.
    pub(super) fn tail(&self, path: &Path, target: &Target) -> bool {
        let open = |value: Value| matches!(value, Value::Wire(_));
        path.net.calls.is_empty()
            && !self.absent[target.entry as usize]
            && target.outs.len() == path.outs.len()
            && path
                .results()
                .zip(&target.outs)
                .all(|(result, &out)| open(result) && result == path.net.resolve(out))
    }

    /// Ends a path with a call.
    pub(super) fn end_with(
        &mut self,
        draft: &mut Draft,
        path: &mut Path,
        target: &Target,
    ) -> Result<End, TooLarge> {
        draft.callees.insert(target.entry);
        for &(leaf, _) in &path.outs {
            draft.produced |= 1 << leaf;
        }
        let ins = connect(draft, path, &target.ins)?;
        path.code.end(&ins)?;
        let function = FunctionId(target.entry);
        Ok(End::Tail { function, ins })
    }

    /// Writes a call. What its results meet goes on.
    pub(super) fn call(
        &mut self,
        draft: &mut Draft,
        path: &mut Path,
        target: &Target,
    ) -> Result<(), TooLarge> {
        draft.callees.insert(target.entry);
        let open: Vec<u32> = open_wires(&path.net, &target.ins).into_keys().collect();
        if !path.slow {
            draft.judging(path.doubtful, |draft| judge_passed(draft, path, &open));
        }
        // What is at the other ends of these wires is met later.
        let mut roots = target.ins.clone();
        roots.extend(open.iter().map(|&wire| Value::Wire(wire)));
        let mut builder = Builder::new(&path.net, &roots);
        let code = &mut path.code;
        let mut code = Writer { draft, code };
        let mut built = Vec::with_capacity(roots.len());
        for root in roots {
            built.push(builder.build(&mut code, root)?);
        }
        let (ins, ends) = built.split_at(target.ins.len());
        let ins: Vec<ValueId> = ins.iter().map(|&register| code.value(register)).collect();
        let entry = target.entry;
        if self.absent[entry as usize] {
            let leaves = ins;
            code.inst(Inst::Defer { entry, leaves })?;
            self.join(path, &open, ends);
            return Ok(());
        }
        let mut outs = Vec::with_capacity(target.outs.len());
        let mut results = Vec::with_capacity(target.outs.len());
        for _ in &target.outs {
            let (register, value) = code.fresh(Type::Term)?;
            results.push(register);
            outs.push(value);
        }
        let function = FunctionId(entry);
        code.inst(Inst::Call {
            outs,
            function,
            ins,
        })?;
        self.join(path, &open, ends);
        for (&value, register) in target.outs.iter().zip(results) {
            path.net.link(Value::Register(register), value);
        }
        Ok(())
    }

    /// The other ends of wires that have been built are in registers.
    fn join(&self, path: &mut Path, wires: &[u32], ends: &[u8]) {
        for (&wire, &end) in wires.iter().zip(ends) {
            path.net.wires[wire as usize] = Some(Value::Register(end));
        }
    }

    /// At the end of a path: what is waited for at leaves that go out comes in.
    pub(super) fn judge_results(&mut self, draft: &mut Draft, path: &Path) {
        if !path.slow {
            draft.judging(path.doubtful, |draft| self.judge(draft, path));
        }
    }

    fn judge(&self, draft: &mut Draft, path: &Path) {
        let results: Vec<(usize, Value)> = path
            .outs
            .iter()
            .map(|&(leaf, _)| leaf)
            .zip(path.results())
            .collect();
        for &(leaf, value) in &results {
            if value != Value::Atom(Term::ERA) {
                draft.produced |= 1 << leaf;
                if !path.doubtful && !matches!(value, Value::Wire(_)) {
                    draft.certain |= 1 << leaf;
                }
            }
            if let Value::Node(node) = value
                && path.net.nodes[node as usize].w0 != CON
            {
                draft.consumed |= 1 << leaf;
            }
        }
        // Wires of which the end in hand is the operand of an operation, or offers the arms of a switch.
        let net = &path.net;
        let mut roots: Vec<Value> = net.links.iter().flat_map(|&(a, b)| [a, b]).collect();
        roots.extend(net.waiting.iter().map(|&(_, node)| Value::Node(node)));
        let applied = path
            .applications
            .iter()
            .flat_map(|&(_, node)| net.nodes[node as usize].ports);
        let applied: Vec<Value> = applied.collect();
        roots.extend(&applied);
        roots.extend(results.iter().map(|&(_, value)| value));
        let mut passed: Vec<u32> = operands(net, &roots);
        passed.extend(open_wires(net, &applied).into_keys());
        judge_passed(draft, path, &passed);
        for &(leaf, value) in &results {
            if self.is_applied(net, value) {
                draft.passed |= 1 << leaf;
            }
        }
        // Leaves that share a wire: the earlier one comes in.
        let mut later = BTreeSet::new();
        for &(leaf, value) in results.iter().rev() {
            let wires = open_wires(net, &[value]);
            if wires.keys().any(|wire| later.contains(wire)) {
                draft.passed |= 1 << leaf;
            }
            later.extend(wires.into_keys());
        }
    }

    /// Whether a tree looks like arguments of which one is matched with the arms of a match, rather than like data.
    fn is_applied(&self, net: &Net, mut value: Value) -> bool {
        while let Value::Node(node) = net.resolve(value) {
            if net.nodes[node as usize].w0 != CON {
                break;
            }
            if let Value::Node(first) = net.port(node, 0)
                && self.offers_code(net, first)
            {
                return true;
            }
            value = net.port(node, 1);
        }
        false
    }

    /// Whether a tree of constructors offers a definition that is no data.
    fn offers_code(&self, net: &Net, node: u32) -> bool {
        let code =
            |term: Term| term.class() == Class::Ref && !self.constructors.contains(&term.offset());
        net.nodes[node as usize].w0 == CON
            && (0..2).any(|side| match net.port(node, side) {
                Value::Atom(term) => code(term),
                Value::Node(child) => self.offers_code(net, child),
                _ => false,
            })
    }
}

/// Leaves that go out to which one of these wires leads, which something waits for, come in.
fn judge_passed(draft: &mut Draft, path: &Path, wires: &[u32]) {
    if wires.is_empty() {
        return;
    }
    for (&(leaf, _), value) in path.outs.iter().zip(path.results()) {
        let found = open_wires(&path.net, &[value]);
        if wires.iter().any(|wire| found.contains_key(wire)) {
            draft.consumed |= (1 as Leaves) << leaf;
        }
    }
}

fn fits(net: &Net, shape: &Shape, value: Value) -> bool {
    match (shape, net.resolve(value)) {
        (Shape::Leaf, _) => true,
        (Shape::Pair(first, second), Value::Node(node)) => {
            net.nodes[node as usize].w0 == CON
                && fits(net, first, net.port(node, 0))
                && fits(net, second, net.port(node, 1))
        }
        _ => false,
    }
}

/// The wires of which one end is in these trees, and the other elsewhere.
fn open_wires(net: &Net, values: &[Value]) -> BTreeMap<u32, ()> {
    let mut open = BTreeMap::new();
    let mut stack = values.to_vec();
    while let Some(value) = stack.pop() {
        match net.resolve(value) {
            Value::Wire(wire) => {
                if open.remove(&wire).is_none() {
                    open.insert(wire, ());
                }
            }
            Value::Node(node) => stack.extend(net.nodes[node as usize].ports),
            Value::Register(_) | Value::Atom(_) => {}
        }
    }
    open
}

/// The wires at the first ports of arithmetic nodes and switches in these trees.
fn operands(net: &Net, values: &[Value]) -> Vec<u32> {
    let mut found = Vec::new();
    let mut stack = values.to_vec();
    while let Some(value) = stack.pop() {
        if let Value::Node(node) = net.resolve(value) {
            let class = net.nodes[node as usize].class();
            if let (Class::Opr | Class::Swi, Value::Wire(wire)) = (class, net.port(node, 0)) {
                found.push(wire);
            }
            stack.extend(net.nodes[node as usize].ports);
        }
    }
    found
}
