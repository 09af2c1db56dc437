"""The build recompiles what changed and nothing else, uses only flags that the compiler knows, and
makes the same wheel of the same sources.

cnnx's setup.py builds a module of a few lines, whose files are laid out and include each other like
those of cnnx.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[1] / "setup.py"
COMPILER = next((found for name in ("gcc", "cc", "clang") if (found := shutil.which(name))), None)

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler")

FILES = {
    "pyproject.toml": (
        '[project]\nname = "cnnx"\nversion = "0"\n'
        '[tool.setuptools.packages.find]\ninclude = ["cnnx*"]\n'
    ),
    "cnnx/__init__.py": "",
    "cnnx/backends/__init__.py": "",
    "cnnx/backends/compiled/__init__.py": "",
    "csrc/_core.pyx": (
        'cdef extern from "kernels.h":\n    int cnnx_baseline()\n    int CNNX_HEADER\n'
        "def value():\n    return cnnx_baseline() + CNNX_HEADER\n"
    ),
    "csrc/room/part.pxd": "cdef int part()\n",
    "csrc/room/part.pyx": "cdef int part():\n    return 100\n",
    "csrc/sum.pyx": (
        "from .room.part cimport part\nfrom ._core import value\n"
        "def total():\n    return value() + part()\n"
    ),
    "csrc/select.c": '#include "kernels.h"\nint cnnx_selected(void) { return cnnx_baseline(); }\n',
    "csrc/kernels.h": "#define CNNX_HEADER 10\nint cnnx_baseline(void);\n",
    "csrc/micro/kernel.inc.c": '#include "one.inc.c"\nint NAME(void) { return ONE; }\n',
    "csrc/micro/one.inc.c": "#define ONE 1\n",
}
SETS = {path.stem for path in SETUP.parent.glob("csrc/isa/*.c")}


class Tree:
    """A small checkout."""

    def __init__(self, folder):
        self.folder = folder
        stub = '#define NAME cnnx_{}\n#include "../micro/kernel.inc.c"\n'
        stubs = {f"csrc/isa/{isa}.c": stub.format(isa) for isa in SETS}
        for name, text in (FILES | stubs).items():
            folder.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
            folder.joinpath(name).write_text(text)
        shutil.copy(SETUP, folder)

    def attempt(self, *words, **environment):
        """A finished process of Python."""
        mine = {name: text for name, text in os.environ.items() if not name.startswith("CNNX_")}
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env={"CC": COMPILER} | mine | environment,
            capture_output=True,
            text=True,
        )

    def run(self, *words, **environment):
        done = self.attempt(*words, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def times(self):
        return {path: path.stat().st_mtime_ns for path in self.folder.glob("build/**/*.[co]")}

    def build(self, **environment):
        """The value that the module returns, and the files that were recompiled."""
        before = self.times()
        self.run("setup.py", "-q", "build_ext", "--inplace", **environment)
        code = (
            "from importlib.machinery import ExtensionFileLoader as Loader\n"
            "import sys, cnnx.backends.compiled._core as core\n"
            "for name in ('room.part', 'sum'):\n"
            "    full = f'cnnx.backends.compiled.{name}'\n"
            "    sys.modules[full] = Loader(full, core.__file__).load_module(full)\n"
            "print(sys.modules[full].total())"
        )
        made = {path.stem for path, time in self.times().items() if before.get(path) != time}
        return int(self.run("-c", code)), made

    def edit(self, name, before, after):
        path = self.folder / name
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    pytest.importorskip("Cython")
    tree = Tree(tmp_path_factory.mktemp("checkout"))
    value, made = tree.build()
    assert value == 111 and {"_core", "select", "baseline"} <= made
    return tree


def test_nothing_is_recompiled_without_changes(tree):
    assert tree.build()[1] == set()


def test_an_edit_of_a_module_recompiles_only_that_module(tree):
    tree.edit("csrc/room/part.pyx", "100", "200")
    assert tree.build() == (211, {"part"})


def test_an_edit_of_a_kernel_recompiles_only_the_kernel_sets(tree):
    """Two files deep: a hand-written list of included files would have to name it."""
    tree.edit("csrc/micro/one.inc.c", "ONE 1", "ONE 2")
    value, made = tree.build()
    assert value % 10 == 2 and "baseline" in made and made <= SETS


def test_an_edit_of_one_stub_recompiles_one_kernel_set(tree):
    tree.edit("csrc/isa/baseline.c", "#define", "#define UNUSED\n#define")
    assert tree.build()[1] == {"baseline"}


def test_an_edit_of_a_header_recompiles_the_files_that_include_it(tree):
    tree.edit("csrc/kernels.h", "10", "20")
    value, made = tree.build()
    assert value // 10 % 10 == 2 and made == {"_core", "select"}


def test_switching_to_another_kind_of_build_and_back(tree):
    """Objects of one kind of build never get into another; the module is that of the last build."""
    value, _ = tree.build(CNNX_DEBUG="1")
    assert b"-DCNNX_DEBUG" in b"".join(p.read_bytes() for p in tree.folder.glob("build/**/*.made"))
    tree.edit("csrc/room/part.pyx", "00", "01")
    assert tree.build()[0] == value + 1


def test_a_compiler_that_knows_fewer_flags_is_sufficient(tree, tmp_path):
    """Like clang, which fails on one of gcc's flags."""
    stranger = tmp_path / "stranger"
    refuses = 'for word in "$@"; do case $word in -fno-tree-*) exit 1;; esac; done\n'
    stranger.write_text(f'#!/bin/sh\n{refuses}exec {COMPILER} "$@"\n')
    stranger.chmod(0o755)
    _, made = tree.build(CC=str(stranger))
    assert {"_core", "select", "baseline"} <= made, "another compiler makes all anew"
    records = [path.read_text() for path in tree.folder.glob("build/temp*/csrc/**/*.made")]
    assert records and not any("-fno-tree" in record for record in records)
    assert all("-fno-math-errno" in record for record in records)


def _wheel(tree, **environment):
    tree.run("setup.py", "-q", "bdist_wheel", **environment)
    [path] = tree.folder.glob("dist/*.whl")
    return path


def test_the_same_sources_give_the_same_wheel_in_another_folder_at_another_time(tmp_path):
    """And with other permissions of all files, which follow from the umask of whoever builds."""
    pytest.importorskip("Cython")
    wheels = []
    for folder, mask, date in (("here", 0o002, 1_500_000_000), ("a/deeper/one", 0o077, 1.6e9)):
        before = os.umask(mask)
        try:
            tree = Tree(tmp_path / folder)
            for path in tree.folder.rglob("*.*"):
                os.utime(path, (date, date))
            wheels.append(_wheel(tree))
        finally:
            os.umask(before)
    assert wheels[0].read_bytes() == wheels[1].read_bytes()
    with zipfile.ZipFile(wheels[0]) as wheel:
        assert any(name.endswith((".so", ".pyd")) for name in wheel.namelist())
        assert {info.date_time for info in wheel.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        bill = json.loads(wheel.read("cnnx-0.dist-info/sboms/cnnx.cdx.json"))
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["purl"] == "pkg:pypi/cnnx@0"
    licenses = [part["licenses"][0]["license"]["id"] for part in bill["components"]]
    assert licenses == ["CC-BY-4.0", "Apache-2.0"]  # the digits, and what Cython adds


def test_the_date_of_a_wheel_can_be_given_and_a_pure_one_fits_every_machine(tmp_path):
    path = _wheel(Tree(tmp_path / "tree"), CNNX_PURE="1", SOURCE_DATE_EPOCH="1700000000")
    assert path.name == "cnnx-0-py3-none-any.whl"
    with zipfile.ZipFile(path) as wheel:
        assert "cnnx/backends/PURE" in wheel.namelist()
        assert {info.date_time[:3] for info in wheel.infolist()} == {(2023, 11, 14)}


def test_nothing_of_an_earlier_build_is_in_a_wheel(tmp_path):
    """No file that is gone, and no old text of one whose date says that it did not change."""
    tree = Tree(tmp_path / "tree")
    tree.folder.joinpath("cnnx/gone.py").write_text("")
    _wheel(tree, CNNX_PURE="1").unlink()
    tree.folder.joinpath("cnnx/gone.py").unlink()
    changed = tree.folder / "cnnx/__init__.py"
    changed.write_text("new = 1\n")
    os.utime(changed, (1.6e9, 1.6e9))
    with zipfile.ZipFile(_wheel(tree, CNNX_PURE="1")) as wheel:
        assert "cnnx/gone.py" not in wheel.namelist()
        assert wheel.read("cnnx/__init__.py") == b"new = 1\n"


def test_python_without_the_gil_is_refused_in_words(tmp_path):
    """As its sysconfig says; in pure Python there is nothing to refuse."""
    tree = Tree(tmp_path / "tree")
    name = "_sysconfigdata_of_the_test"
    tree.folder.joinpath(f"{name}.py").write_text(
        "build_time_vars = {'Py_GIL_DISABLED': 1, 'CC': 'cc', 'EXT_SUFFIX': '.so'}\n"
    )
    fake = {"_PYTHON_SYSCONFIGDATA_NAME": name, "PYTHONPATH": str(tree.folder)}
    done = tree.attempt("setup.py", "-q", "build_ext", "--inplace", **fake)
    assert done.returncode != 0 and "GIL" in done.stderr and "CNNX_PURE=1" in done.stderr
    assert tree.attempt("setup.py", "-q", "build", CNNX_PURE="1", **fake).returncode == 0
