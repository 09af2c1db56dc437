"""Reading text: where it is on a page, which way up it is, and what it says, by three networks.

The networks are the ONNX files in the package rapidocr, which run on cnnx: the package itself, and
what it depends on, are not used. Needs `pip install 'cnnx[onnx,images]'`, and the files:
`pip install --no-deps rapidocr`.

Without a page the program makes one. It prints the lines, and draws boxes around them with --out.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import cnnx
from cnnx.examples.text_regions import cut, reading_order, regions

__all__ = ["Line", "Reader", "main", "make_page"]

PACKAGES = ("rapidocr", "rapidocr_onnxruntime")
LEAST_SIDE = 736  # pixels: smaller pages are enlarged for detection
MOST_SIDE = 2000  # larger pages are reduced
HEIGHT = 48  # of the images of lines
TURN_WIDTH, LEAST_WIDTH = 192, 320
BATCH = 6  # lines of similar length that are read together
CERTAIN = 0.9  # probability from which a line is turned
LEAST_SCORE = 0.5  # mean probability of the characters of a line

SAMPLE = (
    "Convolutional networks read text,",
    "line by line, from left to right.",
    "Order 2718: 31 boxes, 41 EUR each.",
    "The quick brown fox jumps over the lazy dog",
)


class Line(NamedTuple):
    """A line of text: its corners (4, 2) on the page, its text, and the score, 0 to 1."""

    corners: np.ndarray
    text: str
    score: float


class Reader:
    """The three networks.

    folder  with their files; None: that of the package rapidocr, or rapidocr_onnxruntime
    """

    def __init__(self, folder: Any = None) -> None:
        folder = _models() if folder is None else Path(folder)
        paths = [_only(folder, part) for part in ("det", "cls", "rec")]
        self.detection, self.orientation, self.recognition = map(cnnx.onnx.load, paths)
        self.characters = _characters(paths[2])

    def __call__(self, page: Any) -> list[Line]:
        """The lines of a page, an image of Pillow, from top to bottom."""
        page = page.convert("RGB")
        reduced, scale = _reduced(page)
        padded, above = _padded(reduced)
        found = self.find(padded)
        images = [self.upright(cut(padded, corners)) for corners in found]
        lines = [
            Line(((corners - (0, above)) * scale).clip(0, page.size), text, score)
            for corners, (text, score) in zip(found, self.read(images), strict=True)
        ]
        return [line for line in lines if line.score >= LEAST_SCORE]

    def find(self, page: Any) -> list[np.ndarray]:
        """The corners of the lines, in reading order."""
        ratio = max(1.0, LEAST_SIDE / min(page.size))
        size = [max(32, round(int(n * ratio) / 32) * 32) for n in page.size]
        probability = _run(self.detection, _pixels(_resized(page, *size))[None])[0, 0]
        return reading_order(regions(probability, page.size))

    def upright(self, image: Any) -> Any:
        """The image of a line, turned by 180 degrees if it is upside down."""
        _, down = _run(self.orientation, _strip(image, TURN_WIDTH)[None])[0]
        return image.rotate(180) if down > CERTAIN else image

    def read(self, images: Sequence[Any]) -> list[tuple[str, float]]:
        """Text and score of the images of lines."""
        ratios = [image.width / image.height for image in images]
        order = np.argsort(ratios)
        found: list[tuple[str, float]] = [("", 0.0)] * len(images)
        for start in range(0, len(images), BATCH):
            numbers = order[start : start + BATCH]
            width = int(HEIGHT * max(LEAST_WIDTH / HEIGHT, *[ratios[i] for i in numbers]))
            x = np.stack([_strip(images[i], width) for i in numbers])
            for i, probabilities in zip(numbers, _run(self.recognition, x), strict=True):
                found[i] = self.decoded(probabilities)
        return found

    def decoded(self, probabilities: np.ndarray) -> tuple[str, float]:
        """The text of probabilities (steps, characters): the likeliest character of each step, of
        equal ones in a row the first, without the blank, which is number 0 (Graves et al., 2006).
        """
        best = probabilities.argmax(1)
        kept = (best != 0) & np.concatenate([[True], best[1:] != best[:-1]])
        if not kept.any():
            return "", 0.0
        text = "".join(self.characters[i] for i in best[kept])
        return text, float(probabilities.max(1)[kept].mean())


def make_page(lines: Sequence[str] = SAMPLE, size: int = 28) -> Any:
    """A white page with black lines of text, in the font that Pillow has.

    Example: ``make_page(["Hello"]).save("page.png")``
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    width = math.ceil(max(font.getlength(line) for line in lines)) + 2 * size
    page = Image.new("RGB", (width, 2 * size * (len(lines) + 1)), "white")
    for number, line in enumerate(lines):
        ImageDraw.Draw(page).text((size, size * (2 * number + 1)), line, "black", font)
    return page


def main(words: Sequence[str] | None = None) -> list[Line]:
    """Read a page, print and return its lines. words: the command line."""
    parser = argparse.ArgumentParser(
        "python -m cnnx.examples.read_text",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("page", nargs="?", help="an image (default: a page with four lines)")
    parser.add_argument("--models", metavar="DIR", help="directory with the three .onnx files")
    parser.add_argument("--out", metavar="FILE", help="write the page with boxes (.png, .jpg)")
    args = parser.parse_args(words)
    from PIL import Image, ImageDraw

    try:
        page = make_page() if args.page is None else Image.open(args.page).convert("RGB")
        lines = Reader(args.models)(page)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    for line in lines:
        print(f"{line.score:.3f}  {line.text}")
    if args.out is not None:
        for line in lines:
            ImageDraw.Draw(page).polygon([tuple(corner) for corner in line.corners], outline="red")
        page.save(args.out)
        print(f"the boxes are in {args.out}")
    return lines


# -- images as inputs ------------------------------------------------------------------------------


def _reduced(page: Any) -> tuple[Any, np.ndarray]:
    """The page, if it is large in a smaller size; and the scale along x and y back to it."""
    ratio = MOST_SIDE / max(page.size)
    size = page.size
    if ratio < 1:
        size = tuple([max(32, round(int(n * ratio) / 32) * 32) for n in size])
    return _resized(page, *size), np.array(page.size) / size


def _padded(page: Any) -> tuple[Any, int]:
    """A flat page with black above and below, and how many rows that is on each side."""
    from PIL import Image

    width, height = page.size
    if height > 30 and width <= 8 * height:
        return page, 0
    rows = abs(2 * max(width // 8, 30) - height) // 2
    padded = Image.new("RGB", (width, height + 2 * rows))
    padded.paste(page, (0, rows))
    return padded, rows


def _resized(image: Any, width: int, height: int) -> Any:
    """Bilinear between the nearest four pixels, also where an image shrinks: as the networks saw
    images in training.
    """
    from PIL import Image

    if image.size == (width, height):
        return image
    across, down = image.width / width, image.height / height
    numbers = (across, 0, 0, 0, down, 0)
    linear = Image.Resampling.BILINEAR
    return image.transform((width, height), Image.Transform.AFFINE, numbers, linear)


def _pixels(image: Any) -> np.ndarray:
    """(3, h, w) from -1 to 1: blue, green and red."""
    pixels = np.asarray(image, np.float32)[..., ::-1].transpose(2, 0, 1)
    return np.ascontiguousarray((pixels / 255 - 0.5) / 0.5, np.float32)


def _strip(image: Any, width: int) -> np.ndarray:
    """(3, HEIGHT, width): the image of a line with zeros after it."""
    used = min(width, math.ceil(HEIGHT * image.width / image.height))
    strip = np.zeros((3, HEIGHT, width), np.float32)
    strip[:, :, :used] = _pixels(_resized(image, used, HEIGHT))
    return strip


def _run(network: Any, x: np.ndarray) -> np.ndarray:
    with cnnx.no_grad():
        return np.asarray(network(x))


# -- files -----------------------------------------------------------------------------------------


def _models() -> Path:
    """The folder with the files in an installed package, which is not imported."""
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            if (Path(place) / "models").is_dir():
                return Path(place) / "models"
    raise ValueError(
        "no package has the networks: pip install --no-deps rapidocr, or pass --models"
    )


def _only(folder: Path, part: str) -> Path:
    found = sorted(folder.glob(f"*_{part}_*.onnx"))
    if not found:
        raise ValueError(f"{str(folder)!r} has no file *_{part}_*.onnx")
    return found[-1]


def _characters(path: Path) -> list[str]:
    """The characters that a network for recognition tells apart, by number."""
    import onnx

    for entry in onnx.load(path, load_external_data=False).metadata_props:
        if entry.key == "character":
            return ["", *entry.value.splitlines(), " "]
    raise ValueError(f"{str(path)!r} does not name its characters")


if __name__ == "__main__":
    main()
