//! Warm runs: iterations in which few nodes take part follow what those have to tell over their out-edges.
//!
//! What arrives is kept from one iteration to the next and follows the shares that have changed; where too many have, it is
//! gathered anew from all edges. Both give the same integers, so the choice is one of speed. Vectors are those of any run,
//! by label: hubs, into which most edges lead, lie side by side.

use rayon::prelude::*;

use super::ranker::{Effort, Ranker};
use super::rows::{Rows, follow_unprepared};
use super::run::{NODE_PIECE, Run};
use super::settle::{Change, Nodes, Wait, Waited};
use super::threshold::{DEGREE_MAX, Threshold};
use super::{FocusParams, MASS, Ranking};

/// All edges are gathered anew where the changed sources have more than 1 / `FOLLOW_PART` of them: what an edge adds to when
/// it is followed lies anywhere, which takes some four times as long as in a gather.
const FOLLOW_PART: u64 = 4;

/// Changes are followed side by side into vectors of their own, which have to be added up: each is to have this many
/// edges for each node.
const EDGES_PER_NODE: u64 = 2;

/// So many changes ahead of the one being followed, the start of a row is fetched, and the row itself.
const STARTS_AHEAD: usize = 16;
const ROWS_AHEAD: usize = 8;

/// A run in which nodes may wait.
pub(super) struct Warm<'a> {
    run: Run<'a>,
    /// Out-edges of each label that has a factor, at most [`DEGREE_MAX`].
    degrees: Vec<u32>,
    /// Sums that parts of the changes make beside the others; 0 but while they do.
    apart: Vec<Vec<u64>>,
    /// Σ in, modulo 2^64 while it is followed.
    arrived_total: u64,
    /// κ, modulo 2^64.
    waiting: u64,
    effort: Effort,
}

impl<'a> Warm<'a> {
    /// At `start`, which misses `missing`.
    pub(super) fn new(ranker: &'a Ranker, damping: u32, start: &[u64], missing: u64) -> Warm<'a> {
        let run = Run::new(ranker, damping, start, missing);
        let mut degrees = ranker.degrees(run.factors.len());
        degrees
            .iter_mut()
            .for_each(|degree| *degree = (*degree).min(DEGREE_MAX));
        Warm {
            run,
            degrees,
            apart: Vec::new(),
            arrived_total: 0,
            waiting: 0,
            effort: Effort::default(),
        }
    }

    /// Iterates to the end.
    pub(super) fn rank(mut self, params: &FocusParams, threshold: Threshold) -> (Ranking, Effort) {
        let mut threshold = threshold;
        let mut ranking = Ranking {
            converged: false,
            ..Ranking::of_empty_graph()
        };
        self.gather();
        loop {
            // What of κ is left from the iteration before counts to the residual.
            let kept_back = (self.waiting as i64).unsigned_abs();
            let (moved, waited) = self.settle(threshold.per_edge());
            let residual = moved + kept_back;
            ranking.note(residual, params.epsilon);
            threshold.follow(residual);
            if ranking.converged || ranking.iterations == params.max_iterations {
                break;
            }
            match waited {
                Some(waited) if waited.edges <= self.edge_count() / FOLLOW_PART => {
                    self.follow(&waited);
                }
                _ => self.gather(),
            }
        }
        ranking.mass = self.finished();
        (ranking, self.effort)
    }

    fn edge_count(&self) -> u64 {
        self.run.ranker.graph.edge_count()
    }

    /// What has not arrived.
    fn pool(&self) -> u64 {
        assert!(self.arrived_total <= MASS, "more arrived than there is");
        MASS - self.arrived_total
    }

    /// One pass over the nodes; Σ|y − x|, and where nodes may wait, who did not.
    fn settle(&mut self, per_edge: u64) -> (u64, Option<Waited>) {
        let pool = self.pool();
        if per_edge == 0 {
            self.waiting = 0;
            return (self.run.spread(pool), None);
        }
        let waited = self.wait(pool, per_edge);
        assert_eq!(waited.total, MASS, "mass is conserved");
        // Σ y = M, so κ is what it was, less what those that take part make up for.
        self.waiting = self.waiting.wrapping_sub(waited.taken);
        (waited.moved, Some(waited))
    }

    /// The pass of an iteration in which nodes wait.
    fn wait(&mut self, pool: u64, per_edge: u64) -> Waited {
        let run = &mut self.run;
        let wait = Wait {
            settle: run.settle(pool),
            per_edge,
        };
        let (order, factors, degrees) = (&run.ranker.order, &run.factors, &self.degrees);
        let pieces: Vec<Waited> = (run.mass.par_chunks_mut(NODE_PIECE))
            .zip(run.arrived.par_chunks(NODE_PIECE))
            .zip(run.shares.par_chunks_mut(NODE_PIECE))
            .enumerate()
            .map(|(piece, ((mass, arrived), shares))| {
                let first = piece * NODE_PIECE;
                let nodes = Nodes {
                    first,
                    order: &order[first..first + mass.len()],
                    arrived,
                    mass,
                    factors: factors.get(first..).unwrap_or(&[]),
                    shares,
                };
                wait.run(nodes, degrees.get(first..).unwrap_or(&[]))
            })
            .collect();
        let mut all = Waited::default();
        for piece in pieces {
            all.total += piece.total;
            all.moved += piece.moved;
            all.taken = all.taken.wrapping_add(piece.taken);
            all.edges += piece.edges;
            all.changes.extend(piece.changes);
        }
        all
    }

    /// What arrives, from all edges.
    fn gather(&mut self) {
        self.arrived_total = self.run.gather();
        self.effort.edge_visits += self.edge_count();
        self.effort.dense += 1;
    }

    /// What arrives, from what arrived before and the shares that have changed.
    fn follow(&mut self, waited: &Waited) {
        let run = &mut self.run;
        let follow = Follow {
            ranker: run.ranker,
            rows: run.ranker.rows(waited.edges),
            double: run.double,
        };
        let least = (run.arrived.len() as u64 * EDGES_PER_NODE).max(1);
        let parts = (waited.edges / least).min(rayon::current_num_threads() as u64);
        let more = if parts < 2 {
            follow.all(&waited.changes, &mut run.arrived)
        } else {
            let parts = cut(&waited.changes, &self.degrees, waited.edges, parts);
            let apart = self.apart.len().max(parts.len() - 1);
            self.apart.resize_with(apart, || vec![0; run.arrived.len()]);
            let apart = &mut self.apart[..parts.len() - 1];
            follow.side_by_side(&parts, &mut run.arrived, apart)
        };
        self.arrived_total = self.arrived_total.wrapping_add(more);
        self.effort.edge_visits += waited.edges;
        self.effort.frontier += 1;
    }

    /// The last y, by node.
    fn finished(&self) -> Vec<u64> {
        let run = &self.run;
        let spread = run.settle(self.pool()).spread;
        let mut mass = vec![0; run.arrived.len()];
        for (label, (&node, arrived)) in run.ranker.order.iter().zip(&run.arrived).enumerate() {
            mass[node as usize] = arrived + spread.to(label, node);
        }
        mass
    }
}

/// What following needs to know.
#[derive(Clone, Copy)]
struct Follow<'a> {
    ranker: &'a Ranker,
    /// Those of the base, if they are worth it.
    rows: Option<&'a Rows>,
    /// Shares are multiplied by 2 to this.
    double: u32,
}

impl Follow<'_> {
    /// Adds to `arrived` what these changes, by label, change; the sum of that, modulo 2^64.
    fn all(&self, changes: &[Change], arrived: &mut [u64]) -> u64 {
        let overlay = &self.ranker.overlay;
        let (mut row, mut more) = (0, 0u64);
        let twice = |share: u64| share << (1 - self.double);
        for (at, &Change { label, before, now }) in changes.iter().enumerate() {
            if let Some(rows) = self.rows {
                if let Some(soon) = changes.get(at + STARTS_AHEAD) {
                    rows.expect_start(soon.label as usize);
                }
                if let Some(soon) = changes.get(at + ROWS_AHEAD) {
                    rows.expect(soon.label as usize);
                }
            }
            while overlay.sources.get(row).is_some_and(|s| s.label < label) {
                row += 1;
            }
            let (before, now) = (twice(before), twice(now));
            let change = match (overlay.sources.get(row), self.rows) {
                (Some(source), _) if source.label == label => {
                    overlay.rows.follow(row, before, now, arrived)
                }
                (_, Some(rows)) => rows.follow(label as usize, before, now, arrived),
                (_, None) => {
                    let (graph, label_of) = (&self.ranker.graph, &self.ranker.label[..]);
                    let node = self.ranker.order[label as usize];
                    follow_unprepared((graph, label_of), node, before, now, arrived)
                }
            };
            more = more.wrapping_add(change);
        }
        more
    }

    /// The same, in parts: the first into `arrived`, each other into one of `apart`, which are 0 before and after.
    fn side_by_side(
        &self,
        parts: &[&[Change]],
        arrived: &mut [u64],
        apart: &mut [Vec<u64>],
    ) -> u64 {
        let into = std::iter::once(&mut *arrived).chain(apart.iter_mut().map(|sums| &mut sums[..]));
        let into: Vec<(&&[Change], &mut [u64])> = parts.iter().zip(into).collect();
        let more = into
            .into_par_iter()
            .map(|(changes, arrived)| self.all(changes, arrived))
            .reduce(|| 0, u64::wrapping_add);
        for apart in apart {
            let pieces = (arrived.par_chunks_mut(NODE_PIECE)).zip(apart.par_chunks_mut(NODE_PIECE));
            pieces.for_each(|(arrived, apart)| {
                for (arrived, apart) in arrived.iter_mut().zip(apart) {
                    *arrived = arrived.wrapping_add(std::mem::take(apart));
                }
            });
        }
        more
    }
}

/// `changes` cut into at most `parts` of about equally many out-edges, of which they have `edges` in all.
fn cut<'a>(changes: &'a [Change], degrees: &[u32], edges: u64, parts: u64) -> Vec<&'a [Change]> {
    let each = edges.div_ceil(parts);
    let mut cut = Vec::new();
    let (mut first, mut own) = (0, 0);
    for (at, change) in changes.iter().enumerate() {
        own += u64::from(degrees[change.label as usize]);
        if own >= each {
            cut.push(&changes[first..=at]);
            (first, own) = (at + 1, 0);
        }
    }
    if first < changes.len() {
        cut.push(&changes[first..]);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{EdgeDelta, Graph};

    #[test]
    fn parts_side_by_side_are_all() {
        let nodes = 300u32;
        let mut graph = Graph::new();
        graph.add_nodes(nodes).unwrap();
        let edge = |at: u32| EdgeDelta {
            // Node 0 is a hub.
            source: at % nodes * (at / 1000 % 3),
            target: at.wrapping_mul(0x9e37_79b9) % nodes,
            weight: u64::from(at % 7) + 1,
        };
        let edges: Vec<EdgeDelta> = (0..6000).map(edge).filter(|e| e.source < nodes).collect();
        graph.apply(&edges).unwrap();
        let mut ranker = Ranker::new(&graph, 1).unwrap();
        // Some rows go through the overlay.
        graph
            .apply(&[edge(77), edge(178), edge(1_003)].map(|edge| EdgeDelta { weight: 9, ..edge }))
            .unwrap();
        ranker.refresh(&graph).unwrap();
        assert!(!ranker.overlay.sources.is_empty());
        assert!(ranker.rows(3).is_none());
        let follow = Follow {
            ranker: &ranker,
            rows: ranker.rows(graph.edge_count()),
            double: 1,
        };
        assert!(follow.rows.is_some());
        let degrees = ranker.degrees(ranker.factors().len());
        let change = |label: u32| Change {
            label,
            before: u64::from(label) << 20,
            now: u64::from(label % 5) << 40,
        };
        let changes: Vec<Change> = (0..degrees.len() as u32).map(change).collect();
        let mut expected = vec![1 << 50; nodes as usize];
        let more = follow.all(&changes, &mut expected);
        let unprepared = Follow {
            rows: None,
            ..follow
        };
        let mut arrived = vec![1 << 50; nodes as usize];
        assert_eq!(unprepared.all(&changes, &mut arrived), more);
        assert_eq!(arrived, expected);
        for parts in 2..6 {
            let parts = cut(&changes, &degrees, graph.edge_count(), parts);
            assert!(parts.len() > 1);
            let mut arrived = vec![1 << 50; nodes as usize];
            let mut apart = vec![vec![0; nodes as usize]; parts.len() - 1];
            assert_eq!(follow.side_by_side(&parts, &mut arrived, &mut apart), more);
            assert_eq!(arrived, expected);
            assert!(apart.iter().flatten().all(|&sum| sum == 0));
        }
    }

    #[test]
    fn changes_are_cut_by_their_edges() {
        let degrees = [50, 3, 3, 3, 3, 0, 3];
        let change = |label| Change {
            label,
            before: 0,
            now: 1,
        };
        let changes: Vec<Change> = (0..7).map(change).collect();
        let cut: Vec<usize> = cut(&changes, &degrees, 65, 4)
            .iter()
            .map(|c| c.len())
            .collect();
        assert_eq!(cut, [1, 6]);
        assert!(super::cut(&[], &degrees, 0, 4).is_empty());
        let equal: Vec<usize> = super::cut(&changes[1..5], &degrees, 12, 2)
            .iter()
            .map(|c| c.len())
            .collect();
        assert_eq!(equal, [2, 2]);
    }
}
