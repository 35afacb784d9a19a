//! Warm runs: iterations in which few nodes take part follow what those have to tell over their out-edges.
//!
//! Vectors are by node, as rows of the graph name their targets so. What arrives is kept from one iteration to the next
//! and follows the shares that have changed; where too many have, it is gathered anew from all edges. Both give the same
//! integers, so the choice is one of speed.

use rayon::prelude::*;

use super::arith::{Quotas, Ratio, edge_term};
use super::blocks::BLOCK;
use super::outbox::deliver;
use super::ranker::{Effort, Gather, NODE_PIECE, Ranker};
use super::teleport::{Spread, Teleport};
use super::threshold::{DEGREE_MAX, Threshold};
use super::{FocusParams, MASS, Ranking};

/// All edges are gathered anew where the changed sources have more than 1 / `FOLLOW_PART` of them: what an edge adds to when
/// it is followed lies anywhere, and its quota has to be worked out.
const FOLLOW_PART: u64 = 2;

/// Changes are followed into so many ranges of targets at most, side by side: each range looks at every changed source.
const RANGES_MAX: usize = 4;

/// A source whose share has changed: its node, twice its share before and now.
type Change = (u32, u64, u64);

/// What a pass over some nodes found.
#[derive(Default)]
struct Sums {
    /// Σ y.
    total: u64,
    /// Σ |y − x|.
    moved: u64,
    /// Σ (y − x) of the nodes that wait, modulo 2^64.
    waiting: u64,
    /// Changed sources, and how many out-edges they have.
    changes: Vec<Change>,
    edges: u64,
}

/// Vectors of a warm run, by node.
pub(super) struct Warm<'a> {
    ranker: &'a Ranker,
    damping: u32,
    teleport: Teleport,
    /// Out-edges, at most [`DEGREE_MAX`], and ratio of nodes that have any.
    sources: Vec<(u32, Option<Ratio>)>,
    /// x.
    mass: Vec<u64>,
    /// Twice the share of each node.
    twice: Vec<u64>,
    /// in.
    arrived: Vec<u64>,
    /// Its sum.
    arrived_total: u64,
    /// κ, modulo 2^64.
    waiting: u64,
    effort: Effort,
}

impl<'a> Warm<'a> {
    /// At `start`, which misses `missing`.
    pub(super) fn new(ranker: &'a Ranker, damping: u32, start: &[u64], missing: u64) -> Warm<'a> {
        let graph = &ranker.graph;
        let nodes = graph.node_count();
        let teleport = ranker.teleport.by_node(&ranker.label);
        let first = teleport.spread(missing, nodes);
        let mass: Vec<u64> = (0..nodes)
            .into_par_iter()
            .map(|node| {
                let given = start.get(node as usize).copied().unwrap_or(0);
                given + first.to(node as usize, node)
            })
            .collect();
        let sources: Vec<(u32, Option<Ratio>)> = (0..nodes)
            .into_par_iter()
            .zip(ranker.ratios_by_node())
            .map(|(node, ratio)| (graph.out_degree(node).min(DEGREE_MAX), ratio))
            .collect();
        let twice = (mass.par_iter().zip(&sources))
            .map(|(&mass, &(_, ratio))| twice_the_share(ratio, damping, mass))
            .collect();
        Warm {
            ranker,
            damping,
            teleport,
            sources,
            mass,
            twice,
            arrived: Vec::new(),
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
            let sums = self.settle(threshold.per_edge());
            assert_eq!(sums.total, MASS, "mass is conserved");
            let residual = sums.moved + (self.waiting as i64).unsigned_abs();
            ranking.note(residual, params.epsilon);
            threshold.follow(residual);
            if ranking.converged || ranking.iterations == params.max_iterations {
                break;
            }
            self.waiting = sums.waiting;
            if sums.edges > self.ranker.graph.edge_count() / FOLLOW_PART {
                self.gather();
            } else {
                self.follow(&sums);
            }
        }
        ranking.mass = self.finished();
        (ranking, self.effort)
    }

    /// The pool as it spreads.
    fn pool(&self) -> Spread<'_> {
        assert!(self.arrived_total <= MASS, "more arrived than there is");
        let nodes = self.ranker.graph.node_count();
        self.teleport.spread(MASS - self.arrived_total, nodes)
    }

    /// One pass over the nodes: y, who takes part, and whose share changes. x as of before is lost.
    fn settle(&mut self, per_edge: u64) -> Sums {
        let mut mass = std::mem::take(&mut self.mass);
        let mut twice = std::mem::take(&mut self.twice);
        let (spread, damping) = (self.pool(), self.damping);
        let pieces: Vec<Sums> = (mass.par_chunks_mut(NODE_PIECE))
            .zip(twice.par_chunks_mut(NODE_PIECE))
            .zip(self.arrived.par_chunks(NODE_PIECE))
            .zip(self.sources.par_chunks(NODE_PIECE))
            .enumerate()
            .map(|(piece, (((mass, twice), arrived), sources))| {
                let mut sums = Sums::default();
                let first = piece * NODE_PIECE;
                for at in 0..mass.len() {
                    // Nodes have numbers of 32 bits.
                    let node = (first + at) as u32;
                    let y = arrived[at] + spread.to(first + at, node);
                    let (degree, ratio) = sources[at];
                    let moved = y.abs_diff(mass[at]);
                    sums.total += y;
                    sums.moved += moved;
                    // The product is at most the residual the threshold comes from.
                    if moved <= per_edge * u64::from(degree) {
                        sums.waiting = sums.waiting.wrapping_add(y).wrapping_sub(mass[at]);
                        continue;
                    }
                    mass[at] = y;
                    let now = twice_the_share(ratio, damping, y);
                    if now != twice[at] {
                        sums.changes.push((node, twice[at], now));
                        sums.edges += u64::from(degree);
                        twice[at] = now;
                    }
                }
                sums
            })
            .collect();
        (self.mass, self.twice) = (mass, twice);
        let mut all = Sums::default();
        for piece in pieces {
            all.total += piece.total;
            all.moved += piece.moved;
            all.waiting = all.waiting.wrapping_add(piece.waiting);
            all.edges += piece.edges;
            all.changes.extend(piece.changes);
        }
        all
    }

    /// What arrives, from all edges.
    fn gather(&mut self) {
        let ranker = self.ranker;
        let nodes = ranker.order.len();
        let double = match &ranker.gather {
            Gather::Blocks(blocks) => u32::from(blocks.weighted),
            Gather::Shards(_) => 1,
        };
        let mut shares = vec![0; nodes.next_multiple_of(BLOCK)];
        let sources = &ranker.order[..ranker.ratios.len()];
        (shares[..sources.len()].par_iter_mut().zip(sources))
            .for_each(|(share, &node)| *share = self.twice[node as usize] >> 1 << double);
        let mut overlay_shares = Vec::with_capacity(ranker.overlay.sources.len());
        for &(source, _) in &ranker.overlay.sources {
            overlay_shares.push(self.twice[ranker.order[source as usize] as usize]);
            shares[source as usize] = 0;
        }
        let mut arrived = vec![0; nodes];
        match &ranker.gather {
            Gather::Blocks(blocks) => {
                blocks.gather(&shares, &mut arrived);
            }
            Gather::Shards(shards) => shards.gather(&shares, &mut arrived),
        }
        deliver(
            &ranker.overlay.outbox.combine(&overlay_shares),
            &mut arrived,
        );
        let by_node = ranker
            .label
            .par_iter()
            .map(|&label| arrived[label as usize]);
        self.arrived = by_node.collect();
        self.arrived_total = self.arrived.par_iter().with_min_len(NODE_PIECE).sum();
        self.effort.edge_visits += ranker.graph.edge_count();
        self.effort.dense += 1;
    }

    /// What arrives, from what arrived before and the shares that have changed.
    fn follow(&mut self, sums: &Sums) {
        let ranges = rayon::current_num_threads().min(RANGES_MAX);
        let length = self.arrived.len().div_ceil(ranges).max(1);
        let graph = &self.ranker.graph;
        let more: Vec<u64> = (self.arrived.par_chunks_mut(length).enumerate())
            .map(|(range, arrived)| {
                let (first, whole) = (range * length, ranges == 1);
                let mut more = 0u64;
                for &(node, before, now) in &sums.changes {
                    let (mut targets, mut weights) = graph.row(node);
                    let quotas = Quotas::new(weights.iter().copied().max().unwrap_or(1));
                    if !whole {
                        let from = targets.partition_point(|&target| (target as usize) < first);
                        let end = first + arrived.len();
                        let to = targets.partition_point(|&target| (target as usize) < end);
                        (targets, weights) = (&targets[from..to], &weights[from..to]);
                    }
                    for (&target, &weight) in targets.iter().zip(weights) {
                        let quota = quotas.of(weight);
                        let change = edge_term(now, quota).wrapping_sub(edge_term(before, quota));
                        let arrived = &mut arrived[target as usize - first];
                        *arrived = arrived.wrapping_add(change);
                        more = more.wrapping_add(change);
                    }
                }
                more
            })
            .collect();
        let more = more.into_iter().fold(0, u64::wrapping_add);
        self.arrived_total = self.arrived_total.wrapping_add(more);
        self.effort.edge_visits += sums.edges;
        self.effort.frontier += 1;
    }

    /// The last y.
    fn finished(&self) -> Vec<u64> {
        let spread = self.pool();
        let nodes = 0..self.ranker.graph.node_count();
        (nodes.into_par_iter().zip(&self.arrived))
            .map(|(node, arrived)| arrived + spread.to(node as usize, node))
            .collect()
    }
}

/// Twice the share of a node of this mass; nothing where it has no out-edges.
#[inline(always)]
fn twice_the_share(ratio: Option<Ratio>, damping: u32, mass: u64) -> u64 {
    ratio.map_or(0, |ratio| ratio.share(damping, mass) << 1)
}
