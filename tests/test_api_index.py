"""docs/api.md lists every public name, each once, with the docstrings as they are."""

from __future__ import annotations

import importlib
import re

import api_index

import cnnx


def listed():
    return re.findall(r"^- \[`([\w.]+)`\]", api_index.PAGE.read_text(encoding="utf-8"), re.M)


def test_the_page_is_up_to_date():
    page = api_index.PAGE.read_text(encoding="utf-8")
    assert page == api_index.text(), "docs/api.md is out of date: run python tests/api_index.py"


def test_every_public_name_is_listed_once():
    names = listed()
    assert len(names) == len(set(names))
    assert {n for n in names if "." not in n} == set(cnnx.__all__) - {"__version__"}
    for module in ("data", "data.transforms", "metrics", "models", "ops", "optim.schedules", "viz"):
        known = importlib.import_module(f"cnnx.{module}").__all__
        assert not {n for n in known if n not in names and f"{module}.{n}" not in names}, module


def test_a_name_leads_to_the_file_that_defines_it():
    page = api_index.PAGE.read_text(encoding="utf-8")
    assert "[`Conv2D`](../cnnx/layers/conv.py): 2-D cross-correlation" in page
    assert "[`ops.im2col`](../cnnx/ops/conv.py): Every window" in page
    assert "[`nn.Conv2d`](../cnnx/layers/conv.py): PyTorch's name of `Conv2D`." in page
