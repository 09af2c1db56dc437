/* The kernel sets: every micro-kernel, once per instruction set (ISA) and once per type.

   Design:
   One template (micro/kernel_set.inc.c) makes all functions of one ISA, for float and for double. One short file per
   ISA (isa/...) includes it and is compiled with that ISA's flags. select.c picks the best set for the CPU, once. As
   no source asks for an instruction, any set can be compiled for any CPU: a build with CNNX_ALL_SETS proves them so.
   Cython reaches the functions through kernels.pxd and nothing else. The functions and their contracts are listed in
   kernel_table.inc.h.
*/
#ifndef CNNX_KERNELS_H
#define CNNX_KERNELS_H
#include <stddef.h>
#include <stdint.h>

/* The longest vector of any set: 64 bytes of float. */
#define CNNX_MAX_LANES 16

/* Vectors or windows that a kernel takes side by side. */
#define CNNX_ACROSS 64

/* What is done last to a result: nothing, or one of activations.h. */
typedef enum {
    CNNX_NO_ACTIVATION,
#define ACTIVATION(name, reads, y, dx) CNNX_END_IN_##name,
#include "activations.h"
} cnnx_ending;

/* Name of the op that an ending is, i > 0; NULL beyond the last. */
const char *cnnx_ending_name(size_t i);

/* A convolution within lanes (kernel_table.inc.h), all steps counted in pixels: output (m, i, j), m < images, i < rows,
   j < cols, is pixel m*y_image + i*y_row + j*y_col of y, and its tap (u, v), u < kh, v < kw, is pixel
   m*x_image + i*x_row + j*x_col + u*tap_row + v*tap_col of x. */
typedef struct {
    ptrdiff_t images, rows, cols, y_image, y_row, y_col, x_image, x_row, x_col, kh, kw, tap_row, tap_col;
} cnnx_lane_windows;

/* A row of the windows of a pool: `rows` > 0 rows of w pixels; window j < count covers the columns j*stride - left to
   j*stride - left + kw - 1, and of these the ones from 0 to w - 1: at least one. */
typedef struct {
    ptrdiff_t count, rows, kw, stride, left, w;
} cnnx_window_row;

/* The kernels for one type, and the sizes that their callers must know: mr x nr elements of a register tile, `lanes`
   elements of a vector. */
#define KERNEL(result, name, parameters) result (*name) parameters;
#define REAL float
typedef struct {
    ptrdiff_t mr, nr, lanes;
#include "kernel_table.inc.h"
} cnnx_kernels_f32;
#undef REAL

#define KERNEL(result, name, parameters) result (*name) parameters;
#define REAL double
typedef struct {
    ptrdiff_t mr, nr, lanes;
#include "kernel_table.inc.h"
} cnnx_kernels_f64;
#undef REAL

typedef struct {
    const char *name;
    const cnnx_kernels_f32 *f32;
    const cnnx_kernels_f64 *f64;
} cnnx_kernel_set;

/* The set in use. Set once at import by cnnx_select, before any kernel runs. */
extern const cnnx_kernel_set *cnnx_active;

/* The active table for the type that x points to. */
#define kernels_for(x)                                                                                                 \
    _Generic(*(x), float: cnnx_active->f32, const float: cnnx_active->f32, double: cnnx_active->f64,                   \
             const double: cnnx_active->f64)

/* Make the named set the active one, or, with NULL, the best that this CPU can run. 0, or -1 if it cannot run it. */
int cnnx_select(const char *name);

/* Name of the i-th set that this CPU can run, the best first; NULL beyond the last. */
const char *cnnx_usable(size_t i);
#endif
