use proptest::prelude::*;

use super::*;
use crate::focus::{MASS, rank};
use crate::graph::EdgeDelta;
use crate::oracle::operators as oracle;
use crate::testing::Rng;

const THREADS: [usize; 3] = [1, 2, 4];

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

/// `count` edges, self-loops, equal ones and such of weight 0 among them; the fewer the lower of two draws, so that there
/// are hubs. Then, perhaps, all of them in both directions.
fn random_edges(random: &mut Rng, nodes: u32, count: u32, symmetric: bool) -> Vec<EdgeDelta> {
    let nodes = u64::from(nodes);
    let weights = [1, 4, 1 << 10, 1 << 40][random.below(4) as usize];
    let mut edges = Vec::new();
    for _ in 0..count {
        let source = random.below(nodes) as u32;
        let target = random.below(nodes).min(random.below(nodes)) as u32;
        let weight = random.below(weights + 1);
        edges.push(edge(source, target, weight));
        if symmetric {
            edges.push(edge(target, source, weight));
        }
    }
    edges
}

/// Every operator on every number of threads, against the oracle.
fn check(graph: &Graph, sources: &[u32]) {
    let options = WalkOptions {
        steps: 9,
        per_start: 2,
        seed: 11,
    };
    let rounds = [0, 1, 2, 7];
    let labels = rounds.map(|rounds| oracle::cdlp(graph, rounds));
    let walks = oracle::walks(graph, sources, &options);
    let triangles = oracle::triangles(graph);
    for threads in THREADS {
        let operators = Operators::builder()
            .threads(threads)
            .prepare(graph)
            .unwrap();
        assert_eq!(operators.threads(), threads);
        // Before and after the turned edges are there.
        assert_eq!(operators.wcc().unwrap(), oracle::wcc(graph));
        for &source in sources {
            assert_eq!(operators.bfs(source).unwrap(), oracle::bfs(graph, source));
            assert_eq!(operators.sssp(source).ok(), oracle::sssp(graph, source));
        }
        assert_eq!(operators.wcc().unwrap(), oracle::wcc(graph));
        for (rounds, labels) in rounds.into_iter().zip(&labels) {
            assert_eq!(operators.cdlp(rounds).unwrap(), *labels, "{rounds} rounds");
        }
        assert_eq!(operators.lcc().unwrap(), oracle::lcc(graph));
        assert_eq!(operators.triangles().unwrap(), triangles);
        let count = operators.triangle_count().unwrap();
        assert_eq!(count, triangles.iter().sum::<u64>() / 3);
        let found = operators.walks(sources, &options).unwrap();
        assert_eq!(found.iter().map(<[u32]>::to_vec).collect::<Vec<_>>(), walks);
        assert_eq!(found.len(), walks.len());
    }
}

#[test]
fn small_shapes() {
    check(&Graph::new(), &[]);
    check(&graph(1, &[]), &[0]);
    check(&graph(1, &[edge(0, 0, 3)]), &[0]);
    // A cycle, a node without edges, a pair that only knows itself, and an edge that was removed.
    let ring = [edge(0, 1, 2), edge(1, 2, 2), edge(2, 0, 9)];
    let rest = [edge(5, 4, 1), edge(4, 5, 1), edge(0, 6, 7), edge(0, 6, 0)];
    check(&graph(7, &[&ring[..], &rest].concat()), &[0, 3, 4, 6]);
    // A star out of node 0 and one into node 40, among them hubs of both kinds; a long path behind.
    let mut edges = Vec::new();
    for node in 1..2000 {
        edges.push(edge(0, node, u64::from(node)));
        edges.push(edge(node, 40, 1));
    }
    edges.extend((2000..3000).map(|node| edge(node - 1, node, 5)));
    check(&graph(3001, &edges), &[0, 40, 1500, 2500, 3000]);
}

#[test]
fn every_operator_is_the_oracles_on_graphs_large_enough_to_change_direction() {
    let mut random = Rng::new(1);
    for (nodes, count) in [(3000, 2000), (3000, 9000), (2000, 40_000), (70, 3000)] {
        for symmetric in [false, true] {
            let edges = random_edges(&mut random, nodes, count, symmetric);
            let sources = [edges[0].source, edges[1].target];
            check(&graph(nodes, &edges), &sources);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_operator_is_the_oracles(
        seed in any::<u64>(),
        nodes in 1u32..40,
        degree in 0u32..6,
        symmetric in any::<bool>(),
    ) {
        let mut random = Rng::new(seed);
        let edges = random_edges(&mut random, nodes, nodes * degree, symmetric);
        check(&graph(nodes, &edges), &[0, nodes - 1]);
    }
}

#[test]
fn the_order_of_edges_and_the_history_of_a_graph_do_not_matter() {
    let mut random = Rng::new(7);
    let all = random_edges(&mut random, 500, 4000, false);
    let one = graph(500, &all);
    let mut edges: Vec<EdgeDelta> = one.edges().collect();
    edges.reverse();
    let mut other = Graph::new();
    other.add_nodes(300).unwrap();
    other.add_nodes(200).unwrap();
    edges
        .chunks(700)
        .for_each(|some| other.apply(some).unwrap());
    let (one, other) = (
        Operators::new(&one).unwrap(),
        Operators::new(&other).unwrap(),
    );
    assert_eq!(one.bfs(3), other.bfs(3));
    assert_eq!(one.sssp(3), other.sssp(3));
    assert_eq!(one.cdlp(9), other.cdlp(9));
    assert_eq!(one.lcc(), other.lcc());
    let options = WalkOptions::default();
    assert_eq!(
        one.walks(&[1, 2, 3], &options),
        other.walks(&[1, 2, 3], &options)
    );
}

/// The directed example of Graphalytics, worked by hand: 3 and 5 are linked in both directions.
#[test]
fn label_propagation_counts_a_mutual_neighbour_twice() {
    // Node 3 has in-neighbours 0, 1, 2 and a mutual neighbour 5.
    let edges = [
        edge(0, 3, 1),
        edge(1, 3, 1),
        edge(2, 3, 1),
        edge(3, 5, 1),
        edge(5, 3, 1),
    ];
    let operators = Operators::new(&graph(6, &edges)).unwrap();
    assert_eq!(operators.cdlp(1).unwrap(), [3, 3, 3, 5, 4, 3]);
}

#[test]
fn clustering_counts_directions_between_neighbours() {
    // Neighbours of 0 are 1, 2 and 3; of their six ordered pairs, (1, 2), (2, 1) and (2, 3) are edges.
    let spokes = [edge(0, 1, 1), edge(2, 0, 1), edge(0, 3, 1), edge(3, 0, 1)];
    let rim = [edge(1, 2, 1), edge(2, 1, 1), edge(2, 3, 1)];
    let operators = Operators::new(&graph(5, &[&spokes[..], &rim].concat())).unwrap();
    let coefficients = operators.lcc().unwrap();
    let fraction = |numerator, denominator| Fraction {
        numerator,
        denominator,
    };
    assert_eq!(coefficients[0], fraction(3, 6));
    assert_eq!(coefficients[4], fraction(0, 1));
    assert_eq!(operators.triangles().unwrap(), [2, 1, 2, 1, 0]);
    assert_eq!(operators.triangle_count(), Ok(2));
}

#[test]
fn distances_reach_to_the_last_that_fits() {
    let half = 1 << 63;
    // To node 2 it is 2^64 - 2, the longest distance there is.
    let fits = [edge(0, 1, half), edge(1, 2, half - 2), edge(3, 0, 1)];
    let operators = Operators::new(&graph(4, &fits)).unwrap();
    assert_eq!(
        operators.sssp(0).unwrap(),
        [0, half, u64::MAX - 1, UNREACHED]
    );
    let overflow = OperatorError::DistanceOverflow { source_node: 3 };
    assert_eq!(operators.sssp(3), Err(overflow.clone()));
    assert_eq!(oracle::sssp(operators.graph(), 3), None);
    // A detour that does not fit matters to nobody.
    let detour = [&fits[..], &[edge(3, 2, 7)]].concat();
    let graph = graph(4, &detour);
    let operators = Operators::new(&graph).unwrap();
    assert_eq!(operators.sssp(3).unwrap(), [1, half + 1, 7, 0]);
    check(&graph, &[0, 1, 2, 3]);
}

#[test]
fn a_walk_takes_edges_as_often_as_they_weigh() {
    let edges = [edge(0, 1, 1), edge(0, 2, 3), edge(1, 0, 5), edge(2, 0, 5)];
    let operators = Operators::new(&graph(3, &edges)).unwrap();
    let options = WalkOptions {
        steps: 1,
        per_start: 8000,
        seed: 3,
    };
    let walks = operators.walks(&[0], &options).unwrap();
    let visits = walks.visits(3);
    assert_eq!(visits[0], 8000);
    assert!((1850..2150).contains(&visits[1]), "{visits:?}");
    assert_eq!(visits[1] + visits[2], 8000);
    // Other seeds, other walks; no steps, only starts.
    let other = operators
        .walks(&[0], &WalkOptions { seed: 4, ..options })
        .unwrap();
    assert_ne!(walks, other);
    let still = operators
        .walks(
            &[2, 1],
            &WalkOptions {
                steps: 0,
                per_start: 1,
                seed: 0,
            },
        )
        .unwrap();
    assert_eq!(still.iter().collect::<Vec<_>>(), [[2], [1]]);
    let none = operators
        .walks(
            &[0],
            &WalkOptions {
                per_start: 0,
                ..options
            },
        )
        .unwrap();
    assert!(none.is_empty());
}

#[test]
fn personalised_ranking_is_pi_with_these_stakes() {
    let mut random = Rng::new(21);
    let plain = graph(300, &random_edges(&mut random, 300, 1500, false));
    let params = FocusParams {
        shards: 3,
        ..FocusParams::default()
    };
    for interests in [
        &[(7, 1)][..],
        &[(0, 3), (299, u64::MAX), (0, 4)],
        &[(5, 0), (6, 2)],
    ] {
        let mut staked = plain.clone();
        for &(node, stake) in interests {
            staked.set_stake(node, staked.stake(node) + stake).unwrap();
        }
        let expected = crate::oracle::focus::rank(&staked, &params, None).unwrap();
        // Stakes that the graph has do not count.
        let mut graph = plain.clone();
        graph.set_stake(9, 1 << 40).unwrap();
        for threads in THREADS {
            let operators = Operators::builder()
                .threads(threads)
                .prepare(&graph)
                .unwrap();
            for _ in 0..2 {
                assert_eq!(
                    operators.personalised(interests, &params).unwrap(),
                    expected
                );
            }
        }
    }
    let operators = Operators::new(&plain).unwrap();
    let all: Vec<(u32, u64)> = (0..300).map(|node| (node, 5)).collect();
    let uniform = operators.personalised(&all, &params).unwrap();
    assert_eq!(uniform, rank(&plain, &params, None).unwrap());
    assert_eq!(uniform.mass.iter().sum::<u64>(), MASS);
    for (interests, words) in [
        (&[][..], "no node of interest"),
        (&[(1, 0)], "no node of interest"),
        (&[(300, 1)], "node 300 of 300"),
        (&[(1, u64::MAX), (1, 1)], "stakes of node 1"),
    ] {
        let error = operators.personalised(interests, &params).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    // Refused interests leave no trace.
    assert_eq!(operators.personalised(&all, &params).unwrap(), uniform);
    let wrong = FocusParams {
        max_iterations: 0,
        ..params
    };
    let refused = operators.personalised(&all, &wrong);
    assert!(matches!(refused, Err(OperatorError::Focus(_))));
}

#[test]
fn what_cannot_be_done_is_said() {
    let operators = Operators::new(&graph(3, &[edge(0, 1, 1)])).unwrap();
    let no_node = OperatorError::Graph(GraphError::NoSuchNode { node: 3, nodes: 3 });
    let options = WalkOptions::default();
    assert_eq!(operators.bfs(3), Err(no_node.clone()));
    assert_eq!(operators.sssp(3), Err(no_node.clone()));
    assert_eq!(operators.walks(&[0, 3], &options), Err(no_node));
    assert!(operators.cdlp(ITERATIONS_MAX + 1).is_err());
    assert_eq!(operators.cdlp(ITERATIONS_MAX), operators.cdlp(2));
    let endless = WalkOptions {
        steps: u32::MAX,
        per_start: u32::MAX,
        seed: 0,
    };
    let refused = operators.walks(&[0, 1, 2], &endless).unwrap_err();
    assert!(
        refused.to_string().starts_with("walks may take "),
        "{refused}"
    );

    let limited = Operators::builder().memory_max(1 << 16);
    let operators = limited.prepare(&graph(5000, &[])).unwrap();
    let refused = |operator: Operator| {
        Err(OperatorError::Memory {
            operator: operator.name(),
            needed: operators.memory(operator),
            limit: 1 << 16,
        })
    };
    assert_eq!(operators.bfs(0), refused(Operator::Bfs).map(|()| vec![]));
    assert_eq!(operators.wcc(), refused(Operator::Wcc).map(|()| vec![]));
    assert_eq!(operators.sssp(0), refused(Operator::Sssp).map(|()| vec![]));
    assert_eq!(operators.cdlp(1), refused(Operator::Cdlp).map(|()| vec![]));
    assert_eq!(operators.lcc(), refused(Operator::Lcc).map(|()| vec![]));
    assert_eq!(
        operators.triangle_count(),
        refused(Operator::Triangles).map(|()| 0)
    );
    assert_eq!(operators.warm_up(Operator::Lcc), refused(Operator::Lcc));
    assert!(
        operators
            .personalised(&[(0, 1)], &FocusParams::default())
            .is_err()
    );
    assert_eq!(
        Operator::Bfs.memory(u32::MAX, u64::MAX, usize::MAX),
        u64::MAX
    );
    let all = Operator::Walks {
        count: u64::MAX,
        steps: u32::MAX,
    };
    assert_eq!(all.memory(u32::MAX, u64::MAX, usize::MAX), u64::MAX);
}

/// Layouts are made once, wherever operators are called from.
#[test]
fn operators_may_be_called_from_several_threads_at_once() {
    let mut random = Rng::new(2);
    let graph = graph(2000, &random_edges(&mut random, 2000, 9000, false));
    let operators = Operators::builder().threads(2).prepare(&graph).unwrap();
    for operator in [
        Operator::Bfs,
        Operator::Wcc,
        Operator::Sssp,
        Operator::Personalised,
    ] {
        operators.warm_up(operator).unwrap();
    }
    let interests = [(1, 1)];
    let params = FocusParams::default();
    let ranking = operators.personalised(&interests, &params).unwrap();
    let all = || {
        assert_eq!(operators.bfs(0).unwrap(), oracle::bfs(&graph, 0));
        assert_eq!(operators.lcc().unwrap(), oracle::lcc(&graph));
        assert_eq!(
            operators.personalised(&interests, &params).unwrap(),
            ranking
        );
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(all);
        }
    });
}
