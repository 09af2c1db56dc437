/* Convolution of one plane with one 3x3 kernel (depthwise): the pixels of a row are the lanes of a vector.

   Design:
   A plane is staged with its borders, and without its stride: so a tap is an offset, and its pixels are one unaligned
   load. The weights stay in registers. Rows are whole vectors: what the last writes beyond its row, the next row
   overwrites.
*/
static inline __attribute__((always_inline)) void NAME(pixels_3x3)(const int vectors, const VEC *w, VEC start,
                                                                   const REAL *x, ptrdiff_t x_row,
                                                                   const ptrdiff_t *tap, cnnx_activation activation,
                                                                   REAL *y) {
    VEC sum[2];
    for (int j = 0; j < vectors; j++) sum[j] = start;
    for (int u = 0; u < 3; u++, x += x_row)
        for (int j = 0; j < vectors; j++)
            for (int v = 0; v < 3; v++) sum[j] += w[3 * u + v] * NAME(load)(x + tap[v] + j * VL);
    for (int j = 0; j < vectors; j++) {
        if (activation == CNNX_ACTIVATION_relu) sum[j] = NAME(activated)(CNNX_ACTIVATION_relu, sum[j]);
        else if (activation == CNNX_ACTIVATION_relu6) sum[j] = NAME(activated)(CNNX_ACTIVATION_relu6, sum[j]);
        NAME(store)(y + j * VL, sum[j]);
    }
}

static inline __attribute__((always_inline)) void NAME(convolve_rows)(cnnx_plane_windows s, const ptrdiff_t *tap,
                                                                      const REAL *x, const VEC *w, VEC start,
                                                                      cnnx_activation activation, REAL *y) {
    for (ptrdiff_t i = 0; i < s.rows; i++, x += s.step, y += s.cols) {
        ptrdiff_t j = 0;
        for (; j + VL < s.cols; j += 2 * VL) NAME(pixels_3x3)(2, w, start, x + j, s.x_row, tap, activation, y + j);
        if (j < s.cols) NAME(pixels_3x3)(1, w, start, x + j, s.x_row, tap, activation, y + j);
    }
}

static void NAME(convolve_3x3)(const cnnx_plane_windows *windows, const REAL *x, const REAL *weight, REAL start,
                               cnnx_activation activation, REAL *y) {
    static const ptrdiff_t side_by_side[] = {0, 1, 2}; /* constants: a tap is part of an instruction's address */
    const VEC first = NAME(splat)(start);
    VEC w[9];
    for (int t = 0; t < 9; t++) w[t] = NAME(splat)(weight[t]);
    if (windows->tap[1] == 1) NAME(convolve_rows)(*windows, side_by_side, x, w, first, activation, y);
    else NAME(convolve_rows)(*windows, windows->tap, x, w, first, activation, y);
    if (activation != CNNX_NO_ACTIVATION && !NAME(is_short)(activation))
        NAME(activate)(activation, windows->rows * windows->cols, y, y);
}
