/* Which kernel sets this build contains, which of them this CPU can run, and which one is active; and the names of the
   activations. */
#include "kernels.h"
#include <string.h>

/* SET(name, whether this CPU can run it) for each set of a machine type but baseline, the best first. */
#define X86_64_SETS                                                                                                    \
    SET(avx512, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma"))                                    \
    SET(avx2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
#define AARCH64_SETS SET(neon, 1)

#define SET(name, runs) , cnnx_##name
extern const cnnx_kernel_set cnnx_baseline X86_64_SETS AARCH64_SETS;
#undef SET

const cnnx_kernel_set *cnnx_active = &cnnx_baseline;

/* The i-th usable set, the best first, or NULL. */
static const cnnx_kernel_set *usable(size_t i) {
    const struct {
        const cnnx_kernel_set *set;
        int runs;
    } best_first[] = {
#if defined(CNNX_ALL_SETS) /* for the tests: all are compiled to the instructions of baseline */
#define SET(name, runs) {&cnnx_##name, 1},
        {&cnnx_baseline, 1},
        X86_64_SETS AARCH64_SETS
#else
#define SET(name, runs) {&cnnx_##name, runs},
#if defined(__x86_64__)
        X86_64_SETS
#elif defined(__aarch64__)
        AARCH64_SETS
#endif
        {&cnnx_baseline, 1},
#endif
#undef SET
    };
    for (size_t s = 0; s < sizeof best_first / sizeof *best_first; s++)
        if (best_first[s].runs && i-- == 0) return best_first[s].set;
    return NULL;
}

const char *cnnx_usable(size_t i) {
    const cnnx_kernel_set *set = usable(i);
    return set ? set->name : NULL;
}

int cnnx_select(const char *name) {
    for (size_t i = 0; usable(i); i++)
        if (!name || !strcmp(name, usable(i)->name)) {
            cnnx_active = usable(i);
            return 0;
        }
    return -1;
}

const char *cnnx_activation_name(size_t i) {
    static const char *const names[] = {
        NULL,
#define ACTIVATION(name, reads, y, dx) #name,
#include "activations.h"
    };
    return i < sizeof names / sizeof *names ? names[i] : NULL;
}
