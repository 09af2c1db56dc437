"""Data sets of the user: arrays in npz files."""

from __future__ import annotations

import os
import zipfile

import numpy as np
import pytest

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
