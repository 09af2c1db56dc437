"""Tables of numbers as text: `save_csv` and `load_csv`.

One sample a line, below a header that says what the columns are: ``x0,x1,label`` for classes,
``x0,y0`` for numbers to predict. Floats are written with all their digits, so what is read is what
was written.
"""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np

from ..io import write_text_atomic
from .datasets import Dataset, as_dataset

__all__ = ["load_csv", "save_csv"]

Path = str | os.PathLike[str]


def save_csv(path: Path, data: Any) -> None:
    """Write a data set of vectors as text, whole or not at all.

    data  Dataset or (x, y) pair: x (n, features); y integer labels (n,), or numbers (n,) or (n, k)

    Raises ValueError for x or y of other shapes.

    Example: ``save_csv("spiral.csv", make_spiral(seed=0))``
    """
    table = as_dataset(data)
    if table.x.ndim != 2 or table.y.ndim not in (1, 2):
        raise ValueError(
            f"save_csv: x {table.x.shape} and y {table.y.shape}, "
            f"expected x (n, features) and y (n,) or (n, k)"
        )
    y = table.y if table.y.ndim == 2 else table.y[:, None]
    labels = table.y.ndim == 1 and table.y.dtype.kind in "iub"
    targets = ["label"] if labels else [f"y{k}" for k in range(y.shape[1])]
    header = [f"x{k}" for k in range(table.x.shape[1])] + targets
    rows = [
        [repr(float(v)) for v in x] + [str(int(v)) if labels else repr(float(v)) for v in target]
        for x, target in zip(table.x, y)
    ]
    write_text_atomic(path, "".join(",".join(row) + "\n" for row in [header, *rows]))


def load_csv(path: Path, dtype: Any = np.float32) -> Dataset:
    """Read what `save_csv` wrote.

    dtype    of x, and of y where it is not labels

    returns  Dataset: x (n, features); y int64 labels (n,), or (n, k)

    Raises ValueError that names file and line for text that is not such a table, and the usual
    FileNotFoundError.

    Example: ``data = load_csv("spiral.csv")``
    """
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    header = lines[0].split(",") if lines else []
    kinds = [re.sub(r"\d+$", "", name) for name in header]
    features = kinds.count("x")
    targets = kinds[features:]
    regular = kinds[:features] == ["x"] * features and set(targets) in ({"y"}, {"label"})
    if not regular or (targets[0] == "label" and len(targets) > 1):
        raise ValueError(
            f"load_csv: {os.fspath(path)!r} starts with {','.join(header)[:60]!r}, "
            f"expected a header as x0,x1,label or x0,y0"
        )
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            rows.append([float(cell) for cell in line.split(",")])
            if len(rows[-1]) != len(header):
                raise ValueError(f"{len(rows[-1])} columns, expected {len(header)}")
            if targets == ["label"] and not rows[-1][-1].is_integer():
                raise ValueError(f"label {line.split(',')[-1]} is not an integer")
        except ValueError as error:
            where = f"{os.fspath(path)!r}, line {number}"
            raise ValueError(f"load_csv: {where}: {error}") from None
    table = np.array(rows, np.float64).reshape(-1, len(header))
    x, y = table[:, :features].astype(dtype), table[:, features:]
    if targets == ["label"]:
        return Dataset(x, y[:, 0].astype(np.int64))
    return Dataset(x, y.astype(dtype))
