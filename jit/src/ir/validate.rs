//! The rules of the intermediate representation, checked.
//!
//! What has been validated can be rendered without further questions: every value is written before it is used, and as
//! often used as its owner may; blocks form a tree; calls fit what they call; memory and gas are looked at where they have
//! to be.

use std::collections::BTreeMap;

use ffcm::net::partial::{ARGUMENTS_MAX, Shape, TALLY_MAX};
use ffcm::spec::word::{Class, Term};

use super::{Block, BlockId, End, Function, FunctionId, Inst, Mode, Module, Type, ValueId};

/// Which rule is broken, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("function {function}, block {block}: {fault}")]
pub struct Invalid {
    /// Index of the function.
    pub function: u32,
    /// Index of the block; 0 where the function as a whole is meant.
    pub block: u32,
    /// What is wrong.
    pub fault: Fault,
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not as many functions as entries.
    #[error("there are not as many functions as entries")]
    Entries,
    /// The definition or the shape of a function is not that of its entry.
    #[error("the function is not one for its entry")]
    Entry,
    /// A shape has one to [`ARGUMENTS_MAX`] leaves, a function a mode for each.
    #[error("the modes do not fit the shape")]
    Modes,
    /// There is no such block, or it is named by a block that is not before it, or twice, or never.
    #[error("block {0} is not named once by an earlier block")]
    Tree(u32),
    /// A value that does not exist, or has not been written on the way.
    #[error("value {0} is not written before it is used")]
    Unwritten(u32),
    /// A value is written twice, or a leaf is.
    #[error("value {0} is written twice")]
    Rewritten(u32),
    /// A value is used more often than it may be.
    #[error("value {0} is used too often")]
    Reused(u32),
    /// A value is not used at the end of a path.
    #[error("value {0} is left over")]
    Unused(u32),
    /// The type of a value is not that of what is written.
    #[error("value {0} has the wrong type")]
    Mistyped(u32),
    /// A term known in advance is no number, reference to a definition, or eraser.
    #[error("a term is no atom, or its definition does not exist")]
    Atom,
    /// A meta word is not of a node, or of the wrong class.
    #[error("a meta word is not that of such a node")]
    Meta,
    /// A number of steps is 1 or 2; what has changed places is known in advance.
    #[error("an arithmetic step is not one that can be")]
    Steps,
    /// An allocated node is written once in its block, before anything is connected or called; its cells are slots without a value.
    #[error("node {0} is not allocated and written in one go")]
    Node(u32),
    /// An instruction allocates more than has been made sure of.
    #[error("nodes are taken that have not been made sure of")]
    Unreserved,
    /// A block that counts after a call does not begin by having the counters looked at.
    #[error("the counters are not looked at after a call")]
    Unattended,
    /// A total is not the sum of its tally, or above [`TALLY_MAX`].
    #[error("a total is not the sum of its tally, or too large")]
    Tally,
    /// A call is one of a function that exists, with a value for each leaf.
    #[error("a call of {0} does not fit")]
    Call(u32),
    /// Cases are ascending, of definitions that exist.
    #[error("the cases of a match are not ascending")]
    Cases,
    /// A tree that is taken apart has a constructor, wires with two ends each, and a value for each hole.
    #[error("what is taken apart is no tree, or has not as many holes")]
    Take,
}

/// Checks every rule for functions of these entries, in a book of so many definitions. Takes time linear in the module's
/// size, but for a logarithm.
pub fn validate(
    module: &Module,
    definitions: usize,
    entries: &[(u32, Shape)],
) -> Result<(), Invalid> {
    if module.functions.len() != entries.len() {
        return Err(Invalid {
            function: 0,
            block: 0,
            fault: Fault::Entries,
        });
    }
    for (index, (function, entry)) in (0u32..).zip(module.functions.iter().zip(entries)) {
        let Some(function) = function else { continue };
        let mut checker = Checker {
            module,
            entries,
            definitions,
            function,
            state: vec![State::default(); function.types.len()],
            named: vec![false; function.blocks.len()],
            undo: Vec::new(),
            live: 0,
            block: 0,
        };
        checker.function(entry).map_err(|fault| Invalid {
            function: index,
            block: checker.block,
            fault,
        })?;
    }
    Ok(())
}

/// What has become of a value on the way to where the checker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    written: bool,
    /// It may be used any number of times.
    free: bool,
    /// How often it must be used yet, unless it is free.
    due: u8,
}

/// A step of the walk over the tree.
enum Walk<'m> {
    /// Into a block.
    Enter(Entered<'m>),
    /// Back to where so many changes had been made.
    Leave(usize),
}

/// A block that is entered.
struct Entered<'m> {
    block: BlockId,
    /// Whether there are calls before it.
    called: bool,
    /// Values that it gets, and their type.
    written: (&'m [ValueId], Type),
    /// One that is free there.
    freed: Option<ValueId>,
}

/// A node that waits for being written.
#[derive(Clone, Copy, Default)]
struct Allocated {
    written: Option<[bool; 2]>,
    celled: [bool; 2],
}

struct Checker<'m> {
    module: &'m Module,
    entries: &'m [(u32, Shape)],
    definitions: usize,
    function: &'m Function,
    state: Vec<State>,
    named: Vec<bool>,
    /// Values that changed, and what they were before.
    undo: Vec<(u32, State)>,
    /// Values that must be used yet.
    live: usize,
    block: u32,
}

impl<'m> Checker<'m> {
    fn function(&mut self, entry: &(u32, Shape)) -> Result<(), Fault> {
        let function = self.function;
        if (function.definition, &function.shape) != (entry.0, &entry.1)
            || function.definition as usize >= self.definitions
        {
            return Err(Fault::Entry);
        }
        let leaves = function.modes.len();
        if leaves > ARGUMENTS_MAX || function.shape.leaves() != leaves {
            return Err(Fault::Modes);
        }
        for value in 0..function.count(Mode::In) as u32 {
            self.write(ValueId(value), Type::Term, 1)?;
        }
        if function.blocks.is_empty() {
            return Err(Fault::Tree(0));
        }
        let mut walk = vec![entering(BlockId(0), false, None)];
        while let Some(step) = walk.pop() {
            match step {
                Walk::Leave(mark) => self.restore(mark),
                Walk::Enter(entered) => {
                    walk.push(Walk::Leave(self.undo.len()));
                    let index = entered.block.0;
                    self.block = index;
                    let (values, kind) = entered.written;
                    for &value in values {
                        self.write(value, kind, 1)?;
                    }
                    if let Some(value) = entered.freed {
                        self.free(value)?;
                    }
                    let block = &function.blocks[index as usize];
                    self.block(block, entered.called, &mut walk)?;
                }
            }
        }
        match self.named.iter().skip(1).position(|&named| !named) {
            Some(block) => Err(Fault::Tree(block as u32 + 1)),
            None => Ok(()),
        }
    }

    // ---- values -----------------------------------------------------------------------------------------------

    fn set(&mut self, value: ValueId, state: State) {
        let slot = &mut self.state[value.0 as usize];
        let due = |state: &State| usize::from(!state.free && state.due > 0);
        self.live = self.live - due(slot) + due(&state);
        self.undo.push((value.0, std::mem::replace(slot, state)));
    }

    fn restore(&mut self, mark: usize) {
        while self.undo.len() > mark {
            if let Some((value, state)) = self.undo.pop() {
                self.set(ValueId(value), state);
                self.undo.pop();
            }
        }
    }

    fn get(&self, value: ValueId) -> Result<State, Fault> {
        let found = self.state.get(value.0 as usize).copied();
        found
            .filter(|state| state.written)
            .ok_or(Fault::Unwritten(value.0))
    }

    /// A value gets a term of which so many uses have to be made; numbers may be used freely.
    fn write(&mut self, value: ValueId, kind: Type, due: u8) -> Result<(), Fault> {
        match self.state.get(value.0 as usize) {
            None => return Err(Fault::Unwritten(value.0)),
            Some(state) if state.written => return Err(Fault::Rewritten(value.0)),
            Some(_) => {}
        }
        if self.function.types[value.0 as usize] != kind {
            return Err(Fault::Mistyped(value.0));
        }
        let state = State {
            written: true,
            free: kind == Type::Number || due == 0,
            due,
        };
        self.set(value, state);
        Ok(())
    }

    fn free(&mut self, value: ValueId) -> Result<(), Fault> {
        let state = self.get(value)?;
        self.set(
            value,
            State {
                free: true,
                ..state
            },
        );
        Ok(())
    }

    fn take(&mut self, value: ValueId) -> Result<(), Fault> {
        let state = self.get(value)?;
        if state.free {
            return Ok(());
        }
        let due = state.due.checked_sub(1).ok_or(Fault::Reused(value.0))?;
        self.set(value, State { due, ..state });
        Ok(())
    }

    fn take_all<'v>(&mut self, values: impl IntoIterator<Item = &'v ValueId>) -> Result<(), Fault> {
        values.into_iter().try_for_each(|&value| self.take(value))
    }

    /// Looks at a value that is there.
    fn look(&self, value: ValueId) -> Result<(), Fault> {
        let state = self.get(value)?;
        if !state.free && state.due == 0 {
            return Err(Fault::Reused(value.0));
        }
        Ok(())
    }

    fn is_number(&self, value: ValueId) -> bool {
        self.function.types.get(value.0 as usize) == Some(&Type::Number)
    }

    // ---- blocks -----------------------------------------------------------------------------------------------

    fn block(
        &mut self,
        block: &'m Block,
        called: bool,
        walk: &mut Vec<Walk<'m>>,
    ) -> Result<(), Fault> {
        let lanes = (0..8).map(|lane| u64::from((block.tally.0 >> (16 * lane)) as u16));
        if lanes.clone().next() != Some(0)
            || lanes.sum::<u64>() != block.total
            || block.total > TALLY_MAX
        {
            return Err(Fault::Tally);
        }
        if called && block.total > 0 && !matches!(block.insts.first(), Some(Inst::Reserve { .. })) {
            return Err(Fault::Unattended);
        }
        let mut calls = false;
        let mut reserved = 0;
        let mut nodes: BTreeMap<u32, Allocated> = BTreeMap::new();
        for inst in &block.insts {
            if let Inst::Reserve { nodes } = inst {
                reserved = *nodes;
            }
            let more = inst.nodes(&self.function.types);
            if more > reserved {
                return Err(Fault::Unreserved);
            }
            reserved -= more;
            if connects(inst) {
                self.complete(&mut nodes)?;
            }
            self.inst(inst, &mut nodes)?;
            if let Inst::Call { .. } = inst {
                (calls, reserved) = (true, 0);
            }
        }
        self.complete(&mut nodes)?;
        self.end(&block.end, called || calls, walk)
    }

    /// All nodes that were allocated have been written, and the cells taken are slots without a value.
    fn complete(&mut self, nodes: &mut BTreeMap<u32, Allocated>) -> Result<(), Fault> {
        for (value, node) in std::mem::take(nodes) {
            let fits = |slots: [bool; 2]| (0..2).all(|side| !node.celled[side] || !slots[side]);
            if !node.written.is_some_and(fits) {
                return Err(Fault::Node(value));
            }
        }
        Ok(())
    }

    fn inst(&mut self, inst: &Inst, nodes: &mut BTreeMap<u32, Allocated>) -> Result<(), Fault> {
        match inst {
            Inst::Load { to, term } => {
                let kind = self.atom(*term)?;
                self.write(*to, kind, 0)
            }
            Inst::Reserve { .. } => Ok(()),
            Inst::Open {
                first,
                second,
                from,
            } => self.pair(*first, *second, *from),
            Inst::Copy {
                first,
                second,
                from,
                w0,
            } => {
                meta(*w0, |class| class == Class::Dup)?;
                self.pair(*first, *second, *from)
            }
            Inst::Operate {
                to,
                number,
                left,
                steps,
                swapped,
            } => {
                if !(1..=2).contains(steps) || *swapped && !self.is_number(*left) {
                    return Err(Fault::Steps);
                }
                self.take_all([number, left])?;
                let kind = if self.is_number(*number) && self.is_number(*left) {
                    Type::Number
                } else {
                    Type::Term
                };
                self.write(*to, kind, 1)
            }
            Inst::Erase { from } => self.take(*from),
            Inst::Link { a, b } => self.take_all([a, b]),
            Inst::Allocate { to, w0 } => {
                meta(*w0, Class::is_node)?;
                nodes.insert(to.0, Allocated::default());
                self.write(*to, Type::Term, 1)
            }
            Inst::Write { at, slots, .. } => {
                self.take_all(slots.iter().flatten())?;
                let node = nodes.get_mut(&at.0).ok_or(Fault::Node(at.0))?;
                let filled = slots.map(|slot| slot.is_some());
                match node.written.replace(filled) {
                    Some(_) => Err(Fault::Node(at.0)),
                    None => Ok(()),
                }
            }
            Inst::Node { to, w0, slots, .. } => {
                meta(*w0, Class::is_node)?;
                self.take_all(slots.iter().flatten())?;
                let node = Allocated {
                    written: Some(slots.map(|slot| slot.is_some())),
                    ..Allocated::default()
                };
                nodes.insert(to.0, node);
                self.write(*to, Type::Term, 1)
            }
            Inst::Cell { to, node, side } => {
                let found = nodes.get_mut(&node.0).ok_or(Fault::Node(node.0))?;
                let celled = found.celled.get_mut(usize::from(*side));
                match celled.map(|celled| std::mem::replace(celled, true)) {
                    Some(false) => self.write(*to, Type::Term, 1),
                    _ => Err(Fault::Node(node.0)),
                }
            }
            Inst::Wire { to } => self.write(*to, Type::Term, 2),
            Inst::Call {
                outs,
                function,
                ins,
            } => {
                self.call(*function, ins.len(), Some(outs.len()))?;
                self.take_all(ins)?;
                outs.iter()
                    .try_for_each(|&to| self.write(to, Type::Term, 1))
            }
            Inst::Apply {
                from,
                first,
                second,
            } => self.take_all([from, first, second]),
            Inst::Defer { entry, leaves } => {
                let found = self.entries.get(*entry as usize);
                if found.is_none_or(|(_, shape)| shape.leaves() != leaves.len()) {
                    return Err(Fault::Call(*entry));
                }
                self.take_all(leaves)
            }
        }
    }

    fn pair(&mut self, first: ValueId, second: ValueId, from: ValueId) -> Result<(), Fault> {
        self.take(from)?;
        self.write(first, Type::Term, 1)?;
        self.write(second, Type::Term, 1)
    }

    fn atom(&self, term: Term) -> Result<Type, Fault> {
        match term.class() {
            Class::Num => Ok(Type::Number),
            Class::Era if term == Term::ERA => Ok(Type::Term),
            Class::Ref if (term.offset() as usize) < self.definitions => Ok(Type::Term),
            _ => Err(Fault::Atom),
        }
    }

    /// The function exists, and has so many leaves that come in, and that go out.
    fn call(&self, function: FunctionId, ins: usize, outs: Option<usize>) -> Result<(), Fault> {
        let found = self.module.functions.get(function.0 as usize);
        let outs = outs.unwrap_or_else(|| self.function.count(Mode::Out));
        match found {
            Some(Some(callee))
                if callee.count(Mode::In) == ins && callee.count(Mode::Out) == outs =>
            {
                Ok(())
            }
            _ => Err(Fault::Call(function.0)),
        }
    }

    // ---- ends -------------------------------------------------------------------------------------------------

    fn end(&mut self, end: &'m End, called: bool, walk: &mut Vec<Walk<'m>>) -> Result<(), Fault> {
        match end {
            End::Return { outs } => {
                if outs.len() != self.function.count(Mode::Out) {
                    return Err(Fault::Modes);
                }
                self.take_all(outs)?;
                self.spent()
            }
            End::Tail { function, ins } => {
                self.call(*function, ins.len(), None)?;
                self.take_all(ins)?;
                self.spent()
            }
            End::Switch {
                from,
                zero,
                successor,
                before,
                other,
            } => {
                self.look(*from)?;
                for block in [zero, successor, other] {
                    self.name(*block)?;
                }
                walk.push(entering(*other, called, None));
                walk.push(Walk::Enter(Entered {
                    block: *successor,
                    called,
                    written: (std::slice::from_ref(before), Type::Number),
                    freed: Some(*from),
                }));
                walk.push(entering(*zero, called, Some(*from)));
                Ok(())
            }
            End::Match { from, cases, other } => {
                self.look(*from)?;
                self.name(*other)?;
                walk.push(entering(*other, called, None));
                let mut least = 0;
                for &(definition, block) in cases {
                    if definition < least || definition as usize >= self.definitions {
                        return Err(Fault::Cases);
                    }
                    least = definition + 1;
                    self.name(block)?;
                    walk.push(entering(block, called, Some(*from)));
                }
                Ok(())
            }
            End::Take {
                from,
                tree,
                holes,
                then,
                other,
            } => {
                if !tree.is_whole() || tree.holes() != holes.len() {
                    return Err(Fault::Take);
                }
                self.look(*from)?;
                self.name(*then)?;
                self.name(*other)?;
                walk.push(entering(*other, called, None));
                walk.push(Walk::Enter(Entered {
                    block: *then,
                    called,
                    written: (holes, Type::Term),
                    freed: Some(*from),
                }));
                Ok(())
            }
        }
    }

    /// Every value has been used as often as it has to be.
    fn spent(&self) -> Result<(), Fault> {
        if self.live == 0 {
            return Ok(());
        }
        let left = |state: &State| state.written && !state.free && state.due > 0;
        let found = self.state.iter().position(left);
        Err(Fault::Unused(found.unwrap_or_default() as u32))
    }

    fn name(&mut self, block: BlockId) -> Result<(), Fault> {
        let fault = Fault::Tree(block.0);
        let named = self.named.get_mut(block.0 as usize).ok_or(fault.clone())?;
        if block.0 <= self.block || std::mem::replace(named, true) {
            return Err(fault);
        }
        Ok(())
    }
}

/// Into a block that gets no values.
fn entering<'m>(block: BlockId, called: bool, freed: Option<ValueId>) -> Walk<'m> {
    Walk::Enter(Entered {
        block,
        called,
        written: (&[], Type::Term),
        freed,
    })
}

/// Whether others may reach from now on what leads to the terms at hand.
fn connects(inst: &Inst) -> bool {
    !matches!(
        inst,
        Inst::Load { .. }
            | Inst::Reserve { .. }
            | Inst::Allocate { .. }
            | Inst::Write { .. }
            | Inst::Node { .. }
            | Inst::Cell { .. }
            | Inst::Wire { .. }
    )
}

fn meta(w0: u32, fits: impl Fn(Class) -> bool) -> Result<(), Fault> {
    let term = Term(u64::from(w0));
    if fits(term.class()) && term == Term(u64::from(Term::node(term.class(), term.label(), 0).w0()))
    {
        return Ok(());
    }
    Err(Fault::Meta)
}
