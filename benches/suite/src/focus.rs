//! Suite `focus`: the exact π against a floating-point pull kernel, with the memory-bandwidth floor beside both.
//!
//! The graph is symmetric RMAT as the GAP benchmark suite generates it. Times are per iteration of a run of fixed length; building
//! either form of the graph is timed apart. Results are checked against `f64` power iteration before anything is printed.
//! Further kernels can be raced under the same rules: see [`Kernel`].

use ffcm::focus::{FocusParams, MASS, Ranker, Ranking};
use ffcm::graph::{EdgeDelta, Graph};
use rayon::ThreadPool;
use serde::Serialize;

use crate::bandwidth;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::options::{Options, Turns, pool};
use crate::pagerank::{Dangling, PullF32, PullGraph, l1, reference};
use crate::rmat::Rmat;
use crate::table::Table;
use crate::timing::{Sample, Summary, interleave, seconds, time};

/// Arguments of the suite.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// log2 of the number of nodes.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(4..=26))]
    pub scale: u32,
    /// Undirected edges drawn per node.
    #[arg(long, default_value_t = 16)]
    pub degree: u32,
    /// Seed of the graph.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Iterations of each timed run.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    pub iterations: u32,
    /// Rounds and thread counts.
    #[command(flatten)]
    pub turns: Turns,
    /// Size and report.
    #[command(flatten)]
    pub options: Options,
}

impl Arguments {
    /// The graph asked for.
    pub fn rmat(&self) -> Rmat {
        Rmat {
            scale: if self.options.tiny { 10 } else { self.scale },
            degree: self.degree,
            seed: self.seed,
        }
    }
}

/// Damping of every kernel.
pub const DAMPING: f64 = 0.85;

/// A kernel under test. Runs on the current rayon pool.
pub trait Kernel: Sync {
    /// Name in tables.
    fn name(&self) -> &'static str;

    /// Whether it can be held to `threads` workers on a machine of `cores`.
    fn runs_on(&self, threads: usize, cores: usize) -> bool {
        let _ = (threads, cores);
        true
    }

    /// Runs `iterations` iterations from the uniform start.
    fn run(&self, iterations: u32) -> Result<Run, Failure>;
}

/// What a kernel did.
#[derive(Clone, Debug)]
pub struct Run {
    /// Iterations done.
    pub iterations: u32,
    /// Time of all of them, preparations that do not depend on the graph's scores left out.
    pub sample: Sample,
    /// Scores by node, the mass of nodes without out-edges dropped; none for the exact engine, which is verified by itself.
    pub scores: Option<Vec<f32>>,
}

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

/// This project's engine. Its part before and after the iterations is included.
struct Exact<'g>(&'g Ranker);

impl Kernel for Exact<'_> {
    fn name(&self) -> &'static str {
        "exact π"
    }

    fn run(&self, iterations: u32) -> Result<Run, Failure> {
        let params = FocusParams {
            epsilon: 0,
            max_iterations: iterations,
            ..FocusParams::default()
        };
        let (ranking, sample) = time(|| rank(self.0, &params));
        Ok(Run {
            iterations: ranking?.iterations,
            sample,
            scores: None,
        })
    }
}

/// The `f32` pull kernel, on a graph whose node `v` may be called `labels[v]`.
struct Pull<'g> {
    name: &'static str,
    graph: &'g PullGraph,
    labels: Option<Vec<u32>>,
}

impl Kernel for Pull<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&self, iterations: u32) -> Result<Run, Failure> {
        let mut state = PullF32::new(self.graph);
        let (change, sample) = time(|| {
            let step = |_| state.step(self.graph, DAMPING as f32);
            (0..iterations).map(step).last()
        });
        std::hint::black_box(change);
        let scores = match &self.labels {
            None => state.scores,
            Some(labels) => labels.iter().map(|&v| state.scores[v as usize]).collect(),
        };
        Ok(Run {
            iterations,
            sample,
            scores: Some(scores),
        })
    }
}

/// Generates, verifies, measures. `rivals` makes more kernels from the arcs `(source, target)`, in ascending order.
pub fn run(
    arguments: &Arguments,
    rivals: impl FnOnce(Vec<(u32, u32)>) -> Vec<Box<dyn Kernel>>,
) -> Result<(), Failure> {
    let options = &arguments.options;
    let rmat = arguments.rmat();
    let machine = Machine::here();
    println!("{machine}");
    let (arcs, sample) = time(|| rmat.arcs());
    eprintln!("generated {} arcs in {}", arcs.len(), seconds(sample.wall));
    let pull = PullGraph::new(rmat.nodes(), &arcs);
    let (ordered, labels) = degree_ordered(rmat.nodes(), &arcs);
    let pull_ordered = PullGraph::new(rmat.nodes(), &ordered);
    drop(ordered);
    let (graph, sample) = time(|| graph(rmat.nodes(), &arcs));
    let graph = graph?;
    eprintln!("built the graph in {}", seconds(sample.wall));
    let rivals = rivals(arcs);
    let (ranker, sample) = time(|| Ranker::new(&graph, 1));
    let ranker = ranker.map_err(Failure::failed)?;
    eprintln!("prepared it for ranking in {}", seconds(sample.wall));

    let ranking = rank(&ranker, &FocusParams::default())?;
    let (error, error_bound) = verify(&pull, &ranking)?;
    let exact = Exact(&ranker);
    let plain = Pull {
        name: "f32 pull",
        graph: &pull,
        labels: None,
    };
    let by_degree = Pull {
        name: "f32 pull, by degree",
        graph: &pull_ordered,
        labels: Some(labels),
    };
    let mut kernels: Vec<&dyn Kernel> = vec![&exact, &plain, &by_degree];
    kernels.extend(rivals.iter().map(|rival| &**rival));
    verify_f32(&pull, &kernels)?;
    let mut rows = Vec::new();
    for &threads in &arguments.turns.threads {
        let mut kernels = kernels.clone();
        kernels.retain(|kernel| kernel.runs_on(threads, machine.cores));
        rows.extend(measure(
            &pool(threads)?,
            &mut kernels,
            &pull,
            arguments.iterations,
            (arguments.turns.rounds(options), options.tiny),
        )?);
    }
    let digest = ranking.digest();
    let report = Report {
        machine,
        scale: rmat.scale,
        degree: rmat.degree,
        seed: rmat.seed,
        nodes: pull.nodes(),
        arcs: pull.arcs(),
        dangling: pull.dangling(),
        iterations: arguments.iterations,
        converged_after: ranking.iterations,
        error,
        error_bound,
        digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        rows,
    };
    print(&report);
    options.write(&report)
}

/// The same arcs with nodes renumbered by falling degree, the layout the exact engine chooses for itself; and each node's
/// new number.
fn degree_ordered(nodes: u32, arcs: &[(u32, u32)]) -> (Vec<(u32, u32)>, Vec<u32>) {
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
    (arcs, label)
}

/// The exact engine's graph: every arc with weight 1, no stakes. In batches, to bound memory.
pub fn graph(nodes: u32, arcs: &[(u32, u32)]) -> Result<Graph, Failure> {
    let mut graph = Graph::new();
    graph.add_nodes(nodes).map_err(Failure::failed)?;
    for arcs in arcs.chunks(1 << 22) {
        let delta = |&(source, target): &(u32, u32)| EdgeDelta {
            source,
            target,
            weight: 1,
        };
        let deltas: Vec<EdgeDelta> = arcs.iter().map(delta).collect();
        graph.apply(&deltas).map_err(Failure::failed)?;
    }
    Ok(graph)
}

/// A ranking from the uniform start.
pub fn rank(ranker: &Ranker, params: &FocusParams) -> Result<Ranking, Failure> {
    ranker.rank(params, None).map_err(Failure::failed)
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
fn verify_f32(graph: &PullGraph, kernels: &[&dyn Kernel]) -> Result<(), Failure> {
    const ITERATIONS: u32 = 60;
    const PRECISION: f64 = 1e-4;
    let exact = reference(graph, DAMPING, Dangling::Dropped, 1e-13, 500);
    for kernel in kernels {
        let Some(scores) = kernel.run(ITERATIONS)?.scores else {
            continue;
        };
        let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
        if scores.len() != exact.len() {
            return Err(Failure::Mismatch(format!(
                "{} gives {} scores for {} nodes",
                kernel.name(),
                scores.len(),
                exact.len()
            )));
        }
        let error = l1(&scores, &exact);
        // A NaN is no precision either.
        if error.is_nan() || error > PRECISION {
            return Err(Failure::Mismatch(format!(
                "{} is off by {error:.3e}",
                kernel.name()
            )));
        }
    }
    Ok(())
}

fn measure(
    pool: &ThreadPool,
    kernels: &mut [&dyn Kernel],
    graph: &PullGraph,
    iterations: u32,
    (rounds, tiny): (usize, bool),
) -> Result<Vec<Row>, Failure> {
    let bandwidth = pool.install(|| bandwidth::floor(tiny));
    let mut run = |kernel: &mut &dyn Kernel| {
        let kernel = *kernel;
        pool.install(|| per_iteration(kernel, iterations))
    };
    // One round to warm up.
    interleave(kernels, 1, &mut run)?;
    let samples = interleave(kernels, rounds, &mut run)?;
    let floor = graph.compulsory_bytes() as f64 / bandwidth;
    let row = |(kernel, samples): (&&dyn Kernel, Vec<Sample>)| {
        let iteration = Summary::of(&samples);
        Row {
            kernel: kernel.name(),
            threads: pool.current_num_threads(),
            giga_arcs: graph.arcs() as f64 / iteration.best / 1e9,
            of_floor: floor / iteration.best,
            iteration,
            bandwidth,
        }
    };
    Ok(kernels.iter().zip(samples).map(row).collect())
}

/// Seconds per iteration of one run.
fn per_iteration(kernel: &dyn Kernel, iterations: u32) -> Result<Sample, Failure> {
    let run = kernel.run(iterations)?;
    if run.iterations != iterations {
        return Err(Failure::Mismatch(format!(
            "{}: {} iterations instead of {iterations}",
            kernel.name(),
            run.iterations
        )));
    }
    Ok(Sample {
        wall: run.sample.wall / f64::from(iterations),
        cpu: run.sample.cpu / f64::from(iterations),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel that says what it is told to.
    struct Liar {
        scores: Vec<f32>,
        iterations: u32,
    }

    impl Kernel for Liar {
        fn name(&self) -> &'static str {
            "liar"
        }

        fn run(&self, _: u32) -> Result<Run, Failure> {
            Ok(Run {
                iterations: self.iterations,
                sample: Sample {
                    wall: 1.0,
                    cpu: 1.0,
                },
                scores: Some(self.scores.clone()),
            })
        }
    }

    fn mismatch<T>(result: Result<T, Failure>) -> bool {
        matches!(result, Err(Failure::Mismatch(_)))
    }

    #[test]
    fn kernels_by_degree_are_right_and_wrong_ones_are_noticed() {
        let rmat = Rmat {
            scale: 7,
            degree: 8,
            seed: 5,
        };
        let arcs = rmat.arcs();
        let pull = PullGraph::new(rmat.nodes(), &arcs);
        let (ordered, labels) = degree_ordered(rmat.nodes(), &arcs);
        let by_degree = Pull {
            name: "by degree",
            graph: &PullGraph::new(rmat.nodes(), &ordered),
            labels: Some(labels),
        };
        assert!(verify_f32(&pull, &[&by_degree]).is_ok());
        let unlabelled = Pull {
            labels: None,
            ..by_degree
        };
        assert!(mismatch(verify_f32(&pull, &[&unlabelled])));
        let nodes = rmat.nodes() as usize;
        for scores in [vec![f32::NAN; nodes], vec![1.0; nodes], vec![]] {
            let iterations = 16;
            assert!(mismatch(verify_f32(&pull, &[&Liar { scores, iterations }])));
        }
        let lazy = Liar {
            scores: vec![],
            iterations: 15,
        };
        assert!(mismatch(per_iteration(&lazy, 16)));
    }

    #[test]
    fn a_wrong_ranking_is_noticed() {
        let rmat = Rmat {
            scale: 6,
            degree: 8,
            seed: 5,
        };
        let arcs = rmat.arcs();
        let pull = PullGraph::new(rmat.nodes(), &arcs);
        let ranker = Ranker::new(&graph(rmat.nodes(), &arcs).unwrap(), 1).unwrap();
        let mut ranking = rank(&ranker, &FocusParams::default()).unwrap();
        assert!(verify(&pull, &ranking).is_ok());
        ranking.mass.sort_unstable();
        assert!(mismatch(verify(&pull, &ranking)));
    }
}
