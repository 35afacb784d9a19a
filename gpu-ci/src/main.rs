//! Check every backend on every device.
//!
//! `cargo xtask` is the one entry point for checks, here and in continuous integration. It runs the WebGPU backend on
//! every Vulkan driver of the machine; what did not run is reported as not run, never as passed.

mod api;
mod callgrind;
mod cargo;
mod codegen;
mod cubecl;
mod cuda;
mod deps;
mod matrix;
mod sanitize;
mod test;
mod tidy;
mod vulkan;
mod wgsl;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  test [--json]       packages, fmt, tidy, codegen --check, clippy, docs, api, all tests, the WebGPU backend on each
                      driver, the CUDA backend, tiny benchmarks, instruction counting; stops at the first
                      failure
  wgsl                the WebGPU backend on each driver, nothing else
  cuda                the CUDA backend: kernels compiled by NVRTC (fetched from PyPI if need be), run on the CPU, and run
                      on a device where there is one
  cubecl              the kernels that cubecl compiles, on each software driver; builds cubecl, which takes minutes, and is
                      not part of `test`
  sanitize            the tests of ffcm under AddressSanitizer; takes minutes, and is not part of `test`
  codegen [--check]   write the generated headers of wgsl/ and cuda/ and the PTX of the kernels, or only say which
                      headers are stale
  api [--bless]       whether the public interface of ffcm is the recorded one; --bless records it
  callgrind [--json]  instructions per interaction, arc, value and so on of small kernels, counted by valgrind; --quick
                      tries the machinery alone
  matrix [--json]     backends, drivers and suites as the records in gpu-ci/records have them; --write puts the table into
                      the README
  matrix run [PACKAGE…] a record of what this machine can run without a GPU; of packages beside those that are built
                      by default too
  tidy                conventions of this repository
  ci-deps [--optional] system packages that the tests need and this machine lacks, one a line; or those without which
                      a step is not run

Exit codes: 0 done, 1 failed, 2 usage.
Example: cargo xtask test --json";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = root();
    let result = match arguments[..] {
        ["test"] => return test::run(&root, false),
        ["test", "--json"] => return test::run(&root, true),
        ["wgsl"] => return test::run_drivers(&root),
        ["cuda"] => return test::run_cuda(&root),
        ["cubecl"] => cubecl::run(&root),
        ["sanitize"] => sanitize::run(&root),
        ["codegen"] => codegen::write_all(&root),
        ["codegen", "--check"] => codegen::check(&root),
        ["api"] => api::check(&root),
        ["api", "--bless"] => api::bless(&root),
        ["callgrind"] => callgrind::run(&root, false, false),
        ["callgrind", "--json"] => callgrind::run(&root, true, false),
        ["callgrind", "--quick"] => callgrind::run(&root, false, true),
        ["matrix"] => matrix::show(&root),
        ["matrix", "--json"] => matrix::show_json(&root),
        ["matrix", "--write"] => matrix::write(&root),
        ["matrix", "run", ref packages @ ..] if packages.iter().all(|name| is_package(name)) => {
            matrix::run(&root, packages)
        }
        ["tidy"] => tidy::run(&root),
        ["ci-deps"] => return list(&deps::missing()),
        ["ci-deps", "--optional"] => return list(&deps::missing_optional()),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Whether an argument may be the name of a package.
fn is_package(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Prints names, one a line.
fn list(names: &[&str]) -> ExitCode {
    names.iter().for_each(|name| println!("{name}"));
    ExitCode::SUCCESS
}

/// The repository: this crate lies one folder below it.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
