"""The geometry of a convolution, and what the jobs of all algorithms have in common (geometry.pyx)."""

from kernels cimport Ending, kernels_for
from ..jobs cimport Job

cdef enum Direction:
    FORWARD             # y = x * weight + bias
    BACKWARD_DATA       # dx from dy and weight; or y of a transposed convolution, whose x is dy here
    BACKWARD_WEIGHT     # dweight and dbias, from dy and x

cdef enum:              # where an array is in Job.arrays
    ARG_X = 0           # forward
    ARG_WEIGHT = 1      # forward and backward-data
    ARG_BIAS = 2        # the same; may be NULL. In backward-data: what all pixels of a channel of dx begin with
    ARG_ADD = 3         # forward; may be NULL
    ARG_Y = 4
    ARG_DY = 0          # both backward directions
    ARG_DX = 3          # backward-data
    ARG_WINDOWS = 1     # backward-weight: x
    ARG_DWEIGHT = 2
    ARG_DBIAS = 3

cdef struct Geometry:   # the layer's, for all directions: windows of x (n, groups * channels, h, w) meet the weights
    Py_ssize_t n, groups
    Py_ssize_t channels, filters        # of a group: of x, of y
    Py_ssize_t h, w, oh, ow             # pixels of x, of y
    Py_ssize_t kh, kw, sh, sw, dh, dw   # kernel, stride, dilation
    Py_ssize_t top, left                # padding; that at the bottom and right follows from oh and ow

ctypedef Job (*Prepare)(const Geometry *geometry, bint single, Ending activation)

cdef class Convolution(Job):
    cdef Geometry geometry
    cdef bint single
    cdef Ending activation              # forward

    cdef int set_up(
        self, const Geometry *geometry, Direction direction, str name, bint single, Ending activation
    ) except -1

cdef object tap_rows(const Geometry *geometry)
cdef object tap_cols(const Geometry *geometry)


cdef inline Py_ssize_t mr_of(bint single) noexcept nogil:
    """Rows of a register tile."""
    return kernels_for(<const float *>NULL).mr if single else kernels_for(<const double *>NULL).mr


cdef inline Py_ssize_t nr_of(bint single) noexcept nogil:
    """Columns of a register tile."""
    return kernels_for(<const float *>NULL).nr if single else kernels_for(<const double *>NULL).nr


cdef inline size_t bytes_of(bint single, Py_ssize_t elements) noexcept nogil:
    return elements * (sizeof(float) if single else sizeof(double))
