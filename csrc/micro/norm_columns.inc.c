/* Batch normalisation of columns: row i is the n elements from x[i*stride] on, and column j has its own sums and
   parameters. Two rows are processed at once, so that the values of a column are loaded once for both. More rows, whose
   addresses often differ by a power of two, would evict each other from the cache.

   Arrays of one value per column hold whole vectors; only rows end at n.
*/
enum { NAME(ROWS) = 2 };

/* What a vector writes beyond its channel is overwritten by the next channel. */
static void NAME(widen)(ptrdiff_t channels, ptrdiff_t pixels, const REAL *values, REAL *columns) {
    if (pixels == 1) memcpy(columns, values, channels * sizeof(REAL));
    for (ptrdiff_t j = 0; j < channels && pixels > 1; j++)
        for (ptrdiff_t p = 0; p < pixels; p += VL) NAME(store)(columns + j * pixels + p, NAME(splat)(values[j]));
}

static void NAME(fold_columns)(ptrdiff_t channels, ptrdiff_t pixels, REAL *columns, double *sums) {
    const ptrdiff_t whole = pixels / VL * VL;
    for (ptrdiff_t j = 0; j < channels && pixels == 1; j++) sums[j] += columns[j];
    for (ptrdiff_t j = 0; j < channels && pixels > 1; j++) {
        const REAL *column = columns + j * pixels;
        VEC sum = {0};
        for (ptrdiff_t p = 0; p < whole; p += VL) sum += NAME(load)(column + p);
        if (whole) sums[j] += NAME(sum_of_lanes)(sum);
        for (ptrdiff_t p = whole; p < pixels; p++) sums[j] += column[p];
    }
    memset(columns, 0, channels * pixels * sizeof(REAL));
}

/* f for ROWS rows at a time, from element i*stride on, then for the last ones: constants, so that the compiler
   unrolls. */
#define FOR_ROWS(f, activation, columns, ...)                                                                          \
    do {                                                                                                               \
        const cnnx_columns c = *(columns);                                                                             \
        ptrdiff_t i = 0;                                                                                               \
        for (; i + NAME(ROWS) <= c.rows; i += NAME(ROWS)) f(activation, NAME(ROWS), i * c.stride, c, __VA_ARGS__);     \
        for (; i < c.rows; i++) f(activation, 1, i * c.stride, c, __VA_ARGS__);                                        \
    } while (0)

static inline void NAME(moments_of_rows)(cnnx_activation none, int count, ptrdiff_t first, cnnx_columns c,
                                         const REAL *x, const REAL *center, REAL *sums) {
    REAL *squares = sums + c.pitch;
    (void)none;
    for (ptrdiff_t j = 0; j < c.n; j += VL) {
        VEC sum = NAME(load)(sums + j), square = NAME(load)(squares + j);
        for (int i = 0; i < count; i++) {
            const VEC d = NAME(load_some)(x + first + i * c.stride + j, c.n - j, 0) - NAME(load)(center + j);
            sum += d;
            square += d * d;
        }
        NAME(store)(sums + j, sum);
        NAME(store)(squares + j, square);
    }
}

static void NAME(column_moments)(const cnnx_columns *columns, const REAL *x, const REAL *center, REAL *sums) {
    FOR_ROWS(NAME(moments_of_rows), CNNX_NO_ACTIVATION, columns, x, center, sums);
}

static inline VEC NAME(parameter)(const REAL *parameters, int which, cnnx_columns c, ptrdiff_t j) {
    return NAME(load)(parameters + which * c.pitch + j);
}

static inline void NAME(comoments_of_rows)(cnnx_activation activation, int count, ptrdiff_t first, cnnx_columns c,
                                           const REAL *dy, const REAL *x, const REAL *parameters, REAL *sums) {
    REAL *products = sums + c.pitch;
    for (ptrdiff_t j = 0; j < c.n; j += VL) {
        VEC sum = NAME(load)(sums + j), product = NAME(load)(products + j);
        for (int i = 0; i < count; i++) {
            const ptrdiff_t at = first + i * c.stride + j;
            const VEC d = NAME(load_some)(x + at, c.n - j, 0) - NAME(parameter)(parameters, CNNX_MEAN, c, j);
            const VEC y = d * NAME(parameter)(parameters, CNNX_SCALE, c, j) +
                          NAME(parameter)(parameters, CNNX_SHIFT, c, j);
            const VEC g = NAME(unactivated)(activation, y, NAME(load_some)(dy + at, c.n - j, 0));
            sum += g;
            product += g * d;
        }
        NAME(store)(sums + j, sum);
        NAME(store)(products + j, product);
    }
}

static void NAME(column_comoments)(const cnnx_columns *columns, const REAL *dy, const REAL *x, const REAL *parameters,
                                   cnnx_activation activation, REAL *sums) {
#define CALL(activation) FOR_ROWS(NAME(comoments_of_rows), activation, columns, dy, x, parameters, sums)
#include "each_activation.inc.c"
}

static inline void NAME(normalise_rows)(cnnx_activation activation, int count, ptrdiff_t first, cnnx_columns c,
                                        const REAL *x, const REAL *parameters, const REAL *add, REAL *y) {
    for (ptrdiff_t j = 0; j < c.n; j += VL) {
        const VEC mean = NAME(parameter)(parameters, CNNX_MEAN, c, j);
        const VEC scale = NAME(parameter)(parameters, CNNX_SCALE, c, j);
        const VEC shift = NAME(parameter)(parameters, CNNX_SHIFT, c, j);
        for (int i = 0; i < count; i++) {
            const ptrdiff_t at = first + i * c.stride + j;
            VEC v = (NAME(load_some)(x + at, c.n - j, 0) - mean) * scale + shift;
            if (add != NULL) v += NAME(load_some)(add + at, c.n - j, 0);
            NAME(store_some)(y + at, NAME(activated)(activation, v), c.n - j);
        }
    }
}

static void NAME(normalise_columns)(const cnnx_columns *columns, const REAL *x, const REAL *parameters, const REAL *add,
                                    cnnx_activation activation, REAL *y) {
#define CALL(activation) FOR_ROWS(NAME(normalise_rows), activation, columns, x, parameters, add, y)
#include "each_activation.inc.c"
}

static inline void NAME(normalise_rows_backward)(cnnx_activation activation, int count, ptrdiff_t first, cnnx_columns c,
                                                 const REAL *dy, const REAL *x, const REAL *parameters, int training,
                                                 REAL *dx) {
    for (ptrdiff_t j = 0; j < c.n; j += VL) {
        VEC own[CNNX_NORM_PARAMETERS];
        for (int p = 0; p < CNNX_NORM_PARAMETERS; p++) own[p] = NAME(parameter)(parameters, p, c, j);
        for (int i = 0; i < count; i++) {
            const ptrdiff_t at = first + i * c.stride + j;
            const VEC g = NAME(normal_gradient)(activation, training, NAME(load_some)(dy + at, c.n - j, 0),
                                                NAME(load_some)(x + at, c.n - j, 0), own);
            NAME(store_some)(dx + at, g, c.n - j);
        }
    }
}

static void NAME(normalise_columns_backward)(const cnnx_columns *columns, const REAL *dy, const REAL *x,
                                             const REAL *parameters, cnnx_activation activation, int training,
                                             REAL *dx) {
    /* training as a constant: else which product is fused with a sum is the compiler's choice, for each activation. */
#define WITH(activation, training)                                                                                     \
    FOR_ROWS(NAME(normalise_rows_backward), activation, columns, dy, x, parameters, training, dx)
    if (training) {
#define CALL(activation) WITH(activation, 1)
#include "each_activation.inc.c"
    } else {
#define CALL(activation) WITH(activation, 0)
#include "each_activation.inc.c"
    }
#undef WITH
}

#undef FOR_ROWS
