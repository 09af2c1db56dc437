/* Batch normalisation of columns: row i is the n elements from x[i*step] on, and column j has its own sums and
   parameters. Two rows are taken at once: what belongs to a column is loaded once for both. With more, their streams,
   which often lie a power of two apart, would drive each other out of the cache.

   Arrays of one value per column have room for whole vectors: only rows end where they end.
*/
enum { NAME(ROWS) = 2 };

/* What a vector writes beyond its channel is overwritten by the next. */
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

/* f for ROWS rows from element i*step on, as often as there are so many, then for one at a time: constants, so that the
   compiler unrolls. */
#define FOR_ROWS(f, activation, ...)                                                                                   \
    do {                                                                                                               \
        ptrdiff_t i = 0;                                                                                               \
        for (; i + NAME(ROWS) <= rows; i += NAME(ROWS)) f(activation, NAME(ROWS), i * step, n, step, __VA_ARGS__);     \
        for (; i < rows; i++) f(activation, 1, i * step, n, step, __VA_ARGS__);                                        \
    } while (0)

static inline void NAME(moments_of_rows)(cnnx_ending none, int count, ptrdiff_t first, ptrdiff_t n, ptrdiff_t step,
                                         const REAL *x, const REAL *center, REAL *sums, REAL *squares) {
    (void)none;
    for (ptrdiff_t j = 0; j < n; j += VL) {
        VEC sum = NAME(load)(sums + j), square = NAME(load)(squares + j);
        for (int i = 0; i < count; i++) {
            const VEC d = NAME(load_some)(x + first + i * step + j, n - j, 0) - NAME(load)(center + j);
            sum += d;
            square += d * d;
        }
        NAME(store)(sums + j, sum);
        NAME(store)(squares + j, square);
    }
}

static void NAME(column_moments)(ptrdiff_t rows, ptrdiff_t n, ptrdiff_t step, const REAL *x, const REAL *center,
                                 REAL *sums, REAL *squares) {
    FOR_ROWS(NAME(moments_of_rows), CNNX_NO_ACTIVATION, x, center, sums, squares);
}

static inline void NAME(comoments_of_rows)(cnnx_ending activation, int count, ptrdiff_t first, ptrdiff_t n,
                                           ptrdiff_t step, const REAL *dy, const REAL *x, const REAL *mean,
                                           const REAL *scale, const REAL *shift, REAL *sums, REAL *products) {
    for (ptrdiff_t j = 0; j < n; j += VL) {
        VEC sum = NAME(load)(sums + j), product = NAME(load)(products + j);
        for (int i = 0; i < count; i++) {
            const ptrdiff_t at = first + i * step + j;
            const VEC d = NAME(load_some)(x + at, n - j, 0) - NAME(load)(mean + j);
            const VEC y = d * NAME(load)(scale + j) + NAME(load)(shift + j);
            const VEC g = NAME(unactivated)(activation, y, NAME(load_some)(dy + at, n - j, 0));
            sum += g;
            product += g * d;
        }
        NAME(store)(sums + j, sum);
        NAME(store)(products + j, product);
    }
}

static void NAME(column_comoments)(ptrdiff_t rows, ptrdiff_t n, ptrdiff_t step, const REAL *dy, const REAL *x,
                                   const REAL *mean, const REAL *scale, const REAL *shift, cnnx_ending activation,
                                   REAL *sums, REAL *products) {
#define CALL(activation) FOR_ROWS(NAME(comoments_of_rows), activation, dy, x, mean, scale, shift, sums, products)
#include "each_activation.inc.c"
}

static inline void NAME(normalise_rows)(cnnx_ending activation, int count, ptrdiff_t first, ptrdiff_t n, ptrdiff_t step,
                                        const REAL *x, const REAL *mean, const REAL *scale, const REAL *shift,
                                        const REAL *add, REAL *y) {
    for (ptrdiff_t j = 0; j < n; j += VL) {
        const VEC center = NAME(load)(mean + j), factor = NAME(load)(scale + j), offset = NAME(load)(shift + j);
        for (int i = 0; i < count; i++) {
            const ptrdiff_t at = first + i * step + j;
            VEC v = (NAME(load_some)(x + at, n - j, 0) - center) * factor + offset;
            if (add != NULL) v += NAME(load_some)(add + at, n - j, 0);
            NAME(store_some)(y + at, NAME(activated)(activation, v), n - j);
        }
    }
}

static void NAME(normalise_columns)(ptrdiff_t rows, ptrdiff_t n, ptrdiff_t step, const REAL *x, const REAL *mean,
                                    const REAL *scale, const REAL *shift, const REAL *add, cnnx_ending activation,
                                    REAL *y) {
#define CALL(activation) FOR_ROWS(NAME(normalise_rows), activation, x, mean, scale, shift, add, y)
#include "each_activation.inc.c"
}

static inline void NAME(normalise_rows_backward)(cnnx_ending activation, int count, ptrdiff_t first, ptrdiff_t n,
                                                 ptrdiff_t step, const REAL *dy, const REAL *x, const REAL *mean,
                                                 const REAL *scale, const REAL *shift, int training,
                                                 const REAL *slope, const REAL *offset, REAL *dx) {
    for (ptrdiff_t j = 0; j < n; j += VL) {
        const VEC center = NAME(load)(mean + j), factor = NAME(load)(scale + j), shifted = NAME(load)(shift + j);
        const VEC by_x = NAME(load)(slope + j), constant = NAME(load)(offset + j);
        for (int i = 0; i < count; i++) {
            const ptrdiff_t at = first + i * step + j;
            const VEC g = NAME(normal_gradient)(activation, training, NAME(load_some)(dy + at, n - j, 0),
                                                NAME(load_some)(x + at, n - j, 0), center, factor, shifted, by_x,
                                                constant);
            NAME(store_some)(dx + at, g, n - j);
        }
    }
}

static void NAME(normalise_columns_backward)(ptrdiff_t rows, ptrdiff_t n, ptrdiff_t step, const REAL *dy,
                                             const REAL *x, const REAL *mean, const REAL *scale, const REAL *shift,
                                             cnnx_ending activation, int training, const REAL *slope,
                                             const REAL *offset, REAL *dx) {
    /* training as a constant: else which product is fused with a sum is the compiler's choice, for each activation. */
#define WITH(activation, training)                                                                                     \
    FOR_ROWS(NAME(normalise_rows_backward), activation, dy, x, mean, scale, shift, training, slope, offset, dx)
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
