// Slots, wires and their cells.
//
// A wire has two ends and one cell, a slot that both ends know: an absent slot of a node. While the node is not opened the
// slot is one end of the wire and VAR(slot) the other. Whoever opens the node takes its end away as a second VAR(slot), and
// the slot belongs to the wire alone. Of the two ends the first to arrive at an absent cell leaves its term there by one
// exchange, the second gets that term and frees the cell. No node has two cells, so a node is freed as a whole, by one
// thread: by its opener if no slot is absent, else by the second arrival at the one that is.
//
// Who sees what. A slot is written by a store only while its node is reachable by one thread alone; such a store is
// ordered before the exchange, or the barrier or the end of the launch after the bag, that makes the node reachable. Every
// later change of a slot is an atomic operation: an arrival with release order, or a hint, which publishes nothing. Whoever
// finds an arrival (the substitution bit is set) acquires: by the exchange itself, or by an acquiring load of the slot, which
// still holds what arrived. So the holder of a term sees the node behind it as it was written, also when the term has gone
// through several hands: each of them had acquired it before it passed it on by a release or a barrier, and in PTX's memory
// model (causality order) such steps compose, those of a block's barrier among those of the device. A term found in a slot
// without the substitution bit was known to the thread that made the node, before it did. A freed node is reused by its
// thread, or after a barrier of its block, or after the end of a round: the last accesses of all others are ordered before
// the free, since the freeing thread has acquired from the first arrival, and one of both ends comes from the opener.
//
// Slots are read and written by volatile accesses, which are strong relaxed ones in that model: they pass by the first cache,
// which is not coherent, so that no old content of a node that is reused elsewhere is found there. What is read by plain
// loads, the bag, the ring and the pairs beyond a block's bag, was written before the launch, or before a barrier at which
// the block's thread 0 acquired, or by the block itself: see main.cu.
//
// A node in shared memory is reached by the threads of its block only, so its slots are exchanged in order among them; the
// orders compose, since whoever passes a term on has acquired it. It is allocated by the thread whose word of free nodes has
// its bit, which alone clears bits, and freed by setting the bit, after a fence: no bit is set twice, and the owner sees the
// last accesses of all others before its own.
#pragma once

#include "heap.cuh"

namespace ffcm {

constexpr u64 SUB_BIT = SUB;
// The high word of an absent cell counts the ends of its wire that are known to wait in other cells, or with the reader of
// the result. A hint for `splice`; for everybody else only the low word counts.
constexpr u64 WAITING = 1ull << 32;
// What the slots of a free node hold, in the build that looks for damage. No live term has this variant.
constexpr u64 FREED = ~0ull;

constexpr u64 TERM_ERA = CLASS_ERA << CLASS_SHIFT;

FFCM_DEVICE u32 class_of(u64 term) { return word0(term) >> CLASS_SHIFT & CLASS_MASK; }
FFCM_DEVICE u32 variant_of(u64 term) { return word0(term) >> VARIANT_SHIFT & VARIANT_MASK; }
FFCM_DEVICE u32 label_of(u64 term) { return word0(term) >> LABEL_SHIFT & LABEL_MASK; }
FFCM_DEVICE u32 offset_of(u64 term) { return word1(term) & OFFSET_MASK; }
FFCM_DEVICE bool is_absent(u64 term) { return word0(term) == 0; }
FFCM_DEVICE bool is_var(u64 term) { return class_of(term) == CLASS_VAR; }
FFCM_DEVICE bool is_node_class(u32 kind) { return kind >= CLASS_CON; }
FFCM_DEVICE u64 bare(u64 term) { return term & ~SUB_BIT; }
FFCM_DEVICE u64 var_term(u32 slot) { return make_term(VARIANT_WIRE << VARIANT_SHIFT, slot); }
FFCM_DEVICE u64 con_term(u32 slot) { return make_term(CLASS_CON << CLASS_SHIFT, slot); }
// The same kind of node somewhere else.
FFCM_DEVICE u64 moved_to(u64 node, u32 slot) { return make_term(word0(node), slot); }

// The opcode for two meeting terms, in either order.
FFCM_DEVICE u32 opcode(u64 a, u64 b) {
    const u32 rule = RULES[class_of(a) * 8 + class_of(b)];
    // A rule holds at most one of the two flags.
    const u64 reference = class_of(a) == CLASS_REF ? a : b;
    const bool by_label = (rule & RULE_BY_LABEL) != 0 && label_of(a) == label_of(b);
    const bool by_copyable = (rule & RULE_BY_COPYABLE) != 0 && variant_of(reference) == VARIANT_COPYABLE;
    return by_label || by_copyable ? OP_DUPLICATE : rule & RULE_OPCODE_MASK;
}

// Nodes of the block, in shared memory. Their slots have this bit. Nothing that other blocks can reach ever holds such an
// address: no slot of a node in global memory, no pair in the bag, no entry of a list.
constexpr u32 LOCAL = 1u << 30;
#ifdef NET_LOCAL
constexpr bool LOCAL_NETS = true;
#else
constexpr bool LOCAL_NETS = false;
#endif

FFCM_DEVICE bool is_local_slot(u32 at) { return LOCAL_NETS && (at & LOCAL) != 0; }

// Whether a live term leads to a node of the block.
FFCM_DEVICE bool is_local(u64 term) {
    return LOCAL_NETS && (is_node_class(class_of(term)) || is_var(term)) && (word1(term) & LOCAL) != 0;
}

FFCM_DEVICE u64* slot_at(const Heap& heap, u32 at) {
    return is_local_slot(at) ? heap.local + (at & ~LOCAL) : heap.slots + at;
}

// An exchange in order among those who can reach the slot: the block, or the device.
FFCM_DEVICE u64 slot_exchange(const Heap& heap, u32 at, u64 term) {
    return is_local_slot(at) ? exchange_block(slot_at(heap, at), term) : exchange_acq_rel(slot_at(heap, at), term);
}

// Reads a slot, past the first cache, and without order: several such loads are under way at a time.
FFCM_DEVICE u64 slot_look(const Heap& heap, u32 at) { return *(const volatile u64*)slot_at(heap, at); }

// What was found in a slot by `slot_look`: whoever found what arrived there sees from now on everything its sender did
// before. The load is repeated for that, which costs less than a fence. A slot of a node that the caller holds, or of a wire
// of which it holds an end, does not change again after an arrival.
FFCM_DEVICE u64 acquired(const Heap& heap, u32 at, u64 found) {
    u64 term = found;
    if ((found & SUB_BIT) != 0) {
        if (is_local_slot(at)) {
            __threadfence_block();
        } else {
            term = load_acquire(slot_at(heap, at));
        }
    }
#ifdef NET_CHECK
    if (term == FREED || term != found) mark(heap, DAMAGE, DAMAGE_READ);
#endif
    return term;
}

FFCM_DEVICE u64 slot_load(const Heap& heap, u32 at) { return acquired(heap, at, slot_look(heap, at)); }

// In the build that looks for damage: whether a slot of global memory gets an address of the block's.
FFCM_DEVICE void look_for_leak(const Heap& heap, u32 at, u64 term) {
#ifdef NET_CHECK
    if (!is_absent(term) && is_local(bare(term)) && !is_local_slot(at)) mark(heap, DAMAGE, DAMAGE_LEAKED);
#else
    (void)heap;
    (void)at;
    (void)term;
#endif
}

// Writes a slot of a node that only this thread can reach.
FFCM_DEVICE void slot_store(const Heap& heap, u32 at, u64 term) {
    look_for_leak(heap, at, term);
    *(volatile u64*)slot_at(heap, at) = term;
}

// In the build that looks for damage: the slots of a node that becomes free.
FFCM_DEVICE void retire(const Heap& heap, u32 slot) {
#ifdef NET_CHECK
    const u64 first = slot_exchange(heap, slot & ~1u, FREED);
    const u64 second = slot_exchange(heap, slot | 1u, FREED);
    if (first == FREED && second == FREED) mark(heap, DAMAGE, DAMAGE_FREED_TWICE);
#else
    (void)heap;
    (void)slot;
#endif
}

// One arrival at the cell of a wire: what the other end left there, and this was the cell's last use then; or leaves
// `term` (with the substitution bit) and gives an absent term.
FFCM_DEVICE u64 arrive(const Heap& heap, u32 at, u64 term) {
    // A look first saves the second arrival the exchange.
    const u64 found = slot_load(heap, at);
    if (!is_absent(found)) return found;
    look_for_leak(heap, at, term);
#ifdef MUTANT_LOST_ARRIVAL
    __threadfence();
    *(volatile u64*)slot_at(heap, at) = term;
    const u64 met = found;
#else
    const u64 met = slot_exchange(heap, at, term);
#endif
#ifdef NET_CHECK
    if (met == FREED) mark(heap, DAMAGE, DAMAGE_ARRIVAL);
#endif
    return met;
}

// Changes the count of ends that wait elsewhere, in a cell of whose wire the caller holds an end, unless something has
// arrived or arrives at the same time; whether it was changed. No order is needed: nothing is published.
FFCM_DEVICE bool hint(const Heap& heap, u32 at, bool waits) {
    u64* slot = slot_at(heap, at);
    const u64 now = *(const volatile u64*)slot;
    if (!is_absent(now) || (!waits && now == 0)) return false;
    return atomicCAS(slot, now, waits ? now + WAITING : now - WAITING) == now;
}

}  // namespace ffcm
