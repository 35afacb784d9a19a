//! Instructions that build what is left of a net that has been reduced as far as it is known.
//!
//! Wires between nodes get their cells here: no node has two, and a wire that finds none gets a node of its own (see the
//! module documentation of the parallel engine for why).

use std::collections::BTreeMap;

use super::{Net, Value};
use crate::spec::word::{Class, Term};

/// Writes the instructions. What is answered is the register that holds the outcome.
pub trait Emit {
    /// The code would become too large.
    type Error;
    /// A term known in advance.
    fn load(&mut self, term: Term) -> Result<u8, Self::Error>;
    /// A node that is written later.
    fn allocate(&mut self, w0: u32) -> Result<u8, Self::Error>;
    /// Writes the node in `at`.
    fn write(&mut self, at: u8, ports: Ports) -> Result<(), Self::Error>;
    /// Allocates and writes a node.
    fn node(&mut self, w0: u32, ports: Ports) -> Result<u8, Self::Error>;
    /// The other end of the wire whose cell is a slot of a node.
    fn cell(&mut self, node: u8, side: u8) -> Result<u8, Self::Error>;
    /// An end of a new wire both of whose ends are terms; the other end is the same term.
    fn wire(&mut self) -> Result<u8, Self::Error>;
}

/// What the slots of a new node hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The registers of both slots; a slot without one is the absent cell of its wire.
    pub slots: [Option<u8>; 2],
    /// The first port was a variable in the source and is filled, which an arithmetic node has to remember.
    pub variable: bool,
}

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
pub struct Builder<'n> {
    net: &'n Net,
    hosts: BTreeMap<u32, Host>,
    nodes: BTreeMap<u32, State>,
    atoms: BTreeMap<u64, u8>,
    own: BTreeMap<u32, u8>,
}

impl<'n> Builder<'n> {
    /// A builder for a net that changes no more; `roots` are all values that will be built, each once.
    pub fn new(net: &'n Net, roots: &[Value]) -> Builder<'n> {
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
    pub fn build<E: Emit>(&mut self, code: &mut E, value: Value) -> Result<u8, E::Error> {
        match self.net.resolve(value) {
            Value::Register(register) => Ok(register),
            Value::Atom(term) => self.atom(code, term),
            Value::Wire(wire) => self.end(code, wire),
            Value::Node(node) => self.node(code, node),
        }
    }

    fn atom<E: Emit>(&mut self, code: &mut E, term: Term) -> Result<u8, E::Error> {
        if let Some(&register) = self.atoms.get(&term.0) {
            return Ok(register);
        }
        let to = code.load(term)?;
        self.atoms.insert(term.0, to);
        Ok(to)
    }

    /// An end of a wire that is not its cell.
    fn end<E: Emit>(&mut self, code: &mut E, wire: u32) -> Result<u8, E::Error> {
        match self.hosts.get(&wire) {
            Some(&Host::Slot(host, side)) => {
                let node = match self.nodes.get(&host) {
                    Some(&(State::Allocated(register) | State::Written(register))) => register,
                    None => {
                        let to = code.allocate(self.net.nodes[host as usize].w0)?;
                        self.nodes.insert(host, State::Allocated(to));
                        to
                    }
                };
                code.cell(node, side)
            }
            _ => {
                if let Some(&register) = self.own.get(&wire) {
                    return Ok(register);
                }
                let to = code.wire()?;
                self.own.insert(wire, to);
                Ok(to)
            }
        }
    }

    fn slot<E: Emit>(&mut self, code: &mut E, node: u32, side: u8) -> Result<Option<u8>, E::Error> {
        let value = self.net.port(node, side as usize);
        if let Value::Wire(wire) = value
            && let Some(&Host::Slot(host, at)) = self.hosts.get(&wire)
            && (host, at) == (node, side)
        {
            return Ok(None);
        }
        self.build(code, value).map(Some)
    }

    fn node<E: Emit>(&mut self, code: &mut E, node: u32) -> Result<u8, E::Error> {
        let slots = [self.slot(code, node, 0)?, self.slot(code, node, 1)?];
        let shape = self.net.nodes[node as usize];
        let variable = shape.variable && shape.class() == Class::Opr && slots[0].is_some();
        let ports = Ports { slots, variable };
        let register = match self.nodes.get(&node) {
            Some(&(State::Allocated(at) | State::Written(at))) => {
                code.write(at, ports)?;
                at
            }
            None => code.node(shape.w0, ports)?,
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
