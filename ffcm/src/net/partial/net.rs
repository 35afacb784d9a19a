//! Nets of which only the registers are unknown, reduced while definitions are compiled.
//!
//! Every interaction of two known terms is made here, once, and counted in [`Net::tally`]; what is left is what
//! a compiler has to write instructions for. Interactions that make the net larger, two nodes that commute and
//! expansions, are left too.

use std::collections::VecDeque;

use super::Tally;
use crate::net::Definition;
use crate::spec::number;
use crate::spec::rules::Opcode;
use crate::spec::word::{Class, Term, variant};

/// The meta word of every constructor.
pub const CON: u32 = Term::node(Class::Con, 0, 0).w0();

/// What is known of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// It is in this register.
    Register(u8),
    /// It is this atom.
    Atom(Term),
    /// It is an end of this wire.
    Wire(u32),
    /// It is this node.
    Node(u32),
}

/// A node that has not been built.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// Class and label.
    pub w0: u32,
    /// What its auxiliary ports are connected to.
    pub ports: [Value; 2],
    /// The first port was a variable in the source, which decides how many steps an arithmetic node takes.
    pub variable: bool,
}

impl Node {
    /// Its class.
    pub fn class(&self) -> Class {
        Term(u64::from(self.w0)).class()
    }
}

/// A reference that has met a node.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The reference.
    pub reference: Term,
    /// Index of the node.
    pub node: u32,
    /// It stands like this in a definition; others come from what met.
    pub written: bool,
}

/// A net under reduction. What the lists hold waits for instructions.
#[derive(Clone, Debug, Default)]
pub struct Net {
    /// All nodes ever made; those that have met are dead.
    pub nodes: Vec<Node>,
    /// What is at the other end of each wire, once known.
    pub wires: Vec<Option<Value>>,
    work: Vec<(Value, Value)>,
    /// References and the nodes they met, the one to reduce first last.
    pub calls: Vec<Call>,
    /// Registers and the nodes they met.
    pub meetings: VecDeque<(u8, u32)>,
    /// Registers to erase.
    pub erasures: Vec<u8>,
    /// Numbers that met an arithmetic node whose first operand is not known yet.
    pub waiting: Vec<(Value, u32)>,
    /// All other pairs, to be connected when the values are known.
    pub links: Vec<(Value, Value)>,
    /// Interactions made.
    pub tally: Tally,
    /// Their number.
    pub total: u64,
}

impl Net {
    /// Counts interactions that have been made or are certain to be.
    pub fn count(&mut self, opcode: Opcode, n: u64) {
        self.tally.add(Tally::of(opcode, n));
        self.total += n;
    }

    /// A new node.
    pub fn node(&mut self, w0: u32, ports: [Value; 2]) -> Value {
        self.nodes.push(Node {
            w0,
            ports,
            variable: false,
        });
        Value::Node(self.nodes.len() as u32 - 1)
    }

    /// A new wire.
    pub fn wire(&mut self) -> u32 {
        self.wires.push(None);
        self.wires.len() as u32 - 1
    }

    /// What a value stands for as far as is known.
    pub fn resolve(&self, mut value: Value) -> Value {
        while let Value::Wire(wire) = value {
            match self.wires[wire as usize] {
                Some(known) => value = known,
                None => break,
            }
        }
        value
    }

    /// What a port of a node is connected to, as far as is known.
    pub fn port(&self, node: u32, side: usize) -> Value {
        self.resolve(self.nodes[node as usize].ports[side])
    }

    /// Adds a copy of a definition; its calls go before the call number `at`. Returns its root.
    pub fn instantiate(&mut self, definition: &Definition, at: usize) -> Value {
        let (nodes, wires) = (self.nodes.len() as u32, self.wires.len() as u32);
        let place = |term: Term| match term.class() {
            Class::Var => Value::Wire(wires + term.offset()),
            class if class.is_node() => Value::Node(nodes + term.offset()),
            _ => Value::Atom(term),
        };
        self.wires.resize((wires + definition.wires) as usize, None);
        // A node's meta word stands in the term that points to it.
        for ports in &definition.nodes {
            self.nodes.push(Node {
                w0: 0,
                ports: ports.map(place),
                variable: ports[0].class() == Class::Var,
            });
        }
        for term in definition.terms().filter(|term| term.class().is_node()) {
            self.nodes[(nodes + term.offset()) as usize].w0 = term.w0();
        }
        let mut calls = Vec::new();
        for &(a, b) in &definition.redexes {
            let (a, b) = if a.class() > b.class() {
                (b, a)
            } else {
                (a, b)
            };
            match (place(a), place(b)) {
                (Value::Atom(reference), Value::Node(node)) if self.expands(reference, node) => {
                    calls.push(Call {
                        reference,
                        node,
                        written: true,
                    });
                }
                (a, b) => self.work.push((a, b)),
            }
        }
        self.calls.splice(at..at, calls);
        place(definition.root)
    }

    fn expands(&self, atom: Term, node: u32) -> bool {
        let copied =
            self.nodes[node as usize].class() == Class::Dup && atom.variant() == variant::COPYABLE;
        atom.class() == Class::Ref && !copied
    }

    /// Connects two values, with all that follows from it and is known.
    pub fn link(&mut self, a: Value, b: Value) {
        self.work.push((a, b));
        while let Some((a, b)) = self.work.pop() {
            self.meet(self.resolve(a), self.resolve(b));
        }
    }

    fn meet(&mut self, a: Value, b: Value) {
        use Value::{Atom, Node, Register, Wire};
        match (a, b) {
            (Wire(wire), value) | (value, Wire(wire)) => {
                if value != Wire(wire) {
                    self.wires[wire as usize] = Some(value);
                }
            }
            (Register(r), Atom(Term::ERA)) | (Atom(Term::ERA), Register(r)) => {
                self.erasures.push(r);
            }
            (Register(r), Node(n)) | (Node(n), Register(r)) => self.meetings.push_back((r, n)),
            (Atom(_), Atom(_)) => self.count(Opcode::Collapse, 1),
            (Atom(atom), Node(n)) | (Node(n), Atom(atom)) => self.meet_atom(atom, n),
            (Node(m), Node(n)) if self.nodes[m as usize].w0 == self.nodes[n as usize].w0 => {
                let class = self.nodes[m as usize].class();
                let duplicators = class == Class::Dup;
                self.count(
                    if duplicators {
                        Opcode::Duplicate
                    } else {
                        Opcode::Apply
                    },
                    1,
                );
                let (m, n) = (self.nodes[m as usize].ports, self.nodes[n as usize].ports);
                self.work.push((m[0], n[0]));
                self.work.push((m[1], n[1]));
            }
            pair => self.links.push(pair),
        }
    }

    fn meet_atom(&mut self, atom: Term, n: u32) {
        let node = self.nodes[n as usize];
        let [first, second] = node.ports;
        let both = |net: &mut Net, opcode| {
            net.count(opcode, 1);
            net.work.push((Value::Atom(atom), first));
            net.work.push((Value::Atom(atom), second));
        };
        match (atom.class(), node.class()) {
            (Class::Ref, _) if self.expands(atom, n) => self.calls.push(Call {
                reference: atom,
                node: n,
                written: false,
            }),
            (Class::Ref, _) | (Class::Num, Class::Con | Class::Dup) => {
                both(self, Opcode::Duplicate);
            }
            (Class::Num, Class::Opr) => self.operate(atom, n),
            (Class::Num, _) => {
                self.count(Opcode::Switch, 1);
                let chosen = match number::predecessor(atom) {
                    None => self.node(CON, [second, Value::Atom(Term::ERA)]),
                    Some(before) => {
                        let taken = self.node(CON, [Value::Atom(before), second]);
                        self.node(CON, [Value::Atom(Term::ERA), taken])
                    }
                };
                self.work.push((chosen, first));
            }
            _ => both(self, Opcode::Collapse),
        }
    }

    fn operate(&mut self, number: Term, n: u32) {
        let node = self.nodes[n as usize];
        match self.resolve(node.ports[0]) {
            Value::Atom(left) if left.class() == Class::Num => {
                self.count(Opcode::Succ, 1 + u64::from(node.variable));
                let result = Value::Atom(number::operate(number, left));
                self.work.push((result, node.ports[1]));
            }
            left @ (Value::Atom(_) | Value::Node(_)) => {
                self.count(Opcode::Succ, 1);
                let swapped = self.node(node.w0, [Value::Atom(number), node.ports[1]]);
                self.work.push((left, swapped));
            }
            Value::Register(_) | Value::Wire(_) => self.waiting.push((Value::Atom(number), n)),
        }
    }

    /// Whether a tree of constructors is an argument rather than a pattern: everything in it is known, and it offers no
    /// definition to choose.
    pub fn is_argument(&self, node: u32) -> bool {
        (0..2).all(|side| match self.port(node, side) {
            Value::Wire(_) => false,
            Value::Atom(term) => term.class() != Class::Ref,
            Value::Node(child) if self.nodes[child as usize].w0 == CON => self.is_argument(child),
            _ => true,
        })
    }
}
