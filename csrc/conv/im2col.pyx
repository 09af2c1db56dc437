"""The window matrix, its adjoint, and convolution as a linear layer over it: the textbook's im2col.

# Design:
# Each row of cols (windows x (channel, tap)) is a window of x. col2im adds them to their pixels again: a task is one
# plane of x, so that each pixel has one owner.
# Where there are so few windows that weights are most of what is read (the last layers of a network, for one image),
# convolution is a linear layer over cols: the weights are a matrix as they are, are read once and packed by nobody, and
# are shared among the threads in blocks, however few images. With y and dy as rows (windows x filters):
#
#     forward             y = linear(cols)
#     backward-data       dx = col2im of linear's dx
#     backward-weight     dweight, dbias = linear's
"""

from arrays cimport data_of, is_single, size_of
from kernels cimport NO_ACTIVATION, Ending, kernels_for, real
from tile cimport tile_of
from ..epilogue cimport finish_rows
from ..jobs cimport Job
from ..linear cimport linear_dweight, linear_dx, linear_forward
from ..memory cimport empty, new_array
from ..parallel cimport EVENLY, Task, Team, run_tasks, run_team
from .geometry cimport ARG_ADD, ARG_BIAS, ARG_DBIAS, ARG_DWEIGHT, ARG_DX, ARG_DY, ARG_WEIGHT, ARG_WINDOWS, ARG_X, ARG_Y
from .geometry cimport BACKWARD_DATA, BACKWARD_WEIGHT, FORWARD, Convolution, Direction, Geometry


cdef struct Windows:
    const Geometry *geometry    # groups = 1
    void *x                     # (n, channels, h, w)
    void *cols                  # (n * oh * ow, channels * kh * kw)
    const void *bias            # col2im: (channels,), added to x; or NULL


def im2col(x, kernel, stride, padding, dilation):
    cdef Geometry geometry = window_geometry(x.shape, kernel, stride, padding, dilation)
    cols = empty((geometry.n * geometry.oh * geometry.ow, geometry.channels * geometry.kh * geometry.kw), x)
    cdef Windows windows = Windows(&geometry, data_of(x), data_of(cols), NULL)
    if size_of(x):
        run_tasks(
            <Task>im2col_task[float] if is_single(x) else <Task>im2col_task[double], &windows,
            geometry.n * geometry.oh, EVENLY, size_of(cols),
        )
    else:
        cols[...] = 0
    return cols


def col2im(cols, x_shape, kernel, stride, padding, dilation):
    cdef Geometry geometry = window_geometry(x_shape, kernel, stride, padding, dilation)
    x = new_array(tuple(x_shape), cols.dtype)
    cdef Windows windows = Windows(&geometry, data_of(x), data_of(cols), NULL)
    if size_of(x):
        run_tasks(
            <Task>col2im_task[float] if is_single(x) else <Task>col2im_task[double], &windows,
            geometry.n * geometry.channels, EVENLY, size_of(cols),
        )
    return x


cdef Geometry window_geometry(x_shape, kernel, stride, padding, dilation):
    cdef Geometry g
    (g.top, bottom), (g.left, right) = padding
    g.n, g.channels, g.h, g.w = x_shape
    (g.kh, g.kw), (g.sh, g.sw), (g.dh, g.dw) = kernel, stride, dilation
    g.groups, g.filters = 1, 0
    g.oh = (g.h + g.top + <Py_ssize_t>bottom - g.dh * (g.kh - 1) - 1) // g.sh + 1
    g.ow = (g.w + g.left + <Py_ssize_t>right - g.dw * (g.kw - 1) - 1) // g.sw + 1
    return g


cdef void im2col_task(const Windows *windows, Py_ssize_t task, real *scratch) noexcept nogil:
    """The windows of one output row."""
    cdef Geometry g = windows.geometry[0]       # a copy, which the compiler can keep in registers
    cdef Py_ssize_t image = task // g.oh, first_row = task % g.oh * g.sh - g.top
    cdef Py_ssize_t j, c, u, v, row, col, width
    cdef const real *x = <const real *>windows.x + image * g.channels * g.h * g.w
    cdef real *cols = <real *>windows.cols + task * g.ow * g.channels * g.kh * g.kw
    cdef const real *source
    for j in range(g.ow):
        for c in range(g.channels):
            for u in range(g.kh):
                row = first_row + u * g.dh
                source = x + (c * g.h + row) * g.w
                width = g.w if 0 <= row < g.h else 0
                for v in range(g.kw):
                    col = j * g.sw - g.left + v * g.dw
                    cols[0] = source[col] if 0 <= col < width else 0
                    cols += 1


cdef void col2im_task(const Windows *windows, Py_ssize_t task, real *scratch) noexcept nogil:
    """Every window's values for one channel of one image."""
    cdef Geometry g = windows.geometry[0]
    cdef Py_ssize_t image = task // g.channels, channel = task % g.channels, i, j, p, u, v, row, col
    cdef const real *cols = <const real *>windows.cols
    cdef const real *bias = <const real *>windows.bias
    cdef real *x = <real *>windows.x + task * g.h * g.w
    for p in range(g.h * g.w):
        x[p] = bias[channel] if bias != NULL else 0
    cols += (image * g.oh * g.ow * g.channels + channel) * g.kh * g.kw
    for i in range(g.oh):
        for j in range(g.ow):
            for u in range(g.kh):
                row = i * g.sh + u * g.dh - g.top
                if not 0 <= row < g.h:
                    continue
                for v in range(g.kw):
                    col = j * g.sw + v * g.dw - g.left
                    if 0 <= col < g.w:
                        x[row * g.w + col] += cols[u * g.kw + v]
            cols += g.channels * g.kh * g.kw


cdef class Columns(Convolution):
    """The linear layer's job, between im2col, col2im and the transposition of y or dy."""
    cdef Job product
    cdef size_t rows_begin, product_begin       # in the shared memory, after cols

    cdef int make_plan(self, const Geometry *g, Direction direction, bint single, Ending activation) except -1:
        cdef Py_ssize_t n = g.n * g.oh * g.ow, terms = g.channels * g.kh * g.kw, element = tile_of(single).element
        self.set_up(g, direction, "columns", single, activation)
        if direction == FORWARD:
            self.product = linear_forward(n, terms, g.filters, single, NO_ACTIVATION)
        elif direction == BACKWARD_DATA:
            self.product = linear_dx(n, terms, g.filters, single)
        else:
            self.product = linear_dweight(n, terms, g.filters, single)
        self.rows_begin = n * terms * element
        self.product_begin = self.rows_begin + n * g.filters * element
        self.shared = self.product_begin + self.product.shared
        self.scratch, self.cost = self.product.scratch, self.product.cost
        return 0

    cdef void read_windows(self, void *x, void *cols, const Team *team) noexcept nogil:
        cdef Windows windows = Windows(&self.geometry, x, cols, NULL)
        run_team(
            team, <Task>im2col_task[float] if self.single else <Task>im2col_task[double], &windows,
            self.geometry.n * self.geometry.oh, EVENLY,
        )

    cdef void read_rows(self, void *dy, void *rows, const Team *team) noexcept nogil:
        cdef Rows call = Rows(&self.geometry, rows, dy, NULL, NO_ACTIVATION)
        run_team(
            team, <Task>to_rows_task[float] if self.single else <Task>to_rows_task[double], &call, self.geometry.n,
            EVENLY,
        )


cdef class ColumnsForward(Columns):

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef void *rows = shared + self.rows_begin
        cdef void *of_product[4]
        cdef Rows call = Rows(&self.geometry, rows, arrays[ARG_Y], arrays[ARG_ADD], self.activation)
        of_product[0], of_product[1], of_product[2], of_product[3] = shared, arrays[ARG_WEIGHT], arrays[ARG_BIAS], rows
        self.read_windows(arrays[ARG_X], shared, team)
        self.product.compute(of_product, shared + self.product_begin, team)
        run_team(
            team, <Task>from_rows_task[float] if self.single else <Task>from_rows_task[double], &call,
            self.geometry.n, EVENLY,
        )


cdef class ColumnsDx(Columns):

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef void *rows = shared + self.rows_begin
        cdef void *of_product[3]
        cdef Windows windows = Windows(&self.geometry, arrays[ARG_DX], shared, arrays[ARG_BIAS])
        of_product[0], of_product[1], of_product[2] = rows, arrays[ARG_WEIGHT], shared
        self.read_rows(arrays[ARG_DY], rows, team)
        self.product.compute(of_product, shared + self.product_begin, team)
        run_team(
            team, <Task>col2im_task[float] if self.single else <Task>col2im_task[double], &windows,
            self.geometry.n * self.geometry.channels, EVENLY,
        )


cdef class ColumnsDweight(Columns):

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef void *rows = shared + self.rows_begin
        cdef void *of_product[4]
        of_product[0], of_product[1] = rows, shared
        of_product[2], of_product[3] = arrays[ARG_DWEIGHT], arrays[ARG_DBIAS]
        self.read_windows(arrays[ARG_WINDOWS], shared, team)
        self.read_rows(arrays[ARG_DY], rows, team)
        self.product.compute(of_product, shared + self.product_begin, team)


cdef Job prepare_columns(const Geometry *geometry, bint single, Ending activation):
    cdef ColumnsForward job = ColumnsForward.__new__(ColumnsForward)
    job.make_plan(geometry, FORWARD, single, activation)
    return job


cdef Job prepare_columns_dx(const Geometry *geometry, bint single, Ending activation):
    cdef ColumnsDx job = ColumnsDx.__new__(ColumnsDx)
    job.make_plan(geometry, BACKWARD_DATA, single, activation)
    return job


cdef Job prepare_columns_dweight(const Geometry *geometry, bint single, Ending activation):
    cdef ColumnsDweight job = ColumnsDweight.__new__(ColumnsDweight)
    job.make_plan(geometry, BACKWARD_WEIGHT, single, activation)
    return job


cdef struct Rows:
    const Geometry *geometry
    void *rows                  # (n, oh * ow, filters)
    void *y                     # (n, filters, oh * ow)
    const void *add             # as y, or NULL
    Ending activation


cdef void to_rows_task(const Rows *call, Py_ssize_t image, real *scratch) noexcept nogil:
    """The rows of one image."""
    cdef Py_ssize_t filters = call.geometry.filters, pixels = call.geometry.oh * call.geometry.ow
    cdef const real *y = <const real *>call.y + image * filters * pixels
    kernels_for(y).transpose(filters, pixels, y, pixels, <real *>call.rows + image * filters * pixels, filters)


cdef void from_rows_task(const Rows *call, Py_ssize_t image, real *scratch) noexcept nogil:
    """y of one image, with what is added, and its activation."""
    cdef Py_ssize_t filters = call.geometry.filters, pixels = call.geometry.oh * call.geometry.ow
    cdef const real *rows = <const real *>call.rows + image * filters * pixels
    cdef const real *add = <const real *>call.add
    cdef real *y = <real *>call.y + image * filters * pixels
    kernels_for(y).transpose(pixels, filters, rows, filters, y, pixels)
    finish_rows(1, 0, filters * pixels, add + image * filters * pixels if add != NULL else NULL, call.activation, y)
