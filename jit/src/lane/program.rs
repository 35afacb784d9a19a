//! What a lane function is lowered to.

use ffcm::net::partial::Tally;
use ffcm::spec::number::Operator;

/// Words of a lane's stack.
pub const STACK_WORDS: u32 = 512;
/// Most segments that a row goes through. Some drivers stop the loops of a lane after 65,535 trips in sum, of which an
/// arithmetic step on floats takes up to 9.
pub const ROW_TRIPS: u32 = 1 << 12;
/// Most interactions of a path through a segment, so that the sum over the lanes of a group fits a word.
pub(super) const PATH_INTERACTIONS_MAX: u64 = 4096;

/// What is known of the numbers of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// Plain numbers whose kind has this `ext`, one word a row: the payload.
    Plain(u8),
    /// Any numbers, two words a row.
    Any,
}

impl Column {
    /// Words of a row.
    pub const fn words(self) -> usize {
        match self {
            Column::Plain(_) => 1,
            Column::Any => 2,
        }
    }
}

/// A variable of a segment, written once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Var(pub u32);

/// An operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Known in advance.
    Constant(u32),
    /// In a variable.
    Var(Var),
}

/// A word computed from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expr {
    /// Integer arithmetic on 32 bits, comparisons excepted, as [`ffcm::spec::number`] has it; the operator is not flipped.
    Arithmetic {
        /// What is done.
        operator: Operator,
        /// Whether the operands are signed.
        signed: bool,
        /// Left operand.
        a: Word,
        /// Right operand.
        b: Word,
    },
    /// 1 if the comparison holds, otherwise 0.
    Compare {
        /// `=`, `!`, `<` or `>`.
        operator: Operator,
        /// Whether the operands are signed.
        signed: bool,
        /// Left operand.
        a: Word,
        /// Right operand.
        b: Word,
    },
    /// The low 24 bits, sign-extended.
    Extend(Word),
    /// The low 24 bits.
    Cut(Word),
    /// One less; the word is not 0.
    Before(Word),
    /// The meta word of the number before the one with this meta word.
    BeforeMeta(Word),
}

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Computes a word.
    Let {
        /// Gets it.
        to: Var,
        /// What it is.
        value: Expr,
    },
    /// [`ffcm::spec::number::operate`] on two terms. Stops the lane if one is no number, or the answer is the host's to compute.
    Operate {
        /// Get the term.
        to: [Var; 2],
        /// A term.
        a: [Word; 2],
        /// A term.
        b: [Word; 2],
    },
    /// Stops the lane unless the meta word is that of a number, or if `references` is set, of a copyable reference.
    Require {
        /// The meta word.
        meta: Word,
        /// Whether references will do.
        references: bool,
    },
}

/// Why a lane stops without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Reason {
    /// What comes next needs nodes or wires, or leaves calls for later.
    Heap = 1,
    /// A term is not a number where one is needed, or arithmetic is the host's to do.
    Term = 2,
    /// The stack is full.
    Stack = 3,
    /// Too many segments.
    Trips = 4,
}

/// A path, or several with their first part in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// In order.
    pub steps: Vec<Step>,
    /// What comes then.
    pub end: End,
}

/// The end of a body. Segments are named by their index; `tally` is what the path has done since the segment began.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// Looks at a number's payload.
    Switch {
        /// The payload.
        payload: Word,
        /// If it is zero.
        zero: Box<Body>,
        /// If not.
        successor: Box<Body>,
    },
    /// Compares a term with references.
    Match {
        /// The term.
        term: [Word; 2],
        /// Definitions, and where to go on for a reference to each.
        cases: Vec<(u32, Body)>,
        /// For anything else.
        other: Box<Body>,
    },
    /// Goes on with a segment, and after its return with another.
    Call {
        /// What has been done.
        tally: Tally,
        /// The segment.
        to: u32,
        /// Its inputs.
        ins: Vec<Word>,
        /// What that other segment finds on the stack.
        saved: Vec<Word>,
        /// That other segment; its inputs are what was returned.
        resume: u32,
    },
    /// Goes on with a segment.
    Jump {
        /// What has been done.
        tally: Tally,
        /// The segment.
        to: u32,
        /// Its inputs.
        ins: Vec<Word>,
    },
    /// Goes on with the segment on top of the stack; the row is done if there is none.
    Return {
        /// What has been done.
        tally: Tally,
        /// What is returned.
        outs: Vec<Word>,
    },
    /// The lane stops.
    Stop(Reason),
}

/// Code without a jump back.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Get what was saved, in order.
    pub saved: Vec<Var>,
    /// Get what was passed or returned, in order.
    pub ins: Vec<Var>,
    /// The code.
    pub body: Body,
}

/// What the words that the entry returns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// None: it is always this meta word and payload.
    Constant([u32; 2]),
    /// The payload of a number with this meta word.
    Number(u32),
    /// A term.
    Term,
}

/// A lane function.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Name of the definition.
    pub name: String,
    /// What its arguments are.
    pub columns: Vec<Column>,
    /// What it returns.
    pub output: Output,
    /// The entry is the first one.
    pub segments: Vec<Segment>,
}

impl Program {
    /// Words of a row's arguments.
    pub fn row_words(&self) -> usize {
        self.columns.iter().map(|column| column.words()).sum()
    }

    /// Whether a row takes one segment at most, so that it needs neither loop nor stack.
    pub fn is_straight(&self) -> bool {
        fn returns(body: &Body) -> bool {
            match &body.end {
                End::Switch {
                    zero, successor, ..
                } => returns(zero) && returns(successor),
                End::Match { cases, other, .. } => {
                    returns(other) && cases.iter().all(|(_, body)| returns(body))
                }
                End::Call { .. } | End::Jump { .. } => false,
                End::Return { .. } | End::Stop(_) => true,
            }
        }
        self.segments.iter().all(|segment| returns(&segment.body))
    }

    /// Whether it has an arithmetic step on any two terms.
    pub(super) fn operates(&self) -> bool {
        fn operates(body: &Body) -> bool {
            let operate = |step: &Step| matches!(step, Step::Operate { .. });
            let below = match &body.end {
                End::Switch {
                    zero, successor, ..
                } => operates(zero) || operates(successor),
                End::Match { cases, other, .. } => {
                    operates(other) || cases.iter().any(|(_, body)| operates(body))
                }
                End::Call { .. } | End::Jump { .. } | End::Return { .. } | End::Stop(_) => false,
            };
            below || body.steps.iter().any(operate)
        }
        self.segments.iter().any(|segment| operates(&segment.body))
    }

    /// Most words that are passed or returned.
    pub fn registers(&self) -> usize {
        let ins = self.segments.iter().map(|segment| segment.ins.len());
        ins.max().unwrap_or(0).max(2)
    }
}
