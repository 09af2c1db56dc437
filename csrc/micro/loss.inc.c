/* Binary cross-entropy: the loss of many numbers, and its gradient. */

static inline VEC NAME(at_least)(VEC x, REAL least) { return NAME(select)(x < least, NAME(splat)(least), x); }

static double NAME(bce)(ptrdiff_t n, const REAL *pred, const REAL *target, REAL scale, REAL *dpred) {
    VEC sums[2] = {0};
    for (ptrdiff_t i = 0; i < n; i += VL) {
        /* Beyond the end, p = t = 1: no loss. */
        const VEC p = NAME(load_some)(pred + i, n - i, 1), t = NAME(load_some)(target + i, n - i, 1);
        const VEC log_p = NAME(at_least)(NAME(vec_log)(p), -100), log_q = NAME(at_least)(NAME(vec_log1p)(-p), -100);
        sums[i / VL % 2] -= t * log_p + (1 - t) * log_q;
        const VEC d = (p - t) / NAME(at_least)(p * (1 - p), (REAL)1e-12) * scale;
        NAME(store_some)(dpred + i, d, n - i);
    }
    return NAME(sum_of_lanes)(sums[0] + sums[1]);
}

static double NAME(bce_with_logits)(ptrdiff_t n, const REAL *logits, const REAL *target, REAL scale, REAL *dlogits) {
    VEC sums[2] = {0};
    for (ptrdiff_t i = 0; i < n; i += VL) {
        /* Beyond the end, x = 1000, exp(-x) = 0 and t = 1: no loss. */
        const VEC x = NAME(load_some)(logits + i, n - i, 1000), t = NAME(load_some)(target + i, n - i, 1);
        const VEC e = NAME(vec_exp_down)(NAME(downward)(x));
        sums[i / VL % 2] += NAME(at_least)(x, 0) - x * t + NAME(vec_log1p)(e);
        NAME(store_some)(dlogits + i, (NAME(sigmoid_from)(x, e) - t) * scale, n - i);
    }
    return NAME(sum_of_lanes)(sums[0] + sums[1]);
}
