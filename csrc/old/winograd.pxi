# Convolution with 3x3 windows at stride 1 by Winograd's algorithm: forward and backward-data.
#
# Design:
# The plane that is written is cut into 4x4 tiles, of all images one after another. With V = transform of x, 36 numbers
# a tile and channel, and U = transform of the weights, 36 a filter and channel, the result is the inverse transform of
# 36 matrix products M[xi] = U[xi] (filters x channels) * V[xi] (channels x tiles). Lanes of a vector are tiles: nr
# tiles are one panel of V. Their pixels are laid in six lines first, side by side. Columns of lines are transformed
# there, those that two tiles share once; then tiles are cut out and transformed across. Results go back by lines too.
# A task owns a block of panels, and takes the filters in chunks, so that V and M stay in the second-level cache. Where
# tiles are few, weights would be transformed for nothing but one or two blocks: there V of all tiles is made first, and
# a task owns a chunk of filters, whose weights it transforms in its cache.
# Backward-data is the same with weights rotated and transposed. A sum runs over channels in order: any number of
# threads gives the same bits.

cdef enum:
    POINTS = 36                     # of a 6x6 tile
    FILTERS_AT_A_TIME = 24          # a multiple of every mr
    SKEW = 16                       # elements between points, beyond their own: or all would meet in one cache set
    TILE_BLOCK_ELEMENTS = 60_000    # of V and M: 240 kB of floats, half of a second-level cache of 512
    MOST_TILE_PANELS = 8
    WEIGHT_BLOCK_ELEMENTS = 60_000  # of U, where a task owns filters


cdef struct Winograd:               # one convolution
    Py_ssize_t n, channels, filters
    Py_ssize_t h, w                 # of x
    Py_ssize_t oh, ow               # of y
    Py_ssize_t top, left            # padding
    Py_ssize_t rows, cols           # tiles of an image
    Py_ssize_t tiles                # of all images
    Py_ssize_t row_stride, channel_stride       # of the weights, from filter to filter and from channel to channel
    bint rotated
    const void *add                 # as y, or NULL
    Ending activation
    Py_ssize_t u_step, v_step, m_step           # elements from one point to the next


cdef Winograd make_winograd(
    const real[:, :, :, ::1] x, const real[:, :, :, ::1] y, padding, Py_ssize_t weight_row, bint rotated
):
    """weight_row: elements of a filter of the layer. rotated: backward-data, where x is dy, and y is dx."""
    cdef Winograd job
    job.n, job.channels, job.h, job.w = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    job.filters, job.oh, job.ow = y.shape[1], y.shape[2], y.shape[3]
    job.top, job.left = padding
    job.rows, job.cols = ceil_div(job.oh, 4), ceil_div(job.ow, 4)
    job.tiles = job.n * job.rows * job.cols
    job.rotated = rotated
    job.add, job.activation = NULL, NO_ACTIVATION
    job.row_stride = 9 if rotated else weight_row
    job.channel_stride = weight_row if rotated else 9
    return job


cdef void set_steps(Winograd *job, Py_ssize_t mr, Py_ssize_t nr) noexcept:
    cdef Py_ssize_t filters = min(<Py_ssize_t>FILTERS_AT_A_TIME, ceil_div(job.filters, mr) * mr)
    job.u_step, job.v_step, job.m_step = job.channels * mr + SKEW, job.channels * nr + SKEW, filters * nr + SKEW


cdef int winograd(Winograd *job, const real *x, const real *weight, const real *bias, real *y) except -1:
    """Tasks are blocks of tiles; the weights are transformed before."""
    cdef Py_ssize_t mr = kernels_for(x).mr, nr = kernels_for(x).nr, panels = ceil_div(job.tiles, nr), panel, task
    set_steps(job, mr, nr)
    cdef Py_ssize_t u_panel = POINTS * job.u_step, v_panel = POINTS * job.v_step
    cdef Py_ssize_t own_panel = v_panel + POINTS * job.m_step
    cdef Py_ssize_t block = max(1, min(<Py_ssize_t>MOST_TILE_PANELS, TILE_BLOCK_ELEMENTS // own_panel, panels // 16))
    cdef Py_ssize_t per_thread = block * own_panel
    cdef int threads = threads_for(GEMM_NANOSECONDS * POINTS * panels * nr * job.filters * job.channels)
    cdef Block u_block = take(ceil_div(job.filters, mr) * u_panel * sizeof(real))
    cdef Block scratch = take(threads * per_thread * sizeof(real))
    cdef real *u = <real *>u_block.data
    cdef real *own = <real *>scratch.data
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for panel in prange(ceil_div(job.filters, mr), schedule="static"):
            transform_weights(job, panel * mr, weight, u + panel * u_panel)
        restore_denormals()
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(panels, block), schedule="dynamic"):
            winograd_tiles(
                job, task * block, min(block, panels - task * block), x, u, bias, y,
                own + omp_get_thread_num() * per_thread,
            )
        restore_denormals()
    return 0


cdef int winograd_by_filters(Winograd *job, const real *x, const real *weight, const real *bias, real *y) except -1:
    """Tasks are chunks of filters; V of all tiles is made before."""
    cdef Py_ssize_t mr = kernels_for(x).mr, nr = kernels_for(x).nr, panels = ceil_div(job.tiles, nr), task, panel
    set_steps(job, mr, nr)
    cdef Py_ssize_t u_panel = POINTS * job.u_step, v_panel = POINTS * job.v_step
    cdef Py_ssize_t chunk = max(mr, min(<Py_ssize_t>FILTERS_AT_A_TIME, WEIGHT_BLOCK_ELEMENTS // u_panel * mr))
    cdef Py_ssize_t pieces = ceil_div(job.channels, SKEW)
    cdef Py_ssize_t per_thread = chunk // mr * u_panel + POINTS * job.m_step
    cdef int threads = threads_for(GEMM_NANOSECONDS * POINTS * panels * nr * job.filters * job.channels)
    cdef Block v_block = take(panels * v_panel * sizeof(real))
    cdef Block scratch = take(threads * per_thread * sizeof(real))
    cdef real *v = <real *>v_block.data
    cdef real *own = <real *>scratch.data
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(panels * pieces, schedule="static"):
            transform_tiles(
                job, task // pieces * nr, task % pieces * SKEW, min(job.channels, (task % pieces + 1) * SKEW), x,
                v + task // pieces * v_panel,
            )
        restore_denormals()
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(job.filters, chunk), schedule="dynamic"):
            winograd_filters(
                job, panels, task * chunk, min(chunk, job.filters - task * chunk), weight, v, bias, y,
                own + omp_get_thread_num() * per_thread,
            )
        restore_denormals()
    return 0


cdef void winograd_tiles(
    const Winograd *job,
    Py_ssize_t first_panel,
    Py_ssize_t panels,
    const real *x,
    const real *u,              # IN   (filter panels, POINTS, channels, mr)
    const real *bias,
    real *y,
    real *v,                    # scratch: V of the block, M of the block and a chunk of filters
) noexcept nogil:
    cdef Py_ssize_t mr = kernels_for(x).mr, nr = kernels_for(x).nr, v_panel = POINTS * job.v_step, panel
    cdef Py_ssize_t chunk, first, filters
    cdef real *m = v + panels * v_panel
    for panel in range(panels):
        transform_tiles(job, (first_panel + panel) * nr, 0, job.channels, x, v + panel * v_panel)
    for chunk in range(ceil_div(job.filters, FILTERS_AT_A_TIME)):
        first = chunk * FILTERS_AT_A_TIME
        filters = min(<Py_ssize_t>FILTERS_AT_A_TIME, job.filters - first)
        multiply_points(job, panels, filters, u + first // mr * POINTS * job.u_step, v, m)
        for panel in range(panels):
            write_tiles(job, (first_panel + panel) * nr, first, filters, m + panel * POINTS * job.m_step, bias, y)


cdef void winograd_filters(
    const Winograd *job,
    Py_ssize_t panels,
    Py_ssize_t first,
    Py_ssize_t filters,
    const real *weight,
    const real *v,              # IN   (panels, POINTS, channels, nr)
    const real *bias,
    real *y,
    real *u,                    # scratch: U of the filters, M of one panel
) noexcept nogil:
    cdef Py_ssize_t mr = kernels_for(v).mr, nr = kernels_for(v).nr, filter_panels = ceil_div(filters, mr), panel
    cdef real *m = u + filter_panels * POINTS * job.u_step
    for panel in range(filter_panels):
        transform_weights(job, first + panel * mr, weight, u + panel * POINTS * job.u_step)
    for panel in range(panels):
        multiply_points(job, 1, filters, u, v + panel * POINTS * job.v_step, m)
        write_tiles(job, panel * nr, first, filters, m, bias, y)


cdef void transform_weights(const Winograd *job, Py_ssize_t first, const real *weight, real *u) noexcept nogil:
    """One panel of filters, from `first` on."""
    kernels_for(u).winograd_weight(
        min(kernels_for(u).mr, job.filters - first), job.channels, weight + first * job.row_stride, job.row_stride,
        job.channel_stride, job.rotated, u, job.u_step,
    )


cdef struct Run:                    # tiles of a panel side by side in one image
    Py_ssize_t rows, cols           # pixels of it inside the plane of x
    Py_ssize_t x                    # the first of these, in the first channel
    Py_ssize_t line, col            # and its place in the lines
    Py_ssize_t y, height, width     # what it writes, in the first filter


cdef struct TilePanel:              # nr tiles, or what is left
    Py_ssize_t tiles, runs
    Run[CNNX_ACROSS] run
    Py_ssize_t run_width            # of pixels in a line: 4 a tile, and what the last tile needs beyond
    Py_ssize_t pitch                # from one line to the next: whole vectors
    Py_ssize_t[CNNX_ACROSS] places  # of the tiles in a line


cdef enum:
    LINES_SIZE = 6 * (20 * CNNX_ACROSS + 12)    # see lay_out: nr runs of one tile, or three of nr, are less


cdef void lay_out(const Winograd *job, Py_ssize_t tile, Py_ssize_t nr, TilePanel *panel) noexcept nogil:
    """Where the tiles from `tile` on find their pixels: six lines, of all runs. Missing tiles stand behind the last."""
    cdef Py_ssize_t at = 0, t, row, col, run, image, top, left
    cdef Run *r
    panel.tiles, panel.runs, panel.run_width = min(nr, job.tiles - tile), 0, 4 * min(nr, job.cols) + 4
    while at < panel.tiles:
        row, col = (tile + at) // job.cols, (tile + at) % job.cols
        image, row = row // job.rows, row % job.rows
        run = min(job.cols - col, panel.tiles - at)
        top, left = 4 * row - job.top, 4 * col - job.left
        r = &panel.run[panel.runs]
        r.rows = max(<Py_ssize_t>0, min(top + 6, job.h) - max(<Py_ssize_t>0, top))
        r.cols = max(<Py_ssize_t>0, min(left + 4 * run + 2, job.w) - max(<Py_ssize_t>0, left))
        r.x = (image * job.channels * job.h + max(<Py_ssize_t>0, top)) * job.w + max(<Py_ssize_t>0, left)
        r.line, r.col = max(<Py_ssize_t>0, -top), panel.runs * panel.run_width + max(<Py_ssize_t>0, -left)
        r.y = (image * job.filters * job.oh + 4 * row) * job.ow + 4 * col
        r.height, r.width = min(<Py_ssize_t>4, job.oh - 4 * row), min(4 * run, job.ow - 4 * col)
        for t in range(run):
            panel.places[at + t] = panel.runs * panel.run_width + 4 * t
        panel.runs += 1
        at += run
    for t in range(panel.tiles, nr):
        panel.places[t] = panel.runs * panel.run_width
    panel.pitch = ceil_div((panel.runs + (panel.tiles < nr)) * panel.run_width, nr) * nr


cdef void transform_tiles(
    const Winograd *job,
    Py_ssize_t tile,            # the first of the panel
    Py_ssize_t first_channel,
    Py_ssize_t last_channel,
    const real *x,
    real *v,                    # OUT  (POINTS, channels, nr)
) noexcept nogil:
    """Lines of pixels with the zeros around the plane, the same for all channels; columns of these; rows of tiles."""
    cdef Py_ssize_t nr = kernels_for(x).nr, plane = job.h * job.w, c, i
    cdef TilePanel panel
    cdef real[LINES_SIZE] lines, columns
    cdef Run *r
    lay_out(job, tile, nr, &panel)
    memset(lines, 0, 6 * panel.pitch * sizeof(real))
    for c in range(first_channel, last_channel):
        for i in range(panel.runs):
            r = &panel.run[i]
            kernels_for(x).copy_rows(
                r.rows, r.cols, x + r.x + c * plane, job.w, plane if c + 1 < last_channel else 0,
                lines + r.line * panel.pitch + r.col, panel.pitch, 0,
            )
        kernels_for(x).winograd_down(panel.pitch, lines, columns, panel.pitch)
        kernels_for(x).winograd_across(columns, panel.pitch, panel.places, v + c * nr, job.v_step)


cdef void multiply_points(
    const Winograd *job,
    Py_ssize_t panels,          # of tiles
    Py_ssize_t filters,
    const real *u,              # IN   (filter panels, POINTS, channels, mr)
    const real *v,              # IN   (panels, POINTS, channels, nr)
    real *m,                    # OUT  (panels, POINTS, filters, nr)
) noexcept nogil:
    cdef Py_ssize_t mr = kernels_for(u).mr, nr = kernels_for(u).nr, point, panel, filter_panel, start
    cdef real *sums
    for point in range(POINTS):
        for panel in range(panels):
            start = 0
            while start < job.channels:
                for filter_panel in range(ceil_div(filters, mr)):
                    sums = m + (panel * POINTS + point) * job.m_step + filter_panel * mr * nr
                    kernels_for(u).product(
                        min(mr, filters - filter_panel * mr), nr, min(<Py_ssize_t>K_BLOCK, job.channels - start),
                        u + (filter_panel * POINTS + point) * job.u_step + start * mr, 1, mr,
                        v + (panel * POINTS + point) * job.v_step + start * nr, nr,
                        sums if start > 0 else NULL, nr, 1, sums, nr,
                    )
                start += K_BLOCK


cdef void write_tiles(
    const Winograd *job,
    Py_ssize_t tile,
    Py_ssize_t first,
    Py_ssize_t filters,
    const real *m,              # IN   (POINTS, filters, nr)
    const real *bias,
    real *y,
) noexcept nogil:
    """One panel of tiles of the filters from `first` on, with their bias, into y."""
    cdef Py_ssize_t nr = kernels_for(m).nr, f, i, plane
    cdef const real *add = <const real *>job.add
    cdef TilePanel panel
    cdef real[LINES_SIZE] lines
    cdef Run *r
    lay_out(job, tile, nr, &panel)
    for f in range(filters):
        plane = (first + f) * job.oh * job.ow
        kernels_for(m).winograd_y(
            m + f * nr, job.m_step, bias[first + f] if bias != NULL else 0, panel.places, lines, panel.pitch
        )
        for i in range(panel.runs):
            r = &panel.run[i]
            kernels_for(m).copy_rows(
                r.height, r.width, lines + i * panel.run_width, panel.pitch, 0, y + plane + r.y, job.ow,
                job.oh * job.ow if f + 1 < filters else 0,
            )
            finish_rows(
                r.height, job.ow, r.width, add + (plane + r.y) if add != NULL else NULL, job.activation, y + plane + r.y
            )
