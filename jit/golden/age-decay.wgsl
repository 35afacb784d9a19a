// @weight on rows of numbers: u24, u24, u24. Rendered; do not edit.
// The buffers of a kernel for rows of numbers, and what a row gives.

struct Job {
    rows: u32,
    gas: u32,
    // Fills the struct up to a multiple of 16 bytes.
    unused0: u32,
    unused1: u32,
}

@group(0) @binding(0) var<uniform> job: Job;
@group(0) @binding(1) var<storage, read> columns: array<u32>;
@group(0) @binding(2) var<storage, read_write> answers: array<u32>;
@group(0) @binding(3) var<storage, read_write> totals: array<u32>;

const LANES: u32 = 64u;
const COUNTED: u32 = 7u;

var<workgroup> sums: array<atomic<u32>, COUNTED>;

struct Answer {
    tag: u32,     // 0 if the lane stopped: the payload says why
    payload: u32,
    counts: array<u32, COUNTED>,
}

fn run_row(row: u32) -> Answer {
    var n_apply = 0u;
    var n_succ = 0u;
    var n_collapse = 0u;
    var n_specialize = 0u;
    var tag = 0u;
    var payload = 0u;
    let v0 = columns[row];
    let v1 = columns[1u * job.rows + row];
    let v2 = columns[2u * job.rows + row];
    switch (0u) {
        default: {
            let v3 = number_integer(OPERATOR_DIV, false, v1, 1024u);
            let v4 = v3 & NUM_NARROW_MASK;
            let v5 = 1u + v4;
            let v6 = v5 & NUM_NARROW_MASK;
            let v7 = number_integer(OPERATOR_DIV, false, v0, v6);
            let v8 = v7 & NUM_NARROW_MASK;
            n_apply += 3u;
            n_succ += 5u;
            n_collapse += 1u;
            n_specialize += 1u;
            tag = 805306369u;
            payload = v8;
            break;
        }
    }
    var answer = Answer();
    answer.tag = tag;
    answer.payload = payload;
    answer.counts[0] = n_apply;
    answer.counts[3] = n_succ;
    answer.counts[5] = n_collapse;
    answer.counts[6] = n_specialize;
    return answer;
}

// A lane for each row, and the sums of a group of rows.
@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = group.x + group.y * groups.x;
    let row = block * LANES + lane;
    if (row < job.rows) {
        var answer = run_row(row);
        var total = 0u;
        for (var i = 0u; i < COUNTED; i += 1u) {
            total += answer.counts[i];
        }
        answers[row] = answer.tag;
        answers[job.rows + row] = answer.payload;
        answers[2u * job.rows + row] = total;
        if (answer.tag != 0u && total <= job.gas) {
            for (var i = 0u; i < COUNTED; i += 1u) {
                atomicAdd(&sums[i], answer.counts[i]);
            }
        }
    }
    workgroupBarrier();
    if (lane < COUNTED && block * LANES < job.rows) {
        totals[block * COUNTED + lane] = atomicLoad(&sums[lane]);
    }
}
