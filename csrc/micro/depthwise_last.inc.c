/* Depthwise convolution of pixels whose channels are last in memory: the channels are the lanes, as they lie.

   Design:
   Outputs side by side share their columns of x: a column is loaded once for each row of taps, and added to the sums
   of all outputs that read it. These sums, the weights of a row of taps and one column are all that is in registers:
   11 vectors for seven outputs of 3x3 taps, 15 of 7x7. Seven, because images of networks are multiples of it wide; the
   last outputs of other rows overlap those before, and are computed again, to the same bits. For common kernels, the
   width, the outputs and the stride are constants after inlining, and so are the columns outside the image, which are
   left out, for the padding that keeps its size. Anything else is computed one output at a time.
   Vectors of channels are the inner loop: x and y are streams then, and pixels that are a power of two apart do not
   evict each other from the first-level cache before they are used.
*/
#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 32")

/* A row of windows, and its arrays, which are at the first column of its first row of taps inside the image. */
typedef struct {
    cnnx_channel_windows s;
    ptrdiff_t rows; /* of taps */
    const REAL *x, *weight, *start, *add;
    cnnx_activation activation;
    REAL *y;
} NAME(channel_row);

/* What ends the sums of n channels of `outputs` pixels, of which `at` is the first. */
INLINE void NAME(end_sums)(const int outputs, const NAME(channel_row) *r, ptrdiff_t at, ptrdiff_t n, VEC *sum) {
    const ptrdiff_t pitch = r->s.pitch;
    if (r->add) UNROLLED for (int i = 0; i < outputs; i++) sum[i] += NAME(load_some)(r->add + at + i * pitch, n, 0);
    if (r->activation == CNNX_ACTIVATION_relu)
        UNROLLED for (int i = 0; i < outputs; i++) sum[i] = NAME(activated)(CNNX_ACTIVATION_relu, sum[i]);
    else if (r->activation == CNNX_ACTIVATION_relu6)
        UNROLLED for (int i = 0; i < outputs; i++) sum[i] = NAME(activated)(CNNX_ACTIVATION_relu6, sum[i]);
    UNROLLED for (int i = 0; i < outputs; i++) NAME(store_some)(r->y + at + i * pitch, sum[i], n);
}

/* `outputs` adjacent outputs from j on: all channels, which are a vector at least. The columns from `low` to `high` lie
   inside the image. */
INLINE void NAME(outputs_of_channels)(const int outputs, const int kw, const int stride, const int low, const int high,
                                      const NAME(channel_row) *row, ptrdiff_t j) {
    enum { MOST = 7 };
    const NAME(channel_row) r = *row;
    const REAL *columns = r.x + (j * stride - r.s.left) * r.s.pitch;
    for (ptrdiff_t next = 0; next < r.s.channels; next += VL) {
        const ptrdiff_t c = next + VL <= r.s.channels ? next : r.s.channels - VL;
        const REAL *x = columns + c, *weight = r.weight + c;
        const VEC start = r.start ? NAME(load)(r.start + c) : (VEC){0};
        VEC sum[MOST], tap[MOST];
        UNROLLED for (int i = 0; i < outputs; i++) sum[i] = start;
        for (ptrdiff_t u = 0; u < r.rows; u++, x += r.s.tap_row, weight += kw * r.s.channels) {
            UNROLLED for (int v = 0; v < kw; v++) tap[v] = NAME(load)(weight + v * r.s.channels);
            UNROLLED for (int k = low; k < high; k++) {
                const VEC pixel = NAME(load)(x + k * r.s.pitch);
                UNROLLED for (int v = 0; v < kw; v++)
                    if (k >= v && (k - v) % stride == 0 && (k - v) / stride < outputs)
                        sum[(k - v) / stride] += tap[v] * pixel;
            }
        }
        NAME(end_sums)(outputs, &r, j * r.s.pitch + c, VL, sum);
    }
}

/* One output, of any kernel and any number of channels. */
static void NAME(output_of_channels)(const NAME(channel_row) *row, ptrdiff_t j) {
    const NAME(channel_row) r = *row;
    const ptrdiff_t left = j * r.s.stride - r.s.left, n = r.s.channels < VL ? r.s.channels : VL;
    ptrdiff_t first = 0, end = r.s.kw; /* the taps inside the image */
    while (first < end && left + first * r.s.dilation < 0) first++;
    while (first < end && left + (end - 1) * r.s.dilation >= r.s.w) end--;
    for (ptrdiff_t next = 0; next < r.s.channels; next += VL) {
        const ptrdiff_t c = next + n <= r.s.channels ? next : r.s.channels - n;
        VEC sum = r.start ? NAME(load_some)(r.start + c, n, 0) : (VEC){0};
        for (ptrdiff_t u = 0; u < r.rows; u++)
            for (ptrdiff_t v = first; v < end; v++)
                sum += NAME(load_some)(r.weight + (u * r.s.kw + v) * r.s.channels + c, n, 0)
                       * NAME(load_some)(r.x + u * r.s.tap_row + (left + v * r.s.dilation) * r.s.pitch + c, n, 0);
        NAME(end_sums)(1, &r, j * r.s.pitch + c, n, &sum);
    }
}

/* The same as outputs_of_channels, which of the columns lie outside the image not being known. */
INLINE void NAME(outputs_at)(const int outputs, const int kw, const int stride, const NAME(channel_row) *r,
                             ptrdiff_t j) {
    /* Of padding by `side`; at stride 2, an image of an even width has a column less of it on the right. */
    const int columns = (outputs - 1) * stride + kw, side = kw / 2, right = stride == 2 && side > 1 ? side - 1 : side;
    const ptrdiff_t low = r->s.left - j * stride, beyond = columns - low - r->s.w;
    if (low <= 0 && beyond <= 0) NAME(outputs_of_channels)(outputs, kw, stride, 0, columns, r, j);
    else if (low == side && beyond <= 0) NAME(outputs_of_channels)(outputs, kw, stride, side, columns, r, j);
    else if (low <= 0 && beyond == right)
        NAME(outputs_of_channels)(outputs, kw, stride, 0, columns - right, r, j);
    else if (low == side && beyond == right)
        NAME(outputs_of_channels)(outputs, kw, stride, side, columns - right, r, j);
    else
        for (int i = 0; i < outputs; i++) NAME(output_of_channels)(r, j + i);
}

/* A row by seven outputs or four, whichever of them end with it. */
INLINE void NAME(row_of_channels)(const int kw, const int stride, const NAME(channel_row) *r) {
    const ptrdiff_t cols = r->s.cols;
    ptrdiff_t j = 0;
    while (cols >= 4 && j < cols)
        if (cols >= 7 && (cols - j > 8 || cols - j == 7)) {
            NAME(outputs_at)(7, kw, stride, r, j);
            j += 7;
        } else {
            NAME(outputs_at)(4, kw, stride, r, j + 4 <= cols ? j : cols - 4);
            j += 4;
        }
    for (; j < cols; j++) NAME(output_of_channels)(r, j);
}

static void NAME(depthwise_row)(const cnnx_channel_windows *windows, ptrdiff_t rows, const REAL *x, const REAL *weight,
                                const REAL *start, const REAL *add, cnnx_activation activation, REAL *y) {
    const NAME(channel_row) r = {*windows, rows, x, weight, start, add, activation, y};
    const ptrdiff_t kw = windows->kw, stride = windows->stride;
    const int whole = windows->channels >= VL && windows->dilation == 1;
    if (whole && kw == 3 && stride == 1) NAME(row_of_channels)(3, 1, &r);
    else if (whole && kw == 3 && stride == 2) NAME(row_of_channels)(3, 2, &r);
    else if (whole && kw == 5 && stride == 1) NAME(row_of_channels)(5, 1, &r);
    else if (whole && kw == 5 && stride == 2) NAME(row_of_channels)(5, 2, &r);
    else if (whole && kw == 7 && stride == 1) NAME(row_of_channels)(7, 1, &r);
    else
        for (ptrdiff_t j = 0; j < windows->cols; j++) NAME(output_of_channels)(&r, j);
    if (activation != CNNX_NO_ACTIVATION && !NAME(is_short)(activation))
        for (ptrdiff_t j = 0; j < windows->cols; j++)
            NAME(activate)(activation, windows->channels, y + j * windows->pitch, y + j * windows->pitch);
}
#undef INLINE
#undef UNROLLED
