use proptest::prelude::*;

use super::*;
use crate::graph::EdgeDelta;
use crate::oracle;

fn graph(nodes: u32, edges: &[(u32, u32, u64)]) -> Graph {
    let mut graph = Graph::new();
    graph.add_nodes(nodes).unwrap();
    apply(&mut graph, edges);
    graph
}

fn apply(graph: &mut Graph, edges: &[(u32, u32, u64)]) {
    let deltas: Vec<EdgeDelta> = edges
        .iter()
        .map(|&(source, target, weight)| EdgeDelta {
            source,
            target,
            weight,
        })
        .collect();
    graph.apply(&deltas).unwrap();
}

/// Runs on a pool of `threads`.
fn with_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap()
        .install(run)
}

/// π in f64 to the fixed point: what the integers approximate.
fn reference(graph: &Graph, damping: f64) -> Vec<f64> {
    let nodes = graph.node_count();
    let total = graph.stake_total() as f64;
    let teleport: Vec<f64> = (0..nodes)
        .map(|node| match graph.stake_total() {
            0 => 1.0 / f64::from(nodes),
            _ => graph.stake(node) as f64 / total,
        })
        .collect();
    let mut x = teleport.clone();
    for _ in 0..2000 {
        let mut y = vec![0.0; nodes as usize];
        for source in 0..nodes {
            let out: f64 = graph
                .out_edges(source)
                .map(|(_, weight)| weight as f64)
                .sum();
            for (target, weight) in graph.out_edges(source) {
                y[target as usize] += damping * x[source as usize] * weight as f64 / out;
            }
        }
        let pool = 1.0 - y.iter().sum::<f64>();
        y.iter_mut()
            .zip(&teleport)
            .for_each(|(y, t)| *y += pool * t);
        x = y;
    }
    x
}

fn l1(ranking: &Ranking, reference: &[f64]) -> f64 {
    let distance = |(&mass, &exact): (&u64, &f64)| (mass as f64 / MASS as f64 - exact).abs();
    ranking.mass.iter().zip(reference).map(distance).sum()
}

#[test]
fn no_nodes() {
    let ranking = rank(&Graph::new(), &FocusParams::default(), None).unwrap();
    assert_eq!(
        ranking,
        oracle::focus::rank(&Graph::new(), &FocusParams::default(), None).unwrap()
    );
    assert_eq!(
        (ranking.iterations, ranking.converged, ranking.mass.len()),
        (0, true, 0)
    );
    assert_eq!(ranking.spectral_gap(), None);
}

#[test]
fn one_node_holds_all() {
    for edges in [&[][..], &[(0, 0, 5)][..]] {
        let ranking = rank(&graph(1, edges), &FocusParams::default(), None).unwrap();
        assert_eq!((ranking.mass, ranking.iterations), (vec![MASS], 1));
    }
}

#[test]
fn isolated_nodes_keep_their_teleport() {
    let ranking = rank(&graph(3, &[]), &FocusParams::default(), None).unwrap();
    // 2^62 = 3 * 1537228672809129301 + 1, and the odd unit is the first node's.
    let third = MASS / 3;
    assert_eq!(ranking.mass, [third + 1, third, third]);
    assert_eq!((ranking.residual, ranking.converged), (0, true));
}

#[test]
fn a_ring_is_uniform_and_a_star_is_not() {
    let ring: Vec<_> = (0..8).map(|node| (node, (node + 1) % 8, 1)).collect();
    let ranking = rank(&graph(8, &ring), &FocusParams::default(), None).unwrap();
    assert!(
        ranking
            .mass
            .iter()
            .all(|&mass| mass.abs_diff(MASS / 8) < MASS >> 24)
    );
    let star: Vec<_> = (1..8).map(|node| (node, 0, 1)).collect();
    let ranking = rank(&graph(8, &star), &FocusParams::default(), None).unwrap();
    assert_eq!(ranking.top(2), [(0, ranking.mass[0]), (1, ranking.mass[1])]);
    assert!(ranking.mass[0] > 6 * ranking.mass[1] && ranking.mass[1] == ranking.mass[7]);
}

#[test]
fn epsilon_zero_runs_all_iterations_and_the_cap_is_a_flag() {
    let graph = graph(4, &[(0, 1, 1), (1, 2, 2), (2, 0, 3), (2, 3, 1)]);
    let fixed = FocusParams {
        epsilon: 0,
        max_iterations: 7,
        ..FocusParams::default()
    };
    let ranking = rank(&graph, &fixed, None).unwrap();
    assert_eq!(
        (
            ranking.iterations,
            ranking.residuals.len(),
            ranking.converged
        ),
        (7, 7, false)
    );
    assert_eq!(ranking.residuals.last(), Some(&ranking.residual));
    // d so near 1 that a slowly mixing graph needs more than the cap.
    let capped = FocusParams {
        damping: u32::MAX,
        ..FocusParams::default()
    };
    let slow: Vec<_> = (0..400)
        .flat_map(|node| [(node, (node + 1) % 400, 1), ((node + 1) % 400, node, 1)])
        .chain([(0, 0, 1)])
        .collect();
    let mut graph = self::graph(400, &slow);
    graph.set_stake(0, 1).unwrap();
    let ranking = rank(&graph, &capped, None).unwrap();
    assert_eq!((ranking.iterations, ranking.converged), (2048, false));
}

#[test]
fn out_of_range_is_refused() {
    let graph = graph(2, &[(0, 1, 1)]);
    let refused = |params: FocusParams| {
        assert!(matches!(
            rank(&graph, &params, None),
            Err(FocusError::InvalidParameter(_))
        ));
        assert!(oracle::focus::rank(&graph, &params, None).is_err());
    };
    let params = FocusParams::default();
    refused(FocusParams {
        max_iterations: 0,
        ..params
    });
    refused(FocusParams {
        max_iterations: MAX_ITERATIONS + 1,
        ..params
    });
    refused(FocusParams {
        shards: 0,
        ..params
    });
    refused(FocusParams {
        shards: MAX_SHARDS + 1,
        ..params
    });
    for start in [&[0, 0, 0][..], &[MASS, 1][..], &[u64::MAX, u64::MAX][..]] {
        assert!(matches!(
            rank(&graph, &params, Some(start)),
            Err(FocusError::InvalidStart(_))
        ));
    }
    let ranker = Ranker::new(&graph, 2).unwrap();
    assert!(matches!(
        ranker.rank(&params, None),
        Err(FocusError::InvalidParameter(_))
    ));
}

#[test]
fn equal_stakes_are_uniform_teleport() {
    let edges = [(0, 1, 1), (1, 2, 1), (2, 1, 1)];
    let uniform = rank(&graph(3, &edges), &FocusParams::default(), None).unwrap();
    let mut staked = graph(3, &edges);
    (0..3).for_each(|node| staked.set_stake(node, u64::MAX).unwrap());
    assert_eq!(
        rank(&staked, &FocusParams::default(), None).unwrap(),
        uniform
    );
    staked.set_stake(2, 1).unwrap();
    assert_ne!(
        rank(&staked, &FocusParams::default(), None).unwrap(),
        uniform
    );
}

#[test]
fn equal_weights_are_the_unweighted_graph() {
    let weight = |node: u32| u64::from(node).pow(9) + 3;
    let unit: Vec<_> = (0..900u32).map(|i| (i * 7 % 90, i * 13 % 97, 1)).collect();
    let scaled: Vec<_> = unit.iter().map(|&(s, t, _)| (s, t, weight(s))).collect();
    let params = FocusParams::default();
    let unweighted = rank(&graph(97, &unit), &params, None).unwrap();
    assert_eq!(
        rank(&graph(97, &scaled), &params, None).unwrap(),
        unweighted
    );
}

#[test]
fn top_is_heaviest_first_then_lowest() {
    let ranking = Ranking {
        mass: vec![5, 9, 5, 9, 1],
        ..Ranking::of_empty_graph()
    };
    assert_eq!(ranking.top(3), [(1, 9), (3, 9), (0, 5)]);
    assert_eq!(ranking.top(99).len(), 5);
    assert_eq!(ranking.top(0), []);
}

#[test]
fn the_gap_is_telemetry_of_the_last_two_residuals() {
    let ranking = Ranking {
        residuals: vec![9, 8, 2],
        ..Ranking::of_empty_graph()
    };
    assert_eq!(ranking.spectral_gap(), Some(0.75));
}

/// A random graph: sparse or dense, equal or wildly unequal weights, with dangling nodes, loops and stakes.
fn any_graph() -> impl Strategy<Value = Graph> {
    let weight = prop_oneof![Just(1u64), 1u64..5, 1u64..1 << 20, 1u64..1 << 55];
    let stake = prop_oneof![Just(0u64), 0u64..3, any::<u64>()];
    (1u32..60, 0usize..300).prop_flat_map(move |(nodes, edges)| {
        let edge = (0..nodes, 0..nodes, prop_oneof![Just(1u64), weight.clone()]);
        let stakes = prop_oneof![
            Just(vec![]),
            prop::collection::vec(stake.clone(), nodes as usize),
        ];
        (prop::collection::vec(edge, edges), stakes).prop_map(move |(edges, stakes)| {
            let mut graph = graph(nodes, &edges);
            for (node, stake) in (0u32..).zip(stakes) {
                graph.set_stake(node, stake).unwrap();
            }
            graph
        })
    })
}

fn any_params() -> impl Strategy<Value = FocusParams> {
    let damping = prop_oneof![
        Just(FocusParams::default().damping),
        Just(0),
        Just(u32::MAX),
        any::<u32>()
    ];
    (damping, 0u64..MASS / 1000, 1u32..40).prop_map(|(damping, epsilon, max_iterations)| {
        FocusParams {
            damping,
            epsilon,
            max_iterations,
            shards: 1,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn all_engines_give_the_oracles_bits(
        graph in any_graph(),
        params in any_params(),
        start in prop::collection::vec(0u64..MASS / 64, 0..60),
    ) {
        let start = &start[..start.len().min(graph.node_count() as usize)];
        for start in [None, Some(start)] {
            let expected = oracle::focus::rank(&graph, &params, start).unwrap();
            prop_assert_eq!(expected.mass.iter().sum::<u64>(), MASS);
            for (threads, shards) in [(1, 1), (2, 1), (2, 4), (1, 16)] {
                let params = FocusParams { shards, ..params };
                let ranking = with_threads(threads, || rank(&graph, &params, start).unwrap());
                prop_assert_eq!(&ranking, &expected);
            }
        }
    }

    #[test]
    fn a_kept_ranker_follows_changes(
        mut graph in any_graph(),
        batches in prop::collection::vec(
            (0u32..3, prop::collection::vec((any::<u32>(), any::<u32>(), 0u64..9), 0..8)),
            1..5,
        ),
        shards in prop_oneof![Just(1u32), Just(3)],
    ) {
        let params = FocusParams { shards, ..FocusParams::default() };
        let mut ranker = Ranker::new(&graph, shards).unwrap();
        let mut start = ranker.rank(&params, None).unwrap().mass;
        let first = graph.clone();
        for (appended, edges) in batches {
            graph.add_nodes(appended).unwrap();
            let nodes = graph.node_count();
            let edges: Vec<_> = edges.iter().map(|&(s, t, w)| (s % nodes, t % nodes, w)).collect();
            apply(&mut graph, &edges);
            graph.set_stake(nodes - 1, u64::from(nodes)).unwrap();
            ranker.refresh(&graph).unwrap();
            let ranking = ranker.rank(&params, Some(&start)).unwrap();
            prop_assert_eq!(&ranking, &oracle::focus::rank(&graph, &params, Some(&start)).unwrap());
            start = ranking.mass;
        }
        // Back to the beginning, with fewer nodes perhaps.
        ranker.refresh(&first).unwrap();
        let expected = oracle::focus::rank(&first, &params, None).unwrap();
        prop_assert_eq!(ranker.rank(&params, None).unwrap(), expected);
    }

    #[test]
    fn warm_runs_give_the_oracles_bits(
        mut graph in any_graph(),
        blocks in prop::collection::vec(
            (10u32..50, any_params(), prop::collection::vec((any::<u32>(), any::<u32>(), 0u64..9), 0..3)),
            1..5,
        ),
    ) {
        let mut start = rank(&graph, &FocusParams::default(), None).unwrap().mass;
        for (bits, params, edges) in blocks {
            let nodes = graph.node_count();
            let edges: Vec<_> = edges.iter().map(|&(s, t, w)| (s % nodes, t % nodes, w)).collect();
            apply(&mut graph, &edges);
            let params = FocusParams { epsilon: MASS >> bits, ..params };
            let expected = oracle::focus::rank(&graph, &params, Some(&start)).unwrap();
            prop_assert_eq!(expected.mass.iter().sum::<u64>(), MASS);
            for (threads, shards) in [(1, 1), (3, 1), (2, 4)] {
                let params = FocusParams { shards, ..params };
                let ranking = with_threads(threads, || rank(&graph, &params, Some(&start)).unwrap());
                prop_assert_eq!(&ranking, &expected);
            }
            start = expected.mass;
        }
    }

    #[test]
    fn warm_runs_of_kept_rankers_give_the_oracles_bits(
        mut graph in any_graph(),
        hub in any::<bool>(),
        batches in prop::collection::vec(
            (
                (8u32..50, 0u32..3),
                any_params(),
                prop::collection::vec((any::<u32>(), any::<u32>(), 0u64..9), 0..4),
            ),
            1..5,
        ),
    ) {
        if hub {
            let nodes = graph.node_count();
            let edges: Vec<_> = (0..nodes).map(|node| (0, node, u64::from(node) + 1)).collect();
            apply(&mut graph, &edges);
        }
        let mut rankers: Vec<(u32, Ranker)> =
            [1, 4, 16].map(|shards| (shards, Ranker::new(&graph, shards).unwrap())).into();
        let mut start = rank(&graph, &FocusParams::default(), None).unwrap().mass;
        for ((bits, appended), params, edges) in batches {
            graph.add_nodes(appended).unwrap();
            let nodes = graph.node_count();
            // New edges, other weights and deletions, and with luck a node that has no edge left.
            let mut edges: Vec<_> = edges.iter().map(|&(s, t, w)| (s % nodes, t % nodes, w)).collect();
            if let Some(&(source, _, 0)) = edges.last() {
                edges.extend(graph.out_edges(source).map(|(target, _)| (source, target, 0)));
            }
            apply(&mut graph, &edges);
            let params = FocusParams { epsilon: MASS >> bits, ..params };
            let expected = oracle::focus::rank(&graph, &params, Some(&start)).unwrap();
            for (shards, ranker) in &mut rankers {
                ranker.refresh(&graph).unwrap();
                let params = FocusParams { shards: *shards, ..params };
                for threads in [1, 2, 4] {
                    let ranking = with_threads(threads, || ranker.rank(&params, Some(&start)).unwrap());
                    prop_assert_eq!(&ranking, &expected);
                }
            }
            start = expected.mass;
        }
    }

    #[test]
    fn error_is_within_the_bound(
        graph in any_graph(),
        earlier in prop::collection::vec((any::<u32>(), any::<u32>(), 0u64..9), 0..4),
    ) {
        let params = FocusParams { epsilon: MASS / 1_000_000, ..FocusParams::default() };
        let nodes = graph.node_count();
        let edges: Vec<_> = earlier.iter().map(|&(s, t, w)| (s % nodes, t % nodes, w)).collect();
        let mut earlier = graph.clone();
        apply(&mut earlier, &edges);
        let start = rank(&earlier, &params, None).unwrap().mass;
        for start in [None, Some(&start[..])] {
        let ranking = rank(&graph, &params, start).unwrap();
        prop_assert!(ranking.converged);
        let d = f64::from(params.damping) / 2f64.powi(32);
        let amplified = d / (1.0 - d);
        // Per source: mantissa 2^-26, ratio 2^-31, quotas 2^-31 an edge; per edge one unit.
        let edges = graph.edge_count() as f64;
        let rounding = 2f64.powi(-26) + (2.0 + edges) * 2f64.powi(-31) + edges * 2f64.powi(-62);
        let bound = amplified * (ranking.residual as f64 / MASS as f64 + 2.0 * rounding);
        let error = l1(&ranking, &reference(&graph, d));
        prop_assert!(error <= bound + 1e-12, "{} > {}", error, bound);
        }
    }
}

/// Communities with few links between them mix slowly, and a change concerns few of them.
#[test]
fn a_small_change_is_followed_over_few_edges() {
    let (communities, size) = (128u32, 32u32);
    let nodes = communities * size;
    let mut state = 7u64;
    let mut random = move |below: u32| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % u64::from(below)) as u32
    };
    let edges: Vec<_> = (0..nodes * 8)
        .map(|edge| {
            let source = edge / 8;
            let home = source / size + u32::from(random(32) == 0);
            let target = home % communities * size + random(size);
            (source, target, u64::from(random(9)) + 1)
        })
        .collect();
    let mut graph = graph(nodes, &edges);
    let params = FocusParams::default();
    let mut ranker = Ranker::new(&graph, 1).unwrap();
    let (cold, all) = ranker.rank_counted(&params, None).unwrap();
    let edges = graph.edge_count();
    let expected = Effort {
        edge_visits: edges * u64::from(cold.iterations),
        dense: cold.iterations,
        frontier: 0,
    };
    assert_eq!(all, expected);
    apply(&mut graph, &[(5, 9, 1), (700, 701, 1), (2_000, 3_900, 1)]);
    ranker.refresh(&graph).unwrap();
    let (warm, few) = ranker.rank_counted(&params, Some(&cold.mass)).unwrap();
    assert_eq!(
        warm,
        oracle::focus::rank(&graph, &params, Some(&cold.mass)).unwrap()
    );
    assert!(
        warm.converged && few.dense >= 1 && few.frontier > few.dense,
        "{few:?}"
    );
    assert!(few.edge_visits * 5 < all.edge_visits, "{few:?} of {all:?}");
}

/// A graph of several blocks and tiles, dense and sparse, against the oracle.
#[test]
fn many_blocks_give_the_oracles_bits() {
    let nodes = 200_000u32;
    let mut state = 1u64;
    let mut random = move |below: u32| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % u64::from(below)) as u32
    };
    let edges: Vec<_> = (0..600_000)
        .map(|i| {
            let hub = if i % 3 == 0 { 40 } else { nodes };
            (random(nodes), random(hub), u64::from(i % 5 == 0) * 6 + 1)
        })
        .collect();
    let unit: Vec<_> = edges
        .iter()
        .map(|&(source, target, _)| (source, target, 1))
        .collect();
    let params = FocusParams {
        epsilon: 0,
        max_iterations: 3,
        ..FocusParams::default()
    };
    for edges in [&edges, &unit] {
        let mut graph = graph(nodes, edges);
        let mut ranker = Ranker::new(&graph, 1).unwrap();
        let expected = oracle::focus::rank(&graph, &params, None).unwrap();
        assert_eq!(
            with_threads(2, || ranker.rank(&params, None).unwrap()),
            expected
        );
        // A few rows change: through the overlay. A third of all edges: prepared anew.
        let many: Vec<_> = edges[..200_000]
            .iter()
            .map(|&(s, t, w)| (t, s, w + 1))
            .collect();
        for change in [&[(7, 8, 5), (8, 7, 0), (199_999, 0, 2)][..], &many] {
            apply(&mut graph, change);
            ranker.refresh(&graph).unwrap();
            let warm = oracle::focus::rank(&graph, &params, Some(&expected.mass)).unwrap();
            assert_eq!(ranker.rank(&params, Some(&expected.mass)).unwrap(), warm);
        }
    }
}
