//! Rows of signatures: batches against one by one, and further threads against the first.

use super::{Figure, Plan, Reading, Row, Work};
use crate::failure::Failure;
use crate::signatures::{self, BATCH, ONE_BY_ONE, Workload};

/// Measures the largest batch that a run has.
pub fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let signatures = if plan.quick { 70 } else { 8192 };
    let workload = Workload {
        signatures,
        senders: signatures,
        seed: 1,
    };
    let measured = signatures::rows(workload, &plan.threads, plan.rounds())?;
    let largest = |threads: usize| {
        let batches = measured.iter().filter(|row| row.how == BATCH);
        let of_threads = batches.filter(|row| row.threads == threads);
        of_threads.max_by_key(|row| row.batch)
    };
    let new = |row: &signatures::Row| {
        let what = format!("{signatures} Ed25519 signatures, {} at once", row.batch);
        let ours = Figure::Seconds(row.all.best);
        Row::new(
            Work::Signatures,
            what,
            row.threads,
            ours,
            "verdicts of single verification",
        )
        .rate(f64::from(signatures), "signatures")
    };
    let mut rows = Vec::new();
    let first = plan.threads.first().copied().and_then(largest);
    let single = measured.iter().find(|row| row.how == ONE_BY_ONE);
    if let (Some(first), Some(single)) = (first, single) {
        let theirs = Figure::Seconds(single.all.best);
        rows.push(new(first).against("one by one, 1 thread", theirs, Reading::Speed));
    }
    for (one, threads, judged) in plan.more_threads() {
        if let (Some(first), Some(more)) = (largest(one), largest(threads)) {
            let theirs = Figure::Seconds(first.all.best);
            rows.push(
                new(more)
                    .against(format!("{one} thread"), theirs, Reading::Speed)
                    .bar(judged.then_some(1.9), None),
            );
        }
    }
    Ok(rows)
}
