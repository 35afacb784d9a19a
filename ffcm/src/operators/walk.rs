//! Random walks whose every step is a function of the seed.

use std::ops::Range;

use rayon::prelude::*;

use super::WalkOptions;
use super::layout::{ROWS, pieces, starts};
use crate::graph::Graph;

/// Walks per parallel piece.
const PIECE: usize = 1 << 8;

/// SplitMix64 (Steele, Lea, Flood: *Fast splittable pseudorandom number generators*, OOPSLA 2014).
#[derive(Clone, Copy, Debug)]
struct SplitMix64(u64);

/// What a state grows by at each number.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl SplitMix64 {
    /// The generator of a walk: its seed is the number that the generator of `seed` gives after `walk` others.
    fn of_walk(seed: u64, walk: u64) -> SplitMix64 {
        SplitMix64(SplitMix64(seed.wrapping_add(walk.wrapping_mul(GAMMA))).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0, each with exactly the same probability (Lemire: *Fast random integer
    /// generation in an interval*, 2019), and the number of 64 bits that it is the upper part of a product with.
    fn below(&mut self, bound: u64) -> (u64, u64) {
        loop {
            let drawn = self.next();
            let product = u128::from(drawn) * u128::from(bound);
            // Only a product with a small low half can be one of those that are too many.
            let low = product as u64;
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return ((product >> 64) as u64, drawn);
            }
        }
    }
}

/// Rows made for drawing from them.
#[derive(Debug)]
pub(super) struct Urns {
    /// Where each row starts and what its weights sum to; and where the last ends.
    rows: Vec<(usize, u64)>,
    edges: Vec<Edge>,
}

/// An edge, as the i-th of d in its row.
#[derive(Clone, Copy, Debug, Default)]
struct Edge {
    /// Sum of the weights up to this edge.
    sum: u64,
    target: u32,
    /// The first edge that any number drawn from the i-th of d equal parts leads to (Chen, Asau: *On generating random
    /// variates from an empirical distribution*, 1974): about one step away from where it leads, whatever the weights.
    guide: u32,
}

impl Urns {
    /// The rows of `graph`.
    pub(super) fn of(graph: &Graph) -> Urns {
        let nodes = graph.node_count();
        let starts = starts((0..nodes).map(|node| graph.out_degree(node) as usize));
        let mut edges = vec![Edge::default(); graph.edge_count() as usize];
        pieces(&starts, &mut edges)
            .into_par_iter()
            .for_each(|(first, mut rest)| {
                for node in (first..nodes).take(ROWS) {
                    let (targets, weights) = graph.row(node);
                    let own;
                    (own, rest) = rest.split_at_mut(targets.len());
                    fill(own, targets, weights);
                }
            });
        let sum = |node: usize| match edges[starts[node]..starts[node + 1]].last() {
            Some(last) => last.sum,
            None => 0,
        };
        let rows = (0..nodes as usize).map(|node| (starts[node], sum(node)));
        let rows = rows.chain([(edges.len(), 0)]).collect();
        Urns { rows, edges }
    }

    /// Where a walk goes from `node`; `None` without out-edges.
    #[inline(always)]
    fn step(&self, node: u32, random: &mut SplitMix64) -> Option<u32> {
        let (start, sum) = self.rows[node as usize];
        if sum == 0 {
            return None;
        }
        let row = &self.edges[start..self.rows[node as usize + 1].0];
        let (drawn, wide) = random.below(sum);
        let part = (u128::from(wide) * row.len() as u128) >> 64;
        let mut at = row[part as usize].guide as usize;
        while row[at].sum <= drawn {
            at += 1;
        }
        Some(row[at].target)
    }
}

/// Makes one row.
fn fill(row: &mut [Edge], targets: &[u32], weights: &[u64]) {
    let mut sum = 0;
    for ((edge, &target), weight) in row.iter_mut().zip(targets).zip(weights) {
        // The weights of a row sum to at most 2^64 - 1.
        sum += weight;
        (edge.target, edge.sum) = (target, sum);
    }
    let mut at = 0;
    for part in 0..row.len() {
        // What is drawn from this part is not below.
        let least = (part as u128 * u128::from(sum) / row.len() as u128) as u64;
        while row[at].sum <= least {
            at += 1;
        }
        row[part].guide = at as u32;
    }
}

/// All walks one after another, and where each ends.
pub(super) fn walks(urns: &Urns, starts: &[u32], options: &WalkOptions) -> (Vec<u32>, Vec<usize>) {
    let count = starts.len() * options.per_start as usize;
    let firsts = (0..count).into_par_iter().step_by(PIECE);
    let pieces: Vec<(Vec<u32>, Vec<usize>)> = firsts
        .map(|first| side_by_side(urns, starts, options, first..count.min(first + PIECE)))
        .collect();
    let (mut nodes, mut ends) = (Vec::new(), Vec::with_capacity(count));
    nodes.reserve_exact(pieces.iter().map(|(nodes, _)| nodes.len()).sum());
    for (more, own) in pieces {
        ends.extend(own.into_iter().map(|end| nodes.len() + end));
        nodes.extend(more);
    }
    (nodes, ends)
}

/// Some walks, one after another, and where each ends. All make a step before any makes the next: a step waits for memory
/// that the steps of others do not.
fn side_by_side(
    urns: &Urns,
    starts: &[u32],
    options: &WalkOptions,
    walks: Range<usize>,
) -> (Vec<u32>, Vec<usize>) {
    let (count, width) = (walks.len(), options.steps as usize + 1);
    let mut visited = vec![0; count * width];
    let mut lengths = vec![1; count];
    let mut going: Vec<(usize, u32, SplitMix64)> = Vec::with_capacity(count);
    for (index, walk) in walks.enumerate() {
        let start = starts[walk / options.per_start as usize];
        visited[index * width] = start;
        going.push((index, start, SplitMix64::of_walk(options.seed, walk as u64)));
    }
    for step in 1..width {
        going.retain_mut(|(index, node, random)| {
            let Some(next) = urns.step(*node, random) else {
                return false;
            };
            *node = next;
            visited[*index * width + step] = next;
            lengths[*index] = step + 1;
            true
        });
        if going.is_empty() {
            break;
        }
    }
    let mut end = 0;
    let ends = lengths.into_iter().enumerate().map(|(index, length)| {
        visited.copy_within(index * width..index * width + length, end);
        end += length;
        end
    });
    let ends = ends.collect();
    visited.truncate(end);
    (visited, ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // First outputs of the reference implementation for seed 1234567.
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
        let walk = SplitMix64::of_walk(1_234_567, 1);
        assert_eq!(walk.0, 3_203_168_211_198_807_973);
    }

    #[test]
    fn every_number_below_a_bound_has_equal_chances() {
        let mut random = SplitMix64(9);
        let mut counts = [0u32; 7];
        for _ in 0..7000 {
            counts[random.below(7).0 as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
        assert_eq!(random.below(1).0, 0);
        // 2^64 is 1 more than this, so that one draw in 2^64 is refused.
        assert!((0..100).all(|_| random.below(u64::MAX).0 < u64::MAX));
        // Nearly half of all draws are refused.
        let bound = (1 << 63) + 1;
        assert!((0..100).all(|_| random.below(bound).0 < bound));
    }
}
