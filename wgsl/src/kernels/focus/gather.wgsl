// Sums what edges carry into rows. A workgroup takes a slice: 64 segments, each a part of one row, of equal width; the
// slots of a slice are stored lane by lane, so a workgroup reads whole lines. A row of one segment is stored; of a row
// of several, in this part of the graph or others, each segment keeps its last sum and adds the difference, modulo 2^64.
// No order of additions changes the result, and no other lane writes a segment's sum or a row of one segment.

@group(0) @binding(0) var<storage, read> control: array<u32>;
@group(0) @binding(1) var<storage, read> shares: array<u32>;
@group(0) @binding(2) var<storage, read_write> arrived: array<atomic<u32>>;
// First slot and width.
@group(0) @binding(3) var<storage, read> slices: array<vec2<u32>>;
// Row, and SPLIT where it has more segments; 0 for none.
@group(0) @binding(4) var<storage, read> segments: array<u32>;
@group(0) @binding(5) var<storage, read_write> parts: array<vec2<u32>>;
// Label of each slot's source, 0 for an empty slot.
@group(0) @binding(6) var<storage, read> sources: array<u32>;

const SPLIT: u32 = 0x80000000u;

// Whether a source of these slots changed its share in the last iteration.
fn touched(first: u32, end: u32) -> bool {
    let bitmap = control[CHANGED];
    for (var slot = first; slot < end; slot += 64u) {
        let source = sources[slot];
        if (((shares[bitmap + (source >> 5u)] >> (source & 31u)) & 1u) != 0u) {
            return true;
        }
    }
    return false;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let slice = group.x + group.y * groups.x;
    let mode = control[MODE];
    if (control[DONE] != 0u || mode == NOTHING || slice >= arrayLength(&slices)) {
        return;
    }
    let segment = slice * 64u + lane;
    let entry = segments[segment];
    let row = entry & ~SPLIT;
    if (row == 0u) {
        return;
    }
    let first = slices[slice].x + lane;
    let end = slices[slice].x + slices[slice].y * 64u;
    if (mode == FRONTIER && !touched(first, end)) {
        return;
    }
    var sum = vec2<u32>(0u, 0u);
    for (var slot = first; slot < end; slot += 64u) {
        sum = add64(sum, edge_term(slot, shares[sources[slot]]));
    }
    if (entry == row) {
        atomicStore(&arrived[2u * row], sum.x);
        atomicStore(&arrived[2u * row + 1u], sum.y);
        return;
    }
    let change = sub64(sum, parts[segment]);
    parts[segment] = sum;
    let before = atomicAdd(&arrived[2u * row], change.x);
    let carry = select(0u, 1u, before + change.x < before);
    atomicAdd(&arrived[2u * row + 1u], change.y + carry);
}
