//! Rows of the net programs: one thread, further threads against it, and memory.

use super::{Figure, Plan, Reading, Row, Work};
use crate::bandwidth::handover;
use crate::failure::Failure;
use crate::nets::{ProgramReport, check_with_oracle, measure, reduce};
use crate::programs::{PROGRAMS, Program};
use crate::resident::growth;

/// Measures every program.
pub fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    rows.extend(handover_row(plan));
    for program in &PROGRAMS {
        let sizes = match plan.quick {
            true => program.tiny,
            false => program.bench,
        };
        check_with_oracle(program, &plan.threads)?;
        // First, while the process is small.
        let text = program.text(sizes);
        let (outcome, grown) = growth(|| reduce(&text, 1));
        let result = outcome?.0.result;
        if result != program.expected(sizes) {
            return Err(Failure::Mismatch(format!("{}: {result}", program.name)));
        }
        let report = measure(program, &plan.threads, plan.rounds(), sizes)?;
        rows.extend(of_program(plan, program, sizes, &report));
        let what = format!("{}, peak memory", named(program, sizes));
        rows.push(match grown {
            Some(mib) => Row::new(Work::Nets, what, 1, Figure::Mebibytes(mib), "equal results")
                .bar(memory_bar(program).0, memory_bar(program).1),
            None => Row::unavailable(Work::Nets, what, 1, "", "no /proc/self/clear_refs"),
        });
    }
    rows.extend(handover_row(plan));
    Ok(rows)
}

/// What two threads pay for meeting, where rows of two threads are measured: before the programs and after them.
fn handover_row(plan: &Plan) -> Option<Row> {
    plan.more_threads().next()?;
    let turns = if plan.quick { 1_000 } else { 200_000 };
    let what = "a cache line from core to core, 1000 times";
    let seconds = Figure::Seconds(1000.0 * handover(turns));
    Some(Row::new(Work::Nets, what, 2, seconds, "every turn taken"))
}

/// What memory a program may add, in MiB.
fn memory_bar(program: &Program) -> (Option<f64>, Option<f64>) {
    match program.name {
        "sum_rec" => (Some(14.0), Some(5.0)),
        _ => (None, None),
    }
}

fn named(program: &Program, sizes: &[(&'static str, u32)]) -> String {
    let sizes = sizes.iter().map(|(name, size)| format!(", {name} {size}"));
    program.name.to_owned() + &sizes.collect::<String>()
}

/// The rows of time: the first thread count by itself, each further one against it.
fn of_program(
    plan: &Plan,
    program: &Program,
    sizes: &[(&'static str, u32)],
    report: &ProgramReport,
) -> Vec<Row> {
    const CHECKED: &str = "equal results and counts";
    let name = named(program, sizes);
    let interactions = report.interactions as f64;
    let new = |what: String, threads, time| {
        Row::new(Work::Nets, what, threads, Figure::Seconds(time), CHECKED)
    };
    let Some((first, more)) = report.rows.split_first() else {
        return vec![];
    };
    let mut rows = vec![
        new(name.clone(), first.threads, first.reduction.best).rate(interactions, "interactions"),
    ];
    for (row, (one, threads, judged)) in more.iter().zip(plan.more_threads()) {
        let against = format!("{one} thread, median");
        let theirs = Figure::Seconds(first.reduction.median);
        let faster =
            new(name.clone(), threads, row.reduction.median).rate(interactions, "interactions");
        let faster = match (program.name, judged) {
            ("cnots", _) => faster
                .against(against, theirs, Reading::Cost)
                .bar(judged.then_some(1.1), None),
            ("sort_bitonic", true) => faster
                .against(against, theirs, Reading::Speed)
                .bar(1.5, 1.9),
            (_, true) => faster
                .against(against, theirs, Reading::Speed)
                .bar(1.7, 1.9),
            _ => faster.against(against, theirs, Reading::Speed),
        };
        rows.push(faster);
        let cpu = new(format!("{name}, CPU time"), threads, row.reduction.cpu);
        let theirs = Figure::Seconds(first.reduction.cpu);
        rows.push(
            cpu.against(format!("{one} thread"), theirs, Reading::Cost)
                .bar(judged.then_some(1.1), None),
        );
    }
    rows
}
