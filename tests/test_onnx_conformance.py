"""The node tests of the package onnx: those in scope pass; the table is in docs/onnx.md."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx")
import onnx_conformance

OUT_OF_SCOPE = {
    "other operators",
    "other dtypes",
    "values that are not arrays",
    "no float32",
    "other attributes or forms",
    "as ONNX Runtime and PyTorch, and not as the reference",
    "no input",
}


@pytest.mark.nightly
def test_all_node_tests_in_scope_pass():
    found = onnx_conformance.table()
    assert set(found) <= {"passed", *OUT_OF_SCOPE}, {
        result: names for result, names in found.items() if result not in OUT_OF_SCOPE | {"passed"}
    }
    assert len(found["passed"]) >= 609  # 612 of version 1.23 of the package
