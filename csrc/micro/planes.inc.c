/* Convolution of one plane with one 3x3 kernel (depthwise): the pixels of a row are the lanes of a vector.

   Design:
   A plane is staged with its borders: so a tap is an offset, and its pixels are one unaligned load. The weights stay in
   registers. Rows are whole vectors: what the last writes beyond its row, the next row overwrites.
*/
static inline __attribute__((always_inline)) void NAME(pixels_3x3)(const int vectors, const VEC *w, VEC start,
                                                                   const REAL *x, ptrdiff_t x_row,
                                                                   cnnx_activation activation, REAL *y) {
    VEC sum[2];
    for (int j = 0; j < vectors; j++) sum[j] = start;
    for (int u = 0; u < 3; u++, x += x_row)
        for (int j = 0; j < vectors; j++)
            for (int v = 0; v < 3; v++) sum[j] += w[3 * u + v] * NAME(load)(x + v + j * VL);
    for (int j = 0; j < vectors; j++) {
        if (activation == CNNX_ACTIVATION_relu) sum[j] = NAME(activated)(CNNX_ACTIVATION_relu, sum[j]);
        else if (activation == CNNX_ACTIVATION_relu6) sum[j] = NAME(activated)(CNNX_ACTIVATION_relu6, sum[j]);
        NAME(store)(y + j * VL, sum[j]);
    }
}

static void NAME(convolve_3x3)(ptrdiff_t rows, ptrdiff_t cols, const REAL *x, ptrdiff_t x_row, const REAL *weight,
                               REAL start, cnnx_activation activation, REAL *y) {
    const VEC first = NAME(splat)(start);
    VEC w[9];
    for (int t = 0; t < 9; t++) w[t] = NAME(splat)(weight[t]);
    for (ptrdiff_t i = 0; i < rows; i++) {
        const REAL *from = x + i * x_row;
        REAL *to = y + i * cols;
        ptrdiff_t j = 0;
        for (; j + VL < cols; j += 2 * VL) NAME(pixels_3x3)(2, w, first, from + j, x_row, activation, to + j);
        if (j < cols) NAME(pixels_3x3)(1, w, first, from + j, x_row, activation, to + j);
    }
    if (activation != CNNX_NO_ACTIVATION && !NAME(is_short)(activation)) NAME(activate)(activation, rows * cols, y, y);
}
