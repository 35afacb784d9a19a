// Sum of the parts of the pool, rounded down, where stakes differ. 1024 rows to a workgroup.

@group(0) @binding(0) var<storage, read> control: array<u32>;
@group(0) @binding(1) var<storage, read_write> sums: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read> teleport: array<vec2<u32>>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = (group.x + group.y * groups.x) * 1024u + lane;
    let arrived = vec2<u32>(atomicLoad(&sums[ARRIVED]), atomicLoad(&sums[ARRIVED + 1u]));
    let pool = sub64(MASS, arrived);
    var sum = vec2<u32>(0u, 0u);
    for (var step = 0u; step < 4u; step += 1u) {
        let label = first + step * 256u;
        if (label < control[LABELS]) {
            sum = add64(sum, pool_part(pool, teleport[label]));
        }
    }
    let total = reduce(lane, sum, vec2<u32>(0u, 0u)).xy;
    if (lane == 0u && control[DONE] == 0u) {
        accumulate(GIVEN, total);
    }
}
