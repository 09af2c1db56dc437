/* What every CPU of this machine type has: 16-byte vectors (SSE2 on x86-64). 4 x 2 vectors = 8 of 16 registers. */
#define ISA baseline
#define VECTOR_BYTES 16
#define TILE_ROWS 4
#define TILE_VECTORS 2
#include "../micro/kernel_set.inc.c"
