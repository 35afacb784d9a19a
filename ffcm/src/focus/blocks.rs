//! The fast gather: sources relabelled by degree, edges cut into column blocks.
//!
//! The sources a gather reads are random, so its speed is the speed of the memory that holds them. Labels are dealt by
//! falling out-degree, which puts the sources of most edges side by side, and edges are stored by block of
//! [`BLOCK`] sources, one block after the other, so that the shares being read (512 KiB) stay in a core's own cache and
//! an edge is a `u16`. Within a block edges are ordered by target row and cut into tiles of up to [`TILE_ROWS`] rows
//! that threads take one by one.

use rayon::prelude::*;

use super::arith::edge_term;

/// Sources per column block: what a `u16` tells apart.
pub(crate) const BLOCK: usize = 1 << 16;

/// Most rows in a tile, likewise.
const TILE_ROWS: usize = 1 << 16;

/// A tile has no fewer edges than this unless its block ends, and no more than that and one row, or 1/64 of its block.
const TILE_EDGES: usize = 1 << 15;

/// Below this many edges per non-empty row a tile names the row of every edge.
const SPARSE: usize = 4;

/// In-edges of all rows, by block of sources.
#[derive(Debug)]
pub(crate) struct Blocks {
    blocks: Vec<Block>,
    weighted: bool,
}

/// The edges from one block of sources.
#[derive(Debug, Default)]
struct Block {
    tiles: Vec<Tile>,
    /// Source of each edge, counted from the first of the block; by row, then ascending.
    columns: Vec<u16>,
    /// Quota of each edge; empty when none is needed.
    quotas: Vec<u32>,
    /// Non-empty rows of the dense tiles.
    segments: Vec<Segment>,
    /// Row of each edge of the sparse tiles.
    rows: Vec<u16>,
}

/// A non-empty row of a dense tile.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Row, counted from the first of the tile.
    row: u16,
    /// Number of edges less one: there are 1 to 65 536.
    more: u16,
}

/// A run of rows of one block.
#[derive(Debug)]
struct Tile {
    first_row: usize,
    /// Rows from the first to the last non-empty one.
    row_count: usize,
    /// First edge and one past the last.
    edges: (usize, usize),
    /// Segments of a dense tile, or rows of a sparse one: first and one past the last.
    index: (usize, usize),
    sparse: bool,
}

/// In-edges of all rows in one list, as the blocks are built from it.
#[derive(Debug)]
pub(crate) struct Transposed {
    /// End of each row in the lists below.
    pub(crate) ends: Vec<usize>,
    /// Source labels, ascending within a row.
    pub(crate) sources: Vec<u32>,
    /// Quotas, or empty when none is needed.
    pub(crate) quotas: Vec<u32>,
}

impl Blocks {
    /// Cuts `edges` into blocks; `edges_from` gives the number of edges of each block of sources.
    pub(crate) fn new(edges: &Transposed, edges_from: &[usize]) -> Blocks {
        let weighted = !edges.quotas.is_empty();
        let mut builders: Vec<Builder> = edges_from
            .iter()
            .map(|&edges| Builder::new(edges, weighted))
            .collect();
        let mut start = 0;
        for (row, &end) in edges.ends.iter().enumerate() {
            while start < end {
                let block = edges.sources[start] as usize / BLOCK;
                let run = edges.sources[start..end]
                    .iter()
                    .take_while(|&&source| source as usize / BLOCK == block)
                    .count();
                let quotas = if weighted {
                    &edges.quotas[start..start + run]
                } else {
                    &[]
                };
                builders[block].push(row, &edges.sources[start..start + run], quotas);
                start += run;
            }
        }
        Blocks {
            blocks: builders.into_iter().map(Builder::finish).collect(),
            weighted,
        }
    }

    /// Whether shares are to be given doubled.
    pub(crate) fn weighted(&self) -> bool {
        self.weighted
    }

    /// Adds to `arrived[row]` what the edges into each row carry. `shares` has a multiple of [`BLOCK`] entries: the
    /// share of each source, doubled where [`Blocks::weighted`].
    pub(crate) fn gather(&self, shares: &[u64], arrived: &mut [u64]) {
        let (shares, rest) = shares.as_chunks::<BLOCK>();
        debug_assert!(rest.is_empty());
        for (block, shares) in self.blocks.iter().zip(shares) {
            let mut pieces = Vec::with_capacity(block.tiles.len());
            let (mut rest, mut at) = (&mut *arrived, 0);
            for tile in &block.tiles {
                let (_, from) = rest.split_at_mut(tile.first_row - at);
                let (piece, after) = from.split_at_mut(tile.row_count);
                pieces.push((tile, piece));
                (rest, at) = (after, tile.first_row + tile.row_count);
            }
            pieces
                .into_par_iter()
                .for_each(|(tile, piece)| block.gather(tile, shares, piece));
        }
    }
}

impl Block {
    fn gather(&self, tile: &Tile, shares: &[u64; BLOCK], arrived: &mut [u64]) {
        let columns = &self.columns[tile.edges.0..tile.edges.1];
        let index = tile.index.0..tile.index.1;
        let quotas = match self.quotas.is_empty() {
            true => &[],
            false => &self.quotas[tile.edges.0..tile.edges.1],
        };
        match (tile.sparse, self.quotas.is_empty()) {
            (false, true) => dense(&self.segments[index], columns, shares, arrived),
            (true, true) => sparse(&self.rows[index], columns, shares, arrived),
            (false, false) => {
                dense_weighted(&self.segments[index], columns, quotas, shares, arrived);
            }
            (true, false) => sparse_weighted(&self.rows[index], columns, quotas, shares, arrived),
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

/// A block while rows are appended to it.
struct Builder {
    block: Block,
    /// Edges at which a tile ends.
    tile_edges: usize,
    /// Where the open tile begins.
    first_row: usize,
    first_edge: usize,
    /// Its rows.
    segments: Vec<Segment>,
}

impl Builder {
    fn new(edges: usize, weighted: bool) -> Builder {
        let block = Block {
            columns: Vec::with_capacity(edges),
            quotas: Vec::with_capacity(if weighted { edges } else { 0 }),
            ..Block::default()
        };
        let tile_edges = TILE_EDGES.max(edges / 64);
        Builder {
            block,
            tile_edges,
            first_row: 0,
            first_edge: 0,
            segments: Vec::new(),
        }
    }

    /// Appends the in-edges of `row` from this block, one at least.
    fn push(&mut self, row: usize, sources: &[u32], quotas: &[u32]) {
        let full = self.block.columns.len() - self.first_edge >= self.tile_edges;
        if full || row - self.first_row >= TILE_ROWS {
            self.close();
        }
        if self.segments.is_empty() {
            self.first_row = row;
        }
        // Below TILE_ROWS, and at most BLOCK sources: both fit.
        self.segments.push(Segment {
            row: (row - self.first_row) as u16,
            more: (sources.len() - 1) as u16,
        });
        self.block.columns.extend(
            sources
                .iter()
                .map(|&source| (source as usize % BLOCK) as u16),
        );
        self.block.quotas.extend_from_slice(quotas);
    }

    /// Ends the open tile, if any.
    fn close(&mut self) {
        let Some(last) = self.segments.last() else {
            return;
        };
        let block = &mut self.block;
        let edges = (self.first_edge, block.columns.len());
        let row_count = usize::from(last.row) + 1;
        let sparse = edges.1 - edges.0 < SPARSE * self.segments.len();
        let index = if sparse {
            let start = block.rows.len();
            for segment in &self.segments {
                let count = usize::from(segment.more) + 1;
                block.rows.extend(std::iter::repeat_n(segment.row, count));
            }
            (start, block.rows.len())
        } else {
            let start = block.segments.len();
            block.segments.extend_from_slice(&self.segments);
            (start, block.segments.len())
        };
        block.tiles.push(Tile {
            first_row: self.first_row,
            row_count,
            edges,
            index,
            sparse,
        });
        self.segments.clear();
        self.first_edge = block.columns.len();
    }

    fn finish(mut self) -> Block {
        self.close();
        self.block
    }
}
