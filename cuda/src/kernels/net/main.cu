// One round of a net that the whole device reduces, and what is done between rounds.
//
// A round of one block is a sequence of steps between barriers; then everything goes back to the buffers. Before a step
// thread 0 sets out the `order`: who gets which pairs, what the pool takes in or gives back. All threads carry it out, and
// after a barrier they work. What a thread pushes in a step, to the bag or the pool of the block, others take in the next.
//
// Why nothing races, place by place.
// - Slots of nodes: protocol.cuh.
// - The round's bag. Entries below N were written in earlier rounds and are taken by one atomicAdd of TAKEN, so by one
//   block each; nobody writes them. Entries from N on are written in this round, each place given out by one atomicAdd of
//   PUSHED or DUMPED, and read in later rounds only.
// - The ring of free nodes. Entries below NODE_SEEN, the tail when the round was planned, were written in earlier rounds
//   and are taken by one atomicAdd of NODE_HEAD. Entries from NODE_SEEN on are written in this round, each place given out
//   by one atomicAdd of NODE_TAIL. A node lies at most once among the entries of earlier rounds, and at most once among
//   those of this round, since it is not taken again before the next; the ring is twice as long as there are nodes, so no
//   place is written that is still to be read.
// - The block's bag and pool: places are given out by atomicAdd of their cursors. A thread reads entries below the cursors of
//   the last barrier and writes beyond them; the rings are checked against the oldest entry that may still be read.
// - `order`, `goes` and the cursors themselves are written by thread 0 between two barriers, and read after the second.
// - Control words change by atomicAdd and atomicOr in a round, and by stores of the planner between rounds. A block copies
//   them when it begins, before the barrier of its first step, and takes from the copy (`fixed`) those that do not change in
//   a round: a load of global memory takes about as long as an interaction.
// - The lists of definitions and of arithmetic for the host: each entry is given out by one atomicAdd and written by one
//   thread; read by the planner, which comes after all tickets, or by the host.
// - Blocks that a round does not need may begin after its last block has planned the next. They read STATUS and GROUPS: the
//   plan leaves GROUPS alone, which is set by the spread that follows, and whatever STATUS they see, they do nothing.
// - Nodes in shared memory and the words of free ones: protocol.cuh. Between rounds they lie in the image, written and read
//   by the block of the same number only, in different launches or with barriers of the grid in between. Before it is
//   saved all threads have passed a barrier after their last access.
// - Pairs beyond the block's bag (`over`), in global memory but this block's alone: places are given out by atomicAdd of
//   over_top while threads work, and the top ones are taken by an order, between two barriers, as in the bag.
// - A ticket is taken by thread 0 after a barrier of its block and a fence, so the planner sees all of the round.
#include "plan.cuh"

namespace ffcm {

// Trips that a step costs beside those of its threads.
constexpr u32 STEP_COST = 8;
// A block makes so many steps before it ends a round because others have.
constexpr u32 EARLIEST = 8;
// Pairs that thread 0 takes alone.
constexpr u32 SOLO = 8;
// Pairs that a block whose bag is nearly full gives away at a time.
constexpr u32 SPILL = 64;

// What thread 0 knows from step to step.
struct Progress {
    u64 fuel;
    u64 moved;
    bool offered;
    // Nothing is left of the round's bag, of the ring, of the nodes above the highest so far. The cursors have run ahead, by
    // what this block wanted last, once; the plan puts them back.
    bool drained;
    bool ring_drained;
    bool bump_drained;
};

// Thread 0: what the pool takes in or gives back. Whether it got anything.
FFCM_DEVICE bool set_out_pool(Block& block, const Heap& heap, Progress& progress) {
    Order& order = block.order;
    const u32 take = (u32)least(block.pool_take, order.pool_seen);
    const u32 top = (u32)least(block.pool_put, order.pool_taken + POOL);
    const u32 have = top - take;
    const u32 lack = block.pool_lack;
    block.pool_lack = 0;
    // A block alone, often of one thread, need not stop every few interactions.
    const u32 chunk = lack > 0 && fixed(block, GROUPS) == 1 ? CHUNK_MAX : (u32)fixed(block, NODE_CHUNK);
    order.place = top;
    order.given_from = take;
    order.ringed = order.bumped = order.given = 0;
    if (lack > 0 || have * 2 < chunk) {
        const u32 want = (u32)least(lack > chunk ? lack : chunk, POOL - have);
#ifdef MUTANT_RING_UNSEEN
        const u64 seen = word(heap, NODE_TAIL);
#else
        const u64 seen = fixed(block, NODE_SEEN);
#endif
        if (!progress.ring_drained) {
            order.ring_at = add(heap, NODE_HEAD, want);
            order.ringed = (u32)least(want, between(order.ring_at, seen));
            progress.ring_drained = order.ringed < want;
        }
        const u32 rest = want - order.ringed;
        const u64 capacity = fixed(block, NODE_CAPACITY);
        if (rest > 0 && !progress.bump_drained) {
            order.bump_at = add(heap, NODE_BUMP, rest);
            order.bumped = (u32)least(rest, between(order.bump_at, capacity));
            progress.bump_drained = order.bumped < rest;
        }
        if (lack > order.ringed + order.bumped) mark(heap, STALL, STALL_NODES);
    } else if (have > POOL / 4 * 3) {
        order.given = have - POOL / 2;
        order.given_to = add(heap, NODE_TAIL, order.given);
    }
    order.pool_taken = take + order.given;
    order.pool_seen = top + order.ringed + order.bumped;
    block.pool_take = order.pool_taken;
    block.pool_put = order.pool_seen;
    return order.ringed + order.bumped > 0;
}

// Thread 0: sets out the next step. `own` pairs are its own.
FFCM_DEVICE void set_out(Block& block, const Heap& heap, Progress& progress, u32 own) {
    Order& order = block.order;
    const u32 busy = block.alive, held = block.pairs;
    const u32 top = (u32)least(block.bag_top, order.bag_base + LOCAL_BAG);
    const u32 in_bag = top - order.bag_base;
    progress.fuel -= least(block.longest + STEP_COST, progress.fuel);
    const bool has_moved = block.moved > 0;
    progress.moved += block.moved;
    block.alive = block.pairs = block.moved = block.longest = block.ticket = 0;
    // Long before it is used: the load takes a while.
    const u64 groups = fixed(block, GROUPS);
    const u64 finished = groups > 1 && order.step >= EARLIEST ? word(heap, FINISHED) : 0;

    const bool got = set_out_pool(block, heap, progress);
    const u32 idle = blockDim.x - busy;
    order.dealt = (u32)least(idle, in_bag);
    const u64 n = fixed(block, N);
    const u32 over = (u32)least(block.over_top, blockDim.x * LOCAL_NODES * LOCAL_PAIRS);
    order.resumed = (u32)least(idle - order.dealt, over);
    order.over_at = block.over_top = over - order.resumed;
    const u32 want = idle - order.dealt - order.resumed;
    order.intake = 0;
    if (want > 0 && !progress.drained) {
        const u64 at = add(heap, TAKEN, want);
        order.intake = (u32)least(want, between(at, n));
        order.intake_top = n - least(at, n);
        progress.drained = order.intake < want;
    }
    order.spilled = 0;
    // With nodes of its own a block keeps what does not fit beyond its bag.
    if (!LOCAL_NETS && in_bag - order.dealt > LOCAL_BAG / 4 * 3) {
        order.spilled_to = n + add(heap, PUSHED, SPILL);
        order.spilled = (u32)least(SPILL, between(order.spilled_to, fixed(block, PUSH_LIMIT)));
    }
    const u32 pairs = held + in_bag + over + order.intake, dealt = order.dealt + order.resumed + order.intake;
    const bool solo = pairs <= SOLO;
    const bool settled = solo && own + dealt == pairs;
    order.step++;
    order.share = dealt < idle && !solo;
    order.solo = solo;
    order.bag_base += order.spilled;
    order.bag_top = top;
    block.bag_top = top - order.dealt;
    u64 trips = order.share || solo ? 48 : fixed(block, TRIPS);
    // A block among others looks up from time to time, see below.
    if (settled) trips = groups > 1 ? 4 * fixed(block, TRIPS) : progress.fuel;
    order.trips = (u32)least(trips, progress.fuel);
    const bool parched = progress.fuel < 16;

    // A block that begins with many pairs of its own gets something done before it thinks of others.
    const u32 patience = LOCAL_NETS ? 8 : 0;
    const bool hungry = fixed(block, HUNGRY) != 0 && order.step > patience;
    // Most others are through with the round, and wait for this block, whatever it has.
    const bool late = finished * 2 > groups;
    const bool enough = pairs >= 2 * blockDim.x && (hungry || late);
    const bool stuck = !has_moved && !got && dealt == 0 && order.step > 1;
    const bool spent = block.interactions > fixed(block, GAS_LEFT);
    const bool long_enough = order.step > fixed(block, STEPS_MAX) || parched;
    // One more step, for others to get at something.
    order.offer = LOCAL_NETS && enough && !progress.offered;
    progress.offered = enough;
    block.goes = !(pairs == 0 || ((enough || late) && order.offer == 0) || stuck || spent || long_enough);
    if (block.goes == 0) add(heap, FINISHED, 1);
    if (parched && pairs > 0) add(heap, PARCHED, 1);
}

// All threads: takes and gives what the order says.
FFCM_DEVICE void carry_out(Thread& t, Block& block, const Heap& heap) {
    const Order& order = block.order;
    const u64 mask = fixed(block, NODE_MASK);
    for (u32 i = threadIdx.x; i < order.ringed + order.bumped; i += blockDim.x) {
        block.pool[(order.place + i) % POOL] = i < order.ringed ? heap.ring[(order.ring_at + i) & mask]
                                                                : (u32)(order.bump_at + (i - order.ringed));
    }
    for (u32 i = threadIdx.x; i < order.given; i += blockDim.x) {
        heap.ring[(order.given_to + i) & mask] = block.pool[(order.given_from + i) % POOL];
    }
    for (u32 i = threadIdx.x; i < order.spilled; i += blockDim.x) {
        heap.bag[order.spilled_to + i] = block.bag[(order.bag_base - order.spilled + i) % LOCAL_BAG];
    }
    // A thread without work draws one pair; thread 0 alone gets all of a few.
    const u32 resumed = order.dealt + order.resumed, there = resumed + order.intake;
    u32 first = 0, mine = 0;
    if (order.solo != 0) {
        mine = threadIdx.x == 0 ? there : 0;
    } else if (!t.has_current && t.stack_count == 0) {
        first = atomicAdd(&block.ticket, 1u);
        mine = first < there ? 1 : 0;
    }
    for (u32 i = first; i < first + mine; i++) {
        stack_push(t, i < order.dealt ? block.bag[(order.bag_top - 1 - i) % LOCAL_BAG]
                      : i < resumed   ? heap.over[order.over_at + (i - order.dealt)]
                                      : heap.bag[order.intake_top - 1 - (i - resumed)]);
    }
}

// Gives the block the pairs of a thread, the oldest first, all but `keeps` on its stack.
FFCM_DEVICE void give_away(Thread& t, Block& block, u32 keeps) {
    while (t.stack_count > keeps && push_local(t, block, t.stack[t.stack_base % STACK])) {
        t.stack_base++;
        t.stack_count--;
    }
}

FFCM_DEVICE u32 pairs_of(const Thread& t) { return t.stack_count + (t.has_current ? 1 : 0); }

// Moves the nodes of the thread's oldest pairs, half of those that it has, out of the block's memory: after the round others
// may have them. As far as there is memory for it.
FFCM_DEVICE void offer(Thread& t, Block& block, const Heap& heap) {
    u32 count = t.stack_count / 2;
    for (u32 tries = 0; count > 0 && tries < STACK; tries++) {
        Pair& oldest = t.stack[t.stack_base % STACK];
        if (is_local(oldest.a) && is_var(oldest.a)) break;
        if (is_local(oldest.b) && is_var(oldest.b)) break;
        if (is_local_pair(oldest)) {
            if (t.stack_count + 2 > STACK || !leak_one(t, block, heap, oldest)) break;
            continue;
        }
        // The bag of the block goes to everybody.
        if (!push_local(t, block, oldest)) break;
        t.stack_base++;
        t.stack_count--;
        count--;
    }
}

FFCM_DEVICE void take_part(Thread& t, Block& block, const Heap& heap) {
    const Order& order = block.order;
    t.bag_base = order.bag_base;
    t.pool_seen = order.pool_seen;
    t.pool_taken = order.pool_taken;
    t.share = order.share != 0;
    t.enough = order.solo != 0 ? SOLO : STACK + 1;
    t.fired = t.lacks = t.trips_made = 0;
    t.moved = false;
    if (order.solo != 0 && threadIdx.x != 0) {
        // Room: a few pairs are all there are.
        if (t.has_current) stack_push(t, t.current);
        t.has_current = false;
        give_away(t, block, 0);
    } else if (order.offer != 0) {
        offer(t, block, heap);
    } else {
        if (t.share) give_away(t, block, t.has_current ? 0 : 1);
        work(t, block, heap, order.trips);
    }
    if ((t.lacks & ~STALL_NODES) != 0) mark(heap, STALL, t.lacks & ~STALL_NODES);
    if (pairs_of(t) > 0) {
        atomicAdd(&block.alive, 1u);
        atomicAdd(&block.pairs, pairs_of(t));
    }
    if (t.moved) atomicAdd(&block.moved, 1u);
    if (t.fired > 0) atomicAdd(&block.interactions, t.fired);
    atomicMax(&block.longest, t.trips_made);
}

// The i-th pair of a thread that leaves, its own first, then its share of the block's bag; false after the last.
FFCM_DEVICE bool leaving_pair(const Thread& t, const Block& block, u32 in_bag, u32 i, Pair& pair) {
    const u32 own = pairs_of(t);
    if (i < own) {
        pair = i < t.stack_count ? t.stack[(t.stack_base + i) % STACK] : t.current;
        return true;
    }
    const u32 at = threadIdx.x + (i - own) * blockDim.x;
    if (at >= in_bag) return false;
    pair = block.bag[(block.order.bag_base + at) % LOCAL_BAG];
    return true;
}

// Everything goes back to the buffers. Pairs with nodes of the block stay with it, beyond its bag.
FFCM_DEVICE void leave(Thread& t, Block& block, const Heap& heap, const Progress& progress) {
    const Order& order = block.order;
    const u64 mask = fixed(block, NODE_MASK);
    const u32 in_bag = (u32)least(block.bag_top, order.bag_base + LOCAL_BAG) - order.bag_base;
    Pair pair;
    u32 leaves = 0;
    for (u32 i = 0; leaving_pair(t, block, in_bag, i, pair); i++) {
        if (!is_local_pair(pair)) {
            leaves++;
        } else if (!push_over(block, heap, pair)) {
            mark(heap, DAMAGE, DAMAGE_LOCAL_PAIRS);
        }
    }
    const u32 pairs_at = atomicAdd(&block.leaving_pairs, leaves);
    const u32 nodes_at = atomicAdd(&block.leaving_nodes, t.free_count);
    for (u32 op = 0; op < 8; op++) {
        if (t.counts[op] > 0) atomicAdd(&block.counted[op], t.counts[op]);
    }
    __syncthreads();
    const u32 take = (u32)least(block.pool_take, order.pool_seen);
    const u32 in_pool = (u32)least(block.pool_put, order.pool_taken + POOL) - take;
    if (threadIdx.x == 0) {
        block.pairs_to = fixed(block, DUMP_AT) + add(heap, DUMPED, block.leaving_pairs);
        block.nodes_to = add(heap, NODE_TAIL, block.leaving_nodes + in_pool);
        for (u32 op = 0; op < 8; op++) {
            if (block.counted[op] > 0) add(heap, COUNTS + op, block.counted[op]);
        }
        add(heap, MOVED, progress.moved);
        atomicMax(heap.control + STEPS_SEEN, (u64)order.step);
        if (block.over_top > 0) atomicMax(heap.control + KEEPING, (u64)blockIdx.x + 1);
    }
    __syncthreads();
    Pair* pairs_to = heap.bag + block.pairs_to + pairs_at;
    for (u32 i = 0; leaving_pair(t, block, in_bag, i, pair); i++) {
        if (!is_local_pair(pair)) *pairs_to++ = pair;
    }
    for (u32 i = 0; i < t.free_count; i++) heap.ring[(block.nodes_to + nodes_at + i) & mask] = t.nodes[i];
    for (u32 i = threadIdx.x; i < in_pool; i += blockDim.x) {
        heap.ring[(block.nodes_to + block.leaving_nodes + i) & mask] = block.pool[(take + i) % POOL];
    }
}

// What a block keeps from round to round, in global memory: how many pairs, its words of free nodes, its nodes.
struct Image {
    u32* kept;
    u32* unused;
    u64* slots;
};

// The block's nodes as it left them, all threads.
FFCM_DEVICE void load_image(Block& block, const Heap& heap, const Image& image) {
    if (!LOCAL_NETS) return;
    const u32 kept = image.kept[blockIdx.x];
    heap.unused[threadIdx.x] = kept > 0 ? image.unused[(u64)blockIdx.x * blockDim.x + threadIdx.x] : ~0u;
    const u32 slots = kept > 0 ? blockDim.x * LOCAL_NODES * 2 : 0;
    const u64* from = image.slots + (u64)blockIdx.x * slots;
    for (u32 i = threadIdx.x; i < slots; i += blockDim.x) heap.local[i] = from[i];
    if (threadIdx.x == 0) block.over_top = kept;
}

// After a barrier: what the block keeps. Without a pair nobody can ever reach its nodes again.
FFCM_DEVICE void save_image(const Block& block, const Heap& heap, const Image& image) {
    if (!LOCAL_NETS) return;
    const u32 kept = block.over_top;
    if (threadIdx.x == 0) image.kept[blockIdx.x] = kept;
    image.unused[(u64)blockIdx.x * blockDim.x + threadIdx.x] = heap.unused[threadIdx.x];
    const u32 slots = kept > 0 ? blockDim.x * LOCAL_NODES * 2 : 0;
    u64* to = image.slots + (u64)blockIdx.x * slots;
    for (u32 i = threadIdx.x; i < slots; i += blockDim.x) to[i] = heap.local[i];
}

// A block and a thread that have nothing.
FFCM_DEVICE void begin(Thread& t, Block& block, const Heap& heap) {
    for (u32 i = threadIdx.x; i < WORDS; i += blockDim.x) block.words[i] = word(heap, i);
    t.has_current = t.takes_local = false;
    t.stack_base = t.stack_count = t.free_count = t.fired = t.trips_made = 0;
    for (u32 op = 0; op < 8; op++) t.counts[op] = 0;
    if (threadIdx.x == 0) {
        block.order.step = block.order.bag_base = block.order.pool_seen = block.order.pool_taken = 0;
        block.bag_top = block.pool_take = block.pool_put = block.pool_lack = 0;
        block.alive = block.pairs = block.moved = block.interactions = block.longest = 0;
        block.over_top = 0;
        block.leaving_pairs = block.leaving_nodes = 0;
        for (u32 op = 0; op < 8; op++) block.counted[op] = 0;
    }
}

// One block's part of a round.
FFCM_DEVICE void reduce(Block& block, const Heap& heap, const Image& image) {
    Thread t;
    Progress progress = {word(heap, FUEL), 0, false, false, false, false};
    begin(t, block, heap);
    load_image(block, heap, image);
    for (;;) {
        // What was pushed in the last step can be taken in the next.
        __syncthreads();
        if (threadIdx.x == 0) set_out(block, heap, progress, pairs_of(t));
        __syncthreads();
        // What was set out for a step that does not happen is carried out too.
        carry_out(t, block, heap);
        __syncthreads();
        if (block.goes == 0) break;
        take_part(t, block, heap);
    }
    leave(t, block, heap, progress);
    save_image(block, heap, image);
}

// A round of so many blocks, and the plan of the next. Without a block there is only the plan.
FFCM_DEVICE void round_and_plan(Block& block, const Heap& heap, const Image& image, u64 groups) {
    if (blockIdx.x >= most(groups, 1)) return;
    if (groups > 0) reduce(block, heap, image);
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        if (add(heap, TICKET, 1) + 1 == most(groups, 1)) {
            __threadfence();
            plan(heap, blockDim.x, true);
        }
    }
}

// Waits until every block of the grid has come here; all see what was written before.
FFCM_DEVICE void grid_barrier(const Heap& heap, u64 times) {
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        add(heap, BARRIER, 1);
        while (load_acquire(heap.control + BARRIER) < times * gridDim.x) pause_thread();
        __threadfence();
    }
    __syncthreads();
}

// The block's memory: that of the launch is its nodes and the words of free ones.
FFCM_DEVICE Heap heap_of(u64* slots, Pair* bag, u32* ring, u64* control, const u64* book, Pair* over) {
    u64* local = (u64*)dynamic_shared();
    const u32 nodes = blockDim.x * LOCAL_NODES;
    return {slots, bag, ring, control, book, local, (u32*)(local + 2 * nodes),
            over + (u64)blockIdx.x * nodes * LOCAL_PAIRS};
}

}  // namespace ffcm

using namespace ffcm;

// One thread: sets out the first round since the host changed anything.
extern "C" __global__ void __launch_bounds__(32)
    net_plan(u64* slots, Pair* bag, u32* ring, u64* control, const u64* book, u32 threads) {
    const Heap heap = {slots, bag, ring, control, book, nullptr, nullptr, nullptr};
    if (threadIdx.x == 0 && word(heap, STATUS) == STATUS_RUNNING) plan(heap, threads, false);
}

// All threads of the grid: what the plan has set out.
extern "C" __global__ void __launch_bounds__(256)
    net_spread(u64* slots, Pair* bag, u32* ring, u64* control, const u64* book) {
    spread({slots, bag, ring, control, book, nullptr, nullptr, nullptr});
}

// A round, as many of its blocks as the plan says; the last one plans the next.
extern "C" __global__ void __launch_bounds__(256)
    net_round(u64* slots, Pair* bag, u32* ring, u64* control, const u64* book, Pair* over, u32* kept, u32* unused,
              u64* image) {
    __shared__ Block block;
    const Heap heap = heap_of(slots, bag, ring, control, book, over);
    if (word(heap, STATUS) == STATUS_RUNNING) round_and_plan(block, heap, {kept, unused, image}, word(heap, GROUPS));
}

// Many rounds. All blocks are resident at a time. What was planned is read, and spread, between two barriers, when nobody
// plans: so all blocks read the same, and go on or end together.
extern "C" __global__ void __launch_bounds__(256)
    net_persistent(u64* slots, Pair* bag, u32* ring, u64* control, const u64* book, Pair* over, u32* kept, u32* unused,
                   u64* image) {
    __shared__ Block block;
    const Heap heap = heap_of(slots, bag, ring, control, book, over);
    const u64 rounds = word(heap, ROUNDS);
    for (u64 i = 0;; i++) {
        const u64 groups = word(heap, PLANNED);
        const bool goes = word(heap, STATUS) == STATUS_RUNNING && i < rounds;
        spread(heap);
        if (!goes) break;
        grid_barrier(heap, 2 * i + 1);
        round_and_plan(block, heap, {kept, unused, image}, groups);
        grid_barrier(heap, 2 * i + 2);
    }
}
