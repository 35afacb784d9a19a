//! The kernels' text.

pub(crate) mod generated {
    //! What is rendered from the kernels.
    include!("kernels/generated/ptx.rs");
}

use crate::device::Source;
use crate::{focus, hash, memory, net};

/// The machine's specification as CUDA C++: word layout, rule table, opcodes, number kinds and constants.
pub const RULES: &str = include_str!("kernels/generated/rules.cuh");

/// Headers that kernels include, by the names they include them by.
pub const HEADERS: &[(&str, &str)] = &[
    ("rules.cuh", RULES),
    ("device.cuh", include_str!("kernels/device.cuh")),
];

/// Every unit of this crate, for compilers that have no device, and for measuring how long they take.
pub fn all() -> Vec<Source> {
    [
        net::sources(),
        focus::sources(),
        memory::sources(),
        hash::sources(),
    ]
    .concat()
}
