// CUDA C++ as far as the kernels use it, for a C++17 compiler. Included before a unit.
//
// A thread runs until it waits: at a barrier, at an operation of its warp, or in `pause_thread`. Atomics, fences and
// the ordered accesses below let others run now and then. A loop that waits by plain loads alone would wait for ever.
#pragma once

#include "layout.hpp"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __shared__ static thread_local
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define FFCM_DEVICE static inline __attribute__((unused))

namespace ffcm_shim {

static const Runtime* runtime;

struct Dim {
    Word x, y, z;
};

FFCM_DEVICE Address here() { return reinterpret_cast<Address>(__builtin_frame_address(0)); }
FFCM_DEVICE Header& header() { return *reinterpret_cast<Header*>(here() >> REGION_BITS << REGION_BITS); }
FFCM_DEVICE Word thread_number() {
    return static_cast<Word>(here() >> SLOT_BITS & ((1u << (REGION_BITS - SLOT_BITS)) - 1)) - 1;
}
FFCM_DEVICE Dim thread_index() { return Dim{thread_number(), 0, 0}; }
FFCM_DEVICE Dim block_index() { return Dim{header().block, 0, 0}; }
FFCM_DEVICE Dim block_size() { return Dim{header().block_threads, 1, 1}; }
FFCM_DEVICE Dim grid_size() { return Dim{header().blocks, 1, 1}; }
FFCM_DEVICE Word lane() { return thread_number() % WARP; }

// Lets others run now and then.
FFCM_DEVICE void shake() {
    if (--header().countdown == 0) runtime->shake();
}
// Says that memory changed: who waits may wait no longer.
FFCM_DEVICE void progress() {
    header().idle = 0;
    if (__atomic_load_n(header().watchers, __ATOMIC_RELAXED) != 0) runtime->progress();
}
template <class T>
FFCM_DEVICE void before_atomic(const T* at) {
    if (reinterpret_cast<Address>(at) % sizeof(T) != 0) runtime->misuse("an atomic at a misaligned address");
    shake();
}
template <class T>
FFCM_DEVICE T after_atomic(T old, T now) {
    if (old != now) progress();
    return old;
}

template <class T>
FFCM_DEVICE T shuffle(Word operation, Word mask, T value, Word source) {
    return static_cast<T>(runtime->warp(operation, mask, static_cast<Long>(value), source));
}
// Source lanes of shuffles in segments of `width` lanes; the own lane where the source lies outside.
FFCM_DEVICE Word lane_at(Word index, Word width) { return (lane() & ~(width - 1)) | (index & (width - 1)); }
FFCM_DEVICE Word lane_up(Word delta, Word width) { return (lane() & (width - 1)) < delta ? lane() : lane() - delta; }
FFCM_DEVICE Word lane_down(Word delta, Word width) {
    return (lane() & (width - 1)) + delta >= width ? lane() : lane() + delta;
}
FFCM_DEVICE Word lane_xor(Word bits, Word width) {
    Word other = lane() ^ bits;
    return other >= (lane() & ~(width - 1)) + width ? lane() : other;
}

// An argument out of its 64 bits.
template <class T>
struct Parameter {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "parameters are pointers, u32 and u64");
    static constexpr Byte kind = sizeof(T) == 4 ? BITS32 : BITS64;
    static T value(Long bits) { return static_cast<T>(bits); }
};
template <class T>
struct Parameter<T*> {
    static constexpr Byte kind = POINTER;
    static T* value(Long bits) { return reinterpret_cast<T*>(bits); }
};

template <Word... I>
struct Indices {};
template <Word N, Word... I>
struct Counted : Counted<N - 1, N - 1, I...> {};
template <Word... I>
struct Counted<0, I...> {
    typedef Indices<I...> Type;
};

template <auto kernel, class Function>
struct Kernel;
template <auto kernel, class... P>
struct Kernel<kernel, void (*)(P...)> {
    static constexpr Byte kinds[sizeof...(P) + 1] = {Parameter<P>::kind..., 0};
    template <Word... I>
    static void spread(const Long* arguments, Indices<I...>) {
        kernel(Parameter<P>::value(arguments[I])...);
    }
    static void call(const Long* arguments) { spread(arguments, typename Counted<sizeof...(P)>::Type()); }
    static constexpr Entry entry(Word max_threads) { return Entry{&call, kinds, sizeof...(P), max_threads}; }
};

}  // namespace ffcm_shim

#define threadIdx (::ffcm_shim::thread_index())
#define blockIdx (::ffcm_shim::block_index())
#define blockDim (::ffcm_shim::block_size())
#define gridDim (::ffcm_shim::grid_size())
#define warpSize (::ffcm_shim::WARP)

// Barriers, and operations of a warp.
#define __syncthreads() (::ffcm_shim::runtime->barrier(__FILE__, __LINE__))
FFCM_DEVICE void __syncwarp(unsigned mask = 0xffffffffu) { ffcm_shim::runtime->warp(ffcm_shim::SYNC, mask, 0, 0); }
FFCM_DEVICE unsigned __ballot_sync(unsigned mask, int predicate) {
    return static_cast<unsigned>(ffcm_shim::runtime->warp(ffcm_shim::BALLOT, mask, predicate != 0, 0));
}
FFCM_DEVICE int __any_sync(unsigned mask, int predicate) {
    return static_cast<int>(ffcm_shim::runtime->warp(ffcm_shim::ANY, mask, predicate != 0, 0));
}
FFCM_DEVICE int __all_sync(unsigned mask, int predicate) {
    return static_cast<int>(ffcm_shim::runtime->warp(ffcm_shim::ALL, mask, predicate != 0, 0));
}
// Which lanes run together is the device's to choose: here each runs alone.
FFCM_DEVICE unsigned __activemask() { return 1u << ffcm_shim::lane(); }

#define FFCM_SHUFFLES(T)                                                                                      \
    FFCM_DEVICE T __shfl_sync(unsigned mask, T value, int source, int width = 32) {                           \
        return ffcm_shim::shuffle(ffcm_shim::SHUFFLE, mask, value, ffcm_shim::lane_at(source, width));        \
    }                                                                                                         \
    FFCM_DEVICE T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {                    \
        return ffcm_shim::shuffle(ffcm_shim::SHUFFLE_UP, mask, value, ffcm_shim::lane_up(delta, width));      \
    }                                                                                                         \
    FFCM_DEVICE T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {                  \
        return ffcm_shim::shuffle(ffcm_shim::SHUFFLE_DOWN, mask, value, ffcm_shim::lane_down(delta, width));  \
    }                                                                                                         \
    FFCM_DEVICE T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {                         \
        return ffcm_shim::shuffle(ffcm_shim::SHUFFLE_XOR, mask, value, ffcm_shim::lane_xor(bits, width));     \
    }
FFCM_SHUFFLES(int)
FFCM_SHUFFLES(unsigned)
FFCM_SHUFFLES(long)
FFCM_SHUFFLES(unsigned long)
FFCM_SHUFFLES(long long)
FFCM_SHUFFLES(unsigned long long)
#undef FFCM_SHUFFLES

// Atomics, in relaxed order as CUDA's.
#define FFCM_ATOMIC(T, name, builtin, now)                                             \
    FFCM_DEVICE T name(T* at, T value) {                                               \
        ffcm_shim::before_atomic(at);                                                  \
        T old = builtin(at, value, __ATOMIC_RELAXED);                                  \
        return ffcm_shim::after_atomic(old, static_cast<T>(now));                      \
    }
#define FFCM_ATOMIC_CHOICE(T, name, better)                                            \
    FFCM_DEVICE T name(T* at, T value) {                                               \
        ffcm_shim::before_atomic(at);                                                  \
        T old = __atomic_load_n(at, __ATOMIC_RELAXED);                                 \
        while (value better old &&                                                     \
               !__atomic_compare_exchange_n(at, &old, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) { \
        }                                                                              \
        return ffcm_shim::after_atomic(old, value better old ? value : old);           \
    }
#define FFCM_ATOMICS(T)                                                                \
    FFCM_ATOMIC(T, atomicAdd, __atomic_fetch_add, value == 0 ? old : ~old)             \
    FFCM_ATOMIC(T, atomicExch, __atomic_exchange_n, value)                             \
    FFCM_ATOMIC(T, atomicAnd, __atomic_fetch_and, old & value)                         \
    FFCM_ATOMIC(T, atomicOr, __atomic_fetch_or, old | value)                           \
    FFCM_ATOMIC(T, atomicXor, __atomic_fetch_xor, old ^ value)                         \
    FFCM_ATOMIC_CHOICE(T, atomicMax, >)                                                \
    FFCM_ATOMIC_CHOICE(T, atomicMin, <)                                                \
    FFCM_DEVICE T atomicCAS(T* at, T expected, T value) {                              \
        ffcm_shim::before_atomic(at);                                                  \
        T old = expected;                                                              \
        bool stored = __atomic_compare_exchange_n(at, &old, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED); \
        return ffcm_shim::after_atomic(old, stored ? value : old);                     \
    }
FFCM_ATOMICS(int)
FFCM_ATOMICS(unsigned)
FFCM_ATOMICS(unsigned long long)
// CUDA has no subtraction of 64 bits.
FFCM_ATOMIC(int, atomicSub, __atomic_fetch_sub, value == 0 ? old : ~old)
FFCM_ATOMIC(unsigned, atomicSub, __atomic_fetch_sub, value == 0 ? old : ~old)
#undef FFCM_ATOMICS
#undef FFCM_ATOMIC_CHOICE
#undef FFCM_ATOMIC

FFCM_DEVICE void __threadfence() {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    ffcm_shim::shake();
}
FFCM_DEVICE void __threadfence_block() {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    ffcm_shim::shake();
}

// Bits and words.
FFCM_DEVICE unsigned __umulhi(unsigned a, unsigned b) {
    return static_cast<unsigned>(static_cast<unsigned long long>(a) * b >> 32);
}
FFCM_DEVICE unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
FFCM_DEVICE int __clz(int value) { return value == 0 ? 32 : __builtin_clz(static_cast<unsigned>(value)); }
FFCM_DEVICE int __clzll(long long value) {
    return value == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(value));
}
FFCM_DEVICE int __ffs(int value) { return __builtin_ffs(value); }
FFCM_DEVICE int __ffsll(long long value) { return __builtin_ffsll(value); }
FFCM_DEVICE int __popc(unsigned value) { return __builtin_popcount(value); }
FFCM_DEVICE int __popcll(unsigned long long value) { return __builtin_popcountll(value); }
FFCM_DEVICE unsigned __brev(unsigned value) {
    unsigned reversed = 0;
    for (int bit = 0; bit < 32; bit++) reversed |= (value >> bit & 1) << (31 - bit);
    return reversed;
}
FFCM_DEVICE unsigned long long __brevll(unsigned long long value) {
    unsigned long long low = __brev(static_cast<unsigned>(value));
    return low << 32 | __brev(static_cast<unsigned>(value >> 32));
}
FFCM_DEVICE unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    unsigned long long bytes = static_cast<unsigned long long>(high) << 32 | low;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) {
        unsigned choice = selector >> 4 * i;
        unsigned byte = static_cast<unsigned>(bytes >> 8 * (choice & 7)) & 0xff;
        // The fourth bit copies the sign of the byte to all its bits.
        if ((choice & 8) != 0) byte = (byte & 0x80) != 0 ? 0xff : 0;
        result |= byte << 8 * i;
    }
    return result;
}
FFCM_DEVICE unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    unsigned long long both = static_cast<unsigned long long>(high) << 32 | low;
    return static_cast<unsigned>(both << (shift & 31) >> 32);
}
FFCM_DEVICE unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    unsigned long long both = static_cast<unsigned long long>(high) << 32 | low;
    return static_cast<unsigned>(both >> (shift & 31));
}
template <class T>
FFCM_DEVICE T __ldg(const T* at) {
    return *at;
}

// The device functions of `device.cuh`.
FFCM_DEVICE void* dynamic_shared() { return ffcm_shim::header().dynamic; }
FFCM_DEVICE unsigned long long exchange_acq_rel(unsigned long long* at, unsigned long long value) {
    ffcm_shim::before_atomic(at);
    return ffcm_shim::after_atomic(__atomic_exchange_n(at, value, __ATOMIC_ACQ_REL), value);
}
FFCM_DEVICE unsigned long long exchange_block(unsigned long long* at, unsigned long long value) {
    return exchange_acq_rel(at, value);
}
FFCM_DEVICE unsigned long long load_acquire(const unsigned long long* at) {
    ffcm_shim::before_atomic(at);
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}
FFCM_DEVICE unsigned load_acquire(const unsigned* at) {
    ffcm_shim::before_atomic(at);
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}
FFCM_DEVICE void store_release(unsigned long long* at, unsigned long long value) {
    ffcm_shim::before_atomic(at);
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
    ffcm_shim::progress();
}
FFCM_DEVICE void store_release(unsigned* at, unsigned value) {
    ffcm_shim::before_atomic(at);
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
    ffcm_shim::progress();
}
FFCM_DEVICE void pause_thread() { ffcm_shim::runtime->pause(); }
