//! Graph operators as a suite. No device has them: they run on the CPU's threads, and the oracle's programs are what they
//! are held against.

use std::sync::{Arc, Mutex};

use ffcm::coprocessor::{DeviceInfo, HashOutput, hash_digest};
use ffcm::graph::Graph;
use ffcm::hash::blake3;
use ffcm::operators::{Operator, Operators};
use ffcm::oracle::operators as oracle;

use super::work::Broken;
use crate::operators::{Answer, ROUNDS, Task, WALKS, busiest, operator, ours};
use crate::timing::{Sample, time};

/// A task on a graph, with the layouts that each number of threads has made.
pub(super) struct Operation {
    graph: Graph,
    task: Task,
    source: u32,
    prepared: Mutex<Vec<(usize, Arc<Operators>)>>,
}

impl Operation {
    pub(super) fn new(graph: Graph, task: Task) -> Operation {
        Operation {
            source: busiest(&graph),
            graph,
            task,
            prepared: Mutex::default(),
        }
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Runs it as the coprocessor of this name would: the oracle, or the CPU with as many threads. The first run of a
    /// number of threads makes the layouts.
    pub(super) fn run(&self, info: &DeviceInfo) -> Result<(Sample, [u8; 32]), Broken> {
        let (answer, sample) = match info.backend.as_str() {
            "oracle" => time(|| self.oracle()),
            "cpu" => {
                let operators = self.prepared(info.threads)?;
                let answer = ours(&operators, self.task, self.source);
                answer.map_err(|error| Broken::Failed(error.to_string()))?
            }
            other => {
                let reason = format!("{other} has no graph operators, they run on the CPU");
                return Err(Broken::Unsupported(reason));
            }
        };
        let bytes: Vec<u8> = answer
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let digest = hash_digest(&HashOutput::Digests(blake3(&[&bytes])));
        Ok((sample, digest))
    }

    fn prepared(&self, threads: usize) -> Result<Arc<Operators>, Broken> {
        let mut prepared = self
            .prepared
            .lock()
            .map_err(|error| Broken::Failed(error.to_string()))?;
        if let Some((_, operators)) = prepared.iter().find(|(own, _)| *own == threads) {
            return Ok(Arc::clone(operators));
        }
        let made = Operators::builder().threads(threads).prepare(&self.graph);
        let made = Arc::new(made.map_err(|error| Broken::Failed(error.to_string()))?);
        prepared.push((threads, Arc::clone(&made)));
        Ok(made)
    }

    fn oracle(&self) -> Answer {
        let graph = &self.graph;
        let wide = |labels: Vec<u32>| labels.into_iter().map(u64::from).collect();
        match self.task {
            Task::Bfs => {
                let levels = oracle::bfs(graph, self.source).into_iter();
                levels.map(i64::unsigned_abs).collect()
            }
            Task::Wcc => wide(oracle::wcc(graph)),
            // Weights of a generated graph are 1, so that every distance fits.
            Task::Sssp => oracle::sssp(graph, self.source).unwrap_or_default(),
            Task::Cdlp => wide(oracle::cdlp(graph, ROUNDS)),
            Task::Lcc => oracle::lcc(graph).iter().map(|c| c.numerator).collect(),
            Task::Triangles => vec![oracle::triangle_count(graph)],
            Task::Walks => {
                let starts: Vec<u32> = (0..graph.node_count()).collect();
                let mut visits = vec![0; starts.len()];
                for node in oracle::walks(graph, &starts, &WALKS).into_iter().flatten() {
                    visits[node as usize] += 1;
                }
                visits
            }
        }
    }
}

/// Bytes that a task takes beside its graph, for each of `contenders` with `threads` workers at most.
pub(super) fn bytes(task: Task, nodes: u64, edges: u64, threads: usize) -> u64 {
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
    let task: Operator = operator(task, nodes);
    task.memory(nodes, edges, threads)
}
