/* Panels for the register tile: from a matrix, or straight from the windows of an image (implicit GEMM). */

/* By squares of VL x VL. The last of a row or column ends where it ends, and overlaps the one before. */
static void NAME(transpose)(ptrdiff_t rows, ptrdiff_t cols, const REAL *x, ptrdiff_t x_row, REAL *y,
                                   ptrdiff_t y_row) {
    if (rows < VL || cols < VL) {
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t p = 0; p < cols; p++) y[p * y_row + i] = x[i * x_row + p];
        return;
    }
    for (ptrdiff_t next = 0; next < rows; next += VL) {
        const ptrdiff_t i = next + VL <= rows ? next : rows - VL;
        for (ptrdiff_t p = 0; p < cols; p += VL) {
            const ptrdiff_t first = p + VL <= cols ? p : cols - VL;
            VEC square[VL];
            for (int l = 0; l < VL; l++) square[l] = NAME(load)(x + (i + l) * x_row + first);
            NAME(transpose_square)(square);
            for (int l = 0; l < VL; l++) NAME(store)(y + (first + l) * y_row + i, square[l]);
        }
    }
}

static void NAME(pack)(ptrdiff_t rows, ptrdiff_t k, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_col,
                       ptrdiff_t width, REAL *panel) {
    enum { NR = TILE_VECTORS * VL };
    if (a_row == 1 && rows == NR)
        for (ptrdiff_t p = 0; p < k; p++)
            for (int v = 0; v < NR; v += VL) NAME(store)(panel + p * width + v, NAME(load)(a + p * a_col + v));
    else if (a_row == 1)
        for (ptrdiff_t p = 0; p < k; p++) memcpy(panel + p * width, a + p * a_col, rows * sizeof(REAL));
    else if (a_col == 1)
        NAME(transpose)(rows, k, a, a_row, panel, width);
    else
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t p = 0; p < k; p++) panel[p * width + i] = a[i * a_row + p * a_col];
    if (rows < width)
        for (ptrdiff_t p = 0; p < k; p++) memset(panel + p * width + rows, 0, (width - rows) * sizeof(REAL));
}

static void NAME(pack_windows)(ptrdiff_t rows, const ptrdiff_t *offsets, ptrdiff_t ow, ptrdiff_t row_stride,
                               ptrdiff_t first, ptrdiff_t count, const REAL *x, REAL *panel) {
    enum { NR = TILE_VECTORS * VL };
    /* A run: pixels side by side in one output row. Run r begins at pixel at[r] of the tile. */
    ptrdiff_t runs = 0, at[NR], source[NR];
    for (ptrdiff_t q = 0; q < count; runs++) {
        const ptrdiff_t i = (first + q) / ow, j = (first + q) % ow;
        at[runs] = q;
        source[runs] = i * row_stride + j;
        q += ow - j;
    }
    /* Whole vectors: what they write beyond a run is overwritten by the next run, or row of the panel. */
    for (ptrdiff_t p = 0; p < rows; p++, panel += NR)
        for (ptrdiff_t r = 0; r < runs; r++)
            for (int v = 0; v < TILE_VECTORS; v++)
                NAME(store)(panel + at[r] + v * VL, NAME(load)(x + offsets[p] + source[r] + v * VL));
}

/* Every other element of 2 * VL - 1, whose second vector begins with the last of the first: nothing is read beyond. */
#define EVERY_OTHER(l) (2 * (l) + ((l) >= VL / 2))

/* The last vector of a row ends with it, and overlaps the one before. */
static void NAME(copy_strided)(ptrdiff_t rows, ptrdiff_t n, const REAL *x, ptrdiff_t x_row, ptrdiff_t stride, REAL *y,
                               ptrdiff_t y_row) {
    for (ptrdiff_t i = 0; i < rows; i++, x += x_row, y += y_row)
        if (stride == 2 && n >= VL)
            for (ptrdiff_t j = 0; j < n; j += VL) {
                const ptrdiff_t first = j + VL <= n ? j : n - VL;
                const VEC low = NAME(load)(x + 2 * first), high = NAME(load)(x + 2 * first + VL - 1);
                NAME(store)(y + first, SHUFFLE(low, high, EVERY_OTHER));
            }
        else
            for (ptrdiff_t j = 0; j < n; j++) y[j] = x[j * stride];
}
#undef EVERY_OTHER

static void NAME(interleave)(ptrdiff_t n, ptrdiff_t parts, const REAL *restrict x, ptrdiff_t x_row,
                             REAL *restrict y) {
    if (parts == 2) { /* as above */
        for (ptrdiff_t i = 0; i < n / 2; i++) {
            y[2 * i] = x[i];
            y[2 * i + 1] = x[x_row + i];
        }
        if (n % 2) y[n - 1] = x[n / 2];
    } else
        for (ptrdiff_t p = 0; p < parts; p++)
            for (ptrdiff_t i = 0; i * parts + p < n; i++) y[i * parts + p] = x[p * x_row + i];
}

/* The last vector, or four elements, of a row end with it, and overlap the ones before. */
static void NAME(copy_rows)(ptrdiff_t rows, ptrdiff_t n, const REAL *x, ptrdiff_t x_row, ptrdiff_t x_ahead, REAL *y,
                            ptrdiff_t y_row, ptrdiff_t y_ahead) {
    for (ptrdiff_t i = 0; i < rows; i++, x += x_row, y += y_row) {
        for (ptrdiff_t j = 0; j < n; j += VL) {
            if (x_ahead != 0) __builtin_prefetch(x + j + x_ahead);
            if (y_ahead != 0) __builtin_prefetch(y + j + y_ahead, 1);
            if (j + VL <= n) NAME(store)(y + j, NAME(load)(x + j));
        }
        if (n >= VL && n % VL) NAME(store)(y + n - VL, NAME(load)(x + n - VL));
        else if (n >= 4) {
            for (ptrdiff_t j = 0; j + 4 <= n; j += 4) memcpy(y + j, x + j, 4 * sizeof(REAL));
            memcpy(y + n - 4, x + n - 4, 4 * sizeof(REAL));
        } else
            for (ptrdiff_t j = 0; j < n; j++) y[j] = x[j];
    }
}

#define EVEN(l) (2 * (l))
#define ODD(l) (2 * (l) + 1)
static inline void NAME(split_vectors)(const REAL *x, REAL *even, REAL *odd) {
    const VEC a = NAME(load)(x), b = NAME(load)(x + VL);
    NAME(store)(even, SHUFFLE(a, b, EVEN));
    NAME(store)(odd, SHUFFLE(a, b, ODD));
}

/* The last vectors of a row overlap the ones before, as above. */
static void NAME(split_rows)(ptrdiff_t rows, ptrdiff_t n, const REAL *x, ptrdiff_t x_row, REAL *even, REAL *odd,
                             ptrdiff_t y_row) {
    const ptrdiff_t pairs = n / 2;
    for (ptrdiff_t i = 0; i < rows; i++, x += x_row, even += y_row, odd += y_row) {
        ptrdiff_t j = 0;
        for (; j + VL <= pairs; j += VL) NAME(split_vectors)(x + 2 * j, even + j, odd + j);
        if (pairs >= VL && j < pairs) NAME(split_vectors)(x + 2 * (pairs - VL), even + pairs - VL, odd + pairs - VL);
        else
            for (; j < pairs; j++) even[j] = x[2 * j], odd[j] = x[2 * j + 1];
        if (n % 2) even[pairs] = x[n - 1];
    }
}
#undef EVEN
#undef ODD
