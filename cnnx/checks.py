"""Validation of arrays, dtypes and numbers.

Pure functions, called by `cnnx.ops` before any work. Every message begins with the op, then states
what was given, with its numbers, and what was expected.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

Pair = tuple[int, int]

FLOATS = _FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_INT64 = np.dtype(np.int64)
_LARGEST_INTEGER = 2**63 - 1  # the limit of the kernels' indices
_LARGEST_REAL = float(np.finfo(np.float32).max)
_LARGEST_ARRAY = 2**44  # elements: the address space of a process, in float64


def arrays(op: str, optional: tuple[str, ...], given: dict[str, Any]) -> list[Any]:
    """The arrays of one call, by name: each as `array` returns it, all of one dtype.

    optional  names of those that may be None
    """
    found = {
        name: None if x is None and name in optional else array(op, name, x)
        for name, x in given.items()
    }
    same_dtype(op, **found)
    return list(found.values())


def array(op: str, name: str, value: Any, ndim: int | None = None) -> np.ndarray:
    """The value as a C-contiguous, aligned, native float32 or float64 array; copied if need be."""
    if plain(value) and (ndim is None or value.ndim == ndim):
        return value  # the usual case: the checks of an op must cost less than a small op
    if isinstance(value, np.ndarray) and not (isinstance(value, np.matrix) or is_masked(value)):
        x = value
    else:
        x = from_anything(op, name, value)
    if x.dtype.type not in (np.float32, np.float64):
        raise TypeError(
            f"{op}: {name} has dtype {x.dtype}, but cnnx computes in float32 or float64: "
            f"use {name}.astype(np.float32)"
        )
    if ndim is not None:
        dimensions(op, name, x.shape, ndim)
    if not (x.flags.c_contiguous and x.flags.aligned and x.dtype.isnative):
        x = np.require(x, x.dtype.newbyteorder("="), ["C", "ALIGNED"])
    return x


def dimensions(op: str, name: str, shape: tuple[int, ...], ndim: int) -> None:
    """An array must have this number of dimensions."""
    if len(shape) != ndim:
        raise ValueError(
            f"{op}: {name} has shape {shape}, but {ndim} dimensions are expected"
            f"{missing_axes(name, shape, ndim)}"
        )


def missing_axes(name: str, shape: tuple[int, ...], ndim: int = 4) -> str:
    """Advice if images lack the batch axis or the channel axis."""
    if name != "x" or ndim != 4 or len(shape) not in (2, 3):
        return ""
    if len(shape) == 2:
        return ": for one grey image write x[None, None]"
    return ": for one image (c, h, w) write x[None], for grey images (n, h, w) x[:, None]"


def channels_last(name: str, shape: tuple[int, ...], *channels: int) -> str:
    """Advice if an image, or a batch, seems to have this many channels, but on the last axis."""
    if len(shape) not in (3, 4) or shape[-1] not in channels or shape[-3] in channels:
        return ""
    order = (0, 3, 1, 2) if len(shape) == 4 else (2, 0, 1)
    return f": channels come first, write {name}.transpose{order}"


def plain(value: Any, dtype: np.dtype[Any] | None = None) -> bool:
    """Whether an op can use, and change, this array directly; of that dtype, if given.

    A quick test: if it is false, `array` or `in_place` may still accept the array.
    """
    if type(value) is not np.ndarray or not value.flags.carray:
        return False
    given = value.dtype
    return given is dtype if dtype is not None else given is _FLOAT32 or given is _FLOAT64


def all_plain(arrays: Iterable[Any], dtype: np.dtype[Any]) -> bool:
    """Whether `plain` is true for each array."""
    for x in arrays:
        if type(x) is not np.ndarray or x.dtype is not dtype or not x.flags.carray:
            return False
    return True


def from_anything(op: str, name: str, value: Any) -> np.ndarray:
    """A user's value as an array: not None, and not masked (NumPy would drop the mask)."""
    if type(value) is np.ndarray:
        return value
    given(op, name, value)
    unmasked(op, name, value)
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{op}: {name} cannot be read as an array: {error}") from None


def is_masked(value: Any) -> bool:
    """Whether this is a masked array.

    Only a program that has imported `numpy.ma` has one; to import it takes a tenth of a cold start.
    """
    return isinstance(value, getattr(sys.modules.get("numpy.ma"), "MaskedArray", ()))


def unmasked(op: str, name: str, value: Any) -> None:
    """Reject masked arrays, also inside lists."""
    if is_masked(value):
        raise TypeError(f"{op}: {name} is a masked array: fill it first, with {name}.filled(...)")
    if isinstance(value, (list, tuple)):
        for item in value:
            if isinstance(item, (list, tuple)) or is_masked(item):
                unmasked(op, name, item)


def given(op: str, name: str, value: Any) -> None:
    """Reject None."""
    if value is None:
        raise TypeError(f"{op}: {name} is None, but an array is expected")


def same_dtype(op: str, **arrays: np.ndarray | None) -> None:
    """All arrays of one call must have one dtype."""
    dtype = None
    for x in arrays.values():
        if x is not None:
            if dtype is None:
                dtype = x.dtype
            elif x.dtype is not dtype and x.dtype != dtype:
                break
    else:
        return
    listed = ", ".join(f"{name} is {x.dtype}" for name, x in arrays.items() if x is not None)
    raise TypeError(f"{op}: {listed}, but all arrays of one call need one dtype: cast with .astype")


def same_shape(
    op: str, name: str, shape: tuple[int, ...], expected: tuple[int, ...], why: str, *about: Any
) -> None:
    """A shape must be the expected one; `why`, formatted with `about`, states its origin."""
    if shape != expected:
        why = why.format(*about) if about else why
        raise ValueError(f"{op}: {name} has shape {shape}, but {expected} is expected ({why})")


def sample_shape(op: str, name: str, value: Any) -> tuple[int, ...]:
    """The shape of one sample, without the batch; a number is that of a row of features."""
    try:
        sizes = tuple(map(operator.index, np.atleast_1d(value)))
    except (TypeError, ValueError):
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise ValueError(
            f"{op}: {name} is {value!r}, expected the shape of one sample, without the batch: "
            "(3, 32, 32) for images, 64 or (64,) for features"
        )
    return sizes


def in_place(op: str, name: str, value: Any) -> np.ndarray:
    """An array that the op changes in place: it cannot be copied, so it must be usable directly."""
    if plain(value):
        return value
    if not isinstance(value, np.ndarray):
        raise TypeError(
            f"{op}: {name} is changed in place, so it must be an array, not {type(value).__name__}"
        )
    x = array(op, name, value)
    if x is not value:
        raise ValueError(
            f"{op}: {name} is changed in place, so it must be C-contiguous and of native byte order"
        )
    if not x.flags.writeable:
        raise ValueError(f"{op}: {name} is changed in place, but it is read-only")
    return x


def integer(op: str, name: str, value: Any, least: int = 0, most: int | None = None) -> int:
    """An integer within bounds, and within int64."""
    if type(value) is int and least <= value <= _LARGEST_INTEGER and most is None:
        return value
    try:
        number = int(operator.index(value))  # True is 1
    except TypeError:
        raise TypeError(f"{op}: {name}={value!r} is not an integer") from None
    if abs(number) > _LARGEST_INTEGER:
        shown = number if number.bit_length() < 200 else f"a number of {number.bit_length()} bits"
        raise ValueError(f"{op}: {name} is {shown}, but at most 2**63 - 1 is expected")
    if number < least:
        raise ValueError(f"{op}: {name}={number}, but at least {least} is expected")
    if most is not None and number > most:
        raise ValueError(f"{op}: {name}={number}, but at most {most} is expected")
    return number


def real(
    op: str,
    name: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
) -> float:
    """A finite number within bounds: least <= value <= most, value < below; fits in float32."""
    usual = type(value) is float and least <= value <= most and value < below
    if usual and abs(value) <= _LARGEST_REAL:
        return value
    try:
        if type(value) is not float and (isinstance(value, (str, bytes)) or np.ndim(value)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{op}: {name}={value!r} is not a number") from None
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{op}: {name}={number} is not finite")
    if abs(number) > _LARGEST_REAL:
        raise ValueError(f"{op}: {name}={number:g}, which is more than float32 holds")
    if not (least <= number <= most and number < below):
        bounds = [f"at least {least:g}"] if least > -math.inf else []
        bounds += [f"at most {most:g}"] if most < math.inf else []
        bounds += [f"below {below:g}"] if below < math.inf else []
        raise ValueError(
            f"{op}: {name}={number:g}, but a number {' and '.join(bounds)} is expected"
        )
    return number


def pair(op: str, name: str, value: Any, least: int = 1) -> Pair:
    """An integer, or a sequence of one, or (rows, columns), as a pair."""
    if type(value) is int and least <= value <= _LARGEST_INTEGER:
        return value, value
    if is_sequence(value):
        if len(value) not in (1, 2):
            raise ValueError(
                f"{op}: {name}={value!r} has {len(value)} entries, but one integer or two are "
                f"expected"
            )
        return integer(op, name, value[0], least), integer(op, name, value[-1], least)
    number = integer(op, name, value, least)
    return number, number


def kept_pair(op: str, name: str, value: Any, least: int = 1) -> int | Pair:
    """The same for a layer to store, in the form given: an integer or a pair."""
    rows, columns = pair(op, name, value, least)
    return (rows, columns) if is_sequence(value) else rows


def is_sequence(value: Any) -> bool:
    """Whether it has entries and is not text: a tuple, a list, an array with at least one axis."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, (tuple, Sequence)) and not isinstance(value, (str, bytes, bytearray))


def array_size(op: str, shape: tuple[int, ...], name: str = "the result") -> None:
    """A new array must be addressable; an empty one must be so along its other axes."""
    if math.prod([n or 1 for n in shape]) > _LARGEST_ARRAY:
        raise ValueError(
            f"{op}: {name} would have shape {shape}, which is more than any memory holds"
        )


def shape4d(op: str, name: str, value: Any) -> tuple[int, int, int, int]:
    """(n, c, h, w) as a tuple of integers."""
    try:
        shape = tuple(map(operator.index, value))
    except TypeError:
        raise TypeError(f"{op}: {name}={value!r} is not a shape (n, c, h, w)") from None
    if len(shape) != 4 or min(shape) < 0 or max(shape) > _LARGEST_INTEGER:
        raise ValueError(f"{op}: {name}={shape}, but four sizes (n, c, h, w) are expected")
    return shape


def not_empty_image(op: str, name: str, shape: tuple[int, ...]) -> None:
    """Images (n, c, h, w) to be pooled need a pixel; the batch may be empty."""
    if shape[2] * shape[3] == 0:
        raise ValueError(
            f"{op}: {name} is {shape}: an image without pixels has no mean and no maximum"
        )


def axis(op: str, value: Any, name: str, ndim: int) -> int:
    """An axis, counted from the front or (negative) from the back, as an index from 0."""
    number = integer(op, "axis", value, least=-_LARGEST_INTEGER)
    if not -ndim <= number < ndim:
        raise ValueError(f"{op}: axis={number}, but {name} has {ndim} dimensions")
    return number % ndim


def choice(op: str, name: str, value: Any, choices: tuple[str, ...]) -> str:
    """One of several strings."""
    if not isinstance(value, str) or value not in choices:
        expected = " or ".join(repr(word) for word in choices)
        raise ValueError(f"{op}: {name}={value!r}, but {expected} is expected")
    return value


def flag(op: str, name: str, value: Any) -> bool:
    """True or False: a number here is most often an argument in the wrong position."""
    if value is True or value is False:
        return value
    if not isinstance(value, np.bool_):
        raise TypeError(f"{op}: {name}={value!r}, but True or False is expected")
    return bool(value)


def labels(
    op: str, target: np.ndarray, classes: int, ignore_index: int | None = None
) -> np.ndarray:
    """Integer labels within 0 ... classes - 1, as contiguous and aligned int64; -1 for those that
    are equal to ignore_index."""
    numbers = target
    if not plain(target, _INT64):
        numbers = np.require(target, np.int64, ["C", "ALIGNED", "ENSUREARRAY"])
    inside = ignore_index is not None and 0 <= ignore_index < classes
    # -1 is huge as unsigned.
    if inside or (numbers.size and largest(numbers.view(np.uint64)) >= classes):
        ignored = np.zeros(numbers.shape, bool) if ignore_index is None else target == ignore_index
        wrong = ((target < 0) | (target >= classes)) & ~ignored
        if not wrong.any():
            return np.where(ignored, -1, numbers)
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        position = where[0] if len(where) == 1 else where
        raise ValueError(
            f"{op}: target[{position}] is {target[where]}, but with {classes} classes "
            f"labels from 0 to {classes - 1} are expected"
        )
    return numbers


def largest(x: np.ndarray) -> Any:
    """The largest element: x.max(), whose call takes longer than that of the ufunc itself."""
    return np.maximum.reduce(x, axis=None)
