// What kernels use of the device beyond plain CUDA C++: memory order, shared memory, the threads of a warp.
//
// Kernels are compiled by NVRTC, and by a C++ compiler against `shim/shim.hpp` (FFCM_SHIM), which defines the keywords and
// built-in names of CUDA that are listed there and the functions below. Kernels use nothing else: no inline assembly, no
// library headers, no floating point.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
typedef int i32;

#ifndef FFCM_SHIM

#define FFCM_DEVICE static __device__ __forceinline__

// Dynamic shared memory of the block.
extern __shared__ __align__(16) unsigned char ffcm_dynamic_shared[];
FFCM_DEVICE void* dynamic_shared() { return ffcm_dynamic_shared; }

// Exchange with acquire and release order, visible to the whole device. `*at` lies in global memory.
FFCM_DEVICE u64 exchange_acq_rel(u64* at, u64 value) {
    u64 old;
    asm volatile("atom.acq_rel.gpu.global.exch.b64 %0, [%1], %2;" : "=l"(old) : "l"(at), "l"(value) : "memory");
    return old;
}
// Exchange with acquire and release order among the threads of a block. `*at` lies in shared memory.
FFCM_DEVICE u64 exchange_block(u64* at, u64 value) {
    u64 old;
    asm volatile("{ .reg .u64 a; cvta.to.shared.u64 a, %1; atom.acq_rel.cta.shared.exch.b64 %0, [a], %2; }"
                 : "=l"(old) : "l"(at), "l"(value) : "memory");
    return old;
}
FFCM_DEVICE u64 load_acquire(const u64* at) {
    u64 value;
    asm volatile("ld.acquire.gpu.b64 %0, [%1];" : "=l"(value) : "l"(at) : "memory");
    return value;
}
FFCM_DEVICE u32 load_acquire(const u32* at) {
    u32 value;
    asm volatile("ld.acquire.gpu.b32 %0, [%1];" : "=r"(value) : "l"(at) : "memory");
    return value;
}
FFCM_DEVICE void store_release(u64* at, u64 value) {
    asm volatile("st.release.gpu.b64 [%0], %1;" : : "l"(at), "l"(value) : "memory");
}
FFCM_DEVICE void store_release(u32* at, u32 value) {
    asm volatile("st.release.gpu.b32 [%0], %1;" : : "l"(at), "r"(value) : "memory");
}
// Waits a little, in a loop that waits for others.
FFCM_DEVICE void pause_thread() { __nanosleep(100); }

#endif

// Reads a word that is read once and not written while the kernel runs: it leaves the caches first.
#ifdef FFCM_SHIM
static inline u32 load_streaming(const u32* at) { return *at; }
#else
FFCM_DEVICE u32 load_streaming(const u32* at) {
    u32 value;
    asm("ld.global.cs.u32 %0, [%1];" : "=r"(value) : "l"(at));
    return value;
}
#endif
