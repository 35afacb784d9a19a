//! Rows of graphs: a batch of deltas against building the changed graph as a whole.

use super::{Figure, Plan, Reading, Row, Work};
use crate::deltas::{self, Workload};
use crate::failure::Failure;

/// Measures batches.
pub fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let workload = match plan.quick {
        true => Workload {
            scale: 10,
            edges: 5000,
            changes: 300,
            seed: 1,
        },
        false => Workload {
            scale: 21,
            edges: 30_000_000,
            changes: 1_000_000,
            seed: 1,
        },
    };
    let measured = deltas::rows(workload, &plan.threads, plan.rounds())?;
    let mut rows = Vec::new();
    for one in measured.chunk_by(|a, b| (a.distribution, a.threads) == (b.distribution, b.threads))
    {
        let is_batch = |row: &&deltas::Row| row.how == deltas::DELTAS;
        let Some(batch) = one.iter().find(is_batch) else {
            continue;
        };
        let what = format!(
            "{} deltas, {}, into {} edges",
            workload.changes, batch.distribution, workload.edges
        );
        for rebuild in one.iter().filter(|row| row.how != deltas::DELTAS) {
            let (ours, theirs) = (batch.all.best, rebuild.all.best);
            let row = Row::new(
                Work::Graph,
                what.clone(),
                batch.threads,
                Figure::Seconds(ours),
                "equal graphs and digests",
            )
            .rate(f64::from(workload.changes), "deltas")
            .against(rebuild.how, Figure::Seconds(theirs), Reading::Cost);
            // Who rebuilds has the edges as they arrived; in order they are where a graph is copied.
            rows.push(match rebuild.how == deltas::REBUILD {
                true => row.bar(0.1, None),
                false => row,
            });
        }
    }
    Ok(rows)
}
