//! A module to position-independent machine code.

use cranelift_codegen::Context;
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::ExternalName;
use cranelift_codegen::isa::{self, OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable, Flags};
use cranelift_frontend::FunctionBuilderContext;
use ffcm::net::partial::Tally;

use super::RenderError;
use super::control::{Task, write_door};
use super::host;
use super::rows::{self, RowsError};
use crate::ir::{End, Function, FunctionId, Inst, Mode, Module};
use crate::lane::Program;
use crate::likely::Guesses;

/// Version of what is written for a module. It changes whenever the code does, and tells code on disk apart.
pub const VERSION: u32 = 1;

/// Where functions begin.
const ALIGNMENT: usize = 16;

/// Machine code for a module. It may stand anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The code.
    pub code: Vec<u8>,
    /// For each entry that has code, where that begins, and the set of leaves that go out.
    pub doors: Vec<Option<Door>>,
}

/// Where an entry is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// Offset in the code.
    pub at: u32,
    /// As in [`Function`](ffcm::cpu::native::Function).
    pub outs: u8,
}

/// Writes code for the processor that it runs on.
pub struct Renderer {
    isa: OwnedTargetIsa,
    context: Context,
    scratch: FunctionBuilderContext,
}

/// A call of a function of the module.
struct Call {
    at: usize,
    kind: Reloc,
    addend: i64,
    to: FunctionId,
}

impl Renderer {
    /// For this machine.
    pub fn new() -> Result<Renderer, RenderError> {
        let triple = host::triple()?;
        let error = |error: &dyn std::fmt::Display| RenderError::Target(error.to_string());
        let mut flags = settings::builder();
        let verify = if cfg!(debug_assertions) {
            "true"
        } else {
            "false"
        };
        for (name, value) in [
            ("opt_level", "speed"),
            ("enable_verifier", verify),
            ("unwind_info", "false"),
            // Last calls rely on them.
            ("preserve_frame_pointers", "true"),
            ("is_pic", "false"),
        ] {
            flags.set(name, value).map_err(|e| error(&e))?;
        }
        let mut builder = isa::lookup(triple).map_err(|e| error(&e))?;
        for feature in host::features() {
            builder.enable(feature).map_err(|e| error(&e))?;
        }
        let isa = builder.finish(Flags::new(flags)).map_err(|e| error(&e))?;
        Ok(Renderer {
            isa,
            context: Context::new(),
            scratch: FunctionBuilderContext::new(),
        })
    }

    /// What decides over the code besides the module: the version of the compiler, the processor and its features.
    pub fn fingerprint(&self) -> String {
        let isa = &*self.isa;
        let features: Vec<String> = isa
            .isa_flags()
            .iter()
            .map(|flag| flag.to_string())
            .collect();
        format!(
            "cranelift {} {} {} {}",
            cranelift_codegen::VERSION,
            isa.triple(),
            isa.flags(),
            features.join(" ")
        )
    }

    /// Code for all functions of a module. `go_on` is asked before each of them.
    pub fn render(
        &mut self,
        module: &Module,
        go_on: impl FnMut() -> bool,
    ) -> Result<Image, RenderError> {
        self.render_some(module, &vec![true; module.functions.len()], go_on)
    }

    /// The same for the function of one entry and all that it calls.
    pub fn render_entry(
        &mut self,
        module: &Module,
        entry: u32,
        go_on: impl FnMut() -> bool,
    ) -> Result<Image, RenderError> {
        let mut wanted = vec![false; module.functions.len()];
        let mut found = vec![entry];
        while let Some(next) = found.pop() {
            let Some(seen) = wanted.get_mut(next as usize) else {
                continue;
            };
            if !std::mem::replace(seen, true)
                && let Some(function) = &module.functions[next as usize]
            {
                found.extend(calls_of(function));
            }
        }
        self.render_some(module, &wanted, go_on)
    }

    fn render_some(
        &mut self,
        module: &Module,
        wanted: &[bool],
        mut go_on: impl FnMut() -> bool,
    ) -> Result<Image, RenderError> {
        let guesses = Guesses::new(module);
        let mut image = Image {
            code: Vec::new(),
            doors: vec![None; module.functions.len()],
        };
        let mut starts = vec![None; module.functions.len()];
        let mut calls = Vec::new();
        for (number, function) in module.functions.iter().enumerate() {
            let Some(function) = function.as_ref().filter(|_| wanted[number]) else {
                continue;
            };
            if !go_on() {
                return Err(RenderError::Stopped);
            }
            let id = FunctionId(number as u32);
            self.context.clear();
            let task = Task {
                module,
                id,
                function,
                likely: guesses.values(number, function),
                convention: self.isa.default_call_conv(),
            };
            let frontend = self.isa.frontend_config();
            task.write(&mut self.context.func, &mut self.scratch, frontend)?;
            starts[number] = Some(self.place(&mut image.code, &mut calls, &function.name)?);
            self.context.clear();
            let isa: &dyn TargetIsa = &*self.isa;
            write_door(&mut self.context.func, &mut self.scratch, isa, id, function);
            let at = self.place(&mut image.code, &mut calls, &function.name)?;
            let leaves = function.modes.iter().enumerate();
            let outs = leaves
                .filter(|(_, mode)| **mode == Mode::Out)
                .fold(0_u8, |outs, (leaf, _)| outs | (1 << leaf));
            image.doors[number] = Some(Door {
                at: at as u32,
                outs,
            });
        }
        for call in calls {
            resolve(&mut image.code, &call, &starts)?;
        }
        Ok(image)
    }

    /// Code of a lane function for rows of numbers, and what the ends of its paths count.
    pub(super) fn render_rows(
        &mut self,
        program: &Program,
    ) -> Result<(Vec<u8>, Vec<Tally>), RowsError> {
        self.context.clear();
        let isa = &*self.isa;
        let paths = rows::write(
            program,
            &mut self.context.func,
            &mut self.scratch,
            (isa.default_call_conv(), isa.frontend_config()),
        )?;
        let mut code = Vec::new();
        // It calls nothing, so there is nothing to be resolved.
        self.place(&mut code, &mut Vec::new(), &program.name)?;
        Ok((code, paths))
    }

    /// Compiles what is in the context and adds it to the code. Answers where it begins.
    fn place(
        &mut self,
        code: &mut Vec<u8>,
        calls: &mut Vec<Call>,
        name: &str,
    ) -> Result<usize, RenderError> {
        let mut plane = ControlPlane::default();
        let failed = |error: String| RenderError::Compile {
            function: name.to_owned(),
            error,
        };
        let compiled = self
            .context
            .compile(&*self.isa, &mut plane)
            .map_err(|error| failed(format!("{:?}", error.inner)))?;
        let start = code.len().next_multiple_of(ALIGNMENT);
        code.resize(start, 0);
        code.extend_from_slice(compiled.code_buffer());
        let names = compiled.buffer.relocs();
        let mut found = Vec::with_capacity(names.len());
        for reloc in names {
            use cranelift_codegen::FinalizedRelocTarget::ExternalName as Outside;
            let Outside(ExternalName::User(to)) = &reloc.target else {
                return Err(failed(format!("it needs {:?}", reloc.target)));
            };
            found.push((reloc.offset, reloc.kind, reloc.addend, *to));
        }
        for (offset, kind, addend, to) in found {
            let name = &self.context.func.params.user_named_funcs()[to];
            calls.push(Call {
                at: start + offset as usize,
                kind,
                addend,
                to: FunctionId(name.index),
            });
        }
        Ok(start)
    }
}

/// The functions that one calls.
fn calls_of(function: &Function) -> impl Iterator<Item = u32> {
    function.blocks.iter().flat_map(|block| {
        let calls = block.insts.iter().filter_map(|inst| match inst {
            Inst::Call { function, .. } => Some(function.0),
            _ => None,
        });
        let last = match &block.end {
            End::Tail { function, .. } => Some(function.0),
            _ => None,
        };
        calls.chain(last)
    })
}

/// Writes where a call goes to.
fn resolve(code: &mut [u8], call: &Call, starts: &[Option<usize>]) -> Result<(), RenderError> {
    let start = starts.get(call.to.0 as usize).copied().flatten();
    let (Some(start), Some(place)) = (start, code.get_mut(call.at..call.at + 4)) else {
        return Err(RenderError::Relocation(call.kind));
    };
    let distance = start as i64 + call.addend - call.at as i64;
    let mut word = [0; 4];
    word.copy_from_slice(place);
    let word = match call.kind {
        Reloc::X86PCRel4 | Reloc::X86CallPCRel4 => i32::try_from(distance).ok(),
        // A branch by words: 26 bits.
        Reloc::Arm64Call if (-(1 << 27)..1 << 27).contains(&distance) => {
            let words = (distance >> 2) as u32 & ((1 << 26) - 1);
            Some((u32::from_le_bytes(word) & !((1 << 26) - 1) | words) as i32)
        }
        _ => None,
    };
    let word = word.ok_or(RenderError::Relocation(call.kind))?;
    place.copy_from_slice(&word.to_le_bytes());
    Ok(())
}
