/* Pooling of VL planes at once, one per lane: a pixel is a vector, so a tap is one operation at any stride.

   Design:
   Windows at the border are clipped to the image, so no padding is read. Whole windows are processed ABREAST at a time,
   as independent chains of comparisons. Common sizes are constants after inlining.
*/
#define INLINE static inline __attribute__((always_inline))
enum { NAME(ABREAST) = 2 };

/* f for all windows of a row, with the parameters WINDOWS. No store can alias the copy, so its sizes stay in registers,
   or constants. */
#define FOR_WINDOWS(f, given, ...)                                                                                     \
    do {                                                                                                               \
        const cnnx_window_row copy = *(given), *const row = &copy;                                                     \
        for (ptrdiff_t j = 0, step; j < row->count; j += step) {                                                       \
            const ptrdiff_t start = j * row->stride - row->left;                                                       \
            const ptrdiff_t last = start + (NAME(ABREAST) - 1) * row->stride + row->kw;                                \
            const ptrdiff_t first = start < 0 ? -start : 0, end = start + row->kw > row->w ? row->w - start : row->kw; \
            step = first == 0 && last <= row->w && j + NAME(ABREAST) <= row->count ? NAME(ABREAST) : 1;                \
            if (step == 1) f(1, row->rows, first, end, row, j, start, __VA_ARGS__);                                    \
            else if (row->rows == 2 && row->kw == 2) f(NAME(ABREAST), 2, 0, 2, row, j, start, __VA_ARGS__);            \
            else if (row->rows == 3 && row->kw == 3) f(NAME(ABREAST), 3, 0, 3, row, j, start, __VA_ARGS__);            \
            else f(NAME(ABREAST), row->rows, 0, row->kw, row, j, start, __VA_ARGS__);                                  \
        }                                                                                                              \
    } while (0)

/* Windows j ... j + count - 1, of which the columns first <= v < end lie on the image; column 0 of the first is at
   `start`. */
#define WINDOWS                                                                                                        \
    const int count, const ptrdiff_t rows, const ptrdiff_t first, const ptrdiff_t end, const cnnx_window_row *row,     \
        ptrdiff_t j, ptrdiff_t start

INLINE void NAME(max_windows)(WINDOWS, const REAL *x, int32_t code, int32_t dead, REAL *y, IVEC *argmax) {
    VEC most[NAME(ABREAST)] = {0};
    IVEC where[NAME(ABREAST)] = {0};
    const ptrdiff_t step = row->stride * VL;
    IVEC cell = (IVEC){0} + (INT)(code + first);
    for (ptrdiff_t u = 0; u < rows; u++, cell += (INT)(row->kw - (end - first)))
        for (ptrdiff_t v = first; v < end; v++, cell += 1) {
            const REAL *from = x + (u * row->w + start + v) * VL;
            for (int i = 0; i < count; i++) {
                const VEC value = NAME(load)(from + i * step);
                IVEC larger = ~(IVEC){0};
                if (u > 0 || v > first) larger = NAME(beats)(value, most[i]);
                most[i] = NAME(select)(larger, value, most[i]);
                where[i] = (larger & cell) | (~larger & where[i]);
            }
        }
    for (int i = 0; i < count; i++) {
        if (dead >= 0) {
            const IVEC alive = (IVEC)~(most[i] <= 0); /* this way round NaN is alive */
            most[i] = (VEC)(alive & (IVEC)most[i]);
            where[i] = (alive & where[i]) | (~alive & (INT)dead);
        }
        NAME(store)(y + (j + i) * VL, most[i]);
        argmax[j + i] = where[i];
    }
}

static void NAME(max_pool_row)(const cnnx_window_row *row, const REAL *x, int32_t code, int32_t dead, REAL *y,
                               void *argmax) {
    FOR_WINDOWS(NAME(max_windows), row, x, code, dead, y, argmax);
}

INLINE void NAME(spread_max)(WINDOWS, const REAL *dy, const IVEC *argmax, int32_t code, REAL *dx) {
    for (int i = 0; i < count; i++) {
        const VEC g = NAME(load)(dy + (j + i) * VL);
        const IVEC where = argmax[j + i];
        IVEC cell = (IVEC){0} + (INT)(code + first);
        REAL *to = dx + (start + i * row->stride) * VL;
        for (ptrdiff_t u = 0; u < rows; u++, cell += (INT)(row->kw - (end - first)))
            for (ptrdiff_t v = first; v < end; v++, cell += 1) {
                const ptrdiff_t at = (u * row->w + v) * VL;
                const IVEC here = where == cell;
                NAME(store)(to + at, NAME(load)(to + at) + (VEC)(here & (IVEC)g));
            }
    }
}

static void NAME(max_pool_row_backward)(const cnnx_window_row *row, const REAL *dy, const void *argmax, int32_t code,
                                        REAL *dx) {
    FOR_WINDOWS(NAME(spread_max), row, dy, argmax, code, dx);
}

INLINE void NAME(sum_windows)(WINDOWS, const REAL *x, const REAL *share, REAL *y) {
    VEC sum[NAME(ABREAST)] = {0};
    for (ptrdiff_t u = 0; u < rows; u++)
        for (ptrdiff_t v = first; v < end; v++)
            for (int i = 0; i < count; i++)
                sum[i] += NAME(load)(x + (u * row->w + start + i * row->stride + v) * VL);
    for (int i = 0; i < count; i++) NAME(store)(y + (j + i) * VL, sum[i] * share[j + i]);
}

static void NAME(avg_pool_row)(const cnnx_window_row *row, const REAL *x, const REAL *share, REAL *y) {
    FOR_WINDOWS(NAME(sum_windows), row, x, share, y);
}

INLINE void NAME(spread_mean)(WINDOWS, const REAL *dy, const REAL *share, REAL *dx) {
    for (int i = 0; i < count; i++) {
        const VEC g = NAME(load)(dy + (j + i) * VL) * share[j + i];
        REAL *to = dx + (start + i * row->stride) * VL;
        for (ptrdiff_t u = 0; u < rows; u++)
            for (ptrdiff_t v = first; v < end; v++) {
                const ptrdiff_t at = (u * row->w + v) * VL;
                NAME(store)(to + at, NAME(load)(to + at) + g);
            }
    }
}

static void NAME(avg_pool_row_backward)(const cnnx_window_row *row, const REAL *dy, const REAL *share, REAL *dx) {
    FOR_WINDOWS(NAME(spread_mean), row, dy, share, dx);
}

#undef FOR_WINDOWS
#undef WINDOWS
#undef INLINE
