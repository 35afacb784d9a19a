use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::testing::Rng;

fn delta(source: u32, target: u32, weight: u64) -> EdgeDelta {
    EdgeDelta {
        source,
        target,
        weight,
    }
}

fn graph(nodes: u32, deltas: &[EdgeDelta]) -> Graph {
    let mut graph = Graph::new();
    graph.add_nodes(nodes).unwrap();
    graph.apply(deltas).unwrap();
    graph
}

#[test]
fn later_deltas_of_one_edge_win() {
    let graph = graph(
        3,
        &[
            delta(0, 1, 5),
            delta(2, 0, 1),
            delta(0, 1, 0),
            delta(0, 1, 7),
        ],
    );
    assert_eq!(graph.out_edges(0).collect::<Vec<_>>(), [(1, 7)]);
    assert_eq!(
        (
            graph.edge_count(),
            graph.edge_weight(2, 0),
            graph.edge_weight(1, 0)
        ),
        (2, 1, 0)
    );
    assert_eq!(
        (
            graph.out_weight(0),
            graph.out_degree(0),
            graph.out_degree(1)
        ),
        (7, 1, 0)
    );
}

#[test]
fn self_loops_are_edges() {
    let graph = graph(1, &[delta(0, 0, 3)]);
    assert_eq!(graph.out_edges(0).collect::<Vec<_>>(), [(0, 3)]);
}

#[test]
fn a_refused_batch_changes_nothing() {
    let mut changed = graph(2, &[delta(0, 0, u64::MAX)]);
    let before = changed.clone();
    let overflow = changed.apply(&[delta(1, 1, 1), delta(0, 1, 1)]);
    assert_eq!(overflow, Err(GraphError::WeightOverflow { node: 0 }));
    let missing = changed.apply(&[delta(1, 1, 1), delta(0, 2, 1)]);
    assert_eq!(missing, Err(GraphError::NoSuchNode { node: 2, nodes: 2 }));
    assert_eq!(
        changed.set_stake(9, 1),
        Err(GraphError::NoSuchNode { node: 9, nodes: 2 })
    );
    assert_eq!(
        changed.add_nodes(u32::MAX),
        Err(GraphError::TooLarge { what: "nodes" })
    );
    assert_eq!(
        (changed.version(), changed.digest()),
        (before.version(), before.digest())
    );
    assert_eq!(changed, before);
    // A batch that takes away as much as it adds is fine.
    changed
        .apply(&[delta(0, 1, 1), delta(0, 0, u64::MAX - 1)])
        .unwrap();
    assert_eq!(changed.out_weight(0), u64::MAX);
}

#[test]
fn rows_out_of_range_are_empty() {
    let graph = graph(1, &[]);
    assert_eq!(
        graph.out_edges(4096).count() + graph.row(u32::MAX).0.len(),
        0
    );
    assert_eq!((graph.stake(4096), graph.edge_weight(7, 7)), (0, 0));
}

#[test]
fn what_changed_is_told() {
    let ranges = |graph: &Graph, earlier: &Graph| graph.changed_since(earlier).collect::<Vec<_>>();
    let first = graph(3000, &[delta(0, 1, 1), delta(1024, 1, 1)]);
    let mut later = first.clone();
    assert_eq!(ranges(&later, &first), []);
    later.apply(&[delta(1500, 2999, 5)]).unwrap();
    later.set_stake(7, 1).unwrap();
    assert_eq!(ranges(&later, &first), [0..1024, 1024..2048]);
    assert_eq!(ranges(&first, &later), [0..1024, 1024..2048]);
    // Nodes appended within a run are new to the node count alone.
    later.add_nodes(72).unwrap();
    assert_eq!(ranges(&later, &first), [0..1024, 1024..2048]);
    later.add_nodes(1).unwrap();
    assert_eq!(ranges(&later, &first), [0..1024, 1024..2048, 3072..4096]);
    assert_eq!(ranges(&later, &Graph::new()).len(), 4);
}

#[test]
fn stakes_sum_beyond_64_bits() {
    let mut graph = graph(3, &[]);
    graph.set_stake(0, u64::MAX).unwrap();
    graph.set_stake(2, u64::MAX).unwrap();
    assert_eq!(graph.stake_total(), 2 * u128::from(u64::MAX));
    graph.set_stake(0, 1).unwrap();
    assert_eq!(graph.stake_total(), 1 + u128::from(u64::MAX));
}

#[test]
fn the_digest_sees_nodes_edges_and_stakes() {
    let base = graph(1024, &[delta(0, 1, 1)]);
    let mut seen = vec![base.digest()];
    let mut other = base.clone();
    other.add_nodes(1).unwrap();
    seen.push(other.digest());
    other.set_stake(1024, 1).unwrap();
    seen.push(other.digest());
    other.apply(&[delta(1, 0, 1)]).unwrap();
    seen.push(other.digest());
    seen.push(Graph::new().digest());
    let mut unique = seen.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), seen.len());
    // History does not count, and a clone is not touched by changes to its origin.
    other.apply(&[delta(1, 0, 0)]).unwrap();
    other.set_stake(1024, 0).unwrap();
    assert_eq!(other.digest(), seen[1]);
    assert_eq!(base.digest(), seen[0]);
}

/// Seeded deltas of every size and kind: sources and targets few or many, a hub or none, a third of them removals.
fn deltas(random: &mut Rng, nodes: u32) -> Vec<EdgeDelta> {
    let mut below = |bound: usize| random.below(bound as u64) as usize;
    let count = [0, 1, 40, 1023, 1024, 6000, 70_000][below(7)];
    let few = u64::from([nodes, nodes.min(40), nodes.min(1100)][below(3)]);
    let heaviest = [3, u64::from(u32::MAX), u64::MAX >> 33][below(3)];
    let mut batch: Vec<EdgeDelta> = (0..count)
        .map(|_| EdgeDelta {
            source: match random.below(4) {
                0 => nodes / 2,
                _ => nodes - 1 - random.below(few) as u32,
            },
            target: random.below(few) as u32,
            weight: match random.below(3) {
                0 => 0,
                _ => 1 + random.below(heaviest),
            },
        })
        .collect();
    if random.below(4) == 0 {
        batch.sort_by_key(|delta| (delta.source, delta.target));
        batch.dedup_by_key(|delta| (delta.source, delta.target));
    }
    batch
}

/// Large batches go through buckets and several threads; the graph is that of a rebuild from everything at once, in
/// rows, counts and hashes.
#[test]
fn batches_of_every_size_equal_a_rebuild() {
    for (seed, threads) in [(1, 1), (2, 2), (3, 5), (4, 2), (5, 1), (6, 3)] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let mut random = Rng::new(seed);
        let mut changed = graph(1, &[]);
        let mut history = vec![];
        let mut expected = BTreeMap::new();
        for _ in 0..8 {
            changed.add_nodes(random.below(9000) as u32).unwrap();
            let batch = deltas(&mut random, changed.node_count());
            pool.install(|| changed.apply(&batch)).unwrap();
            for delta in &batch {
                expected.insert((delta.source, delta.target), delta.weight);
            }
            history.extend(batch);
        }
        expected.retain(|_, weight| *weight != 0);
        let edges = changed.edges().map(|e| ((e.source, e.target), e.weight));
        assert!(edges.eq(expected), "seed {seed}");
        let rebuilt = pool.install(|| graph(changed.node_count(), &history));
        assert_eq!(changed, rebuilt, "seed {seed}");
        assert_eq!(changed.edge_count(), changed.edges().count() as u64);
        for (chunk, other) in changed.chunks().iter().zip(rebuilt.chunks()) {
            assert_eq!(chunk.digest(), other.digest(), "seed {seed}");
        }
        assert_eq!(changed.digest(), rebuilt.digest(), "seed {seed}");
    }
}

/// The first node in order with too much weight is named, whatever the order of the batch and the number of threads.
#[test]
fn a_large_refused_batch_names_the_first_node() {
    let mut heavy: Vec<EdgeDelta> = (0..9000).map(|n| delta(n, 0, u64::MAX - 1)).collect();
    let mut changed = graph(9000, &heavy);
    let before = changed.clone();
    for delta in &mut heavy {
        *delta = EdgeDelta {
            target: 1,
            weight: 1,
            ..*delta
        };
    }
    for node in [4711, 77, 8999] {
        heavy[node].weight = 2;
    }
    for turned in [false, true] {
        let found = changed.apply(&heavy);
        assert_eq!(
            found,
            Err(GraphError::WeightOverflow { node: 77 }),
            "{turned}"
        );
        heavy.reverse();
    }
    let mut missing = heavy.clone();
    missing[5000].target = 9000;
    missing[6000].source = u32::MAX;
    let (node, nodes) = (9000, 9000);
    assert_eq!(
        changed.apply(&missing),
        Err(GraphError::NoSuchNode { node, nodes })
    );
    assert_eq!((&changed, changed.version()), (&before, before.version()));
    for node in [4711, 77, 8999] {
        heavy[node].weight = 1;
    }
    changed.apply(&heavy).unwrap();
    assert_eq!(changed.out_weight(77), u64::MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn batches_equal_a_map(
        nodes in 1u32..3000,
        batches in prop::collection::vec(
            prop::collection::vec((any::<u32>(), any::<u32>(), 0u64..4), 0..60),
            0..6,
        ),
    ) {
        let mut graph = graph(nodes, &[]);
        let mut expected = BTreeMap::new();
        for batch in batches {
            // Squared down to few nodes at times, so that edges meet again.
            let modulus = if batch.len() % 2 == 0 { nodes } else { nodes.min(5) };
            let deltas: Vec<EdgeDelta> =
                batch.iter().map(|&(s, t, w)| delta(s % modulus, t % modulus, w)).collect();
            for delta in &deltas {
                expected.insert((delta.source, delta.target), delta.weight);
            }
            expected.retain(|_, weight| *weight != 0);
            graph.apply(&deltas).unwrap();
        }
        let edges: Vec<_> = graph.edges().map(|e| ((e.source, e.target), e.weight)).collect();
        prop_assert_eq!(&edges, &expected.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(graph.edge_count(), edges.len() as u64);
        let rebuilt = self::graph(nodes, &graph.edges().collect::<Vec<_>>());
        prop_assert_eq!(graph.digest(), rebuilt.digest());
    }
}
