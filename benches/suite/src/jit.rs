//! Suite `jit`: the benchmark programs with native code, against the interpreter of the same engine in the same run.
//!
//! Three ways to run a program: interpreted; *native*, whose code is there before the clock starts; and *first*, with the
//! default policy and nothing compiled before: what a program pays that runs once. That is measured at sizes for which the
//! interpreter takes about 10 ms on one thread, too, where code may never pay: by wall time; by the processor time of all
//! threads during the run, which is what wall time follows where no core is idle; and by that of the threads that reduce alone,
//! which it follows where compiling has a core to itself. Every run must give the result computed without nets, and the
//! interpreter's interactions by opcode.

use std::sync::Arc;
use std::time::Duration;

use cpu_time::ProcessTime;
use ffcm::cpu::native::{Fused, Fuser};
use ffcm::cpu::{Compiled, NetEngine};
use ffcm::net::{Book, Limits};
use ffcm_jit::native::{Native, Options as NativeOptions};
use serde::Serialize;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::nets::selected;
use crate::options::{Options, Turns};
use crate::programs::Program;
use crate::table::Table;
use crate::timing::{Sample, Summary, interleave, seconds, time};

/// Arguments of the suite.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only these programs.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    turns: Turns,
    #[command(flatten)]
    options: Options,
}

/// How a program is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// By the interpreter.
    Interpreter,
    /// With code that is there before.
    Native,
    /// With code that is made while it runs.
    First,
}

impl Way {
    const ALL: [Way; 3] = [Way::Interpreter, Way::Native, Way::First];
}

/// One program, run one way.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub program: &'static str,
    /// Workers.
    pub threads: usize,
    /// How.
    pub way: Way,
    /// Seconds of reduction.
    pub reduction: Summary,
    /// Best time over the interpreter's best on as many threads.
    pub of_interpreter: f64,
    /// Least processor time of all threads during the run, over the interpreter's.
    pub cpu_of_interpreter: f64,
    /// The same without the thread that compiles.
    pub reducing_of_interpreter: f64,
}

/// Sizes for which the interpreter takes about 10 ms on one thread.
const SHORT: [(&str, &[(&str, u32)]); 6] = [
    ("sum_rec", &[("depth", 18)]),
    ("sum_tree", &[("depth", 17)]),
    ("sort_bitonic", &[("depth", 10)]),
    ("sort_radix", &[("depth", 10)]),
    ("stress", &[("depth", 8), ("turns", 4096)]),
    ("cnots", &[("depth", 18)]),
];

/// What making the code of a program took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Functions compiled.
    pub functions: u64,
    /// Bytes of code.
    pub bytes: u64,
    /// Processor time in seconds.
    pub seconds: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    rows: Vec<Row>,
    /// The same at sizes that take about 10 ms.
    short: Vec<Row>,
    costs: Vec<(&'static str, Cost)>,
}

/// Checks and measures.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let programs = selected(&arguments.only)?;
    let machine = Machine::here();
    println!("{machine}");
    let options = &arguments.options;
    let rounds = arguments.turns.rounds(options);
    let mut report = Report {
        machine,
        rows: Vec::new(),
        short: Vec::new(),
        costs: Vec::new(),
    };
    for program in &programs {
        let sizes: &[(&'static str, u32)] = if options.tiny {
            program.tiny
        } else {
            program.bench
        };
        for &threads in &arguments.turns.threads {
            let (rows, cost) = measure(program, sizes, threads, rounds)?;
            report.rows.extend(rows);
            if report
                .costs
                .last()
                .is_none_or(|last| last.0 != program.name)
            {
                report.costs.push((program.name, cost));
            }
            let short = SHORT.iter().find(|(name, _)| *name == program.name);
            if let Some((_, sizes)) = short.filter(|_| !options.tiny) {
                let (rows, _) = measure(program, sizes, threads, SHORT_ROUNDS * rounds)?;
                report.short.extend(rows);
            }
        }
    }
    println!("{}", rows_table(&report.rows));
    if !report.short.is_empty() {
        println!("about 10 ms\n{}", rows_table(&report.short));
    }
    println!("{}", costs_table(&report.costs));
    options.write(&report)
}

/// Rounds at short sizes for each round asked for.
const SHORT_ROUNDS: usize = 4;

/// Code for the whole of a book, made before it is run.
fn ready(book: &Book, compiled: &Compiled) -> Result<(Arc<dyn Fused>, Cost), Failure> {
    let native = Native::new(NativeOptions {
        samples: 0,
        budget: Duration::from_secs(60),
        ..NativeOptions::default()
    });
    let native = native.map_err(Failure::failed)?;
    let fused = native.fuse(book, compiled);
    native.wait();
    let done = native.statistics();
    let fused = fused.ok_or_else(|| Failure::Failed("no native code for a program".into()))?;
    if done.functions == 0 || done.failed > 0 {
        return Err(Failure::Failed(format!("making native code: {done:?}")));
    }
    let cost = Cost {
        functions: done.functions,
        bytes: done.bytes,
        seconds: done.microseconds as f64 / 1e6,
    };
    Ok((fused, cost))
}

/// Times a program in every way, in turn.
pub fn measure(
    program: &Program,
    sizes: &[(&'static str, u32)],
    threads: usize,
    rounds: usize,
) -> Result<(Vec<Row>, Cost), Failure> {
    let book = Book::parse(&program.text(sizes)).map_err(Failure::failed)?;
    let call = book.main().map_err(Failure::failed)?;
    let expected = program.expected(sizes);
    let limits = Limits::default();
    let compiled = Arc::new(Compiled::new(&book));
    let (code, cost) = ready(&book, &compiled)?;
    let engine = || {
        let engine = NetEngine::of(&book, Arc::clone(&compiled));
        engine.ok_or_else(|| Failure::Failed("a compiled form of another book".into()))
    };
    let mut counts = None;
    let mut reducing = [f64::INFINITY; Way::ALL.len()];
    let mut ways = Way::ALL;
    let samples = interleave(&mut ways, rounds, |&mut way| {
        // Whoever makes code in the background is let go of after the clock has stopped.
        let native = match way {
            Way::First => Some(Native::new(NativeOptions::default()).map_err(Failure::failed)?),
            _ => None,
        };
        let engine = engine()?;
        let begin = ProcessTime::now();
        let (outcome, sample) = time(|| {
            let fused = match (way, &native) {
                (Way::Native, _) => Some(Arc::clone(&code)),
                (_, Some(native)) => native.fuse(&book, &compiled),
                _ => None,
            };
            let engine = match fused {
                Some(fused) => engine.with_fused(fused),
                None => Some(engine),
            };
            engine.map(|engine| engine.reduce(&call, &limits, threads, None))
        });
        let mut spent = sample.cpu;
        if let Some(native) = &native {
            // What is not compiled yet is compiled now, so that all of it can be taken off.
            native.wait();
            spent = begin.elapsed().as_secs_f64() - native.statistics().microseconds as f64 / 1e6;
        }
        let least = &mut reducing[way as usize];
        *least = spent.min(*least);
        let outcome = outcome
            .ok_or_else(|| Failure::Failed("native code of another book".into()))?
            .map_err(Failure::failed)?;
        let first = *counts.get_or_insert(outcome.counts);
        if outcome.result != expected || outcome.counts != first {
            return Err(Failure::Mismatch(format!(
                "{}, {threads} thread(s), {way:?}: {} and {:?}, expected {expected} and {first:?}",
                program.name, outcome.result, outcome.counts
            )));
        }
        Ok(sample)
    })?;
    let summaries: Vec<Summary> = samples
        .iter()
        .map(|runs: &Vec<Sample>| Summary::of(runs))
        .collect();
    let interpreter = summaries[0].clone();
    let row = |(way, reduction): (Way, Summary)| Row {
        program: program.name,
        threads,
        way,
        of_interpreter: reduction.best / interpreter.best,
        cpu_of_interpreter: reduction.cpu / interpreter.cpu,
        reducing_of_interpreter: reducing[way as usize] / interpreter.cpu,
        reduction,
    };
    let rows = ways.into_iter().zip(summaries).map(row).collect();
    Ok((rows, cost))
}

fn rows_table(rows: &[Row]) -> Table {
    let mut table = Table::new([
        "program",
        "threads",
        "way",
        "best",
        "median",
        "CPU",
        "÷ interpreter",
        "CPU ÷",
        "reducing ÷",
    ])
    .left(&[0, 2]);
    for row in rows {
        table.row([
            row.program.to_string(),
            row.threads.to_string(),
            format!("{:?}", row.way).to_lowercase(),
            seconds(row.reduction.best),
            seconds(row.reduction.median),
            seconds(row.reduction.cpu),
            format!("{:.2}", row.of_interpreter),
            format!("{:.2}", row.cpu_of_interpreter),
            format!("{:.2}", row.reducing_of_interpreter),
        ]);
    }
    table
}

fn costs_table(costs: &[(&'static str, Cost)]) -> Table {
    let mut table = Table::new(["compiling", "functions", "code bytes", "CPU"]);
    for (program, cost) in costs {
        table.row([
            (*program).to_string(),
            cost.functions.to_string(),
            cost.bytes.to_string(),
            seconds(cost.seconds),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::PROGRAMS;

    #[test]
    fn every_way_is_checked_and_another_result_is_noticed() {
        let [first, .., last] = PROGRAMS;
        let (rows, cost) = measure(&first, first.tiny, 2, 1).unwrap();
        assert_eq!(rows.iter().map(|row| row.way).collect::<Vec<_>>(), Way::ALL);
        assert!(cost.functions > 0 && cost.bytes > 0);
        let names = SHORT.map(|(name, _)| name);
        assert_eq!(PROGRAMS.map(|program| program.name), names);
        let wrong = first.expecting(&last);
        assert!(matches!(
            measure(&wrong, first.tiny, 1, 1),
            Err(Failure::Mismatch(_))
        ));
    }
}
