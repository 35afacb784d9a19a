//! The lane functions that nets call, as part of the text of a kernel that reduces nets.
//!
//! `call_arity` says how many arguments a definition has that has a lane function, and 0 of any other. `call_run` runs it on
//! the payloads of its arguments, through so many segments at most. The texts stand on those of the device crates: `rules` and
//! `number` there.

use std::fmt;

use super::calls::{CALL_ARGUMENTS, Calls};
use super::program::{Output, Program, Reason};
use super::render::{Text, counter};
use crate::Target;

/// Words of the stack of a lane that reduces nets: less than where lanes do nothing else, because each of them has it.
pub const CALL_STACK_WORDS: u32 = 256;

/// The text for the functions.
pub fn render_calls(calls: &Calls, target: Target) -> String {
    let (segments, firsts) = calls.segments();
    let program = Program {
        name: String::new(),
        columns: Vec::new(),
        output: Output::Term,
        segments,
    };
    let mut text = Text {
        program: &program,
        target,
        straight: false,
        stack: ("call_stack", CALL_STACK_WORDS),
        out: String::new(),
        depth: 0,
    };
    let written = text.calls(calls, &firsts);
    written.expect("writing to a string cannot fail");
    text.out
}

impl Text<'_> {
    fn calls(&mut self, calls: &Calls, firsts: &[u32]) -> fmt::Result {
        let names = calls
            .calls
            .iter()
            .map(|call| format!("@{}", call.program.name));
        let names: Vec<String> = names.collect();
        self.line(format_args!(
            "// The lane functions of nets: {}. Rendered; do not edit.",
            names.join(", ")
        ))?;
        let meta = if self.is_wgsl() {
            "const CALL_META: u32"
        } else {
            "constexpr u32 CALL_META"
        };
        self.line("// Every argument has this meta word.")?;
        self.line(format_args!("{meta} = {}u;", calls.meta))?;
        let operates = calls.calls.iter().any(|call| call.program.operates());
        let turns = if self.is_wgsl() {
            "const CALL_TURNS: u32"
        } else {
            "constexpr u32 CALL_TURNS"
        };
        self.line("// Turns of loops that a segment may take: its own, and those of a division of floats.")?;
        self.line(format_args!(
            "{turns} = {}u;",
            if operates { 10 } else { 1 }
        ))?;
        self.out.push('\n');
        self.out.push_str(match self.target {
            Target::Wgsl => include_str!("calls.wgsl"),
            Target::Cuda => include_str!("calls.cu"),
        });
        if self.is_wgsl() {
            let (stack, words) = self.stack;
            self.line("// A lane has one; what is in it is of no use after a call.")?;
            self.line(format_args!("var<private> {stack}: array<u32, {words}>;"))?;
            self.out.push('\n');
        }
        self.arity(calls)?;
        self.out.push('\n');
        self.run(calls, firsts)
    }

    fn arity(&mut self, calls: &Calls) -> fmt::Result {
        self.line(
            "// How many arguments a definition has that has a lane function; 0 of any other.",
        )?;
        self.open(match self.target {
            Target::Wgsl => "fn call_arity(definition: u32) -> u32",
            Target::Cuda => "FFCM_DEVICE u32 call_arity(u32 definition)",
        })?;
        self.variable("arity", "0u")?;
        for call in &calls.calls {
            self.open(format_args!("if (definition == {}u)", call.definition))?;
            self.line(format_args!("arity = {}u;", call.program.columns.len()))?;
            self.close()?;
        }
        self.line("return arity;")?;
        self.close()
    }

    /// The loop over the segments of all functions. `next` is the one to go on with, or one of the two numbers beyond: the
    /// function is done, or the lane has stopped.
    fn run(&mut self, calls: &Calls, firsts: &[u32]) -> fmt::Result {
        let done = self.program.segments.len();
        self.line("// Runs a lane function through at most so many segments. The arguments are plain numbers.")?;
        self.open(match self.target {
            Target::Wgsl => {
                "fn call_run(definition: u32, arguments: vec4<u32>, trips: u32) -> Called"
            }
            Target::Cuda => {
                "FFCM_DEVICE Called call_run(u32 definition, const u32* arguments, u32 trips)"
            }
        })?;
        self.counters()?;
        for index in 0..self.program.registers().max(CALL_ARGUMENTS) {
            let first = if index < CALL_ARGUMENTS {
                format!("arguments[{index}]")
            } else {
                "0u".to_string()
            };
            self.variable(format_args!("r{index}"), first)?;
        }
        if !self.is_wgsl() {
            let (stack, words) = self.stack;
            self.line(format_args!("u32 {stack}[{words}];"))?;
        }
        self.variable("top", "0u")?;
        self.variable("next", "0u")?;
        for (call, first) in calls
            .calls
            .iter()
            .zip(firsts)
            .filter(|(_, first)| **first > 0)
        {
            self.open(format_args!("if (definition == {}u)", call.definition))?;
            self.line(format_args!("next = {first}u;"))?;
            self.close()?;
        }
        self.variable("trip", "0u")?;
        self.open(format_args!(
            "for (; trip < trips && next < {done}u; trip += 1u)"
        ))?;
        self.segments()?;
        self.close()?;
        for call in &calls.calls {
            let definition = call.definition;
            self.open(format_args!(
                "if (next == {done}u && definition == {definition}u)"
            ))?;
            self.finish(call.program.output, &["r0".into(), "r1".into()])?;
            self.close()?;
        }
        self.open(format_args!("if (next < {done}u)"))?;
        self.line(format_args!("payload = {}u;", Reason::Trips as u32))?;
        self.close()?;
        self.called()
    }

    fn called(&mut self) -> fmt::Result {
        self.line(if self.is_wgsl() {
            "var called = Called();"
        } else {
            "Called called = {};"
        })?;
        for field in ["tag", "payload"] {
            self.line(format_args!("called.{field} = {field};"))?;
        }
        self.line("called.trips = trip;")?;
        for opcode in self.program.opcodes() {
            let index = opcode as u32;
            let count = counter(opcode);
            self.line(format_args!("called.counts[{index}] = {count};"))?;
        }
        let counts: Vec<String> = self.program.opcodes().into_iter().map(counter).collect();
        let total = if counts.is_empty() {
            "0u".to_string()
        } else {
            counts.join(" + ")
        };
        self.line(format_args!("called.total = {total};"))?;
        self.line("return called;")?;
        self.close()
    }
}
