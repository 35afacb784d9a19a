//! The teleport distribution and how a pool is spread by it.

use rayon::prelude::*;

use super::MASS;
use super::arith::pool_part;
use crate::graph::Graph;

/// τ of every node.
#[derive(Debug)]
pub enum Teleport {
    /// Equal stakes: every node has `each`, and the first `more` nodes one unit more.
    Uniform {
        /// τ of most nodes.
        each: u64,
        /// How many nodes have one more.
        more: u32,
    },
    /// τ by label.
    Stakes(Vec<u64>),
}

/// A pool about to be spread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread<'a> {
    pool: u64,
    /// τ by label, for unequal stakes.
    stakes: Option<&'a [u64]>,
    /// For equal stakes: part of nodes from `more` up, and of nodes below.
    parts: (u64, u64),
    more: u32,
    /// Nodes below this get one unit more.
    left: u32,
}

impl Teleport {
    /// τ of `graph`, where label l is node `order[l]`.
    pub fn new(graph: &Graph, order: &[u32]) -> Teleport {
        let nodes = graph.node_count();
        let first = graph.stake(0);
        let equal = graph.stake_total() == u128::from(first) * u128::from(nodes)
            && (first == 0 || (0..nodes).all(|node| graph.stake(node) == first));
        if equal {
            let count = u64::from(nodes.max(1));
            // The remainder is below the node count.
            return Teleport::Uniform {
                each: MASS / count,
                more: (MASS % count) as u32,
            };
        }
        Teleport::by_stake(graph.stake_total(), |node| graph.stake(node), order)
    }

    /// τ by these stakes of as many nodes as `order` has, which sum to `total`, not 0.
    pub(super) fn by_stake(
        total: u128,
        stake: impl Fn(u32) -> u64 + Sync,
        order: &[u32],
    ) -> Teleport {
        // As many nodes as a graph has.
        let nodes = order.len() as u32;
        let scale = |node| (u128::from(stake(node)) * u128::from(MASS) / total) as u64;
        let mut by_node: Vec<u64> = (0..nodes).into_par_iter().map(scale).collect();
        let mut units = MASS - by_node.par_iter().sum::<u64>();
        for (node, teleport) in (0..nodes).zip(&mut by_node) {
            if units == 0 {
                break;
            }
            if stake(node) > 0 {
                *teleport += 1;
                units -= 1;
            }
        }
        debug_assert_eq!(units, 0, "each node with stake loses less than a unit");
        Teleport::Stakes(order.iter().map(|&node| by_node[node as usize]).collect())
    }

    /// Prepares to spread `pool` over `nodes` nodes.
    pub(crate) fn spread(&self, pool: u64, nodes: u32) -> Spread<'_> {
        match self {
            Teleport::Uniform { each, more } => {
                let parts = (pool_part(pool, *each), pool_part(pool, each + 1));
                let given = parts.1 * u64::from(*more) + parts.0 * u64::from(nodes - more);
                let left = units(pool - given, nodes);
                Spread {
                    pool,
                    stakes: None,
                    parts,
                    more: *more,
                    left,
                }
            }
            Teleport::Stakes(stakes) => {
                let given: u64 = stakes
                    .par_iter()
                    .map(|&teleport| pool_part(pool, teleport))
                    .sum();
                let left = units(pool - given, nodes);
                Spread {
                    pool,
                    stakes: Some(stakes),
                    parts: (0, 0),
                    more: 0,
                    left,
                }
            }
        }
    }
}

/// What rounding left: less than a unit per node.
fn units(left: u64, nodes: u32) -> u32 {
    assert!(
        left < u64::from(nodes),
        "{left} units left over for {nodes} nodes"
    );
    left as u32
}

impl Spread<'_> {
    /// What `node`, labelled `label`, gets.
    #[inline(always)]
    pub(crate) fn to(&self, label: usize, node: u32) -> u64 {
        let part = match self.stakes {
            Some(stakes) => pool_part(self.pool, stakes[label]),
            None if node < self.more => self.parts.1,
            None => self.parts.0,
        };
        part + u64::from(node < self.left)
    }
}
