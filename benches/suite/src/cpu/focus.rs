//! Rows of π from scratch: against every other kernel of the run, the floor, and itself with one thread.

use super::{Figure, Plan, Reading, Row, Work};
use crate::failure::Failure;
use crate::focus::{self, Arguments, Kernel};

/// Measures π.
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
    Ok(of_report(plan, &focus::report(&arguments, rivals)?))
}

fn of_report(plan: &Plan, report: &focus::Report) -> Vec<Row> {
    let what = format!(
        "RMAT scale {} degree {}, an iteration",
        report.scale, report.degree
    );
    let checked = format!("L1 error {:.1e} ≤ {:.1e}", report.error, report.error_bound);
    let mut rows = Vec::new();
    for &threads in &plan.threads {
        let mut of_threads = report.rows.iter().filter(|row| row.threads == threads);
        let Some(exact) = of_threads.next() else {
            continue;
        };
        let time = exact.iteration.best;
        let arcs = exact.giga_arcs * 1e9 * time;
        let new = || {
            let figure = Figure::Seconds(time);
            Row::new(Work::Focus, what.clone(), threads, figure, checked.clone())
        };
        for (at, rival) in of_threads.enumerate() {
            let theirs = Figure::Seconds(rival.iteration.best);
            let row = new().against(rival.kernel, theirs, Reading::Cost);
            let row = match rival.kernel {
                // The same kernel on the layout that is ours: for comparison.
                "f32 pull, by degree" => row,
                _ => row.bar(0.7, 0.45),
            };
            rows.push(if at == 0 { row.rate(arcs, "arcs") } else { row });
        }
        let floor = Figure::Seconds(time * exact.of_floor);
        let floor = new().against("bandwidth floor", floor, Reading::OfFloor);
        rows.push(floor.bar(None, 100.0 / 3.0));
    }
    let best = |threads| {
        let mut exact = report.rows.iter().filter(|row| row.kernel == "exact π");
        exact.find(|row| row.threads == threads)
    };
    for (one, threads, _) in plan.more_threads() {
        if let (Some(first), Some(row)) = (best(one), best(threads)) {
            let ours = Figure::Seconds(row.iteration.median);
            let theirs = Figure::Seconds(first.iteration.median);
            let row = Row::new(Work::Focus, what.clone(), threads, ours, checked.clone());
            rows.push(row.against(format!("{one} thread, median"), theirs, Reading::Speed));
        }
    }
    rows
}
