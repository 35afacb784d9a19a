//! `focus doctor`: what this machine can do.

use clap::Args;
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::{print, print_json, spinning};
use super::probe::{self, Backend, State};

/// Show backends, devices and self-test results
///
/// Starts every backend there is, runs its self-test against recorded digests, twice for its times, and says what is
/// missing. A backend that computes wrongly is exit code 3.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  focus doctor\n  focus doctor --json")]
pub(crate) struct Arguments {
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn doctor(arguments: &Arguments) -> Result<(), Failure> {
    let mut backends = vec![probe::cpu()];
    backends.extend(spinning(|| "testing GPUs".to_owned(), probe::wgpu));
    backends.extend(spinning(|| "testing CUDA devices".to_owned(), probe::cuda));
    #[cfg(feature = "cubecl")]
    backends.extend(spinning(
        || "testing GPUs through cubecl".to_owned(),
        probe::cubecl,
    ));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = memory_bytes();
    let features = cpu_features();
    if arguments.json {
        let rows: Vec<Value> = backends.iter().map(Backend::to_json).collect();
        print_json(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "architecture": std::env::consts::ARCH,
            "system": std::env::consts::OS,
            "cores": cores,
            "memory_bytes": memory,
            "cpu_features": features,
            "backends": rows,
        }))?;
    } else {
        let gib = memory.map_or("unknown".to_owned(), |bytes| {
            format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
        });
        let mut text = format!(
            "focus {} on {} {}\ncores        {cores}\nmemory       {gib}\ncpu features {}\n\n",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH,
            features.join(" "),
        );
        for backend in &backends {
            text += &backend.to_text();
        }
        print(text)?;
    }
    match backends.iter().find(|b| b.state == State::Wrong) {
        Some(b) => Err(Failure::mismatch(format_args!("{}: {}", b.name, b.detail))),
        None => Ok(()),
    }
}

/// Memory of the machine, where the system tells (Linux).
fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    let found = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
        ("sha", is_x86_feature_detected!("sha")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    found
        .iter()
        .filter(|(_, has)| *has)
        .map(|(n, _)| *n)
        .collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}
