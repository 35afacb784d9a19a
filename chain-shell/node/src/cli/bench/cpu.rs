//! `focus bench cpu`: the CPU engines against peers and floors of the same run.

use std::path::PathBuf;
use std::sync::Mutex;

use clap::Args;
use ffcm_suite::cpu::{Plan, Report, rows};

use super::super::failure::Failure;
use super::super::output::{print, print_json, spinning, write_whole};
use super::failure;

/// The CPU engines side by side, each against a peer or a floor of the same run
///
/// Every result is checked before anything is timed: a wrong one is exit code 3. Contenders take turns, so that a busy
/// moment hits all of them. A bar that is missed is a word in the table, never a failure. Peers from other crates are in
/// `cargo run --release -p peers -- cpu`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  focus bench cpu\n  focus bench cpu --quick\n  \
                        focus bench cpu --only nets --threads 1,2 --json nets.json"
)]
pub(super) struct Cpu {
    #[command(flatten)]
    plan: Plan,
    /// Also write the rows to FILE; without FILE, print JSON instead of the table
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    json: Option<Option<PathBuf>>,
}

/// Measures and prints.
pub(super) fn cpu(arguments: &Cpu) -> Result<(), Failure> {
    let plan = &arguments.plan;
    let words = Mutex::new(String::new());
    let now = || words.lock().map(|words| words.clone()).unwrap_or_default();
    let parts: Vec<_> = plan.parts().collect();
    let measured = spinning(now, || {
        let mut all = Vec::new();
        for (at, &part) in parts.iter().enumerate() {
            if let Ok(mut words) = words.lock() {
                *words = format!("measuring {part}, part {} of {}", at + 1, parts.len());
            }
            all.extend(rows(part, plan)?);
        }
        Ok(all)
    });
    let report = Report::of(plan, measured.map_err(failure)?);
    let json = || serde_json::to_value(&report).map_err(Failure::new);
    match &arguments.json {
        None => print(&report),
        Some(None) => print_json(&json()?),
        Some(Some(path)) => {
            let text = format!("{:#}\n", json()?);
            write_whole(path, |out| out.write_all(text.as_bytes()))?;
            print(&report)
        }
    }
}
