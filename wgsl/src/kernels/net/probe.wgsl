// How many trips of loops one invocation really makes: some drivers stop all loops of an invocation at a fixed sum.
// data: trips of the outer loop, of the inner loop; then what was made of both.

@group(0) @binding(0) var<storage, read_write> data: array<u32>;

@compute @workgroup_size(1)
fn main() {
    var made = 0u;
    var mixed = 1u;
    for (var i = 0u; i < data[0]; i++) {
        for (var j = 0u; j < data[1]; j++) {
            made += 1u;
            mixed = (mixed ^ j) * 1664525u + data[2];
        }
    }
    data[2] = made;
    data[3] = mixed;
}
