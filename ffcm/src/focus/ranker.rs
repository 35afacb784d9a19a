//! A graph prepared for ranking, kept from one block to the next.
//!
//! Preparing costs some ten iterations, so it is not repeated for every batch of deltas. The prepared form (the *base*)
//! stays; sources whose rows have changed since give nothing through it and push through an overlay built from their
//! present rows. When the overlay outgrows a part of the base, the base is prepared anew. As sums of integers do not
//! depend on their order, the bits are the same either way.

use std::sync::Arc;

use rayon::prelude::*;

use super::arith::{Factor, Ratio, quota};
use super::blocks::{BLOCK, Blocks};
use super::outbox::{Outbox, Push, deliver};
use super::settle::{Nodes, Settle};
use super::shards::{Shards, shard_of};
use super::teleport::Teleport;
use super::threshold::Threshold;
use super::tiles;
use super::warm::Warm;
use super::{FocusError, FocusParams, MASS, Ranking, missing_mass};
use crate::graph::{CHUNK_NODES, Graph};

/// Nodes per parallel piece of the work done per node.
pub(super) const NODE_PIECE: usize = 1 << 14;

/// A new base is prepared when the overlay has more than this many edges and 1/8 of the base's.
const OVERLAY_EDGES_MIN: u64 = 1 << 12;

/// A prepared graph.
///
/// Nodes have *labels* inside: in the base by falling out-degree, then ascending; nodes appended later keep their index.
#[derive(Debug)]
pub struct Ranker {
    /// The graph ranked now.
    pub(super) graph: Graph,
    /// The graph the base was prepared from.
    base: Graph,
    shards: u32,
    /// Node of each label.
    pub(super) order: Vec<u32>,
    /// Label of each node.
    pub(super) label: Vec<u32>,
    /// Ratio of each source of the base: labels below this length have out-edges, the others have none.
    pub(super) ratios: Vec<Ratio>,
    pub(super) gather: Gather,
    pub(super) overlay: Overlay,
    pub(super) teleport: Teleport,
}

/// What a ranking took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Edges whose term was worked out: all of them where what arrives was gathered anew, the out-edges of changed sources
    /// where those were followed.
    pub edge_visits: u64,
    /// Iterations of the former kind.
    pub dense: u32,
    /// Iterations of the latter kind.
    pub frontier: u32,
}

/// The edges of the base.
#[derive(Debug)]
pub(super) enum Gather {
    Blocks(Blocks),
    Shards(Shards),
}

/// Sources whose rows differ from the base.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// Their labels, and their ratios if they have out-edges now.
    pub(super) sources: Vec<(u32, Option<Ratio>)>,
    pub(super) outbox: Outbox,
}

impl Ranker {
    /// Prepares `graph` for ranking in `shards` shards.
    pub fn new(graph: &Graph, shards: u32) -> Result<Ranker, FocusError> {
        FocusParams {
            shards,
            ..FocusParams::default()
        }
        .check()?;
        let order = by_out_degree(graph);
        let mut label = vec![0; order.len()];
        for (at, &node) in (0u32..).zip(&order) {
            label[node as usize] = at;
        }
        let sources = order.partition_point(|&node| graph.out_degree(node) > 0);
        let ratio = |&node: &u32| Ratio::of(graph.row(node).1);
        let ratios: Vec<Ratio> = order[..sources].par_iter().map(ratio).collect();
        let gather = if shards == 1 {
            Gather::Blocks(tiles::build(graph, &order[..sources], &label))
        } else {
            let owner: Vec<u32> = order.iter().map(|&node| shard_of(node, shards)).collect();
            let pushes = (0u32..)
                .zip(&order[..sources])
                .flat_map(|(source, &node)| pushes(graph, node, source, &label));
            Gather::Shards(Shards::new(shards, &owner, pushes))
        };
        let teleport = Teleport::new(graph, &order);
        Ok(Ranker {
            graph: graph.clone(),
            base: graph.clone(),
            shards,
            order,
            label,
            ratios,
            gather,
            overlay: Overlay::default(),
            teleport,
        })
    }

    /// Follows changes: `graph` is a later (or earlier) state of the graph given before, or any other graph. Cheap where
    /// little has changed.
    pub fn refresh(&mut self, graph: &Graph) -> Result<(), FocusError> {
        let fits = graph.node_count() >= self.base.node_count();
        let stale = if fits { self.stale(graph) } else { Vec::new() };
        let edges: u64 = stale
            .iter()
            .map(|&node| u64::from(graph.out_degree(node)))
            .sum();
        if !fits || edges > OVERLAY_EDGES_MIN.max(self.base.edge_count() / 8) {
            *self = Ranker::new(graph, self.shards)?;
            return Ok(());
        }
        let base_nodes = self.base.node_count() as usize;
        self.order.truncate(base_nodes);
        self.label.truncate(base_nodes);
        self.order
            .extend(self.base.node_count()..graph.node_count());
        self.label
            .extend(self.base.node_count()..graph.node_count());

        let mut sources = Vec::with_capacity(stale.len());
        let mut messages = Vec::new();
        for (source, &node) in (0u32..).zip(&stale) {
            let weights = graph.row(node).1;
            let ratio = (!weights.is_empty()).then(|| Ratio::of(weights));
            sources.push((self.label[node as usize], ratio));
            messages.extend(pushes(graph, node, source, &self.label));
        }
        self.overlay = Overlay {
            sources,
            outbox: Outbox::new(messages),
        };
        self.teleport = Teleport::new(graph, &self.order);
        self.graph = graph.clone();
        Ok(())
    }

    /// Nodes whose rows in `graph`, which has no fewer nodes, differ from the base.
    fn stale(&self, graph: &Graph) -> Vec<u32> {
        let mut stale = Vec::new();
        for (index, chunk) in graph.chunks().iter().enumerate() {
            let base = self.base.chunks().get(index);
            if base.is_some_and(|base| Arc::ptr_eq(base, chunk)) {
                continue;
            }
            for local in 0..CHUNK_NODES {
                if base.map_or((&[][..], &[][..]), |base| base.row(local)) != chunk.row(local) {
                    stale.push((index * CHUNK_NODES + local) as u32);
                }
            }
        }
        stale
    }

    /// Ratio of each node that has out-edges, by node.
    pub(super) fn ratios_by_node(&self) -> Vec<Option<Ratio>> {
        let ratio = |&label: &u32| self.ratios.get(label as usize).copied();
        let mut ratios: Vec<Option<Ratio>> = self.label.par_iter().map(ratio).collect();
        for &(source, ratio) in &self.overlay.sources {
            ratios[self.order[source as usize] as usize] = ratio;
        }
        ratios
    }

    /// π of the graph last given, as [`super::rank`] gives it. `params.shards` is the number prepared for.
    pub fn rank(&self, params: &FocusParams, start: Option<&[u64]>) -> Result<Ranking, FocusError> {
        self.rank_counted(params, start).map(|(ranking, _)| ranking)
    }

    /// The same, and what it took. The effort depends on choices of this engine; the ranking does not.
    pub fn rank_counted(
        &self,
        params: &FocusParams,
        start: Option<&[u64]>,
    ) -> Result<(Ranking, Effort), FocusError> {
        params.check()?;
        if params.shards != self.shards {
            return Err(FocusError::InvalidParameter(format!(
                "shards is {}, but the graph was prepared for {}",
                params.shards, self.shards
            )));
        }
        let start = start.unwrap_or(&[]);
        let missing = missing_mass(self.graph.node_count(), start)?;
        if self.order.is_empty() {
            return Ok((Ranking::of_empty_graph(), Effort::default()));
        }
        let edges = self.graph.edge_count();
        let threshold = Threshold::new(edges, params, start.is_empty());
        if threshold.is_on() {
            let warm = Warm::new(self, params.damping, start, missing);
            return Ok(warm.rank(params, threshold));
        }
        let mut ranking = Ranking {
            converged: false,
            ..Ranking::of_empty_graph()
        };
        let mut run = Run::new(self, params.damping, start, missing);
        while ranking.iterations < params.max_iterations && !ranking.converged {
            ranking.note(run.iterate(), params.epsilon);
        }
        ranking.mass = vec![0; run.mass.len()];
        for (&node, &mass) in self.order.iter().zip(&run.mass) {
            ranking.mass[node as usize] = mass;
        }
        let effort = Effort {
            edge_visits: edges * u64::from(ranking.iterations),
            dense: ranking.iterations,
            frontier: 0,
        };
        Ok((ranking, effort))
    }
}

/// Vectors of one run, by label.
struct Run<'a> {
    ranker: &'a Ranker,
    damping: u32,
    /// Ratios of the sources of the base.
    factors: Vec<Factor>,
    /// x.
    mass: Vec<u64>,
    /// Shares of the sources of the base, doubled where `double` is 1; padded to whole blocks.
    shares: Vec<u64>,
    double: u32,
    /// Doubled shares of the sources of the overlay.
    overlay_shares: Vec<u64>,
    /// in.
    arrived: Vec<u64>,
}

impl<'a> Run<'a> {
    fn new(ranker: &'a Ranker, damping: u32, start: &[u64], missing: u64) -> Run<'a> {
        let nodes = ranker.order.len();
        let double = match &ranker.gather {
            Gather::Blocks(blocks) => u32::from(blocks.weighted),
            Gather::Shards(_) => 1,
        };
        let mut run = Run {
            ranker,
            damping,
            factors: ranker
                .ratios
                .par_iter()
                .map(|&ratio| ratio.into())
                .collect(),
            mass: vec![0; nodes],
            shares: vec![0; nodes.next_multiple_of(BLOCK)],
            double,
            overlay_shares: vec![0; ranker.overlay.sources.len()],
            arrived: vec![0; nodes],
        };
        // The start vector "arrives", and what is missing is its pool.
        for (arrived, &node) in run.arrived.iter_mut().zip(&ranker.order) {
            *arrived = start.get(node as usize).copied().unwrap_or(0);
        }
        run.spread(missing);
        run
    }

    /// One iteration; its residual.
    fn iterate(&mut self) -> u64 {
        let carried = match &self.ranker.gather {
            Gather::Blocks(blocks) => blocks.gather(&self.shares, &mut self.arrived),
            Gather::Shards(shards) => {
                self.arrived.fill(0);
                shards.gather(&self.shares, &mut self.arrived);
                self.arrived.par_iter().with_min_len(NODE_PIECE).sum()
            }
        };
        let messages = self.ranker.overlay.outbox.combine(&self.overlay_shares);
        deliver(&messages, &mut self.arrived);
        let arrived = carried + messages.iter().map(|&(_, mass)| mass).sum::<u64>();
        assert!(arrived <= MASS, "more mass arrived than there is");
        self.spread(MASS - arrived)
    }

    /// Makes `arrived` and its pool the new mass, and prepares the shares; the residual to the old mass.
    fn spread(&mut self, pool: u64) -> u64 {
        let ranker = self.ranker;
        let settle = Settle {
            spread: ranker.teleport.spread(pool, ranker.graph.node_count()),
            damping: self.damping,
            double: self.double,
        };
        let pieces = (self.mass.par_chunks_mut(NODE_PIECE))
            .zip(self.arrived.par_chunks(NODE_PIECE))
            .zip(self.shares.par_chunks_mut(NODE_PIECE))
            .enumerate();
        let (total, residual) = pieces
            .map(|(piece, ((mass, arrived), shares))| {
                let first = piece * NODE_PIECE;
                settle.run(Nodes {
                    first,
                    order: &ranker.order[first..first + mass.len()],
                    arrived,
                    mass,
                    factors: self.factors.get(first..).unwrap_or(&[]),
                    shares,
                })
            })
            .reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        assert_eq!(total, MASS, "mass is conserved");
        self.divert();
        residual
    }

    /// Moves the shares of changed sources from the base to the overlay.
    fn divert(&mut self) {
        let sources = &self.ranker.overlay.sources;
        for (share, &(source, ratio)) in self.overlay_shares.iter_mut().zip(sources) {
            let mass = self.mass[source as usize];
            *share = ratio.map_or(0, |ratio| ratio.share(self.damping, mass) << 1);
            self.shares[source as usize] = 0;
        }
    }
}

/// All nodes by falling out-degree, then ascending.
fn by_out_degree(graph: &Graph) -> Vec<u32> {
    let degree = |node| (!graph.out_degree(node), node);
    let mut order: Vec<(u32, u32)> = (0..graph.node_count())
        .into_par_iter()
        .map(degree)
        .collect();
    order.par_sort_unstable();
    order.into_iter().map(|(_, node)| node).collect()
}

/// The edges of `node` as pushes from `source` to labels.
fn pushes<'a>(
    graph: &'a Graph,
    node: u32,
    source: u32,
    label: &'a [u32],
) -> impl Iterator<Item = Push> + 'a {
    let (targets, weights) = graph.row(node);
    let largest = weights.iter().copied().max().unwrap_or(0);
    targets
        .iter()
        .zip(weights)
        .map(move |(&target, &weight)| Push {
            destination: label[target as usize],
            source,
            quota: quota(weight, largest),
        })
}
