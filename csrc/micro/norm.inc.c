/* Batch normalisation of one plane: x[i], i < n. */

/* The last vector of a row, from which whole vectors leave n % VL elements: it overlaps the one before. And the lanes
   left. A row shorter than a vector is filled up with something. */

static inline VEC NAME(load_last)(const REAL *row, ptrdiff_t n) {
    return n < VL ? NAME(load_part)(row, n, 0) : NAME(load)(row + n - VL);
}

static inline void NAME(store_last)(REAL *row, ptrdiff_t n, VEC v) {
    if (n < VL) NAME(store_part)(row, v, n);
    else NAME(store)(row + n - VL, v);
}

static inline IVEC NAME(lanes_left)(ptrdiff_t n) {
    IVEC mask;
    for (ptrdiff_t l = 0; l < VL; l++) mask[l] = (n < VL ? l < n : l >= VL - n % VL) ? -1 : 0;
    return mask;
}

#define STEP (NAME(PARTS) * VL)

/* A channel's planes lie apart, and the hardware sees no stream in them: ask for the lines of the next. */
static inline void NAME(prefetch)(const REAL *row, ptrdiff_t ahead, int to_write) {
    for (ptrdiff_t i = 0; ahead != 0 && i < STEP; i += 64 / (ptrdiff_t)sizeof(REAL)) {
        if (to_write) __builtin_prefetch(row + ahead + i, 1);
        else __builtin_prefetch(row + ahead + i, 0);
    }
}

/* Adds the sums of PARTS vectors each to the partial sums, two vectors. */
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

/* One vector of dy: gone back through the activation, and the product of that with x - mean. */
#define ADD_COMOMENTS(part, x_values, dy_values, lanes)                                                                \
    do {                                                                                                               \
        VEC d = (VEC)((lanes) & (IVEC)((x_values) - mean));                                                            \
        VEC g = NAME(unactivated)(activation, d * scale + shift, (VEC)((lanes) & (IVEC)(dy_values)));                  \
        sums[part] += g;                                                                                               \
        products[part] += g * d;                                                                                       \
    } while (0)

static inline void NAME(plane_comoments_of)(cnnx_ending activation, ptrdiff_t n, const REAL *dy, const REAL *x,
                                            REAL mean, REAL scale, REAL shift, ptrdiff_t ahead, REAL *partial) {
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

static void NAME(plane_comoments)(ptrdiff_t n, const REAL *dy, const REAL *x, REAL mean, REAL scale, REAL shift,
                                  cnnx_ending activation, ptrdiff_t ahead, REAL *partial) {
#define CALL(activation) NAME(plane_comoments_of)(activation, n, dy, x, mean, scale, shift, ahead, partial)
#include "each_activation.inc.c"
}

static void NAME(fold)(REAL *partial, double *first, double *second) {
    *first += NAME(sum_of_lanes)(NAME(load)(partial));
    *second += NAME(sum_of_lanes)(NAME(load)(partial + VL));
    NAME(store)(partial, (VEC){0});
    NAME(store)(partial + VL, (VEC){0});
}

/* The last vector of a plane is written a second time in part, with the same numbers: x, dy and add are not y or dx.
   Without the hint the loops of some of the activations jump twice for each vector, and take a fifth longer. */
static inline void NAME(normalise_of)(cnnx_ending activation, ptrdiff_t n, const REAL *x, REAL mean, REAL scale,
                                      REAL shift, const REAL *add, ptrdiff_t ahead, REAL *y) {
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

static void NAME(normalise)(ptrdiff_t n, const REAL *x, REAL mean, REAL scale, REAL shift, const REAL *add,
                            cnnx_ending activation, ptrdiff_t ahead, REAL *y) {
#define CALL(activation) NAME(normalise_of)(activation, n, x, mean, scale, shift, add, ahead, y)
#include "each_activation.inc.c"
}

static inline VEC NAME(normal_gradient)(cnnx_ending activation, int training, VEC dy, VEC x, VEC mean, VEC scale,
                                        VEC shift, VEC slope, VEC offset) {
    VEC d = x - mean, g = NAME(unactivated)(activation, d * scale + shift, dy) * scale;
    if (training) g += d * slope + offset;
    return g;
}

static inline void NAME(normalise_backward_of)(cnnx_ending activation, int training, ptrdiff_t n, const REAL *dy,
                                               const REAL *x, REAL mean, REAL scale, REAL shift, REAL slope,
                                               REAL offset, ptrdiff_t ahead, REAL *dx) {
#define GRADIENT(dy_values, x_values)                                                                                  \
    NAME(normal_gradient)(activation, training, dy_values, x_values, NAME(splat)(mean), NAME(splat)(scale),            \
                          NAME(splat)(shift), NAME(splat)(slope), NAME(splat)(offset))
    const ptrdiff_t whole = n / VL * VL;
    for (ptrdiff_t i = 0; i < whole; i += VL) {
        if (i % STEP == 0 && i + STEP <= n) {
            NAME(prefetch)(x + i, ahead, 0);
            NAME(prefetch)(dy + i, ahead, 0);
            NAME(prefetch)(dx + i, ahead, 1);
        }
        NAME(store)(dx + i, GRADIENT(NAME(load)(dy + i), NAME(load)(x + i)));
    }
    if (whole < n) NAME(store_last)(dx, n, GRADIENT(NAME(load_last)(dy, n), NAME(load_last)(x, n)));
#undef GRADIENT
}

static void NAME(normalise_backward)(ptrdiff_t n, const REAL *dy, const REAL *x, REAL mean, REAL scale, REAL shift,
                                     cnnx_ending activation, int training, REAL slope, REAL offset, ptrdiff_t ahead,
                                     REAL *dx) {
#define WITH(activation, training)                                                                                     \
    NAME(normalise_backward_of)(activation, training, n, dy, x, mean, scale, shift, slope, offset, ahead, dx)
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
