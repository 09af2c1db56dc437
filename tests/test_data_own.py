"""Data sets of the user: arrays in npz files, and folders of images."""

from __future__ import annotations

import os
import sys
import zipfile
import zlib

import numpy as np
import pytest

from cnnx.data import (
    load_arrays,
    load_folder,
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
