//! The kernels as assembly. Rendered by `cargo xtask codegen`. Do not edit.

/// Stem and text of each file.
pub(crate) const PTX: &[(&str, &str)] = &[
    ("net-calls", include_str!("ptx/net-calls.ptx")),
    ("net-main", include_str!("ptx/net-main.ptx")),
    ("net-main-local-net-local-1", include_str!("ptx/net-main-local-net-local-1.ptx")),
    ("focus-gather", include_str!("ptx/focus-gather.ptx")),
    ("focus-pool-stakes", include_str!("ptx/focus-pool-stakes.ptx")),
    ("focus-settle", include_str!("ptx/focus-settle.ptx")),
    ("focus-commit", include_str!("ptx/focus-commit.ptx")),
    ("focus-patch", include_str!("ptx/focus-patch.ptx")),
    ("memory-apply", include_str!("ptx/memory-apply.ptx")),
    ("hash-blake3-chunks", include_str!("ptx/hash-blake3-chunks.ptx")),
    ("hash-blake3-parents", include_str!("ptx/hash-blake3-parents.ptx")),
    ("hash-sha256-blocks", include_str!("ptx/hash-sha256-blocks.ptx")),
    ("hash-sha256-search", include_str!("ptx/hash-sha256-search.ptx")),
    ("measure-atomics", include_str!("ptx/measure-atomics.ptx")),
];
