//! The fast gather: sources relabelled by degree, edges cut into tiles of 2^16 by 2^16 at most.
//!
//! A gather is as fast as the memory behind its random accesses and as the branch predictor lets it be. So
//!
//! * labels are dealt by falling out-degree, which puts the sources of most edges side by side, and the edges from
//!   [`BLOCK`] sources to a *part*, a run of target rows, form a tile, in which an edge is a `u16`;
//! * a tile keeps its edges by row and sums them up (*pull*), or by source and adds the source's share to the rows
//!   (*push*), whichever leaves the shorter list or the random accesses in the nearer cache: most edges lead to few
//!   rows, whose sums fit the first-level cache, while no useful number of sources does;
//! * the edges of one key (the row or source they are kept by) are cut into *runs* of [`RUN`] and a remainder, and runs
//!   are ordered by length: loops over runs of one length are unrolled and have no branch to guess.
//!
//! A part is summed up in a window of the thread's own, so that no index needs a check, and written once. Sources come in
//! *bands* of blocks that hold a fair part of all edges; each band has parts of its own, of about equally many edges, that
//! threads take one by one.

use std::cell::RefCell;

use rayon::prelude::*;

use super::arith::{edge_term, narrow};
#[cfg(target_arch = "x86_64")]
use super::avx512;

/// Sources per column block: what a `u16` tells apart.
pub(crate) const BLOCK: usize = 1 << 16;

/// Most rows in a part, likewise.
pub(crate) const PART_ROWS: usize = 1 << 16;

/// Longest run.
pub(crate) const RUN: usize = 16;

/// Sums of a part's rows.
pub(crate) type Window = [u64; PART_ROWS];

thread_local! {
    /// Half a megabyte for each thread that ever gathered; nothing in it is kept.
    static WINDOW: RefCell<Box<[u64]>> = RefCell::new(vec![0; PART_ROWS].into_boxed_slice());
}

/// In-edges of all rows.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// Parts of each band of sources. Those of a band cover all rows in order; there is at least one band.
    pub(crate) bands: Vec<Vec<Part>>,
    /// Whether tiles have quotas, and shares are to be given doubled.
    pub(crate) weighted: bool,
}

/// The edges from a band of sources to a run of rows.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) row_count: usize,
    /// With the blocks they read.
    pub(crate) tiles: Vec<(usize, Tile)>,
}

/// Which end of its edges a tile keeps them by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// By row: the shares of a run's sources are summed up.
    Row,
    /// By source: its share is added to a run's rows.
    Source,
}

/// The edges from one block of sources to a part. Sources count from the first of the block, rows from the part's.
#[derive(Debug)]
pub(crate) struct Tile {
    key: Key,
    /// Number of runs of each length, [`RUN`] first, 1 last. Runs come in this order, ascending by key for each length.
    counts: [usize; RUN],
    /// Key of each run.
    keys: Vec<u16>,
    /// Other end of each edge.
    ends: Vec<u16>,
    /// Quota of each edge; empty when none is needed.
    quotas: Vec<u32>,
}

impl Blocks {
    /// Makes `arrived[row]` what the edges into each row carry, 0 for rows unknown when this was built; the sum. `shares` has a multiple of [`BLOCK`] entries:
    /// the share of each source, doubled where `weighted`.
    pub(crate) fn gather(&self, shares: &[u64], arrived: &mut [u64]) -> u64 {
        let (blocks, rest) = shares.as_chunks::<BLOCK>();
        debug_assert!(rest.is_empty());
        let mut total = 0;
        for (band, parts) in self.bands.iter().enumerate() {
            let mut rest = &mut *arrived;
            let mut pieces = Vec::with_capacity(parts.len());
            for part in parts {
                let (piece, after) = rest.split_at_mut(part.row_count);
                pieces.push((part, piece));
                rest = after;
            }
            if band == 0 {
                rest.fill(0);
            }
            total += pieces
                .into_par_iter()
                .map(|(part, piece)| part.gather(blocks, piece, band == 0))
                .sum::<u64>();
        }
        total
    }
}

impl Part {
    /// Adds up all tiles, into `arrived` or in its place; the sum.
    fn gather(&self, blocks: &[[u64; BLOCK]], arrived: &mut [u64], first: bool) -> u64 {
        WINDOW.with_borrow_mut(|window| {
            let window: &mut Window = (&mut **window).try_into().expect("the window's length");
            let sums = self.row_count;
            window[..sums].fill(0);
            for (block, tile) in &self.tiles {
                tile.gather(&blocks[*block], window);
            }
            if first {
                arrived.copy_from_slice(&window[..sums]);
            } else {
                for (arrived, sum) in arrived.iter_mut().zip(&window[..sums]) {
                    *arrived += sum;
                }
            }
            window[..sums].iter().sum()
        })
    }
}

impl Tile {
    /// A tile of edges `key << 16 | end`, ordered by key, with their quotas or none.
    pub(crate) fn new(key: Key, edges: &[u32], quotas: &[u32]) -> Tile {
        debug_assert!(quotas.is_empty() || quotas.len() == edges.len());
        let by_key = || edges.chunk_by(|a, b| a >> 16 == b >> 16);
        let mut counts = [0; RUN];
        for edges in by_key() {
            counts[0] += edges.len() / RUN;
            if edges.len() % RUN > 0 {
                counts[RUN - edges.len() % RUN] += 1;
            }
        }
        // Where the next run of each length goes: among the keys, and among the edges.
        let mut next = [(0, 0); RUN];
        for at in 1..RUN {
            let (keys, ends) = next[at - 1];
            let (count, length) = (counts[at - 1], RUN - (at - 1));
            next[at] = (keys + count, ends + count * length);
        }
        let mut tile = Tile {
            key,
            counts,
            keys: vec![0; counts.iter().sum()],
            ends: vec![0; edges.len()],
            quotas: vec![0; quotas.len()],
        };
        let mut from = 0;
        for run in by_key().flat_map(|edges| edges.chunks(RUN)) {
            let (at_key, at) = &mut next[RUN - run.len()];
            tile.keys[*at_key] = (run[0] >> 16) as u16;
            for (end, edge) in tile.ends[*at..].iter_mut().zip(run) {
                *end = *edge as u16;
            }
            if let Some(quotas) = quotas.get(from..from + run.len()) {
                tile.quotas[*at..*at + run.len()].copy_from_slice(quotas);
            }
            *at_key += 1;
            *at += run.len();
            from += run.len();
        }
        tile
    }

    fn gather(&self, shares: &[u64; BLOCK], window: &mut Window) {
        #[cfg(target_arch = "x86_64")]
        if self.key == Key::Row && !self.quotas.is_empty() && avx512::is_here() {
            return self.each_length::<PullWeightedAvx512>(shares, window);
        }
        match (self.key, self.quotas.is_empty()) {
            (Key::Row, true) => self.each_length::<Pull>(shares, window),
            (Key::Source, true) => self.each_length::<Push>(shares, window),
            (Key::Row, false) => self.each_length::<PullWeighted>(shares, window),
            (Key::Source, false) => self.each_length::<PushWeighted>(shares, window),
        }
    }

    fn each_length<L: Loop>(&self, shares: &[u64; BLOCK], window: &mut Window) {
        let (mut keys, mut ends, mut quotas) = (&self.keys[..], &self.ends[..], &self.quotas[..]);
        for (at, &count) in self.counts.iter().enumerate() {
            let length = RUN - at;
            let runs;
            (runs, keys) = keys.split_at(count);
            let edges;
            (edges, ends) = ends.split_at(count * length);
            let parts;
            (parts, quotas) = quotas.split_at((count * length).min(quotas.len()));
            match length {
                1 => L::runs::<1>(runs, edges, parts, shares, window),
                2 => L::runs::<2>(runs, edges, parts, shares, window),
                3 => L::runs::<3>(runs, edges, parts, shares, window),
                4 => L::runs::<4>(runs, edges, parts, shares, window),
                5 => L::runs::<5>(runs, edges, parts, shares, window),
                6 => L::runs::<6>(runs, edges, parts, shares, window),
                7 => L::runs::<7>(runs, edges, parts, shares, window),
                8 => L::runs::<8>(runs, edges, parts, shares, window),
                9 => L::runs::<9>(runs, edges, parts, shares, window),
                10 => L::runs::<10>(runs, edges, parts, shares, window),
                11 => L::runs::<11>(runs, edges, parts, shares, window),
                12 => L::runs::<12>(runs, edges, parts, shares, window),
                13 => L::runs::<13>(runs, edges, parts, shares, window),
                14 => L::runs::<14>(runs, edges, parts, shares, window),
                15 => L::runs::<15>(runs, edges, parts, shares, window),
                _ => L::runs::<RUN>(runs, edges, parts, shares, window),
            }
        }
    }
}

/// What is done with runs of `N` edges each.
trait Loop {
    fn runs<const N: usize>(
        keys: &[u16],
        ends: &[u16],
        quotas: &[u32],
        shares: &[u64; BLOCK],
        window: &mut Window,
    );
}

struct Pull;

impl Loop for Pull {
    fn runs<const N: usize>(
        keys: &[u16],
        ends: &[u16],
        _: &[u32],
        shares: &[u64; BLOCK],
        window: &mut Window,
    ) {
        for (&row, sources) in keys.iter().zip(ends.as_chunks::<N>().0) {
            let sum: u64 = sources.iter().map(|&at| shares[usize::from(at)]).sum();
            window[usize::from(row)] += sum;
        }
    }
}

struct Push;

impl Loop for Push {
    fn runs<const N: usize>(
        keys: &[u16],
        ends: &[u16],
        _: &[u32],
        shares: &[u64; BLOCK],
        window: &mut Window,
    ) {
        for (&source, rows) in keys.iter().zip(ends.as_chunks::<N>().0) {
            let share = shares[usize::from(source)];
            for &row in rows {
                window[usize::from(row)] += share;
            }
        }
    }
}

struct PullWeighted;

impl Loop for PullWeighted {
    fn runs<const N: usize>(
        keys: &[u16],
        ends: &[u16],
        quotas: &[u32],
        twice: &[u64; BLOCK],
        window: &mut Window,
    ) {
        let runs = ends
            .as_chunks::<N>()
            .0
            .iter()
            .zip(quotas.as_chunks::<N>().0);
        for (&row, (sources, quotas)) in keys.iter().zip(runs) {
            let terms = sources.iter().zip(quotas);
            let sum: u64 = terms
                .map(|(&at, &quota)| edge_term(twice[usize::from(at)], quota))
                .sum();
            window[usize::from(row)] += sum;
        }
    }
}

struct PushWeighted;

impl Loop for PushWeighted {
    fn runs<const N: usize>(
        keys: &[u16],
        ends: &[u16],
        quotas: &[u32],
        twice: &[u64; BLOCK],
        window: &mut Window,
    ) {
        let runs = ends
            .as_chunks::<N>()
            .0
            .iter()
            .zip(quotas.as_chunks::<N>().0);
        for (&source, (rows, quotas)) in keys.iter().zip(runs) {
            let (share, shift) = narrow(twice[usize::from(source)]);
            for (&row, &quota) in rows.iter().zip(quotas) {
                window[usize::from(row)] += (share * u64::from(quota)) >> shift;
            }
        }
    }
}

/// [`PullWeighted`] for long runs. Only to be used where [`avx512::is_here`].
#[cfg(target_arch = "x86_64")]
struct PullWeightedAvx512;

#[cfg(target_arch = "x86_64")]
impl Loop for PullWeightedAvx512 {
    fn runs<const N: usize>(
        keys: &[u16],
        ends: &[u16],
        quotas: &[u32],
        twice: &[u64; BLOCK],
        window: &mut Window,
    ) {
        if N < 8 {
            return PullWeighted::runs::<N>(keys, ends, quotas, twice, window);
        }
        debug_assert!(avx512::is_here());
        // SAFETY: only used where the machine has AVX-512.
        unsafe { avx512::pull_weighted::<N>(keys, ends, quotas, twice, window) }
    }
}
