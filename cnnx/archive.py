"""Zip archives whose entries are stored as they are, read without the module zipfile.

>>> with open("net.npz", "rb") as file:
...     for entry in entries(file):
...         print(entry.name, len(read(file, entry)))
"""

# Design:
# zipfile and all that it imports take longer to load than a small network; cnnx writes with it.
# Everything in a file is untrusted: sizes are compared with the length of the file before anything
# is read, and contents with their checksums. Layout: PKWARE, "APPNOTE.TXT - .ZIP File Format
# Specification", sections 4.3 and 4.5.3.

from __future__ import annotations

import binascii
import os
import struct
from typing import IO

from cnnx.tuples import NamedTuple

__all__ = ["Entry", "entries", "read"]

_END = struct.Struct("<4s4H2LH")  # of the archive: where its directory is
_LOCATOR = struct.Struct("<4sLQL")  # where the end with 64-bit numbers is
_END64 = struct.Struct("<4sQ2H2L4Q")
_ROW = struct.Struct("<4s6H3L5H2L")  # of the directory
_LOCAL = struct.Struct("<4s5H3L2H")  # before the bytes of an entry
_LONGEST_COMMENT = 0xFFFF
_IN_EXTRA = 0xFFFFFFFF  # a number that is in the extra field, with 64 bits
_ENCRYPTED, _UTF8 = 0x1, 0x800


class Entry(NamedTuple):
    """An entry, as the directory describes it. `raw` is its name in bytes, `start` its place."""

    name: str
    raw: bytes
    size: int
    start: int
    checksum: int


def entries(file: IO[bytes]) -> list[Entry]:
    """The entries of an archive, in the order of its directory.

    ValueError for a damaged one, for compressed or encrypted entries, for names that come twice,
    and for entries that claim more bytes than the file has.
    """
    length = file.seek(0, os.SEEK_END)
    count, rows, before = _directory(file, length)
    found, at = [], 0
    for _ in range(count):
        entry, at = _row(rows, at, before)
        found.append(entry)
    if len({entry.name for entry in found}) != count:
        raise ValueError("damaged: two entries have the same name")
    claimed = sum(entry.size for entry in found)
    if claimed > length:
        raise ValueError(f"damaged: its entries claim {claimed} bytes, it has {length}")
    return found


def read(file: IO[bytes], entry: Entry) -> bytes:
    """The bytes of an entry. ValueError if they are cut short, or not those that were written."""
    file.seek(entry.start)
    head = _unpack(_LOCAL, file.read(_LOCAL.size), 0, b"PK\3\4")
    if file.read(head[-2]) != entry.raw:
        raise ValueError(f"damaged: entry {entry.name!r} has another name before its bytes")
    file.seek(head[-1], os.SEEK_CUR)
    content = file.read(entry.size)
    if len(content) != entry.size or binascii.crc32(content) != entry.checksum:
        raise ValueError(f"damaged: entry {entry.name!r} has not the bytes that were written")
    return content


def _directory(file: IO[bytes], length: int) -> tuple[int, bytes, int]:
    """Number of entries, the bytes of the directory, and how many bytes precede the archive."""
    begin = max(0, length - _END.size - _LONGEST_COMMENT)
    file.seek(begin)
    tail = file.read()
    at = tail.rfind(b"PK\5\6", 0, len(tail) - _END.size + 4)
    if at < 0:
        raise ValueError("damaged or cut short: the directory at its end is missing")
    _, _, _, _, count, size, offset, _ = _END.unpack_from(tail, at)
    end = begin + at
    locator = end - _LOCATOR.size
    file.seek(max(0, locator))
    if locator >= _END64.size and file.read(4) == b"PK\6\7":
        end = locator - _END64.size
        file.seek(end)
        *_, count, size, offset = _unpack(_END64, file.read(_END64.size), 0, b"PK\6\6")
    before = end - size - offset
    if before < 0 or count * _ROW.size > size:
        raise ValueError("damaged or cut short: its directory is not where it should be")
    file.seek(end - size)
    return count, file.read(size), before


def _row(rows: bytes, at: int, before: int) -> tuple[Entry, int]:
    """The entry that a row describes, and where the next row begins."""
    fields = _unpack(_ROW, rows, at, b"PK\1\2")
    flags, method, checksum, stored, size = fields[3], fields[4], *fields[7:10]
    name_size, extra_size, comment_size, start = *fields[10:13], fields[-1]
    at += _ROW.size
    end = at + name_size + extra_size + comment_size
    if end > len(rows):
        raise ValueError("damaged: its directory is cut short")
    raw = rows[at : at + name_size]
    name = raw.decode("utf-8" if flags & _UTF8 or raw.isascii() else "cp437")
    if flags & _ENCRYPTED:
        raise ValueError("it has encrypted entries, which cnnx never writes")
    if method:
        raise ValueError("it has compressed entries, which cnnx never writes")
    extra = rows[at + name_size : at + name_size + extra_size]
    size, stored, start = _large(extra, [size, stored, start])
    if size != stored:
        raise ValueError(f"damaged: entry {name!r} has two sizes, {size} and {stored} bytes")
    return Entry(name, raw, size, before + start, checksum), end


def _large(extra: bytes, numbers: list[int]) -> list[int]:
    """The numbers; those that have no place in 32 bits, from the extra field."""
    if _IN_EXTRA not in numbers:
        return numbers
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            large = iter(struct.unpack_from(f"<{numbers.count(_IN_EXTRA)}Q", extra, at + 4))
            return [next(large) if number == _IN_EXTRA else number for number in numbers]
        at += 4 + size
    raise ValueError("damaged: the size of an entry is missing")


def _unpack(layout: struct.Struct, content: bytes, at: int, mark: bytes) -> tuple[int, ...]:
    """The numbers of a record after its mark `PK..`."""
    if len(content) < at + layout.size or content[at : at + 4] != mark:
        raise ValueError("damaged: a header of an entry is not where it should be")
    return layout.unpack_from(content, at)
