//! Out-edges by source, as labels and quotas: what warm runs follow.

use std::ops::Range;

use rayon::prelude::*;

use super::arith::{Quotas, narrow};
use crate::graph::Graph;

/// Sources per parallel piece of the building.
const PIECE: usize = 1 << 12;

/// Rows of some sources, in their order.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Where each row starts, and where the last ends.
    starts: Vec<usize>,
    /// Labels.
    targets: Vec<u32>,
    /// Quotas; empty where all would be [`super::arith::QUOTA_ONE`].
    quotas: Vec<u32>,
}

impl Rows {
    /// The rows of `nodes` in `graph`, whose targets have these labels; with quotas if `weighted`.
    pub(super) fn new(graph: &Graph, nodes: &[u32], label: &[u32], weighted: bool) -> Rows {
        let mut starts = Vec::with_capacity(nodes.len() + 1);
        let mut edges = 0;
        starts.push(edges);
        for &node in nodes {
            edges += graph.out_degree(node) as usize;
            starts.push(edges);
        }
        let mut rows = Rows {
            starts,
            targets: vec![0; edges],
            quotas: vec![0; if weighted { edges } else { 0 }],
        };
        let mut pieces = Vec::with_capacity(nodes.len().div_ceil(PIECE));
        let (mut targets, mut quotas) = (&mut rows.targets[..], &mut rows.quotas[..]);
        for (piece, nodes) in nodes.chunks(PIECE).enumerate() {
            let first = piece * PIECE;
            let edges = rows.starts[first + nodes.len()] - rows.starts[first];
            let own;
            (own, targets) = targets.split_at_mut(edges);
            let own_quotas;
            (own_quotas, quotas) = quotas.split_at_mut(edges.min(quotas.len()));
            pieces.push((nodes, own, own_quotas));
        }
        pieces
            .into_par_iter()
            .for_each(|(nodes, targets, quotas)| fill(graph, nodes, label, targets, quotas));
        rows
    }

    /// The row of the source at this place.
    fn range(&self, row: usize) -> Range<usize> {
        self.starts[row]..self.starts[row + 1]
    }

    /// Targets and quotas of a row; no quotas where there are none.
    pub(super) fn row(&self, row: usize) -> (&[u32], &[u32]) {
        let range = self.range(row);
        let quotas = self.quotas.get(range.clone()).unwrap_or(&[]);
        (&self.targets[range], quotas)
    }

    /// Out-edges of the source at this place.
    pub(super) fn degree(&self, row: usize) -> usize {
        self.range(row).len()
    }

    /// Moves what the edges of a row carry from the share `before` to the share `now`, both doubled if there are quotas.
    /// Returns the sum of what was added, modulo 2^64.
    pub(super) fn follow(&self, row: usize, before: u64, now: u64, arrived: &mut [u64]) -> u64 {
        let (targets, quotas) = self.row(row);
        if quotas.is_empty() {
            let change = now.wrapping_sub(before);
            for &target in targets {
                let arrived = &mut arrived[target as usize];
                *arrived = arrived.wrapping_add(change);
            }
            return change.wrapping_mul(targets.len() as u64);
        }
        let ((now, now_shift), (before, before_shift)) = (narrow(now), narrow(before));
        let mut more = 0u64;
        for (&target, &quota) in targets.iter().zip(quotas) {
            let quota = u64::from(quota);
            let change =
                ((now * quota) >> now_shift).wrapping_sub((before * quota) >> before_shift);
            let arrived = &mut arrived[target as usize];
            *arrived = arrived.wrapping_add(change);
            more = more.wrapping_add(change);
        }
        more
    }
}

/// The rows of `nodes`, one after the other.
fn fill(graph: &Graph, nodes: &[u32], label: &[u32], targets: &mut [u32], quotas: &mut [u32]) {
    let mut at = 0;
    for &node in nodes {
        let (row, weights) = graph.row(node);
        for (to, &target) in targets[at..].iter_mut().zip(row) {
            *to = label[target as usize];
        }
        if let Some(to) = quotas.get_mut(at..at + row.len()) {
            let of = Quotas::new(weights.iter().copied().max().unwrap_or(1));
            for (to, &weight) in to.iter_mut().zip(weights) {
                *to = of.of(weight);
            }
        }
        at += row.len();
    }
}
