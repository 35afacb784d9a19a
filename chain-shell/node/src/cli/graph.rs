//! `focus graph`: operators on a graph in a file.

mod personalised;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Subcommand, value_parser};
use ffcm::operators::{
    Fraction, ITERATIONS_MAX, MEMORY_MAX, OperatorError, Operators, UNREACHABLE, UNREACHED,
    WalkOptions,
};
use ffcm_formats::{Format, LabeledGraph};
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::output::{grouped, print, print_json, spinning, write_whole};
use super::rank::read;
use personalised::Personal;

/// Apply an operator to a graph: search, components, paths, communities, clustering, triangles, walks, ranking
///
/// Reads what `focus rank` reads and follows the definitions of LDBC Graphalytics, in whole numbers: the same answer for
/// every number of threads.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  focus graph wcc Cargo.lock --top 5\n  \
                        focus graph bfs links.tsv --source ana --json\n  \
                        focus graph sssp roads.tsv.gz --source 17 --out distances.tsv")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    operator: Operator,
}

#[derive(Debug, Subcommand)]
enum Operator {
    /// Breadth-first search: edges on a shortest path from the source; prints the farthest nodes
    #[command(after_help = "Example:\n  focus graph bfs links.tsv --source ana --top 5")]
    Bfs {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        common: Common,
    },
    /// Weakly connected components, named by their first node; prints the largest
    #[command(after_help = "Example:\n  focus graph wcc Cargo.lock --top 5")]
    Wcc(Common),
    /// Shortest paths from the source by sums of weights; prints the farthest nodes
    #[command(
        after_help = "Example:\n  focus graph sssp roads.tsv --source 17 --out distances.tsv"
    )]
    Sssp {
        #[command(flatten)]
        source: Source,
        #[command(flatten)]
        common: Common,
    },
    /// Communities by label propagation, named by the node whose label they have; prints the largest
    #[command(after_help = "Example:\n  focus graph cdlp links.tsv --iterations 10")]
    Cdlp {
        /// Rounds
        #[arg(long, default_value_t = 10, value_name = "K",
              value_parser = value_parser!(u32).range(0..=i64::from(ITERATIONS_MAX)))]
        iterations: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Local clustering coefficients, as edges between neighbours over pairs of neighbours; prints the highest
    #[command(after_help = "Example:\n  focus graph lcc links.tsv --out coefficients.tsv")]
    Lcc(Common),
    /// Random walks, equal for equal seeds; prints the nodes visited most
    #[command(
        after_help = "Example:\n  focus graph walk links.tsv --walks 10 --steps 80 --seed 7\n  \
                            focus graph walk links.tsv --source ana --out walks.tsv"
    )]
    Walk {
        /// Label of the node where all walks start; every node is a start without it
        #[arg(long, value_name = "LABEL")]
        source: Option<String>,
        /// Walks from each start
        #[arg(long, default_value_t = 1, value_name = "N")]
        walks: u32,
        /// Most steps of a walk; it ends early at a node without out-edges
        #[arg(long, default_value_t = 80, value_name = "N")]
        steps: u32,
        /// Where all chance comes from
        #[arg(long, default_value_t = 0, value_name = "N")]
        seed: u64,
        #[command(flatten)]
        common: Common,
    },
    /// Personalised ranking: π for some nodes' eyes, teleport going to them only; prints the highest
    ///
    /// --out writes exact units of 2^-62.
    #[command(
        after_help = "Example:\n  focus graph ppr links.tsv --seed ana --seed ben\n  \
                            focus graph ppr links.tsv --seeds mine.tsv --json"
    )]
    Ppr {
        #[command(flatten)]
        personal: Personal,
        #[command(flatten)]
        common: Common,
    },
    /// Triangles, directions ignored; prints the nodes that are part of most
    #[command(after_help = "Example:\n  focus graph triangles links.tsv --json")]
    Triangles(Common),
}

#[derive(Debug, Args)]
struct Source {
    /// Label of the source; the first node of the file without it
    #[arg(long, value_name = "LABEL")]
    source: Option<String>,
}

#[derive(Debug, Args)]
struct Common {
    /// Files to read
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// edges, mtx, sg, cargo-lock or debian; told from name and content if absent
    #[arg(long)]
    format: Option<Format>,
    /// Worker threads; 0 takes one per core
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = super::threads)]
    threads: usize,
    /// Most MiB that the operator may take, the graph itself not counted; what may take more is refused
    #[arg(long, default_value_t = MEMORY_MAX >> 20, value_name = "MIB",
          value_parser = value_parser!(u64).range(1..=1 << 40))]
    max_memory: u64,
    /// How many lines to print
    #[arg(long, default_value_t = 10, value_name = "N")]
    top: usize,
    /// Write the answer for all nodes as lines of label and value, separated by tabs; of walks, a line of labels each
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// What an operator found.
struct Answer {
    /// What it is called.
    operator: &'static str,
    /// Facts about it, for people and as JSON.
    words: String,
    facts: Value,
    /// What the lines of the table are, most important first: a value as text, as JSON, and a node.
    lines: Vec<(String, Value, u32)>,
    /// Lines for `--out`.
    all: All,
    seconds: f64,
}

/// The answer in full.
enum All {
    /// A value of each node.
    Values(Vec<String>),
    /// Walks, by node.
    Walks(ffcm::operators::Walks),
}

/// Runs the verb.
pub(crate) fn graph(arguments: &Arguments) -> Result<(), Failure> {
    let operator = &arguments.operator;
    let common = operator.common();
    let read = || read(&common.files, common.format);
    let labeled = spinning(|| "reading".to_owned(), read)?;
    let operators = Operators::builder()
        .threads(common.threads)
        .memory_max(common.max_memory << 20)
        .prepare(&labeled.graph)?;
    let answer = spinning(
        || format!("working on {} threads", operators.threads()),
        || operator.apply(&operators, &labeled),
    )?;
    if let Some(path) = &common.out {
        write_whole(path, |out| answer.write(&labeled.labels, out))?;
    }
    let threads = operators.threads();
    match common.json {
        true => print_json(&answer.to_json(&labeled, threads, common.top)),
        false => print(answer.to_text(&labeled, threads, common.top)),
    }
}

impl Operator {
    fn common(&self) -> &Common {
        match self {
            Operator::Wcc(common) | Operator::Lcc(common) | Operator::Triangles(common) => common,
            Operator::Bfs { common, .. }
            | Operator::Sssp { common, .. }
            | Operator::Cdlp { common, .. }
            | Operator::Walk { common, .. }
            | Operator::Ppr { common, .. } => common,
        }
    }

    fn apply(&self, operators: &Operators, labeled: &LabeledGraph) -> Result<Answer, Failure> {
        let source = |source: &Option<String>| match source {
            Some(label) => find(labeled, label),
            None => Ok(0),
        };
        let start = Instant::now();
        let answer = match self {
            Operator::Bfs { source: from, .. } => {
                let node = source(&from.source)?;
                bfs(node, &labeled.labels, &operators.bfs(node)?)
            }
            Operator::Sssp { source: from, .. } => {
                let node = source(&from.source)?;
                sssp(node, &labeled.labels, &operators.sssp(node)?)
            }
            Operator::Wcc(_) => groups("wcc", "components", &labeled.labels, &operators.wcc()?),
            Operator::Cdlp { iterations, .. } => {
                let labels = operators.cdlp(*iterations)?;
                groups("cdlp", "communities", &labeled.labels, &labels)
            }
            Operator::Lcc(_) => lcc(&operators.lcc()?),
            Operator::Triangles(_) => triangles(&operators.triangles()?),
            Operator::Ppr { personal, .. } => personal.rank(operators, labeled)?,
            Operator::Walk {
                source: from,
                walks,
                steps,
                seed,
                ..
            } => {
                let starts = match from {
                    Some(_) => vec![source(from)?],
                    None => (0..labeled.graph.node_count()).collect(),
                };
                let options = WalkOptions {
                    steps: *steps,
                    per_start: *walks,
                    seed: *seed,
                };
                let walks = operators.walks(&starts, &options)?;
                visits(walks.visits(labeled.graph.node_count()), walks)
            }
        };
        Ok(Answer {
            seconds: start.elapsed().as_secs_f64(),
            ..answer
        })
    }
}

/// The node of a label.
fn find(labeled: &LabeledGraph, label: &str) -> Result<u32, Failure> {
    let node = (0..).zip(&labeled.labels).find(|(_, own)| *own == label);
    node.map(|(node, _)| node)
        .ok_or_else(|| Failure::new(format_args!("no node is called {label}")))
}

impl Answer {
    fn new(operator: &'static str, words: String, facts: Value) -> Answer {
        Answer {
            operator,
            words,
            facts,
            lines: Vec::new(),
            all: All::Values(Vec::new()),
            seconds: 0.0,
        }
    }

    fn values<T: Display>(mut self, values: impl IntoIterator<Item = T>) -> Answer {
        self.all = All::Values(values.into_iter().map(|value| value.to_string()).collect());
        self
    }

    fn write(&self, labels: &[String], out: &mut dyn Write) -> io::Result<()> {
        match &self.all {
            All::Values(values) => (labels.iter().zip(values))
                .try_for_each(|(label, value)| writeln!(out, "{label}\t{value}")),
            All::Walks(walks) => walks.iter().try_for_each(|walk| {
                let walk = walk.iter().map(|&node| labels[node as usize].as_str());
                writeln!(out, "{}", walk.collect::<Vec<_>>().join("\t"))
            }),
        }
    }

    fn to_json(&self, labeled: &LabeledGraph, threads: usize, top: usize) -> Value {
        let line = |(_, value, node): &(String, Value, u32)| {
            let mut line = Map::new();
            line.insert("node".to_owned(), json!(labeled.labels[*node as usize]));
            line.insert("value".to_owned(), value.clone());
            Value::Object(line)
        };
        json!({
            "operator": self.operator,
            "nodes": labeled.graph.node_count(),
            "edges": labeled.graph.edge_count(),
            "found": self.facts,
            "seconds": self.seconds,
            "threads": threads,
            "top": self.lines.iter().take(top).map(line).collect::<Vec<_>>(),
        })
    }

    fn to_text(&self, labeled: &LabeledGraph, threads: usize, top: usize) -> String {
        let mut text = format!(
            "{} nodes, {} edges\n{} in {:.3} s, {threads} threads: {}\n\n",
            grouped(labeled.graph.node_count().into()),
            grouped(labeled.graph.edge_count()),
            self.operator,
            self.seconds,
            self.words,
        );
        let lines = &self.lines[..top.min(self.lines.len())];
        let width = lines
            .iter()
            .map(|(value, ..)| value.len())
            .max()
            .unwrap_or(0);
        for (place, (value, _, node)) in (1..).zip(lines) {
            let label = &labeled.labels[*node as usize];
            text += &format!("{place:>6}  {value:>width$}  {label}\n");
        }
        text
    }
}

/// Nodes in the order of falling keys, ties by lower node.
fn falling<K: Ord>(nodes: impl Iterator<Item = (u32, K)>) -> Vec<(u32, K)> {
    let mut nodes: Vec<(u32, K)> = nodes.collect();
    // Stable, and nodes ascend.
    nodes.sort_by(|(_, a), (_, b)| b.cmp(a));
    nodes
}

fn bfs(source: u32, labels: &[String], levels: &[i64]) -> Answer {
    let reached = levels.iter().copied().filter(|&level| level != UNREACHABLE);
    let (count, depth) = (reached.clone().count(), reached.max().unwrap_or(0));
    let source = &labels[source as usize];
    let words = format!(
        "{} nodes reached from {source}, depth {depth}",
        grouped(count as u64)
    );
    let facts = json!({"source": source, "reached": count, "depth": depth});
    let nodes = (0..).zip(levels.iter().copied());
    let farthest = falling(nodes.filter(|(_, level)| *level != UNREACHABLE));
    let line = |(node, level): (u32, i64)| (level.to_string(), json!(level), node);
    Answer {
        lines: farthest.into_iter().map(line).collect(),
        ..Answer::new("bfs", words, facts).values(levels)
    }
}

fn sssp(source: u32, labels: &[String], distances: &[u64]) -> Answer {
    let reached = distances
        .iter()
        .copied()
        .filter(|&distance| distance != UNREACHED);
    let (count, longest) = (reached.clone().count(), reached.max().unwrap_or(0));
    let source = &labels[source as usize];
    let nodes = grouped(count as u64);
    let words = format!("{nodes} nodes reached from {source}, the farthest at {longest}");
    let facts = json!({"source": source, "reached": count, "longest": longest.to_string()});
    let nodes = (0..).zip(distances.iter().copied());
    let farthest = falling(nodes.filter(|(_, distance)| *distance != UNREACHED));
    let line =
        |(node, distance): (u32, u64)| (distance.to_string(), json!(distance.to_string()), node);
    // Graphalytics' word for it.
    let value = |&distance: &u64| match distance {
        UNREACHED => "infinity".to_owned(),
        distance => distance.to_string(),
    };
    Answer {
        lines: farthest.into_iter().map(line).collect(),
        ..Answer::new("sssp", words, facts).values(distances.iter().map(value))
    }
}

fn groups(operator: &'static str, what: &str, labels: &[String], group: &[u32]) -> Answer {
    let mut sizes = vec![0u64; group.len()];
    for &group in group {
        sizes[group as usize] += 1;
    }
    let largest = falling((0..).zip(sizes).filter(|(_, size)| *size > 0));
    let count = largest.len();
    let first = largest.first().map_or(0, |&(_, size)| size);
    let words = format!(
        "{} {what}, the largest has {} nodes",
        grouped(count as u64),
        grouped(first)
    );
    let mut facts = Map::new();
    facts.insert(what.to_owned(), json!(count));
    facts.insert("largest".to_owned(), json!(first));
    let line = |(node, size): (u32, u64)| (grouped(size), json!(size), node);
    let names = group.iter().map(|&group| &labels[group as usize]);
    Answer {
        lines: largest.into_iter().map(line).collect(),
        ..Answer::new(operator, words, Value::Object(facts)).values(names)
    }
}

fn lcc(coefficients: &[Fraction]) -> Answer {
    let links: u128 = coefficients.iter().map(|c| u128::from(c.numerator)).sum();
    let some = coefficients.iter().filter(|c| c.numerator > 0).count();
    let words = format!("{} nodes have linked neighbours", grouped(some as u64));
    let facts = json!({"above_zero": some, "links": links.to_string()});
    let mut nodes: Vec<(u32, Fraction)> = (0..).zip(coefficients.iter().copied()).collect();
    // Equal fractions: who has more pairs of neighbours first, then the lower node.
    nodes.sort_by(|(_, a), (_, b)| {
        let cross =
            |a: &Fraction, b: &Fraction| u128::from(a.numerator) * u128::from(b.denominator);
        cross(b, a)
            .cmp(&cross(a, b))
            .then(b.denominator.cmp(&a.denominator))
    });
    let text = |c: &Fraction| format!("{}/{}", c.numerator, c.denominator);
    let line = |(node, c): (u32, Fraction)| {
        let millionths = u128::from(c.numerator) * 1_000_000 / u128::from(c.denominator);
        let decimal = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
        (format!("{decimal}  {}", text(&c)), json!(text(&c)), node)
    };
    Answer {
        lines: nodes.into_iter().map(line).collect(),
        ..Answer::new("lcc", words, facts).values(coefficients.iter().map(text))
    }
}

fn triangles(counts: &[u64]) -> Answer {
    // Each has three nodes.
    let all = counts.iter().map(|&count| u128::from(count)).sum::<u128>() / 3;
    let words = format!("{all} triangles");
    let line = |(node, count): (u32, u64)| (grouped(count), json!(count), node);
    let most = falling((0..).zip(counts.iter().copied()));
    Answer {
        lines: most.into_iter().map(line).collect(),
        ..Answer::new("triangles", words, json!({"triangles": all.to_string()})).values(counts)
    }
}

fn visits(visits: Vec<u64>, walks: ffcm::operators::Walks) -> Answer {
    let steps = visits.iter().sum::<u64>() - walks.len() as u64;
    let words = format!(
        "{} walks, {} steps",
        grouped(walks.len() as u64),
        grouped(steps)
    );
    let facts = json!({"walks": walks.len(), "steps": steps});
    let line = |(node, count): (u32, u64)| (grouped(count), json!(count), node);
    let most = falling((0..).zip(visits));
    Answer {
        lines: most.into_iter().map(line).collect(),
        all: All::Walks(walks),
        ..Answer::new("walk", words, facts)
    }
}

impl From<OperatorError> for Failure {
    fn from(error: OperatorError) -> Failure {
        match error {
            OperatorError::Memory { .. } => {
                Failure::new(format_args!("{error}, raise --max-memory"))
            }
            error => Failure::new(error),
        }
    }
}
