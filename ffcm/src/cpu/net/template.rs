//! Lowering: definitions to templates that a worker copies with one addition per term.
//!
//! A wire of a definition has two occurrences. One of them, in a slot of a node, becomes the wire's *cell* (absent at
//! first), the other a VAR that points at it. **No node is given two cells**; the proof that this is always possible,
//! and what it buys, is in the module documentation. A wire for which no slot is left gets a node of its own.
//!
//! Each definition is lowered twice. The *plain* form is the definition beside the term that met its reference. The
//! *opened* form, for a definition whose root is a node, is used when the reference meets a node that would annihilate
//! with that root: the root node is never built, the other node's two terms take the place of its wires.

use crate::net::Definition;
use crate::net::partial::Selector;
use crate::spec::rules::{Opcode, opcode};
use crate::spec::word::{Class, Term};

/// Index into a worker's value table: always 0.
pub(crate) const ZERO: u32 = 0;
/// The first term a template is given: whatever met the reference, or the first term of the node that did.
pub(crate) const FIRST: u32 = 1;
/// The second term of the node that met the reference (opened form only).
pub(crate) const SECOND: u32 = 2;
/// Where node `i` of a template lies is value `NODES + i`, an offset shifted into the value word of a term.
pub(crate) const NODES: u32 = 3;

/// One term of a template: `word + values[value]`. The addition never carries: a word with a non-zero value index has
/// zeros wherever that value has bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) word: u64,
    pub(crate) value: u32,
}

/// One form of one definition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template {
    /// Terms of the nodes to allocate.
    pub(crate) nodes: Box<[[Slot; 2]]>,
    /// Active pairs of two principal ports, at least one of them a node.
    pub(crate) redexes: Box<[[Slot; 2]]>,
    /// Pairs whose classes are known only when the values are.
    pub(crate) joins: Box<[[Slot; 2]]>,
    /// Active pairs of two atoms: they only count.
    pub(crate) collapses: u64,
}

/// A lowered definition.
#[derive(Clone, Debug)]
pub(crate) struct Lowered {
    pub(crate) plain: Template,
    /// `w0` of the node terms that the opened form applies to; 0, which no term has, if there is no opened form.
    pub(crate) opens: u32,
    /// What the fused meeting of the root counts as.
    pub(crate) opening: Opcode,
    pub(crate) opened: Template,
    /// What it selects, if it does nothing else.
    pub(crate) selector: Option<Selector>,
}

/// Lowers all definitions of a book.
pub(crate) fn lower(definitions: &[Definition]) -> Vec<Lowered> {
    definitions.iter().map(lower_one).collect()
}

fn lower_one(definition: &Definition) -> Lowered {
    let root = definition.root;
    let plain = Builder::new(definition, None).build(&[(Port::Term(root), Port::Value(FIRST))]);
    if !root.class().is_node() {
        return Lowered {
            plain,
            opens: 0,
            opening: Opcode::Link,
            opened: Template::default(),
            selector: None,
        };
    }
    let index = root.offset();
    let [first, second] = definition.nodes[index as usize];
    let opened = Builder::new(definition, Some(index)).build(&[
        (Port::Term(first), Port::Value(FIRST)),
        (Port::Term(second), Port::Value(SECOND)),
    ]);
    Lowered {
        plain,
        opens: root.w0(),
        opening: opcode(root, root),
        opened,
        selector: Selector::of(definition),
    }
}

/// One side of a pair to be linked.
#[derive(Clone, Copy)]
enum Port {
    Term(Term),
    Value(u32),
}

/// What stands for a wire.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    /// Not decided yet.
    Open,
    /// The cell is this slot (two per node).
    Cell(u32),
    /// The wire's other end is this value.
    Value(u32),
}

struct Builder<'d> {
    definition: &'d Definition,
    /// Number of each node in the template; `None` for the node left out.
    numbers: Vec<Option<u32>>,
    wires: Vec<Wire>,
    nodes: u32,
}

impl<'d> Builder<'d> {
    fn new(definition: &'d Definition, without: Option<u32>) -> Builder<'d> {
        let mut nodes = 0;
        let numbers = (0..definition.nodes.len() as u32)
            .map(|i| {
                (Some(i) != without).then(|| {
                    nodes += 1;
                    nodes - 1
                })
            })
            .collect();
        let wires = vec![Wire::Open; definition.wires as usize];
        Builder {
            definition,
            numbers,
            wires,
            nodes,
        }
    }

    /// `values` are the pairs that join the definition with what met its reference.
    fn build(mut self, values: &[(Port, Port)]) -> Template {
        let mut joins = Vec::new();
        let mut rest = Vec::new();
        for &(port, value) in values {
            match (port, value) {
                (Port::Term(term), Port::Value(value)) if term.class() == Class::Var => {
                    match self.wires[term.offset() as usize] {
                        Wire::Value(other) => joins.push([given(other), given(value)]),
                        _ => self.wires[term.offset() as usize] = Wire::Value(value),
                    }
                }
                pair => rest.push(pair),
            }
        }
        self.host_cells();
        let nodes = self.nodes();
        let mut redexes = Vec::new();
        let mut collapses = 0;
        for &(a, b) in &self.definition.redexes {
            let pair = [self.loose(a), self.loose(b)];
            if a.class() == Class::Var || b.class() == Class::Var {
                joins.push(pair);
            } else if a.class().is_node() || b.class().is_node() {
                redexes.push(pair);
            } else {
                collapses += 1;
            }
        }
        for (a, b) in rest {
            joins.push([self.port(a), self.port(b)]);
        }
        Template {
            nodes: nodes.into(),
            redexes: redexes.into(),
            joins: joins.into(),
            collapses,
        }
    }

    /// Chooses each wire's cell among the slots it occurs in, at most one cell per node.
    fn host_cells(&mut self) {
        // Slots of the template each wire occurs in, and wires each node's slots hold.
        let mut places: Vec<Vec<u32>> = vec![Vec::new(); self.wires.len()];
        let mut held: Vec<Vec<u32>> = vec![Vec::new(); self.nodes as usize];
        for (pair, number) in self.definition.nodes.iter().zip(&self.numbers) {
            let Some(number) = *number else { continue };
            for (side, term) in (0..).zip(pair) {
                if term.class() == Class::Var && self.wires[term.offset() as usize] == Wire::Open {
                    places[term.offset() as usize].push(2 * number + side);
                    held[number as usize].push(term.offset());
                }
            }
        }
        let mut hosting = vec![false; self.nodes as usize];
        // Wires with no choice left come first; when there is none, any wire may choose.
        let mut forced: Vec<u32> = (0..places.len() as u32)
            .filter(|&wire| places[wire as usize].len() < 2)
            .collect();
        let mut any = 0..self.wires.len() as u32;
        while let Some(wire) = forced.pop().or_else(|| any.next()) {
            if self.wires[wire as usize] != Wire::Open {
                continue;
            }
            let choice = places[wire as usize]
                .iter()
                .copied()
                .find(|&slot| !hosting[(slot / 2) as usize]);
            let slot = choice.unwrap_or_else(|| {
                hosting.push(true);
                held.push(Vec::new());
                self.nodes += 1;
                2 * (self.nodes - 1)
            });
            self.wires[wire as usize] = Wire::Cell(slot);
            let host = (slot / 2) as usize;
            hosting[host] = true;
            forced.extend(
                held[host]
                    .iter()
                    .filter(|&&w| self.wires[w as usize] == Wire::Open),
            );
        }
    }

    fn nodes(&self) -> Vec<[Slot; 2]> {
        let mut nodes = vec![[constant(Term::ABSENT); 2]; self.nodes as usize];
        for (pair, number) in self.definition.nodes.iter().zip(&self.numbers) {
            let Some(number) = *number else { continue };
            for (side, &term) in (0..).zip(pair) {
                nodes[number as usize][side as usize] = self.placed(term, 2 * number + side);
            }
        }
        nodes
    }

    /// A term in slot `at` of a node. A value that stands for a wire keeps the substitution bit, the mark that the
    /// definition had a variable here.
    fn placed(&self, term: Term, at: u32) -> Slot {
        match (term.class(), self.wires.get(term.offset() as usize)) {
            (Class::Var, Some(&Wire::Cell(cell))) if cell == at => constant(Term::ABSENT),
            (Class::Var, Some(&Wire::Value(value))) => Slot {
                word: Term::ABSENT.with_sub().0,
                value,
            },
            _ => self.loose(term),
        }
    }

    /// A term outside nodes, or the end of a wire that is not its cell.
    fn loose(&self, term: Term) -> Slot {
        let class = term.class();
        if class == Class::Var {
            return match self.wires[term.offset() as usize] {
                Wire::Cell(cell) => Slot {
                    word: Term::var(cell & 1).0,
                    value: NODES + cell / 2,
                },
                Wire::Value(value) => given(value),
                Wire::Open => unreachable!("every wire is given a cell before terms are placed"),
            };
        }
        if class.is_node() {
            let number = self.numbers[term.offset() as usize];
            let number = number.expect("only the root points at the node left out");
            return Slot {
                word: Term::node(class, term.label(), 0).0,
                value: NODES + number,
            };
        }
        constant(term)
    }

    fn port(&self, port: Port) -> Slot {
        match port {
            Port::Term(term) => self.loose(term),
            Port::Value(value) => given(value),
        }
    }
}

fn constant(term: Term) -> Slot {
    Slot {
        word: term.0,
        value: ZERO,
    }
}

fn given(value: u32) -> Slot {
    Slot { word: 0, value }
}

/// Nodes of the largest template.
pub(crate) fn most_nodes(lowered: &[Lowered]) -> usize {
    let nodes = |l: &Lowered| l.plain.nodes.len().max(l.opened.nodes.len());
    lowered.iter().map(nodes).max().unwrap_or(0)
}
