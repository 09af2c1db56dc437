/* All kernels for one type. vec.h gives the vector of REAL; each file below holds one family. */
#include "vec.h"
#include "sizes.inc.c"

#define KERNEL(result, name, parameters) static result NAME(name) parameters;
#include "../kernel_table.inc.h"

#include "activate.inc.c"
#include "gemm.inc.c"
#include "lanes.inc.c"
#include "pack.inc.c"
#include "direct.inc.c"
#include "winograd.inc.c"
#include "rows.inc.c"
#include "sums.inc.c"
#include "norm.inc.c"
#include "row_norm.inc.c"
#include "norm_columns.inc.c"
#include "logarithm.inc.c"
#include "exponential.inc.c"
#include "curves.inc.c"
#include "elementwise.inc.c"
#include "recurrent.inc.c"
#include "loss.inc.c"
#include "pool_pairs.inc.c"
#include "pool.inc.c"
#include "depthwise.inc.c"
#include "depthwise_last.inc.c"
#include "planes.inc.c"
#include "optim.inc.c"
#include "resample.inc.c"

static const NAME(cnnx_kernels) NAME(table) = {
    .mr = TILE_ROWS,
    .nr = TILE_VECTORS * VL,
    .lanes = VL,
#define KERNEL(result, name, parameters) .name = NAME(name),
#include "../kernel_table.inc.h"
};

#undef VEC
#undef IVEC
#undef VL
#undef LANES
#undef SHUFFLE
#undef BLOCK
#undef LOWER_PAIR
#undef UPPER_PAIR
