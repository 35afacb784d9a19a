//! The operators of [`crate::operators`], each as short as it can be said.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::graph::Graph;
use crate::operators::{Fraction, UNREACHABLE, UNREACHED, WalkOptions};

/// Breadth-first search with a queue.
pub fn bfs(graph: &Graph, source: u32) -> Vec<i64> {
    let mut levels = vec![UNREACHABLE; graph.node_count() as usize];
    levels[source as usize] = 0;
    let mut queue = VecDeque::from([source]);
    while let Some(node) = queue.pop_front() {
        for (target, _) in graph.out_edges(node) {
            if levels[target as usize] == UNREACHABLE {
                levels[target as usize] = levels[node as usize] + 1;
                queue.push_back(target);
            }
        }
    }
    levels
}

/// Shortest paths by taking the nearest node next, in sums that cannot overflow; `None` if one does not fit.
pub fn sssp(graph: &Graph, source: u32) -> Option<Vec<u64>> {
    let mut distances = vec![None; graph.node_count() as usize];
    distances[source as usize] = Some(0u128);
    let mut waiting = BTreeSet::from([(0u128, source)]);
    while let Some((distance, node)) = waiting.pop_first() {
        for (target, weight) in graph.out_edges(node) {
            let nearer = distance + u128::from(weight);
            let own = &mut distances[target as usize];
            if own.is_none_or(|distance| nearer < distance) {
                *own = Some(nearer);
                waiting.insert((nearer, target));
            }
        }
    }
    let fits = |distance: Option<u128>| match distance {
        None => Some(UNREACHED),
        Some(distance) => u64::try_from(distance).ok().filter(|&d| d < UNREACHED),
    };
    distances.into_iter().map(fits).collect()
}

/// Components by giving both ends of every edge the smaller label until nothing changes.
pub fn wcc(graph: &Graph) -> Vec<u32> {
    let mut labels: Vec<u32> = (0..graph.node_count()).collect();
    let mut changes = true;
    while changes {
        changes = false;
        for edge in graph.edges() {
            let (source, target) = (edge.source as usize, edge.target as usize);
            let smaller = labels[source].min(labels[target]);
            changes |= labels[source] != smaller || labels[target] != smaller;
            (labels[source], labels[target]) = (smaller, smaller);
        }
    }
    labels
}

/// Label propagation: all labels are counted, then all are replaced.
pub fn cdlp(graph: &Graph, iterations: u32) -> Vec<u32> {
    let mut labels: Vec<u32> = (0..graph.node_count()).collect();
    for _ in 0..iterations {
        let mut counts = vec![BTreeMap::new(); labels.len()];
        for edge in graph.edges() {
            let (source, target) = (edge.source as usize, edge.target as usize);
            *counts[source].entry(labels[target]).or_insert(0u64) += 1;
            *counts[target].entry(labels[source]).or_insert(0u64) += 1;
        }
        for (label, counts) in labels.iter_mut().zip(counts) {
            let most = counts.values().copied().max();
            if let Some((&first, _)) = counts.iter().find(|(_, count)| Some(**count) == most) {
                *label = first;
            }
        }
    }
    labels
}

/// N(v) of every node.
fn neighbours(graph: &Graph) -> Vec<BTreeSet<u32>> {
    let mut neighbours = vec![BTreeSet::new(); graph.node_count() as usize];
    for edge in graph.edges().filter(|edge| edge.source != edge.target) {
        neighbours[edge.source as usize].insert(edge.target);
        neighbours[edge.target as usize].insert(edge.source);
    }
    neighbours
}

/// Local clustering coefficients: all pairs of neighbours are looked at.
pub fn lcc(graph: &Graph) -> Vec<Fraction> {
    let coefficient = |near: &BTreeSet<u32>| {
        let pairs = near.iter().flat_map(|&u| near.iter().map(move |&w| (u, w)));
        let pairs = pairs.filter(|(u, w)| u != w);
        Fraction {
            numerator: pairs
                .clone()
                .filter(|&(u, w)| graph.edge_weight(u, w) > 0)
                .count() as u64,
            denominator: (pairs.count() as u64).max(1),
        }
    };
    neighbours(graph).iter().map(coefficient).collect()
}

/// Triangles through every node.
pub fn triangles(graph: &Graph) -> Vec<u64> {
    let all = neighbours(graph);
    let count = |near: &BTreeSet<u32>| {
        let pairs = near
            .iter()
            .flat_map(|&u| near.range(u + 1..).map(move |&w| (u, w)));
        pairs.filter(|(u, w)| all[*u as usize].contains(w)).count() as u64
    };
    all.iter().map(count).collect()
}

/// Triangles in the graph: each has three nodes.
pub fn triangle_count(graph: &Graph) -> u64 {
    triangles(graph).iter().sum::<u64>() / 3
}

/// The number that SplitMix64 gives in this state, which is moved on.
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Random walks, as [`WalkOptions`] defines them.
pub fn walks(graph: &Graph, starts: &[u32], options: &WalkOptions) -> Vec<Vec<u32>> {
    let mut walks = Vec::new();
    let mut seeds = options.seed;
    for &start in starts {
        for _ in 0..options.per_start {
            let mut random = splitmix64(&mut seeds);
            let mut walk = vec![start];
            let mut node = start;
            while walk.len() <= options.steps as usize && graph.out_degree(node) > 0 {
                let sum = u128::from(graph.out_weight(node));
                let mut product = u128::from(splitmix64(&mut random)) * sum;
                while product % (1 << 64) < (1 << 64) % sum {
                    product = u128::from(splitmix64(&mut random)) * sum;
                }
                let mut left = product >> 64;
                for (target, weight) in graph.out_edges(node) {
                    if left < u128::from(weight) {
                        node = target;
                        break;
                    }
                    left -= u128::from(weight);
                }
                walk.push(node);
            }
            walks.push(walk);
        }
    }
    walks
}
