//! Suite `nets`: the benchmark programs on the CPU engine.
//!
//! At the small sizes every thread count is held against the oracle: result and interactions by opcode. At the sizes
//! measured, every single run must give the result computed without nets and always the same interactions.

use std::fmt::Write;

use ffcm::cpu::NetEngine;
use ffcm::net::{Book, Limits, Outcome};
use ffcm::oracle;
use ffcm::spec::rules::Counts;
use serde::Serialize;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::options::{Options, Turns};
use crate::programs::{PROGRAMS, Program};
use crate::table::Table;
use crate::timing::{Sample, Summary, interleave, seconds, time};

/// Arguments of the suite.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only these programs.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Levels taken off the depth of every program, for slow devices; none gets below its size in a tiny run.
    #[arg(long, value_name = "LEVELS", default_value_t = 0)]
    pub smaller: u32,
    /// Levels added to the depth of every program, for fast ones.
    #[arg(long, value_name = "LEVELS", default_value_t = 0, conflicts_with = "smaller",
        value_parser = clap::value_parser!(u32).range(..=8))]
    pub larger: u32,
    /// On CUDA: many rounds in one launch, whose blocks wait for each other in between.
    #[arg(long)]
    pub persistent: bool,
    /// On CUDA: new nodes in the shared memory of the block that makes them, as far as possible.
    #[arg(long)]
    pub local: bool,
    /// Rounds and thread counts.
    #[command(flatten)]
    pub turns: Turns,
    /// Size and report.
    #[command(flatten)]
    pub options: Options,
}

impl Arguments {
    /// The sizes at which a program is measured.
    pub fn sizes(&self, program: &Program) -> Vec<(&'static str, u32)> {
        if self.options.tiny {
            return program.tiny.to_vec();
        }
        let sizes = program.bench.iter().zip(program.tiny);
        let smaller = |(&(name, size), &(_, least)): (&(_, u32), &(_, u32))| match name {
            "depth" => (
                name,
                size.saturating_sub(self.smaller).max(least) + self.larger,
            ),
            _ => (name, size),
        };
        sizes.map(smaller).collect()
    }
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    programs: Vec<ProgramReport>,
}

#[derive(Debug, Serialize)]
struct ProgramReport {
    name: &'static str,
    sizes: Vec<(&'static str, u32)>,
    result: String,
    interactions: u64,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    threads: usize,
    /// Seconds of lowering and reduction.
    reduction: Summary,
    /// Millions of interactions per second, best run.
    mega_interactions: f64,
}

/// Checks and measures.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let programs = selected(&arguments.only)?;
    let machine = Machine::here();
    println!("{machine}");
    let threads = &arguments.turns.threads;
    let options = &arguments.options;
    let rounds = arguments.turns.rounds(options);
    for program in &programs {
        check_with_oracle(program, threads)?;
    }
    let mut report = Report {
        machine,
        programs: Vec::new(),
    };
    for program in &programs {
        let measured = measure(program, threads, rounds, &arguments.sizes(program))?;
        println!("{}", table(&measured));
        report.programs.push(measured);
    }
    options.write(&report)
}

/// The programs named, all of them when none is.
pub fn selected(only: &[String]) -> Result<Vec<Program>, Failure> {
    let is = |name: &String, program: &Program| program.name == *name;
    if let Some(name) = only.iter().find(|n| !PROGRAMS.iter().any(|p| is(n, p))) {
        return Err(Failure::Failed(format!("no program {name}")));
    }
    let chosen = |program: &Program| only.is_empty() || only.iter().any(|n| is(n, program));
    Ok(PROGRAMS.into_iter().filter(chosen).collect())
}

/// Reduces a text on the CPU engine. Lowering and reduction are timed, parsing is not.
pub fn reduce(text: &str, threads: usize) -> Result<(Outcome, Sample), Failure> {
    let book = Book::parse(text).map_err(Failure::failed)?;
    let call = book.main().map_err(Failure::failed)?;
    let limits = Limits::default();
    let (outcome, sample) = time(|| NetEngine::new(&book).reduce(&call, &limits, threads, None));
    Ok((outcome.map_err(Failure::failed)?, sample))
}

/// The engine and the oracle at the small sizes: the same outcome, interactions by opcode included.
fn check_with_oracle(program: &Program, threads: &[usize]) -> Result<(), Failure> {
    let text = program.text(program.tiny);
    let book = Book::parse(&text).map_err(Failure::failed)?;
    let call = book.main().map_err(Failure::failed)?;
    let expected = oracle::reduce(&book, &call, &Limits::default()).map_err(Failure::failed)?;
    for &threads in threads {
        let found = reduce(&text, threads)?.0;
        if found != expected {
            return Err(Failure::Mismatch(format!(
                "{}, {threads} thread(s): {found:?}, oracle {expected:?}",
                program.name
            )));
        }
    }
    Ok(())
}

fn measure(
    program: &Program,
    threads: &[usize],
    rounds: usize,
    sizes: &[(&'static str, u32)],
) -> Result<ProgramReport, Failure> {
    let text = program.text(sizes);
    let expected = program.expected(sizes);
    let mut counts: Option<Counts> = None;
    let mut contenders = threads.to_vec();
    let samples = interleave(&mut contenders, rounds, |&mut threads| {
        let (outcome, sample) = reduce(&text, threads)?;
        let counts = *counts.get_or_insert(outcome.counts);
        if outcome.result != expected || outcome.counts != counts {
            return Err(Failure::Mismatch(format!(
                "{}, {threads} thread(s): {} and {:?}, expected {expected} and {counts:?}",
                program.name, outcome.result, outcome.counts
            )));
        }
        Ok(sample)
    })?;
    let interactions = counts.map_or(0, |counts| counts.total());
    let row = |(&threads, samples): (&usize, Vec<Sample>)| {
        let reduction = Summary::of(&samples);
        Row {
            threads,
            mega_interactions: interactions as f64 / reduction.best / 1e6,
            reduction,
        }
    };
    Ok(ProgramReport {
        name: program.name,
        sizes: sizes.to_vec(),
        result: expected,
        interactions,
        rows: contenders.iter().zip(samples).map(row).collect(),
    })
}

fn table(report: &ProgramReport) -> String {
    let mut head = report.name.to_owned();
    for (name, size) in &report.sizes {
        write!(head, ", {name} {size}").expect("a String takes everything");
    }
    let mut table = Table::new([&head, "threads", "best", "median", "CPU", "M int/s"]);
    for row in &report.rows {
        table.row([
            String::new(),
            row.threads.to_string(),
            seconds(row.reduction.best),
            seconds(row.reduction.median),
            seconds(row.reduction.cpu),
            format!("{:.1}", row.mega_interactions),
        ]);
    }
    format!(
        "{table}result {}, {} interactions\n",
        report.result, report.interactions
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_chosen_by_name() {
        let names = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|&name| name.to_owned()).collect();
            selected(&only).map(|chosen| chosen.iter().map(|p| p.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap().len(), PROGRAMS.len());
        assert_eq!(names(&["stress", "cnots"]).unwrap(), ["stress", "cnots"]);
        assert!(names(&["cnots", "nothing"]).is_err());
    }

    #[test]
    fn programs_shrink_to_their_tiny_depth() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            arguments: Arguments,
        }
        let sizes = |text: &str| {
            let cli = <Cli as clap::Parser>::try_parse_from(text.split(' ')).unwrap();
            PROGRAMS.map(|program| cli.arguments.sizes(&program))
        };
        assert_eq!(
            sizes("nets"),
            PROGRAMS.map(|program| program.bench.to_vec())
        );
        assert_eq!(
            sizes("nets --tiny"),
            PROGRAMS.map(|program| program.tiny.to_vec())
        );
        let [sum_rec, .., stress, _] = sizes("nets --smaller 7");
        assert_eq!(sum_rec, [("depth", 13)]);
        assert_eq!(stress, [("depth", 2), ("turns", 65536)]);
        let [sum_rec, .., stress, _] = sizes("nets --larger 3");
        assert_eq!(sum_rec, [("depth", 23)]);
        assert_eq!(stress[1], ("turns", 65536));
    }

    #[test]
    fn a_program_that_gives_something_else_is_noticed() {
        let [first, .., last] = PROGRAMS;
        // The text of one program with the expectation of another: `sum_rec` never gives 1.
        let wrong = first.expecting(&last);
        assert!(matches!(
            measure(&wrong, &[1], 1, first.tiny),
            Err(Failure::Mismatch(_))
        ));
        assert!(measure(&first, &[1, 2], 1, first.tiny).is_ok());
        assert!(check_with_oracle(&first, &[1, 2]).is_ok());
    }
}
