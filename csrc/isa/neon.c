/* NEON (every 64-bit ARM): 16-byte vectors. 8 x 3 vectors = 24 of 32 registers, 3 for b, 2 for a. */
#define ISA neon
#define VECTOR_BYTES 16
#define TILE_ROWS 8
#define TILE_VECTORS 3
#include "../micro/kernel_set.inc.c"
