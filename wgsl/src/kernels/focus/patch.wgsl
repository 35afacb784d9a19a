// Writes single words of a buffer. The list: how many entries, words per entry, two words of nothing, then the entries,
// each an address and its words; entries of no words set the word at their address to 0. Addresses differ, so each word
// is written by one lane.

@group(0) @binding(0) var<storage, read> list: array<u32>;
@group(0) @binding(1) var<storage, read_write> data: array<u32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let entry = (group.x + group.y * groups.x) * 256u + lane;
    if (entry >= list[0]) {
        return;
    }
    let words = list[1];
    let at = 4u + entry * (words + 1u);
    let address = list[at];
    if (words == 0u) {
        data[address] = 0u;
    }
    for (var word = 0u; word < words; word += 1u) {
        data[address + word] = list[at + 1u + word];
    }
}
