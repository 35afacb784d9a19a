// The rewrite rules: what one interaction makes of two terms and the nodes they point to.
//
// Everything here is a function of values in registers. Taking nodes out of a heap, storing new ones and joining terms
// are the business of the kernel that includes this text, and so is SPECIALIZE, the expansion of a definition.
// The text comes after `rules.wgsl` and `number.wgsl`.
//
// A term is `vec2<u32>(w0, w1)`, a pair of terms or the body of a node is a `vec4<u32>` of two terms.

fn class_of(term: vec2<u32>) -> u32 {
    return (term.x >> CLASS_SHIFT) & CLASS_MASK;
}

fn label_of(term: vec2<u32>) -> u32 {
    return (term.x >> LABEL_SHIFT) & LABEL_MASK;
}

fn offset_of(term: vec2<u32>) -> u32 {
    return term.y & OFFSET_MASK;
}

// Whether a term of this class points to a binary node of the heap.
fn is_node_class(kind: u32) -> bool {
    return kind >= CLASS_CON;
}

const TERM_ERA: vec2<u32> = vec2<u32>((CLASS_ERA << CLASS_SHIFT) | (VARIANT_PLAIN << VARIANT_SHIFT), 0u);

fn var_term(wire: u32) -> vec2<u32> {
    return vec2<u32>((CLASS_VAR << CLASS_SHIFT) | (VARIANT_WIRE << VARIANT_SHIFT), wire);
}

fn node_term(kind: u32, label: u32, node: u32) -> vec2<u32> {
    return vec2<u32>((kind << CLASS_SHIFT) | (VARIANT_PLAIN << VARIANT_SHIFT) | (label << LABEL_SHIFT), node);
}

// The opcode for two meeting terms, in either order.
fn opcode(a: vec2<u32>, b: vec2<u32>) -> u32 {
    let rule = RULES[class_of(a) * 8u + class_of(b)];
    // A rule holds at most one of the two flags.
    let reference = select(b, a, class_of(a) == CLASS_REF);
    let copyable = ((reference.x >> VARIANT_SHIFT) & VARIANT_MASK) == VARIANT_COPYABLE;
    let by_label = ((rule & RULE_BY_LABEL) != 0u) & (label_of(a) == label_of(b));
    let by_copyable = ((rule & RULE_BY_COPYABLE) != 0u) & copyable;
    return select(rule & RULE_OPCODE_MASK, OP_DUPLICATE, by_label | by_copyable);
}

// Wires that an interaction makes, at most.
fn need_wires(op: u32) -> u32 {
    return select(0u, 4u, op == OP_DISTRIBUTE);
}

// What an interaction leaves. The two nodes it consumed, if any, are free once their bodies have been read.
struct Fired {
    // The pairs to join are `links[i]`, i < `link_count`.
    link_count: u32,
    // Node `nodes[i]` of the arguments gets `bodies[i]`, i < `body_count`. The others are not used. DISTRIBUTE uses all
    // four wires of the arguments, both ends of each; no other opcode uses any.
    body_count: u32,
    // The arithmetic is not within this kernel's power. Nothing else is set, and nothing has happened.
    needs_host: bool,
    links: array<vec4<u32>, 4>,
    bodies: array<vec4<u32>, 4>,
}

// Fires the interaction `op == opcode(a, b)`, neither OP_LINK nor OP_SPECIALIZE. `body_a` and `body_b` are the bodies
// of the nodes that a and b point to; they are not looked at where a term points to none.
fn fire(
    op: u32,
    a_given: vec2<u32>,
    b_given: vec2<u32>,
    body_a_given: vec4<u32>,
    body_b_given: vec4<u32>,
    nodes: vec4<u32>,
    wires: vec4<u32>,
) -> Fired {
    // The rules have the node of a mixed pair second.
    let swap = class_of(a_given) > class_of(b_given);
    let a = select(a_given, b_given, swap);
    let b = select(b_given, a_given, swap);
    let body_a = select(body_a_given, body_b_given, swap);
    let body_b = select(body_b_given, body_a_given, swap);
    var out: Fired;
    switch op {
        case OP_APPLY, OP_DUPLICATE: {
            // (a1 a2) ~ (b1 b2): a1 ~ b1, a2 ~ b2. An atom goes to both ports.
            let of_a = select(vec4<u32>(a, a), body_a, is_node_class(class_of(a)));
            out.link_count = 2u;
            out.links[0] = vec4<u32>(of_a.xy, body_b.xy);
            out.links[1] = vec4<u32>(of_a.zw, body_b.zw);
        }
        case OP_DISTRIBUTE: {
            // (a1 a2) ~ {b1 b2}: two nodes of each kind pass through each other.
            let x = var_term(wires.x);
            let y = var_term(wires.y);
            let z = var_term(wires.z);
            let w = var_term(wires.w);
            out.body_count = 4u;
            out.bodies[0] = vec4<u32>(x, y);
            out.bodies[1] = vec4<u32>(z, w);
            out.bodies[2] = vec4<u32>(x, z);
            out.bodies[3] = vec4<u32>(y, w);
            out.link_count = 4u;
            out.links[0] = vec4<u32>(node_term(class_of(b), label_of(b), nodes.x), body_a.xy);
            out.links[1] = vec4<u32>(node_term(class_of(b), label_of(b), nodes.y), body_a.zw);
            out.links[2] = vec4<u32>(node_term(class_of(a), label_of(a), nodes.z), body_b.xy);
            out.links[3] = vec4<u32>(node_term(class_of(a), label_of(a), nodes.w), body_b.zw);
        }
        case OP_SUCC: {
            // n ~ $(m r): the step n m goes to r. While the slot itself holds no number, n takes its place and the node
            // waits for what comes out of the slot; a wire is no number, whatever waits in its cell.
            out.link_count = 1u;
            if class_of(body_b.xy) == CLASS_NUM {
                let step = operate(a, body_b.xy);
                out.needs_host = step.x == 0u;
                out.link_count = select(1u, 0u, out.needs_host);
                out.links[0] = vec4<u32>(step, body_b.zw);
            } else {
                out.body_count = 1u;
                out.bodies[0] = vec4<u32>(a, body_b.zw);
                out.links[0] = vec4<u32>(body_b.xy, node_term(CLASS_OPR, 0u, nodes.x));
            }
        }
        case OP_SWITCH: {
            // 0 ~ ?(b r): b ~ (r *). n ~ ?(b r): b ~ (* (n-1 r)).
            let before = predecessor(a);
            let is_zero = before.x == 0u;
            out.body_count = select(2u, 1u, is_zero);
            out.bodies[0] = select(
                vec4<u32>(TERM_ERA, node_term(CLASS_CON, 0u, nodes.y)),
                vec4<u32>(body_b.zw, TERM_ERA),
                is_zero,
            );
            out.bodies[1] = vec4<u32>(before, body_b.zw);
            out.link_count = 1u;
            out.links[0] = vec4<u32>(node_term(CLASS_CON, 0u, nodes.x), body_b.xy);
        }
        default: {
            // COLLAPSE: both vanish, the ports of a node are erased. The table has no such pair of two nodes.
            out.link_count = select(0u, 2u, is_node_class(class_of(b)));
            out.links[0] = vec4<u32>(TERM_ERA, body_b.xy);
            out.links[1] = vec4<u32>(TERM_ERA, body_b.zw);
        }
    }
    return out;
}
