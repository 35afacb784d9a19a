//! Suite `incremental`: what following a small change of a graph costs, counted in edge visits, which are the same on
//! every machine, and in time beside them: a visit costs more where edges are followed one by one.
//!
//! A power-law graph and a graph of communities, which mixes slowly. After each change of a few edges, π is computed from
//! the one before the change. Every π is compared with the `f64` fixed point of its graph.

use ffcm::focus::{FocusParams, MASS, Ranker, Ranking};
use ffcm::graph::{EdgeDelta, Graph};
use serde::Serialize;

use crate::failure::Failure;
use crate::options::Options;
use crate::pagerank::l1;
use crate::random::SplitMix64;
use crate::rmat::Rmat;
use crate::table::Table;
use crate::timing::{seconds, time};

/// Timed runs, of which the best counts.
const ROUNDS: usize = 3;

/// Arguments of the suite.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// log2 of the number of nodes of each graph.
    #[arg(long, default_value_t = 18, value_parser = clap::value_parser!(u32).range(8..=24))]
    scale: u32,
    /// Seed of graphs and changes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    options: Options,
}

/// One change of one graph.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Name of the graph.
    pub graph: &'static str,
    /// Nodes before the change.
    pub nodes: u32,
    /// Edges after the change.
    pub edges: u64,
    /// Edges added, removed or given another weight.
    pub changed: u64,
    /// Iterations from nothing on the changed graph; each visits every edge.
    pub cold: u32,
    /// Iterations from the π before the change if in each of them every edge is visited.
    pub warm_dense: u32,
    /// Iterations of the warm run.
    pub warm: u32,
    /// Edges that the warm run visited, over all edges of the graph, the gather it begins with included.
    pub visits: f64,
    /// The same over the visits of the cold run.
    pub of_cold: f64,
    /// Best seconds of the cold run, of as many iterations over all edges as `warm_dense`, and of the warm run, on the
    /// rayon pool of the caller.
    pub seconds: [f64; 3],
    /// L1 distance of the warm run's π to the `f64` fixed point of the changed graph.
    pub error: f64,
    /// The bound it keeps: residual · d / (1 − d), and 1e-9 for rounding.
    pub error_bound: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    scale: u32,
    seed: u64,
    rows: Vec<Row>,
}

/// Computes and verifies all rows, prints them.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scale = if arguments.options.tiny {
        10
    } else {
        arguments.scale
    };
    let rows = rows(scale, arguments.seed)?;
    let mut table = Table::new([
        "graph",
        "edges",
        "changed",
        "cold",
        "warm, dense",
        "warm, iterations",
        "warm, visits",
        "of cold",
        "cold",
        "warm, dense",
        "warm",
        "L1 error",
        "bound",
    ]);
    for row in &rows {
        let [cold, dense, warm] = row.seconds.map(seconds);
        table.row([
            row.graph.to_owned(),
            row.edges.to_string(),
            row.changed.to_string(),
            format!("{} m", row.cold),
            format!("{} m", row.warm_dense),
            row.warm.to_string(),
            format!("{:.2} m", row.visits),
            format!("{:.3}", row.of_cold),
            cold,
            dense,
            warm,
            format!("{:.2e}", row.error),
            format!("{:.2e}", row.error_bound),
        ]);
    }
    println!("{table}");
    arguments.options.write(&Report {
        scale,
        seed: arguments.seed,
        rows,
    })
}

/// Both graphs with 2^`scale` nodes; changes of one edge in a thousand, one in 100 000, and two edges.
///
/// # Errors
///
/// [`Failure::Mismatch`] where a π is not within its bound or not converged.
pub fn rows(scale: u32, seed: u64) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for (name, draw) in [
        ("power law", power_law as fn(u32, u64) -> Vec<EdgeDelta>),
        ("communities", communities),
    ] {
        let mut graph = Graph::new();
        graph.add_nodes(1 << scale).map_err(Failure::failed)?;
        for deltas in draw(scale, seed).chunks(1 << 20) {
            graph.apply(deltas).map_err(Failure::failed)?;
        }
        let params = FocusParams::default();
        let before = Ranker::new(&graph, 1)
            .and_then(|ranker| ranker.rank(&params, None))
            .map_err(Failure::failed)?;
        let edges = graph.edge_count();
        for count in [edges / 1_000, edges / 100_000, 2] {
            let mut random = SplitMix64::new(seed ^ count);
            let mut changed = graph.clone();
            let deltas = changes(&graph, count.max(1), &mut random);
            changed.apply(&deltas).map_err(Failure::failed)?;
            rows.push(row(name, &changed, deltas.len() as u64, &before.mass)?);
        }
    }
    Ok(rows)
}

fn row(name: &'static str, graph: &Graph, changed: u64, before: &[u64]) -> Result<Row, Failure> {
    let params = FocusParams::default();
    let ranker = Ranker::new(graph, 1).map_err(Failure::failed)?;
    let cold = ranker.rank(&params, None).map_err(Failure::failed)?;
    let warm = ranker.rank_counted(&params, Some(before));
    let (warm, effort) = warm.map_err(Failure::failed)?;
    // As many as a cold run at most: the first residual is no larger.
    let dense = FocusParams {
        epsilon: 0,
        max_iterations: cold.iterations,
        ..params
    };
    let dense = ranker.rank(&dense, Some(before)).map_err(Failure::failed)?;
    let over = |residual: &&u64| **residual >= params.epsilon;
    let warm_dense = 1 + dense.residuals.iter().take_while(over).count();
    let dense = FocusParams {
        epsilon: 0,
        max_iterations: warm_dense as u32,
        ..params
    };
    let mut best = [f64::INFINITY; 3];
    for _ in 0..ROUNDS {
        let runs = [
            (&params, None),
            (&dense, Some(before)),
            (&params, Some(before)),
        ];
        for (best, (params, start)) in best.iter_mut().zip(runs) {
            let (ranking, sample) = time(|| ranker.rank(params, start));
            ranking.map_err(Failure::failed)?;
            *best = best.min(sample.wall);
        }
    }
    let exact = fixed_point(graph, &cold);
    verify(&cold, &exact)?;
    let (error, error_bound) = verify(&warm, &exact)?;
    let edges = graph.edge_count();
    let visits = effort.edge_visits as f64 / edges as f64;
    Ok(Row {
        graph: name,
        nodes: graph.node_count(),
        edges,
        changed,
        cold: cold.iterations,
        warm_dense: warm_dense as u32,
        warm: warm.iterations,
        visits,
        of_cold: visits / f64::from(cold.iterations),
        seconds: best,
        error,
        error_bound,
    })
}

/// Directed RMAT of degree 16, weights spread over five orders of magnitude.
fn power_law(scale: u32, seed: u64) -> Vec<EdgeDelta> {
    let rmat = Rmat {
        scale,
        degree: 16,
        seed,
    };
    let mut random = SplitMix64::new(seed ^ 0x0077_6569_6768_7473);
    rmat.directed_arcs()
        .map(|(source, target)| edge(source, target, &mut random))
        .collect()
}

/// Communities of 256 nodes with eight links each, of which three in a hundred lead to one of eight neighbouring communities.
fn communities(scale: u32, seed: u64) -> Vec<EdgeDelta> {
    const SIZE: u32 = 256;
    let nodes = 1u32 << scale;
    let mut random = SplitMix64::new(seed);
    let mut deltas = Vec::new();
    for source in 0..nodes {
        for _ in 0..8 {
            let apart = match random.chance(3) {
                true => 1 + random.below(8) as u32,
                false => 0,
            };
            let home = (source / SIZE + apart) % (nodes / SIZE).max(1);
            let target = home * SIZE + random.below(u64::from(SIZE)) as u32;
            if target != source {
                deltas.push(edge(source, target, &mut random));
            }
        }
    }
    deltas
}

/// An edge of a weight from 100 to 10^7, Pareto distributed with exponent 1.
fn edge(source: u32, target: u32, random: &mut SplitMix64) -> EdgeDelta {
    EdgeDelta {
        source,
        target,
        weight: 10_000_000 / (1 + random.below(100_000)),
    }
}

/// `count` edges: a third get another weight, a third go, a third are new, between random nodes.
fn changes(graph: &Graph, count: u64, random: &mut SplitMix64) -> Vec<EdgeDelta> {
    let nodes = u64::from(graph.node_count());
    let mut chosen: Vec<u64> = (0..count)
        .map(|_| random.below(graph.edge_count()))
        .collect();
    chosen.sort_unstable();
    chosen.dedup();
    let mut deltas = Vec::with_capacity(chosen.len());
    let mut next = chosen.into_iter().peekable();
    for (at, old) in (0u64..).zip(graph.edges()) {
        if next.next_if_eq(&at).is_none() {
            continue;
        }
        deltas.push(match deltas.len() % 3 {
            0 => edge(old.source, old.target, random),
            1 => EdgeDelta { weight: 0, ..old },
            _ => edge(
                random.below(nodes) as u32,
                random.below(nodes) as u32,
                random,
            ),
        });
    }
    deltas
}

/// π in `f64`, iterated from `near` it until nothing moves.
fn fixed_point(graph: &Graph, near: &Ranking) -> Vec<f64> {
    let damping = f64::from(FocusParams::default().damping) / 2f64.powi(32);
    let nodes = f64::from(graph.node_count());
    let mut x = probabilities(near);
    for _ in 0..2_000 {
        let mut y = vec![0.0; x.len()];
        for source in 0..graph.node_count() {
            let (targets, weights) = graph.row(source);
            let total = weights.iter().sum::<u64>() as f64;
            let each = damping * x[source as usize] / total;
            for (&target, &weight) in targets.iter().zip(weights) {
                y[target as usize] += each * weight as f64;
            }
        }
        let pool = (1.0 - y.iter().sum::<f64>()) / nodes;
        y.iter_mut().for_each(|y| *y += pool);
        let moved = l1(&x, &y);
        x = y;
        if moved < 1e-12 {
            break;
        }
    }
    x
}

fn probabilities(ranking: &Ranking) -> Vec<f64> {
    let unit = 1.0 / MASS as f64;
    ranking
        .mass
        .iter()
        .map(|&mass| mass as f64 * unit)
        .collect()
}

/// L1 error, and the bound residual · d / (1 − d) + 1e-9 that it must keep.
fn verify(ranking: &Ranking, exact: &[f64]) -> Result<(f64, f64), Failure> {
    let damping = f64::from(FocusParams::default().damping) / 2f64.powi(32);
    let error = l1(&probabilities(ranking), exact);
    let bound = ranking.residual as f64 / MASS as f64 * damping / (1.0 - damping) + 1e-9;
    let total: u128 = ranking.mass.iter().map(|&mass| u128::from(mass)).sum();
    if total != u128::from(MASS) || !ranking.converged || error.is_nan() || error > bound {
        return Err(Failure::Mismatch(format!(
            "π: L1 error {error:.3e}, bound {bound:.3e}, mass {total} of {MASS}, converged {}",
            ranking.converged
        )));
    }
    Ok((error, bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_changes_visit_fewer_edges_than_cold_runs() {
        let rows = rows(10, 3).unwrap();
        assert_eq!(rows.len(), 6);
        for row in &rows {
            assert!(row.changed > 0 && row.visits >= 1.0, "{row:?}");
            assert!(row.visits < f64::from(row.cold), "{row:?}");
        }
    }

    #[test]
    fn a_wrong_ranking_is_noticed() {
        let mut graph = Graph::new();
        graph.add_nodes(1 << 8).unwrap();
        graph.apply(&power_law(8, 1)).unwrap();
        let mut ranking = ffcm::focus::rank(&graph, &FocusParams::default(), None).unwrap();
        let exact = fixed_point(&graph, &ranking);
        assert!(verify(&ranking, &exact).is_ok());
        ranking.mass.sort_unstable();
        assert!(matches!(
            verify(&ranking, &exact),
            Err(Failure::Mismatch(_))
        ));
    }
}
