// What a lane function gave.
struct Called {
    tag: u32,     // 0 if the lane stopped: the payload says why
    payload: u32,
    trips: u32,   // segments that it went through
    total: u32,   // interactions
    counts: array<u32, 8>,  // by opcode
}

