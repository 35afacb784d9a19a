//! `peers cpu`: the table of the CPU engines, with rivals from other crates in the same run.

use std::path::PathBuf;

use ffcm_suite::cpu::{self, Figure, Plan, Reading, Report, Row, Work};
use ffcm_suite::failure::Failure;
use ffcm_suite::options::write_json;
use ffcm_suite::programs::PROGRAMS;

use crate::nets::{self, ProgramReport};
use crate::{focus, state};

/// Arguments of `peers cpu`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    plan: Plan,
    /// Also write the rows to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let plan = &arguments.plan;
    let mut rows = Vec::new();
    for part in plan.parts() {
        eprintln!("measuring {part}");
        rows.extend(match part {
            Work::Focus => cpu::focus_rows(plan, focus::rivals)?,
            Work::State => state_rows(plan)?,
            Work::Nets => [cpu::rows(part, plan)?, net_rows(plan)?].concat(),
            _ => cpu::rows(part, plan)?,
        });
    }
    let report = Report::of(plan, rows);
    print!("{report}");
    match &arguments.json {
        None => Ok(()),
        Some(path) => write_json(path, &report),
    }
}

/// The state tree against both crates, as far as they can be opened here.
fn state_rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let mut missing = Vec::new();
    let mut rows = cpu::state_rows(plan, |folder| {
        let (opened, others) = state::all(folder);
        missing = others;
        Ok(opened)
    })?;
    let unavailable = missing
        .into_iter()
        .map(|(name, reason)| Row::unavailable(Work::State, "root and commit", 1, name, reason));
    rows.extend(unavailable);
    Ok(rows)
}

/// The programs on the published runtime, each engine in a process of its own.
fn net_rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let rounds = if plan.quick { 1 } else { plan.rounds };
    let said = |report: &ProgramReport| eprintln!("measured {} on every engine", report.name);
    let programs = nets::programs(&PROGRAMS, plan.quick, rounds, said)?;
    Ok(programs.iter().flat_map(of_program).collect())
}

/// The Interaction VM is in no registry.
const NO_IVM: &str = "in no package registry (crate ivm is a version manager of another language); \
                      elsewhere, on programs of its own: sum_rec 0.394 s, cnots 0.377 s, 14 MiB";

/// A program against the interpreters, the compiler and the memory of the published runtime.
fn of_program(report: &ProgramReport) -> Vec<Row> {
    let sizes = report.sizes.iter();
    let sizes: String = sizes
        .map(|(name, size)| format!(", {name} {size}"))
        .collect();
    let what = format!("{}{sizes}, own process", report.name);
    let time = |row: &nets::Row| row.reduction.as_ref().map(|summary| summary.best);
    let best_interpreter = report
        .rows
        .iter()
        .filter(|row| is_interpreter(row))
        .filter_map(time)
        .fold(f64::INFINITY, f64::min);
    let mut rows = Vec::new();
    for rival in report.rows.iter().filter(|row| row.engine != "ours") {
        let ours = |row: &&nets::Row| row.engine == "ours" && row.threads == rival.threads;
        let Some(own) = report.rows.iter().find(ours).and_then(time) else {
            continue;
        };
        let Some(theirs) = time(rival) else {
            let reason = rival.unavailable.as_deref().unwrap_or("it did not run");
            let (what, threads) = (what.clone(), rival.threads);
            rows.push(Row::unavailable(
                Work::Nets,
                what,
                threads,
                rival.engine,
                reason,
            ));
            continue;
        };
        let checked = "equal results and counts";
        let row = Row::new(
            Work::Nets,
            what.clone(),
            rival.threads,
            Figure::Seconds(own),
            checked,
        )
        .rate(report.interactions as f64, "interactions")
        .against(rival.engine, Figure::Seconds(theirs), Reading::Cost);
        rows.push(match rival.threads {
            1 if rival.engine == "hvm2 gen-c" => row.bar(None, 0.35),
            // The bar is the fastest of them.
            1 if is_interpreter(rival) && theirs <= best_interpreter => row.bar(0.25, 0.15),
            _ => row,
        });
    }
    if ["sum_rec", "cnots"].contains(&report.name) {
        rows.push(Row::unavailable(Work::Nets, what.clone(), 1, "IVM", NO_IVM));
    }
    rows.extend(memory_row(report, what));
    rows
}

fn is_interpreter(row: &nets::Row) -> bool {
    row.threads == 1 && ["hvm2 run", "hvm2 run-c"].contains(&row.engine)
}

/// Peak memory of the whole process against that of the interpreter that uses least.
fn memory_row(report: &ProgramReport, what: String) -> Option<Row> {
    let memory = |row: &nets::Row| row.memory_mib;
    let ours = report.rows.iter().find(|row| row.engine == "ours")?;
    let ours = Figure::Mebibytes(memory(ours)?);
    let interpreters = report.rows.iter().filter(|row| is_interpreter(row));
    let (name, least) = interpreters
        .filter_map(|row| Some((row.engine, memory(row)?)))
        .min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let new = Row::new(
        Work::Nets,
        format!("{what}, peak memory"),
        1,
        ours,
        "equal results",
    );
    Some(match report.name {
        "sum_rec" => new
            .against(name, Figure::Mebibytes(least), Reading::Amount)
            .bar(14.0, 5.0),
        _ => new.against(name, Figure::Mebibytes(least), Reading::Cost),
    })
}
