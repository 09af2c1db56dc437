# The band of convolve.pyx for short rows of pixels and whole vectors of filters.
#
# Design:
# The sides of the product change places: y (pixels x filters) = windows (pixels x (channel, tap)) * weights ((channel,
# tap) x filters). A row of pixels that would leave lanes of a vector empty is here the left side of the tile, read
# where it is staged, and filters are the lanes. The sums of a band lie as (filter panel, pixel, filter) in memory that
# stays in the cache, and are turned into planes at the end.


cdef void multiply_as_rows(
    const Direct *job,
    Py_ssize_t channel,         # the block's first
    Py_ssize_t channels,        # of the block
    Py_ssize_t rows,
    const real *staged,
    const real *weights,        # from the block's first channel on
    const real *bias,
    real *sums,                 # OUT  (panels, pixels of the band, nr)
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(sums).nr, k = job.channels * job.taps.count, panel, row, tile
    cdef const real *start
    cdef real *to
    for panel in range(ceil_div(job.filters, nr)):
        start = bias + panel * nr if bias != NULL else NULL
        for row in range(rows):
            for tile in range(job.band.tiles):
                to = sums + ((panel * rows + row) * job.ow + tile * job.band.tile) * nr
                kernels_for(sums).product_from(
                    min(job.band.tile, job.ow - tile * job.band.tile), min(nr, job.filters - panel * nr),
                    channels * job.taps.count, staged + row * job.taps.sh * job.band.pitch + tile * job.band.tile,
                    job.band.offsets, weights + panel * k * nr, <const real *>to if channel > 0 else start,
                    nr if channel > 0 else 0, to, nr,
                )


cdef void lanes_to_planes(
    Py_ssize_t filters,
    Py_ssize_t pixels,
    const real *sums,           # IN   (panels, pixels, nr)
    real *y,                    # OUT  (filters, pixels)
    Py_ssize_t plane,           # elements from one filter of y to the next
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(y).nr, panel
    for panel in range(ceil_div(filters, nr)):
        kernels_for(y).transpose(
            pixels, min(nr, filters - panel * nr), sums + panel * pixels * nr, nr, y + panel * nr * plane, plane
        )
