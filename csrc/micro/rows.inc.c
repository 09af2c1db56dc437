/* One row, element by element. Plain loops, which the compiler vectorises. */

static void NAME(leaky_relu)(ptrdiff_t n, const REAL *x, REAL slope, REAL *y) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] : slope * x[i];
}

static void NAME(leaky_relu_backward)(ptrdiff_t n, const REAL *dy, const REAL *x, REAL slope, REAL *dx) {
    for (ptrdiff_t i = 0; i < n; i++) dx[i] = x[i] > 0 ? dy[i] : slope * dy[i];
}

static void NAME(prelu_columns)(ptrdiff_t n, const REAL *x, const REAL *slopes, REAL *y) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] : slopes[i] * x[i];
}

static void NAME(prelu_columns_backward)(ptrdiff_t n, const REAL *dy, const REAL *x, const REAL *slopes, REAL *dx,
                                         REAL *sums) {
    for (ptrdiff_t i = 0; i < n; i++) {
        sums[i] += x[i] > 0 ? 0 : dy[i] * x[i];
        dx[i] = x[i] > 0 ? dy[i] : slopes[i] * dy[i];
    }
}

static void NAME(sigmoid_backward)(ptrdiff_t n, const REAL *dy, const REAL *y, REAL *dx) {
    for (ptrdiff_t i = 0; i < n; i++) dx[i] = dy[i] * y[i] * (1 - y[i]);
}

static void NAME(tanh_backward)(ptrdiff_t n, const REAL *dy, const REAL *y, REAL *dx) {
    for (ptrdiff_t i = 0; i < n; i++) dx[i] = dy[i] * (1 - y[i] * y[i]);
}

static void NAME(affine)(ptrdiff_t n, const REAL *x, REAL center, REAL scale, REAL shift, REAL *y) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = (x[i] - center) * scale + shift;
}

static void NAME(add)(ptrdiff_t n, const REAL *x, REAL *y) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] += x[i];
}

static void NAME(plus)(ptrdiff_t n, const REAL *x, const REAL *y, REAL *z) {
    for (ptrdiff_t i = 0; i < n; i++) z[i] = x[i] + y[i];
}

static void NAME(times)(ptrdiff_t n, const REAL *x, const REAL *y, REAL *z) {
    for (ptrdiff_t i = 0; i < n; i++) z[i] = x[i] * y[i];
}

static void NAME(add_product)(ptrdiff_t n, const REAL *x, const REAL *y, REAL *z) {
    for (ptrdiff_t i = 0; i < n; i++) z[i] += x[i] * y[i];
}

static void NAME(scaled)(ptrdiff_t n, const REAL *x, REAL scale, REAL *y) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] * scale;
}

static void NAME(scaled_difference)(ptrdiff_t n, const REAL *x, const REAL *y, REAL scale, REAL *z) {
    for (ptrdiff_t i = 0; i < n; i++) z[i] = (x[i] - y[i]) * scale;
}

/* MurmurHash3's finaliser (A. Appleby), of as many words as a vector has lanes. */
typedef uint32_t NAME(hashes) __attribute__((vector_size(VECTOR_BYTES / sizeof(REAL) * 4)));
typedef int32_t NAME(hash_mask) __attribute__((vector_size(VECTOR_BYTES / sizeof(REAL) * 4)));

static inline NAME(hashes) NAME(fmix32)(NAME(hashes) h) {
    h = (h ^ h >> 16) * 0x85EBCA6Bu;
    h = (h ^ h >> 13) * 0xC2B2AE35u;
    return h ^ h >> 16;
}

static void NAME(dropout)(ptrdiff_t n, uint32_t first, uint32_t low, uint32_t high, uint32_t threshold, REAL scale,
                          const REAL *x, REAL *y) {
    NAME(hashes) place;
    for (ptrdiff_t l = 0; l < VL; l++) place[l] = first + (uint32_t)l;
    for (ptrdiff_t i = 0; i < n; i += VL, place += (uint32_t)VL) {
        const NAME(hashes) hash = NAME(fmix32)(NAME(fmix32)(place ^ low) + high);
        const IVEC kept = __builtin_convertvector((NAME(hash_mask))(hash >= threshold), IVEC);
        const VEC scaled = NAME(load_some)(x + i, n - i, 0) * scale;
        NAME(store_some)(y + i, (VEC)(kept & (IVEC)scaled), n - i);
    }
}
