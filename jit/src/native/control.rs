//! How functions begin, branch and end.

use std::collections::BTreeMap;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{self as clif, Block, BlockArg, InstBuilder, Value};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use ffcm::net::partial::{CON, TALLY_MAX, Tally};
use ffcm::spec::number::{Kind, WIDE};
use ffcm::spec::word::{Class, Term};

use super::RenderError;
use super::abi::{self, Service};
use super::arith::plain_w0;
use super::body::Body;
use super::insts::VAR;
use crate::ir::{BlockId, End, Function, FunctionId, Inst, Mode, Module, Tree, ValueId};
use crate::likely::Likely;

/// A block that is still to be written, and the values that it is given.
struct Open {
    id: BlockId,
    at: Block,
    given: Vec<(ValueId, Value)>,
    /// What holds before that, see [`Body::back_to`].
    back_to: usize,
    /// Whether functions have been called since the gas was looked at.
    called: bool,
    /// Whether it is met rarely.
    rare: bool,
    /// Interactions before it that are not counted yet, and their number.
    uncounted: (Tally, u64),
}

/// What a tree that is compared consists of.
#[derive(Default)]
struct Taken {
    /// Offsets of its nodes.
    nodes: Vec<Value>,
    /// What is in its holes, and their numbers.
    holes: BTreeMap<usize, Value>,
    /// The first end of each wire: its slot, and what would lead to that.
    wires: BTreeMap<u8, (Value, Value)>,
}

/// What to write for a function.
pub struct Task<'m> {
    pub module: &'m Module,
    pub id: FunctionId,
    pub function: &'m Function,
    pub likely: Vec<Likely>,
    pub convention: CallConv,
}

impl Task<'_> {
    /// Writes the function into `to`, which is empty.
    pub fn write(
        self,
        to: &mut clif::Function,
        scratch: &mut FunctionBuilderContext,
        frontend: cranelift_codegen::isa::TargetFrontendConfig,
    ) -> Result<(), RenderError> {
        let (ins, outs) = (
            self.function.count(Mode::In),
            self.function.count(Mode::Out),
        );
        to.signature = abi::internal(ins, outs);
        let mut b = FunctionBuilder::new(to, scratch);
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        let params = b.block_params(entry).to_vec();
        let mut body = Body::new(
            b,
            self.module,
            self.function,
            self.likely,
            params[0],
            self.convention,
        );
        let (start, begin) = body.enter(self.id, &params[1..]);
        let given = begin.into_iter().enumerate();
        let mut open = vec![Open {
            id: BlockId(0),
            at: body.b.current_block().expect("the function has begun"),
            given: given.map(|(at, v)| (ValueId(at as u32), v)).collect(),
            back_to: 0,
            called: false,
            rare: false,
            uncounted: (Tally::default(), 0),
        }];
        while let Some(next) = open.pop() {
            if body.b.current_block() != Some(next.at) {
                body.b.switch_to_block(next.at);
            }
            (body.called, body.rare, body.short) = (next.called, next.rare, false);
            body.back_to(next.back_to);
            for (id, value) in next.given {
                body.give(id, value)?;
            }
            let Some(block) = self.function.blocks.get(next.id.0 as usize) else {
                return Err(body.invalid("a block is named that there is not"));
            };
            let (mut tally, before) = next.uncounted;
            tally.add(block.tally);
            let total = before + block.total;
            // What only looks at a value leaves the counting to its outcomes: one addition less on each path. The runtime
            // reads the counters where it is asked for memory, or to enter a call, and takes back only what has been counted.
            let looks = matches!(
                block.end,
                End::Switch { .. } | End::Match { .. } | End::Take { .. }
            );
            let loads = |inst: &Inst| matches!(inst, Inst::Load { .. });
            if looks && block.insts.iter().all(loads) && total <= TALLY_MAX {
                body.uncounted = (tally, total);
            } else {
                body.uncounted = (Tally::default(), 0);
                body.count(tally.0, total);
            }
            for inst in &block.insts {
                body.inst(inst)?;
            }
            body.settle_all()?;
            body.end(&block.end, self.id, start, &mut open)?;
        }
        body.finish().finalize(frontend);
        Ok(())
    }
}

impl Body<'_, '_> {
    /// Asks whether to go on. Answers where a loop goes back to, and what has come in.
    fn enter(&mut self, id: FunctionId, ins: &[Value]) -> (Block, Vec<Value>) {
        let (start, values) = self.joint(ins.len());
        self.jump(start, ins);
        self.b.switch_to_block(start);
        let (ask, body) = (self.cold(), self.next());
        let ticks = self.field(self.regions.counters, abi::TICKS);
        let more = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, ticks, 0);
        self.unless_to(more, ask);
        let sp = self.b.ins().get_stack_pointer(I64);
        let limit = self.field(self.regions.fixed, abi::STACK_LIMIT);
        let deep = self
            .b
            .ins()
            .icmp(IntCC::UnsignedGreaterThanOrEqual, sp, limit);
        self.unless_to(deep, ask);
        self.b.ins().jump(body, &[]);
        self.b.switch_to_block(ask);
        let entry = self.number(id.0);
        let from = self.put_words(&values);
        let to = self.words_from(values.len());
        let go_on = self.ask(Service::Enter, &[entry, from, to]);
        let leave = self.cold();
        self.b.ins().brif(go_on, body, &[], leave, &[]);
        self.b.switch_to_block(leave);
        let outs = self.take_words(values.len(), self.function.count(Mode::Out));
        self.b.ins().return_(&outs);
        self.b.switch_to_block(body);
        (start, values)
    }

    /// Counts the interactions of a block.
    fn count(&mut self, tally: u128, total: u64) {
        let flags = self.regions.counters;
        for (half, lanes) in [tally as u64, (tally >> 64) as u64].into_iter().enumerate() {
            if lanes != 0 {
                let at = abi::TALLY + 8 * half as i32;
                let before = self.field(flags, at);
                let after = self.b.ins().iadd_imm_s(before, lanes as i64);
                self.set_field(flags, at, after);
            }
        }
        if total != 0 {
            let before = self.field(flags, abi::TICKS);
            let after = self.b.ins().iadd_imm_s(before, -(total as i64));
            self.set_field(flags, abi::TICKS, after);
        }
    }

    fn end(
        &mut self,
        end: &End,
        own: FunctionId,
        start: Block,
        open: &mut Vec<Open>,
    ) -> Result<(), RenderError> {
        match end {
            End::Switch {
                from,
                zero,
                successor,
                before,
                other,
            } => self.switch(*from, [*zero, *successor, *other], *before, open),
            End::Match { from, cases, other } => self.choose(*from, cases, *other, open),
            End::Take {
                from,
                tree,
                holes,
                then,
                other,
            } => self.take(*from, tree, holes, [*then, *other], open),
            End::Return { outs } => {
                if outs.len() != self.function.count(Mode::Out) {
                    return Err(self.invalid("a function returns not as many terms as it should"));
                }
                let outs = self.all(outs)?;
                self.b.ins().return_(&outs);
                Ok(())
            }
            End::Tail { function, ins } => {
                let reference = self.callee(*function, ins.len())?;
                let terms = self.all(ins)?;
                if *function == own {
                    self.jump(start, &terms);
                    return Ok(());
                }
                let outs = |id: FunctionId| {
                    let callee = self.module.functions[id.0 as usize].as_ref();
                    callee.map_or(0, |one| one.count(Mode::Out))
                };
                if outs(*function) != outs(own) {
                    return Err(self.invalid("a last call has not the results of its function"));
                }
                let arguments: Vec<Value> = [self.context].into_iter().chain(terms).collect();
                self.b.ins().return_call(reference, &arguments);
                Ok(())
            }
        }
    }

    /// A block of the function whose `from` is given to it, and more values.
    fn branch(&mut self, id: BlockId, given: &[ValueId], open: &mut Vec<Open>) -> Block {
        let (at, values) = self.joint(given.len());
        open.push(Open {
            id,
            at,
            given: given.iter().copied().zip(values).collect(),
            back_to: self.given(),
            called: self.called,
            rare: self.rare,
            uncounted: self.uncounted,
        });
        at
    }

    /// The same for one that is met rarely.
    fn rarely(&mut self, id: BlockId, from: ValueId, open: &mut Vec<Open>) -> Block {
        let rare = std::mem::replace(&mut self.rare, true);
        let block = self.branch(id, &[from], open);
        self.rare = rare;
        block
    }

    fn switch(
        &mut self,
        from: ValueId,
        [zero, successor, other]: [BlockId; 3],
        before: ValueId,
        open: &mut Vec<Open>,
    ) -> Result<(), RenderError> {
        let term = self.get(from)?;
        let kind = match self.guess(from).plain() {
            Some(kind) if kind.is_wide() => Kind::U32,
            _ => Kind::U24,
        };
        let other = self.rarely(other, from, open);
        let zero = self.branch(zero, &[from], open);
        let successor = self.branch(successor, &[from, before], open);
        // Of the kind that is expected, the number before has the same lower half.
        let rare = self.cold();
        self.guard(term, plain_w0(kind), rare);
        let payload = self.b.ins().ushr_imm_s(term, 32);
        let less = self.b.ins().iadd_imm_s(term, -(1_i64 << 32));
        self.b.ins().brif(
            payload,
            successor,
            &[term.into(), less.into()],
            zero,
            &[term.into()],
        );
        self.b.switch_to_block(rare);
        let term = self.resolve(from, term);
        let number = self.is_class(term, Class::Num);
        let (found, none) = (self.cold(), [BlockArg::from(term)]);
        self.b.ins().brif(number, found, &[], other, &none);
        self.b.switch_to_block(found);
        let (bits, w0) = self.payload_and_kind(term);
        let upper = self.b.ins().ishl_imm_s(bits, 32);
        let upper = self.b.ins().iadd_imm_s(upper, -(1_i64 << 32));
        let less = self.b.ins().bor(upper, w0);
        self.b.ins().brif(
            bits,
            successor,
            &[term.into(), less.into()],
            zero,
            &[term.into()],
        );
        Ok(())
    }

    /// The bits of any number that a switch looks at, and the meta word of the one before.
    fn payload_and_kind(&mut self, number: Value) -> (Value, Value) {
        let wide = self.b.ins().band_imm_s(number, i64::from(WIDE));
        let bits = self.b.ins().ushr_imm_s(number, 32);
        let narrow = self.b.ins().band_imm_s(bits, (1 << 24) - 1);
        let bits = self.b.ins().select(wide, bits, narrow);
        let kinds =
            [Kind::U32, Kind::U24].map(|kind| self.b.ins().iconst(I64, i64::from(plain_w0(kind))));
        (bits, self.b.ins().select(wide, kinds[0], kinds[1]))
    }

    /// What a term stands for as far as is known now, asked for where it is an end of a wire.
    fn resolve(&mut self, id: ValueId, term: Value) -> Value {
        if self.is_number(id) {
            return term;
        }
        let (done, values) = self.joint(1);
        self.b.set_cold_block(done);
        let (wire, class) = (self.cold(), self.is_class(term, Class::Var));
        let known = [BlockArg::from(term)];
        self.b.ins().brif(class, wire, &[], done, &known);
        self.b.switch_to_block(wire);
        let known = self.ask(Service::Resolve, &[term]);
        self.jump(done, &[known]);
        self.b.switch_to_block(done);
        values[0]
    }

    fn choose(
        &mut self,
        from: ValueId,
        cases: &[(u32, BlockId)],
        other: BlockId,
        open: &mut Vec<Open>,
    ) -> Result<(), RenderError> {
        let term = self.get(from)?;
        let other = self.branch(other, &[from], open);
        let (looked, values) = self.joint(1);
        let rare = self.cold();
        let reference = self.is_class(term, Class::Ref);
        self.b
            .ins()
            .brif(reference, looked, &[term.into()], rare, &[]);
        self.b.switch_to_block(rare);
        let known = self.resolve(from, term);
        let reference = self.is_class(known, Class::Ref);
        let known = [BlockArg::from(known)];
        self.b.ins().brif(reference, looked, &known, other, &known);
        self.b.switch_to_block(looked);
        let term = values[0];
        let upper = self.b.ins().ushr_imm_s(term, 32);
        let definition = self.b.ins().ireduce(I32, upper);
        let places: BTreeMap<u32, Block> = cases
            .iter()
            .map(|&(number, id)| (number, self.branch(id, &[from], open)))
            .collect();
        self.search(
            definition,
            term,
            &places.into_iter().collect::<Vec<_>>(),
            other,
        );
        Ok(())
    }

    /// Compares a term with a tree, node by node, and frees its nodes if it is one: nothing has been changed before.
    fn take(
        &mut self,
        from: ValueId,
        tree: &Tree,
        holes: &[ValueId],
        [then, other]: [BlockId; 2],
        open: &mut Vec<Open>,
    ) -> Result<(), RenderError> {
        let term = self.get(from)?;
        let other = self.branch(other, &[from], open);
        let then = self.branch(then, holes, open);
        let (looked, values) = self.joint(1);
        let rare = self.cold();
        let constructor = self.is_constructor(term);
        self.b
            .ins()
            .brif(constructor, looked, &[term.into()], rare, &[]);
        self.b.switch_to_block(rare);
        let known = self.resolve(from, term);
        let constructor = self.is_constructor(known);
        let given = [BlockArg::from(known)];
        self.b
            .ins()
            .brif(constructor, looked, &given, other, &given);
        self.b.switch_to_block(looked);
        let term = values[0];
        let miss = self.next();
        let mut taken = Taken::default();
        self.compare(term, tree, miss, &mut taken)?;
        self.free_nodes(&taken.nodes);
        if taken.holes.len() != holes.len() {
            return Err(self.invalid("a tree has not as many holes as values"));
        }
        let found: Vec<Value> = taken.holes.into_values().collect();
        self.jump(then, &found);
        self.b.switch_to_block(miss);
        self.jump(other, &[term]);
        Ok(())
    }

    fn is_constructor(&mut self, term: Value) -> Value {
        let w0 = self.w0(term);
        self.b.ins().icmp_imm_s(IntCC::Equal, w0, i64::from(CON))
    }

    /// Goes on here if a constructor is such a tree.
    fn compare(
        &mut self,
        term: Value,
        tree: &Tree,
        miss: Block,
        taken: &mut Taken,
    ) -> Result<(), RenderError> {
        // With the number of the first hole of each.
        let mut pairs = vec![(term, tree, 0)];
        while let Some((term, tree, mut hole)) = pairs.pop() {
            let Tree::Pair(ports) = tree else {
                return Err(self.invalid("a tree is no constructor"));
            };
            let offset = self.offset(term);
            let address = self.slot(offset);
            taken.nodes.push(offset);
            for (side, port) in (0..).zip(ports.iter()) {
                let slot = self.read(address, side);
                let found = self.without_sub(slot);
                match port {
                    Tree::Pair(_) => {
                        self.guard(found, CON, miss);
                        pairs.push((found, port, hole));
                    }
                    Tree::Eraser => {
                        let equal =
                            self.b
                                .ins()
                                .icmp_imm_s(IntCC::Equal, found, Term::ERA.0 as i64);
                        self.unless_to(equal, miss);
                    }
                    Tree::Hole => {
                        let present = self.w0(slot);
                        self.unless_to(present, miss);
                        taken.holes.insert(hole, found);
                    }
                    Tree::Wire(wire) => {
                        let cell = self.b.ins().iadd_imm_s(offset, i64::from(side));
                        let end = (slot, self.node_term(VAR, cell));
                        match taken.wires.remove(wire) {
                            None => {
                                taken.wires.insert(*wire, end);
                            }
                            Some(first) => self.same_wire(first, end, miss),
                        }
                    }
                }
                hole += port.holes();
            }
        }
        Ok(())
    }

    /// Goes on here if these slots are the ends of one wire: one is its cell, the other leads there. Each comes with what
    /// would lead to it.
    fn same_wire(&mut self, a: (Value, Value), b: (Value, Value), miss: Block) {
        let done = self.next();
        let mut ways = [(b.0, a), (a.0, b)].into_iter().peekable();
        while let Some((end, (cell, leads))) = ways.next() {
            let otherwise = if ways.peek().is_some() {
                self.cold()
            } else {
                miss
            };
            let leads = self.b.ins().icmp(IntCC::Equal, end, leads);
            self.unless_to(leads, otherwise);
            let meta = self.w0(cell);
            let absent = self.b.ins().icmp_imm_s(IntCC::Equal, meta, 0);
            self.b.ins().brif(absent, done, &[], miss, &[]);
            if otherwise != miss {
                self.b.switch_to_block(otherwise);
            }
        }
        self.b.switch_to_block(done);
    }

    /// Goes to the place of a definition, by halving.
    fn search(&mut self, definition: Value, term: Value, places: &[(u32, Block)], other: Block) {
        let given = [BlockArg::from(term)];
        if places.len() <= 3 {
            for &(number, place) in places {
                let next = self.next();
                let equal =
                    self.b
                        .ins()
                        .icmp_imm_s(IntCC::Equal, definition, i64::from(number as i32));
                self.b.ins().brif(equal, place, &given, next, &[]);
                self.b.switch_to_block(next);
            }
            self.b.ins().jump(other, &given);
            return;
        }
        let (low, high) = places.split_at(places.len() / 2);
        let (below, above) = (self.next(), self.next());
        let less = self.b.ins().icmp_imm_s(
            IntCC::UnsignedLessThan,
            definition,
            i64::from(high[0].0 as i32),
        );
        self.b.ins().brif(less, below, &[], above, &[]);
        self.b.switch_to_block(below);
        self.search(definition, term, low, other);
        self.b.switch_to_block(above);
        self.search(definition, term, high, other);
    }
}

/// Writes what [`Code`](ffcm::cpu::native::Code) is: takes what comes in from memory, calls, leaves what goes out there.
pub fn write_door(
    to: &mut clif::Function,
    scratch: &mut FunctionBuilderContext,
    isa: &dyn cranelift_codegen::isa::TargetIsa,
    id: FunctionId,
    function: &Function,
) {
    let (ins, outs) = (function.count(Mode::In), function.count(Mode::Out));
    to.signature = abi::external(isa.default_call_conv());
    let mut b = FunctionBuilder::new(to, scratch);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let params = b.block_params(entry).to_vec();
    let flags = clif::MemFlagsData::trusted();
    let mut arguments = vec![params[0]];
    for at in 0..ins {
        arguments.push(b.ins().load(I64, flags, params[1], 8 * at as i32));
    }
    let signature = b.import_signature(abi::internal(ins, outs));
    let name = b
        .func
        .declare_imported_user_function(clif::UserExternalName::new(0, id.0));
    let reference = b.import_function(clif::ExtFuncData {
        name: clif::ExternalName::user(name),
        signature,
        colocated: true,
        patchable: false,
    });
    let call = b.ins().call(reference, &arguments);
    let results = b.inst_results(call).to_vec();
    for (at, result) in results.into_iter().enumerate() {
        b.ins().store(flags, result, params[2], 8 * at as i32);
    }
    b.ins().return_(&[]);
    b.seal_all_blocks();
    b.finalize(isa.frontend_config());
}
