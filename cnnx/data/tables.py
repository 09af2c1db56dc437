"""Text tables as exported by spreadsheets and other programs: `open_table`."""

# Design:
# One pass over the file, which may be a pipe. Two properties are detected from its beginning: the
# encoding, from the byte order mark of UTF-16 and some UTF-8 files, and the separator, which is the
# one that splits the first line into most columns. The standard library handles quotes.

from __future__ import annotations

import codecs
import csv
import io
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

__all__ = ["Table", "open_table"]

_SEPARATORS = ",;\t"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is a prefix of it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WORDS = {"true": 1.0, "false": 0.0}


class Table:
    """The rows of an open file: iterating yields (line number, cells).

    Rows without content are skipped; spaces around the contents of cells are kept.
    """

    def __init__(self, lines: Iterable[str], separator: str) -> None:
        self._reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
        self._decimal_comma = separator == ";"

    @property
    def line(self) -> int:
        """Number of the last line read, from 1."""
        return self._reader.line_num

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        for cells in self._reader:
            if any(cell and not cell.isspace() for cell in cells):
                yield self.line, cells

    def numbers(self, cells: Sequence[str]) -> list[float]:
        """The numbers in the cells; ValueError if one is not a number."""
        if not self._decimal_comma:
            try:
                return list(map(float, cells))  # all at once: a row may be an image
            except ValueError:
                pass
        return [self._number(cell.strip()) for cell in cells]

    def _number(self, cell: str) -> float:
        word = _WORDS.get(cell.lower())
        if word is not None:
            return word
        return float(cell.replace(",", ".") if self._decimal_comma else cell)

    def is_number(self, cell: str) -> bool:
        """Whether a cell contains a number."""
        try:
            self.numbers([cell])
        except ValueError:
            return False
        return True


@contextmanager
def open_table(where: str, path: str | os.PathLike[str], encoding: str | None) -> Iterator[Table]:
    """Open a text file; content that cannot be read is a ValueError that begins with `where`."""
    with open(os.path.expanduser(os.fsdecode(path)), "rb") as raw:
        found = encoding or _encoding(raw.peek(4))
        try:
            text = io.TextIOWrapper(raw, found, newline="")
        except LookupError:
            raise ValueError(f"{where}: there is no encoding {encoding!r}") from None
        lines: list[str] = []
        table = None
        try:
            while not lines or lines[-1].isspace():
                lines.append(text.readline())
            separator = max(_SEPARATORS, key=lambda mark: _width(lines[-1], mark))
            table = Table(itertools.chain(lines, text), separator)
            yield table
        except UnicodeError as error:
            line = table.line if table else 0
            raise ValueError(
                f"{where}: the text after line {line} is not {found} ({error}): save the file as "
                f"UTF-8, or say what it is, such as encoding='cp1252'"
            ) from None
        except csv.Error as error:
            line = table.line if table else 1
            raise ValueError(f"{where}, line {line}: {error}") from None


def _encoding(start: bytes) -> str:
    """Detected from the byte order mark; UTF-16 without one from every other byte being zero."""
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    zeros = [byte == 0 for byte in start[:2]]
    if zeros == [False, True]:
        return "utf-16-le"
    return "utf-16-be" if zeros == [True, False] else "utf-8"


def _width(line: str, separator: str) -> int:
    return len(next(csv.reader([line], delimiter=separator), []))
