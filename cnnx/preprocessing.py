"""`Preprocessing`: converts samples to a model's input; stored with the model.

A model trained on pixels 0 to 1 gives wrong answers, without an error, for pixels 0 to 255. A model
therefore records the form of its training data: `model.preprocessing`, saved in its file.

Example:
    model.preprocessing = cnnx.Preprocessing.from_data(train)
    model.save("digits.npz")
    model = cnnx.load("digits.npz")
    cnnx.predict_labels(model, model.preprocessing(images))
"""

# Design:
# Samples come in three kinds: image files, arrays that a loader of cnnx.data scaled to [0, 1], and
# the user's arrays, in the units of the training data. Each kind has an entry point (`read`,
# `from_unit`, the call), which converts to [0, 1]; inversion and standardisation follow. If the
# training data had no known scale, there is no common unit: arrays are used unchanged, and the
# other entry points raise an error.
# A file with a preprocessing is untrusted: `from_json` accepts only what the constructor accepts.

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnx import checks

__all__ = ["Preprocessing"]

_LAYOUTS = ("channels_first", "channels_last")
_UNIT = (0.0, 1.0)
_SLACK = 0.5  # of the range: how far numbers may exceed it (resampling overshoots)
_FAR = 6.0  # standard deviations from the usual brightness
_LEAST_SPREAD = 0.04  # minimum standard deviation of brightness, for data sets of very even images


@dataclass(frozen=True)
class Preprocessing:
    """Converts samples to the input of a model.

    input_shape  shape of a sample as the model expects it: (channels, height, width), where None
                 for height or width means any, or (features,)
    classes      names of the model's outputs; may be empty
    value_range  (low, high): values that mean black and white in arrays of images, mapped to 0 and
                 1. None: the scale is unknown, and values are used unchanged
    mean, std    one number per channel, or None: (x - mean) / std as the last step
    layout       of arrays of images: "channels_first" (n, c, h, w) or "channels_last" (n, h, w, c)
    resize       whether image files of another size are scaled to that of input_shape
    background   colour behind transparent pixels of image files, as in `cnnx.data.load_image`
    invert       whether images are inverted: 1 - x
    brightness   mean and standard deviation of the mean values of training images, by which
                 `looks_unusual` distinguishes a negative from a positive

    Values are checked: TypeError and ValueError name what is wrong. Use `dataclasses.replace` to
    make a modified copy.

    Example: ``Preprocessing((3, 32, 32), classes=("cat", "dog"), layout="channels_last")``
    """

    input_shape: tuple[int | None, ...]
    classes: tuple[str, ...] = ()
    value_range: tuple[float, float] | None = _UNIT
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    layout: str = "channels_first"
    resize: bool = False
    background: str | float | tuple[float, ...] | None = None
    invert: bool = False
    brightness: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("input_shape", _shape(self.input_shape))
        put("classes", _names(self.classes))
        if self.value_range is not None:
            put("value_range", _numbers("value_range", self.value_range, 2))
            if self.value_range[0] >= self.value_range[1]:
                raise ValueError(
                    f"Preprocessing: value_range is {self.value_range}, expected (low, high)"
                )
        if (self.mean is None) != (self.std is None):
            raise ValueError("Preprocessing: give both mean and std, or neither")
        if self.mean is not None:
            put("mean", _numbers("mean", self.mean, self.input_shape[0]))
            put("std", _numbers("std", self.std, self.input_shape[0]))
            if min(self.std or (1,)) <= 0:
                raise ValueError(f"Preprocessing: std is {self.std}, expected numbers above 0")
        if self.layout not in _LAYOUTS:
            raise ValueError(
                f"Preprocessing: layout is {self.layout!r}, expected {' or '.join(_LAYOUTS)}"
            )
        for name in ("resize", "invert"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise TypeError(f"Preprocessing: {name} must be True or False")
            put(name, bool(getattr(self, name)))
        if self.resize and None in self.input_shape:
            shape = _words(self.input_shape)
            raise ValueError(f"Preprocessing: resize needs a fixed size, input_shape is {shape}")
        if self.background is not None and not isinstance(self.background, str):
            levels = np.ravel(self.background).tolist()  # one number, or three
            levels = _numbers("background", levels, 3 if len(levels) == 3 else 1)
            put("background", levels if len(levels) == 3 else levels[0])
        if self.brightness is not None:
            put("brightness", _numbers("brightness", self.brightness, 2))

    @classmethod
    def from_data(cls, data: Any, **settings: Any) -> Preprocessing:
        """Derived from a training set: shape, range, brightness and classes of its samples.

        data      Dataset or (x, y) pair, before any scaling; images are (n, c, h, w), or
                  (n, h, w, c) with ``layout="channels_last"``
        settings  fields to set explicitly

        Images within [0, 1], and of uint8, have the usual range of images. Integers from 0 have the
        range (0, 255) if their maximum is between 128 and 255, and otherwise their maximum is
        white; so do fractions up to 255. Numbers from -1 to 1 have that range. Others have none.

        Example: ``Preprocessing.from_data(train).value_range``
        """
        from cnnx.data import as_dataset

        samples = as_dataset(data)
        x = samples.x
        if settings.get("layout") == "channels_last" and x.ndim == 4:
            x = x.transpose(0, 3, 1, 2)
        if len(x) == 0:
            raise ValueError("Preprocessing.from_data: data has 0 samples, expected at least one")
        found = cls(
            **{
                "input_shape": x.shape[1:] if x.ndim > 1 else (1,),
                "classes": samples.classes,
                "value_range": _range_of(x),
                **settings,
            }
        )
        if "brightness" in settings or x.ndim != 4:
            return found
        plain = dataclasses.replace(found, layout=_LAYOUTS[0], mean=None, std=None)
        means = plain(x).mean(axis=(1, 2, 3), dtype=np.float64)
        if not np.isfinite(means).all():
            return found
        return dataclasses.replace(found, brightness=(float(means.mean()), float(means.std())))

    # -- the three entry points ----------------------------------------------------------------

    def __call__(self, images: Any, name: str = "preprocessing") -> np.ndarray:
        """Samples (n, *input_shape) of an array in the units of the training data.

        images  numbers (n, ...) in `layout`, or one sample; images of one channel may lack the
                channel axis. If value_range is (0, 1), integers up to 255 are accepted too, as
                8-bit pixels
        name    how the user calls them, for error messages

        returns float32, or float64 of float64; an array that needs no change is not copied

        ValueError for another shape, NaN in images, and numbers that cannot be in that range.

        Example: ``y = model(model.preprocessing(images))``
        """
        if checks.is_masked(images):
            raise TypeError(f"{name}: a masked array is not supported: fill it first")
        x = self._as_samples(np.asarray(images), name)
        return self._finish(self._to_unit(x, name))

    def from_unit(self, images: np.ndarray, name: str = "preprocessing") -> np.ndarray:
        """Samples from images in [0, 1], (n, c, h, w), as returned by the loaders of `cnnx.data`.

        Example: ``y = model(model.preprocessing.from_unit(cnnx.data.load_folder("new").x))``
        """
        x = dataclasses.replace(self, layout=_LAYOUTS[0])._as_samples(images, name)
        if self.value_range is None and x.ndim == 4:
            raise ValueError(f"{name}: {self._no_scale()}")
        return self._finish(_as_float(x))

    def read(self, path: str | os.PathLike[str]) -> np.ndarray:
        """The sample (c, h, w) of an image file, read by `cnnx.data.load_image`.

        ValueError that names the file for another size without `resize`, and for models whose input
        is not an image or has an unknown scale.

        Example: ``y = model(model.preprocessing.read("seven.png")[None])``
        """
        if len(self.input_shape) != 3 or self.input_shape[0] not in (1, 3):
            raise ValueError(
                f"{os.fspath(path)}: the model takes {_words(self.input_shape)}, but an image has "
                "1 or 3 channels: use an .npy file"
            )
        if self.value_range is None:
            raise ValueError(f"{os.fspath(path)}: {self._no_scale()}")
        from cnnx.data import load_image

        channels, height, width = self.input_shape
        size = (height, width) if self.resize else None
        # With resize, no size is None: the constructor refuses it.
        x = load_image(path, size, channels, background=self.background)  # type: ignore[arg-type]
        if not _fits(x.shape, self.input_shape):
            raise ValueError(
                f"{os.fspath(path)}: {x.shape[2]} x {x.shape[1]} pixels (width x height), but the "
                f"model takes {width} x {height}: resize (--resize) makes them fit"
            )
        return self._finish(x[None])[0]

    def looks_unusual(self, x: np.ndarray) -> np.ndarray:
        """Which of the converted samples x (n, ...) are much brighter or darker than usual.

        returns  (n,) bool: a mean more than 6 standard deviations from that of training images
        """
        return self._far(x) if self.brightness and x.ndim == 4 else np.zeros(len(x), bool)

    def looks_inverted(self, x: np.ndarray) -> np.ndarray:
        """Which of the samples x look unusual while their negatives do not. (n,) bool."""
        unusual = self.looks_unusual(x)
        return unusual & ~self._far(x, negative=True) if unusual.any() else unusual

    def _far(self, x: np.ndarray, negative: bool = False) -> np.ndarray:
        mean, spread = self.brightness or (0.5, 1.0)
        means = 1 - self._means(x) if negative else self._means(x)
        return np.abs(means - mean) > _FAR * max(spread, _LEAST_SPREAD)

    # -- files ---------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """A JSON-compatible dict, for `from_json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Preprocessing:
        """The inverse of `to_json`; ValueError for anything else."""
        fields = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(value, dict) or not {"input_shape"} <= set(value) <= fields:
            raise ValueError("preprocessing is damaged: not what `Preprocessing.to_json` gives")
        try:
            return cls(**value)
        except (TypeError, OverflowError) as error:
            raise ValueError(f"preprocessing is damaged: {error}") from error

    # -- steps ---------------------------------------------------------------------------------

    def _as_samples(self, x: np.ndarray, name: str) -> np.ndarray:
        """x as (n, *input_shape), a view."""
        if x.dtype.kind not in "biuf":
            raise TypeError(f"{name}: holds {x.dtype}, expected real numbers")
        shape = self.input_shape
        channels_last = (
            len(shape) == 3 and x.ndim in (3, 4) and _fits(x.shape[-3:], (*shape[1:], shape[0]))
        )
        if channels_last and self.layout == "channels_last":
            x = np.moveaxis(x, -1, -3)
        grey = len(shape) == 3 and shape[0] == 1
        if x.ndim and _fits(x.shape[1:], shape):
            return x
        if _fits(x.shape, shape):
            return x[None]
        if grey and x.ndim == 3 and _fits(x.shape[1:], shape[1:]):
            return x[:, None]
        if grey and x.ndim == 2 and _fits(x.shape, shape[1:]):
            return x[None, None]
        hint = ""
        if channels_last and self.layout == "channels_first":
            hint = ': with layout="channels_last" (--layout) they are'
        raise ValueError(
            f"{name}: shape {x.shape}, but the model takes samples of {_words(shape)}{hint}"
        )

    def _to_unit(self, x: np.ndarray, name: str) -> np.ndarray:
        """The user's numbers as floats; images with a known range are scaled to [0, 1]."""
        bytes_ = x.dtype == np.uint8 and self.value_range == _UNIT
        if x.ndim != 4 or x.size == 0:
            return _divided(x, 0, 255) if bytes_ else _as_float(x)
        if self.value_range is None:
            if x.dtype == np.uint8:
                raise ValueError(f"{name}: {self._no_scale('pixels of 8 bits are')}")
            return _as_float(x)
        if bytes_:
            return _divided(x, 0, 255)
        (low, high), least, most = self.value_range, float(x.min()), float(x.max())
        if self.value_range == _UNIT and x.dtype.kind in "iu" and least >= 0 and 1 < most <= 255:
            return _divided(x, 0, 255)
        slack = _SLACK * (high - low)
        inside = low - slack <= least and most <= high + slack
        scaled = high > 2 and x.dtype.kind == "f" and low <= least and most <= 1 and not _whole(x)
        if scaled or not inside:
            raise ValueError(
                f"{name}: {'fractions' if scaled else 'numbers'} from {least:g} to {most:g}, but "
                f"the model was trained on images from {low:g} (black) to {high:g} (white): scale "
                "them to that"
            )
        return _as_float(x) if self.value_range == _UNIT else _divided(x, low, high)

    def _finish(self, x: np.ndarray) -> np.ndarray:
        if self.invert:
            x = np.subtract(1, x, dtype=x.dtype)
        if self.mean is None or self.std is None:
            return x
        along = (-1, *(1,) * (x.ndim - 2))
        mean, std = (np.reshape(v, along).astype(x.dtype) for v in (self.mean, self.std))
        return (x - mean) / std

    def _means(self, x: np.ndarray) -> np.ndarray:
        """The mean of each sample before standardisation."""
        means = x.mean(axis=(2, 3), dtype=np.float64)
        if self.mean is not None and self.std is not None:
            means = means * self.std + self.mean
        return means.mean(axis=1)

    def _no_scale(self, what: str = "an image file is") -> str:
        return (
            f"{what} on a scale from black to white, but the model was trained on numbers whose "
            "scale is not known: give an .npy file of numbers made as those were, or train on "
            "pixels, or set value_range in model.preprocessing"
        )


def _shape(value: Any) -> tuple[int | None, ...]:
    sizes = tuple(value) if isinstance(value, (list, tuple)) else ()
    if not 1 <= len(sizes) <= 8 or sizes[0] is None:
        raise ValueError(
            f"Preprocessing: input_shape is {value!r:.100}, expected (channels, height, width) or "
            "(features,)"
        )
    return tuple(
        None if n is None else checks.integer("Preprocessing", "input_shape", n, 1, 1 << 40)
        for n in sizes
    )


def _names(value: Any) -> tuple[str, ...]:
    names = tuple(value) if isinstance(value, (list, tuple, np.ndarray)) else (value,)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"Preprocessing: classes is {value!r:.100}, expected a tuple of names")
    return tuple(map(str, names))


def _numbers(name: str, value: Any, count: int | None) -> Any:
    """A tuple of this many finite numbers."""
    numbers = tuple(value) if isinstance(value, (list, tuple, np.ndarray)) else (value,)
    if len(numbers) != count:
        raise ValueError(f"Preprocessing: {name} has {len(numbers)} numbers, expected {count}")
    return tuple(checks.real("Preprocessing", name, number) for number in numbers)


def _range_of(x: np.ndarray) -> tuple[float, float] | None:
    """The value range that the numbers of training images, or of vectors, imply."""
    if x.size == 0 or x.dtype == np.uint8:
        return _UNIT
    least, most = float(x.min()), float(x.max())
    if least >= 0 and most <= 1:
        return _UNIT
    if x.ndim != 4 or not (math.isfinite(least) and math.isfinite(most)):
        return None
    if least >= 0 and 127 < most <= 255:
        return (0.0, 255.0)
    if least >= 0 and _whole(x):
        return (0.0, 65535.0 if 32767 < most <= 65535 else most)
    return (-1.0, 1.0) if -1 <= least < -0.5 and 0.5 < most <= 1 else None


def _whole(x: np.ndarray) -> bool:
    return x.dtype.kind in "biu" or bool((np.floor(x) == x).all())


def _as_float(x: np.ndarray) -> np.ndarray:
    return x if x.dtype == np.float64 else x.astype(np.float32, copy=False)


def _divided(x: np.ndarray, low: float, high: float) -> np.ndarray:
    dtype = np.float64 if x.dtype == np.float64 else np.float32
    if low:
        x = np.subtract(x, dtype(low), dtype=dtype)
    return np.divide(x, dtype(high - low), dtype=dtype)


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(
        want is None or have == want for have, want in zip(shape, expected, strict=True)
    )


def _words(shape: tuple[int | None, ...]) -> str:
    sizes = ", ".join("any" if size is None else str(size) for size in shape)
    return f"({sizes},)" if len(shape) == 1 else f"({sizes})"
