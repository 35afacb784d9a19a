//! `focus rank`: π of a graph in a file.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, value_parser};
use ffcm::coprocessor::{Accelerator, Coprocessor, FocusJob};
use ffcm::focus::{FocusParams, MAX_ITERATIONS, MAX_SHARDS, Ranking};
use ffcm::graph::{EdgeDelta, Graph};
use ffcm_formats::{Format, LabeledGraph, Limits, read_path};
use serde_json::{Value, json};

use super::failure::{Failure, on_device};
use super::jit::{Fusing, JitArguments};
use super::output::{
    device_words, fraction, grouped, print, print_json, share, spinning, write_whole,
};
use super::{backend, decimal, weights};

/// Rank the nodes of a graph by focus (π)
///
/// Reads edge lists (`source target [weight]`), Matrix Market, GAPBS .sg, Cargo.lock and Debian Packages files, gzipped
/// or not, and computes token-weighted PageRank in exact fixed point: the same bits for every thread and shard count.
/// Several files make one graph: equal labels are one node, weights of equal edges add up, so give them in one unit.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  focus rank Cargo.lock --top 10\n  \
                        focus rank edges.tsv.gz --shards 16 --out pi.tsv --json")]
pub(crate) struct Arguments {
    /// Files to read
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// edges, mtx, sg, cargo-lock or debian; told from name and content if absent
    #[arg(long)]
    format: Option<Format>,
    /// Damping d, below 1
    #[arg(long, default_value = "0.85", value_name = "D", value_parser = decimal::damping)]
    damping: u32,
    /// Stop when the residual falls below this share of the mass; 0 runs exactly --max-iters iterations
    #[arg(long, default_value = "1e-6", value_name = "E", value_parser = decimal::epsilon)]
    eps: u64,
    /// Most iterations
    #[arg(long, default_value_t = 2048, value_name = "N",
          value_parser = value_parser!(u32).range(1..=i64::from(MAX_ITERATIONS)))]
    max_iters: u32,
    /// Shards; never changes a bit of the result
    #[arg(long, default_value_t = 1, value_name = "K",
          value_parser = value_parser!(u32).range(1..=i64::from(MAX_SHARDS)))]
    shards: u32,
    /// Worker threads; 0 takes one per core
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = super::threads)]
    threads: usize,
    /// cpu, wgpu, wgpu:N, cuda, cuda:N, cubecl:N where built in, or auto, which times them first; a device that fails ends the
    /// command
    #[arg(long, default_value = "cpu")]
    backend: Accelerator,
    /// A net with @weight: each weight becomes the net's answer to it as the stake, age and kind 0
    #[arg(long, value_name = "FILE")]
    weight_net: Option<PathBuf>,
    #[command(flatten)]
    jit: JitArguments,
    /// How many nodes to print
    #[arg(long, default_value_t = 10, value_name = "N")]
    top: usize,
    /// Write all nodes as lines of label, π and exact units of 2^-62, separated by tabs
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn rank(arguments: &Arguments) -> Result<(), Failure> {
    let params = FocusParams {
        damping: arguments.damping,
        epsilon: arguments.eps,
        max_iterations: arguments.max_iters,
        shards: arguments.shards,
    };
    let net = match &arguments.weight_net {
        Some(path) => Some(weights::read(path, 0)?.1),
        None => None,
    };
    let fusing = Fusing::start(&arguments.jit)?;
    let opened = backend::open(arguments.backend, arguments.threads, &fusing)?;
    let coprocessor = opened.coprocessor.as_ref();
    let read = || read(&arguments.files, arguments.format);
    let mut labeled = spinning(|| "reading".to_owned(), read)?;
    if let Some(net) = net {
        let graph = &mut labeled.graph;
        let weigh = || weights::apply(graph, &net, coprocessor);
        let failed = spinning(|| "weighing".to_owned(), weigh)?;
        if failed > 0 {
            eprintln!("focus: the weight net refuses {failed} edges, they weigh 0");
        }
    }
    let job = FocusJob {
        graph: &labeled.graph,
        params,
        start: None,
    };
    let start = Instant::now();
    let words = || format!("ranking on {}", coprocessor.info().backend);
    let ranking = spinning(words, || coprocessor.focus(&job)).map_err(on_device(coprocessor))?;
    let time = start.elapsed();
    if let Some(path) = &arguments.out {
        write_whole(path, |out| {
            for (label, units) in labeled.labels.iter().zip(&ranking.mass) {
                writeln!(out, "{label}\t{}\t{units}", fraction(*units, 18))?;
            }
            Ok(())
        })?;
    }
    if arguments.json {
        let answer = to_json(&labeled, &ranking, coprocessor, time, arguments.top);
        print_json(&answer)
    } else {
        print(to_text(
            &labeled,
            &ranking,
            coprocessor,
            time,
            arguments.top,
        ))
    }
}

/// Reads files as one graph: equal labels are one node, weights of equal edges add up.
pub(crate) fn read(files: &[PathBuf], format: Option<Format>) -> Result<LabeledGraph, Failure> {
    let read = |path: &PathBuf| read_path(path, format, &Limits::default());
    let [first, rest @ ..] = files else {
        return Err(Failure::new("no file given"));
    };
    let mut labeled = read(first)?;
    for path in rest {
        let other = read(path)?;
        merge(&mut labeled, &other).map_err(|e| Failure::file(path.display(), e))?;
    }
    Ok(labeled)
}

/// Adds the nodes and weights of `other`.
fn merge(labeled: &mut LabeledGraph, other: &LabeledGraph) -> Result<(), String> {
    // Looked up, never iterated.
    let mut index: HashMap<String, u32> = HashMap::new();
    for (node, label) in (0..).zip(&labeled.labels) {
        index.insert(label.clone(), node);
    }
    let mut place = Vec::with_capacity(other.labels.len());
    for label in &other.labels {
        let next = u32::try_from(labeled.labels.len()).map_err(|_| "too many nodes")?;
        let node = *index.entry(label.clone()).or_insert(next);
        if node == next {
            labeled.labels.push(label.clone());
        }
        place.push(node);
    }
    let nodes = u32::try_from(labeled.labels.len()).map_err(|_| "too many nodes")?;
    let graph: &mut Graph = &mut labeled.graph;
    graph
        .add_nodes(nodes - graph.node_count())
        .map_err(|e| e.to_string())?;
    let mut deltas = Vec::new();
    for edge in other.graph.edges() {
        let (source, target) = (place[edge.source as usize], place[edge.target as usize]);
        let weight = graph
            .edge_weight(source, target)
            .checked_add(edge.weight)
            .ok_or("the weights of an edge sum to more than 2^64 - 1")?;
        deltas.push(EdgeDelta {
            source,
            target,
            weight,
        });
    }
    graph.apply(&deltas).map_err(|e| e.to_string())
}

fn to_json(
    labeled: &LabeledGraph,
    ranking: &Ranking,
    coprocessor: &dyn Coprocessor,
    time: Duration,
    top: usize,
) -> Value {
    let info = coprocessor.info();
    let particle = |(node, units): (u32, u64)| {
        json!({
            "node": labeled.labels[node as usize],
            "pi": share(units),
            "units": units.to_string(),
        })
    };
    json!({
        "nodes": labeled.graph.node_count(),
        "edges": labeled.graph.edge_count(),
        "iterations": ranking.iterations,
        "residual": share(ranking.residual),
        "residual_units": ranking.residual.to_string(),
        "converged": ranking.converged,
        "digest": hex::encode(ranking.digest()),
        "seconds": time.as_secs_f64(),
        "backend": info.backend,
        "device": info.device,
        "threads": info.threads,
        "top": ranking.top(top).into_iter().map(particle).collect::<Vec<_>>(),
    })
}

fn to_text(
    labeled: &LabeledGraph,
    ranking: &Ranking,
    coprocessor: &dyn Coprocessor,
    time: Duration,
    top: usize,
) -> String {
    let info = coprocessor.info();
    let converged = if ranking.converged {
        ""
    } else {
        ", not converged"
    };
    let mut text = format!(
        "{} nodes, {} edges\n{} iterations in {:.3} s, residual {:.3e}{converged}\ndigest {}\n{}\n\n",
        grouped(labeled.graph.node_count().into()),
        grouped(labeled.graph.edge_count()),
        ranking.iterations,
        time.as_secs_f64(),
        share(ranking.residual),
        hex::encode(ranking.digest()),
        device_words(&info),
    );
    for (place, (node, units)) in (1..).zip(ranking.top(top)) {
        let label = &labeled.labels[node as usize];
        text += &format!("{place:>6}  {}  {label}\n", fraction(units, 9));
    }
    text
}
