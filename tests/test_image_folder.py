"""`ImageFolder`: images are read when they are needed, and kept within a limit."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_helpers import decoded_files

import cnnx
from cnnx.data import (
    Dataset,
    ImageFolder,
    Subset,
    batches,
    image_folder,
    load_folder,
    load_folders,
    train_test_split,
)

Image = pytest.importorskip("PIL.Image")

CLASSES = ("cat", "dog", "owl")


def write(root, count=4, size=(6, 5), classes=CLASSES, seed=0):
    rng = np.random.default_rng(seed)
    for name in classes:
        (root / name).mkdir(parents=True)
        for k in range(count):
            pixels = rng.integers(0, 256, (*size, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{k}.png")
    return root


@pytest.fixture
def read(monkeypatch):
    return decoded_files(monkeypatch)


def model(classes=3):
    return cnnx.Sequential(
        cnnx.Conv2D(3, 4, 3),
        cnnx.ReLU(),
        cnnx.GlobalAvgPool2D(),
        cnnx.Flatten(),
        cnnx.Linear(4, classes),
    )


def test_its_samples_are_those_of_load_folder(tmp_path):
    whole, folder = load_folder(write(tmp_path)), ImageFolder(tmp_path)
    x, y = next(iter(batches(folder, 12)))
    np.testing.assert_array_equal(x, whole.x)
    np.testing.assert_array_equal(y, whole.y)
    assert x.dtype == np.float32 and y.dtype == np.int64
    assert folder.classes == whole.classes == CLASSES and folder.names == whole.names
    scaled = ImageFolder(tmp_path, (4, 3), 1, invert=True)
    expected = load_folder(tmp_path, (4, 3), 1, invert=True).x
    np.testing.assert_allclose(scaled.take(np.arange(12))[0], expected, atol=1e-6)


def save_deep(root, kind):
    """An image of pixels that 8 bits do not hold, as PNG, GIF or WebP."""
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (6, 5, 4), np.uint8)
    path = root / "cat" / f"deep.{kind.split()[0]}"
    if kind == "png 16":
        Image.fromarray(rng.integers(0, 65536, (6, 5), np.uint16)).save(path)
    elif kind == "png palette":
        index = Image.fromarray(levels[..., 0] // 64).convert("P")
        index.putpalette(levels[:, :, :3].tobytes()[:12])
        index.save(path, transparency=bytes([0, 90, 180, 255]))
    elif kind == "gif":
        Image.fromarray(levels[..., 0] % 4).save(path, transparency=2)
    else:
        Image.fromarray(levels).save(path, **({"lossless": True} if "webp" in kind else {}))


@pytest.mark.parametrize("kind", ["png 16", "png palette", "png", "gif", "webp"])
def test_open_folders_has_the_bits_of_load_folders_for_deep_images_too(tmp_path, kind):
    write(tmp_path / "train"), write(tmp_path / "test", 2, classes=("owl", "cat"), seed=1)
    for deep in (False, True):
        if deep:
            save_deep(tmp_path / "test", kind)
        for options in ({}, {"size": (4, 3), "channels": 1, "background": 0.3}):
            parts = image_folder.open_folders(tmp_path, **options)
            for folder, whole in zip(parts, load_folders(tmp_path, **options), strict=True):
                assert folder.dtype == (np.float32 if deep else np.uint8)
                assert folder.names == whole.names and folder.classes == whole.classes
                for _ in range(2):  # from the files, and from the cache
                    x, y = folder.take(np.arange(len(whole)))
                    np.testing.assert_array_equal(x, whole.x)
                    np.testing.assert_array_equal(y, whole.y)
    only, none = image_folder.open_folders(tmp_path / "train")
    assert none is None and only.names == load_folder(tmp_path / "train").names


def test_two_folders_share_the_memory_of_the_cache(tmp_path):
    write(tmp_path / "train"), write(tmp_path / "test")
    train, test = image_folder.open_folders(tmp_path, cache_bytes=90 * 17)
    for folder in (train, test):
        folder.take(np.arange(12))
    assert (train.cached, test.cached) == (12, 5)


def test_all_headers_are_read_before_any_image_is_decoded(tmp_path, read):
    Image.new("RGB", (7, 6)).save(write(tmp_path) / "owl" / "1.png")
    with pytest.raises(ValueError, match=r"owl.1\.png: 7 x 6 pixels .* cat.0.png has 5 x 6"):
        image_folder.open_folders(tmp_path)
    assert not read


def test_a_cache_of_floats_keeps_what_bytes_would_round(tmp_path):
    save_deep(write(tmp_path), "png")
    expected = load_folder(tmp_path).x
    exact, rounded = ImageFolder(tmp_path, dtype="float32"), ImageFolder(tmp_path)
    for _ in range(2):
        np.testing.assert_array_equal(exact.take(np.arange(13))[0], expected)
    difference = np.abs(rounded.take(np.arange(13))[0] - expected).max()
    assert 0 < difference <= 0.5001 / 255
    with pytest.raises(ValueError, match="dtype is float64, expected uint8 or float32"):
        ImageFolder(tmp_path, dtype=float)


def test_train_test_split_chooses_the_samples_that_it_chooses_of_arrays(tmp_path, read):
    folder = ImageFolder(write(tmp_path, 7))
    arrays = Dataset(np.arange(21), folder.y)
    for options in ({"test_size": 6}, {"test_size": 0.3, "stratify": False, "seed": 5}):
        parts = train_test_split(folder, **options)
        for part, whole in zip(parts, train_test_split(arrays, **options), strict=True):
            assert isinstance(part, Subset)
            assert part.indices.tolist() == whole.x.tolist()
            assert part.y.tolist() == whole.y.tolist()
    assert not read


def test_nothing_is_decoded_before_a_batch_needs_it(tmp_path, read):
    folder = ImageFolder(write(tmp_path))
    part = folder[4:6]
    assert isinstance(part, Subset) and part.y.tolist() == [1, 1] and not read
    assert part.classes == CLASSES and part.names == ("dog/0.png", "dog/1.png")
    x, y = folder[-1]
    assert x.shape == (3, 6, 5) and y == 2
    assert read == [str(tmp_path / "owl" / "3.png")]


@pytest.mark.parametrize("room", [0, 5, 12, 100])
def test_the_cache_keeps_what_was_read_first_within_its_limit(tmp_path, read, room):
    folder = ImageFolder(write(tmp_path), cache_bytes=90 * room + 89)
    loader = batches(folder, 4, shuffle=True, seed=0)
    first = [x.tobytes() for x, _ in loader.epoch(0)]
    assert len(read) == 12 and folder.cached == min(room, 12)
    assert [x.tobytes() for x, _ in loader.epoch(0)] == first  # the same bits from the cache
    assert len(read) == 12 + max(12 - room, 0)
    kept = set(read[:room])
    assert not kept & set(read[12:])


def test_any_number_of_workers_reads_the_same_bits(tmp_path):
    write(tmp_path, 20)
    runs = []
    for workers in (0, 1, 4):
        folder = ImageFolder(tmp_path, 8, cache_bytes=30 * 192)
        loader = batches(folder, 7, shuffle=True, seed=3, workers=workers)
        runs.append([(x.tobytes(), y.tobytes()) for _ in range(2) for x, y in loader])
        assert folder.cached == 30
    assert runs[0] == runs[1] == runs[2]


def test_a_damaged_image_is_an_error_with_its_path(tmp_path):
    (write(tmp_path) / "dog" / "2.png").write_bytes(b"not an image")
    folder = ImageFolder(tmp_path, size=4)
    for workers in (0, 2):
        with pytest.raises(ValueError, match=r"dog.2\.png: not an image"):
            list(batches(folder, 4, workers=workers))


def test_an_image_of_another_size_is_an_error_with_its_path(tmp_path):
    Image.new("RGB", (7, 6)).save(write(tmp_path) / "owl" / "1.png")
    folder = ImageFolder(tmp_path)
    with pytest.raises(ValueError, match=r"owl.1\.png: 7 x 6 pixels .* cat/0.png has 5 x 6"):
        list(batches(folder, 4))


def test_classes_of_a_validation_set_are_those_of_the_training_set(tmp_path):
    train = ImageFolder(write(tmp_path / "a"))
    held_out = ImageFolder(write(tmp_path / "b", 2, classes=("owl", "cat")), classes=train.classes)
    assert held_out.classes == CLASSES and held_out.y.tolist() == [0, 0, 2, 2]
    with pytest.raises(ValueError, match="found a folder for dog, owl, but the classes are cat"):
        ImageFolder(tmp_path / "a", classes=["cat"])


def test_wrong_folders_and_arguments_are_refused(tmp_path):
    write(tmp_path / "train"), write(tmp_path / "test")
    with pytest.raises(ValueError, match="load_folders reads both, ImageFolder one of them"):
        ImageFolder(tmp_path)
    with pytest.raises(ValueError, match="a folder of images for each class, found 4 images"):
        ImageFolder(tmp_path / "train" / "cat")
    with pytest.raises(ValueError, match="cache_bytes must be 0 or more, got -1"):
        ImageFolder(tmp_path / "train", cache_bytes=-1)
    with pytest.raises(ValueError, match="channels is 2"):
        ImageFolder(tmp_path / "train", channels=2)
    with pytest.raises(IndexError, match="index 12, but there are 12 images"):
        ImageFolder(tmp_path / "train")[12]


def test_a_folder_is_pickled_without_its_cache(tmp_path):
    folder = ImageFolder(write(tmp_path))
    x = folder.take(np.arange(12))[0]
    other = pickle.loads(pickle.dumps(folder))
    assert folder.cached == 12 and other.cached == 0
    np.testing.assert_array_equal(other.take(np.arange(12))[0], x)


def test_fit_evaluate_and_predict_read_a_folder_as_they_read_arrays(tmp_path):
    write(tmp_path / "train", 8), write(tmp_path / "val", 3, seed=1)
    results = []
    for source in (ImageFolder, load_folder):
        train, held_out = source(tmp_path / "train"), source(tmp_path / "val")
        cnnx.manual_seed(0)
        net = model()
        workers = 2 if source is ImageFolder else 0
        settings = {"epochs": 2, "batch_size": 8, "seed": 0, "workers": workers}
        history = cnnx.fit(net, train, validation=held_out, verbose=False, **settings)
        scores = cnnx.evaluate(net, held_out)
        results.append((history[-1]["loss"], scores.accuracy, cnnx.predict(net, held_out)))
        assert scores.loss == pytest.approx(history[-1]["val_loss"])
    assert results[0][:2] == results[1][:2]
    np.testing.assert_array_equal(results[0][2], results[1][2])


# Memory

TRAIN = """
import resource, sys
import numpy as np
import cnnx

def peak():
    with open("/proc/self/status") as status:  # VmHWM, in kB: ru_maxrss counts the parent's, too
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024

model = cnnx.models.resnet20(classes=4) if sys.argv[2] == "large" else cnnx.Sequential(
    cnnx.Conv2D(3, 4, 3), cnnx.ReLU(), cnnx.GlobalAvgPool2D(), cnnx.Flatten(), cnnx.Linear(4, 4))
size = int(sys.argv[3])
x = np.zeros((128, 3, size, size), np.float32)
cnnx.fit(model, (x, np.arange(128) % 4), batch_size=128, verbose=False)
before = peak()
folder = cnnx.data.ImageFolder(sys.argv[1], cache_bytes=int(sys.argv[4]))
cnnx.fit(model, folder, batch_size=128, epochs=int(sys.argv[5]), workers=2, verbose=False)
print(len(folder), folder.cached, peak() - before)
"""


def trained(root, *arguments):
    """Images, those in the cache, and bytes beyond those of training on one batch from memory."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRAIN, str(root), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")


@needs_proc
def test_training_takes_no_more_memory_than_cache_and_batches(tmp_path):
    """300 images of 64x64 are 3.7 MB as bytes, and 14.7 MB as floats."""
    write(tmp_path, 75, (64, 64), ("a", "b", "c", "d"))
    images, cached, extra = trained(tmp_path, "small", 64, 1 << 20, 1)
    assert (images, cached) == (300, (1 << 20) // (64 * 64 * 3))
    # The cache; and for each of 2 * 2 + 1 batches, at most 8 MB as bytes and as floats.
    assert extra < (1 << 20) + 5 * 8e6 + 20e6


@needs_proc
@pytest.mark.nightly
def test_a_folder_of_20000_images_trains_in_300_megabytes_beyond_the_model(tmp_path):
    write(tmp_path, 5000, (32, 32), ("a", "b", "c", "d"))
    images, cached, extra = trained(tmp_path, "large", 32, 256 << 20, 2)
    print(f"{images} images, {cached} in the cache: {extra / 1e6:.0f} MB beyond the model")
    assert images == cached == 20_000 and extra < 300e6
