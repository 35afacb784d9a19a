//! Triangles and local clustering coefficients, by intersecting neighbourhoods in the order of degrees.
//!
//! Nodes have labels by falling degree, as in [`crate::focus`], and an edge is kept by the node with the larger label: so
//! a hub keeps few edges and most others lead to hubs, whose marks share a few cache lines. For each node u its row is
//! marked; of every v in it the row is searched for marks, and a mark at w is the triangle u, v, w, found once. Chiba
//! and Nishizeki (*Arboricity and subgraph listing algorithms*, 1985) show that this takes O(m^3/2) steps.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rayon::prelude::*;

use super::layout::{Csr, ROWS, pieces, starts, union};

/// Labels that a worker takes at once: few, since their work differs by orders of magnitude.
const PIECE: usize = 1 << 6;

/// The undirected edges, each in the row of the node with fewer neighbours.
#[derive(Debug)]
pub(super) struct Oriented {
    /// Node of each label.
    order: Vec<u32>,
    /// Number of neighbours of each label, itself not counted.
    degrees: Vec<u32>,
    starts: Vec<usize>,
    /// Smaller labels, in any order.
    targets: Vec<u32>,
    /// How many of its two directions each edge has, 1 or 2; empty if all have both.
    directions: Vec<u8>,
}

impl Oriented {
    /// Of the edges in `out`, turned round in `into`; `None` where that is the same.
    pub(super) fn of(out: &Csr, into: Option<&Csr>) -> Oriented {
        let graph = (out, into);
        let degree = |node: u32| {
            let mut degree = 0u32;
            neighbours(graph, node, |_, _| degree += 1);
            (!degree, node)
        };
        let nodes = 0..out.nodes();
        let mut by_degree: Vec<(u32, u32)> = nodes.into_par_iter().map(degree).collect();
        by_degree.par_sort_unstable();
        let mut label = vec![0; by_degree.len()];
        for (at, &(_, node)) in (0u32..).zip(&by_degree) {
            label[node as usize] = at;
        }
        let degrees: Vec<u32> = by_degree.iter().map(|&(degree, _)| !degree).collect();
        let order: Vec<u32> = by_degree.into_iter().map(|(_, node)| node).collect();
        let kept = |(at, &node): (usize, &u32)| {
            let mut kept = 0;
            neighbours(graph, node, |other, _| {
                kept += usize::from(label[other as usize] < at as u32);
            });
            kept
        };
        let kept: Vec<usize> = order.par_iter().enumerate().map(kept).collect();
        let starts = starts(kept.into_iter());
        let edges = starts.last().copied().unwrap_or(0);
        let mut targets = vec![0; edges];
        let mut directions = vec![0u8; if into.is_some() { edges } else { 0 }];
        let no_starts = vec![0; starts.len()];
        let own = if into.is_some() { &starts } else { &no_starts };
        let both = pieces(&starts, &mut targets).into_par_iter();
        both.zip(pieces(own, &mut directions))
            .for_each(|((first, targets), (_, directions))| {
                let mut next = 0;
                for at in (first..out.nodes()).take(ROWS) {
                    neighbours(graph, order[at as usize], |other, count| {
                        if label[other as usize] < at {
                            targets[next] = label[other as usize];
                            if let Some(directions) = directions.get_mut(next) {
                                *directions = count;
                            }
                            next += 1;
                        }
                    });
                }
            });
        Oriented {
            order,
            degrees,
            starts,
            targets,
            directions,
        }
    }

    fn row(&self, label: usize) -> std::ops::Range<usize> {
        self.starts[label]..self.starts[label + 1]
    }

    /// Number of triangles in the whole graph.
    pub(super) fn count(&self) -> u64 {
        let words = self.order.len().div_ceil(64);
        let counts = self.workers(|labels| {
            let mut marks = vec![0u64; words];
            let mut count = 0;
            for label in labels {
                let row = &self.targets[self.row(label)];
                if row.len() < 2 {
                    continue;
                }
                row.iter()
                    .for_each(|&v| marks[v as usize / 64] |= 1 << (v % 64));
                for &v in row {
                    let marked = |&w: &u32| marks[w as usize / 64] >> (w % 64) & 1;
                    count += self.targets[self.row(v as usize)]
                        .iter()
                        .map(marked)
                        .sum::<u64>();
                }
                row.iter().for_each(|&v| marks[v as usize / 64] = 0);
            }
            count
        });
        counts.into_iter().sum()
    }

    /// Number of triangles through each node.
    pub(super) fn triangles(&self) -> Vec<u64> {
        self.by_node(self.tally(|_| 1))
    }

    /// For each node, the edges between its neighbours, each direction counted, and the pairs of neighbours in order.
    pub(super) fn clustering(&self) -> Vec<(u64, u64)> {
        let links = match self.directions.is_empty() {
            true => self.by_node(self.tally(|_| 2)),
            false => self.by_node(self.tally(|edge| self.directions[edge])),
        };
        let pairs = self.by_node(self.degrees.iter().map(|&degree| pairs(degree)).collect());
        links.into_iter().zip(pairs).collect()
    }

    /// For each label, what the edges opposite to it weigh in all triangles that it is part of.
    fn tally(&self, weight: impl Fn(usize) -> u8 + Sync) -> Vec<u64> {
        let nodes = self.order.len();
        let sums = self.workers(|labels| {
            let (mut marks, mut sums) = (vec![0u8; nodes], vec![0u64; nodes]);
            for u in labels {
                let row = self.row(u);
                if row.len() < 2 {
                    continue;
                }
                row.clone()
                    .for_each(|edge| marks[self.targets[edge] as usize] = weight(edge));
                for uv in row.clone() {
                    let v = self.targets[uv] as usize;
                    let opposite_w = u64::from(weight(uv));
                    let (mut opposite_u, mut opposite_v) = (0, 0);
                    for vw in self.row(v) {
                        let w = self.targets[vw] as usize;
                        let uw = marks[w];
                        if uw != 0 {
                            opposite_u += u64::from(weight(vw));
                            opposite_v += u64::from(uw);
                            sums[w] += opposite_w;
                        }
                    }
                    sums[u] += opposite_u;
                    sums[v] += opposite_v;
                }
                row.for_each(|edge| marks[self.targets[edge] as usize] = 0);
            }
            sums
        });
        let mut sums = sums.into_iter();
        let first = sums.next().unwrap_or_default();
        sums.fold(first, |mut all, sums| {
            all.par_iter_mut()
                .zip(sums)
                .for_each(|(all, sum)| *all += sum);
            all
        })
    }

    /// Calls `work` once on every worker, with labels that no other gets.
    fn workers<R: Send>(
        &self,
        work: impl Fn(&mut dyn Iterator<Item = usize>) -> R + Sync,
    ) -> Vec<R> {
        let nodes = self.order.len();
        let count = rayon::current_num_threads().min(nodes.div_ceil(PIECE));
        let next = AtomicUsize::new(0);
        // The largest labels first: their rows are long, those of hubs are empty.
        let piece = |_| {
            let first = next.fetch_add(PIECE, Relaxed);
            (first < nodes).then(|| (first..nodes.min(first + PIECE)).map(|at| nodes - 1 - at))
        };
        let one = |_| work(&mut (0..).map_while(piece).flatten());
        (0..count)
            .into_par_iter()
            .with_max_len(1)
            .map(one)
            .collect()
    }

    /// What is given by label, by node.
    fn by_node<T: Copy + Default>(&self, by_label: Vec<T>) -> Vec<T> {
        let mut by_node = vec![T::default(); by_label.len()];
        for (&node, value) in self.order.iter().zip(by_label) {
            by_node[node as usize] = value;
        }
        by_node
    }
}

/// Calls `each` with every neighbour of `node` but itself, and in how many of the two directions it is one.
#[inline(always)]
fn neighbours((out, into): (&Csr, Option<&Csr>), node: u32, mut each: impl FnMut(u32, u8)) {
    let into = into.map_or(&[][..], |into| into.row(node));
    union(out.row(node), into, |other, a, b| {
        if other != node {
            each(other, u8::from(a) + u8::from(b));
        }
    });
}

/// Ordered pairs of this many; 1 of fewer than two, so that a fraction of it always means something.
fn pairs(degree: u32) -> u64 {
    let degree = u64::from(degree);
    (degree * degree.saturating_sub(1)).max(1)
}
