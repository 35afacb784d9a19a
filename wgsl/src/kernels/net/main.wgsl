// One round of one workgroup: steps between barriers, then everything goes back to the buffers.
//
// Before a step lane 0 sets out the `order`: who gets which pairs, what the pools take in or give back. All lanes carry
// it out, and after a barrier they work. What a lane pushes in a step, to the bag, to a pool, others take in the next.

// What a pool does before a step.
struct Refill {
    // Entries taken from the ring at this cursor, then from above the highest number so far.
    ring_at: u32,
    ringed: u32,
    bump_at: u32,
    bumped: u32,
    // Where they go.
    place: u32,
    // Entries given back: from this place, to this cursor of the ring.
    given: u32,
    given_from: u32,
    given_to: u32,
    // The cursors during the step.
    taken: u32,
    seen: u32,
}

// Written by lane 0 between two barriers, read by all after the second.
struct Order {
    step: u32,
    trips: u32,
    // Some lanes have nothing: pairs go to the bag.
    share: u32,
    // Few pairs are alive: lane 0 takes them all.
    solo: u32,
    // The bag: its oldest entry after `spilled` ones went to everybody, its top before `dealt` ones go to lanes.
    bag_base: u32,
    bag_top: u32,
    spilled: u32,
    spilled_to: u32,
    dealt: u32,
    // Pairs of the round's bag that go to lanes, from below this place downwards.
    intake: u32,
    intake_top: u32,
    pools: array<Refill, 2>,
}

var<workgroup> order: Order;
// 0 when the round is over for this workgroup.
var<workgroup> goes: u32;
// Lanes with work, and 256 times the pairs they have.
var<workgroup> alive: atomic<u32>;
var<workgroup> lanes_moved: atomic<u32>;
var<workgroup> interactions: atomic<u32>;
// Trips of the loop of divisions, of all lanes in this step.
var<workgroup> divisions: atomic<u32>;
// Trips of the lane that made most of them.
var<workgroup> longest: atomic<u32>;
var<workgroup> ticket: atomic<u32>;
var<workgroup> counted: array<atomic<u32>, 8>;
// At the end: pairs, nodes, wires that go back.
var<workgroup> leaving: array<atomic<u32>, 3>;
var<workgroup> leaving_to: array<u32, 3>;

// Known to lane 0.
var<private> fuel: u32;
var<private> moved_ever: u32;

fn word(at: u32) -> u32 {
    return atomicLoad(&control[at]);
}

fn between(head: u32, tail: u32) -> u32 {
    return u32(max(i32(tail - head), 0));
}

// Sets out what the pool of nodes (0) or wires (1) takes in or gives back. Whether it got anything.
fn set_out_pool(which: u32) -> bool {
    let words = which * POOL_WORDS;
    let take = min(atomicLoad(&pool_take[which]), order.pools[which].seen);
    let top = min(atomicLoad(&pool_put[which]), order.pools[which].taken + POOL);
    let have = top - take;
    let lack = atomicExchange(&pool_lack[which], 0u);
    // A workgroup alone, often of one lane, need not stop every few interactions.
    let ample = (lack > 0u) & (word(GROUPS) == 1u);
    let chunk = select(word(NODE_CHUNK + words), CHUNK_MAX, ample);
    var next: Refill;
    next.place = top;
    next.given_from = take;
    if (lack > 0u || have * 2u < chunk) {
        let want = min(max(lack, chunk), POOL - have);
        let seen = word(NODE_SEEN + words);
        if (between(word(NODE_HEAD + words), seen) > 0u) {
            next.ring_at = atomicAdd(&control[NODE_HEAD + words], want);
            next.ringed = min(want, between(next.ring_at, seen));
        }
        let rest = want - next.ringed;
        let capacity = word(NODE_CAPACITY + words);
        if (rest > 0u && word(NODE_BUMP + words) < capacity) {
            next.bump_at = atomicAdd(&control[NODE_BUMP + words], rest);
            next.bumped = min(rest, between(next.bump_at, capacity));
        }
        if (lack > next.ringed + next.bumped) {
            atomicOr(&control[STALL], STALL_NODES << which);
        }
    } else if (have > POOL / 4u * 3u) {
        next.given = have - POOL / 2u;
        next.given_to = atomicAdd(&control[NODE_TAIL + words], next.given);
    }
    next.taken = take + next.given;
    next.seen = top + next.ringed + next.bumped;
    atomicStore(&pool_take[which], next.taken);
    atomicStore(&pool_put[which], next.seen);
    order.pools[which] = next;
    return next.ringed + next.bumped > 0u;
}

// Lane 0: sets out the next step.
fn set_out() {
    let lanes = atomicLoad(&alive);
    let busy = lanes & 255u;
    let top = min(atomicLoad(&local_bag_top), order.bag_base + LOCAL_BAG);
    let in_bag = top - order.bag_base;
    // What the last step cost, when lanes wait for the one that goes on longest: a trip makes one turn of the loop and, where lanes run together and skip what is not
    // theirs, one of the loop of divisions. Lanes that divide at the same time share their turns, so there are no more
    // than the sum, nor more than 9 a trip.
    let made = atomicLoad(&longest);
    let called = called_turns();
    let cost = TRIP_TURNS * made + called + min(9u * (made + called), atomicLoad(&divisions)) + STEP_COST;
    fuel -= min(cost, fuel);
    let has_moved = atomicLoad(&lanes_moved) > 0u;
    moved_ever += atomicLoad(&lanes_moved);
    atomicStore(&alive, 0u);
    atomicStore(&lanes_moved, 0u);
    atomicStore(&divisions, 0u);
    atomicStore(&longest, 0u);
    atomicStore(&ticket, 0u);

    var got = set_out_pool(0u);
    got = set_out_pool(1u) || got;
    let idle = 64u - busy;
    let dealt = min(idle, in_bag);
    let n = word(N);
    let want = idle - dealt;
    var intake = 0u;
    if (want > 0u && word(TAKEN) < n) {
        let at = atomicAdd(&control[TAKEN], want);
        intake = min(want, between(at, n));
        order.intake_top = n - min(at, n);
    }
    // A bag nearly full gives its oldest pairs away.
    var spilled = 0u;
    if (in_bag - dealt > LOCAL_BAG / 4u * 3u) {
        let limit = word(PUSH_LIMIT);
        let at = n + atomicAdd(&control[PUSHED], 64u);
        spilled = min(64u, between(at, limit));
        order.spilled_to = at;
    }
    let pairs = (lanes >> 8u) + in_bag + intake;
    let solo = pairs <= 8u;
    let own = stack_count + select(0u, 1u, lane_mode != IDLE) + dealt + intake;
    let settled = solo && own == pairs;
    order.step += 1u;
    order.share = select(0u, 1u, dealt + intake < idle && !solo);
    order.solo = select(0u, 1u, solo);
    order.spilled = spilled;
    order.bag_base += spilled;
    order.bag_top = top;
    order.dealt = dealt;
    order.intake = intake;
    atomicStore(&local_bag_top, top - dealt);
    let trips = select(select(word(TRIPS), 48u, order.share != 0u || solo), fuel, settled);
    let room = max(fuel, END_COST) - END_COST;
    order.trips = min(trips, room / TRIP_COST);
    set_out_calls(room, solo);
    let parched = order.trips < 16u || is_late_for_calls();

    let starving = word(FINISHED) * 2u > word(GROUPS);
    let enough = pairs >= 128u && (word(HUNGRY) != 0u || (starving && order.step > 8u));
    let stuck = !has_moved && !got && dealt + intake == 0u && order.step > 1u;
    let spent = atomicLoad(&interactions) > min(word(GAS_LEFT), INTERACTIONS_MAX);
    let over = order.step > word(STEPS_MAX) || parched;
    goes = select(1u, 0u, pairs == 0u || enough || stuck || spent || over);
    if (pairs == 0u) { atomicAdd(&control[FINISHED], 1u); }
    if (parched & (pairs > 0u)) { atomicAdd(&control[PARCHED], 1u); }
}

// All lanes: fills the pool of nodes (0) or wires (1), or empties it in part.
fn carry_out_pool(which: u32, lane: u32) {
    let refill = order.pools[which];
    let words = which * POOL_WORDS;
    let ring = word(NODE_RING_BASE + words);
    let mask = word(NODE_MASK + words);
    for (var i = lane; i < refill.ringed + refill.bumped; i += 64u) {
        var free = refill.bump_at + i - refill.ringed;
        if (i < refill.ringed) { free = ring_load(ring + ((refill.ring_at + i) & mask)); }
        let to = (refill.place + i) % POOL;
        if (which == 0u) { local_node_store(to, free); } else { local_wire_store(to, free); }
    }
    for (var i = lane; i < refill.given; i += 64u) {
        let at = (refill.given_from + i) % POOL;
        var free = 0u;
        if (which == 0u) { free = local_node_load(at); } else { free = local_wire_load(at); }
        ring_store(ring + ((refill.given_to + i) & mask), free);
    }
}

// The i-th pair that is dealt in this step.
fn dealt_pair(i: u32) -> vec4<u32> {
    if (i < order.dealt) {
        return local_bag_load((order.bag_top - 1u - i) % LOCAL_BAG);
    }
    return bag_load(order.intake_top - 1u - (i - order.dealt));
}

// All lanes: takes and gives what the order says.
fn carry_out(lane: u32) {
    for (var which = 0u; which < 2u; which++) {
        carry_out_pool(which, lane);
    }
    if (lane < order.spilled) {
        bag_store(order.spilled_to + lane, local_bag_load((order.bag_base - order.spilled + lane) % LOCAL_BAG));
    }
    // A lane without work draws one pair; lane 0 alone gets all of a few.
    var mine_now = 0u;
    var first = 0u;
    if (order.solo != 0u) {
        mine_now = select(0u, order.dealt + order.intake, lane == 0u);
    } else if (lane_mode == IDLE && stack_count == 0u && !is_held) {
        first = atomicAdd(&ticket, 1u);
        mine_now = select(0u, 1u, first < order.dealt + order.intake);
    }
    for (var i = 0u; i < mine_now; i++) {
        stack_push(dealt_pair(first + i));
    }
}

// Gives the workgroup the pairs of a lane, the oldest first, all but `keeps`.
fn give_away(keeps: u32) {
    for (var i = 0u; i < STACK && stack_count > keeps; i++) {
        if (!push_local(stack[stack_base % STACK])) { break; }
        stack_base += 1u;
        stack_count -= 1u;
    }
}

fn take_part(lane: u32) {
    mine = stamp_of(word(ROUND), stamp_group, order.step, lane);
    pool_seen = vec2<u32>(order.pools[0].seen, order.pools[1].seen);
    pool_taken = vec2<u32>(order.pools[0].taken, order.pools[1].taken);
    local_bag_base = order.bag_base;
    fired = 0u;
    division_trips = 0u;
    moved = false;
    lacks = 0u;
    let gathers = order.solo != 0u && lane != 0u;
    stack_enough = select(STACK + 1u, 16u, order.solo != 0u);
    if (order.share != 0u) { give_away(select(0u, 1u, lane_mode == IDLE)); }
    work_and_call(order.trips, order.share != 0u, gathers);
    if (gathers && lane_mode == PAIR) {
        // Room: a few pairs are all there are.
        stack_push(current);
        lane_mode = IDLE;
    }
    if (gathers) { give_away(0u); }
    if (lacks != 0u) { atomicOr(&control[STALL], lacks & (STALL_BAG | STALL_HOST | STALL_EXPAND)); }
    let has = lane_mode != IDLE || stack_count > 0u || is_held;
    let pairs = stack_count + select(0u, 1u, lane_mode != IDLE) + select(0u, 1u, is_held);
    if (has) { atomicAdd(&alive, (pairs << 8u) | 1u); }
    if (moved) { atomicAdd(&lanes_moved, 1u); }
    if (fired > 0u) { atomicAdd(&interactions, fired); }
    atomicMax(&longest, trips_made);
    if (division_trips > 0u) { atomicAdd(&divisions, division_trips); }
}

var<private> stamp_group: u32;

// What a lane and the pools leave, as places among `leaving`: pairs, nodes, wires.
fn count_leaving() -> vec3<u32> {
    let pairs = stack_count + select(0u, 1u, lane_mode == PAIR) + select(0u, 1u, is_held);
    var at = vec3<u32>();
    if (pairs > 0u) { at.x = atomicAdd(&leaving[0], pairs); }
    if (free_node_count > 0u) { at.y = atomicAdd(&leaving[1], free_node_count); }
    if (free_wire_count > 0u) { at.z = atomicAdd(&leaving[2], free_wire_count); }
    for (var op = 1u; op < 8u; op++) {
        if (counts[op] > 0u) { atomicAdd(&counted[op], counts[op]); }
    }
    return at;
}

// Lane 0: room for everything that leaves, and the counters.
fn place_leaving() {
    // After the pairs of the lanes those of the bag, after their free numbers those of the pools.
    let top = min(atomicLoad(&local_bag_top), order.bag_base + LOCAL_BAG);
    let all = atomicLoad(&leaving[0]) + top - order.bag_base;
    leaving_to[0] = word(DUMP_AT) + atomicAdd(&control[DUMPED], all);
    for (var which = 0u; which < 2u; which++) {
        let take = min(atomicLoad(&pool_take[which]), order.pools[which].seen);
        let put = min(atomicLoad(&pool_put[which]), order.pools[which].taken + POOL);
        atomicStore(&pool_take[which], take);
        atomicStore(&pool_put[which], put);
        let free = atomicLoad(&leaving[1u + which]) + put - take;
        leaving_to[1u + which] = atomicAdd(&control[NODE_TAIL + which * POOL_WORDS], free);
    }
    atomicStore(&local_bag_top, top);
    for (var op = 1u; op < 8u; op++) {
        let more = atomicLoad(&counted[op]);
        let old = atomicAdd(&control[COUNTS + op], more);
        if (old + more < old) { atomicAdd(&control[COUNTS + 8u + op], 1u); }
    }
    atomicAdd(&control[MOVED], min(moved_ever, 0xFFFFu));
    atomicMax(&control[STEPS_SEEN], order.step);
}

// A free number goes back to its ring.
fn give_back(which: u32, i: u32, free: u32) {
    let words = which * POOL_WORDS;
    let at = (leaving_to[1u + which] + i) & word(NODE_MASK + words);
    ring_store(word(NODE_RING_BASE + words) + at, free);
}

fn leave(at: vec3<u32>, lane: u32) {
    let to = leaving_to[0];
    var place = to + at.x;
    if (lane_mode == PAIR) {
        bag_store(place, current);
        place += 1u;
    }
    if (is_held) {
        bag_store(place, held);
        place += 1u;
    }
    for (var i = 0u; i < stack_count; i++) {
        bag_store(place + i, stack[(stack_base + i) % STACK]);
    }
    let in_bag = atomicLoad(&local_bag_top) - order.bag_base;
    for (var i = lane; i < in_bag; i += 64u) {
        bag_store(to + atomicLoad(&leaving[0]) + i, local_bag_load((order.bag_base + i) % LOCAL_BAG));
    }
    for (var i = 0u; i < free_node_count; i++) {
        give_back(0u, at.y + i, free_nodes[i]);
    }
    for (var i = 0u; i < free_wire_count; i++) {
        give_back(1u, at.z + i, free_wires[i]);
    }
    for (var which = 0u; which < 2u; which++) {
        let take = atomicLoad(&pool_take[which]);
        let have = atomicLoad(&pool_put[which]) - take;
        for (var i = lane; i < have; i += 64u) {
            var free = 0u;
            if (which == 0u) {
                free = local_node_load((take + i) % POOL);
            } else {
                free = local_wire_load((take + i) % POOL);
            }
            give_back(which, atomicLoad(&leaving[1u + which]) + i, free);
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    stamp_group = group.x;
    fuel = word(FUEL);
    loop {
        // Orders this step's writes before the reads of the next, in the buffers and in the workgroup.
        storageBarrier();
        workgroupBarrier();
        passed_barrier(lane, true);
        if (lane == 0u) { set_out(); }
        if (workgroupUniformLoad(&goes) == 0u) { break; }
        carry_out(lane);
        workgroupBarrier();
        passed_barrier(lane, false);
        take_part(lane);
    }
    // What was set out for a step that does not happen is carried out too.
    carry_out(lane);
    workgroupBarrier();
    passed_barrier(lane, false);
    local_bag_base = order.bag_base;
    pool_seen = vec2<u32>(order.pools[0].seen, order.pools[1].seen);
    pool_taken = vec2<u32>(order.pools[0].taken, order.pools[1].taken);
    // Interactions begun are finished without joining what they left.
    work(END_TRIPS, false, true, true);
    let at = count_leaving();
    workgroupBarrier();
    if (lane == 0u) { place_leaving(); }
    workgroupBarrier();
    passed_barrier(lane, false);
    leave(at, lane);
    leave_called();
    flush_touched();
}
