/* Depthwise convolution of VL planes at once, one per lane.

   Design:
   A pixel of VL planes is one vector, so a tap at any stride or dilation is one multiplication and addition of vectors:
   no shuffles, no borders, no ends of rows. For common kernels, the width of the kernel, the number of outputs computed
   together and the strides are constants after inlining, so that sums and weights stay in registers; any other kernel
   runs through the same code.
*/

/* sum[j] += taps of one row of the kernel, for `outputs` adjacent outputs */
static inline void NAME(add_tap_row)(int outputs, ptrdiff_t kw, ptrdiff_t x_col, ptrdiff_t tap_col, const REAL *x,
                                     const REAL *weight, VEC *sum) {
    for (ptrdiff_t v = 0; v < kw; v++) {
        const VEC w = NAME(load)(weight + v * VL);
        for (int j = 0; j < outputs; j++) sum[j] += w * NAME(load)(x + (j * x_col + v * tap_col) * VL);
    }
}

static inline void NAME(depthwise_outputs)(int outputs, ptrdiff_t kw, ptrdiff_t x_col, ptrdiff_t tap_col,
                                           const cnnx_lane_windows *windows, const REAL *x, const REAL *weight,
                                           const REAL *start, REAL *y) {
    enum { MOST = 4 };
    VEC sum[MOST];
    for (int j = 0; j < outputs; j++) sum[j] = NAME(load)(start ? start : y + j * windows->y_col * VL);
    for (ptrdiff_t u = 0; u < windows->kh; u++)
        NAME(add_tap_row)(outputs, kw, x_col, tap_col, x + u * windows->tap_row * VL, weight + u * kw * VL, sum);
    for (int j = 0; j < outputs; j++) NAME(store)(y + j * windows->y_col * VL, sum[j]);
}

static inline void NAME(depthwise_with)(ptrdiff_t kw, ptrdiff_t x_col, ptrdiff_t tap_col,
                                        const cnnx_lane_windows *windows, const REAL *x, const REAL *weight,
                                        const REAL *start, REAL *y) {
    const ptrdiff_t x_step = x_col * VL, y_step = windows->y_col * VL;
    for (ptrdiff_t m = 0; m < windows->images; m++)
        for (ptrdiff_t i = 0; i < windows->rows; i++) {
            const REAL *from = x + (m * windows->x_image + i * windows->x_row) * VL;
            REAL *to = y + (m * windows->y_image + i * windows->y_row) * VL;
            ptrdiff_t j = 0;
            for (; j + 4 <= windows->cols; j += 4, from += 4 * x_step, to += 4 * y_step)
                NAME(depthwise_outputs)(4, kw, x_col, tap_col, windows, from, weight, start, to);
            for (; j < windows->cols; j++, from += x_step, to += y_step)
                NAME(depthwise_outputs)(1, kw, x_col, tap_col, windows, from, weight, start, to);
        }
}

static void NAME(depthwise)(const cnnx_lane_windows *windows, const REAL *x, const REAL *weight, const REAL *start,
                            REAL *y) {
    const ptrdiff_t kw = windows->kw, x_col = windows->x_col, tap_col = windows->tap_col;
    if (kw == 3 && x_col == 1 && tap_col == 1) NAME(depthwise_with)(3, 1, 1, windows, x, weight, start, y);
    else if (kw == 3 && x_col == 2 && tap_col == 1) NAME(depthwise_with)(3, 2, 1, windows, x, weight, start, y);
    else if (kw == 5 && x_col == 1 && tap_col == 1) NAME(depthwise_with)(5, 1, 1, windows, x, weight, start, y);
    else if (kw == 5 && x_col == 2 && tap_col == 1) NAME(depthwise_with)(5, 2, 1, windows, x, weight, start, y);
    else NAME(depthwise_with)(kw, x_col, tap_col, windows, x, weight, start, y);
}

/* sum[j*kw + v] += the products of tap v, for `outputs` adjacent outputs */
static inline void NAME(add_products)(int outputs, ptrdiff_t kw, ptrdiff_t x_col, ptrdiff_t tap_col, const REAL *x,
                                      const REAL *dy, ptrdiff_t y_col, VEC *sum) {
    for (int j = 0; j < outputs; j++) {
        const VEC d = NAME(load)(dy + j * y_col * VL);
        for (ptrdiff_t v = 0; v < kw; v++) sum[j * kw + v] += d * NAME(load)(x + (j * x_col + v * tap_col) * VL);
    }
}

/* Several sums for each tap, one per adjacent output: independent chains of additions. */
static inline void NAME(dweight_row)(int outputs, ptrdiff_t kw, ptrdiff_t x_col, ptrdiff_t tap_col,
                                     const cnnx_lane_windows *windows, const REAL *x, const REAL *dy,
                                     REAL *dweight) {
    enum { MOST = 10 };
    const ptrdiff_t x_step = x_col * VL, y_col = windows->y_col, y_step = y_col * VL;
    VEC sum[MOST] = {0};
    for (ptrdiff_t m = 0; m < windows->images; m++)
        for (ptrdiff_t i = 0; i < windows->rows; i++) {
            const REAL *from = x + (m * windows->x_image + i * windows->x_row) * VL;
            const REAL *d = dy + (m * windows->y_image + i * windows->y_row) * VL;
            ptrdiff_t j = 0;
            for (; j + outputs <= windows->cols; j += outputs, from += outputs * x_step, d += outputs * y_step)
                NAME(add_products)(outputs, kw, x_col, tap_col, from, d, y_col, sum);
            for (; j < windows->cols; j++, from += x_step, d += y_step)
                NAME(add_products)(1, kw, x_col, tap_col, from, d, y_col, sum);
        }
    for (ptrdiff_t v = 0; v < kw; v++) {
        for (int j = 1; j < outputs; j++) sum[v] += sum[j * kw + v];
        NAME(store)(dweight + v * VL, NAME(load)(dweight + v * VL) + sum[v]);
    }
}

/* All taps of a 3x3 kernel at once: nine independent sums, and dy is read once. */
static inline void NAME(dweight_square)(const cnnx_lane_windows *windows, const REAL *x, const REAL *dy,
                                        REAL *dweight) {
    const ptrdiff_t x_step = windows->x_col * VL, y_step = windows->y_col * VL, tap_row = windows->tap_row * VL;
    VEC sum[9] = {0};
    for (ptrdiff_t m = 0; m < windows->images; m++)
        for (ptrdiff_t i = 0; i < windows->rows; i++) {
            const REAL *from = x + (m * windows->x_image + i * windows->x_row) * VL;
            const REAL *d = dy + (m * windows->y_image + i * windows->y_row) * VL;
            for (ptrdiff_t j = 0; j < windows->cols; j++, from += x_step, d += y_step) {
                const VEC value = NAME(load)(d);
                for (int t = 0; t < 9; t++) sum[t] += value * NAME(load)(from + t / 3 * tap_row + t % 3 * VL);
            }
        }
    for (int t = 0; t < 9; t++) NAME(store)(dweight + t * VL, NAME(load)(dweight + t * VL) + sum[t]);
}

static void NAME(depthwise_dweight)(const cnnx_lane_windows *windows, const REAL *x, const REAL *dy, REAL *dweight) {
    const ptrdiff_t kw = windows->kw, x_col = windows->x_col, tap_col = windows->tap_col;
    if (windows->kh == 3 && kw == 3 && tap_col == 1) {
        NAME(dweight_square)(windows, x, dy, dweight);
        return;
    }
    for (ptrdiff_t u = 0; u < windows->kh; u++, x += windows->tap_row * VL, dweight += kw * VL)
        if (kw == 5 && x_col == 1 && tap_col == 1) NAME(dweight_row)(2, 5, 1, 1, windows, x, dy, dweight);
        else if (kw == 5 && x_col == 2 && tap_col == 1) NAME(dweight_row)(2, 5, 2, 1, windows, x, dy, dweight);
        else
            for (ptrdiff_t v = 0; v < kw; v++)
                NAME(dweight_row)(8, 1, x_col, 0, windows, x + v * tap_col * VL, dy, dweight + v * VL);
}
