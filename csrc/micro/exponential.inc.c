/* exp and what is made of it: sigmoid, tanh, power, softmax, log_softmax.

   Design:
   exp(x) = 2^k * exp(r), k = round(x / ln 2), |r| <= ln 2 / 2 (Cody and Waite, 1980: ln 2 in two parts, so that r is
   exact). exp(r) - 1 is its Taylor series; that it is the series of expm1 keeps tanh accurate near 0. 2^k comes from
   the bits: adding 1.5 * 2^MANTISSA leaves k in the lowest ones. Results below the smallest normal number are 0.
   Nearly all of these need exp only of x <= 0, which is cheaper: it does not overflow.
*/
#undef LOWEST
#undef HIGHEST
#undef TERMS
#if MANTISSA == 23
#define LOWEST -86.6f   /* exp of it is a normal number, even with k - 1 */
#define HIGHEST 89.0f   /* exp of it overflows */
#define TERMS 7         /* r^8 / 8! < 2^-27 */
#else
#define LOWEST -707.0
#define HIGHEST 710.0
#define TERMS 13        /* r^14 / 14! < 2^-57 */
#endif

static const REAL NAME(inverse_factorial)[] = {
    1, 1, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800,
    1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800,
};

/* k and its whole number as REAL, for x = k * ln 2 + r. Unspecified unless LOWEST <= x <= HIGHEST, or x is NaN. */
static inline VEC NAME(nearest_power)(VEC x, IVEC *k) {
    const REAL shift = (REAL)1.5 * ((INT)1 << MANTISSA);
    const VEC shifted = x * (REAL)1.44269504088896340736 + shift;
    *k = (IVEC)shifted - (IVEC)NAME(splat)(shift);
    return shifted - shift;
}

static inline VEC NAME(expm1_series)(VEC r) {
    VEC series = NAME(splat)(NAME(inverse_factorial)[TERMS]);
    for (int n = TERMS - 1; n > 0; n--) series = series * r + NAME(inverse_factorial)[n];
    return series * r;
}

/* exp(r) - 1, and k */
static inline VEC NAME(reduced_expm1)(VEC x, IVEC *k) {
    const VEC whole = NAME(nearest_power)(x, k);
    return NAME(expm1_series)((x - whole * LN2_HIGH) - whole * LN2_LOW);
}

static inline VEC NAME(power_of_two)(IVEC k) {
    const INT bias = ((INT)1 << (sizeof(REAL) * 8 - 2 - MANTISSA)) - 1;
    return (VEC)((k + bias) << MANTISSA);
}

static inline VEC NAME(vec_exp)(VEC x) {
    IVEC k;
    const VEC series = NAME(reduced_expm1)(NAME(select)(x > HIGHEST, NAME(splat)(HIGHEST), x), &k);
    const VEC y = (1 + series) * NAME(power_of_two)(k - 1) * 2; /* k - 1: 2^k itself may be out of range */
    return NAME(select)(x < LOWEST, (VEC){0}, y);
}

/* exp(x) for x <= 0 */
static inline VEC NAME(vec_exp_down)(VEC x) {
    IVEC k;
    const VEC series = NAME(reduced_expm1)(x, &k);
    const VEC scale = NAME(power_of_two)(k);
    return NAME(select)(x < LOWEST, (VEC){0}, scale * series + scale);
}

/* exp(x) - 1 for x <= 0 */
static inline VEC NAME(vec_expm1_down)(VEC x) {
    IVEC k;
    const VEC series = NAME(reduced_expm1)(x, &k);
    const VEC scale = NAME(power_of_two)(k);
    return NAME(select)(x < LOWEST, NAME(splat)(-1), scale * series + (scale - 1));
}

/* -|x| */
static inline VEC NAME(downward)(VEC x) { return (VEC)((IVEC)x | (IVEC)NAME(splat)(-0.0)); }

/* 1 / (1 + exp(-x)) from e = exp(-|x|) */
static inline VEC NAME(sigmoid_from)(VEC x, VEC e) { return NAME(select)(x < 0, e, NAME(splat)(1)) / (1 + e); }

static inline VEC NAME(vec_sigmoid)(VEC x) {
    return NAME(sigmoid_from)(x, NAME(vec_exp_down)(NAME(downward)(x)));
}

/* tanh |x| = (1 - e) / (1 + e) with e = exp(-2 |x|) */
static inline VEC NAME(vec_tanh)(VEC x) {
    const VEC t = NAME(vec_expm1_down)(2 * NAME(downward)(x));
    const VEC y = t / (t + 2);
    return NAME(select)(x < 0, y, 0 - y); /* not -y: tanh of 0 is not -0 */
}

static void NAME(sigmoid)(ptrdiff_t n, const REAL *x, REAL *y) {
    for (ptrdiff_t i = 0; i < n; i += VL)
        NAME(store_some)(y + i, NAME(vec_sigmoid)(NAME(load_some)(x + i, n - i, 0)), n - i);
}

static void NAME(tanh)(ptrdiff_t n, const REAL *x, REAL *y) {
    for (ptrdiff_t i = 0; i < n; i += VL)
        NAME(store_some)(y + i, NAME(vec_tanh)(NAME(load_some)(x + i, n - i, 0)), n - i);
}

static void NAME(power)(ptrdiff_t n, const REAL *x, REAL exponent, REAL *y) {
    const VEC infinity = NAME(splat)(INFINITY);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const VEC v = NAME(load_some)(x + i, n - i, 1), log = NAME(select)(v == infinity, v, NAME(vec_log)(v));
        const VEC power = exponent == 0 ? NAME(splat)(1) : NAME(vec_exp)(log * exponent);
        NAME(store_some)(y + i, power, n - i);
    }
}

/* The larger of two, lane by lane; b where a is NaN. */
static inline VEC NAME(larger)(VEC a, VEC b) { return NAME(select)(a > b, a, b); }

static REAL NAME(largest)(ptrdiff_t n, const REAL *x) {
    VEC most[NAME(PARTS)]; /* several: independent chains of comparisons */
    for (int s = 0; s < NAME(PARTS); s++) most[s] = NAME(splat)(-INFINITY);
    ptrdiff_t i = 0;
    for (; i + NAME(PARTS) * VL <= n; i += NAME(PARTS) * VL)
        for (int s = 0; s < NAME(PARTS); s++) most[s] = NAME(larger)(NAME(load)(x + i + s * VL), most[s]);
    for (; i < n; i += VL) most[0] = NAME(larger)(NAME(load_some)(x + i, n - i, -INFINITY), most[0]);
    most[0] = NAME(larger)(NAME(larger)(most[0], most[1]), NAME(larger)(most[2], most[3]));
    REAL result = most[0][0];
    for (ptrdiff_t l = 1; l < VL; l++) result = most[0][l] > result ? most[0][l] : result;
    return result;
}

/* y = exp(x - center), center being the largest; returns the sum. y may be NULL. */
static inline double NAME(exp_sum)(ptrdiff_t n, const REAL *x, REAL center, REAL *y) {
    VEC sums[2] = {0};
    ptrdiff_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL)
        for (int s = 0; s < 2; s++) {
            const VEC e = NAME(vec_exp_down)(NAME(load)(x + i + s * VL) - center);
            sums[s] += e;
            if (y) NAME(store)(y + i + s * VL, e);
        }
    for (; i < n; i += VL) {
        const VEC e = NAME(vec_exp_down)(NAME(load_some)(x + i, n - i, -INFINITY) - center);
        sums[0] += e;
        if (y) NAME(store_some)(y + i, e, n - i);
    }
    return NAME(sum_of_lanes)(sums[0] + sums[1]);
}

static double NAME(softmax)(ptrdiff_t n, const REAL *x, REAL *y, REAL *top) {
    const REAL center = NAME(largest)(n, x);
    const double sum = NAME(exp_sum)(n, x, center, y);
    const REAL scale = (REAL)(1 / sum);
    for (ptrdiff_t i = 0; i < n; i++) y[i] *= scale;
    if (top) *top = center;
    return log(sum);
}

static void NAME(softmax_backward)(ptrdiff_t n, const REAL *dy, const REAL *y, REAL *dx) {
    const REAL sum = (REAL)NAME(dot)(n, dy, y);
    for (ptrdiff_t i = 0; i < n; i++) dx[i] = y[i] * (dy[i] - sum);
}

static void NAME(log_softmax)(ptrdiff_t n, const REAL *x, REAL *y) {
    const REAL center = NAME(largest)(n, x);
    const REAL log_sum = (REAL)log(NAME(exp_sum)(n, x, center, NULL));
    for (ptrdiff_t i = 0; i < n; i++) y[i] = (x[i] - center) - log_sum;
}

static void NAME(log_softmax_backward)(ptrdiff_t n, const REAL *dy, const REAL *y, REAL *dx) {
    const REAL sum = (REAL)NAME(sum)(n, dy);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const VEC p = NAME(vec_exp)(NAME(load_some)(y + i, n - i, 0));
        NAME(store_some)(dx + i, NAME(load_some)(dy + i, n - i, 0) - p * sum, n - i);
    }
}

/* Vectors side by side: what is a number for one vector is a row of numbers here. */

/* By squares of VL rows; the last square of a row ends with it. A row shorter than a vector is loaded together with
   what follows it, and what is written back beyond the row is overwritten by the next. */
static void NAME(transpose_across)(ptrdiff_t k, ptrdiff_t n, const REAL *x, REAL *y) {
    for (ptrdiff_t j = 0; j < n; j += VL)
        for (ptrdiff_t p = 0; p < k; p += VL) {
            const ptrdiff_t first = p + VL <= k || k < VL ? p : k - VL;
            VEC square[VL];
            for (ptrdiff_t l = 0; l < VL; l++) {
                const ptrdiff_t at = (j + l < n ? j + l : n - 1) * k + first;
                square[l] = NAME(load_some)(x + at, n * k - at, 0);
            }
            NAME(transpose_square)(square);
            for (ptrdiff_t i = 0; i < VL && first + i < k; i++)
                NAME(store)(y + (first + i) * CNNX_ACROSS + j, square[i]);
        }
}

static void NAME(transpose_across_back)(ptrdiff_t k, ptrdiff_t n, const REAL *x, REAL *y) {
    for (ptrdiff_t j = 0; j < n; j += VL)
        for (ptrdiff_t p = 0; p < k; p += VL) {
            const ptrdiff_t first = p + VL <= k || k < VL ? p : k - VL;
            VEC square[VL];
            for (ptrdiff_t i = 0; i < VL; i++)
                square[i] = NAME(load)(x + (first + i < k ? first + i : k - 1) * CNNX_ACROSS + j);
            NAME(transpose_square)(square);
            for (ptrdiff_t l = 0; l < VL && j + l < n; l++) {
                const ptrdiff_t at = (j + l) * k + first;
                NAME(store_some)(y + at, square[l], n * k - at);
            }
        }
}

static inline void NAME(largest_across)(ptrdiff_t k, ptrdiff_t n, ptrdiff_t stride, const REAL *x, REAL *most) {
    for (ptrdiff_t j = 0; j < n; j++) most[j] = -INFINITY;
    for (ptrdiff_t i = 0; i < k; i++)
        for (ptrdiff_t j = 0; j < n; j++) most[j] = x[i * stride + j] > most[j] ? x[i * stride + j] : most[j];
}

/* y[j] = exp(x[j] - center[j]), where center[j] >= x[j]; sum[j] += y[j] */
static inline void NAME(exp_row)(ptrdiff_t n, const REAL *x, const REAL *center, REAL *y, REAL *sum) {
    for (ptrdiff_t j = 0; j < n; j += VL) {
        const VEC v = NAME(load_some)(x + j, n - j, 0) - NAME(load_some)(center + j, n - j, 0);
        const VEC e = NAME(vec_exp_down)(v);
        NAME(store_some)(y + j, e, n - j);
        NAME(store_some)(sum + j, NAME(load_some)(sum + j, n - j, 0) + e, n - j);
    }
}

static inline void NAME(log_row)(ptrdiff_t n, const REAL *x, REAL *y) {
    for (ptrdiff_t j = 0; j < n; j += VL)
        NAME(store_some)(y + j, NAME(vec_log)(NAME(load_some)(x + j, n - j, 1)), n - j);
}

static void NAME(softmax_across)(ptrdiff_t k, ptrdiff_t n, ptrdiff_t stride, const REAL *x, REAL *y, REAL *tops,
                                 double *log_sums) {
    REAL most[CNNX_ACROSS], logs[CNNX_ACROSS], sum[CNNX_ACROSS] = {0};
    NAME(largest_across)(k, n, stride, x, most);
    for (ptrdiff_t i = 0; i < k; i++) NAME(exp_row)(n, x + i * stride, most, y + i * stride, sum);
    if (log_sums) {
        NAME(log_row)(n, sum, logs);
        for (ptrdiff_t j = 0; j < n; j++) tops[j] = most[j], log_sums[j] = logs[j];
    }
    for (ptrdiff_t j = 0; j < n; j++) sum[j] = 1 / sum[j];
    for (ptrdiff_t i = 0; i < k; i++)
        for (ptrdiff_t j = 0; j < n; j++) y[i * stride + j] *= sum[j];
}

static void NAME(softmax_backward_across)(ptrdiff_t k, ptrdiff_t n, ptrdiff_t stride, const REAL *dy, const REAL *y,
                                          REAL *dx) {
    REAL sum[CNNX_ACROSS] = {0};
    for (ptrdiff_t i = 0; i < k; i++)
        for (ptrdiff_t j = 0; j < n; j++) sum[j] += dy[i * stride + j] * y[i * stride + j];
    for (ptrdiff_t i = 0; i < k; i++)
        for (ptrdiff_t j = 0; j < n; j++) dx[i * stride + j] = y[i * stride + j] * (dy[i * stride + j] - sum[j]);
}

static void NAME(log_softmax_across)(ptrdiff_t k, ptrdiff_t n, ptrdiff_t stride, const REAL *x, REAL *y) {
    REAL most[CNNX_ACROSS], e[CNNX_ACROSS], sum[CNNX_ACROSS] = {0};
    NAME(largest_across)(k, n, stride, x, most);
    for (ptrdiff_t i = 0; i < k; i++) NAME(exp_row)(n, x + i * stride, most, e, sum);
    NAME(log_row)(n, sum, sum);
    for (ptrdiff_t i = 0; i < k; i++)
        for (ptrdiff_t j = 0; j < n; j++) y[i * stride + j] = (x[i * stride + j] - most[j]) - sum[j];
}

static void NAME(log_softmax_backward_across)(ptrdiff_t k, ptrdiff_t n, ptrdiff_t stride, const REAL *dy, const REAL *y,
                                              REAL *dx) {
    REAL sum[CNNX_ACROSS] = {0};
    for (ptrdiff_t i = 0; i < k; i++)
        for (ptrdiff_t j = 0; j < n; j++) sum[j] += dy[i * stride + j];
    for (ptrdiff_t i = 0; i < k; i++)
        for (ptrdiff_t j = 0; j < n; j += VL) {
            const ptrdiff_t at = i * stride + j;
            const VEC p = NAME(vec_exp)(NAME(load_some)(y + at, n - j, 0));
            const VEC d = NAME(load_some)(dy + at, n - j, 0) - p * NAME(load_some)(sum + j, n - j, 0);
            NAME(store_some)(dx + at, d, n - j);
        }
}
