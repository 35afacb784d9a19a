//! The shim does what a device does, and says what a device would choke on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

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
    let kernel = kernel(&gpu, &BASICS, "many_barriers");
    let ((), time) = gpu
        .timed(|| gpu.launch(&kernel, Grid::new(100, 256), &arguments))
        .unwrap();
    assert!(!time.is_zero());
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
// Asks again and again without ever pausing.
extern "C" __global__ void spin(u32* lock) {
    atomicExch(lock, 1u);
    while (atomicCAS(lock, 0u, 1u) != 0) {
    }
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
        "spin",
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
    // In the rest of the last 16 bytes.
    let gpu = gpu(1);
    let out = gpu.buffer::<u32>("out", 99).unwrap();
    let kernel = kernel(&gpu, &FAULTS, "store_at");
    let store = |index: u64| gpu.launch(&kernel, Grid::new(1, 1), &[(&out).into(), index.into()]);
    store(98).unwrap();
    let message = store(99).unwrap_err().to_string();
    assert!(
        message.contains("wrote beyond the end of `out`"),
        "{message}"
    );

    let message = fault("store_at", Grid::new(9, 32), &[(1u64 << 40).into()]);
    assert!(message.contains("not there"), "{message}");
    assert!(message.contains("; running: "), "{message}");
    let message = fault(
        "shared_at",
        Grid::new(2, 32).shared(4096),
        &[1024u32.into()],
    );
    assert!(message.contains("not there"), "{message}");
    assert!(message.contains("; running: "), "{message}");
    let message = fault("recurse", Grid::new(2, 32), &[10_000u32.into()]);
    assert!(message.contains("not there"), "{message}");
    assert!(message.contains("; running: "), "{message}");
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
    let message = fault("spin", Grid::new(2, 3), &[]);
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

const GRIDS: Source = Source {
    name: "tests/grids",
    text: r#"
#include "device.cuh"
// Every block waits for all others, `rounds` times, and then sees what they wrote before.
extern "C" __global__ void grid_barrier(u32* arrived, u32* cells, u32* wrong, u32 rounds) {
    for (u32 round = 1; round <= rounds; round++) {
        cells[blockIdx.x * blockDim.x + threadIdx.x] = round;
        __syncthreads();
        if (threadIdx.x == 0) {
            __threadfence();
            atomicAdd(arrived, 1u);
            while (load_acquire(arrived) < round * gridDim.x) pause_thread();
        }
        __syncthreads();
        u32 other = (blockIdx.x + 1) % gridDim.x;
        if (cells[other * blockDim.x + threadIdx.x] < round) atomicAdd(wrong, 1u);
        __syncthreads();
    }
}
// Reverses each block's share through shared memory of the launch's size.
extern "C" __global__ void reverse(const u64* in, u64* out) {
    u64* tile = static_cast<u64*>(dynamic_shared());
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    tile[threadIdx.x] = in[i];
    __syncthreads();
    out[i] = tile[blockDim.x - 1 - threadIdx.x];
}
// The order in which threads of a block come past a barrier.
extern "C" __global__ void turns(u32* order, u32* next) {
    __syncthreads();
    order[blockIdx.x * blockDim.x + atomicAdd(next + blockIdx.x, 1u)] = threadIdx.x;
}
// What shared memory has before anything is written.
extern "C" __global__ void dirt(u32* out) {
    __shared__ u32 cells[8];
    const u32* dynamic = static_cast<const u32*>(dynamic_shared());
    volatile u32* seen = cells;
    out[0] = seen[3];
    out[1] = dynamic[3];
}
// Threads leave one after another; those who stay are not held up.
extern "C" __global__ void leave_early(u32* out) {
    for (u32 i = 0; i < threadIdx.x; i++) {
        __syncthreads();
        __syncwarp();
    }
    atomicAdd(out, threadIdx.x);
}
extern "C" __global__ void add_one(u32* cells, u32 n) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) cells[i] += 1;
}
extern "C" __global__ void __launch_bounds__(WIDE * 2, 1) double_it(u32* cells) { cells[threadIdx.x] *= 2; }
"#,
    entries: &[
        "grid_barrier",
        "reverse",
        "turns",
        "dirt",
        "leave_early",
        "add_one",
        "double_it",
    ],
    defines: &[("WIDE", "32")],
};

#[test]
fn blocks_wait_for_each_other() {
    for seed in 1..6 {
        let gpu = gpu(seed);
        let kernel = kernel(&gpu, &GRIDS, "grid_barrier");
        let blocks = gpu.resident_blocks(&kernel, 96, 0).unwrap();
        assert_eq!(blocks, 3);
        let arrived = gpu.buffer::<u32>("arrived", 1).unwrap();
        let cells = gpu.buffer::<u32>("cells", 3 * 96).unwrap();
        let wrong = gpu.buffer::<u32>("wrong", 1).unwrap();
        let arguments = [
            (&arrived).into(),
            (&cells).into(),
            (&wrong).into(),
            50u32.into(),
        ];
        let grid = Grid::new(blocks, 96).cooperative();
        gpu.launch(&kernel, grid, &arguments).unwrap();
        assert_eq!(gpu.read(&arrived, 0, 1).unwrap(), [150]);
        assert_eq!(gpu.read(&wrong, 0, 1).unwrap(), [0]);
        assert_eq!(gpu.read(&cells, 0, 3 * 96).unwrap(), [50; 3 * 96]);
        let error = gpu.launch(&kernel, Grid::new(4, 96).cooperative(), &arguments);
        assert!(
            matches!(error, Err(CudaError::BadLaunch { .. })),
            "{error:?}"
        );
    }
}

#[test]
fn shared_memory_is_as_large_as_asked() {
    let gpu = gpu(4);
    let data: Vec<u64> = (0..5 * 1024).map(|i| i << 33 | i).collect();
    let input = gpu.buffer_of("input", &data).unwrap();
    let out = gpu.buffer::<u64>("out", data.len() as u64).unwrap();
    let kernel = kernel(&gpu, &GRIDS, "reverse");
    let arguments = [(&input).into(), (&out).into()];
    gpu.launch(&kernel, Grid::new(5, 1024).shared(8192), &arguments)
        .unwrap();
    let want: Vec<u64> = data
        .chunks(1024)
        .flat_map(|share| share.iter().rev().copied())
        .collect();
    assert_eq!(gpu.read(&out, 0, out.len()).unwrap(), want);
    let most = gpu.summary().shared_per_block;
    let error = gpu.launch(&kernel, Grid::new(1, 32).shared(most + 1), &arguments);
    assert!(
        matches!(error, Err(CudaError::BadLaunch { .. })),
        "{error:?}"
    );
}

#[test]
fn seeds_change_what_may_change() {
    let run = |seed| {
        let gpu = gpu(seed);
        let order = gpu.buffer::<u32>("order", 4 * 64).unwrap();
        let next = gpu.buffer::<u32>("next", 4).unwrap();
        let arguments = [(&order).into(), (&next).into()];
        gpu.launch(&kernel(&gpu, &GRIDS, "turns"), Grid::new(4, 64), &arguments)
            .unwrap();
        let dirt = gpu.buffer::<u32>("dirt", 2).unwrap();
        let grid = Grid::new(1, 1).shared(64);
        gpu.launch(&kernel(&gpu, &GRIDS, "dirt"), grid, &[(&dirt).into()])
            .unwrap();
        let order = gpu.read(&order, 0, 4 * 64).unwrap();
        (order, gpu.read(&dirt, 0, 2).unwrap())
    };
    let (order, dirt) = run(1);
    assert_eq!(run(1), (order.clone(), dirt.clone()));
    let (other, other_dirt) = run(2);
    assert_ne!(order, other);
    assert_ne!(dirt, other_dirt);
    assert!(dirt.iter().all(|&word| word != 0), "{dirt:x?}");
    for share in order.chunks(64).chain(other.chunks(64)) {
        let mut sorted = share.to_vec();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..64));
        assert!(!share.is_sorted());
    }
}

#[test]
fn threads_may_leave() {
    let gpu = gpu(5);
    let out = gpu.buffer::<u32>("out", 1).unwrap();
    let kernel = kernel(&gpu, &GRIDS, "leave_early");
    gpu.launch(&kernel, Grid::new(3, 100), &[(&out).into()])
        .unwrap();
    assert_eq!(gpu.read(&out, 0, 1).unwrap(), [3 * 99 * 100 / 2]);
}

#[test]
fn graphs_repeat() {
    let gpu = gpu(6);
    let cells = gpu.buffer::<u32>("cells", 64).unwrap();
    let (add, double) = (
        kernel(&gpu, &GRIDS, "add_one"),
        kernel(&gpu, &GRIDS, "double_it"),
    );
    let grid = Grid::covering(64, 32);
    let add = gpu
        .prepare(&add, grid, &[(&cells).into(), 64u32.into()])
        .unwrap();
    let double = gpu
        .prepare(&double, Grid::new(1, 64), &[(&cells).into()])
        .unwrap();
    let graph = gpu.graph(vec![add.clone(), double, add]).unwrap();
    gpu.fill(&cells, 0, 64, 3).unwrap();
    for _ in 0..3 {
        gpu.replay(&graph).unwrap();
    }
    // 3, 9, 21, 45: twice what comes after it is one more, and one.
    assert_eq!(gpu.read(&cells, 0, 64).unwrap(), [45; 64]);
    assert_eq!(gpu.stats().launches, 9);
    // It keeps its buffers.
    drop(cells);
    gpu.replay(&graph).unwrap();
    let error = self::gpu(6).replay(&graph).unwrap_err();
    assert!(matches!(error, CudaError::Foreign { .. }), "{error}");
}

#[test]
fn launches_are_checked() {
    let gpu = gpu(7);
    let cells = gpu.buffer::<u32>("cells", 64).unwrap();
    let (add, double) = (
        kernel(&gpu, &GRIDS, "add_one"),
        kernel(&gpu, &GRIDS, "double_it"),
    );
    assert_eq!(double.resources().max_threads, 64);
    assert_eq!(add.resources().max_threads, 1024);
    let of = Argument::from(&cells);
    let refused = |kernel, grid, arguments: &[Argument]| {
        let error = gpu.launch(kernel, grid, arguments).unwrap_err();
        let CudaError::BadLaunch { message, .. } = error else {
            panic!("{error}")
        };
        message
    };
    refused(&double, Grid::new(1, 65), std::slice::from_ref(&of));
    refused(&add, Grid::new(0, 32), &[of.clone(), 1u32.into()]);
    refused(&add, Grid::new(1, 0), &[of.clone(), 1u32.into()]);
    refused(
        &add,
        Grid::covering(u64::MAX, 1),
        &[of.clone(), 1u32.into()],
    );
    let message = refused(&add, Grid::new(1, 32), std::slice::from_ref(&of));
    assert_eq!(message, "1 arguments for 2 parameters");
    let message = refused(&add, Grid::new(1, 32), &[of.clone(), (1u64 << 32).into()]);
    assert_eq!(message, "argument 1 is 0x100000000 for a Bits32");
    let message = refused(&add, Grid::new(1, 32), &[5u64.into(), 1u32.into()]);
    assert_eq!(message, "argument 0 is 0x5 for a Pointer");
    let error = self::gpu(7).launch(&add, Grid::new(1, 32), &[of, 1u32.into()]);
    assert!(matches!(error, Err(CudaError::Foreign { .. })), "{error:?}");
    // Nothing of that harmed the device.
    assert_eq!(gpu.read(&cells, 0, 64).unwrap(), [0; 64]);
}

#[test]
fn buffers_of_nothing_and_ranges_beyond() {
    let gpu = gpu(8);
    let none = gpu.buffer::<u32>("none", 0).unwrap();
    assert!(none.is_empty());
    assert_eq!(gpu.read(&none, 0, 0).unwrap(), []);
    gpu.upload(&none, 0, &[]).unwrap();
    gpu.fill(&none, 0, 0, 1).unwrap();
    gpu.copy((&none, 0), (&none, 0), 0).unwrap();
    let add = kernel(&gpu, &GRIDS, "add_one");
    gpu.launch(&add, Grid::new(2, 32), &[(&none).into(), 0u32.into()])
        .unwrap();

    let some = gpu.buffer_of("some", &[1u64, 2, 3]).unwrap();
    let beyond = |error: Result<(), CudaError>| {
        assert!(
            matches!(error, Err(CudaError::BadRange { .. })),
            "{error:?}"
        );
    };
    beyond(gpu.read(&some, 1, 3).map(drop));
    beyond(gpu.read(&some, u64::MAX, 2).map(drop));
    beyond(gpu.upload(&some, 3, &[1]));
    beyond(gpu.fill(&some, 2, 2, 0));
    beyond(gpu.copy((&some, 0), (&some, 1), 2));
    gpu.copy((&some, 0), (&some, 2), 1).unwrap();
    gpu.fill(&some, 1, 1, 5).unwrap();
    assert_eq!(gpu.read(&some, 0, 3).unwrap(), [1, 5 << 32 | 5, 1]);
    gpu.fill(&some, 0, 3, 0x0102_0304).unwrap();
    assert_eq!(gpu.read(&some, 0, 3).unwrap(), [0x0102_0304_0102_0304; 3]);
}

#[test]
fn memory_is_counted_and_zeroed() {
    let gpu = shim::open(&ShimOptions {
        memory: 1 << 20,
        ..ShimOptions::default()
    })
    .unwrap();
    let too_large = gpu.buffer::<u8>("large", (1 << 20) + 1).unwrap_err();
    assert!(
        matches!(too_large, CudaError::TooLarge { .. }),
        "{too_large}"
    );
    let first = gpu.buffer::<u8>("first", 1 << 19).unwrap();
    gpu.fill(&gpu.buffer::<u32>("dirty", 100).unwrap(), 0, 100, u32::MAX)
        .unwrap();
    let full = gpu.buffer::<u8>("second", (1 << 19) + 1).unwrap_err();
    assert!(matches!(full, CudaError::OutOfMemory { .. }), "{full}");
    assert_eq!(gpu.memory_in_use(), 1 << 19);
    drop(first);
    let whole = gpu.buffer::<u32>("whole", 1 << 18).unwrap();
    assert!(
        gpu.read(&whole, 0, 1 << 18)
            .unwrap()
            .iter()
            .all(|&word| word == 0)
    );
}

#[test]
fn a_device_is_lost_when_asked() {
    let gpu = shim::open(&ShimOptions {
        lose_after_launches: Some(2),
        ..ShimOptions::default()
    })
    .unwrap();
    let cells = gpu.buffer::<u32>("cells", 32).unwrap();
    let add = kernel(&gpu, &GRIDS, "add_one");
    let launch = || gpu.launch(&add, Grid::new(1, 32), &[(&cells).into(), 32u32.into()]);
    launch().unwrap();
    launch().unwrap();
    let lost = |error: CudaError| assert!(matches!(error, CudaError::Lost { .. }), "{error}");
    lost(launch().unwrap_err());
    lost(gpu.read(&cells, 0, 1).unwrap_err());
    lost(gpu.upload(&cells, 0, &[1]).unwrap_err());
    lost(gpu.buffer::<u32>("more", 1).unwrap_err());
    lost(gpu.wait().unwrap_err());
    lost(gpu.kernels(&BASICS).unwrap_err());

    let gpu = self::gpu(1);
    gpu.wait().unwrap();
    gpu.lose();
    lost(gpu.wait().unwrap_err());
}

#[test]
fn a_device_that_cannot_be_is_refused() {
    for (multiprocessors, shake_one_in) in [(0, 1), (257, 1), (1, 0)] {
        let options = ShimOptions {
            multiprocessors,
            shake_one_in,
            ..ShimOptions::default()
        };
        let error = shim::open(&options).unwrap_err();
        assert!(matches!(error, CudaError::Open { .. }), "{error}");
    }
}

/// Many devices at once, each with cooperative launches: helpers of one do not starve the others.
#[test]
fn devices_do_not_hold_each_other_up() {
    std::thread::scope(|scope| {
        for seed in 0..8 {
            scope.spawn(move || {
                let gpu = gpu(seed);
                let kernel = kernel(&gpu, &GRIDS, "grid_barrier");
                let arrived = gpu.buffer::<u32>("arrived", 1).unwrap();
                let cells = gpu.buffer::<u32>("cells", 3 * 32).unwrap();
                let wrong = gpu.buffer::<u32>("wrong", 1).unwrap();
                for _ in 0..20 {
                    gpu.fill(&arrived, 0, 1, 0).unwrap();
                    let arguments = [
                        (&arrived).into(),
                        (&cells).into(),
                        (&wrong).into(),
                        3u32.into(),
                    ];
                    gpu.launch(&kernel, Grid::new(3, 32).cooperative(), &arguments)
                        .unwrap();
                }
                assert_eq!(gpu.read(&arrived, 0, 1).unwrap(), [9]);
            });
        }
    });
}
