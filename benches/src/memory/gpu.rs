//! Suite `memory` on WebGPU.

use ffcm::memory::Memory;
use ffcm_wgsl::device;
use ffcm_wgsl::memory::MemoryEngine;

use super::{Arguments, one_by_one, operations};
use crate::failure::Failure;
use crate::gpu::{Report, Row, Traffic, hex, open, watched};
use crate::timing::{Summary, time};

/// Checks and measures.
pub fn run(arguments: &Arguments, device: &device::Options) -> Result<(), Failure> {
    let options = &arguments.options;
    let operations = operations(arguments.seed, arguments.shards, arguments.count());
    let start = Memory::from_seed(arguments.shards, [7; 32]);
    let mut expected = start.clone();
    let results = one_by_one(&mut expected, &operations);

    let gpu = open(device)?;
    let mut engine = MemoryEngine::new(&gpu).map_err(Failure::failed)?;
    let mut samples = Vec::new();
    let mut traffic = Traffic::default();
    let mut kernel_bytes = 0;
    // One more, to warm up.
    for round in 0..=arguments.turns.rounds(options) {
        let mut memory = start.clone();
        let before = engine.stats();
        let ((found, sample), wire) =
            watched(&gpu, || time(|| engine.apply(&mut memory, &operations)));
        if found.map_err(Failure::failed)? != results || memory != expected {
            return Err(Failure::Mismatch(
                "the device leaves another tensor than one operation at a time".into(),
            ));
        }
        traffic = wire;
        kernel_bytes = engine.stats().kernel_bytes - before.kernel_bytes;
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
        Some(kernel_bytes),
    );
    Report::finish(&gpu, options, "operations", facts, vec![row])
}
