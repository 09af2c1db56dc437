/* One output row of a pool. Windows at the border are clipped to the image, so there is no padding to read.

   Design:
   The whole windows of a row are taken side by side, CNNX_ACROSS of them, one window cell at a time: the inner loop has no
   branch and the compiler makes vectors of it. The few clipped ones at both ends are the same function with a width of
   one and their own bounds.
*/
/* n <= CNNX_ACROSS windows, the first of which begins at column `start` (maybe outside the image), of which the columns first <= v < end lie on the image. */
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
                               const REAL *x, int32_t code, REAL *y, uint8_t *narrow, int32_t *wide) {
    REAL most[CNNX_ACROSS];
    INT where[CNNX_ACROSS];
    for (ptrdiff_t j = 0, n; j < ow; j += n) {
        ptrdiff_t first, end;
        n = NAME(side_by_side)(j, ow, kw, stride, left, w, &first, &end);
        const ptrdiff_t start = j * stride - left;
        if (stride == 2) NAME(max_windows)(n, kh, kw, 2, first, end, w, x, start, most, where);
        else NAME(max_windows)(n, kh, kw, stride, first, end, w, x, start, most, where);
        memcpy(y + j, most, n * sizeof(REAL));
        if (narrow)
            for (ptrdiff_t i = 0; i < n; i++) narrow[j + i] = (uint8_t)(code + where[i]);
        else
            for (ptrdiff_t i = 0; i < n; i++) wide[j + i] = (int32_t)(code + where[i]);
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
