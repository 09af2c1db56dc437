# The driver of forward and backward-data: implicit GEMM, windows packed one tile at a time into the kernel's panel.
#
# Design:
# For every image and group, y (filters x pixels) = weights (filters x (channel, tap)) * windows ((channel, tap) x
# pixels). A tap is an offset into the image, so any stride, padding and dilation is a table of offsets. A task is a band
# of output rows of one image and group. It takes the channels in blocks, in order; of a block it first stages the rows
# that the band's windows meet, with the zeros around them, in memory that stays in the cache. So packing knows no border:
# each run of pixels is a copy of whole vectors. The pixels that are written may lie apart (`Plane`), for backward-data
# with a stride.

from libc.string cimport memcpy

cdef enum:
    TAP_BLOCK = 512             # (channel, tap) rows of a window panel at a time: 32 kB of 16 floats
    BAND_PIXELS = 256           # pixels of a band, more or less: enough tiles to be worth the staging
    STAGED_ELEMENTS = 1 << 15   # of one block: 128 kB of floats, a part of the second-level cache
    FEW_FILTERS = 16            # up to here packing takes longer than multiplying


cdef struct Taps:               # which pixels of a h x w plane the windows of a convolution meet
    Py_ssize_t h, w             # the plane
    Py_ssize_t sh, sw           # from one window to the next
    Py_ssize_t first_row, first_col     # where window (0, 0) begins: in the padding, if negative
    Py_ssize_t rows, cols       # of a window, from its first tap to its last
    Py_ssize_t count            # taps
    const Py_ssize_t *tap_rows  # (count,) row of each tap within its window
    const Py_ssize_t *tap_cols


cdef struct Plane:              # where the pixels that a convolution writes lie
    Py_ssize_t h, w             # rows and columns of them
    Py_ssize_t start            # element of the first
    Py_ssize_t row_step, col_step       # elements from one to the next
    Py_ssize_t size             # elements of the whole plane


cdef struct Band:               # how a task works through its rows
    Py_ssize_t rows             # output rows of a band
    Py_ssize_t count            # bands of an image
    Py_ssize_t pitch            # elements of a staged row
    Py_ssize_t plane            # elements of a staged channel
    Py_ssize_t channels         # staged at a time
    Py_ssize_t line             # pixels that are cut into tiles together: an output row, or the whole band
    Py_ssize_t tile             # pixels of a tile: at most nr
    cnnx_windows windows


cdef inline bint is_dense(const Plane *plane) noexcept nogil:
    """Whether the pixels lie side by side."""
    return plane.col_step == 1 and plane.row_step == plane.w


cdef object tap_table(rows, cols):
    """Every row with every column, as a table (2, taps)."""
    return np.array([(row, col) for row in rows for col in cols], np.intp).T.copy()


cdef Taps window_taps(h, w, stride, first, Py_ssize_t[:, ::1] table):
    """Windows whose taps are listed in `table`, which must outlive the result."""
    return Taps(
        h, w, stride[0], stride[1], first[0], first[1], 1 + max(table[0]), 1 + max(table[1]),
        table.shape[1], &table[0, 0], &table[1, 0],
    )


cdef Band make_band(
    const Taps *taps, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t filters, Py_ssize_t nr, Py_ssize_t *offsets
) noexcept:
    cdef Band band
    cdef Py_ssize_t t, tiles = ceil_div(ow, nr)
    band.rows = min(oh, ceil_div(BAND_PIXELS, ow))
    band.count = ceil_div(oh, band.rows)
    band.pitch = (ow - 1) * taps.sw + taps.cols
    band.plane = ((band.rows - 1) * taps.sh + taps.rows) * band.pitch
    band.channels = max(1, min(TAP_BLOCK // taps.count, STAGED_ELEMENTS // band.plane))
    band.line, band.tile = band.rows * ow, nr
    if filters <= FEW_FILTERS and 5 * ow >= 4 * tiles * nr:
        # No tile straddles two rows: half the copies, for a fifth more multiplications at most.
        band.line, band.tile = ow, ceil_div(ow, tiles)
    for t in range(taps.count):
        offsets[t] = taps.tap_rows[t] * band.pitch + taps.tap_cols[t]
    band.windows = cnnx_windows(ow, taps.sh * band.pitch, taps.sw, band.plane, taps.count, offsets)
    return band


cdef void stage(
    const Taps *taps,
    const Band *band,
    Py_ssize_t channels,
    Py_ssize_t out_row,         # the band's first output row
    const real *x,              # IN   (channels, taps.h, taps.w)
    real *staged,               # OUT  (channels, rows, band.pitch)
) noexcept nogil:
    """The rows that the band's windows meet, and zeros where they leave the image."""
    cdef Py_ssize_t c, row, from_row = out_row * taps.sh + taps.first_row
    cdef Py_ssize_t left = min(band.pitch, max(<Py_ssize_t>0, -taps.first_col))
    cdef Py_ssize_t skipped = max(<Py_ssize_t>0, taps.first_col)
    cdef Py_ssize_t inside = max(<Py_ssize_t>0, min(band.pitch - left, taps.w - skipped))
    for c in range(channels):
        for row in range(from_row, from_row + band.plane // band.pitch):
            if 0 <= row < taps.h:
                memset(staged, 0, left * sizeof(real))
                memcpy(staged + left, x + (c * taps.h + row) * taps.w + skipped, inside * sizeof(real))
                memset(staged + left + inside, 0, (band.pitch - left - inside) * sizeof(real))
            else:
                memset(staged, 0, band.pitch * sizeof(real))
            staged += band.pitch


cdef void pack_filters(
    Py_ssize_t filters,
    Py_ssize_t k,
    const real *weight,         # IN   weight[i*row_stride + p*col_stride], i < filters, p < k
    Py_ssize_t row_stride,
    Py_ssize_t col_stride,
    real *packed,               # OUT  (panels, k, mr)
) noexcept nogil:
    cdef Py_ssize_t mr = kernels_for(weight).mr, panel, first
    for panel in range(ceil_div(filters, mr)):
        first = panel * mr
        kernels_for(weight).pack(
            min(mr, filters - first), k, weight + first * row_stride, row_stride, col_stride, mr, packed + first * k
        )


cdef int convolve(
    const Taps *taps,
    Py_ssize_t n,
    Py_ssize_t groups,
    Py_ssize_t channels,        # per group
    Py_ssize_t filters,         # per group
    const real *x,              # IN   (n, groups * channels, taps.h, taps.w)
    const real *packed,         # IN   (groups, panels, channels * taps, mr)
    const real *bias,           # IN   (groups * filters), or NULL
    const Plane *plane,
    const real *add,            # IN   as y, or NULL; both of these where pixels lie side by side only
    Ending activation,
    real *y,                    # OUT  (n, groups * filters, plane); += where pixels lie apart
) except -1:
    cdef Py_ssize_t nr = kernels_for(x).nr, task
    cdef Block offsets = take(taps.count * sizeof(Py_ssize_t))
    cdef Band band = make_band(taps, plane.h, plane.w, filters, nr, <Py_ssize_t *>offsets.data)
    cdef Py_ssize_t panel_size = (band.channels * taps.count + 1) * nr, staged_size = band.channels * band.plane + nr
    cdef int threads = threads_for(
        GEMM_NANOSECONDS * n * groups * filters * channels * taps.count * ceil_div(plane.h * plane.w, nr) * nr
    )
    cdef Block scratch = take(threads * (panel_size + staged_size) * sizeof(real))
    cdef real *panels = <real *>scratch.data
    for task in prange(n * groups * band.count, nogil=True, schedule="dynamic", num_threads=threads):
        convolve_band(
            taps, &band, channels, filters, x, packed, bias, plane, add, activation, y,
            task // band.count, task // band.count % groups, task % band.count * band.rows,
            panels + omp_get_thread_num() * panel_size,
            panels + threads * panel_size + omp_get_thread_num() * staged_size,
        )
    return 0


cdef void convolve_band(
    const Taps *taps,
    const Band *band,
    Py_ssize_t channels,
    Py_ssize_t filters,
    const real *x,
    const real *packed,
    const real *bias,
    const Plane *plane,
    const real *add,
    Ending activation,
    real *y,
    Py_ssize_t image_group,     # image * groups + group
    Py_ssize_t group,
    Py_ssize_t out_row,         # the band's first
    real *panel,                # scratch: windows of one tile and block
    real *staged,               # scratch: one block of the image
) noexcept nogil:
    cdef Py_ssize_t mr = kernels_for(x).mr, k = channels * taps.count
    cdef Py_ssize_t pixels = min(band.rows, plane.h - out_row) * plane.w, block, channel, count
    cdef Py_ssize_t line = min(band.line, pixels), tiles = ceil_div(line, band.tile), tile, pixel, width
    x += image_group * channels * taps.h * taps.w
    cdef Py_ssize_t first = image_group * filters * plane.size + plane.start + out_row * plane.row_step
    y += first
    packed += group * ceil_div(filters, mr) * mr * k
    if is_dense(plane):
        fill_rows(filters, plane.size, pixels, bias + group * filters if bias != NULL else NULL, y)
    for block in range(ceil_div(channels, band.channels)):
        channel = block * band.channels
        count = min(band.channels, channels - channel)
        stage(taps, band, count, out_row, x + channel * taps.h * taps.w, staged)
        for tile in range(pixels // line * tiles):
            pixel = tile // tiles * line + tile % tiles * band.tile
            width = min(band.tile, line - tile % tiles * band.tile)
            kernels_for(x).pack_windows(&band.windows, count, pixel, width, staged, panel)
            multiply_tile(
                filters, k, count * taps.count, packed + channel * taps.count * mr, panel, plane, pixel, width, y
            )
    if is_dense(plane):
        finish_rows(filters, plane.size, pixels, add + first if add != NULL else NULL, activation, y)


cdef void fill_rows(
    Py_ssize_t rows, Py_ssize_t row_step, Py_ssize_t n, const real *values, real *y
) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(n):
            y[i * row_step + j] = values[i] if values != NULL else 0


cdef void multiply_tile(
    Py_ssize_t filters,
    Py_ssize_t k,               # (channel, tap) of all channels: the length of a panel of weights
    Py_ssize_t block,           # of these channels
    const real *packed,         # IN   (panels, k, mr), from the block's first on
    const real *panel,          # IN   (block, nr)
    const Plane *plane,
    Py_ssize_t pixel,           # the tile's first, counted from y
    Py_ssize_t count,
    real *y,                    # OUT  +=
) noexcept nogil:
    """All filters for one tile of pixels."""
    cdef Py_ssize_t mr = kernels_for(y).mr, first, filter_panel
    for filter_panel in range(ceil_div(filters, mr)):
        first = filter_panel * mr
        if is_dense(plane):
            gemm_tile(
                block, packed + first * k, panel, min(mr, filters - first), count, y + first * plane.size + pixel,
                plane.size,
            )
        else:
            scattered_tile(
                block, packed + first * k, panel, min(mr, filters - first), count, plane, pixel,
                y + first * plane.size,
            )


cdef void scattered_tile(
    Py_ssize_t k,
    const real *a,
    const real *b,
    Py_ssize_t rows,
    Py_ssize_t count,
    const Plane *plane,
    Py_ssize_t pixel,
    real *y,                    # OUT  +=
) noexcept nogil:
    """A tile whose pixels do not lie side by side in y."""
    cdef real tile[CNNX_MAX_TILE]
    cdef Py_ssize_t i, j, p, nr = kernels_for(a).nr
    memset(tile, 0, kernels_for(a).mr * nr * sizeof(real))
    kernels_for(a).gemm(k, a, b, tile, nr)
    for j in range(count):
        p = (pixel + j) // plane.w * plane.row_step + (pixel + j) % plane.w * plane.col_step
        for i in range(rows):
            y[i * plane.size + p] += tile[i * nr + j]
