"""Builds the extension from Cython's C and the kernel sets (one per ISA), with compiler detection.

All modules of csrc become one shared library, cnnx/backends/compiled/_core (csrc/_core.pyx says
why).

Environment variables
    CNNX_PURE=1      no extension: pure Python, the reference backend
    CNNX_DEBUG=1     bounds checks in Cython, assertions and debug symbols in C, and memory for
                     kernels is filled with NaN
    CNNX_OPENMP=0    do not look for OpenMP: all loops run serially
    CNNX_ALL_SETS=1  compile the kernel sets of all CPUs, for the tests, to `baseline` instructions:
                     longer vectors are split into parts

# Design:
# Each source has its own flags (an ISA's stub has those of the ISA), which setuptools does not
# support, so the objects are compiled here, in parallel. An object is recompiled if its command
# differs, or if a file that it was made from is newer: the compiler lists these files, so the list
# is always complete. Each kind of build has its own folders (KIND), so objects of different kinds
# never mix. A pure installation contains a marker file (MARK): without an extension and without the
# marker, cnnx warns.
# The same sources, compiler and packages give the same wheel, byte for byte: the dates and the
# permissions of a checkout do not enter (BuildWheel).
# A wheel for another machine (.ci/aarch64) is built as Python itself is: CC has a compiler that
# makes code for it, and _PYTHON_HOST_PLATFORM its name, which sysconfig then tells.
"""

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
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
NAMES = {"amd64": "x86_64", "arm64": "aarch64"}
HERE = NAMES.get(platform.machine().lower(), platform.machine())
PLATFORM = sysconfig.get_platform()  # of the wheel: linux-x86_64, macosx-11.0-arm64, win-amd64
MACHINE = PLATFORM.rpartition("-")[2]
MACHINE = {**NAMES, "universal2": HERE}.get(MACHINE, MACHINE)
RUNS_HERE = HERE == MACHINE and (os.name == "nt") == PLATFORM.startswith("win")

STANDARD = "-std=c11"
# Used if the compiler knows them.
# Contraction compiles a*b + c to one instruction. Neither of the next two changes a result; sqrt
# becomes one instruction. The next keeps short copies as loops: a call of memcpy for 16 elements
# takes longer than copying them. The last leaves out 4 % of the wheel, for exceptions of C++.
WISHES = [
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-tree-loop-distribute-patterns",
    "-fno-asynchronous-unwind-tables",
    "-Wno-psabi",
]
# A kernel called with an argument of the wrong type must not compile.
TYPE_CHECKS = ["-Werror=incompatible-pointer-types", "-Werror=int-conversion"]
# Python's own flags enable debug symbols, which would be four fifths of the wheel; functions keep
# their names without them, for perf and backtraces. Time is spent in the kernels: around them, -O3
# makes the code larger, not faster.
DEBUG_LEVEL = ["-O1", "-g", "-UNDEBUG", "-DCNNX_DEBUG"]
LEVEL = DEBUG_LEVEL if DEBUG else ["-O2", "-g0"]
KERNEL_LEVEL = DEBUG_LEVEL if DEBUG else ["-O3", "-g0"]
SETS = ["-DCNNX_ALL_SETS"] if ALL_SETS else []

MARK = Path("cnnx", "backends", "PURE")
PACKAGE = "cnnx.backends.compiled"
CSRC = Path("csrc")

NO_COMPILER = """
cnnx needs a C compiler, gcc or clang, and none works here ({reason}).
    Debian, Ubuntu:  apt install gcc python3-dev
    Fedora:          dnf install gcc python3-devel
    macOS:           xcode-select --install
    Windows:         pip install ziglang, then set CC=python-zig cc
Without one, CNNX_PURE=1 pip install . installs cnnx in pure Python, with the reference backend.
"""

NO_GIL = """
cnnx's extension does not support Python without the GIL (free-threaded): its memory pool and its
cache of jobs rely on the GIL. Install cnnx for the usual Python of this version; or, here, with the
reference backend alone: CNNX_PURE=1 pip install .
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
    """Compile, link and run a program; returns the reason if it fails, else None. One for another
    machine is not run."""
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
        status = RUNS_HERE and subprocess.run([str(Path(folder, "probe"))]).returncode
        return f"a program that it made ended with status {status}" if status else None


def knows(compiler, flags):
    """Whether a compiler accepts these flags without a warning."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("int nothing;")
        words = [*compiler.compiler_so, *flags, "-Werror", "-c", str(source)]
        try:
            done = subprocess.run([*words, "-o", f"{source}.o"], capture_output=True)
        except OSError:
            return False
    return done.returncode == 0


def known(compiler, flags):
    """The flags that a compiler accepts."""
    return flags if knows(compiler, flags) else [f for f in flags if knows(compiler, [f])]


class Object:
    """An object file, its source, and its compiler command."""

    def __init__(self, compiler, source, folder, **options):
        self.compiler, self.source, self.folder, self.options = compiler, source, folder, options
        self.path = Path(*compiler.object_filenames([source], output_dir=folder))
        self.listed = self.path.with_suffix(".d")  # the files that it was made from
        self.record = self.path.with_suffix(".made")  # the command, written after compilation
        self.recipe = f"{sys.version} {compiler.compiler_so} {options}"

    def is_fresh(self):
        try:
            files = shlex.split(self.listed.read_text().partition(": ")[2].replace("\\\n", " "))
            made = self.path.stat().st_mtime_ns
            return self.record.read_text() == self.recipe and all(
                Path(file).stat().st_mtime_ns <= made for file in files
            )
        except OSError:  # missing, or made from a file that no longer exists
            return False

    def make(self):
        if self.is_fresh():
            return
        self.record.unlink(missing_ok=True)
        self.compiler.compile(
            [self.source],
            output_dir=self.folder,
            extra_preargs=["-MMD", "-MF", str(self.listed)],
            **self.options,
        )
        self.record.write_text(self.recipe)


class BuildExtension(build_ext):
    def finalize_options(self):
        if self.distribution.ext_modules:
            [extension] = self.distribution.ext_modules
            extension.sources = [*self.cythonized(), *C_SOURCES]  # not added: this may run twice
        super().finalize_options()
        self.build_temp = str(Path(self.build_temp, KIND))
        if os.name == "nt":  # Microsoft's compiler lacks the vector extension
            self.compiler = self.compiler or "mingw32"  # any with the command line of gcc: CC

    def cythonized(self):
        """The C sources that Cython makes of csrc's modules."""
        from Cython.Build import cythonize

        folder = Path("build", "cython", KIND)
        # Cython copies headers there, not always again when a checkout changed them.
        for copied in folder.glob("csrc/**/*.h"):
            source = CSRC / copied.relative_to(folder / "csrc")
            if not source.exists() or copied.read_bytes() != source.read_bytes():
                copied.unlink()
        # Cython finds what a module exports, its .pxd, by the name of its package.
        names = Path("build", "names")
        package = names.joinpath(*PACKAGE.split("."))
        package.parent.mkdir(parents=True, exist_ok=True)
        if not package.exists():
            package.symlink_to(os.path.relpath(CSRC, package.parent), target_is_directory=True)
        checks = {
            "boundscheck": DEBUG,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": DEBUG,
        }
        modules = cythonize(
            [Extension(name, [source]) for name, source in modules_of_csrc().items()],
            include_path=["csrc", str(names)],
            build_dir=str(folder),
            nthreads=0,
            compiler_directives={
                "language_level": 3,
                "embedsignature": False,
                "binding": True,
                "auto_pickle": False,  # pickling a job is a TypeError without 0.1 MB of code, too
                **checks,
            },
        )
        return [module.sources[0] for module in modules]

    def run(self):
        if sysconfig.get_config_var("Py_GIL_DISABLED"):
            raise SystemExit(NO_GIL)
        super().run()

    def build_extensions(self):
        reason = works(self.compiler, "int main(void) { return 0; }")
        if reason:
            raise SystemExit(NO_COMPILER.format(reason=reason))
        super().build_extensions()

    def build_extension(self, extension):
        compile_flags, link_flags = self.find_openmp()
        objects = self.objects(extension.sources, compile_flags)
        for made in objects:
            made.path.parent.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # one compiler each, independent
            list(pool.map(Object.make, objects))
        self.compiler.link_shared_object(
            [str(made.path) for made in objects],
            self.get_ext_fullpath(extension.name),
            libraries=self.get_libraries(extension),
            extra_postargs=link_flags,
            export_symbols=self.get_export_symbols(extension),
            build_temp=self.build_temp,
            target_lang="c",
        )

    def objects(self, sources, openmp):
        """The objects of the extension. Those that take longest are first."""
        import numpy

        common = [STANDARD, *known(self.compiler, WISHES)]
        flags = [*common, *LEVEL, *TYPE_CHECKS, *SETS, *openmp]
        shown = " ".join([*flags, *(f"{isa}: {' '.join(f)}" for isa, f in kernel_sets() if f)])
        options = {
            "include_dirs": ["csrc", numpy.get_include()],
            "macros": [
                ("CNNX_FLAGS", f'"{shown}"'),
                ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
            ],
            "extra_postargs": flags,
        }
        of_sets = {
            stub(isa): {"extra_postargs": [*common, *KERNEL_LEVEL, *more]}
            for isa, more in kernel_sets()
        }
        largest_first = sorted(sources, key=lambda source: -Path(source).stat().st_size)
        return [
            Object(self.compiler, source, self.build_temp, **of_sets.get(source, options))
            for source in [*of_sets, *(s for s in largest_first if s not in of_sets)]
        ]

    def find_openmp(self):
        for compile_flags, link_flags in OPENMP_FLAGS if LOOK_FOR_OPENMP else []:
            if works(self.compiler, OPENMP_PROGRAM, compile_flags, link_flags) is None:
                return compile_flags, link_flags
        print("cnnx: no OpenMP; all loops will run serially")
        return [], []


class BuildWheel(bdist_wheel):
    """The wheel of one source is always the same, and says what is in it."""

    def initialize_options(self):
        super().initialize_options()
        os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")  # 1980, where zip files begin

    def write_wheelfile(self, folder, **options):
        super().write_wheelfile(folder, **options)  # the last file
        bill = Path(folder, "sboms", "cnnx.cdx.json")
        bill.parent.mkdir()
        bill.write_text(json.dumps(bill_of_materials(self.distribution), indent=1) + "\n")
        for path in Path(self.bdist_dir).rglob("*"):
            if path.is_file():
                path.chmod(0o755 if path.suffix in (".so", ".pyd") else 0o644)


def bill_of_materials(distribution):
    """CycloneDX: what the wheel has from others. .ci/repair.py adds the libraries it copies."""
    name, version = distribution.get_name(), distribution.get_version()
    parts = [
        {
            "type": "data",
            "name": "Optical Recognition of Handwritten Digits",
            "licenses": [{"license": {"id": "CC-BY-4.0"}}],
            "externalReferences": [{"type": "website", "url": "https://doi.org/10.24432/C50P49"}],
        }
    ]
    if not PURE:
        import Cython

        parts.append(
            {
                "type": "library",
                "name": "cython",
                "version": Cython.__version__,
                "description": "The functions that Cython adds to what it compiles",
                "purl": f"pkg:pypi/cython@{Cython.__version__}",
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        )
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "name": name,
                "version": version,
                "purl": f"pkg:pypi/{name}@{version}",
                "licenses": [{"license": {"id": "MIT"}}],
            }
        },
        "components": parts,
    }


class BuildPython(build_py):
    """Copies the Python files, and adds the marker of a pure installation if it is one."""

    def run(self):
        if not self.editable_mode:  # what an earlier build copied may be older, or no longer there
            shutil.rmtree(Path(self.build_lib, "cnnx"), ignore_errors=True)
        super().run()
        if self.editable_mode:  # the checkout itself is installed
            folder = Path()
            MARK.unlink(missing_ok=True)
        else:
            folder = Path(self.build_lib)
        if PURE:
            folder.joinpath(MARK).write_text("Built with CNNX_PURE=1: no extension is missing.\n")


def modules_of_csrc():
    """The Cython modules: names and sources."""
    return {
        ".".join([PACKAGE, *source.relative_to(CSRC).with_suffix("").parts]): str(source)
        for source in sorted(CSRC.glob("**/*.pyx"))
    }


def kernel_sets():
    if ALL_SETS:
        return {isa: [] for sets in ISA_FLAGS.values() for isa in sets}.items()
    return ISA_FLAGS.get(MACHINE, BASELINE).items()


def stub(isa):
    """The source of a kernel set."""
    return f"csrc/isa/{isa}.c"


C_SOURCES = ["csrc/select.c", *(stub(isa) for isa, _ in kernel_sets())]

setup(
    ext_modules=[] if PURE else [Extension(f"{PACKAGE}._core", C_SOURCES)],
    cmdclass={"bdist_wheel": BuildWheel, "build_ext": BuildExtension, "build_py": BuildPython},
)
