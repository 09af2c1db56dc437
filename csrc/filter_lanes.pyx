# The driver of forward for short rows of pixels and whole vectors of filters.
#
# Design:
# As in convolve.pyx, but with the sides of the product exchanged: y (pixels x filters) = windows (pixels x (channel,
# tap)) * weights ((channel, tap) x filters). A row of pixels that would leave lanes of a vector empty is here the left
# side of the tile, read where it is staged, and filters are the lanes. The sums of a band lie as (filter panel, pixel,
# filter) in memory that stays in the cache, and are turned into planes at the end.


cdef int convolve_filter_lanes(
    const Taps *taps,
    Py_ssize_t n,
    Py_ssize_t groups,
    Py_ssize_t channels,        # per group
    Py_ssize_t filters,         # per group
    const real *x,              # IN   (n, groups * channels, taps.h, taps.w)
    const real *weights,        # IN   (groups, panels, channels * taps, nr)
    const real *bias,           # IN   (groups * filters), or NULL
    Py_ssize_t oh,
    Py_ssize_t ow,
    const real *add,            # IN   as y, or NULL
    Ending activation,
    real *y,                    # OUT  (n, groups * filters, oh, ow)
) except -1:
    cdef Py_ssize_t nr = kernels_for(x).nr, task, tasks
    cdef Band band = make_band(taps, oh, ow, kernels_for(x).mr, channels)
    cdef Block offsets = window_offsets(taps, &band, band.channels * taps.count)
    cdef Py_ssize_t staged_size = band.channels * band.plane + nr
    cdef Py_ssize_t per_thread = staged_size + band.rows * ow * ceil_div(filters, nr) * nr
    cdef int threads = threads_for(GEMM_NANOSECONDS * n * groups * filters * channels * taps.count * oh * ow)
    cdef Block scratch = take(threads * per_thread * sizeof(real))
    cdef real *own = <real *>scratch.data
    tasks = n * groups * band.count
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(tasks, schedule="dynamic", chunksize=neighbours(tasks)):
            filter_lanes_band(
                taps, &band, channels, filters, x, weights, bias, oh, ow, add, activation, y, task // band.count,
                task // band.count % groups, task % band.count * band.rows,
                own + omp_get_thread_num() * per_thread, own + omp_get_thread_num() * per_thread + staged_size,
            )
        restore_denormals()
    return 0


cdef void filter_lanes_band(
    const Taps *taps,
    const Band *band,
    Py_ssize_t channels,
    Py_ssize_t filters,
    const real *x,
    const real *weights,
    const real *bias,
    Py_ssize_t oh,
    Py_ssize_t ow,
    const real *add,
    Ending activation,
    real *y,
    Py_ssize_t image_group,     # image * groups + group
    Py_ssize_t group,
    Py_ssize_t out_row,         # the band's first
    real *staged,               # scratch: one block of the image,
    real *sums,                 # and (panels, pixels of the band, nr)
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(x).nr, k = channels * taps.count, rows = min(band.rows, oh - out_row), block, row
    cdef Py_ssize_t channel, count, panel, panels = ceil_div(filters, nr), pixels = rows * ow, plane = oh * ow, tile
    cdef Py_ssize_t first = image_group * filters * plane + out_row * ow
    cdef real *to
    cdef const real *start
    x += image_group * channels * taps.h * taps.w
    y += first
    weights += group * panels * nr * k
    for block in range(ceil_div(channels, band.channels)):
        channel = block * band.channels
        count = min(band.channels, channels - channel)
        stage(taps, band, count, out_row, x + channel * taps.h * taps.w, staged)
        for panel in range(panels):
            start = bias + group * filters + panel * nr if bias != NULL else NULL
            for row in range(rows):
                for tile in range(band.tiles):
                    to = sums + (panel * pixels + row * ow + tile * band.tile) * nr
                    kernels_for(x).product_from(
                        min(band.tile, ow - tile * band.tile), min(nr, filters - panel * nr), count * taps.count,
                        staged + row * taps.sh * band.pitch + tile * band.tile, band.offsets,
                        weights + (panel * k + channel * taps.count) * nr, <const real *>to if block > 0 else start,
                        nr if block > 0 else 0, to, nr,
                    )
    for panel in range(panels):
        kernels_for(x).transpose(
            pixels, min(nr, filters - panel * nr), sums + panel * pixels * nr, nr, y + panel * nr * plane, plane
        )
    finish_rows(filters, plane, pixels, add + first if add != NULL else NULL, activation, y)
