/* AVX-512F: 64-byte vectors. 12 x 2 vectors = 24 of 32 registers, 2 for b; a comes as a broadcast operand. */
#define ISA avx512
#define VECTOR_BYTES 64
#define TILE_ROWS 12
#define TILE_VECTORS 2
#include "../micro/kernel_set.inc.c"
