//! Rows of weight nets against the same rule as a plain loop.

use super::{Figure, Plan, Reading, Row, Work};
use crate::failure::Failure;
use crate::weights::{self, Arguments};

/// Measures weight nets.
pub fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let report = weights::report(&Arguments {
        calls: 1_000_000,
        batch: 65_536,
        seed: 1,
        turns: plan.turns(),
        options: plan.options(),
    })?;
    let mut rows = Vec::new();
    let mut plain = None;
    for row in &report.rows {
        if row.interactions.is_none() {
            plain = Some(row);
            continue;
        }
        let what = format!("{}, {} links, {}", row.rule, report.calls, row.how);
        let ours = Figure::Seconds(row.all.best);
        let verified = "equal verdicts and interactions";
        let new = Row::new(Work::Weights, what, row.threads, ours, verified)
            .rate(report.calls as f64, "links");
        rows.push(match plain {
            Some(plain) => {
                let theirs = Figure::Seconds(plain.all.best);
                new.against("plain loop, 1 thread", theirs, Reading::Cost)
            }
            None => new,
        });
    }
    Ok(rows)
}
