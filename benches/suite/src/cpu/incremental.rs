//! Rows of π after a small change: edges visited from the π before it, against a run from nothing.

use super::{Figure, Plan, Reading, Row, Work};
use crate::failure::Failure;
use crate::incremental;

/// Counts visits; they are the same for every thread count, so there is one row for each change.
pub fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let scale = if plan.quick { 10 } else { 18 };
    let measured = incremental::rows(scale, 1)?;
    Ok(measured.iter().map(of_change).collect())
}

fn of_change(row: &incremental::Row) -> Row {
    let what = format!(
        "{}, {} of {} edges changed, edge visits",
        row.graph, row.changed, row.edges
    );
    let checked = format!("L1 error {:.1e} ≤ {:.1e}", row.error, row.error_bound);
    let ours = Figure::Count((row.visits * row.edges as f64).round() as u64);
    let theirs = Figure::Count(u64::from(row.cold) * row.edges);
    let new = Row::new(Work::Incremental, what, 1, ours, checked);
    let new = new.against("from nothing", theirs, Reading::Cost);
    // The bars are for a change of one edge in 100 000.
    let share = row.changed as f64 / row.edges as f64;
    match (row.graph, (5e-6..2e-5).contains(&share)) {
        ("power law", true) => new.bar(0.2, None),
        ("communities", true) => new.bar(0.1, None),
        _ => new,
    }
}
