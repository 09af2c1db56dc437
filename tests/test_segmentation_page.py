"""docs/segmentation.md: its program runs, and its numbers of parameters are those of the models."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cnnx import models

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "segmentation.md").read_text(encoding="utf-8")


def test_the_program_of_the_page_runs(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict = {}
    exec(compile(program, "segmentation.md", "exec"), names)
    assert names["masks"].shape == names["test"].y.shape and names["masks"].dtype == np.int64
    assert names["history"]["val_mean_iou"][-1] > 0.3  # all background would be 0.2
    assert (tmp_path / "masks.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("options", [{}, {"width": 64, "depth": 4}])
def test_the_page_states_the_sizes_of_the_models(options):
    size = sum(parameter.size for parameter in models.unet(2, **options).parameters())
    assert f"| {size:,} |" in PAGE


def test_the_readme_links_the_page():
    assert "(docs/segmentation.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
