//! Instructions that build what is left of a net that has been reduced as far as it is known.
//!
//! Wires between nodes get their cells here, by the rule of [`super::template`]: no node has two, and a wire that finds
//! none gets a node of its own.

use std::collections::BTreeMap;

use super::compile::{Code, TooLarge};
use super::program::{NOTHING, Op};
use super::symbolic::{Net, Value};
use crate::spec::word::{Class, Term};

/// Where the cell of a wire is.
#[derive(Clone, Copy)]
enum Host {
    Slot(u32, u8),
    Own,
}

#[derive(Clone, Copy)]
enum State {
    Allocated(u8),
    Written(u8),
}

/// Builds the trees of `net` that some values lead to.
pub(super) struct Builder<'n> {
    net: &'n Net,
    hosts: BTreeMap<u32, Host>,
    nodes: BTreeMap<u32, State>,
    atoms: BTreeMap<u64, u8>,
    own: BTreeMap<u32, u8>,
}

impl<'n> Builder<'n> {
    /// `roots` are all values that will be built, each once.
    pub(super) fn new(net: &'n Net, roots: &[Value]) -> Builder<'n> {
        let mut slots: BTreeMap<u32, Vec<(u32, u8)>> = BTreeMap::new();
        let mut held: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut stack: Vec<(Value, Option<(u32, u8)>)> =
            roots.iter().map(|&root| (root, None)).collect();
        while let Some((value, at)) = stack.pop() {
            match net.resolve(value) {
                Value::Node(node) => {
                    for side in 0..2u8 {
                        let port = net.nodes[node as usize].ports[side as usize];
                        stack.push((port, Some((node, side))));
                    }
                }
                Value::Wire(wire) => {
                    let places = slots.entry(wire).or_default();
                    if let Some((node, side)) = at {
                        places.push((node, side));
                        held.entry(node).or_default().push(wire);
                    }
                }
                Value::Register(_) | Value::Atom(_) => {}
            }
        }
        Builder {
            net,
            hosts: host_cells(&slots, &held),
            nodes: BTreeMap::new(),
            atoms: BTreeMap::new(),
            own: BTreeMap::new(),
        }
    }

    /// Writes instructions that build `value`; the register where it is then.
    pub(super) fn build(&mut self, code: &mut Code, value: Value) -> Result<u8, TooLarge> {
        match self.net.resolve(value) {
            Value::Register(register) => Ok(register),
            Value::Atom(term) => self.atom(code, term),
            Value::Wire(wire) => self.end(code, wire),
            Value::Node(node) => self.node(code, node),
        }
    }

    fn atom(&mut self, code: &mut Code, term: Term) -> Result<u8, TooLarge> {
        if let Some(&register) = self.atoms.get(&term.0) {
            return Ok(register);
        }
        let to = code.register()?;
        code.emit(Op::Load { to, term })?;
        self.atoms.insert(term.0, to);
        Ok(to)
    }

    /// An end of a wire that is not its cell.
    fn end(&mut self, code: &mut Code, wire: u32) -> Result<u8, TooLarge> {
        match self.hosts.get(&wire) {
            Some(&Host::Slot(host, side)) => {
                let node = match self.nodes.get(&host) {
                    Some(&(State::Allocated(register) | State::Written(register))) => register,
                    None => {
                        let to = code.register()?;
                        let w0 = self.net.nodes[host as usize].w0;
                        code.allocate(Op::Allocate { to, w0 }, 1)?;
                        self.nodes.insert(host, State::Allocated(to));
                        to
                    }
                };
                let to = code.register()?;
                code.emit(Op::Cell { to, node, side })?;
                Ok(to)
            }
            _ => {
                if let Some(&register) = self.own.get(&wire) {
                    return Ok(register);
                }
                let to = code.register()?;
                code.allocate(Op::Wire { to }, 1)?;
                self.own.insert(wire, to);
                Ok(to)
            }
        }
    }

    fn slot(&mut self, code: &mut Code, node: u32, side: u8) -> Result<u8, TooLarge> {
        let value = self.net.port(node, side as usize);
        if let Value::Wire(wire) = value
            && let Some(&Host::Slot(host, at)) = self.hosts.get(&wire)
            && (host, at) == (node, side)
        {
            return Ok(NOTHING);
        }
        self.build(code, value)
    }

    fn node(&mut self, code: &mut Code, node: u32) -> Result<u8, TooLarge> {
        let (first, second) = (self.slot(code, node, 0)?, self.slot(code, node, 1)?);
        let shape = self.net.nodes[node as usize];
        let variable = shape.variable && shape.class() == Class::Opr && first != NOTHING;
        let register = match self.nodes.get(&node) {
            Some(&(State::Allocated(at) | State::Written(at))) => {
                code.emit(Op::Write {
                    at,
                    first,
                    second,
                    variable,
                })?;
                at
            }
            None => {
                let to = code.register()?;
                let op = Op::Node {
                    to,
                    first,
                    second,
                    w0: shape.w0,
                    variable,
                };
                code.allocate(op, 1)?;
                to
            }
        };
        self.nodes.insert(node, State::Written(register));
        Ok(register)
    }
}

/// Chooses each wire's cell among the slots it occurs in, at most one for a node: wires with no choice left first, any
/// other when there is none.
fn host_cells(
    slots: &BTreeMap<u32, Vec<(u32, u8)>>,
    held: &BTreeMap<u32, Vec<u32>>,
) -> BTreeMap<u32, Host> {
    let mut hosts = BTreeMap::new();
    let mut hosting = std::collections::BTreeSet::new();
    let mut forced: Vec<u32> = slots
        .iter()
        .filter(|(_, places)| places.len() < 2)
        .map(|(&wire, _)| wire)
        .collect();
    let mut any = slots.keys().copied();
    while let Some(wire) = forced.pop().or_else(|| any.next()) {
        if hosts.contains_key(&wire) {
            continue;
        }
        let choice = slots[&wire]
            .iter()
            .find(|(node, _)| !hosting.contains(node));
        let Some(&(node, side)) = choice else {
            hosts.insert(wire, Host::Own);
            continue;
        };
        hosts.insert(wire, Host::Slot(node, side));
        hosting.insert(node);
        forced.extend(held[&node].iter().filter(|wire| !hosts.contains_key(wire)));
    }
    hosts
}
