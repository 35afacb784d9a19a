//! Reduce a net and rank a graph: the whole of `ffcm` that an embedder needs.

use ffcm::coprocessor::{Accelerator, FocusJob, RewriteJob};
use ffcm::focus::{FocusParams, MASS};
use ffcm::graph::{EdgeDelta, Graph};
use ffcm::net::{Book, Limits};

/// Runs it.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Accelerator::Auto.open(0, &[])?.coprocessor;

    let book = Book::parse("@main = r & 20 ~ $([+] $(22 r))")?;
    let calls = vec![book.main()?];
    let job = RewriteJob {
        book: book.into(),
        calls,
        limits: Limits::default(),
    };
    let outcome = device.rewrite(&job)?.remove(0)?;
    println!(
        "20 + 22 = {} in {} interactions",
        outcome.result,
        outcome.counts.total()
    );

    let mut graph = Graph::new();
    graph.add_nodes(3)?;
    let edge = |source, target| EdgeDelta {
        source,
        target,
        weight: 1,
    };
    graph.apply(&[edge(0, 2), edge(1, 2), edge(2, 0)])?;
    let job = FocusJob {
        graph: &graph,
        params: FocusParams::default(),
        start: None,
    };
    for (node, mass) in device.focus(&job)?.top(3) {
        println!("node {node}: {:.4}", mass as f64 / MASS as f64);
    }
    Ok(())
}
