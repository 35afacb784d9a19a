//! PageRank in floating point: the pull kernel that fast CPU suites publish, to be raced against, and an `f64` power
//! iteration, to judge results by.

use rayon::prelude::*;

/// In-neighbours in compressed rows, out-degrees beside them.
#[derive(Clone, Debug)]
pub struct PullGraph {
    /// Row v is `sources[offsets[v]..offsets[v + 1]]`.
    offsets: Vec<u32>,
    sources: Vec<u32>,
    out_degree: Vec<u32>,
}

impl PullGraph {
    /// Builds from arcs `(source, target)` with both ends below `nodes`; fewer than 2^32 arcs.
    pub fn new(nodes: u32, arcs: &[(u32, u32)]) -> PullGraph {
        assert!(u32::try_from(arcs.len()).is_ok(), "too many arcs");
        let mut offsets = vec![0u32; nodes as usize + 1];
        let mut out_degree = vec![0u32; nodes as usize];
        for &(source, target) in arcs {
            offsets[target as usize + 1] += 1;
            out_degree[source as usize] += 1;
        }
        for i in 1..offsets.len() {
            offsets[i] += offsets[i - 1];
        }
        let mut next = offsets.clone();
        let mut sources = vec![0u32; arcs.len()];
        for &(source, target) in arcs {
            let slot = &mut next[target as usize];
            sources[*slot as usize] = source;
            *slot += 1;
        }
        PullGraph {
            offsets,
            sources,
            out_degree,
        }
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.out_degree.len()
    }

    /// Number of arcs.
    pub fn arcs(&self) -> usize {
        self.sources.len()
    }

    /// Number of nodes without out-edges.
    pub fn dangling(&self) -> usize {
        self.out_degree
            .iter()
            .filter(|&&degree| degree == 0)
            .count()
    }

    /// Bytes an iteration of the `f32` pull kernel cannot avoid, caches being perfect for gathers: each source index once;
    /// per node its row offset, out-degree, score (read twice, written once) and contribution (written, then read once).
    pub fn compulsory_bytes(&self) -> usize {
        4 * self.arcs() + (4 + 4 + 12 + 8) * self.nodes()
    }

    fn row(&self, node: usize) -> &[u32] {
        &self.sources[self.offsets[node] as usize..self.offsets[node + 1] as usize]
    }
}

/// State of the `f32` kernel.
#[derive(Clone, Debug)]
pub struct PullF32 {
    /// Scores; they sum to at most 1, because the mass of nodes without out-edges is dropped.
    pub scores: Vec<f32>,
    contributions: Vec<f32>,
}

impl PullF32 {
    /// The uniform start.
    pub fn new(graph: &PullGraph) -> PullF32 {
        PullF32 {
            scores: vec![1.0 / graph.nodes() as f32; graph.nodes()],
            contributions: vec![0.0; graph.nodes()],
        }
    }

    /// One Jacobi iteration with damping `d` on the current rayon pool: divide each score by its out-degree, then sum over
    /// in-neighbours. Returns the L1 change.
    pub fn step(&mut self, graph: &PullGraph, d: f32) -> f64 {
        // Small pieces, because with labels by degree the first few thousand rows hold most arcs.
        const ROWS: usize = 1 << 8;
        let base = (1.0 - d) / graph.nodes() as f32;
        let contributions = &mut self.contributions;
        contributions
            .par_iter_mut()
            .with_min_len(ROWS)
            .zip(&self.scores)
            .zip(&graph.out_degree)
            .for_each(|((contribution, &score), &degree)| *contribution = score / degree as f32);
        let contributions = &self.contributions;
        self.scores
            .par_chunks_mut(ROWS)
            .enumerate()
            .map(|(chunk, scores)| {
                let mut change = 0.0;
                for (i, score) in scores.iter_mut().enumerate() {
                    let row = graph.row(chunk * ROWS + i);
                    let sum: f32 = row.iter().map(|&u| contributions[u as usize]).sum();
                    let new = base + d * sum;
                    change += f64::from((new - *score).abs());
                    *score = new;
                }
                change
            })
            .sum()
    }
}

/// What happens to the mass of nodes without out-edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dangling {
    /// It vanishes, as in the GAP benchmark suite.
    Dropped,
    /// It is spread evenly, as in the exact engine of this project.
    Spread,
}

/// The `f64` fixed point: power iteration until the L1 change is below `tolerance` or `max_iterations` are done.
pub fn reference(
    graph: &PullGraph,
    d: f64,
    dangling: Dangling,
    tolerance: f64,
    max_iterations: usize,
) -> Vec<f64> {
    let n = graph.nodes();
    let mut scores = vec![1.0 / n as f64; n];
    for _ in 0..max_iterations {
        let contributions: Vec<f64> = scores
            .par_iter()
            .zip(&graph.out_degree)
            .map(|(&score, &degree)| score / f64::from(degree.max(1)))
            .collect();
        let lost: f64 = match dangling {
            Dangling::Dropped => 0.0,
            Dangling::Spread => (0..n)
                .filter(|&v| graph.out_degree[v] == 0)
                .map(|v| scores[v])
                .sum(),
        };
        let base = (1.0 - d + d * lost) / n as f64;
        let new: Vec<f64> = (0..n)
            .into_par_iter()
            .map(|v| {
                let row = graph.row(v);
                base + d * row.iter().map(|&u| contributions[u as usize]).sum::<f64>()
            })
            .collect();
        let change: f64 = l1(&new, &scores);
        scores = new;
        if change < tolerance {
            break;
        }
    }
    scores
}

/// Σ |a − b|.
pub fn l1(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "vectors of different length");
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rmat::Rmat;

    const D: f64 = 0.85;

    #[test]
    fn two_node_graph_has_the_known_fixed_point() {
        // 0 → 1 only: with dangling mass spread, x0 = b, x1 = b + d x0, b = (1 - d + d x1) / 2.
        let graph = PullGraph::new(2, &[(0, 1)]);
        let x = reference(&graph, D, Dangling::Spread, 1e-15, 1000);
        let x0 = 1.0 / (2.0 + D);
        assert!(l1(&x, &[x0, x0 * (1.0 + D)]) < 1e-13, "{x:?}");
        let x = reference(&graph, D, Dangling::Dropped, 1e-15, 1000);
        assert!(l1(&x, &[0.075, 0.075 * (1.0 + D)]) < 1e-13, "{x:?}");
    }

    #[test]
    fn f32_kernel_approaches_the_reference() {
        let rmat = Rmat {
            scale: 8,
            degree: 8,
            seed: 5,
        };
        let graph = PullGraph::new(rmat.nodes(), &rmat.arcs());
        let exact = reference(&graph, D, Dangling::Dropped, 1e-14, 1000);
        let mut kernel = PullF32::new(&graph);
        let mut change = 1.0;
        for _ in 0..60 {
            change = kernel.step(&graph, D as f32);
        }
        let scores: Vec<f64> = kernel.scores.iter().copied().map(f64::from).collect();
        assert!(change < 1e-5, "{change}");
        assert!(l1(&scores, &exact) < 1e-5, "{}", l1(&scores, &exact));
    }
}
