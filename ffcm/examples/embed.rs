//! Rank a graph and call a net: the whole of `ffcm` that an embedder needs.

use std::error::Error;
use std::io::Write;

use ffcm::Machine;
use ffcm::focus::MASS;
use ffcm::graph::{EdgeDelta, Graph};
use ffcm::machine::Program;

/// Runs it.
pub fn main() -> Result<(), Box<dyn Error>> {
    run(&mut std::io::stdout().lock())
}

/// Says what it finds to `out`.
pub fn run(out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let machine = Machine::auto()?;

    let mut graph = Graph::with_nodes(3)?;
    graph.apply(&[
        EdgeDelta::new(0, 2),
        EdgeDelta::new(1, 2),
        EdgeDelta::new(2, 0),
    ])?;
    for (node, mass) in machine.rank(&graph)?.top(3) {
        writeln!(out, "node {node}: {:.4}", mass as f64 / MASS as f64)?;
    }

    let program = Program::parse("@add = (a (b r)) & a ~ $([+] $(b r))")?;
    let sum: u32 = machine.call(&program, "add", (20u32, 22u32))?;
    writeln!(out, "20 + 22 = {sum}")?;
    Ok(())
}
