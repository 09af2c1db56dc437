/* The micro-kernels: KERNEL(result, name, (parameters)), each under its contract. REAL is float or double.

   Included wherever something is made of each: the members of a table (kernels.h), the prototypes and the table of a
   kernel set (micro/kernels_of_real.inc.c).

   n counts elements and may be 0 unless noted; strides count elements. A kernel reads and writes nothing outside the
   arrays that it names; an array needs no alignment unless noted, and the result does not depend on it. The output may
   be one of the inputs only where noted, and then it is exactly that array. NaN behaves as in the reference backend.
   "Prefetches x + ahead; 0 disables": while x[i] is read, the cache line of x[i + ahead] is prefetched.
*/

/* --- matrix product: gemm.inc.c, pack.inc.c --- */

/* One register tile: c[i*c_row + j] += sum over p < k of a[p*a_col + i] * b[p*b_row + j], i < mr, j < nr.
   The sum over p, in order, is made first, then added to c. */
KERNEL(void, gemm_strided, (ptrdiff_t k, const REAL *a, ptrdiff_t a_col, const REAL *b, ptrdiff_t b_row, REAL *c,
                            ptrdiff_t c_row))

/* A register tile or a part of one, with the sizes and strides of cnnx_tile: c = start + a b.

                     k                       cols                     cols                     cols
                +---------+              +-----------+            +-----------+            +-----------+
           rows |    a    |    x       k |     b     |   +   rows |   start   |  =    rows |     c     |
                +---------+              +-----------+            +-----------+            +-----------+
       a[i*a_row + p*a_col]       b[p*b_row + j]    start[i*start_row + j*start_col]   c[i*c_row + j]

   The sum over p, in order, is made first, then added to start. start may be c, or NULL: zeros. Reads whole vectors of
   rows of b: up to a vector beyond `cols`, if cols is less than a vector. */
KERNEL(void, product, (const cnnx_tile *tile, const REAL *a, const REAL *b, const REAL *start, REAL *c))

/* The same of a panel a, a[p*mr + i], with all that follows the sum: c = activation(start + a b + add), where add is
   NULL or as c. Ignores a_row, a_col. Prefetches what lies 4 kB beyond the columns of a. One or two columns are summed
   in another order: every fourth p apart. */
KERNEL(void, product_to_end, (const cnnx_tile *tile, const REAL *a, const REAL *b, const REAL *start, const REAL *add,
                              cnnx_activation activation, REAL *c))

/* The same of a matrix a whose rows and runs of columns lie anywhere, with the offsets of cnnx_runs, and a panel b,
   b[p*nr + j]; start_col is 1. Ignores k, a_row, a_col, b_row, start_col. Prefetches what lies 4 kB beyond the rows of
   b. */
KERNEL(void, product_of_runs, (const cnnx_tile *tile, const REAL *a, const cnnx_runs *runs, const REAL *b,
                               const REAL *start, const REAL *add, cnnx_activation activation, REAL *c))

/* The same of a panel a, a[p*mr + i], and rows of b anywhere, b[offsets[p] + j]. Ignores a_row, a_col, b_row. */
KERNEL(void, product_at, (const cnnx_tile *tile, const REAL *a, const REAL *b, const ptrdiff_t *offsets,
                          const REAL *start, REAL *c))

/* The same of columns of a anywhere, a[offsets[p] + i], and a panel b, b[p*nr + j], with start_col 1. Ignores a_row,
   a_col, b_row, start_col. Prefetches what lies 4 kB beyond the rows of b. */
KERNEL(void, product_from, (const cnnx_tile *tile, const REAL *a, const ptrdiff_t *offsets, const REAL *b,
                            const REAL *start, REAL *c))

/* y[p*y_row + i] = x[i*x_row + p], i < rows, p < cols */
KERNEL(void, transpose, (ptrdiff_t rows, ptrdiff_t cols, const REAL *x, ptrdiff_t x_row, REAL *y, ptrdiff_t y_row))

/* A panel from any matrix: panel[p*width + i] = a[i*a_row + p*a_col], i < rows, p < k; 0 for rows <= i < width. */
KERNEL(void, pack, (ptrdiff_t rows, ptrdiff_t k, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_col, ptrdiff_t width,
                    REAL *panel))

/* A panel of windows (implicit im2col): panel[p*nr + q] = x[offsets[p] + i*row_stride + j], p < rows, q < count <= nr,
   where first + q = i*ow + j numbers the pixels of rows of ow. Unspecified for q >= count. Reads up to nr elements
   beyond the last pixel, and writes up to nr beyond the panel. */
KERNEL(void, pack_windows, (ptrdiff_t rows, const ptrdiff_t *offsets, ptrdiff_t ow, ptrdiff_t row_stride,
                            ptrdiff_t first, ptrdiff_t count, const REAL *x, REAL *panel))

/* y[i*y_row + j] = x[i*x_row + j], i < rows, j < n. Prefetches x + x_ahead, and y + y_ahead for writing; 0 disables. */
KERNEL(void, copy_rows, (ptrdiff_t rows, ptrdiff_t n, const REAL *x, ptrdiff_t x_row, ptrdiff_t x_ahead, REAL *y,
                         ptrdiff_t y_row, ptrdiff_t y_ahead))

/* even[i*y_row + j] = x[i*x_row + 2*j], odd[i*y_row + j] = x[i*x_row + 2*j + 1], i < rows, of n columns of x. */
KERNEL(void, split_rows, (ptrdiff_t rows, ptrdiff_t n, const REAL *x, ptrdiff_t x_row, REAL *even, REAL *odd,
                          ptrdiff_t y_row))

/* y[i*y_row + j] = x[i*x_row + j*stride], i < rows, j < n */
KERNEL(void, copy_strided, (ptrdiff_t rows, ptrdiff_t n, const REAL *x, ptrdiff_t x_row, ptrdiff_t stride, REAL *y,
                            ptrdiff_t y_row))

/* y[i*parts + p] = x[p*x_row + i], for all n elements of y */
KERNEL(void, interleave, (ptrdiff_t n, ptrdiff_t parts, const REAL *x, ptrdiff_t x_row, REAL *y))

/* --- weight gradient of a convolution whose windows are read in the image, at offsets: direct.inc.c --- */

/* sums[i*sums_row + j] += sum over l < lines, p < pixels of

       x[l*x_line + offsets[i] + p] * dy[(l*pixels + p)*width + j],   i < mr, j < filters <= nr

   with the sizes of cnnx_dweight_tile. width is nr; or one vector, if all filters fit into it. Columns of sums from
   filters to a whole vector are unspecified. */
KERNEL(void, direct_dweight, (const cnnx_dweight_tile *tile, const REAL *x, const ptrdiff_t *offsets, const REAL *dy,
                              REAL *sums))

/* --- Winograd's transforms: winograd.inc.c --- */
/* 6x6 pixels become 6x6 points; point (i, j) has the number 6*i + j, and `point` is the stride from one to the next.
   Forward and backward-data: a tile is 6x6 pixels of six lines; tiles side by side share two columns. places[lane] is
   the position of the tile's first pixel in a line.

       line 0    0 1 2 3[4 5]6 7 8 9 ...        places[lane] = 0, places[lane + 1] = 4
       ...       \_________/
       line 5            \_________/            winograd_down: columns, once for both tiles; winograd_across: rows */

/* Columns of six pixels, x[i*pitch + j], j < n, to six points each, y[i*pitch + j]. Writes whole vectors. */
KERNEL(void, winograd_down, (ptrdiff_t n, const REAL *x, REAL *y, ptrdiff_t pitch))
/* Then the rows of nr tiles, x[places[lane] + i*pitch + j], to points v[(6*i + j)*point + lane]. Reads two pixels
   beyond the sixth of a row. */
KERNEL(void, winograd_across, (const REAL *x, ptrdiff_t pitch, const ptrdiff_t *places, REAL *v, ptrdiff_t point))
/* 3x3 taps of filters i < rows <= mr and channels c, weight[i*filter + c*channel + tap], to points
   u[number*point + c*mr + i]. rotated: the taps are read in reverse order. Writes up to a vector beyond the last
   channel. */
KERNEL(void, winograd_weight, (ptrdiff_t rows, ptrdiff_t channels, const REAL *weight, ptrdiff_t filter,
                               ptrdiff_t channel, int rotated, REAL *u, ptrdiff_t point))
/* Points of nr tiles, m[number*point + lane], to their 4x4 results (i, j): y[places[lane] + i*pitch + j] = result
   + shift. */
KERNEL(void, winograd_y, (const REAL *m, ptrdiff_t point, REAL shift, const ptrdiff_t *places, REAL *y,
                          ptrdiff_t pitch))

/* Backward-weight, and forward by panels: lanes are channels, and tiles lie side by side, a strip (cnnx_strip).

       pixel    0   1   2   3   4   5   6   7   8   9   10  11  12  13 ...
       of x     [------- tile 0 ------]                                         6x6 pixels from 4*t on; columns that two
                                [------- tile 1 ------]                         tiles share are transformed once
                                                [------- tile 2 ------]
       of y, dy [-- tile 0 ---] [-- tile 1 ---] [-- tile 2 ---]                 4x4 pixels from 4*t on

   The points of tile t are v[t*tile + number*point + lane]. x is pixel `left` of line `top`: those that are not there
   are zeros. Writes whole vectors of lanes; those beyond the channels are unspecified. */
KERNEL(void, winograd_x_strip, (const cnnx_strip *strip, const REAL *x, REAL *v))
/* Back: points m[t*tile + number*point + lane] to the 4x4 results of tile t, and y = activation(result + shift[lane]
   + add), where those pixels are there; top and left are 0. add is NULL or as y. Reads whole vectors of lanes. */
KERNEL(void, winograd_y_strip, (const cnnx_strip *strip, const REAL *m, const REAL *shift, const REAL *add,
                                cnnx_activation activation, REAL *y))
/* dy[i*pitch + p*nr + lane], and u[t*tile + number*point + lane], of nr channels. */
KERNEL(void, winograd_dy_strip, (ptrdiff_t tiles, const REAL *dy, ptrdiff_t pitch, REAL *u, ptrdiff_t tile,
                                 ptrdiff_t point))
/* The sums over the tiles, sums[number*point + lane], to 3x3 taps, dweight[(3*i + j)*nr + lane]. */
KERNEL(void, winograd_dweight, (const REAL *sums, ptrdiff_t point, REAL *dweight))

/* --- one row, element by element: activate.inc.c, rows.inc.c; the output may be an input --- */

/* The activation and its gradient in activations.h; saved is x or y, as stated there. */
KERNEL(void, activate, (cnnx_activation activation, ptrdiff_t n, const REAL *x, REAL *y))
KERNEL(void, activate_backward, (cnnx_activation activation, ptrdiff_t n, const REAL *dy, const REAL *saved, REAL *dx))
KERNEL(void, leaky_relu, (ptrdiff_t n, const REAL *x, REAL slope, REAL *y))
KERNEL(void, leaky_relu_backward, (ptrdiff_t n, const REAL *dy, const REAL *x, REAL slope, REAL *dx))
/* As leaky_relu_backward; returns the sum of dy[i] * x[i] over the i where not x[i] > 0, the gradient of the slope. */
KERNEL(double, prelu_backward, (ptrdiff_t n, const REAL *dy, const REAL *x, REAL slope, REAL *dx))
/* The same of a row in which element i has a slope of its own; the gradient of slopes[i] is added to sums[i]. */
KERNEL(void, prelu_columns, (ptrdiff_t n, const REAL *x, const REAL *slopes, REAL *y))
KERNEL(void, prelu_columns_backward, (ptrdiff_t n, const REAL *dy, const REAL *x, const REAL *slopes, REAL *dx,
                                      REAL *sums))
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
/* y[i] = hash(first + i) >= threshold ? x[i] * scale : 0, see reference/dropout.py; first + n <= 2^32 */
KERNEL(void, dropout, (ptrdiff_t n, uint32_t first, uint32_t low, uint32_t high, uint32_t threshold, REAL scale,
                       const REAL *x, REAL *y))

/* --- functions of single elements: elementwise.inc.c; the output may be an input --- */

/* z[i] = function(x[i*x_step], y[i*y_step]); a step is 0 or 1 */
KERNEL(void, binary, (cnnx_binary function, ptrdiff_t n, const REAL *x, ptrdiff_t x_step, const REAL *y,
                      ptrdiff_t y_step, REAL *z))
/* y[i] = function(x[i]), with settings: clip to a ... b; affine: x[i] * a + b */
KERNEL(void, unary, (cnnx_unary function, ptrdiff_t n, const REAL *x, REAL a, REAL b, REAL *y))

/* --- sums over one row, in vector lanes: sums.inc.c --- */

/* sum of x[i] */
KERNEL(double, sum, (ptrdiff_t n, const REAL *x))
/* sums[r] += sum of x[r*stride + i], r < rows, stride >= n. May read what lies between the rows. */
KERNEL(void, row_sums, (ptrdiff_t rows, ptrdiff_t n, const REAL *x, ptrdiff_t stride, double *sums))
/* sum of (x[i] - y[i])^2 */
KERNEL(double, squared_distance, (ptrdiff_t n, const REAL *x, const REAL *y))
/* sum of x[i] * y[i] */
KERNEL(double, dot, (ptrdiff_t n, const REAL *x, const REAL *y))

/* The largest x[i], or the smallest: NaN if there is one; of none -infinity, or infinity. */
KERNEL(double, extreme, (ptrdiff_t n, const REAL *x, int smallest))

/* --- batch normalisation of a plane: norm.inc.c --- */
/* The plane is n > 0 elements of one channel, with its parameters[CNNX_MEAN] and so on. Prefetches x + ahead and
   dy + ahead, and y or dx + ahead for writing; 0 disables. Two sums are kept in `partial`, a vector each; fold adds
   their lanes, in double, to first and second, and clears them. g is dy gone back through the activation. Outputs are
   not inputs. */

/* The first sum += x - center, the second += (x - center)^2. */
KERNEL(void, plane_moments, (ptrdiff_t n, const REAL *x, REAL center, ptrdiff_t ahead, REAL *partial))
/* The first sum += g, the second += g * (x - mean). */
KERNEL(void, plane_comoments, (ptrdiff_t n, const REAL *dy, const REAL *x, const REAL *parameters,
                               cnnx_activation activation, ptrdiff_t ahead, REAL *partial))
KERNEL(void, fold, (REAL *partial, double *first, double *second))
/* y = activation((x - mean) * scale + shift + add); add NULL: zeros. */
KERNEL(void, normalise, (ptrdiff_t n, const REAL *x, const REAL *parameters, const REAL *add,
                         cnnx_activation activation, ptrdiff_t ahead, REAL *y))
/* dx = g * scale + (x - mean) * slope + offset; not training: g * scale. */
KERNEL(void, normalise_backward, (ptrdiff_t n, const REAL *dy, const REAL *x, const REAL *parameters,
                                  cnnx_activation activation, int training, ptrdiff_t ahead, REAL *dx))

/* --- layer normalisation of a row: row_norm.inc.c; outputs are not inputs --- */

/* Mean and 1 / sqrt(variance + eps) of n > 0 elements. */
KERNEL(void, row_statistics, (ptrdiff_t n, const REAL *x, double eps, REAL *mean, REAL *inv_std))
/* y = (x - mean) * inv_std * weight + bias; weight NULL: ones, bias NULL: zeros. */
KERNEL(void, layer_norm, (ptrdiff_t n, const REAL *x, const REAL *weight, const REAL *bias, REAL mean, REAL inv_std,
                          REAL *y))
/* dx = inv_std * (g - mean(g) - normal * mean(g * normal)), g = dy * weight, normal = (x - mean) * inv_std. Adds dy *
   normal to columns[i], dy to columns[n + i]. */
KERNEL(void, layer_norm_backward, (ptrdiff_t n, const REAL *dy, const REAL *x, const REAL *weight, REAL mean,
                                   REAL inv_std, REAL *dx, REAL *columns))

/* --- batch normalisation of columns, cnnx_columns: norm_columns.inc.c --- */
/* The same formulas, with sums and parameters for each column j: parameters[p*pitch + j], sums[j] and sums[pitch + j].
   The output of the last two may be an input. */

/* From a value per channel to one per column: columns[c*pixels + p] = values[c], p < pixels. Writes whole vectors. */
KERNEL(void, widen, (ptrdiff_t channels, ptrdiff_t pixels, const REAL *values, REAL *columns))
/* And back: sums[c] += columns[c*pixels + p] over p, in double; clears the columns. */
KERNEL(void, fold_columns, (ptrdiff_t channels, ptrdiff_t pixels, REAL *columns, double *sums))
KERNEL(void, column_moments, (const cnnx_columns *columns, const REAL *x, const REAL *center, REAL *sums))
KERNEL(void, column_comoments, (const cnnx_columns *columns, const REAL *dy, const REAL *x, const REAL *parameters,
                                cnnx_activation activation, REAL *sums))
KERNEL(void, normalise_columns, (const cnnx_columns *columns, const REAL *x, const REAL *parameters, const REAL *add,
                                 cnnx_activation activation, REAL *y))
KERNEL(void, normalise_columns_backward, (const cnnx_columns *columns, const REAL *dy, const REAL *x,
                                          const REAL *parameters, cnnx_activation activation, int training, REAL *dx))

/* --- exponentials: exponential.inc.c; the output may be an input --- */

KERNEL(void, sigmoid, (ptrdiff_t n, const REAL *x, REAL *y))
KERNEL(void, tanh, (ptrdiff_t n, const REAL *x, REAL *y))

/* y and dx of the smooth activations of curves.h, with their settings: curves.inc.c */
KERNEL(void, curve, (cnnx_curve curve, ptrdiff_t n, const REAL *x, REAL a, REAL b, REAL *y))
KERNEL(void, curve_backward, (cnnx_curve curve, ptrdiff_t n, const REAL *dy, const REAL *x, REAL a, REAL b, REAL *dx))

/* y[i] = x[i]^exponent, x[i] >= 0 */
KERNEL(void, power, (ptrdiff_t n, const REAL *x, REAL exponent, REAL *y))

/* One vector of n > 0. softmax stores the largest x[i] in *top, unless top is NULL, and returns the log of the sum of
   exp(x[i] - *top): apart, because their sum would round the differences of large x[i] away. */
KERNEL(double, softmax, (ptrdiff_t n, const REAL *x, REAL *y, REAL *top))
KERNEL(void, softmax_backward, (ptrdiff_t n, const REAL *dy, const REAL *y, REAL *dx))
KERNEL(void, log_softmax, (ptrdiff_t n, const REAL *x, REAL *y))
KERNEL(void, log_softmax_backward, (ptrdiff_t n, const REAL *dy, const REAL *y, REAL *dx))

/* n <= CNNX_ACROSS vectors of k > 0, side by side: element i of vector j is x[i*stride + j]. Stores tops[j] and
   log_sums[j] as above, unless log_sums is NULL. */
KERNEL(void, softmax_across, (ptrdiff_t k, ptrdiff_t n, ptrdiff_t stride, const REAL *x, REAL *y, REAL *tops,
                              double *log_sums))
KERNEL(void, softmax_backward_across, (ptrdiff_t k, ptrdiff_t n, ptrdiff_t stride, const REAL *dy, const REAL *y,
                                       REAL *dx))
KERNEL(void, log_softmax_across, (ptrdiff_t k, ptrdiff_t n, ptrdiff_t stride, const REAL *x, REAL *y))
KERNEL(void, log_softmax_backward_across, (ptrdiff_t k, ptrdiff_t n, ptrdiff_t stride, const REAL *dy, const REAL *y,
                                           REAL *dx))
/* Transposes n <= CNNX_ACROSS vectors of k one after the other so that they lie side by side, CNNX_ACROSS apart:
   y[i*CNNX_ACROSS + j] = x[j*k + i]; and back. The output is not the input. */
KERNEL(void, transpose_across, (ptrdiff_t k, ptrdiff_t n, const REAL *x, REAL *y))
KERNEL(void, transpose_across_back, (ptrdiff_t k, ptrdiff_t n, const REAL *x, REAL *y))

/* --- recurrent networks: recurrent.inc.c --- */

/* A step of some units of an LSTM, u < units. The sums of its gates i, o, f, g, gate = 0 ... 3, are

       start[gate*sizes.gate + u] + sum over p < inputs + hidden of xh[p] * weight[(p*4 + gate)*2*lanes + u]

   where xh is x followed by h, and then

   next_c[u] = sigmoid(f) * c[u] + sigmoid(i) * tanh(g);  next_h[u] = sigmoid(o) * tanh(next_c[u]);  next_c may be c. */
KERNEL(void, lstm_units, (const cnnx_lstm *sizes, const REAL *x, const REAL *h, const REAL *weight, const REAL *start,
                          const REAL *c, REAL *next_h, REAL *next_c))

/* --- losses of n pairs: loss.inc.c; formulas in reference/loss.py --- */

/* Return the sum of the losses, and store the gradients times scale, and each loss unless `losses` is NULL. */

/* 0 <= pred[i] <= 1 */
KERNEL(double, bce, (ptrdiff_t n, const REAL *pred, const REAL *target, REAL scale, REAL *dpred, REAL *losses))
KERNEL(double, bce_with_logits, (ptrdiff_t n, const REAL *logits, const REAL *target, REAL scale, REAL *dlogits,
                                 REAL *losses))
/* target[i] is 0 or 1; alpha < 0: none */
KERNEL(double, binary_focal, (ptrdiff_t n, const REAL *logits, const REAL *target, REAL gamma, REAL alpha, REAL scale,
                              REAL *dlogits, REAL *losses))
KERNEL(double, absolute, (ptrdiff_t n, const REAL *pred, const REAL *target, REAL scale, REAL *dpred, REAL *losses))
/* Everything times factor: 1 for Huber's loss, 1 / delta for the smooth absolute one. */
KERNEL(double, huber, (ptrdiff_t n, const REAL *pred, const REAL *target, REAL delta, REAL factor, REAL scale,
                       REAL *dpred, REAL *losses))

/* --- planes in lanes: lanes.inc.c, pool.inc.c, depthwise.inc.c --- */
/* A vector holds one pixel of each of `lanes` planes: pixel p of plane l is lanes[p*lanes + l]. */

/* The first n pixels of 0 < planes <= `lanes` planes, stride apart. Each run of pixels is followed by a gap of zeros,
   the last too:

       plane 0   a0 a1 a2 | a3 a4 a5          lanes   a0 b0 .. | a1 b1 .. | a2 b2 .. | 0 0 .. | a3 b3 .. | ...
       plane 1   b0 b1 b2 | b3 b4 b5                  <--------- run = 3 ----------->  gap = 1

   Lanes without a plane are unspecified. Prefetches x + ahead; 0 disables. */
KERNEL(void, to_lanes, (ptrdiff_t planes, ptrdiff_t n, const REAL *x, ptrdiff_t stride, ptrdiff_t run, ptrdiff_t gap,
                        ptrdiff_t ahead, REAL *lanes))
/* And back, without gaps. */
KERNEL(void, from_lanes, (ptrdiff_t planes, ptrdiff_t n, const REAL *lanes, REAL *y, ptrdiff_t stride))

/* The same of codes: bytes in `narrow` or, if it is NULL, numbers in `wide`. In lanes they are as wide as REAL. */
KERNEL(void, codes_to_lanes, (ptrdiff_t planes, ptrdiff_t n, const uint8_t *narrow, const int32_t *wide,
                              ptrdiff_t stride, void *lanes))
KERNEL(void, codes_from_lanes, (ptrdiff_t planes, ptrdiff_t n, const void *lanes, uint8_t *narrow, int32_t *wide,
                                ptrdiff_t stride))

/* A row of pooling windows in lanes. argmax is code + u*kw + v, (u, v) being the first cell of the largest value. dead
   < 0: the maximum. Otherwise its ReLU, and dead is the argmax of windows without a positive value. */
KERNEL(void, max_pool_row, (const cnnx_window_row *row, const REAL *x, int32_t code, int32_t dead, REAL *y,
                            void *argmax))
/* y[j] = share[j] * sum over window j */
KERNEL(void, avg_pool_row, (const cnnx_window_row *row, const REAL *x, const REAL *share, REAL *y))
/* dx += dy[j] at the pixel that argmax[j] names */
KERNEL(void, max_pool_row_backward, (const cnnx_window_row *row, const REAL *dy, const void *argmax, int32_t code,
                                     REAL *dx))
/* dx += dy[j] * share[j] at each pixel of window j */
KERNEL(void, avg_pool_row_backward, (const cnnx_window_row *row, const REAL *dy, const REAL *share, REAL *dx))

/* y[output] = start + sum over taps t = u*kw + v, in order, of weight[t] * x[tap t of the output]. Each pixel and
   weight is a vector of lanes, and so is start; start NULL: y itself. */
KERNEL(void, depthwise, (const cnnx_lane_windows *windows, const REAL *x, const REAL *weight, const REAL *start,
                         REAL *y))
/* dweight[t] += sum over the outputs of dy[output] * x[tap t of the output] */
KERNEL(void, depthwise_dweight, (const cnnx_lane_windows *windows, const REAL *x, const REAL *dy, REAL *dweight))

/* --- pooling of 2x2 windows side by side, not in lanes: pool_pairs.inc.c --- */

/* rows > 0 rows of ow windows of one plane, lanes <= 2*ow <= w. Row i < rows covers rows 2*i and 2*i + 1 of x, which
   are w long. dead is as above. Backward writes both rows of dx, all w elements. */
KERNEL(void, max_pool_pairs, (ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t w, const REAL *x, int32_t dead, REAL *y,
                              uint8_t *argmax))
KERNEL(void, avg_pool_pairs, (ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t w, const REAL *x, REAL *y))
KERNEL(void, max_pool_pairs_backward, (ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t w, const REAL *dy, const uint8_t *argmax,
                                       REAL *dx))
KERNEL(void, avg_pool_pairs_backward, (ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t w, const REAL *dy, REAL *dx))

/* --- resampling of rows: resample.inc.c --- */

/* z[i] = x[i] * share_x + y[i] * share_y */
KERNEL(void, blend, (ptrdiff_t n, const REAL *x, REAL share_x, const REAL *y, REAL share_y, REAL *z))
/* y[i] += x[i] * scale */
KERNEL(void, add_scaled, (ptrdiff_t n, const REAL *x, REAL scale, REAL *y))
/* y[i] = x[2*i] + x[2*i + 1] */
KERNEL(void, add_pairs, (ptrdiff_t n, const REAL *x, REAL *y))
/* Linear interpolation: y[j] = x[p] * shares[2*j] + x[min(p + 1, w - 1)] * shares[2*j + 1], p = pixels[j] < w, in
   ascending order */
KERNEL(void, read_between, (ptrdiff_t n, ptrdiff_t w, const ptrdiff_t *pixels, const REAL *shares, const REAL *x,
                            REAL *y))
/* Its gradient, w > 0 elements of dx. The j with pixels[j] = s are begins[s] <= j < begins[s + 1]. */
KERNEL(void, write_between, (ptrdiff_t n, ptrdiff_t w, const ptrdiff_t *pixels, const ptrdiff_t *begins,
                             const REAL *shares, const REAL *dy, REAL *dx))

/* --- optimiser steps over n elements, in place: optim.inc.c; formulas in reference/optim.py --- */

/* velocity NULL: no momentum */
KERNEL(void, sgd, (const cnnx_step *step, ptrdiff_t n, REAL *param, const REAL *grad, REAL *velocity))
/* grad_avg NULL: not centered; velocity NULL: no momentum */
KERNEL(void, rmsprop, (const cnnx_step *step, ptrdiff_t n, REAL *param, const REAL *grad, REAL *square_avg,
                       REAL *grad_avg, REAL *velocity))
KERNEL(void, adagrad, (const cnnx_step *step, ptrdiff_t n, REAL *param, const REAL *grad, REAL *sum_sq))
/* lr is lr / (1 - beta1^t), root_scale 1 / sqrt(1 - beta2^t) in step t; keep 1, or, with decoupled weight decay,
   1 - lr * weight_decay. max_avg_sq NULL: not AMSGrad. */
KERNEL(void, adam, (const cnnx_step *step, ptrdiff_t n, REAL *param, const REAL *grad, REAL *exp_avg, REAL *exp_avg_sq,
                    REAL *max_avg_sq))
/* grad_lr and lr are the rates of the gradient and of its mean; keep and root_scale as above. */
KERNEL(void, nadam, (const cnnx_step *step, ptrdiff_t n, REAL *param, const REAL *grad, REAL *exp_avg,
                     REAL *exp_avg_sq))
/* average[i] += share * (value[i] - average[i]) */
KERNEL(void, ema, (ptrdiff_t n, REAL share, REAL *average, const REAL *value))

/* --- one plane, not in lanes: planes.inc.c --- */

/* y[i*cols + j] = activation(start + sum over u < 3, v < 3, in order, of
       weight[3*u + v] * x[i*step + u*x_row + tap[v] + j])
   Writes less than a vector beyond the last pixel, and reads as much beyond its taps. */
KERNEL(void, convolve_3x3, (const cnnx_plane_windows *windows, const REAL *x, const REAL *weight, REAL start,
                            cnnx_activation activation, REAL *y))

/* --- channels last in memory, with the sizes of cnnx_channel_windows: depthwise_last.inc.c --- */
/* y[j*pitch + c] = activation(start[c] + sum over u < rows, v < kw, in order, of weight[(u*kw + v)*channels + c] *
       x[u*tap_row + (j*stride + v*dilation - left)*pitch + c] + add[j*pitch + c]), j < cols, c < channels
   Columns of x outside 0 ... w - 1 are left out. start, add NULL: zeros. */
KERNEL(void, depthwise_row, (const cnnx_channel_windows *windows, ptrdiff_t rows, const REAL *x, const REAL *weight,
                             const REAL *start, const REAL *add, cnnx_activation activation, REAL *y))

#undef KERNEL
