//! Suite `hash` on a device.

use ffcm::coprocessor::{HashJob, HashOutput, JobError, hash_digest};

use super::{Arguments, Inputs, check_searches, same, workloads};
use crate::failure::Failure;
use crate::gpu::{Choice, Device, Report, Row, Traffic, hex, watched};
use crate::timing::{Summary, time};

/// Checks and measures.
pub fn run(arguments: &Arguments, choice: &Choice) -> Result<(), Failure> {
    match choice {
        Choice::Wgpu(options) => {
            let gpu = <ffcm_wgsl::device::Gpu as Device>::open(options)?;
            let engine = ffcm_wgsl::hash::HashEngine::new(&gpu);
            let mut engine = engine.map_err(Failure::failed)?;
            measure(arguments, &*gpu, |job| {
                Ok((engine.hash(job)?, Some(engine.stats().kernel_bytes)))
            })
        }
        Choice::Cuda(options) => {
            let gpu = <ffcm_cuda::device::Gpu as Device>::open(options)?;
            let engine = ffcm_cuda::hash::HashEngine::new(&gpu);
            let mut engine = engine.map_err(Failure::failed)?;
            measure(arguments, &*gpu, |job| Ok((engine.hash(job)?, None)))
        }
    }
}

/// `hash` gives the bytes that its kernels have addressed so far too, where the engine counts them.
fn measure(
    arguments: &Arguments,
    gpu: &impl Device,
    mut hash: impl FnMut(&HashJob<'_>) -> Result<(HashOutput, Option<u64>), JobError>,
) -> Result<(), Failure> {
    let options = &arguments.options;
    let inputs = Inputs::new(arguments);
    let (batch, whole) = (inputs.batch(), [inputs.data.as_slice()]);
    let mut bytes_before = None;
    check_searches(&inputs, |job| {
        let (found, bytes) = hash(job).map_err(Failure::failed)?;
        bytes_before = bytes;
        Ok(found)
    })?;
    let mut facts = vec![("seed", arguments.seed.to_string())];
    let mut rows = Vec::new();
    for workload in workloads(&inputs, &batch, &whole) {
        let mut samples = Vec::new();
        let mut traffic = Traffic::default();
        let mut kernel_bytes = None;
        // One more, to warm up.
        for round in 0..=arguments.turns.rounds(options) {
            let ((found, sample), wire) = watched(gpu, || time(|| hash(&workload.job)));
            let (found, bytes) = found.map_err(Failure::failed)?;
            same(workload.name, &workload.expected, &found)?;
            traffic = wire;
            kernel_bytes = bytes
                .zip(bytes_before)
                .map(|(after, before)| after - before);
            bytes_before = bytes;
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
            kernel_bytes.filter(|bytes| *bytes > 0),
        ));
    }
    Report::finish(gpu, options, "units", facts, rows)
}
