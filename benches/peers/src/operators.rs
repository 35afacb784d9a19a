//! `peers operators`: suite `operators` with crate `graph` among the engines.

use std::sync::atomic::Ordering;

use ffcm_suite::failure::Failure;
use ffcm_suite::operators::{self, Answer, Arguments, Rival, Task};
use ffcm_suite::timing::{Sample, time};
use graph::prelude::{
    Components, CsrLayout, DeltaSteppingConfig, DirectedCsrGraph, GraphBuilder, UndirectedCsrGraph,
    WccConfig, delta_stepping, global_triangle_count, relabel_graph, wcc_afforest,
};

/// Runs the suite.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    operators::run(arguments, rivals)
}

/// Width of a bucket of the rival's shortest paths.
const DELTA: f32 = 32.0;

/// Crate `graph` 0.3.2 at one of the three tasks it has.
struct CrateGraph<F>(Task, F);

impl<F: Fn(u32) -> (Answer, Sample)> Rival for CrateGraph<F> {
    fn name(&self) -> &'static str {
        "crate graph"
    }

    fn task(&self) -> Task {
        self.0
    }

    /// It starts as many threads as there are cores, always.
    fn runs_on(&self, threads: usize, cores: usize) -> bool {
        threads == cores
    }

    fn run(&self, source: u32) -> (Answer, Sample) {
        self.1(source)
    }
}

/// The rivals on a graph of so many nodes and these arcs, an undirected edge being two.
pub fn rivals(nodes: u32, arcs: &[(u32, u32, u64)]) -> Vec<Box<dyn Rival>> {
    let plain = arcs.iter().map(|&(u, v, _)| (u, v));
    let directed: DirectedCsrGraph<u32> = GraphBuilder::new()
        .csr_layout(CsrLayout::Sorted)
        .edges(plain.clone())
        .build();
    let weighted: DirectedCsrGraph<u32, (), f32> = GraphBuilder::new()
        .csr_layout(CsrLayout::Sorted)
        .edges_with_values(arcs.iter().map(|&(u, v, weight)| (u, v, weight as f32)))
        .build();
    let mut undirected: UndirectedCsrGraph<u32> = GraphBuilder::new()
        .csr_layout(CsrLayout::Deduplicated)
        .edges(plain.filter(|(u, v)| u < v))
        .build();
    relabel_graph(&mut undirected);
    // It knows no nodes after the last that has an edge.
    let known = arcs.iter().map(|&(u, _, _)| u + 1).max().unwrap_or(0);
    vec![
        Box::new(CrateGraph(Task::Wcc, move |_| {
            components(nodes, known, &directed)
        })),
        Box::new(CrateGraph(Task::Sssp, move |source| {
            distances(nodes, source, &weighted)
        })),
        Box::new(CrateGraph(Task::Triangles, move |_| {
            time(|| vec![global_triangle_count(&undirected)])
        })),
    ]
}

fn components(nodes: u32, known: u32, graph: &DirectedCsrGraph<u32>) -> (Answer, Sample) {
    let (components, sample) = time(|| wcc_afforest(graph, WccConfig::default()));
    let name = |node| components.component(node) as usize;
    // Any node may stand for a component: here it is the smallest.
    let mut smallest = vec![u64::MAX; known as usize];
    for node in 0..known {
        let own = &mut smallest[name(node)];
        *own = (*own).min(node.into());
    }
    let labels = (0..known).map(|node| smallest[name(node)]);
    (
        labels.chain((known..nodes).map(u64::from)).collect(),
        sample,
    )
}

fn distances(nodes: u32, source: u32, graph: &DirectedCsrGraph<u32, (), f32>) -> (Answer, Sample) {
    let config = DeltaSteppingConfig::new(source as usize, DELTA);
    let (distances, sample) = time(|| delta_stepping(graph, config));
    // Sums of the suite's weights are whole floats.
    let exact = |distance: f32| match distance {
        f32::MAX => u64::MAX,
        distance => distance as u64,
    };
    let distances = distances.iter();
    let known = distances.map(|distance| exact(distance.load(Ordering::Relaxed)));
    let all = known.chain(std::iter::repeat(u64::MAX));
    (all.take(nodes as usize).collect(), sample)
}
