//! What a figure was measured on.

use std::fmt;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine and the source a run belongs to. A fact that cannot be read is the word `unknown`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor model.
    pub cpu: String,
    /// Logical cores this process may use.
    pub cores: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Operating system and architecture.
    pub system: String,
    /// Commit of the source, with `+` when tracked files differ from it.
    pub commit: String,
    /// Compiler version.
    pub rustc: String,
}

impl Machine {
    /// Reads this machine's facts; the commit is that of the source tree the binary was built from.
    pub fn here() -> Machine {
        let memory_info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Machine {
            cpu: cpu_model(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: field(&memory_info, "MemTotal")
                .and_then(|v| v.split(' ').next()?.parse::<u64>().ok())
                .map_or(0, |kib| kib / 1024),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            commit: commit(),
            rustc: output("rustc", &["--version"]).unwrap_or_else(unknown),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = self.memory_mib as f64 / 1024.0;
        write!(
            f,
            "machine: {}, {} cores, {gib:.1} GiB, {}; commit {}; {}",
            self.cpu, self.cores, self.system, self.commit, self.rustc
        )
    }
}

/// Processor model, as far as the system tells (Linux).
pub fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    field(&text, "model name").unwrap_or_else(unknown)
}

/// Bytes of memory that new work may take without others losing theirs, where the system tells (Linux).
pub fn available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 = field(&text, "MemAvailable")?
        .split(' ')
        .next()?
        .parse()
        .ok()?;
    kib.checked_mul(1024)
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// Value of the first `name : value` line.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn commit() -> String {
    let Some(commit) = output("git", &["rev-parse", "--short=12", "HEAD"]) else {
        return unknown();
    };
    match output("git", &["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit}+"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let text = "processor\t: 0\nmodel name\t: A: fast one\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A: fast one"));
        assert_eq!(field(text, "bogomips"), None);
    }

    #[test]
    fn here_has_cores_and_prints_on_one_line() {
        let machine = Machine::here();
        assert!(machine.cores > 0);
        assert_eq!(machine.to_string().lines().count(), 1);
    }
}
