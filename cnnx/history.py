"""`History`: the measurements of `fit`, one row per epoch."""

from __future__ import annotations

import csv
import io as text_io
import os
from collections.abc import Iterator, Mapping
from typing import Any, overload

from cnnx import io

__all__ = ["History"]

Row = dict[str, float]


class History:
    """A table with one row per epoch and one column per quantity.

    ``history["loss"]`` is a column (a list), ``history[-1]`` a row (a dict), ``len(history)`` the
    number of epochs, and iterating yields the rows. Columns that `fit` writes: epoch (from 1),
    loss, the metrics, the same for the validation data prefixed with ``val_``, and seconds.

    Example::

        history = cnnx.fit(model, train, validation=test, epochs=5)
        max(history["val_accuracy"])
        history.to_csv("history.csv")
    """

    def __init__(self, rows: Any = ()) -> None:
        self.rows: list[Row] = []
        for row in rows:
            self.append(row)

    def append(self, row: Mapping[str, float]) -> None:
        """Add an epoch; ValueError if its columns differ from the table's."""
        if self.rows and list(row) != self.columns:
            raise ValueError(f"History: columns {list(row)}, expected {self.columns}")
        self.rows.append(dict(row))

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.rows[0]) if self.rows else []

    def keys(self) -> list[str]:
        """The names of the columns, so that ``dict(history)`` is a dict of columns."""
        return self.columns

    @overload
    def __getitem__(self, key: str) -> list[float]: ...
    @overload
    def __getitem__(self, key: int) -> Row: ...
    def __getitem__(self, key: str | int) -> list[float] | Row:
        if not isinstance(key, str):
            return self.rows[key]
        if key not in self.columns:
            raise KeyError(f"history has no column {key!r}, only {self.columns}")
        return [row[key] for row in self.rows]

    def __contains__(self, key: object) -> bool:
        return key in self.columns

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and self.rows == other.rows

    def to_csv(self, path: Any) -> None:
        """Write the table as CSV, completely or not at all; numbers keep all their digits."""
        text = text_io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        io.write_text_atomic(path, text.getvalue())

    @classmethod
    def from_csv(cls, path: Any) -> History:
        """Read a file of `to_csv`. ValueError names the file and line if it is something else."""
        name = repr(os.fspath(path))
        with open(path, encoding="utf-8", newline="") as file:
            try:
                header, *lines = list(csv.reader(file)) or [[]]
            except (csv.Error, UnicodeDecodeError) as error:
                raise ValueError(f"{name} is not a history: {error}") from error
        history = cls()
        for number, line in enumerate(lines, start=2):
            try:
                cells = {name: _number(text) for name, text in zip(header, line, strict=True)}
            except ValueError as error:
                raise ValueError(f"{name} is not a history: line {number}: {error}") from error
            history.append(cells)
        return history

    def __repr__(self) -> str:
        if not self.rows:
            return "History(no epochs)"
        cells = [self.columns] + [[_cell(value) for value in row.values()] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True))
            for line in cells
        )


def _number(text: str) -> float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _cell(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"
