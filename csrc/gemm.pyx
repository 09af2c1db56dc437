# Matrix product of any two strided matrices: pack both into panels, then one register tile at a time.
#
# Design:
# C (rows x cols, contiguous rows) += A (rows x k) * B (k x cols). Panels of A hold mr rows, panels of B nr columns, both
# with k outermost, so that the tile kernel reads them straight through; the last panel is filled up with zeros. k is
# cut into blocks of K_BLOCK, so that the two panel pieces of a tile stay in the cache. A task is one panel of B against
# a run of panels of A; each element of C belongs to one task, which adds its k blocks in order.

from cython.parallel cimport prange

cdef enum:
    K_BLOCK = 256           # 16 kB of a panel of 16 floats: half of the first-level cache
    PANELS_PER_TASK = 16    # panels of A

cdef double GEMM_NANOSECONDS = 1.0 / 40    # a multiplication and an addition, on one thread


cdef void gemm_tile(
    Py_ssize_t k,
    const real *a,          # IN   panel (k, mr)
    const real *b,          # IN   panel (k, nr)
    Py_ssize_t rows,
    Py_ssize_t cols,
    real *c,                # OUT  += (rows, cols), of a matrix with rows ldc apart
    Py_ssize_t ldc,
) noexcept nogil:
    """One tile, of which only rows x cols are wanted."""
    cdef real whole[CNNX_MAX_TILE]
    cdef Py_ssize_t i, j, mr = kernels_for(a).mr, nr = kernels_for(a).nr
    if rows == mr and cols == nr:
        kernels_for(a).gemm(k, a, b, c, ldc)
        return
    memset(whole, 0, mr * nr * sizeof(real))
    kernels_for(a).gemm(k, a, b, whole, nr)
    for i in range(rows):
        for j in range(cols):
            c[i * ldc + j] += whole[i * nr + j]


cdef int gemm(
    Py_ssize_t rows,
    Py_ssize_t cols,
    Py_ssize_t k,
    const real *a,          # IN   a[i*a_row + p*a_col]
    Py_ssize_t a_row,
    Py_ssize_t a_col,
    const real *b,          # IN   b[p*b_row + j*b_col]
    Py_ssize_t b_row,
    Py_ssize_t b_col,
    Ending activation,      # of the sum
    real *c,                # OUT  += c[i*cols + j]
) except -1:
    cdef Py_ssize_t mr = kernels_for(a).mr, nr = kernels_for(a).nr
    cdef Py_ssize_t a_panels = ceil_div(rows, mr), b_panels = ceil_div(cols, nr)
    cdef Py_ssize_t runs = ceil_div(a_panels, PANELS_PER_TASK)
    cdef Block a_block = take(a_panels * mr * k * sizeof(real))
    cdef Block b_block = take(b_panels * nr * k * sizeof(real))
    cdef real *a_packed = <real *>a_block.data
    cdef real *b_packed = <real *>b_block.data
    cdef Py_ssize_t panel, task
    cdef int threads = threads_for(GEMM_NANOSECONDS * rows * cols * k)

    for panel in prange(a_panels, nogil=True, schedule="static", num_threads=threads):
        kernels_for(a).pack(
            min(mr, rows - panel * mr), k, a + panel * mr * a_row, a_row, a_col, mr, a_packed + panel * mr * k
        )
    for panel in prange(b_panels, nogil=True, schedule="static", num_threads=threads):
        kernels_for(b).pack(
            min(nr, cols - panel * nr), k, b + panel * nr * b_col, b_col, b_row, nr, b_packed + panel * nr * k
        )
    for task in prange(b_panels * runs, nogil=True, schedule="dynamic", num_threads=threads):
        gemm_task(rows, cols, k, a_packed, b_packed, task % runs, task // runs, activation, c)
    return 0


cdef void gemm_task(
    Py_ssize_t rows,
    Py_ssize_t cols,
    Py_ssize_t k,
    const real *a_packed,   # IN   (a_panels, k, mr)
    const real *b_packed,   # IN   (b_panels, k, nr)
    Py_ssize_t run,
    Py_ssize_t b_panel,
    Ending activation,
    real *c,                # OUT  +=
) noexcept nogil:
    """One panel of B against a run of panels of A."""
    cdef Py_ssize_t mr = kernels_for(c).mr, nr = kernels_for(c).nr
    cdef Py_ssize_t first = run * PANELS_PER_TASK, last = min(ceil_div(rows, mr), first + PANELS_PER_TASK)
    cdef Py_ssize_t panel, start = 0
    while start < k:
        for panel in range(first, last):
            gemm_tile(
                min(<Py_ssize_t>K_BLOCK, k - start),
                a_packed + (panel * k + start) * mr,
                b_packed + (b_panel * k + start) * nr,
                min(mr, rows - panel * mr),
                min(nr, cols - b_panel * nr),
                c + panel * mr * cols + b_panel * nr,
                cols,
            )
        start += K_BLOCK
    finish_rows(
        min(last * mr, rows) - first * mr, cols, min(nr, cols - b_panel * nr), <const real *>NULL, activation,
        c + first * mr * cols + b_panel * nr,
    )
