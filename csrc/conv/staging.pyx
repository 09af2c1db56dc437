"""Staging: the rows of an image that some windows meet, copied to where windows can be read by whole vectors.

# Design:
# A task computes a band of output rows of one image, and takes the channels in blocks. It first copies the rows of a
# block that its windows meet, with the zeros around them, into scratch memory that stays in the cache. The stride is
# undone there: columns that are sw apart become neighbours. Of a row of w = 7 columns, with padding 1 and sw = 2:
#
#     columns            -1 | 0  1  2  3  4  5  6 | 7  8
#     staged     [ -1  1  3  5  7 ][ 0  2  4  6  8 ]         phase = 5, pitch = 10; columns -1, 7, 8 are zeros
#
# So the pixels that tap (u, v) of neighbouring windows meets are neighbours: tap v = 1 of windows 0 to 3 reads 0 2 4 6.
# A tap is an offset into the staged block, and neither borders nor strides exist for what follows.
"""

import numpy as np

from libc.string cimport memset

from kernels cimport kernels_for, real
from ..parallel cimport ceil_div

cdef enum:
    TAP_BLOCK = 512             # (channel, tap) rows of windows at a time: 32 kB of 16 floats
    BAND_PIXELS = 256           # pixels of a band, more or less: enough tiles to be worth the staging


cdef Taps make_taps(size, stride, first, rows, cols):
    """Windows on an image of this size. first: where window (0, 0) begins; rows, cols: its taps, the first at 0."""
    return Taps(
        size[0], size[1], stride[0], stride[1], first[0], first[1], 1 + max(rows), 1 + max(cols), len(rows) * len(cols)
    )


cdef Band make_band(const Taps *taps, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t width, Py_ssize_t most_channels):
    """Bands of oh x ow windows, in tiles of at most `width` pixels."""
    cdef Band band
    band.rows = min(oh, ceil_div(BAND_PIXELS, ow))
    band.count = ceil_div(oh, band.rows)
    band.phase = ow + (taps.cols - 1) // taps.sw
    band.pitch = band.phase * taps.sw
    band.plane = ((band.rows - 1) * taps.sh + taps.rows) * band.pitch
    band.channels = min(most_channels, max(1, min(TAP_BLOCK // taps.count, STAGED_ELEMENTS // band.plane)))
    band.tile = ceil_div(ow, ceil_div(ow, width))
    band.tiles = ceil_div(ow, band.tile)
    return band


cdef object tap_offsets(const Taps *taps, const Band *band, rows, cols):
    """Offsets of a window's taps in a staged block, from tap (0, 0) of the first channel: (channels, rows, cols)."""
    row, col = np.array(rows, np.intp)[:, None], np.array(cols, np.intp)
    channel = np.arange(band.channels)[:, None, None]
    return channel * band.plane + row * band.pitch + col % taps.sw * band.phase + col // taps.sw


cdef void stage(
    const Taps *taps,
    const Band *band,
    Py_ssize_t channels,
    Py_ssize_t out_row,         # the band's first output row
    const real *x,              # IN   (channels, taps.h, taps.w)
    real *staged,               # OUT  (channels, rows, taps.sw, band.phase)
) noexcept nogil:
    """The rows that the band's windows meet, and zeros where they leave the image."""
    cdef Py_ssize_t rows = band.plane // band.pitch, from_row = out_row * taps.sh + taps.first_row
    cdef Py_ssize_t low = min(rows, max(<Py_ssize_t>0, -from_row)), high = max(low, min(rows, taps.h - from_row))
    cdef Py_ssize_t position, first, begin, end, c
    cdef const real *source
    cdef real *to
    if from_row < 0 or from_row + rows > taps.h or taps.first_col < 0 or taps.first_col + band.pitch > taps.w:
        memset(staged, 0, channels * band.plane * sizeof(real))
    for position in range(taps.sw):
        # Staged column m is column first + m*sw of the image: from begin to end it lies inside.
        first = taps.first_col + position
        begin = min(band.phase, ceil_div(max(<Py_ssize_t>0, -first), taps.sw))
        end = max(begin, min(band.phase, ceil_div(max(<Py_ssize_t>0, taps.w - first), taps.sw)))
        for c in range(channels):
            source = x + (c * taps.h + from_row + low) * taps.w + first + begin * taps.sw
            to = staged + c * band.plane + low * band.pitch + position * band.phase + begin
            if taps.sw == 1:
                kernels_for(x).copy_rows(high - low, end - begin, source, taps.w, 0, to, band.pitch, 0)
                continue
            kernels_for(x).copy_strided(high - low, end - begin, source, taps.w, taps.sw, to, band.pitch)
