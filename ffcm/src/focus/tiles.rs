//! Builds the blocks: all edges dealt to tiles in two passes, both in parallel.
//!
//! Sources come in order of their labels. The first pass cuts them into pieces and drops every edge into the bucket of
//! its row, per piece; the second takes the buckets, whose edges then are in order of sources and so of blocks, and
//! orders each block's part by row. A bucket is a run of rows, so the part is a tile.

use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::arith::quota;
use super::blocks::{BLOCK, Blocks, Entry, TILE_ROWS, Tile};
use crate::graph::Graph;

/// Buckets are closed at this share of all edges, if that is enough of them.
const BUCKETS: usize = 256;

/// Edges below which a bucket is not closed for its edges.
const BUCKET_EDGES_MIN: usize = 1 << 15;

/// Pieces of the first pass.
const PIECES: usize = 16;

/// Where the edges into a node go.
#[derive(Clone, Copy, Debug)]
struct Place {
    bucket: u32,
    /// Label, counted from the bucket's first.
    row: u16,
}

/// Cuts the edges of `graph` into blocks. `sources` are the nodes with out-edges in the order of their labels.
pub(crate) fn build(graph: &Graph, sources: &[u32], label: &[u32]) -> Blocks {
    let equal = |&node: &u32| graph.row(node).1.windows(2).all(|pair| pair[0] == pair[1]);
    let weighted = !sources.par_iter().all(equal);
    let starts = bucket_starts(&in_degrees(graph, sources, label));
    let places: Vec<Place> = label
        .par_iter()
        .map(|&label| {
            let bucket = starts.partition_point(|&start| start <= label as usize) - 1;
            // A bucket has at most TILE_ROWS rows.
            Place {
                bucket: bucket as u32,
                row: (label as usize - starts[bucket]) as u16,
            }
        })
        .collect();
    let dealt: Vec<Vec<Vec<Entry>>> = pieces(graph, sources)
        .into_par_iter()
        .map(|(first, piece)| deal(graph, first, piece, &places, starts.len() - 1))
        .collect();
    let blocks = sources.len().div_ceil(BLOCK);
    let cut: Vec<Vec<(usize, Tile)>> = starts
        .par_windows(2)
        .enumerate()
        .map(|(bucket, rows)| {
            let entries: Vec<Entry> = dealt
                .iter()
                .flat_map(|piece| piece[bucket].iter().copied())
                .collect();
            tiles(entries, rows[0], rows[1] - rows[0], weighted)
        })
        .collect();
    let mut by_block: Vec<Vec<Tile>> = (0..blocks).map(|_| Vec::new()).collect();
    for (block, tile) in cut.into_iter().flatten() {
        by_block[block].push(tile);
    }
    Blocks {
        blocks: by_block,
        weighted,
    }
}

/// In-degree of each label.
fn in_degrees(graph: &Graph, sources: &[u32], label: &[u32]) -> Vec<u32> {
    let counts: Vec<AtomicU32> = label.iter().map(|_| AtomicU32::new(0)).collect();
    sources.par_iter().with_min_len(1024).for_each(|&node| {
        for &target in graph.row(node).0 {
            // Only the sums matter, and the loop's end orders them before their reading.
            counts[label[target as usize] as usize].fetch_add(1, Ordering::Relaxed);
        }
    });
    counts.into_iter().map(AtomicU32::into_inner).collect()
}

/// First rows of the buckets, and the number of rows.
fn bucket_starts(degrees: &[u32]) -> Vec<usize> {
    let total: usize = degrees.iter().map(|&degree| degree as usize).sum();
    let most = BUCKET_EDGES_MIN.max(total / BUCKETS);
    let (mut starts, mut edges) = (vec![0], 0);
    for (row, &degree) in degrees.iter().enumerate() {
        let start = starts[starts.len() - 1];
        if row > start && (edges + degree as usize > most || row - start == TILE_ROWS) {
            starts.push(row);
            edges = 0;
        }
        edges += degree as usize;
    }
    starts.push(degrees.len());
    starts
}

/// Runs of sources of about equally many edges, each with the label of its first.
fn pieces<'a>(graph: &Graph, sources: &'a [u32]) -> Vec<(usize, &'a [u32])> {
    let most = graph.edge_count() / PIECES as u64;
    let (mut pieces, mut first, mut edges) = (Vec::new(), 0, 0);
    for (at, &node) in sources.iter().enumerate() {
        edges += u64::from(graph.out_degree(node));
        if edges > most {
            pieces.push((first, &sources[first..=at]));
            (first, edges) = (at + 1, 0);
        }
    }
    pieces.push((first, &sources[first..]));
    pieces
}

/// The edges of a piece by bucket.
fn deal(
    graph: &Graph,
    first: usize,
    piece: &[u32],
    places: &[Place],
    buckets: usize,
) -> Vec<Vec<Entry>> {
    let mut dealt = vec![Vec::new(); buckets];
    for (source, &node) in (first as u32..).zip(piece) {
        let (targets, weights) = graph.row(node);
        let largest = weights.iter().copied().max().unwrap_or(0);
        for (&target, &weight) in targets.iter().zip(weights) {
            let Place { bucket, row } = places[target as usize];
            let quota = quota(weight, largest);
            dealt[bucket as usize].push(Entry { row, source, quota });
        }
    }
    dealt
}

/// The tiles of a bucket, each with its block; `entries` come by source.
fn tiles(
    entries: Vec<Entry>,
    first_row: usize,
    row_count: usize,
    weighted: bool,
) -> Vec<(usize, Tile)> {
    let block = |entry: &Entry| entry.source as usize / BLOCK;
    let mut sorted = Vec::new();
    let mut tiles = Vec::new();
    for run in entries.chunk_by(|a, b| block(a) == block(b)) {
        sort_by_row(run, row_count, &mut sorted);
        tiles.push((
            block(&run[0]),
            Tile::new(first_row, row_count, &sorted, weighted),
        ));
    }
    tiles
}

/// Orders by row what is ordered by source.
fn sort_by_row(run: &[Entry], row_count: usize, sorted: &mut Vec<Entry>) {
    sorted.clear();
    sorted.extend_from_slice(run);
    if run.len() < row_count / 4 {
        sorted.sort_unstable();
        return;
    }
    let mut next = vec![0u32; row_count + 1];
    for entry in run {
        next[usize::from(entry.row) + 1] += 1;
    }
    for row in 0..row_count {
        next[row + 1] += next[row];
    }
    for &entry in run {
        let at = &mut next[usize::from(entry.row)];
        sorted[*at as usize] = entry;
        *at += 1;
    }
}
