//! `focus bench` and `focus bench run`: what is asked for, whether it fits, and where the report goes.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::{Args, value_parser};
use ffcm::coprocessor::{Crossovers, DeviceInfo};
use ffcm::net::{Book, Limits};
use ffcm_formats::{Format, Limits as ReadLimits, read_path};
use ffcm_suite::bench::crossover::known;
use ffcm_suite::bench::generate::Shape;
use ffcm_suite::bench::schema::Report;
use ffcm_suite::bench::work::{Case, Suite, Workload, graph_bytes};
use ffcm_suite::bench::{Plan, Step, html, run as run_matrix, text};
use ffcm_suite::machine::available_bytes;
use ffcm_suite::operators::TASKS;
use ffcm_suite::programs::{PROGRAMS, Program};

use super::super::crossover::CrossoverFile;
use super::super::failure::Failure;
use super::super::output::{print, print_json, read_text, spinning, write_whole};
use super::contenders::{Wanted, contenders};
use super::failure;

/// Longest program text in bytes.
const TEXT_BYTES: u64 = 64 << 20;
/// Sizes of `--scaling`.
const DECADES: [u64; 5] = [1000, 10_000, 100_000, 1_000_000, 10_000_000];
/// Size of a quick run.
const QUICK: u64 = 1000;

/// Arguments of the matrix.
#[derive(Debug, Args)]
pub(super) struct MatrixArguments {
    /// Suites to run; all of them if absent
    #[arg(long, value_name = "SUITE,…", value_delimiter = ',')]
    suite: Vec<Suite>,
    /// Items of each input: edges, interactions, operations, bytes or rows [default: 1e5, with --quick 1e3]
    #[arg(long, visible_alias = "sizes", value_name = "SIZE,…", value_delimiter = ',', value_parser = size)]
    size: Vec<u64>,
    /// The sizes 1e3 to 1e7, for cost against size
    #[arg(long, conflicts_with_all = ["size", "quick"])]
    scaling: bool,
    /// Shape of generated graphs
    #[arg(
        long,
        value_name = "SHAPE,…",
        value_delimiter = ',',
        default_value = "rmat"
    )]
    input: Vec<Shape>,
    /// Programs of the suite nets: sum_rec, sum_tree, sort_bitonic, sort_radix, stress, cnots
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', default_value = "sum_rec,sort_bitonic",
          value_parser = program)]
    program: Vec<Program>,
    /// Rank the graph in FILE instead of generated inputs; formats as `focus rank` reads them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["suite", "size", "scaling", "input", "program"])]
    edges: Vec<PathBuf>,
    /// edges, mtx, sg, cargo-lock or debian; told from name and content if absent
    #[arg(long, requires = "edges")]
    format: Option<Format>,
    #[command(flatten)]
    options: Options,
}

/// A program of your own on every backend
///
/// Runs @main of a program in HVM2's textual format as `focus run` does, many times.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  focus bench run program.hvm\n  \
                        focus bench run program.hvm --backend cpu,wgpu --threads 1,2 --json program.json")]
pub(super) struct RunArguments {
    /// Program to run; - reads stdin
    file: PathBuf,
    /// Interactions allowed
    #[arg(long, default_value_t = Limits::default().gas, value_name = "N")]
    gas: u64,
    /// Heap nodes allowed, 16 bytes each, reserved lazily; at most 2^30
    #[arg(long, default_value_t = Limits::default().nodes, value_name = "N",
        value_parser = value_parser!(u64).range(..=1 << 30))]
    heap: u64,
    #[command(flatten)]
    options: Options,
}

/// How to measure, and where the report goes.
#[derive(Debug, Args)]
struct Options {
    /// cpu, wgpu, wgpu:N, cuda, cuda:N, cubecl:N where built in, auto, or all: the CPU and every device
    #[arg(
        long,
        value_name = "BACKEND,…",
        value_delimiter = ',',
        default_value = "all"
    )]
    backend: Vec<Wanted>,
    /// Thread counts of the CPU [default: 1 and one per core]
    #[arg(long, value_name = "N,…", value_delimiter = ',',
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=super::super::THREADS_MAX as u64))]
    threads: Vec<usize>,
    /// Timed runs of each row, in turns
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = value_parser!(u32).range(5..=1000))]
    runs: u32,
    /// Runs between the first, which prepares and uploads, and the timed ones
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(..=1000))]
    warmup: u32,
    /// Sizes that check the results and say nothing about speed
    #[arg(long)]
    quick: bool,
    /// Seed of all inputs
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Most bytes of memory that a size may be predicted to take, such as 8e9 [default: what is available]
    #[arg(long, value_name = "BYTES", value_parser = size)]
    memory: Option<u64>,
    /// Also write the report to FILE; without FILE, print JSON instead of the table
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    json: Option<Option<PathBuf>>,
    /// Also write the report as a page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Reads a size: `1000000` or `1e6`.
fn size(text: &str) -> Result<u64, String> {
    let (digits, power) = text.split_once('e').unwrap_or((text, "0"));
    let value = || -> Option<u64> {
        let digits: u64 = digits.parse().ok()?;
        digits.checked_mul(10u64.checked_pow(power.parse().ok()?)?)
    };
    match value() {
        Some(value) if value > 0 => Ok(value),
        _ => Err("must be a number from 1, such as 1000000 or 1e6".into()),
    }
}

fn program(name: &str) -> Result<Program, String> {
    let found = PROGRAMS.into_iter().find(|program| program.name == name);
    let names = PROGRAMS.map(|program| program.name).join(", ");
    found.ok_or_else(|| format!("must be one of {names}"))
}

impl Options {
    /// Thread counts, ascending.
    fn threads(&self) -> Vec<usize> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut threads = match self.threads.is_empty() {
            true => vec![1, cores],
            false => self.threads.clone(),
        };
        threads.sort_unstable();
        threads.dedup();
        threads
    }

    /// Bytes that may be used; none where nobody says.
    fn memory(&self) -> Option<u64> {
        self.memory.or_else(available_bytes)
    }

    /// Refuses what is predicted not to fit, with the number.
    fn fits(&self, what: &str, bytes: u64) -> Result<(), Failure> {
        match self.memory() {
            Some(most) if bytes > most => Err(Failure::new(format!(
                "{what} needs about {} of memory ({bytes} bytes), {} may be used",
                text::bytes(bytes),
                text::bytes(most)
            ))),
            _ => Ok(()),
        }
    }

    /// The CPU contenders, and the one that results are compared with.
    fn engines(&self) -> usize {
        self.threads().len() + 1
    }

    fn plan(&self) -> Plan {
        Plan {
            workloads: Vec::new(),
            cases: Vec::new(),
            sizes: Vec::new(),
            runs: self.runs,
            warmup: self.warmup,
            quick: self.quick,
            seed: self.seed,
            input: String::new(),
            threads: self.threads(),
        }
    }

    /// Whether the report can be written, before hours are spent on it.
    fn check_outputs(&self) -> Result<(), Failure> {
        let json = self.json.iter().flatten();
        json.chain(&self.html).try_for_each(|path| writable(path))
    }
}

fn writable(path: &Path) -> Result<(), Failure> {
    let fails = |error: std::io::Error| {
        Failure::file(path.display(), format_args!("cannot write: {error}"))
    };
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(fails(std::io::ErrorKind::IsADirectory.into())),
        Ok(found) if !found.is_file() => Ok(()),
        _ => {
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            tempfile::tempfile_in(folder).map(|_| ()).map_err(fails)
        }
    }
}

/// Runs the matrix.
pub(super) fn matrix(arguments: &MatrixArguments) -> Result<(), Failure> {
    let options = &arguments.options;
    options.check_outputs()?;
    let mut plan = options.plan();
    if arguments.edges.is_empty() {
        plan.sizes = match (&arguments.size[..], arguments.scaling) {
            ([], true) => DECADES.to_vec(),
            ([], false) if options.quick => vec![QUICK],
            ([], false) => vec![100_000],
            (sizes, _) => sizes.to_vec(),
        };
        plan.sizes.sort_unstable();
        plan.sizes.dedup();
        plan.workloads = workloads(arguments);
        let names: Vec<&str> = arguments.input.iter().map(|shape| shape.name()).collect();
        plan.input = names.join(", ");
        for workload in &plan.workloads {
            for &size in &plan.sizes {
                let (suite, name) = workload.named();
                let what = format!("{suite} {name} of size {size}");
                options.fits(&what, workload.bytes(size, options.engines()))?;
                if size > workload.most() {
                    return Err(Failure::new(format!(
                        "{what}: the most is {}",
                        workload.most()
                    )));
                }
            }
        }
    } else {
        let names: Vec<String> = arguments
            .edges
            .iter()
            .map(|p| p.display().to_string())
            .collect();
        plan.input = names.join(", ");
        for path in &arguments.edges {
            plan.cases.push(read(path, arguments)?);
        }
    }
    measure(plan, options)
}

fn workloads(arguments: &MatrixArguments) -> Vec<Workload> {
    let asked = |suite: &Suite| arguments.suite.is_empty() || arguments.suite.contains(suite);
    let of = |suite: Suite| match suite {
        Suite::Nets => arguments
            .program
            .iter()
            .copied()
            .map(Workload::Net)
            .collect(),
        Suite::Focus => arguments
            .input
            .iter()
            .copied()
            .map(Workload::Graph)
            .collect(),
        Suite::Memory => vec![Workload::Memory],
        Suite::Hash => vec![Workload::Blake3, Workload::Sha256, Workload::Nonces],
        Suite::Rows => vec![Workload::AgeDecay],
        Suite::Operators => TASKS.map(Workload::Operator).to_vec(),
    };
    Suite::ALL.into_iter().filter(asked).flat_map(of).collect()
}

/// A graph from a file. The reader stops where the graph would no longer fit.
fn read(path: &Path, arguments: &MatrixArguments) -> Result<Case, Failure> {
    let options = &arguments.options;
    let engines = options.engines() as u64;
    let mut limits = ReadLimits::default();
    if let Some(most) = options.memory() {
        limits.edges = limits.edges.min(most / graph_bytes(1, 1, engines).max(1));
    }
    let reading = || format!("reading {}", path.display());
    let labeled = spinning(reading, || read_path(path, arguments.format, &limits))?;
    let graph = labeled.graph;
    let (nodes, edges) = (u64::from(graph.node_count()), graph.edge_count());
    let name = path.file_name().unwrap_or(path.as_os_str());
    let name = name.to_string_lossy();
    if edges == 0 {
        return Err(Failure::file(path.display(), "it has no edge to visit"));
    }
    options.fits(&name, graph_bytes(nodes, edges, engines))?;
    Ok(Case::graph(&name, edges, graph))
}

/// Runs a program on the matrix.
pub(super) fn run(arguments: &RunArguments) -> Result<(), Failure> {
    let options = &arguments.options;
    options.check_outputs()?;
    let shown = &arguments.file.display();
    let text = read_text(&arguments.file, TEXT_BYTES)?;
    let book = Book::parse(&text).map_err(|error| Failure::file(shown, error))?;
    let limits = Limits {
        gas: arguments.gas,
        nodes: arguments.heap,
        ..Limits::default()
    };
    let name = arguments
        .file
        .file_name()
        .unwrap_or(arguments.file.as_os_str());
    let case = Case::net(&name.to_string_lossy(), book, limits);
    let mut plan = options.plan();
    plan.cases = vec![case.map_err(|error| Failure::file(shown, error))?];
    plan.input = shown.to_string();
    measure(plan, options)
}

fn measure(plan: Plan, options: &Options) -> Result<(), Failure> {
    let words = Mutex::new("starting backends".to_owned());
    let now = || words.lock().map(|words| words.clone()).unwrap_or_default();
    let observer = |step: Step<'_>| {
        if let Ok(mut words) = words.lock() {
            *words = progress(&step);
        }
    };
    let threads = plan.threads.clone();
    let report = spinning(now, || {
        let contenders = contenders(&options.backend, &threads)?;
        run_matrix(plan, &contenders, &observer).map_err(failure)
    })?;
    keep(&report, &CrossoverFile::of_user());
    publish(&report, options)
}

/// Keeps where devices begin to win, for `auto` and for nodes, if the report says so and can be trusted.
fn keep(report: &Report, file: &CrossoverFile) {
    if report.settings.quick || !report.settings.optimised || report.wrong().next().is_some() {
        return;
    }
    for row in &report.ceilings {
        let known = known(&report.crossovers, &row.backend);
        let own = report
            .rows
            .iter()
            .find(|other| other.backend == row.backend);
        if let (Some(own), true) = (own, known != Crossovers::default()) {
            let info = DeviceInfo {
                backend: own.backend.clone(),
                device: own.device.clone(),
                threads: own.threads,
            };
            file.keep(&info, &known);
        }
    }
}

/// A bar, rows done, and what goes on.
fn progress(step: &Step<'_>) -> String {
    const WIDTH: usize = 24;
    let full = (WIDTH * step.done)
        .checked_div(step.all)
        .unwrap_or(0)
        .min(WIDTH);
    format!(
        "{}{} {}/{} {}",
        "━".repeat(full),
        "─".repeat(WIDTH - full),
        step.done,
        step.all,
        step.words
    )
}

/// Writes files before anything is printed; a wrong result is exit code 3 after that.
fn publish(report: &Report, options: &Options) -> Result<(), Failure> {
    let json = || serde_json::to_value(report).map_err(Failure::new);
    if let Some(path) = &options.html {
        let page = html::report(report);
        write_whole(path, |out| out.write_all(page.as_bytes()))?;
    }
    match &options.json {
        Some(None) => print_json(&json()?)?,
        Some(Some(path)) => {
            let text = format!("{:#}\n", json()?);
            write_whole(path, |out| out.write_all(text.as_bytes()))?;
            print(text::report(report))?;
        }
        None => print(text::report(report))?,
    }
    verdict(report)
}

/// Exit code 3 if any row gave another result.
fn verdict(report: &Report) -> Result<(), Failure> {
    match report.wrong().next() {
        None => Ok(()),
        Some(row) => Err(Failure::mismatch(format!(
            "{} {} on {} gives another result than the reference; {} rows are wrong",
            row.suite,
            row.workload,
            row.contender(),
            report.wrong().count()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;

    use ffcm_suite::bench::Contender;
    use ffcm_suite::bench::schema::State;

    use super::*;

    #[test]
    fn sizes_are_numbers_from_one() {
        assert_eq!(size("1000"), Ok(1000));
        assert_eq!(size("25e2"), Ok(2500));
        for wrong in [
            "",
            "0",
            "e6",
            "1e",
            "1e99",
            "-1",
            "1.5",
            "0e3",
            "18446744073709551616",
        ] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_wrong_row_is_exit_code_3() {
        let options = Options {
            backend: vec![Wanted::All],
            threads: vec![1],
            runs: 5,
            warmup: 0,
            quick: true,
            seed: 1,
            memory: None,
            json: None,
            html: None,
        };
        let mut plan = options.plan();
        (plan.workloads, plan.sizes) = (vec![Workload::Sha256], vec![100]);
        let mut report = run_matrix(plan, &[Contender::cpu(1)], &|_| ()).unwrap();
        assert!(verdict(&report).is_ok());
        report.rows[0].state = State::Wrong;
        let code = verdict(&report).unwrap_err().report();
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(3)));
    }

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        let bar = |done, all| {
            let step = Step {
                words: "x",
                done,
                all,
            };
            progress(&step).matches('━').count()
        };
        assert_eq!([bar(0, 4), bar(2, 4), bar(4, 4), bar(0, 0)], [0, 12, 24, 0]);
    }
}
