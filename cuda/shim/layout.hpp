// What kernels, the runtime and the host agree on. A block runs on one operating system thread; each of its threads is
// a fiber with a stack in a slot of the worker's region. Regions and slots are aligned to their sizes, so a thread
// finds who it is and where its block is from the address of its own stack.
#pragma once

namespace ffcm_shim {

typedef unsigned char Byte;
typedef unsigned int Word;
typedef unsigned long long Long;
typedef __UINTPTR_TYPE__ Address;

constexpr Word SLOT_BITS = 17;
constexpr Word REGION_BITS = 28;
constexpr Word MAX_THREADS = 1024;
constexpr Word WARP = 32;

// The start of a worker's region, which is its first slot. Thread `i` has slot `i + 1`.
struct Header {
    Word block;
    Word blocks;
    Word block_threads;
    // Calls of `shake` until one of them lets others run.
    Word countdown;
    // Rounds of pauses in which nothing happened.
    Long idle;
    // How many workers of the launch want to hear when something happens.
    const Word* watchers;
    // Dynamic shared memory of the block.
    void* dynamic;
};

enum WarpOperation : Word { SYNC, SHUFFLE, SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_XOR, BALLOT, ANY, ALL };

// What a unit calls of the runtime.
struct Runtime {
    void (*barrier)(const char* file, Word line);
    // `extra` is the source lane of a shuffle.
    Long (*warp)(Word operation, Word mask, Long value, Word extra);
    void (*pause)();
    void (*shake)();
    void (*progress)();
    void (*misuse)(const char* what);
};

// Kinds of parameters.
constexpr Byte POINTER = 0;
constexpr Byte BITS32 = 4;
constexpr Byte BITS64 = 8;

// A kernel of a unit.
struct Entry {
    void (*call)(const Long* arguments);
    const Byte* kinds;
    Word parameters;
    Word max_threads;
};

// A launch as the host asks for it.
struct Order {
    void (*call)(const Long* arguments);
    // Makes sure that the calling thread has the unit's static shared memory, and gives an address in it.
    void* (*touch)();
    const Long* arguments;
    Word blocks;
    Word threads;
    Word shared;
    // Operating system threads, at most.
    Word workers;
    // One in so many atomics lets other threads run, on average.
    Word shake_one_in;
    // Blocks wait for each other: there is a worker for each. Else there may be fewer workers than could be.
    Word cooperative;
    Long seed;
};

// What a thread is doing.
enum State : Byte { READY, PAUSED, AT_BARRIER, IN_WARP, EXITED };
constexpr Word STATES = 5;

// How it went.
struct Outcome {
    Word failed;
    Word block;
    Word thread;
    // Address of the access if it was one to memory that is not there.
    Long access;
    // Where in the unit's library a thread of each state was, as an offset; 0 for none.
    Long places[STATES];
    char message[512];
};

}  // namespace ffcm_shim
