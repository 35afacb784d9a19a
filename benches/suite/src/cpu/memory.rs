//! Rows of Memory Arithmetic: a batch against the bandwidth floor and against one operation at a time.

use super::{Figure, Plan, Reading, Row, Work};
use crate::failure::Failure;
use crate::memory::{self, Arguments};

/// Measures batches.
pub fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let report = memory::report(&Arguments {
        operations: 8192,
        shards: 8,
        seed: 1,
        turns: plan.turns(),
        options: plan.options(),
    })?;
    let what = format!("{} operations, {} shards", report.operations, report.shards);
    let Some((single, batches)) = report.rows.split_first() else {
        return Ok(vec![]);
    };
    let mut rows = Vec::new();
    for batch in batches {
        let time = batch.batch.best;
        let new = || {
            let ours = Figure::Seconds(time);
            Row::new(
                Work::Memory,
                what.clone(),
                batch.threads,
                ours,
                "equal digests",
            )
        };
        let floor = Figure::Seconds(time * batch.of_floor);
        rows.push(
            new()
                .rate(report.operations as f64, "operations")
                .against("bandwidth floor", floor, Reading::OfFloor)
                .bar(50.0, 80.0),
        );
        let theirs = Figure::Seconds(single.batch.best);
        rows.push(new().against("one at a time, 1 thread", theirs, Reading::Speed));
    }
    Ok(rows)
}
