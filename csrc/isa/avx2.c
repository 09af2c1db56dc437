/* AVX2 and FMA: 32-byte vectors. 6 x 2 vectors = 12 of 16 registers, 2 for b, 1 for a. */
#define ISA avx2
#define VECTOR_BYTES 32
#define TILE_ROWS 6
#define TILE_VECTORS 2
#include "../micro/kernel_set.inc.c"
