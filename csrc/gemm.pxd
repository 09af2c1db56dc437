"""Matrix products (gemm.pyx)."""

from kernels cimport CNNX_MR_MULTIPLE, Ending, real

cdef enum:
    K_BLOCK = 256           # rows of a panel: with two vectors of columns, half of the first-level cache
    ROW_BLOCK = 11 * CNNX_MR_MULTIPLE   # rows of a block: its A takes half of a second-level cache
    COLUMN_BLOCK = 256      # columns of a block at most


cdef struct Matrix:         # that is read: element (i, j) is data[i*row + j*col]
    const void *data        # NULL, where it is optional: zeros
    Py_ssize_t row, col


cdef struct Output:         # a matrix that is written: element (i, j) is data[i*row + j]
    void *data
    Py_ssize_t row


cdef struct Product:        # C (rows x cols, contiguous) = activation(bias + A (rows x k) * B (k x cols))
    Py_ssize_t rows, cols, k
    Matrix a, b
    const void *bias        # (cols,), or NULL
    Ending activation
    void *c
    Py_ssize_t height, width            # of a block of C: a task
    Py_ssize_t across, tasks            # blocks side by side, and all
    Py_ssize_t scratch                  # elements of a thread


cdef Product product_of(Py_ssize_t rows, Py_ssize_t cols, Py_ssize_t k, Py_ssize_t mr, Py_ssize_t nr) noexcept nogil
cdef void product_task(const Product *p, Py_ssize_t task, real *scratch) noexcept nogil
cdef Py_ssize_t multiply_scratch(Py_ssize_t rows, Py_ssize_t k, Py_ssize_t nr) noexcept nogil
cdef void multiply_block(
    Py_ssize_t rows, Py_ssize_t cols, Py_ssize_t k, Matrix a, Matrix b, Matrix start, Output c, real *scratch
) noexcept nogil
