"""The user's arrays in npz files as data sets."""

from __future__ import annotations

import os
import time
import zipfile

import numpy as np
import pytest

import cnnx.data.limits
from cnnx.data import (
    load_arrays,
)

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


def test_grey_images_get_a_channel_axis_and_floats_are_unchanged(tmp_path):
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
        (
            {"x": np.zeros((2, 3)), "y": [0.0, 1.5]},
            r"y: target\[1\] is 1.5, but labels must be integers",
        ),
        ({"x": np.zeros((2, 3)), "y": np.eye(2) / 2}, r"y: target\[0\], \[0.5, 0\], is not prob"),
        ({"x": np.zeros((2, 3)), "y": np.zeros((2, 0))}, r"y has shape \(2, 0\)"),
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
    """Unpickling it leaves a trace."""

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


def test_any_damage_to_an_npz_file_is_a_single_value_error(tmp_path):
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
        else:  # a byte without meaning, such as a date
            np.testing.assert_array_equal(train.x, np.arange(12.0).reshape(2, 6))
    assert refused > len(damaged) // 2


def test_a_npy_header_that_claims_too_many_bytes_is_rejected(tmp_path):
    path = tmp_path / "a.npz"
    for shape in ((1 << 40, 1), (3, 1), (-1, -2)):
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        with zipfile.ZipFile(path, "w") as archive:
            content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
            archive.writestr("x.npy", content + bytes(16))
            archive.writestr("y.npy", b"")
        with pytest.raises(ValueError, match=r"the header of x claims .* found 16 bytes"):
            load_arrays(path)


def test_a_file_of_another_kind_is_rejected(tmp_path):
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


# Array names of other programs


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
    ],
    ids=["keras", "medmnist"],
)
def test_array_names_of_other_libraries_are_recognised(tmp_path, names):
    x, y = np.arange(20, dtype=np.uint8).reshape(5, 2, 2), np.array([0, 2, 1, 0, 1], np.uint8)
    stored = dict(zip(names, (x[:3], y[:3], x[3:], y[3:]), strict=True))
    np.savez(tmp_path / "a.npz", **stored, val_images=x)
    train, test = load_arrays(tmp_path / "a.npz")
    np.testing.assert_array_equal(train.x[:, 0], x[:3].astype(np.float32) / 255)
    assert train.y.tolist() == [0, 2, 1] and test.y.tolist() == [0, 1]
    del stored[names[1]]
    np.savez(tmp_path / "a.npz", **stored)
    with pytest.raises(ValueError, match=f"found no {names[1]}, but: "):
        load_arrays(tmp_path / "a.npz")


def test_labels_may_be_a_column_or_booleans(tmp_path):
    for y in (np.array([[0], [1]], np.uint8), np.array([False, True])):
        np.savez(tmp_path / "a.npz", x=np.zeros((2, 3)), y=y)
        train, _ = load_arrays(tmp_path / "a.npz")
        assert train.y.tolist() == [0, 1] and train.y.dtype == np.int64


# Layout


@pytest.mark.parametrize("shape", [(8, 8, 3), (28, 28, 1), (32, 48, 4), (4, 4, 3), (3, 3, 3)])
def test_channels_last_requires_the_layout_argument(tmp_path, shape):
    x = np.random.default_rng(0).integers(0, 256, (5, *shape), np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=np.zeros(5, int), x_test=x[:2], y_test=np.zeros(2, int))
    height, width, channels = shape
    either = rf"\({height}, {width}, {channels}\) or \({channels}, {height}, {width}\)"
    message = rf"a.npz: x has shape \(5, .* may be {either}: choose with layout=.* \(--layout on"
    with pytest.raises(ValueError, match=message):
        load_arrays(tmp_path / "a.npz")
    for part in load_arrays(tmp_path / "a.npz", layout="channels_last"):
        expected = x[: len(part)].transpose(0, 3, 1, 2).astype(np.float32) / 255
        np.testing.assert_array_equal(part.x, expected)
        assert part.x.flags.c_contiguous
    train, _ = load_arrays(tmp_path / "a.npz", layout="channels_first")
    np.testing.assert_array_equal(train.x, x.astype(np.float32) / 255)


@pytest.mark.parametrize(
    "shape",
    [
        (3, 8, 8),
        (1, 28, 28),
        (1, 1, 1),
        (64, 3, 3),
        (8, 8, 8),
        (1, 28, 1),
        (3, 32, 3),
        (8, 8, 2),
        (8, 8),
        (3, 3),
        (4,),
    ],
)
def test_channels_first_is_unchanged(tmp_path, shape):
    x = np.random.default_rng(0).standard_normal((5, *shape))
    np.savez(tmp_path / "a.npz", x=x, y=np.zeros(5, int))
    train, _ = load_arrays(tmp_path / "a.npz")
    np.testing.assert_array_equal(train.x.reshape(x.shape), x)


def test_an_unknown_layout_is_rejected(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3)), y=[0, 1])
    with pytest.raises(ValueError, match=r"load_arrays: layout is 'NHWC', expected 'channels_f"):
        load_arrays(tmp_path / "a.npz", layout="NHWC")
    train, _ = load_arrays(tmp_path / "a.npz", layout="channels_last")
    assert train.x.shape == (2, 3)  # features have no channels


# Claims


def test_labels_with_large_gaps_are_rejected(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3)), y=[0, 60_000])
    with pytest.raises(ValueError, match=r"a.npz: y has 2 different labels up to 60000, exp"):
        load_arrays(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 3)), y=np.array([0, 2**64 - 1], np.uint64))
    with pytest.raises(ValueError, match=r"a.npz: y has labels 0\.\.18446744073709551615"):
        load_arrays(tmp_path / "a.npz")


def zeros_npz(path, shapes):
    """Arrays of uint8 zeros of any size, compressed without allocating that size."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, shape in shapes.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(
                    member, {"descr": "|u1", "fortran_order": False, "shape": shape}
                )
                for _ in range(0, int(np.prod(shape)), 1 << 20):
                    member.write(bytes(1 << 20))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ((1 << 15, 32, 32), (1 << 20,), "x has 32768 samples, but y has 1048576"),
        ((1 << 25,), (1 << 20,), r"x has shape \(33554432,\), expected"),
        ((1 << 8, 1 << 17), (1 << 8, 1 << 12), r"y has shape \(256, 4096\) of uint8, expected"),
        ((1 << 20, 4, 4, 1), (1 << 20,), r"may be \(4, 4, 1\) or \(1, 4, 4\): choose with"),
    ],
)
def test_megabytes_of_zeros_are_not_decompressed_before_headers_are_checked(
    tmp_path, x, y, message
):
    import tracemalloc

    path = tmp_path / "a.npz"
    zeros_npz(path, {"x": x, "y": y})
    assert path.stat().st_size < 1 << 17
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            load_arrays(path)
        assert time.process_time() - start < 1
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(str(path))


def test_arrays_that_need_more_than_half_of_the_memory_are_refused(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 5), np.uint8), y=[0, 1, 0])
    monkeypatch.setattr(cnnx.data.limits, "_memory", lambda: 2 * 4 * 15)
    assert len(load_arrays(tmp_path / "a.npz")[0]) == 3
    monkeypatch.setattr(cnnx.data.limits, "_memory", lambda: 2 * 4 * 15 - 1)
    with pytest.raises(ValueError, match=r"a.npz: x \(3, 5\) takes .* GB as float32, more"):
        load_arrays(tmp_path / "a.npz")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_and_a_folder_are_rejected(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    (tmp_path / "b.npz").mkdir()
    for name, kind in (("a.npz", "named pipe"), ("b.npz", "folder")):
        with pytest.raises(ValueError, match=f"{name}: a {kind}, expected the file of arrays"):
            load_arrays(tmp_path / name)
