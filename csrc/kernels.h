/* The kernel sets: every micro-kernel, once per instruction set (ISA) and once per type.

   Design:
   One template (micro/kernel_set.inc.c) makes all functions of one ISA, for float and for double. One short file per
   ISA (isa/...) includes it and is compiled with that ISA's flags. select.c selects the best set for the CPU, once. No
   source contains an instruction of an ISA, so any set can be compiled for any CPU: a build with CNNX_ALL_SETS tests
   them in this way. Cython reaches the functions through kernels.pxd only. kernel_table.inc.h lists the functions and
   their contracts.
*/
#ifndef CNNX_KERNELS_H
#define CNNX_KERNELS_H
#include <stddef.h>
#include <stdint.h>

/* Sizes of arrays and blocks that hold for every set; micro/sizes.inc.c checks them. */
#define CNNX_MAX_LANES 16   /* elements of a vector at most: 64 bytes of float */
#define CNNX_ACROSS 64      /* rows that a kernel takes side by side; nr at most */
#define CNNX_MR_MULTIPLE 24 /* a multiple of every mr: a block of so many rows has no tiles in part */

/* The activation in the epilogue of an op: none, or one of activations.h. */
typedef enum {
    CNNX_NO_ACTIVATION,
#define ACTIVATION(name, reads, y, dx) CNNX_ACTIVATION_##name,
#include "activations.h"
} cnnx_activation;

/* Name of the op of activation i > 0; NULL beyond the last. */
const char *cnnx_activation_name(size_t i);

/* The smooth activations, curves.h. */
typedef enum {
#define CURVE(name) CNNX_CURVE_##name,
#include "curves.h"
} cnnx_curve;

/* Functions of two elements, and of one with up to two settings: micro/elementwise.inc.c. */
typedef enum { CNNX_ADD, CNNX_SUBTRACT, CNNX_MULTIPLY, CNNX_DIVIDE, CNNX_MAXIMUM, CNNX_MINIMUM } cnnx_binary;
typedef enum {
    CNNX_ABS, CNNX_NEGATIVE, CNNX_RECIPROCAL, CNNX_SQRT, CNNX_EXP, CNNX_LOG, CNNX_CLIP, CNNX_AFFINE,
} cnnx_unary;

/* A convolution of planes in lanes (kernel_table.inc.h). All strides count pixels. For image m < images, output row
   i < rows and column j < cols, and tap (u, v), u < kh, v < kw:

       y[m*y_image + i*y_row + j*y_col]   reads   x[m*x_image + i*x_row + j*x_col + u*tap_row + v*tap_col] */
typedef struct {
    ptrdiff_t images, rows, cols, y_image, y_row, y_col, x_image, x_row, x_col, kh, kw, tap_row, tap_col;
} cnnx_lane_windows;

/* 3x3 windows of one plane: rows x cols of them. The first of a row of windows is `step` after that of the row before;
   rows of taps are x_row apart, and its columns are at tap[0] = 0, tap[1] and tap[2]. */
typedef struct {
    ptrdiff_t rows, cols, step, x_row, tap[3];
} cnnx_plane_windows;

/* Depthwise windows of a row of w pixels, `pitch` apart, with their channels last in memory: cols of them, `stride`
   pixels apart, of kw taps `dilation` apart, from pixel -left on; rows of taps are tap_row apart. */
typedef struct {
    ptrdiff_t channels, pitch, cols, w, left, kw, stride, dilation, tap_row;
} cnnx_channel_windows;

/* The sizes and strides of a matrix product that is a register tile or less: 0 < rows <= mr, 0 < cols <= nr; start_col
   is 0 or 1. */
typedef struct {
    ptrdiff_t rows, cols, k, a_row, a_col, b_row, start_row, start_col, c_row;
} cnnx_tile;

/* The elements of a matrix that is read where it lies: column p = r*length + q, q < length, r < count, of row i is at
   rows[i] + runs[r] + q. */
typedef struct {
    const ptrdiff_t *rows, *runs;
    ptrdiff_t count, length;
} cnnx_runs;

/* A strip of tiles of Winograd's algorithm, in lanes that are channels (kernel_table.inc.h), 0 < channels <= nr. Pixel
   p of line i is there if top <= i < bottom and left <= p < right, and is `pixel` and `pitch` elements from the next.
   `tile` and `point` are the strides of the points. */
typedef struct {
    ptrdiff_t tiles, channels, top, bottom, left, right, pixel, pitch, tile, point;
} cnnx_strip;

/* Those of direct_dweight. */
typedef struct {
    ptrdiff_t filters, lines, pixels, x_line, sums_row;
} cnnx_dweight_tile;

/* What batch normalisation knows of a channel: y = activation((x - mean) * scale + shift), and dx from dy gone back
   through the activation: dx = dy * scale + (x - mean) * slope + offset. */
enum { CNNX_MEAN, CNNX_SCALE, CNNX_SHIFT, CNNX_SLOPE, CNNX_OFFSET, CNNX_NORM_PARAMETERS };

/* Columns that are normalised each on its own: element (i, j) is i*stride + j, i < rows, j < n. Parameter p of column j
   is parameters[p*pitch + j]; a pitch holds whole vectors. */
typedef struct {
    ptrdiff_t rows, n, stride, pitch;
} cnnx_columns;

/* The sizes of a step of an LSTM, for 0 < units <= 2*lanes of its hidden units: numbers that enter it, and all hidden
   units; `gate` is the stride from the start of the sums of one gate to those of the next. */
typedef struct {
    ptrdiff_t units, inputs, hidden, gate;
} cnnx_lstm;

/* The numbers of an optimiser step, those that its method has. */
typedef struct {
    double lr, momentum, weight_decay, alpha, eps, one_minus_beta1, beta2, one_minus_beta2, root_scale;
    double keep, grad_lr, share;
    int nesterov;
} cnnx_step;

/* A row of pooling windows over `rows` > 0 rows of w pixels. Window j < count covers kw columns, clipped to the image,
   of which at least one is left:

       column          0                                w - 1
                       [..............................]
       window 0     [--|---]   begins at -left
       window 1          [------]   begins at stride - left */
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

/* The active set. Selected at import by cnnx_select, before any kernel runs. */
extern const cnnx_kernel_set *cnnx_active;

/* The active table for the type that x points to, const or not: the type of a value, *(x), has no qualifiers. */
#define kernels_for(x) _Generic(*(x), float: cnnx_active->f32, double: cnnx_active->f64)

/* Make the named set the active one, or, with NULL, the best that this CPU can run. 0, or -1 if it cannot run it. */
int cnnx_select(const char *name);

/* Name of the i-th set that this CPU can run, the best first; NULL beyond the last. */
const char *cnnx_usable(size_t i);
#endif
