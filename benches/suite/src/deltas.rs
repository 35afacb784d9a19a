//! Suite `deltas`: a batch of edge deltas into a large graph against building the graph anew from all edges.
//!
//! Half of the batch are new edges, a quarter changes a weight, a quarter removes an edge; drawn alike everywhere, which
//! touches every chunk, or after a power law with its hubs side by side. Every graph made must be the expected one, in
//! rows and in the hash over its chunks.

use ffcm::graph::{EdgeDelta, Graph};
use rayon::ThreadPool;
use serde::Serialize;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::options::{Options, Turns, pool};
use crate::random::SplitMix64;
use crate::rmat::Rmat;
use crate::table::Table;
use crate::timing::{Sample, Summary, interleave, seconds, time};

/// Arguments of the suite.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// log2 of the number of nodes.
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u32).range(1..=26))]
    scale: u32,
    /// Edges drawn; a few fall together.
    #[arg(long, default_value_t = 30_000_000, value_parser = clap::value_parser!(u32).range(1..=1 << 28))]
    edges: u32,
    /// Deltas of the batch.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=1 << 28))]
    changes: u32,
    /// Seed of edges and deltas.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    turns: Turns,
    #[command(flatten)]
    options: Options,
}

/// A graph and a batch into it; equal values give equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// log2 of the number of nodes, at most 31.
    pub scale: u32,
    /// Edges drawn; at least 1.
    pub edges: u32,
    /// Deltas of the batch.
    pub changes: u32,
    /// Seed of edges and deltas.
    pub seed: u64,
}

/// One way to the changed graph, or what comes after it.
#[derive(Debug, Serialize)]
pub struct Row {
    /// How edges and deltas are distributed.
    pub distribution: &'static str,
    /// What was timed.
    pub how: &'static str,
    /// Worker threads.
    pub threads: usize,
    /// Seconds for all of it.
    pub all: Summary,
    /// CPU time beside that of the rebuild from the list in order of arrival.
    pub ratio: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    workload: Workload,
    rows: Vec<Row>,
}

/// What the batch is called in [`Row::how`].
pub const DELTAS: &str = "deltas";
/// A rebuild from the list in order of arrival, in rows.
pub const REBUILD: &str = "rebuild, edges as they arrived";

#[derive(Clone, Copy, PartialEq)]
enum Contender {
    Rebuild,
    RebuildOrdered,
    Deltas,
    Root,
}

const CONTENDERS: [Contender; 4] = [
    Contender::Rebuild,
    Contender::RebuildOrdered,
    Contender::Deltas,
    Contender::Root,
];

/// What the contenders work on.
struct Input {
    nodes: u32,
    /// All edges and then all deltas, as they arrived.
    arrivals: Vec<EdgeDelta>,
    /// The edges of the changed graph in order.
    ordered: Vec<EdgeDelta>,
    batch: Vec<EdgeDelta>,
    before: Graph,
    after: Graph,
    digest: [u8; 32],
}

/// Checks and measures.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let options = &arguments.options;
    let machine = Machine::here();
    println!("{machine}");
    let workload = match options.tiny {
        true => Workload {
            scale: 12,
            edges: 40_000,
            changes: 3_000,
            seed: arguments.seed,
        },
        false => Workload {
            scale: arguments.scale,
            edges: arguments.edges,
            changes: arguments.changes,
            seed: arguments.seed,
        },
    };
    let rounds = arguments.turns.rounds(options);
    let rows = rows(workload, &arguments.turns.threads, rounds)?;
    let report = Report {
        machine,
        workload,
        rows,
    };
    print(&report);
    options.write(&report)
}

/// Measures both distributions, with every number of threads; each graph made is checked.
pub fn rows(workload: Workload, threads: &[usize], rounds: usize) -> Result<Vec<Row>, Failure> {
    let mut rows = vec![];
    for (distribution, power) in [("uniform", false), ("power law", true)] {
        let input = Input::new(workload, power)?;
        for &threads in threads {
            rows.extend(measure(&input, distribution, threads, rounds)?);
        }
    }
    Ok(rows)
}

fn measure(
    input: &Input,
    distribution: &'static str,
    threads: usize,
    rounds: usize,
) -> Result<Vec<Row>, Failure> {
    let pool = pool(threads)?;
    let mut contenders = CONTENDERS;
    let run = |contender: &mut Contender| input.run(*contender, &pool);
    let samples = interleave(&mut contenders, rounds, run)?;
    let summaries: Vec<Summary> = samples.iter().map(|samples| Summary::of(samples)).collect();
    let rebuild = summaries[0].cpu;
    let row = |(contender, all): (&Contender, Summary)| Row {
        distribution,
        how: contender.name(),
        threads,
        ratio: all.cpu / rebuild,
        all,
    };
    Ok(CONTENDERS.iter().zip(summaries).map(row).collect())
}

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Contender::Rebuild => REBUILD,
            Contender::RebuildOrdered => "rebuild, edges in order",
            Contender::Deltas => DELTAS,
            Contender::Root => "root after the deltas",
        }
    }
}

impl Input {
    fn new(workload: Workload, power: bool) -> Result<Input, Failure> {
        let mut random = SplitMix64::new(workload.seed);
        let kronecker = Rmat {
            scale: workload.scale,
            degree: 1,
            seed: 0,
        };
        let nodes = kronecker.nodes();
        let new = |random: &mut SplitMix64| {
            let (source, target) = match power {
                true => kronecker.edge(random),
                false => [(); 2]
                    .map(|()| random.below(u64::from(nodes)) as u32)
                    .into(),
            };
            EdgeDelta {
                source,
                target,
                weight: 1 + random.below(1000),
            }
        };
        let mut arrivals: Vec<EdgeDelta> = (0..workload.edges).map(|_| new(&mut random)).collect();
        let change = |index: u32| match index % 4 {
            0 | 1 => new(&mut random),
            kind => EdgeDelta {
                weight: if kind == 2 { 1 + random.below(1000) } else { 0 },
                ..*random.pick(&arrivals)
            },
        };
        let batch: Vec<EdgeDelta> = (0..workload.changes).map(change).collect();
        let before = build(nodes, &arrivals)?;
        arrivals.extend_from_slice(&batch);
        let after = build(nodes, &arrivals)?;
        Ok(Input {
            nodes,
            arrivals,
            ordered: after.edges().collect(),
            batch,
            before,
            digest: after.digest(),
            after,
        })
    }

    fn run(&self, contender: Contender, pool: &ThreadPool) -> Result<Sample, Failure> {
        let deltas = || {
            let mut graph = self.before.clone();
            graph.apply(&self.batch).map_err(Failure::failed)?;
            Ok(graph)
        };
        let (graph, sample) = pool.install(|| match contender {
            Contender::Rebuild => time(|| build(self.nodes, &self.arrivals)),
            Contender::RebuildOrdered => time(|| build(self.nodes, &self.ordered)),
            Contender::Deltas => time(deltas),
            Contender::Root => {
                let graph = deltas();
                let (_, sample) = time(|| graph.as_ref().map(Graph::digest).ok());
                (graph, sample)
            }
        });
        let graph = graph?;
        if graph != self.after || graph.digest() != self.digest {
            let name = contender.name();
            return Err(Failure::Mismatch(format!("{name}: another graph")));
        }
        Ok(sample)
    }
}

fn build(nodes: u32, deltas: &[EdgeDelta]) -> Result<Graph, Failure> {
    let mut graph = Graph::new();
    graph.add_nodes(nodes).map_err(Failure::failed)?;
    graph.apply(deltas).map_err(Failure::failed)?;
    Ok(graph)
}

fn print(report: &Report) {
    let Workload {
        scale,
        edges,
        changes,
        seed,
    } = report.workload;
    println!("{changes} deltas into {edges} edges over 2^{scale} nodes, seed {seed}");
    let mut table = Table::new([
        "distribution",
        "how",
        "threads",
        "best",
        "median",
        "CPU",
        "CPU of rebuild",
    ]);
    for row in &report.rows {
        table.row([
            row.distribution.to_owned(),
            row.how.to_owned(),
            row.threads.to_string(),
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

    const SMALL: Workload = Workload {
        scale: 11,
        edges: 9_000,
        changes: 2_000,
        seed: 3,
    };

    #[test]
    fn every_way_leads_to_one_graph_and_another_is_noticed() {
        let rows = rows(SMALL, &[1, 2], 1).unwrap();
        assert_eq!(rows.len(), 2 * 2 * CONTENDERS.len());
        assert!(rows.iter().all(|row| row.all.cpu > 0.0 && row.ratio > 0.0));
        let mut input = Input::new(SMALL, true).unwrap();
        assert!(input.after.edge_count() > input.before.edge_count());
        input.batch.pop();
        input.batch[0].weight += 1;
        let pool = pool(2).unwrap();
        let outcome = input.run(Contender::Deltas, &pool);
        assert!(matches!(outcome, Err(Failure::Mismatch(_))));
        assert!(input.run(Contender::Rebuild, &pool).is_ok());
    }
}
