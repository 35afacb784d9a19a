//! What a program does: the definition that every rendering follows.

use ffcm::net::partial::Tally;
use ffcm::spec::number::{Kind, Number, Operator, operate, predecessor, sign_extend};
use ffcm::spec::rules::{Counts, Opcode};
use ffcm::spec::word::{Class, Term, variant};

use super::program::{
    Body, End, Expr, Output, Program, ROW_TRIPS, Reason, STACK_WORDS, Step, Var, Word,
};

/// What a row gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The lane came to an end.
    Number {
        /// The NUM term that is the normal form.
        term: Term,
        /// Interactions made.
        counts: Counts,
    },
    /// The row has to go the ordinary way.
    Stopped(Reason),
}

/// What is in registers, on the stack and counted.
#[derive(Default)]
struct State {
    vars: Vec<u32>,
    registers: Vec<u32>,
    stack: Vec<u32>,
    counts: Counts,
}

impl State {
    fn get(&self, word: Word) -> u32 {
        match word {
            Word::Constant(value) => value,
            Word::Var(Var(index)) => self.vars[index as usize],
        }
    }

    fn all(&self, words: &[Word]) -> Vec<u32> {
        words.iter().map(|&word| self.get(word)).collect()
    }

    fn set(&mut self, Var(index): Var, value: u32) {
        let index = index as usize;
        if self.vars.len() <= index {
            self.vars.resize(index + 1, 0);
        }
        self.vars[index] = value;
    }

    fn count(&mut self, tally: Tally) {
        self.counts.merge(&tally.counts());
    }

    fn expr(&self, value: Expr) -> u32 {
        let arithmetic = |operator: Operator, signed: bool, a: Word, b: Word| {
            let kind = if signed { Kind::I32 } else { Kind::U32 };
            let left = Number::Partial {
                operator,
                bits: self.get(a),
                wide: true,
            };
            operate(left.term(), Number::Plain(kind, self.get(b)).term()).w1()
        };
        match value {
            Expr::Arithmetic {
                operator,
                signed,
                a,
                b,
            }
            | Expr::Compare {
                operator,
                signed,
                a,
                b,
            } => arithmetic(operator, signed, a, b),
            Expr::Extend(word) => sign_extend(self.get(word)) as u32,
            Expr::Cut(word) => self.get(word) & 0x00ff_ffff,
            Expr::Before(word) => self.get(word).wrapping_sub(1),
            Expr::BeforeMeta(word) => {
                // Of a payload that is not zero.
                let before = predecessor(term([self.get(word), 1]));
                before.map_or(0, Term::w0)
            }
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), Reason> {
        match step {
            Step::Let { to, value } => self.set(*to, self.expr(*value)),
            Step::Operate { to, a, b } => {
                let [a, b] = [a, b].map(|words| term(words.map(|word| self.get(word))));
                if a.class() != Class::Num || b.class() != Class::Num {
                    return Err(Reason::Term);
                }
                if is_for_the_host(a, b) {
                    return Err(Reason::Term);
                }
                let answer = operate(a, b);
                self.set(to[0], answer.w0());
                self.set(to[1], answer.w1());
            }
            Step::Require { meta, references } => {
                let term = term([self.get(*meta), 0]);
                let copyable = term.class() == Class::Ref && term.variant() == variant::COPYABLE;
                if !(term.class() == Class::Num || (*references && copyable)) {
                    return Err(Reason::Term);
                }
            }
        }
        Ok(())
    }

    /// Runs a body; the segment that comes next, if there is one.
    fn body(&mut self, mut body: &Body) -> Result<Option<u32>, Reason> {
        loop {
            for step in &body.steps {
                self.step(step)?;
            }
            match &body.end {
                End::Switch {
                    payload,
                    zero,
                    successor,
                } => {
                    body = if self.get(*payload) == 0 {
                        zero
                    } else {
                        successor
                    };
                }
                End::Match {
                    term: words,
                    cases,
                    other,
                } => {
                    let term = term(words.map(|word| self.get(word)));
                    let is =
                        |definition: u32| term.class() == Class::Ref && term.w1() == definition;
                    let case = cases.iter().find(|(definition, _)| is(*definition));
                    body = case.map_or(&**other, |(_, body)| body);
                }
                End::Call {
                    tally,
                    to,
                    ins,
                    saved,
                    resume,
                } => {
                    let more = self.all(saved);
                    if self.stack.len() + more.len() + 1 > STACK_WORDS as usize {
                        return Err(Reason::Stack);
                    }
                    self.stack.extend(more);
                    self.stack.push(*resume);
                    self.registers = self.all(ins);
                    self.count(*tally);
                    return Ok(Some(*to));
                }
                End::Jump { tally, to, ins } => {
                    self.registers = self.all(ins);
                    self.count(*tally);
                    return Ok(Some(*to));
                }
                End::Return { tally, outs } => {
                    self.registers = self.all(outs);
                    self.count(*tally);
                    return Ok(self.stack.pop());
                }
                End::Stop(reason) => return Err(*reason),
            }
        }
    }
}

impl Program {
    /// Runs the program on a row of as many words as [`row_words`](Program::row_words) says: for each column the payload,
    /// or meta word and payload.
    pub fn run(&self, row: &[u32]) -> Lane {
        match self.result(row) {
            Ok((term, counts)) => Lane::Number { term, counts },
            Err(reason) => Lane::Stopped(reason),
        }
    }

    fn result(&self, row: &[u32]) -> Result<(Term, Counts), Reason> {
        let mut state = State {
            registers: row.to_vec(),
            ..State::default()
        };
        let mut next = Some(0);
        for _ in 0..ROW_TRIPS {
            let Some(index) = next else { break };
            let segment = &self.segments[index as usize];
            let base = state.stack.len() - segment.saved.len();
            let saved = state.stack.split_off(base);
            let passed = std::mem::take(&mut state.registers);
            let values = saved.into_iter().zip(&segment.saved);
            for (value, &var) in values.chain(passed.into_iter().zip(&segment.ins)) {
                state.set(var, value);
            }
            next = state.body(&segment.body)?;
        }
        if next.is_some() {
            return Err(Reason::Trips);
        }
        let words = match self.output {
            Output::Constant(words) => words,
            Output::Number(meta) => [meta, state.registers[0]],
            Output::Term => [state.registers[0], state.registers[1]],
        };
        let term = term(words);
        if term.class() != Class::Num {
            return Err(Reason::Term);
        }
        Ok((term, state.counts))
    }

    /// Opcodes of which some path counts any.
    pub(super) fn opcodes(&self) -> Vec<Opcode> {
        fn add(body: &Body, all: &mut Counts) {
            match &body.end {
                End::Switch {
                    zero, successor, ..
                } => {
                    add(zero, all);
                    add(successor, all);
                }
                End::Match { cases, other, .. } => {
                    cases.iter().for_each(|(_, body)| add(body, all));
                    add(other, all);
                }
                End::Call { tally, .. } | End::Jump { tally, .. } | End::Return { tally, .. } => {
                    all.merge(&tally.counts());
                }
                End::Stop(_) => {}
            }
        }
        let mut all = Counts::default();
        let segments = self.segments.iter();
        segments.for_each(|segment| add(&segment.body, &mut all));
        let counted = all.iter().filter(|(_, count)| *count > 0);
        counted.map(|(opcode, _)| opcode).collect()
    }
}

fn term([w0, w1]: [u32; 2]) -> Term {
    Term(u64::from(w1) << 32 | u64::from(w0))
}

/// Whether devices leave an arithmetic step to the host: the five operators on floats that are no arithmetic.
fn is_for_the_host(a: Term, b: Term) -> bool {
    let (Some(a), Some(b)) = (Number::from_term(a), Number::from_term(b)) else {
        return false;
    };
    let ((Number::Partial { operator, .. }, Number::Plain(kind, _))
    | (Number::Plain(kind, _), Number::Partial { operator, .. })) = (a, b)
    else {
        return false;
    };
    let host = matches!(
        operator,
        Operator::And | Operator::Or | Operator::Xor | Operator::Shl | Operator::Shr
    );
    kind.is_float() && host
}
