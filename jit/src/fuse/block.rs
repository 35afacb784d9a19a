//! Blocks: what registers meet, and where a path parts.

use ffcm::net::partial::{Builder, CON, Emit, Value};
use ffcm::spec::rules::Opcode;
use ffcm::spec::word::{Class, Term};

use super::book::{self, Choice};
use super::draft::{Draft, Path, TooLarge};
use super::unfold::{choose, commute, decide};
use super::{Fuser, Level, MATCHES_MAX, NODES_MAX, SWITCHES_MAX};
use crate::ir::{BlockId, End, Inst, Tree, Type};

impl Fuser<'_> {
    /// Writes the rest of a path, which is a tree of blocks.
    pub(super) fn block(&mut self, draft: &mut Draft, mut path: Path) -> Result<BlockId, TooLarge> {
        let id = draft.block()?;
        loop {
            self.reduce(draft, &mut path)?;
            if let Some((from, node)) = self.next_pattern(draft, &mut path)? {
                self.matches(draft, id, path, from, node)?;
                return Ok(id);
            }
            if let Some((from, node)) = next_switch(&mut path) {
                self.switch(draft, id, path, from, node)?;
                return Ok(id);
            }
            let Some(call) = self.next_call(&mut path) else {
                break;
            };
            if self.tail(&path, &call) {
                let end = self.end_with(draft, &mut path, &call)?;
                draft.write(id, path.close()?, end);
                return Ok(id);
            }
            self.call(draft, &mut path, &call)?;
        }
        let end = self.finish(draft, &mut path)?;
        draft.write(id, path.close()?, end);
        Ok(id)
    }

    /// Reduces as far as that goes without a branch or a call.
    fn reduce(&mut self, draft: &mut Draft, path: &mut Path) -> Result<(), TooLarge> {
        loop {
            self.meet_all(draft, path)?;
            self.expand_numbers(path);
            let nodes = path.net.nodes.len();
            self.effort = self.effort.saturating_sub(1 + nodes);
            if nodes > NODES_MAX || self.effort == 0 {
                return Err(TooLarge);
            }
            if path.slow || !(commute(path) || self.unfold(draft, path)) {
                return Ok(());
            }
        }
    }

    // ---- meetings ---------------------------------------------------------------------------------------------

    /// Writes the tests that can be made now.
    fn meet_all(&mut self, draft: &mut Draft, path: &mut Path) -> Result<(), TooLarge> {
        loop {
            if let Some(register) = path.net.erasures.pop() {
                path.net.count(Opcode::Collapse, 1);
                if !is_number(draft, path, register) {
                    let from = path.code.value(register);
                    path.writer(draft).inst(Inst::Erase { from })?;
                }
            } else if let Some((register, node)) = path.net.meetings.pop_front() {
                self.meet(draft, path, register, node)?;
            } else {
                let known =
                    |&(_, node): &(Value, u32)| !matches!(path.net.port(node, 0), Value::Wire(_));
                let Some(ready) = path.net.waiting.iter().position(known) else {
                    return Ok(());
                };
                let (number, node) = path.net.waiting.remove(ready);
                operate(draft, path, number, node)?;
            }
        }
    }

    fn meet(
        &mut self,
        draft: &mut Draft,
        path: &mut Path,
        register: u8,
        node: u32,
    ) -> Result<(), TooLarge> {
        let meeting = path.net.nodes[node as usize];
        match meeting.class() {
            Class::Con | Class::Dup if is_number(draft, path, register) => {
                path.net.count(Opcode::Duplicate, 1);
                path.net.link(Value::Register(register), meeting.ports[0]);
                path.net.link(Value::Register(register), meeting.ports[1]);
            }
            Class::Con if is_argument(path, node) => path.applications.push((register, node)),
            Class::Con => path.patterns.push_back((register, node)),
            Class::Dup => {
                let from = path.code.value(register);
                let mut code = path.writer(draft);
                let (a, first) = code.fresh(Type::Term)?;
                let (b, second) = code.fresh(Type::Term)?;
                code.inst(Inst::Copy {
                    first,
                    second,
                    from,
                    w0: meeting.w0,
                })?;
                path.net.count(Opcode::Duplicate, 1);
                path.net.link(Value::Register(a), meeting.ports[0]);
                path.net.link(Value::Register(b), meeting.ports[1]);
            }
            Class::Opr => operate(draft, path, Value::Register(register), node)?,
            Class::Swi if path.numbers.contains_key(&register) => {
                choose(path, node, path.numbers[&register]);
            }
            _ => path.switches.push_back((register, node)),
        }
        Ok(())
    }

    /// Takes apart the patterns that are not worth a match. The one that is, if there is one.
    fn next_pattern(
        &mut self,
        draft: &mut Draft,
        path: &mut Path,
    ) -> Result<Option<(u8, u32)>, TooLarge> {
        let some = !self.constructors.is_empty() || !self.trees.is_empty();
        let matching = self.level >= Level::Matches && !path.slow && some;
        while let Some((register, node)) = path.patterns.pop_front() {
            if matching && path.decided.1 < MATCHES_MAX && offers(path, node) {
                path.decided.1 += 1;
                return Ok(Some((register, node)));
            }
            take_apart(draft, path, register, node)?;
            self.reduce(draft, path)?;
        }
        Ok(None)
    }

    // ---- branches ---------------------------------------------------------------------------------------------

    /// Ends a block with a case for each constructor that `register` may refer to.
    fn matches(
        &mut self,
        draft: &mut Draft,
        id: BlockId,
        mut path: Path,
        register: u8,
        node: u32,
    ) -> Result<(), TooLarge> {
        let body = path.close()?;
        let from = path.code.value(register);
        let mut cases = Vec::with_capacity(self.constructors.len());
        for (number, definition) in self.constructors.clone().into_iter().enumerate() {
            let mut path = path.clone();
            path.doubtful |= self.doubts(&path, node, self.choices[0][number]);
            path.code.let_go(register);
            path.net.count(Opcode::Specialize, 1);
            let at = path.net.calls.len();
            let constructor = &self.definitions[definition as usize];
            let root = path.net.instantiate(constructor, at);
            path.net.link(root, Value::Node(node));
            cases.push((definition, self.block(draft, path)?));
        }
        let other = self.takes(draft, path, register, node, 0)?;
        draft.write(id, body, End::Match { from, cases, other });
        Ok(())
    }

    /// Whether a pattern is perhaps not for data of the kind that a constructor makes: it has more arms or fewer, or the arm
    /// has rather the parameters for another constructor that chooses it.
    fn doubts(&self, path: &Path, node: u32, choice: Option<Choice>) -> bool {
        let Some(choice) = choice else {
            return false;
        };
        let (mut arms, mut more) = (Vec::new(), 0);
        let mut rest = Value::Node(node);
        while let Value::Node(node) = rest
            && path.net.nodes[node as usize].w0 == CON
        {
            match path.net.port(node, 0) {
                Value::Atom(arm) if more == 0 && arm != Term::ERA => arms.push(arm),
                _ => more += 1,
            }
            rest = path.net.port(node, 1);
        }
        if arms.len() != choice.arms {
            return true;
        }
        let parameters = match arms[choice.at] {
            arm if arm.class() == Class::Ref => {
                book::parameters(&self.definitions[arm.offset() as usize])
            }
            _ => 0,
        };
        let rivals = self.choices.iter().flatten().flatten();
        let fields = rivals
            .filter(|one| (one.arms, one.at) == (choice.arms, choice.at))
            .map(|one| one.fields)
            .filter(|fields| fields + more <= parameters);
        fields.max().is_some_and(|most| most != choice.fields)
    }

    /// Goes on with a case for each tree from number `at` that `register` may hold.
    fn takes(
        &mut self,
        draft: &mut Draft,
        mut path: Path,
        register: u8,
        node: u32,
        at: usize,
    ) -> Result<BlockId, TooLarge> {
        let Some(tree) = self.trees.get(at).cloned() else {
            take_apart(draft, &mut path, register, node)?;
            // Data is not of another kind.
            path.slow = at > 0;
            return self.block(draft, path);
        };
        let id = draft.block()?;
        let body = path.close()?;
        let from = path.code.value(register);
        let (holes, then) = {
            let mut path = path.clone();
            path.doubtful |= self.doubts(&path, node, self.choices[1][at]);
            path.code.let_go(register);
            let (mut holes, mut registers) = (Vec::new(), Vec::new());
            for _ in 0..tree.holes() {
                let (register, hole) = path.writer(draft).fresh(Type::Term)?;
                holes.push(hole);
                registers.push(Value::Register(register));
            }
            let mut wires = Vec::new();
            let root = plant(&mut path, &tree, &mut registers.into_iter(), &mut wires);
            path.net.link(root, Value::Node(node));
            (holes, self.block(draft, path)?)
        };
        let other = self.takes(draft, path, register, node, at + 1)?;
        let end = End::Take {
            from,
            tree,
            holes,
            then,
            other,
        };
        draft.write(id, body, end);
        Ok(id)
    }

    fn switch(
        &mut self,
        draft: &mut Draft,
        id: BlockId,
        mut path: Path,
        register: u8,
        node: u32,
    ) -> Result<(), TooLarge> {
        let body = path.close()?;
        let from = path.code.value(register);
        let zero = {
            let mut path = path.clone();
            path.code.let_go(register);
            decide(&mut path, register, node, None);
            self.block(draft, path)?
        };
        let (before, successor) = {
            let mut path = path.clone();
            path.code.let_go(register);
            let (number, before) = path.writer(draft).fresh(Type::Number)?;
            decide(&mut path, register, node, Some(number));
            (before, self.block(draft, path)?)
        };
        let pair = (Value::Register(register), Value::Node(node));
        path.net.links.push(pair);
        path.slow = true;
        let other = self.block(draft, path)?;
        let end = End::Switch {
            from,
            zero,
            successor,
            before,
            other,
        };
        draft.write(id, body, end);
        Ok(())
    }

    // ---- the end of a path ------------------------------------------------------------------------------------

    /// Ends a path on which nothing is left to call.
    fn finish(&mut self, draft: &mut Draft, path: &mut Path) -> Result<End, TooLarge> {
        self.judge_results(draft, path);
        let results: Vec<Value> = path.results().collect();
        let outs = connect(draft, path, &results)?;
        path.code.end(&outs)?;
        Ok(End::Return { outs })
    }
}

/// The nodes of a tree that has been taken apart, with what was in its holes.
fn plant(
    path: &mut Path,
    tree: &Tree,
    holes: &mut impl Iterator<Item = Value>,
    wires: &mut Vec<Value>,
) -> Value {
    match tree {
        Tree::Pair(ports) => {
            let first = plant(path, &ports[0], holes, wires);
            let second = plant(path, &ports[1], holes, wires);
            path.net.node(CON, [first, second])
        }
        Tree::Eraser => Value::Atom(Term::ERA),
        Tree::Hole => holes.next().expect("a value for each hole"),
        Tree::Wire(wire) => {
            while wires.len() <= usize::from(*wire) {
                wires.push(Value::Wire(path.net.wire()));
            }
            wires[usize::from(*wire)]
        }
    }
}

/// Writes what connects everything that is left, and what builds `roots`.
pub(super) fn connect(
    draft: &mut Draft,
    path: &mut Path,
    roots: &[Value],
) -> Result<Vec<crate::ir::ValueId>, TooLarge> {
    let waiting = std::mem::take(&mut path.net.waiting);
    let waiting = waiting.into_iter().map(|(n, node)| (n, Value::Node(node)));
    path.net.links.extend(waiting);
    let (net, code) = (&path.net, &mut path.code);
    let applications: Vec<(u8, [Value; 2])> = path
        .applications
        .iter()
        .map(|&(from, node)| (from, net.nodes[node as usize].ports))
        .collect();
    let mut all: Vec<Value> = net.links.iter().flat_map(|&(a, b)| [a, b]).collect();
    all.extend(applications.iter().flat_map(|(_, ports)| ports));
    let results = all.len();
    all.extend(roots);
    let mut builder = Builder::new(net, &all);
    let mut code = super::draft::Writer { draft, code };
    let mut built = Vec::with_capacity(all.len());
    for root in all {
        let register = builder.build(&mut code, root)?;
        built.push(code.value(register));
    }
    let (pairs, results) = built.split_at(results);
    let (links, ports) = pairs.split_at(2 * net.links.len());
    for pair in links.chunks_exact(2) {
        let (a, b) = (pair[0], pair[1]);
        code.inst(Inst::Link { a, b })?;
    }
    for (pair, &(from, _)) in ports.chunks_exact(2).zip(&applications) {
        let (first, second) = (pair[0], pair[1]);
        let from = code.value(from);
        code.inst(Inst::Apply {
            from,
            first,
            second,
        })?;
    }
    Ok(results.to_vec())
}

/// The next switch to decide. Others stay nodes, as do those whose arms are not known.
fn next_switch(path: &mut Path) -> Option<(u8, u32)> {
    while let Some((register, node)) = path.switches.pop_front() {
        let arms = path.net.port(node, 0);
        let known = matches!(arms, Value::Node(arms) if path.net.nodes[arms as usize].w0 == CON);
        if known && path.decided.0 < SWITCHES_MAX && !path.slow {
            path.decided.0 += 1;
            return Some((register, node));
        }
        let pair = (Value::Register(register), Value::Node(node));
        path.net.links.push(pair);
    }
    None
}

pub(super) fn is_number(draft: &Draft, path: &Path, register: u8) -> bool {
    draft.types[path.code.value(register).0 as usize] == Type::Number
}

/// Whether a tree of constructors is an argument rather than a pattern: everything in it is known, or goes out, and it
/// offers no definition to choose.
fn is_argument(path: &Path, node: u32) -> bool {
    (0..2).all(|side| match path.net.port(node, side) {
        wire @ Value::Wire(_) => path.results().any(|result| result == wire),
        Value::Atom(term) => term.class() != Class::Ref,
        Value::Node(child) => path.net.nodes[child as usize].w0 == CON && is_argument(path, child),
        Value::Register(_) => true,
    })
}

/// Whether a pattern offers a definition to choose, as that of a match does.
fn offers(path: &Path, node: u32) -> bool {
    (0..2).any(|side| match path.net.port(node, side) {
        Value::Atom(term) => term.class() == Class::Ref,
        Value::Node(child) if path.net.nodes[child as usize].w0 == CON => offers(path, child),
        _ => false,
    })
}

/// A number, or what may be one, has met an arithmetic node.
fn operate(draft: &mut Draft, path: &mut Path, number: Value, node: u32) -> Result<(), TooLarge> {
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
    let left = match left {
        Value::Atom(left) if left.class() == Class::Num => path.writer(draft).load(left)?,
        Value::Register(left) => left,
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
    let sure = is_number(draft, path, from) && is_number(draft, path, left);
    let (number, left) = (path.code.value(from), path.code.value(left));
    let mut code = path.writer(draft);
    let (register, to) = code.fresh(if sure { Type::Number } else { Type::Term })?;
    code.inst(Inst::Operate {
        to,
        number,
        left,
        steps,
        swapped,
    })?;
    path.net.count(Opcode::Succ, u64::from(steps));
    path.net.link(Value::Register(register), meeting.ports[1]);
    Ok(())
}

/// Matches a pattern of constructors. What is at its leaves meets what the leaves hold afterwards.
fn take_apart(draft: &mut Draft, path: &mut Path, register: u8, node: u32) -> Result<(), TooLarge> {
    let mut after = Vec::new();
    let mut open = vec![(register, node)];
    while let Some((register, node)) = open.pop() {
        let from = path.code.value(register);
        let mut code = path.writer(draft);
        let (a, first) = code.fresh(Type::Term)?;
        let (b, second) = code.fresh(Type::Term)?;
        code.inst(Inst::Open {
            first,
            second,
            from,
        })?;
        path.net.count(Opcode::Apply, 1);
        for (register, side) in [(b, 1), (a, 0)] {
            match path.net.port(node, side) {
                Value::Node(child)
                    if path.net.nodes[child as usize].w0 == CON && !is_argument(path, child) =>
                {
                    open.push((register, child));
                }
                _ => after.push((register, path.net.nodes[node as usize].ports[side])),
            }
        }
    }
    for (register, value) in after {
        path.net.link(Value::Register(register), value);
    }
    Ok(())
}
