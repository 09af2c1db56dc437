/* Losses of many pairs of numbers, and their gradients. */

static double NAME(bce)(ptrdiff_t n, const REAL *pred, const REAL *target, REAL scale, REAL *dpred, REAL *losses) {
    VEC sums[2] = {0};
    for (ptrdiff_t i = 0; i < n; i += VL) {
        /* Beyond the end, p = t = 1: no loss. */
        const VEC p = NAME(load_some)(pred + i, n - i, 1), t = NAME(load_some)(target + i, n - i, 1);
        const VEC log_p = NAME(at_least)(NAME(vec_log)(p), -100), log_q = NAME(at_least)(NAME(vec_log1p)(-p), -100);
        const VEC gain = t * log_p + (1 - t) * log_q;
        sums[i / VL % 2] -= gain;
        if (losses) NAME(store_some)(losses + i, -gain, n - i);
        const VEC d = (p - t) / NAME(at_least)(p * (1 - p), (REAL)1e-12) * scale;
        NAME(store_some)(dpred + i, d, n - i);
    }
    return NAME(sum_of_lanes)(sums[0] + sums[1]);
}

static double NAME(bce_with_logits)(ptrdiff_t n, const REAL *logits, const REAL *target, REAL scale, REAL *dlogits,
                                     REAL *losses) {
    VEC sums[2] = {0};
    for (ptrdiff_t i = 0; i < n; i += VL) {
        /* Beyond the end, x = 1000, exp(-x) = 0 and t = 1: no loss. */
        const VEC x = NAME(load_some)(logits + i, n - i, 1000), t = NAME(load_some)(target + i, n - i, 1);
        const VEC e = NAME(vec_exp_down)(NAME(downward)(x));
        const VEC loss = NAME(at_least)(x, 0) - x * t + NAME(vec_log1p)(e);
        sums[i / VL % 2] += loss;
        if (losses) NAME(store_some)(losses + i, loss, n - i);
        NAME(store_some)(dlogits + i, (NAME(sigmoid_from)(x, e) - t) * scale, n - i);
    }
    return NAME(sum_of_lanes)(sums[0] + sums[1]);
}

static double NAME(binary_focal)(ptrdiff_t n, const REAL *logits, const REAL *target, REAL gamma, REAL alpha,
                                 REAL scale, REAL *dlogits, REAL *losses) {
    const REAL largest = (REAL)1e30; /* 0 times it is 0, which is the limit where an infinity would give NaN */
    VEC sums[2] = {0};
    for (ptrdiff_t i = 0; i < n; i += VL) {
        /* Beyond the end, p = t = 1: no loss. */
        const VEC t = NAME(load_some)(target + i, n - i, 1), sign = 2 * t - 1;
        const VEC z = sign * NAME(load_some)(logits + i, n - i, 1000);
        const VEC e = NAME(vec_exp_down)(NAME(downward)(z)), rest = NAME(vec_log1p)(e);
        const VEC p = NAME(sigmoid_from)(z, e), q = NAME(sigmoid_from)(-z, e);
        const VEC minus_log_p = NAME(at_least)(-z, 0) + rest, minus_log_q = NAME(at_least)(z, 0) + rest;
        VEC factor = NAME(vec_exp_down)(-gamma * NAME(at_most)(minus_log_q, largest));
        if (alpha >= 0) factor *= t * alpha + (1 - t) * (1 - alpha);
        const VEC loss = factor * minus_log_p;
        sums[i / VL % 2] += loss;
        if (losses) NAME(store_some)(losses + i, loss, n - i);
        const VEC slope = factor * (gamma * (p * NAME(at_most)(minus_log_p, largest)) + q);
        NAME(store_some)(dlogits + i, -sign * slope * scale, n - i);
    }
    return NAME(sum_of_lanes)(sums[0] + sums[1]);
}

static double NAME(absolute)(ptrdiff_t n, const REAL *pred, const REAL *target, REAL scale, REAL *dpred, REAL *losses) {
    const VEC up = NAME(splat)(1), down = NAME(splat)(-1);
    VEC sums[2] = {0};
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const VEC d = NAME(load_some)(pred + i, n - i, 0) - NAME(load_some)(target + i, n - i, 0);
        const VEC loss = NAME(select)(d < 0, -d, d);
        sums[i / VL % 2] += loss;
        if (losses) NAME(store_some)(losses + i, loss, n - i);
        NAME(store_some)(dpred + i, NAME(select)(d > 0, up, NAME(select)(d < 0, down, d)) * scale, n - i);
    }
    return NAME(sum_of_lanes)(sums[0] + sums[1]);
}

static double NAME(huber)(ptrdiff_t n, const REAL *pred, const REAL *target, REAL delta, REAL factor, REAL scale,
                          REAL *dpred, REAL *losses) {
    VEC sums[2] = {0};
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const VEC d = NAME(load_some)(pred + i, n - i, 0) - NAME(load_some)(target + i, n - i, 0);
        const VEC near = NAME(at_most)(NAME(at_least)(d, -delta), delta), slope = near * factor;
        const VEC loss = slope * (d - (REAL)0.5 * near);
        sums[i / VL % 2] += loss;
        if (losses) NAME(store_some)(losses + i, loss, n - i);
        NAME(store_some)(dpred + i, slope * scale, n - i);
    }
    return NAME(sum_of_lanes)(sums[0] + sums[1]);
}
