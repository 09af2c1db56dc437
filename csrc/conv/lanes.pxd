"""Planes in lanes (lanes.pyx): the plan of a grouped convolution, and the staging of what it reads."""

from kernels cimport cnnx_lane_windows, real

from .geometry cimport Geometry, Lattice

cdef enum:
    LANE_TASKS = 16             # at least, where there is enough to do


cdef struct LaneClass:          # outputs that have the same taps
    Lattice rows, cols
    Py_ssize_t packed           # elements of the packed weights before its own


cdef struct LanePlan:
    Py_ssize_t lanes
    Py_ssize_t n, groups, blocks        # images, groups, blocks of a lane for each group
    Py_ssize_t inputs, h, w     # planes per group, and their size
    Py_ssize_t outputs, oh, ow
    Py_ssize_t left, pitch      # zeros before a staged row; its pixels with the zeros on both sides
    Py_ssize_t staged_rows      # of a band, at most
    Py_ssize_t band_rows, bands
    Py_ssize_t images           # of a task; several where a band is a whole image
    Py_ssize_t classes
    LaneClass *of_class


cdef LanePlan lane_plan(const Geometry *geometry, bint backward_data, Py_ssize_t lanes, LaneClass *of_class) noexcept
cdef Py_ssize_t class_count(const Geometry *geometry, bint backward_data) noexcept
cdef Py_ssize_t taps_of(const LaneClass *one) noexcept nogil
cdef void band_outputs(
    const LanePlan *plan, const Lattice *rows, Py_ssize_t band, Py_ssize_t *begin, Py_ssize_t *end
) noexcept nogil
cdef Py_ssize_t staged_elements(const LanePlan *plan) noexcept nogil
cdef Py_ssize_t stage_lanes(
    const LanePlan *plan, Py_ssize_t images, Py_ssize_t block, Py_ssize_t band, Py_ssize_t ahead, const real *x,
    real *staged
) noexcept nogil
cdef cnnx_lane_windows lane_windows(
    const LanePlan *plan, const LaneClass *one, Py_ssize_t images, Py_ssize_t rows
) noexcept nogil
