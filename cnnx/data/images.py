"""Image files: `load_image`, which all of cnnx uses to read them."""

# Design:
# Files are untrusted until they are decoded. Only regular files are opened (a pipe may never
# answer), the number of pixels is read from the header before memory is allocated, and any
# exception that Pillow raises on damaged content becomes one ValueError that begins with the path.
# Decoded pixels are converted to one of five modes: grey or colour, each with or without alpha, and
# floats for 16-bit grey. They are scaled in that mode, in 8 bits, so that a large photo takes no
# more memory than its own pixels (Pillow weights colours by alpha when scaling); JPEG is decoded at
# reduced size. Compositing onto the background, rotating and inverting come last, on the small
# image.

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .limits import check_regular, integer

if TYPE_CHECKING:
    from PIL.Image import Image

    from cnnx.typing import Colour

__all__ = [
    "SUFFIXES",
    "Look",
    "behind",
    "load_image",
    "read_header",
    "read_image",
    "uniform",
]

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_MAX_PIXELS = 89_478_485  # a quarter of a gigabyte of RGB, where Pillow begins to warn too
_GREY = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N", "I")
_COLOUR = ("RGB", "RGBA", "RGBa", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV")
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow converts colour to grey


class Look(NamedTuple):
    """How images are read: the checked arguments of `load_image`."""

    size: tuple[int, int] | None  # height, width
    channels: int | None
    background: tuple[float, float, float]
    invert: bool

    @classmethod
    def of(cls, op: str, size: Any, channels: Any, background: Any, invert: Any) -> Look:
        """Check the arguments of the function `op`."""
        if channels is not None and integer(op, "channels", channels, 1) not in (1, 3):
            raise ValueError(f"{op}: channels is {channels}, expected 1 (grey) or 3 (colour)")
        if not isinstance(invert, (bool, np.bool_)):
            raise TypeError(f"{op}: invert must be True or False, got {invert!r}")
        _pillow()  # reports a missing Pillow before any work
        return cls(_size(op, size), channels, _background(op, background), bool(invert))


class Header(NamedTuple):
    """What the header of an image says: its size after rotation, its channels, and its depth."""

    size: tuple[int, int]  # height, width
    channels: int
    deep: bool  # whether its numbers are not just 8-bit ones: 16 bits, or drawn on a background


def load_image(
    path: str | os.PathLike[str],
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    *,
    background: Colour | None = None,
    invert: bool = False,
) -> np.ndarray:
    """An image file as numbers from 0 (black) to 1 (white).

    path        PNG, JPEG, BMP, GIF or TIFF (their first picture), WebP or PPM
    size        (height, width), or one number for both: scale to exactly this size, with bilinear
                interpolation, antialiased when shrinking; None: keep the size
    channels    1 for grey, 3 for red, green and blue; None: 1 if the file is grey, else 3
    background  colour behind transparent pixels: a name or a code ("black", "#808080"), or one or
                three numbers from 0 to 1; None: white
    invert      return 1 - x: black on white becomes white on black

    returns     (channels, height, width) float32

    The image is rotated according to its EXIF orientation. 8-bit pixels are divided by 255, 16-bit
    ones by 65535. A UserWarning names an image that has one colour only, because its content may
    have the colour of `background`.

    Raises ValueError naming the file if it is damaged, not an image, or has more than 89 million
    pixels; ImportError without Pillow (``pip install 'cnnx[images]'``).

    Example: ``x = load_image("seven.png", size=28, channels=1, invert=True)[None]``
    """
    look = Look.of("load_image", size, channels, background, invert)
    file = os.path.expanduser(os.fsdecode(path))
    x = read_image(file, look)
    if uniform(x):
        warnings.warn(
            f"{file}: every pixel is {_colour_words(x[:, 0, 0])}{behind(x, look)}", stacklevel=2
        )
    return x


def uniform(x: np.ndarray) -> bool:
    """Whether an image (c, h, w) has several pixels, all of the same colour."""
    return x[0].size > 1 and bool((x == x[:, :1, :1]).all())


def behind(x: np.ndarray, look: Look) -> str:
    """Remark about a uniform image: that it shows the background, if it has that colour."""
    background = _seen(look.background, len(x))
    if not np.allclose(1 - x[:, 0, 0] if look.invert else x[:, 0, 0], background, atol=1 / 255):
        return ""
    return (
        f"; transparent pixels are drawn on {_colour_words(look.background)}: "
        "background= (on the command line --background) sets another colour"
    )


def _colour_words(levels: Any) -> str:
    """0.5, or (0.2, 0.4, 0.8)."""
    numbers = [f"{float(level):.4g}" for level in levels]
    return numbers[0] if len(set(numbers)) == 1 else f"({', '.join(numbers)})"


def _seen(colour: tuple[float, float, float], channels: int) -> np.ndarray:
    """Red, green and blue as three channels or one."""
    return np.array([np.dot(_LUMA, colour)] if channels == 1 else colour, np.float32)


def read_header(file: str) -> Header:
    """Size, channels and depth of an image, without reading its pixels."""
    with _opened(file) as image:
        width, height = image.size
        if _turn(image) >= 5:
            width, height = height, width
        deep = image.mode.startswith("I") or _is_clear(image)
        return Header((height, width), _channels(file, image), deep)


def read_image(file: str, look: Look) -> np.ndarray:
    """`load_image` without the warning."""
    with _opened(file) as image:
        channels = look.channels or _channels(file, image)
        background = _seen(look.background, channels)
        with _damage(file, "damaged or truncated image"):
            turn = _turn(image)
            if look.size is None:
                pixels = _pixels(image, channels, background, None)
            else:
                size = look.size if turn >= 5 else look.size[::-1]
                image.draft(None, (2 * size[0], 2 * size[1]))  # affects JPEG only
                pixels = _pixels(image, channels, background, size)
    x = np.ascontiguousarray(_turned(pixels, turn))
    return np.subtract(1, x, out=x) if look.invert else x


# Arguments


def _size(op: str, size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(pair) != 2:
        raise ValueError(f"{op}: size is {size!r}, expected a number or (height, width)")
    height, width = (integer(op, "size", value, 1) for value in pair)
    if height * width > _MAX_PIXELS:
        raise ValueError(f"{op}: size is {size!r}, expected at most {_MAX_PIXELS:,} pixels")
    return height, width


def _background(op: str, value: Any) -> tuple[float, float, float]:
    """Red, green and blue from 0 to 1."""
    wrong = ValueError(
        f"{op}: background is {value!r}, expected a name as 'white', a code as '#808080', or one "
        f"number or three from 0 (black) to 1 (white)"
    )
    if value is None:
        return 1.0, 1.0, 1.0
    if isinstance(value, str):
        from PIL import ImageColor

        try:
            levels = np.array(ImageColor.getrgb(value)) / 255
        except ValueError:
            raise wrong from None
    else:
        try:
            levels = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            raise wrong from None
    if levels.shape not in ((), (3,)) or not ((levels >= 0) & (levels <= 1)).all():
        raise wrong
    red, green, blue = np.broadcast_to(levels, 3).tolist()
    return red, green, blue


# Pillow


def _pillow() -> Any:
    """Pillow's module Image."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("images are read with Pillow: pip install 'cnnx[images]'") from error
    return Image


@contextmanager
def _damage(file: str, what: str) -> Iterator[None]:
    """Context that turns anything Pillow raises on unexpected bytes into one ValueError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata, and about a size that is checked here
            yield
    except Exception as error:
        # Errors of the disk have an errno; Pillow's own OSErrors about content have none.
        if isinstance(error, MemoryError) or getattr(error, "errno", None) is not None:
            raise
        reason = str(error).partition(" <_io")[0].removesuffix(f" {file!r}")
        raise ValueError(f"{file}: {what} ({reason or type(error).__name__})") from error


@contextmanager
def _opened(file: str) -> Iterator[Image]:
    """The image with its header read and its size checked."""
    opener = _pillow().open
    check_regular(file, "an image")
    with open(file, "rb") as content:
        with _damage(file, f"not an image ({', '.join(_FORMATS)}), or a damaged one"):
            image = opener(content, formats=_FORMATS)
        with image:
            width, height = image.size
            if width * height > _MAX_PIXELS:
                raise ValueError(
                    f"{file}: its header claims {width} x {height} = {width * height:,} pixels "
                    f"(width x height), expected at most {_MAX_PIXELS:,}: scale it down"
                )
            yield image


def _channels(file: str, image: Image) -> int:
    """1 or 3; modes without a known range from black to white are rejected."""
    deep = image.mode == "I" and image.format not in ("PNG", "PPM")  # in those, it means 16 bits
    if image.mode in _GREY and not deep:
        return 1
    if image.mode in _COLOUR:
        return 3
    raise ValueError(
        f"{file}: pixels of mode {image.mode}, expected 8 or 16 bits of grey, or colour: no range "
        f"is known for them; read them as numbers, and scale those to 0..1"
    )


def _turn(image: Image) -> int:
    """The EXIF orientation, 1 (upright) to 8; damaged metadata does not make an image invalid."""
    if image.format == "TIFF":  # Pillow rotates these itself, and returns the rotated size
        return 1
    try:
        # The method of the base class: that of PNG would decode all pixels first.
        turn = _pillow().Image.getexif(image).get(0x0112, 1)
    except Exception:
        return 1
    return turn if turn in range(1, 9) else 1


def _turned(x: np.ndarray, turn: int) -> np.ndarray:
    """x (c, h, w) in upright orientation: 5 to 8 exchange height and width."""
    if turn >= 5:
        x = x.transpose(0, 2, 1)
    return x[:, :: -1 if turn in (3, 4, 7, 8) else 1, :: -1 if turn in (2, 3, 6, 7) else 1]


def _pixels(
    image: Image, channels: int, background: np.ndarray, size: tuple[int, int] | None
) -> np.ndarray:
    """(channels, h, w) float32: as stored, scaled to size (width, height), on the background."""
    if image.mode.startswith("I"):
        return _deep_pixels(image, channels, background, size)
    clear = _is_clear(image)
    if image.mode not in ("1", "L", "LA", "RGB", "RGBA"):
        # Pillow converts a palette with transparency, CMYK and others to grey via these modes.
        image = image.convert("RGBA" if clear else "RGB")
    mode = ("L" if channels == 1 else "RGB") + ("A" if clear else "")
    if image.mode != mode:  # convert() would copy otherwise
        image = image.convert(mode)
    if size is not None and image.size != size:
        image = image.resize(size, _pillow().Resampling.BILINEAR)
    stored = np.asarray(image)
    stored = stored.reshape(*stored.shape[:2], -1).transpose(2, 0, 1)
    x = np.divide(stored[:channels], np.float32(255), dtype=np.float32)
    if clear:
        alpha = np.divide(stored[channels], np.float32(255), dtype=np.float32)
        x *= alpha
        x += background[:, None, None] * (1 - alpha)
    return x


def _is_clear(image: Image) -> bool:
    """Whether pixels may be transparent."""
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info


def _deep_pixels(
    image: Image, channels: int, background: np.ndarray, size: tuple[int, int] | None
) -> np.ndarray:
    """`_pixels` for 16-bit grey, in which one value may be transparent."""
    stored = np.asarray(image)
    x = np.divide(stored, np.float32(65535), dtype=np.float32)
    planes = np.repeat(x[None], channels, axis=0)
    key = image.info.get("transparency")
    if isinstance(key, int):
        planes[:, stored == key] = background[:, None]
    if size is None or size == image.size:
        return planes
    module = _pillow()
    scaled = [module.fromarray(p).resize(size, module.Resampling.BILINEAR) for p in planes]
    return np.clip([np.asarray(plane) for plane in scaled], 0, 1)
