//! Shortest paths by Δ-stepping (Meyer, Sanders: *Δ-stepping: a parallelizable shortest path algorithm*, 2003), in whole
//! numbers.
//!
//! Nodes wait in buckets by distance, 2^shift wide. The nodes of the nearest bucket relax their edges together, again
//! and again until none of them comes nearer; then the bucket is done. How many share a bucket decides how much is
//! relaxed twice, never what comes out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rayon::prelude::*;

use super::layout::{ROWS, pieces, starts};
use crate::graph::Graph;

/// Distance of a node that is not reached, or not by a path of less than this.
pub(super) const UNREACHED: u64 = u64::MAX;

/// Buckets that are lists of their own; what lies farther away waits in a map.
const NEAR: u64 = 1 << 8;
/// Nodes of a bucket per parallel piece, and the number that is worth more than one thread.
const PIECE: usize = 1 << 8;

/// Out-edges with their weights, side by side.
#[derive(Debug)]
pub(super) struct Weighted {
    starts: Vec<usize>,
    edges: Edges,
    /// log2 of the width of a bucket.
    shift: u32,
}

/// Weights in the smaller of two widths that holds them all.
#[derive(Debug)]
enum Edges {
    Narrow(Vec<(u32, u32)>),
    Wide(Vec<(u32, u64)>),
}

impl Weighted {
    /// The edges of `graph`.
    pub(super) fn of(graph: &Graph) -> Weighted {
        let nodes = 0..graph.node_count();
        let starts = starts(nodes.clone().map(|node| graph.out_degree(node) as usize));
        let weights = nodes.into_par_iter().map(|node| {
            let weights = graph.row(node).1;
            let sum: u128 = weights.iter().copied().map(u128::from).sum();
            (weights.iter().copied().max().unwrap_or(0), sum)
        });
        let join = |a: (u64, u128), b: (u64, u128)| (a.0.max(b.0), a.1 + b.1);
        let (largest, sum) = weights.reduce(|| (0, 0), join);
        let edges = match u32::try_from(largest) {
            // No weight is above the largest.
            Ok(_) => Edges::Narrow(copied(graph, &starts, |weight| weight as u32)),
            Err(_) => Edges::Wide(copied(graph, &starts, |weight| weight)),
        };
        Weighted {
            shift: width(graph, sum),
            starts,
            edges,
        }
    }
}

/// log2 of the width of a bucket: about twice the mean weight over the mean out-degree.
fn width(graph: &Graph, sum: u128) -> u32 {
    let edges = u128::from(graph.edge_count().max(1));
    let nodes = u128::from(graph.node_count().max(1));
    let mean = sum / edges;
    let width = (2 * mean * nodes / edges).max(1);
    // The mean is below 2^64, and only a graph with fewer edges than nodes makes it wider.
    width.ilog2().min(63)
}

fn copied<W: Copy + Default + Send>(
    graph: &Graph,
    starts: &[usize],
    weight: impl Fn(u64) -> W + Sync,
) -> Vec<(u32, W)> {
    let mut edges = vec![(0, W::default()); graph.edge_count() as usize];
    let copy = |(first, edges): (u32, &mut [(u32, W)])| {
        let rows = (first..graph.node_count()).take(ROWS);
        let all = rows.flat_map(|node| graph.out_edges(node));
        for (edge, (target, own)) in edges.iter_mut().zip(all) {
            *edge = (target, weight(own));
        }
    };
    pieces(starts, &mut edges).into_par_iter().for_each(copy);
    edges
}

/// Distances from `source`; `None` if a path that matters is [`UNREACHED`] or longer.
pub(super) fn distances(graph: &Weighted, source: u32) -> Option<Vec<u64>> {
    match &graph.edges {
        Edges::Narrow(edges) => search(graph, edges, source),
        Edges::Wide(edges) => search(graph, edges, source),
    }
}

fn search<W: Copy + Into<u64> + Sync>(
    graph: &Weighted,
    edges: &[(u32, W)],
    source: u32,
) -> Option<Vec<u64>> {
    let nodes = graph.starts.len() - 1;
    let search = Search {
        starts: &graph.starts,
        edges,
        shift: graph.shift,
        distances: (0..nodes).map(|_| AtomicU64::new(UNREACHED)).collect(),
        waiting: (0..nodes).map(|_| AtomicBool::new(false)).collect(),
        too_long: AtomicBool::new(false),
    };
    search.distances[source as usize].store(0, Ordering::Relaxed);
    let mut buckets = Buckets::default();
    buckets.put(0, source);
    while let Some((bucket, mut nodes)) = buckets.pop() {
        while !nodes.is_empty() {
            let relax = |nodes: &[u32]| search.relax(bucket, nodes);
            let found: Vec<Found> = match nodes.len() <= PIECE {
                true => vec![relax(&nodes)],
                false => nodes.par_chunks(PIECE).map(relax).collect(),
            };
            nodes.clear();
            for found in found {
                nodes.extend(found.again);
                // Where it is by now, which may be nearer than where it was when it was found.
                for node in found.later {
                    let distance = search.distances[node as usize].load(Ordering::Relaxed);
                    buckets.put(distance >> search.shift, node);
                }
            }
        }
    }
    let Search {
        distances,
        too_long,
        ..
    } = search;
    let distances: Vec<u64> = distances.into_iter().map(AtomicU64::into_inner).collect();
    let overflows = too_long.into_inner() && overflows(graph, edges, &distances);
    (!overflows).then_some(distances)
}

/// Whether a node that has an edge from one with a distance has none itself.
fn overflows<W>(graph: &Weighted, edges: &[(u32, W)], distances: &[u64]) -> bool {
    let rows = graph.starts.windows(2).zip(distances);
    let reached = rows.filter(|(_, distance)| **distance != UNREACHED);
    let mut targets = reached.flat_map(|(row, _)| &edges[row[0]..row[1]]);
    targets.any(|&(target, _)| distances[target as usize] == UNREACHED)
}

struct Search<'a, W> {
    starts: &'a [usize],
    edges: &'a [(u32, W)],
    shift: u32,
    distances: Vec<AtomicU64>,
    /// Whether a node is among those of the present bucket that relax again.
    waiting: Vec<AtomicBool>,
    /// Whether an edge led to a distance beyond all.
    too_long: AtomicBool,
}

/// Nodes that have come nearer.
#[derive(Default)]
struct Found {
    /// Into the present bucket.
    again: Vec<u32>,
    /// Into a later one. An edge puts its target there twice at most, as its source is in one bucket while it relaxes.
    later: Vec<u32>,
}

impl<W: Copy + Into<u64>> Search<'_, W> {
    /// Relaxes the edges of those of `nodes` that belong to `bucket`.
    fn relax(&self, bucket: u64, nodes: &[u32]) -> Found {
        let mut found = Found::default();
        for &node in nodes {
            // Before the distance is read: who comes nearer after that puts the node on the list again.
            let waiting = &self.waiting[node as usize];
            if waiting.load(Ordering::Relaxed) {
                waiting.swap(false, Ordering::AcqRel);
            }
            let distance = self.distances[node as usize].load(Ordering::Relaxed);
            if distance >> self.shift != bucket {
                // It came nearer and went into an earlier bucket.
                continue;
            }
            let row = self.starts[node as usize]..self.starts[node as usize + 1];
            for &(target, weight) in &self.edges[row] {
                let Some(nearer) = distance.checked_add(weight.into()) else {
                    self.too_long.store(true, Ordering::Relaxed);
                    continue;
                };
                self.offer(target, nearer, bucket, &mut found);
            }
        }
        found
    }

    /// Brings `target` as near as `nearer`, if that is nearer than it is.
    #[inline(always)]
    fn offer(&self, target: u32, nearer: u64, bucket: u64, found: &mut Found) {
        let own = &self.distances[target as usize];
        let before = own.load(Ordering::Relaxed);
        if nearer >= before {
            if nearer == UNREACHED {
                self.too_long.store(true, Ordering::Relaxed);
            }
            return;
        }
        let before = own.fetch_min(nearer, Ordering::AcqRel);
        if nearer >= before {
            return;
        }
        let to = nearer >> self.shift;
        if to == bucket {
            if !self.waiting[target as usize].swap(true, Ordering::AcqRel) {
                found.again.push(target);
            }
        } else if to != before >> self.shift || before == UNREACHED {
            found.later.push(target);
        }
    }
}

/// Lists of nodes by number of bucket.
#[derive(Default)]
struct Buckets {
    /// No bucket before this has nodes.
    first: u64,
    /// The [`NEAR`] buckets from `first`, bucket b at place b modulo [`NEAR`].
    near: Vec<Vec<u32>>,
    /// Nodes that were too far away when they were put.
    far: BTreeMap<u64, Vec<u32>>,
}

impl Buckets {
    /// `bucket` is not before the one popped last.
    fn put(&mut self, bucket: u64, node: u32) {
        debug_assert!(bucket >= self.first);
        if self.near.is_empty() {
            self.near.resize(NEAR as usize, Vec::new());
        }
        match bucket - self.first < NEAR {
            true => self.near[(bucket % NEAR) as usize].push(node),
            false => self.far.entry(bucket).or_default().push(node),
        }
    }

    /// The first bucket that has nodes, and these.
    fn pop(&mut self) -> Option<(u64, Vec<u32>)> {
        let place = |bucket: u64| (bucket % NEAR) as usize;
        let near = (self.first..=self.first.saturating_add(NEAR - 1)).find(|&bucket| {
            self.near
                .get(place(bucket))
                .is_some_and(|nodes| !nodes.is_empty())
        });
        let far = self.far.keys().next().copied();
        let bucket = near.into_iter().chain(far).min()?;
        let mut nodes = self.far.remove(&bucket).unwrap_or_default();
        if near == Some(bucket) {
            nodes.append(&mut self.near[place(bucket)]);
        }
        self.first = bucket;
        Some((bucket, nodes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_come_in_order_near_and_far() {
        let mut buckets = Buckets::default();
        assert_eq!(buckets.pop(), None);
        for (bucket, node) in [(3, 1), (NEAR + 3, 2), (3, 3), (u64::MAX, 4), (NEAR + 2, 5)] {
            buckets.put(bucket, node);
        }
        assert_eq!(buckets.pop(), Some((3, vec![1, 3])));
        // The same bucket, far when node 2 was put and near now.
        buckets.put(NEAR + 3 - 1, 6);
        assert_eq!(buckets.pop(), Some((NEAR + 2, vec![5, 6])));
        buckets.put(NEAR + 3, 7);
        assert_eq!(buckets.pop(), Some((NEAR + 3, vec![2, 7])));
        assert_eq!(buckets.pop(), Some((u64::MAX, vec![4])));
        buckets.put(u64::MAX, 8);
        assert_eq!(buckets.pop(), Some((u64::MAX, vec![8])));
        assert_eq!(buckets.pop(), None);
    }
}
