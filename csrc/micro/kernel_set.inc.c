/* One ISA's kernel set: all kernels for float, all for double, and the table that names them.

   The including file defines ISA, VECTOR_BYTES, and the register tile, TILE_ROWS x TILE_VECTORS vectors. Everything but
   the table is static, so that the linker cannot merge functions of two sets.
*/
#include "../kernels.h"
#include <math.h>
#include <string.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

#define REAL float
#define INT int32_t
#define MANTISSA 23
#define SQRT sqrtf
#define NAME(f) JOIN(f, _f32)
#include "kernels_of_real.inc.c"
#undef REAL
#undef INT
#undef MANTISSA
#undef SQRT
#undef NAME

#define REAL double
#define INT int64_t
#define MANTISSA 52
#define SQRT sqrt
#define NAME(f) JOIN(f, _f64)
#include "kernels_of_real.inc.c"

const cnnx_kernel_set JOIN(cnnx_, ISA) = {TEXT(ISA), &table_f32, &table_f64};
