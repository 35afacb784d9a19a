// @weight on rows of numbers: any, any, any. Rendered; do not edit.
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
    var r0 = columns[row];
    var r1 = columns[1u * job.rows + row];
    var r2 = columns[2u * job.rows + row];
    var r3 = columns[3u * job.rows + row];
    var r4 = columns[4u * job.rows + row];
    var r5 = columns[5u * job.rows + row];
    var stack: array<u32, 512>;
    var top = 0u;
    var next = 0u;
    for (var trip = 0u; trip < 4096u && next < 6u; trip += 1u) {
        switch (next) {
            case 0u: {
                let v0 = r0;
                let v1 = r1;
                let v2 = r2;
                let v3 = r3;
                let v4 = r4;
                let v5 = r5;
                if (top > 509u) {
                    next = 7u;
                    payload = 3u;
                    break;
                }
                stack[top + 0u] = v2;
                stack[top + 1u] = v3;
                stack[top + 2u] = 1u;
                top += 3u;
                n_apply += 3u;
                n_succ += 5u;
                n_collapse += 1u;
                n_specialize += 1u;
                r0 = v0;
                r1 = v1;
                r2 = 805306368u;
                r3 = 8u;
                next = 5u;
                break;
            }
            case 1u: {
                let v2 = r0;
                let v3 = r1;
                top -= 2u;
                let v0 = stack[top + 0u];
                let v1 = stack[top + 1u];
                if (top > 509u) {
                    next = 7u;
                    payload = 3u;
                    break;
                }
                stack[top + 0u] = v2;
                stack[top + 1u] = v3;
                stack[top + 2u] = 2u;
                top += 3u;
                r0 = v0;
                r1 = v1;
                r2 = 805306377u;
                r3 = 1024u;
                next = 5u;
                break;
            }
            case 2u: {
                let v2 = r0;
                let v3 = r1;
                top -= 2u;
                let v0 = stack[top + 0u];
                let v1 = stack[top + 1u];
                if (top > 509u) {
                    next = 7u;
                    payload = 3u;
                    break;
                }
                stack[top + 0u] = v0;
                stack[top + 1u] = v1;
                stack[top + 2u] = 3u;
                top += 3u;
                r0 = v2;
                r1 = v3;
                r2 = 805306372u;
                r3 = 1u;
                next = 5u;
                break;
            }
            case 3u: {
                let v2 = r0;
                let v3 = r1;
                top -= 2u;
                let v0 = stack[top + 0u];
                let v1 = stack[top + 1u];
                if (top > 511u) {
                    next = 7u;
                    payload = 3u;
                    break;
                }
                stack[top + 0u] = 4u;
                top += 1u;
                r0 = v0;
                r1 = v1;
                r2 = v2;
                r3 = v3;
                next = 5u;
                break;
            }
            case 4u: {
                let v0 = r0;
                let v1 = r1;
                r0 = v0;
                r1 = v1;
                if (top == 0u) {
                    next = 6u;
                } else {
                    top -= 1u;
                    next = stack[top];
                }
                break;
            }
            case 5u: {
                let v0 = r0;
                let v1 = r1;
                let v2 = r2;
                let v3 = r3;
                if (((v0 >> CLASS_SHIFT) & CLASS_MASK) != CLASS_NUM || ((v2 >> CLASS_SHIFT) & CLASS_MASK) != CLASS_NUM) {
                    next = 7u;
                    payload = 2u;
                    break;
                }
                let answer_term = operate(vec2<u32>(v0, v1), vec2<u32>(v2, v3));
                let v4 = answer_term.x;
                let v5 = answer_term.y;
                if (v4 == 0u) {
                    next = 7u;
                    payload = 2u;
                    break;
                }
                r0 = v4;
                r1 = v5;
                if (top == 0u) {
                    next = 6u;
                } else {
                    top -= 1u;
                    next = stack[top];
                }
                break;
            }
            default: {
                break;
            }
        }
    }
    if (next == 6u) {
        tag = select(0u, r0, ((r0 >> CLASS_SHIFT) & CLASS_MASK) == CLASS_NUM);
        payload = r1;
        if (tag == 0u) {
            payload = 2u;
        }
    }
    if (next < 6u) {
        payload = 4u;
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
