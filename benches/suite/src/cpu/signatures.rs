//! Rows of signature batches: further threads against the first.

use super::{Figure, Plan, Reading, Row, Work};
use crate::failure::Failure;
use crate::signatures::measure;

/// Measures batches of signatures.
pub fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let count = if plan.quick { 300 } else { 16_384 };
    let turns = plan.turns();
    let summaries = measure(count, &turns, plan.rounds())?;
    let what = format!("Ed25519, batches of {count}");
    let new = |threads, time| {
        let checked = "as one by one";
        let row = Row::new(
            Work::Signatures,
            what.clone(),
            threads,
            Figure::Seconds(time),
            checked,
        );
        row.rate(count as f64, "signatures")
    };
    let Some((first, more)) = summaries.split_first() else {
        return Ok(vec![]);
    };
    let mut rows: Vec<Row> = turns
        .threads
        .first()
        .map(|&one| new(one, first.best))
        .into_iter()
        .collect();
    for (summary, (one, threads, judged)) in more.iter().zip(plan.more_threads()) {
        let theirs = Figure::Seconds(first.best);
        rows.push(
            new(threads, summary.best)
                .against(format!("{one} thread"), theirs, Reading::Speed)
                .bar(judged.then_some(1.9), None),
        );
    }
    Ok(rows)
}
