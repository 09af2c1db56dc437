"""What an op asks of a NumPy array: its address, its sizes and its type."""

from cpython.ref cimport PyObject

cdef extern from "numpy/ndarraytypes.h" nogil:
    ctypedef struct PyArrayObject
    enum: NPY_FLOAT32 "NPY_FLOAT"
    enum: NPY_MAXDIMS
    void *PyArray_DATA(PyArrayObject *)
    int PyArray_NDIM(PyArrayObject *)
    Py_ssize_t *PyArray_DIMS(PyArrayObject *)
    int PyArray_TYPE(PyArrayObject *)
    int PyArray_FLAGS(PyArrayObject *)
    PyObject *PyArray_DESCR(PyArrayObject *)
    enum: NPY_ARRAY_CARRAY_RO       # contiguous and aligned, ...
    enum: NPY_ARRAY_CARRAY          # ... and writeable


cdef inline void *data_of(x) noexcept:
    """Address of the first element; NULL for None."""
    return PyArray_DATA(<PyArrayObject *>x) if x is not None else NULL


cdef inline bint is_single(x) noexcept:
    """Whether the elements are floats, not doubles."""
    return PyArray_TYPE(<PyArrayObject *>x) == NPY_FLOAT32


cdef inline Py_ssize_t itemsize_of(x) noexcept:
    """Bytes of an element."""
    return sizeof(float) if is_single(x) else sizeof(double)


cdef inline int ndim_of(x) noexcept:
    return PyArray_NDIM(<PyArrayObject *>x)


cdef inline const Py_ssize_t *shape_of(x) noexcept:
    return PyArray_DIMS(<PyArrayObject *>x)


cdef inline Py_ssize_t size_of(x) noexcept:
    """Number of elements."""
    cdef Py_ssize_t n = 1
    cdef int d
    for d in range(PyArray_NDIM(<PyArrayObject *>x)):
        n *= PyArray_DIMS(<PyArrayObject *>x)[d]
    return n
