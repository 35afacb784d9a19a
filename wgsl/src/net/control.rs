//! The words that the host and the kernels of the parallel engine exchange, and the sizes they agree on.

use std::fmt::Write;

/// Makes a constant of each name, its index, and a list of all of them for WGSL.
macro_rules! constants {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$doc])* pub(super) const $name: u32 = $value;)*
        const ALL: &[(&str, u32)] = &[$((stringify!($name), $name)),*];
    };
}

constants! {
    // What the reduction is at.
    STATUS = 0;
    STATUS_RUNNING = 0;
    STATUS_EMPTY = 1;
    STATUS_OUT_OF_GAS = 2;
    STATUS_STALLED = 3;
    // The round, its width, and that of the last round with any.
    ROUND = 1;
    GROUPS = 2;
    GROUPS_RAN = 3;
    GROUPS_MAX = 4;
    // Workgroups that ran out of pairs, lanes that did something, whether more workgroups could take part.
    FINISHED = 5;
    MOVED = 6;
    HUNGRY = 7;
    // Most trips of a lane in a step, most steps in a round, turns of all loops of a lane in a dispatch.
    TRIPS = 8;
    STEPS_MAX = 9;
    FUEL = 10;
    STEPS_SEEN = 11;
    // The bag, see plan.wgsl.
    N = 12;
    TAKEN = 13;
    PUSHED = 14;
    PUSH_LIMIT = 15;
    DUMPED = 16;
    DUMP_AT = 17;
    BAG_CAPACITY = 18;
    // What `spread` moves.
    MOVES = 19;
    MOVE_HOLE = 20;
    MOVE_PUSHED_AT = 21;
    MOVE_PUSHED = 22;
    MOVE_DUMPED_AT = 23;
    MOVE_GROUPS = 24;
    // What there was not enough of.
    STALL = 25;
    STALL_NODES = 1;
    STALL_WIRES = 2;
    STALL_BAG = 4;
    STALL_HOST = 8;
    STALL_EXPAND = 16;
    // Definitions that wait for room, and those that have it.
    EXPAND_WAITING = 26;
    EXPAND_PLACED = 27;
    // Arithmetic steps that wait for the host.
    HOST_WAITING = 28;
    // Two words each: the limit; what is left of it in one word.
    GAS = 29;
    GAS_LEFT = 31;
    // Free nodes: cursors of their ring, its mask, numbers handed out so far, their limit, what a pool takes at a time.
    NODE_HEAD = 32;
    NODE_SEEN = 33;
    NODE_TAIL = 34;
    NODE_MASK = 35;
    NODE_BUMP = 36;
    NODE_CAPACITY = 37;
    NODE_CHUNK = 38;
    NODE_RING_BASE = 39;
    // Free wires, in the same order.
    POOL_WORDS = 8;
    WIRE_HEAD = NODE_HEAD + POOL_WORDS;
    WIRE_SEEN = NODE_SEEN + POOL_WORDS;
    WIRE_TAIL = NODE_TAIL + POOL_WORDS;
    WIRE_MASK = NODE_MASK + POOL_WORDS;
    WIRE_BUMP = NODE_BUMP + POOL_WORDS;
    WIRE_CAPACITY = NODE_CAPACITY + POOL_WORDS;
    WIRE_CHUNK = NODE_CHUNK + POOL_WORDS;
    WIRE_RING_BASE = NODE_RING_BASE + POOL_WORDS;
    // Interactions by opcode: eight low words, eight high words.
    COUNTS = 48;
    // Accesses that nothing orders, in the build that looks for them: in place of links, which are not counted.
    RACES = COUNTS;
    // Most pairs that were alive at once, between rounds.
    PAIRS_PEAK = 64;
    // Workgroups that stopped because their fuel was spent.
    PARCHED = 65;
    // Bytes accessed, in the build that counts them: low word, high word.
    BYTES = 66;
    // Lane functions that ran, and those that stopped, in the build that has them.
    CALLS_DONE = 68;
    CALLS_LEFT = 69;
    // Most segments of a lane function.
    CALL_TRIPS = 70;
    /// Words of the control buffer that the host reads after every batch.
    WORDS = 71;

    // Arithmetic for the host: number, operand, result.
    HOST_LIST = WORDS;
    HOST_MAX = 64;
    HOST_ENTRY = 6;
    // Large definitions: which, what it meets (two words), then its room.
    EXPAND_LIST = HOST_LIST + HOST_MAX * HOST_ENTRY;
    EXPAND_MAX = 32;
    EXPAND_OTHER = 1;
    EXPAND_GIVEN = 3;
    EXPAND_NODE_RING = 3;
    EXPAND_NODE_RINGED = 4;
    EXPAND_NODE_BUMP = 5;
    EXPAND_WIRE_RING = 6;
    EXPAND_WIRE_RINGED = 7;
    EXPAND_WIRE_BUMP = 8;
    EXPAND_BAG = 9;
    EXPAND_ENTRY = 10;
    EXPAND_GROUPS = 64;
    /// Words of the whole control buffer.
    CONTROL_WORDS = EXPAND_LIST + EXPAND_MAX * EXPAND_ENTRY;

    // Pairs of a workgroup, its free nodes and wires, pairs of a lane: powers of two.
    LOCAL_BAG = 256;
    POOL = 512;
    STACK = 32;
    // Free nodes and wires of a lane; those it keeps for itself; largest definition that it expands alone.
    FREE = 68;
    KEEP = 16;
    SMALL = 64;
    CHUNK_MAX = 256;
    // Most pairs that a workgroup leaves at the end of a round.
    SLACK = 64 * (STACK + 2) + LOCAL_BAG;
    // Turns of loops beside the trips, in a step and at the end of a round; trips at the end.
    STEP_COST = 100;
    END_TRIPS = 128;
    END_COST = 1200;
    // A workgroup ends its round after so many interactions, so that its counters fit a word: a step adds no more than lane
    // functions of all lanes may count.
    INTERACTIONS_MAX = 1 << 30;
}

const _: () = assert!(SMALL + STACK + 8 < END_TRIPS && HOST_MAX < SLACK);

/// The constants as WGSL.
pub(super) fn wgsl() -> String {
    let mut text = String::from("// Shared with the host.\n");
    for (name, value) in ALL {
        writeln!(text, "const {name}: u32 = {value}u;").expect("writing to a string cannot fail");
    }
    text
}
