//! Random walks whose every step is a function of the seed.

use std::iter;

use rayon::prelude::*;

use super::WalkOptions;
use super::layout::{Csr, ROWS, pieces};
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
    /// generation in an interval*, 2019).
    fn below(&mut self, bound: u64) -> u64 {
        loop {
            let product = u128::from(self.next()) * u128::from(bound);
            // Only a product with a small low half can be one of those that are too many.
            let low = product as u64;
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return (product >> 64) as u64;
            }
        }
    }
}

/// Sums of the weights of each row up to each edge; nothing if the weights of every row are equal.
#[derive(Debug)]
pub(super) struct Sums(Option<(Csr, Vec<u64>)>);

impl Sums {
    /// The sums of `graph`.
    pub(super) fn of(graph: &Graph) -> Sums {
        let even = |node| {
            let weights = graph.row(node).1;
            weights.iter().all(|&weight| weight == weights[0])
        };
        if (0..graph.node_count()).into_par_iter().all(even) {
            return Sums(None);
        }
        let out = Csr::of(graph);
        let mut sums = vec![0; out.edges()];
        pieces(out.starts(), &mut sums)
            .into_par_iter()
            .for_each(|(first, sums)| {
                let rows = (first..graph.node_count()).take(ROWS);
                let all = rows.flat_map(|node| {
                    let weights = graph.row(node).1.iter();
                    // The weights of a row sum to at most 2^64 - 1.
                    weights.scan(0, |sum, weight| {
                        *sum += weight;
                        Some(*sum)
                    })
                });
                sums.iter_mut().zip(all).for_each(|(own, sum)| *own = sum);
            });
        Sums(Some((out, sums)))
    }

    /// Where a walk goes from `node`; `None` without out-edges.
    fn step(&self, graph: &Graph, node: u32, random: &mut SplitMix64) -> Option<u32> {
        let Some((out, sums)) = &self.0 else {
            let (targets, weights) = graph.row(node);
            let weight = *weights.first()?;
            let drawn = random.below(weight * targets.len() as u64);
            return Some(targets[(drawn / weight) as usize]);
        };
        let sums = &sums[out.range(node)];
        let drawn = random.below(*sums.last()?);
        Some(out.row(node)[sums.partition_point(|&sum| sum <= drawn)])
    }
}

/// All walks one after another, and where each ends.
pub(super) fn walks(
    (graph, sums): (&Graph, &Sums),
    starts: &[u32],
    options: &WalkOptions,
) -> (Vec<u32>, Vec<usize>) {
    let count = starts.len() * options.per_start as usize;
    let piece = |first: usize| {
        let (mut nodes, mut ends) = (Vec::new(), Vec::new());
        for walk in first..count.min(first + PIECE) {
            let mut random = SplitMix64::of_walk(options.seed, walk as u64);
            let start = starts[walk / options.per_start as usize];
            let next = |&node: &u32| sums.step(graph, node, &mut random);
            nodes.extend(iter::successors(Some(start), next).take(options.steps as usize + 1));
            ends.push(nodes.len());
        }
        (nodes, ends)
    };
    let firsts = (0..count.div_ceil(PIECE)).into_par_iter();
    let pieces: Vec<(Vec<u32>, Vec<usize>)> = firsts.map(|index| piece(index * PIECE)).collect();
    let (mut nodes, mut ends) = (Vec::new(), Vec::with_capacity(count));
    nodes.reserve_exact(pieces.iter().map(|(nodes, _)| nodes.len()).sum());
    for (more, own) in pieces {
        ends.extend(own.into_iter().map(|end| nodes.len() + end));
        nodes.extend(more);
    }
    (nodes, ends)
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
            counts[random.below(7) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
        assert_eq!(random.below(1), 0);
        // 2^64 is 1 more than this, so that one draw in 2^64 is refused.
        assert!((0..100).all(|_| random.below(u64::MAX) < u64::MAX));
        // Nearly half of all draws are refused.
        let bound = (1 << 63) + 1;
        assert!((0..100).all(|_| random.below(bound) < bound));
    }
}
