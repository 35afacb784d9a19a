//! What is certain about a value before a program runs.

use ffcm::spec::number::{Kind, Number, Operator, SYMBOL, WIDE};
use ffcm::spec::word::{Class, Term, variant};

use super::program::{Column, Output, Word};

/// What is certain about a value. In the order of the lattice: each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// No value ever gets here.
    Nothing,
    /// It is this atom.
    Constant(Term),
    /// It is a number with this `ext`, no symbol.
    Number(u8),
    /// It is an atom.
    Term,
}

/// The meta word of a number.
pub(super) fn meta(ext: u8) -> u32 {
    Term::new(Class::Num, variant::PLAIN, 0, ext, 0).w0()
}

impl Fact {
    pub(super) fn of(column: Column) -> Fact {
        match column {
            Column::Plain(ext) => Fact::Number(ext),
            Column::Any => Fact::Term,
        }
    }

    /// What is certain of a value that is one or the other.
    pub(super) fn join(self, other: Fact) -> Fact {
        match (self, other) {
            (Fact::Nothing, fact) | (fact, Fact::Nothing) => fact,
            (a, b) if a == b => a,
            (a, b) => match (a.ext(), b.ext()) {
                (Some(a), Some(b)) if a == b => Fact::Number(a),
                _ => Fact::Term,
            },
        }
    }

    /// The `ext` of what is surely a number and no symbol.
    fn ext(self) -> Option<u8> {
        match self {
            Fact::Number(ext) => Some(ext),
            Fact::Constant(term) if term.class() == Class::Num && term.ext() != SYMBOL => {
                Some(term.ext())
            }
            _ => None,
        }
    }

    /// Words that hold such a value.
    pub(super) fn words(self) -> usize {
        match self {
            Fact::Nothing | Fact::Constant(_) => 0,
            Fact::Number(_) => 1,
            Fact::Term => 2,
        }
    }

    pub(super) fn output(self) -> Output {
        match self {
            Fact::Constant(term) => Output::Constant([term.w0(), term.w1()]),
            Fact::Number(ext) => Output::Number(meta(ext)),
            Fact::Nothing | Fact::Term => Output::Term,
        }
    }
}

/// A value: what is certain about it, and the words that tell the rest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slot {
    pub(super) fact: Fact,
    pub(super) words: Vec<Word>,
}

/// What a number is, as far as is known: the payload is in a word.
pub(super) enum Form {
    Cast(Kind),
    Operator(Operator),
    Partial(Operator, bool),
    Plain(Kind),
}

impl Slot {
    pub(super) fn constant(term: Term) -> Slot {
        Slot {
            fact: Fact::Constant(term),
            words: Vec::new(),
        }
    }

    pub(super) fn number(ext: u8, payload: Word) -> Slot {
        Slot {
            fact: Fact::Number(ext),
            words: vec![payload],
        }
    }

    /// The payload of what is known to be a number.
    pub(super) fn payload(&self) -> Option<Word> {
        match self.fact {
            Fact::Constant(term) if term.class() == Class::Num => Some(Word::Constant(term.w1())),
            Fact::Number(_) => Some(self.words[0]),
            _ => None,
        }
    }

    /// Meta word and payload.
    pub(super) fn term(&self) -> [Word; 2] {
        match self.fact {
            Fact::Nothing => [Word::Constant(0); 2],
            Fact::Constant(term) => [Word::Constant(term.w0()), Word::Constant(term.w1())],
            Fact::Number(ext) => [Word::Constant(meta(ext)), self.words[0]],
            Fact::Term => [self.words[0], self.words[1]],
        }
    }

    /// The words that hold this value where `fact`, which includes what is certain of it, is known.
    pub(super) fn words_as(&self, fact: Fact) -> Vec<Word> {
        match fact {
            Fact::Nothing | Fact::Constant(_) => Vec::new(),
            Fact::Number(_) => vec![self.term()[1]],
            Fact::Term => self.term().to_vec(),
        }
    }

    /// What this number is; none if that is not known, or it is no number.
    pub(super) fn form(&self) -> Option<Form> {
        match self.fact {
            Fact::Constant(term) => match Number::from_term(term)? {
                Number::Plain(kind, _) => Some(Form::Plain(kind)),
                Number::Cast(kind) => Some(Form::Cast(kind)),
                Number::Operator(operator) => Some(Form::Operator(operator)),
                Number::Partial { operator, wide, .. } => Some(Form::Partial(operator, wide)),
            },
            Fact::Number(ext) => match Kind::from_ext(ext) {
                Some(kind) => Some(Form::Plain(kind)),
                None => {
                    let operator = Operator::from_code(ext & !WIDE)?;
                    Some(Form::Partial(operator, ext & WIDE != 0))
                }
            },
            Fact::Nothing | Fact::Term => None,
        }
    }
}
