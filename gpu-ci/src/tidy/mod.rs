//! Conventions of this repository, as checks over its files.

mod commands;
mod cuda;
mod kernels;
mod manifests;
mod sources;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::matrix;

/// A file of the repository.
#[derive(Clone, Debug)]
pub struct File {
    /// Path from the root, with `/`.
    pub path: String,
    /// Content.
    pub bytes: Vec<u8>,
}

impl File {
    /// The content if it is text.
    fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// One violation each: `path: what`, or `path:line: what`.
type Problems = Vec<String>;
type Check = fn(&[File]) -> Problems;

/// Every check with the convention it holds up.
const CHECKS: [(&str, Check); 21] = [
    ("only the agreed names at the top level", top_level),
    ("no file over 1 MiB", blobs),
    ("the changelog has a section", changelog),
    (
        "the first line of a source says its purpose",
        sources::purpose,
    ),
    ("no source over 1000 lines", sources::length),
    ("no machine paths and no leftovers", sources::words),
    (
        "no float, clock or hash map where consensus looks",
        sources::determinism,
    ),
    ("no float in a kernel", kernels::no_floats),
    ("every kernel file is used", kernels::included),
    ("no float in a CUDA kernel", cuda::no_floats),
    ("assembly and clocks in one header", cuda::no_assembly),
    ("every CUDA kernel file is used", cuda::included),
    ("every CUDA kernel has a WGSL sibling", cuda::siblings),
    ("rendered assembly says its origin", cuda::assembly),
    ("every crate takes the workspace's lints", manifests::lints),
    ("uses run one way", manifests::direction),
    ("ffcm stands alone", manifests::ffcm_alone),
    ("cuda needs no other backend", manifests::cuda_dependencies),
    ("commands that are told are there", commands::named),
    ("the README's matrix is that of the records", matrix::check),
    (
        "cubecl is in no default build",
        manifests::cubecl_dependencies,
    ),
];

/// Runs every check over what git tracks or would track.
pub fn run(root: &Path) -> Result<String, String> {
    let files = read(root)?;
    let mut problems = Vec::new();
    for (convention, check) in CHECKS {
        problems.extend(
            check(&files)
                .into_iter()
                .map(|problem| format!("{problem} [{convention}]")),
        );
    }
    if problems.is_empty() {
        Ok(format!(
            "tidy: {} files, {} checks",
            files.len(),
            CHECKS.len()
        ))
    } else {
        Err(problems.join("\n"))
    }
}

/// Every file that git tracks or would track.
pub fn read(root: &Path) -> Result<Vec<File>, String> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .map_err(|e| format!("git ls-files: {e}"))?;
    if !output.status.success() {
        return Err(format!(
            "git ls-files: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    let names = String::from_utf8(output.stdout).map_err(|_| "a file name is not UTF-8")?;
    let mut files = Vec::new();
    // A file deleted but not yet staged is still listed.
    for path in names.split('\0').filter(|path| root.join(path).is_file()) {
        let bytes = fs::read(root.join(path)).map_err(|e| format!("{path}: {e}"))?;
        files.push(File {
            path: path.to_string(),
            bytes,
        });
    }
    if files.is_empty() {
        return Err("git lists no files".into());
    }
    Ok(files)
}

const TOP_LEVEL: [&str; 16] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "chain-shell",
    "cuda",
    "ffcm",
    "gpu-ci",
    "jit",
    "scheduler",
    "vm-sandboxes",
    "wgsl",
    // Names that begin with a dot are configuration of tools and always allowed.
    ".",
];

fn top_level(files: &[File]) -> Problems {
    let mut names: Vec<&str> = files
        .iter()
        .filter_map(|file| file.path.split('/').next())
        .collect();
    names.dedup();
    names.retain(|name| !name.starts_with('.') && !TOP_LEVEL.contains(name));
    names
        .iter()
        .map(|name| format!("{name}: not one of the top-level names"))
        .collect()
}

fn blobs(files: &[File]) -> Problems {
    let large = files.iter().filter(|file| file.bytes.len() > 1 << 20);
    large
        .map(|file| format!("{}: {} bytes", file.path, file.bytes.len()))
        .collect()
}

/// A heading that begins with a version number or says Unreleased.
fn changelog(files: &[File]) -> Problems {
    let Some(text) = files
        .iter()
        .find(|f| f.path == "CHANGELOG.md")
        .and_then(File::text)
    else {
        return vec!["CHANGELOG.md: missing".into()];
    };
    let is_section = |line: &str| {
        let title = line
            .strip_prefix("## ")
            .map(|title| title.trim_start_matches('['));
        title.is_some_and(|t| {
            t.starts_with("Unreleased") || t.starts_with(|c: char| c.is_ascii_digit())
        })
    };
    if text.lines().any(is_section) {
        vec![]
    } else {
        vec!["CHANGELOG.md: neither an Unreleased section nor a version".into()]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn file(path: &str, text: &str) -> File {
        File {
            path: path.into(),
            bytes: text.into(),
        }
    }

    #[test]
    fn stray_top_level_names_are_found() {
        let good = [
            file("Cargo.toml", ""),
            file("ffcm/src/lib.rs", ""),
            file(".ci/run", ""),
        ];
        assert!(top_level(&good).is_empty());
        let bad = [
            file("notes.txt", ""),
            file("scripts/a", ""),
            file("scripts/b", ""),
        ];
        assert_eq!(top_level(&bad).len(), 2);
    }

    #[test]
    fn large_files_are_found() {
        let of_size = |bytes: usize| File {
            path: "ffcm/golden/a".into(),
            bytes: vec![0; bytes],
        };
        assert!(blobs(&[of_size(1 << 20)]).is_empty());
        assert_eq!(blobs(&[of_size((1 << 20) + 1)]).len(), 1);
    }

    #[test]
    fn a_changelog_without_a_section_is_found() {
        for text in [
            "## Unreleased\n",
            "# C\n\n## [Unreleased]\n",
            "## 0.1.0\n",
            "## [0.1.0] - a day\n",
        ] {
            assert!(
                changelog(&[file("CHANGELOG.md", text)]).is_empty(),
                "{text}"
            );
        }
        for text in ["", "# Unreleased\n", "Unreleased", "## Later\n"] {
            assert_eq!(changelog(&[file("CHANGELOG.md", text)]).len(), 1, "{text}");
        }
        assert_eq!(changelog(&[]).len(), 1);
    }

    #[test]
    fn a_folder_without_git_is_an_error() {
        let folder = std::env::temp_dir().join(format!("xtask-tidy-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert!(run(&folder).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
