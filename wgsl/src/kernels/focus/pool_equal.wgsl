// What rounding down gives away of the pool where stakes are equal: two kinds of nodes, so no sum is needed.

@group(0) @binding(0) var<storage, read> control: array<u32>;
@group(0) @binding(1) var<storage, read_write> sums: array<atomic<u32>>;

@compute @workgroup_size(1)
fn main() {
    if (control[DONE] != 0u) {
        return;
    }
    let arrived = vec2<u32>(atomicLoad(&sums[ARRIVED]), atomicLoad(&sums[ARRIVED + 1u]));
    let pool = sub64(MASS, arrived);
    let each = vec2<u32>(control[EACH], control[EACH + 1u]);
    let more = control[MORE];
    let given = add64(
        multiply64(pool_part(pool, add64(each, vec2<u32>(1u, 0u))), more),
        multiply64(pool_part(pool, each), control[NODES] - more),
    );
    atomicStore(&sums[GIVEN], given.x);
    atomicStore(&sums[GIVEN + 1u], given.y);
}
