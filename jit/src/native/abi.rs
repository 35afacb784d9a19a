//! Where the fields of [`Context`] and [`Runtime`] are, and how functions are called.

use std::mem::offset_of;

use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{AbiParam, Signature, Type};
use cranelift_codegen::isa::CallConv;
use ffcm::cpu::native::{Context, Runtime};

/// Offset of a field, in the form that addresses take.
const fn at(offset: usize) -> i32 {
    assert!(offset < 4096);
    offset as i32
}

pub const HEAP: i32 = at(offset_of!(Context, heap));
pub const FREE: i32 = at(offset_of!(Context, free));
pub const FREE_LENGTH: i32 = at(offset_of!(Context, free_length));
pub const FREE_CAPACITY: i32 = at(offset_of!(Context, free_capacity));
pub const TALLY: i32 = at(offset_of!(Context, tally));
pub const TICKS: i32 = at(offset_of!(Context, ticks));
pub const STACK_LIMIT: i32 = at(offset_of!(Context, stack_limit));
pub const ABSENT: i32 = at(offset_of!(Context, absent));
pub const RUNTIME: i32 = at(offset_of!(Context, runtime));

/// A function of the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Enter,
    Reserve,
    Free,
    Resolve,
    Open,
    Copy,
    Operate,
    Erase,
    Link,
    Apply,
    Wire,
    Defer,
}

impl Service {
    pub const COUNT: usize = Service::Defer as usize + 1;

    /// Offset of its address.
    pub const fn offset(self) -> i32 {
        at(match self {
            Service::Enter => offset_of!(Runtime, enter),
            Service::Reserve => offset_of!(Runtime, reserve),
            Service::Free => offset_of!(Runtime, free),
            Service::Resolve => offset_of!(Runtime, resolve),
            Service::Open => offset_of!(Runtime, open),
            Service::Copy => offset_of!(Runtime, copy),
            Service::Operate => offset_of!(Runtime, operate),
            Service::Erase => offset_of!(Runtime, erase),
            Service::Link => offset_of!(Runtime, link),
            Service::Apply => offset_of!(Runtime, apply),
            Service::Wire => offset_of!(Runtime, wire),
            Service::Defer => offset_of!(Runtime, defer),
        })
    }

    /// Types of what it is given after the context, and of what it answers.
    const fn types(self) -> (&'static [Type], &'static [Type]) {
        match self {
            Service::Enter => (&[I32, I64, I64], &[I32]),
            Service::Reserve => (&[I32], &[I32]),
            Service::Free => (&[I32], &[]),
            Service::Resolve => (&[I64], &[I64]),
            Service::Open => (&[I64, I64], &[]),
            Service::Copy => (&[I64, I32, I64], &[]),
            Service::Operate => (&[I64, I64, I32], &[I64]),
            Service::Erase => (&[I64], &[]),
            Service::Link => (&[I64, I64], &[]),
            Service::Apply => (&[I64, I64, I64], &[]),
            Service::Wire => (&[], &[I64]),
            Service::Defer => (&[I32, I64], &[]),
        }
    }

    /// How it is called.
    pub fn signature(self, convention: CallConv) -> Signature {
        let (ins, outs) = self.types();
        let mut signature = Signature::new(convention);
        signature.params.push(AbiParam::new(I64));
        signature
            .params
            .extend(ins.iter().map(|&kind| AbiParam::new(kind)));
        signature
            .returns
            .extend(outs.iter().map(|&kind| AbiParam::new(kind)));
        signature
    }
}

/// How functions of a module call each other: the context and what comes in, for what goes out.
pub fn internal(ins: usize, outs: usize) -> Signature {
    let mut signature = Signature::new(CallConv::Tail);
    signature.params = vec![AbiParam::new(I64); 1 + ins];
    signature.returns = vec![AbiParam::new(I64); outs];
    signature
}

/// How they are called from outside, see [`Code`](ffcm::cpu::native::Code).
pub fn external(convention: CallConv) -> Signature {
    let mut signature = Signature::new(convention);
    signature.params = vec![AbiParam::new(I64); 3];
    signature
}
