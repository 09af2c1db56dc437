"""Batch normalisation: the ops and their jobs; norm_tasks.pyx computes."""

import numpy as np

from .jobs import Array

from libc.string cimport memset

from arrays cimport data_of, is_single, shape_of
from .epilogue cimport ending
from .jobs cimport Job, find, keep
from .memory cimport empty, empty_like
from .norm_tasks cimport Norm, backward_task, divide, forward_task, scratch_bytes, take_statistics
from .parallel cimport EVENLY, Task, Team, ceil_div, run_team

cdef double FORWARD_NANOSECONDS = 0.2       # an element normalised; as much again for its statistics
cdef double BACKWARD_NANOSECONDS = 0.5


# Ten parameters: the signature of the reference.
def batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps, activation, add):
    cdef const Py_ssize_t *shape = shape_of(x)
    cdef void *arrays[10]
    cdef double rate = momentum
    cdef tuple key = ("batch_norm", shape[0], shape[1], shape[2], is_single(x), training, eps, activation)
    cdef Forward job = find(key)
    if job is None:
        job = keep(key, Forward(shape[0], shape[1], shape[2], is_single(x), training, eps, activation))
    y, mean, inv_std = empty_like(x), empty((shape[1],), x), empty((shape[1],), x)
    arrays[0], arrays[1], arrays[2], arrays[3] = data_of(x), data_of(weight), data_of(bias), data_of(add)
    arrays[4], arrays[5], arrays[6] = data_of(running_mean), data_of(running_var), &rate
    arrays[7], arrays[8], arrays[9] = data_of(y), data_of(mean), data_of(inv_std)
    job.start(arrays)
    return y, mean, inv_std


def batch_norm_backward(dy, x, weight, mean, inv_std, training, bias, activation):
    cdef const Py_ssize_t *shape = shape_of(x)
    cdef void *arrays[9]
    cdef tuple key = ("batch_norm_backward", shape[0], shape[1], shape[2], is_single(x), training, activation)
    cdef Backward job = find(key)
    if job is None:
        job = keep(key, Backward(shape[0], shape[1], shape[2], is_single(x), training, activation))
    dx, dweight, dbias = empty_like(x), empty((shape[1],), x), empty((shape[1],), x)
    arrays[0], arrays[1], arrays[2], arrays[3] = data_of(dy), data_of(x), data_of(weight), data_of(bias)
    arrays[4], arrays[5], arrays[6] = data_of(mean), data_of(inv_std), data_of(dx)
    arrays[7], arrays[8] = data_of(dweight), data_of(dbias)
    job.start(arrays)
    return dx, dweight, dbias


def prepare_batch_norm(x_shape, dtype, training, eps, activation=None):
    """The job of `batch_norm`: job.run(x, weight, bias, add, running_mean, running_var, momentum, y, mean, inv_std).

    momentum is a float64 array of shape (); if it is None, training does not update the running statistics.
    """
    return Forward(*x_shape, np.dtype(dtype) == np.float32, training, eps, activation)


def prepare_batch_norm_backward(x_shape, dtype, training, activation=None):
    """The job of `batch_norm_backward`: job.run(dy, x, weight, bias, mean, inv_std, dx, dweight, dbias)."""
    return Backward(*x_shape, np.dtype(dtype) == np.float32, training, activation)


cdef class Normalisation(Job):
    """What both directions have in common."""
    cdef Norm norm                      # with NULL for the arrays
    cdef Task task                      # of some channels
    cdef bint single

    cdef int set_up(self, Py_ssize_t n, Py_ssize_t channels, Py_ssize_t pixels, bint single, activation) except -1:
        self.single = single
        self.norm.n, self.norm.channels, self.norm.pixels = n, channels, pixels
        self.norm.activation = ending(activation)
        divide(&self.norm)
        self.name = "columns" if self.norm.columns else "planes"
        self.scratch = scratch_bytes(&self.norm, sizeof(float) if single else sizeof(double))
        return 0

    cdef int take_arrays(self, arrays) except -1:
        """Names and roles; x, add, y and their gradients have the shape of x, momentum is a number."""
        cdef Norm *b = &self.norm
        shapes = dict.fromkeys(("x", "dy", "add", "y", "dx"), (b.n, b.channels, b.pixels)) | {"momentum": ()}
        dtype = np.dtype(np.float32 if self.single else np.float64)
        self.arrays = tuple([
            Array(name, role, shapes.get(name, (b.channels,)), np.dtype(np.float64) if name == "momentum" else dtype)
            for name, role in arrays
        ])
        return 0

    cdef void channel_tasks(self, const Norm *b, const Team *team) noexcept nogil:
        run_team(team, self.task, b, ceil_div(b.channels, b.share), EVENLY)


cdef class Forward(Normalisation):
    def __init__(self, n, channels, pixels, bint single, bint training, double eps, activation):
        self.set_up(n, channels, pixels, single, activation)
        self.norm.training, self.norm.eps = training, eps
        self.task = <Task>forward_task[float] if single else <Task>forward_task[double]
        self.cost = (2 if training else 1) * FORWARD_NANOSECONDS * n * channels * pixels
        statistics = "optional" if training else "in"
        self.take_arrays([
            ("x", "in"), ("weight", "optional"), ("bias", "optional"), ("add", "optional"),
            ("running_mean", statistics), ("running_var", statistics), ("momentum", "optional"),
            ("y", "out"), ("mean", "out"), ("inv_std", "out"),
        ])

    cdef int check_array(self, wanted, array) except -1:
        Job.check_array(self, wanted, array)
        if self.norm.training and wanted.name.startswith("running") and not array.flags.writeable:
            raise ValueError(f"{type(self).__name__}: {wanted.name} is read-only")
        return 0

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Norm b = self.norm
        b.x, b.weight, b.bias, b.add = arrays[0], arrays[1], arrays[2], arrays[3]
        b.running_mean, b.running_var = arrays[4], arrays[5]
        b.y, b.mean, b.inv_std = arrays[7], arrays[8], arrays[9]
        if b.training and arrays[6] == NULL:
            b.running_mean = b.running_var = NULL
        elif b.training:
            b.momentum = (<const double *>arrays[6])[0]
        if not b.training or b.n * b.pixels == 0:
            if self.single:
                take_statistics(&b, <const float *>b.running_mean, <const float *>b.running_var)
            else:
                take_statistics(&b, <const double *>b.running_mean, <const double *>b.running_var)
        if b.n * b.pixels:
            self.channel_tasks(&b, team)


cdef class Backward(Normalisation):
    def __init__(self, n, channels, pixels, bint single, bint training, activation):
        self.set_up(n, channels, pixels, single, activation)
        self.norm.training = training
        self.task = <Task>backward_task[float] if single else <Task>backward_task[double]
        self.cost = BACKWARD_NANOSECONDS * n * channels * pixels
        self.take_arrays([
            ("dy", "in"), ("x", "in"), ("weight", "optional"), ("bias", "optional"), ("mean", "in"), ("inv_std", "in"),
            ("dx", "out"), ("dweight", "out"), ("dbias", "out"),
        ])

    cdef void compute(self, void **arrays, char *shared, const Team *team) noexcept nogil:
        cdef Norm b = self.norm
        cdef size_t bytes = b.channels * (sizeof(float) if self.single else sizeof(double))
        b.dy, b.x, b.weight, b.bias = arrays[0], arrays[1], arrays[2], arrays[3]
        b.mean, b.inv_std = arrays[4], arrays[5]
        b.dx, b.dweight, b.dbias = arrays[6], arrays[7], arrays[8]
        if b.n * b.pixels:
            self.channel_tasks(&b, team)
        else:
            memset(b.dweight, 0, bytes)
            memset(b.dbias, 0, bytes)
