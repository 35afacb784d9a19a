// What a lane function gave.
struct Called {
    u32 tag;  // 0 if the lane stopped: the payload says why
    u32 payload;
    u32 trips;  // segments that it went through
    u32 total;  // interactions
    u32 counts[8];  // by opcode
};

