//! Batches of edge deltas on a graph, against building the changed graph as a whole.
//!
//! Both ways must give graphs of one digest. The batch is applied to a graph that other holders share, as the last
//! committed state is shared in a node, so nothing is changed in place.

use ffcm::graph::{EdgeDelta, Graph};
use rayon::ThreadPool;

use crate::failure::Failure;
use crate::options::{Turns, pool};
use crate::random::SplitMix64;
use crate::rmat::Rmat;
use crate::timing::{Sample, Summary, interleave, time};

/// Deltas of one call when a graph is built as a whole: bounds the memory for sorting them.
const PORTION: usize = 1 << 22;

/// A graph and how it changes.
pub struct Change {
    before: Graph,
    batch: Vec<EdgeDelta>,
    /// All edges afterwards, ascending.
    after: Vec<EdgeDelta>,
    digest: [u8; 32],
}

/// What one thread count gave.
#[derive(Clone, Debug)]
pub struct Row {
    /// Workers.
    pub threads: usize,
    /// Seconds of the batch.
    pub batch: Summary,
    /// Seconds of the whole.
    pub rebuild: Summary,
}

impl Change {
    /// An RMAT graph and `count` deltas: in 4 of 8 an edge is set between nodes drawn uniformly, in 2 an edge that is
    /// there gets another weight, in 2 it is removed. The changed graph is built both ways and must be one.
    pub fn new(rmat: Rmat, count: usize) -> Result<Change, Failure> {
        let arcs = rmat.arcs();
        let weighed = |&(source, target): &(u32, u32)| EdgeDelta {
            source,
            target,
            weight: 1,
        };
        let edges: Vec<EdgeDelta> = arcs.iter().map(weighed).collect();
        let before = build(rmat.nodes(), &edges)?;
        drop(edges);
        let mut random = SplitMix64::new(rmat.seed ^ 0x64_656c_7461);
        let mut below = |bound: usize| random.below(bound as u64) as u32;
        let delta = |i: usize| {
            let mut any = || arcs[below(arcs.len()) as usize];
            let ((source, target), weight) = match i % 8 {
                0..4 => {
                    let nodes = rmat.nodes() as usize;
                    ((below(nodes), below(nodes)), 1 + u64::from(below(1 << 20)))
                }
                4 | 5 => (any(), 7),
                _ => (any(), 0),
            };
            EdgeDelta {
                source,
                target,
                weight,
            }
        };
        let batch: Vec<EdgeDelta> = (0..count).map(delta).collect();
        let mut changed = before.clone();
        changed.apply(&batch).map_err(Failure::failed)?;
        let change = Change {
            after: changed.edges().collect(),
            digest: changed.digest(),
            before,
            batch,
        };
        same(&change.rebuild()?, &change.digest)?;
        Ok(change)
    }

    /// Edges before the batch.
    pub fn edges(&self) -> u64 {
        self.before.edge_count()
    }

    fn apply(&self, graph: &mut Graph) -> Result<(), Failure> {
        graph.apply(&self.batch).map_err(Failure::failed)
    }

    fn rebuild(&self) -> Result<Graph, Failure> {
        build(self.before.node_count(), &self.after)
    }
}

fn build(nodes: u32, edges: &[EdgeDelta]) -> Result<Graph, Failure> {
    let mut graph = Graph::new();
    graph.add_nodes(nodes).map_err(Failure::failed)?;
    for portion in edges.chunks(PORTION) {
        graph.apply(portion).map_err(Failure::failed)?;
    }
    Ok(graph)
}

fn same(graph: &Graph, digest: &[u8; 32]) -> Result<(), Failure> {
    if graph.digest() == *digest {
        return Ok(());
    }
    Err(Failure::Mismatch(
        "a graph changed and a graph built differ".into(),
    ))
}

/// Times both ways at every thread count.
pub fn measure(change: &Change, turns: &Turns, rounds: usize) -> Result<Vec<Row>, Failure> {
    turns
        .threads
        .iter()
        .map(|&threads| of_threads(change, &pool(threads)?, rounds))
        .collect()
}

fn of_threads(change: &Change, pool: &ThreadPool, rounds: usize) -> Result<Row, Failure> {
    let mut ways = [true, false];
    let samples = interleave(&mut ways, rounds, |&mut by_batch| {
        pool.install(|| -> Result<Sample, Failure> {
            let mut graph = change.before.clone();
            let (done, sample) = time(|| match by_batch {
                true => change.apply(&mut graph),
                false => change.rebuild().map(|built| graph = built),
            });
            done?;
            same(&graph, &change.digest)?;
            Ok(sample)
        })
    })?;
    Ok(Row {
        threads: pool.current_num_threads(),
        batch: Summary::of(&samples[0]),
        rebuild: Summary::of(&samples[1]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_gives_another_graph_is_noticed() {
        let rmat = Rmat {
            scale: 8,
            degree: 8,
            seed: 5,
        };
        let mut change = Change::new(rmat, 300).unwrap();
        assert_ne!(change.before.edge_count(), change.after.len() as u64);
        let turns = Turns::new(1, &[1, 2]);
        assert_eq!(measure(&change, &turns, 1).unwrap().len(), 2);
        change.batch.truncate(200);
        let wrong = measure(&change, &turns, 1);
        assert!(matches!(wrong, Err(Failure::Mismatch(_))));
    }
}
