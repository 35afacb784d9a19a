//! The published runtime's C backends, built per program and thread count.
//!
//! Its thread count is fixed when it is compiled, so `hvm run-c` has no choice of threads. `hvm gen-c` prints the whole
//! runtime with a program inside: compiled as it is, that is its compiled mode; with one macro changed back, its interpreter.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The `hvm` command and a C compiler.
#[derive(Clone, Debug)]
pub struct Toolchain {
    hvm: PathBuf,
    compiler: String,
}

impl Toolchain {
    /// Finds both, or says what is missing and how to get it.
    pub fn find() -> Result<Toolchain, String> {
        let hvm = std::env::var_os("HVM_BIN").map_or_else(|| PathBuf::from("hvm"), PathBuf::from);
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let version = output(Command::new(&hvm).arg("--version"));
        if version.as_deref().map(str::trim) != Ok("hvm 2.0.22") {
            return Err(
                "needs `cargo install hvm --version 2.0.22 --locked`, in PATH or at $HVM_BIN"
                    .to_owned(),
            );
        }
        output(Command::new(&compiler).arg("--version"))
            .map_err(|error| format!("C compiler {compiler}: {error}"))?;
        Ok(Toolchain { hvm, compiler })
    }

    /// Builds `program` beside its file, fused (`gen-c`) or interpreted (`run-c`), for a power of two of threads.
    pub fn compile(&self, program: &Path, fused: bool, threads: usize) -> Result<PathBuf, String> {
        let code = output(Command::new(&self.hvm).arg("gen-c").arg(program))?;
        // It prints its time with two decimals, too coarse for short programs.
        let mut code = replace(&code, "- TIME: %.2fs", "- TIME: %.6fs")?;
        if !fused {
            code = replace(&code, "#define COMPILED", "#define INTERPRETED")?;
        }
        let mode = if fused { "gen" } else { "run" };
        let binary = program.with_extension(format!("{mode}{threads}"));
        let source = program.with_extension(format!("{mode}{threads}.c"));
        fs::write(&source, code).map_err(|error| format!("{}: {error}", source.display()))?;
        let mut command = Command::new(&self.compiler);
        command
            .args(["-O3", "-march=native", "-w"])
            .arg(format!("-DTPC_L2={}", threads.ilog2()))
            .arg(&source)
            .arg("-o")
            .arg(&binary)
            .args(["-lm", "-lpthread", "-ldl"]);
        output(&mut command)?;
        Ok(binary)
    }
}

fn replace(code: &str, from: &str, to: &str) -> Result<String, String> {
    if !code.contains(from) {
        return Err(format!("`hvm gen-c` printed no `{from}`"));
    }
    Ok(code.replacen(from, to, 1))
}

fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        let line = message.lines().next().unwrap_or_default().to_owned();
        return Err(format!("{program}: {}: {line}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
