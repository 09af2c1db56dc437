/* Max pooling with windows of 2x2 that lie side by side, as in most networks: a vector of windows at a time.

   A row has at least one; the last ends at the last window, and writes some of them again.
*/
#define EVEN_LANE(l) (2 * (l))
#define ODD_LANE(l) (2 * (l) + 1)
#define LOWER_PAIR(l) ((l) / 2 + (l) % 2 * VL)
#define UPPER_PAIR(l) ((l) / 2 + (l) % 2 * VL + VL / 2)

typedef uint8_t NAME(codes) __attribute__((vector_size(VECTOR_BYTES / sizeof(REAL))));

/* Windows in the rows `above` and `below`. dead < 0: without ReLU. */
static inline void NAME(pool_pairs)(const REAL *above, const REAL *below, int32_t dead, REAL *y, uint8_t *argmax) {
    VEC most = {0};
    IVEC where = {0};
    for (int cell = 0; cell < 4; cell++) {
        const REAL *from = cell < 2 ? above : below;
        const VEC low = NAME(load)(from), high = NAME(load)(from + VL);
        const VEC value = cell % 2 ? SHUFFLE(low, high, ODD_LANE) : SHUFFLE(low, high, EVEN_LANE);
        IVEC larger = ~(IVEC){0};
        if (cell) larger = (IVEC)(~(value <= most) & (most == most)); /* or NaN; one that is there already stays */
        most = NAME(select)(larger, value, most);
        where = (larger & cell) | (~larger & where);
    }
    if (dead >= 0) {
        const IVEC alive = (IVEC)~(most <= 0);
        most = (VEC)(alive & (IVEC)most);
        where = (alive & where) | (~alive & (INT)dead);
    }
    NAME(store)(y, most);
    const NAME(codes) narrow = __builtin_convertvector(where, NAME(codes));
    memcpy(argmax, &narrow, sizeof narrow);
}

static inline void NAME(spread_pairs)(const REAL *dy, const uint8_t *argmax, int32_t code, REAL *dx) {
    NAME(codes) narrow;
    memcpy(&narrow, argmax, sizeof narrow);
    const IVEC where = __builtin_convertvector(narrow, IVEC), gradient = (IVEC)NAME(load)(dy);
    const VEC even = (VEC)(gradient & (where == (INT)code)), odd = (VEC)(gradient & (where == (INT)code + 1));
    NAME(store)(dx, SHUFFLE(even, odd, LOWER_PAIR));
    NAME(store)(dx + VL, SHUFFLE(even, odd, UPPER_PAIR));
}

static void NAME(max_pool_pairs)(ptrdiff_t ow, ptrdiff_t w, const REAL *x, int32_t dead, REAL *y, uint8_t *argmax) {
    for (ptrdiff_t next = 0; next < ow; next += VL) {
        const ptrdiff_t j = next + VL <= ow ? next : ow - VL;
        NAME(pool_pairs)(x + 2 * j, x + w + 2 * j, dead, y + j, argmax + j);
    }
}

static void NAME(max_pool_pairs_backward)(ptrdiff_t ow, ptrdiff_t w, const REAL *dy, const uint8_t *argmax,
                                          int32_t code, REAL *dx) {
    for (ptrdiff_t next = 0; next < ow; next += VL) {
        const ptrdiff_t j = next + VL <= ow ? next : ow - VL;
        NAME(spread_pairs)(dy + j, argmax + j, code, dx + 2 * j);
    }
    for (ptrdiff_t col = 2 * ow; col < w; col++) dx[col] = 0;
}

#undef EVEN_LANE
#undef ODD_LANE
#undef LOWER_PAIR
#undef UPPER_PAIR
