//! The suites every backend passes, on the first adapter of this machine. No adapter is a failure.

use ffcm_wgsl::WgpuCoprocessor;
use ffcm_wgsl::device::Options;

fn device() -> WgpuCoprocessor {
    WgpuCoprocessor::open(&Options::default()).expect("an adapter")
}

ffcm::conformance!(wgpu, device);
