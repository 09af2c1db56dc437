/* A step of an LSTM.

   Design:
   Two vectors of units at a time: with four gates these are eight sums, which hide the latency of each other, and the
   gates end in the registers in which they were summed. For one sequence each weight is used once, so the speed is that
   of reading the weights: they lie in the order in which they are needed, and are prefetched further ahead than the
   hardware does, which stops at the end of a page.
*/
enum { NAME(GATES) = 4, NAME(WIDE) = 2 };
#define SUMS (NAME(GATES) * NAME(WIDE))

/* sums += a[p] * weight rows p; returns what follows in weight. */
static inline const REAL *NAME(gate_sums)(ptrdiff_t k, const REAL *a, const REAL *weight, VEC *sums) {
    enum { AHEAD = 4096 / sizeof(REAL), LINE = 64 / sizeof(REAL) };
    for (ptrdiff_t p = 0; p < k; p++, weight += SUMS * VL) {
        for (ptrdiff_t l = 0; l < SUMS * VL; l += LINE) __builtin_prefetch(weight + AHEAD + l);
        for (int s = 0; s < SUMS; s++) sums[s] += a[p] * NAME(load)(weight + s * VL);
    }
    return weight;
}

static void NAME(lstm_units)(const cnnx_lstm *sizes, const REAL *x, const REAL *h, const REAL *weight,
                             const REAL *start, const REAL *c, REAL *next_h, REAL *next_c) {
    const ptrdiff_t units = sizes->units;
    VEC sums[SUMS] = {0};
    weight = NAME(gate_sums)(sizes->inputs, x, weight, sums);
    NAME(gate_sums)(sizes->hidden, h, weight, sums);
    for (ptrdiff_t u = 0; u < units; u += VL) {
        VEC gates[NAME(GATES)];
        for (int g = 0; g < NAME(GATES); g++)
            gates[g] = sums[g * NAME(WIDE) + u / VL] + NAME(load_some)(start + g * sizes->gate + u, units - u, 0);
        const VEC enters = NAME(vec_sigmoid)(gates[0]) * NAME(vec_tanh)(gates[3]);
        const VEC cell = NAME(vec_sigmoid)(gates[2]) * NAME(load_some)(c + u, units - u, 0) + enters;
        NAME(store_some)(next_c + u, cell, units - u);
        NAME(store_some)(next_h + u, NAME(vec_sigmoid)(gates[1]) * NAME(vec_tanh)(cell), units - u);
    }
}

#undef SUMS
