//! The shim does what a device does, and says what a device would choke on.

use std::sync::Arc;

use ffcm_cuda::device::shim::{self, ShimOptions};
use ffcm_cuda::device::{Argument, CudaError, Gpu, Grid, Kernel, Source};

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

const FAULTS: Source = Source {
    name: "tests/faults",
    text: r#"
#include "device.cuh"
extern "C" __global__ void half_at_barrier(u32* out) {
    if (threadIdx.x % 2 == 0) {
        __syncthreads();
    } else {
        __syncwarp();
    }
    out[0] = 1;
}
extern "C" __global__ void two_barriers(u32* out) {
    if (threadIdx.x == 0) {
        __syncthreads();
    } else {
        out[1] = 1;
        __syncthreads();
    }
}
extern "C" __global__ void store_at(u32* out, u64 index) { out[index] = 7; }
extern "C" __global__ void load_at(const u32* in, u32* out, u64 index) { out[0] = in[index]; }
extern "C" __global__ void shared_at(u32* out, u32 index) {
    u32* cells = static_cast<u32*>(dynamic_shared());
    cells[index] = threadIdx.x;
    out[0] = cells[index];
}
extern "C" __global__ void divide(u32* out, u32 by) { out[0] = 1 / by; }
extern "C" __global__ void shift(u32* out, u32 by) { out[0] = 1u << by; }
extern "C" __global__ void misaligned(u32* out) { *reinterpret_cast<u64*>(out + 1) = 1; }
extern "C" __global__ void misaligned_atomic(u32* out) { atomicAdd(reinterpret_cast<u64*>(out + 1), 1ull); }
extern "C" __global__ void wait_for_ever(const u32* flag) {
    while (load_acquire(flag) == 0) pause_thread();
}
// Waits while others of the block are at a barrier.
extern "C" __global__ void wait_beside_a_barrier(u32* flag) {
    if (threadIdx.x == 0) {
        while (atomicCAS(flag, 1, 0) == 0) pause_thread();
    }
    __syncthreads();
}
// The second block opens the first one's door.
extern "C" __global__ void wait_for_a_block(u32* door) {
    if (blockIdx.x == 0) {
        while (load_acquire(door) == 0) pause_thread();
    } else {
        store_release(door, 1);
    }
}
static __device__ __noinline__ u32 deep(u32 n, const u32* in) {
    u32 cells[64];
    for (u32 i = 0; i < 64; i++) cells[i] = in[0] + n;
    return n == 0 ? cells[n % 64] : deep(n - 1, cells) + cells[n % 64];
}
extern "C" __global__ void recurse(u32* out, u32 depth) { out[0] = deep(depth, out); }
extern "C" __global__ void not_in_mask(u32* out) { out[0] = __ballot_sync(2, 1); }
extern "C" __global__ void fine(u32* out) { out[0] = 5; }
"#,
    entries: &[
        "half_at_barrier",
        "two_barriers",
        "store_at",
        "load_at",
        "shared_at",
        "divide",
        "shift",
        "misaligned",
        "misaligned_atomic",
        "wait_for_ever",
        "wait_beside_a_barrier",
        "wait_for_a_block",
        "recurse",
        "not_in_mask",
        "fine",
    ],
    defines: &[],
};

/// Launches a kernel of `FAULTS` on a buffer of 100 words and these numbers; what the lost device says. Afterwards it is of
/// no use, and another one is.
fn fault(name: &str, grid: Grid, numbers: &[Argument]) -> String {
    let gpu = gpu(1);
    let out = gpu.buffer::<u32>("out", 100).unwrap();
    let mut arguments = vec![Argument::from(&out)];
    arguments.extend_from_slice(numbers);
    let error = gpu
        .launch(&kernel(&gpu, &FAULTS, name), grid, &arguments)
        .unwrap_err();
    assert_eq!(gpu.read(&out, 0, 1).unwrap_err(), error);
    assert_eq!(gpu.wait().unwrap_err(), error);
    let CudaError::Lost { message } = error else {
        panic!("{error}")
    };
    assert!(
        message.contains(&format!("kernel `tests/faults:{name}`")),
        "{message}"
    );

    let other = self::gpu(1);
    let out = other.buffer::<u32>("out", 1).unwrap();
    let fine = kernel(&other, &FAULTS, "fine");
    other
        .launch(&fine, Grid::new(3, 64), &[(&out).into()])
        .unwrap();
    assert_eq!(other.read(&out, 0, 1).unwrap(), [5]);
    println!("{message}");
    message
}

#[test]
fn divergence_is_an_error() {
    let message = fault("half_at_barrier", Grid::new(2, 64), &[]);
    assert!(message.contains("32 wait at __syncthreads"), "{message}");
    let message = fault("two_barriers", Grid::new(1, 64), &[]);
    assert!(message.contains("divergent barrier"), "{message}");
    let message = fault("not_in_mask", Grid::new(1, 1), &[]);
    assert!(message.contains("not in the mask 00000002"), "{message}");
}

#[test]
fn accesses_outside_are_errors() {
    for name in ["store_at", "load_at"] {
        let gpu = gpu(1);
        let out = gpu.buffer::<u32>("out", 100).unwrap();
        let of = |index: u64| match name {
            "store_at" => vec![Argument::from(&out), index.into()],
            _ => vec![Argument::from(&out), Argument::from(&out), index.into()],
        };
        let kernel = kernel(&gpu, &FAULTS, name);
        gpu.launch(&kernel, Grid::new(1, 1), &of(99)).unwrap();
        let error = gpu.launch(&kernel, Grid::new(1, 1), &of(100)).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("0 bytes beyond the end of `out` (400 bytes)"),
            "{message}"
        );
    }
    let message = fault("store_at", Grid::new(9, 32), &[(1u64 << 40).into()]);
    assert!(message.contains("memory that is not there"), "{message}");
    let message = fault(
        "shared_at",
        Grid::new(2, 32).shared(4096),
        &[1024u32.into()],
    );
    assert!(message.contains("memory that is not there"), "{message}");
    let message = fault("recurse", Grid::new(2, 32), &[10_000u32.into()]);
    assert!(message.contains("memory that is not there"), "{message}");
}

#[test]
fn what_has_no_meaning_is_an_error() {
    let message = fault("divide", Grid::new(1, 1), &[0u32.into()]);
    assert!(
        message.contains("undefined") || message.contains("division"),
        "{message}"
    );
    let message = fault("shift", Grid::new(1, 1), &[32u32.into()]);
    assert!(message.contains("undefined"), "{message}");
    let message = fault("misaligned", Grid::new(1, 1), &[]);
    assert!(message.contains("undefined"), "{message}");
    let message = fault("misaligned_atomic", Grid::new(1, 1), &[]);
    assert!(message.contains("misaligned"), "{message}");
}

#[test]
fn waiting_for_ever_is_an_error() {
    let message = fault("wait_for_ever", Grid::new(5, 64), &[]);
    assert!(message.contains("no progress"), "{message}");
    let message = fault("wait_beside_a_barrier", Grid::new(3, 64).cooperative(), &[]);
    assert!(message.contains("63 at __syncthreads"), "{message}");
}

#[test]
fn blocks_that_need_others_fail_for_some_seed() {
    let outcome = |seed, grid| {
        let gpu = gpu(seed);
        let door = gpu.buffer::<u32>("door", 1).unwrap();
        let kernel = kernel(&gpu, &FAULTS, "wait_for_a_block");
        gpu.launch(&kernel, grid, &[(&door).into()])
    };
    let grid = Grid::new(2, 32);
    let failed = (0..40).filter(|&seed| outcome(seed, grid).is_err()).count();
    assert!(failed > 0 && failed < 40, "{failed}");
    for seed in 0..40 {
        assert_eq!(outcome(seed, grid.cooperative()), Ok(()));
    }
}
