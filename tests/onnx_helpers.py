"""Running ONNX files with ONNX Runtime, and how far its results may be from those of float64."""

from __future__ import annotations

import io
import math

import numpy as np

import cnnx

EPS = float(np.finfo(np.float32).eps)


def saved(model, *arguments, **options):
    """The bytes of a model's file."""
    file = io.BytesIO()
    cnnx.onnx.save(model, file, *arguments, **options)
    return file.getvalue()


def runtime(content, *xs):
    """The outputs of a file for its inputs, by ONNX Runtime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # it warns of opsets newer than its own
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, xs, strict=True)))


def tolerance(model, *shapes):
    """Of an output, relative to its largest element: (8 + sqrt(n)) * eps for each layer, where n is
    the number of terms in a sum of it: of a product, or of a mean over the whole sample.
    """
    total = 0.0
    for row in model.summary(*shapes).rows:
        size = math.prod(row.output_shape)
        terms = row.macs / size if row.macs else max(math.prod(shape) for shape in shapes)
        total += (8 + math.sqrt(terms)) * EPS
    return total


def assert_close(actual, expected, relative, what=""):
    assert actual.shape == expected.shape, what
    error = np.max(np.abs(actual - expected), initial=0)
    largest = np.max(np.abs(expected), initial=0)
    assert error <= relative * largest, f"{what}: {error / largest:.1e}, expected {relative:.1e}"
