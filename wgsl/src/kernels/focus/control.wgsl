// Words of the control buffer. The host writes them before a run; afterwards only `finish` does.

// 1 when the run is over: kernels change nothing any more.
const DONE: u32 = 0u;
// How the next gather goes: one of the three below.
const MODE: u32 = 1u;
const ITERATION: u32 = 2u;
// Iterations made before this batch.
const BATCH: u32 = 3u;
// Labels are 1 to LABELS - 1; label 0 is nobody, its share is 0.
const LABELS: u32 = 4u;
const NODES: u32 = 5u;
const DAMPING: u32 = 6u;
// 1 when mass was not conserved: the device computes wrong.
const FAULT: u32 = 7u;
const EPSILON: u32 = 8u;
// Equal stakes: every node's teleport share, and how many of the first nodes have one unit more.
const EACH: u32 = 10u;
const MORE: u32 = 12u;
// 1 where stakes differ: the teleport buffer counts.
const STAKES: u32 = 13u;
// A frontier round pays where the changed sources have fewer out-edges than this.
const FRONTIER_BELOW: u32 = 14u;
// What the next mode may be: 0 as the counts say, 1 always dense, 2 always frontier.
const ROUNDS: u32 = 16u;
// 1 while the start vector is spread instead of an iteration made.
const START: u32 = 17u;
// First word of the bitmap of changed shares in the buffer of shares.
const CHANGED: u32 = 18u;
// Rounds made so far: dense, frontier, and without any change to gather.
const COUNTS: u32 = 20u;
// Warm runs, as `ffcm::focus` defines them. What a node may keep back per out-edge in this iteration.
const THRESHOLD: u32 = 24u;
// Above this residual the threshold is 0.
const RESIDUAL_MAX: u32 = 26u;
// Residual of the last iteration.
const BEFORE: u32 = 28u;
// What the mass misses since some nodes wait, modulo 2^64.
const WAITING: u32 = 30u;
// The pool as it was spread last, and the units its parts left.
const POOL: u32 = 32u;
const LEFT: u32 = 34u;
// How many edges there are; 0 where the threshold is 0 throughout.
const EDGES: u32 = 35u;
// How many residuals have hardly fallen.
const FAILURES: u32 = 36u;
// Residuals of this batch, two words each.
const RESIDUALS: u32 = 40u;

// All edges are gathered.
const DENSE: u32 = 0u;
// Rows none of whose sources changed its share keep what arrived.
const FRONTIER: u32 = 1u;
// No share changed: what arrived stays.
const NOTHING: u32 = 2u;

// Pairs of words of the buffer of sums: sum of arrived; sum of pool parts; residual; out-degrees of changed shares; what
// waits.
const ARRIVED: u32 = 0u;
const GIVEN: u32 = 2u;
const RESIDUAL: u32 = 4u;
const CHANGES: u32 = 6u;
const WAITS: u32 = 8u;
