/* Layer normalisation of a row: x[i], i < n, each with a weight of its own. The sums, and the last vector, which
   overlaps the one before, are as in norm.inc.c. */

enum { NAME(CENTER) = 256, NAME(LONGEST_SUM) = 4096 }; /* so short that lanes of floats stay exact to a few bits */

static inline ptrdiff_t NAME(smaller)(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

static inline void NAME(row_moments)(ptrdiff_t n, const REAL *x, REAL center, double *sum, double *squares) {
    REAL partial[2 * CNNX_MAX_LANES] = {0};
    *sum = *squares = 0;
    for (ptrdiff_t i = 0; i < n; i += NAME(LONGEST_SUM)) {
        NAME(plane_moments)(NAME(smaller)(n - i, NAME(LONGEST_SUM)), x + i, center, 0, partial);
        NAME(fold)(partial, sum, squares);
    }
}

/* About the mean of the first elements: norm_tasks.pyx tells why. */
static void NAME(row_statistics)(ptrdiff_t n, const REAL *x, double eps, REAL *mean, REAL *inv_std) {
    const ptrdiff_t some = NAME(smaller)(n, NAME(CENTER));
    double sum, squares;
    NAME(row_moments)(some, x, 0, &sum, &squares);
    const REAL center = isfinite(sum / some) ? (REAL)(sum / some) : 0;
    NAME(row_moments)(n, x, center, &sum, &squares);
    const double shift = sum / n, variance = (squares - sum * shift) / n;
    *mean = (REAL)(center + shift);
    *inv_std = (REAL)(1 / sqrt((variance < 0 ? 0 : variance) + eps)); /* < 0 by rounding; NaN stays */
}

static void NAME(layer_norm)(ptrdiff_t n, const REAL *x, const REAL *weight, const REAL *bias, REAL mean,
                             REAL inv_std, REAL *y) {
    for (ptrdiff_t i = 0; i + VL <= n; i += VL) {
        VEC v = (NAME(load)(x + i) - mean) * inv_std;
        if (weight) v *= NAME(load)(weight + i);
        if (bias) v += NAME(load)(bias + i);
        NAME(store)(y + i, v);
    }
    if (n % VL) {
        VEC v = (NAME(load_last)(x, n) - mean) * inv_std;
        if (weight) v *= NAME(load_last)(weight, n);
        if (bias) v += NAME(load_last)(bias, n);
        NAME(store_last)(y, n, v);
    }
}

/* A vector of a row, d = x - mean: adds g = dy * weight and g * d to the sums of the row, and to those of the columns
   what it has of dweight and dbias. */
#define ADD_GRADIENTS(part, LOAD, STORE, lanes, at)                                                                    \
    do {                                                                                                               \
        const VEC d = (VEC)((lanes) & (IVEC)(LOAD(x, at) - mean)), e = (VEC)((lanes) & (IVEC)LOAD(dy, at));            \
        VEC g = e;                                                                                                     \
        if (weight) g *= LOAD(weight, at);                                                                             \
        sums[part] += g;                                                                                               \
        products[part] += g * d;                                                                                       \
        STORE(dweight, at, LOAD(dweight, at) + e * (d * inv_std));                                                     \
        STORE(dbias, at, LOAD(dbias, at) + e);                                                                         \
    } while (0)
#define LOAD_AT(row, i) NAME(load)((row) + (i))
#define STORE_AT(row, i, v) NAME(store)((row) + (i), v)

static inline void NAME(row_gradients)(ptrdiff_t n, const REAL *dy, const REAL *x, const REAL *weight, REAL mean,
                                       REAL inv_std, REAL *dweight, REAL *dbias, REAL *partial) {
    const IVEC all = ~(IVEC){0};
    VEC sums[NAME(PARTS)] = {0}, products[NAME(PARTS)] = {0};
    ptrdiff_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL)
        for (int s = 0; s < 2; s++) ADD_GRADIENTS(s, LOAD_AT, STORE_AT, all, i + s * VL);
    for (; i + VL <= n; i += VL) ADD_GRADIENTS(2, LOAD_AT, STORE_AT, all, i);
    if (i < n) ADD_GRADIENTS(3, NAME(load_last), NAME(store_last), NAME(lanes_left)(n), n);
    NAME(add_partial)(sums, products, partial);
}

static void NAME(layer_norm_backward)(ptrdiff_t n, const REAL *dy, const REAL *x, const REAL *weight, REAL mean,
                                      REAL inv_std, REAL *dx, REAL *columns) {
    REAL partial[2 * CNNX_MAX_LANES] = {0};
    double sum = 0, products = 0;
    for (ptrdiff_t i = 0; i < n; i += NAME(LONGEST_SUM)) {
        NAME(row_gradients)(NAME(smaller)(n - i, NAME(LONGEST_SUM)), dy + i, x + i, weight ? weight + i : NULL, mean,
                            inv_std, columns + i, columns + n + i, partial);
        NAME(fold)(partial, &sum, &products);
    }
    const VEC own[CNNX_NORM_PARAMETERS] = {
        [CNNX_MEAN] = NAME(splat)(mean),
        [CNNX_SCALE] = NAME(splat)(inv_std),
        [CNNX_SLOPE] = NAME(splat)((REAL)(-products / n * inv_std * inv_std * inv_std)),
        [CNNX_OFFSET] = NAME(splat)((REAL)(-sum / n * inv_std)),
    };
    for (ptrdiff_t i = 0; i + VL <= n; i += VL) {
        VEC g = NAME(load)(dy + i);
        if (weight) g *= NAME(load)(weight + i);
        NAME(store)(dx + i, NAME(normal_gradient)(CNNX_NO_ACTIVATION, 1, g, NAME(load)(x + i), own));
    }
    if (n % VL) {
        VEC g = NAME(load_last)(dy, n);
        if (weight) g *= NAME(load_last)(weight, n);
        NAME(store_last)(dx, n, NAME(normal_gradient)(CNNX_NO_ACTIVATION, 1, g, NAME(load_last)(x, n), own));
    }
}

#undef ADD_GRADIENTS
#undef LOAD_AT
#undef STORE_AT
