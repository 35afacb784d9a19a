// One thread at work: it takes its newest pair, makes sure of the memory that the interaction may need, carries it out and
// joins what it leaves.
//
// Who may touch what. A pair belongs to the thread that holds it, and with it the nodes that its terms point to. Terms come
// from the bag of an earlier round, from the bag of the block across a barrier, from nodes, or from cells by an exchange:
// each way is ordered (protocol.cuh), so no thread waits for another. `nodes`, `stack` and all other members of Thread are
// the thread's own. Of the block's memory a thread takes, between two barriers, only what lay there before the first: bag
// entries and pool entries below the cursors of that time, each given out by one atomicAdd, and it puts new entries beyond
// the cursors, into places given out in the same way.
#pragma once

#include "protocol.cuh"

namespace ffcm {

// What thread 0 sets out for a step, and all threads carry out.
struct Order {
    u32 step;
    u32 trips;
    // Some threads have nothing: pairs go to the bag.
    u32 share;
    // Few pairs are alive: thread 0 takes them all.
    u32 solo;
    // The block's bag, a ring: its oldest entry after `spilled` ones went to everybody, its top before `dealt` ones go to threads.
    u32 bag_base;
    u32 bag_top;
    u32 spilled;
    u32 dealt;
    // Threads leak their oldest pairs, for other blocks.
    u32 offer;
    // Pairs beyond the block's bag that go to threads, and the first of them.
    u32 resumed;
    u32 over_at;
    // Pairs of the round's bag that go to threads.
    u32 intake;
    // Nodes taken from the ring, from above the highest number so far, where they go, and those given back.
    u32 ringed;
    u32 bumped;
    u32 place;
    u32 given;
    u32 given_from;
    // Cursors of the pool during the step: entries below `pool_seen` may be taken, those below `pool_taken` are gone.
    u32 pool_seen;
    u32 pool_taken;
    // Where, in the buffers: spilled pairs, the first of the intake, nodes.
    u64 spilled_to;
    u64 intake_top;
    u64 ring_at;
    u64 bump_at;
    u64 given_to;
};

// The block's shared memory.
struct Block {
    // The control words when the round began, for those that only the plan and the host change, see `fixed`.
    u64 words[WORDS];
    Pair bag[LOCAL_BAG];
    u32 pool[POOL];
    Order order;
    u32 goes;
    u32 bag_top;
    u32 pool_take;
    u32 pool_put;
    u32 pool_lack;
    // Threads with pairs, pairs of threads, threads that did something, interactions, moves of the busiest thread.
    u32 alive;
    u32 pairs;
    u32 moved;
    u32 interactions;
    u32 longest;
    u32 ticket;
    // Pairs beyond the bag.
    u32 over_top;
    // At the end of a round: pairs and nodes that leave the threads, and where they go.
    u32 leaving_pairs;
    u32 leaving_nodes;
    u64 pairs_to;
    u64 nodes_to;
    u32 counted[8];
};

// A control word that does not change during a round.
FFCM_DEVICE u64 fixed(const Block& block, u32 at) { return block.words[at]; }

// What one thread has.
struct Thread {
    Pair current;
    bool has_current;
    // Pairs of this thread, a ring; the newest is taken first, the oldest is given away first.
    u32 stack_base;
    u32 stack_count;
    u32 free_count;
    // Interactions in this step; anything done in it; what was lacking.
    u32 fired;
    u32 trips_made;
    u32 lacks;
    bool moved;
    bool share;
    // The interaction at hand makes its nodes in shared memory.
    bool takes_local;
    // With so many pairs the thread stops, for others to take part.
    u32 enough;
    // Cursors of the block's bag and pool when the step began.
    u32 bag_base;
    u32 pool_seen;
    u32 pool_taken;
    // Interactions in this round by opcode; nodes leaked, in the place of links, which are not counted.
    u32 counts[8];
    u32 nodes[SMALL];
    Pair stack[STACK];
};

FFCM_DEVICE void stack_push(Thread& t, Pair pair) {
    t.stack[(t.stack_base + t.stack_count) % STACK] = pair;
    t.stack_count++;
}

// Gives a pair to the block, for the next step.
FFCM_DEVICE bool push_local(Thread& t, Block& block, Pair pair) {
    const u32 at = atomicAdd(&block.bag_top, 1u);
    if (at - t.bag_base >= LOCAL_BAG) return false;
    block.bag[at % LOCAL_BAG] = pair;
    return true;
}

FFCM_DEVICE bool is_local_pair(Pair pair) { return is_local(pair.a) || is_local(pair.b); }

// Keeps a pair for the block, beyond its bag. There is room for as many as there can be.
FFCM_DEVICE bool push_over(Block& block, const Heap& heap, Pair pair) {
    const u32 at = atomicAdd(&block.over_top, 1u);
    if (at >= blockDim.x * LOCAL_NODES * LOCAL_PAIRS) return false;
    heap.over[at] = pair;
    return true;
}

// Gives a pair to everybody, for the next round, or to the block if others could not reach its nodes.
FFCM_DEVICE bool push_global(Block& block, const Heap& heap, Pair pair) {
    if (is_local_pair(pair)) return push_over(block, heap, pair);
    const u64 at = fixed(block, N) + add(heap, PUSHED, 1);
    if (at >= fixed(block, PUSH_LIMIT)) return false;
    heap.bag[at] = pair;
    return true;
}

// Frees the node that a slot belongs to: to this thread, else to the block, else to everybody.
FFCM_DEVICE void free_node(Thread& t, Block& block, const Heap& heap, u32 slot) {
    retire(heap, slot);
    const u32 node = (slot & ~LOCAL) >> 1;
    if (is_local_slot(slot)) {
        __threadfence_block();
        atomicOr(heap.unused + node / LOCAL_NODES, 1u << node % LOCAL_NODES);
        return;
    }
    if (t.free_count < KEEP) {
        t.nodes[t.free_count++] = node;
        return;
    }
    const u32 at = atomicAdd(&block.pool_put, 1u);
    if (at - t.pool_taken < POOL) {
        block.pool[at % POOL] = node;
    } else {
        heap.ring[add(heap, NODE_TAIL, 1) & fixed(block, NODE_MASK)] = node;
    }
}

// Makes sure that the thread holds so many free nodes of global memory, SMALL at most; if not, asks for them in the next step.
FFCM_DEVICE bool reserve(Thread& t, Block& block, u32 need) {
    if (t.free_count >= need) return true;
    const u32 want = need - t.free_count;
    const u32 at = atomicAdd(&block.pool_take, want);
    const u32 there = at < t.pool_seen ? t.pool_seen - at : 0;
#ifdef MUTANT_UNRESERVED
    const u32 got = want;
#else
    const u32 got = want < there ? want : there;
#endif
    for (u32 i = 0; i < got; i++) t.nodes[t.free_count + i] = block.pool[(at + i) % POOL];
    t.free_count += got;
    if (t.free_count >= need) return true;
    t.lacks |= STALL_NODES;
    atomicAdd(&block.pool_lack, need - t.free_count);
    return false;
}

// Nodes of the block that this thread may take. Others only ever add to them.
FFCM_DEVICE u32 local_nodes(const Heap& heap) {
    return LOCAL_NETS ? __popc(*(const volatile u32*)(heap.unused + threadIdx.x)) : 0;
}

// Takes a node that was reserved, of the block's if the thread may take those now: its first slot.
FFCM_DEVICE u32 allocate(Thread& t, const Heap& heap) {
    if (!LOCAL_NETS || !t.takes_local) return t.nodes[--t.free_count] * 2;
    u32* own = heap.unused + threadIdx.x;
    const u32 bit = __ffs(*(const volatile u32*)own) - 1;
    atomicAnd(own, ~(1u << bit));
    __threadfence_block();
    return LOCAL | (threadIdx.x * LOCAL_NODES + bit) * 2;
}

FFCM_DEVICE u32 new_node(Thread& t, const Heap& heap, u64 first, u64 second) {
    const u32 at = allocate(t, heap);
    slot_store(heap, at, first);
    slot_store(heap, at + 1, second);
    return at;
}

FFCM_DEVICE void count(Thread& t, u32 op, u32 times) {
    t.counts[op] += times;
    t.fired += times;
}

// What was found in the two slots of a node.
struct Found {
    u64 first;
    u64 second;
};

FFCM_DEVICE Found look_into(const Heap& heap, u64 node) {
    const u32 at = offset_of(node);
    return {slot_look(heap, at), slot_look(heap, at + 1)};
}

// Takes both terms out of a node whose principal port the thread holds, as they are in the slots: with the substitution bit
// if they arrived there. What arrives after the look is met at the wire's cell, as by everybody else.
FFCM_DEVICE void open_raw(Thread& t, Block& block, const Heap& heap, u64 node, Found found, u64& first, u64& second) {
    const u32 at = offset_of(node);
    const u64 a = acquired(heap, at, found.first), b = acquired(heap, at + 1, found.second);
    const bool cell_a = is_absent(a), cell_b = is_absent(b);
    first = cell_a ? var_term(at) : a;
    second = cell_b ? var_term(at + 1) : b;
#ifdef MUTANT_FREED_EARLY
    free_node(t, block, heap, at);
#else
    if (!cell_a && !cell_b) free_node(t, block, heap, at);
#endif
#ifdef NET_CHECK
    if (cell_a && cell_b) mark(heap, DAMAGE, DAMAGE_TWO_CELLS);
#endif
}

// The same, without the bit.
FFCM_DEVICE void open(Thread& t, Block& block, const Heap& heap, u64 node, Found found, u64& first, u64& second) {
    open_raw(t, block, heap, node, found, first, second);
    first = bare(first);
    second = bare(second);
}

// Joins two wires, one end of each being in hand. Afterwards `a` is what waited at the one that was followed, and `b` the
// end of the other; false if one end was left at the other wire.
//
// Either end may be left. Followed is a wire where something waits, so that its cell is freed. If there is none, left is the
// one of which more ends wait elsewhere: the far end of the other wire finds it there and takes it along. The other way
// round, a wire that is lengthened again and again behind an end that never moves, such as the root, would become a chain
// of one cell for each time. The end of a wire whose cell is the block's is not left in global memory.
FFCM_DEVICE bool splice(Thread& t, Block& block, const Heap& heap, u64& a, u64& b) {
    u64 met = slot_load(heap, offset_of(a));
    if (is_absent(met)) {
        const u64 there = slot_load(heap, offset_of(b));
        if (!is_absent(there) || met > there) {
            const u64 other = a;
            a = b;
            b = other;
            met = there;
        }
    }
    if (is_absent(met) && is_local_slot(offset_of(b)) && !is_local_slot(offset_of(a))) {
        const u64 other = a;
        a = b;
        b = other;
    }
    if (is_absent(met)) {
        // The mark is made and taken back while the end is in hand, so that the cell cannot be freed meanwhile.
        const bool marked = hint(heap, offset_of(b), true);
        met = arrive(heap, offset_of(a), b | SUB_BIT);
        if (is_absent(met)) return false;
        if (marked) hint(heap, offset_of(b), false);
    }
    met = bare(met);
    // This end waited here, and goes on now.
    if (is_var(met)) hint(heap, offset_of(met), false);
    free_node(t, block, heap, offset_of(a));
    a = met;
    return true;
}

// Moves a node of the block to global memory, for which two nodes are reserved. What is in its slots and leads to the block
// stays: a wire with a cell in the new node takes its place, and a pair to be joined, for which there is room on the stack.
FFCM_DEVICE u64 leak(Thread& t, Block& block, const Heap& heap, u64 node) {
    // The substitution bit of a number means something (see `succ`) and stays.
    u64 first, second;
    open_raw(t, block, heap, node, look_into(heap, node), first, second);
    const bool first_stays = is_local(first), second_stays = is_local(second);
    t.counts[OP_LINK]++;
    const u32 at = t.nodes[--t.free_count] * 2;
    u64 new_first = first, new_second = second;
    if (first_stays) {
        new_first = 0;
        stack_push(t, {var_term(at), bare(first)});
    }
    if (second_stays) {
        // No node has two cells.
        u32 cell = at + 1;
        new_second = 0;
        if (first_stays) {
            cell = t.nodes[--t.free_count] * 2;
            slot_store(heap, cell, 0);
            slot_store(heap, cell + 1, 0);
            new_second = var_term(cell);
        }
        stack_push(t, {var_term(cell), bare(second)});
    }
    slot_store(heap, at, new_first);
    slot_store(heap, at + 1, new_second);
    return moved_to(node, at);
}

// Connects two terms. Whether there is a pair left to do: `pair`. One end is followed through so many wires at a time, each
// of which counts as a move. A node of the block that would be left in global memory is leaked if `leaks`, for which there is room then; otherwise it is
// a pair left to do.
constexpr u32 HOPS = 64;
FFCM_DEVICE bool join(Thread& t, Block& block, const Heap& heap, Pair& pair, bool leaks) {
    u64 a = pair.a, b = pair.b;
    for (u32 hop = 0; hop < HOPS; hop++) {
        if (!is_var(a)) {
            const u64 other = a;
            a = b;
            b = other;
        }
        if (!is_var(a)) break;
        t.trips_made += hop > 0 ? 1 : 0;
        if (a == b) {
            // Both ends of one wire: a loop, gone with its cell.
            free_node(t, block, heap, offset_of(a));
            return false;
        }
        if (is_var(b)) {
            if (!splice(t, block, heap, a, b)) return false;
            continue;
        }
#ifdef MUTANT_UNLEAKED
        const bool leads_out = false;
#else
        const bool leads_out = is_local(b) && !is_local_slot(offset_of(a));
#endif
        if (leads_out && is_absent(slot_load(heap, offset_of(a)))) {
            if (!leaks) break;
            b = leak(t, block, heap, b);
            leaks = false;
        }
        const u64 met = arrive(heap, offset_of(a), b | SUB_BIT);
        if (is_absent(met)) return false;
        free_node(t, block, heap, offset_of(a));
        a = bare(met);
        if (is_var(a)) hint(heap, offset_of(a), false);
    }
    pair = {a, b};
    return true;
}

}  // namespace ffcm
