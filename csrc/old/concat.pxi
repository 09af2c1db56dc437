# Arrays joined along an axis, and taken apart again.
#
# Design:
# An array of shape (outer, size, inner) is `outer` runs of size * inner elements that lie together. The joined array is
# one row of runs after the other, one run of each array a row. A task is a piece of the joined array, whatever runs lie
# in it: many short ones, or a part of one. Only bytes are copied, so there is one function for both types and both
# directions; denormal numbers stay.

cdef enum:
    BYTES_PER_TASK = 1 << 16


cdef struct Part:
    char *data                      # the array's
    Py_ssize_t size                 # bytes of a run
    Py_ssize_t start                # where it begins in a row


def concat(arrays, int axis):
    first = arrays[0]
    cdef Py_ssize_t total = 0
    for x in arrays:
        total += x.shape[axis]
    y = empty((*first.shape[:axis], total, *first.shape[axis + 1:]), first)
    copy_runs(y, arrays, axis, True)
    return y


def split(x, sizes, int axis):
    arrays = [empty((*x.shape[:axis], size, *x.shape[axis + 1:]), x) for size in sizes]
    copy_runs(x, arrays, axis, False)
    return tuple(arrays)


cdef int copy_runs(joined, list arrays, int axis, bint joins) except -1:
    """Between the joined array and the others."""
    cdef Py_ssize_t count = len(arrays), row = 0, outer = 1, i
    cdef int d
    if not size_of(joined):
        return 0
    cdef Block block = take(count * sizeof(Part))
    cdef Part *parts = <Part *>block.data
    for d in range(axis):
        outer *= cnp.PyArray_DIMS(<cnp.ndarray>joined)[d]
    for i in range(count):
        parts[i] = Part(<char *>data_of(arrays[i]), (<cnp.ndarray>arrays[i]).nbytes // outer, row)
        row += parts[i].size
    _copy_runs(count, parts, row, outer, <char *>data_of(joined), joins)


cdef int _copy_runs(
    Py_ssize_t count, const Part *parts, Py_ssize_t row, Py_ssize_t rows, char *joined, bint joins
) except -1:
    cdef Py_ssize_t total = rows * row, task
    cdef int threads = threads_for(MEMORY_NANOSECONDS / 4 * total)
    with nogil, parallel(num_threads=threads):
        flush_denormals()
        for task in prange(ceil_div(total, BYTES_PER_TASK), schedule="static"):
            copy_piece(
                count, parts, row, task * BYTES_PER_TASK, min(total, (task + 1) * BYTES_PER_TASK), joined, joins
            )
        restore_denormals()


cdef void copy_piece(
    Py_ssize_t count,
    const Part *parts,
    Py_ssize_t row,                 # bytes
    Py_ssize_t at,                  # of the joined array, the first byte,
    Py_ssize_t end,                 # and where the piece ends
    char *joined,
    bint joins,                     # the others into it; else back
) noexcept nogil:
    cdef Py_ssize_t number = at // row, place = at % row, i = 0, size
    cdef char *other
    while parts[i].start + parts[i].size <= place:
        i += 1
    while at < end:
        size = min(parts[i].start + parts[i].size - place, end - at)
        other = parts[i].data + number * parts[i].size + place - parts[i].start
        if joins:
            memcpy(joined + at, other, size)
        else:
            memcpy(other, joined + at, size)
        at += size
        place += size
        i += 1
        if i == count:
            number, place, i = number + 1, 0, 0
