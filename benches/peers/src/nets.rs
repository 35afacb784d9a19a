//! `peers nets`: the benchmark programs on the published runtime and on the CPU engine.
//!
//! Every engine runs in a process of its own, so that CPU time and memory are those of the whole process, and prints the
//! same three lines. All must give the result computed without nets and one number of interactions before anything is
//! timed.

use std::fs;
use std::path::{Path, PathBuf};

use ffcm_suite::machine::Machine;
use ffcm_suite::nets::selected;
use ffcm_suite::options::write_json;
use ffcm_suite::programs::Program;
use ffcm_suite::table::Table;
use ffcm_suite::timing::{Sample, Summary, seconds};
use serde::Serialize;

use crate::child::{self, Answer, own_peak};
use crate::hvm2;
use crate::hvm2_c::Toolchain;
use ffcm_suite::failure::Failure;

/// Arguments of `peers nets`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Timed runs of each engine, interleaved.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only these programs.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Small sizes and one round.
    #[arg(long)]
    tiny: bool,
    /// Also write the figures to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Arguments of the hidden `peers one`, which the processes above run.
#[derive(Debug, clap::Args)]
pub struct One {
    /// The program.
    file: PathBuf,
    /// `ours`, or the published runtime's Rust backend.
    #[arg(long)]
    engine: Engine,
    /// Worker threads; the Rust backend has one.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// Engines linked into this binary.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Engine {
    Ours,
    Hvm2Rust,
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    rounds: u32,
    programs: Vec<ProgramReport>,
}

/// One program on all engines.
#[derive(Debug, Serialize)]
pub struct ProgramReport {
    /// Its name.
    pub name: &'static str,
    /// Its size.
    pub sizes: Vec<(&'static str, u32)>,
    result: String,
    /// The same for every engine.
    pub interactions: u64,
    /// The engines, ours first.
    pub rows: Vec<Row>,
}

/// One program on one engine.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub engine: &'static str,
    /// Worker threads.
    pub threads: usize,
    /// Seconds of the reduction itself, as the engine reports them; none when it could not run.
    pub reduction: Option<Summary>,
    /// Least user and system seconds of the whole process.
    pub process_cpu: Option<f64>,
    /// Most resident memory of the whole process.
    pub memory_mib: Option<f64>,
    /// Why it could not run.
    pub unavailable: Option<String>,
}

/// One engine ready to run one program.
struct Contender {
    engine: &'static str,
    threads: usize,
    command: Result<Vec<String>, String>,
}

/// Runs programs on all engines and prints them.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let rounds = if arguments.tiny { 1 } else { arguments.rounds };
    let machine = Machine::here();
    println!("{machine}");
    let chosen = selected(&arguments.only)?;
    let shown = |report: &ProgramReport| println!("{}", table(report));
    let report = Report {
        machine,
        rounds,
        programs: programs(&chosen, arguments.tiny, rounds, shown)?,
    };
    match &arguments.json {
        None => Ok(()),
        Some(path) => write_json(path, &report),
    }
}

/// Runs programs on all engines; `each` sees every one when it is done.
pub fn programs(
    chosen: &[Program],
    tiny: bool,
    rounds: u32,
    each: impl Fn(&ProgramReport),
) -> Result<Vec<ProgramReport>, Failure> {
    let toolchain = Toolchain::find();
    let folder = tempfile::tempdir()
        .map_err(|error| Failure::Failed(format!("temporary folder: {error}")))?;
    let mut programs = Vec::new();
    for program in chosen {
        let sizes = if tiny { program.tiny } else { program.bench };
        let measured = measure(program, sizes, rounds, &toolchain, folder.path())?;
        each(&measured);
        programs.push(measured);
    }
    Ok(programs)
}

/// Runs one program in one process: the other side of the hidden command.
pub fn one(arguments: &One) -> Result<(), Failure> {
    let path = &arguments.file;
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    let answer = match arguments.engine {
        Engine::Hvm2Rust => {
            let (result, interactions, seconds) =
                hvm2::timed(&text).map_err(|refusal| Failure::Failed(refusal.to_string()))?;
            Answer {
                result,
                interactions,
                seconds,
                peak: None,
            }
        }
        // Parsing is not timed: the published runtime does not time it either.
        Engine::Ours => {
            let reduced = ffcm_suite::nets::reduce(&text, arguments.threads);
            let (outcome, sample) = reduced.map_err(|error| Failure::file(path, &error))?;
            Answer {
                interactions: outcome.counts.total(),
                result: outcome.result,
                seconds: sample.wall,
                peak: own_peak(),
            }
        }
    };
    print!("{answer}");
    Ok(())
}

fn measure(
    program: &Program,
    sizes: &'static [(&'static str, u32)],
    rounds: u32,
    toolchain: &Result<Toolchain, String>,
    folder: &Path,
) -> Result<ProgramReport, Failure> {
    let file = folder.join(format!("{}.hvm", program.name));
    fs::write(&file, program.text(sizes)).map_err(|error| Failure::file(&file, &error))?;
    let contenders = contenders(&file, toolchain)?;
    let expected = program.expected(sizes);
    let interactions = verify(program.name, &contenders, &expected)?;
    let mut runs: Vec<Vec<child::Run>> = contenders.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (contender, runs) in contenders.iter().zip(&mut runs) {
            if let Ok(command) = &contender.command {
                let run = child::run(command)?;
                check(
                    program.name,
                    contender,
                    &run.answer,
                    &expected,
                    interactions,
                )?;
                runs.push(run);
            }
        }
    }
    let rows = contenders.into_iter().zip(runs);
    Ok(ProgramReport {
        name: program.name,
        sizes: sizes.to_vec(),
        result: expected,
        interactions,
        rows: rows
            .map(|(contender, runs)| row(contender, &runs))
            .collect(),
    })
}

fn contenders(
    file: &Path,
    toolchain: &Result<Toolchain, String>,
) -> Result<Vec<Contender>, Failure> {
    let binary =
        std::env::current_exe().map_err(|error| Failure::Failed(format!("own path: {error}")))?;
    let binary = binary.to_string_lossy().into_owned();
    let file_name = file.to_string_lossy().into_owned();
    let own = |engine: &str, threads: usize| {
        let threads = threads.to_string();
        let words = [
            &binary,
            "one",
            &file_name,
            "--engine",
            engine,
            "--threads",
            &threads,
        ];
        Ok(words.iter().map(|&word| word.to_owned()).collect())
    };
    let compiled = |fused: bool, threads: usize| {
        let toolchain = toolchain.as_ref().map_err(Clone::clone)?;
        let program = toolchain.compile(file, fused, threads)?;
        Ok(vec![program.to_string_lossy().into_owned()])
    };
    let contender = |engine, threads, command| Contender {
        engine,
        threads,
        command,
    };
    Ok(vec![
        contender("ours", 1, own("ours", 1)),
        contender("ours", 2, own("ours", 2)),
        contender("hvm2 run", 1, own("hvm2-rust", 1)),
        contender("hvm2 run-c", 1, compiled(false, 1)),
        contender("hvm2 run-c", 2, compiled(false, 2)),
        contender("hvm2 gen-c", 1, compiled(true, 1)),
        contender("hvm2 gen-c", 2, compiled(true, 2)),
    ])
}

/// One run of each engine, untimed: all results as expected, all interaction counts equal. Returns that count.
fn verify(program: &str, contenders: &[Contender], expected: &str) -> Result<u64, Failure> {
    let mut interactions = None;
    for contender in contenders {
        if let Ok(command) = &contender.command {
            let answer = child::run(command)?.answer;
            let count = *interactions.get_or_insert(answer.interactions);
            check(program, contender, &answer, expected, count)?;
        }
    }
    interactions.ok_or_else(|| Failure::Failed(format!("{program}: no engine could run")))
}

fn check(
    program: &str,
    contender: &Contender,
    answer: &Answer,
    expected: &str,
    interactions: u64,
) -> Result<(), Failure> {
    if answer.result == expected && answer.interactions == interactions {
        return Ok(());
    }
    Err(Failure::Mismatch(format!(
        "{program}: {} with {} thread(s) gives {} in {} interactions, expected {expected} in {interactions}",
        contender.engine, contender.threads, answer.result, answer.interactions
    )))
}

fn row(contender: Contender, runs: &[child::Run]) -> Row {
    let samples: Vec<Sample> = runs
        .iter()
        .map(|run| Sample {
            wall: run.answer.seconds,
            cpu: run.cpu,
        })
        .collect();
    let reduction = (!samples.is_empty()).then(|| Summary::of(&samples));
    let mib = runs
        .iter()
        .map(|run| run.memory as f64 / f64::from(1 << 20))
        .reduce(f64::max);
    Row {
        engine: contender.engine,
        threads: contender.threads,
        process_cpu: reduction.as_ref().map(|summary| summary.cpu),
        reduction,
        memory_mib: mib,
        unavailable: contender.command.err(),
    }
}

fn table(report: &ProgramReport) -> String {
    let sizes: Vec<String> = report
        .sizes
        .iter()
        .map(|(name, size)| format!("{name} {size}"))
        .collect();
    let head = format!("{} ({})", report.name, sizes.join(", "));
    let mut table = Table::new([
        head.as_str(),
        "threads",
        "best",
        "median",
        "process CPU",
        "M int/s",
        "RSS MiB",
        "time/ours 1t",
    ]);
    let base = report.rows.first().and_then(|row| row.reduction.as_ref());
    let base = base.map_or(f64::NAN, |summary| summary.best);
    for row in &report.rows {
        let threads = row.threads.to_string();
        match (&row.reduction, &row.unavailable) {
            (Some(summary), _) => table.row([
                row.engine.to_owned(),
                threads,
                seconds(summary.best),
                seconds(summary.median),
                seconds(summary.cpu),
                format!("{:.1}", report.interactions as f64 / summary.best / 1e6),
                format!("{:.0}", row.memory_mib.unwrap_or(f64::NAN)),
                format!("{:.2}", summary.best / base),
            ]),
            (None, reason) => {
                let reason = reason.as_deref().unwrap_or("not run");
                table.row([
                    row.engine.to_owned(),
                    threads,
                    format!("unavailable: {reason}"),
                ]);
            }
        }
    }
    format!(
        "{table}result {}, {} interactions\n",
        report.result, report.interactions
    )
}
