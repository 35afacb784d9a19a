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

