// Between rounds. One thread plans: it counts what the last round left, decides whether and how wide to go on, and gives
// large definitions their room. Then all threads spread: they close the gaps of the bag and write those definitions.
//
// The bag before: pairs below N, of which the top TAKEN went out; PUSHED pairs from N on, none beyond PUSH_LIMIT; DUMPED
// pairs from DUMP_AT on. After: N pairs from 0 on, once what lies beyond N has been moved into the gaps.
//
// The planner is the last block of the round to take a ticket, so nobody else touches control words meanwhile, and it has
// everybody's atomic operations before its own reads. Spreading begins after the planner's writes: by the next launch, or
// after a barrier of the grid. Rounds that are queued after the reduction has come to a stand plan nothing, and what was set
// out last may be spread again: it comes to the same, since nothing else happens in between.
#pragma once

#include "fire.cuh"

namespace ffcm {

// Closes the books of the last round. The number of pairs.
FFCM_DEVICE u64 pack(const Heap& heap) {
    const u64 n = word(heap, N);
    const u64 kept = between(word(heap, TAKEN), n);
    const u64 pushed = least(word(heap, PUSHED), word(heap, PUSH_LIMIT) - n);
    const u64 dumped = word(heap, DUMPED);
    const u64 dump_at = word(heap, DUMP_AT);
    const u64 total = kept + pushed + dumped;
    // What lies beyond `total` has to move.
    const u64 from_pushed = between(most(n, total), n + pushed);
    const u64 from_dumped = between(most(dump_at, total), dump_at + dumped);
    put(heap, MOVE_HOLE, kept);
    put(heap, MOVE_PUSHED_AT, n);
    put(heap, MOVE_PUSHED, pushed);
    put(heap, MOVE_DUMPED_AT, dump_at);
    put(heap, MOVES, from_pushed + from_dumped);
    put(heap, N, total);
    put(heap, TAKEN, 0);
    put(heap, PUSHED, 0);
    put(heap, DUMPED, 0);
    return total;
}

// What was freed in the last round can be used in the next.
FFCM_DEVICE void snapshot(const Heap& heap) {
    // The head may have run ahead of what it could take.
    put(heap, NODE_HEAD, least(word(heap, NODE_HEAD), word(heap, NODE_SEEN)));
    put(heap, NODE_SEEN, word(heap, NODE_TAIL));
    put(heap, NODE_BUMP, least(word(heap, NODE_BUMP), word(heap, NODE_CAPACITY)));
}

// Whether more was spent than allowed; sets what is left.
FFCM_DEVICE bool out_of_gas(const Heap& heap) {
    u64 total = 0;
    for (u32 op = 1; op < 8; op++) total += word(heap, COUNTS + op);
    const u64 gas = word(heap, GAS);
    put(heap, GAS_LEFT, between(total, gas));
    return total > gas;
}

// The definitions that got room in the last round leave the list.
FFCM_DEVICE void forget_placed(const Heap& heap) {
    const u32 placed = (u32)word(heap, EXPAND_PLACED);
    const u32 waiting = (u32)least(word(heap, EXPAND_WAITING), EXPAND_MAX);
    for (u32 i = placed; i < waiting; i++) {
        const u32 from = EXPAND_LIST + i * EXPAND_ENTRY, to = from - placed * EXPAND_ENTRY;
        put(heap, to, word(heap, from));
        put(heap, to + EXPAND_OTHER, word(heap, from + EXPAND_OTHER));
    }
    put(heap, EXPAND_WAITING, waiting - placed);
    put(heap, EXPAND_PLACED, 0);
}

// Room for the definitions that wait, oldest first, as long as there is room; `n` pairs are in the bag, which grow. How
// many got it.
FFCM_DEVICE u32 place_definitions(const Heap& heap, u64& n) {
    const u32 waiting = (u32)word(heap, EXPAND_WAITING);
    u32 placed = 0;
    for (; placed < waiting; placed++) {
        const u32 entry = EXPAND_LIST + placed * EXPAND_ENTRY;
        const Definition definition = definition_of(heap, (u32)word(heap, entry));
        const u64 head = word(heap, NODE_HEAD), bump = word(heap, NODE_BUMP);
        const u64 ringed = least(definition.nodes, between(head, word(heap, NODE_SEEN)));
        const u64 bumped = definition.nodes - ringed;
        u64 lacks = 0;
        if (bumped > between(bump, word(heap, NODE_CAPACITY))) lacks |= STALL_NODES;
        if (definition.pairs > between(n + word(heap, SLACK), word(heap, BAG_CAPACITY))) lacks |= STALL_BAG;
        if (lacks != 0) {
            mark(heap, STALL, lacks);
            break;
        }
        put(heap, entry + EXPAND_RING, head);
        put(heap, entry + EXPAND_RINGED, ringed);
        put(heap, entry + EXPAND_BUMP, bump);
        put(heap, entry + EXPAND_BAG, n);
        put(heap, NODE_HEAD, head + ringed);
        put(heap, NODE_BUMP, bump + bumped);
        n += definition.pairs;
    }
    put(heap, EXPAND_PLACED, placed);
    put(heap, N, n);
    return placed;
}

// How many blocks take part in the next round, those that keep pairs of their own among them; none if it cannot be.
FFCM_DEVICE u64 width(const Heap& heap, u64 n, u32 threads) {
    const u64 fit = between(n + HOST_MAX + 64, word(heap, BAG_CAPACITY)) / word(heap, SLACK);
    const u64 kept = word(heap, KEPT);
    if (fit < kept) return 0;
    return most(kept, least(least(word(heap, GROUPS_MAX), (n + threads - 1) / threads), fit));
}

// Whether and how wide to go on with `n` pairs, `placed` definitions having got room.
FFCM_DEVICE u64 decide(const Heap& heap, u64 n, u32 placed, u32 threads) {
    if (out_of_gas(heap)) {
        put(heap, STATUS, STATUS_OUT_OF_GAS);
        return 0;
    }
    const u64 waiting = word(heap, EXPAND_WAITING);
    const bool any = n > 0 || word(heap, KEPT) > 0;
    if (!any && waiting == 0) {
        // The host may still have pairs for us.
        put(heap, STATUS, STATUS_EMPTY);
        return 0;
    }
    const u64 groups = width(heap, n, threads);
    if (any && groups == 0) mark(heap, STALL, STALL_BAG);
    // Definitions get their room when the bag has no gaps.
    if (waiting > 0 && word(heap, MOVES) > 0) return 0;
    const bool idle = word(heap, MOVED) == 0 && word(heap, GROUPS_RAN) > 0;
    if (placed == 0 && (idle || groups == 0)) {
        put(heap, STATUS, STATUS_STALLED);
        return 0;
    }
    return groups;
}

// Sets out the next round, of blocks of so many threads: after a round, or for the first time since the host changed
// anything.
FFCM_DEVICE void plan(const Heap& heap, u32 threads, bool after_round) {
    if (after_round && word(heap, GROUPS) > 0) {
        put(heap, ROUND, word(heap, ROUND) + 1);
        put(heap, KEPT, word(heap, KEEPING));
        put(heap, KEEPING, 0);
    }
    forget_placed(heap);
    u64 n = pack(heap);
    snapshot(heap);
    u32 placed = 0;
    if (word(heap, EXPAND_WAITING) > 0 && word(heap, MOVES) == 0) placed = place_definitions(heap, n);
    put(heap, PAIRS_PEAK, most(word(heap, PAIRS_PEAK), n));
    const u64 groups = decide(heap, n, placed, threads);
    if (groups > 0) {
        put(heap, STALL, 0);
        put(heap, MOVED, 0);
    }
    if (groups > 0 || placed > 0) put(heap, GROUPS_RAN, groups);
    put(heap, PLANNED, groups);
    put(heap, FINISHED, 0);
    put(heap, TICKET, 0);
    put(heap, HUNGRY, groups < word(heap, GROUPS_MAX));
    const u64 dump_at = word(heap, BAG_CAPACITY) - groups * word(heap, SLACK);
    put(heap, DUMP_AT, dump_at);
    // Beyond it lie the places that the host may fill.
    put(heap, PUSH_LIMIT, most(between(HOST_MAX, dump_at), n));
    const u64 nodes = between(word(heap, NODE_HEAD), word(heap, NODE_SEEN)) +
                      between(word(heap, NODE_BUMP), word(heap, NODE_CAPACITY));
    const u64 chunk_max = n < 16 ? 64 : CHUNK_MAX;
    put(heap, NODE_CHUNK, least(most(nodes / (2 * most(groups, 1)), 8), chunk_max));
}

// The i-th move: gaps of the packed bag [0, N) are filled from beyond N. Every gap is filled once and every source lies
// beyond N, so nothing is read that is written here.
FFCM_DEVICE void move_pair(const Heap& heap, u64 i, u64 n) {
    const u64 pushed_at = word(heap, MOVE_PUSHED_AT);
    const u64 pushed_end = pushed_at + word(heap, MOVE_PUSHED);
    const u64 first_hole = word(heap, MOVE_HOLE);
    const u64 first_holes = most(least(pushed_at, n), first_hole) - first_hole;
    const u64 to = i < first_holes ? first_hole + i : pushed_end + i - first_holes;
    const u64 source = most(pushed_at, n);
    const u64 sources = most(pushed_end, source) - source;
    const u64 source_dumped = most(word(heap, MOVE_DUMPED_AT), n);
    heap.bag[to] = heap.bag[i < sources ? source + i : source_dumped + i - sources];
}

// Node `i` of a placed definition: the first ones come from the ring, the others from above the highest so far.
FFCM_DEVICE u32 placed_node(const Heap& heap, u32 entry, u64 i) {
    const u64 ringed = word(heap, entry + EXPAND_RINGED);
    if (i < ringed) return heap.ring[(word(heap, entry + EXPAND_RING) + i) & word(heap, NODE_MASK)];
    return (u32)(word(heap, entry + EXPAND_BUMP) + i - ringed);
}

FFCM_DEVICE u64 relocate_placed(const Heap& heap, u32 entry, u64 term) {
    if (is_node_class(class_of(term)) || (is_var(term) && variant_of(term) == VARIANT_WIRE)) {
        const u32 local = offset_of(term);
        return make_term(word0(term), placed_node(heap, entry, local / 2) * 2 + local % 2);
    }
    if ((word0(term) & ~SUB) == GIVEN) return word(heap, entry + EXPAND_OTHER) | (term & SUB_BIT);
    return term;
}

// Item `i` of a placed definition: its nodes, then its pairs. Each has a place of its own.
FFCM_DEVICE void spread_item(const Heap& heap, u32 entry, const Definition& definition, u64 i) {
    const u64 first = relocate_placed(heap, entry, definition.items[2 * i]);
    const u64 second = relocate_placed(heap, entry, definition.items[2 * i + 1]);
    if (i < definition.nodes) {
        const u64 at = (u64)placed_node(heap, entry, i) * 2;
        heap.slots[at] = first;
        heap.slots[at + 1] = second;
    } else {
        heap.bag[word(heap, entry + EXPAND_BAG) + i - definition.nodes] = {first, second};
    }
}

// All threads of the grid: what the plan has set out. Not both at a time: definitions get room when nothing moves.
FFCM_DEVICE void spread(const Heap& heap) {
    const u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x, threads = (u64)gridDim.x * blockDim.x;
    if (index == 0) put(heap, GROUPS, word(heap, PLANNED));
    const u64 moves = word(heap, MOVES), n = word(heap, N);
    for (u64 i = index; i < moves; i += threads) move_pair(heap, i, n);
    const u32 placed = (u32)word(heap, EXPAND_PLACED);
    for (u32 one = 0; one < placed; one++) {
        const u32 entry = EXPAND_LIST + one * EXPAND_ENTRY;
        const Definition definition = definition_of(heap, (u32)word(heap, entry));
        const u64 items = (u64)definition.nodes + definition.pairs;
        for (u64 i = index; i < items; i += threads) spread_item(heap, entry, definition, i);
    }
}

}  // namespace ffcm
