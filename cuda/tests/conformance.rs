//! The suites every backend passes: the kernels on the CPU.

use ffcm_cuda::CudaCoprocessor;
use ffcm_cuda::device::shim::{self, ShimOptions};

fn device() -> CudaCoprocessor {
    CudaCoprocessor::on(shim::open(&ShimOptions::default()).expect("a C++ compiler"))
}

ffcm::conformance!(cuda_on_the_cpu, device);
