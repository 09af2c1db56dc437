/* Denormal numbers, those below the smallest normal one, count as zero inside the parallel regions.

   Design:
   Arithmetic with them takes a CPU up to a hundred times as long, and no network needs them: activations and gradients
   that die away would slow training down at random. The switch belongs to a thread, so each thread of a region sets it
   on entering and puts it back on leaving: the caller's arithmetic, and that of other libraries on the same threads,
   stays as it was. Regions do not lie in one another: so each thread has one state to remember. Where there is no such
   switch, nothing happens.
*/
#ifndef CNNX_DENORMALS_H
#define CNNX_DENORMALS_H
#include <stdint.h>

#if defined(__SSE2__)

static _Thread_local unsigned cnnx_state_before;

/* MXCSR: 0x8000 flushes results to zero, 0x40 takes denormal inputs as zero. */
static inline void cnnx_flush_denormals(void) {
    cnnx_state_before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(cnnx_state_before | 0x8040);
}
static inline void cnnx_restore_denormals(void) { __builtin_ia32_ldmxcsr(cnnx_state_before); }

#elif defined(__aarch64__)

static _Thread_local uint64_t cnnx_state_before;

/* FPCR: bit 24 (FZ) does both. */
static inline void cnnx_flush_denormals(void) {
    __asm__ volatile("mrs %0, fpcr" : "=r"(cnnx_state_before));
    __asm__ volatile("msr fpcr, %0" : : "r"(cnnx_state_before | (uint64_t)1 << 24) : "memory");
}
static inline void cnnx_restore_denormals(void) {
    __asm__ volatile("msr fpcr, %0" : : "r"(cnnx_state_before) : "memory");
}

#else

static inline void cnnx_flush_denormals(void) {}
static inline void cnnx_restore_denormals(void) {}

#endif
#endif
