//! Suite `memory` on a device.

use std::sync::Arc;

use ffcm::coprocessor::JobError;
use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};

use crate::failure::Failure;
use crate::gpu::{Choice, Counted, Device, Report, Row, Traffic, hex, watched};
use crate::memory::{Arguments, one_by_one, operations};
use crate::timing::{Summary, time};

/// What an engine gives for a batch, and what it has counted so far.
type Applied = Result<(Vec<Result<(), MemoryError>>, Counted), JobError>;

/// Checks and measures.
pub fn run(arguments: &Arguments, choice: &Choice) -> Result<(), Failure> {
    match choice {
        Choice::Wgpu(options) => {
            let gpu = <ffcm_wgsl::device::Gpu as Device>::open(options)?;
            let engine = ffcm_wgsl::memory::MemoryEngine::new(&gpu);
            let mut engine = engine.map_err(Failure::failed)?;
            measure(arguments, &*gpu, |memory, ops| {
                let found = engine.apply(memory, ops)?;
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
    let engine = ffcm_cuda::memory::MemoryEngine::new(&gpu);
    let mut engine = engine.map_err(Failure::failed)?;
    measure(arguments, &*gpu, |memory, ops| {
        let found = engine.apply(memory, ops)?;
        let stats = engine.stats();
        let counted = Counted {
            bytes: Some(stats.kernel_bytes),
            time: Some(stats.kernel_time),
        };
        Ok((found, counted))
    })
}

fn measure(
    arguments: &Arguments,
    gpu: &impl Device,
    mut apply: impl FnMut(&mut Memory, &[(SlotId, MemoryOp)]) -> Applied,
) -> Result<(), Failure> {
    let options = &arguments.options;
    let operations = operations(arguments.seed, arguments.shards, arguments.count());
    let start = Memory::from_seed(arguments.shards, [7; 32]);
    let mut expected = start.clone();
    let results = one_by_one(&mut expected, &operations);

    let mut samples = Vec::new();
    let mut traffic = Traffic::default();
    let mut kernels = Counted::default();
    let mut before = Counted::default();
    // One more, to warm up.
    for round in 0..=arguments.turns.rounds(options) {
        let mut memory = start.clone();
        let ((found, sample), wire) = watched(gpu, || time(|| apply(&mut memory, &operations)));
        let (found, counted) = found.map_err(Failure::failed)?;
        if found != results || memory != expected {
            return Err(Failure::Mismatch(
                "the device leaves another tensor than one operation at a time".into(),
            ));
        }
        traffic = wire;
        let own = counted.since(before);
        before = counted;
        if round > 0 {
            kernels = own.or_faster(kernels);
            samples.push(sample);
        }
    }
    let refused = results.iter().filter(|result| result.is_err()).count();
    let facts = vec![
        ("shards", arguments.shards.to_string()),
        ("seed", arguments.seed.to_string()),
        ("refused", refused.to_string()),
        ("digest", hex(&expected.digest())),
    ];
    let row = Row::new(
        "whole batch".into(),
        operations.len() as u64,
        Summary::of(&samples),
        traffic,
        kernels,
    );
    Report::finish(gpu, options, "operations", facts, vec![row])
}
