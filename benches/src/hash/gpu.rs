//! Suite `hash` on WebGPU.

use ffcm::coprocessor::hash_digest;
use ffcm_wgsl::device;
use ffcm_wgsl::hash::HashEngine;

use super::{Arguments, Inputs, check_searches, same, workloads};
use crate::failure::Failure;
use crate::gpu::{Report, Row, Traffic, hex, open, watched};
use crate::timing::{Summary, time};

/// Checks and measures.
pub fn run(arguments: &Arguments, device: &device::Options) -> Result<(), Failure> {
    let options = &arguments.options;
    let inputs = Inputs::new(arguments);
    let (batch, whole) = (inputs.batch(), [inputs.data.as_slice()]);
    let gpu = open(device)?;
    let mut engine = HashEngine::new(&gpu).map_err(Failure::failed)?;
    check_searches(&inputs, |job| engine.hash(job).map_err(Failure::failed))?;
    let mut facts = vec![("seed", arguments.seed.to_string())];
    let mut rows = Vec::new();
    for workload in workloads(&inputs, &batch, &whole) {
        let mut samples = Vec::new();
        let mut traffic = Traffic::default();
        let mut kernel_bytes = 0;
        // One more, to warm up.
        for round in 0..=arguments.turns.rounds(options) {
            let before = engine.stats();
            let ((found, sample), wire) = watched(&gpu, || time(|| engine.hash(&workload.job)));
            let found = found.map_err(Failure::failed)?;
            same(workload.name, &workload.expected, &found)?;
            traffic = wire;
            kernel_bytes = engine.stats().kernel_bytes - before.kernel_bytes;
            if round > 0 {
                samples.push(sample);
            }
        }
        facts.push((workload.name, hex(&hash_digest(&workload.expected))));
        rows.push(Row::new(
            format!("{} ({})", workload.name, workload.unit),
            workload.units,
            Summary::of(&samples),
            traffic,
            // A search addresses next to none.
            Some(kernel_bytes).filter(|bytes| *bytes > 0),
        ));
    }
    Report::finish(&gpu, options, "units", facts, rows)
}
