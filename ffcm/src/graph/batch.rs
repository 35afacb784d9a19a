//! A batch of deltas, divided by chunk, in order, and merged chunk by chunk.

use rayon::prelude::*;

use super::chunk::CHUNK_NODES;
use super::{EdgeDelta, GraphError, check_node, chunk_of};

/// Smallest batch whose sorting is worth more than one thread.
const PARALLEL_MIN: usize = 1024;
/// Fewest chunks whose rewriting is.
const PARALLEL_CHUNKS: usize = 8;
/// Most buckets that a batch is divided into: as many as a core writes to at once without missing its caches much.
const BUCKETS_MAX: u32 = 1 << 11;
/// Deltas of a bucket to aim at, in small batches.
const BUCKET_DELTAS: usize = 512;
/// Buckets with more deltas than this are sorted by several threads: hubs make large ones.
const LARGE_BUCKET: usize = 1 << 16;

/// Calls `merge` once for every chunk that `deltas` touch, with all its deltas sorted by (source, target), the last of
/// each edge alone. The results are in the order of the chunks, and so the error is that of the first chunk with one.
///
/// A large batch that is not in order is first divided into buckets of neighbouring chunks, in one pass through it;
/// a bucket fits a core's cache, and is sorted and merged there before the next one.
pub(super) fn merge<R: Send>(
    deltas: &[EdgeDelta],
    nodes: u32,
    merge: impl Fn(&[EdgeDelta]) -> Result<R, GraphError> + Sync,
) -> Result<Vec<R>, GraphError> {
    let buckets = Buckets::of(deltas.len(), nodes);
    let parts = match deltas.len() < PARALLEL_MIN {
        true => 1,
        false => rayon::current_num_threads(),
    };
    let part_len = deltas.len().div_ceil(parts).max(1);
    let surveys: Vec<Survey> = match parts {
        1 => vec![buckets.survey(deltas)],
        _ => deltas
            .par_chunks(part_len)
            .map(|part| buckets.survey(part))
            .collect(),
    };
    if surveys.iter().any(|survey| survey.highest >= nodes) {
        for delta in deltas {
            check_node(delta.source, nodes)?;
            check_node(delta.target, nodes)?;
        }
    }
    let seams = deltas.chunks(part_len).zip(deltas.chunks(part_len).skip(1));
    let ordered = surveys.iter().all(|survey| survey.ordered) && { seams }
        .all(|(a, b)| a.last().map(edge) < b.first().map(edge));
    // A chunk is rewritten whole: a few deltas far apart are work for several threads too.
    let all = |touched: Vec<&[EdgeDelta]>| match touched.len() < PARALLEL_CHUNKS {
        true => touched.into_iter().map(&merge).collect(),
        false => in_order(touched.into_par_iter().map(&merge).collect()),
    };
    if ordered {
        return all(by_chunk(deltas).collect());
    }
    if buckets.count == 1 {
        return all(by_chunk(last_of_each_edge(&mut deltas.to_vec())).collect());
    }
    let each = |bucket: &mut [EdgeDelta]| -> Result<Vec<R>, GraphError> {
        by_chunk(last_of_each_edge(bucket)).map(&merge).collect()
    };
    let mut divided = vec![EdgeDelta::default(); deltas.len()];
    let divided = divide(deltas, part_len, &buckets, &surveys, &mut divided);
    let merged = in_order(divided.into_par_iter().map(each).collect())?;
    Ok(merged.into_iter().flatten().collect())
}

/// All or the first error; rayon's own way of collecting may take any.
fn in_order<R>(results: Vec<Result<R, GraphError>>) -> Result<Vec<R>, GraphError> {
    results.into_iter().collect()
}

/// How sources map to buckets: whole chunks, neighbours together.
struct Buckets {
    shift: u32,
    count: usize,
}

/// What one pass over a part of a batch finds.
struct Survey {
    /// Highest node named.
    highest: u32,
    /// Whether the part ascends strictly by edge.
    ordered: bool,
    /// Deltas per bucket.
    counts: Vec<usize>,
}

impl Buckets {
    fn of(deltas: usize, nodes: u32) -> Buckets {
        let most = (deltas / BUCKET_DELTAS).clamp(1, BUCKETS_MAX as usize) as u32;
        let last = nodes.saturating_sub(1);
        let mut shift = CHUNK_NODES.trailing_zeros();
        while last >> shift >= most {
            shift += 1;
        }
        let count = (last >> shift) as usize + 1;
        Buckets { shift, count }
    }

    /// The bucket of a source; sources that do not exist count to the last.
    fn bucket(&self, source: u32) -> usize {
        ((source >> self.shift) as usize).min(self.count - 1)
    }

    fn survey(&self, part: &[EdgeDelta]) -> Survey {
        let mut highest = 0;
        let mut ordered = true;
        let mut counts = vec![0; self.count];
        let mut before = None;
        for delta in part {
            highest = highest.max(delta.source).max(delta.target);
            ordered &= before < Some(edge(delta));
            before = Some(edge(delta));
            counts[self.bucket(delta.source)] += 1;
        }
        Survey {
            highest,
            ordered,
            counts,
        }
    }
}

/// Copies `deltas` into `divided`, bucket after bucket, each in the order of the batch; returns the buckets.
fn divide<'a>(
    deltas: &[EdgeDelta],
    part_len: usize,
    buckets: &Buckets,
    surveys: &[Survey],
    divided: &'a mut [EdgeDelta],
) -> Vec<&'a mut [EdgeDelta]> {
    // Each part writes to its own place in every bucket, those of earlier parts before it.
    let mut places: Vec<Vec<&mut [EdgeDelta]>> = vec![];
    places.resize_with(surveys.len(), Vec::new);
    let mut rest = &mut *divided;
    for bucket in 0..buckets.count {
        for (places, survey) in places.iter_mut().zip(surveys) {
            let (place, later) = rest.split_at_mut(survey.counts[bucket]);
            places.push(place);
            rest = later;
        }
    }
    let parts = deltas.par_chunks(part_len).zip(places);
    parts.for_each(|(part, places)| {
        let mut free: Vec<_> = places.into_iter().map(<[_]>::iter_mut).collect();
        for delta in part {
            if let Some(place) = free[buckets.bucket(delta.source)].next() {
                *place = *delta;
            }
        }
    });
    let mut rest = divided;
    let whole = |bucket| {
        let count = surveys.iter().map(|survey| survey.counts[bucket]).sum();
        let (whole, later) = std::mem::take(&mut rest).split_at_mut(count);
        rest = later;
        whole
    };
    let whole = (0..buckets.count).map(whole);
    whole.collect()
}

/// Sorts by (source, target) and moves the last delta of each edge to the front; returns those.
fn last_of_each_edge(deltas: &mut [EdgeDelta]) -> &[EdgeDelta] {
    // Stable, so deltas of one edge keep their order.
    match deltas.len() < LARGE_BUCKET {
        true => deltas.sort_by_key(edge),
        false => deltas.par_sort_by_key(edge),
    }
    let mut kept = 0;
    for at in 0..deltas.len() {
        if at > 0 && edge(&deltas[at]) != edge(&deltas[kept]) {
            kept += 1;
        }
        deltas[kept] = deltas[at];
    }
    deltas.get(..=kept).unwrap_or_default()
}

/// Source and target as one number.
fn edge(delta: &EdgeDelta) -> u64 {
    u64::from(delta.source) << 32 | u64::from(delta.target)
}

/// Runs of one chunk each.
fn by_chunk(deltas: &[EdgeDelta]) -> impl Iterator<Item = &[EdgeDelta]> {
    deltas.chunk_by(|a, b| chunk_of(a.source) == chunk_of(b.source))
}
