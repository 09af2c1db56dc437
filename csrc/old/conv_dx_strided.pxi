# Backward-data of a convolution with a stride.
#
# Design:
# The pixels of dx fall into sh * sw classes by their row and column modulo the stride. Each class meets some of the
# kernel's taps only, and is a convolution of stride 1 over dy: pixel (i*sh + p, j*sw + q) of class (p, q) has tap
# (u, v) from dy at row i + (p + top - u*dh) / sh and column j + (q + left - v*dw) / sw, where these are whole. All
# classes of a band of rows read one block of dy, which is staged once (convolve.pyx), and where rows are short
# (`packed`), one copy of a tile's windows, those of all taps. Their sums lie side by side in memory that stays in the
# cache; whole rows of dx are then made of them, every sw-th pixel from one class.
# A task is a band of rows of as many channels of dx as keep these sums small.


cdef enum:
    CLASS_ELEMENTS = 1 << 15    # of the sums of all classes: 128 kB of floats, as much as what is staged


cdef struct PixelClass:
    Py_ssize_t taps             # of the kernel that reach its pixels
    Py_ssize_t weights          # where its packed weights begin
    Py_ssize_t *offsets         # (channels, taps) of a window's elements in the staged block, or in the copied windows


cdef struct StridedDx:
    Taps taps                   # of dy, those of all classes
    Band band
    bint packed
    Py_ssize_t groups, channels, filters            # of a group: summed over (of dy), written (of dx)
    Py_ssize_t h, w, sh, sw     # of dx; a stride beyond its end counts as far as that
    Py_ssize_t oh, ow           # pixels of a class; some of the last ones may lie outside of dx
    Py_ssize_t block, blocks    # filters of a task; tasks of a band
    Py_ssize_t classes
    PixelClass *of_class        # (sh, sw)
    Py_ssize_t copied, sums     # where the copied windows and the sums begin in a thread's scratch


def _conv2d_dx_strided(
    const real[:, :, :, ::1] dy,        # IN   (n, oc, oh, ow)
    const real[:, :, :, ::1] weight,    # IN   (oc, c / groups, kh, kw)
    const real[::1] bias,               # IN   (c,), or None
    stride,
    padding,                            # (top, left)
    dilation,
    Py_ssize_t groups,
    bint packed,
    real[:, :, :, ::1] dx,              # OUT  (n, c, h, w)
):
    cdef Py_ssize_t nr = kernels_for(&dx[0, 0, 0, 0]).nr, mr = kernels_for(&dx[0, 0, 0, 0]).mr, task, size
    rows = lattices(dx.shape[2], weight.shape[2], stride[0], padding[0], dilation[0])
    cols = lattices(dx.shape[3], weight.shape[3], stride[1], padding[1], dilation[1])
    from_rows = sorted({row for pixels in rows for row in pixels.offsets}) or [0]   # none: all in the padding
    from_cols = sorted({col for pixels in cols for col in pixels.offsets}) or [0]
    cdef Py_ssize_t[:, ::1] table = tap_table(
        [row - from_rows[0] for row in from_rows], [col - from_cols[0] for col in from_cols]
    )
    cdef StridedDx job
    job.packed, job.groups, job.channels, job.filters = packed, groups, dy.shape[1] // groups, weight.shape[1]
    job.h, job.w, job.sh, job.sw = dx.shape[2], dx.shape[3], len(rows), len(cols)
    job.oh, job.ow, job.classes = ceil_div(job.h, job.sh), ceil_div(job.w, job.sw), job.sh * job.sw
    job.taps = window_taps(dy.shape[2], dy.shape[3], (1, 1), (from_rows[0], from_cols[0]), table)
    job.band = make_band(&job.taps, job.oh, job.ow, nr, job.channels)
    size = job.classes * job.band.rows * job.ow
    job.block = min(ceil_div(job.filters, mr), max(<Py_ssize_t>1, CLASS_ELEMENTS // (size * mr))) * mr
    job.blocks = ceil_div(job.filters, job.block)
    cdef Block of_class = take(job.classes * sizeof(PixelClass))
    job.of_class = <PixelClass *>of_class.data
    cdef Block windows = window_offsets(&job.taps, &job.band, job.band.channels * job.taps.count)
    cdef Block offsets = take(job.classes * job.band.channels * job.taps.count * sizeof(Py_ssize_t))
    cdef Block weights = take(
        groups * ceil_div(job.filters, mr) * mr * job.channels * weight.shape[2] * weight.shape[3] * sizeof(real)
    )
    prepare_classes(
        &job, weight, [(r, c) for r in rows for c in cols], from_rows, from_cols, <Py_ssize_t *>offsets.data,
        <real *>weights.data,
    )
    job.copied = job.band.channels * job.band.plane + nr
    job.sums = job.copied + (job.band.channels * job.taps.count + 1) * nr * packed
    cdef Py_ssize_t per_thread = job.sums + size * job.block, tasks = dy.shape[0] * groups * job.band.count * job.blocks
    cdef int threads = threads_for(
        GEMM_NANOSECONDS * dy.shape[0] * dy.shape[1] * job.filters * weight.shape[2] * weight.shape[3] * job.oh * job.ow
    )
    cdef Block block = take(threads * per_thread * sizeof(real))
    cdef real *scratch = <real *>block.data
    cdef const real *shift = &bias[0] if bias is not None else NULL
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(tasks, schedule="dynamic", chunksize=neighbours(tasks)):
            strided_dx_task(
                &job, &dy[0, 0, 0, 0], <const real *>weights.data, shift, task // job.blocks // job.band.count,
                task // job.blocks % job.band.count * job.band.rows, task % job.blocks * job.block, &dx[0, 0, 0, 0],
                scratch + omp_get_thread_num() * per_thread,
            )
        restore_denormals()


cdef object lattices(size, kernel, stride, padding, dilation):
    """Along one axis: those that begin at pixel 0, 1, ..., stride - 1, while there are so many pixels."""
    first = range(min(stride, size))
    return [lattice(size, kernel, stride, padding, dilation, (p + padding) % stride) for p in first]


class Lattice:
    """The pixels of dx, along one axis, at one position modulo the stride, and the taps that reach them."""

    def __init__(self, first, count, taps, offsets):
        self.first = first          # the first pixel
        self.count = count          # how many there are, a stride apart
        self.taps = taps            # which kernel positions reach them
        self.offsets = offsets      # and from which dy, counted from the first pixel's


def lattice(size, kernel, stride, padding, dilation, position):
    """Pixel p has p + padding = stride*a + position; tap u comes from dy at a + (position - u*dilation) / stride."""
    first_a = max(0, -((position - padding) // stride))
    first = stride * first_a + position - padding
    count = max(0, -((first - size) // stride))
    taps = [u for u in range(kernel) if (position - u * dilation) % stride == 0]
    return Lattice(first, count, taps, [first_a + (position - u * dilation) // stride for u in taps])


cdef void prepare_classes(
    StridedDx *job,
    const real[:, :, :, ::1] weight,
    classes,                    # the lattice of rows and that of columns, for each
    from_rows,                  # in dy, those of all classes
    from_cols,
    Py_ssize_t *offsets,        # OUT  of all classes
    real *weights,              # OUT  of all classes, packed
) except *:
    cdef Py_ssize_t nr = kernels_for(weights).nr, mr = kernels_for(weights).mr, begin = 0, number, c, t, tap, count
    cdef Py_ssize_t[::1] places
    cdef Py_ssize_t[:, ::1] cells
    for number, (rows, cols) in enumerate(classes):
        count = len(rows.taps) * len(cols.taps)
        job.of_class[number] = PixelClass(count, begin, offsets)
        if not count:
            continue
        cells = tap_table(rows.taps, cols.taps)
        pack_transposed_filters(weight, cells, job.groups, count, weights + begin)
        places = np.array(
            [from_rows.index(i) * len(from_cols) + from_cols.index(j) for i in rows.offsets for j in cols.offsets],
            np.intp,
        )
        for c in range(job.band.channels):
            for t in range(count):
                tap = c * job.taps.count + places[t]
                offsets[c * count + t] = tap * nr if job.packed else job.band.offsets[tap]
        begin += job.groups * ceil_div(job.filters, mr) * mr * job.channels * count
        offsets += job.band.channels * count


cdef void strided_dx_task(
    const StridedDx *job,
    const real *dy,
    const real *weights,
    const real *bias,
    Py_ssize_t image_group,     # image * groups + group
    Py_ssize_t row,             # the band's first, of a class
    Py_ssize_t filter,          # the first
    real *dx,
    real *scratch,              # what is staged, the copied windows, the sums
) noexcept nogil:
    cdef Py_ssize_t nr = kernels_for(dx).nr, rows = min(job.band.rows, job.oh - row), pixels = rows * job.ow
    cdef Py_ssize_t filters = min(job.block, job.filters - filter), block, channel, count, number, tile
    cdef real *copied = scratch + job.copied
    dy += image_group * job.channels * job.taps.h * job.taps.w
    if bias != NULL:
        bias += image_group % job.groups * job.filters + filter
    for block in range(ceil_div(job.channels, job.band.channels)):
        channel = block * job.band.channels
        count = min(job.band.channels, job.channels - channel)
        stage(&job.taps, &job.band, count, row, dy + channel * job.taps.h * job.taps.w, scratch)
        for tile in range(ceil_div(pixels, nr) if job.packed else 0):
            kernels_for(dx).pack_windows(
                count * job.taps.count, job.band.offsets, job.ow, job.band.pitch, tile * nr,
                min(nr, pixels - tile * nr), scratch, copied,
            )
            for number in range(job.classes):
                multiply_class(
                    job, number, image_group % job.groups, filter, filters, channel, count, pixels, tile * nr,
                    min(nr, pixels - tile * nr), copied, weights, bias, scratch + job.sums,
                )
        for number in range(0 if job.packed else job.classes):
            multiply_class(
                job, number, image_group % job.groups, filter, filters, channel, count, pixels, 0, 0, scratch, weights,
                bias, scratch + job.sums,
            )
    dx += (image_group * job.filters + filter) * job.h * job.w
    interleave_classes(job, filters, row, rows, scratch + job.sums, dx)


cdef void multiply_class(
    const StridedDx *job,
    Py_ssize_t number,          # of the class
    Py_ssize_t group,
    Py_ssize_t filter,          # the first
    Py_ssize_t filters,
    Py_ssize_t channel,         # the first of the block
    Py_ssize_t count,           # channels of it
    Py_ssize_t plane,           # pixels of the band
    Py_ssize_t pixel,           # the copied windows' first
    Py_ssize_t pixels,          # of them; 0: windows are read from what is staged, all of the band
    const real *windows,
    const real *weights,
    const real *bias,           # of the first filter, or NULL
    real *sums,                 # OUT  (class, filters, plane)
) noexcept nogil:
    """One block of channels, for all filters of a task, in one class."""
    cdef Py_ssize_t mr = kernels_for(sums).mr, taps = job.of_class[number].taps, k = job.channels * taps
    cdef Py_ssize_t panel, row, tile
    cdef const Py_ssize_t *offsets = job.of_class[number].offsets
    weights += job.of_class[number].weights + (group * ceil_div(job.filters, mr) * mr + filter) * k
    weights += channel * taps * mr
    sums += number * filters * plane
    for panel in range(ceil_div(filters, mr)):
        if pixels > 0:
            multiply_tile(
                plane, pixel, pixels, panel * mr, min(mr, filters - panel * mr), count * taps, weights + panel * mr * k,
                windows, offsets, bias, channel > 0, sums,
            )
            continue
        for row in range(plane // job.ow):
            for tile in range(job.band.tiles):
                multiply_tile(
                    plane, row * job.ow + tile * job.band.tile, min(job.band.tile, job.ow - tile * job.band.tile),
                    panel * mr, min(mr, filters - panel * mr), count * taps, weights + panel * mr * k,
                    windows + row * job.band.pitch + tile * job.band.tile, offsets, bias, channel > 0, sums,
                )


cdef void interleave_classes(
    const StridedDx *job,
    Py_ssize_t filters,
    Py_ssize_t first,           # row of a class
    Py_ssize_t rows,
    const real *sums,           # IN   (class, filters, rows, ow)
    real *dx,                   # OUT  (filters, h, w), those of the rows that lie in it
) noexcept nogil:
    cdef Py_ssize_t plane = rows * job.ow, filter, i, p
    for filter in range(filters):
        for i in range(rows):
            for p in range(min(job.sh, job.h - (first + i) * job.sh)):
                kernels_for(dx).interleave(
                    job.w, job.sw, sums + (p * job.sw * filters + filter) * plane + i * job.ow, filters * plane,
                    dx + (filter * job.h + (first + i) * job.sh + p) * job.w,
                )
