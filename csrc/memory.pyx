"""The memory pool for outputs and scratch: aligned blocks that are kept when their array dies, and handed out again.

# Design:
# A fresh large array costs page faults, which take longer than most kernels. So a block that is given back stays here,
# in a list per size class, and the next request of that class gets it while it is still in the cache. Ownership, views
# and death are NumPy's job: an array's base object is its Block, and slices keep it alive; when the last of them dies,
# Block.__dealloc__ gives the memory back. So an array that somebody holds is never reused. PyArray_SimpleNewFromData
# with such a base costs 0.4 us, less than np.empty. All of this runs under the GIL: kernels never allocate.
# Blocks of 2 MB and more ask for large pages (transparent huge pages, on Linux), for as much as whole ones hold: fewer
# page faults and fewer misses of the TLB. Without them a training step of VGG takes 1.1 (batch 16) and 1.3 (batch 64)
# times as long, of ResNet-20 and ResNet-18 1.0. If the system has none, nothing happens.
# Built with -fsanitize=address, what a block has beyond the size asked for is poisoned, and so is all of it while it
# lies here: a block serves sizes up to its class's, and no sanitizer knows which one by itself.
# In a debug build a block is handed out full of NaN: an element that no kernel writes, or that one reads before it is
# written, shows in the results. (Bytes 0xFF are NaN in float and double, and -1 in tables of integers.)
"""

import numpy as np

cimport cython
cimport numpy as cnp
from libc.string cimport memset

cnp.import_array()

cdef extern from *:
    """
    #include <stdlib.h>

    #ifdef _WIN32
    #include <malloc.h>
    #define cnnx_aligned_free _aligned_free
    static void *cnnx_aligned_alloc(size_t size) { return _aligned_malloc(size, 64); }
    #else
    #include <sys/mman.h>
    #define cnnx_aligned_free free

    enum { LARGE_PAGE = 2 << 20 };

    static void *cnnx_aligned_alloc(size_t size) {
        void *data = NULL;
        if (posix_memalign(&data, size < LARGE_PAGE ? 64 : LARGE_PAGE, size)) return NULL;
    #ifdef MADV_HUGEPAGE
        if (size >= LARGE_PAGE) madvise(data, size / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);
    #endif
        return data;
    }
    #endif

    #ifdef CNNX_DEBUG
    #include <string.h>
    #define cnnx_spoil(data, size) memset(data, 0xFF, size)
    #else
    #define cnnx_spoil(data, size) ((void)(data), (void)(size))
    #endif

    #ifdef __SANITIZE_ADDRESS__
    #include <sanitizer/asan_interface.h>
    #else
    #define ASAN_POISON_MEMORY_REGION(data, size) ((void)(data), (void)(size))
    #define ASAN_UNPOISON_MEMORY_REGION(data, size) ((void)(data), (void)(size))
    #endif
    """
    void *cnnx_aligned_alloc(size_t size) nogil
    void free "cnnx_aligned_free" (void *data) nogil
    void spoil "cnnx_spoil" (void *data, size_t size) nogil
    void forbid "ASAN_POISON_MEMORY_REGION" (void *data, size_t size) nogil
    void allow "ASAN_UNPOISON_MEMORY_REGION" (void *data, size_t size) nogil

cdef enum:
    ALIGNMENT = 64                 # bytes: a cache line, and the widest vector
    STEPS = 4                      # size classes per power of two: at most a fifth of a block is unused
    CLASSES = 64 * STEPS

cdef size_t LARGEST = (<size_t>1 << (8 * sizeof(size_t) - 1)) - ALIGNMENT     # the largest size of an array

cdef struct FreeBlock:             # lies in the unused block itself
    FreeBlock *next

cdef FreeBlock *free_blocks[CLASSES]
cdef size_t bytes_in_use = 0
cdef size_t bytes_cached = 0
cdef size_t peak_bytes_in_use = 0         # ever: what `trim` goes by
cdef size_t measured_peak = 0             # since reset_peak_memory_stats: what users are told


cdef int size_class(size_t size) noexcept:
    """The smallest class whose blocks hold `size` bytes."""
    cdef int power = 9             # blocks are 256 bytes at least: so all sizes are multiples of ALIGNMENT
    while (<size_t>1 << power) < size:
        power += 1
    cdef size_t half = <size_t>1 << (power - 1)
    if size <= half:
        return (power - 1) * STEPS
    return (power - 1) * STEPS + <int>((size - half + half // STEPS - 1) // (half // STEPS))


cdef size_t class_bytes(int index) noexcept:
    cdef size_t half = <size_t>1 << (index // STEPS)
    return half + half // STEPS * (index % STEPS)


@cython.freelist(64)
@cython.final
cdef class Block:
    """An aligned piece of memory; it goes back to the pool when the object dies."""

    def __dealloc__(self):
        if self.data != NULL:
            give_back(self.data, self.index)


cdef Block take(size_t size):
    """A block of at least `size` bytes, its content undefined."""
    global bytes_in_use, bytes_cached, peak_bytes_in_use, measured_peak
    cdef Block block = Block.__new__(Block)
    cdef int index = size_class(size)
    cdef FreeBlock *unused = free_blocks[index]
    if unused != NULL:
        free_blocks[index] = unused.next
        bytes_cached -= class_bytes(index)
        block.data = unused
    else:
        block.data = cnnx_aligned_alloc(class_bytes(index))
        if block.data == NULL:
            empty_cache()
            block.data = cnnx_aligned_alloc(class_bytes(index))
        if block.data == NULL:
            raise MemoryError(f"cnnx: cannot allocate {size:,} bytes ({bytes_in_use:,} are in use)")
    block.index = index
    forbid(block.data, class_bytes(index))
    allow(block.data, size)
    spoil(block.data, size)
    bytes_in_use += class_bytes(index)
    peak_bytes_in_use = max(peak_bytes_in_use, bytes_in_use)
    measured_peak = max(measured_peak, bytes_in_use)
    return block


cdef void give_back(void *data, int index) noexcept:
    """Keep the block for later."""
    global bytes_in_use, bytes_cached
    bytes_in_use -= class_bytes(index)
    bytes_cached += class_bytes(index)
    forbid(data, class_bytes(index))
    allow(data, sizeof(FreeBlock))
    (<FreeBlock *>data).next = free_blocks[index]
    free_blocks[index] = <FreeBlock *>data
    if bytes_cached + bytes_in_use > 2 * peak_bytes_in_use:
        trim(index)


cdef void trim(int kept) noexcept:
    """Never hold more than twice what was once in use; of the cached blocks, those of class `kept` go last."""
    global bytes_cached
    cdef int index
    cdef FreeBlock *unused
    for index in range(CLASSES - 1, -1, -1):
        while index != kept and free_blocks[index] != NULL and bytes_cached + bytes_in_use > 2 * peak_bytes_in_use:
            unused = free_blocks[index]
            free_blocks[index] = unused.next
            bytes_cached -= class_bytes(index)
            free(unused)


cdef size_t bytes_of(shape, size_t itemsize) except? 0:
    """Bytes of an array; MemoryError rather than an overflow."""
    cdef object size = itemsize
    for n in shape:
        size *= n
    if size > LARGEST:
        raise MemoryError(f"cnnx: an array of shape {tuple(shape)} is {size:,} bytes: more than any memory holds")
    return size


cdef object new_array(tuple shape, dtype):
    """An array with undefined content, its memory from the pool."""
    cdef cnp.dtype of = dtype
    cdef cnp.npy_intp sizes[cnp.NPY_MAXDIMS]
    cdef int ndim = len(shape), d
    cdef Block block = take(bytes_of(shape, of.itemsize))
    for d in range(ndim):
        sizes[d] = shape[d]
    array = cnp.PyArray_SimpleNewFromData(ndim, sizes, of.type_num, block.data)
    cnp.set_array_base(array, block)
    return array


cdef object empty(tuple shape, like):
    """An array of that shape, of the dtype of `like`, with undefined content."""
    return new_array(shape, like.dtype)


cdef object empty_like(x):
    """An array of that shape and dtype, with undefined content."""
    cdef cnp.ndarray like = x
    cdef Block block = take(like.nbytes)
    array = cnp.PyArray_SimpleNewFromData(
        cnp.PyArray_NDIM(like), cnp.PyArray_DIMS(like), cnp.PyArray_TYPE(like), block.data
    )
    cnp.set_array_base(array, block)
    return array


cdef object zeros(tuple shape, like):
    """An array of zeros, of the dtype of `like`."""
    cdef cnp.ndarray array = empty(shape, like)
    memset(cnp.PyArray_DATA(array), 0, array.nbytes)
    return array


def empty_cache():
    """Give all memory that is kept for later, and not in use, back to the system."""
    global bytes_cached
    cdef FreeBlock *unused
    for index in range(CLASSES):
        while free_blocks[index] != NULL:
            unused = free_blocks[index]
            free_blocks[index] = unused.next
            free(unused)
    bytes_cached = 0


def uninitialised(Py_ssize_t n):
    """n doubles as an op gets them for its result, for the tests: NaN in a debug build."""
    return new_array((n,), np.dtype(np.float64))


def memory_stats():
    """Bytes of the pool: in use by living arrays, cached for later, and the most in use since the peak was reset."""
    return {"bytes_in_use": bytes_in_use, "bytes_cached": bytes_cached, "peak_bytes_in_use": measured_peak}


def reset_peak_memory_stats():
    """Let the peak that `memory_stats` tells begin anew, at what is in use now."""
    global measured_peak
    measured_peak = bytes_in_use
