"""Writes docs/api.md, the index of all public names: ``python tests/api_index.py``.

The groups are those of test_api.py, the names of a sub-module are its `__all__`, and each line is
the first sentence of a docstring.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

from test_api import NAMES

import cnnx

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "api.md"
HEAD = """\
# API index

Every public name, with the first sentence of its docstring. A name's link leads to its file; the
whole docstring (formula, shapes, defaults, errors, example) is what `help(cnnx.Conv2D)` shows.
The sections of sub-modules have the names that are not in `cnnx` itself.

<!-- written by tests/api_index.py -->
"""
# Public sub-modules that are not names of `cnnx`.
MORE_MODULES = (
    *("bench", "data.transforms", "graph", "layers", "losses", "optim", "optim.schedules"),
    "training",
)
# The page of docs/ that describes a group or a sub-module.
PAGES = {
    "containers": "graphs.md",
    "losses": "training.md#losses-schedules-and-averaged-weights",
    "optimisers": "training.md#losses-schedules-and-averaged-weights",
    "schedules": "training.md#losses-schedules-and-averaged-weights",
    "training": "training.md",
    "engine": "engine.md",
    "callbacks": "training.md#callbacks",
    "distributed": "distributed.md",
    "metrics": "training.md#metrics",
    "backend": "configuration.md",
    "ops": "keep_your_loop.md",
    "data": "data.md",
    "data.transforms": "data.md",
    "testing": "training.md#checking-your-own-layers",
    "sklearn": "training.md#in-scikit-learn",
    "nn": "from_pytorch.md",
    "bench": "bench.md",
}
CONSTANTS = {
    "bench.LAYERS": "The workloads of ``cnnx bench layers``.",
    "bench.MODELS": "The workloads of ``cnnx bench models``.",
    "bench.OPS": "The workloads of ``cnnx bench ops``.",
    "onnx.CONVERTERS": "How each ONNX operator is read as layers.",
    "onnx.EMITTERS": "How each class of layers is written as ONNX nodes.",
    "metrics.NAMES": "The names of metrics that `fit` and `evaluate` take.",
}


def sections():
    """(title, page or None, {name: object}) of each section."""
    for group, names in NAMES.items():
        yield group.capitalize(), PAGES.get(group), {n: getattr(cnnx, n) for n in names.split()}
    for name in sorted({*NAMES["sub-modules"].split(), *MORE_MODULES}):
        yield f"cnnx.{name}", PAGES.get(name), members(name)


def members(name):
    """The public names of a sub-module, without those that `cnnx` has too."""
    module = importlib.import_module(f"cnnx.{name}")
    if not hasattr(module, "__all__"):  # a package of modules
        inside = [m.name for m in pkgutil.iter_modules(module.__path__) if m.name[0] != "_"]
        return {f"{name}.{m}": importlib.import_module(f"cnnx.{name}.{m}") for m in inside}
    objects = {n: getattr(module, n) for n in module.__all__}
    return {f"{name}.{n}": x for n, x in objects.items() if getattr(cnnx, n, None) is not x}


def first_sentence(name, value):
    if not hasattr(value, "__name__"):  # a constant, which has no docstring
        return CONSTANTS.get(name, f"A {type(value).__name__}.")
    if inspect.isclass(value) and value.__name__ != name.rpartition(".")[2]:
        return f"PyTorch's name of `{value.__name__}`."
    paragraph = " ".join(inspect.getdoc(value).split("\n\n")[0].split())
    return re.split(r"(?<=[^.]\.) (?=\D)", paragraph)[0].rstrip(".") + "."


def line(name, value):
    source = value
    if not hasattr(value, "__name__"):
        source = importlib.import_module(f"cnnx.{name.rpartition('.')[0]}")
    path = Path(inspect.getsourcefile(inspect.unwrap(source))).resolve().relative_to(ROOT)
    sentence = re.sub(r"(?<=\S)\*|\*(?=\S)", r"\*", first_sentence(name, value))  # not emphasis
    return f"- [`{name}`](../{path}): {sentence}"


def text():
    """The text of docs/api.md."""
    parts = [HEAD]
    for title, page, names in sections():
        see = f"See [{page.partition('#')[0]}]({page}).\n\n" if page else ""
        parts.append(
            f"## {title}\n\n{see}" + "\n".join(line(*item) for item in names.items()) + "\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
