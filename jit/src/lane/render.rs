//! Kernels: a lane function for many rows, in the languages of the devices.
//!
//! Row `r` of `n` finds the words of its columns at `columns[c * n + r]`, and leaves at `answers[w * n + r]` the meta word of its
//! number, 0 if the lane stopped, the payload, and its interactions. Group `g` leaves at `totals[7 * g + o]` how many
//! interactions of opcode `o + 1` its rows made; rows that stopped or that needed more than the gas are left out.
//!
//! The texts stand on those of the device crates: `rules` and `number` there.

use std::fmt::{self, Write};

use ffcm::net::partial::Tally;
use ffcm::spec::number::{Kind, Operator};
use ffcm::spec::rules::Opcode;

use super::program::{
    Body, Column, End, Expr, Output, Program, ROW_TRIPS, Reason, STACK_WORDS, Segment, Step, Var,
    Word,
};
use crate::Target;

/// Rows of a group.
pub const GROUP_LANES: u32 = 64;

/// The kernel for a program, without the headers that it stands on.
pub fn render_kernel(program: &Program, target: Target) -> String {
    let mut text = Text {
        program,
        target,
        straight: program.is_straight(),
        stack: ("stack", STACK_WORDS),
        out: String::new(),
        depth: 0,
    };
    text.kernel().expect("writing to a string cannot fail");
    text.out
}

pub(super) struct Text<'p> {
    pub(super) program: &'p Program,
    pub(super) target: Target,
    /// There is neither loop nor stack.
    pub(super) straight: bool,
    /// The stack's name and its words.
    pub(super) stack: (&'static str, u32),
    pub(super) out: String,
    pub(super) depth: usize,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Word::Constant(value) => write!(f, "{value}u"),
            Word::Var(var) => write!(f, "{var}"),
        }
    }
}

impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// The names that the number headers have for unflipped operators.
fn name(operator: Operator) -> &'static str {
    match operator {
        Operator::Add => "ADD",
        Operator::Sub | Operator::FlipSub => "SUB",
        Operator::Mul => "MUL",
        Operator::Div | Operator::FlipDiv => "DIV",
        Operator::Rem | Operator::FlipRem => "REM",
        Operator::Eq => "EQ",
        Operator::Ne => "NE",
        Operator::Lt => "LT",
        Operator::Gt => "GT",
        Operator::And => "AND",
        Operator::Or => "OR",
        Operator::Xor => "XOR",
        Operator::Shl | Operator::FlipShl => "SHL",
        Operator::Shr | Operator::FlipShr => "SHR",
    }
}

impl Text<'_> {
    pub(super) fn line(&mut self, line: impl fmt::Display) -> fmt::Result {
        writeln!(self.out, "{:1$}{line}", "", 4 * self.depth)
    }

    /// A line that opens a block.
    pub(super) fn open(&mut self, line: impl fmt::Display) -> fmt::Result {
        self.line(format_args!("{line} {{"))?;
        self.depth += 1;
        Ok(())
    }

    pub(super) fn close(&mut self) -> fmt::Result {
        self.depth -= 1;
        self.line("}")
    }

    pub(super) fn is_wgsl(&self) -> bool {
        self.target == Target::Wgsl
    }

    pub(super) fn constant(
        &mut self,
        name: impl fmt::Display,
        value: impl fmt::Display,
    ) -> fmt::Result {
        let keyword = if self.is_wgsl() { "let" } else { "const u32" };
        self.line(format_args!("{keyword} {name} = {value};"))
    }

    pub(super) fn variable(
        &mut self,
        name: impl fmt::Display,
        value: impl fmt::Display,
    ) -> fmt::Result {
        let keyword = if self.is_wgsl() { "var" } else { "u32" };
        self.line(format_args!("{keyword} {name} = {value};"))
    }

    fn select(&self, condition: &str, then: &str, otherwise: &str) -> String {
        if self.is_wgsl() {
            format!("select({otherwise}, {then}, {condition})")
        } else {
            format!("{condition} ? {then} : {otherwise}")
        }
    }

    fn kernel(&mut self) -> fmt::Result {
        let program = self.program;
        let columns: Vec<&str> = program.columns.iter().map(column_name).collect();
        self.line(format_args!(
            "// @{} on rows of numbers: {}. Rendered; do not edit.",
            program.name,
            columns.join(", ")
        ))?;
        self.out.push_str(match self.target {
            Target::Wgsl => include_str!("head.wgsl"),
            Target::Cuda => include_str!("head.cu"),
        });
        self.row()?;
        self.out.push('\n');
        self.out.push_str(match self.target {
            Target::Wgsl => include_str!("tail.wgsl"),
            Target::Cuda => include_str!("tail.cu"),
        });
        Ok(())
    }

    /// What has been counted, and what has come out.
    pub(super) fn counters(&mut self) -> fmt::Result {
        for opcode in self.program.opcodes() {
            self.variable(counter(opcode), "0u")?;
        }
        self.variable("tag", "0u")?;
        self.variable("payload", "0u")
    }

    /// The function that runs one row.
    fn row(&mut self) -> fmt::Result {
        let program = self.program;
        self.open(match self.target {
            Target::Wgsl => "fn run_row(row: u32) -> Answer",
            Target::Cuda => {
                "FFCM_DEVICE Answer run_row(const u32* __restrict__ columns, u32 rows, u32 row)"
            }
        })?;
        let rows = if self.is_wgsl() { "job.rows" } else { "rows" };
        self.counters()?;
        let at = |index: usize| match index {
            0 => "columns[row]".to_string(),
            _ => format!("columns[{index}u * {rows} + row]"),
        };
        let words: Vec<String> = (0..program.row_words()).map(at).collect();
        if self.straight {
            let [segment] = &program.segments[..] else {
                unreachable!("a straight program calls nothing");
            };
            for (var, word) in segment.ins.iter().zip(&words) {
                self.constant(var, word)?;
            }
            self.open("switch (0u)")?;
            self.open("default:")?;
            self.body(&segment.body)?;
            self.line("break;")?;
            self.close()?;
            self.close()?;
        } else {
            self.machine(&words)?;
        }
        self.line(if self.is_wgsl() {
            "var answer = Answer();"
        } else {
            "Answer answer = {};"
        })?;
        self.line("answer.tag = tag;")?;
        self.line("answer.payload = payload;")?;
        for opcode in program.opcodes() {
            let index = opcode as u32 - 1;
            self.line(format_args!(
                "answer.counts[{index}] = {};",
                counter(opcode)
            ))?;
        }
        self.line("return answer;")?;
        self.close()
    }

    /// The loop over segments. `next` is the one to go on with, or one of the two numbers beyond: the row is done, or the
    /// lane has stopped.
    fn machine(&mut self, words: &[String]) -> fmt::Result {
        let program = self.program;
        let done = program.segments.len();
        for index in 0..program.registers().max(words.len()) {
            let first = words.get(index).map_or("0u", String::as_str);
            self.variable(format_args!("r{index}"), first)?;
        }
        let (stack, words) = self.stack;
        self.line(if self.is_wgsl() {
            format!("var {stack}: array<u32, {words}>;")
        } else {
            format!("u32 {stack}[{words}];")
        })?;
        self.variable("top", "0u")?;
        self.variable("next", "0u")?;
        let counter = if self.is_wgsl() { "var" } else { "u32" };
        self.open(format_args!(
            "for ({counter} trip = 0u; trip < {ROW_TRIPS}u && next < {done}u; trip += 1u)"
        ))?;
        self.segments()?;
        self.close()?;
        self.open(format_args!("if (next == {done}u)"))?;
        self.finish(program.output, &["r0".into(), "r1".into()])?;
        self.close()?;
        self.open(format_args!("if (next < {done}u)"))?;
        self.line(format_args!("payload = {}u;", Reason::Trips as u32))?;
        self.close()
    }

    /// One turn of the loop: the segment that is next.
    pub(super) fn segments(&mut self) -> fmt::Result {
        self.open("switch (next)")?;
        for (index, segment) in self.program.segments.iter().enumerate() {
            self.open(format_args!("case {index}u:"))?;
            self.segment(segment)?;
            self.line("break;")?;
            self.close()?;
        }
        self.open("default:")?;
        self.line("break;")?;
        self.close()?;
        self.close()
    }

    fn segment(&mut self, segment: &Segment) -> fmt::Result {
        for (index, var) in segment.ins.iter().enumerate() {
            self.constant(var, format_args!("r{index}"))?;
        }
        if !segment.saved.is_empty() {
            self.line(format_args!("top -= {}u;", segment.saved.len()))?;
        }
        for (index, var) in segment.saved.iter().enumerate() {
            let stack = self.stack.0;
            self.constant(var, format_args!("{stack}[top + {index}u]"))?;
        }
        self.body(&segment.body)
    }

    fn body(&mut self, body: &Body) -> fmt::Result {
        for step in &body.steps {
            self.step(step)?;
        }
        match &body.end {
            End::Switch {
                payload,
                zero,
                successor,
            } => {
                self.open(format_args!("if ({payload} == 0u)"))?;
                self.body(zero)?;
                self.otherwise()?;
                self.body(successor)?;
                self.close()
            }
            End::Match { term, cases, other } => self.choose(*term, cases, other),
            End::Call {
                tally,
                to,
                ins,
                saved,
                resume,
            } => self.call((saved, *resume), *to, ins, *tally),
            End::Jump { tally, to, ins } => {
                self.count(*tally)?;
                self.registers(ins)?;
                self.line(format_args!("next = {to}u;"))
            }
            End::Return { tally, outs } => self.returns(*tally, outs),
            End::Stop(reason) => self.stop(*reason),
        }
    }

    fn otherwise(&mut self) -> fmt::Result {
        self.depth -= 1;
        self.open("} else")
    }

    fn choose(&mut self, term: [Word; 2], cases: &[(u32, Body)], other: &Body) -> fmt::Result {
        let [meta, payload] = term;
        for (definition, body) in cases {
            self.open(format_args!(
                "if ((({meta} >> CLASS_SHIFT) & CLASS_MASK) == CLASS_REF && {payload} == {definition}u)"
            ))?;
            self.body(body)?;
            self.otherwise()?;
        }
        self.body(other)?;
        cases.iter().try_for_each(|_| self.close())
    }

    fn call(
        &mut self,
        (saved, resume): (&[Word], u32),
        to: u32,
        ins: &[Word],
        tally: Tally,
    ) -> fmt::Result {
        let frame = saved.len() as u32 + 1;
        let (stack, words) = self.stack;
        let Some(room) = words.checked_sub(frame) else {
            return self.stop(Reason::Stack);
        };
        self.open(format_args!("if (top > {room}u)"))?;
        self.stop(Reason::Stack)?;
        self.line("break;")?;
        self.close()?;
        for (index, word) in saved.iter().enumerate() {
            self.line(format_args!("{stack}[top + {index}u] = {word};"))?;
        }
        self.line(format_args!("{stack}[top + {}u] = {resume}u;", saved.len()))?;
        self.line(format_args!("top += {frame}u;"))?;
        self.count(tally)?;
        self.registers(ins)?;
        self.line(format_args!("next = {to}u;"))
    }

    fn registers(&mut self, words: &[Word]) -> fmt::Result {
        let mut words = words.iter().enumerate();
        words.try_for_each(|(index, word)| self.line(format_args!("r{index} = {word};")))
    }

    fn returns(&mut self, tally: Tally, outs: &[Word]) -> fmt::Result {
        self.count(tally)?;
        if self.straight {
            let outs: Vec<String> = outs.iter().map(Word::to_string).collect();
            return self.finish(self.program.output, &outs);
        }
        self.registers(outs)?;
        self.open("if (top == 0u)")?;
        self.line(format_args!("next = {}u;", self.program.segments.len()))?;
        self.otherwise()?;
        self.line("top -= 1u;")?;
        let stack = self.stack.0;
        self.line(format_args!("next = {stack}[top];"))?;
        self.close()
    }

    /// The answer of a row whose entry has returned these words.
    pub(super) fn finish(&mut self, output: Output, outs: &[String]) -> fmt::Result {
        let [meta, payload] = match output {
            Output::Constant(words) => words.map(|word| format!("{word}u")),
            Output::Number(meta) => [format!("{meta}u"), outs[0].clone()],
            Output::Term => {
                let numeric = format!("(({} >> CLASS_SHIFT) & CLASS_MASK) == CLASS_NUM", outs[0]);
                [self.select(&numeric, &outs[0], "0u"), outs[1].clone()]
            }
        };
        self.line(format_args!("tag = {meta};"))?;
        self.line(format_args!("payload = {payload};"))?;
        if output == Output::Term {
            self.open("if (tag == 0u)")?;
            self.line(format_args!("payload = {}u;", Reason::Term as u32))?;
            self.close()?;
        }
        Ok(())
    }

    fn stop(&mut self, reason: Reason) -> fmt::Result {
        if !self.straight {
            self.line(format_args!("next = {}u;", self.program.segments.len() + 1))?;
        }
        self.line(format_args!("payload = {}u;", reason as u32))
    }

    fn count(&mut self, tally: Tally) -> fmt::Result {
        for (opcode, count) in tally.counts().iter().filter(|(_, count)| *count > 0) {
            self.line(format_args!("{} += {count}u;", counter(opcode)))?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> fmt::Result {
        match step {
            Step::Let { to, value } => {
                let value = self.expr(*value);
                self.constant(to, value)
            }
            Step::Operate { to, a, b } => {
                let (vector, class) = if self.is_wgsl() {
                    ("vec2<u32>", "let")
                } else {
                    ("make_term", "const u64")
                };
                let numeric =
                    |word: Word| format!("(({word} >> CLASS_SHIFT) & CLASS_MASK) != CLASS_NUM");
                let condition = format!("{} || {}", numeric(a[0]), numeric(b[0]));
                self.unless(&condition)?;
                let [[a0, a1], [b0, b1]] = [a, b];
                self.line(format_args!(
                    "{class} answer_term = operate({vector}({a0}, {a1}), {vector}({b0}, {b1}));"
                ))?;
                let words = if self.is_wgsl() {
                    ["answer_term.x", "answer_term.y"]
                } else {
                    ["word0(answer_term)", "word1(answer_term)"]
                };
                self.constant(to[0], words[0])?;
                self.constant(to[1], words[1])?;
                self.unless(&format!("{} == 0u", to[0]))
            }
            Step::Require { meta, references } => {
                let class = format!("(({meta} >> CLASS_SHIFT) & CLASS_MASK)");
                let numeric = format!("{class} != CLASS_NUM");
                if !references {
                    return self.unless(&numeric);
                }
                let variant = format!("(({meta} >> VARIANT_SHIFT) & VARIANT_MASK)");
                self.unless(&format!(
                    "{numeric} && ({class} != CLASS_REF || {variant} != VARIANT_COPYABLE)"
                ))
            }
        }
    }

    /// Stops the lane on a condition.
    fn unless(&mut self, condition: &str) -> fmt::Result {
        self.open(format_args!("if ({condition})"))?;
        self.stop(Reason::Term)?;
        self.line("break;")?;
        self.close()
    }

    fn expr(&self, value: Expr) -> String {
        match value {
            Expr::Arithmetic {
                operator,
                signed,
                a,
                b,
            } => match (operator, signed) {
                (Operator::Add, _) => format!("{a} + {b}"),
                (Operator::Sub, _) => format!("{a} - {b}"),
                (Operator::Mul, _) => format!("{a} * {b}"),
                (Operator::And, _) => format!("{a} & {b}"),
                (Operator::Or, _) => format!("{a} | {b}"),
                (Operator::Xor, _) => format!("{a} ^ {b}"),
                (Operator::Shl, _) => format!("{a} << ({b} & 31u)"),
                (Operator::Shr, false) => format!("{a} >> ({b} & 31u)"),
                _ => format!(
                    "number_integer(OPERATOR_{}, {signed}, {a}, {b})",
                    name(operator)
                ),
            },
            Expr::Compare {
                operator,
                signed,
                a,
                b,
            } => {
                let sign = match operator {
                    Operator::Eq => "==",
                    Operator::Ne => "!=",
                    Operator::Lt => "<",
                    _ => ">",
                };
                // Signed numbers are in the order of unsigned ones when the highest bit is turned.
                let key = |word: Word| match word {
                    _ if !signed => word.to_string(),
                    Word::Constant(value) => format!("{}u", value ^ 1 << 31),
                    Word::Var(var) => format!("({var} ^ SIGN)"),
                };
                self.select(&format!("{} {sign} {}", key(a), key(b)), "1u", "0u")
            }
            Expr::Extend(word) => format!("number_extend(NUM_I24, {word})"),
            Expr::Cut(word) => format!("{word} & NUM_NARROW_MASK"),
            Expr::Before(word) => format!("{word} - 1u"),
            Expr::BeforeMeta(word) => {
                format!("(CLASS_NUM << CLASS_SHIFT) | NUM_U24 | ({word} & NUM_WIDE)")
            }
        }
    }
}

pub(super) fn counter(opcode: Opcode) -> String {
    format!("n_{}", opcode.name())
}

fn column_name(column: &Column) -> &'static str {
    match column {
        Column::Any => "any",
        Column::Plain(ext) => Kind::from_ext(*ext).map_or("number", Kind::name),
    }
}
