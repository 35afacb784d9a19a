//! Threads of a block, warps, and blocks with each other.

use ffcm_cuda::device::{CudaError, Grid, Source};

use crate::{gpu, kernel};

pub const BASICS: Source = Source {
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

pub const GRIDS: Source = Source {
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

    // Static and dynamic shared memory share the limit.
    let reduce = crate::kernel(&gpu, &BASICS, "reduce");
    assert_eq!(reduce.resources().shared_bytes, 2048);
    let resident = |shared| gpu.resident_blocks(&reduce, 256, shared).unwrap();
    assert_eq!((resident(most - 2048), resident(most - 2047)), (3, 0));
    let data = gpu.buffer::<u32>("data", 1).unwrap();
    let sums = gpu.buffer::<u64>("sums", 1).unwrap();
    let arguments = [(&data).into(), (&sums).into(), 1u32.into()];
    let grid = Grid::new(1, 256);
    gpu.launch(&reduce, grid.shared(most - 2048), &arguments)
        .unwrap();
    let error = gpu.launch(&reduce, grid.shared(most - 2047), &arguments);
    assert!(
        matches!(error, Err(CudaError::BadLaunch { .. })),
        "{error:?}"
    );
    // And the static part alone has one of its own.
    let source = Source {
        text: r#"
#include "device.cuh"
extern "C" __global__ void hoard(u64* out) {
    __shared__ u64 cells[6145];
    cells[threadIdx.x] = out[0];
    __syncthreads();
    out[0] = cells[threadIdx.x ^ 1];
}
"#,
        entries: &["hoard"],
        ..GRIDS
    };
    let error = gpu.kernels(&source).unwrap_err();
    assert!(error.to_string().contains("49160 bytes"), "{error}");
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
