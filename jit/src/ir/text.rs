//! The text of a module, for people and for comparison: the same for equal modules.
//!
//! ```text
//! fn 5 @sum(v0, v1 -> out)
//!   b0: count 2 = specialize 1, apply 1
//!     switch v0: 0 -> b1, v2 -> b2, else b3
//! ```
//!
//! A function's header has its argument as its caller sees it: parentheses are constructors, `v…` are leaves that come in, `out`
//! those that go out. A value that is certainly a number is written `n…`, any other `v…`.

use core::fmt;

use ffcm::net::partial::{Shape, Tally};
use ffcm::spec::number::Number;
use ffcm::spec::word::{Class, Term};

use super::{Block, End, Function, FunctionId, Inst, Mode, Module, Type, ValueId};

impl fmt::Display for Module {
    /// All functions in order, with the numbers of their entries; calls are written with the names of what is called.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, function) in (0u32..).zip(&self.functions) {
            if let Some(function) = function {
                if i > 0 {
                    f.write_str("\n")?;
                }
                write!(f, "fn {i} ")?;
                function.write(f, Some(self))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Function {
    /// The text of one function; others are written as their numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fn ")?;
        self.write(f, None)
    }
}

impl Function {
    fn write(&self, f: &mut fmt::Formatter<'_>, module: Option<&Module>) -> fmt::Result {
        write!(f, "@{}", self.name)?;
        let (mut leaf, mut value) = (0, 0);
        write_shape(f, &self.shape, &mut |f| {
            let mode = self.modes.get(leaf);
            leaf += 1;
            if mode == Some(&Mode::Out) {
                return f.write_str("out");
            }
            value += 1;
            write!(f, "{}", self.name_of(ValueId(value - 1)))
        })?;
        f.write_str("\n")?;
        let text = Text {
            function: self,
            module,
        };
        for (i, block) in self.blocks.iter().enumerate() {
            write!(f, "  b{i}:")?;
            text.block(f, block)?;
        }
        Ok(())
    }

    fn name_of(&self, value: ValueId) -> Name {
        let number = self.types.get(value.0 as usize) == Some(&Type::Number);
        Name(if number { 'n' } else { 'v' }, value.0)
    }
}

fn write_shape(
    f: &mut fmt::Formatter<'_>,
    shape: &Shape,
    leaf: &mut impl FnMut(&mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    match shape {
        Shape::Leaf => leaf(f),
        Shape::Pair(first, second) => {
            f.write_str("(")?;
            write_shape(f, first, leaf)?;
            f.write_str(" ")?;
            write_shape(f, second, leaf)?;
            f.write_str(")")
        }
    }
}

/// A value.
struct Name(char, u32);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, self.1)
    }
}

struct Text<'t> {
    function: &'t Function,
    module: Option<&'t Module>,
}

impl Text<'_> {
    fn value(&self, value: &ValueId) -> Name {
        self.function.name_of(*value)
    }

    fn values(&self, values: &[ValueId]) -> String {
        let names: Vec<String> = values.iter().map(|v| self.value(v).to_string()).collect();
        names.join(", ")
    }

    fn callee(&self, function: FunctionId) -> String {
        let number = function.0;
        let found = self
            .module
            .and_then(|module| module.functions.get(number as usize));
        match found {
            Some(Some(function)) => format!("@{}.{number}", function.name),
            _ => format!("@.{number}"),
        }
    }

    fn block(&self, f: &mut fmt::Formatter<'_>, block: &Block) -> fmt::Result {
        if block.total > 0 || block.tally != Tally::default() {
            write!(f, " count {}", block.total)?;
            let mut sign = " =";
            for (opcode, n) in block.tally.counts().iter().filter(|&(_, n)| n > 0) {
                write!(f, "{sign} {} {n}", opcode.name())?;
                sign = ",";
            }
        }
        f.write_str("\n")?;
        for inst in &block.insts {
            f.write_str("    ")?;
            self.inst(f, inst)?;
            f.write_str("\n")?;
        }
        f.write_str("    ")?;
        self.end(f, &block.end)?;
        f.write_str("\n")
    }

    fn inst(&self, f: &mut fmt::Formatter<'_>, inst: &Inst) -> fmt::Result {
        let v = |value| self.value(value);
        match inst {
            Inst::Load { to, term } => write!(f, "{} = {}", v(to), Atom(*term)),
            Inst::Reserve { nodes } => write!(f, "reserve {nodes}"),
            Inst::Open {
                first,
                second,
                from,
            } => {
                write!(f, "{}, {} = open {}", v(first), v(second), v(from))
            }
            Inst::Copy {
                first,
                second,
                from,
                w0,
            } => {
                let label = Term(u64::from(*w0)).label();
                write!(f, "{}, {} = copy #{label} {}", v(first), v(second), v(from))
            }
            Inst::Operate {
                to,
                number,
                left,
                steps,
                swapped,
            } => {
                let how = if *swapped { " swapped" } else { "" };
                write!(
                    f,
                    "{} = operate {}, {} in {steps}{how}",
                    v(to),
                    v(number),
                    v(left)
                )
            }
            Inst::Erase { from } => write!(f, "erase {}", v(from)),
            Inst::Link { a, b } => write!(f, "link {}, {}", v(a), v(b)),
            Inst::Allocate { to, w0 } => write!(f, "{} = allocate {}", v(to), Meta(*w0)),
            Inst::Write {
                at,
                slots,
                variable,
            } => {
                write!(f, "write {}", v(at))?;
                self.slots(f, slots, *variable)
            }
            Inst::Node {
                to,
                w0,
                slots,
                variable,
            } => {
                write!(f, "{} = {}", v(to), Meta(*w0))?;
                self.slots(f, slots, *variable)
            }
            Inst::Cell { to, node, side } => write!(f, "{} = cell {}.{side}", v(to), v(node)),
            Inst::Wire { to } => write!(f, "{} = wire", v(to)),
            Inst::Call {
                outs,
                function,
                ins,
            } => {
                if !outs.is_empty() {
                    write!(f, "{} = ", self.values(outs))?;
                }
                write!(f, "call {}({})", self.callee(*function), self.values(ins))
            }
            Inst::Apply {
                from,
                first,
                second,
            } => {
                write!(f, "apply {} to {}, {}", v(from), v(first), v(second))
            }
            Inst::Defer { entry, leaves } => {
                write!(
                    f,
                    "defer {}({})",
                    self.callee(FunctionId(*entry)),
                    self.values(leaves)
                )
            }
        }
    }

    fn slots(
        &self,
        f: &mut fmt::Formatter<'_>,
        slots: &[Option<ValueId>; 2],
        variable: bool,
    ) -> fmt::Result {
        let [first, second] = slots.map(|slot| match slot {
            Some(value) => self.value(&value).to_string(),
            None => "_".to_owned(),
        });
        let mark = if variable { "'" } else { "" };
        write!(f, " {first}{mark}, {second}")
    }

    fn end(&self, f: &mut fmt::Formatter<'_>, end: &End) -> fmt::Result {
        let v = |value| self.value(value);
        match end {
            End::Switch {
                from,
                zero,
                successor,
                before,
                other,
            } => write!(
                f,
                "switch {}: 0 -> b{}, {} -> b{}, else b{}",
                v(from),
                zero.0,
                v(before),
                successor.0,
                other.0
            ),
            End::Match { from, cases, other } => {
                write!(f, "match {}: ", v(from))?;
                for (definition, block) in cases {
                    write!(f, "@{definition} -> b{}, ", block.0)?;
                }
                write!(f, "else b{}", other.0)
            }
            End::Take {
                from,
                tree,
                holes,
                then,
                other,
            } => write!(
                f,
                "take {} as {tree}: {} -> b{}, else b{}",
                v(from),
                self.values(holes),
                then.0,
                other.0
            ),
            End::Return { outs } => write!(f, "return {}", self.values(outs)),
            End::Tail { function, ins } => {
                write!(f, "tail {}({})", self.callee(*function), self.values(ins))
            }
        }
    }
}

/// The class and the label of a node.
struct Meta(u32);

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let term = Term(u64::from(self.0));
        match term.class() {
            Class::Dup => write!(f, "dup #{}", term.label()),
            class => write!(f, "{}", class.name().to_lowercase()),
        }
    }
}

/// A term known in advance.
struct Atom(Term);

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.class(), Number::from_term(self.0)) {
            (Class::Num, Some(number)) => write!(f, "{number}"),
            (Class::Era, _) => f.write_str("*"),
            (Class::Ref, _) => write!(f, "@{}", self.0.offset()),
            _ => write!(f, "{:?}", self.0),
        }
    }
}
