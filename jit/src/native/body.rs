//! The body of a function: values, blocks, memory, calls of the runtime.

use std::borrow::Cow;
use std::collections::BTreeMap;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{
    AliasRegion, AliasRegionData, Block, BlockArg, ExtFuncData, ExternalName, FuncRef, InstBuilder,
    MemFlagsData, SigRef, StackSlot, StackSlotData, StackSlotKind, UserExternalName, Value,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;
use ffcm::net::partial::{ARGUMENTS_MAX, Tally};
use ffcm::spec::number::{Kind, Operator};
use ffcm::spec::word::Term;

use super::RenderError;
use super::abi::{self, Service};
use crate::ir::{Function, FunctionId, Mode, Module, Type, ValueId};
use crate::likely::Likely;

/// The bit of a term that marks what has been substituted.
pub const SUB: i64 = 1 << 31;
/// The class of a term, in its meta word.
pub const CLASS: i64 = 7 << 28;

/// Memory that is written in different ways, and never the same word in two of them.
pub struct Regions {
    /// Fields of the context that only the runtime changes.
    pub fixed: MemFlagsData,
    /// `free_length`.
    pub length: MemFlagsData,
    /// `tally` and `ticks`.
    pub counters: MemFlagsData,
    /// The list of free nodes.
    pub list: MemFlagsData,
    /// Slots.
    pub heap: MemFlagsData,
    /// This function's words for the runtime.
    pub words: MemFlagsData,
}

impl Regions {
    fn new(b: &mut FunctionBuilder) -> Regions {
        let mut number = 0;
        let mut region = |description| {
            let data = AliasRegionData {
                user_id: number,
                description: Cow::Borrowed(description),
            };
            number += 1;
            let region: AliasRegion = b.func.dfg.alias_regions.insert(data);
            MemFlagsData::trusted().with_alias_region(Some(region))
        };
        Regions {
            fixed: region("fixed"),
            length: region("free length"),
            counters: region("counters"),
            list: region("free list"),
            heap: region("heap"),
            words: region("words"),
        }
    }
}

/// A value of the function as far as it is there.
#[derive(Clone, Copy)]
pub enum Held {
    /// In a register.
    Here(Value),
    /// An operator that has met its left operand, put off until its right one comes.
    Waiting(Waiting),
}

/// See [`Held::Waiting`].
#[derive(Clone, Copy)]
pub struct Waiting {
    pub operator: Operator,
    /// What the operand probably is.
    pub kind: Kind,
    /// The operand.
    pub operand: Value,
    /// How the runtime is asked: what met, what stood in the node, and the rest.
    pub number: Value,
    pub left: Value,
    pub how: u32,
}

/// A function being written.
pub struct Body<'f, 'b> {
    pub b: FunctionBuilder<'b>,
    pub module: &'f Module,
    pub function: &'f Function,
    pub likely: Vec<Likely>,
    pub context: Value,
    pub regions: Regions,
    /// Whether functions have been called since the gas was looked at.
    pub called: bool,
    /// Whether there was a call since memory was made sure of.
    pub short: bool,
    /// Whether what is being written is met rarely.
    pub rare: bool,
    /// Interactions that the outcomes of a look have to count, and their number.
    pub uncounted: (Tally, u64),
    held: Vec<Option<Held>>,
    /// What was held for values that branches have given others since.
    before: Vec<(ValueId, Option<Held>)>,
    /// The values that wait.
    waiting: Vec<ValueId>,
    /// Offsets of nodes that this function has taken.
    offsets: BTreeMap<ValueId, Value>,
    words: StackSlot,
    convention: CallConv,
    services: [Option<SigRef>; Service::COUNT],
    callees: BTreeMap<u32, FuncRef>,
    halt: Option<Block>,
}

impl<'f, 'b> Body<'f, 'b> {
    /// A function whose entry block is open; `context` is its first parameter.
    pub fn new(
        mut b: FunctionBuilder<'b>,
        module: &'f Module,
        function: &'f Function,
        likely: Vec<Likely>,
        context: Value,
        convention: CallConv,
    ) -> Body<'f, 'b> {
        let size = 8 * ARGUMENTS_MAX as u32;
        let words =
            b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, size, 3));
        Body {
            regions: Regions::new(&mut b),
            b,
            module,
            function,
            likely,
            context,
            called: false,
            short: false,
            rare: false,
            uncounted: (Tally::default(), 0),
            held: vec![None; function.types.len()],
            before: Vec::new(),
            waiting: Vec::new(),
            offsets: BTreeMap::new(),
            words,
            convention,
            services: [None; Service::COUNT],
            callees: BTreeMap::new(),
            halt: None,
        }
    }

    /// What is held for a value.
    pub fn held(&self, id: ValueId) -> Result<Held, RenderError> {
        let held = self.held.get(id.0 as usize).copied().flatten();
        held.ok_or_else(|| self.invalid("a value is used that is not there"))
    }

    /// A value as a term.
    pub fn get(&mut self, id: ValueId) -> Result<Value, RenderError> {
        match self.held(id)? {
            Held::Here(value) => Ok(value),
            Held::Waiting(waiting) => {
                self.cover();
                let value = self.settle(waiting);
                self.set(id, value)?;
                Ok(value)
            }
        }
    }

    /// Several values.
    pub fn all(&mut self, ids: &[ValueId]) -> Result<Vec<Value>, RenderError> {
        ids.iter().map(|&id| self.get(id)).collect()
    }

    /// Gives a value to a name.
    pub fn set(&mut self, id: ValueId, value: Value) -> Result<(), RenderError> {
        self.hold(id, Held::Here(value))
    }

    /// Gives a value to a name that may have one, until [`Body::back_to`].
    pub fn give(&mut self, id: ValueId, value: Value) -> Result<(), RenderError> {
        let held = self.held.get(id.0 as usize).copied().flatten();
        self.before.push((id, held));
        self.set(id, value)
    }

    /// How much has been given.
    pub fn given(&self) -> usize {
        self.before.len()
    }

    /// Takes back what has been given since it was so much.
    pub fn back_to(&mut self, given: usize) {
        for (id, held) in self.before.drain(given..).rev() {
            self.held[id.0 as usize] = held;
        }
    }

    fn hold(&mut self, id: ValueId, held: Held) -> Result<(), RenderError> {
        match self.held.get_mut(id.0 as usize) {
            Some(place) => *place = Some(held),
            None => return Err(self.invalid("a value has no type")),
        }
        Ok(())
    }

    /// How many operations have been put off.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Makes sure of memory for what has been put off, if there was a call since.
    pub fn cover(&mut self) {
        if self.short {
            self.reserve(0);
        }
    }

    /// Puts an operation off, at most until the block ends.
    pub fn put_off(&mut self, id: ValueId, waiting: Waiting) -> Result<(), RenderError> {
        self.waiting.push(id);
        self.hold(id, Held::Waiting(waiting))
    }

    /// What was put off has been done with what came after it.
    pub fn no_longer(&mut self, id: ValueId) {
        self.waiting.retain(|&one| one != id);
    }

    /// Does what has been put off.
    pub fn settle_all(&mut self) -> Result<(), RenderError> {
        if !self.waiting.is_empty() {
            self.cover();
        }
        for id in std::mem::take(&mut self.waiting) {
            self.get(id)?;
        }
        Ok(())
    }

    /// The error for code that breaks the rules of [`crate::ir`].
    pub fn invalid(&self, what: &'static str) -> RenderError {
        RenderError::Invalid {
            function: self.function.name.clone(),
            what,
        }
    }

    /// Whether a value is certain to be a number.
    pub fn is_number(&self, id: ValueId) -> bool {
        self.function.types.get(id.0 as usize) == Some(&Type::Number)
    }

    /// What a value probably is.
    pub fn guess(&self, id: ValueId) -> Likely {
        self.likely.get(id.0 as usize).copied().unwrap_or_default()
    }

    // Blocks.

    /// A block for what is met rarely, out of the way.
    pub fn cold(&mut self) -> Block {
        let block = self.b.create_block();
        self.b.set_cold_block(block);
        block
    }

    /// A block for what comes next.
    pub fn next(&mut self) -> Block {
        if self.rare {
            return self.cold();
        }
        self.b.create_block()
    }

    /// A block that is given so many terms.
    pub fn joint(&mut self, terms: usize) -> (Block, Vec<Value>) {
        let block = self.next();
        let values = (0..terms)
            .map(|_| self.b.append_block_param(block, I64))
            .collect();
        (block, values)
    }

    /// Goes to a block with these terms.
    pub fn jump(&mut self, to: Block, terms: &[Value]) {
        let arguments: Vec<BlockArg> = terms.iter().map(|&term| term.into()).collect();
        self.b.ins().jump(to, &arguments);
    }

    /// Goes on here if the condition holds, otherwise to a block without parameters.
    pub fn unless_to(&mut self, condition: Value, otherwise: Block) {
        let next = self.next();
        self.b.ins().brif(condition, next, &[], otherwise, &[]);
        self.b.switch_to_block(next);
    }

    /// Goes on here if a term has this meta word.
    pub fn guard(&mut self, term: Value, w0: u32, otherwise: Block) {
        let found = self.w0(term);
        let equal = self
            .b
            .ins()
            .icmp_imm_s(IntCC::Equal, found, i64::from(w0 as i32));
        self.unless_to(equal, otherwise);
    }

    /// Where a run that is over leaves the function.
    pub fn halt(&mut self) -> Block {
        match self.halt {
            Some(block) => block,
            None => {
                let block = self.cold();
                self.halt = Some(block);
                block
            }
        }
    }

    /// Writes that block if it has been asked for: returns erasers.
    pub fn finish(mut self) -> FunctionBuilder<'b> {
        if let Some(block) = self.halt {
            self.b.switch_to_block(block);
            let eraser = self.constant(Term::ERA);
            let outs = vec![eraser; self.function.count(Mode::Out)];
            self.b.ins().return_(&outs);
        }
        self.b.seal_all_blocks();
        self.b
    }

    // Terms.

    /// A term known in advance.
    pub fn constant(&mut self, term: Term) -> Value {
        self.b.ins().iconst(I64, term.0 as i64)
    }

    /// The meta word.
    pub fn w0(&mut self, term: Value) -> Value {
        self.b.ins().ireduce(I32, term)
    }

    /// Whether a term is of this class.
    pub fn is_class(&mut self, term: Value, class: ffcm::spec::word::Class) -> Value {
        let w0 = self.w0(term);
        let found = self.b.ins().band_imm_s(w0, CLASS);
        self.b
            .ins()
            .icmp_imm_s(IntCC::Equal, found, i64::from(class as u32) << 28)
    }

    /// A term without its substitution bit.
    pub fn without_sub(&mut self, term: Value) -> Value {
        self.b.ins().band_imm_s(term, !SUB)
    }

    /// The offset of a node.
    pub fn offset(&mut self, term: Value) -> Value {
        self.b.ins().ushr_imm_s(term, 32)
    }

    /// The offset of a node named by a value.
    pub fn offset_of(&mut self, node: ValueId) -> Result<Value, RenderError> {
        if let Some(&offset) = self.offsets.get(&node) {
            return Ok(offset);
        }
        let term = self.get(node)?;
        Ok(self.offset(term))
    }

    // Memory.

    /// Reads a field of the context.
    pub fn field(&mut self, flags: MemFlagsData, offset: i32) -> Value {
        self.b.ins().load(I64, flags, self.context, offset)
    }

    /// Writes a field of the context.
    pub fn set_field(&mut self, flags: MemFlagsData, offset: i32, value: Value) {
        self.b.ins().store(flags, value, self.context, offset);
    }

    /// The address of a slot.
    pub fn slot(&mut self, offset: Value) -> Value {
        let heap = self.field(self.regions.fixed, abi::HEAP);
        let bytes = self.b.ins().ishl_imm_s(offset, 3);
        self.b.ins().iadd(heap, bytes)
    }

    /// Reads a slot, with acquire ordering: a plain load has it on x86-64.
    pub fn read(&mut self, address: Value, side: i32) -> Value {
        let flags = self.regions.heap;
        if cfg!(target_arch = "x86_64") {
            return self.b.ins().load(I64, flags, address, 8 * side);
        }
        let at = self.b.ins().iadd_imm_s(address, i64::from(8 * side));
        self.b.ins().atomic_load(I64, flags, at)
    }

    /// Writes a slot of a new node.
    pub fn write(&mut self, address: Value, side: i32, value: Value) {
        let flags = self.regions.heap;
        self.b.ins().store(flags, value, address, 8 * side);
    }

    /// Takes a free node that has been made sure of. Answers its offset.
    pub fn take_node(&mut self, id: ValueId) -> Value {
        let length = self.field(self.regions.length, abi::FREE_LENGTH);
        let last = self.b.ins().iadd_imm_s(length, -1);
        self.set_field(self.regions.length, abi::FREE_LENGTH, last);
        let place = self.free_place(last);
        let offset = self.b.ins().uload32(self.regions.list, place, 0);
        self.offsets.insert(id, offset);
        offset
    }

    /// Puts a node back on the list.
    pub fn free_node(&mut self, offset: Value) {
        let length = self.field(self.regions.length, abi::FREE_LENGTH);
        let capacity = self.field(self.regions.fixed, abi::FREE_CAPACITY);
        let room = self.b.ins().icmp(IntCC::UnsignedLessThan, length, capacity);
        let (full, next) = (self.cold(), self.next());
        self.unless_to(room, full);
        let place = self.free_place(length);
        self.b.ins().istore32(self.regions.list, offset, place, 0);
        let more = self.b.ins().iadd_imm_s(length, 1);
        self.set_field(self.regions.length, abi::FREE_LENGTH, more);
        self.b.ins().jump(next, &[]);
        self.b.switch_to_block(full);
        let node = self.b.ins().ireduce(I32, offset);
        self.serve(Service::Free, &[node]);
        self.b.ins().jump(next, &[]);
        self.b.switch_to_block(next);
    }

    /// Puts several nodes back on the list, which is looked at once where it has room.
    pub fn free_nodes(&mut self, offsets: &[Value]) {
        let length = self.field(self.regions.length, abi::FREE_LENGTH);
        let capacity = self.field(self.regions.fixed, abi::FREE_CAPACITY);
        let more = self.b.ins().iadd_imm_s(length, offsets.len() as i64);
        let order = IntCC::UnsignedLessThanOrEqual;
        let room = self.b.ins().icmp(order, more, capacity);
        let (full, next) = (self.cold(), self.next());
        self.unless_to(room, full);
        let place = self.free_place(length);
        for (at, &offset) in (0..).zip(offsets) {
            self.b
                .ins()
                .istore32(self.regions.list, offset, place, 4 * at);
        }
        self.set_field(self.regions.length, abi::FREE_LENGTH, more);
        self.b.ins().jump(next, &[]);
        self.b.switch_to_block(full);
        for &offset in offsets {
            let node = self.b.ins().ireduce(I32, offset);
            self.serve(Service::Free, &[node]);
        }
        self.b.ins().jump(next, &[]);
        self.b.switch_to_block(next);
    }

    fn free_place(&mut self, index: Value) -> Value {
        let list = self.field(self.regions.fixed, abi::FREE);
        let bytes = self.b.ins().ishl_imm_s(index, 2);
        self.b.ins().iadd(list, bytes)
    }

    // Calls.

    /// Calls a function of the runtime.
    pub fn serve(&mut self, service: Service, arguments: &[Value]) -> Option<Value> {
        let signature = match self.services[service as usize] {
            Some(signature) => signature,
            None => {
                let signature = self.b.import_signature(service.signature(self.convention));
                self.services[service as usize] = Some(signature);
                signature
            }
        };
        let runtime = self.field(self.regions.fixed, abi::RUNTIME);
        let flags = self.regions.fixed;
        let address = self.b.ins().load(I64, flags, runtime, service.offset());
        let arguments: Vec<Value> = [self.context].iter().chain(arguments).copied().collect();
        let call = self.b.ins().call_indirect(signature, address, &arguments);
        self.b.inst_results(call).first().copied()
    }

    /// The same where there is an answer.
    pub fn ask(&mut self, service: Service, arguments: &[Value]) -> Value {
        self.serve(service, arguments)
            .expect("this function of the runtime answers")
    }

    /// A number that the runtime is given.
    pub fn number(&mut self, number: u32) -> Value {
        self.b.ins().iconst(I32, i64::from(number))
    }

    /// Leaves terms where the runtime finds them, and answers where.
    pub fn put_words(&mut self, terms: &[Value]) -> Value {
        let address = self.words_from(0);
        for (at, &term) in terms.iter().enumerate() {
            let flags = self.regions.words;
            self.b.ins().store(flags, term, address, 8 * at as i32);
        }
        address
    }

    /// The address of a word.
    pub fn words_from(&mut self, word: usize) -> Value {
        self.b.ins().stack_addr(I64, self.words, 8 * word as i32)
    }

    /// Reads what the runtime has left at a word and after it.
    pub fn take_words(&mut self, from: usize, terms: usize) -> Vec<Value> {
        let address = self.words_from(from);
        let flags = self.regions.words;
        (0..terms)
            .map(|at| self.b.ins().load(I64, flags, address, 8 * at as i32))
            .collect()
    }

    /// A function of the module, how it is called.
    pub fn callee(&mut self, id: FunctionId, ins: usize) -> Result<FuncRef, RenderError> {
        let callee = self.module.functions.get(id.0 as usize);
        let Some(Some(callee)) = callee else {
            return Err(self.invalid("a function is called that there is not"));
        };
        if callee.count(Mode::In) != ins {
            return Err(self.invalid("a call has not as many arguments as its function"));
        }
        if let Some(&known) = self.callees.get(&id.0) {
            return Ok(known);
        }
        let signature = self
            .b
            .import_signature(abi::internal(ins, callee.count(Mode::Out)));
        let name = self
            .b
            .func
            .declare_imported_user_function(UserExternalName::new(0, id.0));
        let reference = self.b.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: true,
            patchable: false,
        });
        self.callees.insert(id.0, reference);
        Ok(reference)
    }
}
