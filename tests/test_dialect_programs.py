"""A program of each dialect that uses all of its names runs with its import lines changed."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "dialects" / "programs"
LISTNET = "layer|dense|convolutional|reshape|activation|activations|losses|network"
IMPORTS = {  # the original import lines, and those of cnnx
    "listnet": (rf"^from ({LISTNET}) import", "from cnnx.compat.listnet import"),
    "functional": (r"^from (layers|model) import", "from cnnx.compat.functional import"),
    "network": (r"^from core\.", "from cnnx.compat.network."),
    "sequential": (r"^from cnn\.", "from cnnx.compat.sequential."),
    "cs231n": (r"^from cs231n\.", "from cnnx.compat.cs231n."),
}


@pytest.mark.parametrize("dialect", IMPORTS)
def test_a_program_runs_with_its_import_lines_changed(dialect, tmp_path, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    monkeypatch.chdir(tmp_path)
    old = (PROGRAMS / f"{dialect}.py").read_text(encoding="utf-8")
    new, changed = re.subn(*IMPORTS[dialect], old, flags=re.MULTILINE)
    assert changed >= 2
    names = {"__name__": "__main__"}
    exec(compile(new, dialect, "exec"), names)
    pyplot.close("all")
    assert names["ok"]


@pytest.mark.parametrize("dialect", IMPORTS)
def test_the_program_uses_every_name_of_its_dialect(dialect):
    tree = ast.parse((PROGRAMS / f"{dialect}.py").read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    module = importlib.import_module(f"cnnx.compat.{dialect}")
    assert set(module.__all__) - used == set()
