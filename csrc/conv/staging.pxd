"""Rows of an image, staged for the windows that meet them (staging.pyx)."""

from kernels cimport real

cdef enum:
    STAGED_ELEMENTS = 1 << 15   # of a block of channels: 128 kB of floats, a part of the second-level cache

cdef struct Taps:               # which pixels of an image the windows of a convolution meet
    Py_ssize_t h, w             # the image
    Py_ssize_t sh, sw           # stride
    Py_ssize_t first_row, first_col     # of window (0, 0) in the image; negative in the padding
    Py_ssize_t rows, cols       # of a window, from its first tap to its last
    Py_ssize_t count            # taps

cdef struct Band:               # the output rows of a task, and how the rows that their windows meet are staged
    Py_ssize_t rows             # output rows
    Py_ssize_t count            # bands of an image
    Py_ssize_t phase            # staged columns at one position modulo the stride
    Py_ssize_t pitch            # elements of a staged row
    Py_ssize_t plane            # elements of a staged channel
    Py_ssize_t channels         # staged at a time
    Py_ssize_t tiles            # of an output row
    Py_ssize_t tile             # pixels of one: at most the width of a register tile

cdef Taps make_taps(size, stride, first, rows, cols)
cdef Band make_band(const Taps *taps, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t width, Py_ssize_t most_channels)
cdef object tap_offsets(const Taps *taps, const Band *band, rows, cols)
cdef void stage(
    const Taps *taps, const Band *band, Py_ssize_t channels, Py_ssize_t out_row, const real *x, real *staged
) noexcept nogil
