"""README.md and docs/: links lead somewhere, and the programs of each page run."""

from __future__ import annotations

import contextvars
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from dialect_helpers import write_mnist

import cnnx

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "CHANGELOG.md", "bench/README.md"]
PAGES += sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))


class Page(NamedTuple):
    """A page whose programs run, from top to bottom, in an empty directory."""

    needs: tuple[str, ...] = ()  # packages; without them, the page is skipped
    before: Callable[[Path], None] = lambda directory: None  # writes the files that it reads
    after: Callable[[dict[str, Any], Path], None] = lambda names, directory: None  # a check


def digits_learnt(names, directory):
    assert cnnx.evaluate(names["model"], names["test"]).accuracy > 0.9
    assert (directory / "digits.npz").exists()


def transformed_digits_learnt(names, directory):
    assert cnnx.evaluate(names["model"], names["test"]).accuracy > 0.85


def model_drawn(names, directory):
    assert (directory / "model.png").exists()


def keras_mnist(directory):
    write_mnist(directory, 2000)


def convnet_learnt(names, directory):
    assert names["scores"].accuracy > 0.75
    assert (directory / "saved" / "best.npz").exists()


def same_as_pytorch(names, directory):
    x = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    with names["torch"].no_grad():
        expected = names["torch_model"].eval()(names["torch"].from_numpy(x)).numpy()
    np.testing.assert_allclose(names["model"].eval()(x), expected, rtol=1e-5, atol=1e-6)


def classifiers_learnt(names, directory):
    x, y = names["x_test"], names["y_test"]
    assert names["classifier"].score(x, y) > 0.95
    assert names["growing"].score(x, y) > 0.9
    assert names["small"].n_iter_ < 30


# The pages with programs. Add a line here for a new page.
RUN = {
    "README.md": Page(after=digits_learnt),
    "docs/configuration.md": Page(),
    "docs/distributed.md": Page(needs=("mpi4py",)),
    "docs/engine.md": Page(),
    "docs/fine_tuning.md": Page(needs=("onnx",)),
    "docs/from_keras.md": Page(before=keras_mnist, after=convnet_learnt),
    "docs/from_pytorch.md": Page(needs=("torch", "safetensors"), after=same_as_pytorch),
    "docs/from_sklearn.md": Page(needs=("sklearn",), after=classifiers_learnt),
    "docs/graphs.md": Page(needs=("matplotlib",), after=model_drawn),
    "docs/many_files.md": Page(needs=("joblib", "dask.array")),
    "docs/own_layers.md": Page(after=transformed_digits_learnt),
    "docs/training.md": Page(needs=("matplotlib", "sklearn"), after=digits_learnt),
    "docs/winograd.md": Page(),
}
# Pages whose programs are run by a test of their own.
ELSEWHERE = {
    "docs/cifar10.md": "test_recipes.py",
    "docs/data.md": "test_data_page.py",
    "docs/deploy.md": "test_deploy_page.py",
    "docs/fashion_mnist.md": "test_recipes.py",
    "docs/from_cs231n.md": "test_cs231n_dialect.py",
    "docs/from_functional.md": "test_functional.py",
    "docs/from_listnet.md": "test_listnet.py",
    "docs/from_network.md": "test_network_dialect.py",
    "docs/from_sequential.md": "test_sequential_dialect.py",
    "docs/keep_your_loop.md": "test_keep_your_loop.py",
    "docs/onnx.md": "test_onnx_export.py",
    "docs/own_photos.md": "test_photos_page.py",
    "docs/segmentation.md": "test_segmentation_page.py",
}


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


@pytest.mark.parametrize("page", RUN)
def test_the_programs_of_the_page_run(page, tmp_path, monkeypatch):
    for package in RUN[page].needs:
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    RUN[page].before(tmp_path)
    names = {"__name__": "page"}
    context = contextvars.copy_context()  # a page may change the backend or the algorithms
    for number, program in enumerate(_programs(page), 1):
        context.run(exec, compile(program, f"{page}: program {number}", "exec"), names)
    RUN[page].after(names, tmp_path)


def test_the_programs_of_every_page_are_run():
    assert sorted(page for page in PAGES if _programs(page)) == sorted([*RUN, *ELSEWHERE])
    for page, test in ELSEWHERE.items():
        text = (Path(__file__).parent / test).read_text(encoding="utf-8")
        dialect = Path(page).stem.removeprefix("from_")
        assert Path(page).name in text or f'page("{dialect}")' in text
