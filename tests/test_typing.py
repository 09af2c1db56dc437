"""The package is typed: py.typed is part of it, and mypy checks it strictly."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import cnnx
from cnnx import data, metrics
from cnnx.data import transforms

ROOT = Path(__file__).parents[1]
CALLED = ("__init__", "__call__")  # methods that users call by another name


def test_py_typed_is_part_of_the_package():
    assert (ROOT / "cnnx" / "py.typed").is_file()
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'cnnx = ["py.typed"]' in text.split("[tool.setuptools.package-data]")[1]


def test_mypy_is_strict_and_part_of_ci():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "strict = true" in text.split("[tool.mypy]")[1].split("\n[")[0]
    assert "ignore_errors" not in text
    ci = ROOT / ".ci" / "run"
    if ci.exists():  # not in an sdist
        assert '"$work/dev/bin/mypy"' in ci.read_text(encoding="utf-8").splitlines()


def test_an_ignored_error_of_mypy_has_a_code_and_a_reason():
    for path in sorted((ROOT / "cnnx").rglob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for before, line in zip(["", *lines], lines):
            ignored = re.search(r"# type: ignore(\[[a-z, -]+\])?(.*)", line)
            if ignored:
                assert ignored[1] and ("# " in ignored[2] or "# " in before), f"{path.name}: {line}"


@pytest.mark.parametrize("package", [data, metrics, transforms], ids=lambda p: p.__name__)
def test_an_argument_of_data_and_metrics_has_a_type_that_says_something(package):
    for name in package.__all__:
        value = getattr(package, name)
        functions = [value] if inspect.isfunction(value) else []
        if inspect.isclass(value):
            functions += [
                f
                for key, f in vars(value).items()
                if inspect.isfunction(f) and (key in CALLED or not key.startswith("_"))
            ]
        for function in functions:
            for argument, annotation in function.__annotations__.items():
                said = annotation not in ("Any", "Any | None", "object") or argument == "return"
                assert said, f"{function.__qualname__}: {argument}"


def test_every_argument_and_result_of_a_public_function_is_annotated():
    for name in cnnx.__all__:
        value = getattr(cnnx, name)
        functions = [value] if inspect.isfunction(value) else []
        if inspect.isclass(value) and value.__module__.startswith("cnnx"):
            functions += [
                f
                for key, f in vars(value).items()
                if inspect.isfunction(f) and (key == "__init__" or not key.startswith("_"))
            ]
        for function in functions:
            parameters = inspect.signature(function).parameters
            missing = [
                p.name
                for p in parameters.values()
                if p.annotation is p.empty and p.name not in ("self", "cls")
            ]
            assert not missing, f"{name}: {function.__qualname__} {missing}"
            returns = function.__name__ == "__init__" or "return" in function.__annotations__
            assert returns, f"{name}: {function.__qualname__}"
