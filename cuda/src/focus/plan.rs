//! How a graph is cut for a device, what that takes of its memory, and what an iteration moves.
//!
//! A share is a word of 27 + 5 bits: four bytes per source. Labels fall with out-degree, so the shares that most edges read
//! lie side by side and stay in the level-2 cache by themselves. Where too many edges read the others, rows are cut into
//! tiles and sources into blocks, so that what a tile adds to and the block it reads from stay there instead.

use ffcm::device::focus::{Cuts, LANES, Layout};
use ffcm::graph::Graph;

use super::FocusOptions;

/// Bytes that a gather beyond the caches moves: a sector.
const SECTOR: u64 = 32;

/// Bytes that an edge moves at most for being a segment of its own: the segment's row, and as much for slots that pad.
const SEGMENT: u64 = 8;

/// Bytes of one buffer at most: slots are numbered by 32 bits, and the last slice of a part is at most a million of them.
const BUFFER_BYTES: u64 = (1 << 34) - (1 << 24);

/// Where to cut `graph` for a device with this much level-2 cache.
pub(super) fn cuts(graph: &Graph, options: &FocusOptions, l2: u64) -> Cuts {
    let tiled = tiles(graph, l2);
    Cuts {
        segment_slots: options.segment_slots.clamp(1, 4096),
        block_labels: options.block_labels.unwrap_or(tiled.0).max(1),
        tile_rows: options.tile_rows.unwrap_or(tiled.1).max(1),
        buffer_bytes: options.buffer_bytes.clamp(1 << 10, BUFFER_BYTES),
    }
}

/// Labels of a block and rows of a tile; one of all where cutting costs more than it spares.
fn tiles(graph: &Graph, l2: u64) -> (u32, u32) {
    let all = (u32::MAX, u32::MAX);
    // Half of the cache for shares, a quarter for what arrives, the rest for what passes through.
    let block = (l2 / 2 / 4).clamp(1 << 10, 1 << 30) as usize;
    let tile = (l2 / 4 / 8).clamp(1 << 10, 1 << 30);
    let mut degrees: Vec<u32> = (0..graph.node_count())
        .map(|node| graph.out_degree(node))
        .filter(|&degree| degree > 0)
        .collect();
    if degrees.len() <= block {
        return all;
    }
    degrees.select_nth_unstable_by(block, |a, b| b.cmp(a));
    let cold: u64 = degrees[block..].iter().copied().map(u64::from).sum();
    let tile_count = u64::from(graph.node_count()).div_ceil(tile);
    // Uncut, a cold gather moves a sector. Cut, every tile reads all shares, and cold edges are short segments.
    let uncut = SECTOR * cold;
    let cut = 4 * tile_count * degrees.len() as u64 + SEGMENT * cold;
    if cut < uncut {
        (block as u32, tile as u32)
    } else {
        all
    }
}

/// What decides the sizes of buffers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes<'a> {
    pub(super) layout: &'a Layout,
    /// Labels there is room for.
    pub(super) capacity: u64,
    /// Labels that may have out-edges.
    pub(super) sources: u64,
    /// Rows of several segments.
    pub(super) split_rows: u64,
    /// Whether nodes have teleport shares of their own.
    pub(super) stakes: bool,
    pub(super) tile_rows: u32,
}

impl Sizes<'_> {
    /// Bytes of the buffers of a graph, but for the few words that describe it.
    pub(super) fn buffer_bytes(&self) -> u64 {
        let slot = if self.layout.weighted { 8 } else { 4 };
        let parts = self.layout.parts.iter();
        let parts = parts.map(|part| {
            part.sources.len() as u64 * slot
                + part.slices.len() as u64 * 8
                + part.segments.len() as u64 * 4
        });
        // Arrived twice, mass, ratio; shares twice, node; two maps; teleport share.
        let stakes = if self.stakes { 8 } else { 0 };
        let label = 8 * 2 + 8 + 8 + 4 * 2 + 4 + stakes;
        parts.sum::<u64>() + self.capacity * label + self.capacity / 32 * 8
    }

    /// Bytes that a dense iteration in which every share changes cannot do without: each element of each array that a
    /// kernel reads or writes, once per kernel, as if caches were perfect. Shares count once per tile.
    pub(super) fn bytes_per_iteration(&self) -> u64 {
        let shape = self.layout.shape();
        let nodes = self.layout.labels.of.len() as u64;
        let slot = if self.layout.weighted { 8 } else { 4 };
        let tiles = nodes.div_ceil(u64::from(self.tile_rows)).max(1);
        let gather = shape.slots * slot
            + shape.slices * (8 + 4 * LANES as u64)
            + shape.whole_rows * 8
            + shape.split_segments * 16
            + self.sources * 4 * tiles;
        let stakes = if self.stakes { 16 } else { 0 };
        let settle = nodes * (8 + 16 + 4 + stakes)
            + self.sources * (8 + 4 + 4)
            + nodes.div_ceil(8)
            + self.sources.div_ceil(8)
            + self.split_rows * 8;
        gather + settle
    }
}

#[cfg(test)]
mod tests {
    use ffcm::graph::EdgeDelta;

    use super::*;

    fn graph(nodes: u32, edges: impl Iterator<Item = (u32, u32)>) -> Graph {
        let mut graph = Graph::new();
        graph.add_nodes(nodes).unwrap();
        let edge = |(source, target)| EdgeDelta {
            source,
            target,
            weight: 1,
        };
        graph.apply(&edges.map(edge).collect::<Vec<_>>()).unwrap();
        graph
    }

    #[test]
    fn only_many_cold_edges_are_cut() {
        let nodes = 20_000;
        let even = |degree: u32| {
            let edges = move |node| (0..degree).map(move |k| (node, (node * 7 + k * 131) % nodes));
            graph(nodes, (0..nodes).flat_map(edges))
        };
        let options = FocusOptions::default();
        // A cache of 8 KiB holds 1024 shares in its half.
        let cut = cuts(&even(12), &options, 8 << 10);
        assert_eq!((cut.block_labels, cut.tile_rows), (1024, 1024));
        for (graph, l2) in [
            // Everything fits; too few edges for so many tiles; most edges are those of a few sources.
            (even(12), 1 << 20),
            (even(2), 8 << 10),
            (
                graph(
                    nodes,
                    (0..500)
                        .flat_map(|node| (0..400).map(move |k| (node, k * 50)))
                        .chain((500..nodes).map(|node| (node, 0))),
                ),
                8 << 10,
            ),
        ] {
            let cut = cuts(&graph, &options, l2);
            assert_eq!((cut.block_labels, cut.tile_rows), (u32::MAX, u32::MAX));
        }
    }
}
