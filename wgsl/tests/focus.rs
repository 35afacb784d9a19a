//! π on the first adapter of this machine against the oracle, field by field.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use ffcm::coprocessor::{Coprocessor, FocusJob, JobError, OracleCoprocessor, WithFallback};
use ffcm::focus::{FocusError, FocusParams, MASS, Ranking};
use ffcm::graph::{EdgeDelta, Graph};
use ffcm::testing::Rng;
use ffcm_wgsl::WgpuCoprocessor;
use ffcm_wgsl::device::{Gpu, Options};
use ffcm_wgsl::focus::{FocusEngine, FocusOptions, Rounds};

fn open(binding_bytes_max: Option<u64>) -> Arc<Gpu> {
    let options = Options {
        binding_bytes_max,
        ..Options::default()
    };
    Arc::new(Gpu::open(&options).expect("an adapter"))
}

/// Short segments and small blocks, so that small graphs have everything large ones have.
fn small(rounds: Rounds) -> FocusOptions {
    FocusOptions {
        rounds,
        segment_slots: 3,
        block_labels: 16,
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

/// Random edges between few nodes; a batch either keeps the weights of a source equal or not.
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
        max_iterations: rng.below(12) as u32 + 1,
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

#[test]
fn random_graphs_and_their_changes() {
    let gpu = open(None);
    let mut engines =
        [Rounds::Auto, Rounds::Dense, Rounds::Frontier].map(|r| engine(&gpu, small(r)));
    let mut rng = Rng::new(11);
    for case in 0..100 {
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
                graph
                    .set_stake(node, rng.next_u64() >> rng.below(64))
                    .unwrap();
            }
            let count = rng.below(12);
            let changes = random_edges(&mut rng, graph.node_count(), count, weighted);
            graph.apply(&changes).unwrap();
        }
    }
}

#[test]
fn a_long_history_is_followed() {
    let gpu = open(None);
    let mut rng = Rng::new(5);
    for weighted in [false, true] {
        let mut engine = engine(&gpu, small(Rounds::Auto));
        let mut graph = graph(300, &random_edges(&mut rng, 300, 3_000, weighted));
        let mut start = None;
        for _ in 0..40 {
            let found = check(&mut engine, &graph, iterations(3), start.as_deref());
            start = Some(found.mass);
            graph.add_nodes(rng.below(4) as u32).unwrap();
            let count = rng.below(100);
            let changes = random_edges(&mut rng, graph.node_count(), count, weighted);
            graph.apply(&changes).unwrap();
        }
        let stats = engine.stats();
        assert_eq!((stats.uploads, stats.updates), (1, 39), "{stats:?}");
        assert_eq!(stats.weighted, weighted);
    }
}

#[test]
fn stakes_are_followed() {
    let gpu = open(None);
    let mut rng = Rng::new(77);
    let mut engine = engine(&gpu, small(Rounds::Auto));
    let mut graph = graph(5_000, &random_edges(&mut rng, 5_000, 20_000, false));
    let mut start = Vec::new();
    let mut uploaded = Vec::new();
    for step in 0..6u64 {
        match step {
            // All nodes get stakes, two change theirs, the total stays or does not, all lose them, one gets some.
            1 => (0..5_000).for_each(|node| graph.set_stake(node, rng.below(1 << 40)).unwrap()),
            2 => {
                let (a, b) = (graph.stake(3), graph.stake(4_000));
                graph.set_stake(3, a + b).unwrap();
                graph.set_stake(4_000, 0).unwrap();
            }
            3 => graph.set_stake(9, 1 << 60).unwrap(),
            4 => (0..5_000).for_each(|node| graph.set_stake(node, 0).unwrap()),
            5 => graph.set_stake(17, 3).unwrap(),
            _ => {}
        }
        let before = gpu.stats().uploaded;
        start = check(&mut engine, &graph, iterations(2), Some(&start)).mass;
        uploaded.push(gpu.stats().uploaded - before);
    }
    let stats = engine.stats();
    assert_eq!((stats.uploads, stats.updates), (1, 5));
    println!("bytes {uploaded:?}");
    // A transfer of stake changes the shares of two nodes, and who gets the units left over.
    assert!(uploaded[1] > 40_000 && uploaded[2] < 1_000, "{uploaded:?}");
}

#[test]
fn a_graph_that_shrinks_is_laid_out_anew() {
    let gpu = open(None);
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
    let gpu = open(None);
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
    let mut engine = engine(&open(None), FocusOptions::default());
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

#[test]
fn a_graph_beyond_the_limits_is_for_others_and_the_device_goes_on() {
    let options = Options {
        binding_bytes_max: Some(16 << 10),
        ..Options::default()
    };
    let device = WgpuCoprocessor::open(&options).expect("an adapter");
    let device = WithFallback::new(Arc::new(device), Arc::new(OracleCoprocessor), |_| ());
    for (nodes, unsupported) in [(2_000, 0), (2_048, 1), (2_000, 1)] {
        let graph = graph(nodes, &[edge(0, 1, 1), edge(1, 2, 3)]);
        let job = FocusJob {
            graph: &graph,
            params: iterations(3),
            start: None,
        };
        let expected = ffcm::oracle::focus::rank(&graph, &job.params, None).unwrap();
        assert_eq!(device.focus(&job).unwrap(), expected);
        let state = device.state();
        assert_eq!((state.unsupported, state.failure), (unsupported, None));
    }
}

#[test]
fn the_kind_of_round_changes_no_bit() {
    let gpu = open(None);
    let mut rng = Rng::new(3);
    // Nobody links to most nodes, so that their mass soon stands still; a few others pass mass around for long.
    let mut edges: Vec<EdgeDelta> = (10..2_000).map(|node| edge(node, node % 10, 1)).collect();
    edges.extend((0..10).map(|node| edge(node, (node + 1) % 10, 1)));
    edges.extend(random_edges(&mut rng, 10, 30, true));
    let graph = graph(2_000, &edges);
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
    println!("auto {:?}", (found[0].1, found[0].2));
    assert!(found[0].2 > 0, "auto never chose a frontier");
    assert_eq!((found[1].1, found[1].2), (60, 0));
    assert_eq!((found[2].1, found[2].2), (1, 59));
    assert!(found[0].0 == found[1].0 && found[0].0 == found[2].0);
}

#[test]
fn a_graph_at_rest_is_not_gathered() {
    let mut engine = engine(&open(None), FocusOptions::default());
    let graph = graph(500, &[]);
    check(&mut engine, &graph, iterations(20), None);
    let stats = engine.stats();
    assert_eq!((stats.dense_rounds, stats.still_rounds), (1, 19));
}

#[test]
fn edges_beyond_one_binding() {
    let mut rng = Rng::new(8);
    for weighted in [false, true] {
        let edges = random_edges(&mut rng, 1_500, 60_000, weighted);
        let mut graph = graph(1_500, &edges);
        for (bytes, blocks) in [(1 << 20, 1 << 20), (1 << 16, 1 << 20), (1 << 15, 256)] {
            let gpu = open(Some(bytes));
            let options = FocusOptions {
                block_labels: blocks,
                ..FocusOptions::default()
            };
            let mut engine = engine(&gpu, options);
            let first = check(&mut engine, &graph, iterations(3), None);
            graph
                .apply(&random_edges(&mut rng, 1_500, 300, weighted))
                .unwrap();
            check(&mut engine, &graph, iterations(3), Some(&first.mass));
            let stats = engine.stats();
            println!("{bytes} bytes: {stats:?}");
            assert!(stats.parts > 1 + 4 * stats.edges / (bytes + 1), "{stats:?}");
        }
    }
}

#[test]
fn a_graph_beyond_the_device_is_refused() {
    let mut engine = engine(&open(Some(1 << 16)), FocusOptions::default());
    let graph = graph(10_000, &[]);
    let job = FocusJob {
        graph: &graph,
        params: FocusParams::default(),
        start: None,
    };
    match engine.rank(&job) {
        Err(error @ JobError::NotSupported { .. }) => {
            let message = error.to_string();
            assert!(message.contains("the mass of 10000 nodes"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    // The engine goes on with what fits.
    check(
        &mut engine,
        &self::graph(5, &[edge(0, 4, 2)]),
        iterations(3),
        None,
    );
}

#[test]
fn a_lost_device_is_an_error() {
    let gpu = open(None);
    let mut engine = engine(&gpu, FocusOptions::default());
    let graph = graph(3, &[edge(0, 1, 1)]);
    check(&mut engine, &graph, FocusParams::default(), None);
    gpu.destroy();
    let job = FocusJob {
        graph: &graph,
        params: FocusParams::default(),
        start: None,
    };
    assert!(matches!(engine.rank(&job), Err(JobError::Device(_))));
}

#[test]
fn a_hub_is_the_work_of_many_lanes() {
    let nodes = 1_000_001;
    let spokes: Vec<EdgeDelta> = (1..nodes).map(|node| edge(node, 0, 1)).collect();
    let graph = graph(nodes, &spokes);
    let mut engine = engine(&open(None), FocusOptions::default());
    let params = iterations(2);
    let found = rank(&mut engine, &graph, params, None);
    // The engine of the CPU, which the same suite compares with the oracle, takes a fraction of its time.
    assert_eq!(found, ffcm::focus::rank(&graph, &params, None).unwrap());
    let stats = engine.stats();
    assert_eq!((stats.edges, stats.split_segments), (1_000_000, 7_813));
}

#[test]
fn many_dangling_nodes() {
    let gpu = open(None);
    // The slowest driver there is gets a tenth of them.
    let slow = gpu.adapter().name.contains("SwiftShader");
    let nodes = if slow { 1_000_000 } else { 10_000_000 };
    let graph = graph(nodes, &[edge(nodes - 1, 0, 1)]);
    let mut engine = engine(&gpu, FocusOptions::default());
    let params = iterations(1);
    let found = rank(&mut engine, &graph, params, None);
    assert!(found == ffcm::focus::rank(&graph, &params, None).unwrap());
}

/// Bytes uploaded for a graph as a whole, and for a change of it.
fn uploads(weighted: bool, changes: impl Fn(&Graph, &mut Rng) -> Vec<EdgeDelta>) -> (u64, u64) {
    let gpu = open(None);
    let mut rng = Rng::new(21);
    let nodes = 20_000;
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
    assert!(idle < 200, "{idle} bytes for nothing");
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
