//! Suite `focus` on WebGPU.

use ffcm::coprocessor::{FocusJob, ranking_digest};
use ffcm::focus::{FocusParams, Ranker};
use ffcm::graph::Graph;
use ffcm_wgsl::device;
use ffcm_wgsl::focus::{FocusEngine, FocusOptions, Rounds};

use super::{Arguments, graph, rank};
use crate::failure::Failure;
use crate::gpu::{Report, Row, Traffic, hex, open, watched};
use crate::timing::{Sample, Summary, seconds, time};

/// Generates, verifies, measures.
pub fn run(arguments: &Arguments, device: &device::Options) -> Result<(), Failure> {
    let options = &arguments.options;
    let rmat = arguments.rmat();
    let arcs = rmat.arcs();
    let graph = graph(rmat.nodes(), &arcs)?;
    let ranker = Ranker::new(&graph, 1).map_err(Failure::failed)?;
    let fixed = FocusParams {
        epsilon: 0,
        max_iterations: arguments.iterations,
        ..FocusParams::default()
    };
    let mut facts = vec![
        ("scale", rmat.scale.to_string()),
        ("degree", rmat.degree.to_string()),
        ("seed", rmat.seed.to_string()),
        ("nodes", rmat.nodes().to_string()),
        ("arcs", arcs.len().to_string()),
    ];
    let gpu = open(device)?;
    let converged = FocusParams::default();
    let whole = ranking_digest(&rank(&ranker, &converged)?);
    let part = ranking_digest(&rank(&ranker, &fixed)?);
    facts.push(("digest of the converged π", hex(&whole)));
    facts.push(("digest after the iterations", hex(&part)));
    let mut rows = Vec::new();
    for (what, rounds) in [
        ("rounds as chosen", Rounds::Auto),
        ("dense rounds", Rounds::Dense),
    ] {
        let focus_options = FocusOptions {
            rounds,
            ..FocusOptions::default()
        };
        let engine = FocusEngine::with_options(&gpu, focus_options);
        let mut engine = engine.map_err(Failure::failed)?;
        // The first run lays the graph out and uploads it.
        let (found, sample, wire) = ranked(&mut engine, &gpu, &graph, &converged)?;
        same(whole, found)?;
        if rows.is_empty() {
            facts.push(("first run", seconds(sample.wall)));
            facts.push(("bytes uploaded in it", wire.uploaded.to_string()));
        }
        let mut samples = Vec::new();
        let mut traffic = Traffic::default();
        let mut dense = 0;
        // One more, to warm up.
        for round in 0..=arguments.turns.rounds(options) {
            let before = engine.stats().dense_rounds;
            let (found, sample, wire) = ranked(&mut engine, &gpu, &graph, &fixed)?;
            same(part, found)?;
            traffic = wire;
            dense = engine.stats().dense_rounds - before;
            if round > 0 {
                samples.push(sample);
            }
        }
        let iterations = u64::from(arguments.iterations);
        let stats = engine.stats();
        rows.push(Row::new(
            format!("{iterations} iterations, {what} ({dense} dense)"),
            stats.edges * iterations,
            Summary::of(&samples),
            traffic,
            // The engine counts the bytes of dense iterations.
            (dense == iterations).then_some(stats.bytes_per_iteration * iterations),
        ));
    }
    Report::finish(&gpu, options, "edge visits", facts, rows)
}

fn ranked(
    engine: &mut FocusEngine,
    gpu: &device::Gpu,
    graph: &Graph,
    params: &FocusParams,
) -> Result<([u8; 32], Sample, Traffic), Failure> {
    let job = FocusJob {
        graph,
        params: *params,
        start: None,
    };
    let ((ranking, sample), traffic) = watched(gpu, || time(|| engine.rank(&job)));
    let ranking = ranking.map_err(Failure::failed)?;
    Ok((ranking_digest(&ranking), sample, traffic))
}

fn same(expected: [u8; 32], found: [u8; 32]) -> Result<(), Failure> {
    if expected == found {
        return Ok(());
    }
    Err(Failure::Mismatch(format!(
        "π: digest {} on the device, {} on the CPU",
        hex(&found),
        hex(&expected)
    )))
}
