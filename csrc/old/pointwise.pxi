# 1x1 convolution: a matrix product of the weights with all pixels, by the blocks of gemm.pyx.
#
# Design:
# y (filters x pixels) = weight (filters x channels) * x (channels x pixels) for every image; a plane is a row of the
# matrix as it lies, so nothing is copied but the panels that the product packs. Backward-data is the same with the
# weights transposed. Where a plane is smaller than a few register tiles, or the stride leaves pixels out, the pixels of
# several images are first gathered side by side, and the product is scattered to its planes.
# Backward-weight is the product of dy with x transposed, summed over a fixed number of groups of images, each in order,
# and then over the groups; so nothing depends on the number of threads.

cdef enum:
    SMALL_PLANE = 64            # pixels: smaller ones are gathered,
    GATHERED_PIXELS = 128       # so many at a time


cdef struct Grid:               # pixels of a plane, oh x ow of them a step apart; all of it, if they are dense
    Py_ssize_t h, w, oh, ow, sh, sw, top, left
    Py_ssize_t first, end       # of ow, those that lie in the plane
    bint dense


cdef struct Pointwise:
    Py_ssize_t n, channels, filters     # summed over, and written (backward-weight: of x, of dy)
    Py_ssize_t pixels                   # of an image, that take part
    Py_ssize_t images                   # that are multiplied together; more than 1, or not dense: gathered
    Py_ssize_t tasks_of_images
    Grid source, target                 # of what is read and what is written (backward-weight: x, dy)
    bint gathers
    Py_ssize_t height, width            # of a block of the product


cdef Grid whole_plane(Py_ssize_t h, Py_ssize_t w) noexcept:
    return Grid(h, w, h, w, 1, 1, 0, 0, 0, w, True)


cdef Grid strided_plane(Py_ssize_t h, Py_ssize_t w, Py_ssize_t oh, Py_ssize_t ow, stride, padding) except *:
    cdef Py_ssize_t sh = stride[0], sw = stride[1], top = padding[0], left = padding[1]
    cdef Py_ssize_t first = min(ow, ceil_div(left, sw)), end = max(first, min(ow, ceil_div(w + left, sw)))
    cdef bint dense = sh == 1 and sw == 1 and top == 0 and left == 0 and oh == h and ow == w
    return Grid(h, w, oh, ow, sh, sw, top, left, first, end, dense)


cdef Pointwise make_pointwise(Py_ssize_t n, Py_ssize_t channels, Py_ssize_t filters, Grid source, Grid target) noexcept:
    cdef Pointwise job
    job.n, job.channels, job.filters, job.source, job.target = n, channels, filters, source, target
    job.pixels = source.oh * source.ow
    job.gathers = not (source.dense and target.dense) or job.pixels < SMALL_PLANE
    job.images = min(n, ceil_div(GATHERED_PIXELS, job.pixels)) if job.gathers else 1
    job.tasks_of_images = ceil_div(n, job.images)
    job.height = ceil_div(filters, ceil_div(filters, ROW_BLOCK))
    job.width = min(<Py_ssize_t>COLUMN_BLOCK, job.pixels) if not job.gathers else job.images * job.pixels
    return job


cdef void gather(
    const Grid *grid,
    Py_ssize_t planes,
    const real *x,              # IN   (planes, h, w)
    real *row,                  # OUT  the pixels of each plane; 0 outside of it
    Py_ssize_t step,            # from one plane's to the next
) noexcept nogil:
    cdef Py_ssize_t c, i, y
    for c in range(planes):
        if grid.dense:
            memcpy(row + c * step, x + c * grid.h * grid.w, grid.h * grid.w * sizeof(real))
            continue
        for i in range(grid.oh):
            y = i * grid.sh - grid.top
            if grid.first > 0 or grid.end < grid.ow or not 0 <= y < grid.h:
                memset(row + c * step + i * grid.ow, 0, grid.ow * sizeof(real))
            if 0 <= y < grid.h:
                kernels_for(x).copy_apart(
                    grid.end - grid.first, x + (c * grid.h + y) * grid.w + grid.first * grid.sw - grid.left, grid.sw,
                    row + c * step + i * grid.ow + grid.first,
                )


cdef void scatter(
    const Grid *grid,
    Py_ssize_t planes,
    const real *row,            # IN   the pixels of each plane
    Py_ssize_t step,
    real *x,                    # OUT  (planes, h, w), those of the pixels that lie in it
) noexcept nogil:
    cdef Py_ssize_t c, i, j, y
    cdef const real *source
    cdef real *target
    for c in range(planes):
        if grid.dense:
            memcpy(x + c * grid.h * grid.w, row + c * step, grid.h * grid.w * sizeof(real))
            continue
        for i in range(grid.oh):
            y = i * grid.sh - grid.top
            if 0 <= y < grid.h:
                source = row + c * step + i * grid.ow
                target = x + (c * grid.h + y) * grid.w - grid.left
                for j in range(grid.first, grid.end):
                    target[j * grid.sw] = source[j]


def _pointwise(
    const real[:, :, :, ::1] x,         # IN   (n, c, h, w)
    const real[:, :, :, ::1] weight,    # IN   (oc, c, 1, 1); transposed: (c, oc, 1, 1)
    bint transposed,
    const real[::1] bias,               # IN   (oc,), or None
    stride,
    padding,                            # (top, left)
    activation,
    const real[:, :, :, ::1] add,       # IN   as y, or None
    real[:, :, :, ::1] y,               # OUT  (n, oc, oh, ow); transposed: the bias before, where no x reaches
):
    """y of a convolution; transposed, dx from dy, and the stride and padding are those of y."""
    cdef Py_ssize_t h = x.shape[2], w = x.shape[3], oh = y.shape[2], ow = y.shape[3], task
    cdef Grid source = whole_plane(h, w) if transposed else strided_plane(h, w, oh, ow, stride, padding)
    cdef Grid target = strided_plane(oh, ow, h, w, stride, padding) if transposed else whole_plane(oh, ow)
    cdef Pointwise job = make_pointwise(x.shape[0], x.shape[1], y.shape[1], source, target)
    cdef Steps steps = Steps(1, job.filters) if transposed else Steps(job.channels, 1)
    cdef const real *shift = &bias[0] if bias is not None else NULL
    cdef const real *more = &add[0, 0, 0, 0] if add is not None else NULL
    cdef Ending last = ending(activation)
    cdef Py_ssize_t down = ceil_div(job.filters, job.height)
    cdef Py_ssize_t across = ceil_div(job.images * job.pixels, job.width)
    cdef Py_ssize_t per_thread = multiply_scratch(job.height, job.channels, kernels_for(&x[0, 0, 0, 0]).nr)
    if job.gathers:
        per_thread += (job.channels + job.height) * job.width
    cdef int threads = threads_for(GEMM_NANOSECONDS * job.n * job.pixels * job.channels * job.filters)
    cdef Block block = take(threads * per_thread * sizeof(real))
    cdef real *scratch = <real *>block.data
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(job.tasks_of_images * down * across, schedule="dynamic"):
            if job.gathers:
                gathered_task(
                    &job, &x[0, 0, 0, 0], &weight[0, 0, 0, 0], steps, shift, more, last, task // down * job.images,
                    task % down * job.height, &y[0, 0, 0, 0], scratch + omp_get_thread_num() * per_thread,
                )
            else:
                plane_task(
                    &job, &x[0, 0, 0, 0], &weight[0, 0, 0, 0], steps, shift, more, last, task // across // down,
                    task // across % down * job.height, task % across * job.width, &y[0, 0, 0, 0],
                    scratch + omp_get_thread_num() * per_thread,
                )
        restore_denormals()


cdef void plane_task(
    const Pointwise *job,
    const real *x,
    const real *weight,
    Steps steps,
    const real *bias,
    const real *add,
    Ending activation,
    Py_ssize_t image,
    Py_ssize_t filter,          # the first
    Py_ssize_t pixel,
    real *y,
    real *scratch,
) noexcept nogil:
    """A run of pixels of one image."""
    cdef Py_ssize_t rows = min(job.height, job.filters - filter), cols = min(job.width, job.pixels - pixel)
    cdef Py_ssize_t at = (image * job.filters + filter) * job.pixels + pixel
    multiply_block(
        rows, cols, job.channels, weight + filter * steps.row, steps, x + image * job.channels * job.pixels + pixel,
        Steps(job.pixels, 1), bias + filter if bias != NULL else NULL, Steps(1, 0), y + at, job.pixels, scratch,
    )
    finish_rows(rows, job.pixels, cols, add + at if add != NULL else NULL, activation, y + at)


cdef void gathered_task(
    const Pointwise *job,
    const real *x,
    const real *weight,
    Steps steps,
    const real *bias,
    const real *add,
    Ending activation,
    Py_ssize_t first,           # image
    Py_ssize_t filter,
    real *y,
    real *scratch,              # gathered x, the product, and what multiply_block needs
) noexcept nogil:
    """Several images, of whose product only the pixels that `target` names are written."""
    cdef Py_ssize_t rows = min(job.height, job.filters - filter), images = min(job.images, job.n - first)
    cdef Py_ssize_t cols = images * job.pixels, size = job.source.h * job.source.w, i
    cdef Py_ssize_t target_size = job.target.h * job.target.w
    cdef real *product = scratch + job.channels * job.width
    for i in range(images):
        gather(&job.source, job.channels, x + (first + i) * job.channels * size, scratch + i * job.pixels, cols)
    multiply_block(
        rows, cols, job.channels, weight + filter * steps.row, steps, scratch, Steps(cols, 1),
        bias + filter if bias != NULL else NULL, Steps(1, 0), product, cols, product + job.height * job.width,
    )
    for i in range(images):
        size = ((first + i) * job.filters + filter) * target_size
        scatter(&job.target, rows, product + i * job.pixels, cols, y + size)
        finish_rows(1, 0, rows * target_size, add + size if add != NULL else NULL, activation, y + size)


def _pointwise_dweight(
    const real[:, :, :, ::1] dy,        # IN   (n, oc, oh, ow)
    const real[:, :, :, ::1] x,         # IN   (n, c, h, w)
    stride,
    padding,                            # (top, left)
    real[:, :, :, ::1] dweight,         # OUT  (oc, c, 1, 1)
    real[::1] dbias,                    # OUT  (oc,)
):
    cdef Py_ssize_t oh = dy.shape[2], ow = dy.shape[3], nr = kernels_for(&x[0, 0, 0, 0]).nr, task
    cdef Grid source = strided_plane(x.shape[2], x.shape[3], oh, ow, stride, padding)
    cdef Pointwise job = make_pointwise(x.shape[0], x.shape[1], dy.shape[1], source, whole_plane(oh, ow))
    job.width = min(<Py_ssize_t>COLUMN_BLOCK, job.channels)
    cdef Py_ssize_t size = job.filters * job.channels
    cdef Py_ssize_t groups = max(1, min(job.tasks_of_images, MOST_IMAGE_GROUPS, IMAGE_GROUPS_ELEMENTS // size))
    cdef Py_ssize_t down = ceil_div(job.filters, job.height), across = ceil_div(job.channels, job.width)
    cdef Py_ssize_t per_thread = multiply_scratch(job.height, job.images * job.pixels, nr)
    if job.gathers:
        per_thread += (job.height + job.width) * job.images * job.pixels
    cdef int threads = threads_for(GEMM_NANOSECONDS * job.n * job.pixels * size)
    cdef Block sums_block = take(groups * size * sizeof(real))
    cdef Block bias_block = take(groups * job.filters * sizeof(double))
    cdef Block block = take(threads * per_thread * sizeof(real))
    cdef real *sums = <real *>sums_block.data
    cdef double *bias_sums = <double *>bias_block.data
    cdef real *scratch = <real *>block.data
    memset(bias_sums, 0, groups * job.filters * sizeof(double))
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(groups * down * across, schedule="dynamic"):
            pointwise_dweight_task(
                &job, &dy[0, 0, 0, 0], &x[0, 0, 0, 0], groups, task // across // down,
                task // across % down * job.height, task % across * job.width, sums, bias_sums,
                scratch + omp_get_thread_num() * per_thread,
            )
        restore_denormals()
    memcpy(&dweight[0, 0, 0, 0], sums, size * sizeof(real))
    for task in range(1, groups):
        kernels_for(sums).add(size, sums + task * size, &dweight[0, 0, 0, 0])
    add_bias_sums(groups, job.filters, bias_sums, &dbias[0])


cdef void pointwise_dweight_task(
    const Pointwise *job,
    const real *dy,
    const real *x,
    Py_ssize_t groups,
    Py_ssize_t group,           # of images
    Py_ssize_t filter,          # the block's first
    Py_ssize_t channel,
    real *sums,                 # OUT  (groups, filters, channels)
    double *bias_sums,          # OUT  += (groups, filters)
    real *scratch,              # gathered dy, gathered x, and what multiply_block needs
) noexcept nogil:
    """One block of dweight over one group of images."""
    cdef Py_ssize_t rows = min(job.height, job.filters - filter), cols = min(job.width, job.channels - channel)
    cdef Py_ssize_t size = job.source.h * job.source.w, length = job.pixels, run, first, images, i, f
    cdef real *gathered_x = scratch + job.height * job.images * job.pixels
    cdef real *rest = gathered_x + job.width * job.images * job.pixels if job.gathers else scratch
    cdef const real *a
    cdef const real *b
    cdef const real *start = NULL
    sums += group * job.filters * job.channels + filter * job.channels + channel
    bias_sums += group * job.filters + filter
    for run in range(job.tasks_of_images * group // groups, job.tasks_of_images * (group + 1) // groups):
        first = run * job.images
        images = min(job.images, job.n - first)
        a = dy + (first * job.filters + filter) * job.pixels
        b = x + (first * job.channels + channel) * size
        if job.gathers:
            length = images * job.pixels
            for i in range(images):
                gather(&job.target, rows, a + i * job.filters * job.pixels, scratch + i * job.pixels, length)
                gather(&job.source, cols, b + i * job.channels * size, gathered_x + i * job.pixels, length)
            a, b = scratch, gathered_x
        multiply_block(
            rows, cols, length, a, Steps(length, 1), b, Steps(1, length), start, Steps(job.channels, 1), sums,
            job.channels, rest,
        )
        start = sums
        for f in range(rows if channel == 0 else 0):
            bias_sums[f] += row_sum(length, a + f * length)
