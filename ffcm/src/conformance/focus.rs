//! Random graphs: weights from equal to extreme, stakes, dangling nodes, self-loops, shards, warm starts, changes,
//! and warm runs in which few nodes take part.

use super::{Run, Stop, shorten};
use crate::coprocessor::{FocusJob, ranking_digest};
use crate::focus::{FocusParams, MASS, Ranking};
use crate::graph::{EdgeDelta, Graph};
use crate::testing::Rng;

/// Nodes, edges drawn, bits of the largest weight, and how many nodes of 16 have stake.
const GRAPHS: [(u32, u32, u32, u64); 9] = [
    (0, 0, 1, 0),
    (1, 0, 1, 0),
    (1, 1, 40, 16),
    (2, 3, 1, 1),
    (33, 90, 1, 0),
    (64, 700, 20, 4),
    (300, 2_000, 48, 16),
    (1_500, 4_000, 3, 1),
    (4_000, 30_000, 32, 8),
];

pub(super) fn run(run: &mut Run<'_>) -> Result<(), Stop> {
    for (seed, (nodes, edges, bits, staked)) in (1..).zip(GRAPHS) {
        let mut rng = Rng::new(seed);
        let mut graph = Graph::new();
        let name = format!("graph {seed} of {nodes} nodes");
        let broken = |error: crate::graph::GraphError| Stop::Failed {
            case: name.clone(),
            message: error.to_string(),
        };
        graph.add_nodes(nodes).map_err(broken)?;
        graph
            .apply(&deltas(&mut rng, nodes, edges, bits))
            .map_err(broken)?;
        for node in 0..nodes {
            if rng.below(16) < staked {
                let stake = rng.next_u64() >> rng.below(64);
                graph.set_stake(node, stake).map_err(broken)?;
            }
        }
        for shards in [1, 4, 16] {
            let params = FocusParams {
                shards,
                ..FocusParams::default()
            };
            rank(run, &name, &graph, params, None)?;
        }
        for damping in [0, 1 << 31, u32::MAX] {
            let params = FocusParams {
                damping,
                epsilon: 0,
                max_iterations: 5,
                shards: 1,
            };
            rank(run, &name, &graph, params, None)?;
        }

        let short = FocusParams {
            epsilon: 0,
            max_iterations: 3,
            ..FocusParams::default()
        };
        let early = rank(run, &name, &graph, short, None)?;
        graph.add_nodes(u32::from(nodes > 0) * 3).map_err(broken)?;
        let more = deltas(&mut rng, graph.node_count(), edges / 50 + 1, bits);
        graph.apply(&more).map_err(broken)?;
        for shards in [1, 4] {
            let params = FocusParams {
                shards,
                ..FocusParams::default()
            };
            rank(
                run,
                &format!("{name}, changed"),
                &graph,
                params,
                Some(&early.mass),
            )?;
        }
        block_by_block(run, &name, graph, &mut rng)?;
    }
    refused(run)
}

/// Warm runs from one π to the next, as few edges change: small ε, where only some nodes take part, and a cap.
fn block_by_block(
    run: &mut Run<'_>,
    name: &str,
    mut graph: Graph,
    rng: &mut Rng,
) -> Result<(), Stop> {
    let params = FocusParams::default();
    let mut mass = rank(run, name, &graph, params, None)?.mass;
    for (block, (epsilon, damping, max_iterations)) in [
        // Near enough to the end for nodes to wait.
        (MASS >> 9, params.damping, 2048),
        (MASS >> 11, params.damping, 2048),
        (MASS >> 13, params.damping, 2048),
        (MASS >> 10, 4_080_218_931, 2048),
        (MASS >> 8, 1 << 31, 2048),
        (MASS >> 11, params.damping, 3),
        // So much has changed that none do.
        (params.epsilon, params.damping, 2048),
        (params.epsilon, params.damping, 3),
        (MASS >> 30, params.damping, 2048),
        (MASS >> 24, 1 << 31, 2048),
        (MASS >> 26, 4_080_218_931, 2048),
        (MASS >> 36, u32::MAX, 20),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("{name}, block {block}");
        graph
            .apply(&deltas(rng, graph.node_count(), 3, 20))
            .map_err(|error| Stop::Failed {
                case: name.clone(),
                message: error.to_string(),
            })?;
        let params = FocusParams {
            damping,
            epsilon,
            max_iterations,
            shards: 1,
        };
        mass = rank(run, &name, &graph, params, Some(&mass))?.mass;
    }
    Ok(())
}

/// Random edges, some removed again, none for a graph without nodes; a third of the sources get none.
fn deltas(rng: &mut Rng, nodes: u32, count: u32, bits: u32) -> Vec<EdgeDelta> {
    let mut deltas = Vec::new();
    while nodes > 0 && deltas.len() < count as usize {
        let source = rng.below(nodes.into()) as u32;
        if nodes > 3 && source.is_multiple_of(3) {
            continue;
        }
        // The product of two draws leans to low indexes, so degrees differ widely.
        let bound = rng.below(nodes.into()) + 1;
        let target = rng.below(bound) as u32;
        let removed = rng.below(20) == 0;
        let weight = if removed { 0 } else { 1 + rng.below(1 << bits) };
        deltas.push(EdgeDelta {
            source,
            target,
            weight,
        });
    }
    deltas
}

fn rank(
    run: &mut Run<'_>,
    name: &str,
    graph: &Graph,
    params: FocusParams,
    start: Option<&[u64]>,
) -> Result<Ranking, Stop> {
    run.compare(
        || format!("{name}, {params:?}, start {}", start.is_some()),
        |backend| {
            backend.focus(&FocusJob {
                graph,
                params,
                start,
            })
        },
        |ranking| (ranking_digest(ranking), shorten(format!("{ranking:?}"))),
    )
}

fn refused(run: &mut Run<'_>) -> Result<(), Stop> {
    let mut graph = Graph::new();
    let case = "a refused job";
    graph.add_nodes(2).map_err(|e| Stop::Failed {
        case: case.into(),
        message: e.to_string(),
    })?;
    let good = FocusParams::default();
    let jobs: [(FocusParams, Option<&[u64]>); 5] = [
        (
            FocusParams {
                max_iterations: 0,
                ..good
            },
            None,
        ),
        (FocusParams { shards: 0, ..good }, None),
        (
            FocusParams {
                shards: u32::MAX,
                ..good
            },
            None,
        ),
        (good, Some(&[0, 0, 0])),
        (good, Some(&[MASS, 1])),
    ];
    for (params, start) in jobs {
        let graph = &graph;
        run.refuses(&format!("{params:?}, start {start:?}"), |backend| {
            backend.focus(&FocusJob {
                graph,
                params,
                start,
            })
        })?;
    }
    Ok(())
}
