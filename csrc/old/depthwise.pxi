# Convolutions with few channels per group, of which depthwise is the extreme: a lane of a vector is a group.
#
# Design:
# Such a convolution reads and writes memory and does little between, so a matrix product of 1 x 9 numbers has nothing
# to win. Here the planes of some groups are brought into lanes (lanes.pyx), convolved without borders or shuffles, and
# brought back: micro/lanes.inc.c, micro/depthwise.inc.c. So planes of 2 x 2 run as well as large ones, and any stride
# and dilation is as good as none.
#
# A task is one block of groups, and one band of an image's output rows, or some small images. Of every group it takes
# all channels in and all filters out, a pair at a time. Backward-data is the same with the two exchanged; all classes
# of a band are written before it is brought back.
#
# Backward-weight: a task is one block of groups and a part of the images, whose number follows from the shapes; it sums
# in lanes, with dbias as the weight of a pixel that is always one. The parts are added in order.

cdef int convolve_lanes(
    const LanePlan *plan,
    Py_ssize_t n,
    const real *x,              # IN   (n, groups, inputs, h, w)
    Block packed,
    Block starts,
    const real *add,            # IN   as y, or NULL
    Ending activation,
    real *y,                    # OUT  (n, groups, outputs, oh, ow)
) except -1:
    cdef Py_ssize_t task, staged = staged_elements(plan), taps = 0, i
    cdef Py_ssize_t per_thread = plan.inputs * staged + plan.images * plan.band_rows * plan.ow * plan.lanes
    for i in range(plan.count):
        taps += plan.classes[i].rows.taps * plan.classes[i].cols.taps
    cdef int threads = threads_for(
        n * plan.blocks * plan.lanes * (
            LANE_NANOSECONDS * (plan.inputs * plan.h * plan.w + plan.outputs * plan.oh * plan.ow)
            + GEMM_NANOSECONDS * plan.inputs * plan.outputs * plan.oh * plan.ow * taps / plan.count
        )
    )
    cdef Block scratch = take(threads * per_thread * sizeof(real))
    cdef real *buffers = <real *>scratch.data
    cdef const real *weights = <const real *>packed.data
    cdef const real *start = <const real *>starts.data
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(n, plan.images) * plan.blocks * plan.bands, schedule="dynamic"):
            i = task // plan.bands // plan.blocks * plan.images
            lane_task(
                plan, i, min(plan.images, n - i), task // plan.bands % plan.blocks, task % plan.bands,
                x, weights, start, add, activation, y, buffers + omp_get_thread_num() * per_thread,
            )
        restore_denormals()
    return 0


cdef void lane_task(
    const LanePlan *plan,
    Py_ssize_t image,           # the first
    Py_ssize_t images,
    Py_ssize_t block,
    Py_ssize_t band,
    const real *x,
    const real *weights,
    const real *starts,
    const real *add,
    Ending activation,
    real *y,
    real *buffer,               # scratch: the staged inputs, and one output
) noexcept nogil:
    cdef Py_ssize_t lanes = plan.lanes, first = block * lanes, planes = min(lanes, plan.groups - first)
    cdef Py_ssize_t row = band * plan.band_rows, rows = min(plan.band_rows, plan.oh - row)
    cdef Py_ssize_t size = plan.h * plan.w, out_size = plan.oh * plan.ow, staged = staged_elements(plan)
    cdef Py_ssize_t low, high, f, m, at
    cdef real *out = buffer + plan.inputs * staged
    cdef Py_ssize_t ahead = TASKS_AHEAD * lanes * plan.inputs * size
    band_sources(plan, band, &low, &high)
    stage_lanes(
        plan, images, planes, low, high, ahead if plan.bands == 1 and size < SMALL_STREAM else 0,
        x + (image * plan.groups + first) * plan.inputs * size, buffer,
    )
    for f in range(plan.outputs):
        lane_output(
            plan, images, block, band, f, low, buffer, weights, starts + (block * plan.outputs + f) * lanes, out
        )
        for m in range(images):
            at = (((image + m) * plan.groups + first) * plan.outputs + f) * out_size + row * plan.ow
            kernels_for(y).from_lanes(
                planes, rows * plan.ow, out + m * plan.band_rows * plan.ow * lanes, y + at, plan.outputs * out_size
            )
            finish_rows(
                planes, plan.outputs * out_size, rows * plan.ow, add + at if add != NULL else NULL, activation, y + at
            )


cdef void lane_output(
    const LanePlan *plan,
    Py_ssize_t images,
    Py_ssize_t block,
    Py_ssize_t band,
    Py_ssize_t f,
    Py_ssize_t low,             # the first staged row
    const real *staged,         # IN   (inputs, staged_elements)
    const real *weights,
    const real *start,
    real *out,                  # OUT  (rows of the band, ow)
) noexcept nogil:
    """One output plane of every group of a block."""
    cdef Py_ssize_t lanes = plan.lanes, i, c, begin, end, taps
    cdef const Walk *rows
    cdef const Walk *cols
    cdef const real *source
    cdef const real *weight
    cdef cnnx_lane_windows windows
    for i in range(plan.count):
        rows, cols = &plan.classes[i].rows, &plan.classes[i].cols
        band_outputs(plan, rows, band, &begin, &end)
        if begin >= end:
            continue
        windows = lane_windows(plan, &plan.classes[i], images, end - begin)
        taps = rows.taps * cols.taps
        weight = weights + plan.classes[i].packed + (block * plan.outputs + f) * plan.inputs * taps * lanes
        source = staged
        if taps:
            source += (
                (rows.source + begin * rows.source_step - low) * plan.pitch + plan.left + cols.source
            ) * lanes
        for c in range(plan.inputs):
            kernels_for(out).depthwise(
                &windows, source + c * staged_elements(plan), weight + c * taps * lanes, start if c == 0 else NULL,
                out + ((rows.first + begin * rows.step - band * plan.band_rows) * plan.ow + cols.first) * lanes,
            )


def _depthwise(
    const real[:, :, :, ::1] x,         # IN   (n, c, h, w)
    const real[:, :, :, ::1] weight,    # IN   (oc, c / groups, kh, kw)
    const real[::1] bias,               # IN   (oc,), or None
    stride,
    padding,                            # (top, left)
    dilation,
    Py_ssize_t groups,
    activation,
    const real[:, :, :, ::1] add,       # IN   as y, or None
    real[:, :, :, ::1] y,               # OUT  (n, oc, oh, ow)
):
    cdef Py_ssize_t channels = weight.shape[1], filters = weight.shape[0] // groups
    cdef Py_ssize_t kernel = weight.shape[2] * weight.shape[3]
    cdef Block classes = lane_classes(
        forward_walks(y.shape[2], weight.shape[2], stride[0], padding[0], dilation[0]),
        forward_walks(y.shape[3], weight.shape[3], stride[1], padding[1], dilation[1]),
    )
    cdef LanePlan plan = lane_plan(
        kernels_for(&x[0, 0, 0, 0]).lanes, x.shape[0], groups, channels, x.shape[2], x.shape[3],
        filters, y.shape[2], y.shape[3], classes, 1,
    )
    convolve_lanes(
        &plan, x.shape[0], &x[0, 0, 0, 0],
        pack_lanes(
            &plan, &weight[0, 0, 0, 0], filters * channels * kernel, channels * kernel, kernel, weight.shape[3]
        ),
        pack_lane_starts(&plan, &bias[0] if bias is not None else <const real *>NULL),
        &add[0, 0, 0, 0] if add is not None else NULL, ending(activation),
        &y[0, 0, 0, 0],
    )


def _depthwise_dx(
    const real[:, :, :, ::1] dy,        # IN   (n, oc, oh, ow)
    const real[:, :, :, ::1] weight,    # IN   (oc, c / groups, kh, kw)
    const real[::1] bias,               # IN   (c,), or None: what dx begins with
    stride,
    padding,                            # (top, left)
    dilation,
    Py_ssize_t groups,
    real[:, :, :, ::1] dx,              # OUT  (n, c, h, w)
):
    cdef Py_ssize_t channels = weight.shape[1], filters = weight.shape[0] // groups
    cdef Py_ssize_t kernel = weight.shape[2] * weight.shape[3]
    rows = backward_walks(dx.shape[2], weight.shape[2], stride[0], padding[0], dilation[0])
    cols = backward_walks(dx.shape[3], weight.shape[3], stride[1], padding[1], dilation[1])
    cdef Block classes = lane_classes(rows, cols)
    cdef LanePlan plan = lane_plan(
        kernels_for(&dy[0, 0, 0, 0]).lanes, dy.shape[0], groups, filters, dy.shape[2], dy.shape[3],
        channels, dx.shape[2], dx.shape[3], classes, len(rows) * len(cols),
    )
    convolve_lanes(
        &plan, dy.shape[0], &dy[0, 0, 0, 0],
        pack_lanes(
            &plan, &weight[0, 0, 0, 0], filters * channels * kernel, kernel, channels * kernel, weight.shape[3]
        ),
        pack_lane_starts(&plan, &bias[0] if bias is not None else <const real *>NULL),
        <const real *>NULL, NO_ACTIVATION,
        &dx[0, 0, 0, 0],
    )


def _depthwise_dweight(
    const real[:, :, :, ::1] dy,        # IN   (n, oc, oh, ow)
    const real[:, :, :, ::1] x,         # IN   (n, c, h, w)
    stride,
    padding,                            # (top, left)
    dilation,
    Py_ssize_t groups,
    real[:, :, :, ::1] dweight,         # OUT  (oc, c / groups, kh, kw)
    real[::1] dbias,                    # OUT  (oc,)
):
    cdef Block classes = lane_classes(
        forward_walks(dy.shape[2], dweight.shape[2], stride[0], padding[0], dilation[0]),
        forward_walks(dy.shape[3], dweight.shape[3], stride[1], padding[1], dilation[1]),
    )
    cdef LanePlan plan = lane_plan(
        kernels_for(&x[0, 0, 0, 0]).lanes, x.shape[0], groups, dweight.shape[1], x.shape[2], x.shape[3],
        dweight.shape[0] // groups, dy.shape[2], dy.shape[3], classes, 1,
    )
    cdef Py_ssize_t task, taps = dweight.shape[2] * dweight.shape[3]
    cdef Py_ssize_t parts = min(x.shape[0], ceil_div(LANE_TASKS, plan.blocks))
    cdef Py_ssize_t sums_size = plan.outputs * (plan.inputs * taps + 1) * plan.lanes
    cdef Py_ssize_t per_thread = (
        plan.inputs * staged_elements(&plan) + plan.outputs * plan.images * plan.band_rows * plan.ow * plan.lanes
    )
    cdef int threads = threads_for(
        x.shape[0] * plan.blocks * plan.lanes * (
            LANE_NANOSECONDS * (plan.inputs * plan.h * plan.w + plan.outputs * plan.oh * plan.ow)
            + GEMM_NANOSECONDS * plan.inputs * plan.outputs * plan.oh * plan.ow * taps
        )
    )
    cdef Block sums_block = take(parts * plan.blocks * sums_size * sizeof(real))
    cdef Block scratch = take(threads * per_thread * sizeof(real))
    cdef real *sums = <real *>sums_block.data
    cdef real *buffers = <real *>scratch.data
    memset(sums, 0, parts * plan.blocks * sums_size * sizeof(real))
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(plan.blocks * parts, schedule="dynamic"):
            lane_dweight_task(
                &plan, task % plan.blocks, x.shape[0] * (task // plan.blocks) // parts,
                x.shape[0] * (task // plan.blocks + 1) // parts, &x[0, 0, 0, 0], &dy[0, 0, 0, 0],
                sums + task * sums_size, buffers + omp_get_thread_num() * per_thread,
            )
        restore_denormals()
    for task in range(1, parts):
        kernels_for(sums).add(plan.blocks * sums_size, sums + task * plan.blocks * sums_size, sums)
    for task in range(plan.blocks):
        unpack_dweight(&plan, task, sums + task * sums_size, &dweight[0, 0, 0, 0], &dbias[0])


cdef void lane_dweight_task(
    const LanePlan *plan,
    Py_ssize_t block,
    Py_ssize_t image,           # the first
    Py_ssize_t last_image,
    const real *x,
    const real *dy,
    real *sums,                 # OUT  += (outputs, (inputs * taps of dweight, then dbias)) vectors of lanes
    real *buffer,               # scratch: the staged inputs and outputs
) noexcept nogil:
    """One block of groups, over some images."""
    cdef Py_ssize_t lanes = plan.lanes, first = block * lanes, planes = min(lanes, plan.groups - first)
    cdef Py_ssize_t size = plan.h * plan.w, out_size = plan.oh * plan.ow, band_size = plan.band_rows * plan.ow
    cdef Py_ssize_t images, band, row, rows, low, high, f, m, ahead
    cdef real *outputs = buffer + plan.inputs * staged_elements(plan)
    x += first * plan.inputs * size
    dy += first * plan.outputs * out_size
    while image < last_image:
        images = min(plan.images, last_image - image)
        ahead = plan.images * plan.groups if plan.bands == 1 and image + images < last_image else 0
        for band in range(plan.bands):
            row = band * plan.band_rows
            rows = min(plan.band_rows, plan.oh - row)
            band_sources(plan, band, &low, &high)
            stage_lanes(
                plan, images, planes, low, high, ahead * plan.inputs * size,
                x + image * plan.groups * plan.inputs * size, buffer,
            )
            for f in range(plan.outputs):
                for m in range(images):
                    kernels_for(dy).to_lanes(
                        planes, rows * plan.ow,
                        dy + ((image + m) * plan.groups * plan.outputs + f) * out_size + row * plan.ow,
                        plan.outputs * out_size, rows * plan.ow, 0, ahead * plan.outputs * out_size,
                        outputs + (f * plan.images + m) * band_size * lanes,
                    )
            lane_products(plan, images, rows, buffer, outputs, sums)
        image += images


cdef void lane_products(
    const LanePlan *plan,
    Py_ssize_t images,
    Py_ssize_t rows,
    const real *x,              # IN   (inputs, staged_elements)
    const real *dy,             # IN   (outputs, images, band)
    real *sums,                 # OUT  += (outputs, (inputs * taps, then one))
) noexcept nogil:
    """Sums of dy times its windows, and of dy alone, over one band."""
    cdef Py_ssize_t lanes = plan.lanes, c, f, i, kernel = plan.classes.rows.taps * plan.classes.cols.taps * lanes
    cdef cnnx_lane_windows windows = lane_windows(plan, plan.classes, images, rows)
    cdef Py_ssize_t pixels = rows * plan.ow
    cdef cnnx_lane_windows one = cnnx_lane_windows(1, images, pixels, 0, windows.y_image, 1, 0, 0, 0, 1, 1, 0, 0)
    cdef const real *source = x + (plan.left + plan.classes.cols.source) * lanes
    cdef real ones[CNNX_MAX_LANES]
    for i in range(lanes):
        ones[i] = 1
    for f in range(plan.outputs):
        for c in range(plan.inputs):
            kernels_for(dy).depthwise_dweight(&windows, source + c * staged_elements(plan), dy, sums)
            sums += kernel
        kernels_for(dy).depthwise_dweight(&one, ones, dy, sums)
        sums += lanes
        dy += plan.images * plan.band_rows * plan.ow * lanes


cdef void unpack_dweight(
    const LanePlan *plan, Py_ssize_t block, const real *sums, real *dweight, real *dbias
) noexcept nogil:
    """The sums of one block of groups where the user looks for them."""
    cdef Py_ssize_t first = block * plan.lanes, planes = min(plan.lanes, plan.groups - first), c, f
    cdef Py_ssize_t taps = plan.classes.rows.taps * plan.classes.cols.taps, group = plan.outputs * plan.inputs * taps
    for f in range(plan.outputs):
        for c in range(plan.inputs):
            kernels_for(sums).from_lanes(
                planes, taps, sums, dweight + first * group + (f * plan.inputs + c) * taps, group
            )
            sums += taps * plan.lanes
        kernels_for(sums).from_lanes(planes, 1, sums, dbias + first * plan.outputs + f, plan.outputs)
        sums += plan.lanes
