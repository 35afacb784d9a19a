// Applies lists of Memory Arithmetic operations to slots of 128 components of 16 bits: they are within +-8192.
//
// A row, a slot or the vector of an addition, is 32 words of 64 bits. A warp works on a list: lane i has word i of
// every row, components 4i to 4i + 3, the lowest bits first. All that a lane writes it alone reads, and the lists of a
// launch have no slot in common that any of them writes: race-free without a barrier.
//
// An operation is one word: kind (2 bits), scalar (14), whether it is the first and the last of its list (1 each), the
// row of its vector or of the slot it reads (23), its target (23). A zero word clips what is at hand, which changes
// nothing.
//
// Loads are the cost: a group of operations asks for all its rows before the first of them is applied.

#include "device.cuh"
#include "scale.cuh"

static const u32 CLIP = 8192u;
static const u32 WARP = 32u;

static const u32 KIND_ADD = 1u;
static const u32 KIND_DECAY = 2u;
static const u32 KIND_MIX = 3u;

// Operations of which the rows are asked for together.
static const u32 GROUP = 4u;

FFCM_DEVICE u32 kind_of(u64 op) { return (u32)op & 3u; }
FFCM_DEVICE i32 scalar_of(u64 op) { return (i32)(((u32)op >> 2) & 0x3fffu); }
FFCM_DEVICE bool is_first(u64 op) { return (op >> 16 & 1u) != 0u; }
FFCM_DEVICE bool is_last(u64 op) { return (op >> 17 & 1u) != 0u; }
FFCM_DEVICE u32 operand_of(u64 op) { return (u32)(op >> 18) & 0x7fffffu; }
FFCM_DEVICE u32 target_of(u64 op) { return (u32)(op >> 41); }

FFCM_DEVICE void unpack(u64 word, i32* part) {
    for (u32 i = 0u; i < 4u; i++) {
        part[i] = (i32)(short)(u16)(word >> (16u * i));
    }
}

FFCM_DEVICE u64 pack(const i32* part) {
    u64 word = 0u;
    for (u32 i = 0u; i < 4u; i++) {
        word |= (u64)(u16)part[i] << (16u * i);
    }
    return word;
}

FFCM_DEVICE i32 clipped(i32 value) {
    i32 most = (i32)CLIP;
    return value > most ? most : (value < -most ? -most : value);
}

// A slot's word after an operation; `operand` is the word of the vector or of the other slot. Every lane of the warp
// calls this with the same operation.
FFCM_DEVICE u64 applied(u64 op, u64 old, u64 operand) {
    i32 part[4];
    i32 other[4];
    unpack(old, part);
    unpack(operand, other);
    u32 kind = kind_of(op);
    i32 scalar = scalar_of(op);
    if (kind == KIND_ADD) {
        scale(other);
        for (u32 i = 0u; i < 4u; i++) {
            part[i] += other[i];
        }
    } else if (kind == KIND_DECAY) {
        for (u32 i = 0u; i < 4u; i++) {
            part[i] = over_one(part[i] * scalar);
        }
    } else if (kind == KIND_MIX) {
        for (u32 i = 0u; i < 4u; i++) {
            part[i] = over_one(scalar * part[i] + ((i32)ONE - scalar) * other[i]);
        }
    }
    // Clip is what follows every operation; it changes nothing after a decay.
    for (u32 i = 0u; i < 4u; i++) {
        part[i] = clipped(part[i]);
    }
    return pack(part);
}

// Lists of one target each. Warp w takes operations cuts[w] to cuts[w + 1], whole lists, one after the other: a target
// is loaded at its first operation, kept by the lanes, and stored at its last. A mix reads its target or a slot that
// nobody writes.
extern "C" __global__ void __launch_bounds__(256)
memory_apply(u64* slots, const u64* __restrict__ vectors, const u64* __restrict__ operations,
             const u32* __restrict__ cuts, u32 warps) {
    u32 lane = threadIdx.x % WARP;
    u32 warp = (blockIdx.x * blockDim.x + threadIdx.x) / WARP;
    // The same for the whole warp.
    if (warp >= warps) {
        return;
    }
    u32 end = cuts[warp + 1u];
    u64 value = 0u;
    for (u32 at = cuts[warp]; at < end; at += WARP) {
        u64 mine = at + lane < end ? operations[at + lane] : 0u;
        u32 count = end - at < WARP ? end - at : WARP;
        for (u32 first = 0u; first < count; first += GROUP) {
            u64 op[GROUP];
            u64 row[GROUP];
            u64 operand[GROUP];
#pragma unroll
            for (u32 i = 0u; i < GROUP; i++) {
                op[i] = __shfl_sync(EVERY_LANE, mine, (int)(first + i));
                row[i] = 0u;
                operand[i] = 0u;
                if (is_first(op[i])) {
                    row[i] = slots[(u64)target_of(op[i]) * WARP + lane];
                }
                if (kind_of(op[i]) == KIND_ADD) {
                    operand[i] = vectors[(u64)operand_of(op[i]) * WARP + lane];
                } else if (kind_of(op[i]) == KIND_MIX && operand_of(op[i]) != target_of(op[i])) {
                    operand[i] = slots[(u64)operand_of(op[i]) * WARP + lane];
                }
            }
#pragma unroll
            for (u32 i = 0u; i < GROUP; i++) {
                if (is_first(op[i])) {
                    value = row[i];
                }
                bool itself = kind_of(op[i]) == KIND_MIX && operand_of(op[i]) == target_of(op[i]);
                value = applied(op[i], value, itself ? value : operand[i]);
                if (is_last(op[i])) {
                    slots[(u64)target_of(op[i]) * WARP + lane] = value;
                }
            }
        }
    }
}

// Lists of several targets, which mixes tie together: a block of one warp per list. A list is four words: its first
// operation and its end, the first of the slots it writes and how many they are, at most the 64 of a layer. They are in
// shared memory meanwhile; any other slot that a mix reads is one that nobody writes.
extern "C" __global__ void __launch_bounds__(32)
memory_apply_tied(u64* slots, const u64* __restrict__ vectors, const u64* __restrict__ operations,
                  const u32* __restrict__ lists) {
    u64* rows = (u64*)dynamic_shared();
    u32 lane = threadIdx.x;
    u32 begin = lists[4u * blockIdx.x];
    u32 end = lists[4u * blockIdx.x + 1u];
    u32 base = lists[4u * blockIdx.x + 2u];
    u32 written = lists[4u * blockIdx.x + 3u];
    for (u32 i = 0u; i < written; i++) {
        rows[i * WARP + lane] = slots[(u64)(base + i) * WARP + lane];
    }
    for (u32 at = begin; at < end; at += WARP) {
        u64 mine = at + lane < end ? operations[at + lane] : 0u;
        u32 count = end - at < WARP ? end - at : WARP;
        for (u32 first = 0u; first < count; first += GROUP) {
            u64 op[GROUP];
            u64 operand[GROUP];
#pragma unroll
            for (u32 i = 0u; i < GROUP; i++) {
                op[i] = __shfl_sync(EVERY_LANE, mine, (int)(first + i));
                operand[i] = 0u;
                if (kind_of(op[i]) == KIND_ADD) {
                    operand[i] = vectors[(u64)operand_of(op[i]) * WARP + lane];
                } else if (kind_of(op[i]) == KIND_MIX && operand_of(op[i]) - base >= written) {
                    operand[i] = slots[(u64)operand_of(op[i]) * WARP + lane];
                }
            }
#pragma unroll
            for (u32 i = 0u; i < GROUP; i++) {
                // Beyond the end there is no target to clip.
                if (first + i < count) {
                    u32 target = (target_of(op[i]) - base) * WARP + lane;
                    u32 source = operand_of(op[i]) - base;
                    bool inside = kind_of(op[i]) == KIND_MIX && source < written;
                    u64 other = inside ? rows[source * WARP + lane] : operand[i];
                    rows[target] = applied(op[i], rows[target], other);
                }
            }
        }
    }
    for (u32 i = 0u; i < written; i++) {
        slots[(u64)(base + i) * WARP + lane] = rows[i * WARP + lane];
    }
}
