//! The kernels' text.

#[path = "kernels/generated/ptx.rs"]
#[rustfmt::skip]
pub(crate) mod generated;

use crate::device::Source;
use crate::{focus, hash, measure, memory, net, rows};

/// The machine's specification as CUDA C++: word layout, rule table, opcodes, number kinds and constants.
pub const RULES: &str = include_str!("kernels/generated/rules.cuh");

/// Headers that kernels include, by the names they include them by.
pub const HEADERS: &[(&str, &str)] = &[
    ("rules.cuh", RULES),
    ("device.cuh", include_str!("kernels/device.cuh")),
    ("scale.cuh", include_str!("kernels/memory/scale.cuh")),
    ("blake3.cuh", include_str!("kernels/hash/blake3.cuh")),
    ("sha256.cuh", include_str!("kernels/hash/sha256.cuh")),
    (
        "focus_control.cuh",
        include_str!("kernels/focus/control.cuh"),
    ),
    ("focus_wide.cuh", include_str!("kernels/focus/wide.cuh")),
    ("focus_reduce.cuh", include_str!("kernels/focus/reduce.cuh")),
    ("focus_finish.cuh", include_str!("kernels/focus/finish.cuh")),
    ("number.cuh", include_str!("kernels/number.cuh")),
    ("heap.cuh", include_str!("kernels/net/heap.cuh")),
    ("protocol.cuh", include_str!("kernels/net/protocol.cuh")),
    ("reduce.cuh", include_str!("kernels/net/reduce.cuh")),
    ("fire.cuh", include_str!("kernels/net/fire.cuh")),
    ("plan.cuh", include_str!("kernels/net/plan.cuh")),
];

/// A unit for rows of numbers, of a text as [`ffcm_jit::lane::render_kernel`] writes it. None if a process has made too many.
pub fn rows(text: &str) -> Option<Source> {
    rows::source(text.to_string())
}

/// Every unit of this crate, for compilers that have no device, and for measuring how long they take.
pub fn all() -> Vec<Source> {
    [
        net::sources(),
        focus::sources(),
        memory::sources(),
        hash::sources(),
        measure::sources(),
    ]
    .concat()
}
