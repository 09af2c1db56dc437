/* The register tile of every matrix product: k rank-1 updates of rows x vectors (Goto and van de Geijn 2008).

   Design:
   One body for every size of tile: each call of it below has constant sizes, is inlined and unrolled, and keeps its
   sums in registers. So the last rows of a matrix cost what they multiply, not a whole tile. Columns that do not fill
   their last vector share some of the one before: it begins at `last`, and nothing is read or written beyond.
   The rows of b lie a step apart, or, for a convolution straight from its image, wherever a table of offsets says; or
   so do the columns of a, where the image is the left side.
*/
#define INLINE static inline __attribute__((always_inline))
#define EACH_VECTOR                                                                                                    \
    _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++)                                                            \
        _Pragma("GCC unroll 4") for (int j = 0; j < vectors; j++)
#define AT(j) ((j) == vectors - 1 ? last : (j) * VL)

INLINE void NAME(tile)(const int rows, const int vectors, ptrdiff_t last, ptrdiff_t k, const REAL *a, ptrdiff_t a_row,
                       ptrdiff_t a_col, const ptrdiff_t *a_offsets, const REAL *b, ptrdiff_t b_row,
                       const ptrdiff_t *b_offsets, const REAL *start, ptrdiff_t start_row, ptrdiff_t start_col, REAL *c,
                       ptrdiff_t c_row) {
    VEC sum[TILE_ROWS][TILE_VECTORS];
    EACH_VECTOR sum[i][j] = (VEC){0}; /* not = {0}: that clears memory, which can take as long as a short sum */
    _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++) __builtin_prefetch(c + i * c_row, 1);
    for (ptrdiff_t p = 0; p < k; p++) {
        const REAL *left = a_offsets ? a + a_offsets[p] : a + p * a_col;
        const REAL *from = b_offsets ? b + b_offsets[p] : b + p * b_row;
        VEC row[TILE_VECTORS];
        for (int j = 0; j < vectors; j++) row[j] = NAME(load)(from + AT(j));
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < vectors; j++) sum[i][j] += left[i * a_row] * row[j];
    }
    /* All of start is read before c is written: it may be c, whose last two vectors may overlap. */
    if (start && start_col)
        EACH_VECTOR sum[i][j] += NAME(load)(start + i * start_row + AT(j));
    else if (start)
        EACH_VECTOR sum[i][j] += start[i * start_row];
    EACH_VECTOR NAME(store)(c + i * c_row + AT(j), sum[i][j]);
}

#define PART_OF_TILE                                                                                                   \
    ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t k, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_col,                      \
        const ptrdiff_t *a_offsets, const REAL *b, ptrdiff_t b_row, const ptrdiff_t *b_offsets, const REAL *start,     \
        ptrdiff_t start_row, ptrdiff_t start_col, REAL *c, ptrdiff_t c_row

INLINE void NAME(tile_of_vectors)(const int vectors, ptrdiff_t last, PART_OF_TILE) {
    (void)cols;
#define ROWS(n)                                                                                                        \
    case n:                                                                                                            \
        if (n <= TILE_ROWS)                                                                                            \
            NAME(tile)(n, vectors, last, k, a, a_row, a_col, a_offsets, b, b_row, b_offsets, start, start_row,         \
                       start_col, c, c_row);                                                                           \
        break
    switch (rows) {
        ROWS(1); ROWS(2); ROWS(3); ROWS(4); ROWS(5); ROWS(6); ROWS(7); ROWS(8); ROWS(9); ROWS(10); ROWS(11); ROWS(12);
    }
#undef ROWS
}

INLINE void NAME(part_of_tile)(PART_OF_TILE) {
#define VECTORS(n, last, start, c, c_row)                                                                              \
    NAME(tile_of_vectors)(n, last, rows, cols, k, a, a_row, a_col, a_offsets, b, b_row, b_offsets, start, start_row,   \
                          start_col, c, c_row)
    if (cols > (TILE_VECTORS - 1) * VL)
        VECTORS(TILE_VECTORS, cols - VL, start, c, c_row);
    else if (cols > VL)
        VECTORS(2, cols - VL, start, c, c_row);
    else if (cols == VL)
        VECTORS(1, 0, start, c, c_row);
    else {
        REAL sums[TILE_ROWS * VL];
        VECTORS(1, 0, NULL, sums, VL);
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < cols; j++)
                c[i * c_row + j] = sums[i * VL + j] + (start ? start[i * start_row + j * start_col] : 0);
    }
#undef VECTORS
}
#undef PART_OF_TILE

static void NAME(product)(ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t k, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_col,
                          const REAL *b, ptrdiff_t b_row, const REAL *start, ptrdiff_t start_row, ptrdiff_t start_col,
                          REAL *c, ptrdiff_t c_row) {
    if (a_row == 1)
        NAME(part_of_tile)(rows, cols, k, a, 1, a_col, NULL, b, b_row, NULL, start, start_row, start_col, c, c_row);
    else
        NAME(part_of_tile)(rows, cols, k, a, a_row, a_col, NULL, b, b_row, NULL, start, start_row, start_col, c, c_row);
}

static void NAME(product_at)(ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t k, const REAL *a, const REAL *b,
                             const ptrdiff_t *offsets, const REAL *start, ptrdiff_t start_row, ptrdiff_t start_col,
                             REAL *c, ptrdiff_t c_row) {
    NAME(part_of_tile)(rows, cols, k, a, 1, TILE_ROWS, NULL, b, 0, offsets, start, start_row, start_col, c, c_row);
}

static void NAME(product_from)(ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t k, const REAL *a, const ptrdiff_t *offsets,
                               const REAL *b, const REAL *start, ptrdiff_t start_row, REAL *c, ptrdiff_t c_row) {
    enum { NR = TILE_VECTORS * VL };
    NAME(part_of_tile)(rows, cols, k, a, 1, 0, offsets, b, NR, NULL, start, start_row, 1, c, c_row);
}

static void NAME(gemm_strided)(ptrdiff_t k, const REAL *a, ptrdiff_t a_step, const REAL *b, ptrdiff_t b_step, REAL *c,
                               ptrdiff_t ldc) {
    NAME(tile)(TILE_ROWS, TILE_VECTORS, (TILE_VECTORS - 1) * VL, k, a, 1, a_step, NULL, b, b_step, NULL, c, ldc, 1, c,
               ldc);
}

#undef INLINE
#undef EACH_VECTOR
#undef AT
