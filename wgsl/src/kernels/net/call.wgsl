// Calls of definitions that have lane functions: `call_arity`, `call_run`.
//
// Where all arguments are numbers at hand a lane runs the function in registers, and the number that comes out is joined with
// what waits for it. So the nodes and wires of the expansion are never made. A function that stops without an answer
// has done nothing, and the definition is expanded. The lanes of a workgroup come together to run theirs: each works until it
// has a call that is ready, or has nothing more to do in this step.

// A trip looks at up to four arguments in a loop.
const TRIP_TURNS: u32 = 6u;
// Turns that are set aside for a trip: its own, those of a division, and as many for lane functions.
const TRIP_COST: u32 = 30u;
// Times that lanes come together in a step.
const CALL_PHASES: u32 = 4u;
const NO_WIRE: u32 = 0xffffffffu;

// Of the call that is ready: its arguments, the nodes that hold them, the wires that they came through, what the result goes to.
var<private> call_numbers: vec4<u32>;
var<private> call_nodes: vec4<u32>;
var<private> call_wires: vec4<u32>;
var<private> call_out: vec2<u32>;
// The function of the pair at hand has stopped without an answer.
var<private> call_stopped: bool;
// Segments in this step; functions run and stopped in this round.
var<private> call_turns: u32;
var<private> calls_done: u32;
var<private> calls_left: u32;

// For a step: most segments of a function, of all functions of a lane, and most functions of a lane.
var<workgroup> call_trips: u32;
var<workgroup> call_trips_all: u32;
var<workgroup> call_phases: u32;
// Segments of all lanes, and the longest function.
var<workgroup> called_all: atomic<u32>;
var<workgroup> called_longest: atomic<u32>;

fn calls_definition(term: vec2<u32>, meets: vec2<u32>) -> bool {
    return class_of(term) == CLASS_REF && class_of(meets) == CLASS_CON && call_arity(offset_of(term)) > 0u;
}

// Whether a pair is a call of a definition that has a lane function. Others go first: they may bring its arguments.
fn is_call(pair: vec4<u32>) -> bool {
    return calls_definition(pair.xy, pair.zw) || calls_definition(pair.zw, pair.xy);
}

// Whether `current` is such a call, of this definition, and its arguments are at hand. Nothing but looks at them: this lane
// holds the other end of a wire that it looks at, see `follow_link`.
fn is_ready(definition: u32, meets: vec2<u32>) -> bool {
    let arity = select(call_arity(definition), 0u, call_stopped);
    var ready = arity > 0u;
    var spine = meets;
    for (var i = 0u; i < arity && ready; i += 1u) {
        ready = class_of(spine) == CLASS_CON;
        if (ready) {
            let node = offset_of(spine);
            let body = node_load(node);
            var number = body.xy;
            var wire = NO_WIRE;
            if (class_of(number) == CLASS_VAR) {
                touched(4u);
                let there = atomicLoad(&stamps[offset_of(number)]);
                if (there != 0u && visible(there, mine) == SEEN) {
                    wire = offset_of(number);
                    number = payload_load(wire);
                }
            }
            ready = number.x == CALL_META;
            call_numbers[i] = number.y;
            call_nodes[i] = node;
            call_wires[i] = wire;
            spine = body.zw;
        }
    }
    call_out = spine;
    return ready;
}

// Lane 0: how much of the step's room goes to functions; half of it.
fn set_out_calls(room: u32, solo: bool) {
    let turns = room / (2u * CALL_TURNS);
    call_phases = select(CALL_PHASES, turns, solo);
    call_trips = min(word(CALL_TRIPS), select(turns / CALL_PHASES, turns, solo));
    call_trips_all = select(call_trips * CALL_PHASES, turns, solo);
}

// Lane 0: turns that the functions of the last step took. Lanes that come together share them.
fn called_turns() -> u32 {
    let turns = min(atomicLoad(&called_all), max(CALL_PHASES, call_phases) * atomicLoad(&called_longest));
    atomicStore(&called_all, 0u);
    atomicStore(&called_longest, 0u);
    return turns;
}

// Lane 0: whether what is left of the round is not worth a function. In its first steps it is, however little there is.
fn is_late_for_calls() -> bool {
    return order.step > 4u && call_trips < word(CALL_TRIPS) / 4u;
}

// Runs the function of the call that is ready.
fn run_call() {
    let definition = offset_of(select(current.zw, current.xy, class_of(current.xy) == CLASS_REF));
    let called = call_run(definition, call_numbers, min(call_trips, call_trips_all - call_turns));
    call_turns += called.trips;
    atomicMax(&called_longest, called.trips);
    call_stopped = called.tag == 0u;
    lane_mode = PAIR;
    if (call_stopped) {
        calls_left += 1u;
    } else {
        let arity = call_arity(definition);
        for (var i = 0u; i < arity; i += 1u) {
            free_node(call_nodes[i]);
            if (call_wires[i] != NO_WIRE) { free_wire(call_wires[i]); }
        }
        begin_links(1u);
        link = vec4<u32>(called.tag, called.payload, call_out);
        link_open = true;
        for (var op = 1u; op < 8u; op++) { counts[op] += called.counts[op]; }
        fired += called.total;
        moved = true;
        calls_done += 1u;
    }
}

// A step of a lane: at most `trips` moves, and lane functions in between.
fn work_and_call(trips: u32, share: bool, only_links: bool) {
    var made = 0u;
    var goes_on = true;
    call_turns = 0u;
    for (var phase = 0u; phase < call_phases && goes_on; phase++) {
        work(trips - made, share, only_links, false);
        made += trips_made;
        goes_on = lane_mode == CALL;
        if (goes_on) { run_call(); }
        goes_on = goes_on && made < trips && call_turns + call_trips <= call_trips_all;
    }
    trips_made = made;
    if (call_turns > 0u) { atomicAdd(&called_all, call_turns); }
}

// At the end of a round.
fn leave_called() {
    if (calls_done > 0u) { atomicAdd(&control[CALLS_DONE], calls_done); }
    if (calls_left > 0u) { atomicAdd(&control[CALLS_LEFT], calls_left); }
}
