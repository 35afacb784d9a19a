//! `peers focus`: suite `focus` with crate `graph` among the kernels.

use ffcm_suite::failure::Failure;
use ffcm_suite::focus::{self, Arguments, DAMPING, Kernel, Run};
use ffcm_suite::timing::time;
use graph::prelude::{CsrLayout, DirectedCsrGraph, GraphBuilder, PageRankConfig, page_rank};

/// Crate `graph` 0.3.2: f32, asynchronous (Gauss-Seidel).
struct CrateGraph(DirectedCsrGraph<u32>);

impl Kernel for CrateGraph {
    fn name(&self) -> &'static str {
        "crate graph, f32"
    }

    /// It starts as many threads as there are cores, always.
    fn runs_on(&self, threads: usize, cores: usize) -> bool {
        threads == cores
    }

    fn run(&self, iterations: u32) -> Result<Run, Failure> {
        let config = PageRankConfig::new(iterations as usize, 0.0, DAMPING as f32);
        let ((scores, done, _), sample) = time(|| page_rank(&self.0, config));
        Ok(Run {
            iterations: done as u32,
            sample,
            scores: Some(scores),
        })
    }
}

/// Runs the suite.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    focus::run(arguments, |arcs| {
        let graph = GraphBuilder::new()
            .csr_layout(CsrLayout::Sorted)
            .edges(arcs)
            .build();
        vec![Box::new(CrateGraph(graph))]
    })
}
