//! Suite `memory` on a device.

use ffcm::coprocessor::JobError;
use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};

use super::{Arguments, one_by_one, operations};
use crate::failure::Failure;
use crate::gpu::{Choice, Device, Report, Row, Traffic, hex, watched};
use crate::timing::{Summary, time};

/// What an engine gives for a batch, and the bytes that its kernels have addressed so far, where it counts them.
type Applied = Result<(Vec<Result<(), MemoryError>>, Option<u64>), JobError>;

/// Checks and measures.
pub fn run(arguments: &Arguments, choice: &Choice) -> Result<(), Failure> {
    match choice {
        Choice::Wgpu(options) => {
            let gpu = <ffcm_wgsl::device::Gpu as Device>::open(options)?;
            let engine = ffcm_wgsl::memory::MemoryEngine::new(&gpu);
            let mut engine = engine.map_err(Failure::failed)?;
            measure(arguments, &*gpu, |memory, ops| {
                Ok((
                    engine.apply(memory, ops)?,
                    Some(engine.stats().kernel_bytes),
                ))
            })
        }
        Choice::Cuda(options) => {
            let gpu = <ffcm_cuda::device::Gpu as Device>::open(options)?;
            let engine = ffcm_cuda::memory::MemoryEngine::new(&gpu);
            let mut engine = engine.map_err(Failure::failed)?;
            measure(arguments, &*gpu, |memory, ops| {
                Ok((engine.apply(memory, ops)?, None))
            })
        }
    }
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
    let mut kernel_bytes = None;
    let mut bytes_before = None;
    // One more, to warm up.
    for round in 0..=arguments.turns.rounds(options) {
        let mut memory = start.clone();
        let ((found, sample), wire) = watched(gpu, || time(|| apply(&mut memory, &operations)));
        let (found, bytes) = found.map_err(Failure::failed)?;
        if found != results || memory != expected {
            return Err(Failure::Mismatch(
                "the device leaves another tensor than one operation at a time".into(),
            ));
        }
        traffic = wire;
        kernel_bytes = bytes
            .zip(bytes_before)
            .map(|(after, before)| after - before);
        bytes_before = bytes;
        if round > 0 {
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
        kernel_bytes,
    );
    Report::finish(gpu, options, "operations", facts, vec![row])
}
