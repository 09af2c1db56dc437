"""The node tests of the package onnx: those in scope pass; the table is in docs/onnx.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("onnx")
import onnx_conformance

import cnnx

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


def test_the_page_lists_all_operators():
    page = Path(__file__).parents[1] / "docs" / "onnx.md"
    rows = re.findall(r"/convert/\w+\.py\) \| (.*) \|", page.read_text(encoding="utf-8"))
    listed = " ".join(rows).split()
    assert sorted(listed) == sorted({operator for operator, _ in cnnx.onnx.CONVERTERS})
