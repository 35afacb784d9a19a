//! What an entry does where it found no constructor to take apart: it builds the pattern it was looking for, with its wires
//! open, connects it with what was there, and goes on as if it had been taken apart. For references to small trees of
//! constructors the meeting with the pattern is worked out in advance.

use super::compile::{Code, Compiler, Miss, TooLarge, Tree};
use super::program::{NONE, Op};
use crate::net::partial::{Builder, CON, Net, Value};
use crate::spec::rules::Opcode;
use crate::spec::word::Term;

impl Compiler<'_> {
    /// Writes what the tests of the entry jump to.
    pub(super) fn write_misses(&mut self, code: &mut Code) -> Result<(), TooLarge> {
        let mut all = 0;
        for miss in std::mem::take(&mut self.misses) {
            let target = code.here();
            let Op::Open {
                miss: ref mut address,
                ..
            } = code.ops[miss.op]
            else {
                continue;
            };
            *address = target;
            let table = self.program.tables.len();
            let from = miss.from;
            let constructors = if miss.tables {
                self.constructors.len()
            } else {
                0
            };
            if constructors > 0 {
                self.program.tables.resize(table + constructors, NONE);
                code.emit(Op::Known {
                    from,
                    table: table as u32,
                })?;
            }
            // The rest of the path, whichever it is, has registers of its own.
            let registers = code.most_registers;
            (code.registers, code.nodes) = (registers, 0);
            let (mut net, root, holes) = miss.tree.to_net();
            net.links.push((Value::Register(from), root));
            self.write_miss(code, &miss, net, &holes)?;
            let mut most = code.nodes;
            for number in 0..constructors {
                let definition = &self.definitions[self.constructors[number] as usize];
                (code.registers, code.nodes) = (registers, 0);
                let address = code.here();
                let (mut net, root, holes) = miss.tree.to_net();
                net.count(Opcode::Specialize, 1);
                let constructor = net.instantiate(definition, 0);
                net.link(constructor, root);
                self.write_miss(code, &miss, net, &holes)?;
                self.program.tables[table + number] = address;
                most = most.max(code.nodes);
            }
            all += most;
        }
        self.most_nodes += all;
        Ok(())
    }

    /// Builds and connects what is left of `net`, puts into the register of each hole what is there, and goes on.
    fn write_miss(
        &mut self,
        code: &mut Code,
        miss: &Miss,
        mut net: Net,
        holes: &[(u32, u8)],
    ) -> Result<(), TooLarge> {
        for from in std::mem::take(&mut net.erasures) {
            net.links
                .push((Value::Register(from), Value::Atom(Term::ERA)));
        }
        for (register, node) in std::mem::take(&mut net.meetings) {
            net.links
                .push((Value::Register(register), Value::Node(node)));
        }
        for call in std::mem::take(&mut net.calls) {
            net.links
                .push((Value::Atom(call.reference), Value::Node(call.node)));
        }
        let mut tally = net.tally;
        tally.subtract(miss.tally);
        let total = net.total as i64 - miss.total as i64;
        code.emit(Op::Count {
            tally: self.program.tallies.len() as u32,
        })?;
        self.program.tallies.push((tally, total));
        let mut roots: Vec<Value> = net.links.iter().flat_map(|&(a, b)| [a, b]).collect();
        roots.extend(holes.iter().map(|&(wire, _)| Value::Wire(wire)));
        let mut builder = Builder::new(&net, &roots);
        let mut built = Vec::with_capacity(roots.len());
        for root in roots {
            built.push(builder.build(code, root)?);
        }
        let (links, ends) = built.split_at(2 * net.links.len());
        for (&(_, to), &from) in holes.iter().zip(ends) {
            code.emit(Op::Move { to, from })?;
        }
        for pair in links.chunks(2) {
            code.emit(Op::Link {
                a: pair[0],
                b: pair[1],
            })?;
        }
        code.emit(Op::Jump { to: miss.join })?;
        Ok(())
    }
}

impl Tree {
    /// The pattern as a net; the wires that stand for holes, with their registers; and the root.
    fn to_net(&self) -> (Net, Value, Vec<(u32, u8)>) {
        let mut net = Net::default();
        let mut holes = Vec::new();
        let root = self.add(&mut net, &mut holes);
        (net, root, holes)
    }

    fn add(&self, net: &mut Net, holes: &mut Vec<(u32, u8)>) -> Value {
        match self {
            Tree::Node(ports) => {
                let first = ports[0].add(net, holes);
                let second = ports[1].add(net, holes);
                net.node(CON, [first, second])
            }
            Tree::Hole(register) => {
                let wire = net.wire();
                holes.push((wire, *register));
                Value::Wire(wire)
            }
            // A wire both of whose ends are in the pattern.
            Tree::Filled(register) => match holes.iter().position(|(_, r)| r == register) {
                Some(hole) => Value::Wire(holes.remove(hole).0),
                None => Value::Register(*register),
            },
            Tree::Atom(term) => Value::Atom(*term),
        }
    }
}
