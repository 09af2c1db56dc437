/* Batch normalisation of one plane: x[i], i < n. */

/* The last vector of a row, where n % VL elements are left after whole vectors: it ends with the row and overlaps the
   vector before. A row shorter than a vector is padded with zeros. lanes_left is the mask of the elements left. */

static inline VEC NAME(load_last)(const REAL *row, ptrdiff_t n) {
    return n < VL ? NAME(load_part)(row, n, 0) : NAME(load)(row + n - VL);
}

static inline void NAME(store_last)(REAL *row, ptrdiff_t n, VEC v) {
    if (n < VL) NAME(store_part)(row, v, n);
    else NAME(store)(row + n - VL, v);
}

static inline IVEC NAME(lanes_left)(ptrdiff_t n) {
    IVEC mask = {0};
    for (ptrdiff_t l = 0; l < VL; l++) mask[l] = (n < VL ? l < n : l >= VL - n % VL) ? -1 : 0;
    return mask;
}

#define STEP (NAME(PARTS) * VL)

/* The planes of a channel are not adjacent, so the hardware does not prefetch the next one. */
static inline void NAME(prefetch)(const REAL *row, ptrdiff_t ahead, int to_write) {
    for (ptrdiff_t i = 0; ahead != 0 && i < STEP; i += 64 / (ptrdiff_t)sizeof(REAL)) {
        if (to_write) __builtin_prefetch(row + ahead + i, 1);
        else __builtin_prefetch(row + ahead + i, 0);
    }
}

/* Adds two times PARTS vectors to the two partial sums. */
static inline void NAME(add_partial)(const VEC *first, const VEC *second, REAL *partial) {
    NAME(store)(partial, NAME(load)(partial) + ((first[0] + first[1]) + (first[2] + first[3])));
    NAME(store)(partial + VL, NAME(load)(partial + VL) + ((second[0] + second[1]) + (second[2] + second[3])));
}

static void NAME(plane_moments)(ptrdiff_t n, const REAL *x, REAL center, ptrdiff_t ahead, REAL *partial) {
    const ptrdiff_t whole = n / VL * VL;
    VEC sums[NAME(PARTS)] = {0}, squares[NAME(PARTS)] = {0};
    ptrdiff_t i = 0;
    for (; i + STEP <= n; i += STEP) {
        NAME(prefetch)(x + i, ahead, 0);
        for (int s = 0; s < NAME(PARTS); s++) {
            VEC d = NAME(load)(x + i + s * VL) - center;
            sums[s] += d;
            squares[s] += d * d;
        }
    }
    for (; i < whole; i += VL) {
        VEC d = NAME(load)(x + i) - center;
        sums[0] += d;
        squares[0] += d * d;
    }
    if (i < n) {
        VEC d = (VEC)(NAME(lanes_left)(n) & (IVEC)(NAME(load_last)(x, n) - center));
        sums[1] += d;
        squares[1] += d * d;
    }
    NAME(add_partial)(sums, squares, partial);
}

/* Adds one vector of dy, gone back through the activation, and its product with x - mean. */
#define ADD_COMOMENTS(part, x_values, dy_values, lanes)                                                                \
    do {                                                                                                               \
        VEC d = (VEC)((lanes) & (IVEC)((x_values) - mean));                                                            \
        VEC g = NAME(unactivated)(activation, d * scale + shift, (VEC)((lanes) & (IVEC)(dy_values)));                  \
        sums[part] += g;                                                                                               \
        products[part] += g * d;                                                                                       \
    } while (0)

static inline void NAME(plane_comoments_of)(cnnx_activation activation, ptrdiff_t n, const REAL *dy, const REAL *x,
                                            const REAL *parameters, ptrdiff_t ahead, REAL *partial) {
    const REAL mean = parameters[CNNX_MEAN], scale = parameters[CNNX_SCALE], shift = parameters[CNNX_SHIFT];
    const ptrdiff_t whole = n / VL * VL;
    const IVEC all = ~(IVEC){0};
    VEC sums[NAME(PARTS)] = {0}, products[NAME(PARTS)] = {0};
    ptrdiff_t i = 0;
    for (; i + STEP <= n; i += STEP) {
        NAME(prefetch)(x + i, ahead, 0);
        NAME(prefetch)(dy + i, ahead, 0);
        for (int s = 0; s < NAME(PARTS); s++)
            ADD_COMOMENTS(s, NAME(load)(x + i + s * VL), NAME(load)(dy + i + s * VL), all);
    }
    for (; i < whole; i += VL) ADD_COMOMENTS(0, NAME(load)(x + i), NAME(load)(dy + i), all);
    if (i < n) ADD_COMOMENTS(1, NAME(load_last)(x, n), NAME(load_last)(dy, n), NAME(lanes_left)(n));
    NAME(add_partial)(sums, products, partial);
}

static void NAME(plane_comoments)(ptrdiff_t n, const REAL *dy, const REAL *x, const REAL *parameters,
                                  cnnx_activation activation, ptrdiff_t ahead, REAL *partial) {
#define CALL(activation) NAME(plane_comoments_of)(activation, n, dy, x, parameters, ahead, partial)
#include "each_activation.inc.c"
}

static void NAME(fold)(REAL *partial, double *first, double *second) {
    *first += NAME(sum_of_lanes)(NAME(load)(partial));
    *second += NAME(sum_of_lanes)(NAME(load)(partial + VL));
    NAME(store)(partial, (VEC){0});
    NAME(store)(partial + VL, (VEC){0});
}

/* The last vector of a plane overlaps the one before, and writes the same numbers again: so y is not an input. Without
   the hint, the loops of some activations have two jumps per vector and take a fifth longer. */
static inline void NAME(normalise_of)(cnnx_activation activation, ptrdiff_t n, const REAL *x, const REAL *parameters,
                                      const REAL *add, ptrdiff_t ahead, REAL *y) {
    const REAL mean = parameters[CNNX_MEAN], scale = parameters[CNNX_SCALE], shift = parameters[CNNX_SHIFT];
    const ptrdiff_t whole = n / VL * VL;
    for (ptrdiff_t i = 0; i < whole; i += VL) {
        if (i % STEP == 0 && i + STEP <= n) {
            NAME(prefetch)(x + i, ahead, 0);
            NAME(prefetch)(y + i, ahead, 1);
        }
        VEC v = (NAME(load)(x + i) - mean) * scale + shift;
        if (__builtin_expect(add != NULL, 0)) v += NAME(load)(add + i);
        NAME(store)(y + i, NAME(activated)(activation, v));
    }
    if (whole < n) {
        VEC v = (NAME(load_last)(x, n) - mean) * scale + shift;
        if (add != NULL) v += NAME(load_last)(add, n);
        NAME(store_last)(y, n, NAME(activated)(activation, v));
    }
}

static void NAME(normalise)(ptrdiff_t n, const REAL *x, const REAL *parameters, const REAL *add,
                            cnnx_activation activation, ptrdiff_t ahead, REAL *y) {
#define CALL(activation) NAME(normalise_of)(activation, n, x, parameters, add, ahead, y)
#include "each_activation.inc.c"
}

/* dx of a vector, from its parameters. */
static inline VEC NAME(normal_gradient)(cnnx_activation activation, int training, VEC dy, VEC x,
                                        const VEC own[CNNX_NORM_PARAMETERS]) {
    const VEC d = x - own[CNNX_MEAN];
    VEC g = NAME(unactivated)(activation, d * own[CNNX_SCALE] + own[CNNX_SHIFT], dy) * own[CNNX_SCALE];
    if (training) g += d * own[CNNX_SLOPE] + own[CNNX_OFFSET];
    return g;
}

static inline void NAME(normalise_backward_of)(cnnx_activation activation, int training, ptrdiff_t n, const REAL *dy,
                                               const REAL *x, const REAL *parameters, ptrdiff_t ahead, REAL *dx) {
    const ptrdiff_t whole = n / VL * VL;
    VEC own[CNNX_NORM_PARAMETERS];
    for (int p = 0; p < CNNX_NORM_PARAMETERS; p++) own[p] = NAME(splat)(parameters[p]);
    for (ptrdiff_t i = 0; i < whole; i += VL) {
        if (i % STEP == 0 && i + STEP <= n) {
            NAME(prefetch)(x + i, ahead, 0);
            NAME(prefetch)(dy + i, ahead, 0);
            NAME(prefetch)(dx + i, ahead, 1);
        }
        NAME(store)(dx + i, NAME(normal_gradient)(activation, training, NAME(load)(dy + i), NAME(load)(x + i), own));
    }
    if (whole < n)
        NAME(store_last)(dx, n, NAME(normal_gradient)(activation, training, NAME(load_last)(dy, n),
                                                      NAME(load_last)(x, n), own));
}

static void NAME(normalise_backward)(ptrdiff_t n, const REAL *dy, const REAL *x, const REAL *parameters,
                                     cnnx_activation activation, int training, ptrdiff_t ahead, REAL *dx) {
#define WITH(activation, training)                                                                                     \
    NAME(normalise_backward_of)(activation, training, n, dy, x, parameters, ahead, dx)
    if (!training) {
#define CALL(activation) WITH(activation, 0)
#include "each_activation.inc.c"
    } else {
#define CALL(activation) WITH(activation, 1)
#include "each_activation.inc.c"
    }
#undef WITH
}

#undef ADD_COMOMENTS
#undef STEP
