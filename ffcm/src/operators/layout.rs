//! Rows of neighbours in one piece of memory: what operators read edges from.

use std::ops::Range;

use rayon::prelude::*;

use crate::graph::Graph;

/// Nodes per parallel piece of the work done row by row.
pub(super) const ROWS: usize = 1 << 10;

/// For each node, some nodes in ascending order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Csr {
    /// Where each row starts, and where the last ends.
    starts: Vec<usize>,
    targets: Vec<u32>,
}

impl Csr {
    /// The out-neighbours of every node.
    pub(super) fn of(graph: &Graph) -> Csr {
        let nodes = 0..graph.node_count();
        let starts = starts(nodes.map(|node| graph.out_degree(node) as usize));
        let mut targets = vec![0; graph.edge_count() as usize];
        pieces(&starts, &mut targets)
            .into_par_iter()
            .for_each(|(first, mut rest)| {
                for node in first..graph.node_count().min(first + ROWS as u32) {
                    let row = graph.row(node).0;
                    let own;
                    (own, rest) = rest.split_at_mut(row.len());
                    own.copy_from_slice(row);
                }
            });
        Csr { starts, targets }
    }

    /// The places of a row among all entries.
    pub(super) fn range(&self, node: u32) -> Range<usize> {
        self.starts[node as usize]..self.starts[node as usize + 1]
    }

    /// Number of rows.
    pub(super) fn nodes(&self) -> u32 {
        // As many as a graph has nodes.
        (self.starts.len() - 1) as u32
    }

    /// Number of entries in all rows.
    pub(super) fn edges(&self) -> usize {
        self.targets.len()
    }

    /// A row.
    #[inline(always)]
    pub(super) fn row(&self, node: u32) -> &[u32] {
        &self.targets[self.range(node)]
    }

    /// Length of a row.
    #[inline(always)]
    pub(super) fn degree(&self, node: u32) -> usize {
        self.range(node).len()
    }

    /// The rows by target: who has each node in its row.
    ///
    /// Every worker makes the rows of a range of nodes. As rows ascend, its part of each is one slice, so no edge is
    /// looked at twice, nothing is shared, and what is made ascends as well.
    pub(super) fn transposed(&self) -> Csr {
        let nodes = self.nodes() as usize;
        let part = nodes.div_ceil(rayon::current_num_threads()).max(1);
        let mut starts = vec![0; nodes + 1];
        (starts[1..].par_chunks_mut(part).enumerate()).for_each(|(index, counts)| {
            let first = (index * part) as u32;
            let count = counts.len();
            let each = |_, target| counts[(target - first) as usize] += 1;
            self.edges_into(first, count, each);
        });
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut targets = vec![0; self.edges()];
        let mut parts = Vec::new();
        let mut rest = &mut targets[..];
        for first in (0..nodes).step_by(part) {
            let ends = starts[nodes.min(first + part)];
            let own;
            (own, rest) = rest.split_at_mut(ends - starts[first]);
            parts.push((first, own));
        }
        parts.into_par_iter().for_each(|(first, own)| {
            let rows = &starts[first..nodes.min(first + part)];
            let mut next: Vec<usize> = rows.iter().map(|start| start - rows[0]).collect();
            self.edges_into(first as u32, rows.len(), |source, target| {
                let at = &mut next[target as usize - first];
                own[*at] = source;
                *at += 1;
            });
        });
        Csr { starts, targets }
    }

    /// Calls `each` for every edge into one of `count` nodes from `first`, in order of sources, then targets.
    fn edges_into(&self, first: u32, count: usize, mut each: impl FnMut(u32, u32)) {
        let all = count == self.nodes() as usize;
        let end = first as usize + count;
        for source in 0..self.nodes() {
            let mut row = self.row(source);
            if !all {
                row = &row[row.partition_point(|&target| target < first)..];
                row = &row[..row.partition_point(|&target| (target as usize) < end)];
            }
            for &target in row {
                each(source, target);
            }
        }
    }
}

/// Where rows of these lengths start, and where the last ends.
pub(super) fn starts(lengths: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut starts = vec![0];
    let mut end = 0;
    starts.extend(lengths.map(|length| {
        end += length;
        end
    }));
    starts
}

/// `items`, divided among pieces of [`ROWS`] rows: the first row of each and its items.
pub(super) fn pieces<'a, T>(starts: &[usize], mut items: &'a mut [T]) -> Vec<(u32, &'a mut [T])> {
    let rows = starts.len() - 1;
    let mut pieces = Vec::with_capacity(rows.div_ceil(ROWS));
    for first in (0..rows).step_by(ROWS) {
        let own;
        (own, items) = items.split_at_mut(starts[rows.min(first + ROWS)] - starts[first]);
        pieces.push((first as u32, own));
    }
    pieces
}

/// Calls `each` once for every node in either of two ascending rows, with whether it is in the first and in the second.
#[inline(always)]
pub(super) fn union(a: &[u32], b: &[u32], mut each: impl FnMut(u32, bool, bool)) {
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        let (x, y) = (a[i], b[j]);
        each(x.min(y), x <= y, y <= x);
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    for &x in &a[i..] {
        each(x, true, false);
    }
    for &y in &b[j..] {
        each(y, false, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::EdgeDelta;
    use crate::testing::Rng;

    #[test]
    fn transposing_is_the_same_on_every_number_of_threads_and_undoes_itself() {
        let mut random = Rng::new(5);
        let mut graph = Graph::new();
        graph.add_nodes(3000).unwrap();
        let mut node = || (random.below(3000) * random.below(3000) / 3000) as u32;
        let edges = (0..20_000).map(|_| EdgeDelta {
            source: node(),
            target: node(),
            weight: 1,
        });
        graph.apply(&edges.collect::<Vec<_>>()).unwrap();
        let out = Csr::of(&graph);
        let mut turned: Vec<(u32, u32)> = { graph.edges() }.map(|e| (e.target, e.source)).collect();
        turned.sort_unstable();
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| {
                let into = out.transposed();
                let rows =
                    (0..3000).flat_map(|node| into.row(node).iter().map(move |&s| (node, s)));
                assert_eq!(rows.collect::<Vec<_>>(), turned);
                assert_eq!(into.transposed(), out);
            });
        }
        let empty = Csr::of(&Graph::new());
        assert_eq!((empty.nodes(), empty.edges()), (0, 0));
        assert_eq!(empty.transposed(), empty);
    }

    #[test]
    fn a_union_names_everybody_once() {
        let mut seen = Vec::new();
        union(&[1, 3, 5], &[0, 3, 7], |node, a, b| seen.push((node, a, b)));
        let expected = [
            (0, false, true),
            (1, true, false),
            (3, true, true),
            (5, true, false),
            (7, false, true),
        ];
        assert_eq!(seen, expected);
    }
}
