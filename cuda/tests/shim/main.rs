//! The shim does what a device does, and says what a device would choke on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod blocks;
mod faults;
mod host;
mod words;

use std::sync::Arc;

use ffcm_cuda::device::shim::{self, ShimOptions};
use ffcm_cuda::device::{Gpu, Kernel, Source};

fn gpu(seed: u64) -> Gpu {
    shim::open(&ShimOptions {
        seed,
        ..ShimOptions::default()
    })
    .unwrap()
}

fn kernel(gpu: &Gpu, source: &Source, name: &str) -> Arc<Kernel> {
    let index = source.entries.iter().position(|entry| *entry == name);
    gpu.kernels(source).unwrap()[index.unwrap()].clone()
}
