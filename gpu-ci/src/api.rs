//! The public interface of `ffcm`, recorded: a change of it is a decision, seen in review.
//!
//! `ffcm/api.txt` lists every public item with its signature, as crate `public-api` reads them from rustdoc's JSON. That
//! format is unstable, so rustdoc is told that it may use what is; no other toolchain is needed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::cargo::Cargo;

/// Where the interface is recorded.
const RECORD: &str = "ffcm/api.txt";

/// Differences that are shown.
const SHOWN: usize = 40;

/// Compares the interface with the record.
pub fn check(root: &Path) -> Result<String, String> {
    let found = interface(root)?;
    let recorded = fs::read_to_string(root.join(RECORD)).map_err(|e| format!("{RECORD}: {e}"))?;
    compare(&recorded, &found)
}

/// Records the interface.
pub fn bless(root: &Path) -> Result<String, String> {
    let found = interface(root)?;
    let count = found.lines().count();
    fs::write(root.join(RECORD), found).map_err(|e| format!("{RECORD}: {e}"))?;
    Ok(format!("{RECORD}: {count} public items recorded"))
}

/// One item a line, with all features: what backends and kernels are judged by is public too.
fn interface(root: &Path) -> Result<String, String> {
    // In a folder of its own, as what this variable allows is built apart from everything else.
    let target = target(root).join("api");
    let cargo = Cargo {
        root,
        json: true,
        quiet: false,
        variables: vec![("RUSTC_BOOTSTRAP", "1".into())],
    };
    let target_dir = target.to_string_lossy();
    cargo.run(&[
        "rustdoc",
        "--quiet",
        "--package=ffcm",
        "--lib",
        "--all-features",
        "--target-dir",
        &target_dir,
        "--",
        "-Zunstable-options",
        "--output-format=json",
    ])?;
    let api = public_api::Builder::from_rustdoc_json(target.join("doc/ffcm.json"))
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .build();
    let api = api.map_err(|error| {
        format!("the interface of ffcm cannot be read: {error}; crate public-api reads one version of the format")
    })?;
    Ok(api.to_string())
}

fn target(root: &Path) -> std::path::PathBuf {
    let given: Option<OsString> = std::env::var_os("CARGO_TARGET_DIR");
    root.join(given.unwrap_or_else(|| "target".into()))
}

/// Equal, or what is missing and what is new.
fn compare(recorded: &str, found: &str) -> Result<String, String> {
    if recorded == found {
        return Ok(format!("{RECORD}: {} public items", found.lines().count()));
    }
    let lines = |text| str::lines(text).collect::<BTreeSet<&str>>();
    let (before, now) = (lines(recorded), lines(found));
    let mut changes: Vec<String> = Vec::new();
    changes.extend(before.difference(&now).map(|line| format!("- {line}")));
    changes.extend(now.difference(&before).map(|line| format!("+ {line}")));
    if changes.is_empty() {
        changes.push("the same items in another order or number".into());
    }
    let more = changes.len().saturating_sub(SHOWN);
    changes.truncate(SHOWN);
    if more > 0 {
        changes.push(format!("and {more} more"));
    }
    Err(format!(
        "the public interface of ffcm is not the one that {RECORD} records:\n{}\n\
         If that is meant, record it with `cargo xtask api --bless`, and say in CHANGELOG.md what it breaks.",
        changes.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_told_with_the_command_that_records_it() {
        let recorded = "pub fn a()\npub fn b(u8)\npub mod c\n";
        assert!(
            compare(recorded, recorded)
                .unwrap()
                .contains("3 public items")
        );
        let error = compare(recorded, "pub fn a()\npub fn b(u16)\npub mod c\n").unwrap_err();
        assert!(
            error.contains("\n- pub fn b(u8)\n+ pub fn b(u16)\n"),
            "{error}"
        );
        assert!(error.contains("cargo xtask api --bless"));
        for other in [
            "",
            "pub fn a()\npub fn b(u8)\n",
            "pub mod c\npub fn a()\npub fn b(u8)\n",
        ] {
            assert!(compare(recorded, other).is_err());
        }
        let many: String = (0..100).map(|i| format!("pub fn f{i}()\n")).collect();
        let error = compare("", &many).unwrap_err();
        assert!(error.contains("and 60 more"), "{error}");
    }

    #[test]
    fn the_record_is_there_and_names_the_door() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let recorded = fs::read_to_string(root.join(RECORD)).unwrap();
        assert!(recorded.lines().any(|line| line == "pub mod ffcm::machine"));
    }
}
