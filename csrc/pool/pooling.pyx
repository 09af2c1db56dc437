"""A pooling prepared for one geometry: its sizes and arrays, and the loop that an algorithm chose.

# Design:
# All poolings are one class of job: a struct of sizes and arrays (`Pool`), and a loop over tasks that read it. pool2d
# chooses the algorithm (windows, pairs, ties, adaptive, global_average), which sets the loop and its bands.
# argmax is uint8 while it fits: a quarter of int32's memory traffic.
"""

import numpy as np

from ..jobs import Array

from arrays cimport data_of
from ..memory cimport new_array
from ..parallel cimport EVENLY, Task, Team, run_team

cdef object FLOAT32 = np.dtype(np.float32), FLOAT64 = np.dtype(np.float64)
cdef object UINT8 = np.dtype(np.uint8), INT32 = np.dtype(np.int32)


cdef class Pooling(Job):
    """Its arrays: x, y, argmax; backward dy, argmax, x, dx. A mean has no argmax, and only ties have x."""

    cdef int set_up(self, Kind kind, Direction direction, tuple x_shape, tuple size, bint single) except -1:
        """Sizes and arrays; y has planes of this size. For a maximum, `pool` has the size of the windows already."""
        cdef Pool *pool = &self.pool
        cdef Py_ssize_t cells = pool.kh * pool.kw
        n, c, pool.h, pool.w = x_shape
        pool.planes, pool.oh, pool.ow = n * c, size[0], size[1]
        pool.dead = <int32_t>cells if kind == RELU_MAXIMUM else -1
        pool.wide = cells > (255 if kind == RELU_MAXIMUM else 256)
        self.kind, self.direction, self.single = kind, direction, single
        self.x_shape, self.y_shape = x_shape, (n, c, size[0], size[1])
        self.dtype, self.argmax_dtype = FLOAT32 if single else FLOAT64, INT32 if pool.wide else UINT8
        if direction == FORWARD:
            arrays = [Array("x", "in", x_shape, self.dtype), Array("y", "out", self.y_shape, self.dtype)]
        else:
            arrays = [Array("dy", "in", self.y_shape, self.dtype)]
        if kind != MEAN:
            role = "out" if direction == FORWARD else "in"
            arrays.append(Array("argmax", role, self.y_shape, self.argmax_dtype))
        if direction == BACKWARD_TO_TIES:
            arrays.append(Array("x", "in", x_shape, self.dtype))
        if direction != FORWARD:
            arrays.append(Array("dx", "out", x_shape, self.dtype))
        self.arrays = tuple(arrays)
        return 0

    cdef int loop(self, str name, Task task, Py_ssize_t tasks, double cost) except -1:
        """What an algorithm chose; the cost in nanoseconds."""
        self.name, self.task, self.tasks, self.cost = name, task, tasks, cost
        return 0

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Pool pool = self.pool
        if self.direction == FORWARD:
            pool.x, pool.y = arrays[0], arrays[1]
            pool.argmax = arrays[2] if self.kind != MEAN else NULL
        elif self.kind == MEAN:
            pool.dy, pool.dx = arrays[0], arrays[1]
        elif self.direction == BACKWARD:
            pool.dy, pool.argmax, pool.dx = arrays[0], arrays[1], arrays[2]
        else:
            pool.dy, pool.argmax, pool.x, pool.dx = arrays[0], arrays[1], arrays[2], arrays[3]
        run_team(team, self.task, &pool, self.tasks, EVENLY)

    cdef object forward(self, x):
        """y and argmax; the y of a mean."""
        cdef void *arrays[3]
        y = new_array(self.y_shape, self.dtype)
        arrays[0], arrays[1] = data_of(x), data_of(y)
        if self.kind == MEAN:
            self.start(arrays)
            return y
        argmax = new_array(self.y_shape, self.argmax_dtype)
        arrays[2] = data_of(argmax)
        self.start(arrays)
        return y, argmax

    cdef object back(self, dy, argmax, x):
        """dx; argmax and x are None where there are none."""
        cdef void *arrays[4]
        dx = new_array(self.x_shape, self.dtype)
        arrays[0], arrays[1], arrays[2] = data_of(dy), data_of(argmax), data_of(x)
        arrays[1 if self.kind == MEAN else 2 if self.direction == BACKWARD else 3] = data_of(dx)
        self.start(arrays)
        return dx
