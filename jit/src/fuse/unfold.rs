//! What is reduced in advance: definitions that are compiled in, switches that numbers have decided, nodes that commute.

use ffcm::net::Definition;
use ffcm::net::partial::{CON, Call, Value, is_constructor};
use ffcm::spec::number::predecessor;
use ffcm::spec::rules::Opcode;
use ffcm::spec::word::{Class, Term};

use super::block::is_number;
use super::book::is_match;
use super::draft::{Draft, Path};
use super::{CHAIN_MAX, COMMUTES_MAX, Fuser, INLINE_MAX, Level, MATCHES_MAX, UNROLLED_MAX};

impl Fuser<'_> {
    /// Compiles one more definition into the path, if there is one that should be.
    pub(super) fn unfold(&mut self, draft: &Draft, path: &mut Path) -> bool {
        if path.chain.len() >= CHAIN_MAX {
            return false;
        }
        let worthy = |call: &Call| {
            let index = call.reference.offset();
            let definition = &self.definitions[index as usize];
            let times = path.chain.iter().filter(|&&other| other == index).count();
            let small = is_constructor(definition) || self.level > Level::Arms;
            definition.nodes.len() <= INLINE_MAX
                && (small && !self.recursive[index as usize]
                    || !call.written && times <= path.unrolled
                    || self.matches_register(draft, path, call))
        };
        let first = path.net.calls.iter().position(worthy);
        let Some(i) = first.or_else(|| self.unrolled(draft, path)) else {
            return false;
        };
        let call = path.net.calls.remove(i);
        let index = call.reference.offset();
        path.chain.push(index);
        path.net.count(Opcode::Specialize, 1);
        let definition = &self.definitions[index as usize];
        let root = path.net.instantiate(definition, i);
        path.net.link(root, Value::Node(call.node));
        true
    }

    /// Whether a call is one of a match, of what is known or in a register, for which there may be one more `Match`.
    fn matches_register(&self, draft: &Draft, path: &Path, call: &Call) -> bool {
        let definition = &self.definitions[call.reference.offset() as usize];
        if self.level < Level::Matches || !is_constructor(definition) || !is_match(definition) {
            return false;
        }
        match path.net.port(call.node, 0) {
            Value::Atom(term) => {
                term.class() == Class::Ref && self.constructors.contains(&term.offset())
            }
            // What leads to itself is called: the net has a function for the shape of such a call.
            Value::Register(register) => {
                let called = call.written && self.recursive[call.reference.offset() as usize];
                let some = !self.constructors.is_empty() || !self.trees.is_empty();
                some && !called
                    && path.decided.1 + path.patterns.len() < MATCHES_MAX
                    && !is_number(draft, path, register)
            }
            _ => false,
        }
    }

    /// Expands the references to numbers that calls are certain to switch on.
    pub(super) fn expand_numbers(&self, path: &mut Path) {
        let net = &mut path.net;
        for i in 0..net.calls.len() {
            let call = net.calls[i];
            if net.nodes[call.node as usize].w0 == CON
                && self.switches(call.reference.offset())
                && let Value::Atom(term) = net.port(call.node, 0)
                && term.class() == Class::Ref
                && let Definition { root, redexes, .. } = &self.definitions[term.offset() as usize]
                && root.class() == Class::Num
                && redexes.is_empty()
            {
                net.nodes[call.node as usize].ports[0] = Value::Atom(*root);
                net.count(Opcode::Specialize, 1);
            }
        }
    }

    /// Whether a definition begins with a switch on its first argument.
    fn switches(&self, definition: u32) -> bool {
        let definition = &self.definitions[definition as usize];
        let ports = definition.nodes.get(definition.root.offset() as usize);
        definition.root.class() == Class::Con
            && ports.is_some_and(|ports| ports[0].class() == Class::Swi)
    }

    /// A call of a definition that leads to itself and is compiled in nevertheless. It begins with a switch on what is zero,
    /// so that it comes to an end; or it is one of the definition being compiled, beside another call, and begins with a
    /// switch on what is a number for sure: so recursion over trees has a third of the calls.
    fn unrolled(&self, draft: &Draft, path: &mut Path) -> Option<usize> {
        if self.level < Level::Unrolled {
            return None;
        }
        let begins = |call: &Call| {
            let index = call.reference.offset();
            self.definitions[index as usize].nodes.len() <= INLINE_MAX && self.switches(index)
        };
        let zero = |call: &Call| match path.net.port(call.node, 0) {
            Value::Register(register) => path.numbers.get(&register) == Some(&None),
            Value::Atom(term) => term.class() == Class::Num && predecessor(term).is_none(),
            _ => false,
        };
        let again = |call: &Call| match path.net.port(call.node, 0) {
            Value::Register(register) => {
                is_number(draft, path, register) && call.reference.offset() == path.chain[0]
            }
            _ => false,
        };
        let calls = &path.net.calls;
        let ends = calls.iter().position(|call| begins(call) && zero(call));
        if ends.is_some() {
            return ends;
        }
        if path.unrolled >= UNROLLED_MAX || path.unrolled == 0 && calls.len() < 2 {
            return None;
        }
        let found = calls.iter().position(|call| begins(call) && again(call))?;
        path.unrolled += 1;
        Some(found)
    }
}

/// A register turned out to hold 0, or a number with the one before it in another register: so for all switches it met.
pub(super) fn decide(path: &mut Path, register: u8, node: u32, before: Option<u8>) {
    path.numbers.insert(register, before);
    choose(path, node, before);
    for (other, node) in std::mem::take(&mut path.switches) {
        if other == register {
            choose(path, node, before);
        } else {
            path.switches.push_back((other, node));
        }
    }
}

/// Lets a number meet a switch: 0, or one with the number before it in a register.
pub(super) fn choose(path: &mut Path, node: u32, before: Option<u8>) {
    let net = &mut path.net;
    let out = net.nodes[node as usize].ports[1];
    let arms = net.port(node, 0);
    net.count(Opcode::Switch, 1);
    let chosen = match before {
        None => net.node(CON, [out, Value::Atom(Term::ERA)]),
        Some(number) => {
            let taken = net.node(CON, [Value::Register(number), out]);
            net.node(CON, [Value::Atom(Term::ERA), taken])
        }
    };
    net.link(chosen, arms);
}

/// Lets a constructor and a duplicator pass through each other, if they met and that has not been done too often.
pub(super) fn commute(path: &mut Path) -> bool {
    if path.commuted >= COMMUTES_MAX {
        return false;
    }
    let net = &path.net;
    let pair = |&(a, b): &(Value, Value)| match (net.resolve(a), net.resolve(b)) {
        (Value::Node(a), Value::Node(b)) => {
            let passes = |node: u32| {
                let class = net.nodes[node as usize].class();
                matches!(class, Class::Con | Class::Dup)
            };
            (passes(a) && passes(b)).then_some((a, b))
        }
        _ => None,
    };
    let mut found = net.links.iter().enumerate();
    let Some((i, (a, b))) = found.find_map(|(i, link)| Some((i, pair(link)?))) else {
        return false;
    };
    path.commuted += 1;
    let net = &mut path.net;
    net.links.remove(i);
    net.count(Opcode::Distribute, 1);
    let (a, b) = (net.nodes[a as usize], net.nodes[b as usize]);
    let [x, y, z, w] = [(); 4].map(|()| Value::Wire(net.wire()));
    let pairs = [
        (net.node(b.w0, [x, y]), a.ports[0]),
        (net.node(b.w0, [z, w]), a.ports[1]),
        (net.node(a.w0, [x, z]), b.ports[0]),
        (net.node(a.w0, [y, w]), b.ports[1]),
    ];
    for (node, port) in pairs {
        net.link(node, port);
    }
    true
}
