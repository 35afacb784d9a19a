//! π through the shim against the oracle, field by field.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use ffcm::coprocessor::{FocusJob, JobError};
use ffcm::focus::{FocusError, FocusParams, MASS, Ranking};
use ffcm::graph::{EdgeDelta, Graph};
use ffcm::testing::Rng;
use ffcm_cuda::device::shim::{self, ShimOptions};
use ffcm_cuda::device::{Gpu, Grid, Source};
use ffcm_cuda::focus::{FocusEngine, FocusOptions, Rounds};

fn open(seed: u64) -> Arc<Gpu> {
    let options = ShimOptions {
        seed,
        ..ShimOptions::default()
    };
    Arc::new(shim::open(&options).unwrap())
}

/// Short segments, small blocks, tiles, buffers and batches, so that small graphs have everything large ones have.
fn small(rounds: Rounds) -> FocusOptions {
    FocusOptions {
        rounds,
        segment_slots: 3,
        block_labels: Some(16),
        tile_rows: Some(24),
        buffer_bytes: 1 << 12,
        batch: 4,
    }
}

fn engine(gpu: &Arc<Gpu>, options: FocusOptions) -> FocusEngine {
    FocusEngine::with_options(gpu, options).unwrap()
}

fn edge(source: u32, target: u32, weight: u64) -> EdgeDelta {
    EdgeDelta {
        source,
        target,
        weight,
    }
}

fn graph(nodes: u32, edges: &[EdgeDelta]) -> Graph {
    let mut graph = Graph::new();
    graph.add_nodes(nodes).unwrap();
    graph.apply(edges).unwrap();
    graph
}

fn iterations(max_iterations: u32) -> FocusParams {
    FocusParams {
        epsilon: 0,
        max_iterations,
        ..FocusParams::default()
    }
}

fn rank(
    engine: &mut FocusEngine,
    graph: &Graph,
    params: FocusParams,
    start: Option<&[u64]>,
) -> Ranking {
    let job = FocusJob {
        graph,
        params,
        start,
    };
    engine.rank(&job).unwrap()
}

/// Ranks on the device and by the oracle.
fn check(
    engine: &mut FocusEngine,
    graph: &Graph,
    params: FocusParams,
    start: Option<&[u64]>,
) -> Ranking {
    let found = rank(engine, graph, params, start);
    assert_eq!(
        found,
        ffcm::oracle::focus::rank(graph, &params, start).unwrap()
    );
    found
}

/// Random edges, most to low nodes; the weights of a source are equal or not.
fn random_edges(rng: &mut Rng, nodes: u32, count: u64, weighted: bool) -> Vec<EdgeDelta> {
    let bits = rng.below(48) + 1;
    let draw = |_| {
        let source = rng.below(nodes.into()) as u32;
        let bound = rng.below(nodes.into()) + 1;
        let weight = match (rng.below(6), weighted) {
            (0, _) => 0,
            (_, true) => rng.below(1 << bits) + 1,
            (_, false) => u64::from(source % 5) + 1,
        };
        edge(source, rng.below(bound) as u32, weight)
    };
    (0..count).map(draw).collect()
}

fn random_params(rng: &mut Rng) -> FocusParams {
    FocusParams {
        damping: [3_650_722_202, 0, u32::MAX, 1 << 31][rng.below(4) as usize],
        epsilon: [0, 1, MASS / 1_000_000, MASS / 10, u64::MAX][rng.below(5) as usize],
        max_iterations: rng.below(10) as u32 + 1,
        shards: 1,
    }
}

/// Parts of the mass, all of it, or nothing.
fn random_start(rng: &mut Rng, nodes: u32) -> Vec<u64> {
    let mut left = MASS;
    let given = rng.below(u64::from(nodes) + 1);
    let mut start: Vec<u64> = (0..given)
        .map(|_| {
            let mass = rng.below(left + 1) >> rng.below(3);
            left -= mass;
            mass
        })
        .collect();
    if let (Some(first), 0) = (start.first_mut(), rng.below(4)) {
        *first += left;
    }
    start
}

const FORMULAS: Source = Source {
    name: "test/focus_formulas",
    text: r#"
#include "focus_wide.cuh"
extern "C" __global__ void __launch_bounds__(64) formulas(const u64* given, u64* found) {
    const u64 at = ((u64)blockIdx.x * 64 + threadIdx.x) * 5;
    const u32 share = packed_share(given[at], (u32)given[at + 1], given[at + 2]);
    found[at] = share;
    found[at + 1] = edge_term_equal(share);
    found[at + 2] = edge_term_quota(share, (u32)given[at + 4]);
    found[at + 3] = pool_part(given[at], given[at + 3]);
    found[at + 4] = 0;
}
"#,
    entries: &["formulas"],
    defines: &[],
};

#[test]
fn the_formulas_are_exact() {
    let gpu = open(1);
    let mut rng = Rng::new(1);
    // Up to 2^62, of every size, and its ends.
    let mass = |rng: &mut Rng| match rng.below(8) {
        0 => MASS,
        1 => MASS - 1,
        2 => 0,
        _ => rng.below(MASS + 1) >> rng.below(62),
    };
    let cases: Vec<[u64; 5]> = (0..1 << 12)
        .map(|_| {
            let some = rng.next_u64() >> 32;
            let ratio = [0, 1 << 31, u64::from(u32::MAX), some | 1 << 31][rng.below(4) as usize];
            let scale = 31 + rng.below(33);
            [
                mass(&mut rng),
                [u64::from(u32::MAX), 0, some, 3_650_722_202][rng.below(4) as usize],
                ratio | scale << 32 | rng.below(1 << 26) << 38,
                mass(&mut rng),
                [1 << 31, 0, 1, rng.below(1 << 31)][rng.below(4) as usize],
            ]
        })
        .collect();
    let given = gpu.buffer_of("given", cases.as_flattened()).unwrap();
    let found = gpu.buffer::<u64>("found", given.len()).unwrap();
    let kernel = gpu.kernels(&FORMULAS).unwrap().remove(0);
    let grid = Grid::covering(cases.len() as u64, 64);
    gpu.launch(&kernel, grid, &[(&given).into(), (&found).into()])
        .unwrap();
    let found = gpu.read(&found, 0, found.len()).unwrap();
    for (case, found) in cases.iter().zip(found.chunks(5)) {
        let [x, damping, ratio, teleport, quota] = case.map(u128::from);
        let damped = (x * damping) >> 32;
        let full = (damped * (ratio & 0xffff_ffff)) >> (ratio >> 32 & 63);
        let j = (0..).find(|j| full >> (2 * j) < 1 << 27).unwrap();
        let share = full >> (2 * j) << (2 * j);
        let expected = [
            full >> (2 * j) | j << 27,
            share,
            (share * quota) >> 31,
            (x * teleport) >> 62,
            0,
        ];
        assert_eq!(found, expected.map(|value| value as u64), "{case:?}");
    }
}

#[test]
fn random_graphs_and_their_changes() {
    for seed in [1, 2, 3] {
        let gpu = open(seed);
        let mut engines =
            [Rounds::Auto, Rounds::Dense, Rounds::Frontier].map(|r| engine(&gpu, small(r)));
        let mut rng = Rng::new(seed);
        for case in 0..20 {
            let nodes = rng.below(90) as u32 + 1;
            let weighted = case % 2 == 0;
            let count = rng.below(400);
            let mut graph = graph(nodes, &random_edges(&mut rng, nodes, count, weighted));
            let mut start = None;
            for step in 0..3 {
                let params = random_params(&mut rng);
                let index = (case + step) % engines.len();
                let found = check(&mut engines[index], &graph, params, start.as_deref());
                start = match rng.below(3) {
                    0 => None,
                    1 => Some(found.mass),
                    _ => Some(random_start(&mut rng, nodes)),
                };
                if rng.below(2) == 0 {
                    graph.add_nodes(rng.below(3) as u32).unwrap();
                }
                if rng.below(3) == 0 {
                    let node = rng.below(nodes.into()) as u32;
                    let stake = rng.next_u64() >> rng.below(64);
                    graph.set_stake(node, stake).unwrap();
                }
                let count = rng.below(12);
                let changes = random_edges(&mut rng, graph.node_count(), count, weighted);
                graph.apply(&changes).unwrap();
            }
        }
    }
}

#[test]
fn a_long_history_is_followed() {
    let gpu = open(4);
    let mut rng = Rng::new(5);
    for (weighted, rounds) in [
        (false, Rounds::Auto),
        (true, Rounds::Auto),
        (true, Rounds::Frontier),
    ] {
        let mut engine = engine(&gpu, small(rounds));
        let mut graph = graph(300, &random_edges(&mut rng, 300, 3_000, weighted));
        let mut start = None;
        for _ in 0..15 {
            let found = check(&mut engine, &graph, iterations(3), start.as_deref());
            start = Some(found.mass);
            graph.add_nodes(rng.below(4) as u32).unwrap();
            let count = rng.below(100);
            let changes = random_edges(&mut rng, graph.node_count(), count, weighted);
            graph.apply(&changes).unwrap();
        }
        let stats = engine.stats();
        assert_eq!((stats.uploads, stats.updates), (1, 14), "{stats:?}");
        assert_eq!(stats.weighted, weighted);
        assert!(stats.parts > 3, "{stats:?}");
    }
}

#[test]
fn a_node_gets_its_first_edges() {
    // Nodes without edges come behind all sources; the first edges of the last of them, and of an appended one, count.
    let gpu = open(6);
    for rounds in [Rounds::Dense, Rounds::Frontier] {
        let mut engine = engine(&gpu, small(rounds));
        let mut graph = graph(60, &[edge(0, 1, 1), edge(1, 2, 1)]);
        let start = check(&mut engine, &graph, iterations(3), None).mass;
        graph.apply(&[edge(59, 2, 1), edge(59, 40, 1)]).unwrap();
        let start = check(&mut engine, &graph, iterations(3), Some(&start)).mass;
        graph.add_nodes(50).unwrap();
        graph.apply(&[edge(109, 2, 1), edge(0, 109, 1)]).unwrap();
        let start = check(&mut engine, &graph, iterations(3), Some(&start)).mass;
        // And then none of them has any.
        let gone: Vec<EdgeDelta> = graph
            .edges()
            .map(|e| EdgeDelta { weight: 0, ..e })
            .collect();
        graph.apply(&gone).unwrap();
        check(&mut engine, &graph, iterations(3), Some(&start));
        assert_eq!(engine.stats().uploads, 1);
    }
}

#[test]
fn stakes_are_followed() {
    let gpu = open(7);
    let mut rng = Rng::new(77);
    let mut engine = engine(&gpu, small(Rounds::Auto));
    let nodes = 1_500u32;
    let mut graph = graph(nodes, &random_edges(&mut rng, nodes, 5_000, false));
    let mut start = Vec::new();
    let mut uploaded = Vec::new();
    for step in 0..6u64 {
        match step {
            // All nodes get stakes, two change theirs, the total stays or does not, all lose them, one gets some.
            1 => (0..nodes).for_each(|node| graph.set_stake(node, rng.below(1 << 40)).unwrap()),
            2 => {
                let (a, b) = (graph.stake(3), graph.stake(1_400));
                graph.set_stake(3, a + b).unwrap();
                graph.set_stake(1_400, 0).unwrap();
            }
            3 => graph.set_stake(9, 1 << 60).unwrap(),
            4 => (0..nodes).for_each(|node| graph.set_stake(node, 0).unwrap()),
            5 => graph.set_stake(17, 3).unwrap(),
            _ => {}
        }
        let before = gpu.stats().uploaded;
        start = check(&mut engine, &graph, iterations(2), Some(&start)).mass;
        uploaded.push(gpu.stats().uploaded - before);
    }
    let stats = engine.stats();
    assert_eq!((stats.uploads, stats.updates), (1, 5));
    // A transfer of stake changes the shares of two nodes, and who gets the units left over.
    assert!(uploaded[1] > 12_000 && uploaded[2] < 1_500, "{uploaded:?}");
}

#[test]
fn a_graph_that_shrinks_is_laid_out_anew() {
    let gpu = open(8);
    let mut rng = Rng::new(2);
    let mut engine = engine(&gpu, FocusOptions::default());
    let mut graph = graph(700, &random_edges(&mut rng, 700, 20_000, true));
    while graph.edge_count() > 500 {
        check(&mut engine, &graph, iterations(2), None);
        let gone = graph
            .edges()
            .take(1_500)
            .map(|edge| EdgeDelta { weight: 0, ..edge });
        let gone: Vec<EdgeDelta> = gone.collect();
        graph.apply(&gone).unwrap();
    }
    let stats = engine.stats();
    assert!(
        stats.uploads >= 2 && stats.updates > stats.uploads,
        "{stats:?}"
    );
    assert!(stats.slots < 3 * stats.edges + 10_000, "{stats:?}");
}

#[test]
fn extreme_graphs() {
    let gpu = open(9);
    let mut engine = engine(&gpu, FocusOptions::default());
    let most = u64::MAX;
    let graphs = [
        graph(0, &[]),
        graph(1, &[]),
        graph(1, &[edge(0, 0, most)]),
        graph(2, &[edge(0, 1, most - 1), edge(0, 0, 1)]),
        graph(3, &[edge(0, 1, 1), edge(1, 0, most), edge(2, 2, 7)]),
        graph(1_024, &[]),
        graph(1_023, &[edge(1_022, 0, 3), edge(0, 1_022, most / 2)]),
    ];
    for graph in &graphs {
        for params in [FocusParams::default(), iterations(1), iterations(20)] {
            check(&mut engine, graph, params, None);
        }
        let nodes = graph.node_count() as usize;
        let mut start = vec![0; nodes];
        if let Some(last) = start.last_mut() {
            *last = MASS;
        }
        check(&mut engine, graph, FocusParams::default(), Some(&start));
    }
    // All of the stake with one node, and stakes whose sum exceeds 64 bits.
    let mut staked = graph(70, &[edge(3, 4, 5), edge(4, 3, 6), edge(4, 5, 7)]);
    for (node, stake) in [(69, 1), (69, most), (1, most), (2, most - 1)] {
        staked.set_stake(node, stake).unwrap();
        check(&mut engine, &staked, FocusParams::default(), None);
    }
}

#[test]
fn wrong_jobs_are_refused_as_everywhere() {
    let mut engine = engine(&open(1), FocusOptions::default());
    let graph = graph(2, &[]);
    let good = FocusParams::default();
    let jobs: [(FocusParams, Option<&[u64]>); 4] = [
        (iterations(0), None),
        (FocusParams { shards: 0, ..good }, None),
        (good, Some(&[0, 0, 0])),
        (good, Some(&[MASS, 1])),
    ];
    for (params, start) in jobs {
        let expected: FocusError = ffcm::oracle::focus::rank(&graph, &params, start).unwrap_err();
        let job = FocusJob {
            graph: &graph,
            params,
            start,
        };
        match engine.rank(&job) {
            Err(JobError::Focus(found)) => assert_eq!(found, expected),
            other => panic!("{other:?}"),
        }
    }
}

/// Most nodes have no in-edges, so that their mass soon stands still; a few others pass mass around for long.
fn soon_mostly_still() -> Graph {
    let mut rng = Rng::new(3);
    let mut edges: Vec<EdgeDelta> = (10..1_000).map(|node| edge(node, node % 10, 1)).collect();
    edges.extend((0..10).map(|node| edge(node, (node + 1) % 10, 1)));
    edges.extend(random_edges(&mut rng, 10, 30, true));
    graph(1_000, &edges)
}

#[test]
fn the_kind_of_round_changes_no_bit() {
    let graph = soon_mostly_still();
    for seed in [1, 5] {
        let gpu = open(seed);
        let found = [Rounds::Auto, Rounds::Dense, Rounds::Frontier].map(|rounds| {
            let mut engine = engine(&gpu, small(rounds));
            let ranking = check(&mut engine, &graph, iterations(60), None);
            let stats = engine.stats();
            assert_eq!(
                stats.dense_rounds + stats.frontier_rounds + stats.still_rounds,
                60
            );
            (ranking, stats.dense_rounds, stats.frontier_rounds)
        });
        assert!(found[0].2 > 0, "auto never chose a frontier");
        assert!(found[0].1 > 1, "auto never chose all edges again");
        // What changes at first is nearly everything, what changes at last nearly nothing.
        let counts = [3, 60].map(|count| {
            let mut engine = engine(&gpu, FocusOptions::default());
            rank(&mut engine, &graph, iterations(count), None);
            engine.stats()
        });
        assert_eq!(counts[0].dense_rounds, 3);
        assert!(counts[1].frontier_rounds > 0, "{:?}", counts[1]);
        assert_eq!((found[1].1, found[1].2), (60, 0));
        assert_eq!((found[2].1, found[2].2), (1, 59));
        assert!(found[0].0 == found[1].0 && found[0].0 == found[2].0);
    }
}

#[test]
fn a_graph_at_rest_is_not_gathered() {
    let mut engine = engine(&open(1), FocusOptions::default());
    let graph = graph(500, &[]);
    check(&mut engine, &graph, iterations(20), None);
    let stats = engine.stats();
    assert_eq!((stats.dense_rounds, stats.still_rounds), (1, 19));
}

#[test]
fn batches_end_where_the_run_ends() {
    let graph = soon_mostly_still();
    let params = FocusParams::default();
    let expected = ffcm::oracle::focus::rank(&graph, &params, None).unwrap();
    assert!(expected.converged && expected.iterations > 8);
    for batch in [1, 7, expected.iterations, 16] {
        let gpu = open(u64::from(batch));
        let options = FocusOptions {
            batch,
            ..FocusOptions::default()
        };
        let mut engine = engine(&gpu, options);
        let before = gpu.stats();
        assert_eq!(rank(&mut engine, &graph, params, None), expected);
        let after = gpu.stats();
        // A reading per batch, and one of the masses.
        let batches = u64::from(expected.iterations.div_ceil(batch));
        assert_eq!(after.round_trips - before.round_trips, batches + 1);
        // Gather and settle; the start settles too.
        let launches = batches * u64::from(batch) * 2 + 1;
        assert_eq!(after.launches - before.launches, launches);
        // An exact number of iterations makes no launch too many.
        rank(&mut engine, &graph, iterations(batch + 3), None);
        let exact = u64::from(batch + 3) * 2 + 1;
        assert!(batch < 4 || gpu.stats().launches - after.launches == exact);
    }
}

#[test]
fn a_hub_is_the_work_of_many_warps() {
    let nodes = 100_001;
    // Every other spoke weighs less than the rest of its source's edges.
    for weighted in [false, true] {
        let mut edges: Vec<EdgeDelta> = (1..nodes).map(|node| edge(node, 0, 1)).collect();
        if weighted {
            edges.extend((1..nodes).step_by(10).map(|node| edge(node, 1, 3)));
        }
        let mut graph = graph(nodes, &edges);
        let mut engine = engine(&open(3), FocusOptions::default());
        let params = iterations(1);
        let found = rank(&mut engine, &graph, params, None);
        // The engine of the CPU, which the same suite compares with the oracle, takes a fraction of its time.
        assert_eq!(found, ffcm::focus::rank(&graph, &params, None).unwrap());
        let stats = engine.stats();
        assert_eq!(stats.split_segments, if weighted { 782 + 79 } else { 782 });
        // A hub that loses and gains spokes.
        let changes: Vec<EdgeDelta> = (1..50)
            .map(|node| edge(node, 0, 0))
            .chain((50..60).map(|node| edge(0, node, 9)))
            .collect();
        graph.apply(&changes).unwrap();
        let found = rank(&mut engine, &graph, params, Some(&found.mass));
        let start = ffcm::focus::rank(&self::graph(nodes, &edges), &params, None).unwrap();
        let expected = ffcm::focus::rank(&graph, &params, Some(&start.mass)).unwrap();
        assert_eq!(found, expected);
        assert_eq!(engine.stats().uploads, 1);
    }
}

/// R-MAT with the quadrants (0.57, 0.19, 0.19, 0.05).
fn skewed(rng: &mut Rng, scale: u32, count: u64, weighted: bool) -> Vec<EdgeDelta> {
    let draw = |_| {
        let (mut source, mut target) = (0, 0);
        for _ in 0..scale {
            let (s, t) = match rng.below(100) {
                0..57 => (0, 0),
                57..76 => (0, 1),
                76..95 => (1, 0),
                _ => (1, 1),
            };
            (source, target) = (2 * source + s, 2 * target + t);
        }
        let weight = if weighted { rng.below(1 << 20) + 1 } else { 1 };
        edge(source, target, weight)
    };
    (0..count).map(draw).collect()
}

#[test]
fn skewed_graphs_converge_as_on_the_cpu() {
    let mut rng = Rng::new(13);
    for (weighted, seed) in [(false, 1), (true, 2)] {
        let edges = skewed(&mut rng, 12, 1 << 16, weighted);
        let mut graph = graph(1 << 12, &edges);
        for node in (0..1 << 12).step_by(3) {
            let stake = if weighted { rng.below(1 << 30) } else { 0 };
            graph.set_stake(node, stake).unwrap();
        }
        let mut engine = engine(&open(seed), FocusOptions::default());
        let params = FocusParams::default();
        let cold = rank(&mut engine, &graph, params, None);
        assert_eq!(cold, ffcm::focus::rank(&graph, &params, None).unwrap());
        assert!(cold.converged && cold.iterations > 5);
        graph
            .apply(&skewed(&mut rng, 12, 1 << 7, weighted))
            .unwrap();
        let warm = rank(&mut engine, &graph, params, Some(&cold.mass));
        let expected = ffcm::focus::rank(&graph, &params, Some(&cold.mass)).unwrap();
        assert_eq!(warm, expected);
        assert!(warm.converged && warm.iterations > 1);
        let stats = engine.stats();
        assert_eq!((stats.uploads, stats.updates), (1, 1));
        assert!(stats.split_segments > 0 && stats.whole_rows > 1_000);
    }
}

#[test]
fn cuts_change_no_bit() {
    let mut rng = Rng::new(8);
    for weighted in [false, true] {
        let nodes = 600;
        let edges = random_edges(&mut rng, nodes, 9_000, weighted);
        let mut graph = graph(nodes, &edges);
        let mut engines: Vec<FocusEngine> = [
            (1, None, None, u64::MAX),
            (4_096, Some(1), None, 1 << 14),
            (5, Some(64), Some(1), 1 << 11),
            (128, Some(100), Some(200), 0),
        ]
        .into_iter()
        .zip(1..)
        .map(
            |((segment_slots, block_labels, tile_rows, buffer_bytes), seed)| {
                let options = FocusOptions {
                    segment_slots,
                    block_labels,
                    tile_rows,
                    buffer_bytes,
                    ..FocusOptions::default()
                };
                engine(&open(seed), options)
            },
        )
        .collect();
        let mut start: Option<Vec<u64>> = None;
        for _ in 0..2 {
            for engine in &mut engines {
                check(engine, &graph, iterations(2), start.as_deref());
            }
            start = Some(check(&mut engines[0], &graph, iterations(2), None).mass);
            graph
                .apply(&random_edges(&mut rng, nodes, 200, weighted))
                .unwrap();
        }
        for engine in &mut engines {
            check(engine, &graph, iterations(2), None);
            assert_eq!(engine.stats().uploads, 1);
        }
    }
}

#[test]
fn a_graph_beyond_the_memory_is_refused() {
    let options = ShimOptions {
        memory: 256 << 10,
        ..ShimOptions::default()
    };
    let mut engine = engine(
        &Arc::new(shim::open(&options).unwrap()),
        FocusOptions::default(),
    );
    let fits = graph(5, &[edge(0, 4, 2)]);
    check(&mut engine, &fits, iterations(3), None);
    let graph = graph(10_000, &[]);
    let job = FocusJob {
        graph: &graph,
        params: FocusParams::default(),
        start: None,
    };
    match engine.rank(&job) {
        Err(error @ JobError::NotSupported { .. }) => {
            let message = error.to_string();
            assert!(message.contains("a graph of 10000 nodes"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    // The engine goes on with what fits.
    check(&mut engine, &fits, iterations(3), None);
}

#[test]
fn a_graph_that_outgrows_the_memory_is_refused() {
    // Room for the graph, not for teleport shares of its nodes.
    let options = ShimOptions {
        memory: 330 << 10,
        ..ShimOptions::default()
    };
    let gpu = Arc::new(shim::open(&options).unwrap());
    let mut engine = engine(&gpu, FocusOptions::default());
    let mut graph = graph(5_000, &[edge(0, 4, 2)]);
    check(&mut engine, &graph, iterations(2), None);
    let stakeless = graph.clone();
    graph.set_stake(7, 1).unwrap();
    let job = FocusJob {
        graph: &graph,
        params: iterations(2),
        start: None,
    };
    let found = engine.rank(&job);
    assert!(
        matches!(found, Err(JobError::NotSupported { .. })),
        "{found:?}"
    );
    assert_eq!(gpu.memory_in_use(), 0);
    check(&mut engine, &stakeless, iterations(2), None);
}

#[test]
fn a_device_lost_in_mid_run_is_an_error() {
    let gpu = open(1);
    let options = FocusOptions {
        batch: 1,
        ..FocusOptions::default()
    };
    let mut engine = engine(&gpu, options);
    let graph = graph(3, &[edge(0, 1, 1)]);
    let endless = FocusJob {
        graph: &graph,
        params: iterations(1 << 20),
        start: None,
    };
    let found = std::thread::scope(|scope| {
        let run = scope.spawn(|| engine.rank(&endless));
        while gpu.stats().launches < 10 && !run.is_finished() {
            std::thread::yield_now();
        }
        gpu.lose();
        run.join().unwrap()
    });
    assert!(matches!(found, Err(JobError::Device(_))), "{found:?}");
    assert!(matches!(engine.rank(&endless), Err(JobError::Device(_))));
}

#[test]
fn bytes_of_an_iteration_are_counted() {
    let edges: Vec<EdgeDelta> = (0..99).map(|node| edge(node, node + 1, 1)).collect();
    let mut engine = engine(&open(1), FocusOptions::default());
    let mut graph = graph(100, &edges);
    check(&mut engine, &graph, iterations(1), None);
    // Slots; two slices of 64 rows; rows; shares of the sources and of nobody.
    let gather = 99 * 4 + 2 * (8 + 64 * 4) + 99 * 8 + 100 * 4;
    // Arrived, mass twice, node; ratio and share twice; two maps.
    let settle = 100 * (8 + 16 + 4) + 100 * (8 + 8) + 13 + 13;
    assert_eq!(engine.stats().bytes_per_iteration, gather + settle);
    graph.set_stake(3, 7).unwrap();
    check(&mut engine, &graph, iterations(1), None);
    let stakes = 100 * 2 * 8;
    assert_eq!(engine.stats().bytes_per_iteration, gather + settle + stakes);
}

/// Bytes uploaded for a graph as a whole, and for a change of it.
fn uploads(weighted: bool, changes: impl Fn(&Graph, &mut Rng) -> Vec<EdgeDelta>) -> (u64, u64) {
    let gpu = open(2);
    let mut rng = Rng::new(21);
    let nodes = 5_000;
    let draw = |_| {
        let source = rng.below(nodes) as u32;
        let weight = if weighted { rng.below(1_000) + 1 } else { 1 };
        edge(source, rng.below(nodes) as u32, weight)
    };
    let edges: Vec<EdgeDelta> = (0..16 * nodes).map(draw).collect();
    let mut graph = graph(nodes as u32, &edges);
    let mut engine = engine(&gpu, FocusOptions::default());
    let params = iterations(1);
    let mut mass = Vec::new();
    let mut uploaded = |engine: &mut FocusEngine, graph: &Graph| {
        let before = gpu.stats().uploaded;
        let found = rank(engine, graph, params, Some(&mass));
        assert_eq!(
            found,
            ffcm::focus::rank(graph, &params, Some(&mass)).unwrap()
        );
        mass = found.mass;
        gpu.stats().uploaded - before
    };
    let whole = uploaded(&mut engine, &graph);
    let idle = uploaded(&mut engine, &graph);
    assert!(idle < 1_200, "{idle} bytes for nothing");
    let changes = changes(&graph, &mut rng);
    graph.apply(&changes).unwrap();
    let part = uploaded(&mut engine, &graph);
    let stats = engine.stats();
    assert_eq!((stats.uploads, stats.updates), (1, 2));
    (whole, part)
}

/// New weights for one edge of a hundred, of nodes here and there.
fn scattered(graph: &Graph, rng: &mut Rng) -> Vec<EdgeDelta> {
    let mut edges: Vec<EdgeDelta> = graph.edges().collect();
    edges.retain_mut(|edge| {
        edge.weight = rng.below(1_000) + 1;
        rng.below(100) == 0
    });
    edges
}

/// Edges of neighbouring sources, one of a hundred, moved to other targets.
fn clustered(graph: &Graph, rng: &mut Rng) -> Vec<EdgeDelta> {
    let count = graph.edge_count() as usize / 200;
    let nodes = u64::from(graph.node_count());
    let old: Vec<EdgeDelta> = graph.edges().skip(5_000).take(count).collect();
    old.iter()
        .flat_map(|edge| {
            let target = rng.below(nodes) as u32;
            [
                EdgeDelta { weight: 0, ..*edge },
                EdgeDelta { target, ..*edge },
            ]
        })
        .collect()
}

#[test]
fn a_small_change_is_a_small_upload() {
    for (name, weighted, changes) in [
        (
            "moved, equal weights",
            false,
            clustered as fn(&Graph, &mut Rng) -> _,
        ),
        ("moved", true, clustered),
        ("new weights", true, scattered),
    ] {
        let (whole, part) = uploads(weighted, changes);
        let per_mille = part * 1_000 / whole;
        println!("{name}: {whole} bytes, 1 % changed: {part} bytes, {per_mille} per mille");
        assert!(per_mille < 45, "{name}: {part} of {whole} bytes");
    }
}
