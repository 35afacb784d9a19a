//! Devices for tests.

use ffcm_wgsl::WgpuCoprocessor;
use ffcm_wgsl::device::Options;

/// The first adapter of this machine.
pub fn open() -> WgpuCoprocessor {
    WgpuCoprocessor::open(&Options::default()).expect("an adapter")
}

/// A device whose bindings are this small.
pub fn small(binding_bytes: u64) -> WgpuCoprocessor {
    let options = Options {
        binding_bytes_max: Some(binding_bytes),
        ..Options::default()
    };
    WgpuCoprocessor::open(&options).expect("an adapter")
}
