//! Edge weights from a weight net.

use std::path::Path;

use ffcm::coprocessor::Coprocessor;
use ffcm::graph::{EdgeDelta, Graph};
use ffcm_sandboxes::weight::MAX_TEXT_BYTES;
use ffcm_sandboxes::{EdgeAttributes, WeightNet, WeightVerdict};

use super::failure::Failure;
use super::output::read_text;

/// Interactions one evaluation may take.
const GAS: u64 = 10_000;

/// Edges evaluated in one job.
const BATCH: usize = 1 << 16;

/// Reads the text of a weight net and checks it.
pub(crate) fn read(path: &Path, stake_shift: u32) -> Result<(String, WeightNet), Failure> {
    let text = read_text(path, MAX_TEXT_BYTES as u64)?;
    match WeightNet::parse(&text, stake_shift) {
        Ok(net) => Ok((text, net)),
        Err(error) => Err(Failure::file(path.display(), error)),
    }
}

/// Replaces each weight of `graph` by the net's answer to it as the stake, with age and kind 0. A refused edge is removed;
/// returns how many were.
pub(crate) fn apply(
    graph: &mut Graph,
    net: &WeightNet,
    coprocessor: &dyn Coprocessor,
) -> Result<u64, Failure> {
    let edges: Vec<EdgeDelta> = graph.edges().collect();
    let mut refused = 0;
    for batch in edges.chunks(BATCH) {
        let attributes = |edge: &EdgeDelta| EdgeAttributes {
            stake: edge.weight,
            age: 0,
            kind: 0,
        };
        let asked: Vec<EdgeAttributes> = batch.iter().map(attributes).collect();
        let verdicts = net
            .evaluate(coprocessor, &asked, GAS)
            .map_err(Failure::new)?;
        let mut deltas = Vec::with_capacity(batch.len());
        for (edge, verdict) in batch.iter().zip(verdicts) {
            if matches!(verdict, WeightVerdict::Refused(_)) {
                refused += 1;
            }
            deltas.push(EdgeDelta {
                weight: verdict.weight(),
                ..*edge
            });
        }
        graph.apply(&deltas).map_err(Failure::new)?;
    }
    Ok(refused)
}
