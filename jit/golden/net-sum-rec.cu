// The lane functions of nets: @sum. Rendered; do not edit.
// Every argument has this meta word.
constexpr u32 CALL_META = 805306369u;
// Turns of loops that a segment may take: its own, and those of a division of floats.
constexpr u32 CALL_TURNS = 1u;

// What a lane function gave.
struct Called {
    u32 tag;  // 0 if the lane stopped: the payload says why
    u32 payload;
    u32 trips;  // segments that it went through
    u32 total;  // interactions
    u32 counts[8];  // by opcode
};

// How many arguments a definition has that has a lane function; 0 of any other.
FFCM_DEVICE u32 call_arity(u32 definition) {
    u32 arity = 0u;
    if (definition == 2u) {
        arity = 2u;
    }
    return arity;
}

// Runs a lane function through at most so many segments. The arguments are plain numbers.
FFCM_DEVICE Called call_run(u32 definition, const u32* arguments, u32 trips) {
    u32 n_apply = 0u;
    u32 n_duplicate = 0u;
    u32 n_succ = 0u;
    u32 n_switch = 0u;
    u32 n_collapse = 0u;
    u32 n_specialize = 0u;
    u32 tag = 0u;
    u32 payload = 0u;
    u32 r0 = arguments[0];
    u32 r1 = arguments[1];
    u32 r2 = arguments[2];
    u32 r3 = arguments[3];
    u32 call_stack[256];
    u32 top = 0u;
    u32 next = 0u;
    u32 trip = 0u;
    for (; trip < trips && next < 5u; trip += 1u) {
        switch (next) {
            case 0u: {
                const u32 v0 = r0;
                const u32 v1 = r1;
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
                    const u32 v2 = v0 - 1u;
                    const u32 v3 = 2u * v1;
                    const u32 v4 = v3 & NUM_NARROW_MASK;
                    const u32 v5 = 2u * v1;
                    const u32 v6 = v5 & NUM_NARROW_MASK;
                    const u32 v7 = 1u + v6;
                    const u32 v8 = v7 & NUM_NARROW_MASK;
                    if (v2 == 0u) {
                        const u32 v9 = v4 + v8;
                        const u32 v10 = v9 & NUM_NARROW_MASK;
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
                        const u32 v11 = v2 - 1u;
                        const u32 v12 = 2u * v4;
                        const u32 v13 = v12 & NUM_NARROW_MASK;
                        const u32 v14 = 2u * v4;
                        const u32 v15 = v14 & NUM_NARROW_MASK;
                        const u32 v16 = 1u + v15;
                        const u32 v17 = v16 & NUM_NARROW_MASK;
                        const u32 v18 = 2u * v8;
                        const u32 v19 = v18 & NUM_NARROW_MASK;
                        const u32 v20 = 2u * v8;
                        const u32 v21 = v20 & NUM_NARROW_MASK;
                        const u32 v22 = 1u + v21;
                        const u32 v23 = v22 & NUM_NARROW_MASK;
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
                const u32 v4 = r0;
                top -= 4u;
                const u32 v0 = call_stack[top + 0u];
                const u32 v1 = call_stack[top + 1u];
                const u32 v2 = call_stack[top + 2u];
                const u32 v3 = call_stack[top + 3u];
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
                const u32 v4 = r0;
                top -= 4u;
                const u32 v0 = call_stack[top + 0u];
                const u32 v1 = call_stack[top + 1u];
                const u32 v2 = call_stack[top + 2u];
                const u32 v3 = call_stack[top + 3u];
                const u32 v5 = v3 + v4;
                const u32 v6 = v5 & NUM_NARROW_MASK;
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
                const u32 v3 = r0;
                top -= 3u;
                const u32 v0 = call_stack[top + 0u];
                const u32 v1 = call_stack[top + 1u];
                const u32 v2 = call_stack[top + 2u];
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
                const u32 v2 = r0;
                top -= 2u;
                const u32 v0 = call_stack[top + 0u];
                const u32 v1 = call_stack[top + 1u];
                const u32 v3 = v1 + v2;
                const u32 v4 = v3 & NUM_NARROW_MASK;
                const u32 v5 = v0 + v4;
                const u32 v6 = v5 & NUM_NARROW_MASK;
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
    Called called = {};
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
