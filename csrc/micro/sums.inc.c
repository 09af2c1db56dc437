/* Sums over rows: four vectors of partial sums, whose lanes are then added in double. */

enum { NAME(PARTS) = 4 };
#define STEP (NAME(PARTS) * VL)
#define LANE(l) (l)

_Static_assert(NAME(PARTS) == 4, "sum_of_parts, and add_partial of norm.inc.c");
static inline VEC NAME(sum_of_parts)(const VEC *parts) { return (parts[0] + parts[1]) + (parts[2] + parts[3]); }

/* The partial sums of a row. more: a whole vector may be read at its end. */
static inline VEC NAME(row_lanes)(ptrdiff_t n, const REAL *x, int more) {
    const IVEC lane = {LANES(LANE)};
    VEC sums[NAME(PARTS)] = {0};
    ptrdiff_t i = 0;
    for (; i + STEP <= n; i += STEP)
        for (int s = 0; s < NAME(PARTS); s++) sums[s] += NAME(load)(x + i + s * VL);
    for (; i + VL <= n; i += VL) sums[0] += NAME(load)(x + i);
    if (i < n && more) sums[0] += (VEC)((IVEC)NAME(load)(x + i) & (lane < (INT)(n - i)));
    else if (i < n) sums[0] += NAME(load_part)(x + i, n - i, 0);
    return NAME(sum_of_parts)(sums);
}

static double NAME(sum)(ptrdiff_t n, const REAL *x) { return NAME(sum_of_lanes)(NAME(row_lanes)(n, x, 0)); }

/* VL rows at a time: the lanes of a row's sum become a column, and columns are added in double, in order. */
static void NAME(row_sums)(ptrdiff_t rows, ptrdiff_t n, const REAL *x, ptrdiff_t stride, double *sums) {
    typedef double totals __attribute__((vector_size(VECTOR_BYTES / sizeof(REAL) * sizeof(double))));
    ptrdiff_t row = 0;
    for (; row + VL <= rows; row += VL) {
        VEC square[VL];
        totals total = {0};
        for (ptrdiff_t l = 0; l < VL; l++)
            square[l] = NAME(row_lanes)(n, x + (row + l) * stride, (rows - 1 - row - l) * stride >= VL);
        NAME(transpose_square)(square);
        for (int l = 0; l < VL; l++) total += __builtin_convertvector(square[l], totals);
        for (int l = 0; l < VL; l++) sums[row + l] += total[l];
    }
    for (; row < rows; row++) sums[row] += NAME(sum)(n, x + row * stride);
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
    return NAME(sum_of_lanes)(NAME(sum_of_parts)(sums));
}

static double NAME(dot)(ptrdiff_t n, const REAL *x, const REAL *y) {
    VEC sums[NAME(PARTS)] = {0};
    ptrdiff_t i = 0;
    for (; i + STEP <= n; i += STEP)
        for (int s = 0; s < NAME(PARTS); s++) sums[s] += NAME(load)(x + i + s * VL) * NAME(load)(y + i + s * VL);
    for (; i < n; i += VL) sums[0] += NAME(load_some)(x + i, n - i, 0) * NAME(load_some)(y + i, n - i, 0);
    return NAME(sum_of_lanes)(NAME(sum_of_parts)(sums));
}

static double NAME(prelu_backward)(ptrdiff_t n, const REAL *dy, const REAL *x, REAL slope, REAL *dx) {
    VEC sums[2] = {0};
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const VEC d = NAME(load_some)(dy + i, n - i, 0), v = NAME(load_some)(x + i, n - i, 1);
        sums[i / VL % 2] += NAME(select)(v > 0, (VEC){0}, d * v);
        NAME(store_some)(dx + i, NAME(select)(v > 0, d, slope * d), n - i);
    }
    return NAME(sum_of_lanes)(sums[0] + sums[1]);
}

static double NAME(extreme)(ptrdiff_t n, const REAL *x, int smallest) {
    const IVEC sign = (IVEC)NAME(splat)(smallest ? (REAL)-0.0 : 0); /* the smallest is the largest of -x */
    VEC most[NAME(PARTS)]; /* several: independent chains of comparisons */
    for (int s = 0; s < NAME(PARTS); s++) most[s] = NAME(splat)(-INFINITY);
    ptrdiff_t i = 0;
    for (; i + STEP <= n; i += STEP)
        for (int s = 0; s < NAME(PARTS); s++) {
            const VEC v = (VEC)((IVEC)NAME(load)(x + i + s * VL) ^ sign);
            most[s] = NAME(select)((v > most[s]) | (v != v), v, most[s]);
        }
    for (; i < n; i += VL) {
        const VEC v = (VEC)((IVEC)NAME(load_some)(x + i, n - i, x[i]) ^ sign);
        most[0] = NAME(select)((v > most[0]) | (v != v), v, most[0]);
    }
    REAL found = -INFINITY;
    for (int s = 0; s < NAME(PARTS); s++)
        for (ptrdiff_t l = 0; l < VL; l++)
            if (most[s][l] > found || most[s][l] != most[s][l]) found = most[s][l];
    return smallest ? -found : found;
}

#undef STEP
#undef LANE
