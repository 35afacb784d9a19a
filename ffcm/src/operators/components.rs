//! Weakly connected components (Sutton, Ben-Nun, Barak: *Optimizing parallel graph connectivity computation via subgraph
//! sampling*, IPDPS 2018: Afforest).
//!
//! Every node names a parent with a number not above its own. An edge between two trees hooks the root with the larger
//! number to the other tree, so a root is the smallest node of its tree, whatever order edges come in. Two edges a node
//! join most of the largest component; what is in it afterwards need not look at its other edges.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rayon::prelude::*;

use super::layout::Csr;

/// Edges of each node that are followed first.
const FIRST: usize = 2;
/// Nodes asked for the component that is then left alone.
const SAMPLES: usize = 1 << 10;
/// Nodes per parallel piece.
const PIECE: usize = 1 << 11;

/// The smallest node of each node's component. `into` is there when it costs nothing: without it all edges are followed.
pub(super) fn components(out: &Csr, into: Option<&Csr>) -> Vec<u32> {
    // The first edge of a node leads to the smallest of its targets, which may be its parent as it is.
    let first = |node| {
        out.row(node)
            .first()
            .map_or(node, |&target| node.min(target))
    };
    let parents: Vec<AtomicU32> = (0..out.nodes())
        .into_par_iter()
        .with_min_len(PIECE)
        .map(|node| AtomicU32::new(first(node)))
        .collect();
    each(&parents, |node| compress(&parents, node));
    each(&parents, |node| {
        // The first edge, of [`FIRST`], is followed already where it leads to a smaller node.
        match *out.row(node) {
            [first] if first > node => link(&parents, node, first),
            [first, second, ..] => {
                if first > node {
                    link(&parents, node, first);
                }
                if second != first {
                    link(&parents, node, second);
                }
            }
            _ => {}
        }
    });
    each(&parents, |node| compress(&parents, node));
    let largest = into.and_then(|into| Some((into, most_frequent(&parents)?)));
    each(&parents, |node| {
        let beyond = out.row(node).get(FIRST..).unwrap_or(&[]);
        match largest {
            Some((_, largest)) if parents[node as usize].load(Relaxed) == largest => return,
            // An edge out of the largest component is followed by its target.
            Some((into, _)) if !std::ptr::eq(into, out) => {
                (into.row(node).iter()).for_each(|&source| link(&parents, node, source));
            }
            _ => {}
        }
        beyond
            .iter()
            .for_each(|&target| link(&parents, node, target));
    });
    each(&parents, |node| compress(&parents, node));
    parents.into_iter().map(AtomicU32::into_inner).collect()
}

/// Works on every node, in a plain loop within a piece, so that no node costs a call.
fn each(parents: &[AtomicU32], work: impl Fn(u32) + Send + Sync) {
    let nodes = parents.len() as u32;
    let piece_nodes = PIECE as u32;
    let pieces = nodes.div_ceil(piece_nodes);
    (0..pieces).into_par_iter().for_each(|piece| {
        let first = piece * piece_nodes;
        for node in first..nodes.min(first.saturating_add(piece_nodes)) {
            work(node);
        }
    });
}

/// Joins the trees of two nodes.
fn link(parents: &[AtomicU32], a: u32, b: u32) {
    let parent = |node: u32| parents[node as usize].load(Relaxed);
    let (mut a, mut b) = (parent(a), parent(b));
    while a != b {
        let (high, low) = (a.max(b), a.min(b));
        let above = parent(high);
        if above == low {
            break;
        }
        let own = &parents[high as usize];
        if above == high && own.compare_exchange(high, low, Relaxed, Relaxed).is_ok() {
            break;
        }
        a = parent(parent(high));
        b = parent(low);
    }
}

/// Hangs a node directly below its root.
fn compress(parents: &[AtomicU32], node: u32) {
    let parent = |node: u32| parents[node as usize].load(Relaxed);
    let below = parent(node);
    let mut root = below;
    loop {
        let above = parent(root);
        if above == root {
            break;
        }
        root = above;
    }
    // Most hang there already, and a line that is not written stays where it is.
    if root != below {
        parents[node as usize].store(root, Relaxed);
    }
}

/// The parent that most of some nodes, evenly spaced, have.
fn most_frequent(parents: &[AtomicU32]) -> Option<u32> {
    let step = (parents.len() / SAMPLES).max(1);
    let samples = parents.iter().step_by(step);
    let mut samples: Vec<u32> = samples.map(|parent| parent.load(Relaxed)).collect();
    samples.sort_unstable();
    let runs = samples.chunk_by(|a, b| a == b);
    runs.max_by_key(|run| run.len()).map(|run| run[0])
}
