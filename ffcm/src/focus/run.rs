//! Vectors of one run, and the dense iteration: everything is gathered from all edges, and all nodes take part.

use rayon::prelude::*;

use super::MASS;
use super::arith::Factor;
use super::blocks::BLOCK;
use super::outbox::deliver;
use super::ranker::{Gather, Ranker};
use super::settle::{Nodes, Settle};

/// Nodes per parallel piece of the work done per node.
pub(super) const NODE_PIECE: usize = 1 << 14;

/// Vectors of one run, by label.
pub(super) struct Run<'a> {
    pub(super) ranker: &'a Ranker,
    pub(super) damping: u32,
    /// Ratios of the labels that have out-edges, and of some that have none.
    pub(super) factors: Vec<Factor>,
    /// x.
    pub(super) mass: Vec<u64>,
    /// Shares of those with a factor, doubled where `double` is 1; padded to whole blocks.
    pub(super) shares: Vec<u64>,
    pub(super) double: u32,
    /// Doubled shares of the sources of the overlay, as of the last gather.
    overlay_shares: Vec<u64>,
    /// in.
    pub(super) arrived: Vec<u64>,
}

impl<'a> Run<'a> {
    /// At `start`, by node, which misses `missing`.
    pub(super) fn new(ranker: &'a Ranker, damping: u32, start: &[u64], missing: u64) -> Run<'a> {
        let nodes = ranker.order.len();
        let double = match &ranker.gather {
            Gather::Blocks(blocks) => u32::from(blocks.weighted),
            Gather::Shards(_) => 1,
        };
        let mut run = Run {
            ranker,
            damping,
            factors: ranker.factors(),
            mass: vec![0; nodes],
            shares: vec![0; nodes.next_multiple_of(BLOCK)],
            double,
            overlay_shares: vec![0; ranker.overlay.sources.len()],
            arrived: vec![0; nodes],
        };
        // The start vector "arrives", and what is missing is its pool.
        if !start.is_empty() {
            let arrived = run.arrived.par_iter_mut().with_min_len(NODE_PIECE);
            arrived.zip(&ranker.order).for_each(|(arrived, &node)| {
                *arrived = start.get(node as usize).copied().unwrap_or(0);
            });
        }
        run.spread(missing);
        run
    }

    /// One iteration in which all nodes take part; its residual.
    pub(super) fn iterate(&mut self) -> u64 {
        let arrived = self.gather();
        assert!(arrived <= MASS, "more mass arrived than there is");
        self.spread(MASS - arrived)
    }

    /// What arrives, from all edges; its sum.
    pub(super) fn gather(&mut self) -> u64 {
        let overlay = &self.ranker.overlay;
        // Changed sources give nothing through the base, and all through the overlay.
        for (twice, source) in self.overlay_shares.iter_mut().zip(&overlay.sources) {
            let share = &mut self.shares[source.label as usize];
            *twice = std::mem::take(share) << (1 - self.double);
        }
        let carried = match &self.ranker.gather {
            Gather::Blocks(blocks) => blocks.gather(&self.shares, &mut self.arrived),
            Gather::Shards(shards) => {
                self.arrived.fill(0);
                shards.gather(&self.shares, &mut self.arrived);
                self.arrived.par_iter().with_min_len(NODE_PIECE).sum()
            }
        };
        let messages = overlay.outbox.combine(&self.overlay_shares);
        deliver(&messages, &mut self.arrived);
        for (twice, source) in self.overlay_shares.iter().zip(&overlay.sources) {
            self.shares[source.label as usize] = twice >> (1 - self.double);
        }
        carried + messages.iter().map(|&(_, mass)| mass).sum::<u64>()
    }

    /// The pass over all nodes when `pool` is to be spread.
    pub(super) fn settle(&self, pool: u64) -> Settle<'a> {
        let ranker = self.ranker;
        Settle {
            spread: ranker.teleport.spread(pool, ranker.graph.node_count()),
            damping: self.damping,
            double: self.double,
        }
    }

    /// Makes `arrived` and its pool the new mass, and prepares the shares; Σ|y − x| to the old mass.
    pub(super) fn spread(&mut self, pool: u64) -> u64 {
        let settle = self.settle(pool);
        let (order, factors) = (&self.ranker.order, &self.factors);
        let pieces = (self.mass.par_chunks_mut(NODE_PIECE))
            .zip(self.arrived.par_chunks(NODE_PIECE))
            .zip(self.shares.par_chunks_mut(NODE_PIECE))
            .enumerate();
        let (total, moved) = pieces
            .map(|(piece, ((mass, arrived), shares))| {
                let first = piece * NODE_PIECE;
                settle.run(Nodes {
                    first,
                    order: &order[first..first + mass.len()],
                    arrived,
                    mass,
                    factors: factors.get(first..).unwrap_or(&[]),
                    shares,
                })
            })
            .reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        assert_eq!(total, MASS, "mass is conserved");
        moved
    }
}
