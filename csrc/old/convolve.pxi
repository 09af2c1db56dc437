# The driver of forward and backward-data: a matrix product of weights and windows, read straight from the image.
#
# Design:
# For every image and group, y (filters x pixels) = weights (filters x (channel, tap)) * windows ((channel, tap) x
# pixels). A tap is an offset into the image, so any stride, padding and dilation is a table of offsets. A task is a
# band of output rows of one image and group. It takes the channels in blocks, in order; of a block it first stages the
# rows that the band's windows meet, with the zeros around them, in memory that stays in the cache. A stride is undone
# there: columns that are sw apart are staged side by side. So a tile of pixels of one output row is, for each tap, a
# load of whole vectors, and nothing knows of borders or strides. Where rows are too short for that, a tile takes pixels
# of several rows, and its windows are copied together first (implicit GEMM), or pixels and filters change places in it
# (filter_lanes.pyx).
# A window's terms are those of one channel after another, or, where all channels are one block, of one row of taps
# after another (`Taps.per`). Then an output row leaves out the rows of taps that lie above or below the image: in
# backward-data of LeNet's second layer, more than a quarter of all.


cdef enum:
    TAP_BLOCK = 512             # (channel, tap) rows of windows at a time: 32 kB of 16 floats
    BAND_PIXELS = 256           # pixels of a band, more or less: enough tiles to be worth the staging
    STAGED_ELEMENTS = 1 << 15   # of one block: 128 kB of floats, a part of the second-level cache


cdef enum Windows:              # how a tile reads them
    WHERE_THEY_LIE              # in what is staged
    COPIED                      # together first
    AS_ROWS                     # where they lie, and filters are its columns


cdef struct Taps:               # which pixels of a h x w plane the windows of a convolution meet
    Py_ssize_t h, w             # the plane
    Py_ssize_t sh, sw           # from one window to the next
    Py_ssize_t first_row, first_col     # where window (0, 0) begins: in the padding, if negative
    Py_ssize_t rows, cols       # of a window, from its first tap to its last
    Py_ssize_t count            # taps
    Py_ssize_t per              # taps of a channel that follow each other in a window: all, or those of one row
    const Py_ssize_t *tap_rows  # (count,) row of each tap within its window
    const Py_ssize_t *tap_cols


cdef struct Band:               # how a task works through its rows
    Py_ssize_t rows             # output rows of a band
    Py_ssize_t count            # bands of an image
    Py_ssize_t phase            # staged columns of one position modulo the stride
    Py_ssize_t pitch            # elements of a staged row
    Py_ssize_t plane            # elements of a staged channel
    Py_ssize_t channels         # staged at a time
    Py_ssize_t tiles            # that an output row is cut into
    Py_ssize_t tile             # pixels of one: at most nr
    const Py_ssize_t *offsets   # (channels, taps) of a window's elements in the staged block


cdef Py_ssize_t[:, ::1] tap_table(rows, cols):
    """Every row with every column, as a table (2, taps)."""
    cdef Py_ssize_t[:, ::1] table = np.empty((2, len(rows) * len(cols)), np.intp)
    cdef Py_ssize_t tap = 0, row, col
    for row in rows:
        for col in cols:
            table[0, tap], table[1, tap] = row, col
            tap += 1
    return table


cdef Taps window_taps(h, w, stride, first, Py_ssize_t[:, ::1] table):
    """Windows whose taps are listed in `table`, which must outlive the result."""
    cdef Py_ssize_t last_row = 0, last_col = 0, tap
    for tap in range(table.shape[1]):
        last_row, last_col = max(last_row, table[0, tap]), max(last_col, table[1, tap])
    return Taps(
        h, w, stride[0], stride[1], first[0], first[1], 1 + last_row, 1 + last_col,
        table.shape[1], table.shape[1], &table[0, 0], &table[1, 0],
    )


cdef Band make_band(
    const Taps *taps, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t nr, Py_ssize_t most_channels
):
    cdef Band band
    band.rows = min(oh, ceil_div(BAND_PIXELS, ow))
    band.count = ceil_div(oh, band.rows)
    band.phase = ow + (taps.cols - 1) // taps.sw
    band.pitch = band.phase * taps.sw
    band.plane = ((band.rows - 1) * taps.sh + taps.rows) * band.pitch
    band.channels = min(most_channels, max(1, min(TAP_BLOCK // taps.count, STAGED_ELEMENTS // band.plane)))
    band.tile = ceil_div(ow, ceil_div(ow, nr))
    band.tiles = ceil_div(ow, band.tile)
    band.offsets = NULL
    return band


cdef Block window_offsets(const Taps *taps, Band *band, Py_ssize_t size):
    """The table band.offsets, filled up to `size` with zeros; it lives as long as the result."""
    cdef Block block = take(size * sizeof(Py_ssize_t))
    cdef Py_ssize_t *offsets = <Py_ssize_t *>block.data
    cdef Py_ssize_t c, t
    memset(offsets, 0, size * sizeof(Py_ssize_t))
    for c in range(band.channels):
        for t in range(taps.count):
            offsets[(t // taps.per * band.channels + c) * taps.per + t % taps.per] = (
                c * band.plane + taps.tap_rows[t] * band.pitch
                + taps.tap_cols[t] % taps.sw * band.phase + taps.tap_cols[t] // taps.sw
            )
    band.offsets = offsets
    return block


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
    cdef Py_ssize_t position, first, begin, end, c, row
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
            for row in range(high - low):
                kernels_for(x).copy_apart(end - begin, source + row * taps.w, taps.sw, to + row * band.pitch)


cdef void pack_filters(
    Py_ssize_t filters,
    Py_ssize_t k,
    const real *weight,         # IN   weight[i*row_stride + p*col_stride], i < filters, p < k
    Py_ssize_t row_stride,
    Py_ssize_t col_stride,
    Py_ssize_t width,           # of a panel: mr, or nr
    real *packed,               # OUT  (panels, k, width)
) noexcept nogil:
    cdef Py_ssize_t panel, first
    for panel in range(ceil_div(filters, width)):
        first = panel * width
        kernels_for(weight).pack(
            min(width, filters - first), k, weight + first * row_stride, row_stride, col_stride, width,
            packed + first * k,
        )


cdef struct Direct:             # a convolution, but for its arrays
    Taps taps
    Band band
    Windows windows
    Py_ssize_t groups, channels, filters        # of a group
    Py_ssize_t oh, ow
    Py_ssize_t staged           # elements, of a block of the image


cdef int convolve(
    const Taps *taps,
    Windows windows,
    Py_ssize_t n,
    Py_ssize_t groups,
    Py_ssize_t channels,        # per group
    Py_ssize_t filters,         # per group
    const real *x,              # IN   (n, groups * channels, taps.h, taps.w)
    const real *weights,        # IN   (groups, panels, channels * taps, mr); as rows: nr
    const real *bias,           # IN   (groups * filters), or NULL
    Py_ssize_t oh,
    Py_ssize_t ow,
    const real *add,            # IN   as y, or NULL
    Ending activation,
    real *y,                    # OUT  (n, groups * filters, oh, ow)
) except -1:
    cdef Py_ssize_t mr = kernels_for(x).mr, nr = kernels_for(x).nr, task, tasks, per_thread
    cdef Band band = make_band(taps, oh, ow, mr if windows == AS_ROWS else nr, channels)
    cdef Block offsets = window_offsets(taps, &band, band.channels * taps.count)
    cdef Direct job = Direct(
        taps[0], band, windows, groups, channels, filters, oh, ow, band.channels * band.plane + nr
    )
    per_thread = job.staged
    if windows == COPIED:
        per_thread += (band.channels * taps.count + 1) * nr
    elif windows == AS_ROWS:
        per_thread += band.rows * ow * ceil_div(filters, nr) * nr
    cdef int threads = threads_for(
        GEMM_NANOSECONDS * n * groups * filters * channels * taps.count * ceil_div(oh * ow, nr) * nr
    )
    cdef Block scratch = take(threads * per_thread * sizeof(real))
    cdef real *own = <real *>scratch.data
    tasks = n * groups * band.count
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(tasks, schedule="dynamic", chunksize=neighbours(tasks)):
            convolve_band(
                &job, x, weights, bias, add, activation, y, task // band.count, task % band.count * band.rows,
                own + omp_get_thread_num() * per_thread,
            )
        restore_denormals()
    return 0


cdef void convolve_band(
    const Direct *job,
    const real *x,
    const real *weights,
    const real *bias,
    const real *add,
    Ending activation,
    real *y,
    Py_ssize_t image_group,     # image * groups + group
    Py_ssize_t out_row,         # the band's first
    real *staged,               # scratch: one block of the image, and then what the way to read windows takes
) noexcept nogil:
    cdef Py_ssize_t width = kernels_for(x).nr if job.windows == AS_ROWS else kernels_for(x).mr
    cdef Py_ssize_t group = image_group % job.groups, rows = min(job.band.rows, job.oh - out_row), block, channel, count
    cdef Py_ssize_t plane = job.oh * job.ow, first = image_group * job.filters * plane + out_row * job.ow
    cdef real *other = staged + job.staged
    x += image_group * job.channels * job.taps.h * job.taps.w
    y += first
    weights += group * ceil_div(job.filters, width) * width * job.channels * job.taps.count
    if bias != NULL:
        bias += group * job.filters
    for block in range(ceil_div(job.channels, job.band.channels)):
        channel = block * job.band.channels
        count = min(job.band.channels, job.channels - channel)
        stage(&job.taps, &job.band, count, out_row, x + channel * job.taps.h * job.taps.w, staged)
        if job.windows == WHERE_THEY_LIE:
            multiply_in_place(job, channel, count, out_row, rows, staged, weights, bias, y)
        elif job.windows == COPIED:
            multiply_copies(job, channel, count, rows, staged, other, weights, bias, y)
        else:
            multiply_as_rows(job, channel, count, rows, staged, weights, bias, other)
        weights += count * job.taps.count * width
    if job.windows == AS_ROWS:
        lanes_to_planes(job.filters, rows * job.ow, other, y, plane)
    finish_rows(job.filters, plane, rows * job.ow, add + first if add != NULL else NULL, activation, y)


cdef void multiply_in_place(
    const Direct *job,
    Py_ssize_t channel,         # the block's first
    Py_ssize_t channels,        # of the block
    Py_ssize_t out_row,         # the band's first
    Py_ssize_t rows,
    const real *staged,
    const real *weights,        # from the block's first channel on
    const real *bias,
    real *y,                    # from the band's first row on
) noexcept nogil:
    # Tiles innermost: a panel of weights stays in the first-level cache, and y is written row after row.
    # Few channels make a tile as short as a division takes: here is none.
    cdef Py_ssize_t mr = kernels_for(y).mr, k = job.channels * job.taps.count, panel, row, tile, first, begin, end
    for panel in range(ceil_div(job.filters, mr)):
        for row in range(rows):
            first = (out_row + row) * job.taps.sh + job.taps.first_row
            begin = channels * taps_before(&job.taps, first, 0)
            end = channels * taps_before(&job.taps, first, job.taps.h)
            for tile in range(job.band.tiles):
                multiply_tile(
                    job.oh * job.ow, row * job.ow + tile * job.band.tile,
                    min(job.band.tile, job.ow - tile * job.band.tile), panel * mr, min(mr, job.filters - panel * mr),
                    end - begin, weights + (panel * k + begin) * mr,
                    staged + row * job.taps.sh * job.band.pitch + tile * job.band.tile, job.band.offsets + begin, bias,
                    channel > 0, y,
                )


cdef void multiply_copies(
    const Direct *job,
    Py_ssize_t channel,
    Py_ssize_t channels,
    Py_ssize_t rows,
    const real *staged,
    real *copied,               # scratch: the windows of a tile
    const real *weights,
    const real *bias,
    real *y,
) noexcept nogil:
    cdef Py_ssize_t mr = kernels_for(y).mr, nr = kernels_for(y).nr, k = job.channels * job.taps.count, panel, tile
    cdef Py_ssize_t pixels = rows * job.ow
    for tile in range(ceil_div(pixels, nr)):
        kernels_for(y).pack_windows(
            channels * job.taps.count, job.band.offsets, job.ow, job.taps.sh * job.band.pitch, tile * nr,
            min(nr, pixels - tile * nr), staged, copied,
        )
        for panel in range(ceil_div(job.filters, mr)):
            multiply_tile(
                job.oh * job.ow, tile * nr, min(nr, pixels - tile * nr), panel * mr, min(mr, job.filters - panel * mr),
                channels * job.taps.count, weights + panel * k * mr, copied, NULL, bias, channel > 0, y,
            )


cdef inline Py_ssize_t taps_before(const Taps *taps, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
    """Taps of a window that begins at row `first`, in rows before `end`: as far as they can be left out."""
    cdef Py_ssize_t t = taps.count if end > 0 else 0
    if taps.per == taps.count:
        return t
    t = 0
    while t < taps.count and first + taps.tap_rows[t] < end:
        t += taps.per
    return t


cdef inline void multiply_tile(
    Py_ssize_t plane,           # pixels of a filter's plane, or of the part of it that lies in y
    Py_ssize_t pixel,           # the first
    Py_ssize_t pixels,          # at most nr, side by side
    Py_ssize_t first,           # filter
    Py_ssize_t filters,         # of this panel
    Py_ssize_t k,               # (channel, tap) of this block
    const real *weights,        # IN   (k, mr)
    const real *windows,        # IN   (k, nr), rows at the offsets
    const Py_ssize_t *offsets,  # or NULL: one row after another
    const real *bias,
    bint more,                  # add to y
    real *y,                    # OUT  (filters, plane)
) noexcept nogil:
    cdef Py_ssize_t mr = kernels_for(y).mr, nr = kernels_for(y).nr, start_row = plane if more else 1
    cdef const real *start = NULL
    y += first * plane + pixel
    if more:
        start = y
    elif bias != NULL:
        start = bias + first
    if offsets != NULL:
        kernels_for(y).product_at(filters, pixels, k, weights, windows, offsets, start, start_row, more, y, plane)
    else:
        kernels_for(y).product(
            filters, pixels, k, weights, 1, mr, windows, nr, start, start_row, more, y, plane
        )
