//! The shim does what a device does, and says what a device would choke on.

use std::sync::Arc;

use ffcm_cuda::device::shim::{self, ShimOptions};
use ffcm_cuda::device::{CudaError, Gpu, Grid, Kernel, Source};

const BASICS: Source = Source {
    name: "tests/basics",
    text: r#"
#include "device.cuh"
static __constant__ const u32 ONES[2] = {1u, 1u};
// The sum of each block's share.
extern "C" __global__ void __launch_bounds__(THREADS) reduce(const u32* __restrict__ in, u64* out, u32 n) {
    __shared__ u64 tile[THREADS];
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    tile[threadIdx.x] = i < n ? __ldg(in + i) : 0;
    __syncthreads();
    for (u32 step = THREADS / 2; step > 0; step /= 2) {
        if (threadIdx.x < step) tile[threadIdx.x] += tile[threadIdx.x + step];
        __syncthreads();
    }
    if (threadIdx.x == 0) out[blockIdx.x] = tile[0];
}
// Inclusive sums of each warp, and of its first `part` lanes alone.
extern "C" __global__ void scan(const u32* in, u32* full, u32* partial, u32 part) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    u32 lane = threadIdx.x % 32, sum = in[i];
    for (u32 d = 1; d < 32; d *= 2) {
        u32 other = __shfl_up_sync(0xffffffffu, sum, d);
        if (lane >= d) sum += other;
    }
    full[i] = sum;
    u32 mask = (1u << part) - 1;
    if (lane < part) {
        u32 own = in[i];
        for (u32 d = 1; d < part; d *= 2) {
            u32 other = __shfl_up_sync(mask, own, d);
            if (lane >= d) own += other;
        }
        partial[i] = own;
    } else {
        partial[i] = __ballot_sync(~mask, lane % 2 == 0);
    }
}
extern "C" __global__ void count(u32* small, u64* large) {
    atomicAdd(small, ONES[0]);
    atomicAdd(large, 1ull << 32);
}
extern "C" __global__ void many_barriers(u32* out, u32 rounds) {
    __shared__ u32 cell;
    if (threadIdx.x == 0) cell = 0;
    __syncthreads();
    for (u32 i = 0; i < rounds; i++) {
        if (threadIdx.x == i % blockDim.x) cell++;
        __syncthreads();
    }
    if (threadIdx.x == 0) out[blockIdx.x] = cell;
}
"#,
    entries: &["reduce", "scan", "count", "many_barriers"],
    defines: &[("THREADS", "256")],
};

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

#[test]
fn a_block_reduces() {
    for seed in 1..5 {
        let gpu = gpu(seed);
        let data: Vec<u32> = (0..10_000u32)
            .map(|i| i.wrapping_mul(2_654_435_761))
            .collect();
        let input = gpu.buffer_of("input", &data).unwrap();
        let grid = Grid::covering(data.len() as u64, 256);
        let out = gpu.buffer::<u64>("sums", u64::from(grid.blocks)).unwrap();
        let arguments = [(&input).into(), (&out).into(), (data.len() as u32).into()];
        gpu.launch(&kernel(&gpu, &BASICS, "reduce"), grid, &arguments)
            .unwrap();
        let sums = gpu.read(&out, 0, out.len()).unwrap();
        let want: Vec<u64> = data
            .chunks(256)
            .map(|share| share.iter().map(|&x| u64::from(x)).sum())
            .collect();
        assert_eq!(sums, want);
    }
}

#[test]
fn warps_scan() {
    let gpu = gpu(3);
    let data: Vec<u32> = (0..256).map(|i| i * i + 1).collect();
    let input = gpu.buffer_of("input", &data).unwrap();
    let full = gpu.buffer::<u32>("full", 256).unwrap();
    let partial = gpu.buffer::<u32>("partial", 256).unwrap();
    let part = 13u32;
    let arguments = [
        (&input).into(),
        (&full).into(),
        (&partial).into(),
        part.into(),
    ];
    gpu.launch(
        &kernel(&gpu, &BASICS, "scan"),
        Grid::new(2, 128),
        &arguments,
    )
    .unwrap();
    let (full, partial) = (
        gpu.read(&full, 0, 256).unwrap(),
        gpu.read(&partial, 0, 256).unwrap(),
    );
    let even = 0x5555_5555u32 & !((1 << part) - 1);
    for (i, (&full, &partial)) in full.iter().zip(&partial).enumerate() {
        let sum: u32 = data[i / 32 * 32..=i].iter().sum();
        assert_eq!(full, sum, "{i}");
        let want = if (i % 32) < part as usize { sum } else { even };
        assert_eq!(partial, want, "{i}");
    }
}

#[test]
fn atomics_sum_exactly() {
    let gpu = gpu(9);
    let small = gpu.buffer::<u32>("small", 1).unwrap();
    let large = gpu.buffer::<u64>("large", 1).unwrap();
    let arguments = [(&small).into(), (&large).into()];
    gpu.launch(
        &kernel(&gpu, &BASICS, "count"),
        Grid::new(200, 256),
        &arguments,
    )
    .unwrap();
    assert_eq!(gpu.read(&small, 0, 1).unwrap(), [51_200]);
    assert_eq!(gpu.read(&large, 0, 1).unwrap(), [51_200 << 32]);
}

#[test]
fn many_barriers() {
    let gpu = gpu(2);
    let out = gpu.buffer::<u32>("out", 100).unwrap();
    let arguments = [(&out).into(), 1000u32.into()];
    let ((), time) = gpu
        .timed(|| {
            gpu.launch(
                &kernel(&gpu, &BASICS, "many_barriers"),
                Grid::new(100, 256),
                &arguments,
            )
        })
        .unwrap();
    println!("{time:?}");
    assert_eq!(gpu.read(&out, 0, 100).unwrap(), [1000; 100]);
}

#[test]
fn what_does_not_compile_says_so() {
    let gpu = gpu(1);
    let source = Source {
        text: "this is no kernel",
        ..BASICS
    };
    let error = gpu.kernels(&source).unwrap_err();
    assert!(matches!(error, CudaError::Kernel { .. }), "{error}");
}
