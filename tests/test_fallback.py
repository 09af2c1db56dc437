"""Without the extension, cnnx falls back to the reference backend and states why and the remedy,
unless that was requested: a pure installation, or CNNX_BACKEND=reference."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cnnx

PACKAGE = Path(cnnx.__file__).parent
TELL = "import cnnx as c; print(c.get_backend(), c.available_backends(), c.get_num_threads())"
ALONE = ["reference ('reference',) 1"]
INSTALL = "python -m pip install -e ."


@pytest.fixture
def sources(tmp_path):
    """A checkout in which nothing was compiled."""
    unbuilt = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", "PURE", "*.npz")
    shutil.copytree(PACKAGE, tmp_path / "cnnx", ignore=unbuilt)
    return tmp_path


def _run(folder, code=TELL, **environment):
    """The output of a program, and its warnings."""
    mine = {name: text for name, text in os.environ.items() if not name.startswith("CNNX_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=mine | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def _warning(folder):
    """The one warning of `import cnnx`, after which only the reference backend is available."""
    printed, said = _run(folder)
    assert printed == ALONE
    assert said.count("RuntimeWarning: cnnx uses its slow reference backend: ") == 1
    assert "CNNX_BACKEND=reference" in said
    return said


def test_sources_without_an_extension_give_a_warning_with_their_path_and_a_remedy(sources):
    said = _warning(sources)
    assert str(sources / "cnnx" / "backends" / "compiled") in said
    assert "holds no extension" in said and INSTALL in said and "another directory" in said


def test_an_extension_for_another_python_is_named(sources):
    other = "_core.cpython-27-x86_64-linux-gnu.so"
    (sources / "cnnx" / "backends" / "compiled" / other).touch()
    said = _warning(sources)
    assert "built for another Python" in said and other in said and INSTALL in said


def test_an_extension_that_does_not_load_gives_the_error_of_the_loader(sources):
    from importlib.machinery import EXTENSION_SUFFIXES

    name = f"_core{EXTENSION_SUFFIXES[0]}"
    (sources / "cnnx" / "backends" / "compiled" / name).write_bytes(b"not a library")
    said = _warning(sources)
    assert "does not load" in said and name in said and INSTALL in said


def test_a_library_that_the_extension_needs_and_that_is_missing_is_named(sources):
    broken = 'raise ImportError("libgomp.so.1: cannot open shared object file")'
    (sources / "cnnx" / "backends" / "compiled" / "_core.py").write_text(broken)
    assert "does not load: libgomp.so.1: cannot open shared object file" in _warning(sources)


def test_an_extension_older_than_the_sources_gives_a_warning_that_names_what_is_missing(sources):
    folder = sources / "cnnx" / "backends" / "compiled"
    folder.joinpath("_core.py").write_text("")
    said = _warning(sources)
    assert "older than these sources: it lacks memory." in said and INSTALL in said


def test_selecting_the_reference_backend_gives_no_warning(sources):
    assert _run(sources, CNNX_BACKEND="reference") == (ALONE, "")


def test_a_pure_installation_gives_no_warning(sources):
    (sources / "cnnx" / "backends" / "PURE").touch()
    assert _run(sources) == (ALONE, "")
    code = "import cnnx\ntry: cnnx.set_backend('compiled')\nexcept ImportError as e: print(e)"
    assert "pure Python (CNNX_PURE=1)" in _run(sources, code)[0][0]


@pytest.mark.skipif("compiled" not in cnnx.available_backends(), reason="no extension")
def test_an_installation_with_its_extension_gives_no_warning():
    printed, said = _run(PACKAGE.parent)
    assert printed[0].startswith("compiled ('compiled', 'reference') ") and not said


@pytest.mark.parametrize("pure", [True, False])
def test_the_build_marks_what_is_pure(pure, tmp_path):
    """The files of the package as an installation copies them."""
    root = Path(__file__).parents[1]
    mark = tmp_path / "built" / "cnnx" / "backends" / "PURE"
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", tmp_path / "built"]
    environment = {k: v for k, v in os.environ.items() if k != "CNNX_PURE"}
    subprocess.run(command, cwd=root, env=environment | {"CNNX_PURE": str(int(pure))}, check=True)
    assert mark.exists() == pure and mark.parent.joinpath("__init__.py").exists()
