//! Text of the rules header, by target.

use std::fmt::Write;

use crate::spec::{Item, items};

/// A language that the header is rendered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// WebGPU Shading Language.
    Wgsl,
    /// CUDA C++, also for NVRTC, which has no standard headers.
    Cuda,
}

impl Target {
    /// Every target.
    pub const ALL: [Target; 2] = [Target::Wgsl, Target::Cuda];

    /// Where the output is kept, relative to the root of the repository.
    pub const fn path(self) -> &'static str {
        match self {
            Target::Wgsl => "wgsl/src/kernels/generated/rules.wgsl",
            Target::Cuda => "cuda/src/kernels/generated/rules.cuh",
        }
    }

    fn open(self) -> &'static str {
        match self {
            Target::Wgsl => "",
            Target::Cuda => "#pragma once\n\nnamespace ffcm {\n",
        }
    }

    fn constant(self, name: &str, value: u32) -> String {
        match self {
            Target::Wgsl => format!("const {name}: u32 = {value}u;"),
            Target::Cuda => format!("constexpr unsigned int {name} = {value}u;"),
        }
    }

    fn open_table(self, name: &str, length: usize) -> String {
        match self {
            Target::Wgsl => format!("const {name}: array<u32, {length}> = array<u32, {length}>("),
            Target::Cuda => format!("static __constant__ const unsigned int {name}[{length}] = {{"),
        }
    }

    fn close_table(self) -> &'static str {
        match self {
            Target::Wgsl => ");",
            Target::Cuda => "};",
        }
    }

    fn close(self) -> &'static str {
        match self {
            Target::Wgsl => "",
            Target::Cuda => "\n}  // namespace ffcm\n",
        }
    }
}

/// The rules header for `target`: the whole file.
pub fn render(target: Target) -> String {
    let mut out = String::from(
        "// The machine's specification. Generated from ffcm by `cargo xtask codegen`; do not edit.\n",
    );
    out.push_str(target.open());
    for item in items() {
        write_item(&mut out, target, &item).expect("writing to a string cannot fail");
    }
    out.push_str(target.close());
    out
}

fn write_item(out: &mut String, target: Target, item: &Item) -> std::fmt::Result {
    match item {
        Item::Section(text) => writeln!(out, "\n// {text}"),
        Item::Constant(name, value, note) if note.is_empty() => {
            writeln!(out, "{}", target.constant(name, *value))
        }
        Item::Constant(name, value, note) => {
            writeln!(out, "{}  // {note}", target.constant(name, *value))
        }
        Item::Table(name, values, columns) => {
            writeln!(out, "{}", target.open_table(name, values.len()))?;
            for row in values.chunks(*columns) {
                let cells: Vec<String> = row.iter().map(|value| format!("{value:>2}u")).collect();
                writeln!(out, "    {},", cells.join(", "))?;
            }
            writeln!(out, "{}", target.close_table())
        }
    }
}
