//! The pass over all nodes that ends an iteration: what arrived and the pool become mass, and mass becomes shares.
//!
//! It streams some 44 bytes a node and works out a share from two products, so it is written in 64-bit words without a
//! branch, which compilers vectorise: one source, compiled for plain x86-64 or any other machine, and for AVX-512 where
//! there is one.

use super::arith::Factor;
use super::teleport::Spread;

/// What all nodes have in common in one pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settle<'a> {
    /// The pool.
    pub(crate) spread: Spread<'a>,
    /// d.
    pub(crate) damping: u32,
    /// Shares are multiplied by 2 to this.
    pub(crate) double: u32,
}

/// A run of labels, by label.
#[derive(Debug)]
pub(crate) struct Nodes<'a> {
    /// The first.
    pub(crate) first: usize,
    pub(crate) order: &'a [u32],
    pub(crate) arrived: &'a [u64],
    /// x before, y after.
    pub(crate) mass: &'a mut [u64],
    /// Of those that are sources: the first ones.
    pub(crate) factors: &'a [Factor],
    /// At least as many as factors.
    pub(crate) shares: &'a mut [u64],
}

/// The pass of an iteration in which nodes wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait<'a> {
    pub(crate) settle: Settle<'a>,
    /// θ.
    pub(crate) per_edge: u64,
}

/// A source whose share has changed: its label, its share before and now, both multiplied as [`Settle::double`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) label: u32,
    pub(crate) before: u64,
    pub(crate) now: u64,
}

/// What the pass of an iteration in which nodes wait found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Waited {
    /// Σ y.
    pub(crate) total: u64,
    /// Σ |y − x|.
    pub(crate) moved: u64,
    /// Σ (y − x) of those that take part, modulo 2^64.
    pub(crate) taken: u64,
    /// Sources whose shares have changed, by label.
    pub(crate) changes: Vec<Change>,
    /// How many out-edges they have.
    pub(crate) edges: u64,
}

/// Labels looked at together for any that take part: one for each bit of a word.
const GROUP: usize = 64;

impl Wait<'_> {
    /// y = arrived + part of the pool; x and shares of those that move by more than θ per out-edge become those of y.
    /// `degrees` has the number of out-edges of each label that has a factor.
    pub(crate) fn run(&self, nodes: Nodes<'_>, degrees: &[u32]) -> Waited {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("avx512dq")
        {
            // SAFETY: the condition: the machine has what the function is compiled for.
            return unsafe { self.run_avx512(nodes, degrees) };
        }
        self.run_portable(nodes, degrees)
    }

    /// The same, compiled for registers of eight words.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512cd,avx512dq")]
    fn run_avx512(&self, nodes: Nodes<'_>, degrees: &[u32]) -> Waited {
        self.run_portable(nodes, degrees)
    }

    #[inline(always)]
    fn run_portable(&self, nodes: Nodes<'_>, degrees: &[u32]) -> Waited {
        let mut waited = Waited::default();
        let sources = nodes.factors.len().min(nodes.order.len());
        let spread = self.settle.spread;
        for first in (0..sources).step_by(GROUP) {
            let group = first..(first + GROUP).min(sources);
            let order = &nodes.order[group.clone()];
            let arrived = &nodes.arrived[group.clone()];
            let mass = &mut nodes.mass[group.clone()];
            let degrees = &degrees[group];
            let mut takes_part = 0u64;
            // Without a branch, for vector units: most groups have none that takes part.
            let both = order.iter().zip(arrived).zip(mass.iter().zip(degrees));
            for (at, ((&node, &arrived), (&mass, &degree))) in both.enumerate() {
                let y = arrived + spread.to(nodes.first + first + at, node);
                let moved = y.abs_diff(mass);
                waited.total += y;
                waited.moved += moved;
                // The product is at most the residual the threshold comes from.
                let limit = self.per_edge * u64::from(degree);
                takes_part |= u64::from(moved > limit) << at;
            }
            while takes_part != 0 {
                let at = takes_part.trailing_zeros() as usize;
                takes_part &= takes_part - 1;
                let label = nodes.first + first + at;
                let y = arrived[at] + spread.to(label, order[at]);
                waited.taken = waited.taken.wrapping_add(y).wrapping_sub(mass[at]);
                mass[at] = y;
                let share = &mut nodes.shares[first + at];
                let factor = nodes.factors[first + at];
                let now = factor.share(self.settle.damping, y) << self.settle.double;
                if now != *share {
                    waited.changes.push(Change {
                        // Nodes have numbers of 32 bits.
                        label: label as u32,
                        before: *share,
                        now,
                    });
                    waited.edges += u64::from(degrees[at]);
                    *share = now;
                }
            }
        }
        self.rest(nodes, sources, &mut waited);
        waited
    }

    /// The labels from the run's `first` on: they have no out-edges, so each that moves takes part, and no share.
    #[inline(always)]
    fn rest(&self, nodes: Nodes<'_>, first: usize, waited: &mut Waited) {
        let both = (nodes.order[first..].iter().zip(&nodes.arrived[first..]))
            .zip(&mut nodes.mass[first..])
            .enumerate();
        for (at, ((&node, &arrived), mass)) in both {
            let y = arrived + self.settle.spread.to(nodes.first + first + at, node);
            waited.total += y;
            waited.moved += y.abs_diff(*mass);
            waited.taken = waited.taken.wrapping_add(y).wrapping_sub(*mass);
            *mass = y;
        }
    }
}

impl Settle<'_> {
    /// y = arrived + part of the pool, and the shares of y; Σ y and Σ|y − x|.
    pub(crate) fn run(&self, nodes: Nodes<'_>) -> (u64, u64) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("avx512dq")
        {
            // SAFETY: the condition: the machine has what the function is compiled for.
            return unsafe { self.run_avx512(nodes) };
        }
        self.run_portable(nodes)
    }

    /// The same, compiled for registers of eight words.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512cd,avx512dq")]
    fn run_avx512(&self, nodes: Nodes<'_>) -> (u64, u64) {
        self.run_portable(nodes)
    }

    #[inline(always)]
    fn run_portable(&self, nodes: Nodes<'_>) -> (u64, u64) {
        let sources = nodes.factors.len().min(nodes.order.len());
        let (order, order_rest) = nodes.order.split_at(sources);
        let (arrived, arrived_rest) = nodes.arrived.split_at(sources);
        let (mass, mass_rest) = nodes.mass.split_at_mut(sources);
        let (mut total, mut residual) = (0, 0);
        let mut settle = |label: usize, node: u32, arrived: u64, mass: &mut u64| {
            let y = arrived + self.spread.to(label, node);
            residual += y.abs_diff(*mass);
            total += y;
            *mass = y;
            y
        };
        let ends = arrived.iter().zip(nodes.factors).zip(nodes.shares);
        let nodes_and_masses = order.iter().zip(mass).enumerate();
        for ((at, (&node, mass)), ((&arrived, factor), share)) in nodes_and_masses.zip(ends) {
            let y = settle(nodes.first + at, node, arrived, mass);
            *share = factor.share(self.damping, y) << self.double;
        }
        let nodes_and_masses = order_rest.iter().zip(mass_rest).enumerate();
        for ((at, (&node, mass)), &arrived) in nodes_and_masses.zip(arrived_rest) {
            settle(nodes.first + sources + at, node, arrived, mass);
        }
        (total, residual)
    }
}

#[cfg(test)]
mod tests {
    use super::super::arith::Ratio;
    use super::super::teleport::Teleport;
    use super::*;
    use crate::graph::Graph;

    /// What the machine's best form gives is what the portable form gives.
    #[test]
    fn all_forms_give_the_same_bits() {
        let mut graph = Graph::new();
        graph.add_nodes(1000).unwrap();
        let order: Vec<u32> = (0..1000).rev().collect();
        let teleport = Teleport::new(&graph, &order);
        let weights = |at: u64| match at % 4 {
            0 => vec![u64::MAX],
            1 => vec![1; at as usize % 29 + 1],
            2 => vec![1, u64::MAX - 1],
            _ => vec![at + 1, 3 * at, 1 << 40],
        };
        let factors: Vec<Factor> = (0..900).map(|at| Ratio::of(&weights(at)).into()).collect();
        for (bits, damping) in [(62, u32::MAX), (62, 3_650_722_202), (40, 1 << 31), (7, 5)] {
            // Every eleventh is nothing, and one has half of all there is.
            let start: Vec<u64> = (0..1000u64)
                .map(|at| match at {
                    7 => 1 << (bits - 1),
                    _ if at % 11 == 0 => 0,
                    _ => (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) / 2000,
                })
                .collect();
            let settle = Settle {
                spread: teleport.spread(12_345_678, 1000),
                damping,
                double: 1,
            };
            let run = |portable: bool| {
                let (mut mass, mut shares) = (vec![7; 1000], vec![9; 1024]);
                let nodes = Nodes {
                    first: 0,
                    order: &order,
                    arrived: &start,
                    mass: &mut mass,
                    factors: &factors,
                    shares: &mut shares,
                };
                let sums = match portable {
                    true => settle.run_portable(nodes),
                    false => settle.run(nodes),
                };
                (sums, mass, shares)
            };
            let (sums, mass, shares) = run(true);
            assert_eq!(sums.0, mass.iter().sum::<u64>());
            assert!(shares[900..].iter().all(|&share| share == 9));
            assert_eq!(run(false), (sums, mass, shares));
        }
    }

    /// The same where nodes wait; who takes part is what the definition says, one node at a time.
    #[test]
    fn all_forms_of_waiting_give_the_definitions_bits() {
        let mut graph = Graph::new();
        graph.add_nodes(1000).unwrap();
        let order: Vec<u32> = (0..1000).rev().collect();
        let teleport = Teleport::new(&graph, &order);
        let factors: Vec<Factor> = (0..900)
            .map(|at| Ratio::of(&vec![1; at % 29 + 1]).into())
            .collect();
        let degrees: Vec<u32> = (0..900).map(|at| at % 29 + 1).collect();
        let arrived: Vec<u64> = (0..1000u64).map(|at| (at * at) << 20).collect();
        let settle = Settle {
            spread: teleport.spread(12_345_678, 1000),
            damping: 3_650_722_202,
            double: 1,
        };
        for per_edge in [0, 1 << 22, 1 << 30, 1 << 40] {
            let wait = Wait { settle, per_edge };
            let before = || (vec![1 << 36; 1000], vec![9; 1024]);
            let run = |portable: bool| {
                let (mut mass, mut shares) = before();
                let nodes = Nodes {
                    first: 0,
                    order: &order,
                    arrived: &arrived,
                    mass: &mut mass,
                    factors: &factors,
                    shares: &mut shares,
                };
                let waited = match portable {
                    true => wait.run_portable(nodes, &degrees),
                    false => wait.run(nodes, &degrees),
                };
                (waited, mass, shares)
            };
            let (mut mass, mut shares) = before();
            let mut expected = Waited::default();
            for at in 0..1000 {
                let y = arrived[at] + settle.spread.to(at, order[at]);
                let moved = y.abs_diff(mass[at]);
                expected.total += y;
                expected.moved += moved;
                let degree = degrees.get(at).copied().unwrap_or(0);
                if moved <= per_edge * u64::from(degree) {
                    continue;
                }
                expected.taken = expected.taken.wrapping_add(y).wrapping_sub(mass[at]);
                mass[at] = y;
                if let Some(factor) = factors.get(at) {
                    let now = factor.share(settle.damping, y) << 1;
                    expected.changes.push(Change {
                        label: at as u32,
                        before: 9,
                        now,
                    });
                    expected.edges += u64::from(degree);
                    shares[at] = now;
                }
            }
            let some_wait = expected.changes.len() < 900;
            assert_eq!(some_wait, per_edge > 0, "{per_edge}");
            let expected = (expected, mass, shares);
            assert_eq!(run(true), expected);
            assert_eq!(run(false), expected);
        }
    }
}
