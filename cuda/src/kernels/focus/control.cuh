// Words of the control buffer, 64 bits each. The host writes them before a run; afterwards only the last block of `settle`
// does, when no other thread reads them any more.
#pragma once
#include "device.cuh"

// 1 when the run is over: kernels change nothing any more.
constexpr u32 DONE = 0;
// How the next gather goes: one of the three below.
constexpr u32 MODE = 1;
// Iterations made, and made before this batch.
constexpr u32 ITERATION = 2;
constexpr u32 BATCH = 3;
// The run is over after so many.
constexpr u32 LIMIT = 4;
// Labels are 1 to LABELS - 1; label 0 is nobody, its share is 0.
constexpr u32 LABELS = 5;
// No label from here on has out-edges.
constexpr u32 SOURCES = 6;
constexpr u32 NODES = 7;
constexpr u32 DAMPING = 8;
constexpr u32 EPSILON = 9;
// Equal stakes: every node's teleport share, and how many of the first nodes have one unit more.
constexpr u32 EACH = 10;
constexpr u32 MORE = 11;
// 1 where stakes differ: the teleport buffer counts.
constexpr u32 STAKES = 12;
// A frontier round pays where the changed sources have fewer out-edges than this.
constexpr u32 FRONTIER_BELOW = 13;
// What the next mode may be: 0 as the counts say, 1 always dense, 2 always frontier.
constexpr u32 ROUNDS = 14;
// 1 while the start vector is spread instead of an iteration made.
constexpr u32 START = 15;
// Which half of `arrived` counts: 0 or 1.
constexpr u32 ARRIVED_SIDE = 16;
// Which half of `shares` counts. The other one has the shares of an iteration before.
constexpr u32 SHARES_SIDE = 17;
// 1 when mass was not conserved: the device computes wrong.
constexpr u32 FAULT = 18;
// 1 when the last residual was below epsilon.
constexpr u32 CONVERGED = 19;
// Rounds made so far: dense, frontier, and without any change to gather.
constexpr u32 COUNTS = 20;
// Warm runs, as `ffcm::focus` defines them. How many edges there are; 0 where the threshold is 0 throughout.
constexpr u32 EDGES = 24;
// What a node may keep back per out-edge in this iteration.
constexpr u32 THRESHOLD = 25;
// Above this residual the threshold is 0.
constexpr u32 RESIDUAL_MAX = 26;
// Residual of the last iteration, and how many have hardly fallen.
constexpr u32 BEFORE = 27;
constexpr u32 FAILURES = 28;
// What the mass misses since some nodes wait, modulo 2^64.
constexpr u32 WAITING = 29;
// The pool as it was spread last, the units its parts left, and the half of `arrived` that it belongs to.
constexpr u32 POOL = 30;
constexpr u32 LEFT = 31;
constexpr u32 POOL_SIDE = 32;
// Residuals of this batch.
constexpr u32 RESIDUALS = 33;

// All edges are gathered.
constexpr u64 DENSE = 0;
// Rows follow the shares that have changed.
constexpr u64 FRONTIER = 1;
// No share changed: what arrived stays.
constexpr u64 NOTHING = 2;

// Words of the buffer of sums, each in a line of its own, as whole grids add to them: sum of what arrived, which outlives
// frontier rounds; sum of pool parts; residual; out-degrees of changed shares; blocks that are through; what waits.
constexpr u32 SUM_ARRIVED = 0;
constexpr u32 SUM_GIVEN = 16;
constexpr u32 SUM_RESIDUAL = 32;
constexpr u32 SUM_CHANGES = 48;
constexpr u32 SUM_BLOCKS = 64;
constexpr u32 SUM_WAITING = 80;

// Threads of a block of the kernels that add up.
constexpr u32 THREADS = 256;
// Labels of a block of the kernels that go through labels.
constexpr u32 LABELS_PER_BLOCK = 1024;
