/* The register tile of every matrix product: k rank-1 updates of rows x vectors (Goto and van de Geijn 2008).

   Design:
   One body for every size of tile: each call of it below has constant sizes, is inlined and unrolled, and keeps its
   sums in registers. So the last rows of a matrix cost their own multiplications, not those of a whole tile. If the
   columns do not fill the last vector, it begins at `last` and overlaps the one before: nothing is written beyond.
   The rows of b lie a stride apart, or, for a convolution straight from its image, wherever a table of offsets says; or
   so do the columns of a, or its rows and runs of columns, where the image is the left side. cnnx_tile and the matrices
   are passed by value: after inlining each member is a register or a constant.
   What ends a sum (add, activation) is done in registers too, for the activations that take few instructions; others
   follow on the rows of the tile, which are in the cache. Weights that are used once come from memory at the speed of
   the product, if they are prefetched further ahead than the hardware does, which stops at the end of a page.
*/
#define INLINE static inline __attribute__((always_inline))
#define EACH_VECTOR                                                                                                    \
    _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++)                                                            \
        _Pragma("GCC unroll 4") for (int j = 0; j < vectors; j++)
#define AT(j) ((j) == vectors - 1 ? last : (j) * VL)
#define ROW_VECTORS ((TILE_ROWS + VECTOR_LANES - 1) / VECTOR_LANES)
#define FEW_COLUMNS 2 /* each takes a third of a vector of them */
#define CACHE_LINE 64
#define AHEAD (4096 / (ptrdiff_t)sizeof(REAL))

/* The matrices of a product; an offset for each column of a or row of b, or NULL: they lie a stride apart. runs: as in
   product_of_runs, or NULL. The last three: as in product_to_end, and how far ahead the weights are prefetched, which
   are b if a has offsets or runs, else a; 0 disables. */
typedef struct {
    const REAL *a, *b;
    const ptrdiff_t *a_offsets, *b_offsets;
    const cnnx_runs *runs;
    const REAL *start;
    REAL *c;
    const REAL *add;
    cnnx_activation activation;
    ptrdiff_t ahead;
} NAME(matrices);

/* The sums of a tile whose left side consists of runs. The pointers to its rows take the registers that are left. */
INLINE void NAME(add_runs)(const int rows, const int vectors, ptrdiff_t last, NAME(matrices) m,
                           VEC sum[TILE_ROWS][TILE_VECTORS]) {
    const REAL *line[TILE_ROWS], *from = m.b;
    for (int i = 0; i < rows; i++) line[i] = m.a + m.runs->rows[i];
    for (ptrdiff_t r = 0; r < m.runs->count; r++)
        for (ptrdiff_t p = m.runs->runs[r], end = p + m.runs->length; p < end; p++, from += TILE_VECTORS * VL) {
            VEC row[TILE_VECTORS];
            for (int j = 0; j < vectors; j++) {
                if (j * VECTOR_BYTES % CACHE_LINE == 0) __builtin_prefetch(from + AT(j) + m.ahead);
                row[j] = NAME(load)(from + AT(j));
            }
            for (int i = 0; i < rows; i++)
                for (int j = 0; j < vectors; j++) sum[i][j] += line[i][p] * row[j];
        }
}

INLINE void NAME(tile)(const int rows, const int vectors, ptrdiff_t last, cnnx_tile s, NAME(matrices) m) {
    VEC sum[TILE_ROWS][TILE_VECTORS];
    EACH_VECTOR sum[i][j] = (VEC){0}; /* not = {0}: that clears memory, which can take as long as a short sum */
    _Pragma("GCC unroll 16") for (int i = 0; i < rows; i++) {
        __builtin_prefetch(m.c + i * s.c_row, 1);
        if (m.add) __builtin_prefetch(m.add + i * s.c_row);
    }
    if (m.runs) NAME(add_runs)(rows, vectors, last, m, sum);
    for (ptrdiff_t p = 0; p < s.k && !m.runs; p++) {
        const REAL *left = m.a_offsets ? m.a + m.a_offsets[p] : m.a + p * s.a_col;
        const REAL *from = m.b_offsets ? m.b + m.b_offsets[p] : m.b + p * s.b_row;
        if (m.ahead && !m.a_offsets) __builtin_prefetch(left + m.ahead);
        for (int j = 0; j < vectors && m.ahead && m.a_offsets; j++)
            if (j * VECTOR_BYTES % CACHE_LINE == 0) __builtin_prefetch(from + AT(j) + m.ahead);
        VEC row[TILE_VECTORS];
        for (int j = 0; j < vectors; j++) row[j] = NAME(load)(from + AT(j));
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < vectors; j++) sum[i][j] += left[i * s.a_row] * row[j];
    }
    /* All of start is read before c is written: it may be c, whose last two vectors may overlap. */
    if (m.start && s.start_col)
        EACH_VECTOR sum[i][j] += NAME(load)(m.start + i * s.start_row + AT(j));
    else if (m.start)
        EACH_VECTOR sum[i][j] += m.start[i * s.start_row];
    if (m.add) EACH_VECTOR sum[i][j] += NAME(load)(m.add + i * s.c_row + AT(j));
    if (m.activation == CNNX_ACTIVATION_relu)
        EACH_VECTOR sum[i][j] = NAME(activated)(CNNX_ACTIVATION_relu, sum[i][j]);
    else if (m.activation == CNNX_ACTIVATION_relu6)
        EACH_VECTOR sum[i][j] = NAME(activated)(CNNX_ACTIVATION_relu6, sum[i][j]);
    EACH_VECTOR NAME(store)(m.c + i * s.c_row + AT(j), sum[i][j]);
}

INLINE void NAME(tile_of_vectors)(const int vectors, ptrdiff_t last, cnnx_tile s, NAME(matrices) m) {
#define ROWS(n)                                                                                                        \
    case n:                                                                                                            \
        if (n <= TILE_ROWS) NAME(tile)(n, vectors, last, s, m);                                                        \
        break
    switch (s.rows) {
        ROWS(1); ROWS(2); ROWS(3); ROWS(4); ROWS(5); ROWS(6); ROWS(7); ROWS(8); ROWS(9); ROWS(10); ROWS(11); ROWS(12);
    }
#undef ROWS
}

INLINE void NAME(part_of_tile)(cnnx_tile s, NAME(matrices) m) {
    if (s.cols > (TILE_VECTORS - 1) * VL)
        NAME(tile_of_vectors)(TILE_VECTORS, s.cols - VL, s, m);
    else if (s.cols > VL)
        NAME(tile_of_vectors)(2, s.cols - VL, s, m);
    else if (s.cols == VL)
        NAME(tile_of_vectors)(1, 0, s, m);
    else {
        REAL sums[TILE_ROWS * VL] = {0};
        cnnx_tile whole = s;
        NAME(matrices) to_sums = m;
        whole.c_row = VL, to_sums.c = sums;
        to_sums.start = to_sums.add = NULL, to_sums.activation = CNNX_NO_ACTIVATION;
        NAME(tile_of_vectors)(1, 0, whole, to_sums);
        for (ptrdiff_t i = 0; i < s.rows; i++)
            for (ptrdiff_t j = 0; j < s.cols; j++) {
                REAL *sum = sums + i * VL + j;
                *sum += m.start ? m.start[i * s.start_row + j * s.start_col] : 0;
                if (m.add) *sum += m.add[i * s.c_row + j];
            }
        if (m.activation != CNNX_NO_ACTIVATION) NAME(activate)(m.activation, s.rows * VL, sums, sums);
        for (ptrdiff_t i = 0; i < s.rows; i++)
            for (ptrdiff_t j = 0; j < s.cols; j++) m.c[i * s.c_row + j] = sums[i * VL + j];
    }
}

static void NAME(product)(const cnnx_tile *tile, const REAL *a, const REAL *b, const REAL *start, REAL *c) {
    cnnx_tile s = *tile;
    const NAME(matrices) m = {.a = a, .b = b, .start = start, .c = c};
    if (s.a_row == 1) {
        s.a_row = 1; /* a constant: the columns of a panel are side by side */
        NAME(part_of_tile)(s, m);
    } else
        NAME(part_of_tile)(s, m);
}

/* A column of a panel a times b: the rows are the lanes, and four sums in turn need not wait for each other. */
INLINE void NAME(column)(ptrdiff_t k, const REAL *a, const REAL *b, ptrdiff_t b_row, VEC *sum) {
    enum { SUMS = 4 };
    VEC parts[SUMS][ROW_VECTORS];
    for (int q = 0; q < SUMS; q++)
        for (int v = 0; v < ROW_VECTORS; v++) parts[q][v] = (VEC){0};
    ptrdiff_t p = 0;
    for (; p + SUMS < k; p += SUMS)
        for (int q = 0; q < SUMS; q++)
            for (int v = 0; v < ROW_VECTORS; v++)
                parts[q][v] += NAME(load)(a + (p + q) * TILE_ROWS + v * VL) * b[(p + q) * b_row];
    for (; p < k; p++) /* nothing is read beyond the panel */
        for (int v = 0; v < ROW_VECTORS; v++)
            parts[0][v] += NAME(load_some)(a + p * TILE_ROWS + v * VL, TILE_ROWS - v * VL, 0) * b[p * b_row];
    for (int v = 0; v < ROW_VECTORS; v++) sum[v] = (parts[0][v] + parts[1][v]) + (parts[2][v] + parts[3][v]);
}

/* product_to_end of columns that are too few to pay for a vector. */
static void NAME(columns_to_end)(cnnx_tile s, NAME(matrices) m, cnnx_activation activation) {
    REAL values[ROW_VECTORS * VL];
    for (ptrdiff_t j = 0; j < s.cols; j++) {
        VEC sum[ROW_VECTORS];
        NAME(column)(s.k, m.a, m.b + j, s.b_row, sum);
        for (int v = 0; v < ROW_VECTORS; v++) NAME(store)(values + v * VL, sum[v]);
        for (ptrdiff_t i = 0; i < s.rows; i++) {
            if (m.start) values[i] += m.start[i * s.start_row + j * s.start_col];
            if (m.add) values[i] += m.add[i * s.c_row + j];
        }
        if (activation != CNNX_NO_ACTIVATION) NAME(activate)(activation, s.rows, values, values);
        for (ptrdiff_t i = 0; i < s.rows; i++) m.c[i * s.c_row + j] = values[i];
    }
}

/* Any part of a tile, then the activation: in registers, or on the rows that were written. */
INLINE void NAME(tile_to_end)(cnnx_tile s, NAME(matrices) m, cnnx_activation activation) {
    const int follows = s.cols >= VL && activation != CNNX_NO_ACTIVATION && !NAME(is_short)(activation);
    m.activation = activation;
    NAME(part_of_tile)(s, m);
    for (ptrdiff_t i = 0; i < s.rows && follows; i++)
        NAME(activate)(activation, s.cols, m.c + i * s.c_row, m.c + i * s.c_row);
}

static void NAME(product_to_end)(const cnnx_tile *tile, const REAL *a, const REAL *b, const REAL *start,
                                 const REAL *add, cnnx_activation activation, REAL *c) {
    cnnx_tile s = *tile;
    NAME(matrices) m = {.a = a, .b = b, .start = start, .c = c, .add = add, .ahead = AHEAD};
    s.a_row = 1, s.a_col = TILE_ROWS;
    if (s.cols < VL && s.cols <= FEW_COLUMNS) {
        NAME(columns_to_end)(s, m, activation);
        return;
    }
    NAME(tile_to_end)(s, m, activation);
}

static void NAME(product_of_runs)(const cnnx_tile *tile, const REAL *a, const cnnx_runs *runs, const REAL *b,
                                  const REAL *start, const REAL *add, cnnx_activation activation, REAL *c) {
    cnnx_tile s = *tile;
    if (!runs) __builtin_unreachable(); /* or the innermost loop would test it */
    s.start_col = 1;
    NAME(tile_to_end)
    (s, (NAME(matrices)){.a = a, .b = b, .runs = runs, .start = start, .c = c, .add = add, .ahead = AHEAD}, activation);
}

static void NAME(product_at)(const cnnx_tile *tile, const REAL *a, const REAL *b, const ptrdiff_t *offsets,
                             const REAL *start, REAL *c) {
    cnnx_tile s = *tile;
    if (!offsets) __builtin_unreachable(); /* or the innermost loop would test it */
    s.a_row = 1, s.a_col = TILE_ROWS;
    NAME(part_of_tile)(s, (NAME(matrices)){.a = a, .b = b, .b_offsets = offsets, .start = start, .c = c});
}

static void NAME(product_from)(const cnnx_tile *tile, const REAL *a, const ptrdiff_t *offsets, const REAL *b,
                               const REAL *start, REAL *c) {
    cnnx_tile s = *tile;
    if (!offsets) __builtin_unreachable(); /* as above */
    s.a_row = 1, s.b_row = TILE_VECTORS * VL, s.start_col = 1;
    NAME(part_of_tile)
    (s, (NAME(matrices)){.a = a, .a_offsets = offsets, .b = b, .start = start, .c = c, .ahead = AHEAD});
}

static void NAME(gemm_strided)(ptrdiff_t k, const REAL *a, ptrdiff_t a_col, const REAL *b, ptrdiff_t b_row, REAL *c,
                               ptrdiff_t c_row) {
    const cnnx_tile s = {
        .k = k, .a_row = 1, .a_col = a_col, .b_row = b_row, .start_row = c_row, .start_col = 1, .c_row = c_row,
    };
    const NAME(matrices) m = {.a = a, .b = b, .start = c, .c = c};
    NAME(tile)(TILE_ROWS, TILE_VECTORS, (TILE_VECTORS - 1) * VL, s, m);
}

#undef INLINE
#undef EACH_VECTOR
#undef AT
#undef ROW_VECTORS
#undef FEW_COLUMNS
#undef CACHE_LINE
#undef AHEAD
