// The lane functions of nets: @countdown, @countdown_next, @fork. Rendered; do not edit.
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
    if (definition == 1u) {
        arity = 1u;
    }
    if (definition == 2u) {
        arity = 1u;
    }
    if (definition == 4u) {
        arity = 1u;
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
    if (definition == 2u) {
        next = 1u;
    }
    if (definition == 4u) {
        next = 2u;
    }
    u32 trip = 0u;
    for (; trip < trips && next < 6u; trip += 1u) {
        switch (next) {
            case 0u: {
                const u32 v0 = r0;
                if (v0 == 0u) {
                    n_apply += 2u;
                    n_switch += 1u;
                    n_collapse += 1u;
                    n_specialize += 1u;
                    if (top == 0u) {
                        next = 6u;
                    } else {
                        top -= 1u;
                        next = call_stack[top];
                    }
                } else {
                    const u32 v1 = v0 - 1u;
                    n_apply += 2u;
                    n_switch += 1u;
                    n_collapse += 1u;
                    n_specialize += 2u;
                    r0 = v1;
                    next = 0u;
                }
                break;
            }
            case 1u: {
                const u32 v0 = r0;
                if (v0 == 0u) {
                    n_apply += 2u;
                    n_switch += 1u;
                    n_collapse += 1u;
                    n_specialize += 2u;
                    if (top == 0u) {
                        next = 6u;
                    } else {
                        top -= 1u;
                        next = call_stack[top];
                    }
                } else {
                    const u32 v1 = v0 - 1u;
                    n_apply += 2u;
                    n_switch += 1u;
                    n_collapse += 1u;
                    n_specialize += 2u;
                    r0 = v1;
                    next = 1u;
                }
                break;
            }
            case 2u: {
                const u32 v0 = r0;
                if (v0 == 0u) {
                    n_apply += 2u;
                    n_switch += 1u;
                    n_collapse += 1u;
                    n_specialize += 1u;
                    if (top == 0u) {
                        next = 6u;
                    } else {
                        top -= 1u;
                        next = call_stack[top];
                    }
                } else {
                    const u32 v1 = v0 - 1u;
                    if (v1 == 0u) {
                        if (top > 255u) {
                            next = 7u;
                            payload = 3u;
                            break;
                        }
                        call_stack[top + 0u] = 3u;
                        top += 1u;
                        n_apply += 7u;
                        n_duplicate += 1u;
                        n_succ += 1u;
                        n_switch += 3u;
                        n_collapse += 3u;
                        n_specialize += 6u;
                        r0 = 500u;
                        next = 5u;
                    } else {
                        const u32 v2 = v1 - 1u;
                        if (top > 254u) {
                            next = 7u;
                            payload = 3u;
                            break;
                        }
                        call_stack[top + 0u] = v2;
                        call_stack[top + 1u] = 4u;
                        top += 2u;
                        n_apply += 9u;
                        n_duplicate += 3u;
                        n_succ += 9u;
                        n_switch += 3u;
                        n_collapse += 3u;
                        n_specialize += 6u;
                        r0 = v2;
                        next = 2u;
                    }
                }
                break;
            }
            case 3u: {
                next = 7u;
                payload = 1u;
                break;
            }
            case 4u: {
                top -= 1u;
                const u32 v0 = call_stack[top + 0u];
                next = 7u;
                payload = 2u;
                break;
            }
            case 5u: {
                const u32 v0 = r0;
                if (v0 == 0u) {
                    n_apply += 2u;
                    n_switch += 1u;
                    n_collapse += 1u;
                    n_specialize += 1u;
                    if (top == 0u) {
                        next = 6u;
                    } else {
                        top -= 1u;
                        next = call_stack[top];
                    }
                } else {
                    const u32 v1 = v0 - 1u;
                    n_apply += 2u;
                    n_switch += 1u;
                    n_collapse += 1u;
                    n_specialize += 2u;
                    r0 = v1;
                    next = 5u;
                }
                break;
            }
            default: {
                break;
            }
        }
    }
    if (next == 6u && definition == 1u) {
        tag = 805306369u;
        payload = 0u;
    }
    if (next == 6u && definition == 2u) {
        tag = 805306369u;
        payload = 0u;
    }
    if (next == 6u && definition == 4u) {
        tag = 335544320u;
        payload = 6u;
    }
    if (next < 6u) {
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
