/* The micro-kernels: KERNEL(result, name, (parameters)), each under its contract. REAL is float or double.

   Included wherever something is made of each: the members of a table (kernels.h), the prototypes and the table of a
   kernel set (micro/kernels_of_real.inc.c).

   n counts elements and may be 0 unless noted. A kernel reads and writes nothing outside the arrays it names; an array
   needs no alignment unless noted, and the result does not depend on it. Where the output may be one of the inputs, it
   is the same array from the same element on. NaN behaves as in the reference backend.
*/

/* --- matrix product: gemm.inc.c, pack.inc.c --- */

/* One register tile: c[i*ldc + j] += sum over p < k of a[p*a_step + i] * b[p*b_step + j], i < mr, j < nr.
   The sum over p, in order, is made first, then added to c. */
KERNEL(void, gemm_strided, (ptrdiff_t k, const REAL *a, ptrdiff_t a_step, const REAL *b, ptrdiff_t b_step, REAL *c,
                            ptrdiff_t ldc))

/* Any part of a tile: c[i*c_row + j] = start[i*start_row + j*start_col] + sum over p < k of
   a[i*a_row + p*a_col] * b[p*b_row + j], i < rows <= mr, j < cols <= nr; rows, cols > 0. start_col is 0 or 1;
   start may be c, or NULL, which stands for zeros. The sum is made first, in order. Reads b up to a vector. */
KERNEL(void, product, (ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t k, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_col,
                       const REAL *b, ptrdiff_t b_row, const REAL *start, ptrdiff_t start_row, ptrdiff_t start_col,
                       REAL *c, ptrdiff_t c_row))

/* The same with a panel, a[p*mr + i], and rows of b that lie anywhere: b[offsets[p] + j]. */
KERNEL(void, product_at, (ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t k, const REAL *a, const REAL *b,
                          const ptrdiff_t *offsets, const REAL *start, ptrdiff_t start_row, ptrdiff_t start_col,
                          REAL *c, ptrdiff_t c_row))

/* The same with columns of a that lie anywhere, a[offsets[p] + i], a panel b[p*nr + j], and start_col 1. */
KERNEL(void, product_from, (ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t k, const REAL *a, const ptrdiff_t *offsets,
                            const REAL *b, const REAL *start, ptrdiff_t start_row, REAL *c, ptrdiff_t c_row))

/* y[p*y_row + i] = x[i*x_row + p], i < rows, p < cols */
KERNEL(void, transpose, (ptrdiff_t rows, ptrdiff_t cols, const REAL *x, ptrdiff_t x_row, REAL *y, ptrdiff_t y_row))

/* A panel from any matrix: panel[p*width + i] = a[i*row_stride + p*col_stride], i < rows, p < k; 0 for i from
   rows to width. */
KERNEL(void, pack, (ptrdiff_t rows, ptrdiff_t k, const REAL *a, ptrdiff_t row_stride, ptrdiff_t col_stride,
                    ptrdiff_t width, REAL *panel))

/* A panel of windows: panel[p*nr + q] = x[offsets[p] + i*row_step + j], p < rows, where first + q = i*ow + j is a
   pixel of rows of ow; q < count <= nr; for q from count to nr something. Reads up to nr elements beyond the last
   pixel, and writes up to nr beyond the panel. */
KERNEL(void, pack_windows, (ptrdiff_t rows, const ptrdiff_t *offsets, ptrdiff_t ow, ptrdiff_t row_step, ptrdiff_t first,
                            ptrdiff_t count, const REAL *x, REAL *panel))

/* y[i*y_step + j] = x[i*x_step + j], i < rows, j < n. What lies x_ahead elements on, if not 0, is asked for, and
   what lies y_ahead on, to be written. */
KERNEL(void, copy_rows, (ptrdiff_t rows, ptrdiff_t n, const REAL *x, ptrdiff_t x_step, ptrdiff_t x_ahead, REAL *y,
                         ptrdiff_t y_step, ptrdiff_t y_ahead))

/* y[i] = x[i*step] */
KERNEL(void, copy_apart, (ptrdiff_t n, const REAL *x, ptrdiff_t step, REAL *y))

/* y[i*parts + p] = x[p*x_step + i], for all of y's n elements */
KERNEL(void, interleave, (ptrdiff_t n, ptrdiff_t parts, const REAL *x, ptrdiff_t x_step, REAL *y))

/* --- weight gradient of a convolution from an image whose windows lie at offsets: direct.inc.c --- */
/* sums[i*sums_row + j] += sum over l < lines, p < pixels of x[l*x_line + offsets[i] + p] * dy[(l*pixels + p)*width
   + j], i < mr, j < filters <= nr; beyond filters something, up to a vector. width is nr, or the lanes of a vector
   where so many filters, or fewer, are all. */
KERNEL(void, direct_dweight, (ptrdiff_t filters, ptrdiff_t lines, ptrdiff_t pixels, const REAL *x, ptrdiff_t x_line,
                              const ptrdiff_t *offsets, const REAL *dy, REAL *sums, ptrdiff_t sums_row))

/* --- Winograd's transforms, 6x6 points (i, j), point 6*i + j `step` elements on: winograd.inc.c --- */
/* Columns of six pixels, x[i*pitch + j], j < n, to six points, y[i*pitch + j], up to a whole vector. */
KERNEL(void, winograd_down, (ptrdiff_t n, const REAL *x, REAL *y, ptrdiff_t pitch))
/* Then rows of nr tiles, x[places[lane] + i*pitch + j], to the points: v[(6*i + j)*step + lane]. Reads two pixels
   beyond the sixth of a line. */
KERNEL(void, winograd_across, (const REAL *x, ptrdiff_t pitch, const ptrdiff_t *places, REAL *v, ptrdiff_t step))
/* 3x3 taps, side by side, of filters i < rows <= mr and of channels c: u[point*step + c*mr + i]. rotated: the last
   tap is the first. Writes up to a vector beyond the last channel. */
KERNEL(void, winograd_weight, (ptrdiff_t rows, ptrdiff_t channels, const REAL *weight, ptrdiff_t row_stride,
                               ptrdiff_t channel_stride, int rotated, REAL *u, ptrdiff_t step))
/* The points of nr tiles, m[point*step + lane], to their 4x4 results (i, j): y[places[lane] + i*pitch + j] = result
   + shift. */
KERNEL(void, winograd_y, (const REAL *m, ptrdiff_t step, REAL shift, const ptrdiff_t *places, REAL *y, ptrdiff_t pitch))
/* For backward-weight, tiles t < tiles side by side of nr channels: pixel (i, j) of the tile is x[i*pitch +
   (4*t + j)*nr + lane], 6x6 of x or 4x4 of dy, its point v[t*tile_step + point*step + lane]. */
KERNEL(void, winograd_x_strip, (ptrdiff_t tiles, const REAL *x, ptrdiff_t pitch, REAL *v, ptrdiff_t tile_step,
                                ptrdiff_t step))
KERNEL(void, winograd_dy_strip, (ptrdiff_t tiles, const REAL *dy, ptrdiff_t pitch, REAL *u, ptrdiff_t tile_step,
                                 ptrdiff_t step))
/* And the points to 3x3 taps, dweight[(3*i + j)*nr + lane] */
KERNEL(void, winograd_dweight, (const REAL *sums, ptrdiff_t step, REAL *dweight))

/* --- one row, element by element: activate.inc.c, rows.inc.c; the output may be an input --- */
/* What activations.h says; saved is x or y as it has it. */
KERNEL(void, activate, (cnnx_ending activation, ptrdiff_t n, const REAL *x, REAL *y))
KERNEL(void, activate_backward, (cnnx_ending activation, ptrdiff_t n, const REAL *dy, const REAL *saved, REAL *dx))
KERNEL(void, leaky_relu, (ptrdiff_t n, const REAL *x, REAL slope, REAL *y))
KERNEL(void, leaky_relu_backward, (ptrdiff_t n, const REAL *dy, const REAL *x, REAL slope, REAL *dx))
KERNEL(void, sigmoid_backward, (ptrdiff_t n, const REAL *dy, const REAL *y, REAL *dx))
KERNEL(void, tanh_backward, (ptrdiff_t n, const REAL *dy, const REAL *y, REAL *dx))
/* y[i] = (x[i] - center) * scale + shift */
KERNEL(void, affine, (ptrdiff_t n, const REAL *x, REAL center, REAL scale, REAL shift, REAL *y))
/* y[i] += x[i] */
KERNEL(void, add, (ptrdiff_t n, const REAL *x, REAL *y))
/* z[i] = x[i] + y[i] */
KERNEL(void, plus, (ptrdiff_t n, const REAL *x, const REAL *y, REAL *z))
/* z[i] = x[i] * y[i] */
KERNEL(void, times, (ptrdiff_t n, const REAL *x, const REAL *y, REAL *z))
/* z[i] += x[i] * y[i] */
KERNEL(void, add_product, (ptrdiff_t n, const REAL *x, const REAL *y, REAL *z))
/* y[i] = x[i] * scale */
KERNEL(void, scaled, (ptrdiff_t n, const REAL *x, REAL scale, REAL *y))
/* z[i] = (x[i] - y[i]) * scale */
KERNEL(void, scaled_difference, (ptrdiff_t n, const REAL *x, const REAL *y, REAL scale, REAL *z))
/* y[i] = x[i] * scale where hash(first + i) >= threshold, else 0: see reference/dropout.py; first + n <= 2^32 */
KERNEL(void, dropout, (ptrdiff_t n, uint32_t first, uint32_t low, uint32_t high, uint32_t threshold, REAL scale,
                       const REAL *x, REAL *y))

/* --- sums over one row, in vector lanes --- */
KERNEL(double, sum, (ptrdiff_t n, const REAL *x))
/* sums[i] += that of row i < rows; they are step >= n apart, and what lies between them may be read */
KERNEL(void, row_sums, (ptrdiff_t rows, ptrdiff_t n, const REAL *x, ptrdiff_t step, double *sums))
/* sum of (x[i] - y[i])^2 */
KERNEL(double, squared_distance, (ptrdiff_t n, const REAL *x, const REAL *y))
KERNEL(double, dot, (ptrdiff_t n, const REAL *x, const REAL *y))

/* --- batch normalisation of a plane: norm.inc.c --- */
/* n > 0. Partial sums are two vectors; fold adds them in double to first and second, and clears them. What lies
   `ahead` elements on, if that is not 0, is asked for in advance. */
/* Adds x - center to the first, its square to the second. */
KERNEL(void, plane_moments, (ptrdiff_t n, const REAL *x, REAL center, ptrdiff_t ahead, REAL *partial))
/* Adds g to the first, g * (x - mean) to the second: g is dy gone back through the activation of
   (x - mean) * scale + shift. */
KERNEL(void, plane_comoments, (ptrdiff_t n, const REAL *dy, const REAL *x, REAL mean, REAL scale, REAL shift,
                               cnnx_ending activation, ptrdiff_t ahead, REAL *partial))
KERNEL(void, fold, (REAL *partial, double *first, double *second))
/* y = activation((x - mean) * scale + shift + add), without add where it is NULL; y is not x, not add. */
KERNEL(void, normalise, (ptrdiff_t n, const REAL *x, REAL mean, REAL scale, REAL shift, const REAL *add,
                         cnnx_ending activation, ptrdiff_t ahead, REAL *y))
/* dx = g * scale + (x - mean) * slope + offset; not training, g * scale. dx is not x, not dy. */
KERNEL(void, normalise_backward, (ptrdiff_t n, const REAL *dy, const REAL *x, REAL mean, REAL scale, REAL shift,
                                  cnnx_ending activation, int training, REAL slope, REAL offset, ptrdiff_t ahead,
                                  REAL *dx))

/* --- the same of columns, with a sum and parameters each: norm_columns.inc.c --- */
/* Element j < n of row i < rows is i*step + j. What has one value per column has room for whole vectors. */
/* A value per channel to one for each of its columns, j*pixels + p, and back: columns are added to the sum of their
   channel, and cleared. */
KERNEL(void, widen, (ptrdiff_t channels, ptrdiff_t pixels, const REAL *values, REAL *columns))
KERNEL(void, fold_columns, (ptrdiff_t channels, ptrdiff_t pixels, REAL *columns, double *sums))
KERNEL(void, column_moments, (ptrdiff_t rows, ptrdiff_t n, ptrdiff_t step, const REAL *x, const REAL *center,
                              REAL *sums, REAL *squares))
KERNEL(void, column_comoments, (ptrdiff_t rows, ptrdiff_t n, ptrdiff_t step, const REAL *dy, const REAL *x,
                                const REAL *mean, const REAL *scale, const REAL *shift, cnnx_ending activation,
                                REAL *sums, REAL *products))
KERNEL(void, normalise_columns, (ptrdiff_t rows, ptrdiff_t n, ptrdiff_t step, const REAL *x, const REAL *mean,
                                 const REAL *scale, const REAL *shift, const REAL *add, cnnx_ending activation,
                                 REAL *y))
KERNEL(void, normalise_columns_backward, (ptrdiff_t rows, ptrdiff_t n, ptrdiff_t step, const REAL *dy, const REAL *x,
                                          const REAL *mean, const REAL *scale, const REAL *shift,
                                          cnnx_ending activation, int training, const REAL *slope, const REAL *offset,
                                          REAL *dx))

/* --- exponentials, one row: exponential.inc.c; the output may be an input --- */
KERNEL(void, sigmoid, (ptrdiff_t n, const REAL *x, REAL *y))
KERNEL(void, tanh, (ptrdiff_t n, const REAL *x, REAL *y))
/* n > 0 for these; softmax returns the log of the sum of exp(x[i] - top), the largest x[i] being *top. It is not
   added: where all are large, their differences would be rounded away. top may be NULL. */
KERNEL(double, softmax, (ptrdiff_t n, const REAL *x, REAL *y, REAL *top))
KERNEL(void, softmax_backward, (ptrdiff_t n, const REAL *dy, const REAL *y, REAL *dx))
KERNEL(void, log_softmax, (ptrdiff_t n, const REAL *x, REAL *y))
KERNEL(void, log_softmax_backward, (ptrdiff_t n, const REAL *dy, const REAL *y, REAL *dx))
/* n <= CNNX_ACROSS rows of k so that they lie side by side, y[i*CNNX_ACROSS + j] = x[j*k + i], and back. */
KERNEL(void, turn, (ptrdiff_t k, ptrdiff_t n, const REAL *x, REAL *y))
KERNEL(void, turn_back, (ptrdiff_t k, ptrdiff_t n, const REAL *x, REAL *y))
/* The same of n <= CNNX_ACROSS vectors that lie side by side: element i of vector j is x[i*step + j], i < k. The
   largest and the logs of the sums go to tops and log_sums, if log_sums is not NULL. */
KERNEL(void, softmax_across, (ptrdiff_t k, ptrdiff_t n, ptrdiff_t step, const REAL *x, REAL *y, REAL *tops,
                              double *log_sums))
KERNEL(void, softmax_backward_across, (ptrdiff_t k, ptrdiff_t n, ptrdiff_t step, const REAL *dy, const REAL *y,
                                       REAL *dx))
KERNEL(void, log_softmax_across, (ptrdiff_t k, ptrdiff_t n, ptrdiff_t step, const REAL *x, REAL *y))
KERNEL(void, log_softmax_backward_across, (ptrdiff_t k, ptrdiff_t n, ptrdiff_t step, const REAL *dy, const REAL *y,
                                           REAL *dx))

/* --- losses of n pairs: loss.inc.c; formulas in reference/loss.py --- */
/* The sum of the losses; the gradients times scale. pred is from 0 to 1. */
KERNEL(double, bce, (ptrdiff_t n, const REAL *pred, const REAL *target, REAL scale, REAL *dpred))
KERNEL(double, bce_with_logits, (ptrdiff_t n, const REAL *logits, const REAL *target, REAL scale, REAL *dlogits))

/* --- planes in lanes: pixel p of plane l < lanes is element p*lanes + l; lanes.inc.c, pool.inc.c,
   depthwise.inc.c --- */
/* The first n pixels of planes 0 ... planes - 1, which lie step apart; 0 < planes <= lanes. After every run of
   pixels come gap pixels of zeros, after the last one too. Lanes from planes on hold something. What lies ahead
   elements further on is asked for meanwhile, if ahead is not 0. */
KERNEL(void, to_lanes, (ptrdiff_t planes, ptrdiff_t n, const REAL *x, ptrdiff_t step, ptrdiff_t run, ptrdiff_t gap,
                        ptrdiff_t ahead, REAL *lanes))
/* And back, without gaps. */
KERNEL(void, from_lanes, (ptrdiff_t planes, ptrdiff_t n, const REAL *lanes, REAL *y, ptrdiff_t step))

/* The same of codes, bytes or, where narrow is NULL, those in wide; in lanes they are as wide as REAL. */
KERNEL(void, codes_to_lanes, (ptrdiff_t planes, ptrdiff_t n, const uint8_t *narrow, const int32_t *wide, ptrdiff_t step,
                              void *lanes))
KERNEL(void, codes_from_lanes, (ptrdiff_t planes, ptrdiff_t n, const void *lanes, uint8_t *narrow, int32_t *wide,
                                ptrdiff_t step))

/* A row of windows within lanes. argmax is code + u*kw + v for the cell (u, v) of the largest. dead < 0: the
   maximum. Else the maximum and 0, and dead is the argmax of windows without a value above 0. */
KERNEL(void, max_pool_row, (const cnnx_window_row *row, const REAL *x, int32_t code, int32_t dead, REAL *y,
                            void *argmax))
/* y[j] = share[j] * sum over the window */
KERNEL(void, avg_pool_row, (const cnnx_window_row *row, const REAL *x, const REAL *share, REAL *y))
/* Adds dy[j] to the pixel of dx that argmax[j] names; dy[j] * share[j] to every pixel. */
KERNEL(void, max_pool_row_backward, (const cnnx_window_row *row, const REAL *dy, const void *argmax, int32_t code,
                                     REAL *dx))
KERNEL(void, avg_pool_row_backward, (const cnnx_window_row *row, const REAL *dy, const REAL *share, REAL *dx))

/* Rows of ow windows of 2x2, side by side, of one plane without lanes: pool_pairs.inc.c; rows > 0 and
   lanes <= 2*ow <= w. Those of row i < rows cover the rows 2*i and 2*i + 1 of x, which are w long; dead is as
   above. Backward gives both of dx, w long. */
KERNEL(void, max_pool_pairs, (ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t w, const REAL *x, int32_t dead, REAL *y,
                              uint8_t *argmax))
KERNEL(void, avg_pool_pairs, (ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t w, const REAL *x, REAL *y))
KERNEL(void, max_pool_pairs_backward, (ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t w, const REAL *dy, const uint8_t *argmax,
                                       REAL *dx))
KERNEL(void, avg_pool_pairs_backward, (ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t w, const REAL *dy, REAL *dx))

/* y[output] = start + sum over the taps t = u*kw + v, in order, of weight[t] * x[tap t of the output], every pixel,
   weight and start a vector of lanes; where start is NULL, it is y itself. */
KERNEL(void, depthwise, (const cnnx_lane_windows *windows, const REAL *x, const REAL *weight, const REAL *start,
                         REAL *y))
/* dweight[t] += sum over the outputs of dy[output] * x[tap t of the output] */
KERNEL(void, depthwise_dweight, (const cnnx_lane_windows *windows, const REAL *x, const REAL *dy, REAL *dweight))

/* --- rows of an image that is read at other places: resample.inc.c; the output is no input --- */
/* z[i] = x[i] * share_x + y[i] * share_y */
KERNEL(void, blend, (ptrdiff_t n, const REAL *x, REAL share_x, const REAL *y, REAL share_y, REAL *z))
/* y[i] += x[i] * scale */
KERNEL(void, add_scaled, (ptrdiff_t n, const REAL *x, REAL scale, REAL *y))
/* y[i] = x[2*i] + x[2*i + 1] */
KERNEL(void, add_pairs, (ptrdiff_t n, const REAL *x, REAL *y))
/* y[j] = x[p] * shares[2*j] + x[min(p + 1, w - 1)] * shares[2*j + 1], p = pixels[j] < w, which never falls */
KERNEL(void, read_between, (ptrdiff_t n, ptrdiff_t w, const ptrdiff_t *pixels, const REAL *shares, const REAL *x,
                            REAL *y))
/* And back: w > 0 sums over what read each pixel. Those j < n with pixels[j] = s are from begins[s] to
   begins[s + 1]. */
KERNEL(void, write_between, (ptrdiff_t n, ptrdiff_t w, const ptrdiff_t *pixels, const ptrdiff_t *begins,
                             const REAL *shares, const REAL *dy, REAL *dx))

/* --- optimiser steps over n elements, in place: optim.inc.c; formulas in reference/optim.py --- */
/* velocity NULL: no momentum */
KERNEL(void, sgd, (ptrdiff_t n, REAL *param, const REAL *grad, REAL *velocity, REAL lr, REAL momentum,
                   REAL weight_decay, int nesterov))
/* grad_avg NULL: not centered; velocity NULL: no momentum */
KERNEL(void, rmsprop, (ptrdiff_t n, REAL *param, const REAL *grad, REAL *square_avg, REAL *grad_avg, REAL *velocity,
                       REAL lr, REAL alpha, REAL one_minus_alpha, REAL eps, REAL weight_decay, REAL momentum))
KERNEL(void, adagrad, (ptrdiff_t n, REAL *param, const REAL *grad, REAL *sum_sq, REAL lr, REAL eps, REAL weight_decay))
/* step_size = lr / (1 - beta1^step), root_scale = 1 / sqrt(1 - beta2^step) */
KERNEL(void, adam, (ptrdiff_t n, REAL *param, const REAL *grad, REAL *exp_avg, REAL *exp_avg_sq, REAL step_size,
                    REAL one_minus_beta1, REAL beta2, REAL one_minus_beta2, REAL eps, REAL weight_decay,
                    REAL root_scale))

#undef KERNEL
