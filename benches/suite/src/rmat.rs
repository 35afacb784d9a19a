//! Seeded Kronecker (RMAT) graphs as the GAP benchmark suite defines them: A = .57, B = C = .19, D = .05, node labels
//! permuted, symmetric, without self-loops and duplicates.

use rayon::prelude::*;

use crate::random::SplitMix64;

/// Parameters of a graph; equal parameters give the equal graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rmat {
    /// log2 of the number of nodes, at most 31.
    pub scale: u32,
    /// Undirected edges drawn per node, before duplicates and self-loops are dropped.
    pub degree: u32,
    /// Seed of edges and labels.
    pub seed: u64,
}

impl Rmat {
    /// Number of nodes.
    pub fn nodes(&self) -> u32 {
        1 << self.scale
    }

    /// All arcs `(source, target)` in ascending order, both directions of every edge.
    pub fn arcs(&self) -> Vec<(u32, u32)> {
        assert!(self.scale <= 31, "scale {} is above 31", self.scale);
        let mut labels: Vec<u32> = (0..self.nodes()).collect();
        SplitMix64::new(self.seed ^ 0x6c61_6265_6c73).shuffle(&mut labels);
        // Every block of edges has a generator of its own, so that the graph does not depend on the thread count.
        const BLOCK: u64 = 1 << 14;
        let edges = u64::from(self.nodes()) * u64::from(self.degree);
        let mut arcs: Vec<(u32, u32)> = (0..edges.div_ceil(BLOCK))
            .into_par_iter()
            .flat_map_iter(|block| {
                let mut random = SplitMix64::new(self.seed.wrapping_add(block << 20));
                let count = BLOCK.min(edges - block * BLOCK);
                let labels = &labels;
                (0..count).flat_map(move |_| {
                    let (u, v) = self.edge(&mut random);
                    let (u, v) = (labels[u as usize], labels[v as usize]);
                    [(u, v), (v, u)]
                })
            })
            .filter(|(u, v)| u != v)
            .collect();
        arcs.par_sort_unstable();
        arcs.dedup();
        arcs
    }

    /// One draw: at each level the quadrant of the adjacency matrix.
    pub(crate) fn edge(&self, random: &mut SplitMix64) -> (u32, u32) {
        let (mut u, mut v) = (0, 0);
        for _ in 0..self.scale {
            let (down, right) = match random.below(100) {
                0..57 => (0, 0),
                57..76 => (0, 1),
                76..95 => (1, 0),
                _ => (1, 1),
            };
            u = u << 1 | down;
            v = v << 1 | right;
        }
        (u, v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Rmat = Rmat {
        scale: 10,
        degree: 16,
        seed: 1,
    };

    #[test]
    fn arcs_are_sorted_unique_symmetric_and_loop_free() {
        let arcs = SMALL.arcs();
        assert!(arcs.windows(2).all(|w| w[0] < w[1]));
        assert!(arcs.iter().all(|&(u, v)| u != v && u < 1024 && v < 1024));
        assert!(
            arcs.iter()
                .all(|&(u, v)| arcs.binary_search(&(v, u)).is_ok())
        );
    }

    #[test]
    fn degrees_are_skewed() {
        let arcs = SMALL.arcs();
        let mut degrees = vec![0u32; 1024];
        for &(u, _) in &arcs {
            degrees[u as usize] += 1;
        }
        let largest = degrees.iter().max().copied().unwrap_or(0);
        assert!(
            largest as usize > 8 * arcs.len() / 1024,
            "largest {largest}"
        );
    }

    #[test]
    fn thread_count_does_not_change_the_graph() {
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let one = one.expect("a pool of one thread").install(|| SMALL.arcs());
        assert_eq!(one, SMALL.arcs());
        assert_ne!(one, Rmat { seed: 2, ..SMALL }.arcs());
    }
}
