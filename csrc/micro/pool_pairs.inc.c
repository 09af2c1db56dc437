/* Max pooling with windows of 2x2 that lie side by side, as in most networks: a vector of windows at a time.

   Rows have VL windows at least; the last vector ends at the last window, and writes some of them again.
*/
#define EVEN_LANE(l) (2 * (l))
#define ODD_LANE(l) (2 * (l) + 1)
#define LOWER_PAIR(l) ((l) / 2 + (l) % 2 * VL)
#define UPPER_PAIR(l) ((l) / 2 + (l) % 2 * VL + VL / 2)

typedef uint8_t NAME(codes) __attribute__((vector_size(VECTOR_BYTES / sizeof(REAL))));

static inline ptrdiff_t NAME(last_vector)(ptrdiff_t i, ptrdiff_t n) { return i + VL <= n ? i : n - VL; }

/* dead < 0: without ReLU. */
static void NAME(max_pool_pairs)(ptrdiff_t ow, ptrdiff_t w, const REAL *x, int32_t dead, REAL *y, uint8_t *argmax) {
    for (ptrdiff_t next = 0; next < ow; next += VL) {
        const ptrdiff_t i = NAME(last_vector)(next, ow);
        VEC most = {0};
        IVEC where = {0};
        for (int cell = 0; cell < 4; cell++) {
            const REAL *from = x + cell / 2 * w + 2 * i;
            const VEC low = NAME(load)(from), high = NAME(load)(from + VL);
            const VEC value = cell % 2 ? SHUFFLE(low, high, ODD_LANE) : SHUFFLE(low, high, EVEN_LANE);
            /* Larger, or NaN; a NaN that is there already stays. */
            IVEC larger = ~(IVEC){0};
            if (cell) larger = (IVEC)(~(value <= most) & (most == most));
            most = NAME(select)(larger, value, most);
            where = (larger & cell) | (~larger & where);
        }
        if (dead >= 0) {
            const IVEC alive = (IVEC)~(most <= 0);
            most = (VEC)(alive & (IVEC)most);
            where = (alive & where) | (~alive & (INT)dead);
        }
        NAME(store)(y + i, most);
        const NAME(codes) narrow = __builtin_convertvector(where, NAME(codes));
        memcpy(argmax + i, &narrow, sizeof narrow);
    }
}

/* One row of dx, of the windows' cells `code` and code + 1. */
static void NAME(max_pool_pairs_backward)(ptrdiff_t ow, ptrdiff_t w, const REAL *dy, const uint8_t *argmax, int32_t code,
                                          REAL *dx) {
    for (ptrdiff_t next = 0; next < ow; next += VL) {
        const ptrdiff_t i = NAME(last_vector)(next, ow);
        NAME(codes) narrow;
        memcpy(&narrow, argmax + i, sizeof narrow);
        const IVEC where = __builtin_convertvector(narrow, IVEC), gradient = (IVEC)NAME(load)(dy + i);
        const VEC even = (VEC)(gradient & (where == (INT)code)), odd = (VEC)(gradient & (where == (INT)code + 1));
        NAME(store)(dx + 2 * i, SHUFFLE(even, odd, LOWER_PAIR));
        NAME(store)(dx + 2 * i + VL, SHUFFLE(even, odd, UPPER_PAIR));
    }
    for (ptrdiff_t col = 2 * ow; col < w; col++) dx[col] = 0;
}
