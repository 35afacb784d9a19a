// Many small calls at once: each thread reduces one call, one interaction at a time, in memory of its own.
//
// Nothing is shared between threads but the book and the calls, which nobody writes, so nothing can race.
//
// A thread's memory is a number of nodes, wires, pairs and map entries. Pairs that make the net smaller, or copy an
// atom, go first, so that little memory is needed; they wait at the low end of the pairs, the others at the high end,
// both last in first out. Free nodes and free wires are chained, last in first out.
//
// A wire has two ends; the first term that reaches the wire waits in its cell, the second takes it out and meets it.
// The cells of two wires that are joined end to end name each other, with the sub bit set. A cell of which w0 is 0 is
// empty.
//
// There are two sizes of memory:
//   * Small: arrays of the thread, which the hardware interleaves and keeps in the level-1 cache. `calls_small` reduces
//     a call there from beginning to end. What is left then is a number or another atom, or the call is handed on.
//   * Slices: of device memory, for fewer calls at a time. `calls_large` runs a call for FUEL trips of its loops and
//     saves its registers, so that a launch ends soon. The normal form stays there; `calls_gather` packs the used part.
// A call that is larger still is left to the engine that spreads one net over the whole device.
#include "number.cuh"

namespace ffcm {

// The host knows these constants; a test compares them.
constexpr u32 WARP = 32;
constexpr u32 NO_ENTRY = 0xffffffffu;  // no call here

// What has become of a call.
constexpr u32 STATUS_NEW = 0;
constexpr u32 STATUS_RUNNING = 1;
constexpr u32 STATUS_DONE = 2;
constexpr u32 STATUS_OUT_OF_GAS = 3;
constexpr u32 STATUS_LARGER = 4;  // needs more memory or time than there is here
constexpr u32 STATUS_HOST = 5;    // arithmetic that is not within a kernel's power

// Slots and trips of a thread with small memory.
constexpr u32 SMALL_NODES = 24;
constexpr u32 SMALL_WIRES = 24;
constexpr u32 SMALL_PAIRS = 16;
constexpr u32 SMALL_FUEL = 1024;
// Words of its result: the root; then 16 bits each, the status and the counts of APPLY to SPECIALIZE.
constexpr u32 SMALL_RESULT = 3;

// Slots and trips of a launch of a thread with a slice. The nodes may be fewer.
constexpr u32 LARGE_WIRES = 256;
constexpr u32 LARGE_PAIRS = 64;
constexpr u32 LARGE_FUEL = 4096;

// Words of the state of a thread with a slice, each `lanes` apart. The first STATE_RESULT are read by the host.
constexpr u32 STATE_STATUS = 0;
constexpr u32 STATE_ROOT = 1;
constexpr u32 STATE_USED = 2;    // nodes ever taken, wires ever taken
constexpr u32 STATE_COUNTS = 3;  // interactions by opcode, seven words
constexpr u32 STATE_RESULT = 10;
constexpr u32 STATE_FREE = 10;   // first free node, first free wire
constexpr u32 STATE_LEFT = 11;   // nodes left, wires left
constexpr u32 STATE_PAIRS = 12;  // shrinking pairs, growing pairs
constexpr u32 STATE_GAS = 13;
constexpr u32 STATE_WORDS = 14;

static_assert(STATE_RESULT == STATE_COUNTS + 7 && STATE_WORDS == STATE_GAS + 1, "words of a state");

// Counts of a launch take 16 bits each.
static_assert(SMALL_FUEL < 1u << 16 && LARGE_FUEL < 1u << 16, "counts of a launch");

constexpr u32 NONE = 0xffffffffu;
constexpr u64 TERM_ERA = CLASS_ERA << CLASS_SHIFT | VARIANT_PLAIN << VARIANT_SHIFT;

FFCM_DEVICE u32 class_of(u64 term) { return word0(term) >> CLASS_SHIFT & CLASS_MASK; }
FFCM_DEVICE u32 label_of(u64 term) { return word0(term) >> LABEL_SHIFT & LABEL_MASK; }
FFCM_DEVICE bool is_node(u64 term) { return class_of(term) >= CLASS_CON; }
FFCM_DEVICE bool is_wire(u64 term) { return class_of(term) == CLASS_VAR; }

FFCM_DEVICE u64 var_term(u32 wire) {
    return make_term(CLASS_VAR << CLASS_SHIFT | VARIANT_WIRE << VARIANT_SHIFT, wire);
}
FFCM_DEVICE u64 node_term(u32 kind, u32 label, u32 node) {
    return make_term(kind << CLASS_SHIFT | VARIANT_PLAIN << VARIANT_SHIFT | label << LABEL_SHIFT, node);
}
// A node of the kind of `like`.
FFCM_DEVICE u64 node_like(u64 like, u32 node) { return node_term(class_of(like), label_of(like), node); }

// The opcode for two meeting terms, in either order.
FFCM_DEVICE u32 opcode(u64 a, u64 b) {
    const u32 rule = RULES[class_of(a) * 8 + class_of(b)];
    const u64 reference = class_of(a) == CLASS_REF ? a : b;
    const bool copyable = (word0(reference) >> VARIANT_SHIFT & VARIANT_MASK) == VARIANT_COPYABLE;
    // A rule holds at most one of the two flags.
    const bool by_label = (rule & RULE_BY_LABEL) != 0 && label_of(a) == label_of(b);
    const bool by_copyable = (rule & RULE_BY_COPYABLE) != 0 && copyable;
    return by_label || by_copyable ? OP_DUPLICATE : rule & RULE_OPCODE_MASK;
}

// The memory of a thread that has little: its own arrays.
struct Small {
    static constexpr u32 WIRES = SMALL_WIRES;
    static constexpr u32 PAIRS = SMALL_PAIRS;
    u64 nodes[SMALL_NODES][2];
    u64 wires[SMALL_WIRES];
    u64 pairs[SMALL_PAIRS][2];
    u8 map[SMALL_NODES + SMALL_WIRES];

    __device__ __forceinline__ u64& node(u32 at, u32 port) { return nodes[at][port]; }
    __device__ __forceinline__ u64& wire(u32 at) { return wires[at]; }
    __device__ __forceinline__ u64& pair(u32 at, u32 side) { return pairs[at][side]; }
    __device__ __forceinline__ u32 mapped(u32 at) const { return map[at]; }
    __device__ __forceinline__ void set_mapped(u32 at, u32 address) { map[at] = (u8)address; }
};

// The memory of a thread that has more. The slices of a warp lie interleaved, slot by slot, so that threads which do
// the same touch neighbouring words. The pointers are those of the thread's first slots.
struct Slice {
    static constexpr u32 WIRES = LARGE_WIRES;
    static constexpr u32 PAIRS = LARGE_PAIRS;
    u64* nodes;
    u64* wires;
    u64* pairs;
    u32* map;

    __device__ __forceinline__ u64& node(u32 at, u32 port) { return nodes[2 * WARP * at + port]; }
    __device__ __forceinline__ u64& wire(u32 at) { return wires[WARP * at]; }
    __device__ __forceinline__ u64& pair(u32 at, u32 side) { return pairs[2 * WARP * at + side]; }
    __device__ __forceinline__ u32 mapped(u32 at) const { return map[WARP * at]; }
    __device__ __forceinline__ void set_mapped(u32 at, u32 address) { map[WARP * at] = address; }
};

// Where slot 0 of `lane` is, if each lane has so many slots of `words` words.
FFCM_DEVICE u64 slice_start(u32 lane, u32 capacity, u32 words) {
    return ((u64)(lane / WARP) * capacity * WARP + lane % WARP) * words;
}

// Reads of the book go through the cache for what nobody writes.
//
// The encoding is that of ffcm::device::net: two words for each vector.
struct BookHeader {
    u32 at, nodes, wires, redexes;
};
FFCM_DEVICE BookHeader book_header(const u64* __restrict__ book, u32 definition) {
    const u64 first = __ldg(book + 2 * (u64)definition), second = __ldg(book + 2 * (u64)definition + 1);
    return {word0(first), word1(first), word0(second), word1(second)};
}

// A net that one thread reduces.
template <class Memory>
struct Net {
    Memory memory;
    u32 free_node, free_wire;    // first of the chain, or NONE
    u32 nodes_used, wires_used;  // ever taken
    u32 nodes_left, wires_left;
    u32 shrinking, growing;      // pairs waiting at each end
    i32 fuel;
    u64 gas;

    // The caller has checked that there is one.
    __device__ __forceinline__ u32 take_node() {
        nodes_left -= 1;
        const u32 node = free_node;
        if (node == NONE) return nodes_used++;
        free_node = word0(memory.node(node, 0));
        return node;
    }
    __device__ __forceinline__ void give_node(u32 node) {
        memory.node(node, 0) = free_node;
        free_node = node;
        nodes_left += 1;
    }

    // An empty wire. The caller has checked that there is one.
    __device__ __forceinline__ u32 take_wire() {
        wires_left -= 1;
        u32 wire = free_wire;
        if (wire == NONE) {
            wire = wires_used++;
        } else {
            free_wire = word1(memory.wire(wire));
        }
        memory.wire(wire) = 0;
        return wire;
    }
    __device__ __forceinline__ void give_wire(u32 wire) {
        memory.wire(wire) = make_term(0, free_wire);
        free_wire = wire;
        wires_left += 1;
    }

    __device__ __forceinline__ u32 pairs_left() const { return Memory::PAIRS - shrinking - growing; }

    // The caller has checked that there is room.
    __device__ __forceinline__ void push_pair(u64 a, u64 b) {
        const u32 op = opcode(a, b);
        u32 at;
        if (op == OP_APPLY || op == OP_DUPLICATE || op == OP_COLLAPSE) {
            at = shrinking++;
        } else {
            at = Memory::PAIRS - ++growing;
        }
        memory.pair(at, 0) = a;
        memory.pair(at, 1) = b;
    }

    // What waits at the wire that `term` is an end of; the wire is free then. `term` itself if nothing waits, or it is
    // no wire. What waits at a wire never has something waiting for it in turn: a wire that was joined to this one is
    // empty again, anything else is no wire.
    __device__ __forceinline__ u64 arrive(u64 term) {
        if (!is_wire(term)) return term;
        const u64 waiting = memory.wire(word1(term));
        if (word0(waiting) == 0) return term;
        give_wire(word1(term));
        if ((word0(waiting) & SUB) != 0) memory.wire(word1(waiting)) = 0;
        return waiting & ~(u64)SUB;
    }

    // Joins two terms: through a wire if one is a VAR, as a pair to reduce otherwise.
    __device__ __forceinline__ void link(u64 first, u64 second) {
        const u64 a = arrive(first), b = arrive(second);
        const bool a_is_wire = is_wire(a), b_is_wire = is_wire(b);
        if (!a_is_wire && !b_is_wire) {
            push_pair(a, b);
        } else if (a == b) {
            // Both ends of one wire: a loop without anything on it.
            give_wire(word1(a));
        } else {
            const u64 sub = a_is_wire && b_is_wire ? SUB : 0;
            if (a_is_wire) memory.wire(word1(a)) = b | sub;
            if (b_is_wire) memory.wire(word1(b)) = a | sub;
        }
    }

    // A term of the definition being expanded, with its local numbers replaced. The wires follow `nodes` nodes.
    __device__ __forceinline__ u64 relocate(u64 term, u32 nodes) const {
        if (is_wire(term)) return make_term(word0(term), memory.mapped(nodes + word1(term)));
        if (is_node(term)) return make_term(word0(term), memory.mapped(word1(term)));
        return term;
    }

    // Makes the nodes and wires of a definition, all but the redexes and the root. There is room.
    __device__ __forceinline__ void expand(const u64* __restrict__ book, BookHeader header) {
        for (u32 i = 0; i < header.nodes; i++) memory.set_mapped(i, take_node());
        for (u32 i = 0; i < header.wires; i++) memory.set_mapped(header.nodes + i, take_wire());
        const u64* bodies = book + 2 * ((u64)header.at + 1 + header.redexes);
        for (u32 i = 0; i < header.nodes; i++) {
            const u32 node = memory.mapped(i);
            memory.node(node, 0) = relocate(__ldg(bodies + 2 * i), header.nodes);
            memory.node(node, 1) = relocate(__ldg(bodies + 2 * i + 1), header.nodes);
        }
        fuel -= (i32)(2 * header.nodes + header.wires);
    }

    // `root & @entry ~ (a (b root))`, or the entry expanded at the root, wire 0. False if there is no room. `nodes` is
    // not 0. A head is the entry with the place of its first argument; the next head's place is the end of them.
    __device__ __forceinline__ bool start(const u64* __restrict__ heads, const u64* __restrict__ arguments, u32 call,
                                          u32 nodes, u64 all_gas) {
        free_node = free_wire = NONE;
        nodes_used = wires_used = shrinking = growing = 0;
        nodes_left = nodes;
        wires_left = Memory::WIRES;
        gas = all_gas;
        const u64 head = heads[call];
        const u32 begin = word1(head), end = word1(heads[call + 1]);
        u64 spine = var_term(take_wire());
        if (end - begin > nodes) return false;
        for (u32 i = end; i > begin; i--) {
            fuel -= 1;
            const u32 node = take_node();
            memory.node(node, 0) = arguments[i - 1];
            memory.node(node, 1) = spine;
            spine = node_term(CLASS_CON, 0, node);
        }
        // The only pair with a VAR in it that ever waits. Whether the reference may be copied does not matter here: it
        // meets no DUP.
        push_pair(make_term(CLASS_REF << CLASS_SHIFT, word0(head)), spine);
        return true;
    }

    // One interaction. The status afterwards, and the opcode if it was made, otherwise 0.
    __device__ __forceinline__ u32 interact(const u64* __restrict__ book, u32& made) {
        u32 at;
        if (shrinking > 0) {
            at = --shrinking;
        } else {
            at = Memory::PAIRS - growing--;
        }
        if (gas == 0) return STATUS_OUT_OF_GAS;
        const u64 first = memory.pair(at, 0), second = memory.pair(at, 1);
        // In the order of classes, so that the rules have the node of a mixed pair second. A reference comes first, as
        // it does in the only pair with a wire.
        const bool swap = !is_wire(second) && class_of(first) > class_of(second);
        const u64 a = swap ? second : first, b = swap ? first : second;
        const u32 found = opcode(a, b);
        // LINK: the entry at the root.
        const u32 op = found == OP_LINK ? OP_SPECIALIZE : found;
        const bool expands = op == OP_SPECIALIZE;

        // The terms to join, in pairs; of an expansion they come from the book.
        u32 links = 0;
        u64 a1 = 0, a2 = 0, a3 = 0, a4 = 0, b1 = 0, b2 = 0, b3 = 0, b4 = 0;
        BookHeader header = {0, 0, 0, 0};
        if (expands) {
            header = book_header(book, word1(a));
            links = header.redexes + 1;
            // What passes has map entries enough: there are as many as all nodes and wires, or as any definition needs.
            if (header.nodes > nodes_left || header.wires > wires_left || links > pairs_left()) return STATUS_LARGER;
            expand(book, header);
        } else {
            // The nodes of the pair are used again at once; what an opcode needs beyond them comes from the free ones.
            const u32 more = op == OP_DISTRIBUTE ? 2 : op == OP_SWITCH ? 1 : 0;
            const u32 wires = op == OP_DISTRIBUTE ? 4 : 0;
            if (more > nodes_left || wires > wires_left || NEED_REDEXES[op] > pairs_left()) return STATUS_LARGER;
            const u32 x = word1(a), y = word1(b);
            if (is_node(a)) {
                a1 = memory.node(x, 0);
                a2 = memory.node(x, 1);
            } else {
                a1 = a2 = a;
            }
            if (is_node(b)) {
                b1 = memory.node(y, 0);
                b2 = memory.node(y, 1);
            }
            switch (op) {
                case OP_APPLY:
                case OP_DUPLICATE:
                    // (a1 a2) ~ (b1 b2): a1 ~ b1, a2 ~ b2. An atom goes to both ports.
                    if (is_node(a)) give_node(x);
                    give_node(y);
                    links = 2;
                    break;
                case OP_DISTRIBUTE: {
                    // (a1 a2) ~ {b1 b2}: two nodes of each kind pass through each other.
                    const u32 z = take_node(), w = take_node();
                    const u64 p = var_term(take_wire()), q = var_term(take_wire());
                    const u64 r = var_term(take_wire()), s = var_term(take_wire());
                    memory.node(x, 0) = p, memory.node(x, 1) = q;
                    memory.node(y, 0) = r, memory.node(y, 1) = s;
                    memory.node(z, 0) = p, memory.node(z, 1) = r;
                    memory.node(w, 0) = q, memory.node(w, 1) = s;
                    a3 = b1, b3 = node_like(a, z);
                    a4 = b2, b4 = node_like(a, w);
                    b1 = node_like(b, x), b2 = node_like(b, y);
                    links = 4;
                    break;
                }
                case OP_SUCC:
                    // n ~ $(m r): the step n m goes to r. While the slot itself holds no number, n takes its place and
                    // the node waits for what comes out of the slot; a wire is no number, whatever waits in its cell.
                    links = 1;
                    if (class_of(b1) == CLASS_NUM) {
                        a1 = operate(a, b1);
                        if (a1 == NUMBER_HOST) return STATUS_HOST;
                        give_node(y);
                        b1 = b2;
                    } else {
                        memory.node(y, 0) = a;
                        a1 = node_term(CLASS_OPR, 0, y);
                    }
                    break;
                case OP_SWITCH: {
                    // 0 ~ ?(b r): b ~ (r *). n ~ ?(b r): b ~ (* (n-1 r)).
                    const u64 before = predecessor(a);
                    a1 = node_term(CLASS_CON, 0, y);
                    if (before == 0) {
                        memory.node(y, 0) = b2;
                        memory.node(y, 1) = TERM_ERA;
                    } else {
                        const u32 z = take_node();
                        memory.node(y, 0) = TERM_ERA;
                        memory.node(y, 1) = node_term(CLASS_CON, 0, z);
                        memory.node(z, 0) = before;
                        memory.node(z, 1) = b2;
                    }
                    links = 1;
                    break;
                }
                default:
                    // COLLAPSE: both vanish, the ports of a node are erased. The table has no such pair of two nodes.
                    if (is_node(b)) {
                        give_node(y);
                        a1 = a2 = TERM_ERA;
                        links = 2;
                    }
            }
        }
        fuel -= (i32)links;
        // One place that joins: what it takes is inlined once.
        for (u32 i = 0; i < links; i++) {
            u64 left, right;
            if (expands) {
                // The redexes follow the root, which is joined last.
                const bool at_root = i + 1 == links;
                const u64* joint = book + 2 * ((u64)header.at + (at_root ? 0 : i + 1));
                left = relocate(__ldg(joint), header.nodes);
                right = at_root ? b : relocate(__ldg(joint + 1), header.nodes);
            } else {
                left = i == 0 ? a1 : i == 1 ? a2 : i == 2 ? a3 : a4;
                right = i == 0 ? b1 : i == 1 ? b2 : i == 2 ? b3 : b4;
            }
            link(left, right);
        }
        gas -= 1;
        made = op;
        return shrinking + growing == 0 ? STATUS_DONE : STATUS_RUNNING;
    }

    // Interactions until the call has ended or its fuel is spent. Counts them by opcode, 16 bits each, from the second
    // on.
    __device__ __forceinline__ u32 run(const u64* __restrict__ book, u32 status, u64& low, u64& high) {
        while (status == STATUS_RUNNING && fuel > 0) {
            fuel -= 1;
            u32 made = OP_LINK;
            status = interact(book, made);
            const u64 one = (u64)(made != OP_LINK) << 16 * (made & 3);
            if (made < 4) {
                low += one;
            } else {
                high += one;
            }
        }
        return status;
    }
};

}  // namespace ffcm

using namespace ffcm;

// Reduces call `i` of `calls`, each by one thread from beginning to end, with `nodes` nodes at most, which is not 0.
// What came of it: SMALL_RESULT words of `results`. A call of which a tree is left is handed on like one that is too
// large, because its memory ends with the thread.
extern "C" __global__ void __launch_bounds__(128)
    calls_small(const u64* __restrict__ book, const u64* __restrict__ heads, const u64* __restrict__ arguments,
                u64* __restrict__ results, u32 calls, u32 nodes, u64 gas) {
    const u32 call = blockIdx.x * blockDim.x + threadIdx.x;
    if (call >= calls || word0(heads[call]) == NO_ENTRY) return;
    Net<Small> net;
    net.fuel = (i32)SMALL_FUEL;
    u32 status = STATUS_LARGER;
    u64 low = 0, high = 0, root = 0;
    if (net.start(heads, arguments, call, nodes < SMALL_NODES ? nodes : SMALL_NODES, gas)) {
        status = net.run(book, STATUS_RUNNING, low, high);
        root = net.memory.wire(0);
        if (status == STATUS_RUNNING || (status == STATUS_DONE && is_node(root))) {
            status = STATUS_LARGER;
        }
    }
    u64* result = results + (u64)call * SMALL_RESULT;
    result[0] = root;
    result[1] = low | status;
    result[2] = high;
}

// Starts call `i` in slice `i`, or goes on with it, for LARGE_FUEL trips. There are `lanes` slices, a multiple of WARP,
// of `nodes` nodes, LARGE_WIRES wires, LARGE_PAIRS pairs and `map_entries` map entries each. The state is zero at
// first.
extern "C" __global__ void __launch_bounds__(128)
    calls_large(const u64* __restrict__ book, const u64* __restrict__ heads, const u64* __restrict__ arguments,
                u64* __restrict__ state, u64* __restrict__ node_slots, u64* __restrict__ wire_slots,
                u64* __restrict__ pair_slots, u32* __restrict__ map_slots, u32 lanes, u32 calls, u32 nodes,
                u32 map_entries, u64 gas) {
    const u32 lane = blockIdx.x * blockDim.x + threadIdx.x;
    if (lane >= calls) return;
    u64* own = state + lane;
    u32 status = word0(own[STATE_STATUS * (u64)lanes]);
    if (status > STATUS_RUNNING) return;
    Net<Slice> net;
    net.memory = {node_slots + slice_start(lane, nodes, 2), wire_slots + slice_start(lane, LARGE_WIRES, 1),
                  pair_slots + slice_start(lane, LARGE_PAIRS, 2), map_slots + slice_start(lane, map_entries, 1)};
    net.fuel = (i32)LARGE_FUEL;
    if (status == STATUS_NEW) {
        status = net.start(heads, arguments, lane, nodes, gas) ? STATUS_RUNNING : STATUS_LARGER;
    } else {
        const u64 free = own[STATE_FREE * (u64)lanes], used = own[STATE_USED * (u64)lanes];
        const u64 left = own[STATE_LEFT * (u64)lanes], pairs = own[STATE_PAIRS * (u64)lanes];
        net.free_node = word0(free), net.free_wire = word1(free);
        net.nodes_used = word0(used), net.wires_used = word1(used);
        net.nodes_left = word0(left), net.wires_left = word1(left);
        net.shrinking = word0(pairs), net.growing = word1(pairs);
        net.gas = own[STATE_GAS * (u64)lanes];
    }
    u64 low = 0, high = 0;
    status = net.run(book, status, low, high);
    own[STATE_STATUS * (u64)lanes] = status;
    own[STATE_ROOT * (u64)lanes] = net.memory.wire(0);
    own[STATE_FREE * (u64)lanes] = make_term(net.free_node, net.free_wire);
    own[STATE_USED * (u64)lanes] = make_term(net.nodes_used, net.wires_used);
    own[STATE_LEFT * (u64)lanes] = make_term(net.nodes_left, net.wires_left);
    own[STATE_PAIRS * (u64)lanes] = make_term(net.shrinking, net.growing);
    own[STATE_GAS * (u64)lanes] = net.gas;
    for (u32 op = OP_APPLY; op <= OP_SPECIALIZE; op++) {
        own[(u64)(STATE_COUNTS + op - OP_APPLY) * lanes] += (op < 4 ? low : high) >> 16 * (op & 3) & 0xffffu;
    }
}

// Packs the used nodes, then the used wires of some slices. Item `i` of `count` is two words: the lane with the number
// of its wires in the upper half, and where in `packed` they go with the number of its nodes in the upper half.
extern "C" __global__ void __launch_bounds__(128)
    calls_gather(const u64* __restrict__ node_slots, const u64* __restrict__ wire_slots, const u64* __restrict__ items,
                 u64* __restrict__ packed, u32 count, u32 nodes) {
    const u32 item = blockIdx.x * blockDim.x + threadIdx.x;
    if (item >= count) return;
    const u64 first = items[2 * (u64)item], second = items[2 * (u64)item + 1];
    const u32 lane = word0(first);
    const u64* from = node_slots + slice_start(lane, nodes, 2);
    u64* to = packed + word0(second);
    for (u32 i = 0; i < word1(second); i++) {
        *to++ = from[2 * WARP * (u64)i];
        *to++ = from[2 * WARP * (u64)i + 1];
    }
    from = wire_slots + slice_start(lane, LARGE_WIRES, 1);
    for (u32 i = 0; i < word1(first); i++) *to++ = from[WARP * (u64)i];
}
