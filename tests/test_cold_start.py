"""What a program imports that runs a network from a file: counted, as times are not repeatable."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from engine_helpers import compiled_only

import cnnx
from cnnx import later, ops
from cnnx.backends import names

PROGRAM = """
import sys
import numpy as np
before = set(sys.modules)
import cnnx
plan = cnnx.load_plan("plan.npz")
y = plan(np.zeros((1, 1, 28, 28), np.float32))
modules = sorted(set(sys.modules) - before)
import json
print(json.dumps([y.shape, modules]))
"""


def run(code, folder):
    path = os.pathsep.join(os.path.abspath(place) for place in sys.path if place)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported_from_typing(module):
    """The names of `typing` that a module imports."""
    source = Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8")
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    return {each.name for node in found if node.module == "typing" for each in node.names}


@compiled_only
def test_a_plan_from_a_file_needs_few_modules(tmp_path):
    cnnx.compile(cnnx.models.lenet5(), (1, 28, 28)).save(tmp_path / "plan.npz")
    shape, modules = json.loads(run(PROGRAM, tmp_path))
    assert shape == [1, 10]
    kernels = {name for name in modules if name.startswith("cnnx.backends.compiled")}
    own = {name for name in modules if name.split(".")[0] == "cnnx"} - kernels
    cython = {name for name in modules if name.startswith(("_cython", "cython"))}
    assert len(own) <= 64  # 150 before packages imported their names when they are asked for
    for name in own - {"cnnx.tuples"}:  # which is faster
        assert "NamedTuple" not in imported_from_typing(name), name
    tops = {name.split(".")[1] for name in own if "." in name}
    assert not tops & {"data", "losses", "metrics", "models", "optim", "preprocessing", "training"}
    assert "cnnx.backends.reference" not in own
    others = {name.split(".")[0] for name in set(modules) - own - kernels - cython}
    loaded = {"__future__", "errno", "importlib"}  # in some environments, when Python starts
    assert others - loaded == {"_json", "binascii", "json"}


def test_every_module_of_layers_may_be_the_first_one(tmp_path):
    """Otherwise a circle of imports would show in some programs only."""
    first = {module: name for name, module in cnnx.layers._WHERE.items()}
    code = f"""
import importlib, sys
for name in {list(first.values())}:
    for module in [m for m in sys.modules if m.startswith(("cnnx.layers", "cnnx.graph"))]:
        del sys.modules[module]
    getattr(importlib.import_module("cnnx.layers"), name)
"""
    assert len(first) > 20
    run(code, tmp_path)


def test_an_op_remains_one_where_its_file_has_the_same_name(tmp_path):
    same = [family for family in names.FAMILIES if family in names.OP_NAMES]
    assert len(same) >= 7
    code = f"""
import importlib, cnnx
for family in {same}:
    importlib.import_module(f"cnnx.ops.{{family}}")
    assert callable(getattr(cnnx.ops, family))
"""
    run(code, tmp_path)
    for family in same:
        assert pickle.loads(pickle.dumps(getattr(ops, family))) is getattr(ops, family)


def test_names_that_are_not_there():
    with pytest.raises(AttributeError, match=r"'cnnx\.ops' has no attribute 'conv3d'"):
        _ = ops.conv3d
    with pytest.raises(ImportError, match=r"Conv3D.*cnnx\.layers"):
        from cnnx.layers import Conv3D  # noqa: F401
    with pytest.raises(AttributeError, match="no attribute 'b'"):
        later.find("cnnx", later.places({"layers": "a"}), "b")


def test_the_tables_of_names_are_complete():
    for package in (cnnx, cnnx.layers):
        module = sys.modules[package.__name__]
        assert set(module._WHERE) <= set(package.__all__) and len(module._WHERE) > 40
        assert all(getattr(package, name) is not None for name in package.__all__)
        assert set(package.__all__) <= set(dir(package))
    assert set(ops.__all__) == set(names.OP_NAMES) == set(cnnx.backends.reference.__all__)
