/* exp and what is made of it: sigmoid, tanh, softmax, log_softmax.

   Design:
   exp(x) = 2^k * exp(r), k = round(x / ln 2), |r| <= ln 2 / 2 (Cody and Waite, 1980: ln 2 in two parts, so that r is
   exact). exp(r) - 1 is its Taylor series; that it is the series of expm1 keeps tanh accurate near 0. 2^k comes from
   the bits: adding 1.5 * 2^MANTISSA leaves k in the lowest ones. Beyond the smallest normal number the result is 0.
*/
#undef LN2_HIGH
#undef LN2_LOW
#undef LOWEST
#undef HIGHEST
#undef TERMS
#if MANTISSA == 23
#define LN2_HIGH 0.693359375f
#define LN2_LOW -2.12194440e-4f
#define LOWEST -86.6f   /* exp of it is a normal number, with room for k - 1 */
#define HIGHEST 89.0f   /* exp of it overflows */
#define TERMS 7         /* r^8 / 8! < 2^-27 */
#else
#define LN2_HIGH 6.93145751953125e-1
#define LN2_LOW 1.42860682030941723212e-6
#define LOWEST -707.0
#define HIGHEST 710.0
#define TERMS 13        /* r^14 / 14! < 2^-57 */
#endif

static const REAL NAME(inverse_factorial)[] = {
    1, 1, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800,
    1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800,
};

/* exp(r) - 1 and k for x = k * ln 2 + r. x is within LOWEST ... HIGHEST, or NaN. */
static inline VEC NAME(reduced_expm1)(VEC x, IVEC *k) {
    const REAL shift = (REAL)1.5 * ((INT)1 << MANTISSA);
    const VEC shifted = x * (REAL)1.44269504088896340736 + shift;
    const VEC whole = shifted - shift;
    const VEC r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    *k = (IVEC)shifted - (IVEC)NAME(splat)(shift);
    VEC series = NAME(splat)(NAME(inverse_factorial)[TERMS]);
    for (int n = TERMS - 1; n > 0; n--) series = series * r + NAME(inverse_factorial)[n];
    return series * r;
}

static inline VEC NAME(power_of_two)(IVEC k) {
    const INT bias = ((INT)1 << (sizeof(REAL) * 8 - 2 - MANTISSA)) - 1;
    return (VEC)((k + bias) << MANTISSA);
}

static inline VEC NAME(clamp)(VEC x) {
    x = NAME(select)(x < LOWEST, NAME(splat)(LOWEST), x);
    return NAME(select)(x > HIGHEST, NAME(splat)(HIGHEST), x);
}

static inline VEC NAME(vec_exp)(VEC x) {
    IVEC k;
    const VEC series = NAME(reduced_expm1)(NAME(clamp)(x), &k);
    const VEC y = (1 + series) * NAME(power_of_two)(k - 1) * 2; /* k - 1: 2^k itself may be out of range */
    return NAME(select)(x < LOWEST, (VEC){0}, y);
}

/* exp(x) - 1 for x <= 0 */
static inline VEC NAME(vec_expm1)(VEC x) {
    IVEC k;
    const VEC series = NAME(reduced_expm1)(NAME(clamp)(x), &k);
    const VEC scale = NAME(power_of_two)(k);
    return scale * series + (scale - 1);
}

static inline VEC NAME(vec_sigmoid)(VEC x) {
    const VEC e = NAME(vec_exp)(NAME(select)(x < 0, x, -x));
    return NAME(select)(x < 0, e, NAME(splat)(1)) / (1 + e);
}

/* tanh |x| = (1 - e) / (1 + e) with e = exp(-2 |x|) */
static inline VEC NAME(vec_tanh)(VEC x) {
    const VEC t = NAME(vec_expm1)(2 * NAME(select)(x < 0, x, -x));
    const VEC y = t / (t + 2);
    return NAME(select)(x < 0, y, 0 - y); /* not -y: tanh of 0 is not -0 */
}

static inline void NAME(store_some)(REAL *p, VEC v, ptrdiff_t n) {
    if (n >= VL) NAME(store)(p, v);
    else NAME(store_part)(p, v, n);
}

static void NAME(sigmoid)(ptrdiff_t n, const REAL *x, REAL *y) {
    for (ptrdiff_t i = 0; i < n; i += VL)
        NAME(store_some)(y + i, NAME(vec_sigmoid)(NAME(load_some)(x + i, n - i, 0)), n - i);
}

static void NAME(tanh)(ptrdiff_t n, const REAL *x, REAL *y) {
    for (ptrdiff_t i = 0; i < n; i += VL)
        NAME(store_some)(y + i, NAME(vec_tanh)(NAME(load_some)(x + i, n - i, 0)), n - i);
}

static REAL NAME(largest)(ptrdiff_t n, const REAL *x) {
    VEC most = NAME(splat)(-INFINITY);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const VEC v = NAME(load_some)(x + i, n - i, -INFINITY);
        most = NAME(select)(v > most, v, most);
    }
    REAL result = most[0];
    for (ptrdiff_t i = 1; i < VL; i++) result = most[i] > result ? most[i] : result;
    return result;
}

/* y = exp(x - center); returns the sum, in two alternating vectors of partial sums. y may be NULL. */
static double NAME(exp_sum)(ptrdiff_t n, const REAL *x, REAL center, REAL *y) {
    VEC sums[2] = {0};
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const VEC e = NAME(vec_exp)(NAME(load_some)(x + i, n - i, -INFINITY) - center);
        sums[i / VL % 2] += e;
        if (y) NAME(store_some)(y + i, e, n - i);
    }
    return NAME(sum_of_lanes)(sums[0] + sums[1]);
}

static void NAME(softmax)(ptrdiff_t n, const REAL *x, REAL *y) {
    const REAL sum = (REAL)NAME(exp_sum)(n, x, NAME(largest)(n, x), y);
    for (ptrdiff_t i = 0; i < n; i++) y[i] /= sum;
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

static inline void NAME(largest_across)(ptrdiff_t k, ptrdiff_t n, ptrdiff_t step, const REAL *x, REAL *most) {
    for (ptrdiff_t j = 0; j < n; j++) most[j] = -INFINITY;
    for (ptrdiff_t i = 0; i < k; i++)
        for (ptrdiff_t j = 0; j < n; j++) most[j] = x[i * step + j] > most[j] ? x[i * step + j] : most[j];
}

/* y[j] = exp(x[j] - center[j]); center NULL: 0 */
static inline void NAME(exp_row)(ptrdiff_t n, const REAL *x, const REAL *center, REAL *y) {
    for (ptrdiff_t j = 0; j < n; j += VL) {
        VEC v = NAME(load_some)(x + j, n - j, 0);
        if (center) v -= NAME(load_some)(center + j, n - j, 0);
        NAME(store_some)(y + j, NAME(vec_exp)(v), n - j);
    }
}

static void NAME(softmax_across)(ptrdiff_t k, ptrdiff_t n, ptrdiff_t step, const REAL *x, REAL *y) {
    REAL most[CNNX_ACROSS], sum[CNNX_ACROSS] = {0};
    NAME(largest_across)(k, n, step, x, most);
    for (ptrdiff_t i = 0; i < k; i++) {
        NAME(exp_row)(n, x + i * step, most, y + i * step);
        for (ptrdiff_t j = 0; j < n; j++) sum[j] += y[i * step + j];
    }
    for (ptrdiff_t i = 0; i < k; i++)
        for (ptrdiff_t j = 0; j < n; j++) y[i * step + j] /= sum[j];
}

static void NAME(softmax_backward_across)(ptrdiff_t k, ptrdiff_t n, ptrdiff_t step, const REAL *dy, const REAL *y,
                                          REAL *dx) {
    REAL sum[CNNX_ACROSS] = {0};
    for (ptrdiff_t i = 0; i < k; i++)
        for (ptrdiff_t j = 0; j < n; j++) sum[j] += dy[i * step + j] * y[i * step + j];
    for (ptrdiff_t i = 0; i < k; i++)
        for (ptrdiff_t j = 0; j < n; j++) dx[i * step + j] = y[i * step + j] * (dy[i * step + j] - sum[j]);
}

static void NAME(log_softmax_across)(ptrdiff_t k, ptrdiff_t n, ptrdiff_t step, const REAL *x, REAL *y) {
    REAL most[CNNX_ACROSS], e[CNNX_ACROSS], sum[CNNX_ACROSS] = {0};
    NAME(largest_across)(k, n, step, x, most);
    for (ptrdiff_t i = 0; i < k; i++) {
        NAME(exp_row)(n, x + i * step, most, e);
        for (ptrdiff_t j = 0; j < n; j++) sum[j] += e[j];
    }
    for (ptrdiff_t j = 0; j < n; j++) sum[j] = (REAL)log(sum[j]);
    for (ptrdiff_t i = 0; i < k; i++)
        for (ptrdiff_t j = 0; j < n; j++) y[i * step + j] = (x[i * step + j] - most[j]) - sum[j];
}

static void NAME(log_softmax_backward_across)(ptrdiff_t k, ptrdiff_t n, ptrdiff_t step, const REAL *dy, const REAL *y,
                                              REAL *dx) {
    REAL e[CNNX_ACROSS], sum[CNNX_ACROSS] = {0};
    for (ptrdiff_t i = 0; i < k; i++)
        for (ptrdiff_t j = 0; j < n; j++) sum[j] += dy[i * step + j];
    for (ptrdiff_t i = 0; i < k; i++) {
        NAME(exp_row)(n, y + i * step, NULL, e);
        for (ptrdiff_t j = 0; j < n; j++) dx[i * step + j] = dy[i * step + j] - e[j] * sum[j];
    }
}
