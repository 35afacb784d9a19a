//! Out-edges by source, as labels and quotas: what warm runs follow.

use rayon::prelude::*;

use super::arith::{Quotas, narrow};
use super::prefetch::prefetch;
use crate::graph::Graph;

/// Sources per parallel piece of the building.
const PIECE: usize = 1 << 10;

/// Edges in a cache line.
const LINE: usize = 64 / size_of::<(u32, u32)>();

/// Rows of some nodes, in their order.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Where each row starts, and where the last ends.
    starts: Vec<usize>,
    /// Labels and quotas.
    edges: Vec<(u32, u32)>,
}

impl Rows {
    /// The rows of `nodes` in `graph`, whose targets have these labels.
    pub(super) fn new(graph: &Graph, nodes: &[u32], label: &[u32]) -> Rows {
        let mut starts = Vec::with_capacity(nodes.len() + 1);
        let mut edges = 0;
        starts.push(edges);
        for &node in nodes {
            edges += graph.out_degree(node) as usize;
            starts.push(edges);
        }
        let mut rows = Rows {
            starts,
            edges: vec![(0, 0); edges],
        };
        // Read in the order of the graph's storage, written wherever.
        let mut pieces: Vec<(u32, &mut [(u32, u32)])> = Vec::with_capacity(nodes.len());
        let mut edges = &mut rows.edges[..];
        for (row, &node) in nodes.iter().enumerate() {
            let own;
            (own, edges) = edges.split_at_mut(rows.starts[row + 1] - rows.starts[row]);
            pieces.push((node, own));
        }
        pieces.par_sort_unstable_by_key(|&(node, _)| node);
        pieces
            .into_par_iter()
            .with_min_len(PIECE)
            .for_each(|(node, edges)| {
                let row = edges.iter_mut().zip(prepared(graph, node, label));
                row.for_each(|(edge, prepared)| *edge = prepared);
            });
        rows
    }

    /// Labels and quotas of a row.
    pub(super) fn row(&self, row: usize) -> &[(u32, u32)] {
        &self.edges[self.starts[row]..self.starts[row + 1]]
    }

    /// Asks for where a row starts, which will be asked for soon; any number does.
    #[inline(always)]
    pub(super) fn expect_start(&self, row: usize) {
        prefetch(&self.starts, row);
    }

    /// Asks for the first edges of a row that will be followed soon; any number does.
    #[inline(always)]
    pub(super) fn expect(&self, row: usize) {
        let Some(&start) = self.starts.get(row) else {
            return;
        };
        prefetch(&self.edges, start);
        prefetch(&self.edges, start + LINE);
    }

    /// Out-edges of the source of this row.
    pub(super) fn degree(&self, row: usize) -> usize {
        self.row(row).len()
    }

    /// Moves what the edges of a row carry from the share `before` to the share `now`, both doubled.
    /// Returns the sum of what was added, modulo 2^64.
    #[inline(always)]
    pub(super) fn follow(&self, row: usize, before: u64, now: u64, arrived: &mut [u64]) -> u64 {
        follow(self.row(row).iter().copied(), before, now, arrived)
    }
}

/// [`Rows::follow`] for the row of `node` as the graph has it, whose targets have these labels: several times slower, and
/// nothing has to be made before.
pub(super) fn follow_unprepared(
    (graph, label): (&Graph, &[u32]),
    node: u32,
    before: u64,
    now: u64,
    arrived: &mut [u64],
) -> u64 {
    follow(prepared(graph, node, label), before, now, arrived)
}

/// Labels and quotas of the edges of `node`.
#[inline(always)]
fn prepared<'a>(
    graph: &'a Graph,
    node: u32,
    label: &'a [u32],
) -> impl Iterator<Item = (u32, u32)> + 'a {
    let (targets, weights) = graph.row(node);
    let quotas = Quotas::new(weights.iter().copied().max().unwrap_or(1));
    let edges = targets.iter().zip(weights);
    edges.map(move |(&target, &weight)| (label[target as usize], quotas.of(weight)))
}

/// Moves what `edges` carry from the share `before` to the share `now`.
#[inline(always)]
fn follow(
    edges: impl Iterator<Item = (u32, u32)>,
    before: u64,
    now: u64,
    arrived: &mut [u64],
) -> u64 {
    let ((now, now_shift), (before, before_shift)) = (narrow(now), narrow(before));
    let mut more = 0u64;
    for (target, quota) in edges {
        let quota = u64::from(quota);
        let change = ((now * quota) >> now_shift).wrapping_sub((before * quota) >> before_shift);
        let arrived = &mut arrived[target as usize];
        *arrived = arrived.wrapping_add(change);
        more = more.wrapping_add(change);
    }
    more
}

#[cfg(test)]
mod tests {
    use super::super::arith::{edge_term, quota};
    use super::*;
    use crate::graph::EdgeDelta;

    #[test]
    fn following_a_row_adds_the_differences_of_its_terms() {
        let mut graph = Graph::new();
        graph.add_nodes(40).unwrap();
        let edge = |source, target, weight| EdgeDelta {
            source,
            target,
            weight,
        };
        let hub = (0..40).map(|target| edge(7, target, 1 << target));
        let deltas: Vec<EdgeDelta> = hub.chain([edge(3, 7, u64::MAX), edge(9, 9, 5)]).collect();
        graph.apply(&deltas).unwrap();
        let label: Vec<u32> = (0..40).rev().collect();
        let nodes = [7, 5, 3, 9];
        let rows = Rows::new(&graph, &nodes, &label);
        for (row, &node) in nodes.iter().enumerate() {
            let (targets, weights) = graph.row(node);
            let largest = weights.iter().copied().max().unwrap_or(0);
            assert_eq!(rows.degree(row), targets.len());
            for (before, now) in [(0, 1 << 60), (5 << 40, 3 << 20), (6, 0), (8, 8)] {
                let (mut arrived, mut expected) = (vec![9u64; 40], vec![9u64; 40]);
                let mut more = 0u64;
                for (&target, &weight) in targets.iter().zip(weights) {
                    let quota = quota(weight, largest);
                    let change = edge_term(now, quota).wrapping_sub(edge_term(before, quota));
                    let at = label[target as usize] as usize;
                    expected[at] = expected[at].wrapping_add(change);
                    more = more.wrapping_add(change);
                }
                assert_eq!(rows.follow(row, before, now, &mut arrived), more);
                assert_eq!(arrived, expected);
                let mut arrived = vec![9u64; 40];
                let whole = (&graph, &label[..]);
                let same = follow_unprepared(whole, node, before, now, &mut arrived);
                assert_eq!((same, arrived), (more, expected));
            }
        }
        // Beyond the last row nothing is fetched.
        rows.expect_start(99);
        rows.expect(99);
    }
}
