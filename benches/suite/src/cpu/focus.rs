//! Rows of π from scratch: against every other kernel of the run, the floor, and itself with one thread.

use super::{Figure, Plan, Reading, Row, Work};
use crate::failure::Failure;
use crate::focus::{self, Arguments, Case, EXACT, Kernel, PULL_BY_DEGREE};

/// Measures π, on the graph without weights and with them.
pub fn rows(
    plan: &Plan,
    rivals: impl FnOnce(Vec<(u32, u32)>) -> Vec<Box<dyn Kernel>>,
) -> Result<Vec<Row>, Failure> {
    let arguments = Arguments {
        scale: 20,
        degree: 16,
        seed: 1,
        iterations: 16,
        turns: plan.turns(),
        options: plan.options(),
    };
    let report = focus::measure_all(&arguments, rivals)?;
    let what = |kind: &str| {
        let (scale, degree) = (report.scale, report.degree);
        format!("{kind} RMAT, scale {scale}, degree {degree}, an iteration")
    };
    let unweighted = of_case(plan, &what("unweighted"), &report.unweighted, 0.7);
    let weighted = of_case(plan, &what("weighted"), &report.weighted, 0.75);
    Ok([unweighted, weighted].concat())
}

/// The rows of one graph; `must` is the bar against other kernels.
fn of_case(plan: &Plan, what: &str, case: &Case, must: f64) -> Vec<Row> {
    let checked = format!("L1 error {:.1e} ≤ {:.1e}", case.error, case.error_bound);
    let new = |threads, time| {
        let figure = Figure::Seconds(time);
        Row::new(Work::Focus, what, threads, figure, checked.clone())
    };
    let exact = |threads| {
        let mut exact = case.rows.iter().filter(|row| row.kernel == EXACT);
        exact.find(|row| row.threads == threads)
    };
    let mut rows = Vec::new();
    for &threads in &plan.threads {
        let Some(exact) = exact(threads) else {
            continue;
        };
        let time = exact.iteration.best;
        let of_threads = case.rows.iter().filter(|row| row.threads == threads);
        for rival in of_threads.filter(|row| row.kernel != EXACT) {
            let theirs = Figure::Seconds(rival.iteration.best);
            let row = new(threads, time).rate(case.arcs as f64, "arcs").against(
                rival.kernel,
                theirs,
                Reading::Cost,
            );
            rows.push(match rival.kernel {
                // The same kernel on the layout that is ours: for comparison.
                PULL_BY_DEGREE => row,
                _ => row.bar(must, 0.45),
            });
        }
        let floor = Figure::Seconds(time * exact.of_floor);
        let row = new(threads, time).against("bandwidth floor", floor, Reading::OfFloor);
        rows.push(row.bar(None, 33.3));
    }
    for (one, threads, _) in plan.more_threads() {
        if let (Some(first), Some(row)) = (exact(one), exact(threads)) {
            let theirs = Figure::Seconds(first.iteration.median);
            let row = new(threads, row.iteration.median);
            rows.push(row.against(format!("{one} thread, median"), theirs, Reading::Speed));
        }
    }
    rows
}
