"""`load_folder` and `load_folders`: image folders with one subfolder per class."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

import cnnx.data.limits
from cnnx.data import load_folder, load_folders, load_image, select_classes, train_test_split

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)


def save(path, pixels=None, mode=None, **options):
    pixels = RNG.integers(0, 256, (4, 6), np.uint8) if pixels is None else np.asarray(pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels.astype(np.uint8))
    (image.convert(mode) if mode else image).save(path, **options)
    return pixels


def test_a_folder_of_grey_images_has_one_channel(tmp_path):
    pixels = [save(tmp_path / name) for name in ("cat/0.png", "cat/1.PNG", "dog/2.png")]
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "cat" / "Thumbs.db").write_text("not an image")
    (tmp_path / "cat" / ".DS_Store").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "README").write_text("not a class")
    data = load_folder(tmp_path)
    assert data.classes == ("cat", "dog") and data.y.tolist() == [0, 0, 1]
    assert data.names == ("cat/0.png", "cat/1.PNG", "dog/2.png")
    assert data.x.dtype == np.float32 and data.y.dtype == np.int64
    np.testing.assert_array_equal(data.x[:, 0], np.float32(pixels) / 255)


def test_one_colour_image_makes_three_channels_of_all(tmp_path):
    colour = save(tmp_path / "a" / "colour.png", RNG.integers(0, 256, (4, 6, 3)))
    grey = save(tmp_path / "b" / "grey.png")
    data = load_folder(str(tmp_path))
    assert data.x.shape == (2, 3, 4, 6)
    np.testing.assert_array_equal(data.x[0], colour.transpose(2, 0, 1).astype(np.float32) / 255)
    np.testing.assert_array_equal(data.x[1], [grey.astype(np.float32) / 255] * 3)
    assert load_folder(tmp_path, channels=1).x.shape == (2, 1, 4, 6)


def test_every_format_besides_png_is_read(tmp_path):
    suffixes = ("bmp", "gif", "jpeg", "jpg", "png", "ppm", "tif", "tiff", "webp")
    for suffix in suffixes:
        save(tmp_path / "a" / f"0.{suffix}")
    assert load_folder(tmp_path).names == tuple(f"a/0.{suffix}" for suffix in suffixes)


def test_each_image_equals_that_of_load_image(tmp_path):
    save(tmp_path / "a" / "0.png", RNG.integers(0, 256, (9, 5, 4)))
    save(tmp_path / "b" / "1.jpg", RNG.integers(0, 256, (30, 40)))
    look = {"size": (6, 7), "channels": 3, "background": "black", "invert": True}
    data = load_folder(tmp_path, **look)
    for x, name in zip(data.x, data.names, strict=True):
        np.testing.assert_array_equal(x, load_image(tmp_path / name, **look))


def test_names_follow_their_samples(tmp_path):
    for k in range(12):
        save(tmp_path / "abc"[k % 3] / f"{k}.png", np.full((2, 2), [[k, 99], [0, 0]]))

    def match(data):
        return [round(255 * x[0, 0, 0]) for x in data.x] == [int(n[2:-4]) for n in data.names]

    data = load_folder(tmp_path)
    assert match(data) and len(data.names) == 12
    train, test = train_test_split(data, test_size=3)
    chosen = select_classes(data, [2, 0], per_class=2)
    parts = (train, test, chosen, data[3:7], data[[5, 1]], data[data.y == 1], data[[]], data[::-1])
    for part in parts:
        assert match(part) and len(part.names) == len(part)
    assert cnnx.data.normalize(data).names == data.names


# Files that are not images


def test_files_that_may_be_missed_are_named_in_one_warning(tmp_path):
    for name in ("cat/0.png", "dog/1.png"):
        save(tmp_path / name)
    (tmp_path / "cat" / "IMG_1.heic").write_bytes(b"")
    (tmp_path / "dog" / "more").mkdir()
    with pytest.warns(UserWarning) as caught:
        data = load_folder(tmp_path)
    assert len(data) == 2 and len(caught) == 1 and caught[0].filename == __file__
    assert "left out: 2 files such as cat/IMG_1.heic; images are .png, .jpg" in str(
        caught[0].message
    )
    save(tmp_path / "loose.png")
    with pytest.warns(UserWarning, match=r"left out: 3 files such as loose.png"):
        load_folder(tmp_path)


def test_images_of_one_colour_are_named_in_one_warning(tmp_path):
    save(tmp_path / "a" / "0.png")
    for k in (1, 2):
        save(tmp_path / "a" / f"{k}.png", np.full((4, 6, 4), [255, 255, 255, 0]))
    message = r"all pixels have the same value in 2 images such as a/1.png; .* on 1: "
    with pytest.warns(UserWarning, match=message) as caught:
        load_folder(tmp_path)
    assert len(caught) == 1


def test_the_first_image_of_another_size_is_named(tmp_path):
    for name in ("0.png", "1.png", "3.png"):
        save(tmp_path / "a" / name)
    save(tmp_path / "a" / "2.png", np.zeros((6, 4)))
    with pytest.raises(ValueError, match=r"2.png: 4 x 6 pixels .*0.png has 6 x 4; .* size= .*sc"):
        load_folder(tmp_path)


def test_photos_with_different_orientations_have_different_sizes(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a" / "0.jpg")
    save(tmp_path / "a" / "1.jpg", exif=exif)
    with pytest.raises(ValueError, match=r"1.jpg: 4 x 6 pixels"):
        load_folder(tmp_path)


def test_a_damaged_image_is_named(tmp_path):
    save(tmp_path / "a" / "0.png")
    save(tmp_path / "a" / "1.png")
    content = (tmp_path / "a" / "1.png").read_bytes()
    for keep in (0, 60):
        (tmp_path / "a" / "1.png").write_bytes(content[:keep])
        with pytest.raises(ValueError, match=r"1.png: (not an image|damaged or truncated)"):
            load_folder(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_file_that_is_not_an_image_despite_its_suffix_is_named(tmp_path):
    save(tmp_path / "a" / "0.png")
    os.mkfifo(tmp_path / "a" / "z.png")
    with pytest.raises(ValueError, match=r"z.png: a named pipe, expected the file of an image"):
        load_folder(tmp_path)
    (tmp_path / "a" / "z.png").unlink()
    (tmp_path / "a" / "x.png").mkdir()
    with pytest.raises(ValueError, match=r"x.png: a folder, expected the file of an image"):
        load_folder(tmp_path)


def test_links_are_followed_and_broken_ones_are_named(tmp_path):
    save(tmp_path / "elsewhere" / "0.png")
    root = tmp_path / "root"
    save(root / "a" / "0.png")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "up").symlink_to(root)  # a cycle, which is not followed
    with pytest.warns(UserWarning, match="left out: a/up"):
        assert load_folder(root).names == ("a/0.png", "b/0.png")
    (root / "a" / "up").unlink()
    (root / "c").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"a broken link.*root/c"):
        load_folder(root)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux alone")
def test_names_that_are_not_utf_8_are_written_with_their_bytes(tmp_path):
    folder = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(folder)
    with open(os.path.join(folder, b"\xff.png"), "wb") as file:
        Image.fromarray(RNG.integers(0, 256, (4, 6), np.uint8)).save(file, "png")
    data = load_folder(tmp_path)
    assert data.classes == (r"caf\xe9",) and data.names == (r"caf\xe9/\xff.png",)
    json_and_tables = " ".join((*data.classes, *data.names))
    assert json_and_tables.encode("utf-8")


def test_images_that_need_more_than_half_of_the_memory_are_refused(tmp_path, monkeypatch):
    for k in range(3):
        save(tmp_path / "a" / f"{k}.png", np.zeros((100, 200)) + np.arange(200))
    monkeypatch.setattr(cnnx.data.limits, "_memory", lambda: 2 * 3 * 4 * 100 * 200)
    assert len(load_folder(tmp_path)) == 3
    with pytest.raises(
        ValueError, match=r"the array .3, 3, 100, 200. takes .* GB as float32, more than half"
    ):
        load_folder(tmp_path, channels=3)
    assert len(load_folder(tmp_path, channels=3, size=50)) == 3


def test_a_folder_without_classes_or_images_is_an_error(tmp_path):
    with pytest.raises(
        ValueError, match=r"expected a folder of images for each class, found no fold"
    ):
        load_folder(tmp_path)
    save(tmp_path / "0.png")
    with pytest.raises(ValueError, match=r"expected a folder .* for each class, found 0.png"):
        load_folder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: found none, expected images: .png, .jpg"):
        load_folder(tmp_path)
    (tmp_path / "empty" / "deeper").mkdir()
    with pytest.raises(ValueError, match=r"empty: found empty/deeper, expected images"):
        load_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        load_folder(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError):
        load_folder(tmp_path / "0.png")


def test_without_pillow_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install 'cnnx\[images\]'"):
        load_folder(tmp_path)


# Train and test


@pytest.mark.parametrize(("first", "second"), [("train", "test"), ("Training", "val")])
def test_train_and_test_have_the_classes_of_train_by_name(tmp_path, first, second):
    for name in ("cat/0.png", "dog/1.png", "horse/2.png"):
        save(tmp_path / first / name)
    for name in ("dog/3.png", "horse/4.png"):
        save(tmp_path / second / name)
    train, test = load_folders(tmp_path)
    assert train.classes == test.classes == ("cat", "dog", "horse")
    assert train.y.tolist() == [0, 1, 2] and test.y.tolist() == [1, 2]
    assert test.names == (f"{second}/dog/3.png", f"{second}/horse/4.png")
    np.testing.assert_array_equal(test.x[0], load_image(tmp_path / test.names[0]))


def test_train_and_test_have_one_size_and_as_many_channels(tmp_path):
    save(tmp_path / "train" / "a" / "0.png")
    save(tmp_path / "test" / "a" / "0.png", RNG.integers(0, 256, (4, 6, 3)))
    train, test = load_folders(tmp_path)
    assert train.x.shape == test.x.shape == (1, 3, 4, 6)
    save(tmp_path / "test" / "a" / "1.png", np.zeros((5, 5)))
    with pytest.raises(ValueError, match=r"test/a/1.png: 5 x 5 pixels"):
        load_folders(tmp_path)


def test_a_class_that_train_lacks_is_named_with_those_it_has(tmp_path):
    for name in ("train/cat/0.png", "train/dog/0.png", "test/cow/0.png"):
        save(tmp_path / name)
    with pytest.raises(ValueError, match=r"test: found a folder for cow, .* classes are cat, dog$"):
        load_folders(tmp_path)


def test_a_third_folder_is_left_out_with_a_warning(tmp_path):
    for part in ("train", "val", "test"):
        save(tmp_path / part / "cat" / "0.png")
    with pytest.warns(UserWarning, match=r"val is left out: train and test are read"):
        _, test = load_folders(tmp_path)
    assert test.names == ("test/cat/0.png",)


def test_a_folder_of_classes_has_no_test_set(tmp_path):
    for name in ("train", "test"):  # classes that happen to have these names
        save(tmp_path / name / "0.png")
    train, test = load_folders(tmp_path)
    assert train.classes == ("test", "train") and test is None


def test_load_folder_suggests_load_folders_for_train_and_test(tmp_path):
    for part in ("train", "test"):
        save(tmp_path / part / "cat" / "0.png")
    with pytest.raises(ValueError, match=r"found train and test, .*: load_folders reads both"):
        load_folder(tmp_path)
    assert load_folder(tmp_path / "test").classes == ("cat",)
