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
