// Switching from one stack to another.
#pragma once

// Saves the registers that a callee keeps and the stack pointer to `*from`, and goes on where `to` was saved.
extern "C" void ffcm_switch(void** from, void* to);
// Where a new stack starts: calls the function whose address lies on it.
extern "C" void ffcm_start();

#if defined(__x86_64__)

asm(R"(
    .text
    .globl ffcm_switch
    .hidden ffcm_switch
    .type ffcm_switch, @function
ffcm_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size ffcm_switch, .-ffcm_switch
    .globl ffcm_start
    .hidden ffcm_start
    .type ffcm_start, @function
ffcm_start:
    xorl %ebp, %ebp
    call *%rbx
    ud2
    .size ffcm_start, .-ffcm_start
)");

// A stack that calls `function` when switched to; `top` is a multiple of 16.
static inline void* prepare_stack(char* top, void (*function)()) {
    void** sp = reinterpret_cast<void**>(top);
    *--sp = nullptr;
    *--sp = nullptr;
    *--sp = reinterpret_cast<void*>(&ffcm_start);
    *--sp = nullptr;                                // rbp
    *--sp = reinterpret_cast<void*>(function);      // rbx
    for (int i = 0; i < 4; i++) *--sp = nullptr;    // r12 to r15
    return sp;
}

#elif defined(__aarch64__)

asm(R"(
    .text
    .globl ffcm_switch
    .hidden ffcm_switch
    .type ffcm_switch, %function
ffcm_switch:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
    .size ffcm_switch, .-ffcm_switch
    .globl ffcm_start
    .hidden ffcm_start
    .type ffcm_start, %function
ffcm_start:
    blr x19
    brk #1
    .size ffcm_start, .-ffcm_start
)");

static inline void* prepare_stack(char* top, void (*function)()) {
    void** sp = reinterpret_cast<void**>(top) - 20;
    for (int i = 0; i < 20; i++) sp[i] = nullptr;
    sp[0] = reinterpret_cast<void*>(function);      // x19
    sp[11] = reinterpret_cast<void*>(&ffcm_start);  // x30
    return sp;
}

#else
#error "the shim runs on x86-64 and AArch64"
#endif
