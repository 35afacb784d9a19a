//! The kernels' text. A kernel is put together from parts, the generated specification first.

use crate::device::Source;
use crate::{focus, hash, measure, memory, net, rows};

/// The machine's specification as WGSL: word layout, rule table, opcodes, number kinds and constants.
pub const RULES: &str = include_str!("kernels/generated/rules.wgsl");

/// Arithmetic on numbers, which stands on [`RULES`].
pub(crate) const NUMBER: &str = include_str!("kernels/number.wgsl");

/// A kernel for rows of numbers, as [`ffcm_jit::lane::render_kernel`] writes it, with what it stands on.
pub fn rows(text: &str) -> Source {
    rows::source(text)
}

/// The reducer of nets with lane functions, as [`ffcm_jit::lane::render_calls`] writes them.
pub fn nets(text: &str) -> Source {
    net::with_functions(text)
}

/// Every kernel of this crate, for validation and for measuring how long drivers compile.
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
