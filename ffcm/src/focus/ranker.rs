//! A graph prepared for ranking, kept from one block to the next.
//!
//! Preparing costs some ten iterations, so it is not repeated for every batch of deltas. The prepared form (the *base*)
//! stays; sources whose rows have changed since give nothing through it and push through an overlay built from their
//! present rows. When the overlay outgrows a part of the base, the base is prepared anew. As sums of integers do not
//! depend on their order, the bits are the same either way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::arith::{Factor, Ratio, quota};
use super::blocks::Blocks;
use super::outbox::{Outbox, Push};
use super::rows::Rows;
use super::run::Run;
use super::shards::{Shards, shard_of};
use super::teleport::Teleport;
use super::threshold::Threshold;
use super::tiles;
use super::warm::Warm;
use super::{FocusError, FocusParams, Ranking, missing_mass};
use crate::graph::{CHUNK_NODES, Graph};

/// A new base is prepared when the overlay has more than this many edges and 1/8 of the base's.
const OVERLAY_EDGES_MIN: u64 = 1 << 12;

/// Rows are made for warm runs when these have followed 1 / `ROWS_PART` of all edges.
const ROWS_PART: u64 = 8;

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
    ratios: Vec<Ratio>,
    /// Out-edges of each of them.
    degrees: Vec<u32>,
    pub(super) gather: Gather,
    /// Rows of the base, made when warm runs have followed many edges of it, and how many those are.
    rows: OnceLock<Rows>,
    followed: AtomicU64,
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
    /// In ascending order of labels.
    pub(super) sources: Vec<Changed>,
    /// Their rows, with quotas.
    pub(super) rows: Rows,
    pub(super) outbox: Outbox,
}

/// A source whose row differs from the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) label: u32,
    /// If it has out-edges now.
    pub(super) ratio: Option<Ratio>,
}

impl Ranker {
    /// Prepares `graph` for ranking in `shards` shards.
    pub fn new(graph: &Graph, shards: u32) -> Result<Ranker, FocusError> {
        FocusParams {
            shards,
            ..FocusParams::default()
        }
        .check()?;
        let (order, degrees) = by_out_degree(graph);
        let mut label = vec![0; order.len()];
        for (at, &node) in (0u32..).zip(&order) {
            label[node as usize] = at;
        }
        let sources = degrees.len();
        let ratios = ratios(graph, &order[..sources]);
        let gather = if shards == 1 {
            Gather::Blocks(tiles::build(graph, &order, &degrees, &label))
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
            degrees,
            gather,
            rows: OnceLock::new(),
            followed: AtomicU64::new(0),
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

        self.overlay = self.overlay(graph, stale);
        self.teleport = Teleport::new(graph, &self.order);
        self.graph = graph.clone();
        Ok(())
    }

    /// Has teleport go to `interests`, pairs of node and stake, as if these were all stakes of the graph, until the next
    /// [`Ranker::refresh`]. Stakes of a node named twice add up. What was prepared of the edges stays, so this costs
    /// about an iteration.
    ///
    /// # Errors
    ///
    /// [`FocusError::InvalidParameter`] for a node that does not exist, for no stake at all, and for stakes of a node that sum
    /// to more than `u64::MAX`. Teleport stays as it was.
    pub fn personalise(&mut self, interests: &[(u32, u64)]) -> Result<(), FocusError> {
        let refuse = |what: String| Err(FocusError::InvalidParameter(what));
        let mut stakes = vec![0u64; self.order.len()];
        for &(node, stake) in interests {
            let Some(own) = stakes.get_mut(node as usize) else {
                let nodes = stakes.len();
                return refuse(format!("node {node} of {nodes} cannot be of interest"));
            };
            let Some(sum) = own.checked_add(stake) else {
                return refuse(format!(
                    "the stakes of node {node} sum to more than 2^64 - 1"
                ));
            };
            *own = sum;
        }
        let total: u128 = stakes.iter().copied().map(u128::from).sum();
        if total == 0 {
            return refuse("no node of interest has a stake".to_owned());
        }
        self.teleport = Teleport::by_stake(total, |node| stakes[node as usize], &self.order);
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

    /// The rows of these nodes in `graph`, all of which have labels.
    fn overlay(&self, graph: &Graph, mut nodes: Vec<u32>) -> Overlay {
        nodes.sort_unstable_by_key(|&node| self.label[node as usize]);
        let source = |&node: &u32| {
            let weights = graph.row(node).1;
            Changed {
                label: self.label[node as usize],
                ratio: (!weights.is_empty()).then(|| Ratio::of(weights)),
            }
        };
        let rows = Rows::new(graph, &nodes, &self.label);
        let pushes = (0..nodes.len()).flat_map(|source| {
            let edges = rows.row(source).iter();
            edges.map(move |&(destination, quota)| Push {
                destination,
                source: source as u32,
                quota,
            })
        });
        let outbox = Outbox::new(pushes.collect());
        Overlay {
            sources: nodes.iter().map(source).collect(),
            rows,
            outbox,
        }
    }

    /// Ratio of each label up to the last that has out-edges.
    pub(super) fn factors(&self) -> Vec<Factor> {
        let mut factors: Vec<Factor> = self.ratios.iter().map(|&ratio| ratio.into()).collect();
        let with_edges = |source: &&Changed| source.ratio.is_some();
        if let Some(last) = self.overlay.sources.iter().rfind(with_edges) {
            factors.resize(factors.len().max(last.label as usize + 1), Factor::NONE);
        }
        for source in &self.overlay.sources {
            if let Some(factor) = factors.get_mut(source.label as usize) {
                *factor = source.ratio.map_or(Factor::NONE, Factor::from);
            }
        }
        factors
    }

    /// Number of out-edges of each of the first `labels` labels, which are all that have any.
    pub(super) fn degrees(&self, labels: usize) -> Vec<u32> {
        let mut degrees = self.degrees.clone();
        degrees.resize(labels, 0);
        for (row, source) in self.overlay.sources.iter().enumerate() {
            if let Some(degree) = degrees.get_mut(source.label as usize) {
                // A row has fewer than 2^32 edges.
                *degree = self.overlay.rows.degree(row) as u32;
            }
        }
        degrees
    }

    /// Rows of the sources of the base, by label, for following `edges` edges; none while so few have been followed that to
    /// make them would cost more than they save.
    pub(super) fn rows(&self, edges: u64) -> Option<&Rows> {
        // Only how much is done before is known by it, not what comes out.
        let followed = edges + self.followed.fetch_add(edges, Ordering::Relaxed);
        if let Some(rows) = self.rows.get() {
            return Some(rows);
        }
        if followed < self.base.edge_count() / ROWS_PART {
            return None;
        }
        // Not within `get_or_init`: while pieces are waited for, this thread may take up another ranking by this ranker,
        // which would wait here for ever.
        let sources = &self.order[..self.ratios.len()];
        let rows = Rows::new(&self.base, sources, &self.label);
        Some(self.rows.get_or_init(|| rows))
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

/// All nodes by falling out-degree, then ascending; and the out-degrees of those that have out-edges.
fn by_out_degree(graph: &Graph) -> (Vec<u32>, Vec<u32>) {
    let degree = |node| (!graph.out_degree(node), node);
    let mut order: Vec<(u32, u32)> = (0..graph.node_count())
        .into_par_iter()
        .map(degree)
        .collect();
    order.par_sort_unstable();
    let degrees = order.iter().map(|&(degree, _)| !degree);
    let degrees = degrees.take_while(|&degree| degree > 0).collect();
    (order.into_iter().map(|(_, node)| node).collect(), degrees)
}

/// The ratios of `sources`, which have out-edges. Rows are read in the order they are stored in.
fn ratios(graph: &Graph, sources: &[u32]) -> Vec<Ratio> {
    let ratio = |node| {
        let weights = graph.row(node).1;
        (!weights.is_empty()).then(|| Ratio::of(weights))
    };
    let by_node: Vec<Option<Ratio>> = (0..graph.node_count()).into_par_iter().map(ratio).collect();
    let of = |&node: &u32| by_node[node as usize].expect("a source has out-edges");
    sources.par_iter().map(of).collect()
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
