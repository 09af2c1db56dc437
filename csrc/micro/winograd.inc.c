/* Winograd's transforms for 3x3 windows at stride 1: 4x4 results from 6x6 inputs by 36 multiplications instead of 144.

   Design:
   A convolution is a product of polynomials. It is evaluated at six points, multiplied there, and interpolated back
   (Winograd 1980; Lavin and Gray, CVPR 2016). The points are 0, 1, -1, 2, -1/2 and infinity, whose matrices have
   smaller entries, and so smaller errors, than the usual 0, +-1, +-2 (Barabasz et al., 2020). With them

       forward and backward-data: 4 results, 3 taps      backward-weight: 3 results (dweight), 4 taps (dy)

   share the transform of x. Each function is one dimension; in two, columns come before rows. Lanes are tiles,
   channels or, before pixels are cut into tiles, columns of pixels: lanes are independent. Columns of pixels that two
   adjacent tiles share are transformed once.
*/

static inline void NAME(transform_x)(const VEC x[6], VEC v[6]) {
    const VEC p = x[4] - x[2], q = x[3] - x[1], even = p - (REAL)1.5 * x[3], odd = x[1] + (REAL)1.5 * x[2] - x[3];
    v[0] = x[0] - x[2] + p - (REAL)1.5 * q;
    v[1] = even - odd;
    v[2] = even + odd;
    v[3] = p + (REAL)0.5 * q;
    v[4] = p - 2 * q;
    v[5] = x[5] - x[3] - q - (REAL)1.5 * p;
}

/* The values of the polynomial with coefficients g at the points, divided by the products of the differences between
   the points. */
static inline void NAME(transform_taps)(int taps, const VEC g[], VEC u[6]) {
    VEC even = g[0] + g[2], odd = g[1], at_two = g[0] + 2 * g[1] + 4 * g[2], at_half = g[0] - g[1] / 2 + g[2] / 4;
    if (taps == 4) odd += g[3], at_two += 8 * g[3], at_half -= g[3] / 8;
    u[0] = g[0];
    u[1] = (even + odd) * (REAL)(-1.0 / 3);
    u[2] = (even - odd) * (REAL)(1.0 / 3);
    u[3] = at_two * (REAL)(1.0 / 15);
    u[4] = at_half * (REAL)(-16.0 / 15);
    u[5] = g[taps - 1];
}

static inline void NAME(interpolate)(int results, const VEC m[6], VEC y[]) {
    const VEC sum = m[1] + m[2], difference = m[1] - m[2];
    y[0] = m[0] + sum + (m[3] + m[4]);
    y[1] = difference + (2 * m[3] - m[4] / 2);
    y[2] = sum + (4 * m[3] + m[4] / 4);
    if (results == 4) y[3] = difference + (8 * m[3] - m[4] / 8) + m[5];
    else y[2] += m[5];
}

static void NAME(winograd_down)(ptrdiff_t n, const REAL *x, REAL *y, ptrdiff_t pitch) {
    for (ptrdiff_t lane = 0; lane < n; lane += VL) {
        VEC column[6], out[6];
        for (int i = 0; i < 6; i++) column[i] = NAME(load)(x + i * pitch + lane);
        NAME(transform_x)(column, out);
        for (int i = 0; i < 6; i++) NAME(store)(y + i * pitch + lane, out[i]);
    }
}

/* The transform of taps x taps coefficients in two dimensions, for one vector of lanes. */
static inline void NAME(taps_in_two)(int taps, const VEC g[4][4], REAL *u, ptrdiff_t point) {
    VEC half[6][4];
    for (int j = 0; j < taps; j++) {
        VEC column[4], out[6];
        for (int i = 0; i < taps; i++) column[i] = g[i][j];
        NAME(transform_taps)(taps, column, out);
        for (int i = 0; i < 6; i++) half[i][j] = out[i];
    }
    for (int i = 0; i < 6; i++) {
        VEC out[6];
        NAME(transform_taps)(taps, half[i], out);
        for (int j = 0; j < 6; j++) NAME(store)(u + (6 * i + j) * point, out[j]);
    }
}

static void NAME(winograd_weight)(ptrdiff_t rows, ptrdiff_t channels, const REAL *weight, ptrdiff_t filter,
                                  ptrdiff_t channel, int rotated, REAL *u, ptrdiff_t point) {
    enum { MR = TILE_ROWS, TOGETHER = 8 };
    _Static_assert(TOGETHER * MR % VL == 0, "the taps of so many channels are whole vectors");
    REAL taps[9][TOGETHER * MR] = {0};
    for (ptrdiff_t first = 0; first < channels; first += TOGETHER, u += TOGETHER * MR) {
        const ptrdiff_t count = channels - first < TOGETHER ? channels - first : TOGETHER;
        for (ptrdiff_t c = 0; c < count; c++)
            for (ptrdiff_t i = 0; i < rows; i++) {
                const REAL *from = weight + i * filter + (first + c) * channel;
                for (int t = 0; t < 9; t++) taps[t][c * MR + i] = from[rotated ? 8 - t : t];
            }
        for (ptrdiff_t lane = 0; lane < count * MR; lane += VL) {
            VEC g[4][4];
            for (int t = 0; t < 9; t++) g[t / 3][t % 3] = NAME(load)(taps[t] + lane);
            NAME(taps_in_two)(3, g, u + lane, point);
        }
    }
}

/* A strip: tiles side by side, whose lanes are channels. If these do not fill the last vector, it begins earlier and
   overlaps the one before, as in gemm.inc.c; fewer than a vector are read and written one by one. */
#define INLINE static inline __attribute__((always_inline))
#define LAST(lane) ((lane) + VL <= s.channels || s.channels < VL ? (lane) : s.channels - VL)

/* One vector, of `count` channels, of the lines from top to bottom. Constants, if that is all. No pixel is selected by
   a condition of its own: within one, the compiler would fuse other multiplications with additions than in a whole
   strip, and rounding would depend on the place of a tile. */
INLINE void NAME(x_lanes)(cnnx_strip s, ptrdiff_t top, ptrdiff_t bottom, ptrdiff_t count, const REAL *x, REAL *v) {
    VEC half[6][6];
    for (ptrdiff_t t = 0; t < s.tiles; t++) {
        for (int i = 0; i < 6 && t > 0; i++) half[i][0] = half[i][4], half[i][1] = half[i][5];
        for (int j = t > 0 ? 2 : 0; j < 6; j++) {
            const ptrdiff_t p = 4 * t + j;
            VEC column[6] = {0}, out[6];
            if (p < s.left || p >= s.right) {
                for (int i = 0; i < 6; i++) half[i][j] = (VEC){0};
                continue;
            }
            const REAL *pixel = x + (p - s.left) * s.pixel;
            for (ptrdiff_t i = top; i < bottom; i++, pixel += s.pitch)
                column[i] = NAME(load_some)(pixel, count, 0);
            NAME(transform_x)(column, out);
            for (int i = 0; i < 6; i++) half[i][j] = out[i];
        }
        for (int i = 0; i < 6; i++) {
            VEC out[6];
            NAME(transform_x)(half[i], out);
            for (int j = 0; j < 6; j++) NAME(store)(v + t * s.tile + (6 * i + j) * s.point, out[j]);
        }
    }
}

static void NAME(winograd_x_strip)(const cnnx_strip *strip, const REAL *x, REAL *v) {
    const cnnx_strip s = *strip;
    for (ptrdiff_t lane = 0; lane < s.channels; lane += VL) {
        const ptrdiff_t at = LAST(lane);
        if (s.channels < VL) NAME(x_lanes)(s, s.top, s.bottom, s.channels, x + at, v + at);
        else if (s.top == 0 && s.bottom == 6) NAME(x_lanes)(s, 0, 6, VL, x + at, v + at);
        else NAME(x_lanes)(s, s.top, s.bottom, VL, x + at, v + at);
    }
}

/* One vector, of `count` channels; a constant, if that is all. The activation is one that is_short, or none. */
INLINE void NAME(y_lanes)(cnnx_strip s, ptrdiff_t count, const REAL *m, VEC shift, const REAL *add,
                          cnnx_activation activation, REAL *y) {
    for (ptrdiff_t t = 0; t < s.tiles; t++) {
        VEC half[4][6];
        for (int j = 0; j < 6; j++) {
            VEC column[6], out[4];
            for (int i = 0; i < 6; i++) column[i] = NAME(load)(m + t * s.tile + (6 * i + j) * s.point);
            NAME(interpolate)(4, column, out);
            for (int i = 0; i < 4; i++) half[i][j] = out[i];
        }
        for (int i = 0; i < 4 && i < s.bottom; i++) {
            VEC out[4];
            NAME(interpolate)(4, half[i], out);
            for (int j = 0; j < 4 && 4 * t + j < s.right; j++) {
                const ptrdiff_t at = i * s.pitch + (4 * t + j) * s.pixel;
                VEC result = out[j] + shift;
                if (add) result += NAME(load_some)(add + at, count, 0);
                if (activation == CNNX_ACTIVATION_relu) result = NAME(activated)(CNNX_ACTIVATION_relu, result);
                if (activation == CNNX_ACTIVATION_relu6) result = NAME(activated)(CNNX_ACTIVATION_relu6, result);
                NAME(store_some)(y + at, result, count);
            }
        }
    }
}

static void NAME(winograd_y_strip)(const cnnx_strip *strip, const REAL *m, const REAL *shift, const REAL *add,
                                   cnnx_activation activation, REAL *y) {
    const cnnx_strip s = *strip;
    const cnnx_activation in_registers = NAME(is_short)(activation) ? activation : CNNX_NO_ACTIVATION;
    for (ptrdiff_t lane = 0; lane < s.channels; lane += VL) {
        const ptrdiff_t at = LAST(lane);
        const VEC start = NAME(load)(shift + at);
        const REAL *more = add ? add + at : NULL;
        if (s.channels < VL) NAME(y_lanes)(s, s.channels, m + at, start, more, in_registers, y + at);
        else NAME(y_lanes)(s, VL, m + at, start, more, in_registers, y + at);
    }
    for (ptrdiff_t i = 0; i < s.bottom && in_registers != activation; i++)
        for (ptrdiff_t p = 0; p < s.right; p++) {
            REAL *pixel = y + i * s.pitch + p * s.pixel;
            NAME(activate)(activation, s.channels, pixel, pixel);
        }
}

#undef INLINE
#undef LAST

static void NAME(winograd_dy_strip)(ptrdiff_t tiles, const REAL *dy, ptrdiff_t pitch, REAL *u, ptrdiff_t tile,
                                    ptrdiff_t point) {
    enum { NR = TILE_VECTORS * VL };
    for (ptrdiff_t t = 0; t < tiles; t++)
        for (ptrdiff_t lane = 0; lane < NR; lane += VL) {
            VEC g[4][4];
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++) g[i][j] = NAME(load)(dy + i * pitch + (4 * t + j) * NR + lane);
            NAME(taps_in_two)(4, g, u + t * tile + lane, point);
        }
}

static void NAME(winograd_dweight)(const REAL *sums, ptrdiff_t point, REAL *dweight) {
    enum { NR = TILE_VECTORS * VL };
    for (ptrdiff_t lane = 0; lane < NR; lane += VL) {
        VEC half[3][6];
        for (int j = 0; j < 6; j++) {
            VEC column[6], out[3];
            for (int i = 0; i < 6; i++) column[i] = NAME(load)(sums + (6 * i + j) * point + lane);
            NAME(interpolate)(3, column, out);
            for (int i = 0; i < 3; i++) half[i][j] = out[i];
        }
        for (int i = 0; i < 3; i++) {
            VEC out[3];
            NAME(interpolate)(3, half[i], out);
            for (int j = 0; j < 3; j++) NAME(store)(dweight + (3 * i + j) * NR + lane, out[j]);
        }
    }
}

/* From rows of pixels to lanes that are tiles: four pixels of VL tiles become four vectors. */
#if VECTOR_LANES >= 4
typedef REAL NAME(quad) __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
#define SAME(l) (l)
#define QUAD_OF(t) (*(const NAME(quad) *)(x + places[t]))
#define TWO_QUADS(t) __builtin_shufflevector(QUAD_OF(t), QUAD_OF((t) + 4), LANES_8(SAME))
#if VECTOR_LANES == 4
#define QUADS_OF(t) QUAD_OF(t)
#elif VECTOR_LANES == 8
#define QUADS_OF(t) TWO_QUADS(t)
#else
#define QUADS_OF(t) __builtin_shufflevector(TWO_QUADS(t), TWO_QUADS((t) + 8), LANES_16(SAME))
#endif
#endif

/* pixels[j] = x[places[lane] + j], j < 4 */
static inline void NAME(pixels_of_tiles)(const REAL *x, const ptrdiff_t *places, VEC pixels[4]) {
#if VECTOR_LANES >= 4
    for (int s = 0; s < 4; s++) pixels[s] = QUADS_OF(s);
    NAME(transpose_squares)(4, pixels);
#else
    for (int j = 0; j < 4; j++) pixels[j] = (VEC){x[places[0] + j], x[places[1] + j]};
#endif
}

static void NAME(winograd_across)(const REAL *x, ptrdiff_t pitch, const ptrdiff_t *places, REAL *v, ptrdiff_t point) {
    for (ptrdiff_t lane = 0; lane < TILE_VECTORS * VL; lane += VL)
        for (int i = 0; i < 6; i++) {
            VEC pixels[8], out[6];
            NAME(pixels_of_tiles)(x + i * pitch, places + lane, pixels);
            NAME(pixels_of_tiles)(x + i * pitch + 4, places + lane, pixels + 4);
            NAME(transform_x)(pixels, out);
            for (int j = 0; j < 6; j++) NAME(store)(v + (6 * i + j) * point + lane, out[j]);
        }
}

/* And back: x[places[lane] + j] = pixels[j], j < 4 */
static inline void NAME(pixels_to_tiles)(VEC pixels[4], REAL *x, const ptrdiff_t *places) {
#if VECTOR_LANES >= 4
    NAME(transpose_squares)(4, pixels);
    for (int lane = 0; lane < VL; lane++)
        *(NAME(quad) *)(x + places[lane]) = ((const NAME(quad) *)&pixels[lane % 4])[lane / 4];
#else
    for (int j = 0; j < 4; j++)
        for (int lane = 0; lane < VL; lane++) x[places[lane] + j] = pixels[j][lane];
#endif
}

static void NAME(winograd_y)(const REAL *m, ptrdiff_t point, REAL shift, const ptrdiff_t *places, REAL *y,
                             ptrdiff_t pitch) {
    for (ptrdiff_t lane = 0; lane < TILE_VECTORS * VL; lane += VL) {
        VEC half[4][6];
        for (int j = 0; j < 6; j++) {
            VEC column[6], out[4];
            for (int i = 0; i < 6; i++) column[i] = NAME(load)(m + (6 * i + j) * point + lane);
            NAME(interpolate)(4, column, out);
            for (int i = 0; i < 4; i++) half[i][j] = out[i];
        }
        for (int i = 0; i < 4; i++) {
            VEC pixels[4];
            NAME(interpolate)(4, half[i], pixels);
            for (int j = 0; j < 4; j++) pixels[j] += shift;
            NAME(pixels_to_tiles)(pixels, y + i * pitch, places + lane);
        }
    }
}

#undef SAME
#undef QUAD_OF
#undef TWO_QUADS
#undef QUADS_OF
