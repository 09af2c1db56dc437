"""Convolution straight from the image (direct.pyx)."""

from kernels cimport Ending, real
from ..jobs cimport Job
from ..parallel cimport Team
from .geometry cimport Convolution, Geometry
from .staging cimport Band, Taps

cdef enum Reading:              # how a register tile reads windows
    IN_PLACE                    # where they are staged
    COPIED                      # from a copy, where those of a tile are together
    AS_ROWS                     # where they are staged, as rows of the tile; its columns are filters

cdef struct Plan:               # a convolution, but for its arrays
    Taps taps
    Band band
    Reading reading
    Py_ssize_t images, groups
    Py_ssize_t channels, filters        # of a group
    Py_ssize_t oh, ow
    Py_ssize_t block, blocks    # filters of a task, whole panels; tasks of a band
    Py_ssize_t width            # of a panel of weights: mr, or nr if filters are columns
    Py_ssize_t row_terms        # terms of a row of taps, where they follow each other; 0: those of a channel do
    Py_ssize_t tap_rows, dh     # rows of taps, and the pixels from one to the next
    Py_ssize_t staged           # elements of a staged block
    const Py_ssize_t *offsets   # of a window's terms in it

cdef struct Product:            # of weights and the windows of one block of channels
    Py_ssize_t filters
    Py_ssize_t terms            # of the block: (channel, tap)
    const void *weights         # (panels, terms, mr), from the block's first term on
    Py_ssize_t panel            # elements from one of its panels to the next
    const Py_ssize_t *offsets   # of the terms in the windows; NULL: they are nr apart
    const void *bias            # (filters,), or NULL
    bint more                   # add to the sums
    void *sums                  # (filters, plane)
    Py_ssize_t plane            # elements from one filter's sums to the next

cdef class Direct(Convolution):
    cdef Plan plan
    cdef object offsets         # the table

    cdef int make_plan(self, const Taps *taps, rows, cols, Reading reading, bint skips_rows) except -1
    cdef void convolve(self, void **arrays, const void *add, void *y, const Team *team) noexcept nogil

cdef Job prepare_direct(const Geometry *geometry, bint single, Ending activation)

cdef void multiply_tile(
    const Product *product, Py_ssize_t panel, Py_ssize_t pixel, Py_ssize_t pixels, const real *windows
) noexcept nogil
