"""The site: its navigation, its pages, and the docstrings on them. `.ci/run` builds it strictly."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def hook(name, monkeypatch, *needs):
    for package in needs:
        pytest.importorskip(package)
    monkeypatch.syspath_prepend(str(DOCS / "site"))
    return importlib.import_module(name)


def test_every_page_is_in_the_navigation():
    nav = (ROOT / ".mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"[\w.]+\.(?:md|ipynb)$", nav, re.M)
    pages = {path.name for path in DOCS.iterdir() if path.suffix in (".md", ".ipynb")}
    assert sorted(listed) == sorted(pages | {"index.md", "changelog.md"})


def test_links_lead_to_the_pages_of_the_site(monkeypatch):
    pages = hook("pages", monkeypatch, "mkdocs")
    text = "[a](data.md#images) [b](../README.md) [c](../csrc/sums.pyx) [d](https://x.org) [e](#f)"
    assert pages._linked("docs/training.md", text) == (
        "[a](data.md#images) [b](index.md) [c](source/csrc/sums.pyx.md) [d](https://x.org) [e](#f)"
    )
    assert pages._linked("README.md", "[a](docs/data.md)") == "[a](data.md)"
    assert pages._linked("docs/data.md", "```\n[a](b.md)\n```") == "```\n[a](b.md)\n```"


def test_the_api_index_leads_to_the_reference(monkeypatch):
    pages = hook("pages", monkeypatch, "mkdocs")
    line = "- [`nn.Conv2d`](../cnnx/layers/conv.py): PyTorch's name of `Conv2D`."
    expected = line.replace("../cnnx/layers/conv.py", "reference/cnnx_nn.md#cnnx.nn.Conv2d")
    assert pages._linked("docs/api.md", line) == expected


def test_every_public_name_is_in_the_reference(monkeypatch):
    pages = hook("pages", monkeypatch, "mkdocs")
    import api_index

    shown = re.findall(r"^::: cnnx\.(\S+)$", "\n".join(pages._reference().values()), re.M)
    expected = [name for _, _, names in api_index.sections() for name in names]
    assert sorted(shown) == sorted(expected)


def test_columns_and_examples_of_docstrings_are_blocks(monkeypatch):
    markdown = hook("docstrings", monkeypatch, "griffe").markdown
    text = """Sum of x_1 and ``y``.

    z = x_1 + y

x     (n,)
axes  all of them

w = the sum

See [1], where it is
explained.

Example::

    add(1, 2)

>>> add(1, 2)
3
"""
    expected = r"""Sum of x\_1 and `y`.

```text
    z = x_1 + y

x     (n,)
axes  all of them

w = the sum
```

See \[1\], where it is
explained.

Example:

```python
add(1, 2)
```

```pycon
>>> add(1, 2)
3
```
"""
    assert markdown(text) == expected


def test_the_figures_are_those_of_their_program(tmp_path):
    for path in (DOCS / "figures").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    subprocess.run([sys.executable, tmp_path / "draw.py"], check=True)
    for path in (DOCS / "figures").glob("*.svg"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
    page = (DOCS / "how_it_works.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"!\[[^\]]+\]\(figures/(\w+)\.svg\)", page))
    assert shown == {path.stem for path in (DOCS / "figures").glob("*.svg")}
