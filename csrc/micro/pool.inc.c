/* One output row of a pool. Windows at the border are clipped to the image, so there is no padding to read.

   Design:
   The whole windows of a row are taken side by side, CNNX_ACROSS of them, one window cell at a time: the inner loop has
   no branch and the compiler makes vectors of it. The few clipped ones at both ends are the same function with a width
   of one and their own bounds.
   Backward takes the rows of dx, and gathers what reaches each pixel: so dx is written once, without zeros before.
*/
/* n <= CNNX_ACROSS windows, the first of which begins at column `start` (maybe outside the image), of which the columns
   first <= v < end lie on the image. */
static inline void NAME(max_windows)(ptrdiff_t n, ptrdiff_t kh, ptrdiff_t kw, ptrdiff_t stride, ptrdiff_t first,
                                     ptrdiff_t end, ptrdiff_t w, const REAL *x, ptrdiff_t start, REAL *most,
                                     INT *where) {
    for (ptrdiff_t j = 0; j < n; j++) {
        most[j] = x[start + j * stride + first];
        where[j] = (INT)first;
    }
    for (ptrdiff_t u = 0; u < kh; u++)
        for (ptrdiff_t v = first; v < end; v++)
            for (ptrdiff_t j = 0; j < n; j++) {
                const REAL value = x[u * w + start + j * stride + v];
                /* !(value <= most): larger, or one of them is NaN; a NaN that is there already stays, the first. */
                const int larger = !(value <= most[j]) & (most[j] == most[j]);
                most[j] = larger ? value : most[j];
                where[j] = larger ? (INT)(u * kw + v) : where[j];
            }
}

static inline void NAME(sum_windows)(ptrdiff_t n, ptrdiff_t kh, ptrdiff_t stride, ptrdiff_t first, ptrdiff_t end,
                                     ptrdiff_t w, const REAL *x, ptrdiff_t start, REAL *sum) {
    for (ptrdiff_t j = 0; j < n; j++) sum[j] = 0;
    for (ptrdiff_t u = 0; u < kh; u++)
        for (ptrdiff_t v = first; v < end; v++)
            for (ptrdiff_t j = 0; j < n; j++) sum[j] += x[u * w + start + j * stride + v];
}

/* The windows from j on that can be taken side by side, and the columns of them that lie on the image. */
static inline ptrdiff_t NAME(side_by_side)(ptrdiff_t j, ptrdiff_t ow, ptrdiff_t kw, ptrdiff_t stride, ptrdiff_t left,
                                           ptrdiff_t w, ptrdiff_t *first, ptrdiff_t *end) {
    const ptrdiff_t start = j * stride - left;
    *first = start < 0 ? -start : 0;
    *end = start + kw > w ? w - start : kw;
    if (*first > 0 || *end < kw) return 1;
    ptrdiff_t n = (w - kw - start) / stride + 1; /* whole windows */
    n = n < ow - j ? n : ow - j;
    return n < CNNX_ACROSS ? n : CNNX_ACROSS;
}

static void NAME(max_pool_row)(ptrdiff_t ow, ptrdiff_t kh, ptrdiff_t kw, ptrdiff_t stride, ptrdiff_t left, ptrdiff_t w,
                               const REAL *x, int32_t code, int32_t dead, ptrdiff_t x_room, ptrdiff_t y_room, REAL *y,
                               uint8_t *narrow, int32_t *wide) {
    if (kh == 2 && kw == 2 && stride == 2 && left == 0 && 2 * ow <= w && narrow) {
        NAME(max_pool_pairs)(ow, w, x, dead, x_room, y_room, y, narrow);
        return;
    }
    REAL most[CNNX_ACROSS];
    INT where[CNNX_ACROSS];
    for (ptrdiff_t j = 0, n; j < ow; j += n) {
        ptrdiff_t first, end;
        n = NAME(side_by_side)(j, ow, kw, stride, left, w, &first, &end);
        const ptrdiff_t start = j * stride - left;
        if (stride == 2) NAME(max_windows)(n, kh, kw, 2, first, end, w, x, start, most, where);
        else NAME(max_windows)(n, kh, kw, stride, first, end, w, x, start, most, where);
        for (ptrdiff_t i = 0; i < n; i++) where[i] += code;
        if (dead >= 0)
            for (ptrdiff_t i = 0; i < n; i++) {
                const int alive = !(most[i] <= 0); /* this way round NaN is alive */
                most[i] = alive ? most[i] : 0;
                where[i] = alive ? where[i] : dead;
            }
        memcpy(y + j, most, n * sizeof(REAL));
        if (narrow)
            for (ptrdiff_t i = 0; i < n; i++) narrow[j + i] = (uint8_t)where[i];
        else
            for (ptrdiff_t i = 0; i < n; i++) wide[j + i] = (int32_t)where[i];
    }
}

static void NAME(avg_pool_row)(ptrdiff_t ow, ptrdiff_t kh, ptrdiff_t kw, ptrdiff_t stride, ptrdiff_t left, ptrdiff_t w,
                               const REAL *x, const REAL *share, REAL *y) {
    REAL sum[CNNX_ACROSS];
    for (ptrdiff_t j = 0, n; j < ow; j += n) {
        ptrdiff_t first, end;
        n = NAME(side_by_side)(j, ow, kw, stride, left, w, &first, &end);
        const ptrdiff_t start = j * stride - left;
        if (stride == 2) NAME(sum_windows)(n, kh, 2, first, end, w, x, start, sum);
        else NAME(sum_windows)(n, kh, stride, first, end, w, x, start, sum);
        for (ptrdiff_t i = 0; i < n; i++) y[j + i] = sum[i] * share[j + i];
    }
}

typedef uint8_t NAME(bytes) __attribute__((vector_size(VECTOR_BYTES / sizeof(REAL))));

/* to[i] += dy[i] where code[i] is the cell. By hand: left to itself the compiler takes a vector of bytes at a time,
   which is longer than most rows. */
static inline void NAME(add_where)(ptrdiff_t n, const uint8_t *code, int32_t cell, const REAL *dy, REAL *to) {
    ptrdiff_t i = 0;
    for (; i + VL <= n; i += VL) {
        NAME(bytes) some;
        memcpy(&some, code + i, VL);
        const IVEC here = __builtin_convertvector(some, IVEC) == (INT)cell;
        NAME(store)(to + i, NAME(load)(to + i) + (VEC)(here & (IVEC)NAME(load)(dy + i)));
    }
    for (; i < n; i++) to[i] += code[i] == cell ? dy[i] : 0;
}

/* What the columns q*stride + phase - left of dx, q0 <= q < q0 + n, receive from `rows` rows of windows. Window j
   reaches them with its column v = m*stride + phase where q = j + m. One of share, narrow and wide is given. */
static inline void NAME(gather_windows)(ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t kw, ptrdiff_t stride, ptrdiff_t phase,
                                        ptrdiff_t q0, ptrdiff_t n, const REAL *dy, const REAL *share,
                                        const uint8_t *narrow, const int32_t *wide, int32_t code, int32_t code_step,
                                        REAL *sum) {
    for (ptrdiff_t q = 0; q < n; q++) sum[q] = 0;
    for (ptrdiff_t k = 0; k < rows; k++, code -= code_step)
        for (ptrdiff_t m = phase < kw ? (kw - 1 - phase) / stride : -1; m >= 0; m--) {
            const int32_t cell = code + (int32_t)(m * stride + phase);
            const ptrdiff_t first = q0 > m ? q0 : m, end = q0 + n < ow + m ? q0 + n : ow + m;
            const ptrdiff_t at = k * ow + first - m; /* the first window that counts */
            REAL *to = sum + (first - q0);
            if (share)
                for (ptrdiff_t i = 0; i < end - first; i++) to[i] += dy[at + i] * share[at + i];
            else if (narrow)
                NAME(add_where)(end - first, narrow + at, cell, dy + at, to);
            else
                for (ptrdiff_t i = 0; i < end - first; i++) to[i] += wide[at + i] == cell ? dy[at + i] : 0;
        }
}

/* One row of dx, a phase of the stride after the other; at stride 2 both are brought together in registers. */
static inline void NAME(pool_row_backward)(ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t kw, ptrdiff_t stride, ptrdiff_t left,
                                           ptrdiff_t w, const REAL *dy, const REAL *share, const uint8_t *narrow,
                                           const int32_t *wide, int32_t code, int32_t code_step, REAL *dx) {
    REAL sum[2][CNNX_ACROSS];
    const ptrdiff_t count = (w + left - 1) / stride + 1, begin = left / stride;
    for (ptrdiff_t q = begin, n; q < count; q += n) {
        n = count - q < CNNX_ACROSS ? count - q : CNNX_ACROSS;
        const ptrdiff_t col = q * stride - left;
        if (stride == 2 && col >= 0 && col + 2 * n <= w) {
            for (int phase = 0; phase < 2; phase++)
                NAME(gather_windows)(rows, ow, kw, 2, phase, q, n, dy, share, narrow, wide, code, code_step,
                                     sum[phase]);
            for (ptrdiff_t i = 0; i < n; i++) {
                dx[col + 2 * i] = sum[0][i];
                dx[col + 2 * i + 1] = sum[1][i];
            }
            continue;
        }
        for (ptrdiff_t phase = 0; phase < stride; phase++) {
            NAME(gather_windows)(rows, ow, kw, stride, phase, q, n, dy, share, narrow, wide, code, code_step, sum[0]);
            for (ptrdiff_t i = 0; i < n; i++) {
                const ptrdiff_t to = col + i * stride + phase;
                if (to >= 0 && to < w) dx[to] = sum[0][i];
            }
        }
    }
}

static void NAME(max_pool_row_backward)(ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t kw, ptrdiff_t stride, ptrdiff_t left,
                                        ptrdiff_t w, const REAL *dy, const uint8_t *narrow, const int32_t *wide,
                                        int32_t code, int32_t code_step, ptrdiff_t dy_room, ptrdiff_t dx_room,
                                        REAL *dx) {
    if (rows == 1 && kw == 2 && stride == 2 && left == 0 && 2 * ow <= w && narrow)
        NAME(max_pool_pairs_backward)(ow, w, dy, narrow, code, dy_room, dx_room, dx);
    else if (narrow)
        NAME(pool_row_backward)(rows, ow, kw, stride, left, w, dy, NULL, narrow, NULL, code, code_step, dx);
    else
        NAME(pool_row_backward)(rows, ow, kw, stride, left, w, dy, NULL, NULL, wide, code, code_step, dx);
}

static void NAME(avg_pool_row_backward)(ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t kw, ptrdiff_t stride, ptrdiff_t left,
                                        ptrdiff_t w, const REAL *dy, const REAL *share, REAL *dx) {
    NAME(pool_row_backward)(rows, ow, kw, stride, left, w, dy, share, NULL, NULL, 0, 0, dx);
}
