# What is not yet a module of its own.
import numpy as np
cimport numpy as cnp
from libc.stdlib cimport free
from openmp cimport omp_get_thread_num
from arrays cimport data_of, is_single, size_of
from .parallel cimport ceil_div, threads_for, flush_denormals, restore_denormals, neighbours
from .memory cimport Block, take, new_array, empty, empty_like, zeros
from .sums cimport PIECE, row_sum, row_dot, row_sums, channel_sums
from costs cimport EXPONENTIAL_NANOSECONDS, GEMM_NANOSECONDS, MEMORY_NANOSECONDS
from .epilogue cimport ending, finish_rows, finish_array
cimport cython
from cython.parallel cimport parallel, prange
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memset

from kernels cimport CNNX_ACROSS, CNNX_MAX_LANES, kernels_for, real
from kernels cimport cnnx_lane_windows, cnnx_window_row
from kernels cimport NO_ACTIVATION, Ending, cnnx_ending_name
from kernels cimport cnnx_active, cnnx_select, cnnx_usable

include "old/activation.pxi"
include "old/add.pxi"
include "old/multiply.pxi"
include "old/concat.pxi"
include "old/pad.pxi"
include "old/resample.pxi"
include "old/dropout.pxi"
include "old/loss.pxi"
include "old/optim.pxi"
