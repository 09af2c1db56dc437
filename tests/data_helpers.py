"""Helpers for tests of data sets."""

from __future__ import annotations

import gzip

import numpy as np

from cnnx.data import Dataset, image_folder

IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def numbered(n=10, classes=2):
    """Samples that contain their own index."""
    return Dataset(np.arange(n * 4, dtype=np.float32).reshape(n, 1, 2, 2), np.arange(n) % classes)


def decoded_files(monkeypatch):
    """The image files that are decoded from here on, in order."""
    files = []

    def counting(file, look):
        files.append(file)
        return original(file, look)

    original = image_folder.read_image
    monkeypatch.setattr(image_folder, "read_image", counting)
    return files


def idx(array, code=8):
    header = bytes((0, 0, code, array.ndim))
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def idx_arrays(train=5, test=3):
    rng = np.random.default_rng(0)
    return [
        part
        for n in (train, test)
        for part in (rng.integers(0, 256, (n, 28, 28), np.uint8), rng.integers(0, 10, n, np.uint8))
    ]


def write_idx(folder, suffix=".gz", arrays=None):
    folder.mkdir(parents=True, exist_ok=True)
    arrays = arrays or idx_arrays()
    for name, array in zip(IDX_NAMES, arrays, strict=True):
        content = idx(array)
        (folder / (name + suffix)).write_bytes(gzip.compress(content) if suffix else content)
    return arrays
