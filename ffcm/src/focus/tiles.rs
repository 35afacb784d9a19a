//! Builds the blocks: all edges dealt to parts in two passes, both in parallel, band by band.
//!
//! Sources come in order of their labels. The first pass cuts them into pieces and drops every edge into the bucket of
//! its part, per piece; the second takes the buckets, whose edges then are in order of sources and so of blocks, and makes
//! a tile of each block's edges.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::arith::quota;
use super::blocks::{BLOCK, Blocks, Key, PART_ROWS, Part, Tile};
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

/// Where the edges into a node go.
#[derive(Clone, Copy, Debug)]
struct Place {
    part: u32,
    /// Label, counted from the part's first.
    row: u16,
}

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

/// Cuts the edges of `graph` into blocks. `sources` are the nodes with out-edges in the order of their labels.
pub(crate) fn build(graph: &Graph, sources: &[u32], label: &[u32]) -> Blocks {
    let equal = |&node: &u32| graph.row(node).1.windows(2).all(|pair| pair[0] == pair[1]);
    let weighted = !sources.par_iter().all(equal);
    let bands = bands(graph, sources)
        .into_iter()
        .map(|band| parts(graph, sources, band, label, weighted))
        .collect();
    Blocks { bands, weighted }
}

/// Runs of blocks, as their labels, with at least a fair share of all edges each but for the last; at least one.
fn bands(graph: &Graph, sources: &[u32]) -> Vec<Range<usize>> {
    let (mut bands, mut first, mut edges) = (Vec::new(), 0, 0);
    for (block, nodes) in sources.chunks(BLOCK).enumerate() {
        edges += edge_count(graph, nodes);
        if edges > graph.edge_count() / BANDS {
            let end = block * BLOCK + nodes.len();
            bands.push(first..end);
            (first, edges) = (end, 0);
        }
    }
    if first < sources.len() || bands.is_empty() {
        bands.push(first..sources.len());
    }
    bands
}

fn edge_count(graph: &Graph, nodes: &[u32]) -> u64 {
    let degree = |&node: &u32| u64::from(graph.out_degree(node));
    nodes.par_iter().with_min_len(1024).map(degree).sum()
}

/// The parts of the edges from the sources in `band`.
fn parts(
    graph: &Graph,
    sources: &[u32],
    band: Range<usize>,
    label: &[u32],
    weighted: bool,
) -> Vec<Part> {
    let starts = part_starts(graph, &sources[band.clone()], label);
    let places: Vec<Place> = label
        .par_iter()
        .map(|&label| {
            let part = starts.partition_point(|&start| start <= label as usize) - 1;
            // A part has at most PART_ROWS rows.
            Place {
                part: part as u32,
                row: (label as usize - starts[part]) as u16,
            }
        })
        .collect();
    let dealt: Vec<(usize, Vec<Bucket>)> = pieces(graph, sources, band)
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

/// First rows of the parts, and the number of rows.
fn part_starts(graph: &Graph, sources: &[u32], label: &[u32]) -> Vec<usize> {
    let counts: Vec<AtomicU32> = label.iter().map(|_| AtomicU32::new(0)).collect();
    sources.par_iter().with_min_len(1024).for_each(|&node| {
        // From a different edge at each source: most have few.
        for &target in graph
            .row(node)
            .0
            .iter()
            .skip(node as usize % SAMPLE)
            .step_by(SAMPLE)
        {
            // Only the sums matter, and the loop's end orders them before their reading.
            counts[label[target as usize] as usize].fetch_add(1, Ordering::Relaxed);
        }
    });
    let parts = PARTS.max(PARTS_PER_THREAD * rayon::current_num_threads() as u64);
    let most = PART_EDGES_MIN.max(graph.edge_count() / parts);
    let (mut starts, mut edges) = (vec![0], 0);
    for (row, count) in counts.into_iter().enumerate() {
        let start = starts[starts.len() - 1];
        let more = u64::from(count.into_inner()) * SAMPLE as u64;
        if row > start && (edges + more > most || row - start == PART_ROWS) {
            starts.push(row);
            edges = 0;
        }
        edges += more;
    }
    starts.push(label.len());
    starts
}

/// The sources of a band in runs of about equally many edges, each within a block.
fn pieces<'a>(graph: &Graph, sources: &'a [u32], band: Range<usize>) -> Vec<Piece<'a>> {
    let most = edge_count(graph, &sources[band.clone()]) / PIECES;
    let mut pieces = Vec::new();
    let (mut first, mut edges) = (band.start, 0);
    for label in band.clone() {
        edges += u64::from(graph.out_degree(sources[label]));
        let end = label + 1;
        if edges > most || end % BLOCK == 0 || end == band.end {
            pieces.push(Piece {
                block: first / BLOCK,
                first: first % BLOCK,
                sources: &sources[first..end],
            });
            (first, edges) = (end, 0);
        }
    }
    pieces
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
    for (source, &node) in (piece.first..).zip(piece.sources) {
        let (targets, weights) = graph.row(node);
        let largest = weights.iter().copied().max().unwrap_or(0);
        for (&target, &weight) in targets.iter().zip(weights) {
            let Place { part, row } = places[target as usize];
            let bucket = &mut dealt[part as usize];
            // Sources count from the first of the block.
            bucket.edges.push((source as u32) << 16 | u32::from(row));
            if weighted {
                bucket.quotas.push(quota(weight, largest));
            }
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
