//! The tests of the crates with unsafe code on the CPU, the engines and native code, under AddressSanitizer.
//!
//! What it can see: accesses outside of what was allocated, after it was freed, and memory that nobody frees. What it cannot
//! see: a node of a net's heap used after it was freed, since that heap is one allocation and its nodes are handed out by
//! the engine; builds with debug assertions fill freed nodes with a value that every read checks for, and so do these
//! tests. Nor does it see the order of accesses by several threads, which the models in `ffcm/models` are for.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::cargo::{Cargo, Tally};

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Builds for this lie apart, so that they do not displace the others.
const FOLDER: &str = "target/sanitize";
const FLAG: &str = "-Zsanitizer=address";
/// Lets the stable compiler take the flag.
const BOOTSTRAP: (&str, &str) = ("RUSTC_BOOTSTRAP", "1");

/// Reads beyond the end of an allocation.
const FAULTY: &str = "fn main() {
    let boxed = vec![1u8; 16].into_boxed_slice();
    let beyond = std::hint::black_box(boxed.as_ptr()).wrapping_add(std::hint::black_box(16));
    std::process::exit(i32::from(unsafe { beyond.read_volatile() } == 255));
}
";

/// Runs the tests. The error says what was found, or why nothing could be run.
pub fn run(root: &Path) -> Result<String, String> {
    works(root)?;
    let variables: [(&'static str, &str); 4] = [
        BOOTSTRAP,
        ("RUSTFLAGS", FLAG),
        // Far more memory than there is may be asked for, and refused.
        ("ASAN_OPTIONS", "allocator_may_return_null=1"),
        ("CARGO_TARGET_DIR", FOLDER),
    ];
    let cargo = Cargo {
        root,
        json: false,
        quiet: false,
        variables: variables
            .map(|(name, value)| (name, OsString::from(value)))
            .to_vec(),
    };
    let tests = [
        "test",
        "-p",
        "ffcm",
        "-p",
        "ffcm-jit",
        "--features",
        "ffcm-jit/native",
        "--lib",
        "--tests",
        "--target",
        TARGET,
    ];
    let tally: Tally = cargo.tests(&tests)?;
    Ok(format!("AddressSanitizer: {tally}"))
}

/// Makes sure that the sanitizer is there and finds a fault.
fn works(root: &Path) -> Result<(), String> {
    let folder = root.join(FOLDER);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let (source, program) = (folder.join("faulty.rs"), folder.join("faulty"));
    fs::write(&source, FAULTY).map_err(|error| format!("{}: {error}", source.display()))?;
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.arg(&source).args([FLAG, "--target", TARGET, "-o"]);
    let built = rustc.arg(&program).env(BOOTSTRAP.0, BOOTSTRAP.1).output();
    let built = built.map_err(|error| format!("rustc: {error}"))?;
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr);
        return Err(format!("no AddressSanitizer for {TARGET}: {said}"));
    }
    let output = Command::new(&program).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match said.contains("AddressSanitizer: heap-buffer-overflow") {
        true => Ok(()),
        false => Err("AddressSanitizer does not find a read beyond an allocation".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sanitizer_is_tried_before_it_is_trusted() {
        let root = std::env::temp_dir().join(format!("xtask-sanitize-{}", std::process::id()));
        let tried = works(&root);
        // Elsewhere there is none, and that is said.
        let here = cfg!(all(
            target_os = "linux",
            target_arch = "x86_64",
            target_env = "gnu"
        ));
        assert!(tried.is_ok() || !here, "{tried:?}");
        fs::remove_dir_all(&root).unwrap();
    }
}
