"""The sizes of the kernel set in use that a plan is made of, for floats or doubles."""

from kernels cimport kernels_for

cdef struct Tile:
    Py_ssize_t mr, nr       # rows and columns of the register tile
    Py_ssize_t lanes        # elements of a vector
    size_t element          # bytes


cdef inline Tile tile_of(bint single) noexcept nogil:
    cdef const float *singles = NULL
    cdef const double *doubles = NULL
    if single:
        return Tile(kernels_for(singles).mr, kernels_for(singles).nr, kernels_for(singles).lanes, sizeof(float))
    return Tile(kernels_for(doubles).mr, kernels_for(doubles).nr, kernels_for(doubles).lanes, sizeof(double))
