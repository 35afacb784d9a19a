//! From functions of the intermediate representation to a lane function.

use std::collections::{BTreeMap, BTreeSet};

use ffcm::net::partial::Tally;
use ffcm::spec::number;
use ffcm::spec::word::{Class, Term, variant};
use thiserror::Error;

use super::facts::{Fact, Slot};
use super::liveness::{read_after, read_below};
use super::operate::{Outcome, operate};
use super::program::{
    Body, Column, End, Expr, PATH_INTERACTIONS_MAX, Program, Reason, Segment, Step, Var, Word,
};
use crate::ir::{self, BlockId, Function, FunctionId, Inst, Mode, Module, ValueId};

/// Most segments of a program.
const SEGMENTS_MAX: usize = 192;
/// Most steps and bodies of a program, and words that it saves: what a driver compiles in a moment.
const SIZE_MAX: usize = 1200;
/// Most blocks and segments that follow one another, which are lowered within each other.
const DEPTH_MAX: usize = 64;
/// The callee that is the one arithmetic step which all calls of it share, while segments have no numbers yet.
const OPERATE: u32 = u32::MAX;

/// Why there is no lane function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The module has no such function.
    #[error("there is no such function")]
    Missing,
    /// The function's last leaf is not its one result, or it has not as many parameters.
    #[error("the function is not one of so many numbers to one")]
    Shape,
    /// Every path needs the heap.
    #[error("no path goes without the heap")]
    Heap,
    /// It would take drivers too long.
    #[error("it is too large")]
    TooLarge,
    /// The module is not what its documentation says.
    #[error("the module is malformed")]
    Malformed,
}

/// Lowers a function, and all that it calls, for arguments of these kinds.
///
/// # Errors
///
/// Where no lane function is of use, see [`Refusal`].
pub fn lower(module: &Module, entry: FunctionId, columns: &[Column]) -> Result<Program, Refusal> {
    let function = function(module, entry.0).ok_or(Refusal::Missing)?;
    let one = function.modes.last() == Some(&Mode::Out) && function.count(Mode::Out) == 1;
    if !one || function.count(Mode::In) != columns.len() {
        return Err(Refusal::Shape);
    }
    let mut facts = BTreeMap::new();
    let ins = columns.iter().map(|&column| Fact::of(column)).collect();
    facts.insert(entry.0, Facts::new(ins, function));
    facts.insert(OPERATE, Facts::of_operate());
    // The lattice is finite and facts only ever go up in it.
    loop {
        let before = facts.clone();
        let mut lowered: BTreeMap<u32, Vec<Segment>> = BTreeMap::new();
        let mut size = 0;
        while let Some(&next) = facts.keys().find(|&key| !lowered.contains_key(key)) {
            let segments = if next == OPERATE {
                vec![operate_segment()]
            } else {
                Lowering::lower(module, next, &mut facts, &mut size)?
            };
            lowered.insert(next, segments);
        }
        if facts == before {
            return finish(entry.0, &facts, lowered, (&function.name, columns));
        }
    }
}

fn function(module: &Module, index: u32) -> Option<&Function> {
    module.functions.get(index as usize)?.as_ref()
}

/// What is certain about the parameters and the results of a function.
#[derive(Clone, Debug, PartialEq)]
struct Facts {
    ins: Vec<Fact>,
    outs: Vec<Fact>,
}

impl Facts {
    fn new(ins: Vec<Fact>, function: &Function) -> Facts {
        Facts {
            ins,
            outs: vec![Fact::Nothing; function.count(Mode::Out)],
        }
    }

    fn of_operate() -> Facts {
        Facts {
            ins: vec![Fact::Term; 2],
            outs: vec![Fact::Term],
        }
    }
}

/// An arithmetic step on any two terms. There is one in a kernel, because it is large.
fn operate_segment() -> Segment {
    let [a, b] = [[Var(0), Var(1)], [Var(2), Var(3)]];
    let to = [Var(4), Var(5)];
    Segment {
        saved: Vec::new(),
        ins: [a, b].concat(),
        body: Body {
            steps: vec![Step::Operate {
                to,
                a: a.map(Word::Var),
                b: b.map(Word::Var),
            }],
            end: End::Return {
                tally: Tally::default(),
                outs: to.map(Word::Var).to_vec(),
            },
        },
    }
}

/// Numbers the segments, those of the entry first. A step that nobody calls is left out.
fn finish(
    entry: u32,
    facts: &BTreeMap<u32, Facts>,
    mut lowered: BTreeMap<u32, Vec<Segment>>,
    (name, columns): (&str, &[Column]),
) -> Result<Program, Refusal> {
    let output = facts[&entry].outs[0];
    if output == Fact::Nothing {
        return Err(Refusal::Heap);
    }
    let mut operates = false;
    for segment in lowered.values_mut().flatten() {
        targets(&mut segment.body, &mut |to, _| operates |= *to == OPERATE);
    }
    if !operates {
        lowered.remove(&OPERATE);
    }
    let mut order: Vec<u32> = lowered.keys().copied().collect();
    order.sort_by_key(|&key| key != entry);
    let mut bases = BTreeMap::new();
    let mut count = 0;
    for key in &order {
        bases.insert(*key, count);
        count += lowered[key].len() as u32;
    }
    if count as usize > SEGMENTS_MAX {
        return Err(Refusal::TooLarge);
    }
    let mut segments = Vec::new();
    for key in order {
        for mut segment in lowered.remove(&key).unwrap_or_default() {
            targets(&mut segment.body, &mut |to, resume| {
                *to = bases[to];
                if let Some(resume) = resume {
                    *resume += bases[&key];
                }
            });
            segments.push(segment);
        }
    }
    Ok(Program {
        name: name.to_string(),
        columns: columns.to_vec(),
        output: output.output(),
        segments,
    })
}

/// Shows the segments that a body names: the one it goes on with, and the one after that.
fn targets(body: &mut Body, show: &mut impl FnMut(&mut u32, Option<&mut u32>)) {
    match &mut body.end {
        End::Switch {
            zero, successor, ..
        } => {
            targets(zero, show);
            targets(successor, show);
        }
        End::Match { cases, other, .. } => {
            cases.iter_mut().for_each(|(_, body)| targets(body, show));
            targets(other, show);
        }
        End::Call { to, resume, .. } => show(to, Some(resume)),
        End::Jump { to, .. } => show(to, None),
        End::Return { .. } | End::Stop(_) => {}
    }
}

/// What is known at a point of a path.
#[derive(Clone)]
struct State {
    values: BTreeMap<ValueId, Slot>,
    /// Since the segment began.
    tally: Tally,
    steps: Vec<Step>,
}

impl State {
    fn get(&self, value: ValueId) -> Result<&Slot, Refusal> {
        self.values.get(&value).ok_or(Refusal::Malformed)
    }

    fn all(&self, values: &[ValueId]) -> Result<Vec<Slot>, Refusal> {
        values.iter().map(|&v| self.get(v).cloned()).collect()
    }

    /// The end of the path, or of what its ways have in common.
    fn end(self, end: End) -> Body {
        Body {
            steps: self.steps,
            end,
        }
    }

    /// What is the same in both ways of a branch, with the steps so far left to the branch.
    fn fork(&self) -> State {
        State {
            steps: Vec::new(),
            ..self.clone()
        }
    }
}

/// How an instruction leaves a path.
enum Next {
    /// It goes on.
    Goes,
    /// It ends with the lane.
    Stops(Reason),
    /// It goes on after a call.
    Calls(u32, Vec<ValueId>, Vec<Slot>),
}

/// One function being lowered.
struct Lowering<'m> {
    module: &'m Module,
    index: u32,
    function: &'m Function,
    below: Vec<BTreeSet<ValueId>>,
    facts: &'m mut BTreeMap<u32, Facts>,
    segments: Vec<Segment>,
    /// Variables of the segment so far.
    vars: u32,
    /// Blocks and segments being lowered.
    depth: usize,
    size: &'m mut usize,
}

impl<'m> Lowering<'m> {
    fn lower(
        module: &'m Module,
        index: u32,
        facts: &'m mut BTreeMap<u32, Facts>,
        size: &'m mut usize,
    ) -> Result<Vec<Segment>, Refusal> {
        let function = function(module, index).ok_or(Refusal::Missing)?;
        if function.blocks.len() > SIZE_MAX {
            return Err(Refusal::TooLarge);
        }
        let mut lowering = Lowering {
            module,
            index,
            function,
            below: read_below(function),
            segments: Vec::new(),
            vars: 0,
            depth: 0,
            size,
            facts,
        };
        let ins = lowering.facts[&index].ins.clone();
        let values = (0..).map(ValueId).zip(ins).collect();
        lowering.segment(BTreeMap::new(), values, &mut |lowering, state| {
            lowering.block(BlockId(0), state)
        })?;
        Ok(lowering.segments)
    }

    fn var(&mut self) -> Var {
        self.vars += 1;
        Var(self.vars - 1)
    }

    fn grow(&mut self, by: usize) -> Result<(), Refusal> {
        *self.size += by;
        if *self.size > SIZE_MAX || self.depth > DEPTH_MAX {
            return Err(Refusal::TooLarge);
        }
        Ok(())
    }

    /// Writes a segment, which finds `kept` on the stack and values of which so much is certain in registers; its number.
    fn segment(
        &mut self,
        mut kept: BTreeMap<ValueId, Slot>,
        passed: Vec<(ValueId, Fact)>,
        body: &mut dyn FnMut(&mut Self, State) -> Result<Body, Refusal>,
    ) -> Result<u32, Refusal> {
        let outer = std::mem::take(&mut self.vars);
        let number = self.segments.len();
        if number >= SEGMENTS_MAX {
            return Err(Refusal::TooLarge);
        }
        // Keeps its number while the segments after it are written.
        self.segments.push(Segment {
            saved: Vec::new(),
            ins: Vec::new(),
            body: Body {
                steps: Vec::new(),
                end: End::Stop(Reason::Heap),
            },
        });
        let mut saved = Vec::new();
        for word in kept.values_mut().flat_map(|slot| &mut slot.words) {
            if let Word::Var(at) = word {
                *at = self.var();
                saved.push(*at);
            }
        }
        let mut ins = Vec::new();
        let nothing = passed.iter().any(|(_, fact)| *fact == Fact::Nothing);
        for (value, fact) in passed {
            let words: Vec<Var> = (0..fact.words()).map(|_| self.var()).collect();
            ins.extend(&words);
            let words = words.into_iter().map(Word::Var).collect();
            kept.insert(value, Slot { fact, words });
        }
        let state = State {
            values: kept,
            tally: Tally::default(),
            steps: Vec::new(),
        };
        let body = if nothing {
            state.end(End::Stop(Reason::Heap))
        } else {
            self.depth += 1;
            self.grow(1)?;
            let body = body(self, state)?;
            self.depth -= 1;
            body
        };
        self.segments[number] = Segment { saved, ins, body };
        self.vars = outer;
        Ok(number as u32)
    }

    fn block(&mut self, id: BlockId, mut state: State) -> Result<Body, Refusal> {
        let function = self.function;
        let block = function.blocks.get(id.0 as usize);
        let block = block.ok_or(Refusal::Malformed)?;
        self.grow(1)?;
        state.tally.add(block.tally);
        if state.tally.counts().total() > PATH_INTERACTIONS_MAX {
            return Err(Refusal::TooLarge);
        }
        self.depth += 1;
        let body = self.insts(block, 0, state);
        self.depth -= 1;
        body
    }

    /// A block from its instruction number `from` on.
    fn insts(
        &mut self,
        block: &'m ir::Block,
        from: usize,
        mut state: State,
    ) -> Result<Body, Refusal> {
        for (at, inst) in block.insts.iter().enumerate().skip(from) {
            match self.inst(inst, &mut state)? {
                Next::Goes => {}
                Next::Stops(reason) => return Ok(state.end(End::Stop(reason))),
                Next::Calls(callee, outs, ins) => {
                    return self.call(block, at, state, (callee, outs, ins));
                }
            }
        }
        self.end(&block.end, state)
    }

    fn inst(&mut self, inst: &Inst, state: &mut State) -> Result<Next, Refusal> {
        self.grow(1)?;
        match inst {
            Inst::Load { to, term } => {
                state.values.insert(*to, Slot::constant(*term));
            }
            Inst::Reserve { .. } => {}
            Inst::Copy {
                first,
                second,
                from,
                ..
            } => {
                let slot = state.get(*from)?.clone();
                match slot.fact {
                    Fact::Constant(term) if !is_copied(term) => {
                        return Ok(Next::Stops(Reason::Term));
                    }
                    Fact::Term => state.steps.push(Step::Require {
                        meta: slot.words[0],
                        references: true,
                    }),
                    _ => {}
                }
                state.values.insert(*first, slot.clone());
                state.values.insert(*second, slot);
            }
            Inst::Operate {
                to, number, left, ..
            } => {
                let operands = [state.get(*number)?.clone(), state.get(*left)?.clone()];
                let vars = &mut self.vars;
                let mut compute = |value: Expr| {
                    *vars += 1;
                    let to = Var(*vars - 1);
                    state.steps.push(Step::Let { to, value });
                    Word::Var(to)
                };
                match operate(&operands[0], &operands[1], &mut compute) {
                    Outcome::Known(slot) => {
                        state.values.insert(*to, slot);
                    }
                    Outcome::Unknown => {
                        return Ok(Next::Calls(OPERATE, vec![*to], operands.to_vec()));
                    }
                    Outcome::NoNumber => return Ok(Next::Stops(Reason::Term)),
                }
            }
            Inst::Erase { from } => {
                state.get(*from)?;
            }
            Inst::Call {
                outs,
                function: FunctionId(callee),
                ins,
            } => {
                if function(self.module, *callee).is_none() {
                    return Ok(Next::Stops(Reason::Heap));
                }
                return Ok(Next::Calls(*callee, outs.clone(), state.all(ins)?));
            }
            Inst::Open { .. }
            | Inst::Link { .. }
            | Inst::Allocate { .. }
            | Inst::Write { .. }
            | Inst::Node { .. }
            | Inst::Cell { .. }
            | Inst::Wire { .. }
            | Inst::Apply { .. }
            | Inst::Defer { .. } => return Ok(Next::Stops(Reason::Heap)),
        }
        Ok(Next::Goes)
    }

    /// Adds what is certain about the arguments of a call to what is certain about the parameters; the words passed.
    fn pass(&mut self, callee: u32, ins: &[Slot]) -> Result<Vec<Word>, Refusal> {
        if !self.facts.contains_key(&callee) {
            let function = function(self.module, callee).ok_or(Refusal::Malformed)?;
            let nothing = vec![Fact::Nothing; function.count(Mode::In)];
            self.facts.insert(callee, Facts::new(nothing, function));
        }
        let facts = self.facts.get_mut(&callee).ok_or(Refusal::Malformed)?;
        if facts.ins.len() != ins.len() {
            return Err(Refusal::Malformed);
        }
        let mut words = Vec::new();
        for (fact, slot) in facts.ins.iter_mut().zip(ins) {
            *fact = fact.join(slot.fact);
            words.extend(slot.words_as(*fact));
        }
        Ok(words)
    }

    fn call(
        &mut self,
        block: &'m ir::Block,
        at: usize,
        state: State,
        (callee, outs, ins): (u32, Vec<ValueId>, Vec<Slot>),
    ) -> Result<Body, Refusal> {
        let words = self.pass(callee, &ins)?;
        let facts = self.facts[&callee].outs.clone();
        if facts.len() != outs.len() {
            return Err(Refusal::Malformed);
        }
        let mut live = read_after(block, at, &self.below);
        outs.iter().for_each(|out| {
            live.remove(out);
        });
        // What is written later is not there yet.
        let kept: BTreeMap<ValueId, Slot> = state
            .values
            .iter()
            .filter(|(value, _)| live.contains(value))
            .map(|(value, slot)| (*value, slot.clone()))
            .collect();
        let saved = kept.values().flat_map(|slot| slot.words.iter().copied());
        let saved: Vec<Word> = saved.filter(|word| matches!(word, Word::Var(_))).collect();
        // Drivers take much longer for the stack than for what is in registers.
        self.grow(8 * saved.len())?;
        let passed = outs.into_iter().zip(facts).collect();
        let resume = self.segment(kept, passed, &mut |lowering, state| {
            lowering.insts(block, at + 1, state)
        })?;
        let tally = state.tally;
        Ok(state.end(End::Call {
            tally,
            to: callee,
            ins: words,
            saved,
            resume,
        }))
    }

    fn end(&mut self, end: &ir::End, state: State) -> Result<Body, Refusal> {
        match end {
            ir::End::Switch {
                from,
                zero,
                successor,
                before,
                other,
            } => self.switch(*from, [*zero, *successor, *other], *before, state),
            ir::End::Match { from, cases, other } => self.choose(*from, cases, *other, state),
            // There are no constructors.
            ir::End::Take { other, .. } => self.block(*other, state),
            ir::End::Return { outs } => {
                let slots = state.all(outs)?;
                let facts: Vec<Fact> = slots.iter().map(|slot| slot.fact).collect();
                let facts = self.returns(self.index, &facts)?;
                let words = slots.iter().zip(facts);
                let outs = words.flat_map(|(slot, fact)| slot.words_as(fact)).collect();
                let tally = state.tally;
                Ok(state.end(End::Return { tally, outs }))
            }
            ir::End::Tail { function: to, ins } => {
                let slots = state.all(ins)?;
                if function(self.module, to.0).is_none() {
                    return Ok(state.end(End::Stop(Reason::Heap)));
                }
                let ins = self.pass(to.0, &slots)?;
                // What the callee returns is what this function returns, in the same words.
                let theirs = self.facts[&to.0].outs.clone();
                let both = self.returns(self.index, &theirs)?;
                self.returns(to.0, &both)?;
                let tally = state.tally;
                Ok(state.end(End::Jump {
                    tally,
                    to: to.0,
                    ins,
                }))
            }
        }
    }

    /// Adds what is certain about results of a function; what is certain then.
    fn returns(&mut self, index: u32, more: &[Fact]) -> Result<Vec<Fact>, Refusal> {
        let facts = self.facts.get_mut(&index).ok_or(Refusal::Malformed)?;
        if facts.outs.len() != more.len() {
            return Err(Refusal::Malformed);
        }
        for (fact, more) in facts.outs.iter_mut().zip(more) {
            *fact = fact.join(*more);
        }
        Ok(facts.outs.clone())
    }

    fn switch(
        &mut self,
        from: ValueId,
        [zero, successor, other]: [BlockId; 3],
        before: ValueId,
        mut state: State,
    ) -> Result<Body, Refusal> {
        let slot = state.get(from)?.clone();
        match slot.fact {
            Fact::Constant(term) if term.class() == Class::Num => {
                let Some(term) = number::predecessor(term) else {
                    return self.block(zero, state);
                };
                state.values.insert(before, Slot::constant(term));
                return self.block(successor, state);
            }
            Fact::Nothing | Fact::Constant(_) => return self.block(other, state),
            Fact::Number(_) => {}
            Fact::Term => state.steps.push(Step::Require {
                meta: slot.words[0],
                references: false,
            }),
        }
        let [meta, payload] = slot.term();
        let zero = self.block(zero, state.fork())?;
        let mut taken = state.fork();
        let mut compute = |value: Expr| {
            let to = self.var();
            taken.steps.push(Step::Let { to, value });
            Word::Var(to)
        };
        let bits = compute(Expr::Before(payload));
        let predecessor = match slot.fact {
            Fact::Number(ext) => {
                let kind = number::Kind::U24 as u8 | (ext & number::WIDE);
                Slot::number(kind, bits)
            }
            _ => Slot {
                fact: Fact::Term,
                words: vec![compute(Expr::BeforeMeta(meta)), bits],
            },
        };
        taken.values.insert(before, predecessor);
        let successor = self.block(successor, taken)?;
        Ok(state.end(End::Switch {
            payload,
            zero: Box::new(zero),
            successor: Box::new(successor),
        }))
    }

    fn choose(
        &mut self,
        from: ValueId,
        cases: &[(u32, BlockId)],
        other: BlockId,
        state: State,
    ) -> Result<Body, Refusal> {
        let slot = state.get(from)?.clone();
        if slot.fact != Fact::Term {
            let known = match slot.fact {
                Fact::Constant(term) if term.class() == Class::Ref => Some(term.offset()),
                _ => None,
            };
            let case = cases
                .iter()
                .find(|(definition, _)| known == Some(*definition));
            return self.block(case.map_or(other, |(_, block)| *block), state);
        }
        let mut bodies = Vec::new();
        for (definition, block) in cases {
            bodies.push((*definition, self.block(*block, state.fork())?));
        }
        let other = Box::new(self.block(other, state.fork())?);
        Ok(state.end(End::Match {
            term: slot.term(),
            cases: bodies,
            other,
        }))
    }
}

/// Whether a duplicator copies an atom, and that counts as such.
fn is_copied(term: Term) -> bool {
    let copyable = term.class() == Class::Ref && term.variant() == variant::COPYABLE;
    term.class() == Class::Num || copyable
}
