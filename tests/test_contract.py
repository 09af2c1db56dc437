"""Every op is complete; a failing test names what is missing."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module
from pathlib import Path

import cases
import numpy as np
import oracle
import pytest
import test_gradients

import cnnx
from cnnx.backends import OP_NAMES, reference

EXTENSIONS = [
    path
    for ending in ("*.so", "*.pyd")
    for path in (Path(cnnx.__file__).parent / "backends" / "compiled").glob(f"_core{ending}")
]


@pytest.fixture
def compiled():
    """The compiled backend; None in a pure-Python install."""
    if "compiled" not in cnnx.available_backends():
        assert not EXTENSIONS, f"{EXTENSIONS[0].name} is installed, but does not load"
        return None
    return import_module("cnnx.backends.compiled")


def _parameters(function):
    """Names and defaults, without annotations, which a .pyx file does not need."""
    return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]


def test_the_list_of_ops_names_each_once():
    assert len(set(OP_NAMES)) == len(OP_NAMES) > 30


def test_an_extension_that_is_installed_loads():
    if EXTENSIONS:
        assert "compiled" in cnnx.available_backends(), f"{EXTENSIONS[0].name} does not load"


@pytest.mark.parametrize("op", OP_NAMES)
def test_every_op_has_a_documented_reference(op):
    function = getattr(reference, op, None)
    assert function is not None, f"cnnx.backends.reference has no {op}"
    assert inspect.getdoc(function), f"the reference of {op} has no docstring"


@pytest.mark.parametrize("op", OP_NAMES)
def test_every_op_is_compiled_with_the_signature_of_the_reference(op, compiled):
    if compiled is None:
        return
    function = getattr(compiled, op, None)
    assert function is not None, f"cnnx.backends.compiled has no {op}"
    assert _parameters(function) == _parameters(getattr(reference, op)), op


@pytest.mark.parametrize("op", OP_NAMES)
def test_every_op_has_a_documented_and_annotated_function_in_ops(op):
    function = getattr(cnnx.ops, op, None)
    assert function is not None, f"cnnx.ops has no {op}"
    document = inspect.getdoc(function)
    assert document and len(document) > 60, f"cnnx.ops.{op} has no docstring worth the name"
    signature = inspect.signature(function)
    bare = [p.name for p in signature.parameters.values() if p.annotation is p.empty]
    assert not bare, f"cnnx.ops.{op}: no type hint for {bare}"
    assert signature.return_annotation is not signature.empty, f"cnnx.ops.{op} returns what?"


@pytest.mark.parametrize("backend", cnnx.available_backends())
@pytest.mark.parametrize("op", OP_NAMES)
def test_the_example_in_the_docstring_of_an_op_gives_the_stated_result(op, backend):
    names = {"np": np, "cnnx": cnnx, "ops": cnnx.ops}
    examples = doctest.DocTestFinder(recurse=False).find(getattr(cnnx.ops, op), op, globs=names)
    assert sum(len(example.examples) for example in examples), f"cnnx.ops.{op} shows no example"
    said: list[str] = []
    with cnnx.use_backend(backend):
        failed = sum(
            doctest.DocTestRunner().run(example, out=said.append).failed for example in examples
        )
    assert not failed, "".join(said)


@pytest.mark.parametrize("op", OP_NAMES)
def test_every_op_has_an_oracle_with_the_signature_in_ops(op):
    function = getattr(oracle, op, None)
    assert function is not None, f"tests/oracle.py has no {op}"
    assert _parameters(function) == _parameters(getattr(cnnx.ops, op)), op


@pytest.mark.parametrize("op", OP_NAMES)
def test_every_op_has_cases(op):
    assert cases.CASES.get(op), f"tests/cases.py has no case of {op}"
    assert op in cases.LARGE, f"tests/cases.py has no large case of {op}"


@pytest.mark.parametrize("op", OP_NAMES)
def test_every_differentiable_op_has_a_gradient_check(op):
    forward = op.removesuffix("_backward")
    if not forward.endswith("_step") and op not in test_gradients.FORWARD_ONLY:
        assert forward in test_gradients.GRADIENTS, f"test_gradients.py does not check {op}"


@pytest.mark.parametrize("op", OP_NAMES)
def test_every_op_has_a_benchmark(op):
    workloads = import_module("cnnx.bench.workloads")
    assert workloads.OPS.get(op), f"cnnx/bench/workloads.py has no workload of {op}"


def test_nothing_else_has_cases_or_a_function_in_ops():
    functions = {
        name
        for name, value in vars(cnnx.ops).items()
        if inspect.isfunction(value)
        and value.__module__.startswith("cnnx.ops")
        and not name.startswith("_")
    }
    assert set(cases.CASES) == set(cases.LARGE) == set(OP_NAMES) == functions


@pytest.mark.parametrize("op", OP_NAMES)
def test_every_option_of_a_signature_is_used_by_a_case(op):
    """Otherwise an option could be ignored by the code without any test noticing."""
    parameters = inspect.signature(getattr(cnnx.ops, op)).parameters.values()
    options = {p.name: p.default for p in parameters if p.default is not p.empty}
    calls = [case.arguments() for case in cases.CASES.get(op, [])]
    for name, default in options.items():
        given = [arguments[name] for arguments in calls if name in arguments]
        other = [v for v in given if isinstance(v, np.ndarray) or v != default]
        assert other, f"no case of {op} gives {name} anything but {default!r}"
