"""What was built, and which kernel set is in use.

# Design:
# csrc is many Cython modules in one shared library, `_core`: so kernel sets and the memory pool exist once, a module
# calls another directly, and an edit compiles one file. Each .pyx file is the module cnnx.backends.compiled.<name>
# (compiled/__init__.py loads them; the last part of a name is unique, because a library has one PyInit_<name>). What it
# offers to others is in its .pxd, and it imports only modules further down:
#     conv/...  linear  pool  norm  activation  loss  optim ...     the ops, with the reference's names and signatures
#     gemm  epilogue  sums                                          what ops share
#     jobs                                                          ops prepared once
#     parallel  crew  busy  memory                                  threads, arrays
#     kernels (C)                                                   one tile or one row, once per ISA
# Arrays were checked by the gate: they are C-contiguous and of one dtype, float or double. Functions take addresses,
# and are compiled for both types (`real`). A function that reads an element is not called for empty arrays.
"""

import os

from kernels cimport cnnx_active, cnnx_select, cnnx_usable
from openmp cimport CNNX_OPENMP

cdef extern from *:
    """
    #ifndef CNNX_FLAGS
    #define CNNX_FLAGS "unknown"
    #endif
    """
    const char *CNNX_FLAGS
    const char *__VERSION__


def usable_isas():
    """Names of the kernel sets that this CPU can run, the best first."""
    cdef size_t i = 0
    names = []
    while cnnx_usable(i) != NULL:
        names.append(cnnx_usable(i).decode())
        i += 1
    return tuple(names)


def isa():
    """Name of the kernel set in use."""
    return cnnx_active.name.decode()


def set_isa(str name):
    """Use another kernel set. Not while another thread computes."""
    if cnnx_select(name.encode()) != 0:
        raise ValueError(f"kernel set {name!r} cannot be used: this CPU and this build have {', '.join(usable_isas())}")


def build_config():
    """Kernel set, OpenMP and compiler, for show_config."""
    return {
        "kernel set (ISA)": isa(),
        "usable kernel sets": ", ".join(usable_isas()),
        "OpenMP": f"yes ({CNNX_OPENMP})" if CNNX_OPENMP else "no: built without it, all loops are serial",
        "compiler": __VERSION__.decode(),
        "compiler flags": CNNX_FLAGS.decode(),
    }


if os.environ.get("CNNX_ISA"):
    try:
        set_isa(os.environ["CNNX_ISA"])
    except ValueError as error:
        raise ValueError(f"environment variable CNNX_ISA={os.environ['CNNX_ISA']}: {error}") from None
else:
    cnnx_select(NULL)
