"""The node tests of the package onnx, run through cnnx: python tests/onnx_conformance.py

Each test is a file of one node (or of the nodes that an operator stands for), with inputs and
outputs. Those whose arrays are all of float32, or of numbers and truth values beside them, are run.
Where cnnx needs a constant that the test gives as an input, such as a weight, it is made one.
"""

from __future__ import annotations

import collections
import warnings

import numpy as np
import onnx

import cnnx

# ONNX Runtime and PyTorch place the corners by the rounded size, as cnnx does, and not by the
# factor times the size, which is no whole number here.
DIFFERENT = {
    "test_resize_downsample_scales_linear_align_corners",
    "test_resize_downsample_scales_cubic_align_corners",
}


def cases():
    """(name, ModelProto, pairs of inputs and outputs, rtol, atol) of each test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tests' own making
        from onnx.backend.test.case.node import collect_testcases

        return [(c.name, c.model, c.data_sets, c.rtol, c.atol) for c in collect_testcases(None)]


def outcome(name, model, data_sets, rtol, atol):
    """ "passed", "failed", or why the test is out of scope."""
    arrays = [array for data in data_sets for side in data for array in side]
    if not all(isinstance(a, (np.ndarray, np.generic)) for a in arrays):
        return "values that are not arrays"
    if not all(np.asarray(a).dtype.name in ("float32", "int64", "int32", "bool") for a in arrays):
        return "other dtypes"
    if not any(np.asarray(a).dtype == np.float32 for a in arrays):
        return "no float32"
    if not model.graph.input:
        return "no input"
    if name in DIFFERENT:
        return "as ONNX Runtime and PyTorch, and not as the reference"
    graph, fixed = _loaded(model, data_sets)
    if isinstance(graph, str):
        return graph
    for inputs, outputs in data_sets:
        given = [x for i, x in enumerate(inputs) if i not in fixed]
        try:
            with cnnx.no_grad():
                found = graph(*given)
        except Exception as error:
            return f"failed: {error!r}"
        found = found if isinstance(found, tuple) else (found,)
        for y, expected in zip(found, outputs, strict=True):
            expected = np.asarray(expected)
            if y.shape != expected.shape or y.dtype != expected.dtype:
                return "failed"
            if not np.allclose(y, expected, rtol, atol, equal_nan=True):
                return "failed"
    return "passed"


def _loaded(model, data_sets):
    """The graph, and the numbers of the inputs that were made constants; or why it is not read."""
    try:
        return cnnx.onnx.load(model.SerializeToString()), ()
    except ValueError as error:
        if "but a constant is expected" not in str(error) or len(data_sets) > 1:
            return _reason(error), ()
    named = [value.name for value in model.graph.input]
    other = onnx.ModelProto()
    other.CopyFrom(model)
    for name, array in list(zip(named, data_sets[0][0], strict=True))[1:]:
        other.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    try:
        return cnnx.onnx.load(other.SerializeToString()), tuple(range(1, len(named)))
    except ValueError as error:
        return _reason(error), ()


def _reason(error):
    text = str(error)
    if "operators that are not known" in text or "names no version" in text:
        return "other operators"
    if "it needs what is not known" in text or "has opset" in text:
        return "other attributes or forms"
    return f"failed to load: {text}"


def table():
    """{outcome: names}"""
    found = collections.defaultdict(list)
    for case in cases():
        found[outcome(*case)].append(case[0])
    return found


if __name__ == "__main__":
    for result, names in sorted(table().items(), key=lambda row: -len(row[1])):
        print(f"{len(names):5} {result}")
        if "fail" in result:
            print("\n".join(names))
