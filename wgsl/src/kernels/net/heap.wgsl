// The buffers of the reducer, and the shape of its workgroup memory.
//
// A node is a vec4 of two terms. A wire has a cell of two parts: a stamp, which is 0 until the first of its two ends
// arrives, and a payload, the term that the first end left. Free wires have stamp 0.
// `rings` holds two rings of free numbers, of nodes from 0 and of wires from WIRE_RING_BASE; each is twice as long as the
// capacity it serves. `bag` holds pairs to join or to fire.

@group(0) @binding(0) var<storage, read_write> nodes: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> stamps: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read_write> payloads: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> bag: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> rings: array<u32>;
@group(0) @binding(5) var<storage, read_write> control: array<atomic<u32>>;
@group(0) @binding(6) var<storage, read> book: array<vec4<u32>>;

// Nobody writes the book.
fn book_load(at: u32) -> vec4<u32> {
    touched(16u);
    return book[at];
}

// Pairs of a workgroup, a ring of which the newest entries are taken first.
var<workgroup> local_bag: array<vec4<u32>, LOCAL_BAG>;
// Free nodes and wires of a workgroup: rings. A lane takes only what was there when the step began.
var<workgroup> local_nodes: array<u32, POOL>;
var<workgroup> local_wires: array<u32, POOL>;

// The stamp of this lane in this step.
var<private> mine: u32;
