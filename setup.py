"""The build and nothing else: the extension, the kernel sets (one per ISA), and the search for
OpenMP.

Environment variables
    CNNX_PURE=1      no extension: pure Python, the reference backend
    CNNX_DEBUG=1     bounds checks in Cython, assertions and debug symbols in C
    CNNX_OPENMP=0    do not look for OpenMP: all loops run serially
    CNNX_ALL_SETS=1  the kernel sets of every machine, for the tests: none asks more of the CPU than
                     `baseline` does, so vectors longer than its own are taken in parts

# Design:
# Each ISA is a small static library of one stub file, compiled with that ISA's flags: the same
# source in two libraries would share one object file. Included files are named as dependencies, or
# editing them would rebuild nothing. What is found out about the compiler is written to a file that
# the extension depends on, so another answer rebuilds it. Each kind of build has folders of its
# own (KIND): objects of one never get into another.
"""

import os
import platform
import shlex
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_clib import build_clib
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

PURE = os.environ.get("CNNX_PURE") == "1"
DEBUG = os.environ.get("CNNX_DEBUG") == "1"
LOOK_FOR_OPENMP = os.environ.get("CNNX_OPENMP") != "0"
ALL_SETS = os.environ.get("CNNX_ALL_SETS") == "1"
KIND = "-".join(["debug"] * DEBUG + ["all-sets"] * ALL_SETS)

BASELINE = {"baseline": []}
ISA_FLAGS = {
    "x86_64": BASELINE
    | {
        "avx2": ["-mavx2", "-mfma"],
        "avx512": ["-mavx512f", "-mavx2", "-mfma", "-mprefer-vector-width=512"],
    },
    "aarch64": BASELINE | {"neon": []},
}
MACHINE = {"amd64": "x86_64", "arm64": "aarch64"}.get(
    platform.machine().lower(), platform.machine()
)

# Contraction makes a*b + c one instruction. Neither of the next two changes a result; sqrt becomes
# one instruction.
# The last keeps short copies loops: a call of memcpy for 16 elements takes longer than the
# elements.
C_FLAGS = [
    "-std=c11",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-tree-loop-distribute-patterns",
    "-Wno-psabi",
]
# A kernel called with a pointer of the wrong type must not compile.
TYPE_CHECKS = ["-Werror=incompatible-pointer-types"]
# Python's own flags ask for debug symbols, which would be four fifths of the wheel; functions keep
# their names without them, for perf and backtraces.
LEVEL = ["-O1", "-g", "-UNDEBUG"] if DEBUG else ["-O3", "-g0"]
SETS = ["-DCNNX_ALL_SETS"] if ALL_SETS else []

STATE = Path("build", "cnnx-build-state.txt")
HEADERS = sorted(glob("csrc/**/*.h", recursive=True) + glob("csrc/**/*.inc.c", recursive=True))
CYTHON_SOURCES = sorted(glob("csrc/*.pyx") + glob("csrc/*.pxd"))

NO_COMPILER = """
cnnx needs a C compiler, gcc or clang, and none works here ({reason}).
    Debian, Ubuntu:  apt install gcc python3-dev
    Fedora:          dnf install gcc python3-devel
    macOS:           xcode-select --install
Without one, CNNX_PURE=1 pip install . gives cnnx in pure Python, on the reference backend.
"""

OPENMP_PROGRAM = """
#include <omp.h>
int main(void) {
    int n = 0;
    #pragma omp parallel num_threads(2) reduction(+ : n)
    n += omp_get_num_threads() > 0;
    return n < 1;
}
"""
OPENMP_FLAGS = [
    (["-fopenmp"], ["-fopenmp"]),
    (["-Xpreprocessor", "-fopenmp"], ["-lomp"]),  # Apple's clang, with libomp installed
]


def works(compiler, program, compile_flags=(), link_flags=()):
    """Compile, link and run a program; the reason why it failed, or None."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(program)
        try:
            objects = compiler.compile(
                [str(source)], output_dir=folder, extra_preargs=list(compile_flags)
            )
            compiler.link_executable(
                objects, str(Path(folder, "probe")), extra_postargs=list(link_flags)
            )
        except (CompileError, LinkError, OSError) as error:
            return str(error)
        status = os.system(shlex.quote(str(Path(folder, "probe"))))
        return f"a program that it made ended with status {status}" if status else None


class Build(build):
    """What all commands share: where the objects go."""

    def finalize_options(self):
        super().finalize_options()
        self.build_temp = str(Path(self.build_temp, KIND))


class BuildLibraries(build_clib):
    """The kernel sets."""

    def build_libraries(self, libraries):
        if sys.platform == "win32":
            raise SystemExit(NO_COMPILER.format(reason="Microsoft's lacks the vector extension"))
        reason = works(self.compiler, "int main(void) { return 0; }")
        if reason:
            raise SystemExit(NO_COMPILER.format(reason=reason))
        build_some = super().build_libraries
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # a compiler each: they share nothing
            list(pool.map(lambda library: build_some([library]), libraries))


class BuildExtension(build_ext):
    """The extension, after the kernel sets; a bare build_ext would not build those."""

    def finalize_options(self):
        from Cython.Build import cythonize

        if self.distribution.ext_modules:
            checks = {
                "boundscheck": DEBUG,
                "wraparound": False,
                "cdivision": True,
                "initializedcheck": DEBUG,
            }
            self.distribution.ext_modules = cythonize(
                self.distribution.ext_modules,
                include_path=["csrc"],
                build_dir=str(Path("build", "cython", KIND)),
                compiler_directives={
                    "language_level": 3,
                    "embedsignature": False,
                    "binding": True,
                    **checks,
                },
            )
        super().finalize_options()

    def run(self):
        self.run_command("build_clib")
        super().run()

    def build_extensions(self):
        import numpy

        compile_flags, link_flags = self.find_openmp()
        flags = [*C_FLAGS, *TYPE_CHECKS, *LEVEL, *SETS, *compile_flags]
        for extension in self.extensions:
            extension.include_dirs += ["csrc", numpy.get_include()]
            extension.extra_compile_args += flags
            extension.extra_link_args += link_flags
            shown = " ".join([*flags, *(f"{isa}: {' '.join(f)}" for isa, f in kernel_sets() if f)])
            extension.define_macros += [
                ("CNNX_FLAGS", f'"{shown}"'),
                ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
            ]
        if remember(f"{shown} {numpy.__version__} {sys.version}"):
            self.force = True
        super().build_extensions()

    def find_openmp(self):
        for compile_flags, link_flags in OPENMP_FLAGS if LOOK_FOR_OPENMP else []:
            if works(self.compiler, OPENMP_PROGRAM, compile_flags, link_flags) is None:
                return compile_flags, link_flags
        print("cnnx: no OpenMP; all loops will run serially")
        return [], []


def kernel_sets():
    if ALL_SETS:
        return {isa: [] for sets in ISA_FLAGS.values() for isa in sets}.items()
    return ISA_FLAGS.get(MACHINE, BASELINE).items()


def remember(state):
    """Whether the state differs from that of the last build, which it replaces."""
    changed = not STATE.exists() or STATE.read_text() != state
    STATE.parent.mkdir(exist_ok=True)
    STATE.write_text(state)
    return changed


def libraries():
    return [
        (
            f"cnnx_{isa}",
            {
                "sources": [f"csrc/isa/{isa}.c"],
                "obj_deps": {"": HEADERS, f"csrc/isa/{isa}.c": HEADERS},
                "cflags": [*C_FLAGS, *LEVEL, *flags],
            },
        )
        for isa, flags in kernel_sets()
    ]


if PURE:
    setup()
else:
    setup(
        libraries=libraries(),
        ext_modules=[
            Extension(
                "cnnx.backends.compiled._core",
                ["csrc/_core.pyx", "csrc/select.c"],
                depends=[*HEADERS, *CYTHON_SOURCES],
            )
        ],
        cmdclass={"build": Build, "build_clib": BuildLibraries, "build_ext": BuildExtension},
    )
