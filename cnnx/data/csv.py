"""CSV tables of numbers: `save_csv` and `load_csv`.

One sample per line, below a header that names the columns. `save_csv` writes the header
``x0,x1,label`` for classes or ``x0,y0`` for regression targets, and floats with all their digits,
so that reading returns exactly what was written. Files of other programs can be read too.
"""

from __future__ import annotations

import itertools
import os
import re
import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..io import write_text_atomic
from .datasets import Dataset, as_dataset
from .limits import MAX_CLASSES, check_labels, integer
from .tables import Table, open_table

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from cnnx.typing import Samples

__all__ = ["load_csv", "save_csv"]

Path = str | os.PathLike[str]

_CLASSES = ("label", "labels", "class", "classes", "species", "variety", "category")
_EITHER = ("target",)  # used by scikit-learn for classes and for regression targets
_LINE_NUMBERS = ("", "unnamed: 0")  # names of a pandas index that was written and read again
_IDENTIFIERS = ("id", "index")


def save_csv(path: Path, data: Samples) -> None:
    """Write a data set of vectors as a CSV file, completely or not at all.

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


def load_csv(
    path: Path,
    dtype: DTypeLike = np.float32,
    *,
    label: str | int | None = None,
    encoding: str | None = None,
) -> Dataset:
    """Read a table of numbers and a label, as written by `save_csv`, pandas or a spreadsheet.

    dtype     of x, and of y unless it is labels
    label     the column of labels, by name, or by index from 0 (-1 is the last); None: the column
              called label, class, species, variety, category or target, or else y; columns called
              y0, y1 ... are regression targets
    encoding  of the text; None: UTF-8, or UTF-16 if the file begins with its byte order mark

    returns   Dataset: x (n, features), the other columns in order; y int64 labels (n,), or numbers
              (n, k); classes, if labels are words: the sorted words

    The first line names the columns; it may be missing if `label` is an index. Columns are
    separated by commas, tabs or semicolons; with semicolons, 0,5 is one half. Blank lines and
    spaces around cells are ignored. Line numbers, which pandas writes into an unnamed first column,
    are left out, and so is, with a UserWarning, a first column called id or index. If target, y or
    the column named by `label` contains fractions, they are regression targets (n, 1).

    Raises ValueError with file and line for a cell that is not a number, rows of different lengths,
    or labels that are not numbered from 0; and the usual FileNotFoundError.

    Example: ``data = load_csv("iris.csv", label="Species")``
    """
    where = f"load_csv: {os.fsdecode(path)!r}"
    kind = np.dtype(dtype)
    if kind.kind != "f":
        raise TypeError(f"load_csv: dtype is {kind}, expected one of floating-point numbers")
    x: list[np.ndarray] = []
    targets: list[list[str]] = []
    lines: list[int] = []
    with open_table(where, path, encoding) as table:
        rows = iter(table)
        line, first = next(rows, (1, []))
        columns = _columns(where, [cell.strip() for cell in first], label, table)
        if not columns.named:
            rows = itertools.chain([(line, first)], rows)
        for line, cells in rows:
            if len(cells) != len(first):
                raise ValueError(
                    f"{where}, line {line}: {len(cells)} columns, expected {len(first)}"
                )
            for k in columns.unnamed:
                if cells[k].strip():
                    raise ValueError(f"{where}, line {line}: column {k} from 0 has no name")
            chosen = list(itertools.compress(cells, columns.features))
            x.append(_row(f"{where}, line {line}", chosen, columns, table, kind))
            targets.append([cells[k].strip() for k in columns.targets])
            lines.append(line)
    features = np.array(x, kind).reshape(len(x), sum(columns.features))
    at = [f"{where}, line {line}" for line in lines]
    if columns.content != "numbers":
        labels = _labels(where, at, [row[0] for row in targets], columns, table)
        if labels is not None:
            return Dataset(features, *labels)
    numbers = [_row(place, row, None, table, kind) for place, row in zip(at, targets, strict=True)]
    return Dataset(features, np.array(numbers, kind).reshape(len(x), len(columns.targets)))


class _Columns(NamedTuple):
    """The role of each column; names are indices if the first line contains numbers."""

    named: bool
    names: list[str]
    features: list[bool]  # for each column
    targets: list[int]
    unnamed: list[int]  # columns made by a comma at the end of each line
    content: str  # of the targets: "classes", "numbers", or "either"


def _columns(where: str, first: list[str], label: str | int | None, table: Table) -> _Columns:
    if not first:
        raise ValueError(f"{where} starts with '', expected a header as x0,x1,label or x0,y0")
    lower = [name.lower() for name in first]
    if label is not None and not isinstance(label, str):
        place = integer("load_csv", "label", label, -len(first))
        if place >= len(first):
            raise ValueError(f"{where}: label is column {place}, but there are {len(first)} from 0")
        targets, content = [place % len(first)], "either"
        named = _is_header(lower, table)
    else:
        targets, content = _named_targets(where, first, lower, label)
        named = True
    unnamed = [k for k, name in enumerate(first) if not name and k > 0] if named else []
    left_out = {*targets, *unnamed}
    if named and lower[0] in _LINE_NUMBERS + _IDENTIFIERS and 0 not in targets:
        left_out.add(0)
        if lower[0] in _IDENTIFIERS:
            warnings.warn(
                f"{where}: the column {first[0]!r} is left out: it counts the lines",
                stacklevel=3,
            )
    names = first if named else [str(k) for k in range(len(first))]
    features = [k not in left_out for k in range(len(first))]
    if not any(features):
        raise ValueError(f"{where} has no columns except the label, expected columns of numbers")
    return _Columns(named, names, features, targets, unnamed, content)


def _named_targets(
    where: str, names: list[str], lower: list[str], label: str | None
) -> tuple[list[int], str]:
    """The target columns, found by their names, and the kind of their contents."""
    if label is not None:
        found = [k for k, name in enumerate(names) if name == label]
        if len(found) != 1:
            raise ValueError(
                f"{where} has {len(found)} columns named {label!r}; its columns: {_list(names)}"
            )
        return found, "either"
    found = [k for k, name in enumerate(lower) if name in _CLASSES + _EITHER]
    if len(found) > 1:
        raise ValueError(
            f"{where} has {len(found)} columns that may be the label, {names[found[0]]!r} and "
            f"{names[found[1]]!r}: choose one with label="
        )
    if found:
        return found, "either" if lower[found[0]] in _EITHER else "classes"
    found = [k for k, name in enumerate(lower) if name == "y"]
    if len(found) == 1:
        return found, "either"
    found = [k for k, name in enumerate(lower) if re.fullmatch(r"y\d+", name)]
    if not found:
        raise ValueError(
            f"{where} starts with {','.join(names)[:60]!r}, expected a header as x0,x1,label or "
            f"x0,y0; select the target column with label=, by its name or index"
        )
    return found, "numbers"


def _is_header(lower: list[str], table: Table) -> bool:
    """Whether a line names columns: it has a known name, or no number except a count from 0."""
    if any(name in _CLASSES + _EITHER for name in lower):
        return True
    numbers = [cell for cell in lower if table.is_number(cell)]
    return not numbers or numbers == [str(k) for k in range(len(lower))]


def _row(
    at: str, cells: list[str], columns: _Columns | None, table: Table, kind: np.dtype
) -> np.ndarray:
    """The numbers in the cells of a line: the features, or, without columns, the targets."""
    try:
        with np.errstate(over="raise"):
            return np.array(table.numbers(cells), kind)
    except (ValueError, FloatingPointError):
        pass
    names = list(itertools.compress(columns.names, columns.features)) if columns else []
    for k, cell in enumerate(cells):
        column = f" in column {names[k]!r}" if names else ""
        if not cell.strip():
            raise ValueError(f"{at}: an empty cell{column}, expected a number")
        if not table.is_number(cell):
            raise ValueError(f"{at}: could not convert {cell.strip()[:40]!r}{column} to a number")
    raise ValueError(f"{at}: a number is too large for {kind}")


def _labels(
    where: str, at: list[str], cells: list[str], columns: _Columns, table: Table
) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """Labels and class names; None if they are regression targets."""
    if "" in cells:
        raise ValueError(f"{at[cells.index('')]}: the label is missing")
    if not all(map(table.is_number, cells)):
        words = sorted(set(cells))
        if len(words) > MAX_CLASSES:
            raise ValueError(
                f"{where}: {len(words)} different words are labels, expected at most {MAX_CLASSES}"
            )
        places = {word: k for k, word in enumerate(words)}
        return np.array([places[cell] for cell in cells], np.int64), tuple(words)
    values = np.array(table.numbers(cells), np.float64)
    finite = np.isfinite(values)
    whole = finite & (values == np.floor(values))
    if not whole.all():
        if columns.content == "either" and (finite & ~whole).any():
            return None
        index = int(np.argmin(whole))
        raise ValueError(f"{at[index]}: label {cells[index]} is not an integer")
    outside = (values < 0) | (values >= MAX_CLASSES)
    if outside.any():
        index = int(np.argmax(outside))
        raise ValueError(
            f"{at[index]}: label {cells[index]}, expected 0 to {MAX_CLASSES - 1}; regression "
            f"targets need a column named y0"
        )
    y = values.astype(np.int64)
    check_labels(where, y)
    return y, ()


def _list(names: list[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
