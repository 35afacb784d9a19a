//! A function that is being written, and the paths through it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ffcm::net::partial::{Emit, Net, Ports, TALLY_MAX, Tally, Value};
use ffcm::spec::word::{Class, Term};

use super::{BLOCKS_MAX, INSTS_MAX, REGISTERS_MAX};
use crate::ir::{Block, BlockId, End, Inst, Type, ValueId};

/// A function exceeds a limit.
#[derive(Debug)]
pub(super) struct TooLarge;

/// A set of leaves, one bit each.
pub(super) type Leaves = u8;

/// One function, being written.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) types: Vec<Type>,
    pub(super) blocks: Vec<Option<Block>>,
    /// Instructions written.
    pub(super) insts: usize,
    /// Leaves that go out although something in the function waits for what comes in there.
    pub(super) consumed: Leaves,
    /// Leaves that go out although another leaf that goes out waits for what comes in there.
    pub(super) passed: Leaves,
    /// Leaves that go out at which something else than an eraser goes out on some path.
    pub(super) produced: Leaves,
    /// Leaves at which some certain path has something that goes out.
    pub(super) certain: Leaves,
    /// What doubtful paths say of `consumed` and `passed`.
    suspected: [Leaves; 2],
    /// Entries that are called, or left for later.
    pub(super) callees: BTreeSet<u32>,
}

impl Draft {
    pub(super) fn value(&mut self, kind: Type) -> ValueId {
        self.types.push(kind);
        ValueId(self.types.len() as u32 - 1)
    }

    /// Notes what a path says of leaves that go out: it is believed at once unless the path is doubtful.
    pub(super) fn judging(&mut self, doubtful: bool, judge: impl FnOnce(&mut Draft)) {
        let before = (self.consumed, self.passed);
        judge(self);
        if doubtful {
            self.suspected[0] |= self.consumed;
            self.suspected[1] |= self.passed;
            (self.consumed, self.passed) = before;
        }
    }

    /// Believes the doubtful paths too, where no other has something that goes out.
    pub(super) fn believe(&mut self) {
        self.consumed |= self.suspected[0] & !self.certain;
        self.passed |= self.suspected[1] & !self.certain;
    }

    /// The number of a block that is written later.
    pub(super) fn block(&mut self) -> Result<BlockId, TooLarge> {
        if self.blocks.len() >= BLOCKS_MAX {
            return Err(TooLarge);
        }
        self.blocks.push(None);
        Ok(BlockId(self.blocks.len() as u32 - 1))
    }

    /// Writes a block.
    pub(super) fn write(&mut self, id: BlockId, body: Body, end: End) {
        let insts = reserved(body.insts, &self.types, body.looks);
        self.blocks[id.0 as usize] = Some(Block {
            tally: body.tally,
            total: body.total,
            insts,
            end,
        });
    }
}

/// A block without its end.
pub(super) struct Body {
    tally: Tally,
    total: u64,
    insts: Vec<Inst>,
    /// It has to look at the gas.
    looks: bool,
}

/// The instructions of a block with its reservations.
fn reserved(insts: Vec<Inst>, types: &[Type], looks: bool) -> Vec<Inst> {
    let mut done = Vec::with_capacity(insts.len() + 1);
    if looks {
        done.push(Inst::Reserve { nodes: 0 });
    }
    // Where the reservation that counts now stands.
    let mut at = looks.then_some(0);
    for inst in insts {
        let more = inst.nodes(types);
        if matches!(inst, Inst::Call { .. }) {
            at = None;
        }
        if more > 0 {
            let place = *at.get_or_insert_with(|| {
                done.push(Inst::Reserve { nodes: 0 });
                done.len() - 1
            });
            if let Inst::Reserve { nodes } = &mut done[place] {
                *nodes += more;
            }
        }
        done.push(inst);
    }
    done
}

/// What has been written of the block at the end of a path, and the values in its registers.
#[derive(Clone, Default)]
pub(super) struct Code {
    pub(super) registers: Vec<ValueId>,
    loaded: BTreeMap<u64, u8>,
    /// How often values have to be used yet.
    due: BTreeMap<ValueId, u8>,
    insts: Vec<Inst>,
    /// There is a call in this block, and in one before.
    called: (bool, bool),
}

impl Code {
    /// Gives a value a register.
    pub(super) fn hold(&mut self, value: ValueId) -> Result<u8, TooLarge> {
        let register = u8::try_from(self.registers.len()).map_err(|_| TooLarge)?;
        if self.registers.len() >= REGISTERS_MAX {
            return Err(TooLarge);
        }
        self.registers.push(value);
        Ok(register)
    }

    pub(super) fn value(&self, register: u8) -> ValueId {
        self.registers[register as usize]
    }

    /// A value has to be used so many times.
    pub(super) fn owe(&mut self, value: ValueId, times: u8) {
        self.due.insert(value, times);
    }

    pub(super) fn pay(&mut self, value: ValueId) {
        match self.due.get_mut(&value) {
            Some(due) if *due > 1 => *due -= 1,
            _ => {
                self.due.remove(&value);
            }
        }
    }

    /// A value turned out to be an atom, which may be left.
    pub(super) fn let_go(&mut self, register: u8) {
        self.due.remove(&self.value(register));
    }

    /// Ends a path. What is left over hangs on a vicious circle, of which nothing else remains here: that is left to the
    /// net.
    pub(super) fn end(&mut self, uses: &[ValueId]) -> Result<(), TooLarge> {
        uses.iter().for_each(|&value| self.pay(value));
        if self.due.is_empty() {
            Ok(())
        } else {
            Err(TooLarge)
        }
    }
}

/// Writes instructions to the end of a path.
pub(super) struct Writer<'a> {
    pub(super) draft: &'a mut Draft,
    pub(super) code: &'a mut Code,
}

impl Writer<'_> {
    pub(super) fn inst(&mut self, inst: Inst) -> Result<(), TooLarge> {
        self.draft.insts += 1;
        if self.draft.insts > INSTS_MAX {
            return Err(TooLarge);
        }
        self.code.called.0 |= matches!(inst, Inst::Call { .. });
        for value in inst.uses() {
            self.code.pay(value);
        }
        self.code.insts.push(inst);
        Ok(())
    }

    /// A register for a new value, and the value.
    pub(super) fn fresh(&mut self, kind: Type) -> Result<(u8, ValueId), TooLarge> {
        let value = self.draft.value(kind);
        if kind == Type::Term {
            self.code.owe(value, 1);
        }
        Ok((self.code.hold(value)?, value))
    }

    pub(super) fn value(&self, register: u8) -> ValueId {
        self.code.value(register)
    }

    fn slots(&self, ports: Ports) -> [Option<ValueId>; 2] {
        ports.slots.map(|slot| slot.map(|at| self.code.value(at)))
    }
}

impl Emit for Writer<'_> {
    type Error = TooLarge;

    fn load(&mut self, term: Term) -> Result<u8, TooLarge> {
        if let Some(&register) = self.code.loaded.get(&term.0) {
            return Ok(register);
        }
        let kind = match term.class() {
            Class::Num => Type::Number,
            _ => Type::Term,
        };
        let (register, to) = self.fresh(kind)?;
        self.code.let_go(register);
        self.inst(Inst::Load { to, term })?;
        self.code.loaded.insert(term.0, register);
        Ok(register)
    }

    fn allocate(&mut self, w0: u32) -> Result<u8, TooLarge> {
        let (register, to) = self.fresh(Type::Term)?;
        self.inst(Inst::Allocate { to, w0 })?;
        Ok(register)
    }

    fn write(&mut self, at: u8, ports: Ports) -> Result<(), TooLarge> {
        self.inst(Inst::Write {
            at: self.value(at),
            slots: self.slots(ports),
            variable: ports.variable,
        })
    }

    fn node(&mut self, w0: u32, ports: Ports) -> Result<u8, TooLarge> {
        let slots = self.slots(ports);
        let (register, to) = self.fresh(Type::Term)?;
        let variable = ports.variable;
        self.inst(Inst::Node {
            to,
            w0,
            slots,
            variable,
        })?;
        Ok(register)
    }

    fn cell(&mut self, node: u8, side: u8) -> Result<u8, TooLarge> {
        let node = self.value(node);
        let (register, to) = self.fresh(Type::Term)?;
        self.inst(Inst::Cell { to, node, side })?;
        Ok(register)
    }

    fn wire(&mut self) -> Result<u8, TooLarge> {
        let (register, to) = self.fresh(Type::Term)?;
        self.code.owe(to, 2);
        self.inst(Inst::Wire { to })?;
        Ok(register)
    }
}

/// One path through a function, up to where it has been written.
#[derive(Clone, Default)]
pub(super) struct Path {
    pub(super) net: Net,
    pub(super) code: Code,
    /// Definitions compiled in so far.
    pub(super) chain: Vec<u32>,
    /// Registers and the switches they met.
    pub(super) switches: VecDeque<(u8, u32)>,
    /// Registers and the patterns they met.
    pub(super) patterns: VecDeque<(u8, u32)>,
    /// Registers and the arguments they met.
    pub(super) applications: Vec<(u8, u32)>,
    /// The leaves that go out, and the wires whose other ends the function has.
    pub(super) outs: Vec<(usize, u32)>,
    /// Registers that hold 0, or a number of which the one before is in another register.
    pub(super) numbers: BTreeMap<u8, Option<u8>>,
    /// Calls of the definition itself that have been compiled in.
    pub(super) unrolled: usize,
    /// Switches and patterns that have been decided.
    pub(super) decided: (usize, usize),
    /// Nodes that passed through each other.
    pub(super) commuted: usize,
    /// This is where programs are not written for.
    pub(super) slow: bool,
    /// It may be that this is not to be met: other paths are believed first.
    pub(super) doubtful: bool,
}

impl Path {
    pub(super) fn writer<'a>(&'a mut self, draft: &'a mut Draft) -> Writer<'a> {
        Writer {
            draft,
            code: &mut self.code,
        }
    }

    /// What goes out at the leaves, as far as is known.
    pub(super) fn results(&self) -> impl Iterator<Item = Value> + '_ {
        let wires = self.outs.iter().map(|&(_, wire)| Value::Wire(wire));
        wires.map(|wire| self.net.resolve(wire))
    }

    /// Takes what has been written since the last block.
    pub(super) fn close(&mut self) -> Result<Body, TooLarge> {
        let total = self.net.total;
        if total > TALLY_MAX {
            return Err(TooLarge);
        }
        let (here, before) = self.code.called;
        self.code.called = (false, here || before);
        self.net.total = 0;
        Ok(Body {
            tally: std::mem::take(&mut self.net.tally),
            total,
            insts: std::mem::take(&mut self.code.insts),
            looks: before && total > 0,
        })
    }
}
