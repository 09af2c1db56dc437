/* log.

   Design:
   log(x) = k * ln 2 + log(f), x = 2^k * f, with f about 1 and log(f) = 2 * atanh(s), s = (f - 1) / (f + 1), as a
   series. Denormal numbers are scaled by means of their bits: the result is the same whether or not the CPU flushes
   them to zero.
*/
#undef LN2_HIGH
#undef LN2_LOW
#undef ATANH_TERMS
#if MANTISSA == 23
#define LN2_HIGH 0.693359375f /* ln 2 in two parts: a whole multiple of the first is exact */
#define LN2_LOW -2.12194440e-4f
#define ATANH_TERMS 4 /* s^10 / 11 < 2^-28 */
#else
#define LN2_HIGH 6.93145751953125e-1
#define LN2_LOW 1.42860682030941723212e-6
#define ATANH_TERMS 10 /* s^22 / 23 < 2^-60 */
#endif

/* log(x) for finite x >= 0, or NaN */
static inline VEC NAME(vec_log)(VEC x) {
    const IVEC one = (IVEC)NAME(splat)(1), least_normal = (IVEC){0} + ((INT)1 << MANTISSA);
    const IVEC small = ((IVEC)x >= 0) & ((IVEC)x < least_normal);
    const INT bias = ((INT)1 << (sizeof(REAL) * 8 - 2 - MANTISSA)) - 1;
    x = NAME(select)(small, (VEC)((IVEC)x | one) - 1, x); /* x * 2^(bias - 1) */
    const IVEC root_half = (IVEC)NAME(splat)((REAL)0.70710678118654752440);
    const IVEC k = ((IVEC)x - root_half) >> MANTISSA;
    const VEC f = (VEC)((IVEC)x - (k << MANTISSA));
    const VEC s = (f - 1) / (f + 1), z = s * s;
    VEC series = NAME(splat)((REAL)1 / (2 * ATANH_TERMS + 1));
    for (int n = ATANH_TERMS - 1; n >= 0; n--) series = series * z + (REAL)1 / (2 * n + 1);
    const VEC shift = NAME(splat)((REAL)1.5 * ((INT)1 << MANTISSA));
    const VEC whole = (VEC)((IVEC)shift + k - (small & (bias - 1))) - shift; /* k as a REAL */
    const VEC y = whole * LN2_HIGH + (whole * LN2_LOW + 2 * s * series);
    return NAME(select)(x > 0, y, NAME(select)(x == 0, NAME(splat)(-INFINITY), x));
}

/* log(1 + x) for -1 <= x <= 1, or NaN. The rounding error of 1 + x is added to the logarithm: the slope 1 / (1 + x) is
   near 1 where that matters, and below -1/2 the sum is exact. */
static inline VEC NAME(vec_log1p)(VEC x) {
    const VEC u = 1 + x;
    return NAME(vec_log)(u) + (x - (u - 1));
}
