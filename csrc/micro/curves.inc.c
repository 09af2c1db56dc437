/* The smooth activations of curves.h: y, and dx / dy, of a vector x, and the rows of both.

   Design:
   Results far below zero are products with exp(-|...|), and are exact to a few bits until they themselves, not the
   exponential, are below the smallest normal number: so exp comes in two factors. There x is replaced by a bound, FAR,
   beyond which they are 0, for an infinity times 0 would be NaN. NaN passes through every comparison.
*/

#define FAR (-2 * LOWEST)

/* exp(k * ln 2 + r) as a product of the result and *rest, 2 * LOWEST <= k * ln 2 <= 0, from exp(r) - 1: neither is 0
   before x is so low that nothing is left of the product with any |x| at hand. */
static inline VEC NAME(in_two_powers)(VEC expm1, IVEC k, VEC *rest) {
    const INT bias = ((INT)1 << (sizeof(REAL) * 8 - 2 - MANTISSA)) - 1;
    const IVEC both = k + 2 * bias, half = both >> 1; /* exponents with the bias of their bits */
    const VEC scale = (VEC)(half << MANTISSA);
    *rest = (VEC)((both - half) << MANTISSA);
    return scale * expm1 + scale;
}

/* exp(x), -FAR <= x <= 0 */
static inline VEC NAME(exp_parts)(VEC x, VEC *rest) {
    IVEC k;
    const VEC expm1 = NAME(reduced_expm1)(x, &k);
    return NAME(in_two_powers)(expm1, k, rest);
}

static inline VEC NAME(exp_down_parts)(VEC x, VEC *rest) { return NAME(exp_parts)(NAME(at_least)(x, -FAR), rest); }

static inline VEC NAME(within)(VEC x, REAL limit) { return NAME(at_most)(NAME(at_least)(x, -limit), limit); }

/* --- elu: x, or a * (exp(x) - 1) where x <= 0 */

static inline VEC NAME(elu_of)(VEC x, REAL a, REAL b) {
    return NAME(select)(x > 0, x, a * NAME(vec_expm1_down)(NAME(select)(x > 0, (VEC){0}, x)));
}

static inline VEC NAME(elu_slope)(VEC x, REAL a, REAL b) {
    VEC rest;
    const VEC part = NAME(exp_down_parts)(NAME(select)(x > 0, (VEC){0}, x), &rest);
    return NAME(select)(x > 0, NAME(splat)(1), a * part * rest);
}

/* --- silu and gelu_tanh: x / (1 + exp(-u)), u being x, or 2 sqrt(2 / pi) (x + 0.044715 x^3) */

/* least: x, or a bound far below zero; down: -|u| */
static inline VEC NAME(gated)(VEC x, VEC least, VEC down) {
    VEC rest;
    const VEC part = NAME(exp_parts)(down, &rest);
    return NAME(select)(x < 0, least * part * rest, x) / (1 + part * rest);
}

/* steep: x times the slope of u. With s = 1 / (1 + exp(-u)): s + steep * s * (1 - s). */
static inline VEC NAME(gated_slope)(VEC u, VEC down, VEC steep) {
    VEC rest;
    const VEC part = NAME(exp_parts)(down, &rest), e = part * rest, gate = 1 / (1 + e), slope = steep * gate * gate;
    return NAME(select)(u < 0, (gate + slope) * part * rest, gate + slope * e);
}

static inline VEC NAME(silu_of)(VEC x, REAL a, REAL b) {
    const VEC down = NAME(at_least)(NAME(downward)(x), -FAR);
    return NAME(gated)(x, down, down);
}

static inline VEC NAME(silu_slope)(VEC x, REAL a, REAL b) {
    const VEC u = NAME(within)(x, FAR);
    return NAME(gated_slope)(u, NAME(downward)(u), u);
}

#define TWO_ROOT_2_BY_PI (REAL)1.59576912160573071176
#define CUBIC (REAL)0.044715

static inline VEC NAME(gelu_tanh_of)(VEC x, REAL a, REAL b) {
    const VEC v = NAME(within)(x, 40), u = TWO_ROOT_2_BY_PI * (v + CUBIC * v * v * v);
    return NAME(gated)(x, v, NAME(at_least)(NAME(downward)(u), -FAR));
}

static inline VEC NAME(gelu_tanh_slope)(VEC x, REAL a, REAL b) {
    const VEC v = NAME(within)(x, 40), square = CUBIC * v * v, u = TWO_ROOT_2_BY_PI * (v + square * v);
    return NAME(gated_slope)(u, NAME(at_least)(NAME(downward)(u), -FAR), TWO_ROOT_2_BY_PI * (v + 3 * square * v));
}

#undef TWO_ROOT_2_BY_PI
#undef CUBIC

/* --- gelu: x * P(X < x) of a normal X

   P(X > t) = exp(-t^2 / 2) * ratio(t), t >= 0. (5 + t) * ratio(t) is smooth in u = (t - 5) / (t + 5), for all t: its
   Chebyshev series in u is cut off where the rest is below a quarter of the rounding error, and written as a
   polynomial. This is the method of Shepherd and Laframboise (Mathematics of Computation 36, 1981, 249-253), with
   coefficients of our own for this function and this precision. t^2 / 2 is reduced by k * ln 2 in two
   parts, of which the first, high^2 / 2, has no rounding error. */

#define FAR_NORMAL (MANTISSA == 23 ? 18 : 40) /* FAR_NORMAL^2 / 2 < FAR */

static const REAL NAME(normal_ratio)[] = {
#if MANTISSA == 23
    0.7691930449f, -0.6653825125f, 0.4953059705f, -0.3135328843f, 0.1650161412f, -0.06912084033f, 0.02081367797f,
    -0.002985708855f, -0.0008357310594f, 0.0005317770928f, -2.196782734e-5f, -3.869156012e-5f,
#else
    0.769193049750062959, -0.665382502890056908, 0.49530561596997622, -0.313533156671281392, 0.165020366170399241,
    -0.0691186387070716192, 0.0207950667994248853, -0.00299337675897847814, -0.00079786939101641597,
    0.000544898968373562901, -0.0000593757972930021492, -0.0000497623279245795155, 0.0000166816062395530634,
    3.97936151382921546e-6, -2.77066735773336923e-6, -3.33542714123105383e-7, 4.36308551781732281e-7,
    3.85714485672575834e-8, -7.03783639094586567e-8, -6.94084737404486678e-9, 1.12390067009797129e-8,
    1.27137592602782323e-9, -1.53360755715995458e-9, -1.33121074301070202e-10, 1.2469361647253147e-10,
#endif
};

/* *bell * *rest = exp(-t^2 / 2), *tail * *rest = P(X > t); returns t = |x|, up to FAR_NORMAL. */
static inline VEC NAME(normal_parts)(VEC x, VEC *bell, VEC *tail, VEC *rest) {
    const VEC t = 0 - NAME(at_least)(NAME(downward)(x), -FAR_NORMAL);
    const VEC high = (VEC)((IVEC)t & -((INT)1 << (MANTISSA / 2 + 1))), low = (t - high) * (REAL)0.5;
    const VEC scale = 1 / (t + 5), u = (t - 5) * scale;
    const int terms = sizeof(NAME(normal_ratio)) / sizeof(REAL);
    VEC ratio = NAME(splat)(NAME(normal_ratio)[terms - 1]);
    for (int n = terms - 2; n >= 0; n--) ratio = ratio * u + NAME(normal_ratio)[n];
    IVEC k;
    const VEC whole = NAME(nearest_power)(t * t * (REAL)-0.5, &k);
    const VEC r = (((high * (REAL)-0.5) * high - whole * LN2_HIGH) - low * (t + high)) - whole * LN2_LOW;
    *bell = NAME(in_two_powers)(NAME(expm1_series)(r), k, rest);
    *tail = *bell * (ratio * scale);
    return t;
}

static inline VEC NAME(gelu_of)(VEC x, REAL a, REAL b) {
    VEC bell, tail, rest;
    const VEC t = NAME(normal_parts)(x, &bell, &tail, &rest);
    return NAME(select)(x < 0, (VEC){0}, x) - t * tail * rest;
}

static inline VEC NAME(gelu_slope)(VEC x, REAL a, REAL b) {
    VEC bell, tail, rest;
    const VEC t = NAME(normal_parts)(x, &bell, &tail, &rest);
    const VEC below = (tail - t * (bell * (REAL)0.39894228040143267794)) * rest;
    return NAME(select)(x < 0, below, 1 - below);
}

#undef FAR_NORMAL

/* --- softplus: log(1 + exp(a x)) / a, or x where a x > b */

static inline VEC NAME(softplus_of)(VEC x, REAL a, REAL b) {
    VEC rest;
    const VEC z = a * x, part = NAME(exp_down_parts)(NAME(downward)(z), &rest);
    const VEC y = NAME(select)(z < 0, (VEC){0}, z) + NAME(vec_log1p)(part * rest);
    return NAME(select)(z > b, x, y / a);
}

static inline VEC NAME(softplus_slope)(VEC x, REAL a, REAL b) {
    VEC rest;
    const VEC z = a * x, part = NAME(exp_down_parts)(NAME(downward)(z), &rest);
    return NAME(select)(z > b, NAME(splat)(1), NAME(sigmoid_from)(z, part * rest));
}

/* --- mish: x * tanh(log(1 + exp(x))), which is x (f^2 + 2 f) / (f^2 + 2 f + 2) with f = exp(x); for x > 0, numerator
   and denominator times exp(-2 x) */

static inline VEC NAME(mish_of)(VEC x, REAL a, REAL b) {
    VEC rest;
    const VEC v = NAME(within)(x, FAR), part = NAME(exp_parts)(NAME(downward)(v), &rest), e = part * rest;
    const VEC below = v * (e + 2) / ((e + 2) * e + 2) * part * rest, top = 1 + 2 * e;
    return NAME(select)(x < 0, below, x * (top / (top + 2 * e * e)));
}

static inline VEC NAME(mish_slope)(VEC x, REAL a, REAL b) {
    VEC rest;
    const VEC v = NAME(within)(x, FAR), part = NAME(exp_parts)(NAME(downward)(v), &rest), e = part * rest;
    const VEC scale = 1 / NAME(select)(x < 0, (e + 2) * e + 2, (2 * e + 2) * e + 1);
    const VEC steep = 4 * v * (1 + e) * scale * scale;
    return NAME(select)(x < 0, ((e + 2) * scale + steep) * part * rest, (1 + 2 * e) * scale + steep * e * e);
}

/* --- rows of all of them */

#define CURVE(name)                                                                                                    \
    case CNNX_CURVE_##name:                                                                                            \
        for (ptrdiff_t i = 0; i < n; i += VL)                                                                          \
            NAME(store_some)(y + i, NAME(name##_of)(NAME(load_some)(x + i, n - i, 0), a, b), n - i);                   \
        break;

static void NAME(curve)(cnnx_curve curve, ptrdiff_t n, const REAL *x, REAL a, REAL b, REAL *y) {
    switch (curve) {
#include "../curves.h"
    }
}

#define CURVE(name)                                                                                                    \
    case CNNX_CURVE_##name:                                                                                            \
        for (ptrdiff_t i = 0; i < n; i += VL) {                                                                        \
            const VEC slope = NAME(name##_slope)(NAME(load_some)(x + i, n - i, 0), a, b);                              \
            NAME(store_some)(dx + i, NAME(load_some)(dy + i, n - i, 0) * slope, n - i);                                \
        }                                                                                                              \
        break;

static void NAME(curve_backward)(cnnx_curve curve, ptrdiff_t n, const REAL *dy, const REAL *x, REAL a, REAL b,
                                 REAL *dx) {
    switch (curve) {
#include "../curves.h"
    }
}

#undef FAR
