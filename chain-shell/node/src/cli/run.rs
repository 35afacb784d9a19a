//! `focus run`: reduce a net.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args;
use ffcm::coprocessor::{Accelerator, Coprocessor, DeviceInfo, RewriteJob};
use ffcm::cpu::native::Fused;
use ffcm::cpu::{CpuCoprocessor, NetEngine, Progress};
use ffcm::net::{Book, Call, Limits, Outcome, ReduceError};
use ffcm::oracle;
use serde_json::{Value, json};

use super::failure::{Failure, on_device};
use super::jit::{Fusing, JitArguments};
use super::output::{device_words, grouped, print, print_json, read_text, spinning};
use super::profile::{Profiled, by_opcode};
use super::{backend, signals};

/// Longest program text in bytes.
const TEXT_BYTES: u64 = 64 << 20;

/// Reduce a net to its normal form
///
/// Reads a program in HVM2's textual format, runs @main and prints its normal form, the interactions by opcode and the
/// time. Result and interactions are the same for every thread count.
///
/// With --profile it says where the interactions come from: the hottest definitions, and the hottest chains of three
/// opcodes, each the cause of the next. That takes one thread and several times as long, and is the same on every machine.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  focus run program.hvm --threads 2\n  \
                        focus run program.hvm --profile --top 5\n  \
                        echo '@main = a & $([+2] a) ~ 40' | focus run - --json")]
pub(crate) struct Arguments {
    /// Program to run; - reads stdin
    file: PathBuf,
    /// cpu, wgpu, wgpu:N, cuda, cuda:N or auto, which times them first; a device that fails ends the command
    #[arg(long, default_value = "cpu")]
    backend: Accelerator,
    /// Worker threads; 0 takes one per core
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = super::threads)]
    threads: usize,
    /// Interactions allowed, or none for no bound; exceeding it is an error that does not depend on threads
    #[arg(long, default_value = "10000000000", value_name = "N|none", value_parser = gas)]
    gas: u64,
    /// Heap nodes allowed, 16 bytes each, reserved lazily; at most 2^30
    #[arg(long, default_value_t = Limits::default().nodes, value_name = "N",
        value_parser = clap::value_parser!(u64).range(..=1 << 30))]
    heap: u64,
    #[command(flatten)]
    jit: JitArguments,
    /// Reduce with the sequential reference interpreter instead of a backend
    #[arg(long, conflicts_with_all = ["backend", "jit"])]
    oracle: bool,
    /// Say where the interactions come from, by definition and by chains of three opcodes
    #[arg(long, conflicts_with_all = ["backend", "threads", "oracle", "jit"])]
    profile: bool,
    /// Rows of each table of a profile, or none for all
    #[arg(long, default_value = "10", value_name = "N|none", value_parser = top, requires = "profile")]
    top: Top,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

fn gas(text: &str) -> Result<u64, String> {
    match text {
        "none" => Ok(u64::MAX),
        _ => text
            .parse()
            .map_err(|_| "must be a number or none".to_owned()),
    }
}

/// Rows of a table; all without.
type Top = Option<usize>;

fn top(text: &str) -> Result<Top, String> {
    match text {
        "none" => Ok(None),
        _ => match text.parse() {
            Ok(rows) if rows > 0 => Ok(Some(rows)),
            _ => Err("must be a number from 1 or none".to_owned()),
        },
    }
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let name = &arguments.file.display();
    let text = read_text(&arguments.file, TEXT_BYTES)?;
    let book = Book::parse(&text).map_err(|e| Failure::file(name, e))?;
    drop(text);
    let unreduced = |error: ReduceError| {
        let advice = match error {
            ReduceError::OutOfGas { .. } => "; raise --gas",
            ReduceError::OutOfHeap { .. } => "; raise --heap",
            _ => "",
        };
        Failure::file(name, format_args!("{error}{advice}"))
    };
    if arguments.profile {
        let profiled = profile(arguments, book)?.map_err(unreduced)?;
        return match arguments.json {
            true => print_json(&profiled.to_json()),
            false => print(profiled.to_text()),
        };
    }
    let reduced = reduce(arguments, book)?;
    let outcome = reduced.outcome.map_err(unreduced)?;
    if is_action(&outcome.result) {
        let words =
            "@main gives an IO action of Bend, and nothing here performs one; let it give a value";
        return Err(Failure::file(name, words));
    }
    if arguments.json {
        print_json(&to_json(&outcome, &reduced.run))
    } else {
        print(to_text(&outcome, &reduced.run))
    }
}

/// Whether a result is an action of Bend's `IO`: a constructor whose first field is the number pair by which Bend's own runtime
/// knows actions. The reduction is right then, and what the program was to do has not happened.
fn is_action(result: &str) -> bool {
    let fields = result
        .strip_prefix("((")
        .and_then(|rest| rest.split_once(' '));
    fields.is_some_and(|(_tag, fields)| {
        fields.starts_with("(@IO/MAGIC ") || fields.starts_with("((13683217 16719857) ")
    })
}

/// A reduction that has ended.
struct Reduced {
    run: Run,
    outcome: Result<Outcome, ReduceError>,
}

/// What ran it, and how long.
struct Run {
    machine: DeviceInfo,
    time: Duration,
    /// Whether code may be made for hot definitions.
    jit: bool,
    /// Functions of native code that there were in the end; none without native code.
    functions: Option<usize>,
}

/// What is asked for.
fn task(arguments: &Arguments, book: &Book) -> Result<(Call, Limits), Failure> {
    let name = arguments.file.display();
    let call = book.main().map_err(|e| Failure::file(name, e))?;
    let limits = Limits {
        gas: arguments.gas,
        nodes: arguments.heap,
        ..Limits::default()
    };
    Ok((call, limits))
}

fn profile(arguments: &Arguments, book: Book) -> Result<Result<Profiled, ReduceError>, Failure> {
    let (call, limits) = task(arguments, &book)?;
    let machine = DeviceInfo {
        threads: 1,
        ..CpuCoprocessor::new(1)?.info()
    };
    let (time, done) =
        watched(|progress| NetEngine::new(&book).profile(&call, &limits, Some(progress)))?;
    Ok(done.map(|(outcome, profile)| Profiled {
        book,
        outcome,
        profile,
        machine,
        time,
        top: arguments.top,
    }))
}

fn reduce(arguments: &Arguments, book: Book) -> Result<Reduced, Failure> {
    let (call, limits) = task(arguments, &book)?;
    if arguments.oracle {
        let machine = DeviceInfo {
            backend: "oracle".to_owned(),
            device: "sequential reference interpreter".to_owned(),
            threads: 1,
        };
        let start = Instant::now();
        let work = || oracle::reduce(&book, &call, &limits);
        let outcome = spinning(|| "reducing".to_owned(), work);
        let run = Run {
            machine,
            time: start.elapsed(),
            jit: false,
            functions: None,
        };
        return Ok(Reduced { run, outcome });
    }
    let fusing = Fusing::start(&arguments.jit)?;
    let opening = || format!("starting {}", arguments.backend);
    let open = || backend::open(arguments.backend, arguments.threads, &fusing);
    let opened = spinning(opening, open)?;
    let coprocessor = opened.coprocessor;
    if opened.accelerator == Accelerator::Cpu {
        reduce_on_cpu(&book, &call, &limits, coprocessor.info(), &fusing)
    } else {
        let calls = vec![call];
        let book = Arc::new(book);
        let job = RewriteJob {
            book,
            calls,
            limits,
        };
        reduce_on_device(&job, &*coprocessor, fusing.row_kernels())
    }
}

fn reduce_on_cpu(
    book: &Book,
    call: &Call,
    limits: &Limits,
    machine: DeviceInfo,
    fusing: &Fusing,
) -> Result<Reduced, Failure> {
    let (time, (outcome, functions)) = watched(|progress| {
        let engine = NetEngine::new(book);
        let fused = fusing
            .fuser()
            .and_then(|fuser| fuser.fuse(book, engine.compiled()));
        let engine = match &fused {
            Some(fused) => engine
                .clone()
                .with_fused(Arc::clone(fused))
                .unwrap_or(engine),
            None => engine,
        };
        let outcome = engine.reduce(call, limits, machine.threads, Some(progress));
        let entries = 0..engine.compiled().entries().len() as u32;
        let ready = |fused: Arc<dyn Fused>| {
            entries
                .filter(|&entry| fused.function(entry).is_some())
                .count()
        };
        (outcome, fused.map(ready))
    })?;
    let run = Run {
        machine,
        time,
        jit: functions.is_some(),
        functions,
    };
    Ok(Reduced { run, outcome })
}

/// Here a reduction shows how far it is, and an interrupt ends it. Returns the time that it took, too.
fn watched<T>(work: impl FnOnce(&Progress) -> T) -> Result<(Duration, T), Failure> {
    let progress = Arc::new(Progress::default());
    let cancelled = Arc::clone(&progress);
    signals::watch(move || cancelled.cancel.store(true, Ordering::Relaxed))?;
    let words = || {
        let interactions = progress.interactions.load(Ordering::Relaxed);
        format!("{} interactions", grouped(interactions))
    };
    let start = Instant::now();
    let done = spinning(words, || work(&progress));
    Ok((start.elapsed(), done))
}

fn reduce_on_device(
    job: &RewriteJob,
    coprocessor: &dyn Coprocessor,
    jit: bool,
) -> Result<Reduced, Failure> {
    let machine = coprocessor.info();
    let words = || format!("reducing on {}", machine.backend);
    let start = Instant::now();
    let output = spinning(words, || coprocessor.rewrite(job)).map_err(on_device(coprocessor))?;
    let time = start.elapsed();
    let Some(outcome) = output.into_iter().next() else {
        return Err(Failure::new(format_args!(
            "{}: no answer to the one call",
            machine.backend
        )));
    };
    let run = Run {
        machine,
        time,
        jit,
        functions: None,
    };
    Ok(Reduced { run, outcome })
}

fn to_json(outcome: &Outcome, run: &Run) -> Value {
    let machine = &run.machine;
    json!({
        "result": outcome.result,
        "digest": hex::encode(outcome.digest()),
        "interactions": outcome.counts.total(),
        "by_opcode": by_opcode(outcome),
        "seconds": run.time.as_secs_f64(),
        "backend": machine.backend,
        "device": machine.device,
        "threads": machine.threads,
        "jit": run.jit,
        "jit_functions": run.functions.unwrap_or(0),
    })
}

fn to_text(outcome: &Outcome, run: &Run) -> String {
    let total = outcome.counts.total();
    let seconds = run.time.as_secs_f64();
    let rate = total as f64 / seconds.max(1e-9) / 1e6;
    let mut text = format!("Result: {}\n", outcome.result);
    text += &format!("- interactions {:>18}\n", grouped(total));
    for (opcode, count) in outcome.counts.iter().filter(|(_, count)| *count > 0) {
        text += &format!("  - {:<10} {:>18}\n", opcode.name(), grouped(count));
    }
    text += &format!("- seconds      {seconds:>18.3}\n");
    text += &format!("- M/s          {rate:>18.2}\n");
    text += &format!("- backend      {}\n", device_words(&run.machine));
    text += &match (run.jit, run.functions) {
        (true, Some(functions)) => format!("- jit          on, {functions} functions\n"),
        (true, None) => "- jit          on\n".to_owned(),
        (false, _) => "- jit          off\n".to_owned(),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_of_bend_are_told_from_values() {
        for action in [
            "((@IO/Call/tag (@IO/MAGIC (x0 (x1 (x2 x3))))) x3)",
            "((1 (@IO/MAGIC (x0 (x1 (x2 x3))))) x3)",
            "((@IO/Done/tag ((13683217 16719857) (7 x0))) x0)",
        ] {
            assert!(is_action(action), "{action}");
        }
        for value in [
            "7",
            "(@IO/MAGIC 7)",
            "((@List/Cons/tag (7 (@List/Nil x0))) x0)",
            "(13683217 16719857)",
            "((",
        ] {
            assert!(!is_action(value), "{value}");
        }
    }
}
