//! Community detection by label propagation, synchronous and without chance.
//!
//! Labels are counted in an array with a place for every label, one array a worker: as each count grows, the best label
//! so far is kept, and afterwards only the places that were touched are emptied. A node none of whose neighbours changed
//! has the answer it had.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rayon::prelude::*;

use super::layout::Csr;

/// Nodes per piece of work; whole words of the set of active nodes.
const PIECE: usize = 1 << 10;
/// Active nodes are worked out when those that changed have fewer than 1 / `FEW` of all entries.
const FEW: usize = 4;

/// Labels after `iterations` rounds. Where the graph is its own mirror image, `into` is `None`: each neighbour would
/// only count twice.
pub(super) fn communities(out: &Csr, into: Option<&Csr>, iterations: u32) -> Vec<u32> {
    let nodes = out.nodes();
    let mut labels: Vec<u32> = (0..nodes).collect();
    if iterations == 0 || nodes == 0 {
        return labels;
    }
    labels.par_iter_mut().enumerate().for_each(|(node, label)| {
        *label = first(out, into, node as u32);
    });
    let all = (out.edges() + into.map_or(0, Csr::edges)) / FEW;
    let mut next = labels.clone();
    let mut active: Option<Vec<AtomicU64>> = None;
    let workers = rayon::current_num_threads().min(labels.len().div_ceil(PIECE));
    let mut counters = vec![vec![0u32; labels.len()]; workers];
    for _ in 1..iterations {
        let changed = round(
            (out, into),
            active.as_deref(),
            &labels,
            &mut next,
            &mut counters,
        );
        if changed.is_empty() {
            break;
        }
        let degree = |&node: &u32| out.degree(node) + into.map_or(0, |into| into.degree(node));
        let touched: usize = changed.iter().map(degree).sum();
        active = (touched < all).then(|| neighbours((out, into), &changed));
        // What did not change is the same in both; what did is taken over.
        for &node in &changed {
            labels[node as usize] = next[node as usize];
        }
    }
    labels
}

/// The label of a node after the first round, in which every label is the number of a node: the smallest neighbour that
/// is one in both directions, or else the smallest, or else its own.
fn first(out: &Csr, into: Option<&Csr>, node: u32) -> u32 {
    let a = out.row(node);
    let Some(into) = into else {
        return a.first().copied().unwrap_or(node);
    };
    let b = into.row(node);
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            return a[i];
        }
        (i, j) = (i + usize::from(a[i] < b[j]), j + usize::from(b[j] < a[i]));
    }
    let smallest = a.first().into_iter().chain(b.first()).min();
    smallest.copied().unwrap_or(node)
}

/// Works out `next` from `labels` for all nodes, or the active ones; those that changed, ascending.
fn round(
    (out, into): (&Csr, Option<&Csr>),
    active: Option<&[AtomicU64]>,
    labels: &[u32],
    next: &mut [u32],
    counters: &mut [Vec<u32>],
) -> Vec<u32> {
    let pieces = Mutex::new(next.chunks_mut(PIECE).enumerate());
    let work = |counts: &mut Vec<u32>| {
        let mut changed = Vec::new();
        loop {
            // A worker that panics takes the whole call with it.
            let piece = pieces.lock().map_or(None, |mut pieces| pieces.next());
            let Some((piece, next)) = piece else {
                return changed;
            };
            for (at, next) in next.iter_mut().enumerate() {
                let node = piece * PIECE + at;
                let is_active =
                    |bits: &[AtomicU64]| bits[node / 64].load(Relaxed) >> (node % 64) & 1 == 1;
                if !active.is_none_or(is_active) {
                    continue;
                }
                let node = node as u32;
                let rows = [out.row(node), into.map_or(&[][..], |into| into.row(node))];
                let label = most_frequent(rows, labels, counts).unwrap_or(labels[node as usize]);
                if label != labels[node as usize] {
                    changed.push(node);
                }
                *next = label;
            }
        }
    };
    let mut changed: Vec<u32> = counters.par_iter_mut().flat_map_iter(work).collect();
    changed.par_sort_unstable();
    changed
}

/// The label that most of these nodes have, the smallest of several; none of no nodes. `counts` is zero, and is left so.
fn most_frequent(rows: [&[u32]; 2], labels: &[u32], counts: &mut [u32]) -> Option<u32> {
    let (mut best, mut most) = (None, 0);
    for &node in rows.into_iter().flatten() {
        let label = labels[node as usize];
        let count = &mut counts[label as usize];
        *count += 1;
        // The last time that a label is counted here is with all that it has.
        if *count > most || (*count == most && best > Some(label)) {
            (best, most) = (Some(label), *count);
        }
    }
    for &node in rows.into_iter().flatten() {
        counts[labels[node as usize] as usize] = 0;
    }
    best
}

/// The set of nodes that have one of `changed` as a neighbour, in either direction.
fn neighbours((out, into): (&Csr, Option<&Csr>), changed: &[u32]) -> Vec<AtomicU64> {
    let words = (out.nodes() as usize).div_ceil(64);
    let set: Vec<AtomicU64> = (0..words).map(|_| AtomicU64::new(0)).collect();
    changed.par_iter().with_min_len(64).for_each(|&node| {
        let rows = [out.row(node), into.map_or(&[][..], |into| into.row(node))];
        for &other in rows.into_iter().flatten() {
            let (word, bit) = (&set[other as usize / 64], 1 << (other % 64));
            if word.load(Relaxed) & bit == 0 {
                word.fetch_or(bit, Relaxed);
            }
        }
    });
    set
}
