//! The assembly that comes with the crate is that of the kernels as they are.

use std::collections::BTreeSet;
use std::path::Path;

use ffcm_cuda::device::compile::Nvrtc;
use ffcm_cuda::device::ptx;
use ffcm_cuda::kernels;

#[test]
fn there_is_a_fresh_file_for_every_unit_and_no_other() {
    let sources = kernels::all();
    let stale: Vec<String> = sources
        .iter()
        .filter_map(|source| ptx::shipped(source).err())
        .map(|error| error.to_string())
        .collect();
    assert!(
        stale.is_empty(),
        "run `cargo xtask codegen`:\n{}",
        stale.join("\n")
    );
    let stems: BTreeSet<String> = sources.iter().map(ptx::stem).collect();
    assert_eq!(stems.len(), sources.len(), "two units have the same file");
    let listed: BTreeSet<String> = ptx::files()
        .iter()
        .map(|(stem, _)| (*stem).into())
        .collect();
    assert_eq!(listed, stems);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kernels/generated/ptx");
    let files = std::fs::read_dir(folder).into_iter().flatten();
    let found: BTreeSet<String> = files
        .map(|file| {
            file.expect("an entry")
                .file_name()
                .into_string()
                .expect("a name")
        })
        .collect();
    let expected: BTreeSet<String> = stems.iter().map(|stem| format!("{stem}.ptx")).collect();
    assert_eq!(found, expected);
}

#[test]
fn entries_are_in_their_files() {
    for source in kernels::all() {
        let text = ptx::shipped(&source).expect("a fresh file");
        assert!(text.contains("\n.target sm_75\n"), "{}", source.name);
        // The oldest driver that serves reads this version.
        assert!(text.contains("\n.version 8.0\n"), "{}", source.name);
        for entry in source.entries {
            assert!(
                text.contains(&format!(".visible .entry {entry}(")),
                "{}: {entry}",
                source.name
            );
        }
    }
}

/// The line of the compiler's own head that tells its build.
fn build(text: &str) -> Option<&str> {
    text.lines()
        .find(|line| line.starts_with("// Cuda compilation tools"))
}

#[test]
fn the_files_are_what_the_compiler_gives_now() {
    let nvrtc = match Nvrtc::find() {
        Ok(nvrtc) if nvrtc.version() == ptx::NVRTC_VERSION => nvrtc,
        Ok(nvrtc) => {
            let (found, needed) = (nvrtc.version(), ptx::NVRTC_VERSION);
            println!("PTX of the kernels: NOT RUN (NVRTC {found:?}, rendered with {needed:?})");
            return;
        }
        Err(error) => {
            println!("PTX of the kernels: NOT RUN ({error})");
            return;
        }
    };
    for source in kernels::all() {
        let shipped = ptx::shipped(&source).expect("a fresh file");
        let rendered = ptx::render(&nvrtc, &source).expect("it compiles");
        if build(shipped) != build(&rendered) {
            println!("PTX of {}: NOT RUN (another build of NVRTC)", source.name);
            continue;
        }
        assert!(
            shipped == rendered,
            "{}: run `cargo xtask codegen`",
            source.name
        );
    }
}
