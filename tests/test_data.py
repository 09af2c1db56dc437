"""Data sets, their files, batches and splits.

The loaders are tested on small files made here; with CNNX_DATA set, on the published ones too.
"""

from __future__ import annotations

import copy
import gzip
import hashlib
import os
import pickle
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

import cnnx.data
from cnnx import random as cnnx_random
from cnnx.data import (
    Dataset,
    as_dataset,
    batches,
    channel_stats,
    datasets,
    load_arrays,
    load_cifar10,
    load_digits,
    load_fashion_mnist,
    load_folder,
    load_mnist,
    normalize,
    train_test_split,
)

IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@pytest.fixture(autouse=True)
def no_directories_of_the_user(monkeypatch, tmp_path):
    """Nothing outside of the test is read or written; the real data is asked for by name."""
    monkeypatch.delenv("CNNX_DATA", raising=False)
    monkeypatch.setenv("CNNX_CACHE", str(tmp_path / "no cache"))


REAL = os.environ.get("CNNX_DATA", "")


def real(folder):
    if not os.path.isdir(os.path.join(REAL, folder)):
        pytest.skip(f"needs the real {folder} files in CNNX_DATA")
    return REAL


def numbered(n=10, classes=2):
    return Dataset(np.arange(n * 4, dtype=np.float32).reshape(n, 1, 2, 2), np.arange(n) % classes)


# Dataset


def test_a_dataset_has_a_length_and_comes_apart_into_x_and_y():
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


def test_a_dataset_says_what_it_holds():
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
def test_what_is_no_data_set_is_refused_by_name(data, error, message):
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
    # Images of each class in the test part of the original, as its authors list them.
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


# MNIST and Fashion-MNIST


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


@pytest.mark.parametrize("load", [load_mnist, load_fashion_mnist])
@pytest.mark.parametrize("suffix", [".gz", ""])
def test_idx_files_are_read_packed_or_not(tmp_path, load, suffix):
    arrays = write_idx(tmp_path, suffix)
    train, test = load(tmp_path)
    for part, images, labels in ((train, *arrays[:2]), (test, *arrays[2:])):
        assert part.x.dtype == np.float32 and part.y.dtype == np.int64
        np.testing.assert_array_equal(part.x[:, 0], images.astype(np.float32) / 255)
        np.testing.assert_array_equal(part.y, labels)
        assert len(part.classes) == 10


def test_the_sub_directory_of_the_data_set_comes_before_the_directory_itself(tmp_path):
    write_idx(tmp_path, arrays=idx_arrays(1, 1))
    write_idx(tmp_path / "mnist", arrays=idx_arrays(2, 1))
    write_idx(tmp_path / "fashion-mnist", arrays=idx_arrays(4, 1))
    assert len(load_mnist(tmp_path)[0]) == 2
    assert len(load_fashion_mnist(str(tmp_path))[0]) == 4


def test_the_argument_wins_over_the_variable_and_the_variable_over_the_cache(tmp_path, monkeypatch):
    for n, name in enumerate(("argument", "variable/mnist", "cache/mnist"), 1):
        write_idx(tmp_path / name, arrays=idx_arrays(n, 1))
    monkeypatch.setenv("CNNX_DATA", str(tmp_path / "variable"))
    monkeypatch.setenv("CNNX_CACHE", str(tmp_path / "cache"))
    assert len(load_mnist(tmp_path / "argument")[0]) == 1
    assert len(load_mnist()[0]) == 2
    monkeypatch.delenv("CNNX_DATA")
    assert len(load_mnist()[0]) == 3


def test_a_folder_that_is_named_like_a_file_is_no_file(tmp_path):
    write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    (tmp_path / "t10k-labels-idx1-ubyte").mkdir()  # what some tools make of an archive
    with pytest.raises(FileNotFoundError, match=r"lacks t10k-labels-idx1-ubyte.gz$"):
        load_mnist(tmp_path)


def test_half_a_data_set_names_the_files_that_are_missing(tmp_path, monkeypatch):
    write_idx(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"mnist lacks t10k-labels-idx1-ubyte.gz$"):
        load_mnist(tmp_path)
    monkeypatch.setenv("CNNX_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"mnist lacks t10k-labels-idx1-ubyte.gz$"):
        load_mnist()


def test_a_directory_that_is_not_there_is_named(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"load_mnist: .*nowhere is not a directory"):
        load_mnist(tmp_path / "nowhere")
    monkeypatch.setenv("CNNX_DATA", str(tmp_path / "typo"))
    with pytest.raises(FileNotFoundError, match=r"CNNX_DATA: .*typo is not a directory"):
        load_cifar10()


def cut(content, size):
    return content[:size]


IMAGES, LABELS = idx(idx_arrays()[0]), idx(idx_arrays()[1])
HUGE = bytes((0, 0, 8, 3)) + b"".join(n.to_bytes(4, "big") for n in (5, 28, 28))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (0, b"", "begins with nothing, expected 00 00 08 03"),
        (0, b"PNG", "begins with 50 4e 47, expected 00 00 08 03"),
        (0, LABELS, "begins with 00 00 08 01, expected 00 00 08 03"),
        (0, idx(np.zeros((5, 28, 28), np.uint8), code=13), "begins with 00 00 0d 03"),
        (0, IMAGES[:9], "ends within its IDX header, after 9 of 16 bytes"),
        (0, IMAGES[:-1], "= 3,920 bytes of data, found 3,919"),
        (0, IMAGES + b"!", "= 3,920 bytes of data, found more"),
        (0, idx(np.zeros((5, 32, 32), np.uint8)), r"dimensions \(5, 28, 28\).*\(5, 32, 32\)"),
        (0, idx(np.zeros((4, 28, 28), np.uint8)), r"holds 5 labels\), found \(4, 28, 28\)"),
        (1, idx(np.zeros(4, np.uint8)), r"holds 4 labels\), found \(5, 28, 28\)"),
        (1, idx(np.array([0, 1, 10, 3, 200], np.uint8)), "label 10 at position 2; expected 0..9"),
        (1, b"\0\0\x08\x01\xff\xff\xff\xff", "claims .* = 4,294,967,295 bytes, but the file can"),
    ],
)
@pytest.mark.parametrize("suffix", [".gz", ""])
def test_a_wrong_idx_file_is_one_error_with_what_was_expected_and_found(
    tmp_path, name, content, message, suffix
):
    write_idx(tmp_path, suffix)
    path = tmp_path / (IDX_NAMES[name] + suffix)
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(ValueError, match=message) as caught:
        load_mnist(tmp_path)
    images_or_labels = (str(tmp_path / IDX_NAMES[0]), str(tmp_path / IDX_NAMES[1]))
    assert str(caught.value).startswith(images_or_labels)


def test_no_damage_to_a_packed_idx_file_passes_unnoticed(tmp_path):
    """Every truncation is one ValueError, every flipped bit too, unless nothing hangs on it."""
    arrays = write_idx(tmp_path, arrays=idx_arrays(1, 1))
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    good = path.read_bytes()
    for size in range(len(good)):
        path.write_bytes(good[:size])
        with pytest.raises(ValueError, match="train-labels"):
            load_mnist(tmp_path)
    refused = 0
    for bit in range(8 * len(good)):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            train, _ = load_mnist(tmp_path)
        except ValueError as error:
            assert str(error).startswith(str(path))
            refused += 1
        else:  # the time in the gzip header, for instance, or padding
            np.testing.assert_array_equal(train.y, arrays[1])
    assert refused > 8 * (len(good) - 10)  # the gzip header has 10 bytes


def test_a_claim_of_gigabytes_is_refused_without_the_memory(tmp_path):
    import tracemalloc

    write_idx(tmp_path)
    bomb = bytes((0, 0, 8, 1)) + (1 << 28).to_bytes(4, "big") + bytes(1000)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bomb))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"claims .* = 268,435,456 bytes"):
            load_mnist(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_the_real_mnist_has_its_published_numbers():
    train, test = load_mnist(real("mnist"))
    assert (train.x.shape, test.x.shape) == ((60000, 1, 28, 28), (10000, 1, 28, 28))
    assert train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.y[:5].tolist() == [7, 2, 1, 0, 4]
    mean, std = channel_stats(train)
    assert mean == pytest.approx(0.1307, abs=5e-5) and std == pytest.approx(0.3081, abs=5e-5)


def test_the_real_fashion_mnist_has_its_published_numbers():
    train, test = load_fashion_mnist(real("fashion-mnist"))
    assert np.bincount(train.y).tolist() == [6000] * 10
    assert np.bincount(test.y).tolist() == [1000] * 10
    assert train.classes[train.y[0]] == "Ankle boot" and test.classes[test.y[1]] == "Pullover"
    mean, std = channel_stats(train)
    assert mean == pytest.approx(0.2860, abs=5e-5) and std == pytest.approx(0.3530, abs=5e-5)


def test_files_whose_labels_are_those_of_another_set_are_refused(tmp_path, monkeypatch):
    arrays = write_idx(tmp_path)
    monkeypatch.setitem(datasets._LABEL_SUMS, zlib.crc32(arrays[3].tobytes()), "Fashion-MNIST")
    with pytest.raises(ValueError, match=r"t10k-labels.*labels of MNIST, found Fashion-MNIST's"):
        load_mnist(tmp_path)
    assert len(load_fashion_mnist(tmp_path)[1]) == 3


def test_the_real_mnist_is_not_taken_for_fashion_mnist():
    with pytest.raises(ValueError, match="expected the labels of Fashion-MNIST, found MNIST's"):
        load_fashion_mnist(os.path.join(real("mnist"), "mnist"))
    with pytest.raises(ValueError, match="expected the labels of MNIST, found Fashion-MNIST's"):
        load_mnist(os.path.join(real("fashion-mnist"), "fashion-mnist"))


# CIFAR-10


def cifar_records(labels, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3, 32, 32), np.uint8)
    content = b"".join(bytes([y]) + x.tobytes() for x, y in zip(pixels, labels, strict=True))
    return content, pixels


@pytest.mark.parametrize("sub", ["", "cifar10", "cifar-10-batches-bin"])
def test_cifar_takes_every_batch_file_in_numerical_order(tmp_path, sub):
    folder = tmp_path / sub
    folder.mkdir(exist_ok=True)
    expected = []
    for number in (10, 2, 1):
        content, pixels = cifar_records([number % 10] * number, seed=number)
        (folder / f"data_batch_{number}.bin").write_bytes(content)
        expected.insert(0, pixels)
    content, pixels = cifar_records([9])
    (folder / "test_batch.bin").write_bytes(content)
    train, test = load_cifar10(tmp_path)
    assert train.y.tolist() == [1] + [2] * 2 + [0] * 10 and test.y.tolist() == [9]
    assert train.x.dtype == np.float32 and train.y.dtype == np.int64
    np.testing.assert_array_equal(train.x, np.concatenate(expected).astype(np.float32) / 255)
    np.testing.assert_array_equal(test.x, pixels.astype(np.float32) / 255)
    assert train.classes[0] == "airplane" and test.classes[9] == "truck"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found 0 bytes = 0 records and 0 bytes"),
        (bytes(3073 * 2 - 1), "found 6,145 bytes = 1 records and 3072 bytes"),
        (bytes(3073) + b"\x0b" + bytes(3072), "label 11 at position 1; expected 0..9"),
    ],
)
def test_a_wrong_cifar_file_is_one_error_that_names_it(tmp_path, content, message):
    (tmp_path / "test_batch.bin").write_bytes(bytes(3073))
    (tmp_path / "data_batch_1.bin").write_bytes(content)
    with pytest.raises(ValueError, match="data_batch_1.bin: .*" + message):
        load_cifar10(tmp_path)


def test_cifar_without_a_test_batch_is_half_a_data_set(tmp_path):
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3073))
    with pytest.raises(FileNotFoundError, match=r"lacks test_batch.bin"):
        load_cifar10(tmp_path)


def test_the_real_cifar_files_are_read_as_they_lie():
    folder = Path(real("cifar10")) / "cifar10"
    train, test = load_cifar10(REAL)
    sizes = [path.stat().st_size for path in folder.glob("data_batch_*.bin")]
    assert len(train) == sum(sizes) // 3073
    last = (folder / "test_batch.bin").read_bytes()[-3073:]
    assert test.y[-1] == last[0]
    pixels = np.frombuffer(last[1:], np.uint8).reshape(3, 32, 32)
    np.testing.assert_array_equal(np.rint(test.x[-1] * 255), pixels)


# npz files


def test_arrays_of_an_npz_file_become_data_sets(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (4, 3, 5, 6), np.uint8), np.array([0, 2, 1, 2], np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=y)
    train, test = load_arrays(tmp_path / "a.npz")
    assert test is None
    np.testing.assert_array_equal(train.x, x.astype(np.float32) / 255)
    assert train.x.dtype == np.float32 and train.y.dtype == np.int64
    assert train.y.tolist() == [0, 2, 1, 2] and train.classes == ("0", "1", "2")
    np.savez_compressed(tmp_path / "b.npz", x=x, y=y, x_test=x[:1], y_test=[3], other=["text"])
    train, test = load_arrays(str(tmp_path / "b.npz"))
    assert len(train) == 4 and test.y.tolist() == [3]
    assert train.classes == test.classes == ("0", "1", "2", "3")


def test_grey_images_get_a_channel_axis_and_floats_are_kept(tmp_path):
    x = np.random.default_rng(0).standard_normal((4, 5, 6))
    np.savez(tmp_path / "a.npz", x=np.asfortranarray(x), y=np.zeros(4, np.int16))
    train, _ = load_arrays(tmp_path / "a.npz")
    assert train.x.shape == (4, 1, 5, 6) and train.x.dtype == np.float64
    np.testing.assert_array_equal(train.x[:, 0], x)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 3))}, "found no y, but: x$"),
        ({"a": np.zeros((2, 3))}, "found no x, but: a$"),
        ({"x": np.zeros((2, 3)), "y": [0, 1], "x_test": np.zeros((1, 3))}, "found no y_test"),
        ({"x": np.zeros((2, 3)), "y": [0, 1, 1]}, "x has 2 samples, but y has 3"),
        ({"x": np.zeros(2), "y": [0, 1]}, r"x has shape \(2,\)"),
        ({"x": np.zeros((2, 3)), "y": [0.0, 1.0]}, r"y has shape \(2,\) of float64, expected"),
        ({"x": np.zeros((2, 3)), "y": np.eye(2, dtype=int)}, r"y has shape \(2, 2\)"),
        ({"x": np.zeros((2, 3)), "y": [0, -1]}, r"y has labels -1\.\.0"),
        ({"x": np.zeros((2, 3)), "y": [0, 10**12]}, r"y has labels 0\.\.1000000000000"),
        ({"x": np.array([["a"]]), "y": [0]}, "x holds dtype <U1"),
        ({"x": np.zeros((2, 3), complex), "y": [0, 1]}, "x holds dtype complex128"),
        (
            {"x": np.zeros((2, 3)), "y": [0, 1], "x_test": np.zeros((1, 4)), "y_test": [0]},
            r"samples of x have shape \(3,\), but those of x_test \(4,\)",
        ),
    ],
)
def test_an_npz_file_with_other_arrays_is_one_error(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        load_arrays(tmp_path / "a.npz")
    assert str(caught.value).startswith(str(tmp_path / "a.npz"))


class Trap:
    """Unpickling it leaves a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def test_objects_in_an_npz_file_are_never_unpickled(tmp_path):
    trap = np.array([Trap(str(tmp_path / "sprung"))], object)
    np.savez(tmp_path / "a.npz", x=trap, y=[0], allow_pickle=True)
    with pytest.raises(ValueError, match="x holds Python objects"):
        load_arrays(tmp_path / "a.npz")
    assert not (tmp_path / "sprung").exists()


def test_no_damage_to_an_npz_file_is_more_than_one_value_error(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.arange(12.0).reshape(2, 6), y=[0, 1])
    good = path.read_bytes()
    damaged = [good[:size] for size in range(0, len(good), 3)]
    for position in range(len(good)):
        for bits in (0x01, 0xFF):
            flipped = bytearray(good)
            flipped[position] ^= bits
            damaged.append(bytes(flipped))
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            train, _ = load_arrays(path)
        except ValueError as error:
            assert str(error).startswith(str(path))
            refused += 1
        else:  # a byte without meaning, a date for instance
            np.testing.assert_array_equal(train.x, np.arange(12.0).reshape(2, 6))
    assert refused > len(damaged) // 2


def test_a_npy_header_that_claims_more_than_there_is_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    for shape in ((1 << 40, 1), (3, 1), (-1, -2)):
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        with zipfile.ZipFile(path, "w") as archive:
            content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
            archive.writestr("x.npy", content + bytes(16))
            archive.writestr("y.npy", b"")
        with pytest.raises(ValueError, match=r"the header of x claims .* found 16 bytes"):
            load_arrays(path)


def test_a_foreign_file_is_not_an_npz_file(tmp_path):
    (tmp_path / "a.npz").write_text("x,y\n1,2\n")
    with pytest.raises(ValueError, match=r"a.npz: not an .npz file"):
        load_arrays(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("x", b"text")
        archive.writestr("y.npy", b"text")
    with pytest.raises(ValueError, match=r"found no x, but: y$"):
        load_arrays(tmp_path / "c.npz")
    with pytest.raises(FileNotFoundError):
        load_arrays(tmp_path / "b.npz")


# Folders


def save_image(path, pixels, mode=None, **options):
    image = pytest.importorskip("PIL.Image").fromarray(np.asarray(pixels, np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    (image.convert(mode) if mode else image).save(path, **options)


def test_a_folder_of_grey_images_has_one_channel(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 6), np.uint8)
    save_image(tmp_path / "dog" / "2.png", pixels[2])
    save_image(tmp_path / "cat" / "1.PNG", pixels[1])
    save_image(tmp_path / "cat" / "0.png", pixels[0])
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    data = load_folder(tmp_path)
    assert data.classes == ("cat", "dog") and data.y.tolist() == [0, 0, 1]
    assert data.x.dtype == np.float32 and data.y.dtype == np.int64
    np.testing.assert_array_equal(data.x[:, 0], pixels.astype(np.float32) / 255)


def test_one_colour_image_makes_three_channels_of_all(tmp_path):
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (4, 6, 3), np.uint8)
    grey = rng.integers(0, 256, (4, 6), np.uint8)
    web = np.broadcast_to([51, 102, 204], (4, 6, 3))  # a colour of Pillow's palette
    save_image(tmp_path / "a" / "colour.png", colour)
    save_image(tmp_path / "a" / "clear.png", np.dstack([colour, grey]))
    save_image(tmp_path / "b" / "grey.png", grey)
    save_image(tmp_path / "b" / "palette.png", web, mode="P")
    data = load_folder(str(tmp_path))
    assert data.x.shape == (4, 3, 4, 6)
    expected = [colour, colour, np.dstack([grey] * 3), web]
    for x, pixels in zip(data.x, expected, strict=True):
        np.testing.assert_array_equal(np.rint(x * 255), pixels.transpose(2, 0, 1))


def test_jpeg_images_are_read(tmp_path):
    save_image(tmp_path / "a" / "flat.jpeg", np.full((8, 8), 100), quality=95)
    data = load_folder(tmp_path)
    assert data.x.shape == (1, 1, 8, 8)
    np.testing.assert_allclose(data.x, 100 / 255, atol=2 / 255)


def test_the_first_image_of_another_size_is_named(tmp_path):
    for name in ("0.png", "1.png", "3.png"):
        save_image(tmp_path / "a" / name, np.zeros((4, 6)))
    save_image(tmp_path / "a" / "2.png", np.zeros((6, 4)))
    with pytest.raises(ValueError, match=r"2.png: 4 x 6 pixels .*0.png has 6 x 4"):
        load_folder(tmp_path)


@pytest.mark.parametrize("keep", [0, 20, 60, -60], ids=["empty", "signature", "header", "tail"])
def test_a_damaged_image_is_named(tmp_path, keep):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)
    save_image(tmp_path / "a" / "0.png", pixels)
    good = (tmp_path / "a" / "0.png").read_bytes()
    (tmp_path / "a" / "1.png").write_bytes(good[:keep])
    with pytest.raises(ValueError, match=r"1.png: (not a PNG|damaged or truncated)"):
        load_folder(tmp_path)


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_an_image_that_claims_a_hundred_million_pixels_is_refused(tmp_path, side):
    save_image(tmp_path / "a" / "0.png", np.zeros((4, 4)))
    content = bytearray((tmp_path / "a" / "0.png").read_bytes())
    content[16:24] = 2 * side.to_bytes(4, "big")  # width and height in the IHDR chunk
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "a" / "0.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"0.png: not a PNG or JPEG image .*exceeds limit"):
        load_folder(tmp_path)


def test_sixteen_bit_images_are_refused(tmp_path):
    image = pytest.importorskip("PIL.Image").fromarray(np.zeros((4, 4), np.uint16))
    (tmp_path / "a").mkdir()
    image.save(tmp_path / "a" / "deep.png")
    with pytest.raises(ValueError, match=r"deep.png: pixels of mode I;16, expected 8-bit"):
        load_folder(tmp_path)


def test_a_folder_without_classes_or_images_says_what_it_lacks(tmp_path):
    pytest.importorskip("PIL")
    with pytest.raises(ValueError, match="expected a folder for each class, found no folder"):
        load_folder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: expected images .* found none"):
        load_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        load_folder(tmp_path / "nowhere")


def test_without_pillow_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install 'cnnx\[images\]'"):
        load_folder(tmp_path)


# Batches


def order_of(pairs):
    """Sample numbers in the order in which they come, for `numbered` data; checks that x fits y."""
    numbers = []
    for x, y in pairs:
        here = (x[:, 0, 0, 0] / 4).astype(int)
        np.testing.assert_array_equal(y, here % 2)
        numbers += here.tolist()
    return numbers


def test_batches_come_in_order_and_the_last_may_be_smaller():
    made = batches(numbered(10), 4)
    assert len(made) == 3
    assert [len(x) for x, _ in made] == [4, 4, 2]
    assert order_of(made) == order_of(made) == list(range(10))


def test_drop_last_leaves_out_the_batch_that_is_not_full():
    made = batches(numbered(10), 4, drop_last=True)
    assert len(made) == 2 and order_of(made) == list(range(8))
    assert len(batches(numbered(8), 4, drop_last=True)) == 2


def test_every_epoch_has_every_sample_once_in_another_order():
    made = batches(numbered(50), 7, shuffle=True, seed=3)
    epochs = [order_of(made) for _ in range(4)]
    assert all(sorted(order) == list(range(50)) for order in epochs)
    assert len({tuple(order) for order in [*epochs, list(range(50))]}) == 5


def test_an_epoch_is_a_function_of_seed_and_number_alone():
    made = batches(numbered(50), 7, shuffle=True, seed=3)
    epochs = [order_of(made) for _ in range(3)]
    fresh = batches(numbered(50), 7, shuffle=True, seed=3)
    assert [order_of(fresh.epoch(i)) for i in (2, 0, 1)] == [epochs[2], epochs[0], epochs[1]]
    assert order_of(fresh) == epochs[0]
    assert order_of(batches(numbered(50), 11, shuffle=True, seed=3)) == epochs[0]
    other = batches(numbered(50), 7, shuffle=True, seed=4)
    assert order_of(other) not in epochs  # neither the same nor shifted by an epoch


def test_without_a_seed_shuffling_follows_the_seed_of_cnnx():
    def two_epochs():
        made = batches(numbered(50), 7, shuffle=True)
        return order_of(made), order_of(made)

    with cnnx_random.seeded(5):
        first, other = two_epochs(), two_epochs()
    with cnnx_random.seeded(5):
        assert two_epochs() == first
    assert first != other


def test_batches_belong_to_the_user():
    data = numbered(6)
    before = data.x.copy()
    for shuffle in (False, True):
        for x, y in batches(data, 2, shuffle=shuffle, seed=0):
            x[...] = -1
            y[...] = -1
    np.testing.assert_array_equal(data.x, before)


def test_pairs_read_only_arrays_and_no_samples_are_batched_too(tmp_path):
    x, y = numbered(6)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert order_of(batches((mapped, y.tolist()), 4)) == list(range(6))
    assert list(batches(numbered(0), 4)) == [] and len(batches(numbered(0), 4)) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batches: batch_size must be 1 or more, got 0"),
        ({"batch_size": 2.5}, TypeError, "batches: batch_size must be an integer, got 2.5"),
        ({"batch_size": True}, TypeError, "batches: batch_size must be an integer, got True"),
        ({"batch_size": 2, "seed": -1}, ValueError, "batches: seed must be 0 or more, got -1"),
        ({"batch_size": 2, "seed": "a"}, TypeError, "batches: seed must be an integer, got 'a'"),
        ({"batch_size": 11, "drop_last": True}, ValueError, "no batch of 11: data has 10 samples"),
    ],
)
def test_wrong_arguments_of_batches_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        batches(numbered(), **arguments)
    with pytest.raises(ValueError, match="epoch must be 0 or more, got -1"):
        batches(numbered(), 2).epoch(-1)


# Splits


def labelled(counts):
    y = np.repeat(np.arange(len(counts)), counts)
    return np.arange(len(y))[:, None], y


@pytest.mark.parametrize(("size", "expected"), [(0.25, 25), (30, 30), (0.101, 11), (np.int8(7), 7)])
@pytest.mark.parametrize("stratify", [True, False])
def test_a_split_has_every_sample_once_and_the_size_asked_for(size, expected, stratify):
    x, y = labelled([60, 30, 10])
    train, test = train_test_split((x, y), test_size=size, stratify=stratify)
    assert len(test) == expected
    assert sorted([*train.x[:, 0], *test.x[:, 0]]) == list(range(100))
    for part in (train, test):
        np.testing.assert_array_equal(part.y, y[part.x[:, 0]])


def test_a_share_is_not_rounded_up_for_a_rounding_error():
    assert len(train_test_split(labelled([100]), test_size=0.07)[1]) == 7  # 100 * 0.07 > 7


def test_a_stratified_split_gives_every_class_its_share():
    counts = np.array([60, 30, 10, 3])
    train, test = train_test_split(*labelled(counts), test_size=0.3)
    held_out = np.bincount(test.y, minlength=4)
    assert held_out.tolist() == [18, 9, 3, 1]  # of 18.06, 9.03, 3.01 and 0.90
    np.testing.assert_array_equal(held_out + np.bincount(train.y), counts)


def test_labels_need_not_count_from_zero_to_be_stratified():
    x, y = labelled([5, 5])
    test = train_test_split((x, y * 1000 - 7), test_size=0.4)[1]
    assert sorted(test.y) == [-7, -7, 993, 993]


def test_the_same_seed_gives_the_same_split_and_parts_are_shuffled():
    data = labelled([50, 50])
    one, same, other = (train_test_split(data, seed=seed)[0].x[:, 0].tolist() for seed in (1, 1, 2))
    assert one == same != other
    assert one != sorted(one)
    with cnnx_random.seeded(1):
        drawn = [train_test_split(data, seed=None)[0].x[:, 0].tolist() for _ in range(2)]
    assert drawn[0] != drawn[1]


def test_a_split_keeps_the_names_of_the_classes():
    x, y = labelled([5, 5])
    for part in train_test_split(Dataset(x, y, ("cat", "dog"))):
        assert part.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"test_size": 1.0}, ValueError, "must lie between 0 and 1, got 1.0"),
        ({"test_size": 0.0}, ValueError, "must lie between 0 and 1, got 0.0"),
        ({"test_size": float("nan")}, ValueError, "must lie between 0 and 1, got nan"),
        ({"test_size": 12}, ValueError, "makes 12 of 12 samples the test set"),
        ({"test_size": -1}, ValueError, "makes -1 of 12 samples the test set"),
        ({"test_size": "a fifth"}, TypeError, "test_size must be a share or a number"),
        ({"test_size": 2}, ValueError, "3 classes do not fit into train and test sets of 10 and 2"),
        ({"seed": -3}, ValueError, "seed must be 0 or more"),
    ],
)
def test_wrong_arguments_of_a_split_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        train_test_split(labelled([4, 4, 4]), **arguments)


def test_what_cannot_be_stratified_says_so():
    with pytest.raises(ValueError, match=r"class 1 has 1 sample.*stratify=False"):
        train_test_split(labelled([9, 1]))
    with pytest.raises(ValueError, match=r"y is \(9,\) float64; pass stratify=False"):
        train_test_split(np.zeros((9, 2)), np.linspace(0, 1, 9))
    assert len(train_test_split(np.zeros((9, 2)), np.linspace(0, 1, 9), stratify=False)[1]) == 2


# Standardisation


def channels(n=200, seed=0, dtype=np.float32):
    """Three channels with mean 1, 20, -3 and standard deviation 2, 0.1, 5, nearly."""
    rng = np.random.default_rng(seed)
    scale, shift = (np.reshape(v, (3, 1, 1)) for v in ([2, 0.1, 5], [1, 20, -3]))
    x = rng.standard_normal((n, 3, 4, 5)) * scale + shift
    return Dataset(x.astype(dtype), np.zeros(n, int), ("only",))


def test_channel_stats_are_those_of_numpy_in_float64():
    data = channels(2500)  # more than are added up at a time
    mean, std = channel_stats(data)
    np.testing.assert_allclose(mean, data.x.astype(float).mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, data.x.astype(float).std((0, 2, 3)), rtol=1e-12)
    mean, std = channel_stats((np.array([[1, 2], [3, 6]], np.uint8), [0, 1]))
    assert mean.tolist() == [2, 4] and std.tolist() == [1, 2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalize_uses_the_first_data_set_for_all(dtype):
    train, test = channels(dtype=dtype), channels(50, 1, dtype)
    before = train.x.copy()
    first, second = normalize(train, test)
    mean, std = (v(train.x.astype(float), (0, 2, 3), keepdims=True) for v in (np.mean, np.std))
    for given, made in ((train, first), (test, second)):
        assert made.x.dtype == dtype and made.classes == ("only",) and made.y is given.y
        tolerance = 1e-4 if dtype == np.float32 else 1e-12  # 20 +- 0.1 costs float32 200 ulp
        np.testing.assert_allclose(made.x, (given.x - mean) / std, atol=tolerance)
    np.testing.assert_array_equal(train.x, before)


def test_normalize_takes_kept_numbers_and_single_data_sets():
    data = (np.array([[[1.0, 3.0]], [[5.0, 7.0]]]), [0, 1])
    made = normalize(data, mean=1, std=2)
    assert isinstance(made, Dataset) and made.x.tolist() == [[[0, 1]], [[2, 3]]]
    train, later = channels(), channels(9, 2)
    mean, std = channel_stats(train)
    both = normalize(train, later)
    np.testing.assert_array_equal(normalize(later, mean=mean, std=std).x, both[1].x)


def test_integer_pixels_become_float32_and_a_constant_channel_becomes_zero():
    x = np.zeros((4, 2, 1, 1), np.uint8)
    x[:, 0, 0, 0] = [0, 10, 0, 10]
    x[:, 1] = 7
    made = normalize((x, [0, 0, 0, 0]))
    assert made.x.dtype == np.float32
    assert made.x[:, 0, 0, 0].tolist() == [-1, 1, -1, 1] and not made.x[:, 1].any()


@pytest.mark.parametrize(
    ("data", "numbers", "error", "message"),
    [
        ([], {}, TypeError, "one or more data sets, got none"),
        ([channels(), np.zeros(3)], {}, TypeError, "data set 2: expected a Dataset or"),
        ([channels()], {"mean": 0}, ValueError, "both mean and std, or neither"),
        ([channels()], {"mean": 0, "std": 0}, ValueError, "std positive"),
        ([channels()], {"mean": np.nan, "std": 1}, ValueError, "mean must be finite"),
        ([channels()], {"mean": [0, 0], "std": 1}, ValueError, r"\(200, 3, 4, 5\), which does not"),
        ([channels(), numbered()], {}, ValueError, r"data set 2 has x \(10, 1, 2, 2\), which does"),
        ([numbered(0)], {}, ValueError, "expected samples"),
        ([(np.zeros(3), np.zeros(3))], {}, ValueError, "expected samples"),
    ],
)
def test_wrong_arguments_of_normalize_are_refused(data, numbers, error, message):
    with pytest.raises(error, match=message):
        normalize(*data, **numbers)
