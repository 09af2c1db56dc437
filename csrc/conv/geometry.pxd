"""The geometry of a convolution, and what the jobs of all algorithms have in common (geometry.pyx)."""

from kernels cimport Ending, real
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
    cdef readonly object choice         # what choose.py was asked for

    cdef int set_up(
        self, const Geometry *geometry, Direction direction, str name, bint single, Ending activation
    ) except -1

cdef bint is_dense(const Geometry *geometry) noexcept
cdef object tap_rows(const Geometry *geometry)
cdef object tap_cols(const Geometry *geometry)


cdef struct Lattice:    # along one axis: outputs a stride apart, and the inputs that their taps read
    Py_ssize_t count                    # outputs
    Py_ssize_t first, stride            # output k is pixel first + k*stride
    Py_ssize_t source, source_stride    # its first tap reads pixel source + k*source_stride, maybe outside
    Py_ssize_t taps, tap_stride         # tap t < taps the one t*tap_stride further on,
    Py_ssize_t cell, cell_stride        # by the weight in place cell + t*cell_stride of the kernel


cdef Lattice forward_lattice(
    Py_ssize_t size, Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t padding, Py_ssize_t dilation
) noexcept
cdef Lattice backward_lattice(
    Py_ssize_t first, Py_ssize_t size, Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t padding, Py_ssize_t dilation
) noexcept


cdef enum:              # backward-weight: groups of images, each with a sum of its own; these are added in order
    MOST_IMAGE_GROUPS = 16
    IMAGE_GROUPS_ELEMENTS = 1 << 20     # all groups' sums together: 4 MB of floats, within the second-level caches

cdef Py_ssize_t image_groups(Py_ssize_t most, Py_ssize_t elements) noexcept
cdef void add_bias_sums(
    Py_ssize_t image_groups, Py_ssize_t filters, const double *bias_sums, real *dbias
) noexcept nogil
