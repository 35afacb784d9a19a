// The rewrite rules: what one interaction makes of two terms and the nodes they point to.
//
// Room has been made before: nodes are reserved, and the pairs that an interaction leaves fit the thread's stack. An
// interaction writes the nodes it makes before it joins anything, so that they are complete before anybody can reach them.
#pragma once

#include "reduce.cuh"

namespace ffcm {

// Pairs to be joined.
struct Links {
    u32 count;
    Pair pairs[4];
};

FFCM_DEVICE void link(Links& links, u64 a, u64 b) { links.pairs[links.count++] = {a, b}; }

// (a1 a2) ~ (b1 b2): a1 ~ b1, a2 ~ b2.
FFCM_DEVICE void annihilate(Thread& t, Block& block, const Heap& heap, u64 a, u64 b, Links& links) {
    u64 a1, a2, b1, b2;
    const Found in_a = look_into(heap, a), in_b = look_into(heap, b);
    open(t, block, heap, a, in_a, a1, a2);
    open(t, block, heap, b, in_b, b1, b2);
    link(links, a1, b1);
    link(links, a2, b2);
}

// An atom goes to both ports of a node. Two atoms vanish.
FFCM_DEVICE void copy(Thread& t, Block& block, const Heap& heap, u64 atom, u64 b, Links& links) {
    if (!is_node_class(class_of(b))) return;
    u64 b1, b2;
    open(t, block, heap, b, look_into(heap, b), b1, b2);
    link(links, atom, b1);
    link(links, atom, b2);
}

// (a1 a2) ~ {b1 b2}: two nodes of each kind pass through each other. Each of the four gets one cell.
FFCM_DEVICE void commute(Thread& t, Block& block, const Heap& heap, u64 a, u64 b, Links& links) {
    const u32 p = allocate(t, heap), q = allocate(t, heap), r = allocate(t, heap), s = allocate(t, heap);
    u64 a1, a2, b1, b2;
    const Found in_a = look_into(heap, a), in_b = look_into(heap, b);
    open(t, block, heap, a, in_a, a1, a2);
    open(t, block, heap, b, in_b, b1, b2);
#ifdef MUTANT_PUBLISHED_EARLY
    const Pair early[4] = {{moved_to(b, p), a1}, {moved_to(b, q), a2}, {moved_to(a, r), b1}, {moved_to(a, s), b2}};
    for (Pair pair : early) {
        if (join(t, block, heap, pair, false)) link(links, pair.a, pair.b);
    }
#endif
    // b's kind at p and q, a's kind at r and s; wires p.0-r.0, p.1-s.0, q.0-r.1, q.1-s.1.
    slot_store(heap, p, 0);
    slot_store(heap, p + 1, var_term(s));
    slot_store(heap, q, var_term(r + 1));
    slot_store(heap, q + 1, 0);
    slot_store(heap, r, var_term(p));
    slot_store(heap, r + 1, 0);
    slot_store(heap, s, 0);
    slot_store(heap, s + 1, var_term(q + 1));
#ifndef MUTANT_PUBLISHED_EARLY
    link(links, moved_to(b, p), a1);
    link(links, moved_to(b, q), a2);
    link(links, moved_to(a, r), b1);
    link(links, moved_to(a, s), b2);
#endif
}

// How an interaction went: it is done, it has to wait, or the nodes that it consumes must be leaked before.
constexpr u32 DONE = 0;
constexpr u32 WAITS = 1;
constexpr u32 LEAKS = 2;

// Leaves an arithmetic step to the host, which joins the answer with what waits for it. Whether it can take one more.
FFCM_DEVICE bool leave_to_host(Thread& t, Block& block, const Heap& heap, u64 number, u64 operand, u64 node) {
    const u64 i = add(heap, HOST_WAITING, 1);
    if (i >= HOST_MAX) {
        t.lacks |= STALL_HOST;
        return false;
    }
    u64 first, result;
    open(t, block, heap, node, look_into(heap, node), first, result);
    const u32 entry = HOST_LIST + (u32)i * HOST_ENTRY;
    put(heap, entry, number);
    put(heap, entry + 1, operand);
    put(heap, entry + 2, result);
    return true;
}

// n ~ $(m r): the step n m goes to r. While the slot itself holds no number, n takes its place and the node waits for what
// comes out of the slot. A number that came to a variable of the slot (the substitution bit is set) stands for two steps:
// the operands change places, then meet. So the count does not depend on which was first.
FFCM_DEVICE u32 succ(Thread& t, Block& block, const Heap& heap, u64 number, u64 node, Links& links) {
    const u32 at = offset_of(node);
    const u64 left = slot_load(heap, at);
    if (class_of(left) == CLASS_NUM) {
        const u64 answer = operate(number, bare(left));
        if (answer == NUMBER_HOST) {
            if (is_local(node)) return LEAKS;
            if (!leave_to_host(t, block, heap, number, bare(left), node)) return WAITS;
        } else {
            u64 first, result;
            open(t, block, heap, node, look_into(heap, node), first, result);
            link(links, answer, result);
        }
        count(t, OP_SUCC, (left & SUB_BIT) != 0 ? 2 : 1);
        return DONE;
    }
    count(t, OP_SUCC, 1);
    if (is_absent(left)) {
        // The old node stays behind as the left operand's cell. Its other slot is this thread's alone: no cell.
        const u64 result = bare(slot_load(heap, at + 1));
        link(links, var_term(at), moved_to(node, new_node(t, heap, number, result)));
    } else {
        slot_store(heap, at, number);
        link(links, bare(left), node);
    }
    return DONE;
}

// 0 ~ ?(b r): b ~ (r *). n ~ ?(b r): b ~ (* (n-1 r)).
FFCM_DEVICE void match(Thread& t, Block& block, const Heap& heap, u64 number, u64 node, Links& links) {
    const u64 before = predecessor(number);
    u64 arms, result;
    open(t, block, heap, node, look_into(heap, node), arms, result);
    if (before == 0) {
        link(links, con_term(new_node(t, heap, result, TERM_ERA)), arms);
    } else {
        const u64 taken = con_term(new_node(t, heap, before, result));
        link(links, con_term(new_node(t, heap, TERM_ERA, taken)), arms);
    }
}

// Fires the interaction `op == opcode(a, b)`, neither OP_LINK nor OP_SPECIALIZE.
FFCM_DEVICE u32 fire(Thread& t, Block& block, const Heap& heap, u32 op, u64 a_given, u64 b_given, Links& links) {
    // The rules have the node of a mixed pair second.
    const bool swap = class_of(a_given) > class_of(b_given);
    const u64 a = swap ? b_given : a_given, b = swap ? a_given : b_given;
    if (op == OP_SUCC) return succ(t, block, heap, a, b, links);
    count(t, op, 1);
    if (op == OP_SWITCH) {
        match(t, block, heap, a, b, links);
    } else if (op == OP_DISTRIBUTE) {
        commute(t, block, heap, a, b, links);
    } else if (is_node_class(class_of(a))) {
        annihilate(t, block, heap, a, b, links);
    } else {
        copy(t, block, heap, a, b, links);
    }
    return DONE;
}

// A term of a definition, whose nodes have their first slots at `nodes[0..]`, which has met `other`.
FFCM_DEVICE u64 relocate(u64 term, const u32* nodes, u64 other) {
    if (is_node_class(class_of(term)) || (is_var(term) && variant_of(term) == VARIANT_WIRE)) {
        const u32 local = offset_of(term);
        return make_term(word0(term), nodes[local / 2] + local % 2);
    }
    // Where the definition has a variable the substitution bit says so.
    if ((word0(term) & ~SUB) == GIVEN) return other | (term & SUB_BIT);
    return term;
}

// A definition's header.
struct Definition {
    const u64* items;
    u32 nodes;
    // Redexes and joins, in this order.
    u32 pairs;
    u32 collapses;
};

FFCM_DEVICE Definition definition_of(const Heap& heap, u32 number) {
    // Nobody writes the book during a launch.
    const u64* header = heap.book + (u64)number * BOOK_HEADER;
    const u64 at = __ldg(header), sizes = __ldg(header + 1);
    return {heap.book + at, (u32)sizes, (u32)(sizes >> 32) + (u32)__ldg(header + 2), (u32)__ldg(header + 3)};
}

// Expands a small definition, for whose nodes and pairs there is room.
FFCM_DEVICE void expand(Thread& t, const Heap& heap, const Definition& definition, u64 other) {
    count(t, OP_SPECIALIZE, 1);
    if (definition.collapses != 0) count(t, OP_COLLAPSE, definition.collapses);
    // Longer than most moves.
    t.trips_made += definition.nodes / 8;
    u32 nodes[SMALL];
    for (u32 i = 0; i < definition.nodes; i++) nodes[i] = allocate(t, heap);
    // A few items at a time, so that their loads are under way together.
    const u32 items = definition.nodes + definition.pairs;
    for (u32 first = 0; first < items; first += 4) {
        Pair some[4];
        for (u32 i = 0; i < 4; i++) {
            const u64* item = definition.items + 2 * (u32)least(first + i, items - 1);
            some[i] = {__ldg(item), __ldg(item + 1)};
        }
        for (u32 i = 0; i < 4 && first + i < items; i++) {
            const Pair made = {relocate(some[i].a, nodes, other), relocate(some[i].b, nodes, other)};
            if (first + i < definition.nodes) {
                slot_store(heap, nodes[first + i], made.a);
                slot_store(heap, nodes[first + i] + 1, made.b);
            } else {
                stack_push(t, made);
            }
        }
    }
}

// Puts a definition that one thread cannot expand on the list. Whether there is room.
FFCM_DEVICE bool leave_to_spread(Thread& t, const Heap& heap, u32 number, const Definition& definition, u64 other) {
    const u64 i = add(heap, EXPAND_WAITING, 1);
    if (i >= EXPAND_MAX) {
        t.lacks |= STALL_EXPAND;
        return false;
    }
    const u32 entry = EXPAND_LIST + (u32)i * EXPAND_ENTRY;
    put(heap, entry, number);
    put(heap, entry + EXPAND_OTHER, other);
    count(t, OP_SPECIALIZE, 1);
    if (definition.collapses != 0) count(t, OP_COLLAPSE, definition.collapses);
    return true;
}

// The oldest pair of the stack goes to others. Whether one took it.
FFCM_DEVICE bool make_room(Thread& t, Block& block, const Heap& heap) {
    const Pair oldest = t.stack[t.stack_base % STACK];
    if (!push_local(t, block, oldest) && !push_global(block, heap, oldest)) {
        t.lacks |= STALL_BAG;
        return false;
    }
    t.stack_base++;
    t.stack_count--;
    return true;
}

// A pair that an interaction left: the first goes on at once, there is room for all on the stack.
FFCM_DEVICE void keep(Thread& t, Block& block, Pair pair) {
    if (!t.has_current) {
        t.current = pair;
        t.has_current = true;
    } else if (!t.share || !push_local(t, block, pair)) {
        stack_push(t, pair);
    }
}

// Moves one of the two nodes of a pair out of the block's memory. Whether that was possible; if not, or if room had to be
// made first, the pair is as it was.
FFCM_DEVICE bool leak_one(Thread& t, Block& block, const Heap& heap, Pair& pair) {
    if (t.stack_count + 2 > STACK) return make_room(t, block, heap);
    if (!reserve(t, block, 2)) return false;
    const bool first = is_local(pair.a);
    const u64 node = leak(t, block, heap, first ? pair.a : pair.b);
    if (first) {
        pair.a = node;
    } else {
        pair.b = node;
    }
    t.moved = true;
    return true;
}

// Makes sure of the nodes that an interaction of the current pair takes. They are all the block's, which may hold anything,
// or all in global memory: then nothing in the nodes that it consumes may lead to the block. DONE, WAITS or LEAKS.
FFCM_DEVICE u32 reserve_nodes(Thread& t, Block& block, const Heap& heap, u32 need) {
    t.takes_local = LOCAL_NETS && local_nodes(heap) >= need;
    if (t.takes_local || need == 0) return DONE;
    if (is_local_pair(t.current)) return LEAKS;
    return reserve(t, block, need) ? DONE : WAITS;
}

// Expands a definition, if the current pair is ready for it.
FFCM_DEVICE u32 specialize(Thread& t, Block& block, const Heap& heap, u32 number, u64 other) {
    const Definition definition = definition_of(heap, number);
    const bool large = definition.nodes > SMALL || definition.pairs >= STACK;
    if (large) {
        if (is_local(other)) return LEAKS;
        return leave_to_spread(t, heap, number, definition, other) ? DONE : WAITS;
    }
    const u32 how = reserve_nodes(t, block, heap, definition.nodes);
    if (how == DONE) expand(t, heap, definition, other);
    return how;
}

// Pairs that a definition pushes at once, and those of other interactions.
FFCM_DEVICE u32 room_for(const Heap& heap, u32 op, u32 number) {
    if (op != OP_SPECIALIZE) return 4;
    const u32 pairs = definition_of(heap, number).pairs;
    return pairs >= STACK ? 0 : pairs;
}

// Does what there is to do with the current pair: joins it, fires it, or makes room for that. False if it has to wait.
FFCM_DEVICE bool attend(Thread& t, Block& block, const Heap& heap) {
    const u64 a = t.current.a, b = t.current.b;
    // A call without arguments stands at the root, where references rest: its reference has the substitution bit.
    const bool at_root = (a & SUB_BIT) != 0;
    const u32 op = at_root ? OP_SPECIALIZE : opcode(a, b);
    const bool first = class_of(a) == CLASS_REF;
    const u32 number = offset_of(first ? a : b);
    if (t.stack_count + room_for(heap, op, number) > STACK) return make_room(t, block, heap);
    Links links;
    links.count = 0;
    bool leaks = false;
    u32 how = DONE;
    if (op == OP_LINK) {
        leaks = is_local_pair(t.current);
        if (leaks && !reserve(t, block, 2)) return false;
        link(links, a, b);
    } else if (op == OP_SPECIALIZE) {
        how = specialize(t, block, heap, number, first ? b : a);
    } else {
        how = reserve_nodes(t, block, heap, NEED_NODES[op]);
        if (how == DONE) how = fire(t, block, heap, op, a, b, links);
    }
    if (how == LEAKS) return leak_one(t, block, heap, t.current);
    if (how == WAITS) return false;
    t.moved = true;
    t.has_current = false;
    for (u32 i = 0; i < links.count; i++) {
        Pair pair = links.pairs[i];
        if (join(t, block, heap, pair, leaks)) keep(t, block, pair);
    }
    return true;
}

// At most `trips` moves.
FFCM_DEVICE void work(Thread& t, Block& block, const Heap& heap, u32 trips) {
    for (t.trips_made = 0; t.trips_made < trips; t.trips_made++) {
        if (!t.has_current) {
            if (t.stack_count == 0) break;
            t.stack_count--;
            t.current = t.stack[(t.stack_base + t.stack_count) % STACK];
            t.has_current = true;
        }
        if (t.stack_count >= t.enough || !attend(t, block, heap)) break;
    }
}

}  // namespace ffcm
