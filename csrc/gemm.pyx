"""Matrix product of any two strided matrices, by blocks of C; each block brings what it reads into the caches.

# Design:
# C = start + A * B after Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication (2008), and Van Zee
# and van de Geijn, BLIS (2015). k is cut into blocks, so that the piece of B that a register tile reads, a panel of nr
# columns, stays in the first-level cache while all rows of the block pass by it; their piece of A stays in the second.
# Panels are packed just before: this makes their rows neighbours, and transposes where B's columns are contiguous. For
# a few rows of C that does not pay, and B is read in place, a few of its rows at a time; except for the last columns
# that do not fill a vector, because memory beyond them is not B's. A is never transposed, as the tile takes
# any two strides; if several panels pass by it, its contiguous lines are copied close together, away from strides that
# meet in one set of a cache.
# The first block of k stores, beginning with `start` (a bias), the others add: C needs no zeros before.
# With k = 1 (a linear layer's weight gradient for one sample) a row of C is a multiple of B's row: nothing is packed.
"""

from libc.string cimport memcpy

from kernels cimport NO_ACTIVATION, cnnx_tile, kernels_for, real
from .epilogue cimport finish_rows
from .parallel cimport ceil_div

cdef enum:
    K_BLOCK_IN_PLACE = 16   # rows of B at a time, where it is read in place
    BLOCKS = 8              # blocks of C, at least, for the threads to share
    ROWS_IN_PLACE = 12      # up to so many rows of C, B is not packed
    PANELS_AT_A_TIME = 4    # packed together, one strip of rows after another: then whole cache lines of B are read
    STRIP = 16              # rows of B
    LINE_GAP = 16           # elements between copied lines of A: then they fall into different sets


cdef Product product_of(Py_ssize_t rows, Py_ssize_t cols, Py_ssize_t k, Py_ssize_t mr, Py_ssize_t nr) noexcept nogil:
    """The blocks of a product of this size; the caller adds the matrices."""
    cdef Product p
    cdef Py_ssize_t down = ceil_div(rows, ROW_BLOCK)
    p.rows, p.cols, p.k, p.activation = rows, cols, k, NO_ACTIVATION
    p.a = p.b = Matrix(NULL, 0, 0)
    p.bias, p.c = NULL, NULL
    p.height = ceil_div(ceil_div(rows, down), mr) * mr
    p.width = min(COLUMN_BLOCK // nr, ceil_div(ceil_div(cols, ceil_div(BLOCKS, down)), nr)) * nr
    p.across = ceil_div(cols, p.width)
    p.tasks = ceil_div(rows, p.height) * p.across
    p.scratch = multiply_scratch(p.height, k, nr)
    return p


cdef void product_task(const Product *p, Py_ssize_t task, real *scratch) noexcept nogil:
    """One block of C. Its blocks of k are added in order: the same bits on any thread."""
    cdef Py_ssize_t row = task // p.across * p.height, col = task % p.across * p.width
    cdef Py_ssize_t rows = min(p.height, p.rows - row), cols = min(p.width, p.cols - col)
    cdef const real *a = <const real *>p.a.data + row * p.a.row
    cdef const real *b = <const real *>p.b.data + col * p.b.col
    cdef const real *bias = <const real *>p.bias + col if p.bias != NULL else NULL
    cdef real *c = <real *>p.c + row * p.cols + col
    multiply_block(
        rows, cols, p.k, Matrix(a, p.a.row, p.a.col), Matrix(b, p.b.row, p.b.col), Matrix(bias, 0, 1),
        Output(c, p.cols), scratch,
    )
    finish_rows(rows, p.cols, cols, <const real *>NULL, p.activation, c)


cdef Py_ssize_t multiply_scratch(Py_ssize_t rows, Py_ssize_t k, Py_ssize_t nr) noexcept nogil:
    """Elements that `multiply_block` needs: panels of B and a copy of A, of at most K_BLOCK."""
    cdef Py_ssize_t depth = min(k, <Py_ssize_t>K_BLOCK)
    return PANELS_AT_A_TIME * depth * nr + (rows + LINE_GAP) * (depth + LINE_GAP)


cdef void multiply_block(
    Py_ssize_t rows,
    Py_ssize_t cols,
    Py_ssize_t k,
    Matrix a,               # IN   (rows, k)
    Matrix b,               # IN   (k, cols)
    Matrix start,           # IN   (rows, cols), or NULL; may be c; its column stride is 0 or 1
    Output c,               # OUT  (rows, cols)
    real *scratch,
) noexcept nogil:
    """One block, on one thread."""
    cdef Py_ssize_t nr = kernels_for(scratch).nr, group = PANELS_AT_A_TIME * nr
    cdef bint in_place = b.col == 1 and rows <= ROWS_IN_PLACE, packed
    cdef Py_ssize_t blocks = ceil_div(k, K_BLOCK_IN_PLACE if in_place else K_BLOCK), depth = ceil_div(k, blocks)
    cdef Py_ssize_t block, j, count, panel_cols, panel_row
    cdef const real *panel
    cdef Matrix lines, start_panel
    if k == 1 and b.col == 1 and start.data == NULL:
        outer_product(rows, cols, a, <const real *>b.data, c)
        return
    for block in range(blocks):
        count = min(depth, k - block * depth)
        lines = Matrix(<const real *>a.data + block * depth * a.col, a.row, a.col)
        if cols > nr:
            lines = copied_lines(rows, count, lines, scratch + group * depth)
        for j in range(ceil_div(cols, nr)):
            panel_cols = min(nr, cols - j * nr)
            panel, panel_row = <const real *>b.data + j * nr * b.col, b.row
            packed = not in_place or panel_cols < kernels_for(scratch).lanes
            if packed:
                if in_place or j % PANELS_AT_A_TIME == 0:
                    pack_panels(min(group, cols - j * nr), count, Matrix(panel, b.row, b.col), scratch)
                panel, panel_row = scratch + (0 if in_place else j % PANELS_AT_A_TIME * nr * count), nr
            start_panel = start
            if start.data != NULL:
                start_panel.data = <const real *>start.data + j * nr * start.col
            multiply_panel(
                rows, panel_cols, count, lines, panel, panel_row, start_panel,
                Output(<real *>c.data + j * nr, c.row),
            )
        b.data = <const real *>b.data + depth * b.row
        start = Matrix(c.data, c.row, 1)


cdef void outer_product(Py_ssize_t rows, Py_ssize_t cols, Matrix a, const real *b, Output c) noexcept nogil:
    """c[i, j] = 0 + a[i] * b[j]: a zero that is added keeps -0 out, as where sums begin with 0."""
    cdef Py_ssize_t i
    for i in range(rows):
        kernels_for(b).affine(cols, b, 0, (<const real *>a.data)[i * a.row], 0, <real *>c.data + i * c.row)


cdef Matrix copied_lines(Py_ssize_t rows, Py_ssize_t k, Matrix a, real *copy) noexcept nogil:
    """A with its contiguous lines, rows or columns, close together."""
    cdef bint by_rows = a.col == 1
    cdef Py_ssize_t lines = rows if by_rows else k, length = k if by_rows else rows, i
    cdef Py_ssize_t stride = a.row if by_rows else a.col, pitch = length + LINE_GAP
    for i in range(lines):
        memcpy(copy + i * pitch, <const real *>a.data + i * stride, length * sizeof(real))
    return Matrix(copy, pitch, 1) if by_rows else Matrix(copy, 1, pitch)


cdef void pack_panels(
    Py_ssize_t cols,
    Py_ssize_t k,
    Matrix b,
    real *panels,           # OUT  (panels, k, nr)
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(panels).nr, rows = STRIP if b.col == 1 else k, row, strip, j
    for strip in range(ceil_div(k, rows)):
        row = strip * rows
        for j in range(ceil_div(cols, nr)):
            kernels_for(panels).pack(
                min(nr, cols - j * nr), min(rows, k - row), <const real *>b.data + row * b.row + j * nr * b.col,
                b.col, b.row, nr, panels + (j * k + row) * nr,
            )


cdef void multiply_panel(
    Py_ssize_t rows,
    Py_ssize_t cols,        # at most nr
    Py_ssize_t k,
    Matrix a,
    const real *panel,
    Py_ssize_t panel_row,
    Matrix start,
    Output c,
) noexcept nogil:
    """All rows against one panel of B, one register tile at a time."""
    cdef Py_ssize_t mr = kernels_for(panel).mr, i, row
    cdef cnnx_tile tile = cnnx_tile(mr, cols, k, a.row, a.col, panel_row, start.row, start.col, c.row)
    for i in range(ceil_div(rows, mr)):
        row = i * mr
        tile.rows = min(mr, rows - row)
        kernels_for(panel).product(
            &tile, <const real *>a.data + row * a.row, panel,
            <const real *>start.data + row * start.row if start.data != NULL else NULL, <real *>c.data + row * c.row,
        )
