//! Writing and checking what `ffcm-jit` and NVRTC render.

use std::fs;
use std::path::Path;

use ffcm_jit::lane::golden::{CALLS, Golden, KERNELS};
use ffcm_jit::{Target, golden, render};

use crate::cuda;

/// Writes every rendered file: the headers, and then what is compiled from kernels that include them.
pub fn write_all(root: &Path) -> Result<String, String> {
    let headers = write(root)?;
    let functions = write_functions(root)?;
    let kernels = write_kernels(root)?;
    let assembly = cuda::render(root)?;
    Ok(format!("{headers}\n{functions}\n{kernels}\n{assembly}"))
}

/// Writes the kernels for rows of numbers and the lane functions of nets that are kept. The answer names them.
fn write_kernels(root: &Path) -> Result<String, String> {
    for golden in KERNELS {
        for target in Target::ALL {
            let path = golden.path(target);
            let text = kernel(root, &golden, target)?;
            fs::write(root.join(&path), text).map_err(|e| format!("{path}: {e}"))?;
        }
    }
    for golden in CALLS {
        let path = golden.program;
        let program = fs::read_to_string(root.join(path)).map_err(|e| format!("{path}: {e}"))?;
        for target in Target::ALL {
            let path = golden.path(target);
            let text = golden.text(&program, target);
            let text = text.map_err(|e| format!("{path}: {e}"))?;
            fs::write(root.join(&path), text).map_err(|e| format!("{path}: {e}"))?;
        }
    }
    let kernels = KERNELS.iter().map(|golden| golden.name);
    let names: Vec<&str> = kernels
        .chain(CALLS.iter().map(|golden| golden.name))
        .collect();
    Ok(format!("wrote the kernels of {}", names.join(" ")))
}

/// A kernel for rows of numbers.
fn kernel(root: &Path, golden: &Golden, target: Target) -> Result<String, String> {
    let path = golden.program;
    let program = fs::read_to_string(root.join(path)).map_err(|e| format!("{path}: {e}"))?;
    let kernel = golden.kernel(&program, target);
    kernel.map_err(|e| format!("{path}: {e}"))
}

/// Writes the functions of the golden programs. The answer names them.
fn write_functions(root: &Path) -> Result<String, String> {
    for name in golden::PROGRAMS {
        let [_, path] = golden::paths(name);
        let text = functions(root, name)?;
        fs::write(root.join(&path), text).map_err(|e| format!("{path}: {e}"))?;
    }
    Ok(format!(
        "wrote the functions of {}",
        golden::PROGRAMS.join(" ")
    ))
}

/// The functions of a golden program as text.
fn functions(root: &Path, name: &str) -> Result<String, String> {
    let [path, _] = golden::paths(name);
    let program = fs::read_to_string(root.join(&path)).map_err(|e| format!("{path}: {e}"))?;
    golden::functions(&program).map_err(|e| format!("{path}: {e}"))
}

/// Writes every rendered header. The answer names them.
pub fn write(root: &Path) -> Result<String, String> {
    for target in Target::ALL {
        let path = root.join(target.path());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        fs::write(&path, render(target)).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(format!("wrote {}", Target::ALL.map(Target::path).join(" ")))
}

/// Fails unless every rendered header is as it would be written now.
pub fn check(root: &Path) -> Result<String, String> {
    for target in Target::ALL {
        let path = root.join(target.path());
        let found = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        if found != render(target) {
            return Err(format!(
                "{} is stale: run `cargo xtask codegen`",
                target.path()
            ));
        }
    }
    Ok(format!("{} generated files are fresh", Target::ALL.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_and_missing_files_are_found() {
        let root = std::env::temp_dir().join(format!("xtask-codegen-{}", std::process::id()));
        assert!(check(&root).is_err());
        write(&root).unwrap();
        check(&root).unwrap();
        let path = root.join(Target::Cuda.path());
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("4u", "5u", 1)).unwrap();
        assert!(check(&root).unwrap_err().contains("rules.cuh is stale"));
        fs::remove_dir_all(&root).unwrap();
    }
}
