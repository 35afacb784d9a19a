//! Models of the CPU net engine's workers: every interleaving of small runs, and random ones of larger runs.
//!
//! The engine's own sources (`ffcm/src/cpu/net`) are compiled here again beside a `sync` module of these models: once
//! for *loom*, which tries every interleaving and every value that the memory orderings let a load return, and once for
//! *shuttle*, which tries random schedules of whole reductions. `build.rs` makes broken variants of the same sources,
//! each with one fault, and the models must find every one.

#![cfg(test)]
#![allow(dead_code, reason = "no model uses all of the engine")]
#![allow(
    clippy::duplicate_mod,
    reason = "the same sources beside each model's own `sync`"
)]

/// Small runs, all interleavings.
mod exhaustive;
/// Broken variants of the engine: each is found by the scenario that it names.
#[allow(
    clippy::needless_bool,
    clippy::needless_ifs,
    clippy::needless_return,
    reason = "a fault leaves odd code behind"
)]
mod faults {
    include!(concat!(env!("OUT_DIR"), "/faults.rs"));
}
/// Larger runs, random schedules.
mod random;

// Where the engine's sources expect the rest of their crate.
use ffcm::{cpu, net, spec};

/// Runs a test of this program that has to fail, in a process of its own, since a failed model may take the process
/// with it. `says` is part of what it must fail with.
fn must_fail(test: &str, says: &str) {
    let program = std::env::current_exe().unwrap();
    let arguments = ["--exact", test, "--ignored", "--nocapture"];
    let output = std::process::Command::new(program).args(arguments).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "the fault was not found");
    assert!(said.contains(says), "found for another reason: {said}");
}
