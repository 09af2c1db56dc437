/* Pooling of 2x2 windows that lie side by side, the most common: one vector of windows at a time.

   Design:
   A vector of windows is two vectors of pixels, `low` and `high`, of each of two rows. Shuffles within blocks of 16
   bytes are the cheap ones, so the even and the odd pixels are collected within blocks, and windows stand in the lanes
   in that order; y and the codes are put in order at the end, and dy at the beginning. With 8 lanes (AVX2, float),
   blocks in brackets, pixel 2*j and 2*j + 1 of a row belonging to window j:

       low                        [ 0  1  2  3] [ 4  5  6  7]
       high                       [ 8  9 10 11] [12 13 14 15]
       even pixels (EVEN_PIXEL)   [ 0  2  8 10] [ 4  6 12 14]
       odd pixels (ODD_PIXEL)     [ 1  3  9 11] [ 5  7 13 15]
       window of a lane (WINDOW)  [ 0  1  4  5] [ 2  3  6  7]
       lane of a window (LANE)    [ 0  1  4  5] [ 2  3  6  7]

   The last vector of a row ends with the row, and computes some windows again. In rows shorter than a vector, a vector
   overlaps the next row, which is written later; the last such row is computed in a copy.
*/
#define HALF (BLOCK / 2)
/* The window of lane l, and its two pixels in low and high; the lane of window j. */
#define WINDOW(l) ((l) / BLOCK * HALF + (l) % HALF + (l) % BLOCK / HALF * (VL / 2))
#define EVEN_PIXEL(l) ((l) / BLOCK * BLOCK + (l) % HALF * 2 + (l) % BLOCK / HALF * VL)
#define ODD_PIXEL(l) (EVEN_PIXEL(l) + 1)
#define LANE(j) ((j) % (VL / 2) / HALF * BLOCK + (j) % HALF + (j) / (VL / 2) * HALF)

/* Codes are bytes. For backward, each lane is loaded with as many as it has bytes, one of which is its own. */
enum { NAME(BYTES) = VL < (ptrdiff_t)sizeof(REAL) ? VL : sizeof(REAL) };
#define CODE_PLACE(j) ((ptrdiff_t)sizeof(REAL) * LANE(j))
#define CODE_WORD(l) (WINDOW(l) / NAME(BYTES))
#define CODE_ONE(l) ((INT)1 << 8 * (WINDOW(l) % NAME(BYTES)))
#define CODE_MASK(l) ((INT)(255ULL << 8 * (WINDOW(l) % NAME(BYTES))))

typedef uint8_t NAME(codes) __attribute__((vector_size(VECTOR_BYTES / sizeof(REAL))));

/* The four cells of a vector of windows, in the order of WINDOW, from the rows `above` and `below`. */
static inline void NAME(load_cells)(const REAL *above, const REAL *below, VEC *cells) {
    for (int u = 0; u < 2; u++) {
        const VEC low = NAME(load)(u ? below : above), high = NAME(load)((u ? below : above) + VL);
        cells[2 * u] = SHUFFLE(low, high, EVEN_PIXEL);
        cells[2 * u + 1] = SHUFFLE(low, high, ODD_PIXEL);
    }
}

/* Whether `value`, a later cell, replaces `most`: it is larger, or the first NaN. */
static inline IVEC NAME(beats)(VEC value, VEC most) { return (IVEC)(~(value <= most) & (most == most)); }

static inline void NAME(store_codes)(uint8_t *p, IVEC where) {
#if VECTOR_BYTES == 32 /* AVX2 shuffles bytes, but knows no conversion to them */
    typedef uint8_t bytes __attribute__((vector_size(VECTOR_BYTES)));
    const NAME(codes) codes = __builtin_shufflevector((bytes)where, (bytes)where, LANES(CODE_PLACE));
#else
    const IVEC ordered = SHUFFLE(where, where, LANE) & 255; /* without this gcc converts lane by lane */
    const NAME(codes) codes = __builtin_convertvector(ordered, NAME(codes));
#endif
    memcpy(p, &codes, sizeof codes);
}

/* dead < 0: without ReLU. */
static inline void NAME(max_pairs)(const REAL *above, const REAL *below, int32_t dead, REAL *y, uint8_t *argmax) {
    VEC cells[4];
    NAME(load_cells)(above, below, cells);
    const IVEC upper_odd = NAME(beats)(cells[1], cells[0]), lower_odd = NAME(beats)(cells[3], cells[2]);
    const VEC upper = NAME(select)(upper_odd, cells[1], cells[0]);
    const VEC lower = NAME(select)(lower_odd, cells[3], cells[2]);
    const IVEC low = NAME(beats)(lower, upper);
    VEC most = NAME(select)(low, lower, upper);
    IVEC where = (low & (2 - lower_odd)) | (~low & upper_odd & 1);
    if (dead >= 0) {
        const IVEC alive = (IVEC)~(most <= 0); /* this way round NaN is alive */
        most = (VEC)(alive & (IVEC)most);
        where = (alive & where) | (~alive & (INT)dead);
    }
    NAME(store)(y, SHUFFLE(most, most, LANE));
    NAME(store_codes)(argmax, where);
}

static inline void NAME(mean_pairs)(const REAL *above, const REAL *below, REAL *y) {
    VEC cells[4], sum = {0};
    NAME(load_cells)(above, below, cells);
    for (int cell = 0; cell < 4; cell++) sum += cells[cell];
    sum *= (REAL)0.25;
    NAME(store)(y, SHUFFLE(sum, sum, LANE));
}

static inline void NAME(spread_max_pairs)(const REAL *dy, const uint8_t *argmax, REAL *above, REAL *below) {
    const IVEC one = {LANES(CODE_ONE)}, mask = {LANES(CODE_MASK)}, word_of_lane = {LANES(CODE_WORD)};
    IVEC where = {0};
    for (int k = 0; k < VL / NAME(BYTES); k++) {
        uint64_t word = 0;
        for (int b = 0; b < NAME(BYTES); b++) word |= (uint64_t)argmax[k * NAME(BYTES) + b] << 8 * b;
        where |= ((IVEC){0} + (INT)word) & (word_of_lane == k) & mask;
    }
    const VEC g = NAME(load)(dy) + 0; /* -0 becomes 0, as in lanes */
    const IVEC gradient = (IVEC)SHUFFLE(g, g, WINDOW);
    for (int u = 0; u < 2; u++) {
        const VEC even = (VEC)(gradient & (where == 2 * u * one));
        const VEC odd = (VEC)(gradient & (where == (2 * u + 1) * one));
        NAME(store)(u ? below : above, SHUFFLE(even, odd, LOWER_PAIR));
        NAME(store)((u ? below : above) + VL, SHUFFLE(even, odd, UPPER_PAIR));
    }
}

static inline void NAME(spread_mean_pairs)(const REAL *dy, REAL *above, REAL *below) {
    const VEC g = NAME(load)(dy) * (REAL)0.25 + 0, gradient = SHUFFLE(g, g, WINDOW);
    for (int u = 0; u < 2; u++) {
        NAME(store)(u ? below : above, SHUFFLE(gradient, gradient, LOWER_PAIR));
        NAME(store)((u ? below : above) + VL, SHUFFLE(gradient, gradient, UPPER_PAIR));
    }
}


/* For the first window j of each vector of a row. */
#define FOR_VECTORS(j)                                                                                                 \
    for (ptrdiff_t next = 0, j = 0; next < ow; next += VL, j = next + VL <= ow ? next : ow - VL)

/* Copies the two rows of pixels of less than a vector of windows. */
static void NAME(copy_pairs)(ptrdiff_t ow, const REAL *x, ptrdiff_t x_step, REAL *y, ptrdiff_t y_step) {
    for (int u = 0; u < 2; u++) memcpy(y + u * y_step, x + u * x_step, 2 * ow * sizeof *y);
}

static void NAME(max_pool_pairs)(ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t w, const REAL *x, int32_t dead, REAL *y,
                                 uint8_t *argmax) {
    const ptrdiff_t copied = ow < VL;
    for (ptrdiff_t i = copied; i < rows; i++, x += 2 * w, y += ow, argmax += ow)
        FOR_VECTORS(j) NAME(max_pairs)(x + 2 * j, x + w + 2 * j, dead, y + j, argmax + j);
    if (copied) {
        REAL pixels[4 * VL] = {0}, most[VL];
        uint8_t codes[VL];
        NAME(copy_pairs)(ow, x, w, pixels, 2 * VL);
        NAME(max_pairs)(pixels, pixels + 2 * VL, dead, most, codes);
        memcpy(y, most, ow * sizeof *y);
        memcpy(argmax, codes, ow);
    }
}

static void NAME(avg_pool_pairs)(ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t w, const REAL *x, REAL *y) {
    const ptrdiff_t copied = ow < VL;
    for (ptrdiff_t i = copied; i < rows; i++, x += 2 * w, y += ow)
        FOR_VECTORS(j) NAME(mean_pairs)(x + 2 * j, x + w + 2 * j, y + j);
    if (copied) {
        REAL pixels[4 * VL] = {0}, means[VL];
        NAME(copy_pairs)(ow, x, w, pixels, 2 * VL);
        NAME(mean_pairs)(pixels, pixels + 2 * VL, means);
        memcpy(y, means, ow * sizeof *y);
    }
}

/* Clears the pixels of two rows that no window covers. */
static void NAME(clear_rest)(ptrdiff_t ow, ptrdiff_t w, REAL *dx) {
    for (int u = 0; u < 2; u++)
        for (ptrdiff_t col = 2 * ow; col < w; col++) dx[u * w + col] = 0;
}

static void NAME(max_pool_pairs_backward)(ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t w, const REAL *dy,
                                          const uint8_t *argmax, REAL *dx) {
    const ptrdiff_t copied = ow < VL;
    for (ptrdiff_t i = copied; i < rows; i++, dy += ow, argmax += ow, dx += 2 * w) {
        FOR_VECTORS(j) NAME(spread_max_pairs)(dy + j, argmax + j, dx + 2 * j, dx + w + 2 * j);
        NAME(clear_rest)(ow, w, dx);
    }
    if (copied) {
        REAL gradients[VL] = {0}, pixels[4 * VL];
        uint8_t codes[VL] = {0};
        memcpy(gradients, dy, ow * sizeof *dy);
        memcpy(codes, argmax, ow);
        NAME(spread_max_pairs)(gradients, codes, pixels, pixels + 2 * VL);
        NAME(copy_pairs)(ow, pixels, 2 * VL, dx, w);
        NAME(clear_rest)(ow, w, dx);
    }
}

static void NAME(avg_pool_pairs_backward)(ptrdiff_t rows, ptrdiff_t ow, ptrdiff_t w, const REAL *dy, REAL *dx) {
    const ptrdiff_t copied = ow < VL;
    for (ptrdiff_t i = copied; i < rows; i++, dy += ow, dx += 2 * w) {
        FOR_VECTORS(j) NAME(spread_mean_pairs)(dy + j, dx + 2 * j, dx + w + 2 * j);
        NAME(clear_rest)(ow, w, dx);
    }
    if (copied) {
        REAL gradients[VL] = {0}, pixels[4 * VL];
        memcpy(gradients, dy, ow * sizeof *dy);
        NAME(spread_mean_pairs)(gradients, pixels, pixels + 2 * VL);
        NAME(copy_pairs)(ow, pixels, 2 * VL, dx, w);
        NAME(clear_rest)(ow, w, dx);
    }
}

#undef HALF
#undef EVEN_PIXEL
#undef ODD_PIXEL
#undef WINDOW
#undef LANE
#undef CODE_PLACE
#undef CODE_WORD
#undef CODE_ONE
#undef CODE_MASK
#undef FOR_VECTORS
