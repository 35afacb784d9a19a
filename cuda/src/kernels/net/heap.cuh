// The buffers of the net engine, the words of its control buffer, and the sizes that host and kernels agree on: the host
// has the same constants, and a test compares them.
//
// A slot is one term of 64 bits, a node is two slots. The ring holds numbers of free nodes and is twice as long as there
// are nodes. The bag holds pairs of terms, to be joined or to interact.
#pragma once

#include "number.cuh"

namespace ffcm {

struct alignas(16) Pair {
    u64 a;
    u64 b;
};

// What the reduction is at.
constexpr u32 STATUS = 0;
constexpr u32 STATUS_RUNNING = 0;
constexpr u32 STATUS_EMPTY = 1;
constexpr u32 STATUS_OUT_OF_GAS = 2;
constexpr u32 STATUS_STALLED = 3;
// The round, its width in blocks, and that of the last round with any. The next round's width lies in PLANNED until it is
// spread.
constexpr u32 ROUND = 1;
constexpr u32 GROUPS = 2;
constexpr u32 GROUPS_RAN = 3;
constexpr u32 GROUPS_MAX = 4;
// Blocks that have ended the round, threads that did something, whether more blocks could take part.
constexpr u32 FINISHED = 5;
constexpr u32 MOVED = 6;
constexpr u32 HUNGRY = 7;
// Most moves of a thread in a step, most steps of a round, moves of a thread in a round.
constexpr u32 TRIPS = 8;
constexpr u32 STEPS_MAX = 9;
constexpr u32 FUEL = 10;
constexpr u32 STEPS_SEEN = 11;
// The bag, see plan.cuh.
constexpr u32 N = 12;
constexpr u32 TAKEN = 13;
constexpr u32 PUSHED = 14;
constexpr u32 PUSH_LIMIT = 15;
constexpr u32 DUMPED = 16;
constexpr u32 DUMP_AT = 17;
constexpr u32 BAG_CAPACITY = 18;
// What is moved between rounds.
constexpr u32 MOVES = 19;
constexpr u32 MOVE_HOLE = 20;
constexpr u32 MOVE_PUSHED_AT = 21;
constexpr u32 MOVE_PUSHED = 22;
constexpr u32 MOVE_DUMPED_AT = 23;
// Most pairs that a block leaves at the end of a round.
constexpr u32 SLACK = 24;
// What there was not enough of.
constexpr u32 STALL = 25;
constexpr u32 STALL_NODES = 1;
constexpr u32 STALL_BAG = 4;
constexpr u32 STALL_HOST = 8;
constexpr u32 STALL_EXPAND = 16;
// Definitions that wait for room, and those that have it.
constexpr u32 EXPAND_WAITING = 26;
constexpr u32 EXPAND_PLACED = 27;
// Arithmetic steps that wait for the host.
constexpr u32 HOST_WAITING = 28;
// The limit, and what is left of it.
constexpr u32 GAS = 29;
constexpr u32 GAS_LEFT = 30;
// Blocks that are through with the round.
constexpr u32 TICKET = 31;
// Free nodes: cursors of their ring, which only grow, its mask, numbers handed out so far, their limit, what a block takes
// at a time.
constexpr u32 NODE_HEAD = 32;
constexpr u32 NODE_SEEN = 33;
constexpr u32 NODE_TAIL = 34;
constexpr u32 NODE_MASK = 35;
constexpr u32 NODE_BUMP = 36;
constexpr u32 NODE_CAPACITY = 37;
constexpr u32 NODE_CHUNK = 38;
// What cannot be, in the build that looks for it.
constexpr u32 DAMAGE = 39;
constexpr u32 DAMAGE_READ = 1;
constexpr u32 DAMAGE_ARRIVAL = 2;
constexpr u32 DAMAGE_FREED_TWICE = 4;
constexpr u32 DAMAGE_TWO_CELLS = 8;
constexpr u32 DAMAGE_LOCAL_PAIRS = 16;
constexpr u32 DAMAGE_LEAKED = 32;
// Interactions by opcode, eight words; the first, that of links, counts nodes that were moved out of shared memory.
constexpr u32 COUNTS = 40;
// Most pairs that were alive at once, between rounds.
constexpr u32 PAIRS_PEAK = 48;
// Blocks that stopped because their moves were spent.
constexpr u32 PARCHED = 49;
// Arrivals at barriers of the grid, and rounds that one launch makes.
constexpr u32 BARRIER = 50;
constexpr u32 ROUNDS = 51;
constexpr u32 PLANNED = 52;
// One more than the last block that keeps pairs for itself; of the blocks of this round so far.
constexpr u32 KEPT = 53;
constexpr u32 KEEPING = 54;
// Words that the host reads after every batch.
constexpr u32 WORDS = 55;

// Arithmetic for the host: number, operand, what the answer goes to.
constexpr u32 HOST_LIST = 55;
constexpr u32 HOST_MAX = 64;
constexpr u32 HOST_ENTRY = 3;
// Large definitions: which, what it meets, then its room: cursor of the ring, nodes from there, the first of the others,
// the place of its pairs in the bag.
constexpr u32 EXPAND_LIST = 247;
constexpr u32 EXPAND_MAX = 32;
constexpr u32 EXPAND_OTHER = 1;
constexpr u32 EXPAND_RING = 2;
constexpr u32 EXPAND_RINGED = 3;
constexpr u32 EXPAND_BUMP = 4;
constexpr u32 EXPAND_BAG = 5;
constexpr u32 EXPAND_ENTRY = 6;
// Words of the whole control buffer.
constexpr u32 CONTROL_WORDS = 439;

// Most threads of a block. Pairs of a block, its free nodes, pairs of a thread: powers of two.
constexpr u32 THREADS_MAX = 256;
constexpr u32 LOCAL_BAG = 512;
constexpr u32 POOL = 1024;
constexpr u32 STACK = 16;
// Free nodes that a thread keeps for itself; nodes of the largest definition that it expands alone, which are the most
// that it can hold.
constexpr u32 KEEP = 16;
constexpr u32 SMALL = 32;
// Most nodes that a block takes at a time.
constexpr u32 CHUNK_MAX = 512;

// Nodes in shared memory for each thread of a block: the bits of a word. Pairs with them that a block may have, for each of
// these nodes: one for its principal port, and one for each end of the wires whose cells it holds, and what is being joined.
constexpr u32 LOCAL_NODES = 32;
constexpr u32 LOCAL_PAIRS = 4;

// Words of a definition's header in the book, see ffcm::device::net.
constexpr u32 BOOK_HEADER = 4;
// w0 of the term that stands for whatever met the reference, the substitution bit aside.
constexpr u32 GIVEN = 134217728;

// The buffers.
struct Heap {
    u64* slots;
    Pair* bag;
    u32* ring;
    u64* control;
    const u64* book;
    // Of the block, in builds with nodes in shared memory: their slots, a word of free ones for each thread, and in global
    // memory the pairs that found no other place.
    u64* local;
    u32* unused;
    Pair* over;
};

// A word of control as it is now. Other blocks may change it; every word is read and written as a whole.
FFCM_DEVICE u64 word(const Heap& heap, u32 at) { return *(const volatile u64*)(heap.control + at); }

// By the one thread that plans.
FFCM_DEVICE void put(const Heap& heap, u32 at, u64 value) { *(volatile u64*)(heap.control + at) = value; }

FFCM_DEVICE u64 add(const Heap& heap, u32 at, u64 more) { return atomicAdd(heap.control + at, more); }

FFCM_DEVICE void mark(const Heap& heap, u32 at, u64 bits) { atomicOr(heap.control + at, bits); }

// What lies between two cursors; nothing if the first has run ahead.
FFCM_DEVICE u64 between(u64 head, u64 tail) { return head < tail ? tail - head : 0; }

FFCM_DEVICE u64 least(u64 a, u64 b) { return a < b ? a : b; }
FFCM_DEVICE u64 most(u64 a, u64 b) { return a < b ? b : a; }

}  // namespace ffcm
