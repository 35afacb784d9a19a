//! Builds the blocks: all edges dealt to parts in two passes, both in parallel, band by band.
//!
//! Sources come in order of their labels. The first pass cuts them into pieces and drops every edge into the bucket of
//! its part, per piece; the second takes the buckets, whose edges then are in order of sources and so of blocks, and makes
//! a tile of each block's edges.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::arith::Quotas;
use super::blocks::{BLOCK, Blocks, Key, PART_ROWS, Part, Tile};
use super::prefetch::prefetch;
use crate::graph::Graph;

/// A band of blocks is closed when it has this share of all edges.
const BANDS: u64 = 4;

/// A part is closed at this share of all edges, if that is enough of them: the fewer parts, the longer the runs of a source.
const PARTS: u64 = 16;

/// That many parts for each thread there is now, if that is more.
const PARTS_PER_THREAD: u64 = 6;

/// Edges below which a part is not closed for its edges.
const PART_EDGES_MIN: u64 = 1 << 15;

/// Pieces of the first pass.
const PIECES: u64 = 16;

/// Rows looked up and fetched together.
const ROWS_AHEAD: usize = 32;

/// Weights in a cache line.
const LINE: usize = 64 / size_of::<u64>();

/// One edge in so many is counted to find parts of equally many edges.
const SAMPLE: usize = 8;

/// What a run costs beside its edges, in tenths of a nanosecond as the following.
const RUN_COST: usize = 13;

/// What a random access to one of `window` words costs: in the first-level cache, beside what streams through it; in a
/// part of the second; in all of it.
fn access_cost(window: usize) -> usize {
    match window {
        ..=0x1000 => 2,
        0x1001..=0x8000 => 3,
        _ => 4,
    }
}

/// Where the edges into a node go, in one word: looking it up is a random access for every edge.
#[derive(Clone, Copy, Debug)]
struct Place {
    part: u16,
    /// Label, counted from the part's first.
    row: u16,
}

/// Most parts, as a [`Place`] numbers them.
const PARTS_MAX: usize = 1 << 16;

/// Edges of a piece into one part, by source.
#[derive(Clone, Debug, Default)]
struct Bucket {
    /// `source << 16 | row`, counted from the first of the block and of the part.
    edges: Vec<u32>,
    /// Quotas, where there are any.
    quotas: Vec<u32>,
}

/// Sources of one block, in order.
#[derive(Debug)]
struct Piece<'a> {
    block: usize,
    /// Label of the first, counted from the block's.
    first: usize,
    sources: &'a [u32],
}

/// The graph, and its nodes in the order of their labels, of which the first ones have `degrees`.
#[derive(Clone, Copy)]
struct Labelled<'a> {
    graph: &'a Graph,
    sources: &'a [u32],
    degrees: &'a [u32],
    label: &'a [u32],
}

/// Cuts the edges of `graph` into blocks. `order` has the nodes in the order of their labels, `degrees` the number of
/// out-edges of those that have any, which come first.
pub(crate) fn build(graph: &Graph, order: &[u32], degrees: &[u32], label: &[u32]) -> Blocks {
    let equal = |node| graph.row(node).1.windows(2).all(|pair| pair[0] == pair[1]);
    let weighted = !(0..graph.node_count()).into_par_iter().all(equal);
    let labelled = Labelled {
        graph,
        sources: &order[..degrees.len()],
        degrees,
        label,
    };
    let bands = labelled
        .bands()
        .into_iter()
        .map(|band| parts(&labelled, band, weighted))
        .collect();
    Blocks { bands, weighted }
}

impl<'a> Labelled<'a> {
    /// Runs of blocks, as their labels, with at least a fair share of all edges each but for the last; at least one.
    fn bands(&self) -> Vec<Range<usize>> {
        let (mut bands, mut first, mut edges) = (Vec::new(), 0, 0);
        for (block, degrees) in self.degrees.chunks(BLOCK).enumerate() {
            edges += sum(degrees);
            if edges > self.graph.edge_count() / BANDS {
                let end = block * BLOCK + degrees.len();
                bands.push(first..end);
                (first, edges) = (end, 0);
            }
        }
        if first < self.sources.len() || bands.is_empty() {
            bands.push(first..self.sources.len());
        }
        bands
    }

    /// First rows of the parts of the edges from the sources in `band`, and the number of rows.
    fn part_starts(&self, band: &Range<usize>) -> Vec<usize> {
        let counts: Vec<AtomicU32> = self.label.iter().map(|_| AtomicU32::new(0)).collect();
        // In the order rows are stored in.
        let nodes = self.label.par_iter().enumerate().with_min_len(1024);
        nodes.for_each(|(node, &label)| {
            if !band.contains(&(label as usize)) {
                return;
            }
            // A node's number has 32 bits.
            let targets = self.graph.row(node as u32).0;
            // From a different edge at each source: most have few.
            for &target in targets.iter().skip(node % SAMPLE).step_by(SAMPLE) {
                // Only the sums matter, and the loop's end orders them before their reading.
                counts[self.label[target as usize] as usize].fetch_add(1, Ordering::Relaxed);
            }
        });
        let parts = PARTS.max(PARTS_PER_THREAD * rayon::current_num_threads() as u64);
        let most = PART_EDGES_MIN.max(self.graph.edge_count() / parts);
        let (mut starts, mut edges) = (vec![0], 0);
        for (row, count) in counts.into_iter().enumerate() {
            let start = starts[starts.len() - 1];
            let more = u64::from(count.into_inner()) * SAMPLE as u64;
            // Of the parts there can be, some are kept for those that are full.
            let left = PARTS_MAX - starts.len();
            let may_close = (self.label.len() - row).div_ceil(PART_ROWS) <= left;
            let close = may_close && edges + more > most;
            if row > start && (close || row - start == PART_ROWS) {
                starts.push(row);
                edges = 0;
            }
            edges += more;
        }
        starts.push(self.label.len());
        starts
    }

    /// The sources of a band in runs of about equally many edges, each within a block.
    fn pieces(&self, band: Range<usize>) -> Vec<Piece<'a>> {
        let most = sum(&self.degrees[band.clone()]) / PIECES;
        let mut pieces = Vec::new();
        let (mut first, mut edges) = (band.start, 0);
        for label in band.clone() {
            edges += u64::from(self.degrees[label]);
            let end = label + 1;
            if edges > most || end % BLOCK == 0 || end == band.end {
                pieces.push(Piece {
                    block: first / BLOCK,
                    first: first % BLOCK,
                    sources: &self.sources[first..end],
                });
                (first, edges) = (end, 0);
            }
        }
        pieces
    }
}

fn sum(degrees: &[u32]) -> u64 {
    degrees.iter().map(|&degree| u64::from(degree)).sum()
}

/// The parts of the edges from the sources in `band`.
fn parts(labelled: &Labelled<'_>, band: Range<usize>, weighted: bool) -> Vec<Part> {
    let starts = labelled.part_starts(&band);
    let (graph, label) = (labelled.graph, labelled.label);
    let places: Vec<Place> = label
        .par_iter()
        .map(|&label| {
            let part = starts.partition_point(|&start| start <= label as usize) - 1;
            // There are at most PARTS_MAX parts, of at most PART_ROWS rows.
            Place {
                part: part as u16,
                row: (label as usize - starts[part]) as u16,
            }
        })
        .collect();
    let dealt: Vec<(usize, Vec<Bucket>)> = labelled
        .pieces(band)
        .into_par_iter()
        .map(|piece| {
            (
                piece.block,
                deal(graph, &piece, &places, starts.len() - 1, weighted),
            )
        })
        .collect();
    (starts.par_windows(2).enumerate())
        .map(|(part, rows)| Part {
            row_count: rows[1] - rows[0],
            tiles: dealt
                .chunk_by(|a, b| a.0 == b.0)
                .filter_map(|pieces| {
                    let buckets = || pieces.iter().map(|(_, buckets)| &buckets[part]);
                    let edges: Vec<u32> = buckets().flat_map(|b| &b.edges).copied().collect();
                    let quotas: Vec<u32> = buckets().flat_map(|b| &b.quotas).copied().collect();
                    (!edges.is_empty())
                        .then(|| (pieces[0].0, tile(edges, quotas, rows[1] - rows[0])))
                })
                .collect(),
        })
        .collect()
}

/// The edges of a piece by part.
fn deal(
    graph: &Graph,
    piece: &Piece<'_>,
    places: &[Place],
    parts: usize,
    weighted: bool,
) -> Vec<Bucket> {
    let mut dealt = vec![Bucket::default(); parts];
    // Rows lie anywhere: those of some sources are looked up side by side, and fetched while others are dealt.
    let rows = |sources: &[u32]| -> Vec<(&[u32], &[u64])> {
        let rows: Vec<_> = sources.iter().map(|&node| graph.row(node)).collect();
        for (targets, weights) in &rows {
            prefetch(targets, 0);
            prefetch(weights, 0);
            prefetch(weights, LINE);
        }
        rows
    };
    let mut groups = piece.sources.chunks(ROWS_AHEAD).map(rows);
    let mut next = groups.next();
    let mut source = piece.first;
    while let Some(group) = next {
        next = groups.next();
        for (targets, weights) in group {
            let quotas = Quotas::new(weights.iter().copied().max().unwrap_or(1));
            for (&target, &weight) in targets.iter().zip(weights) {
                let Place { part, row } = places[target as usize];
                let bucket = &mut dealt[usize::from(part)];
                // Sources count from the first of the block.
                bucket.edges.push((source as u32) << 16 | u32::from(row));
                if weighted {
                    bucket.quotas.push(quotas.of(weight));
                }
            }
            source += 1;
        }
    }
    dealt
}

/// The tile of edges `source << 16 | row`, ordered by source, into a part of `row_count` rows.
fn tile(edges: Vec<u32>, quotas: Vec<u32>, row_count: usize) -> Tile {
    let mut next = vec![0u32; row_count];
    for edge in &edges {
        next[usize::from(*edge as u16)] += 1;
    }
    let rows = next.iter().filter(|&&count| count > 0).count();
    let sources = edges.chunk_by(|a, b| a >> 16 == b >> 16).count();
    let cost = |runs, window| RUN_COST * runs + access_cost(window) * edges.len();
    if cost(sources, row_count) < cost(rows, sources) {
        return Tile::new(Key::Source, &edges, &quotas);
    }
    let mut sum = 0;
    for count in &mut next {
        (*count, sum) = (sum, sum + *count);
    }
    let mut by_row = vec![0; edges.len()];
    let mut quotas_by_row = vec![0; quotas.len()];
    for (from, edge) in edges.iter().enumerate() {
        let at = &mut next[usize::from(*edge as u16)];
        by_row[*at as usize] = edge.rotate_left(16);
        if let Some(&quota) = quotas.get(from) {
            quotas_by_row[*at as usize] = quota;
        }
        *at += 1;
    }
    Tile::new(Key::Row, &by_row, &quotas_by_row)
}
