"""Helpers for tests of `cnnx.compat`: the programs in the docs, and comparison of runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

DOCS = Path(__file__).parents[1] / "docs"


def page(dialect):
    """The three programs of a page: the original, the changed import lines, the native one."""
    text = (DOCS / f"from_{dialect}.md").read_text(encoding="utf-8")
    old, imports, idiomatic = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return old, imports, idiomatic


def with_new_imports(old, imports):
    """The old program with its import lines changed, and nothing else."""
    lines = old.splitlines()
    kept = [line for line in lines if not re.match(r"(from|import) ", line)]
    assert len(lines) - len(kept) == len(imports.strip().splitlines()) - imports.count("\n\n")
    return imports + "\n".join(kept)


def run(program):
    """The global variables that the program leaves."""
    names = {"__name__": "__main__"}
    exec(compile(program, "page", "exec"), names)
    for value in names.values():
        if isinstance(value, np.lib.npyio.NpzFile):
            value.close()  # as at the end of the program, and not in the middle of another test
    return names


def write_mnist(folder, count):
    """mnist.npz as the old programs expect it: the bundled digits, enlarged to 28x28 bytes."""
    import cnnx

    train, test = cnnx.data.load_digits()
    arrays = {}
    for name, data in (("train", train), ("test", test)):
        x = np.repeat(np.repeat(data.x[:count, 0], 3, 1), 3, 2)
        arrays[f"x_{name}"] = (np.pad(x, ((0, 0), (2, 2), (2, 2))) * 255).astype(np.uint8)
        arrays[f"y_{name}"] = data.y[:count]
    np.savez(folder / "mnist.npz", **arrays)


def same(ours, plain, tolerance=1e-9):
    """Assert that two float64 arrays agree."""
    assert np.asarray(ours).dtype == np.float64
    np.testing.assert_allclose(ours, plain, rtol=tolerance, atol=tolerance)
