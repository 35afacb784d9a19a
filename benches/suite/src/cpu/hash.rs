//! Rows of hashing: each workload, further threads against the first.

use super::{Figure, Plan, Reading, Row, Work};
use crate::failure::Failure;
use crate::hash::{self, Arguments};

/// Measures hashing.
pub fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let report = hash::report(&Arguments {
        inputs: 16_384,
        nonces: 1 << 20,
        seed: 1,
        turns: plan.turns(),
        options: plan.options(),
    })?;
    let mut rows = Vec::new();
    for of_one in report.rows.chunk_by(|a, b| a.what == b.what) {
        for (at, row) in of_one.iter().enumerate() {
            let what = format!("{}, {} {}", row.what, row.units, row.unit);
            let ours = Figure::Seconds(row.run.best);
            let new = Row::new(Work::Hash, what, row.threads, ours, "equal digests")
                .rate(row.units as f64, row.unit);
            rows.push(match (at, &of_one[0]) {
                (0, _) => new,
                (_, first) => {
                    let theirs = Figure::Seconds(first.run.best);
                    let against = format!("{} thread", first.threads);
                    new.against(against, theirs, Reading::Speed)
                }
            });
        }
    }
    Ok(rows)
}
