//! The package holds what its users need, and not what only checks it here.

use std::path::Path;
use std::process::Command;

/// Most bytes of all files in the package together.
const BYTES_MAX: u64 = 2 << 20;

#[test]
fn the_package_holds_what_it_must() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "package",
            "--package=ffcm",
            "--list",
            "--allow-dirty",
            "--offline",
        ])
        .current_dir(here)
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // Such as about a manifest that lacks what registries show.
    assert!(!said.contains("warning"), "{said}");
    let list = String::from_utf8(output.stdout).expect("names are text");
    let files: Vec<&str> = list.lines().collect();

    for needed in [
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "examples/README.md",
        "examples/embed.rs",
        "examples/nets.rs",
        "golden/nets/sum_tree.golden",
        "golden/nets/sum_tree.hvm",
        "src/lib.rs",
        "src/machine.rs",
    ] {
        assert!(files.contains(&needed), "{needed} is missing: {list}");
    }
    for unwanted in ["golden/graphs/", "tests/", "formats/", "models/", "api.txt"] {
        let found = files.iter().find(|file| file.starts_with(unwanted));
        assert_eq!(found, None);
    }
    // Those that cargo makes are not here.
    let sizes = files
        .iter()
        .filter_map(|file| here.join(file).metadata().ok());
    let bytes: u64 = sizes.map(|file| file.len()).sum();
    assert!((100_000..BYTES_MAX).contains(&bytes), "{bytes} bytes");
}
