//! Seeded graphs of an asked-for number of edges: the same parameters give the same graph everywhere.

use rayon::prelude::*;

use crate::random::SplitMix64;
use crate::rmat::Rmat;

/// How the edges of a generated graph lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Kronecker (RMAT): a few hubs, most nodes with few edges.
    #[default]
    Rmat,
    /// Planted partition (a stochastic block model): about √n communities; nine edges of ten stay inside.
    Communities,
    /// A square grid, four neighbours a node, nodes numbered row by row.
    Grid,
}

impl Shape {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Rmat => "rmat",
            Shape::Communities => "communities",
            Shape::Grid => "grid",
        }
    }
}

/// Undirected edges drawn per node, about.
const DEGREE: u64 = 16;
/// Nodes from which on a degree of 16 is sparse enough.
const SPARSE_NODES: u64 = 1 << 10;
/// Most edges that are generated, both directions counted: nodes keep 32 bits in every shape.
pub const EDGES_MAX: u64 = 1 << 33;

/// Nodes and arcs, both directions of every edge, sorted, without loops and duplicates.
pub struct Arcs {
    /// Number of nodes.
    pub nodes: u32,
    /// (source, target).
    pub arcs: Vec<(u32, u32)>,
}

/// A graph of about `edges` arcs; duplicates that were drawn are missing.
///
/// # Panics
/// Above [`EDGES_MAX`].
pub fn arcs(shape: Shape, edges: u64, seed: u64) -> Arcs {
    assert!(edges <= EDGES_MAX, "{edges} edges");
    match shape {
        Shape::Rmat => rmat(edges, seed),
        Shape::Communities => communities(edges, seed),
        Shape::Grid => grid(edges),
    }
}

/// Nodes that a graph of `edges` arcs has, about.
pub fn nodes(shape: Shape, edges: u64) -> u64 {
    match shape {
        Shape::Rmat => 1 << scale(edges),
        Shape::Communities => sparse(edges),
        Shape::Grid => side(edges) * side(edges),
    }
}

/// Nodes of [`DEGREE`] undirected edges each; fewer edges in small graphs, where at most one pair of nodes in eight is
/// drawn, or nearly everything would be drawn twice.
fn sparse(edges: u64) -> u64 {
    let least = (8 * edges).isqrt().min(SPARSE_NODES);
    (edges / (2 * DEGREE)).max(least).max(4)
}

/// log2 of the number of nodes.
fn scale(edges: u64) -> u32 {
    sparse(edges).ilog2()
}

fn rmat(edges: u64, seed: u64) -> Arcs {
    let scale = scale(edges);
    let rmat = Rmat {
        scale,
        // The division undoes what rounding the nodes down to a power of two did.
        degree: ((edges / 2) >> scale).max(1) as u32,
        seed,
    };
    Arcs {
        nodes: rmat.nodes(),
        arcs: rmat.arcs(),
    }
}

/// Nodes of one community: about as many as there are communities.
fn community(nodes: u64) -> u64 {
    nodes.isqrt().max(2)
}

fn communities(edges: u64, seed: u64) -> Arcs {
    let nodes = nodes(Shape::Communities, edges);
    let size = community(nodes);
    // Every block of nodes has a generator of its own, so that the graph does not depend on the thread count.
    const BLOCK: u64 = 1 << 12;
    let drawn = (edges / 2).div_ceil(nodes);
    let mut arcs: Vec<(u32, u32)> = (0..nodes.div_ceil(BLOCK))
        .into_par_iter()
        .flat_map_iter(|block| {
            let mut random = SplitMix64::new(seed.wrapping_add((block + 1) << 20));
            let own = block * BLOCK..nodes.min((block + 1) * BLOCK);
            own.flat_map(|node| (0..drawn).map(move |_| node))
                .flat_map(move |node| {
                    let first = node / size * size;
                    let other = match random.below(10) {
                        0 => random.below(nodes),
                        _ => first + random.below(size.min(nodes - first)),
                    };
                    let (u, v) = (node as u32, other as u32);
                    [(u, v), (v, u)]
                })
        })
        .filter(|(u, v)| u != v)
        .collect();
    arcs.par_sort_unstable();
    arcs.dedup();
    Arcs {
        nodes: nodes as u32,
        arcs,
    }
}

/// Four arcs a node, nearly.
fn side(edges: u64) -> u64 {
    (edges / 4).isqrt().max(2)
}

fn grid(edges: u64) -> Arcs {
    let side = side(edges) as u32;
    let neighbours = |node: u32| {
        let (row, column) = (node / side, node % side);
        let found = [
            (row > 0).then(|| node - side),
            (column > 0).then(|| node - 1),
            (column + 1 < side).then(|| node + 1),
            (row + 1 < side).then(|| node + side),
        ];
        found.into_iter().flatten().map(move |other| (node, other))
    };
    let nodes = side * side;
    Arcs {
        nodes,
        arcs: (0..nodes)
            .into_par_iter()
            .flat_map_iter(neighbours)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [Shape; 3] = [Shape::Rmat, Shape::Communities, Shape::Grid];

    #[test]
    fn arcs_are_sorted_unique_symmetric_loop_free_and_about_as_many_as_asked_for() {
        for shape in SHAPES {
            for edges in [1, 1000, 50_000] {
                let Arcs { nodes, arcs } = arcs(shape, edges, 1);
                assert_eq!(u64::from(nodes), super::nodes(shape, edges), "{shape:?}");
                assert!(arcs.windows(2).all(|w| w[0] < w[1]), "{shape:?}");
                for (u, v) in &arcs {
                    assert!(u != v && *u < nodes && *v < nodes, "{shape:?}");
                    assert!(arcs.binary_search(&(*v, *u)).is_ok(), "{shape:?}");
                }
                let found = arcs.len() as u64;
                assert!(found <= edges.max(64), "{shape:?}: {found} of {edges}");
                if edges == 50_000 {
                    assert!(found > edges / 2, "{shape:?}: {found} of {edges}");
                }
            }
        }
    }

    #[test]
    fn most_edges_of_communities_stay_inside() {
        let Arcs { nodes, arcs } = arcs(Shape::Communities, 40_000, 7);
        let size = community(u64::from(nodes)) as u32;
        let inside = arcs.iter().filter(|(u, v)| u / size == v / size).count();
        assert!(inside * 10 > arcs.len() * 7, "{inside} of {}", arcs.len());
    }

    #[test]
    fn seeds_make_the_difference_and_thread_counts_none() {
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let one = one.expect("a pool of one thread");
        for shape in [Shape::Rmat, Shape::Communities] {
            let all = arcs(shape, 20_000, 1).arcs;
            assert_eq!(all, one.install(|| arcs(shape, 20_000, 1).arcs));
            assert_ne!(all, arcs(shape, 20_000, 2).arcs);
        }
    }
}
