//! The kernels as assembly. Rendered by `cargo xtask codegen`. Do not edit.

/// Stem and text of each file.
pub(crate) const PTX: &[(&str, &str)] = &[
];
