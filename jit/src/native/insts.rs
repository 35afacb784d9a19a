//! Instructions: what programs are written for in line, everything else through the runtime.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value};
use ffcm::cpu::native::TICKS_MIN;
use ffcm::net::partial::CON;
use ffcm::spec::number::{Kind, Number};
use ffcm::spec::word::{Class, Term, variant};

use super::RenderError;
use super::abi::{self, Service};
use super::arith::{self, Payload};
use super::body::{Body, Held, SUB, Waiting};
use crate::ir::{Inst, ValueId};
use crate::likely::Likely;

/// The meta word of an end of a wire.
pub const VAR: u32 = Term::var(0).w0();
/// Of [`Runtime::operate`](ffcm::cpu::native::Runtime::operate): the first port met the node.
const SWAPPED: u32 = 256;

impl Body<'_, '_> {
    /// Writes an instruction.
    pub fn inst(&mut self, inst: &Inst) -> Result<(), RenderError> {
        match inst {
            Inst::Load { to, term } => {
                let value = self.constant(*term);
                self.set(*to, value)
            }
            Inst::Reserve { nodes } => {
                self.reserve(*nodes);
                Ok(())
            }
            Inst::Open {
                first,
                second,
                from,
            } => self.open(*first, *second, *from),
            Inst::Copy {
                first,
                second,
                from,
                w0,
            } => self.copy(*first, *second, *from, *w0),
            Inst::Operate {
                to,
                number,
                left,
                steps,
                swapped,
            } => {
                let how = u32::from(*steps) + if *swapped { SWAPPED } else { 0 };
                self.operate(*to, *number, *left, how)
            }
            Inst::Erase { from } => self.erase(*from),
            Inst::Link { a, b } => {
                let terms = self.all(&[*a, *b])?;
                self.serve(Service::Link, &terms);
                Ok(())
            }
            Inst::Allocate { to, w0 } => self.allocate(*to, *w0),
            Inst::Write {
                at,
                slots,
                variable,
            } => self.write_node(*at, *slots, *variable),
            Inst::Node {
                to,
                w0,
                slots,
                variable,
            } => {
                self.allocate(*to, *w0)?;
                self.write_node(*to, *slots, *variable)
            }
            Inst::Cell { to, node, side } => {
                let offset = self.offset_of(*node)?;
                let cell = self.b.ins().iadd_imm_s(offset, i64::from(*side));
                let end = self.node_term(VAR, cell);
                self.set(*to, end)
            }
            Inst::Wire { to } => {
                let end = self.ask(Service::Wire, &[]);
                self.set(*to, end)
            }
            Inst::Call {
                outs,
                function,
                ins,
            } => {
                let reference = self.callee(*function, ins.len())?;
                let mut arguments = vec![self.context];
                arguments.extend(self.all(ins)?);
                (self.called, self.short) = (true, true);
                let call = self.b.ins().call(reference, &arguments);
                let results = self.b.inst_results(call).to_vec();
                if results.len() != outs.len() {
                    return Err(self.invalid("a call has not as many results as its function"));
                }
                for (&out, result) in outs.iter().zip(results) {
                    self.set(out, result)?;
                }
                Ok(())
            }
            Inst::Apply {
                from,
                first,
                second,
            } => {
                let terms = self.all(&[*from, *first, *second])?;
                self.serve(Service::Apply, &terms);
                Ok(())
            }
            Inst::Defer { entry, leaves } => {
                let terms = self.all(leaves)?;
                if terms.len() > ffcm::net::partial::ARGUMENTS_MAX {
                    return Err(self.invalid("a call has too many leaves"));
                }
                let (entry, leaves) = (self.number(*entry), self.put_words(&terms));
                self.serve(Service::Defer, &[entry, leaves]);
                Ok(())
            }
        }
    }

    /// Makes sure of nodes, and of those that what has been put off may take.
    pub fn reserve(&mut self, nodes: u32) {
        let nodes = nodes + self.waiting() as u32;
        self.short = false;
        if nodes == 0 && !self.called {
            return;
        }
        let (few, next, halt) = (self.cold(), self.next(), self.halt());
        if nodes > 0 {
            let length = self.field(self.regions.length, abi::FREE_LENGTH);
            let least = i64::from(nodes);
            let order = IntCC::UnsignedGreaterThanOrEqual;
            let enough = self.b.ins().icmp_imm_s(order, length, least);
            self.unless_to(enough, few);
        }
        // Calls may have counted much since anybody looked.
        if std::mem::take(&mut self.called) {
            let ticks = self.field(self.regions.counters, abi::TICKS);
            let order = IntCC::SignedGreaterThanOrEqual;
            let enough = self.b.ins().icmp_imm_s(order, ticks, TICKS_MIN);
            self.unless_to(enough, few);
        }
        self.b.ins().jump(next, &[]);
        self.b.switch_to_block(few);
        let nodes = self.number(nodes);
        let more = self.ask(Service::Reserve, &[nodes]);
        self.b.ins().brif(more, next, &[], halt, &[]);
        self.b.switch_to_block(next);
    }

    fn open(&mut self, first: ValueId, second: ValueId, from: ValueId) -> Result<(), RenderError> {
        let term = self.get(from)?;
        let (done, ports) = self.joint(2);
        let other = self.cold();
        self.guard(term, CON, other);
        let offset = self.offset(term);
        let address = self.slot(offset);
        let slots = [self.read(address, 0), self.read(address, 1)];
        for slot in slots {
            let present = self.w0(slot);
            self.unless_to(present, other);
        }
        self.free_node(offset);
        let taken = slots.map(|slot| self.without_sub(slot));
        self.jump(done, &taken);
        self.b.switch_to_block(other);
        let address = self.words_from(0);
        self.serve(Service::Open, &[term, address]);
        let found = self.take_words(0, 2);
        self.jump(done, &found);
        self.b.switch_to_block(done);
        self.set(first, ports[0])?;
        self.set(second, ports[1])
    }

    fn copy(
        &mut self,
        first: ValueId,
        second: ValueId,
        from: ValueId,
        w0: u32,
    ) -> Result<(), RenderError> {
        let term = self.get(from)?;
        if self.is_number(from) {
            self.set(first, term)?;
            return self.set(second, term);
        }
        let (done, copies) = self.joint(2);
        let (other, neither) = (self.cold(), self.cold());
        let number = self.is_class(term, Class::Num);
        self.unless_to(number, other);
        self.jump(done, &[term, term]);
        self.b.switch_to_block(other);
        let reference = Term::reference(0, true).w0();
        debug_assert_eq!(Term::reference(0, true).variant(), variant::COPYABLE);
        self.guard(term, reference, neither);
        self.jump(done, &[term, term]);
        self.b.switch_to_block(neither);
        let (w0, address) = (self.number(w0), self.words_from(0));
        self.serve(Service::Copy, &[term, w0, address]);
        let found = self.take_words(0, 2);
        self.jump(done, &found);
        self.b.switch_to_block(done);
        self.set(first, copies[0])?;
        self.set(second, copies[1])
    }

    fn erase(&mut self, from: ValueId) -> Result<(), RenderError> {
        let term = self.get(from)?;
        if self.is_number(from) {
            return Ok(());
        }
        let (other, next) = (self.cold(), self.next());
        // References, erasers and numbers are the classes 1, 2 and 3.
        let w0 = self.w0(term);
        let class = self.b.ins().ushr_imm_s(w0, 28);
        let less = self.b.ins().iadd_imm_s(class, -1);
        let atom = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, less, 3);
        self.unless_to(atom, other);
        self.b.ins().jump(next, &[]);
        self.b.switch_to_block(other);
        self.serve(Service::Erase, &[term]);
        self.b.ins().jump(next, &[]);
        self.b.switch_to_block(next);
        Ok(())
    }

    /// The term of a node or a cell at an offset.
    pub fn node_term(&mut self, w0: u32, offset: Value) -> Value {
        let upper = self.b.ins().ishl_imm_s(offset, 32);
        self.b.ins().bor_imm_s(upper, i64::from(w0))
    }

    fn allocate(&mut self, to: ValueId, w0: u32) -> Result<(), RenderError> {
        let offset = self.take_node(to);
        let term = self.node_term(w0, offset);
        self.set(to, term)
    }

    fn write_node(
        &mut self,
        at: ValueId,
        slots: [Option<ValueId>; 2],
        variable: bool,
    ) -> Result<(), RenderError> {
        let mut terms = Vec::with_capacity(2);
        for slot in slots {
            terms.push(match slot {
                Some(id) => self.get(id)?,
                None => self.field(self.regions.fixed, abi::ABSENT),
            });
        }
        if variable {
            terms[0] = self.b.ins().bor_imm_s(terms[0], SUB);
        }
        let offset = self.offset_of(at)?;
        let address = self.slot(offset);
        for (side, term) in (0..).zip(terms) {
            self.write(address, side, term);
        }
        Ok(())
    }

    // Arithmetic.

    fn operate(
        &mut self,
        to: ValueId,
        number: ValueId,
        left: ValueId,
        how: u32,
    ) -> Result<(), RenderError> {
        let (a, b) = (self.guess(number), self.guess(left));
        let held = [self.held(number)?, self.held(left)?];
        // An operator that waits for its right operand.
        for ((waiting, other), kind) in [(held[0], left), (held[1], number)]
            .into_iter()
            .zip([b.plain(), a.plain()])
        {
            if let (Held::Waiting(waiting), Some(kind)) = (waiting, kind)
                && arith::is_integer(kind)
            {
                let other_term = self.get(other)?;
                let swap = matches!(held[0], Held::Waiting(_));
                self.cover();
                self.no_longer(if swap { number } else { left });
                return self.complete(to, waiting, other, other_term, kind, swap, how);
            }
        }
        let (number_term, left_term) = (self.get(number)?, self.get(left)?);
        let ways = [
            (a, number_term, left_term, left),
            (b, left_term, number_term, number),
        ];
        for (operation, partial, operand, id) in ways {
            let guess = self.guess(id);
            let Some(kind) = guess.plain().filter(|&kind| arith::is_integer(kind)) else {
                continue;
            };
            let known = match operation {
                Likely::Constant(term) => Number::from_term(term),
                _ => None,
            };
            match known {
                Some(Number::Operator(operator)) => {
                    let waiting = Waiting {
                        operator,
                        kind,
                        operand,
                        number: number_term,
                        left: left_term,
                        how,
                    };
                    return self.put_off(to, waiting);
                }
                Some(Number::Cast(target)) if arith::is_integer(target) => {
                    return self.one(
                        to,
                        number_term,
                        left_term,
                        how,
                        (operand, kind),
                        |body, v| {
                            let bits = arith::payload(&mut body.b, v);
                            arith::convert(&mut body.b, kind, bits, target)
                        },
                    );
                }
                Some(Number::Partial {
                    operator,
                    bits,
                    wide,
                }) => {
                    return self.one(
                        to,
                        number_term,
                        left_term,
                        how,
                        (operand, kind),
                        |body, v| {
                            let right = body.payload_of(guess, v);
                            let left = Payload::Known(bits);
                            arith::compute(&mut body.b, operator, left, wide, right, kind)
                        },
                    );
                }
                _ => {}
            }
            if let Likely::Partial(operator, left_kind) = operation {
                let wide = left_kind.is_wide();
                let other = self.cold();
                self.guard(partial, arith::partial_w0(operator, wide), other);
                self.guard_plain(guess, operand, kind, other);
                let bits = Payload::Value(arith::payload(&mut self.b, partial));
                let right = self.payload_of(guess, operand);
                let result = arith::compute(&mut self.b, operator, bits, wide, right, kind);
                let asked = (number_term, left_term, how);
                return self.join_operate(to, result, other, asked);
            }
        }
        let how = self.number(how);
        let result = self.ask(Service::Operate, &[number_term, left_term, how]);
        self.set(to, result)
    }

    /// An operation with one operand that is not known, probably of a kind.
    fn one(
        &mut self,
        to: ValueId,
        number: Value,
        left: Value,
        how: u32,
        (operand, kind): (Value, Kind),
        result: impl FnOnce(&mut Self, Value) -> Value,
    ) -> Result<(), RenderError> {
        let other = self.cold();
        self.guard(operand, arith::plain_w0(kind), other);
        let result = result(self, operand);
        self.join_operate(to, result, other, (number, left, how))
    }

    /// Goes on with a result, or with what the runtime makes of it.
    fn join_operate(
        &mut self,
        to: ValueId,
        result: Value,
        other: Block,
        (number, left, how): (Value, Value, u32),
    ) -> Result<(), RenderError> {
        let (done, values) = self.joint(1);
        self.jump(done, &[result]);
        self.b.switch_to_block(other);
        let how = self.number(how);
        let result = self.ask(Service::Operate, &[number, left, how]);
        self.jump(done, &[result]);
        self.b.switch_to_block(done);
        self.set(to, values[0])
    }

    /// The right operand of an operator that waits. `swap` says that it was the operator that met the node.
    #[expect(clippy::too_many_arguments, reason = "two operations at once")]
    fn complete(
        &mut self,
        to: ValueId,
        waiting: Waiting,
        right: ValueId,
        term: Value,
        kind: Kind,
        swap: bool,
        how: u32,
    ) -> Result<(), RenderError> {
        let guess = self.guess(right);
        let other = self.cold();
        self.guard(waiting.operand, arith::plain_w0(waiting.kind), other);
        self.guard_plain(guess, term, kind, other);
        let left = Payload::Value(arith::payload(&mut self.b, waiting.operand));
        let bits = self.payload_of(guess, term);
        let wide = waiting.kind.is_wide();
        let result = arith::compute(&mut self.b, waiting.operator, left, wide, bits, kind);
        let (done, values) = self.joint(1);
        self.jump(done, &[result]);
        self.b.switch_to_block(other);
        let first = self.number(waiting.how);
        let partial = self.ask(Service::Operate, &[waiting.number, waiting.left, first]);
        let (number, left) = if swap {
            (partial, term)
        } else {
            (term, partial)
        };
        let how = self.number(how);
        let result = self.ask(Service::Operate, &[number, left, how]);
        self.jump(done, &[result]);
        self.b.switch_to_block(done);
        self.set(to, values[0])
    }

    /// Looks whether a term is a plain number of this kind, unless that is known.
    fn guard_plain(&mut self, guess: Likely, term: Value, kind: Kind, otherwise: Block) {
        if !matches!(guess, Likely::Constant(_)) {
            self.guard(term, arith::plain_w0(kind), otherwise);
        }
    }

    fn payload_of(&mut self, guess: Likely, term: Value) -> Payload {
        match guess {
            Likely::Constant(known) => Payload::Known(known.w1()),
            _ => Payload::Value(arith::payload(&mut self.b, term)),
        }
    }

    /// Makes a term of an operator that waits.
    pub fn settle(&mut self, waiting: Waiting) -> Value {
        let other = self.cold();
        let plain = arith::plain_w0(waiting.kind);
        self.guard(waiting.operand, plain, other);
        // The lower half is known.
        let change = plain ^ arith::partial_w0(waiting.operator, waiting.kind.is_wide());
        let partial = self.b.ins().bxor_imm_s(waiting.operand, i64::from(change));
        let (done, values) = self.joint(1);
        self.jump(done, &[partial]);
        self.b.switch_to_block(other);
        let how = self.number(waiting.how);
        let result = self.ask(Service::Operate, &[waiting.number, waiting.left, how]);
        self.jump(done, &[result]);
        self.b.switch_to_block(done);
        values[0]
    }
}
