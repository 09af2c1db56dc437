"""The rules of ARCHITECTURE.md, read from the source: who imports whom, sizes, cost of import."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cnnx"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MIDDLE = ("ops", "init", "random", "checks", "windows", "tuples")
PARTS = (
    *("config", *MIDDLE, "io", "preprocessing", "layers", "graph"),
    *("targets", "losses", "optim", "metrics"),
)
MEASURED = ("data", "feed", "history", "objective", "scoring", "meter")
RUNS = (*PARTS, "models", *MEASURED, "inference")

# A module (a file or folder of cnnx) -> the modules of cnnx that it may import, all of which are in
# rows above its own: imports point upwards in this table. A folder may import itself and its list.
# A name with a slash is a rule for that part only.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "_version": (),
    "later": (),
    "tuples": (),
    "random": (),
    "checks": (),
    "windows": ("checks",),
    "targets": ("checks",),
    "terminal": (),
    "log": (),
    "typing": (),
    "archive": ("tuples",),
    "io": ("checks", "archive"),
    "safetensors": ("checks", "io"),
    "init": ("random",),
    "backends": ("tuples",),
    "backends/reference": ("backends/reference",),
    "backends/compiled": ("backends/names",),
    "config": ("backends", "_version"),
    "ops": ("checks", "windows", "config", "later", "backends/names"),
    "data": ("checks", "random", "io", "targets", "terminal", "log"),
    "preprocessing": ("checks", "data"),
    "layers": (*MIDDLE, "later"),
    "layers/carried": ("preprocessing",),  # stored in a model
    "graph": (*MIDDLE, "layers"),  # base and the layers that are nodes
    "layers/concat": (*MIDDLE, "layers", "graph"),
    "layers/containers": (*MIDDLE, "layers", "graph"),
    "layers/residual": (*MIDDLE, "layers", "graph"),
    "layers/summary": (*MIDDLE, "layers", "graph"),
    "layers/files": (*MIDDLE, "layers", "graph", "io", "preprocessing"),  # model.save and load
    # choose: the setting of use_algorithm
    "onnx": (*MIDDLE, "io", "layers", "graph"),
    "engine": (*MIDDLE, "config", "io", "backends/choose", "layers", "graph", "onnx/layers"),
    "losses": (*MIDDLE, "targets"),
    "spelling": (),
    "nn": ("layers", "losses", "spelling"),
    "optim": (*MIDDLE, "layers/parameter"),  # an optimiser updates parameters, and knows no layers
    "optim/ema": (*MIDDLE, "layers"),  # averages all arrays of a model
    "metrics": ("checks", "targets"),
    "models": (*MIDDLE, "layers", "graph", "io", "safetensors"),
    "history": ("io",),
    "checkpoint": ("io",),
    "feed": ("checks", "data"),
    "objective": PARTS,
    "scoring": (*PARTS, "objective"),  # checks that loss, model and targets match, and metrics
    "meter": ("history", "objective", "scoring"),
    "inference": (*PARTS, *MEASURED),
    "callbacks": ("checks", "io", "terminal", "log", "history", "checkpoint"),
    "training": (*RUNS, "log", "callbacks", "checkpoint"),
    "distributed": (*RUNS, "config", "callbacks", "training"),
    "sklearn": (*RUNS, "callbacks", "training"),
    "testing": (*RUNS, "config"),
    "viz": RUNS,
    "bench": (*RUNS, "training"),
    "bench/contestant": ("_version", "config", "engine"),  # a program, which runs a plan
    "cli": (
        *(*RUNS, "engine", "onnx", "terminal", "callbacks"),
        *("training", "distributed", "viz", "bench", "_version"),
    ),
    "compat": (*RUNS, "training", "viz"),
    "examples": (*RUNS, "training", "viz", "cli", "compat", "onnx"),
    "__main__": ("cli",),
}
# What a module may import from rows below its own, inside functions only.
UPWARDS = {
    "layers/methods": ("inference", "training"),  # fit, evaluate and predict of a layer
    "layers/files": ("onnx",),  # the layers of a graph from an ONNX file
}
# Third-party modules: NumPy at the top of a file; these only inside functions of these modules.
INSIDE_FUNCTIONS = {
    "viz": {"matplotlib", "plotly"},
    "callbacks": {"tqdm", "tensorboardX", "torch"},
    "data": {"tqdm", "PIL", "pooch", "requests"},
    "safetensors": {"safetensors"},
    "onnx": {"onnx"},
    "distributed": {"mpi4py"},
    "bench": {"torch", "onnxruntime", "openvino"},
    "cli": {"tomli"},  # Python 3.10 has no tomllib
    "compat": {"matplotlib"},
    "examples": {"torch", "onnx", "PIL"},  # torch: for the comparison in one of them
}


def _module(path: Path) -> str:
    """cnnx/layers/conv.py -> layers/conv; a package is named by its folder."""
    name = path.relative_to(PACKAGE).with_suffix("").as_posix()
    return name.removesuffix("/__init__")


def _imports(path: Path):
    """(imported module as 'a.b.c', whether inside a function, line) of every import in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.walk(node)
    }
    guarded = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in ast.walk(node)
    }
    package = path.relative_to(PACKAGE.parent).parent.parts
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in inside, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{source}.{alias.name}", id(node) in inside, node.lineno


def _as_module(dotted: str) -> str | None:
    """cnnx.layers.conv.Conv2D -> layers/conv; None outside cnnx."""
    first, *rest = dotted.split(".")
    if first != "cnnx":
        return None
    found: list[str] = []
    for part in rest:
        candidate = PACKAGE.joinpath(*found, part)
        extension = found[:2] == ["backends", "compiled"] and part == "_core"
        if not (candidate.is_dir() or candidate.with_suffix(".py").exists() or extension):
            break
        found.append(part)
    return "/".join(found)


def _allowed(module: str) -> tuple[str, ...] | None:
    """The row of the table for a module: its own, or that of the nearest folder."""
    parts = module.split("/")
    for size in range(len(parts), 0, -1):
        row = "/".join(parts[:size])
        if row in MAY_IMPORT:
            return (*MAY_IMPORT[row], row)
    return None


def _may(target: str, allowed: tuple[str, ...]) -> bool:
    if target == "":  # `from cnnx import name` depends on everything: only for top modules
        return "training" in allowed and "cli" in allowed
    return any(target == row or target.startswith(f"{row}/") for row in allowed)


@pytest.mark.parametrize("path", SOURCES, ids=_module)
def test_a_module_imports_only_what_the_table_allows(path):
    module = _module(path)
    if module in (".", "__init__", ""):
        return
    allowed = _allowed(module)
    assert allowed is not None, f"cnnx/{module} has no row in the import table: add one"
    for dotted, inside, line in _imports(path):
        target = _as_module(dotted)
        if target is not None:
            known = (*allowed, *UPWARDS.get(module, ())) if inside else allowed
            assert _may(target, known), f"cnnx/{module}, line {line}: imports {dotted}"


@pytest.mark.parametrize("path", SOURCES, ids=_module)
def test_a_module_imports_only_numpy_and_the_standard_library(path):
    module = _module(path)
    extra = INSIDE_FUNCTIONS.get(module.split("/")[0], set())
    for dotted, inside, line in _imports(path):
        package = dotted.split(".")[0]
        known = package in sys.stdlib_module_names or package in ("numpy", "cnnx")
        # Its classes derive from scikit-learn's: nothing else imports it.
        known = known or (module == "sklearn" and package == "sklearn")
        where = f"cnnx/{module}, line {line}: imports {dotted}"
        assert known or (inside and package in extra), where


def test_the_table_has_no_row_for_a_module_that_no_longer_exists():
    present = {_module(path) for path in SOURCES}
    present |= {"/".join(m.split("/")[:i]) for m in present for i in range(1, m.count("/") + 1)}
    assert set(MAY_IMPORT) <= present


def test_the_table_allows_no_cycles():
    """Otherwise it would allow a cycle."""
    above: set[str] = set()
    for module, allowed in MAY_IMPORT.items():
        for name in set(allowed) - {module}:
            assert name in above or name.rpartition("/")[0] in above, f"{module} may import {name}"
        above.add(module)


@pytest.mark.parametrize("module", UPWARDS)
def test_imports_upwards_are_of_models_and_all_of_them_are_used(module):
    assert module.startswith("layers/")
    imported = list(_imports(PACKAGE / f"{module}.py"))
    inner = [_as_module(dotted) or "" for dotted, inside, _ in imported if inside]
    upwards = {name.split("/")[0] for name in inner if not _may(name, _allowed(module))}
    assert upwards == set(UPWARDS[module])


def test_every_import_allowed_inside_functions_is_used():
    used: dict[str, set[str]] = {}
    for path in SOURCES:
        inside = {dotted.split(".")[0] for dotted, inside, _ in _imports(path) if inside}
        used.setdefault(_module(path).split("/")[0], set()).update(inside)
    for module, packages in INSIDE_FUNCTIONS.items():
        assert packages <= used.get(module, set()), f"{module}: nothing imports all of {packages}"


def test_the_oracle_imports_numpy_and_not_cnnx():
    tree = ast.parse((ROOT / "tests" / "oracle.py").read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    assert "numpy" in names and names <= {*sys.stdlib_module_names, "numpy"}


def _csrc(*endings: str) -> list[Path]:
    """Sources of the extension; empty in an installation without them."""
    return sorted(path for path in (ROOT / "csrc").rglob("*") if path.suffix in endings)


def test_c_files_include_neither_python_nor_openmp():
    for path in _csrc(".c", ".h"):
        includes = re.findall(r'#\s*include\s*[<"](.*)[>"]', path.read_text(encoding="utf-8"))
        assert not {"Python.h", "omp.h"} & set(includes), path.name


def test_no_line_of_the_kernels_is_longer_than_120_columns():
    found = [
        f"{path.name}:{number}"
        for path in _csrc(".pyx", ".pxd", ".c", ".h")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > 120
    ]
    assert not found


def _kernels() -> dict[str, str]:
    """The parameters of each micro-kernel, as text."""
    table = ROOT / "csrc" / "kernel_table.inc.h"
    text = table.read_text(encoding="utf-8") if table.exists() else ""
    return dict(re.findall(r"^KERNEL\(\w+, (\w+), \(([^)]*)\)\)", text, re.MULTILINE))


def test_every_micro_kernel_is_declared_for_cython_and_called():
    sources = {path.name: path.read_text(encoding="utf-8") for path in _csrc(".pyx", ".pxd")}
    declared = set(re.findall(r"\w+", sources.pop("kernels.pxd", "")))
    called = set(
        re.findall(r"kernels_for\([^()]*(?:\([^()]*\))?\)\.(\w+)\(", "".join(sources.values()))
    )
    assert set(_kernels()) <= declared & called


def test_no_micro_kernel_takes_more_than_eight_parameters():
    assert not {name for name, parameters in _kernels().items() if parameters.count(",") > 7}


def test_pyx_files_import_only_the_choice_of_algorithms_from_cnnx():
    for path in _csrc(".pyx", ".pxd"):
        found = re.findall(
            r"^\s*(?:import|from)\s+cnnx(?!\.backends\.choose ).*", path.read_text(), re.MULTILINE
        )
        assert not found, f"{path.name}: {found}"


def test_modules_of_csrc_import_only_those_that_are_loaded_before_them():
    """MODULES is the order of loading, and so of layers: imports in csrc point upwards in it."""
    tree = ast.parse((PACKAGE / "backends/compiled/__init__.py").read_text(encoding="utf-8"))
    [modules] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MODULES"
    ]
    names = {
        path: ".".join(path.relative_to(ROOT / "csrc").with_suffix("").parts)
        for path in _csrc(".pyx", ".pxd")
    }
    if names:
        compiled = {name for path, name in names.items() if path.suffix == ".pyx"}
        assert compiled == {*modules, "_core"}
    for path, name in names.items():
        for dots, imported in re.findall(
            r"^from (\.+)(\S+) c?import ", path.read_text(), re.MULTILINE
        ):
            target = ".".join([*name.split(".")[: -len(dots)], imported])
            assert target in modules[: modules.index(name)], f"{path.name} imports {target}"


HAND_WRITTEN = [
    *SOURCES,
    *_csrc(".pyx", ".pxd", ".c", ".h"),
    *sorted(Path(__file__).parent.glob("*.py")),
]


WHY_LONG = "This file is longer than others because "


@pytest.mark.parametrize("path", HAND_WRITTEN, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_file_over_400_lines_states_the_reason_at_its_top(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    if len(lines) > 400:
        top = " ".join(line.strip("#/* ") for line in lines[:30])
        reason = re.search(f"{WHY_LONG}([^.]+)", top)
        assert reason and len(reason[1].split()) > 3, (
            f"{path.name} has {len(lines)} lines: split it, or write at its top '{WHY_LONG}...'"
        )


def _python(code: str, **environment: str) -> str:
    """Output of a new process that imports this checkout's cnnx."""
    command = [sys.executable, "-c", code]
    variables = os.environ | environment
    done = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_cnnx_imports_only_numpy_and_the_standard_library():
    code = (
        "import sys, json; before = set(sys.modules); import cnnx; "
        "print(json.dumps(sorted({m.split('.')[0] for m in set(sys.modules) - before})))"
    )
    packages = set(json.loads(_python(code)))
    # Cython registers a module for the types that its extensions share.
    cython = {name for name in packages if name.startswith(("_cython", "cython"))}
    assert packages - cython - set(sys.stdlib_module_names) == {"cnnx", "numpy"}


def test_importing_cnnx_does_not_import_the_dialects():
    code = "import sys, cnnx; print(any(m.startswith('cnnx.compat') for m in sys.modules))"
    assert _python(code).strip() == "False"


HEAVY = (
    "asyncio",
    "email",
    "http",
    "logging",
    "multiprocessing",
    "sqlite3",
    "ssl",
    "tkinter",
    "unittest",
)


def test_importing_cnnx_imports_no_slow_module_of_the_standard_library():
    """Beyond NumPy's imports: these modules cost milliseconds and are used in one function each."""
    code = (
        "import sys, json, numpy; before = set(sys.modules); import cnnx; "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    loaded = {name.split(".")[0] for name in json.loads(_python(code))}
    assert not loaded & set(HEAVY)


def test_importing_cnnx_costs_less_than_a_tenth_of_a_second_beyond_numpy(tmp_path):
    """CPU time with compiled bytecode, as after an installation: the first process writes it."""
    code = (
        "import numpy, time; start = time.process_time(); import cnnx; "
        "print(time.process_time() - start)"
    )
    bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    _python(code, **bytecode)
    assert min(float(_python(code, **bytecode)) for _ in range(5)) < 0.1
