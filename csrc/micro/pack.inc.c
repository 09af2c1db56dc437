/* Panels for the register tile: from a matrix, or straight from the windows of an image (implicit GEMM). */

static void NAME(pack)(ptrdiff_t rows, ptrdiff_t k, const REAL *a, ptrdiff_t row_stride, ptrdiff_t col_stride,
                       ptrdiff_t width, REAL *panel) {
    if (row_stride == 1)
        for (ptrdiff_t p = 0; p < k; p++) memcpy(panel + p * width, a + p * col_stride, rows * sizeof(REAL));
    else
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t p = 0; p < k; p++) panel[p * width + i] = a[i * row_stride + p * col_stride];
    if (rows < width)
        for (ptrdiff_t p = 0; p < k; p++) memset(panel + p * width + rows, 0, (width - rows) * sizeof(REAL));
}

/* Whole vectors: what they write beyond a run, the next run or row of the panel replaces. */
static inline void NAME(copy_tile_row)(const REAL *x, REAL *y) {
    for (int v = 0; v < TILE_VECTORS; v++) NAME(store)(y + v * VL, NAME(load)(x + v * VL));
}

static inline void NAME(copy_apart)(ptrdiff_t n, const REAL *x, ptrdiff_t step, REAL *y) {
    for (ptrdiff_t q = 0; q < n; q++) y[q] = x[q * step];
}

static void NAME(pack_windows)(const cnnx_windows *windows, ptrdiff_t channels, ptrdiff_t first, ptrdiff_t count,
                               const REAL *x, REAL *panel) {
    enum { NR = TILE_VECTORS * VL };
    /* A run: pixels side by side in one output row. Run r is pixels at[r] ... at[r + 1] - 1 of the tile. */
    ptrdiff_t runs = 0, at[NR + 1], source[NR];
    for (ptrdiff_t q = 0; q < count; runs++) {
        const ptrdiff_t i = (first + q) / windows->ow, j = (first + q) % windows->ow;
        at[runs] = q;
        source[runs] = i * windows->row_step + j * windows->col_step;
        q += windows->ow - j;
    }
    at[runs] = count;

    for (ptrdiff_t c = 0; c < channels; c++)
        for (ptrdiff_t t = 0; t < windows->taps; t++, panel += NR) {
            const REAL *from = x + c * windows->plane + windows->offsets[t];
            if (windows->col_step == 1 && runs == 1)
                NAME(copy_tile_row)(from + source[0], panel);
            else if (windows->col_step == 1)
                for (ptrdiff_t r = 0; r < runs; r++) NAME(copy_tile_row)(from + source[r], panel + at[r]);
            else if (windows->col_step == 2) /* a step that is known becomes shuffles of vectors */
                for (ptrdiff_t r = 0; r < runs; r++)
                    NAME(copy_apart)(at[r + 1] - at[r], from + source[r], 2, panel + at[r]);
            else
                for (ptrdiff_t r = 0; r < runs; r++)
                    NAME(copy_apart)(at[r + 1] - at[r], from + source[r], windows->col_step, panel + at[r]);
        }
}

static void NAME(pack_windows_transposed)(const cnnx_windows *windows, ptrdiff_t column, ptrdiff_t columns,
                                          ptrdiff_t first, ptrdiff_t count, const REAL *x, REAL *panel) {
    enum { NR = TILE_VECTORS * VL };
    /* A piece: columns at[p] ... of taps that lie side by side in the image too, at most a vector of them. */
    ptrdiff_t pieces = 0, at[NR], source[NR], next = -1;
    for (ptrdiff_t s = 0; s < columns; s++) {
        const ptrdiff_t c = (column + s) / windows->taps, t = (column + s) % windows->taps;
        const ptrdiff_t offset = c * windows->plane + windows->offsets[t];
        if (offset != next || s - at[pieces - 1] == VL) {
            at[pieces] = s;
            source[pieces++] = offset;
        }
        next = offset + 1;
    }
    ptrdiff_t i = first / windows->ow, j = first % windows->ow;
    for (ptrdiff_t q = 0; q < count; q++, panel += NR) {
        const REAL *from = x + i * windows->row_step + j * windows->col_step;
        /* Whole vectors: what they write too much, the next piece or pixel replaces. */
        for (ptrdiff_t p = 0; p < pieces; p++) NAME(store)(panel + at[p], NAME(load)(from + source[p]));
        if (++j == windows->ow) j = 0, i++;
    }
}
