"""README.md and docs/: links lead somewhere, and the programs of the overview pages run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "CHANGELOG.md", "bench/README.md"]
PAGES += sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))


def anchors(text):
    """GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings_that_exist(page):
    path = ROOT / page
    text = path.read_text(encoding="utf-8")
    links = re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text)
    for link in links:
        if link.startswith(("http:", "https:")):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_readme_links_to_every_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page for page in PAGES if page.startswith("docs/") and f"({page})" not in text] == []


def test_the_readme_has_two_setup_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^```\n(.*?)^```", text, re.M | re.S)
    assert commands == [
        "pip install '.[cli]' && cnnx train\n",
        "pip install -e '.[dev]' && pytest\n",
    ]


def _programs(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)


def test_the_programs_about_graphs_run(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    for program in _programs("docs/graphs.md"):
        exec(compile(program, "docs/graphs.md", "exec"), names)
    assert (tmp_path / "model.png").exists()


@pytest.mark.parametrize(("page", "least"), [("README.md", 0.9), ("docs/training.md", 0.9)])
def test_the_programs_of_the_page_run_and_learn(page, least, tmp_path, monkeypatch):
    import cnnx

    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    for program in _programs(page):
        exec(compile(program, page, "exec"), names)
    assert cnnx.evaluate(names["model"], names["test"]).accuracy > least
    assert (tmp_path / "digits.npz").exists()
