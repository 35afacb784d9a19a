// Lane functions, `call_arity` and `call_run`, in place of expansions where a lane reduces a call alone.

// Turns of loops that a function may take: what fuel is overdrawn by at most.
const CALL_FUEL: u32 = 1024u;

// Whether a pair is a call of a definition that has a lane function, its arguments are numbers at hand, and the function has
// come to an end within the gas; `called_link` is then to be joined. Otherwise nothing has happened.
fn run_call(pair: vec4<u32>) -> bool {
    let a_refers = class_of(pair.xy) == CLASS_REF;
    let definition = select(pair.w, pair.y, a_refers);
    var spine = select(pair.xy, pair.zw, a_refers);
    let arity = call_arity(definition);
    var numbers: vec4<u32>;
    var ids: vec4<u32>;
    var wire_ids = vec4<u32>(NONE);
    var ready = arity > 0u;
    for (var i = 0u; (i < arity) & ready; i += 1u) {
        ready = class_of(spine) == CLASS_CON;
        if ready {
            let body = nodes[slot(params.nodes, spine.y)];
            var number = body.xy;
            if class_of(number) == CLASS_VAR {
                wire_ids[i] = number.y;
                number = wires[slot(params.wires, number.y)];
            }
            ready = number.x == CALL_META;
            numbers[i] = number.y;
            ids[i] = spine.y;
            spine = body.zw;
        }
    }
    if ready {
        let called = call_run(definition, numbers, CALL_FUEL / CALL_TURNS);
        fuel -= i32(called.trips * CALL_TURNS);
        ready = (called.tag != 0u) & ((gas.y != 0u) | (called.total <= gas.x));
        if ready {
            for (var i = 0u; i < arity; i += 1u) {
                give_node(ids[i]);
                if wire_ids[i] != NONE {
                    give_wire(wire_ids[i]);
                }
            }
            called_link = vec4<u32>(called.tag, called.payload, spine);
            called_total = called.total;
            for (var op = OP_APPLY; op <= OP_SPECIALIZE; op += 1u) {
                made[op] += called.counts[op];
            }
        }
    }
    return ready;
}
