// @sum on rows of numbers: u24, u24. Rendered; do not edit.
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
    var n_duplicate = 0u;
    var n_succ = 0u;
    var n_switch = 0u;
    var n_collapse = 0u;
    var n_specialize = 0u;
    var tag = 0u;
    var payload = 0u;
    var r0 = columns[row];
    var r1 = columns[1u * job.rows + row];
    var stack: array<u32, 512>;
    var top = 0u;
    var next = 0u;
    for (var trip = 0u; trip < 4096u && next < 5u; trip += 1u) {
        switch (next) {
            case 0u: {
                let v0 = r0;
                let v1 = r1;
                if (v0 == 0u) {
                    n_apply += 3u;
                    n_switch += 1u;
                    n_collapse += 1u;
                    n_specialize += 1u;
                    r0 = v1;
                    if (top == 0u) {
                        next = 5u;
                    } else {
                        top -= 1u;
                        next = stack[top];
                    }
                } else {
                    let v2 = v0 - 1u;
                    let v3 = 2u * v1;
                    let v4 = v3 & NUM_NARROW_MASK;
                    let v5 = 2u * v1;
                    let v6 = v5 & NUM_NARROW_MASK;
                    let v7 = 1u + v6;
                    let v8 = v7 & NUM_NARROW_MASK;
                    if (v2 == 0u) {
                        let v9 = v4 + v8;
                        let v10 = v9 & NUM_NARROW_MASK;
                        n_apply += 10u;
                        n_duplicate += 2u;
                        n_succ += 6u;
                        n_switch += 3u;
                        n_collapse += 4u;
                        n_specialize += 4u;
                        r0 = v10;
                        if (top == 0u) {
                            next = 5u;
                        } else {
                            top -= 1u;
                            next = stack[top];
                        }
                    } else {
                        let v11 = v2 - 1u;
                        let v12 = 2u * v4;
                        let v13 = v12 & NUM_NARROW_MASK;
                        let v14 = 2u * v4;
                        let v15 = v14 & NUM_NARROW_MASK;
                        let v16 = 1u + v15;
                        let v17 = v16 & NUM_NARROW_MASK;
                        let v18 = 2u * v8;
                        let v19 = v18 & NUM_NARROW_MASK;
                        let v20 = 2u * v8;
                        let v21 = v20 & NUM_NARROW_MASK;
                        let v22 = 1u + v21;
                        let v23 = v22 & NUM_NARROW_MASK;
                        if (top > 507u) {
                            next = 6u;
                            payload = 3u;
                            break;
                        }
                        stack[top + 0u] = v11;
                        stack[top + 1u] = v17;
                        stack[top + 2u] = v19;
                        stack[top + 3u] = v23;
                        stack[top + 4u] = 1u;
                        top += 5u;
                        n_apply += 12u;
                        n_duplicate += 6u;
                        n_succ += 18u;
                        n_switch += 3u;
                        n_collapse += 6u;
                        n_specialize += 6u;
                        r0 = v11;
                        r1 = v13;
                        next = 0u;
                    }
                }
                break;
            }
            case 1u: {
                let v4 = r0;
                top -= 4u;
                let v0 = stack[top + 0u];
                let v1 = stack[top + 1u];
                let v2 = stack[top + 2u];
                let v3 = stack[top + 3u];
                if (top > 507u) {
                    next = 6u;
                    payload = 3u;
                    break;
                }
                stack[top + 0u] = v0;
                stack[top + 1u] = v2;
                stack[top + 2u] = v3;
                stack[top + 3u] = v4;
                stack[top + 4u] = 2u;
                top += 5u;
                r0 = v0;
                r1 = v1;
                next = 0u;
                break;
            }
            case 2u: {
                let v4 = r0;
                top -= 4u;
                let v0 = stack[top + 0u];
                let v1 = stack[top + 1u];
                let v2 = stack[top + 2u];
                let v3 = stack[top + 3u];
                let v5 = v3 + v4;
                let v6 = v5 & NUM_NARROW_MASK;
                if (top > 508u) {
                    next = 6u;
                    payload = 3u;
                    break;
                }
                stack[top + 0u] = v0;
                stack[top + 1u] = v2;
                stack[top + 2u] = v6;
                stack[top + 3u] = 3u;
                top += 4u;
                r0 = v0;
                r1 = v1;
                next = 0u;
                break;
            }
            case 3u: {
                let v3 = r0;
                top -= 3u;
                let v0 = stack[top + 0u];
                let v1 = stack[top + 1u];
                let v2 = stack[top + 2u];
                if (top > 509u) {
                    next = 6u;
                    payload = 3u;
                    break;
                }
                stack[top + 0u] = v2;
                stack[top + 1u] = v3;
                stack[top + 2u] = 4u;
                top += 3u;
                r0 = v0;
                r1 = v1;
                next = 0u;
                break;
            }
            case 4u: {
                let v2 = r0;
                top -= 2u;
                let v0 = stack[top + 0u];
                let v1 = stack[top + 1u];
                let v3 = v1 + v2;
                let v4 = v3 & NUM_NARROW_MASK;
                let v5 = v0 + v4;
                let v6 = v5 & NUM_NARROW_MASK;
                r0 = v6;
                if (top == 0u) {
                    next = 5u;
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
    if (next == 5u) {
        tag = 805306369u;
        payload = r0;
    }
    if (next < 5u) {
        payload = 4u;
    }
    var answer = Answer();
    answer.tag = tag;
    answer.payload = payload;
    answer.counts[0] = n_apply;
    answer.counts[1] = n_duplicate;
    answer.counts[3] = n_succ;
    answer.counts[4] = n_switch;
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
