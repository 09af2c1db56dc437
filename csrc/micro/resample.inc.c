/* Rows of an image of another size. Plain loops, which the compiler vectorises. */

static void NAME(blend)(ptrdiff_t n, const REAL *x, REAL share_x, const REAL *y, REAL share_y, REAL *restrict z) {
    for (ptrdiff_t i = 0; i < n; i++) z[i] = x[i] * share_x + y[i] * share_y;
}

static void NAME(add_scaled)(ptrdiff_t n, const REAL *restrict x, REAL scale, REAL *restrict y) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] += x[i] * scale;
}

static void NAME(add_pairs)(ptrdiff_t n, const REAL *restrict x, REAL *restrict y) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = x[2 * i] + x[2 * i + 1];
}

static void NAME(read_between)(ptrdiff_t n, ptrdiff_t w, const ptrdiff_t *restrict pixels, const REAL *restrict shares,
                               const REAL *restrict x, REAL *restrict y) {
    while (n > 0 && pixels[n - 1] == w - 1) { /* the last pixel is its own right neighbour */
        n--;
        y[n] = x[w - 1] * shares[2 * n] + x[w - 1] * shares[2 * n + 1];
    }
    for (ptrdiff_t j = 0; j < n; j++) y[j] = x[pixels[j]] * shares[2 * j] + x[pixels[j] + 1] * shares[2 * j + 1];
}

static void NAME(write_between)(ptrdiff_t n, ptrdiff_t w, const ptrdiff_t *restrict pixels,
                                const ptrdiff_t *restrict begins, const REAL *restrict shares, const REAL *restrict dy,
                                REAL *restrict dx) {
    if (n < w) { /* most pixels are read once or not at all */
        memset(dx, 0, w * sizeof(REAL));
        for (ptrdiff_t j = 0; j < n; j++) {
            const ptrdiff_t p = pixels[j];
            dx[p] += dy[j] * shares[2 * j];
            dx[p + 1 < w ? p + 1 : p] += dy[j] * shares[2 * j + 1];
        }
        return;
    }
    REAL next = 0; /* the share of this pixel in what was read at the pixel before */
    for (ptrdiff_t s = 0; s < w; s++) {
        REAL total = next;
        next = 0;
        for (ptrdiff_t j = begins[s]; j < begins[s + 1]; j++) {
            total += dy[j] * shares[2 * j];
            next += dy[j] * shares[2 * j + 1];
        }
        dx[s] = total;
    }
    dx[w - 1] += next;
}
