/* Weight gradient of a convolution straight from the image: windows are read where they lie, by a table of offsets.

   Design:
   The register tile of a matrix product whose one side is windows, (channel, tap) x pixels. The sum goes over the
   pixels; a number of a window is one load, as a product reads its left side, and nothing is copied. (Forward reads the
   windows as a product's right side: product_at in gemm.inc.c.)
*/

#define INLINE static inline __attribute__((always_inline))
#define EACH_VECTOR                                                                                                    \
    _Pragma("GCC unroll 16") for (int i = 0; i < TILE_ROWS; i++)                                                       \
        _Pragma("GCC unroll 4") for (int j = 0; j < vectors; j++)

INLINE void NAME(dweight_tile)(const int vectors, ptrdiff_t lines, ptrdiff_t pixels, const REAL *x,
                               ptrdiff_t x_line, const ptrdiff_t *offsets, const REAL *dy, REAL *sums,
                               ptrdiff_t sums_row) {
    VEC sum[TILE_ROWS][TILE_VECTORS];
    EACH_VECTOR sum[i][j] = (VEC){0};
    for (; lines > 0; lines--, x += x_line)
        for (ptrdiff_t p = 0; p < pixels; p++, dy += (vectors > 1 ? TILE_VECTORS : 1) * VL) {
            VEC filters[TILE_VECTORS];
            for (int j = 0; j < vectors; j++) filters[j] = NAME(load)(dy + j * VL);
            for (int i = 0; i < TILE_ROWS; i++)
                for (int j = 0; j < vectors; j++) sum[i][j] += x[offsets[i] + p] * filters[j];
        }
    EACH_VECTOR {
        REAL *to = sums + i * sums_row + j * VL;
        NAME(store)(to, NAME(load)(to) + sum[i][j]);
    }
}

static void NAME(direct_dweight)(ptrdiff_t filters, ptrdiff_t lines, ptrdiff_t pixels, const REAL *x, ptrdiff_t x_line,
                                 const ptrdiff_t *offsets, const REAL *dy, REAL *sums, ptrdiff_t sums_row) {
    if (filters <= VL)
        NAME(dweight_tile)(1, lines, pixels, x, x_line, offsets, dy, sums, sums_row);
    else if (TILE_VECTORS == 2 || filters <= 2 * VL)
        NAME(dweight_tile)(2, lines, pixels, x, x_line, offsets, dy, sums, sums_row);
    else
        NAME(dweight_tile)(TILE_VECTORS, lines, pixels, x, x_line, offsets, dy, sums, sums_row);
}

#undef INLINE
#undef EACH_VECTOR
