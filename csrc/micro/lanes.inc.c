/* Planes into lanes and back: a matrix is transposed one square of VL x VL at a time. */

/* Steps of the transposition. Down to blocks of 16 bytes, squares of d x d are exchanged across the diagonal of a
   square of 2*d x 2*d:

       A B        A C
       C D   ->   B D

   Within blocks, vectors that are d apart are interleaved (LOWER_PAIR, UPPER_PAIR of vec.h): twice for float, once for
   double. */
#define UPPER(l, d) ((l) & (d) ? (l) - (d) + VL : (l))
#define LOWER(l, d) ((l) & (d) ? (l) + VL : ((l) + (d)) % VL)
#define UPPER_2(l) UPPER(l, 2)
#define UPPER_4(l) UPPER(l, 4)
#define UPPER_8(l) UPPER(l, 8)
#define LOWER_2(l) LOWER(l, 2)
#define LOWER_4(l) LOWER(l, 4)
#define LOWER_8(l) LOWER(l, 8)
#define STEP(d, applies, FIRST, SECOND)                                                                                \
    if (applies)                                                                                                       \
        for (int i = 0; i < side; i++)                                                                                 \
            if (!(i & d)) {                                                                                            \
                const VEC a = square[i], b = square[(i + d) % side];                                                   \
                square[i] = SHUFFLE(a, b, FIRST);                                                                      \
                square[(i + d) % side] = SHUFFLE(a, b, SECOND);                                                        \
            }

/* Transposes squares of side x side; as many of them lie side by side as fill a vector. */
static inline void NAME(transpose_squares)(const int side, VEC *square) {
    STEP(8, 8 >= BLOCK && 8 < side, UPPER_8, LOWER_8)
    STEP(4, 4 >= BLOCK && 4 < side, UPPER_4, LOWER_4)
    STEP(2, 2 >= BLOCK && 2 < side, UPPER_2, LOWER_2)
    STEP(2, 2 < BLOCK, LOWER_PAIR, UPPER_PAIR)
    STEP(1, 1 < BLOCK, LOWER_PAIR, UPPER_PAIR)
}

static inline void NAME(transpose_square)(VEC *square) { NAME(transpose_squares)(VL, square); }

/* Writes the gap if a run has ended. Returns the place of the next pixel. */
static inline REAL *NAME(end_run)(ptrdiff_t run, ptrdiff_t gap, ptrdiff_t *col, REAL *lanes) {
    if (*col < run) return lanes;
    *col = 0;
    for (ptrdiff_t g = 0; g < gap; g++) NAME(store)(lanes + g * VL, (VEC){0});
    return lanes + gap * VL;
}

static void NAME(to_lanes)(ptrdiff_t planes, ptrdiff_t n, const REAL *x, ptrdiff_t stride, ptrdiff_t run, ptrdiff_t gap,
                           ptrdiff_t ahead, REAL *lanes) {
    const REAL *plane[VL];
    for (int l = 0; l < VL; l++) plane[l] = x + (l < planes ? l : planes - 1) * stride;
    ptrdiff_t col = 0;
    for (ptrdiff_t p = 0; p < n && n < VL; p++) {
        for (int l = 0; l < VL; l++) lanes[l] = plane[l][p];
        col++;
        lanes = NAME(end_run)(run, gap, &col, lanes + VL);
    }
    for (ptrdiff_t p = 0; p < n && n >= VL; p += VL) {
        const ptrdiff_t first = p + VL <= n ? p : n - VL; /* the last square ends at the last pixel */
        VEC square[VL];
        for (int l = 0; l < VL; l++) {
            if (ahead != 0) __builtin_prefetch(plane[l] + first + ahead);
            square[l] = NAME(load)(plane[l] + first);
        }
        NAME(transpose_square)(square);
        if (first == p && col + VL <= run) {
            for (int i = 0; i < VL; i++) NAME(store)(lanes + i * VL, square[i]);
            col += VL;
            lanes = NAME(end_run)(run, gap, &col, lanes + VL * VL);
        } else
            for (ptrdiff_t i = p - first; i < VL; i++) {
                NAME(store)(lanes, square[i]);
                col++;
                lanes = NAME(end_run)(run, gap, &col, lanes + VL);
            }
    }
}

static void NAME(from_lanes)(ptrdiff_t planes, ptrdiff_t n, const REAL *lanes, REAL *y, ptrdiff_t stride) {
    for (ptrdiff_t p = 0; p < n && n < VL; p++)
        for (ptrdiff_t l = 0; l < planes; l++) y[l * stride + p] = lanes[p * VL + l];
    for (ptrdiff_t p = 0; p < n && n >= VL; p += VL) {
        const ptrdiff_t first = p + VL <= n ? p : n - VL;
        VEC square[VL];
        for (int i = 0; i < VL; i++) square[i] = NAME(load)(lanes + (first + i) * VL);
        NAME(transpose_square)(square);
        for (int l = 0; l < VL; l++)
            if (l < planes) NAME(store)(y + l * stride + first, square[l]);
    }
}

/* Codes to lanes as wide as REAL, and back. Bytes are moved in fours, a word of each plane; the first is the lowest. */
enum { NAME(FOUR) = 4 };

static void NAME(codes_to_lanes)(ptrdiff_t planes, ptrdiff_t n, const uint8_t *narrow, const int32_t *wide,
                                 ptrdiff_t stride, void *lanes) {
    INT *to = lanes;
    ptrdiff_t plane[VL];
    for (int l = 0; l < VL; l++) plane[l] = (l < planes ? l : planes - 1) * stride;
    ptrdiff_t p = 0;
    for (; narrow && p + NAME(FOUR) <= n; p += NAME(FOUR)) {
        IVEC codes;
        for (int l = 0; l < VL; l++) {
            const uint8_t *from = narrow + plane[l] + p;
            codes[l] = from[0] | from[1] << 8 | from[2] << 16 | (INT)((uint32_t)from[3] << 24);
        }
        for (int i = 0; i < NAME(FOUR); i++) *(IVEC *)(to + (p + i) * VL) = codes >> 8 * i & 255;
    }
    for (; p < n; p++)
        for (int l = 0; l < VL; l++) to[p * VL + l] = narrow ? narrow[plane[l] + p] : wide[plane[l] + p];
}

static void NAME(codes_from_lanes)(ptrdiff_t planes, ptrdiff_t n, const void *lanes, uint8_t *narrow, int32_t *wide,
                                   ptrdiff_t stride) {
    const INT *from = lanes;
    ptrdiff_t p = 0;
    for (; narrow && p + NAME(FOUR) <= n; p += NAME(FOUR)) {
        IVEC codes = {0};
        for (int i = 0; i < NAME(FOUR); i++) codes |= *(const IVEC *)(from + (p + i) * VL) << 8 * i;
        for (int l = 0; l < VL; l++)
            for (int i = 0; i < NAME(FOUR) && l < planes; i++)
                narrow[l * stride + p + i] = (uint8_t)(codes[l] >> 8 * i);
    }
    for (; p < n; p++)
        for (ptrdiff_t l = 0; l < planes; l++) {
            if (narrow) narrow[l * stride + p] = (uint8_t)from[p * VL + l];
            else wide[l * stride + p] = (int32_t)from[p * VL + l];
        }
}

#undef UPPER
#undef LOWER
#undef UPPER_2
#undef UPPER_4
#undef UPPER_8
#undef LOWER_2
#undef LOWER_4
#undef LOWER_8
#undef STEP
