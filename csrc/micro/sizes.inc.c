/* What the kernels and their callers rely on, checked for each ISA and type. */
_Static_assert(VECTOR_BYTES == 16 || VECTOR_BYTES == 32 || VECTOR_BYTES == 64, "shuffles of vec.h, pool_pairs.inc.c");
_Static_assert(VL == VECTOR_LANES && VL <= CNNX_MAX_LANES, "arrays of callers hold a vector");
_Static_assert(CNNX_ACROSS % VL == 0, "rows side by side are whole vectors: exponential.inc.c");
_Static_assert(TILE_VECTORS * VL <= CNNX_ACROSS, "arrays of callers hold nr elements");
_Static_assert(TILE_VECTORS == 2 || TILE_VECTORS == 3, "the cases of gemm.inc.c and direct.inc.c");
_Static_assert(TILE_ROWS >= 1 && TILE_ROWS <= 12, "the cases of gemm.inc.c");
_Static_assert(CNNX_MR_MULTIPLE % TILE_ROWS == 0, "blocks of callers are whole register tiles");
