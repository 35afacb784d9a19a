// A driver of CUDA without a device, for tests of the code that calls it: libcuda.so with the
// functions that are used, by NVIDIA's declarations. What is queued runs as late as it may: when
// somebody waits for it. Memory has rubbish in it when it is given and after it is taken back. Two
// kernels are known by name, `add` and `fault`; a test may say what runs all others. A call can be
// told to fail.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

enum : int { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_IMAGE = 200,
             INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700, LAUNCH_FAILED = 719 };

using Handle = uintptr_t;
using Work = std::function<void()>;

constexpr int STATIC_SHARED = 16;
// With its parameters' sizes in bytes. What it says that a block may have does not count the static
// memory, and what it checks does.
struct Function {
    std::string name;
    Handle module;
    std::vector<int> parameters;
    int shared = 48 << 10;
    bool asked = false;
};
// Runs a kernel of a module with its arguments; 0 if it ends well.
using Runner = int (*)(const char* name, const char* module, unsigned blocks, unsigned threads, unsigned shared,
                       int cooperative, const uint64_t* arguments, size_t count);
struct Stream { std::deque<Work> queue; bool capturing = false; std::vector<Work> captured; };
struct Event { uint64_t waits_for = 0; Handle stream = 0; bool recorded = false; };

std::recursive_mutex lock;
std::vector<std::string> calls;
std::map<std::string, std::pair<int, int>> failures;  // how many calls go well before, and the status then
int sticky = OK;
Handle next_handle = 0x1000;
int retained = 0;
thread_local Handle current = 0;
constexpr Handle CONTEXT = 0x77;

std::map<Handle, Stream> streams;
std::map<Handle, Event> events;
std::map<Handle, std::string> modules;
std::map<Handle, Function> functions;
std::map<Handle, std::vector<Work>> graphs, ready_graphs;
std::map<uint64_t, size_t> memory, pinned;
std::set<uint64_t> freed_later;
size_t used = 0, kept = 0;
uint64_t ran = 0;
Runner runner = nullptr;

long number(const char* name, long otherwise) {
    const char* text = std::getenv(name);
    return text ? std::atol(text) : otherwise;
}
size_t total() { return (size_t)number("FAKE_MEMORY", 64 << 20); }

// Notes a call; what it has to fail with, if it has to.
int enter(const char* name, bool in_context = true) {
    calls.push_back(name);
    auto failure = failures.find(name);
    if (failure != failures.end() && failure->second.first-- <= 0) {
        int status = failure->second.second;
        failures.erase(failure);
        return status;
    }
    if (in_context && current != CONTEXT) return INVALID_CONTEXT;
    return in_context ? sticky : OK;
}

// Runs what is queued, all of it or one less than so many.
void drain(Stream& stream, size_t leave = 0) {
    while (stream.queue.size() > leave) {
        Work work = std::move(stream.queue.front());
        stream.queue.pop_front();
        if (sticky == OK) work();
        ran++;
    }
}

bool mapped(uint64_t address, size_t bytes) {
    auto after = memory.upper_bound(address);
    if (after == memory.begin()) return false;
    auto block = std::prev(after);
    return address + bytes <= block->first + block->second;
}

int queue(Handle handle, Work work) {
    auto stream = streams.find(handle);
    if (stream == streams.end()) return INVALID_HANDLE;
    if (stream->second.capturing) stream->second.captured.push_back(std::move(work));
    else stream->second.queue.push_back(std::move(work));
    return OK;
}

// Queues work on memory of the device, which has to be there when it runs.
int queue_on(Handle stream, uint64_t address, size_t bytes, Work work) {
    if (!mapped(address, bytes)) return INVALID_VALUE;
    return queue(stream, [=] { if (mapped(address, bytes)) work(); else sticky = ILLEGAL_ADDRESS; });
}

void* host(uint64_t address) { return (void*)address; }

int allocate(uint64_t* address, size_t bytes) {
    if (bytes == 0) return INVALID_VALUE;
    if (used + bytes > total()) return OUT_OF_MEMORY;
    void* block = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (!block) return OUT_OF_MEMORY;
    std::memset(block, 0xAA, bytes);
    *address = (uint64_t)block;
    memory[*address] = bytes;
    used += bytes;
    return OK;
}

void release(uint64_t address) {
    size_t bytes = memory[address];
    std::memset(host(address), 0xDD, bytes);
    std::free(host(address));
    memory.erase(address);
    used -= bytes;
}

// What a kernel of a module takes: assembly says so, of a binary it is known.
std::vector<int> parameters_of(const std::string& module, const std::string& name) {
    size_t at = module.find(".entry " + name + "(");
    if (at == std::string::npos) return name == "add" ? std::vector<int>{8, 8, 4} : std::vector<int>{};
    std::vector<int> sizes;
    size_t end = module.find(')', at);
    while ((at = module.find(".param", at + 1)) < end) {
        size_t type = module.find_first_not_of(' ', at + 6);
        sizes.push_back(module.compare(type, 4, ".u64") == 0 ? 8 : 4);
    }
    return sizes;
}

struct Launch { unsigned blocks, threads, shared; bool cooperative; };

void launch(const Function& function, Launch launch, const std::vector<uint64_t>& values) {
    if (runner) {
        int status = runner(function.name.c_str(), modules[function.module].c_str(), launch.blocks, launch.threads,
                            launch.shared, launch.cooperative, values.data(), values.size());
        if (status != 0) sticky = LAUNCH_FAILED;
        return;
    }
    if (function.name == "fault") { sticky = ILLEGAL_ADDRESS; return; }
    // add(u64* data, u64 count, u32 value)
    auto* data = (uint64_t*)values[0];
    if (!mapped(values[0], values[1] * 8)) { sticky = ILLEGAL_ADDRESS; return; }
    for (uint64_t i = 0; i < values[1]; i++) data[i] += (uint32_t)values[2];
}

int launch_on(Handle function, Launch how, Handle stream, void** parameters) {
    auto found = functions.find(function);
    if (found == functions.end()) return INVALID_HANDLE;
    if (how.blocks == 0 || how.threads == 0 || how.threads > 1024 ||
        (int)how.shared > found->second.shared - (found->second.asked ? 0 : STATIC_SHARED)) return INVALID_VALUE;
    std::vector<uint64_t> values;
    for (size_t i = 0; i < found->second.parameters.size(); i++) {
        uint64_t value = 0;
        std::memcpy(&value, parameters[i], found->second.parameters[i]);
        values.push_back(value);
    }
    Function copy = found->second;
    return queue(stream, [=] { launch(copy, how, values); });
}

}  // namespace

// For the tests.

// Kernels are run by this from now on.
EXPORT void fake_run_kernels(Runner by) {
    std::lock_guard guard(lock);
    runner = by;
}
EXPORT void fake_fail(const char* name, int after, int status) {
    std::lock_guard guard(lock);
    failures[name] = {after, status};
}
// The names of all calls since the last time, each on a line.
EXPORT const char* fake_calls() {
    static std::string text;
    std::lock_guard guard(lock);
    text.clear();
    for (auto& call : calls) text += call + "\n";
    calls.clear();
    return text.c_str();
}
// What has been taken and not given back.
EXPORT const char* fake_live() {
    static std::string text;
    std::lock_guard guard(lock);
    text.clear();
    auto add = [&](const char* what, size_t count) { if (count) text += std::string(what) + " " + std::to_string(count) + " "; };
    add("contexts", retained); add("streams", streams.size()); add("events", events.size()); add("modules", modules.size());
    add("graphs", graphs.size() + ready_graphs.size()); add("memory", memory.size()); add("pinned", pinned.size());
    return text.c_str();
}

#define ENTER(name) std::lock_guard guard(lock); if (int status = enter(#name)) return status
#define ENTER_ANYWHERE(name) std::lock_guard guard(lock); if (int status = enter(#name, false)) return status

EXPORT int cuDriverGetVersion(int* version) { ENTER_ANYWHERE(cuDriverGetVersion); *version = number("FAKE_VERSION", 13000); return OK; }
EXPORT int cuGetErrorName(int status, const char** text) {
    *text = status == ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS" : status == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : nullptr;
    return *text ? OK : INVALID_VALUE;
}
EXPORT int cuGetErrorString(int status, const char** text) { *text = status < 1000 ? "as told" : nullptr; return *text ? OK : INVALID_VALUE; }
EXPORT int cuInit(unsigned) { ENTER_ANYWHERE(cuInit); return OK; }
EXPORT int cuDeviceGetCount(int* count) { ENTER_ANYWHERE(cuDeviceGetCount); *count = number("FAKE_DEVICES", 2); return OK; }
EXPORT int cuDeviceGet(int* device, int index) { ENTER_ANYWHERE(cuDeviceGet); *device = index; return index < number("FAKE_DEVICES", 2) ? OK : INVALID_DEVICE; }
EXPORT int cuDeviceGetName(char* name, int room, int device) {
    ENTER_ANYWHERE(cuDeviceGetName);
    std::strncpy(name, device == 0 ? "Old Card" : "New Card", room);
    return OK;
}
EXPORT int cuDeviceTotalMem_v2(size_t* bytes, int) { ENTER_ANYWHERE(cuDeviceTotalMem); *bytes = total(); return OK; }
EXPORT int cuDeviceGetAttribute(int* value, int attribute, int device) {
    ENTER_ANYWHERE(cuDeviceGetAttribute);
    // Multiprocessors, compute mode, L2, threads, major, minor, cooperative, shared memory, pools.
    std::map<int, int> values = {{16, 4}, {20, 0}, {38, 1 << 20}, {39, 2048}, {75, device == 0 ? 6 : 9}, {76, device == 0 ? 1 : 0},
                                 {95, 1}, {97, 227 << 10}, {115, (int)number("FAKE_POOLS", 1)}};
    if (!values.count(attribute)) return INVALID_VALUE;
    *value = values[attribute];
    return OK;
}
EXPORT int cuDeviceGetDefaultMemPool(Handle* pool, int) { ENTER(cuDeviceGetDefaultMemPool); *pool = 0x99; return OK; }
EXPORT int cuMemPoolSetAttribute(Handle pool, int attribute, void* value) {
    ENTER(cuMemPoolSetAttribute);
    return pool == 0x99 && attribute == 4 && *(uint64_t*)value > 0 ? OK : INVALID_VALUE;
}
EXPORT int cuMemPoolTrimTo(Handle pool, size_t) { ENTER(cuMemPoolTrimTo); kept = 0; return pool == 0x99 ? OK : INVALID_VALUE; }
EXPORT int cuDevicePrimaryCtxRetain(Handle* context, int) { ENTER_ANYWHERE(cuDevicePrimaryCtxRetain); *context = CONTEXT; retained++; return OK; }
EXPORT int cuDevicePrimaryCtxRelease_v2(int) { ENTER_ANYWHERE(cuDevicePrimaryCtxRelease); return --retained < 0 ? INVALID_CONTEXT : OK; }
EXPORT int cuCtxSetCurrent(Handle context) { ENTER_ANYWHERE(cuCtxSetCurrent); current = context; return context == CONTEXT ? OK : INVALID_CONTEXT; }

EXPORT int cuModuleLoadDataEx(Handle* module, const void* image, unsigned count, int* options, void** values) {
    ENTER(cuModuleLoadDataEx);
    if (count != 2 || options[0] != 5 || options[1] != 6) return INVALID_VALUE;
    // A binary names its kernels in its tables, and so does assembly in its text.
    const char* bytes = (const char*)image;
    size_t length;
    if (std::memcmp(bytes, "\x7f" "ELF", 4) == 0) {
        uint64_t sections; uint16_t size, entries;
        std::memcpy(&sections, bytes + 0x28, 8); std::memcpy(&size, bytes + 0x3a, 2); std::memcpy(&entries, bytes + 0x3c, 2);
        length = sections + size * entries;
    } else length = std::strlen(bytes);
    std::string text(bytes, length);
    if (text.find("refused") != std::string::npos) {
        std::strncpy((char*)values[0], "ptxas: it is refused", (size_t)values[1]);
        return INVALID_IMAGE;
    }
    *module = next_handle++;
    modules[*module] = text;
    return OK;
}
EXPORT int cuModuleUnload(Handle module) { ENTER(cuModuleUnload); return modules.erase(module) ? OK : INVALID_HANDLE; }
EXPORT int cuModuleGetFunction(Handle* function, Handle module, const char* name) {
    ENTER(cuModuleGetFunction);
    if (!modules.count(module)) return INVALID_HANDLE;
    if (modules[module].find(name) == std::string::npos) return NOT_FOUND;
    *function = next_handle++;
    functions[*function] = {name, module, parameters_of(modules[module], name)};
    return OK;
}
EXPORT int cuFuncGetAttribute(int* value, int attribute, Handle function) {
    ENTER(cuFuncGetAttribute);
    // Threads, static shared memory, local memory, registers, dynamic shared memory.
    std::map<int, int> values = {{0, 1024}, {1, STATIC_SHARED}, {3, 8}, {4, 32}, {8, functions[function].shared}};
    if (!values.count(attribute)) return INVALID_VALUE;
    *value = values[attribute];
    return OK;
}
#ifndef NO_PARAM_INFO
EXPORT int cuFuncGetParamInfo(Handle function, size_t index, size_t* offset, size_t* size) {
    ENTER(cuFuncGetParamInfo);
    auto& parameters = functions[function].parameters;
    if (index >= parameters.size()) return INVALID_VALUE;
    *offset = index * 8;
    *size = parameters[index];
    return OK;
}
#endif
EXPORT int cuFuncSetAttribute(Handle function, int attribute, int value) {
    ENTER(cuFuncSetAttribute);
    if (attribute != 8 || value > (227 << 10) - STATIC_SHARED) return INVALID_VALUE;
    functions[function].asked = true;
    functions[function].shared = value;
    return OK;
}
EXPORT int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Handle function, int threads, size_t shared) {
    ENTER(cuOccupancyMaxActiveBlocksPerMultiprocessor);
    if (!functions.count(function) || threads <= 0) return INVALID_VALUE;
    *blocks = (int)shared > functions[function].shared ? 0 : (int)number("FAKE_BLOCKS", 2048 / threads);
    return OK;
}

EXPORT int cuMemGetInfo_v2(size_t* free, size_t* all) { ENTER(cuMemGetInfo); *all = total(); *free = *all - used - kept; return OK; }
EXPORT int cuMemAlloc_v2(uint64_t* address, size_t bytes) { ENTER(cuMemAlloc); return allocate(address, bytes); }
EXPORT int cuMemFree_v2(uint64_t address) {
    ENTER(cuMemFree);
    for (auto& stream : streams) if (!stream.second.queue.empty()) return INVALID_VALUE;
    if (!memory.count(address)) return INVALID_VALUE;
    release(address);
    return OK;
}
EXPORT int cuMemAllocAsync(uint64_t* address, size_t bytes, Handle) {
    ENTER(cuMemAllocAsync);
    if (used + kept + bytes > total()) return OUT_OF_MEMORY;
    return allocate(address, bytes);
}
EXPORT int cuMemFreeAsync(uint64_t address, Handle stream) {
    ENTER(cuMemFreeAsync);
    if (!memory.count(address) || !freed_later.insert(address).second) return INVALID_VALUE;
    return queue(stream, [=] { kept += memory[address]; release(address); freed_later.erase(address); });
}
EXPORT int cuMemHostAlloc(void** at, size_t bytes, unsigned) { ENTER(cuMemHostAlloc); *at = std::malloc(bytes); pinned[(uint64_t)*at] = bytes; return OK; }
EXPORT int cuMemFreeHost(void* at) { ENTER(cuMemFreeHost); if (!pinned.erase((uint64_t)at)) return INVALID_VALUE; std::free(at); return OK; }
EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, Handle stream) {
    ENTER(cuMemcpyHtoDAsync);
    return queue_on(stream, to, bytes, [=] { std::memcpy(host(to), from, bytes); });
}
EXPORT int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, Handle stream) {
    ENTER(cuMemcpyDtoHAsync);
    return queue_on(stream, from, bytes, [=] { std::memcpy(to, host(from), bytes); });
}
EXPORT int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, Handle stream) {
    ENTER(cuMemcpyDtoDAsync);
    if (!mapped(from, bytes)) return INVALID_VALUE;
    return queue_on(stream, to, bytes, [=] { std::memcpy(host(to), host(from), bytes); });
}
EXPORT int cuMemsetD8Async(uint64_t at, unsigned char value, size_t count, Handle stream) {
    ENTER(cuMemsetD8Async);
    return queue_on(stream, at, count, [=] { std::memset(host(at), value, count); });
}
EXPORT int cuMemsetD32Async(uint64_t at, unsigned value, size_t count, Handle stream) {
    ENTER(cuMemsetD32Async);
    if (at % 4) return INVALID_VALUE;
    return queue_on(stream, at, count * 4, [=] { for (size_t i = 0; i < count; i++) ((unsigned*)at)[i] = value; });
}

EXPORT int cuStreamCreate(Handle* stream, unsigned flags) { ENTER(cuStreamCreate); *stream = next_handle++; streams[*stream]; return flags == 1 ? OK : INVALID_VALUE; }
EXPORT int cuStreamDestroy_v2(Handle stream) {
    ENTER(cuStreamDestroy);
    if (!streams.count(stream)) return INVALID_HANDLE;
    drain(streams[stream]);
    streams.erase(stream);
    return OK;
}
EXPORT int cuStreamSynchronize(Handle stream) {
    ENTER(cuStreamSynchronize);
    if (!streams.count(stream)) return INVALID_HANDLE;
    drain(streams[stream]);
    return sticky;
}
EXPORT int cuStreamBeginCapture_v2(Handle stream, int mode) {
    ENTER(cuStreamBeginCapture);
    if (streams[stream].capturing || mode != 1) return INVALID_VALUE;
    streams[stream].capturing = true;
    return OK;
}
EXPORT int cuStreamEndCapture(Handle stream, Handle* graph) {
    ENTER(cuStreamEndCapture);
    if (!streams[stream].capturing) return INVALID_VALUE;
    streams[stream].capturing = false;
    *graph = next_handle++;
    graphs[*graph] = std::move(streams[stream].captured);
    streams[stream].captured.clear();
    return OK;
}
EXPORT int cuGraphInstantiateWithFlags(Handle* ready, Handle graph, unsigned long long) {
    ENTER(cuGraphInstantiate);
    if (!graphs.count(graph)) return INVALID_HANDLE;
    *ready = next_handle++;
    ready_graphs[*ready] = graphs[graph];
    return OK;
}
EXPORT int cuGraphDestroy(Handle graph) { ENTER(cuGraphDestroy); return graphs.erase(graph) ? OK : INVALID_HANDLE; }
EXPORT int cuGraphExecDestroy(Handle ready) { ENTER(cuGraphExecDestroy); return ready_graphs.erase(ready) ? OK : INVALID_HANDLE; }
EXPORT int cuGraphLaunch(Handle ready, Handle stream) {
    ENTER(cuGraphLaunch);
    if (!ready_graphs.count(ready)) return INVALID_HANDLE;
    // By its handle, so that a graph that is gone when its turn comes is noticed.
    return queue(stream, [=] {
        if (!ready_graphs.count(ready)) { sticky = ILLEGAL_ADDRESS; return; }
        for (auto& work : ready_graphs[ready]) work();
    });
}

EXPORT int cuEventCreate(Handle* event, unsigned) { ENTER(cuEventCreate); *event = next_handle++; events[*event]; return OK; }
EXPORT int cuEventDestroy_v2(Handle event) { ENTER(cuEventDestroy); return events.erase(event) ? OK : INVALID_HANDLE; }
EXPORT int cuEventRecord(Handle event, Handle stream) {
    ENTER(cuEventRecord);
    if (!events.count(event) || !streams.count(stream)) return INVALID_HANDLE;
    events[event] = {ran + streams[stream].queue.size(), stream, true};
    return OK;
}
// Only as much runs as was queued before the event.
EXPORT int cuEventSynchronize(Handle event) {
    ENTER(cuEventSynchronize);
    if (!events.count(event)) return INVALID_HANDLE;
    Event& happened = events[event];
    if (!happened.recorded) return OK;
    Stream& stream = streams[happened.stream];
    while (ran < happened.waits_for && !stream.queue.empty()) drain(stream, stream.queue.size() - 1);
    return sticky;
}
EXPORT int cuEventElapsedTime(float* milliseconds, Handle from, Handle to) {
    ENTER(cuEventElapsedTime);
    if (!events.count(from) || !events.count(to) || !events[to].recorded) return INVALID_HANDLE;
    *milliseconds = 1.5f;
    return OK;
}

EXPORT int cuLaunchCooperativeKernel(Handle function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned ty, unsigned tz,
                                     unsigned shared, Handle stream, void** parameters) {
    ENTER(cuLaunchCooperativeKernel);
    if (y != 1 || z != 1 || ty != 1 || tz != 1) return INVALID_VALUE;
    return launch_on(function, {x, threads, shared, true}, stream, parameters);
}
#ifndef NO_LAUNCH
EXPORT int cuLaunchKernel(Handle function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned ty, unsigned tz, unsigned shared,
                          Handle stream, void** parameters, void** extra) {
    ENTER(cuLaunchKernel);
    if (y != 1 || z != 1 || ty != 1 || tz != 1 || extra) return INVALID_VALUE;
    return launch_on(function, {x, threads, shared, false}, stream, parameters);
}
#endif
