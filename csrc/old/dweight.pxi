# Backward-weight of a convolution: sums over pixels of dy times the windows of x, which are read where they lie.
#
# Design:
# dweight ((channel, tap) x filters) = sum over images of windows ((channel, tap) x pixels) * dy (pixels x filters). A
# window's number is one load at an offset in the staged rows of x (convolve.pyx); dy is turned, so that its filters are
# the lanes of a vector. The images are cut into a fixed number of groups, each with a sum of its own, and these are
# added in order at the end; so nothing depends on the number of threads. A task is one group of images and a run of
# (channel, tap) rows.

cdef enum:
    MOST_IMAGE_GROUPS = 16
    IMAGE_GROUPS_ELEMENTS = 1 << 20     # all groups' sums together: 4 MB of floats, within the second-level caches


cdef struct Dweight:            # how the sums are cut up
    Py_ssize_t groups           # of the convolution
    Py_ssize_t channels, filters        # of one of them
    Py_ssize_t panels           # of mr (channel, tap) rows
    Py_ssize_t width            # of a row of sums: filters, and zeros up to a whole panel
    Py_ssize_t image_groups, runs
    const Py_ssize_t *offsets   # (panels * mr) of (channel, tap) in the staged channels


def _conv2d_dweight(
    const real[:, :, :, ::1] dy,        # IN   (n, oc, oh, ow)
    const real[:, :, :, ::1] x,         # IN   (n, c, h, w)
    stride,
    padding,                            # (top, left)
    dilation,
    Py_ssize_t groups,
    real[:, :, :, ::1] dweight,         # OUT  (oc, c / groups, kh, kw)
    real[::1] dbias,                    # OUT  (oc,)
):
    cdef Py_ssize_t mr = kernels_for(&x[0, 0, 0, 0]).mr, nr = kernels_for(&x[0, 0, 0, 0]).nr, task
    cdef Py_ssize_t[:, ::1] table = tap_table(
        [u * dilation[0] for u in range(dweight.shape[2])], [v * dilation[1] for v in range(dweight.shape[3])]
    )
    cdef Taps taps = window_taps(x.shape[2], x.shape[3], stride, (-padding[0], -padding[1]), table)
    cdef Dweight job
    job.groups, job.channels, job.filters = groups, dweight.shape[1], dweight.shape[0] // groups
    cdef Py_ssize_t rows = job.channels * taps.count
    job.panels, job.width = ceil_div(rows, mr), ceil_div(job.filters, nr) * nr
    cdef Py_ssize_t sums = job.panels * mr * job.width
    job.image_groups = max(1, min(x.shape[0], MOST_IMAGE_GROUPS, IMAGE_GROUPS_ELEMENTS // (groups * sums)))
    job.runs = min(job.panels, max(1, MOST_IMAGE_GROUPS // (job.image_groups * groups)))
    cdef Band band = make_band(&taps, dy.shape[2], dy.shape[3], nr, job.channels)
    band.channels = job.channels
    cdef Block offsets = window_offsets(&taps, &band, job.panels * mr)
    job.offsets = band.offsets
    cdef Py_ssize_t per_thread = band.rows * dy.shape[3] * job.width + job.channels * band.plane
    cdef int threads = threads_for(GEMM_NANOSECONDS * dy.shape[0] * dy.shape[2] * dy.shape[3] * groups * sums)
    cdef Block sums_block = take(job.image_groups * groups * sums * sizeof(real))
    cdef Block bias_block = take(job.image_groups * dy.shape[1] * sizeof(double))
    cdef Block scratch = take(threads * per_thread * sizeof(real))
    cdef double *bias_sums = <double *>bias_block.data
    cdef real *group_sums = <real *>sums_block.data
    cdef real *own = <real *>scratch.data
    memset(bias_sums, 0, job.image_groups * dy.shape[1] * sizeof(double))
    memset(group_sums, 0, job.image_groups * groups * sums * sizeof(real))
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(groups * job.image_groups * job.runs, schedule="dynamic"):
            dweight_task(
                &job, &taps, &band, dy, x, task, group_sums, bias_sums, own + omp_get_thread_num() * per_thread
            )
        restore_denormals()
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(groups * job.panels, schedule="static"):
            write_dweight_panel(
                &job, rows, task % job.panels * mr, groups * sums, group_sums + task * mr * job.width,
                &dweight[task // job.panels * job.filters, 0, 0, 0],
            )
        restore_denormals()
    add_bias_sums(job.image_groups, dy.shape[1], bias_sums, &dbias[0])


cdef void dweight_task(
    const Dweight *job,
    const Taps *taps,
    const Band *band,
    const real[:, :, :, ::1] dy,
    const real[:, :, :, ::1] x,
    Py_ssize_t task,
    real *group_sums,           # OUT  += (image_groups, groups, panels * mr, width)
    double *bias_sums,          # OUT  += (image_groups, groups, filters)
    real *turned,               # scratch: dy of a band with filters side by side, then the staged channels
) noexcept nogil:
    """One run of rows, of one group of the convolution, over one group of images."""
    cdef Py_ssize_t mr = kernels_for(turned).mr, nr = kernels_for(turned).nr, size = dy.shape[2] * dy.shape[3]
    cdef Py_ssize_t run = task % job.runs, group = task // job.runs % job.groups
    cdef Py_ssize_t image_group = task // job.runs // job.groups
    cdef Py_ssize_t first_panel = job.panels * run // job.runs, last_panel = job.panels * (run + 1) // job.runs
    cdef Py_ssize_t first_channel = first_panel * mr // taps.count
    cdef Py_ssize_t last_channel = min(job.channels, ceil_div(last_panel * mr, taps.count))
    cdef Py_ssize_t image, strip, row, lines, panel, f
    bias_sums += (image_group * job.groups + group) * job.filters
    cdef real *staged = turned + band.rows * dy.shape[3] * job.width
    group_sums += (image_group * job.groups + group) * job.panels * mr * job.width
    for image in range(
        x.shape[0] * image_group // job.image_groups, x.shape[0] * (image_group + 1) // job.image_groups
    ):
        for strip in range(band.count):
            row = strip * band.rows
            lines = min(band.rows, dy.shape[2] - row)
            stage(
                taps, band, last_channel - first_channel, row, &x[image, group * job.channels + first_channel, 0, 0],
                staged + first_channel * band.plane,
            )
            for f in range(job.filters if run == 0 else 0):
                bias_sums[f] += row_sum(lines * dy.shape[3], &dy[image, group * job.filters + f, row, 0])
            for f in range(job.width // nr):
                turn(
                    min(nr, job.filters - f * nr), lines * dy.shape[3],
                    &dy[image, group * job.filters + f * nr, row, 0], size, turned,
                )
                for panel in range(first_panel, last_panel):
                    kernels_for(turned).direct_dweight(
                        min(nr, job.filters - f * nr), lines, dy.shape[3], staged, taps.sh * band.pitch,
                        job.offsets + panel * mr, turned, group_sums + panel * mr * job.width + f * nr, job.width,
                    )


cdef inline void turn(
    Py_ssize_t filters,         # at most nr
    Py_ssize_t pixels,
    const real *dy,
    Py_ssize_t step,            # from one filter's plane to the next
    real *turned,               # OUT  (pixels, nr), or (pixels, lanes) if all filters fit into a vector
) noexcept nogil:
    if filters <= kernels_for(dy).lanes:
        kernels_for(dy).to_lanes(filters, pixels, dy, step, pixels, 0, 0, turned)
    else:
        kernels_for(dy).pack(filters, pixels, dy, step, 1, kernels_for(dy).nr, turned)


cdef void write_dweight_panel(
    const Dweight *job,
    Py_ssize_t rows,            # (channel, tap) in all
    Py_ssize_t first,
    Py_ssize_t step,            # elements from one group's sums to the next
    real *sums,                 # INOUT  of the panel: the first group's becomes the sum of all
    real *dweight,              # OUT  (filters, rows)
) noexcept nogil:
    cdef Py_ssize_t mr = kernels_for(sums).mr, i, f, g
    for g in range(1, job.image_groups):
        kernels_for(sums).add(mr * job.width, sums + g * step, sums)
    for f in range(job.filters):
        for i in range(min(mr, rows - first)):
            dweight[f * rows + first + i] = sums[i * job.width + f]


cdef void add_bias_sums(
    Py_ssize_t image_groups, Py_ssize_t filters, const double *bias_sums, real *dbias
) noexcept nogil:
    cdef Py_ssize_t f, g
    cdef double total
    for f in range(filters):
        total = 0
        for g in range(image_groups):
            total += bias_sums[g * filters + f]
        dbias[f] = <real>total
