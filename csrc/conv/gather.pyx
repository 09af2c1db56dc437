"""Windows of an image as a matrix (terms x pixels): im2col of some pixels and terms at a time.

# Design:
# A term is a (channel, tap) of a window. For one tap, a run of pixels in an output row meets pixels of x that are a
# stride apart, in each channel at the same place: they are copied for all channels together. So what a run and a tap
# have in common is computed once. With ow = 3:
#
#     pixel of y               0  1  2    3  4  5    6 ...
#     tap 0 of a channel      [run 0 ]  [run 1 ]  [run 2
#     tap 1                   [      ]  [      ]  [
"""

from libc.string cimport memset

from kernels cimport CNNX_ACROSS, kernels_for, real

from ..parallel cimport ceil_div


cdef struct Run:                # pixels side by side in an output row
    Py_ssize_t at, count        # where they begin in a row of the matrix
    Py_ssize_t row, col         # of x, where the first window begins; maybe outside


cdef void gather_windows(
    const Geometry *geometry,
    Py_ssize_t first,           # pixel of y
    Py_ssize_t count,           # pixels, at most CNNX_ACROSS
    Py_ssize_t term,
    Py_ssize_t k,               # terms
    const real *x,              # IN   (channels, h, w)
    real *windows,              # OUT  (k, count), rows `width` apart
    Py_ssize_t width,
) noexcept nogil:
    cdef Geometry g = geometry[0]
    cdef Py_ssize_t taps = g.kh * g.kw, tap, r, row, col, low, high, channel, channels
    cdef Run[CNNX_ACROSS] runs
    cdef Py_ssize_t number = runs_of(&g, first, count, runs)
    cdef const real *source
    cdef real *to
    if leave_image(&g, runs, number):
        for row in range(k):
            memset(windows + row * width, 0, count * sizeof(real))
    for tap in range(taps):
        channel = ceil_div(max(<Py_ssize_t>0, term - tap), taps)
        channels = ceil_div(max(<Py_ssize_t>0, term + k - tap), taps) - channel
        to = windows + (channel * taps + tap - term) * width
        for r in range(number):
            row, col = runs[r].row + tap // g.kw * g.dh, runs[r].col + tap % g.kw * g.dw
            if not 0 <= row < g.h:
                continue
            # From pixel low to high of the run, the tap meets the image.
            low, high = steps(-col, g.sw), min(runs[r].count, steps(g.w - col, g.sw))
            if high <= low:
                continue
            source = x + (channel * g.h + row) * g.w + col + low * g.sw
            if g.sw == 1:
                kernels_for(x).copy_rows(
                    channels, high - low, source, g.h * g.w, 0, to + runs[r].at + low, taps * width, 0
                )
            else:
                kernels_for(x).copy_strided(
                    channels, high - low, source, g.h * g.w, g.sw, to + runs[r].at + low, taps * width
                )


cdef Py_ssize_t runs_of(const Geometry *g, Py_ssize_t first, Py_ssize_t count, Run *runs) noexcept nogil:
    """The runs that these pixels are made of; returns how many."""
    cdef Py_ssize_t number = 0, at = 0, i = first // g.ow, j = first % g.ow
    while at < count:
        runs[number] = Run(at, min(count - at, g.ow - j), i * g.sh - g.top, j * g.sw - g.left)
        at += runs[number].count
        number, i, j = number + 1, i + 1, 0
    return number


cdef bint leave_image(const Geometry *g, const Run *runs, Py_ssize_t number) noexcept nogil:
    """Whether a window has a tap outside of x."""
    cdef Py_ssize_t r
    if runs[0].row < 0 or runs[number - 1].row + (g.kh - 1) * g.dh >= g.h:
        return True
    for r in range(number):
        if runs[r].col < 0 or runs[r].col + (runs[r].count - 1) * g.sw + (g.kw - 1) * g.dw >= g.w:
            return True
    return False


cdef inline Py_ssize_t steps(Py_ssize_t distance, Py_ssize_t stride) noexcept nogil:
    """The least number of strides that go so far; 0 for a negative distance."""
    return 0 if distance <= 0 else distance if stride == 1 else ceil_div(distance, stride)
