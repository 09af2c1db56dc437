/* Winograd's transforms for 3x3 windows at stride 1: 4x4 results from 6x6 inputs by 36 multiplications instead of 144.

   Design:
   A convolution is a product of polynomials. It is evaluated at six points, multiplied there, and interpolated back
   (Winograd 1980; Lavin and Gray, CVPR 2016). The points are 0, 1, -1, 2, -1/2 and infinity, whose matrices have
   smaller entries, and so smaller errors, than the usual 0, +-1, +-2 (Barabasz et al., 2020). With them

       forward and backward-data: 4 results, 3 taps      backward-weight: 3 results (dweight), 4 taps (dy)

   share the transform of x. Each function is one dimension; `in two` is rows, then columns. Lanes are tiles, or
   channels: what lies beside it is not the transform's concern.
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

/* The polynomial with these coefficients at the points, over the products of the differences of the points. */
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

static void NAME(winograd_x)(const REAL *x, ptrdiff_t row_step, ptrdiff_t col_step, REAL *v, ptrdiff_t step) {
    for (ptrdiff_t lane = 0; lane < TILE_VECTORS * VL; lane += VL) {
        VEC half[6][6];
        for (int j = 0; j < 6; j++) {
            VEC column[6], out[6];
            for (int i = 0; i < 6; i++) column[i] = NAME(load)(x + i * row_step + j * col_step + lane);
            NAME(transform_x)(column, out);
            for (int i = 0; i < 6; i++) half[i][j] = out[i];
        }
        for (int i = 0; i < 6; i++) {
            VEC out[6];
            NAME(transform_x)(half[i], out);
            for (int j = 0; j < 6; j++) NAME(store)(v + (6 * i + j) * step + lane, out[j]);
        }
    }
}

/* One vector of lanes of taps x taps coefficients; element (i, j) of g is a vector. */
static inline void NAME(taps_in_two)(int taps, const VEC g[4][4], REAL *u, ptrdiff_t step) {
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
        for (int j = 0; j < 6; j++) NAME(store)(u + (6 * i + j) * step, out[j]);
    }
}

static void NAME(winograd_weight)(ptrdiff_t rows, ptrdiff_t channels, const REAL *weight, ptrdiff_t row_stride,
                                  ptrdiff_t channel_stride, int rotated, REAL *u, ptrdiff_t step) {
    enum { MR = TILE_ROWS, TOGETHER = 8 };
    REAL taps[9][TOGETHER * MR] = {0};
    for (ptrdiff_t first = 0; first < channels; first += TOGETHER, u += TOGETHER * MR) {
        const ptrdiff_t count = channels - first < TOGETHER ? channels - first : TOGETHER;
        for (ptrdiff_t c = 0; c < count; c++)
            for (ptrdiff_t i = 0; i < rows; i++) {
                const REAL *from = weight + i * row_stride + (first + c) * channel_stride;
                for (int t = 0; t < 9; t++) taps[t][c * MR + i] = from[rotated ? 8 - t : t];
            }
        for (ptrdiff_t lane = 0; lane < count * MR; lane += VL) {
            VEC g[4][4];
            for (int t = 0; t < 9; t++) g[t / 3][t % 3] = NAME(load)(taps[t] + lane);
            NAME(taps_in_two)(3, g, u + lane, step);
        }
    }
}

static void NAME(winograd_y)(const REAL *m, ptrdiff_t step, REAL *y) {
    enum { NR = TILE_VECTORS * VL };
    for (ptrdiff_t lane = 0; lane < NR; lane += VL) {
        VEC half[4][6];
        for (int j = 0; j < 6; j++) {
            VEC column[6], out[4];
            for (int i = 0; i < 6; i++) column[i] = NAME(load)(m + (6 * i + j) * step + lane);
            NAME(interpolate)(4, column, out);
            for (int i = 0; i < 4; i++) half[i][j] = out[i];
        }
        for (int i = 0; i < 4; i++) {
            VEC out[4];
            NAME(interpolate)(4, half[i], out);
            for (int j = 0; j < 4; j++) NAME(store)(y + (4 * i + j) * NR + lane, out[j]);
        }
    }
}

static void NAME(winograd_dy)(const REAL *dy, ptrdiff_t row_step, ptrdiff_t col_step, REAL *u, ptrdiff_t step) {
    for (ptrdiff_t lane = 0; lane < TILE_VECTORS * VL; lane += VL) {
        VEC g[4][4];
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) g[i][j] = NAME(load)(dy + i * row_step + j * col_step + lane);
        NAME(taps_in_two)(4, g, u + lane, step);
    }
}

static void NAME(winograd_dweight)(const REAL *sums, ptrdiff_t step, REAL *dweight) {
    enum { NR = TILE_VECTORS * VL };
    for (ptrdiff_t lane = 0; lane < NR; lane += VL) {
        VEC half[3][6];
        for (int j = 0; j < 6; j++) {
            VEC column[6], out[3];
            for (int i = 0; i < 6; i++) column[i] = NAME(load)(sums + (6 * i + j) * step + lane);
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

/* Between pixels and the columns of tiles. Four tiles at a time are a transpose of quads, a line of a tile each. */
typedef REAL NAME(quad) __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
#define QUAD NAME(quad)

static inline void NAME(transpose_quads)(QUAD q[4]) {
    const QUAD a = __builtin_shufflevector(q[0], q[1], 0, 4, 1, 5), b = __builtin_shufflevector(q[0], q[1], 2, 6, 3, 7);
    const QUAD c = __builtin_shufflevector(q[2], q[3], 0, 4, 1, 5), d = __builtin_shufflevector(q[2], q[3], 2, 6, 3, 7);
    q[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
    q[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
    q[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
    q[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

static void NAME(winograd_gather)(ptrdiff_t tiles, const REAL *x, ptrdiff_t pitch, const ptrdiff_t *places,
                                  REAL *columns, ptrdiff_t step) {
    ptrdiff_t t = 0;
    for (; t + 4 <= tiles; t += 4)
        for (int i = 0; i < 6; i++) {
            QUAD left[4], right[4];
            for (int s = 0; s < 4; s++) {
                left[s] = *(const QUAD *)(x + places[t + s] + i * pitch);
                right[s] = *(const QUAD *)(x + places[t + s] + i * pitch + 4);
            }
            NAME(transpose_quads)(left);
            NAME(transpose_quads)(right);
            for (int j = 0; j < 4; j++) *(QUAD *)(columns + (6 * i + j) * step + t) = left[j];
            for (int j = 0; j < 2; j++) *(QUAD *)(columns + (6 * i + 4 + j) * step + t) = right[j];
        }
    for (; t < tiles; t++)
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < 6; j++) columns[(6 * i + j) * step + t] = x[places[t] + i * pitch + j];
}

/* Line i of a tile, as far as it lies in the image. */
static inline void NAME(put_line)(const cnnx_tile *tile, int i, QUAD line, REAL *y, ptrdiff_t pitch) {
    if (i >= tile->rows) return;
    if (tile->cols == 4) *(QUAD *)(y + tile->place + i * pitch) = line;
    else
        for (ptrdiff_t j = 0; j < tile->cols; j++) y[tile->place + i * pitch + j] = line[j];
}

static void NAME(winograd_scatter)(ptrdiff_t count, const REAL *columns, ptrdiff_t step, REAL shift,
                                   const cnnx_tile *tiles, REAL *y, ptrdiff_t pitch, ptrdiff_t ahead) {
    ptrdiff_t t = 0;
    for (; t + 4 <= count; t += 4)
        for (int i = 0; i < 4; i++) {
            QUAD q[4];
            if (ahead != 0) __builtin_prefetch(y + tiles[t].place + i * pitch + ahead, 1);
            for (int j = 0; j < 4; j++) q[j] = *(const QUAD *)(columns + (4 * i + j) * step + t) + shift;
            NAME(transpose_quads)(q);
            for (int s = 0; s < 4; s++) NAME(put_line)(tiles + t + s, i, q[s], y, pitch);
        }
    for (; t < count; t++)
        for (int i = 0; i < 4; i++) {
            QUAD line;
            for (int j = 0; j < 4; j++) line[j] = columns[(4 * i + j) * step + t] + shift;
            NAME(put_line)(tiles + t, i, line, y, pitch);
        }
}

#undef QUAD
