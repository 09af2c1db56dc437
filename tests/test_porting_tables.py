"""docs/from_*.md: the names in the tables exist, with the arguments that are shown."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnnx
from cnnx import metrics

DOCS = Path(__file__).parents[1] / "docs"
# What a name that begins so is an attribute of.
OBJECTS = {
    "history": cnnx.History,
    "layer": cnnx.Layer,
    "metric": metrics.Metric,
    "model": cnnx.Layer,
    "optimizer": cnnx.SGD(cnnx.Linear(1, 1).parameters(), lr=1),
    "parameter": cnnx.Parameter,
    "schedule": cnnx.optim.schedules.Schedule,
    "scores": dict,
    "x": np.ndarray,
}


def tables(page, column):
    """The cells of a column of every table that has it, as (row, cell)."""
    found, index = [], None
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            index = None
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if index is None:
            index = cells.index(column) if column in cells else -1
        elif index >= 0 and not set(cells[0]) <= set("-:"):
            found.append((line, cells[index]))
    return found


def spans(page, column):
    """Every code span of the column, once, with its row."""
    cells = tables(page, column)
    return {span: row for row, cell in cells for span in re.findall(r"`([^`]+)`", cell)}


def resolve(name, root, objects):
    """The object of a dotted name: an attribute of one of objects, or of the module root."""
    head, *rest = name.removeprefix(f"{root}.").split(".")
    if rest and head in objects:
        found: Any = objects[head]
    else:
        found, rest = importlib.import_module(root), [head, *rest]
    for part in rest:
        if inspect.ismodule(found) and not hasattr(found, part):
            found = importlib.import_module(f"{found.__name__}.{part}")
        else:
            found = getattr(found, part)
    return found


def check_call(span, function):
    """The arguments that a span such as ``fit(epochs=3, metrics=)`` shows are arguments of it."""
    # An argument without a value is given one, and a name alone after a keyword is one, too.
    call = ast.parse(re.sub(r"=(?=[,)])", "=None", span), mode="eval").body
    if not isinstance(call, ast.Call):
        return
    named = {keyword.arg: None for keyword in call.keywords}
    inspect.signature(function).bind_partial(*[None] * len(call.args), **named)


def check(span, root, objects):
    """The span names something that exists."""
    if span.startswith('"'):
        assert metrics.by_name(ast.literal_eval(span)) is not None, span
        return
    if span.startswith("lambda"):
        ast.parse(span, mode="eval")
        return
    name = re.match(r"[\w.]+", span)
    assert name, span
    found = resolve(name[0], root, objects)
    if "(" in span:
        check_call(span, found)


@pytest.mark.parametrize(
    ("page", "least"), [("from_keras.md", 100), ("from_pytorch.md", 100), ("from_sklearn.md", 20)]
)
def test_the_names_of_cnnx_exist(page, least):
    found = spans(page, "cnnx")
    assert len(found) > least
    for span, row in found.items():
        try:
            check(span, "cnnx", OBJECTS)
        except Exception as error:
            raise AssertionError(f"{span} in {row}: {error!r}") from error


def test_the_names_of_pytorch_exist():
    torch = pytest.importorskip("torch")
    objects = {
        "model": torch.nn.Module,
        "optimizer": torch.optim.Adam(torch.nn.Linear(1, 1).parameters()),
    }
    found = spans("from_pytorch.md", "PyTorch")
    assert len(found) > 80
    for span, row in found.items():
        try:
            check(span, "torch", objects)
        except Exception as error:
            raise AssertionError(f"{span} in {row}: {error!r}") from error


def test_the_tables_for_pytorch_are_complete():
    left, right = spans("from_pytorch.md", "PyTorch"), spans("from_pytorch.md", "cnnx")
    left = {re.match(r"[\w.]*", span)[0] for span in left}
    right = {re.match(r"[\w.]*", span)[0] for span in right}
    assert {f"nn.{name}" for name in cnnx.nn.__all__} <= left
    assert set(cnnx.optim.__all__) - {"Optimizer"} <= right
    assert set(cnnx.optim.schedules.__all__) - {"Schedule"} <= right
    assert set(cnnx.losses.__all__) - {"Loss"} <= right
    transforms = set(cnnx.data.transforms.__all__) - {"Transform", "RandomFlip"}
    assert {f"data.transforms.{name}" for name in transforms} <= right
    streaming = {
        name
        for name in metrics.__all__
        if inspect.isclass(getattr(metrics, name)) and name != "Metric"
    }
    assert {f"metrics.{name}" for name in streaming} <= right


# Arguments that no class of cnnx has: the page says so once, or PyTorch advises against them.
NOWHERE = {"device", "dtype", "size_average", "reduce", "recompute_scale_factor"}


def test_the_arguments_that_layers_and_losses_lack_are_listed():
    torch = pytest.importorskip("torch")
    for row, cell in tables("from_pytorch.md", "PyTorch"):
        classes = set(re.findall(r"`nn\.(\w+)", cell)) & set(cnnx.nn.__all__)
        lacking = set()
        for name in classes - {"Module", "Parameter", "Sequential", "Identity", "Sigmoid", "Tanh"}:
            theirs = inspect.signature(getattr(torch.nn, name)).parameters
            lacking |= set(theirs) - set(inspect.signature(getattr(cnnx.nn, name)).parameters)
        lacking = {name for name in lacking - NOWHERE if not name.startswith("_")}
        listed = re.search(r"\bno ((?:`\w+`(?:, )?)+)", row)
        if classes:
            assert lacking == set(re.findall(r"`(\w+)`", listed[1] if listed else "")), row
