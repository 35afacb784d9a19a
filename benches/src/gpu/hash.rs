//! Suite `hash` on a device.

use std::sync::Arc;

use ffcm::coprocessor::{HashJob, HashOutput, JobError, hash_digest};

use crate::failure::Failure;
use crate::gpu::{Choice, Counted, Device, Report, Row, Traffic, hex, watched};
use crate::hash::{Arguments, Inputs, check_searches, same, workloads};
use crate::timing::{Summary, time};

/// Checks and measures.
pub fn run(arguments: &Arguments, choice: &Choice) -> Result<(), Failure> {
    match choice {
        Choice::Wgpu(options) => {
            let gpu = <ffcm_wgsl::device::Gpu as Device>::open(options)?;
            let engine = ffcm_wgsl::hash::HashEngine::new(&gpu);
            let mut engine = engine.map_err(Failure::failed)?;
            measure(arguments, &*gpu, |job| {
                let found = engine.hash(job)?;
                let counted = Counted {
                    bytes: Some(engine.stats().kernel_bytes),
                    time: None,
                };
                Ok((found, counted))
            })
        }
        Choice::Cuda(options) => {
            let gpu = ffcm_cuda::device::Gpu::open(options).map_err(Failure::failed)?;
            on_cuda(arguments, gpu)
        }
    }
}

/// The suite on an open CUDA device.
pub(crate) fn on_cuda(arguments: &Arguments, gpu: ffcm_cuda::device::Gpu) -> Result<(), Failure> {
    let gpu = Arc::new(gpu);
    let engine = ffcm_cuda::hash::HashEngine::new(&gpu);
    let mut engine = engine.map_err(Failure::failed)?;
    measure(arguments, &*gpu, |job| {
        let found = engine.hash(job)?;
        let stats = engine.stats();
        let counted = Counted {
            bytes: Some(stats.kernel_bytes),
            time: Some(stats.kernel_time),
        };
        Ok((found, counted))
    })
}

/// `hash` also gives what the engine has counted so far.
fn measure(
    arguments: &Arguments,
    gpu: &impl Device,
    mut hash: impl FnMut(&HashJob<'_>) -> Result<(HashOutput, Counted), JobError>,
) -> Result<(), Failure> {
    let options = &arguments.options;
    let inputs = Inputs::new(arguments);
    let (batch, whole) = (inputs.batch(), [inputs.data.as_slice()]);
    let mut before = Counted::default();
    check_searches(&inputs, |job| {
        let (found, counted) = hash(job).map_err(Failure::failed)?;
        before = counted;
        Ok(found)
    })?;
    let mut facts = vec![("seed", arguments.seed.to_string())];
    let mut rows = Vec::new();
    for workload in workloads(&inputs, &batch, &whole) {
        let mut samples = Vec::new();
        let mut traffic = Traffic::default();
        let mut kernels = Counted::default();
        // One more, to warm up.
        for round in 0..=arguments.turns.rounds(options) {
            let ((found, sample), wire) = watched(gpu, || time(|| hash(&workload.job)));
            let (found, counted) = found.map_err(Failure::failed)?;
            same(workload.name, &workload.expected, &found)?;
            traffic = wire;
            let own = counted.since(before);
            before = counted;
            if round > 0 {
                kernels = own.or_faster(kernels);
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
            Counted {
                bytes: kernels.bytes.filter(|bytes| *bytes > 0),
                ..kernels
            },
        ));
    }
    Report::finish(gpu, options, "units", facts, rows)
}
