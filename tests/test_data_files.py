"""MNIST, Fashion-MNIST and CIFAR-10 from their files.

Tested on small files made here, and with CNNX_DATA on the published ones too.
"""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from data_helpers import IDX_NAMES, idx, idx_arrays, write_idx

from cnnx.data import (
    channel_stats,
    datasets,
    load_cifar10,
    load_fashion_mnist,
    load_mnist,
)


@pytest.fixture(autouse=True)
def no_directories_of_the_user(monkeypatch, tmp_path):
    """Nothing outside of the test is read or written; real data is requested by name."""
    monkeypatch.delenv("CNNX_DATA", raising=False)
    monkeypatch.setenv("CNNX_CACHE", str(tmp_path / "no cache"))


REAL = os.environ.get("CNNX_DATA", "")


def real(folder):
    if not os.path.isdir(os.path.join(REAL, folder)):
        pytest.skip(f"needs the real {folder} files in CNNX_DATA")
    return REAL


# MNIST and Fashion-MNIST


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


def test_a_folder_that_is_named_like_a_file_is_ignored(tmp_path):
    write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    (tmp_path / "t10k-labels-idx1-ubyte").mkdir()  # some archive tools create such a folder
    with pytest.raises(FileNotFoundError, match=r"lacks t10k-labels-idx1-ubyte.gz$"):
        load_mnist(tmp_path)


def test_an_incomplete_data_set_is_an_error_that_names_the_missing_files(tmp_path, monkeypatch):
    write_idx(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"mnist lacks t10k-labels-idx1-ubyte.gz$"):
        load_mnist(tmp_path)
    monkeypatch.setenv("CNNX_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"mnist lacks t10k-labels-idx1-ubyte.gz$"):
        load_mnist()


def test_a_missing_directory_is_named(tmp_path, monkeypatch):
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


def test_any_damage_to_a_compressed_idx_file_is_detected(tmp_path):
    """Every truncation and every flipped bit is one ValueError, unless the bit has no meaning."""
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


def test_a_claim_of_gigabytes_is_rejected_without_allocating_them(tmp_path):
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


def test_files_with_the_labels_of_another_data_set_are_rejected(tmp_path, monkeypatch):
    arrays = write_idx(tmp_path)
    monkeypatch.setitem(datasets._LABEL_SUMS, zlib.crc32(arrays[3].tobytes()), "Fashion-MNIST")
    with pytest.raises(ValueError, match=r"t10k-labels.*labels of MNIST, found Fashion-MNIST's"):
        load_mnist(tmp_path)
    assert len(load_fashion_mnist(tmp_path)[1]) == 3


def test_the_real_mnist_is_not_accepted_as_fashion_mnist():
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


def test_cifar_without_a_test_batch_is_incomplete(tmp_path):
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3073))
    with pytest.raises(FileNotFoundError, match=r"lacks test_batch.bin"):
        load_cifar10(tmp_path)


def test_the_real_cifar_files_are_read():
    folder = Path(real("cifar10")) / "cifar10"
    train, test = load_cifar10(REAL)
    sizes = [path.stat().st_size for path in folder.glob("data_batch_*.bin")]
    assert len(train) == sum(sizes) // 3073
    last = (folder / "test_batch.bin").read_bytes()[-3073:]
    assert test.y[-1] == last[0]
    pixels = np.frombuffer(last[1:], np.uint8).reshape(3, 32, 32)
    np.testing.assert_array_equal(np.rint(test.x[-1] * 255), pixels)


# Layouts used by other libraries


@pytest.mark.parametrize("suffix", [".gz", ""])
def test_names_with_a_dot_are_recognised(tmp_path, suffix):
    arrays = write_idx(tmp_path, suffix)
    for path in tmp_path.iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    np.testing.assert_array_equal(load_mnist(tmp_path)[0].y, arrays[1])


def test_the_folders_of_torchvision_are_found(tmp_path, monkeypatch):
    digits = write_idx(tmp_path / "MNIST" / "raw", "", idx_arrays(4, 2))
    clothes = write_idx(tmp_path / "FashionMNIST" / "raw", "", idx_arrays(6, 2))
    for directory in (tmp_path, tmp_path / "MNIST", tmp_path / "MNIST" / "raw"):
        np.testing.assert_array_equal(load_mnist(directory)[0].y, digits[1])
    np.testing.assert_array_equal(load_fashion_mnist(tmp_path)[0].y, clothes[1])
    monkeypatch.setenv("CNNX_DATA", str(tmp_path))
    np.testing.assert_array_equal(load_mnist()[1].y, digits[3])


def save_keras(path, arrays, **others):
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez_compressed(path, **dict(zip(names, arrays, strict=True)) | others)


def test_the_file_of_keras_is_mnist(tmp_path, monkeypatch):
    arrays = idx_arrays()
    save_keras(tmp_path / "mnist.npz", arrays)
    monkeypatch.setenv("CNNX_DATA", str(tmp_path))
    for train, test in (load_mnist(tmp_path), load_mnist(tmp_path / "mnist.npz"), load_mnist()):
        for part, images, labels in ((train, *arrays[:2]), (test, *arrays[2:])):
            np.testing.assert_array_equal(part.x[:, 0], images.astype(np.float32) / 255)
            np.testing.assert_array_equal(part.y, labels)
            assert part.classes == tuple("0123456789") and part.y.dtype == np.int64
    with pytest.raises(FileNotFoundError, match="found no Fashion-MNIST"):
        load_fashion_mnist(tmp_path)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"x_train": np.zeros((5, 32, 32), np.uint8)}, "samples of x_train have shape"),
        ({"y_train": np.array([0, 1, 2, 3, 10])}, r"with labels 0\.\.9, found .* labels up to 10"),
    ],
)
def test_a_file_of_that_name_with_other_arrays_is_refused(tmp_path, others, message):
    save_keras(tmp_path / "mnist.npz", idx_arrays(), **others)
    with pytest.raises(ValueError, match=message) as caught:
        load_mnist(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "mnist.npz"))
    np.savez(tmp_path / "mnist.npz", x=np.zeros((1, 28, 28), np.uint8), y=[0])
    with pytest.raises(ValueError, match=r"expected x_test and y_test"):
        load_mnist(tmp_path)


def test_compressed_labels_are_not_decompressed_beyond_the_possible_number_of_images(tmp_path):
    """Four megabytes that compress to four thousand bytes: more labels than images can exist."""
    import tracemalloc

    write_idx(tmp_path)
    bomb = idx(np.zeros(1 << 22, np.uint8))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bomb))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"4,194,304 bytes, but the file can hold at most 2,7"):
            load_mnist(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
