//! What is an error on a device, or ought to be.

use ffcm_cuda::device::{Argument, CudaError, Grid, Source};

use crate::{gpu, kernel};

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

    let other = crate::gpu(1);
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
    assert!(message.contains("; pausing: "), "{message}");
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
