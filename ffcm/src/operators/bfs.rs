//! Breadth-first search that changes direction (Beamer, Asanović, Patterson: *Direction-optimizing breadth-first search*,
//! SC 2012): while few nodes are new they look for unseen targets; while many are, unseen nodes look for a new source
//! and stop at the first.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rayon::prelude::*;

use super::layout::Csr;

/// Level of a node that is not reached.
pub(super) const UNSEEN: u32 = u32::MAX;

/// From new nodes to unseen ones when the former have more than 1 / `UP` of the edges not looked at yet.
const UP: usize = 15;
/// Back when fewer than 1 / `DOWN` of all nodes are new.
const DOWN: usize = 18;
/// Nodes per parallel piece, and the number of new nodes that is worth more than one thread.
const PIECE: usize = 1 << 9;

/// Length of the shortest path from `source` to each node.
pub(super) fn levels(out: &Csr, into: &Csr, source: u32) -> Vec<u32> {
    let nodes = out.nodes() as usize;
    let levels: Vec<AtomicU32> = (0..nodes).map(|_| AtomicU32::new(UNSEEN)).collect();
    levels[source as usize].store(0, Relaxed);
    let mut new = vec![source];
    let mut level = 0;
    let mut edges_left = out.edges();
    let degrees = |new: &[u32]| new.iter().map(|&node| out.degree(node)).sum::<usize>();
    while !new.is_empty() {
        let edges = degrees(&new);
        if edges > edges_left / UP && new.len() > PIECE {
            (new, level) = bottom_up(into, &levels, &new, level);
            continue;
        }
        edges_left -= edges.min(edges_left);
        level += 1;
        new = top_down(out, &levels, &new, level);
    }
    levels.into_iter().map(AtomicU32::into_inner).collect()
}

/// Gives `level` to the unseen targets of `new`, which are the next new nodes, in any order.
fn top_down(out: &Csr, levels: &[AtomicU32], new: &[u32], level: u32) -> Vec<u32> {
    let take = |sources: &[u32]| {
        let mut taken = Vec::new();
        for &source in sources {
            for &target in out.row(source) {
                let own = &levels[target as usize];
                if own.load(Relaxed) == UNSEEN
                    && (own.compare_exchange(UNSEEN, level, Relaxed, Relaxed)).is_ok()
                {
                    taken.push(target);
                }
            }
        }
        taken
    };
    if new.len() <= PIECE {
        return take(new);
    }
    let taken: Vec<Vec<u32>> = new.par_chunks(PIECE).map(take).collect();
    taken.concat()
}

/// Lets unseen nodes look for a source among the nodes of `level`, which are `new`, level after level until few nodes are
/// new. Gives those and their level.
fn bottom_up(into: &Csr, levels: &[AtomicU32], new: &[u32], mut level: u32) -> (Vec<u32>, u32) {
    let words = levels.len().div_ceil(64);
    let (mut bits, mut next) = (vec![0u64; words], vec![0u64; words]);
    for &node in new {
        bits[node as usize / 64] |= 1 << (node % 64);
    }
    let mut before = new.len();
    loop {
        level += 1;
        let is_new = |source: u32| bits[source as usize / 64] >> (source % 64) & 1 == 1;
        let look = |(word, next): (usize, &mut u64)| {
            *next = 0;
            let nodes = levels[word * 64..].iter().take(64);
            for (bit, own) in nodes.enumerate() {
                let node = (word * 64 + bit) as u32;
                if own.load(Relaxed) == UNSEEN && into.row(node).iter().any(|&node| is_new(node)) {
                    own.store(level, Relaxed);
                    *next |= 1 << bit;
                }
            }
            next.count_ones() as usize
        };
        let found: usize = (next.par_iter_mut().with_min_len(PIECE / 64))
            .enumerate()
            .map(look)
            .sum();
        std::mem::swap(&mut bits, &mut next);
        if found <= levels.len() / DOWN && found <= before {
            break;
        }
        before = found;
    }
    (members(&bits), level)
}

/// The numbers whose bits are set.
fn members(bits: &[u64]) -> Vec<u32> {
    let mut members = Vec::new();
    for (word, &bits) in (0u32..).zip(bits) {
        let mut bits = bits;
        while bits != 0 {
            members.push(word * 64 + bits.trailing_zeros());
            bits &= bits - 1;
        }
    }
    members
}
