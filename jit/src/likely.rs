//! What values probably are: which kind of number, which operator with one operand.
//!
//! A renderer asks so as to compare a value's meta word with one constant and to go on with the operation of one kind. It is
//! a guess: whoever uses it has to look. Nothing but speed depends on it.
//!
//! What is known of constants is carried forward through the instructions of all functions, through calls and results,
//! until nothing new is found. Each parameter and each result keeps the first kind that is found for it. What no kind is
//! found for is guessed to be of the kind of which the module has most constants.

use ffcm::spec::number::{Kind, Number, Operator};
use ffcm::spec::word::Term;

use crate::ir::{End, Function, FunctionId, Inst, Mode, Module, ValueId};

/// A guess.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Likely {
    /// None.
    #[default]
    Unknown,
    /// No guess: this term.
    Constant(Term),
    /// A number of this kind.
    Plain(Kind),
    /// An operator applied to a number of this kind, the left one of its operands.
    Partial(Operator, Kind),
}

impl Likely {
    /// The kind of plain number, if it is one.
    pub fn plain(self) -> Option<Kind> {
        match self {
            Likely::Plain(kind) => Some(kind),
            Likely::Constant(term) => term.as_plain().map(|(kind, _)| kind),
            _ => None,
        }
    }

    fn number(self) -> Option<Number> {
        match self {
            Likely::Constant(term) => Number::from_term(term),
            _ => None,
        }
    }
}

/// What the meeting of two numbers at an arithmetic node gives.
pub fn outcome(a: Likely, b: Likely) -> Likely {
    one_way(a, b)
        .or_else(|| one_way(b, a))
        .unwrap_or(Likely::Unknown)
}

/// The same, if it is the first that operates on the second.
fn one_way(operation: Likely, operand: Likely) -> Option<Likely> {
    let result = |operator, kind| Likely::Plain(result(operator, kind));
    match (operation, operation.number()) {
        (_, Some(Number::Operator(operator))) => {
            operand.plain().map(|kind| Likely::Partial(operator, kind))
        }
        (_, Some(Number::Cast(kind))) => operand.plain().map(|_| Likely::Plain(kind)),
        (Likely::Partial(operator, _), _) | (_, Some(Number::Partial { operator, .. })) => {
            operand.plain().map(|kind| result(operator, kind))
        }
        _ => None,
    }
}

/// The kind of a result, given the kind of the right operand.
pub fn result(operator: Operator, kind: Kind) -> Kind {
    match operator {
        Operator::Eq | Operator::Ne | Operator::Lt | Operator::Gt if kind.is_wide() => Kind::U32,
        Operator::Eq | Operator::Ne | Operator::Lt | Operator::Gt => Kind::U24,
        _ => kind,
    }
}

/// Guesses for the functions of a module.
pub struct Guesses {
    /// Kinds of what comes in and what goes out.
    interfaces: Vec<[Vec<Option<Kind>>; 2]>,
    /// What is guessed where nothing is known.
    default: Kind,
}

/// Rounds in which kinds are carried through calls; a chain of more calls keeps the default.
const ROUNDS_MAX: usize = 16;

impl Guesses {
    /// Looks through a module.
    pub fn new(module: &Module) -> Guesses {
        let interface = |function: &Option<Function>| {
            let kinds = |mode| function.as_ref().map_or(0, |one| one.count(mode));
            [vec![None; kinds(Mode::In)], vec![None; kinds(Mode::Out)]]
        };
        let mut guesses = Guesses {
            interfaces: module.functions.iter().map(interface).collect(),
            default: commonest(module),
        };
        for _ in 0..ROUNDS_MAX {
            let mut changed = false;
            for (number, function) in module.functions.iter().enumerate() {
                if let Some(function) = function {
                    changed |= guesses.carry(number, function);
                }
            }
            if !changed {
                break;
            }
        }
        guesses
    }

    /// A guess for each value of a function.
    pub fn values(&self, number: usize, function: &Function) -> Vec<Likely> {
        let mut values = vec![Likely::Unknown; function.types.len()];
        let ins = self.interfaces[number][0].iter();
        for (value, kind) in values.iter_mut().zip(ins) {
            *value = Likely::Plain(kind.unwrap_or(self.default));
        }
        for block in &function.blocks {
            for inst in &block.insts {
                self.forward(inst, &mut values, Some(self.default));
            }
            self.forward_end(&block.end, &mut values, Some(self.default));
        }
        values
    }

    /// Carries what is known through a function. Whether something was new to its callees or its own results.
    fn carry(&mut self, number: usize, function: &Function) -> bool {
        let mut values = vec![Likely::Unknown; function.types.len()];
        for (value, kind) in values.iter_mut().zip(&self.interfaces[number][0]) {
            *value = kind.map_or(Likely::Unknown, Likely::Plain);
        }
        let mut changed = false;
        for block in &function.blocks {
            for inst in &block.insts {
                self.forward(inst, &mut values, None);
                if let Inst::Call { function, ins, .. } = inst {
                    changed |= self.note(*function, 0, ins, &values);
                }
            }
            self.forward_end(&block.end, &mut values, None);
            match &block.end {
                End::Return { outs } => {
                    changed |= self.note(FunctionId(number as u32), 1, outs, &values);
                }
                End::Tail { function, ins } => {
                    changed |= self.note(*function, 0, ins, &values);
                    for out in 0..self.interfaces[number][1].len() {
                        let known = self.interfaces.get(function.0 as usize);
                        let kind = known.and_then(|kinds| *kinds[1].get(out)?);
                        let slot = &mut self.interfaces[number][1][out];
                        changed |= slot.is_none() && kind.is_some();
                        *slot = slot.or(kind);
                    }
                }
                _ => {}
            }
        }
        changed
    }

    fn note(
        &mut self,
        function: FunctionId,
        side: usize,
        ids: &[ValueId],
        values: &[Likely],
    ) -> bool {
        let Some(interface) = self.interfaces.get_mut(function.0 as usize) else {
            return false;
        };
        let mut changed = false;
        for (slot, id) in interface[side].iter_mut().zip(ids) {
            let kind = get(values, *id).plain();
            changed |= slot.is_none() && kind.is_some();
            *slot = slot.or(kind);
        }
        changed
    }

    /// What an instruction makes of what is known; `default` for what comes out of the unknown.
    fn forward(&self, inst: &Inst, values: &mut [Likely], default: Option<Kind>) {
        let unknown = default.map_or(Likely::Unknown, Likely::Plain);
        match inst {
            Inst::Load { to, term } => set(values, *to, Likely::Constant(*term)),
            Inst::Open { first, second, .. } => {
                set(values, *first, unknown);
                set(values, *second, unknown);
            }
            Inst::Copy {
                first,
                second,
                from,
                ..
            } => {
                let known = get(values, *from);
                set(values, *first, known);
                set(values, *second, known);
            }
            Inst::Operate {
                to, number, left, ..
            } => {
                let known = outcome(get(values, *number), get(values, *left));
                set(values, *to, known);
            }
            Inst::Call { outs, function, .. } => {
                let known = self.interfaces.get(function.0 as usize);
                for (at, out) in outs.iter().enumerate() {
                    let kind = known.and_then(|kinds| *kinds[1].get(at)?);
                    set(values, *out, kind.map_or(unknown, Likely::Plain));
                }
            }
            Inst::Wire { to } | Inst::Cell { to, .. } => set(values, *to, unknown),
            _ => {}
        }
    }

    fn forward_end(&self, end: &End, values: &mut [Likely], default: Option<Kind>) {
        match end {
            End::Switch { from, before, .. } => {
                let kind = match get(values, *from).plain() {
                    Some(kind) if kind.is_wide() => Kind::U32,
                    _ => Kind::U24,
                };
                set(values, *before, Likely::Plain(kind));
            }
            End::Take { holes, .. } => {
                let unknown = default.map_or(Likely::Unknown, Likely::Plain);
                holes.iter().for_each(|&hole| set(values, hole, unknown));
            }
            _ => {}
        }
    }
}

fn get(values: &[Likely], id: ValueId) -> Likely {
    values.get(id.0 as usize).copied().unwrap_or_default()
}

fn set(values: &mut [Likely], id: ValueId, likely: Likely) {
    if let Some(value) = values.get_mut(id.0 as usize) {
        *value = likely;
    }
}

/// The kind of which there are most constants, u24 before others.
fn commonest(module: &Module) -> Kind {
    let mut counts = [0_u32; Kind::ALL.len()];
    let blocks = module.functions.iter().flatten().flat_map(|f| &f.blocks);
    for inst in blocks.flat_map(|block| &block.insts) {
        let Inst::Load { term, .. } = inst else {
            continue;
        };
        let kind = match Number::from_term(*term) {
            Some(Number::Plain(kind, _)) => kind,
            Some(Number::Partial { wide: true, .. }) => Kind::U32,
            Some(Number::Partial { wide: false, .. }) => Kind::U24,
            _ => continue,
        };
        if let Some(at) = Kind::ALL.iter().position(|&one| one == kind) {
            counts[at] += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    let at = counts.iter().position(|&count| count == most).unwrap_or(0);
    Kind::ALL[at]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Block, Type};
    use ffcm::net::partial::{Shape, Tally};

    fn function(modes: &[Mode], values: usize, insts: Vec<Inst>, end: End) -> Option<Function> {
        let block = Block {
            tally: Tally::default(),
            total: 0,
            insts,
            end,
        };
        Some(Function {
            definition: 0,
            name: String::new(),
            shape: Shape::base(),
            modes: modes.to_vec(),
            types: vec![Type::Term; values],
            blocks: vec![block],
        })
    }

    #[test]
    fn kinds_are_carried_through_calls_and_results() {
        let v = ValueId;
        let load = |to, term| Inst::Load { to: v(to), term };
        let call = Inst::Call {
            outs: vec![v(1)],
            function: FunctionId(1),
            ins: vec![v(0)],
        };
        let end = |out| End::Return { outs: vec![v(out)] };
        // Calls the second function with a constant, which adds one to what it is given.
        let add = Number::Operator(Operator::Add).term();
        let step = |to, number, left| Inst::Operate {
            to: v(to),
            number: v(number),
            left: v(left),
            steps: 1,
            swapped: false,
        };
        let outer = vec![load(0, Term::i32(7)), call];
        let inner = vec![load(1, add), step(2, 0, 1), step(3, 2, 0)];
        let module = Module {
            functions: vec![
                function(&[Mode::Out], 2, outer, end(1)),
                function(&[Mode::In, Mode::Out], 4, inner, end(3)),
                function(&[Mode::In], 1, vec![], End::Return { outs: vec![] }),
                None,
            ],
        };
        let guesses = Guesses::new(&module);
        let values = |at: usize| {
            let function = module.functions[at].as_ref().unwrap();
            guesses.values(at, function)
        };
        let i32 = Likely::Plain(Kind::I32);
        assert_eq!(values(0), [Likely::Constant(Term::i32(7)), i32]);
        let partial = Likely::Partial(Operator::Add, Kind::I32);
        assert_eq!(values(1), [i32, Likely::Constant(add), partial, i32]);
        // Nobody calls it: it is guessed to be as most constants are.
        assert_eq!(values(2), [i32]);
    }

    #[test]
    fn comparisons_are_unsigned_and_as_wide() {
        for kind in Kind::ALL {
            let wide = if kind.is_wide() { Kind::U32 } else { Kind::U24 };
            assert_eq!(result(Operator::Lt, kind), wide);
            assert_eq!(result(Operator::Sub, kind), kind);
        }
    }
}
