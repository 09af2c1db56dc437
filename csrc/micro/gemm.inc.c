/* The register tile of every matrix product: k rank-1 updates of TILE_ROWS x TILE_VECTORS vectors. */

static inline void NAME(tile)(ptrdiff_t k, const REAL *a, ptrdiff_t a_step, const REAL *b, ptrdiff_t b_step, REAL *c,
                              ptrdiff_t ldc) {
    enum { MR = TILE_ROWS, NV = TILE_VECTORS };
    VEC sum[MR][NV] = {0};
    for (; k > 0; k--, a += a_step, b += b_step) {
        VEC row[NV];
        for (int j = 0; j < NV; j++) row[j] = NAME(load)(b + j * VL);
        for (int i = 0; i < MR; i++)
            for (int j = 0; j < NV; j++) sum[i][j] += a[i] * row[j];
    }
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NV; j++) NAME(store)(c + i * ldc + j * VL, NAME(load)(c + i * ldc + j * VL) + sum[i][j]);
}

static void NAME(gemm)(ptrdiff_t k, const REAL *a, const REAL *b, REAL *c, ptrdiff_t ldc) {
    NAME(tile)(k, a, TILE_ROWS, b, TILE_VECTORS * VL, c, ldc);
}

static void NAME(gemm_strided)(ptrdiff_t k, const REAL *a, ptrdiff_t a_step, const REAL *b, ptrdiff_t b_step, REAL *c,
                               ptrdiff_t ldc) {
    NAME(tile)(k, a, a_step, b, b_step, c, ldc);
}
