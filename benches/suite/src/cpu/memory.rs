//! Rows of Memory Arithmetic: batches against the bandwidth floor and against one operation at a time.

use super::{Figure, Plan, Reading, Row, Work};
use crate::failure::Failure;
use crate::memory::{Kind, Measured, SINGLE, Workload, measure};

/// Measures a batch of each kind of operation.
pub fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let workload = Workload {
        seed: 1,
        shards: 8,
        operations: if plan.quick { 256 } else { 8192 },
        threads: plan.threads.clone(),
        rounds: plan.rounds(),
        tiny: plan.quick,
    };
    let measured = measure(&workload, &Kind::ALL)?;
    Ok(measured.iter().flat_map(of_kind).collect())
}

/// The bar is for the mixed batch; the others say where its time goes.
fn of_kind(measured: &Measured) -> Vec<Row> {
    let what = format!(
        "{}, {} operations",
        measured.kind.name(),
        measured.operations
    );
    let single = measured.rows.iter().find(|row| row.how == SINGLE);
    let mut rows = Vec::new();
    for batch in measured.rows.iter().filter(|row| row.how != SINGLE) {
        let time = batch.batch.best;
        let new = || {
            let ours = Figure::Seconds(time);
            Row::new(
                Work::Memory,
                what.clone(),
                batch.threads,
                ours,
                "equal tensors and results",
            )
        };
        let floor = Figure::Seconds(time * batch.of_floor);
        let row = new()
            .rate(measured.operations as f64, "operations")
            .against("bandwidth floor", floor, Reading::OfFloor);
        if measured.kind != Kind::Mixed {
            rows.push(row);
            continue;
        }
        rows.push(row.bar(50.0, 80.0));
        if let Some(single) = single {
            let theirs = Figure::Seconds(single.batch.best);
            rows.push(new().against("one at a time, 1 thread", theirs, Reading::Speed));
        }
    }
    rows
}
