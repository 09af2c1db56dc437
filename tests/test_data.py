"""`Dataset`, and the digits bundled with the package."""

from __future__ import annotations

import copy
import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from data_helpers import numbered

import cnnx.data
from cnnx.data import (
    Dataset,
    as_dataset,
    load_digits,
)

# Dataset


def test_a_dataset_has_a_length_and_unpacks_into_x_and_y():
    data = numbered(6)
    x, y = data
    assert len(data) == 6 and x is data.x and y is data.y


def test_slices_indices_and_masks_of_a_dataset_are_datasets():
    data = Dataset(np.arange(6.0), np.arange(6), classes="abcdef")
    mask = np.array([1, 0, 0, 1, 0, 0], bool)
    for index, expected in [
        (slice(1, 3), [1, 2]),
        ([5, 0, 0], [5, 0, 0]),
        (np.array([-1, 2]), [5, 2]),
        (mask, [0, 3]),
        (mask.tolist(), [0, 3]),
        ([], []),
        (slice(None, None, -2), [5, 3, 1]),
    ]:
        part = data[index]
        assert isinstance(part, Dataset)
        assert part.x.tolist() == expected and part.y.tolist() == expected
        assert part.classes == tuple("abcdef")


def test_one_integer_gives_one_sample_and_its_label():
    x, y = numbered(6)[3]
    assert x.tolist() == [[[12.0, 13.0], [14.0, 15.0]]] and y == 1
    assert numbered(6)[np.int64(-1)][1] == 1


@pytest.mark.parametrize("index", [(1, 2), 1.5, None, ..., [[0, 1]], "x", [0.0]])
def test_a_dataset_is_indexed_along_its_samples_only(index):
    with pytest.raises(TypeError, match="along the samples"):
        numbered()[index]


def test_the_repr_of_a_dataset_describes_its_contents():
    data = Dataset(np.zeros((3, 1, 8, 8), np.float32), np.zeros(3, np.int64), ("a", "b"))
    assert repr(data) == "Dataset(3 samples: x (3, 1, 8, 8) float32, y (3,) int64, 2 classes)"


def test_a_dataset_is_frozen_and_can_be_copied_and_pickled():
    data = numbered()
    with pytest.raises(AttributeError):
        data.x = data.y
    for other in (copy.copy(data), copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        np.testing.assert_array_equal(other.x, data.x)
        assert other.classes == data.classes


def test_pairs_of_array_likes_become_datasets_and_arrays_are_not_copied():
    x, y = np.zeros((2, 3)), np.array([0, 1])
    data = as_dataset((x, y))
    assert data.x is x and data.y is y
    assert as_dataset(data) is data
    assert as_dataset([[[1, 2], [3, 4]], [0, 1]]).x.tolist() == [[1, 2], [3, 4]]
    assert len(as_dataset((np.zeros((0, 1, 2, 2)), []))) == 0


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ((np.zeros((3, 1)), [0, 1]), ValueError, "train: x has 3 samples, but y has 2"),
        (np.zeros((3, 4)), TypeError, r"train: expected a Dataset or .* ndarray of shape \(3, 4\)"),
        (None, TypeError, "train: expected a Dataset or .* got NoneType"),
        ((1, 2, 3), TypeError, "train: expected .* pair, got a tuple of 3"),
        (([[1, 2], [3]], [0, 1]), ValueError, "train: x is not a regular array"),
        (([1.0, 2.0], ["cat", "dog"]), TypeError, "train: y holds text .* np.unique"),
        (([None, 1], [0, 1]), TypeError, "train: x has dtype object"),
        (([1j, 2], [0, 1]), TypeError, "train: x has dtype complex128"),
        ((3.0, [0]), ValueError, "train: x is a single number"),
    ],
)
def test_a_value_that_is_not_a_data_set_is_rejected_by_name(data, error, message):
    with pytest.raises(error, match=message):
        as_dataset(data, "train")


# Digits


def test_digits_have_the_documented_shapes_and_a_fifth_of_every_class_held_out():
    train, test = load_digits()
    assert (train.x.shape, test.x.shape) == ((1437, 1, 8, 8), (360, 1, 8, 8))
    for part in (train, test):
        assert part.x.dtype == np.float32 and part.y.dtype == np.int64
        assert part.x.min() == 0 and part.x.max() == 1
        assert part.classes == tuple("0123456789")
        assert part.x.flags.writeable and part.x.flags.c_contiguous
    # Images per class in the test part of the original, as listed by its authors.
    published = np.array([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    held_out = np.bincount(test.y)
    np.testing.assert_array_equal(np.bincount(train.y) + held_out, published)
    assert np.abs(held_out - published / 5).max() < 1


def test_the_split_of_the_digits_never_changes():
    train, test = load_digits()
    sums = [
        hashlib.sha256(np.rint(p.x * 16).astype(np.uint8)).hexdigest()[:16] for p in (train, test)
    ]
    assert sums == ["49e6b5ff3c06049d", "342538e35bc5249d"]


def test_digits_are_those_of_scikit_learn():
    original = pytest.importorskip("sklearn.datasets").load_digits()
    train, test = load_digits()
    found = {(x.tobytes(), int(y)) for part in (train, test) for x, y in zip(*part, strict=True)}
    images = (original.images[:, None] / 16).astype(np.float32)
    assert found == {(x.tobytes(), int(y)) for x, y in zip(images, original.target, strict=True)}


def test_the_digits_file_is_small():
    assert (Path(cnnx.data.__file__).parent / "digits.npz").stat().st_size < 60_000


MASKED = np.ma.masked_equal([0, 1, 2, 1], 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Dataset(MASKED, [0, 1, 0, 1]),
        lambda: Dataset(np.zeros((4, 2)), MASKED),
        lambda: as_dataset((list(np.ma.stack([MASKED, MASKED])), [0, 1]), "train"),
        lambda: cnnx.data.train_test_split(np.zeros((4, 2)), MASKED),
        lambda: cnnx.data.normalize((MASKED[:, None], [0, 1, 0, 1])),
        lambda: cnnx.data.batches((np.zeros(4), MASKED), 2),
        lambda: cnnx.data.one_hot(MASKED),
        lambda: cnnx.data.save_csv("never.csv", (np.zeros((4, 2)), MASKED)),
    ],
)
def test_a_masked_array_is_rejected_since_its_mask_would_be_dropped(call):
    with pytest.raises(TypeError, match=r"[xys] is a masked array: fill it first, with .*\.filled"):
        call()
