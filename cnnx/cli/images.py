"""Files given to `predict`: pictures and arrays, as samples that a model takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnx.data import formats, load_image
from cnnx.layers import Conv2D, Layer

__all__ = ["Shape", "expected_shape", "read"]

Shape = tuple[int | None, ...]
_ARRAYS = (".npy", ".npz")


def expected_shape(model: Layer, settings: dict[str, Any]) -> Shape | None:
    """Shape of a sample that the model takes; a size of None is one that nobody wrote down.

    A run's run.json says it whole; the model by itself knows the channels of its first convolution.
    """
    if settings:
        return tuple(settings["data"]["sample_shape"])
    for layer in model.modules():
        if isinstance(layer, Conv2D):
            return (layer.in_channels, None, None)
    return None


def read(path: str, expected: Shape | None, resize: bool) -> Iterator[tuple[str, np.ndarray]]:
    """(name, sample) for each sample of a file; pixels of bytes become float32 in [0, 1]."""
    if path.lower().endswith(_ARRAYS):
        samples = _as_samples(path, _read_array(path), expected)
        for index, sample in enumerate(samples):
            yield (path if len(samples) == 1 else f"{path}[{index}]"), sample
    else:
        yield path, _read_image(path, expected, resize)


def _read_image(path: str, expected: Shape | None, resize: bool) -> np.ndarray:
    if expected is None or len(expected) != 3 or expected[0] not in (1, 3):
        raise ValueError(
            f"{path}: the model takes {_words(expected)}, and an image has 1 channel or 3: give an "
            ".npy file"
        )
    channels, height, width = expected
    if resize and (height is None or width is None):
        raise ValueError(f"{path}: --resize needs the run.json beside the model to know the size")
    wanted = None if height is None or width is None else (height, width)
    x = load_image(path, wanted if resize else None, channels)
    if wanted is not None and x.shape[1:] != wanted:
        raise ValueError(
            f"{path}: {x.shape[2]} x {x.shape[1]} pixels (width x height), but the model takes "
            f"{width} x {height}: --resize makes them fit"
        )
    return x


def _read_array(path: str) -> np.ndarray:
    import zipfile

    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.ndarray):
            with loaded:
                name = "x" if "x" in loaded.files else (loaded.files or [""])[0]
                if name != "x" and len(loaded.files) != 1:
                    names = ", ".join(loaded.files) or "nothing"
                    raise ValueError(f"expected an array x, or a single one, found {names}")
                loaded = loaded[name]
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError, RuntimeError) as error:
        raise ValueError(f"{path}: not a file of numbers, or a damaged one ({error})") from error
    array = np.asarray(loaded)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{path}: holds {array.dtype}, expected real numbers")
    return formats.to_unit(array) if array.dtype == np.uint8 else array


def _as_samples(path: str, x: np.ndarray, expected: Shape | None) -> np.ndarray:
    """x as (n, *sample); one sample may come without n, grey images without their channel axis."""
    if expected is None:
        if x.ndim < 2:
            raise ValueError(f"{path}: shape {x.shape}, expected samples (n, ...)")
        return x
    grey = len(expected) == 3 and expected[0] == 1
    if _fits(x.shape[1:], expected) and x.ndim:
        return x
    if _fits(x.shape, expected):
        return x[None]
    if grey and x.ndim == 3 and _fits(x.shape[1:], expected[1:]):
        return x[:, None]
    if grey and x.ndim == 2 and _fits(x.shape, expected[1:]):
        return x[None, None]
    raise ValueError(f"{path}: shape {x.shape}, but the model takes samples of {_words(expected)}")


def _fits(shape: tuple[int, ...], expected: Shape) -> bool:
    return len(shape) == len(expected) and all(
        want is None or have == want for have, want in zip(shape, expected, strict=True)
    )


def _words(expected: Shape | None) -> str:
    if expected is None:
        return "arrays of a shape that is not written down"
    return "(" + ", ".join("any" if size is None else str(size) for size in expected) + ")"
