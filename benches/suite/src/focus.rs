//! Suite `focus`: the exact π against a floating-point pull kernel, with the memory-bandwidth floor beside both.
//!
//! The graph is symmetric RMAT as the GAP benchmark suite generates it, once without weights and once with the token weights
//! of [`token_weights`]. Times are per iteration of a run of fixed length; building
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
use crate::random::SplitMix64;
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

/// Name of the kernel that others are compared with.
pub const PULL: &str = "f32 pull";
/// The same kernel on labels by degree, the layout that the exact engine chooses for itself.
pub const PULL_BY_DEGREE: &str = "f32 pull, by degree";
/// Name of this project's kernel.
pub const EXACT: &str = "exact π";

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

/// What the suite measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// log2 of the number of nodes drawn.
    pub scale: u32,
    /// Undirected edges drawn per node.
    pub degree: u32,
    /// Seed of the graph.
    pub seed: u64,
    /// Iterations of each timed run.
    pub iterations: u32,
    /// All weights 1.
    #[serde(flatten)]
    pub unweighted: Case,
    /// With token weights.
    pub weighted: Case,
}

/// One graph, with all kernels on it.
#[derive(Debug, Serialize)]
pub struct Case {
    /// Number of nodes.
    pub nodes: usize,
    /// Number of arcs.
    pub arcs: usize,
    /// Number of nodes without out-edges.
    pub dangling: usize,
    /// Iterations to a residual below 1e-6, exact engine.
    pub converged_after: u32,
    /// L1 distance of the exact engine's π to the `f64` fixed point.
    pub error: f64,
    /// The bound that distance keeps.
    pub error_bound: f64,
    /// Of the exact engine's π.
    pub digest: String,
    /// Seconds it took to prepare the exact engine's layout.
    pub prepared: Sample,
    /// Each kernel at each thread count.
    pub rows: Vec<Row>,
}

/// One kernel at one thread count.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub kernel: &'static str,
    /// Worker threads.
    pub threads: usize,
    /// Seconds per iteration.
    pub iteration: Summary,
    /// Billions of arcs per second, best run.
    pub giga_arcs: f64,
    /// Part of the floor's speed reached: compulsory bytes at the measured bandwidth, over the best time.
    pub of_floor: f64,
    /// Best time over that of the `f32` pull kernel, labels as given, in the same run.
    pub of_pull: f64,
    /// The same of CPU time.
    pub of_pull_cpu: f64,
    /// Bytes per second of the triad at this thread count.
    pub bandwidth: f64,
}

/// This project's engine. Its part before and after the iterations is included.
struct Exact<'g>(&'g Ranker);

impl Kernel for Exact<'_> {
    fn name(&self) -> &'static str {
        EXACT
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

/// Measures, prints and writes. `rivals` as for [`measure_all`].
pub fn run(
    arguments: &Arguments,
    rivals: impl FnOnce(Vec<(u32, u32)>) -> Vec<Box<dyn Kernel>>,
) -> Result<(), Failure> {
    let report = measure_all(arguments, rivals)?;
    println!("{}", report.machine);
    print(&report);
    arguments.options.write(&report)
}

/// Generates, verifies, measures. `rivals` makes more kernels for the unweighted graph from the arcs `(source, target)`, in
/// ascending order.
pub fn measure_all(
    arguments: &Arguments,
    rivals: impl FnOnce(Vec<(u32, u32)>) -> Vec<Box<dyn Kernel>>,
) -> Result<Report, Failure> {
    let rmat = arguments.rmat();
    let machine = Machine::here();
    let options = &arguments.options;
    let (arcs, sample) = time(|| rmat.arcs());
    let words = seconds(sample.wall);
    options.say(format_args!("generated {} arcs in {words}", arcs.len()));
    let weights = token_weights(rmat.seed, arcs.len());
    let unweighted = case(arguments, &arcs, None, rivals(arcs.clone()))?;
    let weighted = case(arguments, &arcs, Some(&weights), Vec::new())?;
    Ok(Report {
        machine,
        scale: rmat.scale,
        degree: rmat.degree,
        seed: rmat.seed,
        iterations: arguments.iterations,
        unweighted,
        weighted,
    })
}

/// Amounts of tokens on `arcs` arcs: Pareto of shape 1 from 100 up, cut at 10^7.
pub fn token_weights(seed: u64, arcs: usize) -> Vec<u32> {
    let mut random = SplitMix64::new(seed ^ 0x746f_6b65_6e73);
    let weight = |_| ((100 << 32) / (random.next_u64() >> 32).max(1)).min(10_000_000) as u32;
    (0..arcs).map(weight).collect()
}

/// One graph: the exact engine, the pull kernel twice, and `rivals`.
fn case(
    arguments: &Arguments,
    arcs: &[(u32, u32)],
    weights: Option<&[u32]>,
    rivals: Vec<Box<dyn Kernel>>,
) -> Result<Case, Failure> {
    let nodes = arguments.rmat().nodes();
    let pull_graph = |arcs: &[(u32, u32)], weights: Option<&[u32]>| match weights {
        None => PullGraph::new(nodes, arcs),
        Some(weights) => PullGraph::weighted(nodes, arcs, weights),
    };
    let pull = pull_graph(arcs, weights);
    let (ordered, ordered_weights, labels) = degree_ordered(nodes, arcs, weights);
    let pull_ordered = pull_graph(&ordered, weights.is_some().then_some(&ordered_weights[..]));
    drop((ordered, ordered_weights));
    let (graph, sample) = time(|| weighted_graph(nodes, arcs, weights));
    let graph = graph?;
    let options = &arguments.options;
    let words = seconds(sample.wall);
    options.say(format_args!("built the graph in {words}"));
    let (ranker, prepared) = time(|| Ranker::new(&graph, 1));
    let ranker = ranker.map_err(Failure::failed)?;
    let words = seconds(prepared.wall);
    options.say(format_args!("prepared it for ranking in {words}"));

    let ranking = rank(&ranker, &FocusParams::default())?;
    let (error, error_bound) = verify(&pull, &ranking)?;
    let exact = Exact(&ranker);
    let plain = Pull {
        name: PULL,
        graph: &pull,
        labels: None,
    };
    let by_degree = Pull {
        name: PULL_BY_DEGREE,
        graph: &pull_ordered,
        labels: Some(labels),
    };
    let mut kernels: Vec<&dyn Kernel> = vec![&exact, &plain, &by_degree];
    kernels.extend(rivals.iter().map(|rival| &**rival));
    verify_f32(&pull, &kernels)?;
    let mut rows = Vec::new();
    for &threads in &arguments.turns.threads {
        let mut kernels = kernels.clone();
        kernels.retain(|kernel| kernel.runs_on(threads, Machine::here().cores));
        rows.extend(measure(
            &pool(threads)?,
            &mut kernels,
            &pull,
            arguments.iterations,
            (arguments.turns.rounds(options), options.tiny),
        )?);
    }
    let digest = ranking.digest();
    Ok(Case {
        nodes: pull.nodes(),
        arcs: pull.arcs(),
        dangling: pull.dangling(),
        converged_after: ranking.iterations,
        error,
        error_bound,
        digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        prepared,
        rows,
    })
}

/// The same arcs and weights with nodes renumbered by falling degree, the layout the exact engine chooses for itself; and each
/// node's new number.
fn degree_ordered(
    nodes: u32,
    arcs: &[(u32, u32)],
    weights: Option<&[u32]>,
) -> (Vec<(u32, u32)>, Vec<u32>, Vec<u32>) {
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
    let relabel = |(at, &(u, v)): (usize, &(u32, u32))| {
        let weight = weights.map_or(1, |weights| weights[at]);
        ((label[u as usize], label[v as usize]), weight)
    };
    let mut arcs: Vec<_> = arcs.iter().enumerate().map(relabel).collect();
    arcs.sort_unstable();
    let (arcs, weights) = arcs.into_iter().unzip();
    (arcs, weights, label)
}

/// The exact engine's graph: every arc with weight 1, no stakes.
pub fn graph(nodes: u32, arcs: &[(u32, u32)]) -> Result<Graph, Failure> {
    weighted_graph(nodes, arcs, None)
}

/// The same with a weight for each arc, if any. In batches, to bound memory.
fn weighted_graph(
    nodes: u32,
    arcs: &[(u32, u32)],
    weights: Option<&[u32]>,
) -> Result<Graph, Failure> {
    let mut graph = Graph::new();
    graph.add_nodes(nodes).map_err(Failure::failed)?;
    let mut at = 0;
    for arcs in arcs.chunks(1 << 22) {
        let delta = |(at, &(source, target)): (usize, &(u32, u32))| EdgeDelta {
            source,
            target,
            weight: weights.map_or(1, |weights| u64::from(weights[at])),
        };
        let deltas: Vec<EdgeDelta> = (at..).zip(arcs).map(delta).collect();
        graph.apply(&deltas).map_err(Failure::failed)?;
        at += arcs.len();
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
    let pull = kernels.iter().position(|kernel| kernel.name() == PULL);
    let pull = Summary::of(&samples[pull.expect("the pull kernel runs at any thread count")]);
    let row = |(kernel, samples): (&&dyn Kernel, Vec<Sample>)| {
        let iteration = Summary::of(&samples);
        Row {
            of_pull: iteration.best / pull.best,
            of_pull_cpu: iteration.cpu / pull.cpu,
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
    for (what, case) in [
        ("unweighted", &report.unweighted),
        ("token weights", &report.weighted),
    ] {
        println!(
            "symmetric RMAT, scale {}, degree {}, seed {}, {what}: {} nodes ({} without edges), {} arcs",
            report.scale, report.degree, report.seed, case.nodes, case.dangling, case.arcs
        );
        println!(
            "exact π: residual below 1e-6 after {} iterations, L1 error {:.3e} (bound {:.3e}), digest {}, prepared in {} \
             ({} of CPU)",
            case.converged_after,
            case.error,
            case.error_bound,
            case.digest,
            seconds(case.prepared.wall),
            seconds(case.prepared.cpu)
        );
        println!("{}", table(&case.rows));
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new([
        "per iteration",
        "threads",
        "best",
        "median",
        "CPU",
        "G arcs/s",
        "÷ f32 pull",
        "of CPU",
        "of floor",
        "triad GB/s",
    ]);
    for row in rows {
        table.row([
            row.kernel.to_owned(),
            row.threads.to_string(),
            seconds(row.iteration.best),
            seconds(row.iteration.median),
            seconds(row.iteration.cpu),
            format!("{:.3}", row.giga_arcs),
            format!("{:.2}", row.of_pull),
            format!("{:.2}", row.of_pull_cpu),
            format!("{:.0} %", row.of_floor * 100.0),
            format!("{:.1}", row.bandwidth / 1e9),
        ]);
    }
    table
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
        let weights = token_weights(5, arcs.len());
        let pull = PullGraph::weighted(rmat.nodes(), &arcs, &weights);
        let (ordered, weights, labels) = degree_ordered(rmat.nodes(), &arcs, Some(&weights));
        let by_degree = Pull {
            name: "by degree",
            graph: &PullGraph::weighted(rmat.nodes(), &ordered, &weights),
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
        let weights = token_weights(5, arcs.len());
        let pull = PullGraph::new(rmat.nodes(), &arcs);
        let weighted = PullGraph::weighted(rmat.nodes(), &arcs, &weights);
        for (own, other, weights) in [
            (&pull, &weighted, None),
            (&weighted, &pull, Some(&weights[..])),
        ] {
            let graph = weighted_graph(rmat.nodes(), &arcs, weights).unwrap();
            let ranker = Ranker::new(&graph, 1).unwrap();
            let mut ranking = rank(&ranker, &FocusParams::default()).unwrap();
            assert!(verify(own, &ranking).is_ok());
            assert!(mismatch(verify(other, &ranking)));
            ranking.mass.sort_unstable();
            assert!(mismatch(verify(own, &ranking)));
        }
    }

    #[test]
    fn token_weights_are_many_small_and_few_large() {
        let weights = token_weights(1, 10_000);
        assert!(
            weights
                .iter()
                .all(|weight| (100..=10_000_000).contains(weight))
        );
        let beyond = |least: u32| weights.iter().filter(|&&weight| weight >= least).count();
        // Pareto of shape 1: ten times as much, a tenth as often.
        assert!((800..1200).contains(&beyond(1000)), "{}", beyond(1000));
        assert!((60..150).contains(&beyond(10_000)), "{}", beyond(10_000));
    }
}
