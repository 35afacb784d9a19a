//! `peers focus`: the exact π against a floating-point pull kernel, with the memory-bandwidth floor beside both.
//!
//! The graph is symmetric RMAT as the GAP benchmark suite generates it. Times are per iteration of a run of fixed length; building
//! either form of the graph is timed apart. Results are checked against `f64` power iteration before anything is printed.

use std::fs;
use std::path::PathBuf;

use ffcm::focus::{FocusParams, MASS, Ranker, Ranking};
use ffcm::graph::{EdgeDelta, Graph};
use ffcm_benches::bandwidth::triad;
use ffcm_benches::machine::Machine;
use ffcm_benches::pagerank::{Dangling, PullF32, PullGraph, l1, reference};
use ffcm_benches::rmat::Rmat;
use ffcm_benches::table::Table;
use ffcm_benches::timing::{Sample, Summary, interleave, seconds, time};
use graph::prelude::{CsrLayout, DirectedCsrGraph, GraphBuilder, PageRankConfig, page_rank};
use rayon::ThreadPool;
use serde::Serialize;

use crate::failure::Failure;

/// Arguments of `peers focus`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// log2 of the number of nodes.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(4..=26))]
    scale: u32,
    /// Undirected edges drawn per node.
    #[arg(long, default_value_t = 16)]
    degree: u32,
    /// Seed of the graph.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Iterations of each timed run.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    iterations: u32,
    /// Timed runs of each kernel, interleaved.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Thread counts.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// A small graph and one round.
    #[arg(long)]
    tiny: bool,
    /// Also write the figures to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

const DAMPING: f64 = 0.85;

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    scale: u32,
    degree: u32,
    seed: u64,
    nodes: usize,
    arcs: usize,
    dangling: usize,
    iterations: u32,
    /// Iterations to a residual below 1e-6, exact engine.
    converged_after: u32,
    /// L1 distance of the exact engine's π to the `f64` fixed point, and the bound it keeps.
    error: f64,
    error_bound: f64,
    digest: String,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    kernel: &'static str,
    threads: usize,
    /// Seconds per iteration.
    iteration: Summary,
    /// Billions of arcs per second, best run.
    giga_arcs: f64,
    /// Part of the floor's speed reached: compulsory bytes at the measured bandwidth, over the best time.
    of_floor: f64,
    /// Bytes per second of the triad at this thread count.
    bandwidth: f64,
}

/// A kernel under test.
#[derive(Clone, Copy)]
enum Kernel<'g> {
    Exact(&'g Ranker),
    Pull(&'g PullGraph),
    /// Crate `graph` 0.3.2: f32, asynchronous (Gauss-Seidel), always as many threads as there are cores.
    Crate(&'g DirectedCsrGraph<u32>),
}

/// Generates, verifies, measures.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (scale, rounds) = if arguments.tiny {
        (10, 1)
    } else {
        (arguments.scale, arguments.rounds)
    };
    let rmat = Rmat {
        scale,
        degree: arguments.degree,
        seed: arguments.seed,
    };
    let machine = Machine::here();
    println!("{machine}");
    let (arcs, sample) = time(|| rmat.arcs());
    eprintln!("generated {} arcs in {}", arcs.len(), seconds(sample.wall));
    let pull = PullGraph::new(rmat.nodes(), &arcs);
    let pull_ordered = PullGraph::new(rmat.nodes(), &degree_ordered(rmat.nodes(), &arcs));
    let (graph, sample) = time(|| graph(rmat.nodes(), &arcs));
    let graph = graph?;
    let rival: DirectedCsrGraph<u32> = GraphBuilder::new()
        .csr_layout(CsrLayout::Sorted)
        .edges(arcs)
        .build();
    eprintln!("built the graph in {}", seconds(sample.wall));
    let (ranker, sample) = time(|| Ranker::new(&graph, 1));
    let ranker = ranker.map_err(|error| Failure::Failed(error.to_string()))?;
    eprintln!("prepared it for ranking in {}", seconds(sample.wall));

    let ranking = rank(&ranker, &FocusParams::default())?;
    let (error, error_bound) = verify(&pull, &ranking)?;
    verify_f32(&pull, &rival)?;
    let kernels = [
        ("exact π", Kernel::Exact(&ranker)),
        ("f32 pull", Kernel::Pull(&pull)),
        ("f32 pull, by degree", Kernel::Pull(&pull_ordered)),
    ];
    let mut rows = Vec::new();
    for &threads in &arguments.threads {
        let pool = pool(threads)?;
        let mut kernels = kernels.to_vec();
        if threads == machine.cores {
            kernels.push(("crate graph, f32", Kernel::Crate(&rival)));
        }
        rows.extend(measure(
            &pool,
            &mut kernels,
            &pull,
            arguments.iterations,
            rounds,
            arguments.tiny,
        )?);
    }
    let report = Report {
        machine,
        scale,
        degree: rmat.degree,
        seed: rmat.seed,
        nodes: pull.nodes(),
        arcs: pull.arcs(),
        dangling: pull.dangling(),
        iterations: arguments.iterations,
        converged_after: ranking.iterations,
        error,
        error_bound,
        digest: ranking
            .digest()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        rows,
    };
    print(&report);
    if let Some(path) = &arguments.json {
        let text =
            serde_json::to_string_pretty(&report).map_err(|error| Failure::file(path, &error))?;
        fs::write(path, text + "\n").map_err(|error| Failure::file(path, &error))?;
    }
    Ok(())
}

fn pool(threads: usize) -> Result<ThreadPool, Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| Failure::Failed(format!("{threads} threads: {error}")))
}

/// The same arcs with nodes renumbered by falling degree, the layout the exact engine chooses for itself.
fn degree_ordered(nodes: u32, arcs: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut degree = vec![0u32; nodes as usize];
    for &(source, _) in arcs {
        degree[source as usize] += 1;
    }
    let mut order: Vec<u32> = (0..nodes).collect();
    order.sort_by_key(|&node| std::cmp::Reverse(degree[node as usize]));
    let mut label = vec![0u32; nodes as usize];
    for (at, &node) in (0u32..).zip(&order) {
        label[node as usize] = at;
    }
    let relabel = |&(u, v): &(u32, u32)| (label[u as usize], label[v as usize]);
    let mut arcs: Vec<(u32, u32)> = arcs.iter().map(relabel).collect();
    arcs.sort_unstable();
    arcs
}

/// The exact engine's graph: every arc with weight 1, no stakes. In batches, to bound memory.
fn graph(nodes: u32, arcs: &[(u32, u32)]) -> Result<Graph, Failure> {
    let failed = |error: ffcm::graph::GraphError| Failure::Failed(error.to_string());
    let mut graph = Graph::new();
    graph.add_nodes(nodes).map_err(failed)?;
    for arcs in arcs.chunks(1 << 22) {
        let delta = |&(source, target): &(u32, u32)| EdgeDelta {
            source,
            target,
            weight: 1,
        };
        let deltas: Vec<EdgeDelta> = arcs.iter().map(delta).collect();
        graph.apply(&deltas).map_err(failed)?;
    }
    Ok(graph)
}

fn rank(ranker: &Ranker, params: &FocusParams) -> Result<Ranking, Failure> {
    let ranking = ranker.rank(params, None);
    ranking.map_err(|error| Failure::Failed(error.to_string()))
}

/// L1 error of the exact π, and the bound residual · d / (1 − d) + 1e-9 that it must keep.
fn verify(graph: &PullGraph, ranking: &Ranking) -> Result<(f64, f64), Failure> {
    let unit = 1.0 / MASS as f64;
    let total: u128 = ranking.mass.iter().map(|&mass| u128::from(mass)).sum();
    let pi: Vec<f64> = ranking
        .mass
        .iter()
        .map(|&mass| mass as f64 * unit)
        .collect();
    let exact = reference(graph, DAMPING, Dangling::Spread, 1e-13, 500);
    let error = l1(&pi, &exact);
    let bound = ranking.residual as f64 * unit * DAMPING / (1.0 - DAMPING) + 1e-9;
    if total != u128::from(MASS) || !ranking.converged || error > bound {
        return Err(Failure::Mismatch(format!(
            "π: L1 error {error:.3e}, bound {bound:.3e}, mass {total} of {MASS}, converged {}",
            ranking.converged
        )));
    }
    Ok((error, bound))
}

/// The f32 kernels compute PageRank too: within their precision of the f64 fixed point without dangling mass.
fn verify_f32(graph: &PullGraph, rival: &DirectedCsrGraph<u32>) -> Result<(), Failure> {
    const ITERATIONS: usize = 60;
    let exact = reference(graph, DAMPING, Dangling::Dropped, 1e-13, 500);
    let check = |name: &str, scores: &[f32]| {
        let scores: Vec<f64> = scores.iter().copied().map(f64::from).collect();
        let error = l1(&scores, &exact);
        if error > 1e-4 {
            return Err(Failure::Mismatch(format!("{name} is off by {error:.3e}")));
        }
        Ok(())
    };
    let mut kernel = PullF32::new(graph);
    for _ in 0..ITERATIONS {
        kernel.step(graph, DAMPING as f32);
    }
    check("the f32 baseline", &kernel.scores)?;
    let config = PageRankConfig::new(ITERATIONS, 0.0, DAMPING as f32);
    check("crate graph", &page_rank(rival, config).0)
}

fn measure(
    pool: &ThreadPool,
    kernels: &mut [(&'static str, Kernel<'_>)],
    graph: &PullGraph,
    iterations: u32,
    rounds: u32,
    tiny: bool,
) -> Result<Vec<Row>, Failure> {
    // 320 MB per array, far beyond any cache.
    let elements = if tiny { 100_000 } else { 40_000_000 };
    let bandwidth = pool.install(|| triad(elements, if tiny { 1 } else { 5 }));
    let mut run =
        |(_, kernel): &mut (&str, Kernel<'_>)| pool.install(|| run_kernel(*kernel, iterations));
    // One round to warm up.
    interleave(kernels, 1, &mut run)?;
    let samples = interleave(kernels, rounds as usize, &mut run)?;
    let floor = graph.compulsory_bytes() as f64 / bandwidth;
    let row = |(&(kernel, _), samples): (&(&'static str, Kernel<'_>), Vec<Sample>)| {
        let iteration = Summary::of(&samples);
        Row {
            kernel,
            threads: pool.current_num_threads(),
            giga_arcs: graph.arcs() as f64 / iteration.best / 1e9,
            of_floor: floor / iteration.best,
            iteration,
            bandwidth,
        }
    };
    Ok(kernels.iter().zip(samples).map(row).collect())
}

/// Seconds per iteration of one run from the uniform start. The exact engine's part before and after is included.
fn run_kernel(kernel: Kernel<'_>, iterations: u32) -> Result<Sample, Failure> {
    let (done, sample) = match kernel {
        Kernel::Exact(ranker) => {
            let params = FocusParams {
                epsilon: 0,
                max_iterations: iterations,
                ..FocusParams::default()
            };
            let (ranking, sample) = time(|| rank(ranker, &params));
            (ranking?.iterations, sample)
        }
        Kernel::Pull(graph) => {
            let mut state = PullF32::new(graph);
            let (change, sample) = time(|| {
                let mut change = 0.0;
                for _ in 0..iterations {
                    change = state.step(graph, DAMPING as f32);
                }
                change
            });
            std::hint::black_box(change);
            (iterations, sample)
        }
        Kernel::Crate(graph) => {
            let config = PageRankConfig::new(iterations as usize, 0.0, DAMPING as f32);
            let ((_, done, _), sample) = time(|| page_rank(graph, config));
            (done as u32, sample)
        }
    };
    if done != iterations {
        return Err(Failure::Mismatch(format!(
            "{done} iterations instead of {iterations}"
        )));
    }
    Ok(Sample {
        wall: sample.wall / f64::from(iterations),
        cpu: sample.cpu / f64::from(iterations),
    })
}

fn print(report: &Report) {
    println!(
        "symmetric RMAT, scale {}, degree {}, seed {}: {} nodes ({} without edges), {} arcs",
        report.scale, report.degree, report.seed, report.nodes, report.dangling, report.arcs
    );
    println!(
        "exact π: residual below 1e-6 after {} iterations, L1 error {:.3e} (bound {:.3e}), digest {}",
        report.converged_after, report.error, report.error_bound, report.digest
    );
    let mut table = Table::new([
        "per iteration",
        "threads",
        "best",
        "median",
        "CPU",
        "G arcs/s",
        "of floor",
        "triad GB/s",
    ]);
    for row in &report.rows {
        table.row([
            row.kernel.to_owned(),
            row.threads.to_string(),
            seconds(row.iteration.best),
            seconds(row.iteration.median),
            seconds(row.iteration.cpu),
            format!("{:.3}", row.giga_arcs),
            format!("{:.0} %", row.of_floor * 100.0),
            format!("{:.1}", row.bandwidth / 1e9),
        ]);
    }
    println!("{table}");
}
