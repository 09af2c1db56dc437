# Matrix product of any two strided matrices, by blocks of C; each brings what it reads into the caches itself.
#
# Design:
# C (rows x cols, contiguous rows) = start + A (rows x k) * B (k x cols), after Goto and van de Geijn, Anatomy of High-
# Performance Matrix Multiplication (2008), and Van Zee and van de Geijn, BLIS (2015). k is cut into blocks, so that the
# piece of B that a register tile reads, a panel of nr columns, stays in the first-level cache while all rows of the
# block pass by it; their piece of A stays in the second. Panels are packed just before: this makes their rows
# neighbours, and transposes where B's columns are contiguous. For a few rows of C that does not pay, and B is read
# where it lies, a few of its rows at a time; but not the columns left that fill no vector: what lies beyond the last of
# them is not B's. A is never transposed, the tile takes it by any two steps; if several panels pass by it, its
# contiguous lines are copied close together, away from strides that meet in one set of a cache.
# The first block of k stores, beginning with `start` (a bias), the others add; so C needs no zeros before.

from cython.parallel cimport prange

cdef enum:
    K_BLOCK = 256           # rows of a panel: with two vectors of columns, half of the first-level cache
    K_BLOCK_IN_PLACE = 16   # rows of B at a time, where it is read where it lies
    ROW_BLOCK = 264         # rows of a block, a multiple of every mr: its A takes half of a second-level cache
    COLUMN_BLOCK = 256      # columns of a block at most,
    BLOCKS = 8              # and so few that there are so many blocks, for the threads to share
    ROWS_IN_PLACE = 12      # up to so many rows of C, B is not packed
    PANELS_AT_A_TIME = 4    # packed together, a strip of rows after the other: then whole cache lines of B are read
    STRIP = 16              # rows of B
    LINE_GAP = 16           # elements between copied lines of A: then they fall into different sets



cdef struct Steps:          # elements of a matrix from one row, or column, to the next
    Py_ssize_t row, col


cdef int gemm(
    Py_ssize_t rows,
    Py_ssize_t cols,
    Py_ssize_t k,
    const real *a,          # IN   (rows, k)
    Steps a_steps,
    const real *b,          # IN   (k, cols)
    Steps b_steps,
    const real *bias,       # IN   (cols), or NULL
    Ending activation,      # of the sum
    real *c,                # OUT  (rows, cols), contiguous
) except -1:
    """All blocks. Each belongs to one thread, which adds its blocks of k in order."""
    cdef Py_ssize_t mr = kernels_for(a).mr, nr = kernels_for(a).nr, down = ceil_div(rows, ROW_BLOCK), row, col, task
    cdef Py_ssize_t height = ceil_div(ceil_div(rows, down), mr) * mr
    cdef Py_ssize_t width = min(COLUMN_BLOCK // nr, ceil_div(ceil_div(cols, ceil_div(BLOCKS, down)), nr)) * nr
    cdef Py_ssize_t across = ceil_div(cols, width), per_thread = multiply_scratch(height, k, nr)
    cdef int threads = threads_for(GEMM_NANOSECONDS * rows * cols * k)
    cdef Block block = take(threads * per_thread * sizeof(real))
    cdef real *scratch = <real *>block.data
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(rows, height) * across, schedule="dynamic"):
            row = task // across * height
            col = task % across * width
            multiply_block(
                min(height, rows - row), min(width, cols - col), k, a + row * a_steps.row, a_steps,
                b + col * b_steps.col, b_steps, bias + col if bias != NULL else NULL, Steps(0, 1), c + row * cols + col,
                cols, scratch + omp_get_thread_num() * per_thread,
            )
            finish_rows(
                min(height, rows - row), cols, min(width, cols - col), <const real *>NULL, activation,
                c + row * cols + col
            )
        restore_denormals()
    return 0


cdef Py_ssize_t multiply_scratch(Py_ssize_t rows, Py_ssize_t k, Py_ssize_t nr) noexcept nogil:
    """Elements that `multiply_block` needs: panels of B and a copy of A, of at most K_BLOCK."""
    cdef Py_ssize_t depth = min(k, <Py_ssize_t>K_BLOCK)
    return PANELS_AT_A_TIME * depth * nr + (rows + LINE_GAP) * (depth + LINE_GAP)


cdef void multiply_block(
    Py_ssize_t rows,
    Py_ssize_t cols,
    Py_ssize_t k,
    const real *a,          # IN   (rows, k)
    Steps a_steps,
    const real *b,          # IN   (k, cols)
    Steps b_steps,
    const real *start,      # IN   (rows, cols), or NULL; may be c
    Steps start_steps,      # the column's is 0 or 1
    real *c,                # OUT  (rows, cols)
    Py_ssize_t c_row,
    real *scratch,
) noexcept nogil:
    """One block, on one thread."""
    cdef Py_ssize_t nr = kernels_for(c).nr, group = PANELS_AT_A_TIME * nr
    cdef bint in_place = b_steps.col == 1 and rows <= ROWS_IN_PLACE, packed
    cdef Py_ssize_t blocks = ceil_div(k, K_BLOCK_IN_PLACE if in_place else K_BLOCK), depth = ceil_div(k, blocks)
    cdef Py_ssize_t block, j, panel_cols
    cdef const real *a_block
    cdef const real *panel
    cdef Steps steps
    for block in range(blocks):
        steps = a_steps
        a_block = a + block * depth * a_steps.col
        if cols > nr:
            a_block = copy_lines(rows, min(depth, k - block * depth), a_block, &steps, scratch + group * depth)
        for j in range(ceil_div(cols, nr)):
            panel_cols = min(nr, cols - j * nr)
            panel = b + j * nr * b_steps.col
            packed = not in_place or panel_cols < kernels_for(c).lanes
            if packed:
                if in_place or j % PANELS_AT_A_TIME == 0:
                    pack_panels(min(group, cols - j * nr), min(depth, k - block * depth), panel, b_steps, scratch)
                panel = scratch + (0 if in_place else j % PANELS_AT_A_TIME * nr * min(depth, k - block * depth))
            multiply_panel(
                rows, panel_cols, min(depth, k - block * depth), a_block, steps, panel,
                nr if packed else b_steps.row, start + j * nr * start_steps.col if start != NULL else NULL,
                start_steps, c + j * nr, c_row,
            )
        b += depth * b_steps.row
        start, start_steps = c, Steps(c_row, 1)


cdef const real *copy_lines(
    Py_ssize_t rows,
    Py_ssize_t k,
    const real *a,
    Steps *steps,           # IN   of a;  OUT  of the copy
    real *copy,
) noexcept nogil:
    """A with its contiguous lines, rows or columns, close together."""
    cdef bint by_rows = steps.col == 1
    cdef Py_ssize_t lines = rows if by_rows else k, length = k if by_rows else rows, i
    cdef Py_ssize_t step = steps.row if by_rows else steps.col
    for i in range(lines):
        memcpy(copy + i * (length + LINE_GAP), a + i * step, length * sizeof(real))
    steps[0] = Steps(length + LINE_GAP, 1) if by_rows else Steps(1, length + LINE_GAP)
    return copy


cdef void pack_panels(
    Py_ssize_t cols,
    Py_ssize_t k,
    const real *b,
    Steps steps,
    real *panels,           # OUT  (panels, k, nr)
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(b).nr, rows = STRIP if steps.col == 1 else k, row, strip, j
    for strip in range(ceil_div(k, rows)):
        row = strip * rows
        for j in range(ceil_div(cols, nr)):
            kernels_for(b).pack(
                min(nr, cols - j * nr), min(rows, k - row), b + row * steps.row + j * nr * steps.col,
                steps.col, steps.row, nr, panels + (j * k + row) * nr,
            )


cdef void multiply_panel(
    Py_ssize_t rows,
    Py_ssize_t cols,        # at most nr
    Py_ssize_t k,
    const real *a,
    Steps a_steps,
    const real *panel,
    Py_ssize_t panel_row,
    const real *start,
    Steps start_steps,
    real *c,                # OUT
    Py_ssize_t c_row,
) noexcept nogil:
    """All rows against one panel of B, a register tile at a time."""
    cdef Py_ssize_t mr = kernels_for(c).mr, tile, row
    for tile in range(ceil_div(rows, mr)):
        row = tile * mr
        kernels_for(c).product(
            min(mr, rows - row), cols, k, a + row * a_steps.row, a_steps.row, a_steps.col, panel, panel_row,
            start + row * start_steps.row if start != NULL else NULL, start_steps.row, start_steps.col,
            c + row * c_row, c_row,
        )
