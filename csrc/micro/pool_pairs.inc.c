/* Max pooling with windows of 2x2 that lie side by side, as in most networks: a vector of windows at a time.

   The last vector of a row ends at the last window, and writes some of them again. A row that is shorter than a vector
   is taken with what follows it, where that belongs to the same plane; else it goes through a copy of a vector.
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

static void NAME(max_pool_pairs)(ptrdiff_t ow, ptrdiff_t w, const REAL *x, int32_t dead, ptrdiff_t x_room,
                                 ptrdiff_t y_room, REAL *y, uint8_t *argmax) {
    if (ow < VL && w + 2 * VL <= x_room && VL <= y_room) NAME(pool_pairs)(x, x + w, dead, y, argmax);
    else if (ow < VL) {
        REAL above[2 * VL] = {0}, below[2 * VL] = {0}, most[VL];
        uint8_t where[VL];
        memcpy(above, x, 2 * ow * sizeof(REAL));
        memcpy(below, x + w, 2 * ow * sizeof(REAL));
        NAME(pool_pairs)(above, below, dead, most, where);
        memcpy(y, most, ow * sizeof(REAL));
        memcpy(argmax, where, ow);
    }
    for (ptrdiff_t next = 0; next < ow && ow >= VL; next += VL) {
        const ptrdiff_t i = next + VL <= ow ? next : ow - VL;
        NAME(pool_pairs)(x + 2 * i, x + w + 2 * i, dead, y + i, argmax + i);
    }
}

/* One row of dx, of the windows' cells `code` and code + 1. */
static void NAME(max_pool_pairs_backward)(ptrdiff_t ow, ptrdiff_t w, const REAL *dy, const uint8_t *argmax,
                                          int32_t code, ptrdiff_t dy_room, ptrdiff_t dx_room, REAL *dx) {
    if (ow < VL && VL <= dy_room && 2 * VL <= dx_room) NAME(spread_pairs)(dy, argmax, code, dx);
    else if (ow < VL) {
        REAL gradient[VL] = {0}, pairs[2 * VL];
        uint8_t where[VL] = {0};
        memcpy(gradient, dy, ow * sizeof(REAL));
        memcpy(where, argmax, ow);
        NAME(spread_pairs)(gradient, where, code, pairs);
        memcpy(dx, pairs, 2 * ow * sizeof(REAL));
    }
    for (ptrdiff_t next = 0; next < ow && ow >= VL; next += VL) {
        const ptrdiff_t i = next + VL <= ow ? next : ow - VL;
        NAME(spread_pairs)(dy + i, argmax + i, code, dx + 2 * i);
    }
    for (ptrdiff_t col = 2 * ow; col < w; col++) dx[col] = 0;
}
