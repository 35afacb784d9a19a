// The runtime of the shim: launches on a pool of operating system threads, faults of kernels, memory. One a process.
#pragma once

#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>

#include <condition_variable>

#include "worker.hpp"

namespace ffcm_shim {

static thread_local Worker* active;

// `MADV_GUARD_INSTALL`, which headers before Linux 6.13 do not have.
constexpr int GUARD_INSTALL = 102;

// Workers that no launch has, and the helpers of launches. Never destroyed: helpers outlive `main`.
struct Pool {
    std::mutex lock;
    std::condition_variable work, left;
    Worker* free = nullptr;
    // Launches that take helpers, each as often as it takes one more.
    Launch* wanting[4096];
    Word wanted = 0;
    // Helpers that launches under way asked for, and helpers there are.
    Word demand = 0, helpers = 0;
};
static Pool& pool() {
    static Pool* one = new Pool;
    return *one;
}

static char* map(Address bytes, int protection) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void* at = mmap(nullptr, bytes, protection, flags, -1, 0);
    return at == MAP_FAILED ? nullptr : static_cast<char*>(at);
}

// A region with a worker, aligned to its size; null if there is no address space.
static Worker* new_worker() {
    char* at = map(2 * REGION, PROT_NONE);
    if (at == nullptr) return nullptr;
    char* start = reinterpret_cast<char*>((reinterpret_cast<Address>(at) + REGION - 1) >> REGION_BITS << REGION_BITS);
    if (start != at) munmap(at, static_cast<Address>(start - at));
    munmap(start + REGION, static_cast<Address>(at + 2 * REGION - (start + REGION)));
    // The first slot is the worker, the one behind all stacks is for handling faults.
    char* last = start + (MAX_THREADS + 1) * SLOT;
    if (mprotect(start, SLOT, PROT_READ | PROT_WRITE) != 0 || mprotect(last, SLOT, PROT_READ | PROT_WRITE) != 0) {
        munmap(start, REGION);
        return nullptr;
    }
    Worker* w = reinterpret_cast<Worker*>(start);
    // Dynamic shared memory lies behind the stacks and ends where nothing may be touched.
    w->dynamic_end = start + REGION - GUARD;
    w->fault_stack = last;
    return w;
}

static Worker* take_worker() {
    {
        std::lock_guard<std::mutex> lock(pool().lock);
        Worker* w = pool().free;
        if (w != nullptr) {
            pool().free = w->next_free;
            return w;
        }
    }
    return new_worker();
}

static void give_worker(Worker* w) {
    std::lock_guard<std::mutex> lock(pool().lock);
    w->next_free = pool().free;
    pool().free = w;
}

// Gives the worker stacks for `threads` threads, and dynamic shared memory.
static bool furnish(Worker* w, const Order* order) {
    char* start = reinterpret_cast<char*>(w);
    for (; w->stacks < order->threads; w->stacks++) {
        char* slot = start + (w->stacks + 1) * SLOT;
        if (mprotect(slot, SLOT, PROT_READ | PROT_WRITE) != 0) return false;
        // A guard that is no mapping of its own where the system has such, for mappings are few: 65530 a process.
        if (madvise(slot, GUARD, GUARD_INSTALL) != 0 && mprotect(slot, GUARD, PROT_NONE) != 0) return false;
    }
    Address shared = (order->shared + 15) / 16 * 16;
    if (shared != 0) {
        Address from = reinterpret_cast<Address>(w->dynamic_end - shared) / GUARD * GUARD;
        Address bytes = reinterpret_cast<Address>(w->dynamic_end) - from;
        if (mprotect(reinterpret_cast<void*>(from), bytes, PROT_READ | PROT_WRITE) != 0) return false;
    }
    w->dynamic = w->dynamic_end - shared;
    return true;
}

// Where the calling thread has the static shared memory of the unit that `anchor` is of.
struct Statics {
    const void* anchor;
    char* start;
    Address bytes;
};
static int find_statics(dl_phdr_info* info, size_t, void* to) {
    Statics* statics = static_cast<Statics*>(to);
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_TLS || info->dlpi_tls_data == nullptr) continue;
        char* start = static_cast<char*>(info->dlpi_tls_data);
        Address offset = reinterpret_cast<Address>(statics->anchor) - reinterpret_cast<Address>(start);
        if (offset >= info->dlpi_phdr[i].p_memsz) continue;
        statics->start = start;
        statics->bytes = info->dlpi_phdr[i].p_memsz;
        return 1;
    }
    return 0;
}

static void run_block(Worker* w, Word block, const Statics& statics) {
    const Order* order = w->launch->order;
    w->block = block;
    w->blocks = order->blocks;
    w->block_threads = order->threads;
    w->random = mix(mix(order->seed) ^ block) | 1;
    w->idle = 0;
    w->head = w->tail = 0;
    w->at_barrier = w->in_warp = 0;
    w->round = 1;
    w->paused = w->shaken = 0;
    w->watching = false;
    w->fault = 0;
    w->fault_access = 0;
    w->alive = w->listed = order->threads;
    // Shared memory starts with anything.
    int dirt = static_cast<int>(1 + draw(w, 255));
    memset(statics.start, dirt, statics.bytes);
    memset(w->dynamic, dirt, static_cast<size_t>(w->dynamic_end - static_cast<char*>(w->dynamic)));
    refill(w);
    memset(w->warp_alive, 0, sizeof w->warp_alive);
    memset(w->warp_waiting, 0, sizeof w->warp_waiting);
    char* start = reinterpret_cast<char*>(w);
    for (Word i = 0; i < order->threads; i++) {
        w->order[i] = static_cast<unsigned short>(i);
        w->warp_alive[i / WARP] |= 1u << i % WARP;
        Thread& thread = w->threads[i];
        thread.state = READY;
        thread.round = 0;
        // Stacks start at different offsets, or all would compete for the same few lines of the caches.
        char* top = start + (i + 2) * SLOT - i * 37 % 256 * 64;
        thread.stack = prepare_stack(top, &run_thread);
    }
    Watch& watch = w->launch->watches[w->number];
    watch.stuck.store(false);
    watch.running.store(true);
    release_barrier(w);
    Word first = w->queue[w->head++ % QUEUE];
    w->current = first;
    ffcm_switch(&w->main_stack, w->threads[first].stack);
    if (w->alive != 0 && !w->launch->failed.load()) {
        report(w, nullptr,
               "divergent threads: of the block's %u threads %u wait at __syncthreads, %u for others of their warp, "
               "%u have returned",
               w->block_threads, w->at_barrier, w->in_warp, w->block_threads - w->alive);
    }
    something_happened(w);
    watch.running.store(false);
    w->launch->finished.fetch_add(1);
}

// Takes blocks until none is left.
static void work(Launch* launch, Word number) {
    const Order* order = launch->order;
    Worker* w = take_worker();
    if (w == nullptr || !furnish(w, order)) {
        std::lock_guard<std::mutex> lock(launch->failure);
        Outcome* outcome = launch->outcome;
        snprintf(outcome->message, sizeof outcome->message, "no address space for the stacks of a block");
        outcome->failed = 1;
        launch->failed.store(true);
        if (w != nullptr) give_worker(w);
        return;
    }
    w->launch = launch;
    w->number = number;
    w->watchers = &launch->watchers;
    Statics statics = {order->touch(), nullptr, 0};
    dl_iterate_phdr(&find_statics, &statics);
    // A fault by running out of stack is handled on another one.
    stack_t had = {}, other = {};
    other.ss_sp = w->fault_stack;
    other.ss_size = SLOT;
    sigaltstack(nullptr, &had);
    bool lent = (had.ss_flags & SS_DISABLE) != 0 && sigaltstack(&other, nullptr) == 0;
    active = w;
    while (!launch->failed.load()) {
        Word block = launch->taken.fetch_add(1);
        if (block >= order->blocks) break;
        run_block(w, static_cast<Word>((launch->step * block + launch->start) % order->blocks), statics);
    }
    active = nullptr;
    if (lent) sigaltstack(&had, nullptr);
    give_worker(w);
}

static void* help(void*) {
    std::unique_lock<std::mutex> lock(pool().lock);
    for (;;) {
        while (pool().wanted == 0) pool().work.wait(lock);
        Launch* launch = pool().wanting[--pool().wanted];
        Word number = ++launch->joined;
        lock.unlock();
        work(launch, number);
        lock.lock();
        launch->left++;
        pool().left.notify_all();
    }
    return nullptr;
}

// Asks for helpers, of which there are as many as all launches under way ask for. How many will come.
static Word ask(Launch* launch, Word count) {
    std::lock_guard<std::mutex> lock(pool().lock);
    Word asked = 0;
    for (; asked < count && pool().wanted < sizeof pool().wanting / sizeof *pool().wanting; asked++) {
        if (pool().helpers <= pool().demand) {
            pthread_attr_t attributes;
            pthread_attr_init(&attributes);
            pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
            pthread_t helper;
            int refused = pthread_create(&helper, &attributes, &help, nullptr);
            pthread_attr_destroy(&attributes);
            if (refused != 0) break;
            pool().helpers++;
        }
        pool().demand++;
        pool().wanting[pool().wanted++] = launch;
        pool().work.notify_one();
    }
    return asked;
}

// Waits for the helpers that came and sends the others away.
static void dismiss(Launch* launch, Word asked) {
    std::unique_lock<std::mutex> lock(pool().lock);
    Word kept = 0;
    for (Word i = 0; i < pool().wanted; i++) {
        if (pool().wanting[i] != launch) pool().wanting[kept++] = pool().wanting[i];
    }
    pool().wanted = kept;
    while (launch->left != launch->joined) pool().left.wait(lock);
    pool().demand -= asked;
}

static Long common_divisor(Long a, Long b) { return b == 0 ? a : common_divisor(b, a % b); }

static void run(const Order* asked, Outcome* outcome) {
    Order order = *asked;
    memset(outcome, 0, sizeof *outcome);
    Launch launch;
    launch.order = &order;
    launch.outcome = outcome;
    launch.start = mix(order.seed) % order.blocks;
    launch.step = 1 + mix(order.seed + 1) % order.blocks;
    while (common_divisor(launch.step, order.blocks) != 1) launch.step++;
    // Blocks that wait for others that have not begun get stuck where one runs at a time: now and then, one does.
    if (order.cooperative == 0 && mix(order.seed + 2) % 4 == 0) order.workers = 1;
    Word helpers = (order.workers < order.blocks ? order.workers : order.blocks) - 1;
    order.workers = helpers + 1;
    Word came = helpers == 0 ? 0 : ask(&launch, helpers);
    if (came == helpers) {
        work(&launch, 0);
    } else {
        outcome->failed = 1;
        snprintf(outcome->message, sizeof outcome->message, "%u of %u threads start", came, helpers);
        launch.failed.store(true);
    }
    if (came != 0) dismiss(&launch, came);
}

// Faults of kernels.
#if defined(__x86_64__)
constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
#else
constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
#endif
static struct sigaction before[64];

// Runs in place of the faulty instruction's thread.
static void land() {
    Worker* w = active;
    const char* what = w->fault == SIGSEGV || w->fault == SIGBUS ? "access to memory that is not there"
                       : w->fault == SIGFPE                      ? "division by zero"
                                                                 : "undefined behaviour";
    report(w, w->fault_place, "%s", what);
    abandon(w);
}

static void on_fault(int number, siginfo_t* info, void* context) {
    ucontext_t* at = static_cast<ucontext_t*>(context);
#if defined(__x86_64__)
    auto& instruction = at->uc_mcontext.gregs[REG_RIP];
    auto& stack = at->uc_mcontext.gregs[REG_RSP];
#else
    auto& instruction = at->uc_mcontext.pc;
    auto& stack = at->uc_mcontext.sp;
#endif
    Worker* w = active;
    if (w == nullptr || static_cast<Address>(stack) >> REGION_BITS != reinterpret_cast<Address>(w) >> REGION_BITS) {
        // Not a kernel's: as if this handler were not there.
        sigaction(number, &before[number], nullptr);
        return;
    }
    w->fault = number;
    w->fault_place = reinterpret_cast<void*>(instruction);
    w->fault_access = number == SIGSEGV || number == SIGBUS ? reinterpret_cast<Address>(info->si_addr) : 0;
    // The thread's frames are not needed any more: `land` begins where its stack does, as if called.
    Address top = reinterpret_cast<Address>(w) + (w->current + 2) * SLOT - SLOT / 4;
#if defined(__x86_64__)
    top -= sizeof(void*);
#endif
    stack = static_cast<decltype(+stack)>(top);
    instruction = static_cast<decltype(+instruction)>(reinterpret_cast<Address>(&land));
}

static bool start() {
    for (int number : SIGNALS) {
        struct sigaction action = {};
        action.sa_sigaction = &on_fault;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigemptyset(&action.sa_mask);
        if (sigaction(number, &action, &before[number]) != 0) return false;
    }
    return true;
}

static const Runtime TABLE = {&barrier, &warp, &pause, &shake, &progress, &misuse};

}  // namespace ffcm_shim

#define FFCM_EXPORT extern "C" __attribute__((visibility("default")))

// Before anything else, once. The table is what units are bound to; null if faults cannot be caught.
FFCM_EXPORT const ffcm_shim::Runtime* ffcm_shim_start() { return ffcm_shim::start() ? &ffcm_shim::TABLE : nullptr; }

// Runs a launch to its end. There is a block and a thread at least.
FFCM_EXPORT void ffcm_shim_run(const ffcm_shim::Order* order, ffcm_shim::Outcome* outcome) {
    ffcm_shim::run(order, outcome);
}

// Zeroed memory that ends, up to 16 bytes, where nothing may be touched; null if there is none.
FFCM_EXPORT void* ffcm_shim_allocate(unsigned long long bytes) {
    using namespace ffcm_shim;
    Address pages = (bytes + GUARD - 1) / GUARD * GUARD;
    char* at = map(pages + 2 * GUARD, PROT_NONE);
    if (at == nullptr) return nullptr;
    if (mprotect(at + GUARD, pages, PROT_READ | PROT_WRITE) != 0) {
        munmap(at, pages + 2 * GUARD);
        return nullptr;
    }
    return at + GUARD + pages - (bytes + 15) / 16 * 16;
}

// Gives back what `ffcm_shim_allocate` gave for as many bytes.
FFCM_EXPORT void ffcm_shim_release(void* address, unsigned long long bytes) {
    using namespace ffcm_shim;
    Address pages = (bytes + GUARD - 1) / GUARD * GUARD;
    munmap(static_cast<char*>(address) + (bytes + 15) / 16 * 16 - pages - GUARD, pages + 2 * GUARD);
}
