# The extension `cnnx.backends.compiled._core`: all of csrc/*.pyx as one module.
#
# Design:
# One module, because the kernel sets and the memory pool must exist once; included files, because one idea belongs in
# one file. An op here is a `def` with the reference's signature: it takes its output from the pool and hands typed
# memoryviews (# IN, # OUT) to a function whose name begins with an underscore, which is compiled for float and double
# (`real`) and runs the loop over tasks. Ops whose work is often less than such a call (2 us), those element by element
# or row by row, hand over addresses and sizes instead. Inner functions are `cdef ... noexcept nogil`. Arguments were
# checked by the gate; arrays are C-contiguous. Every loop over tasks, on one thread or many, runs in a parallel region
# that counts denormal numbers as zero (denormals.h). A function that takes the address of an element is not called for
# empty arrays.

cimport cython
from cython.parallel cimport parallel, prange
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memset

from kernels cimport CNNX_ACROSS, CNNX_MAX_LANES, kernels_for, real
from kernels cimport cnnx_lane_windows, cnnx_window_row
from kernels cimport NO_ACTIVATION, Ending, cnnx_ending_name
from kernels cimport cnnx_active, cnnx_select, cnnx_usable

include "build.pyx"
include "threads.pyx"
include "memory.pyx"
include "sums.pyx"
include "epilogue.pyx"
include "gemm.pyx"
include "convolve.pyx"
include "filter_lanes.pyx"
include "dweight.pyx"
include "pointwise.pyx"
include "winograd.pyx"
include "winograd_dweight.pyx"
include "lanes.pyx"
include "depthwise.pyx"
include "columns.pyx"
include "linear.pyx"
include "conv_by_columns.pyx"
include "conv_dx_strided.pyx"
include "conv.pyx"
include "conv_transpose.pyx"
include "pool.pyx"
include "pool_pairs.pyx"
include "pool_ties.pyx"
include "pool_adaptive.pyx"
include "norm.pyx"
include "norm_columns.pyx"
include "activation.pyx"
include "add.pyx"
include "multiply.pyx"
include "concat.pyx"
include "pad.pyx"
include "resample.pyx"
include "dropout.pyx"
include "loss.pyx"
include "optim.pyx"
