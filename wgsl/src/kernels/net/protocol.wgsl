// Stamped arrivals.
//
// A wire has two ends, and whoever holds a term of it holds an end, so exactly two lanes arrive at its cell. Arriving is
// one atomicExchange of the lane's stamp `round 8 | workgroup 10 | step 8 | lane 6`, with step >= 1. Who finds 0 is first
// and leaves its term as the payload. Who finds a stamp is second and may use the payload only if the first's write is
// ordered before: then it goes on at once, otherwise the pair is put off.
//
// A stamp that is old enough to have come round again belongs to an earlier dispatch and is visible whatever it looks
// like; misreading it puts off without need and nothing worse. A stamp of this round is never misread.

// The payload may be used now.
const SEEN: u32 = 0u;
// The first arrived in this step, on another lane of this workgroup: the next step may use it.
const NEXT_STEP: u32 = 1u;
// The first arrived in this round, in another workgroup: the next round may use it.
const NEXT_ROUND: u32 = 2u;

// When a lane with stamp `now` sees what was written by one with stamp `old`.
fn visible(old: u32, now: u32) -> u32 {
    let differ = old ^ now;
    // Another dispatch, or this lane, or an earlier step of this workgroup: a barrier lies between.
    if ((differ >> 24u) != 0u || differ == 0u) {
        return SEEN;
    }
    if ((differ >> 14u) != 0u) {
        return NEXT_ROUND;
    }
    return select(NEXT_STEP, SEEN, (differ >> 6u) != 0u);
}

fn stamp_of(round: u32, workgroup: u32, step: u32, lane: u32) -> u32 {
    return ((round & 255u) << 24u) | (workgroup << 14u) | (step << 6u) | lane;
}
