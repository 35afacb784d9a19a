// Counts the bytes that a kernel reads and writes in nodes, stamps, payloads, the bag, the rings and the book. An
// exchange of a stamp counts its 4 bytes once. Control words and workgroup memory are not counted. It takes the place of
// count_none.wgsl.

// Of this lane in this dispatch: less than 2^32, since a trip of a loop touches less than 256 bytes.
var<private> touched_bytes: u32;

fn touched(bytes: u32) {
    touched_bytes += bytes;
}

// Adds what the lane has touched to the count of the reduction: two words, low and high.
fn flush_touched() {
    let old = atomicAdd(&control[BYTES], touched_bytes);
    atomicAdd(&control[BYTES + 1u], select(0u, 1u, old + touched_bytes < old));
    touched_bytes = 0u;
}
