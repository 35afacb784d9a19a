//! Rows of the state tree: root and durable commit against each rival, and against the disk.

use std::path::Path;

use super::{Figure, Plan, Reading, Row, Work};
use crate::failure::Failure;
use crate::state::{self, Arguments, Contenders};

/// Measures updates.
pub fn rows(
    plan: &Plan,
    rivals: impl FnOnce(&Path) -> Result<Contenders, Failure>,
) -> Result<Vec<Row>, Failure> {
    let arguments = Arguments {
        keys: 1_000_000,
        updates: 100_000,
        rounds: plan.rounds,
        threads: plan.threads.clone(),
        folder: plan.folder.clone(),
        options: plan.options(),
    };
    Ok(of_report(&state::report(&arguments, rivals)?))
}

fn of_report(report: &state::Report) -> Vec<Row> {
    let what = format!(
        "{} updates over {} keys, root and commit",
        report.updates, report.keys
    );
    let mut rows = Vec::new();
    let Some(name) = report.rows.first().map(|row| row.name) else {
        return rows;
    };
    for ours in report.rows.iter().filter(|row| row.name == name) {
        let new = || {
            let time = Figure::Seconds(ours.total.median);
            let checked = "values and proofs as set, after reopening";
            Row::new(Work::State, what.clone(), ours.threads, time, checked)
        };
        let floor = Figure::Seconds(report.floor.median);
        rows.push(new().rate(report.updates as f64, "updates").against(
            "keys and values, synced",
            floor,
            Reading::OfFloor,
        ));
        let rivals = report.rows.iter().filter(|row| row.name != name);
        for rival in rivals.filter(|row| row.threads == ours.threads) {
            let theirs = Figure::Seconds(rival.total.median);
            let row = new().against(rival.name, theirs, Reading::Cost);
            rows.push(match rival.name {
                "crate nomt" => row.bar(1.0, 0.5),
                "crate jmt, redb" => row.bar(0.25, None),
                _ => row,
            });
        }
    }
    rows
}
