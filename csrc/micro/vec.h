/* A vector of REAL on the compiler's vector extension, and what that lacks. Included once per type. */

/* Unaligned and may_alias: a vector may be loaded from any address in an array of REAL. */
typedef REAL NAME(vec) __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));
typedef INT NAME(ivec) __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));
#define VEC NAME(vec)
#define IVEC NAME(ivec)
#define VL ((ptrdiff_t)(VECTOR_BYTES / sizeof(REAL)))
#define VECTOR_LANES (VECTOR_BYTES / (MANTISSA == 23 ? 4 : 8)) /* VL for the preprocessor */

static inline VEC NAME(splat)(REAL value) { return value - (VEC){0}; }

static inline VEC NAME(load)(const REAL *p) { return *(const VEC *)p; }
static inline void NAME(store)(REAL *p, VEC v) { *(VEC *)p = v; }

/* The last n < VL elements of a row; the other lanes are `rest`. */
static inline VEC NAME(load_part)(const REAL *p, ptrdiff_t n, REAL rest) {
    VEC v = NAME(splat)(rest);
    memcpy(&v, p, n * sizeof(REAL));
    return v;
}
static inline void NAME(store_part)(REAL *p, VEC v, ptrdiff_t n) { memcpy(p, &v, n * sizeof(REAL)); }

/* A vector of a row of which n > 0 elements are left. */
static inline VEC NAME(load_some)(const REAL *p, ptrdiff_t n, REAL rest) {
    return n >= VL ? NAME(load)(p) : NAME(load_part)(p, n, rest);
}
static inline void NAME(store_some)(REAL *p, VEC v, ptrdiff_t n) {
    if (n >= VL) NAME(store)(p, v);
    else NAME(store_part)(p, v, n);
}

/* mask ? a : b, lane by lane; C has no ?: for vectors. A comparison of vectors gives the mask: -1 or 0. */
static inline VEC NAME(select)(IVEC mask, VEC a, VEC b) { return (VEC)((mask & (IVEC)a) | (~mask & (IVEC)b)); }

/* NaN stays NaN. */
static inline VEC NAME(at_least)(VEC x, REAL least) { return NAME(select)(x < least, NAME(splat)(least), x); }
static inline VEC NAME(at_most)(VEC x, REAL most) { return NAME(select)(x > most, NAME(splat)(most), x); }

static inline double NAME(sum_of_lanes)(VEC v) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < VL; i++) sum += v[i];
    return sum;
}

/* Shuffles. Lane l of the result is lane RULE(l) of a (0 ... VL - 1) and b (VL ... 2*VL - 1). */
#define LANES_2(RULE) RULE(0), RULE(1)
#define LANES_4(RULE) LANES_2(RULE), RULE(2), RULE(3)
#define LANES_8(RULE) LANES_4(RULE), RULE(4), RULE(5), RULE(6), RULE(7)
#define LANES_16(RULE) LANES_8(RULE), RULE(8), RULE(9), RULE(10), RULE(11), RULE(12), RULE(13), RULE(14), RULE(15)
#if VECTOR_LANES == 2
#define LANES LANES_2
#elif VECTOR_LANES == 4
#define LANES LANES_4
#elif VECTOR_LANES == 8
#define LANES LANES_8
#else
#define LANES LANES_16
#endif
#define SHUFFLE(a, b, RULE) __builtin_shufflevector(a, b, LANES(RULE))

/* Two vectors interleaved within blocks of 16 bytes: a0 b0 a1 b1 from the lower halves, a2 b2 a3 b3 from the upper. */
#define BLOCK ((ptrdiff_t)(16 / sizeof(REAL)))
#define LOWER_PAIR(l) ((l) / BLOCK * BLOCK + (l) % BLOCK / 2 + (l) % 2 * VL)
#define UPPER_PAIR(l) (LOWER_PAIR(l) + BLOCK / 2)
