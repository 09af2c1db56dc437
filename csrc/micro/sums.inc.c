/* Sums over one row: four vectors of partial sums, then their lanes, in double. */

enum { NAME(PARTS) = 4 };
#define STEP (NAME(PARTS) * VL)

static inline double NAME(sum_of_parts)(const VEC *parts) {
    return NAME(sum_of_lanes)((parts[0] + parts[1]) + (parts[2] + parts[3]));
}

static double NAME(sum)(ptrdiff_t n, const REAL *x) {
    VEC sums[NAME(PARTS)] = {0};
    ptrdiff_t i = 0;
    for (; i + STEP <= n; i += STEP)
        for (int s = 0; s < NAME(PARTS); s++) sums[s] += NAME(load)(x + i + s * VL);
    for (; i < n; i += VL) sums[0] += NAME(load_some)(x + i, n - i, 0);
    return NAME(sum_of_parts)(sums);
}

static double NAME(squared_distance)(ptrdiff_t n, const REAL *x, const REAL *y) {
    VEC sums[NAME(PARTS)] = {0};
    ptrdiff_t i = 0;
    for (; i + STEP <= n; i += STEP)
        for (int s = 0; s < NAME(PARTS); s++) {
            VEC d = NAME(load)(x + i + s * VL) - NAME(load)(y + i + s * VL);
            sums[s] += d * d;
        }
    for (; i < n; i += VL) {
        VEC d = NAME(load_some)(x + i, n - i, 0) - NAME(load_some)(y + i, n - i, 0);
        sums[0] += d * d;
    }
    return NAME(sum_of_parts)(sums);
}

static double NAME(dot)(ptrdiff_t n, const REAL *x, const REAL *y) {
    VEC sums[NAME(PARTS)] = {0};
    ptrdiff_t i = 0;
    for (; i + STEP <= n; i += STEP)
        for (int s = 0; s < NAME(PARTS); s++) sums[s] += NAME(load)(x + i + s * VL) * NAME(load)(y + i + s * VL);
    for (; i < n; i += VL) sums[0] += NAME(load_some)(x + i, n - i, 0) * NAME(load_some)(y + i, n - i, 0);
    return NAME(sum_of_parts)(sums);
}

#undef STEP
