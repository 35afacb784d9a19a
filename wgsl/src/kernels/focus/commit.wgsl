// Makes the last y of a warm run the mass: some nodes have waited, so the mass has become another vector. 1024 labels to a
// workgroup. The run is over, so `arrived` is still what arrived from the mass as it was before.

@group(0) @binding(1) var<storage, read> arrived: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> mass: array<vec2<u32>>;
// Node of each label.
@group(0) @binding(3) var<storage, read> order: array<u32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * 1024u + lane;
    let pool = vec2<u32>(control[POOL], control[POOL + 1u]);
    for (var step = 0u; step < 4u; step += 1u) {
        let label = first + step * 256u;
        if (label > 0u && label < control[LABELS]) {
            let node = order[label];
            let part = pool_part(pool, teleport_of(label, node));
            let unit = vec2<u32>(select(0u, 1u, node < control[LEFT]), 0u);
            mass[label] = add64(add64(arrived[label], part), unit);
        }
    }
}
