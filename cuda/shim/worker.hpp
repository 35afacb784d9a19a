// A block on an operating system thread: its fibers, their barriers and the operations of their warps.
#pragma once

#include <dlfcn.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <mutex>

#include "layout.hpp"
#include "switch.hpp"

namespace ffcm_shim {

constexpr Address SLOT = Address(1) << SLOT_BITS;
constexpr Address REGION = Address(1) << REGION_BITS;
constexpr Address GUARD = 1 << 14;
constexpr Word QUEUE = 2 * MAX_THREADS;
constexpr Word MAX_WORKERS = 256;
// Rounds of pauses after which a worker counts as stuck. From half of them on it is told of what happens elsewhere.
constexpr Long PATIENCE = 1 << 14;
// Turns given away at atomics that, by one thread, count as a pause.
constexpr Word TURNS = 64;
// What a shuffle gives from a lane that does not take part.
constexpr Long NOTHING = 0xbadc0ffee0ddf00d;

// What the host sees of a worker that found nothing to do.
struct Watch {
    std::atomic<bool> running{false};
    std::atomic<bool> stuck{false};
    std::atomic<Long> epoch{0};
};

// A launch under way.
struct Launch {
    const Order* order;
    Outcome* outcome;
    // Blocks taken so far, and the order in which they are: block `i` is number `step * i + start` of all.
    std::atomic<Word> taken{0};
    std::atomic<Word> finished{0};
    Long step, start;
    std::atomic<bool> failed{false};
    std::mutex failure;
    // Counts what happens while somebody watches.
    std::atomic<Long> epoch{0};
    Word watchers = 0;
    Watch watches[MAX_WORKERS];
    // Workers that joined so far and that left; the pool's lock holds them.
    Word joined = 0, left = 0;
};

struct Thread {
    void* stack;
    // Where it called the runtime.
    const void* place;
    Long value, result;
    Long round;
    Word mask, operation, extra;
    State state;
};

struct Worker : Header {
    Launch* launch;
    Word number;
    Word current;
    Long random;
    // Threads that have not returned, in the order of their last turns; `listed` of them or more.
    Word alive, listed;
    unsigned short order[MAX_THREADS];
    // Threads that can run.
    Word head, tail;
    unsigned short queue[QUEUE];
    Word at_barrier;
    const char* barrier_file;
    Word barrier_line;
    Word in_warp;
    Word warp_alive[MAX_THREADS / WARP], warp_waiting[MAX_THREADS / WARP];
    // The present round of pauses, and how many threads paused in it.
    Long round;
    Word paused;
    // Turns given away in it by threads at atomics.
    Word shaken;
    bool watching;
    // Slots with a stack.
    Word stacks;
    void* main_stack;
    void* dead_stack;
    char* dynamic_end;
    char* fault_stack;
    // What a signal said.
    int fault;
    const void* fault_place;
    Long fault_access;
    Worker* next_free;
    Thread threads[MAX_THREADS];
};
static_assert(sizeof(Worker) <= SLOT, "a worker is in the first slot of its region");

static inline Worker* own_worker() {
    Address here = reinterpret_cast<Address>(__builtin_frame_address(0));
    return reinterpret_cast<Worker*>(here >> REGION_BITS << REGION_BITS);
}

// The call that led to the function this is used in.
__attribute__((always_inline)) static inline const void* caller() {
    return static_cast<const char*>(__builtin_return_address(0)) - 1;
}

static inline Long mix(Long x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

// Pseudo-random, below `bound`.
static inline Word draw(Worker* w, Word bound) {
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return static_cast<Word>((w->random >> 32) * bound >> 32);
}

static inline void push(Worker* w, Word thread) { w->queue[w->tail++ % QUEUE] = static_cast<unsigned short>(thread); }

// Ends the launch. The first failure is the one that is told. `place` is that of the running thread.
__attribute__((format(printf, 3, 4)))
static inline void report(Worker* w, const void* place, const char* format, ...) {
    std::lock_guard<std::mutex> lock(w->launch->failure);
    if (w->launch->failed.load()) return;
    Outcome* outcome = w->launch->outcome;
    outcome->failed = 1;
    outcome->block = w->block;
    outcome->thread = w->current;
    outcome->access = w->fault_access;
    Dl_info unit;
    if (dladdr(reinterpret_cast<void*>(w->launch->order->touch), &unit) != 0) {
        Address base = reinterpret_cast<Address>(unit.dli_fbase);
        for (Word i = 0; i < w->block_threads; i++) {
            const Thread& thread = w->threads[i];
            if (thread.state == READY || thread.state == EXITED) continue;
            outcome->places[thread.state] = reinterpret_cast<Address>(thread.place) - base;
        }
        if (place != nullptr) outcome->places[READY] = reinterpret_cast<Address>(place) - base;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(outcome->message, sizeof outcome->message, format, arguments);
    va_end(arguments);
    w->launch->failed.store(true);
}

// The running thread never goes on.
[[noreturn]] static inline void abandon(Worker* w) {
    ffcm_switch(&w->dead_stack, w->main_stack);
    __builtin_unreachable();
}

// Lets the next thread run that can. Comes back when the turn is this thread's again.
__attribute__((noinline)) static void leave(Worker* w) {
    Thread* self = &w->threads[w->current];
    if (w->head == w->tail || w->launch->failed.load(std::memory_order_relaxed)) {
        ffcm_switch(&self->stack, w->main_stack);
        return;
    }
    Word next = w->queue[w->head++ % QUEUE];
    w->threads[next].state = READY;
    if (next == w->current) return;
    w->current = next;
    ffcm_switch(&self->stack, w->threads[next].stack);
}

static void stop_watching(Worker* w) {
    if (!w->watching) return;
    w->watching = false;
    w->launch->watches[w->number].stuck.store(false);
    __atomic_fetch_sub(&w->launch->watchers, 1, __ATOMIC_SEQ_CST);
}

static void something_happened(Worker* w) {
    w->idle = 0;
    stop_watching(w);
    if (__atomic_load_n(&w->launch->watchers, __ATOMIC_RELAXED) != 0) w->launch->epoch.fetch_add(1);
}

// Whether no worker can ever go on: all blocks that began are stuck, since the same moment, and no other can begin.
static bool all_stuck(Launch* launch) {
    Long epoch = launch->epoch.load();
    Word finished = launch->finished.load(), taken = launch->taken.load(), running = 0;
    if (taken > launch->order->blocks) taken = launch->order->blocks;
    for (Word i = 0; i < launch->order->workers; i++) {
        Watch& watch = launch->watches[i];
        if (!watch.running.load()) continue;
        running++;
        if (!watch.stuck.load() || watch.epoch.load() != epoch) return false;
    }
    return running == taken - finished && (running == launch->order->workers || taken == launch->order->blocks);
}

// Every thread that can run has paused or come to nothing for long, and nothing happened.
static void end_round(Worker* w) {
    Launch* launch = w->launch;
    w->round++;
    w->paused = w->shaken = 0;
    w->idle++;
    if (w->idle < PATIENCE / 2) {
        stop_watching(w);
        if (w->idle > 16) sched_yield();
        return;
    }
    Watch& watch = launch->watches[w->number];
    Long epoch = launch->epoch.load();
    if (!w->watching) {
        w->watching = true;
        watch.epoch.store(epoch);
        __atomic_fetch_add(&launch->watchers, 1, __ATOMIC_SEQ_CST);
    } else if (watch.epoch.load() != epoch) {
        // Something happened elsewhere: from the start.
        w->idle = 0;
        stop_watching(w);
        return;
    }
    if (w->idle >= PATIENCE) {
        watch.stuck.store(true);
        if (all_stuck(launch)) {
            report(w, nullptr,
                   "no progress: %u of the block's %u threads wait for memory to change, %u at __syncthreads, "
                   "%u for others of their warp, and no block can go on",
                   w->alive - w->at_barrier - w->in_warp, w->block_threads, w->at_barrier, w->in_warp);
            return;
        }
        usleep(100);
    } else {
        sched_yield();
    }
}

static void pause() {
    Worker* w = own_worker();
    Thread& self = w->threads[w->current];
    self.state = PAUSED;
    self.place = caller();
    if (self.round != w->round) {
        self.round = w->round;
        w->paused++;
    }
    if (w->paused >= w->alive - w->at_barrier - w->in_warp) end_round(w);
    push(w, w->current);
    leave(w);
}

static void refill(Worker* w) { w->countdown = 1 + draw(w, 2 * w->launch->order->shake_one_in); }

static void shake() {
    Worker* w = own_worker();
    refill(w);
    w->threads[w->current].state = PAUSED;
    w->threads[w->current].place = caller();
    // Who asks by atomics that change nothing, again and again, waits too.
    if (++w->shaken > TURNS * (w->alive - w->at_barrier - w->in_warp)) end_round(w);
    push(w, w->current);
    leave(w);
}

static void progress() { something_happened(own_worker()); }

static void misuse(const char* what) {
    Worker* w = own_worker();
    report(w, caller(), "%s", what);
    abandon(w);
}

// Everybody is at the barrier: all go on, in a new order.
static void release_barrier(Worker* w) {
    if (w->listed != w->alive) {
        Word kept = 0;
        for (Word i = 0; i < w->listed; i++) {
            if (w->threads[w->order[i]].state != EXITED) w->order[kept++] = w->order[i];
        }
        w->listed = kept;
    }
    for (Word i = w->listed; i > 1; i--) {
        Word other = draw(w, i);
        unsigned short thread = w->order[i - 1];
        w->order[i - 1] = w->order[other];
        w->order[other] = thread;
    }
    for (Word i = 0; i < w->listed; i++) push(w, w->order[i]);
    w->at_barrier = 0;
    something_happened(w);
}

static void barrier(const char* file, Word line) {
    Worker* w = own_worker();
    w->threads[w->current].state = AT_BARRIER;
    w->threads[w->current].place = caller();
    if (w->at_barrier == 0) {
        w->barrier_file = file;
        w->barrier_line = line;
    } else if (w->barrier_line != line || strcmp(w->barrier_file, file) != 0) {
        report(w, nullptr,
               "divergent barrier: a thread is at __syncthreads of %s:%u, others of its block at that of %s:%u", file,
               line, w->barrier_file, w->barrier_line);
        abandon(w);
    }
    if (++w->at_barrier == w->alive) release_barrier(w);
    leave(w);
}

// Ends an operation if all of `mask` that live are at it.
static bool complete(Worker* w, Word warp, Word mask, Word operation) {
    Word need = mask & w->warp_alive[warp];
    if (need == 0 || (w->warp_waiting[warp] & need) != need) return false;
    Thread* lanes = &w->threads[warp * WARP];
    Word ballot = 0;
    for (Word rest = need; rest != 0; rest &= rest - 1) {
        Word lane = static_cast<Word>(__builtin_ctz(rest));
        if (lanes[lane].mask != mask || lanes[lane].operation != operation) return false;
        if (lanes[lane].value != 0) ballot |= 1u << lane;
    }
    // Lanes go on from a random one.
    Word first = draw(w, WARP);
    for (Word i = 0; i < WARP; i++) {
        Word lane = (first + i) % WARP;
        if ((need >> lane & 1) == 0) continue;
        Thread& thread = lanes[lane];
        switch (operation) {
            case SYNC: thread.result = 0; break;
            case BALLOT: thread.result = ballot; break;
            case ANY: thread.result = ballot != 0; break;
            case ALL: thread.result = ballot == need; break;
            default: thread.result = (need >> thread.extra & 1) != 0 ? lanes[thread.extra].value : NOTHING; break;
        }
        push(w, warp * WARP + lane);
    }
    w->warp_waiting[warp] &= ~need;
    w->in_warp -= static_cast<Word>(__builtin_popcount(need));
    something_happened(w);
    return true;
}

static Long warp(Word operation, Word mask, Long value, Word extra) {
    Worker* w = own_worker();
    Thread& self = w->threads[w->current];
    Word warp = w->current / WARP, bit = 1u << w->current % WARP;
    if ((mask & bit) == 0) {
        report(w, caller(), "a thread is not in the mask %08x of its warp operation", mask);
        abandon(w);
    }
    self.state = IN_WARP;
    self.place = caller();
    self.mask = mask;
    self.operation = operation;
    self.value = value;
    self.extra = extra;
    w->warp_waiting[warp] |= bit;
    w->in_warp++;
    complete(w, warp, mask, operation);
    leave(w);
    return self.result;
}

// A thread has returned. Who waited for it may go on.
static void exit_thread(Worker* w) {
    Word warp = w->current / WARP;
    w->threads[w->current].state = EXITED;
    w->alive--;
    w->warp_alive[warp] &= ~(1u << w->current % WARP);
    something_happened(w);
    for (Word lane = 0; lane < WARP; lane++) {
        Thread& thread = w->threads[warp * WARP + lane];
        if ((w->warp_waiting[warp] >> lane & 1) != 0) complete(w, warp, thread.mask, thread.operation);
    }
    if (w->alive != 0 && w->at_barrier == w->alive) release_barrier(w);
    leave(w);
    __builtin_unreachable();
}

static void run_thread() {
    Worker* w = own_worker();
    w->launch->order->call(w->launch->order->arguments);
    exit_thread(w);
}

}  // namespace ffcm_shim
