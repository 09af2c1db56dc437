/* Convolution straight from the image: windows are read where they lie, by a table of offsets.

   Design:
   The register tiles of a matrix product whose one side is windows, (channel, tap) x pixels. Pixels of one output row
   lie side by side in the image too, so row p of that side is a vector load at offsets[p]; nothing is copied. Backward-
   weight sums over the pixels instead, and reads the windows one number at a time, as a product reads its left side.
*/

#define INLINE static inline __attribute__((always_inline))

/* Constant rows and vectors: inlined, unrolled, and the sums in registers. The last vector begins at `last`. */
INLINE void NAME(direct_tile)(const ptrdiff_t rows, const ptrdiff_t vectors, ptrdiff_t last, ptrdiff_t k,
                              const REAL *weight, const REAL *x, const ptrdiff_t *offsets, const REAL *bias, int more,
                              REAL *y, ptrdiff_t y_row) {
    VEC sum[TILE_ROWS][TILE_VECTORS] = {0};
    for (ptrdiff_t p = 0; p < k; p++, weight += TILE_ROWS) {
        const REAL *from = x + (offsets ? offsets[p] : p * TILE_VECTORS * VL);
        VEC pixels[TILE_VECTORS];
        for (int j = 0; j < vectors; j++) pixels[j] = NAME(load)(from + (j == vectors - 1 ? last : j * VL));
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < vectors; j++) sum[i][j] += weight[i] * pixels[j];
    }
    for (int i = 0; i < rows; i++) {
        REAL *row = y + i * y_row;
        /* All of a row is read before any of it is written: the last vector may overlap the one before. */
        for (int j = 0; j < vectors; j++)
            if (more) sum[i][j] += NAME(load)(row + (j == vectors - 1 ? last : j * VL));
            else if (bias) sum[i][j] += bias[i];
        for (int j = 0; j < vectors; j++) NAME(store)(row + (j == vectors - 1 ? last : j * VL), sum[i][j]);
    }
}

INLINE void NAME(direct_rows)(ptrdiff_t rows, const ptrdiff_t vectors, ptrdiff_t last, ptrdiff_t k, const REAL *weight,
                              const REAL *x, const ptrdiff_t *offsets, const REAL *bias, int more, REAL *y,
                              ptrdiff_t y_row) {
#define ROWS(n)                                                                                                        \
    case n:                                                                                                            \
        if (n <= TILE_ROWS)                                                                                            \
            NAME(direct_tile)(n, vectors, last, k, weight, x, offsets, bias, more, y, y_row);                          \
        break
    switch (rows) {
        ROWS(1); ROWS(2); ROWS(3); ROWS(4); ROWS(5); ROWS(6); ROWS(7); ROWS(8); ROWS(9); ROWS(10); ROWS(11); ROWS(12);
    }
#undef ROWS
}

static void NAME(direct)(ptrdiff_t rows, ptrdiff_t pixels, ptrdiff_t k, const REAL *weight, const REAL *x,
                         const ptrdiff_t *offsets, const REAL *bias, int more, REAL *y, ptrdiff_t y_row) {
    if (pixels > (TILE_VECTORS - 1) * VL)
        NAME(direct_rows)(rows, TILE_VECTORS, pixels - VL, k, weight, x, offsets, bias, more, y, y_row);
    else if (pixels > VL)
        NAME(direct_rows)(rows, 2, pixels - VL, k, weight, x, offsets, bias, more, y, y_row);
    else if (pixels == VL)
        NAME(direct_rows)(rows, 1, 0, k, weight, x, offsets, bias, more, y, y_row);
    else {
        REAL whole[TILE_ROWS * VL] = {0};
        for (ptrdiff_t i = 0; more && i < rows; i++)
            for (ptrdiff_t j = 0; j < pixels; j++) whole[i * VL + j] = y[i * y_row + j];
        NAME(direct_rows)(rows, 1, 0, k, weight, x, offsets, bias, more, whole, VL);
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < pixels; j++) y[i * y_row + j] = whole[i * VL + j];
    }
}

INLINE void NAME(dweight_tile)(const ptrdiff_t vectors, ptrdiff_t lines, ptrdiff_t pixels, const REAL *x,
                               ptrdiff_t x_line, const ptrdiff_t *offsets, const REAL *dy, REAL *sums,
                               ptrdiff_t sums_row) {
    VEC sum[TILE_ROWS][TILE_VECTORS] = {0};
    for (; lines > 0; lines--, x += x_line)
        for (ptrdiff_t p = 0; p < pixels; p++, dy += TILE_VECTORS * VL) {
            VEC filters[TILE_VECTORS];
            for (int j = 0; j < vectors; j++) filters[j] = NAME(load)(dy + j * VL);
            for (int i = 0; i < TILE_ROWS; i++)
                for (int j = 0; j < vectors; j++) sum[i][j] += x[offsets[i] + p] * filters[j];
        }
    for (int i = 0; i < TILE_ROWS; i++)
        for (int j = 0; j < vectors; j++) {
            REAL *to = sums + i * sums_row + j * VL;
            NAME(store)(to, NAME(load)(to) + sum[i][j]);
        }
}

static void NAME(direct_dweight)(ptrdiff_t filters, ptrdiff_t lines, ptrdiff_t pixels, const REAL *x, ptrdiff_t x_line,
                                 const ptrdiff_t *offsets, const REAL *dy, REAL *sums, ptrdiff_t sums_row) {
    if (filters <= VL)
        NAME(dweight_tile)(1, lines, pixels, x, x_line, offsets, dy, sums, sums_row);
    else
        NAME(dweight_tile)(TILE_VECTORS, lines, pixels, x, x_line, offsets, dy, sums, sums_row);
}

#undef INLINE
