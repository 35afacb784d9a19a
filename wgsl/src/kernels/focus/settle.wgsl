// Makes what arrived and its pool the new mass: y, its distance to x, who takes part, the new shares and which of them
// changed. 1024 labels to a workgroup, each written by one lane.

@group(0) @binding(1) var<storage, read_write> sums: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read> arrived: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> mass: array<vec2<u32>>;
// Ratio; scale in bits 0 to 5, out-degree above (as many as fit).
@group(0) @binding(5) var<storage, read> ratios: array<vec2<u32>>;
// Node of each label.
@group(0) @binding(6) var<storage, read> order: array<u32>;
// Shares, then the bitmap of those that changed.
@group(0) @binding(7) var<storage, read_write> shares: array<u32>;

var<workgroup> changed: array<atomic<u32>, 32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let piece = group.x + group.y * groups.x;
    let labels = select(control[LABELS], 0u, control[DONE] != 0u);
    let pool = sub64(MASS, vec2<u32>(atomicLoad(&sums[ARRIVED]), atomicLoad(&sums[ARRIVED + 1u])));
    let given = vec2<u32>(atomicLoad(&sums[GIVEN]), atomicLoad(&sums[GIVEN + 1u]));
    // Fewer units than nodes; `finish` checks that.
    let left = sub64(pool, given).x;
    var residual = vec2<u32>(0u, 0u);
    var changes = vec2<u32>(0u, 0u);
    // All take part in the start.
    let starts = control[START] != 0u;
    let threshold = select(vec2<u32>(control[THRESHOLD], control[THRESHOLD + 1u]), vec2<u32>(0u, 0u), starts);
    var waiting = vec2<u32>(0u, 0u);
    for (var step = 0u; step < 4u; step += 1u) {
        let label = piece * 1024u + step * 256u + lane;
        if (label > 0u && label < labels) {
            let node = order[label];
            let part = pool_part(pool, teleport_of(label, node));
            let unit = vec2<u32>(select(0u, 1u, node < left), 0u);
            let y = add64(add64(arrived[label], part), unit);
            let x = mass[label];
            let moved = select(sub64(y, x), sub64(x, y), less64(y, x));
            residual = add64(residual, moved);
            let ratio = ratios[label];
            // At most the residual that the threshold comes from.
            let waits = !less64(multiply64(threshold, ratio.y >> 6u), moved);
            if (waits) {
                waiting = add64(waiting, sub64(y, x));
            }
            let next = select(y, x, waits);
            mass[label] = next;
            let share = packed_share(next, control[DAMPING], ratio.x, ratio.y & 63u);
            if (share != shares[label]) {
                shares[label] = share;
                changes = add64(changes, vec2<u32>(ratio.y >> 6u, 0u));
                atomicOr(&changed[step * 8u + (lane >> 5u)], 1u << (lane & 31u));
            }
        }
    }
    let totals = reduce(lane, residual, changes);
    if (lane == 0u && labels > 0u) {
        accumulate(RESIDUAL, totals.xy);
        accumulate(CHANGES, totals.zw);
    }
    if (any(threshold != vec2<u32>(0u, 0u))) {
        // Lane 0 may still be reading the sums before.
        workgroupBarrier();
        let waits = reduce(lane, waiting, vec2<u32>(0u, 0u)).xy;
        if (lane == 0u && labels > 0u) {
            accumulate(WAITS, waits);
        }
    }
    if (lane < 32u && piece * 1024u < labels) {
        shares[control[CHANGED] + piece * 32u + lane] = atomicLoad(&changed[lane]);
    }
}
