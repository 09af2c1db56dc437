/* The activations of activations.h, as functions of a vector and of a row, and the dispatch on the activation. */

/* A vector from an int, a REAL or a vector. */
#define TO_VEC(a) ((a) - (VEC){0})

#define SELECT(condition, a, b) NAME(select)((IVEC)(condition), TO_VEC(a), TO_VEC(b))
#define ACTIVATION(name, reads, y, dx)                                                                                 \
    static inline VEC NAME(name##_of)(VEC x) { return y; }                                                             \
    static inline VEC NAME(name##_gradient)(VEC dy, VEC s) { return dx; }
#include "../activations.h"
#undef SELECT

/* y of a vector. The activation is a constant wherever this is called. */
static inline VEC NAME(activated)(cnnx_activation activation, VEC x) {
#define ACTIVATION(name, reads, y, dx)                                                                                 \
    if (activation == CNNX_ACTIVATION_##name) return NAME(name##_of)(x);
#include "../activations.h"
    return x;
}

/* Whether it takes so few instructions that kernels do it in registers: by `activated`, with these as constants. */
static inline int NAME(is_short)(cnnx_activation activation) {
    return activation == CNNX_ACTIVATION_relu || activation == CNNX_ACTIVATION_relu6;
}

/* dx of a vector, from x. */
static inline VEC NAME(unactivated)(cnnx_activation activation, VEC x, VEC dy) {
#define FROM_OUTPUT(name) NAME(name##_of)(x)
#define FROM_INPUT(name) x
#define FROM_EITHER(name) x
#define ACTIVATION(name, reads, y, dx)                                                                                 \
    if (activation == CNNX_ACTIVATION_##name) return NAME(name##_gradient)(dy, FROM_##reads(name));
#include "../activations.h"
#undef FROM_OUTPUT
#undef FROM_INPUT
#undef FROM_EITHER
    return dy;
}

/* Rows. Plain loops, which the compiler vectorises. */
#define SELECT(condition, a, b) ((condition) ? (a) : (b))
#define ACTIVATION(name, reads, y, dx)                                                                                 \
    static void NAME(name##_row)(ptrdiff_t n, const REAL *xs, REAL *ys) {                                              \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            const REAL x = xs[i];                                                                                      \
            ys[i] = y;                                                                                                 \
        }                                                                                                              \
    }                                                                                                                  \
    static void NAME(name##_row_backward)(ptrdiff_t n, const REAL *dys, const REAL *saved, REAL *dxs) {                \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            const REAL dy = dys[i], s = saved[i];                                                                      \
            dxs[i] = dx;                                                                                               \
        }                                                                                                              \
    }
#include "../activations.h"
#undef SELECT

static void NAME(activate)(cnnx_activation activation, ptrdiff_t n, const REAL *x, REAL *y) {
    switch (activation) {
#define ACTIVATION(name, reads, y_of_x, dx_of_dy)                                                                      \
    case CNNX_ACTIVATION_##name: NAME(name##_row)(n, x, y); break;
#include "../activations.h"
    case CNNX_NO_ACTIVATION: break;
    }
}

static void NAME(activate_backward)(cnnx_activation activation, ptrdiff_t n, const REAL *dy, const REAL *saved,
                                    REAL *dx) {
    switch (activation) {
#define ACTIVATION(name, reads, y_of_x, dx_of_dy)                                                                      \
    case CNNX_ACTIVATION_##name: NAME(name##_row_backward)(n, dy, saved, dx); break;
#include "../activations.h"
    case CNNX_NO_ACTIVATION: break;
    }
}

#undef TO_VEC
