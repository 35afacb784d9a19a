// The teleport share of a node.

@group(0) @binding(0) var<storage, read> control: array<u32>;
// Counts where stakes differ.
@group(0) @binding(4) var<storage, read> teleport: array<vec2<u32>>;

fn teleport_of(label: u32, node: u32) -> vec2<u32> {
    if (control[STAKES] != 0u) {
        return teleport[label];
    }
    let one = select(0u, 1u, node < control[MORE]);
    return add64(vec2<u32>(control[EACH], control[EACH + 1u]), vec2<u32>(one, 0u));
}

