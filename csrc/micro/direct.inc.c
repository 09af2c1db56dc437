/* Weight gradient of a convolution straight from the image: windows are read in place, by a table of offsets.

   Design:
   The register tile of a matrix product whose left side is windows, (channel, tap) x pixels, and whose right side is
   dy. The sum is over the pixels. An element of a window is one load, as a product reads its left side, and nothing is
   copied. (Forward reads windows as the right side of a product: product_at in gemm.inc.c.)
*/

#define INLINE static inline __attribute__((always_inline))
#define EACH_VECTOR                                                                                                    \
    _Pragma("GCC unroll 16") for (int i = 0; i < TILE_ROWS; i++)                                                       \
        _Pragma("GCC unroll 4") for (int j = 0; j < vectors; j++)

INLINE void NAME(dweight_tile)(const int vectors, cnnx_dweight_tile s, const REAL *x, const ptrdiff_t *offsets,
                               const REAL *dy, REAL *sums) {
    VEC sum[TILE_ROWS][TILE_VECTORS];
    EACH_VECTOR sum[i][j] = (VEC){0};
    for (ptrdiff_t l = 0; l < s.lines; l++, x += s.x_line)
        for (ptrdiff_t p = 0; p < s.pixels; p++, dy += (vectors > 1 ? TILE_VECTORS : 1) * VL) {
            VEC filters[TILE_VECTORS];
            for (int j = 0; j < vectors; j++) filters[j] = NAME(load)(dy + j * VL);
            for (int i = 0; i < TILE_ROWS; i++)
                for (int j = 0; j < vectors; j++) sum[i][j] += x[offsets[i] + p] * filters[j];
        }
    EACH_VECTOR {
        REAL *to = sums + i * s.sums_row + j * VL;
        NAME(store)(to, NAME(load)(to) + sum[i][j]);
    }
}

static void NAME(direct_dweight)(const cnnx_dweight_tile *tile, const REAL *x, const ptrdiff_t *offsets,
                                 const REAL *dy, REAL *sums) {
    if (tile->filters <= VL)
        NAME(dweight_tile)(1, *tile, x, offsets, dy, sums);
    else if (TILE_VECTORS == 2 || tile->filters <= 2 * VL)
        NAME(dweight_tile)(2, *tile, x, offsets, dy, sums);
    else
        NAME(dweight_tile)(TILE_VECTORS, *tile, x, offsets, dy, sums);
}

#undef INLINE
#undef EACH_VECTOR
