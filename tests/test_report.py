"""bench/report.py: the generated tables contain the measured figures and nothing else."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "bench" / "report.py"
specification = importlib.util.spec_from_file_location("report", PATH)
report = importlib.util.module_from_spec(specification)
specification.loader.exec_module(report)

ENVIRONMENT = {
    "processor": "Abacus 9",
    "cores": 4,
    "threads": 2,
    "kernel set (ISA)": "avx9",
    "cnnx": "0.1",
    "numpy": "2.4",
    "torch": "torch 9.9, eager",
}


def row(workload, *ratios):
    by_layout = dict(zip(report.LAYOUTS, ratios, strict=False))
    spreads = {name: {"median": r, "low": 0.5 * r, "high": 2 * r} for name, r in by_layout.items()}
    return {
        "workload": workload,
        "milliseconds": {"compiled": 2.0} | {name: 2.0 * r for name, r in by_layout.items()},
        "faster": spreads,
    }


MODELS = {
    "environment": ENVIRONMENT,
    "rows": [
        row("train lenet5 batch 64", 3.0, 1.5),
        row("predict lenet5 batch 1"),
        row("conv2d 1x1", 2.0, 8.0),
        row("conv2d 3x3", 9.0, 4.5),
        row("conv2d_backward 3x3", 1.25, 1.5),
        row("conv2d_backward 3x3 weight", 0.75, 1.5),
    ],
}
MEMORY = {
    "environment": ENVIRONMENT,
    "memory": [
        {
            "workload": "train lenet5 batch 64",
            "bytes": {"compiled": 2e6, "torch": 8e6, "torch channels_last": 5e6},
        }
    ],
}


def test_the_tables_hold_times_ratios_means_and_the_machine():
    text = report.report([MODELS, MEMORY])
    for fact in ("Abacus 9", "4 cores", "2 threads", "avx9", "cnnx 0.1", "numpy 2.4", "torch 9.9"):
        assert fact in text
    assert (
        "| train lenet5 batch 64 | 2.00 | 6.00 | 3.00 | 1.50 (0.750-3.00) | 3.00 (1.50-6.00) |"
        in text
    )
    assert "| predict lenet5 batch 1 | 2.00 | - | - | - | - |" in text
    # the root of 2 * 4.5, and one row each
    assert "forward 3.00, both gradients 1.25, weight gradient only 0.750." in text
    assert "| train lenet5 batch 64 | 2.00 | 8.00 | 5.00 | 40.0 % |" in text


def test_only_the_text_between_the_markers_changes_and_only_once(tmp_path):
    readme, figures = tmp_path / "README.md", tmp_path / "models.json"
    figures.write_text(json.dumps(MODELS), encoding="utf-8")
    readme.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    report.main([str(figures), "--page", str(readme)])
    first = readme.read_text(encoding="utf-8")
    assert first.startswith("before\n") and first.endswith("\nafter\n")
    assert "old" not in first and "Abacus 9" in first
    report.main([str(figures), "--page", str(readme)])
    assert readme.read_text(encoding="utf-8") == first


@pytest.mark.parametrize(
    "text", ["", report.BEGIN, f"{report.END}\n{report.BEGIN}", 2 * (report.BEGIN + report.END)]
)
def test_a_page_without_exactly_one_pair_of_markers_is_an_error(text):
    with pytest.raises(ValueError, match="needs one line"):
        report.written(text, "tables")


@pytest.mark.parametrize("page", ["README.md", "docs/performance.md", "docs/convolutions.md"])
def test_the_pages_with_tables_have_the_markers(page):
    text = (report.README.parent / page).read_text(encoding="utf-8")
    assert "tables" in report.written(text, "tables")
