/* Functions of single elements of one array or two. NaN wins over every number, as in NumPy. */

#define EACH(expression)                                                                                               \
    for (ptrdiff_t i = 0; i < n; i += VL) {                                                                            \
        const VEC a = x_step ? NAME(load_some)(x + i, n - i, 1) : one_x;                                               \
        const VEC b = y_step ? NAME(load_some)(y + i, n - i, 1) : one_y;                                               \
        NAME(store_some)(z + i, expression, n - i);                                                                    \
    }                                                                                                                  \
    break

static void NAME(binary)(cnnx_binary function, ptrdiff_t n, const REAL *x, ptrdiff_t x_step, const REAL *y,
                         ptrdiff_t y_step, REAL *z) {
    if (n == 0) return;
    const VEC one_x = NAME(splat)(*x), one_y = NAME(splat)(*y);
    switch (function) {
    case CNNX_ADD: EACH(a + b);
    case CNNX_SUBTRACT: EACH(a - b);
    case CNNX_MULTIPLY: EACH(a * b);
    case CNNX_DIVIDE: EACH(a / b);
    case CNNX_MAXIMUM: EACH(NAME(select)((a > b) | (a != a), a, b));
    case CNNX_MINIMUM: EACH(NAME(select)((a < b) | (a != a), a, b));
    }
}

#undef EACH

/* log(x) for any x */
static inline VEC NAME(vec_log_of_any)(VEC x) {
    const VEC infinity = NAME(splat)(INFINITY), y = NAME(select)(x == infinity, x, NAME(vec_log)(x));
    return NAME(select)(x < 0, NAME(splat)(NAN), y);
}

#define EACH(expression)                                                                                               \
    for (ptrdiff_t i = 0; i < n; i += VL) {                                                                            \
        const VEC v = NAME(load_some)(x + i, n - i, 1);                                                                \
        NAME(store_some)(y + i, expression, n - i);                                                                    \
    }                                                                                                                  \
    break

static void NAME(unary)(cnnx_unary function, ptrdiff_t n, const REAL *x, REAL a, REAL b, REAL *y) {
    const IVEC sign = (IVEC)NAME(splat)(-0.0);
    switch (function) {
    case CNNX_ABS: EACH((VEC)((IVEC)v & ~sign));
    case CNNX_NEGATIVE: EACH((VEC)((IVEC)v ^ sign));
    case CNNX_RECIPROCAL: EACH(1 / v);
    case CNNX_EXP: EACH(NAME(vec_exp)(v));
    case CNNX_LOG: EACH(NAME(vec_log_of_any)(v));
    case CNNX_CLIP: EACH(NAME(at_most)(NAME(at_least)(v, a), b));
    case CNNX_AFFINE: EACH(v * a + b);
    case CNNX_SQRT:
        for (ptrdiff_t i = 0; i < n; i++) y[i] = SQRT(x[i]); /* vectors have no square root */
        break;
    }
}

#undef EACH
