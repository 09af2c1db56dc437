"""Labels outside the range of classes, and arrays larger than memory: rejected before any work."""

from __future__ import annotations

import time

import numpy as np
import pytest

from cnnx import data
from cnnx.data import Dataset, one_hot, select_classes


def test_select_classes_takes_labels_of_any_size():
    labels = np.array([10**12, 5, 10**12, 7])
    some = select_classes(Dataset(np.arange(4.0)[:, None], labels), [7, 10**12])
    assert some.y.tolist() == [1, 1, 0] and some.x.ravel().tolist() == [0, 2, 3]
    assert some.classes == ("7", "1000000000000")


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 10**12], None, r"labels go up to 1000000000000, .* pass their number as classes="),
        (np.array([2**64 - 1], np.uint64), None, r"labels"),
        ([0, 1], 2**62, r"y \(2, 4611686018427387904\) takes .* GB as float32, more than half"),
        ([0, 1], 2**200, r"classes must be less than 2\*\*63"),
    ],
)
def test_one_hot_rows_beyond_memory_are_rejected(labels, classes, message):
    with pytest.raises(ValueError, match=f"^one_hot: {message}"):
        one_hot(labels, classes)


@pytest.mark.parametrize("name", ["spiral", "circle", "line", "zone", "zone_3d", "polynomial"])
def test_points_beyond_memory_are_rejected(name):
    start = time.process_time()
    with pytest.raises(ValueError, match=rf"^make_{name}: x \(.*\) takes .* GB.*: draw fewer"):
        getattr(data, f"make_{name}")(points=2**62)
    if name != "polynomial":
        with pytest.raises(ValueError, match=rf"^make_{name}: x \(.*\) takes .* GB"):
            getattr(data, f"make_{name}")(classes=2**50)
    assert time.process_time() - start < 1
