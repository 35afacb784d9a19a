// The lane functions of nets: @sum. Rendered; do not edit.
// Every argument has this meta word.
const CALL_META: u32 = 805306369u;
// Turns of loops that a segment may take: its own, and those of a division of floats.
const CALL_TURNS: u32 = 1u;

// What a lane function gave.
struct Called {
    tag: u32,     // 0 if the lane stopped: the payload says why
    payload: u32,
    trips: u32,   // segments that it went through
    total: u32,   // interactions
    counts: array<u32, 8>,  // by opcode
}

// A lane has one; what is in it is of no use after a call.
var<private> call_stack: array<u32, 256>;

// How many arguments a definition has that has a lane function; 0 of any other.
fn call_arity(definition: u32) -> u32 {
    var arity = 0u;
    if (definition == 2u) {
        arity = 2u;
    }
    return arity;
}

// Runs a lane function through at most so many segments. The arguments are plain numbers.
fn call_run(definition: u32, arguments: vec4<u32>, trips: u32) -> Called {
    var n_apply = 0u;
    var n_duplicate = 0u;
    var n_succ = 0u;
    var n_switch = 0u;
    var n_collapse = 0u;
    var n_specialize = 0u;
    var tag = 0u;
    var payload = 0u;
    var r0 = arguments[0];
    var r1 = arguments[1];
    var r2 = arguments[2];
    var r3 = arguments[3];
    var top = 0u;
    var next = 0u;
    var trip = 0u;
    for (; trip < trips && next < 5u; trip += 1u) {
        switch (next) {
            case 0u: {
                let v0 = r0;
                let v1 = r1;
                if (v0 == 0u) {
                    n_apply += 3u;
                    n_switch += 1u;
                    n_collapse += 1u;
                    n_specialize += 1u;
                    r0 = v1;
                    if (top == 0u) {
                        next = 5u;
                    } else {
                        top -= 1u;
                        next = call_stack[top];
                    }
                } else {
                    let v2 = v0 - 1u;
                    let v3 = 2u * v1;
                    let v4 = v3 & NUM_NARROW_MASK;
                    let v5 = 2u * v1;
                    let v6 = v5 & NUM_NARROW_MASK;
                    let v7 = 1u + v6;
                    let v8 = v7 & NUM_NARROW_MASK;
                    if (v2 == 0u) {
                        let v9 = v4 + v8;
                        let v10 = v9 & NUM_NARROW_MASK;
                        n_apply += 10u;
                        n_duplicate += 2u;
                        n_succ += 6u;
                        n_switch += 3u;
                        n_collapse += 4u;
                        n_specialize += 4u;
                        r0 = v10;
                        if (top == 0u) {
                            next = 5u;
                        } else {
                            top -= 1u;
                            next = call_stack[top];
                        }
                    } else {
                        let v11 = v2 - 1u;
                        let v12 = 2u * v4;
                        let v13 = v12 & NUM_NARROW_MASK;
                        let v14 = 2u * v4;
                        let v15 = v14 & NUM_NARROW_MASK;
                        let v16 = 1u + v15;
                        let v17 = v16 & NUM_NARROW_MASK;
                        let v18 = 2u * v8;
                        let v19 = v18 & NUM_NARROW_MASK;
                        let v20 = 2u * v8;
                        let v21 = v20 & NUM_NARROW_MASK;
                        let v22 = 1u + v21;
                        let v23 = v22 & NUM_NARROW_MASK;
                        if (top > 251u) {
                            next = 6u;
                            payload = 3u;
                            break;
                        }
                        call_stack[top + 0u] = v11;
                        call_stack[top + 1u] = v17;
                        call_stack[top + 2u] = v19;
                        call_stack[top + 3u] = v23;
                        call_stack[top + 4u] = 1u;
                        top += 5u;
                        n_apply += 12u;
                        n_duplicate += 6u;
                        n_succ += 18u;
                        n_switch += 3u;
                        n_collapse += 6u;
                        n_specialize += 6u;
                        r0 = v11;
                        r1 = v13;
                        next = 0u;
                    }
                }
                break;
            }
            case 1u: {
                let v4 = r0;
                top -= 4u;
                let v0 = call_stack[top + 0u];
                let v1 = call_stack[top + 1u];
                let v2 = call_stack[top + 2u];
                let v3 = call_stack[top + 3u];
                if (top > 251u) {
                    next = 6u;
                    payload = 3u;
                    break;
                }
                call_stack[top + 0u] = v0;
                call_stack[top + 1u] = v2;
                call_stack[top + 2u] = v3;
                call_stack[top + 3u] = v4;
                call_stack[top + 4u] = 2u;
                top += 5u;
                r0 = v0;
                r1 = v1;
                next = 0u;
                break;
            }
            case 2u: {
                let v4 = r0;
                top -= 4u;
                let v0 = call_stack[top + 0u];
                let v1 = call_stack[top + 1u];
                let v2 = call_stack[top + 2u];
                let v3 = call_stack[top + 3u];
                let v5 = v3 + v4;
                let v6 = v5 & NUM_NARROW_MASK;
                if (top > 252u) {
                    next = 6u;
                    payload = 3u;
                    break;
                }
                call_stack[top + 0u] = v0;
                call_stack[top + 1u] = v2;
                call_stack[top + 2u] = v6;
                call_stack[top + 3u] = 3u;
                top += 4u;
                r0 = v0;
                r1 = v1;
                next = 0u;
                break;
            }
            case 3u: {
                let v3 = r0;
                top -= 3u;
                let v0 = call_stack[top + 0u];
                let v1 = call_stack[top + 1u];
                let v2 = call_stack[top + 2u];
                if (top > 253u) {
                    next = 6u;
                    payload = 3u;
                    break;
                }
                call_stack[top + 0u] = v2;
                call_stack[top + 1u] = v3;
                call_stack[top + 2u] = 4u;
                top += 3u;
                r0 = v0;
                r1 = v1;
                next = 0u;
                break;
            }
            case 4u: {
                let v2 = r0;
                top -= 2u;
                let v0 = call_stack[top + 0u];
                let v1 = call_stack[top + 1u];
                let v3 = v1 + v2;
                let v4 = v3 & NUM_NARROW_MASK;
                let v5 = v0 + v4;
                let v6 = v5 & NUM_NARROW_MASK;
                r0 = v6;
                if (top == 0u) {
                    next = 5u;
                } else {
                    top -= 1u;
                    next = call_stack[top];
                }
                break;
            }
            default: {
                break;
            }
        }
    }
    if (next == 5u && definition == 2u) {
        tag = 805306369u;
        payload = r0;
    }
    if (next < 5u) {
        payload = 4u;
    }
    var called = Called();
    called.tag = tag;
    called.payload = payload;
    called.trips = trip;
    called.counts[1] = n_apply;
    called.counts[2] = n_duplicate;
    called.counts[4] = n_succ;
    called.counts[5] = n_switch;
    called.counts[6] = n_collapse;
    called.counts[7] = n_specialize;
    called.total = n_apply + n_duplicate + n_succ + n_switch + n_collapse + n_specialize;
    return called;
}
