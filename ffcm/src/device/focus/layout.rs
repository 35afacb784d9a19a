//! The edges as the kernels read them: rows by destination, cut into segments, stored in slices.
//!
//! A *row* is a node's in-edges. It is cut into *segments* of bounded length, so that a hub is the work of many lanes, and
//! where its sources, which ascend, cross into another block of labels, so that what runs at one time reads shares close
//! to one another. Segments are sorted by tile of rows, block of sources and falling length; 64 in a row make a *slice*, as
//! wide as its longest segment, stored lane by lane. Segments of one row that lie side by side in a slice deal their edges
//! among them in turn, so that lanes side by side read sources that follow each other. Slices fill *parts*, each small
//! enough for one buffer. Empty slots have source 0, a label that nobody has and whose share is 0.
//!
//! The last part is spare: short segments that belong to nobody until a row outgrows its own.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;
use thiserror::Error;

use crate::focus::DEGREE_MAX;
use crate::focus::prepare::{Ratio, quota};
use crate::graph::Graph;

/// Segments of a slice: the lanes of a workgroup.
pub const LANES: usize = 64;

/// Slots of a spare segment.
const SPARE_WIDTH: usize = 4;

/// Set on the segments of a row that has several.
pub const SPLIT: u32 = 1 << 31;

/// Most edges of a graph: segments, of which there are as many at most, padding, and a spare one per 16 edges, are numbered
/// by 32 bits.
pub const MAX_EDGES: u64 = 7 << 29;

/// A graph of more than [`MAX_EDGES`] edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{edges} edges, at most {MAX_EDGES} can be laid out")]
pub struct TooManyEdges {
    /// How many there are.
    pub edges: u64,
}

/// Where rows and parts are cut. All at least 1.
#[derive(Clone, Copy, Debug)]
pub struct Cuts {
    /// Slots of a segment at most.
    pub segment_slots: u32,
    /// Labels of a block of sources.
    pub block_labels: u32,
    /// Labels of a tile of rows: within one, blocks of sources follow each other.
    pub tile_rows: u32,
    /// Bytes of one buffer at most, below 2^34.
    pub buffer_bytes: u64,
}

/// Labels: by falling out-degree, then ascending, from 1; nodes appended later follow.
#[derive(Debug, Default)]
pub struct Labels {
    /// Node of each label; label 0 is nobody.
    pub order: Vec<u32>,
    /// Label of each node.
    pub of: Vec<u32>,
    /// Labels below this had out-edges when the graph was laid out, the others had none.
    pub sources: usize,
}

impl Labels {
    fn by_out_degree(graph: &Graph) -> Labels {
        let (mut sources, mut others) = (Vec::new(), Vec::new());
        for node in 0..graph.node_count() {
            match graph.out_degree(node) {
                0 => others.push(node),
                degree => sources.push((Reverse(degree), node)),
            }
        }
        sources.par_sort_unstable();
        let mut order = Vec::with_capacity(1 + graph.node_count() as usize);
        order.push(u32::MAX);
        order.extend(sources.iter().map(|&(_, node)| node));
        let sources = order.len();
        order.append(&mut others);
        let mut of = vec![0; order.len() - 1];
        for (label, &node) in (1..).zip(&order[1..]) {
            of[node as usize] = label;
        }
        Labels { order, of, sources }
    }

    /// Gives labels to the nodes from the last labelled one to `nodes`.
    pub fn append(&mut self, nodes: u32) {
        let known = self.of.len() as u32;
        self.order.extend(known..nodes);
        self.of.extend((known..nodes).map(|node| node + 1));
    }
}

/// Slices of one buffer.
#[derive(Debug, Default)]
pub struct Part {
    /// First slot and width.
    pub slices: Vec<[u32; 2]>,
    /// Row of each segment, with [`SPLIT`]; 0 where there is none.
    pub segments: Vec<u32>,
    /// Label of the source of each slot, 0 where it is empty.
    pub sources: Vec<u32>,
}

impl Part {
    /// Slots of a segment.
    pub fn slots(&self, segment: usize) -> impl Iterator<Item = usize> + use<> {
        let [first, width] = self.slices[segment / LANES];
        let first = first as usize + segment % LANES;
        (0..width as usize).map(move |step| first + step * LANES)
    }
}

/// What a dense round visits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// Slices that hold anything.
    pub slices: u64,
    /// Slots of segments that rows have.
    pub slots: u64,
    /// Rows of one segment.
    pub whole_rows: u64,
    /// Segments of rows with several.
    pub split_segments: u64,
}

/// A part of a row.
#[derive(Clone, Copy, Debug)]
struct Cut {
    tile: u32,
    block: u32,
    length: u32,
    row: u32,
    first: u32,
}

impl Cut {
    /// Whether `next` is the part of the same row right behind this one, of the same block and as long.
    fn is_followed_by(&self, next: &Cut) -> bool {
        (self.row, self.block, self.length) == (next.row, next.block, next.length)
            && self.first + self.length == next.first
    }
}

/// In-edges by row, sources ascending.
struct Incoming {
    /// First edge of each row, and the end.
    starts: Vec<u32>,
    sources: Vec<u32>,
    /// Empty where the weights of each source are equal.
    quotas: Vec<u32>,
}

/// The layout of a graph, kept to follow its changes.
#[derive(Debug)]
pub struct Layout {
    /// Who has which label.
    pub labels: Labels,
    /// Whether slots have quotas.
    pub weighted: bool,
    /// The last is the spare one.
    pub parts: Vec<Part>,
    /// Number of the first segment of each part, counted through all parts.
    starts: Vec<u32>,
    /// Where each row's segments are in `row_segments`.
    row_starts: Vec<u32>,
    row_segments: Vec<u32>,
    /// Segments of the spare part that rows have.
    extra: HashMap<u32, Vec<u32>>,
    /// Segments of the spare part in use.
    pub spare_used: u32,
    /// Edges in slots.
    pub edges: u64,
    /// Blocks of sources.
    blocks: u32,
    /// Edges when the graph was laid out.
    pub edges_at_first: u64,
}

impl Layout {
    /// Lays out `graph`; also gives the quotas of each part's slots, none where weights are equal.
    ///
    /// # Errors
    ///
    /// More than [`MAX_EDGES`] edges.
    pub fn new(graph: &Graph, cuts: Cuts) -> Result<(Layout, Vec<Vec<u32>>), TooManyEdges> {
        let edges = graph.edge_count();
        if edges > MAX_EDGES {
            return Err(TooManyEdges { edges });
        }
        let labels = Labels::by_out_degree(graph);
        let incoming = incoming(graph, &labels);
        let weighted = !incoming.quotas.is_empty();
        let cut = cut_rows(&incoming, cuts);
        let (row_starts, row_segments) = segments_by_row(&cut, labels.order.len());
        let (mut parts, mut quotas) = (Vec::new(), Vec::new());
        let mut rest = &cut[..];
        while !rest.is_empty() {
            let (here, later) = rest.split_at(part_end(rest, cuts));
            let (part, part_quotas) = fill(here, &incoming, &row_starts);
            parts.push(part);
            quotas.push(part_quotas);
            rest = later;
        }
        parts.push(spare(graph.edge_count(), cuts));
        quotas.push(Vec::new());
        let starts = parts
            .iter()
            .scan(0, |next, part| {
                let start = *next;
                *next += part.segments.len() as u32;
                Some(start)
            })
            .collect();
        let layout = Layout {
            blocks: labels.sources.div_ceil(cuts.block_labels as usize) as u32,
            labels,
            weighted,
            parts,
            starts,
            row_starts,
            row_segments,
            extra: HashMap::new(),
            spare_used: 0,
            edges: graph.edge_count(),
            edges_at_first: graph.edge_count(),
        };
        Ok((layout, quotas))
    }

    /// Segments of a row, counted through all parts.
    pub fn segments_of(&self, row: u32) -> Vec<u32> {
        let row_at = row as usize;
        let mut segments = match self.row_starts.get(row_at..row_at + 2) {
            Some(range) => self.row_segments[range[0] as usize..range[1] as usize].to_vec(),
            None => Vec::new(),
        };
        segments.extend(self.extra.get(&row).into_iter().flatten());
        segments
    }

    /// Part of a segment, and its number there.
    pub fn locate(&self, segment: u32) -> (usize, usize) {
        let part = self.starts.partition_point(|&start| start <= segment) - 1;
        (part, (segment - self.starts[part]) as usize)
    }

    /// Gives a spare segment to a row; `None` when there is none left.
    pub fn take_spare(&mut self, row: u32) -> Option<u32> {
        let spare = self.parts.len() - 1;
        if self.spare_used as usize == self.parts[spare].segments.len() {
            return None;
        }
        let segment = self.starts[spare] + self.spare_used;
        self.spare_used += 1;
        self.extra.entry(row).or_default().push(segment);
        Some(segment)
    }

    /// Frontier rounds are chosen where the changed sources have fewer out-edges than this.
    ///
    /// A frontier round reads the source of every slot all the same; it spares quotas, and shares where they are too many
    /// to stay close. Where there is neither, a dense round is no dearer. Elsewhere seven of eight segments are spared.
    pub fn frontier_below(&self) -> u32 {
        if self.weighted || self.blocks > 1 {
            (self.row_segments.len() as u32 + self.spare_used) / 8
        } else {
            0
        }
    }

    /// What a dense round visits.
    pub fn shape(&self) -> Shape {
        let mut shape = Shape::default();
        for (index, part) in self.parts.iter().enumerate() {
            let used = self.used_slices(index) as usize;
            shape.slices += used as u64;
            for (slice, segments) in part
                .slices
                .iter()
                .zip(part.segments.chunks(LANES))
                .take(used)
            {
                let rows = segments.iter().filter(|&&segment| segment != 0).count() as u64;
                let split = segments
                    .iter()
                    .filter(|&&segment| segment & SPLIT != 0)
                    .count() as u64;
                shape.slots += rows * u64::from(slice[1]);
                shape.split_segments += split;
                shape.whole_rows += rows - split;
            }
        }
        shape
    }

    /// Slices of a part that hold anything.
    pub fn used_slices(&self, part: usize) -> u32 {
        if part + 1 == self.parts.len() {
            self.spare_used.div_ceil(LANES as u32)
        } else {
            self.parts[part].slices.len() as u32
        }
    }
}

/// Ratio, and scale with the out-degree (as much of it as fits) above its 6 bits; zeros for no out-edges.
pub fn ratio_words(weights: &[u64]) -> [u32; 2] {
    if weights.is_empty() {
        return [0, 0];
    }
    let Ratio { ratio, scale } = Ratio::of(weights);
    let degree = weights.len().min(DEGREE_MAX as usize) as u32;
    [ratio, u32::from(scale) | degree << 6]
}

/// Whether all these weights are one.
pub fn equal(weights: &[u64]) -> bool {
    weights.windows(2).all(|pair| pair[0] == pair[1])
}

/// Dealt in parallel, in whatever order, and then sorted: a row has a source once, so the result is the same.
fn incoming(graph: &Graph, labels: &Labels) -> Incoming {
    let sources = &labels.order[1..labels.sources];
    let weighted = !sources.par_iter().all(|&node| equal(graph.row(node).1));
    let starts = row_starts(graph, labels);
    let edges = starts[starts.len() - 1] as usize;
    let next: Vec<AtomicU32> = starts.par_iter().copied().map(AtomicU32::new).collect();
    let zeroed = |count: usize| -> Vec<AtomicU32> {
        (0..count)
            .into_par_iter()
            .map(|_| AtomicU32::new(0))
            .collect()
    };
    let edge_sources = zeroed(edges);
    let quotas = zeroed(if weighted { edges } else { 0 });
    sources
        .par_iter()
        .enumerate()
        .with_min_len(1024)
        .for_each(|(index, &node)| {
            let label = index as u32 + 1;
            let (targets, weights) = graph.row(node);
            let largest = weights.iter().copied().max().unwrap_or(0);
            for (&target, &weight) in targets.iter().zip(weights) {
                // Each place is taken once; the end of the loop orders all stores before their reading.
                let row = labels.of[target as usize] as usize;
                let at = next[row].fetch_add(1, Ordering::Relaxed) as usize;
                edge_sources[at].store(label, Ordering::Relaxed);
                if weighted {
                    quotas[at].store(quota(weight, largest), Ordering::Relaxed);
                }
            }
        });
    let values = |cells: Vec<AtomicU32>| -> Vec<u32> {
        cells.into_par_iter().map(AtomicU32::into_inner).collect()
    };
    let (mut edge_sources, mut quotas) = (values(edge_sources), values(quotas));
    sort_rows(&starts, &mut edge_sources, &mut quotas);
    Incoming {
        starts,
        sources: edge_sources,
        quotas,
    }
}

/// First edge of each row, and the end.
fn row_starts(graph: &Graph, labels: &Labels) -> Vec<u32> {
    let counts: Vec<AtomicU32> = labels.order.par_iter().map(|_| AtomicU32::new(0)).collect();
    labels.order[1..labels.sources]
        .par_iter()
        .with_min_len(1024)
        .for_each(|&node| {
            for &target in graph.row(node).0 {
                counts[labels.of[target as usize] as usize].fetch_add(1, Ordering::Relaxed);
            }
        });
    let mut starts = Vec::with_capacity(counts.len() + 1);
    let mut end = 0;
    starts.push(end);
    for count in counts {
        // At most `MAX_EDGES`.
        end += count.into_inner();
        starts.push(end);
    }
    starts
}

/// Sorts the edges of each row by source. `sources` and `quotas`, if any, begin at the first of these rows.
fn sort_rows(starts: &[u32], sources: &mut [u32], quotas: &mut [u32]) {
    /// Edges below which rows are sorted one after the other.
    const FEW: usize = 1 << 16;
    let (first, rows) = (starts[0] as usize, starts.len() - 1);
    if rows > 1 && sources.len() > FEW {
        let middle = rows / 2;
        let at = starts[middle] as usize - first;
        let (left, right) = sources.split_at_mut(at);
        let (left_quotas, right_quotas) = quotas.split_at_mut(at.min(quotas.len()));
        rayon::join(
            || sort_rows(&starts[..=middle], left, left_quotas),
            || sort_rows(&starts[middle..], right, right_quotas),
        );
        return;
    }
    let mut pairs = Vec::new();
    for row in starts.windows(2) {
        let range = row[0] as usize - first..row[1] as usize - first;
        if quotas.is_empty() {
            sources[range].par_sort_unstable();
            continue;
        }
        let (sources, quotas) = (&mut sources[range.clone()], &mut quotas[range]);
        pairs.clear();
        pairs.extend(sources.iter().copied().zip(quotas.iter().copied()));
        pairs.par_sort_unstable();
        for ((source, quota), pair) in sources.iter_mut().zip(quotas).zip(&pairs) {
            (*source, *quota) = *pair;
        }
    }
}

/// All segments in the order of their slices.
fn cut_rows(incoming: &Incoming, cuts: Cuts) -> Vec<Cut> {
    let mut cut = Vec::with_capacity(incoming.starts.len());
    for (row, range) in (0u32..).zip(incoming.starts.windows(2)) {
        let mut first = range[0];
        let tile = row / cuts.tile_rows;
        while first < range[1] {
            let block = incoming.sources[first as usize] / cuts.block_labels;
            let most = (range[1] - first).min(cuts.segment_slots);
            let candidates = &incoming.sources[first as usize..(first + most) as usize];
            let inside = |&source: &u32| source / cuts.block_labels == block;
            let length = candidates.partition_point(inside) as u32;
            cut.push(Cut {
                tile,
                block,
                length,
                row,
                first,
            });
            first += length;
        }
    }
    cut.par_sort_unstable_by_key(|cut| {
        let Cut { tile, block, .. } = *cut;
        (tile, block, Reverse(cut.length), cut.row, cut.first)
    });
    cut
}

fn segments_by_row(cut: &[Cut], rows: usize) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; rows + 1];
    for cut in cut {
        starts[cut.row as usize + 1] += 1;
    }
    for row in 1..starts.len() {
        starts[row] += starts[row - 1];
    }
    let mut next = starts.clone();
    let mut segments = vec![0; cut.len()];
    for (segment, cut) in (0u32..).zip(cut) {
        let at = &mut next[cut.row as usize];
        segments[*at as usize] = segment;
        *at += 1;
    }
    (starts, segments)
}

/// Width of a slice whose segments begin a list.
fn width(cut: &[Cut]) -> u32 {
    let longest = cut.iter().take(LANES).map(|cut| cut.length).max();
    longest.unwrap_or(0)
}

/// How many segments of the list, whole slices but for the end, fit one buffer.
fn part_end(cut: &[Cut], cuts: Cuts) -> usize {
    let slots_most = cuts.buffer_bytes / 4;
    // Eight bytes per segment for its sum.
    let slices_most = cuts.buffer_bytes / (8 * LANES as u64);
    let (mut slots, mut slices) = (0, 0);
    for (index, slice) in cut.chunks(LANES).enumerate() {
        slots += u64::from(width(slice)) * LANES as u64;
        slices += 1;
        // A part has at least a slice; one that does not fit is refused where its buffer is made.
        if index > 0 && (slots > slots_most || slices > slices_most) {
            return index * LANES;
        }
    }
    cut.len()
}

/// A part of these segments, and the quotas of its slots. They fit one buffer, so slots have numbers of 32 bits.
fn fill(cut: &[Cut], incoming: &Incoming, row_starts: &[u32]) -> (Part, Vec<u32>) {
    /// Slices filled one after the other.
    const PIECE: usize = 1 << 10;
    let pieces: Vec<(Part, Vec<u32>)> = cut
        .par_chunks(PIECE * LANES)
        .map(|cut| fill_piece(cut, incoming, row_starts))
        .collect();
    let slots: usize = pieces.iter().map(|(piece, _)| piece.sources.len()).sum();
    let mut part = Part::default();
    part.sources.reserve_exact(slots);
    let mut quotas = Vec::with_capacity(if incoming.quotas.is_empty() { 0 } else { slots });
    for (piece, mut piece_quotas) in pieces {
        let before = part.sources.len() as u32;
        let slices = piece.slices.iter();
        part.slices
            .extend(slices.map(|&[first, width]| [before + first, width]));
        part.segments.extend(piece.segments);
        part.sources.extend(piece.sources);
        quotas.append(&mut piece_quotas);
    }
    (part, quotas)
}

/// The slices of a piece, slots counted from its first.
fn fill_piece(cut: &[Cut], incoming: &Incoming, row_starts: &[u32]) -> (Part, Vec<u32>) {
    let mut part = Part::default();
    let mut quotas = Vec::new();
    for slice in cut.chunks(LANES) {
        let first = part.sources.len();
        let width = width(slice);
        let slots = first + width as usize * LANES;
        part.slices.push([first as u32, width]);
        part.sources.resize(slots, 0);
        if !incoming.quotas.is_empty() {
            quotas.resize(slots, 0);
        }
        for cut in slice {
            let row = cut.row as usize;
            let split = row_starts[row + 1] - row_starts[row] > 1;
            part.segments
                .push(if split { cut.row | SPLIT } else { cut.row });
        }
        let mut lane = first;
        for run in slice.chunk_by(Cut::is_followed_by) {
            let (start, edges) = (run[0].first as usize, run.len() * run[0].length as usize);
            for edge in 0..edges {
                let slot = lane + edge / run.len() * LANES + edge % run.len();
                part.sources[slot] = incoming.sources[start + edge];
                if let Some(&quota) = incoming.quotas.get(start + edge) {
                    quotas[slot] = quota;
                }
            }
            lane += run.len();
        }
        part.segments.resize(part.slices.len() * LANES, 0);
    }
    (part, quotas)
}

/// A part of empty segments for a graph of so many edges.
fn spare(edges: u64, cuts: Cuts) -> Part {
    // A slot takes 4 bytes in each buffer, and the sum of a segment 8.
    let most = cuts.buffer_bytes / (4 * SPARE_WIDTH as u64);
    let segments = (edges / 16).max(1024).min(most) as usize / LANES * LANES;
    let slices = 0..segments / LANES;
    Part {
        slices: slices
            .map(|slice| [(slice * LANES * SPARE_WIDTH) as u32, SPARE_WIDTH as u32])
            .collect(),
        segments: vec![0; segments],
        sources: vec![0; segments * SPARE_WIDTH],
    }
}
