//! Suite `operators`: graph operators beside π against textbook programs on one thread, on a symmetric RMAT graph with
//! weights from 1 to 255.
//!
//! Every answer is compared before its time counts. Layouts are made before and timed apart. Further engines can be raced
//! under the same rules: see [`Rival`].

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use ffcm::graph::{EdgeDelta, Graph};
use ffcm::operators::{Operator, Operators, UNREACHABLE, UNREACHED, WalkOptions};
use serde::Serialize;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::options::{Options, Turns};
use crate::random::SplitMix64;
use crate::rmat::Rmat;
use crate::table::Table;
use crate::timing::{Sample, Summary, interleave, seconds, time};

/// Arguments of the suite.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// log2 of the number of nodes.
    #[arg(long, default_value_t = 18, value_parser = clap::value_parser!(u32).range(4..=26))]
    scale: u32,
    /// Undirected edges drawn per node.
    #[arg(long, default_value_t = 16)]
    degree: u32,
    /// Seed of the graph.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these tasks.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = TASKS)]
    only: Vec<Task>,
    #[command(flatten)]
    turns: Turns,
    #[command(flatten)]
    options: Options,
}

/// Rounds of label propagation.
pub(crate) const ROUNDS: u32 = 10;
/// Largest weight; all sums of weights fit the floats that rivals add.
pub const WEIGHT_MAX: u64 = 255;

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Levels from one source.
    Bfs,
    /// Smallest node of each component.
    Wcc,
    /// Distances from one source.
    Sssp,
    /// Labels after ten rounds.
    Cdlp,
    /// Edges between neighbours.
    Lcc,
    /// Triangles in the graph.
    Triangles,
    /// A walk of 20 steps from each node: visits.
    Walks,
}

/// All of them.
pub const TASKS: [Task; 7] = [
    Task::Bfs,
    Task::Wcc,
    Task::Sssp,
    Task::Cdlp,
    Task::Lcc,
    Task::Triangles,
    Task::Walks,
];

impl Task {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Task::Bfs => "bfs",
            Task::Wcc => "wcc",
            Task::Sssp => "sssp",
            Task::Cdlp => "cdlp",
            Task::Lcc => "lcc",
            Task::Triangles => "triangles",
            Task::Walks => "walks",
        }
    }
}

/// What a task gives, a number a node or one number.
pub type Answer = Vec<u64>;

/// Another engine for one task. It prepares what it needs when it is made.
pub trait Rival {
    /// Name in tables.
    fn name(&self) -> &'static str;
    /// What it computes.
    fn task(&self) -> Task;
    /// Whether it can be held to `threads` workers on a machine of `cores`.
    fn runs_on(&self, threads: usize, cores: usize) -> bool;
    /// Computes from `source`, where the task has one; the time and the answer.
    fn run(&self, source: u32) -> (Answer, Sample);
}

/// Graphs and tasks measured.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    scale: u32,
    degree: u32,
    seed: u64,
    nodes: u32,
    arcs: u64,
    rows: Vec<Row>,
}

/// One engine on one task.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was computed.
    pub task: Task,
    /// By whom.
    pub engine: &'static str,
    /// Worker threads.
    pub threads: usize,
    /// Making the layouts; none for others, which are not asked.
    pub prepared: Option<Sample>,
    /// Seconds of one run.
    pub all: Summary,
    /// CPU time over that of the textbook program.
    pub ratio: f64,
}

/// Checks and measures; the rivals are made from the number of nodes and arcs with weights.
pub fn run(
    arguments: &Arguments,
    rivals: impl FnOnce(u32, &[(u32, u32, u64)]) -> Vec<Box<dyn Rival>>,
) -> Result<(), Failure> {
    let options = &arguments.options;
    let machine = Machine::here();
    println!("{machine}");
    let rmat = Rmat {
        scale: if options.tiny { 10 } else { arguments.scale },
        degree: arguments.degree,
        seed: arguments.seed,
    };
    let arcs = weighted(&rmat);
    let rounds = arguments.turns.rounds(options);
    let rivals = rivals(rmat.nodes(), &arcs);
    let input = Input::new(rmat.nodes(), &arcs)?;
    drop(arcs);
    let mut rows = Vec::new();
    for &task in &arguments.only {
        options.say(format_args!("measuring {task:?}"));
        rows.extend(measure(
            &input,
            task,
            &arguments.turns.threads,
            rounds,
            &rivals,
        )?);
    }
    let report = Report {
        machine,
        scale: rmat.scale,
        degree: rmat.degree,
        seed: rmat.seed,
        nodes: input.graph.node_count(),
        arcs: input.graph.edge_count(),
        rows,
    };
    print(&report);
    options.write(&report)
}

/// The arcs of `rmat`, both directions of an edge with the same weight.
pub fn weighted(rmat: &Rmat) -> Vec<(u32, u32, u64)> {
    let weight = |u: u32, v: u32| {
        let edge = u64::from(u.min(v)) << 32 | u64::from(u.max(v));
        1 + SplitMix64::new(rmat.seed ^ edge).below(WEIGHT_MAX)
    };
    let arcs = rmat.arcs().into_iter();
    arcs.map(|(u, v)| (u, v, weight(u, v))).collect()
}

struct Input {
    graph: Graph,
    /// A node with most edges.
    source: u32,
}

impl Input {
    fn new(nodes: u32, arcs: &[(u32, u32, u64)]) -> Result<Input, Failure> {
        let delta = |&(source, target, weight): &(u32, u32, u64)| EdgeDelta {
            source,
            target,
            weight,
        };
        let mut graph = Graph::new();
        graph.add_nodes(nodes).map_err(Failure::failed)?;
        let deltas: Vec<EdgeDelta> = arcs.iter().map(delta).collect();
        graph.apply(&deltas).map_err(Failure::failed)?;
        Ok(Input {
            source: busiest(&graph),
            graph,
        })
    }
}

/// The first node with most edges: where searches start.
pub(crate) fn busiest(graph: &Graph) -> u32 {
    let nodes = 0..graph.node_count();
    let most = nodes.max_by_key(|&node| (graph.out_degree(node), Reverse(node)));
    most.unwrap_or(0)
}

enum Contender<'a> {
    Textbook,
    Ours(usize, Box<Operators>, Sample),
    Rival(&'a dyn Rival),
}

fn measure(
    input: &Input,
    task: Task,
    threads: &[usize],
    rounds: usize,
    rivals: &[Box<dyn Rival>],
) -> Result<Vec<Row>, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    let mut contenders = vec![Contender::Textbook];
    for &threads in threads {
        let operators = Operators::builder().threads(threads).prepare(&input.graph);
        let operators = operators.map_err(Failure::failed)?;
        let (made, sample) = time(|| operators.warm_up(operator(task, input.graph.node_count())));
        made.map_err(Failure::failed)?;
        if task == Task::Wcc {
            // The same edges as a rival that keeps both directions: an undirected graph.
            operators.warm_up(Operator::Bfs).map_err(Failure::failed)?;
        }
        contenders.push(Contender::Ours(threads, Box::new(operators), sample));
    }
    for &threads in threads {
        let rivals = rivals.iter().map(|rival| &**rival);
        let able = rivals.filter(|rival| rival.task() == task && rival.runs_on(threads, cores));
        contenders.extend(able.map(Contender::Rival));
    }
    let (expected, _) = textbook(input, task);
    let samples = interleave(&mut contenders, rounds, |contender| {
        let (answer, sample) = match contender {
            Contender::Textbook => textbook(input, task),
            Contender::Ours(_, operators, _) => ours(operators, task, input.source)?,
            Contender::Rival(rival) => rival.run(input.source),
        };
        match answer == expected {
            true => Ok(sample),
            false => Err(Failure::Mismatch(format!(
                "{task:?} of {}",
                contender.name()
            ))),
        }
    })?;
    let summaries: Vec<Summary> = samples.iter().map(|samples| Summary::of(samples)).collect();
    let plain = summaries[0].cpu;
    let row = |(contender, all): (&Contender, Summary)| Row {
        task,
        engine: contender.name(),
        threads: match contender {
            Contender::Textbook => 1,
            Contender::Ours(threads, ..) => *threads,
            Contender::Rival(_) => cores,
        },
        prepared: match contender {
            Contender::Ours(_, _, prepared) => Some(*prepared),
            _ => None,
        },
        ratio: all.cpu / plain,
        all,
    };
    Ok(contenders.iter().zip(summaries).map(row).collect())
}

impl Contender<'_> {
    fn name(&self) -> &'static str {
        match self {
            Contender::Textbook => "textbook",
            Contender::Ours(..) => "ours",
            Contender::Rival(rival) => rival.name(),
        }
    }
}

/// A walk of 20 steps from each node.
pub(crate) const WALKS: WalkOptions = WalkOptions {
    steps: 20,
    per_start: 1,
    seed: 1,
};

/// The operator of a task on a graph of `nodes`.
pub(crate) fn operator(task: Task, nodes: u32) -> Operator {
    match task {
        Task::Bfs => Operator::Bfs,
        Task::Wcc => Operator::Wcc,
        Task::Sssp => Operator::Sssp,
        Task::Cdlp => Operator::Cdlp,
        Task::Lcc => Operator::Lcc,
        Task::Triangles => Operator::Triangles,
        Task::Walks => Operator::Walks {
            count: nodes.into(),
            steps: WALKS.steps,
        },
    }
}

/// Our answer to a task, and the time for it.
pub(crate) fn ours(
    operators: &Operators,
    task: Task,
    source: u32,
) -> Result<(Answer, Sample), Failure> {
    fn timed<T>(
        run: impl FnOnce() -> Result<T, ffcm::operators::OperatorError>,
        answer: impl FnOnce(T) -> Answer,
    ) -> Result<(Answer, Sample), Failure> {
        let (value, sample) = time(run);
        value
            .map(|value| (answer(value), sample))
            .map_err(Failure::failed)
    }
    let wide = |labels: Vec<u32>| labels.into_iter().map(u64::from).collect();
    match task {
        Task::Bfs => timed(
            || operators.bfs(source),
            |levels| levels.into_iter().map(i64::unsigned_abs).collect(),
        ),
        Task::Wcc => timed(|| operators.wcc(), wide),
        Task::Sssp => timed(|| operators.sssp(source), |distances| distances),
        Task::Cdlp => timed(|| operators.cdlp(ROUNDS), wide),
        Task::Lcc => timed(
            || operators.lcc(),
            |all| all.into_iter().map(|fraction| fraction.numerator).collect(),
        ),
        Task::Triangles => timed(|| operators.triangle_count(), |count| vec![count]),
        Task::Walks => {
            let nodes = operators.graph().node_count();
            let starts: Vec<u32> = (0..nodes).collect();
            timed(
                || operators.walks(&starts, &WALKS),
                |walks| walks.visits(nodes),
            )
        }
    }
}

/// The textbook's way, on rows as the graph has them.
fn textbook(input: &Input, task: Task) -> (Answer, Sample) {
    let graph = &input.graph;
    match task {
        Task::Bfs => time(|| queue(graph, input.source)),
        Task::Wcc => time(|| union_find(graph)),
        Task::Sssp => time(|| dijkstra(graph, input.source)),
        Task::Cdlp => time(|| sorted_labels(graph)),
        Task::Lcc => time(|| merged(graph).into_iter().map(|count| 2 * count).collect()),
        Task::Triangles => time(|| vec![merged(graph).into_iter().sum::<u64>() / 3]),
        Task::Walks => time(|| walked(graph)),
    }
}

fn queue(graph: &Graph, source: u32) -> Answer {
    let mut levels = vec![UNREACHABLE.unsigned_abs(); graph.node_count() as usize];
    levels[source as usize] = 0;
    let mut queue = VecDeque::from([source]);
    while let Some(node) = queue.pop_front() {
        for &target in graph.row(node).0 {
            if levels[target as usize] == UNREACHABLE.unsigned_abs() {
                levels[target as usize] = levels[node as usize] + 1;
                queue.push_back(target);
            }
        }
    }
    levels
}

fn union_find(graph: &Graph) -> Answer {
    let mut parents: Vec<u32> = (0..graph.node_count()).collect();
    fn root(parents: &mut [u32], mut node: u32) -> u32 {
        while parents[node as usize] != node {
            parents[node as usize] = parents[parents[node as usize] as usize];
            node = parents[node as usize];
        }
        node
    }
    for edge in graph.edges() {
        let a = root(&mut parents, edge.source);
        let b = root(&mut parents, edge.target);
        parents[a.max(b) as usize] = a.min(b);
    }
    let roots = (0..graph.node_count()).map(|node| u64::from(root(&mut parents, node)));
    roots.collect()
}

fn dijkstra(graph: &Graph, source: u32) -> Answer {
    let mut distances = vec![UNREACHED; graph.node_count() as usize];
    distances[source as usize] = 0;
    let mut heap = BinaryHeap::from([Reverse((0, source))]);
    while let Some(Reverse((distance, node))) = heap.pop() {
        if distance > distances[node as usize] {
            continue;
        }
        for (target, weight) in graph.out_edges(node) {
            let nearer = distance + weight;
            if nearer < distances[target as usize] {
                distances[target as usize] = nearer;
                heap.push(Reverse((nearer, target)));
            }
        }
    }
    distances
}

fn sorted_labels(graph: &Graph) -> Answer {
    let mut labels: Vec<u32> = (0..graph.node_count()).collect();
    let mut near = Vec::new();
    for _ in 0..ROUNDS {
        let before = labels.clone();
        for (node, label) in (0..).zip(&mut labels) {
            near.clear();
            near.extend(
                graph
                    .row(node)
                    .0
                    .iter()
                    .map(|&other| before[other as usize]),
            );
            near.sort_unstable();
            let runs = near.chunk_by(|a, b| a == b);
            if let Some(most) = runs.max_by_key(|run| (run.len(), Reverse(run[0]))) {
                *label = most[0];
            }
        }
    }
    labels.into_iter().map(u64::from).collect()
}

/// Triangles through each node: rows of two neighbours merged, each triangle once.
fn merged(graph: &Graph) -> Answer {
    let mut counts = vec![0; graph.node_count() as usize];
    for u in 0..graph.node_count() {
        let row = graph.row(u).0;
        let lower = &row[..row.partition_point(|&v| v < u)];
        for &v in lower {
            let (mut a, mut b) = (lower, graph.row(v).0);
            while let ([x, rest_a @ ..], [y, rest_b @ ..]) = (a, b)
                && *x < v
                && *y < v
            {
                if x == y {
                    for node in [u, v, *x] {
                        counts[node as usize] += 1;
                    }
                }
                (a, b) = (
                    if x <= y { rest_a } else { a },
                    if y <= x { rest_b } else { b },
                );
            }
        }
    }
    counts
}

/// Visits of the walks: the oracle's, which looks through each row from its beginning.
fn walked(graph: &Graph) -> Answer {
    let mut visits = vec![0; graph.node_count() as usize];
    let starts: Vec<u32> = (0..graph.node_count()).collect();
    for node in ffcm::oracle::operators::walks(graph, &starts, &WALKS)
        .into_iter()
        .flatten()
    {
        visits[node as usize] += 1;
    }
    visits
}

fn print(report: &Report) {
    let Report {
        scale,
        degree,
        seed,
        nodes,
        arcs,
        ..
    } = report;
    println!("RMAT scale {scale}, degree {degree}, seed {seed}: {nodes} nodes, {arcs} arcs");
    let mut table = Table::new([
        "task",
        "engine",
        "threads",
        "prepared",
        "best",
        "median",
        "CPU",
        "of textbook",
    ])
    .left(&[0, 1]);
    for row in &report.rows {
        table.row([
            format!("{:?}", row.task).to_lowercase(),
            row.engine.to_owned(),
            row.threads.to_string(),
            row.prepared
                .map_or(String::new(), |sample| seconds(sample.cpu)),
            seconds(row.all.best),
            seconds(row.all.median),
            seconds(row.all.cpu),
            format!("{:.3}", row.ratio),
        ]);
    }
    println!("{table}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says that everything is 7.
    struct Wrong;

    impl Rival for Wrong {
        fn name(&self) -> &'static str {
            "wrong"
        }
        fn task(&self) -> Task {
            Task::Wcc
        }
        fn runs_on(&self, _: usize, _: usize) -> bool {
            true
        }
        fn run(&self, _: u32) -> (Answer, Sample) {
            time(|| vec![7; 256])
        }
    }

    #[test]
    fn all_engines_agree_and_a_wrong_one_is_noticed() {
        let rmat = Rmat {
            scale: 8,
            degree: 8,
            seed: 2,
        };
        let input = Input::new(rmat.nodes(), &weighted(&rmat)).unwrap();
        for task in TASKS {
            let rows = measure(&input, task, &[1, 2], 1, &[]).unwrap();
            assert_eq!(rows.len(), 3);
            assert!(
                rows[1..]
                    .iter()
                    .all(|row| row.engine == "ours" && row.prepared.is_some())
            );
        }
        let rivals: [Box<dyn Rival>; 1] = [Box::new(Wrong)];
        assert!(measure(&input, Task::Bfs, &[1], 1, &rivals).is_ok());
        let outcome = measure(&input, Task::Wcc, &[1], 1, &rivals);
        assert!(matches!(outcome, Err(Failure::Mismatch(_))));
    }
}
