"""The fully connected layer (linear.pyx): its jobs, for others that are matrix products."""

from kernels cimport Ending
from .jobs cimport Job

# Arrays of the jobs: x, weight, bias or NULL, y;  dy, weight, dx;  dy, x, dweight, dbias. No size may be 0.
cdef Job linear_forward(Py_ssize_t n, Py_ssize_t inputs, Py_ssize_t outputs, bint single, Ending activation)
cdef Job linear_dx(Py_ssize_t n, Py_ssize_t inputs, Py_ssize_t outputs, bint single)
cdef Job linear_dweight(Py_ssize_t n, Py_ssize_t inputs, Py_ssize_t outputs, bint single)
