# Backward-weight of 3x3 windows at stride 1 by Winograd's algorithm.
#
# Design:
# dweight (3x3) is the convolution of x with dy, in 4x4 tiles of dy: 36 products a tile instead of 144. Lanes of a
# vector are channels here, and filters, for the sum of each of the 36 products S[xi] (filters x channels) = DY[xi]
# transposed * V[xi] runs over tiles. Strips (rows of tiles of one image) are taken in blocks whose transforms stay in
# the second-level caches; per block, the strips are transformed, then every point adds its product to its own sum. All
# sums run over tiles in order: any number of threads gives the same bits. Of many filters, the sums of all channels
# would be the most memory of a training step: channels are taken in ranges, and dy is transformed again for each. The
# transform of dy at the point (1, 1) is the sum of its 16 pixels, over 9: dbias is a sum over tiles of what is there.
# Of few channels and filters the sums are small: there a task owns strips, one after another, with sums of its own, and
# its transforms stay in its own cache; at the end the tasks' sums are added in order.

cdef enum:
    STRIP_BLOCK_ELEMENTS = 250_000      # of DY and V: 1 MB of floats
    SUMS_ELEMENTS = 1_200_000           # of S: 5 MB of floats
    TILES_AT_A_TIME = 128               # 8 kB of a panel of 16 floats, read at cache lines far apart
    PANELS_OF_POINT = 4                 # panels of channels that a task multiplies
    OWN_BLOCK_ELEMENTS = 60_000         # of DY and V, where a task owns strips: 240 kB of floats
    STRIP_TASKS = 8                     # that can run side by side; more would take more memory for sums
    SUM_POINT = 7                       # (1, 1)


cdef struct Strips:             # where the transforms of a block of strips lie
    Py_ssize_t first_channel, channels          # the range
    Py_ssize_t most, count      # strips of a block at most, and of this one
    Py_ssize_t tiles            # of the block
    Py_ssize_t x_row, dy_row    # elements from one tile to the next: all channels, all filters, and a skew
    Py_ssize_t x_step, dy_step  # elements from one point to the next


cdef int winograd_dweight(Winograd *job, const real *x, const real *dy, real *dweight, real *dbias) except -1:
    cdef Py_ssize_t mr = kernels_for(x).mr, nr = kernels_for(x).nr, range_, ranges, most
    cdef Py_ssize_t panel = POINTS * ceil_div(job.filters, mr) * mr * nr       # of the sums
    most = max(<Py_ssize_t>1, SUMS_ELEMENTS // panel)
    ranges = ceil_div(ceil_div(job.channels, nr), most)
    most = ceil_div(ceil_div(job.channels, nr), ranges) * nr
    for range_ in range(ranges):
        dweight_of_channels(
            job, range_ * most, min(most, job.channels - range_ * most), x, dy, dweight, dbias if range_ == 0 else NULL
        )
    return 0


cdef Strips make_strips(
    const Winograd *job, Py_ssize_t all_strips, Py_ssize_t block_elements, Py_ssize_t first_channel,
    Py_ssize_t channels, Py_ssize_t x_row, Py_ssize_t dy_row
) noexcept:
    cdef Strips strips
    cdef Py_ssize_t most = block_elements // (POINTS * job.cols * (x_row + dy_row))
    strips.first_channel, strips.channels = first_channel, channels
    strips.most = ceil_div(all_strips, ceil_div(all_strips, max(<Py_ssize_t>1, min(all_strips, most))))
    strips.x_row, strips.dy_row = x_row, dy_row
    strips.x_step, strips.dy_step = strips.most * job.cols * x_row + SKEW, strips.most * job.cols * dy_row + SKEW
    strips.count = strips.tiles = 0
    return strips


cdef int dweight_of_channels(
    Winograd *job,
    Py_ssize_t first_channel,
    Py_ssize_t channels,
    const real *x,
    const real *dy,
    real *dweight,              # OUT  those of the channels
    real *dbias,                # OUT  or NULL
) except -1:
    cdef Py_ssize_t mr = kernels_for(x).mr, nr = kernels_for(x).nr, task
    cdef Py_ssize_t x_panels = ceil_div(channels, nr), dy_panels = ceil_div(job.filters, nr)
    cdef Py_ssize_t sums_step = ceil_div(job.filters, mr) * mr * x_panels * nr, all_strips = job.n * job.rows
    cdef Py_ssize_t runs = ceil_div(x_panels, PANELS_OF_POINT), first = 0
    cdef Strips strips = make_strips(
        job, all_strips, STRIP_BLOCK_ELEMENTS, first_channel, channels, x_panels * nr + SKEW, dy_panels * nr + SKEW
    )
    cdef Py_ssize_t per_thread = 6 * (4 * job.cols + 2) * nr
    cdef int threads = threads_for(GEMM_NANOSECONDS * POINTS * job.tiles * job.filters * channels)
    cdef Block x_block = take(POINTS * strips.x_step * sizeof(real))
    cdef Block dy_block = take(POINTS * strips.dy_step * sizeof(real))
    cdef Block sums_block = take(POINTS * sums_step * sizeof(real))
    cdef Block scratch = take(threads * per_thread * sizeof(real))
    cdef real *v = <real *>x_block.data
    cdef real *u = <real *>dy_block.data
    cdef real *sums = <real *>sums_block.data
    cdef real *own = <real *>scratch.data
    cdef Block bias_block = take(job.filters * sizeof(double))
    cdef double *bias_sums = <double *>bias_block.data if dbias != NULL else NULL
    memset(bias_block.data, 0, job.filters * sizeof(double))
    memset(sums, 0, POINTS * sums_step * sizeof(real))
    while first < all_strips:
        strips.count = min(strips.most, all_strips - first)
        strips.tiles = strips.count * job.cols
        with nogil, parallel(num_threads=threads):
            flush_denormals()
            for task in prange(strips.count * (x_panels + dy_panels), schedule="static"):
                transform_strip(
                    job, &strips, first, task % strips.count, task // strips.count, x_panels, 0, x, dy, v, u,
                    own + omp_get_thread_num() * per_thread,
                )
            restore_denormals()
        with nogil, parallel(num_threads=threads):
            flush_denormals()
            for task in prange(POINTS * runs, schedule="dynamic"):
                add_point(job, &strips, task // runs, task % runs * PANELS_OF_POINT, x_panels, u, v, sums)
                if bias_sums != NULL and task == SUM_POINT * runs:
                    add_tiles(strips.tiles, job.filters, u + SUM_POINT * strips.dy_step, strips.dy_row, bias_sums)
            restore_denormals()
        first += strips.most
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(job.filters, schedule="static"):
            write_dweight(job, &strips, task, x_panels, sums_step, sums, dweight)
            if bias_sums != NULL:
                dbias[task] = <real>(9 * bias_sums[task])
        restore_denormals()
    return 0


cdef int winograd_dweight_by_strips(Winograd *job, const real *x, const real *dy, real *dweight, real *dbias) except -1:
    """Tasks are runs of strips, with sums of their own; both are small."""
    cdef Py_ssize_t mr = kernels_for(x).mr, nr = kernels_for(x).nr, all_strips = job.n * job.rows, task, tasks, most
    cdef Py_ssize_t x_panels = ceil_div(job.channels, nr), dy_panels = ceil_div(job.filters, nr)
    cdef Py_ssize_t sums_step = ceil_div(job.filters, mr) * mr * x_panels * nr, of_sums = POINTS * sums_step
    most = ceil_div(all_strips, STRIP_TASKS)
    tasks = ceil_div(all_strips, most)
    cdef Strips strips = make_strips(job, most, OWN_BLOCK_ELEMENTS, 0, job.channels, x_panels * nr, dy_panels * nr)
    cdef Py_ssize_t of_v = POINTS * strips.x_step, of_u = POINTS * strips.dy_step
    cdef Py_ssize_t per_thread = of_v + of_u + 6 * (4 * job.cols + 2) * nr
    cdef int threads = threads_for(GEMM_NANOSECONDS * POINTS * job.tiles * job.filters * job.channels)
    cdef Block scratch = take(threads * per_thread * sizeof(real))
    cdef Block sums_block = take(tasks * of_sums * sizeof(real))
    cdef Block bias_block = take(tasks * job.filters * sizeof(double))
    cdef real *own = <real *>scratch.data
    cdef real *sums = <real *>sums_block.data
    cdef double *bias_sums = <double *>bias_block.data
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(tasks, schedule="dynamic"):
            add_strips(
                job, strips, task * most, min(most, all_strips - task * most), x_panels, dy_panels, x, dy,
                own + omp_get_thread_num() * per_thread, own + omp_get_thread_num() * per_thread + of_v,
                own + omp_get_thread_num() * per_thread + of_v + of_u, of_sums, sums + task * of_sums,
                bias_sums + task * job.filters,
            )
        for task in prange(job.filters, schedule="static"):
            add_tasks(tasks, of_sums, POINTS, sums_step, x_panels * nr, sums + task * x_panels * nr)
            write_dweight(job, &strips, task, x_panels, sums_step, sums, dweight)
            dbias[task] = <real>(9 * add_up(tasks, bias_sums + task, job.filters))
        restore_denormals()
    return 0


cdef void add_strips(
    const Winograd *job,
    Strips strips,              # blocks of them, one at a time
    Py_ssize_t first,
    Py_ssize_t count,
    Py_ssize_t x_panels,
    Py_ssize_t dy_panels,
    const real *x,
    const real *dy,
    real *v,                    # scratch: as for transform_strip
    real *u,
    real *lines,
    Py_ssize_t of_sums,
    real *sums,                 # OUT  (POINTS, padded filters, x_panels * nr)
    double *bias_sums,          # OUT  (filters,)
) noexcept nogil:
    cdef Py_ssize_t runs = ceil_div(x_panels, PANELS_OF_POINT), last = first + count, panel, strip, kept, task
    memset(sums, 0, of_sums * sizeof(real))
    memset(bias_sums, 0, job.filters * sizeof(double))
    while first < last:
        strips.count = min(strips.most, last - first)
        strips.tiles = strips.count * job.cols
        for panel in range(x_panels + dy_panels):
            for strip in range(strips.count):
                kept = 2 if strip > 0 and (first + strip) % job.rows > 0 else 0
                transform_strip(job, &strips, first, strip, panel, x_panels, kept, x, dy, v, u, lines)
        for task in range(POINTS * runs):
            add_point(job, &strips, task // runs, task % runs * PANELS_OF_POINT, x_panels, u, v, sums)
        add_tiles(strips.tiles, job.filters, u + SUM_POINT * strips.dy_step, strips.dy_row, bias_sums)
        first += strips.most


cdef void add_tasks(
    Py_ssize_t tasks,
    Py_ssize_t step,            # from the sums of one task to those of the next
    Py_ssize_t rows,
    Py_ssize_t row_step,
    Py_ssize_t n,
    real *sums,                 # INOUT  of the first task: of all
) noexcept nogil:
    cdef Py_ssize_t task, row
    for row in range(rows):
        for task in range(1, tasks):
            kernels_for(sums).add(n, sums + task * step + row * row_step, sums + row * row_step)


cdef inline double add_up(Py_ssize_t n, const double *x, Py_ssize_t step) noexcept nogil:
    cdef Py_ssize_t i
    cdef double sum = 0
    for i in range(n):
        sum += x[i * step]
    return sum


cdef void transform_strip(
    const Winograd *job,
    const Strips *strips,
    Py_ssize_t first,           # strip of the block
    Py_ssize_t strip,           # within the block
    Py_ssize_t panel,           # of the range's channels of x, then of filters of dy
    Py_ssize_t x_panels,
    Py_ssize_t kept,            # rows of x that are among the lines from the strip before: the last two, or none
    const real *x,
    const real *dy,
    real *v,                    # OUT  (POINTS, tiles, x_row)
    real *u,                    # OUT  (POINTS, tiles, dy_row)
    real *lines,                # scratch: rows of pixels, channels side by side
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(x).nr, pitch = (4 * job.cols + 2) * nr
    cdef Py_ssize_t image = (first + strip) // job.rows, row = (first + strip) % job.rows * 4
    if panel < x_panels:
        memcpy(lines, lines + 4 * pitch, kept * pitch * sizeof(real))
        interleave_rows(
            min(nr, strips.channels - panel * nr), job.h, job.w, row - job.top + kept, 6 - kept, job.left,
            4 * job.cols + 2, x + (image * job.channels + strips.first_channel + panel * nr) * job.h * job.w,
            lines + kept * pitch, pitch,
        )
    else:
        panel = panel - x_panels
        x_panels = 0
        interleave_rows(
            min(nr, job.filters - panel * nr), job.oh, job.ow, row, 4, 0, 4 * job.cols,
            dy + (image * job.filters + panel * nr) * job.oh * job.ow, lines, pitch,
        )
    if x_panels:
        kernels_for(x).winograd_x_strip(
            job.cols, lines, pitch, v + strip * job.cols * strips.x_row + panel * nr, strips.x_row, strips.x_step
        )
    else:
        kernels_for(x).winograd_dy_strip(
            job.cols, lines, pitch, u + strip * job.cols * strips.dy_row + panel * nr, strips.dy_row, strips.dy_step
        )


cdef void interleave_rows(
    Py_ssize_t channels,
    Py_ssize_t h,
    Py_ssize_t w,
    Py_ssize_t first_row,       # of the plane; outside, and left and right of it, are zeros
    Py_ssize_t rows,
    Py_ssize_t left,
    Py_ssize_t cols,            # that are wanted, from `left` before the plane on
    const real *x,              # IN   (channels, h, w)
    real *lines,                # OUT  (rows, cols, nr), rows pitch apart
    Py_ssize_t pitch,
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(x).nr, i, row
    cdef Py_ssize_t before = max(<Py_ssize_t>0, min(left, cols)), skipped = max(<Py_ssize_t>0, -left)
    cdef Py_ssize_t inside = max(<Py_ssize_t>0, min(cols - before, w - skipped))
    for i in range(rows):
        row = first_row + i
        if row < 0 or row >= h:
            memset(lines + i * pitch, 0, cols * nr * sizeof(real))
            continue
        memset(lines + i * pitch, 0, before * nr * sizeof(real))
        kernels_for(x).pack(
            channels, inside, x + row * w + skipped, h * w, 1, nr, lines + i * pitch + before * nr
        )
        memset(lines + i * pitch + (before + inside) * nr, 0, (cols - before - inside) * nr * sizeof(real))


cdef void add_point(
    const Winograd *job,
    const Strips *strips,
    Py_ssize_t point,
    Py_ssize_t first_panel,
    Py_ssize_t x_panels,
    const real *u,
    const real *v,
    real *sums,                 # OUT  += (POINTS, padded filters, x_panels * nr)
) noexcept nogil:
    """The products of one point and a run of channels."""
    cdef Py_ssize_t mr = kernels_for(u).mr, nr = kernels_for(u).nr, width = x_panels * nr, start = 0, panel, f
    cdef Py_ssize_t filter_panels = ceil_div(job.filters, mr), rows, k
    cdef const real *of_filters
    cdef const real *of_channels
    cdef real *out
    u += point * strips.dy_step
    v += point * strips.x_step
    sums += point * filter_panels * mr * width
    while start < strips.tiles:
        for panel in range(first_panel, min(x_panels, first_panel + PANELS_OF_POINT)):
            for f in range(filter_panels):
                rows, k = job.filters - f * mr, min(<Py_ssize_t>TILES_AT_A_TIME, strips.tiles - start)
                of_filters = u + start * strips.dy_row + f * mr
                of_channels = v + start * strips.x_row + panel * nr
                out = sums + f * mr * width + panel * nr
                if rows >= mr:
                    kernels_for(u).gemm_strided(k, of_filters, strips.dy_row, of_channels, strips.x_row, out, width)
                else:
                    kernels_for(u).product(
                        rows, nr, k, of_filters, 1, strips.dy_row, of_channels, strips.x_row, out, width, 1, out, width
                    )
        start += TILES_AT_A_TIME


cdef void add_tiles(Py_ssize_t tiles, Py_ssize_t filters, const real *u, Py_ssize_t row, double *sums) noexcept nogil:
    """Add what every filter has in the tiles."""
    cdef Py_ssize_t t, f
    for t in range(tiles):
        for f in range(filters):
            sums[f] += u[t * row + f]


cdef void write_dweight(
    const Winograd *job,
    const Strips *strips,
    Py_ssize_t filter,
    Py_ssize_t x_panels,
    Py_ssize_t sums_step,
    const real *sums,
    real *dweight,              # OUT  (filters, channels, 3, 3)
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(sums).nr, panel, c, t
    cdef real taps[9 * CNNX_ACROSS]
    sums += filter * x_panels * nr
    dweight += (filter * job.channels + strips.first_channel) * 9
    for panel in range(x_panels):
        kernels_for(sums).winograd_dweight(sums + panel * nr, sums_step, taps)
        for c in range(min(nr, strips.channels - panel * nr)):
            for t in range(9):
                dweight[(panel * nr + c) * 9 + t] = taps[t * nr + c]
