//! The fast gather: sources relabelled by degree, edges cut into column blocks.
//!
//! The sources a gather reads are random, so its speed is the speed of the memory that holds them. Labels are dealt by
//! falling out-degree, which puts the sources of most edges side by side, and edges are stored by block of
//! [`BLOCK`] sources, one block after the other, so that the shares being read (512 KiB) stay in a core's own cache and
//! an edge is a `u16`. Each block is cut into tiles of up to [`TILE_ROWS`] target rows that threads take one by one.

use rayon::prelude::*;

use super::arith::edge_term;

/// Sources per column block: what a `u16` tells apart.
pub(crate) const BLOCK: usize = 1 << 16;

/// Most rows in a tile, likewise.
pub(crate) const TILE_ROWS: usize = 1 << 16;

/// Below this many edges per non-empty row a tile names the row of every edge.
const SPARSE: usize = 8;

/// In-edges of all rows, by block of sources.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// Tiles of each block of sources, by row.
    pub(crate) blocks: Vec<Vec<Tile>>,
    /// Whether tiles have quotas, and shares are to be given doubled.
    pub(crate) weighted: bool,
}

/// The edges from one block of sources to a run of rows.
#[derive(Debug)]
pub(crate) struct Tile {
    first_row: usize,
    /// Rows of the run.
    row_count: usize,
    /// Source of each edge, counted from the first of the block; by row, then ascending.
    columns: Vec<u16>,
    /// Quota of each edge; empty when none is needed.
    quotas: Vec<u32>,
    rows: Rows,
}

/// Which edges of a tile belong to which row, counted from the first of the tile.
#[derive(Debug)]
enum Rows {
    /// Rows and their numbers of edges.
    Dense(Vec<Segment>),
    /// Row of each edge.
    Sparse(Vec<u16>),
}

/// A non-empty row of a dense tile.
#[derive(Clone, Copy, Debug)]
struct Segment {
    row: u16,
    /// Number of edges less one: there are 1 to 65 536.
    more: u16,
}

/// An edge on its way into a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// Row, counted from the first of the tile.
    pub(crate) row: u16,
    /// Label of the source.
    pub(crate) source: u32,
    /// Quota.
    pub(crate) quota: u32,
}

impl Blocks {
    /// Adds to `arrived[row]` what the edges into each row carry. `shares` has a multiple of [`BLOCK`] entries: the
    /// share of each source, doubled where `weighted`.
    pub(crate) fn gather(&self, shares: &[u64], arrived: &mut [u64]) {
        let (shares, rest) = shares.as_chunks::<BLOCK>();
        debug_assert!(rest.is_empty());
        for (tiles, shares) in self.blocks.iter().zip(shares) {
            let mut pieces = Vec::with_capacity(tiles.len());
            let (mut rest, mut at) = (&mut *arrived, 0);
            for tile in tiles {
                let (_, from) = rest.split_at_mut(tile.first_row - at);
                let (piece, after) = from.split_at_mut(tile.row_count);
                pieces.push((tile, piece));
                (rest, at) = (after, tile.first_row + tile.row_count);
            }
            pieces
                .into_par_iter()
                .for_each(|(tile, piece)| tile.gather(shares, piece));
        }
    }
}

impl Tile {
    /// A tile of `entries`, ordered by row, then source, of `row_count` rows.
    pub(crate) fn new(
        first_row: usize,
        row_count: usize,
        entries: &[Entry],
        weighted: bool,
    ) -> Tile {
        debug_assert!(entries.is_sorted() && row_count <= TILE_ROWS);
        let runs = || entries.chunk_by(|a, b| a.row == b.row);
        let count = runs().count();
        let rows = if entries.len() < SPARSE * count {
            Rows::Sparse(entries.iter().map(|entry| entry.row).collect())
        } else {
            let mut segments = Vec::with_capacity(count);
            // A row has each source of the block at most once, so at most 65 536.
            let segment = |run: &[Entry]| Segment {
                row: run[0].row,
                more: (run.len() - 1) as u16,
            };
            segments.extend(runs().map(segment));
            Rows::Dense(segments)
        };
        let columns = entries
            .iter()
            .map(|entry| (entry.source as usize % BLOCK) as u16)
            .collect();
        let quotas = match weighted {
            true => entries.iter().map(|entry| entry.quota).collect(),
            false => Vec::new(),
        };
        Tile {
            first_row,
            row_count,
            columns,
            quotas,
            rows,
        }
    }

    fn gather(&self, shares: &[u64; BLOCK], arrived: &mut [u64]) {
        let (columns, quotas) = (&self.columns, &self.quotas);
        match (&self.rows, quotas.is_empty()) {
            (Rows::Dense(segments), true) => dense(segments, columns, shares, arrived),
            (Rows::Sparse(rows), true) => sparse(rows, columns, shares, arrived),
            (Rows::Dense(segments), false) => {
                dense_weighted(segments, columns, quotas, shares, arrived);
            }
            (Rows::Sparse(rows), false) => sparse_weighted(rows, columns, quotas, shares, arrived),
        }
    }
}

fn dense(segments: &[Segment], columns: &[u16], shares: &[u64; BLOCK], arrived: &mut [u64]) {
    let mut rest = columns;
    for segment in segments {
        let (columns, after) = rest.split_at(usize::from(segment.more) + 1);
        let sum: u64 = columns
            .iter()
            .map(|&column| shares[usize::from(column)])
            .sum();
        arrived[usize::from(segment.row)] += sum;
        rest = after;
    }
}

fn sparse(rows: &[u16], columns: &[u16], shares: &[u64; BLOCK], arrived: &mut [u64]) {
    for (&row, &column) in rows.iter().zip(columns) {
        arrived[usize::from(row)] += shares[usize::from(column)];
    }
}

fn dense_weighted(
    segments: &[Segment],
    columns: &[u16],
    quotas: &[u32],
    twice: &[u64; BLOCK],
    arrived: &mut [u64],
) {
    let (mut columns_rest, mut quotas_rest) = (columns, quotas);
    for segment in segments {
        let count = usize::from(segment.more) + 1;
        let (columns, columns_after) = columns_rest.split_at(count);
        let (quotas, quotas_after) = quotas_rest.split_at(count);
        let terms = columns.iter().zip(quotas);
        let sum: u64 = terms
            .map(|(&c, &quota)| edge_term(twice[usize::from(c)], quota))
            .sum();
        arrived[usize::from(segment.row)] += sum;
        (columns_rest, quotas_rest) = (columns_after, quotas_after);
    }
}

fn sparse_weighted(
    rows: &[u16],
    columns: &[u16],
    quotas: &[u32],
    twice: &[u64; BLOCK],
    arrived: &mut [u64],
) {
    for ((&row, &column), &quota) in rows.iter().zip(columns).zip(quotas) {
        arrived[usize::from(row)] += edge_term(twice[usize::from(column)], quota);
    }
}
