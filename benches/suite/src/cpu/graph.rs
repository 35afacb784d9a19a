//! Rows of graphs: a batch of deltas against building the changed graph as a whole.

use super::{Figure, Plan, Reading, Row, Work};
use crate::failure::Failure;
use crate::graph::{Change, measure};
use crate::rmat::Rmat;

/// Measures batches.
pub fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let (scale, count) = if plan.quick {
        (10, 300)
    } else {
        (20, 1_000_000)
    };
    let rmat = Rmat {
        scale,
        degree: 16,
        seed: 1,
    };
    let change = Change::new(rmat, count)?;
    let what = format!("{count} deltas into {} edges", change.edges());
    let measured = measure(&change, &plan.turns(), plan.rounds())?;
    let row = |row: crate::graph::Row| {
        let ours = Figure::Seconds(row.batch.best);
        Row::new(
            Work::Graph,
            what.clone(),
            row.threads,
            ours,
            "equal digests",
        )
        .rate(count as f64, "deltas")
        .against(
            "full rebuild",
            Figure::Seconds(row.rebuild.best),
            Reading::Cost,
        )
        .bar(0.1, None)
    };
    Ok(measured.into_iter().map(row).collect())
}
