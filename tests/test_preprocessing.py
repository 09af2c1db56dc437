"""`Preprocessing`: units, layouts, images and arrays, and the files that store it."""

from __future__ import annotations

import copy
import dataclasses
import io as text_io
import json

import numpy as np
import pytest

import cnnx
from cnnx import Preprocessing, io

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 1, 4, 5), np.uint8)
PIXELS[0, 0, 0, :2] = 0, 255


def fitted(x, **settings):
    return Preprocessing.from_data((x, np.arange(len(x)) % 2), **settings)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (PIXELS, (0, 1)),
        (PIXELS.astype(np.int64), (0, 255)),
        (PIXELS.astype(np.float32), (0, 255)),
        (PIXELS * 0.99, (0, 255)),
        (PIXELS // 16, (0, 1)),
        ((PIXELS // 16).astype(int), (0, 15)),
        (PIXELS.astype(np.uint16) * 257, (0, 65535)),
        (PIXELS / 255, (0, 1)),
        (PIXELS / 127.5 - 1, (-1, 1)),
        (PIXELS / 60 - 2, None),
        (PIXELS * 0.01, None),
        (PIXELS * 1e-9, (0, 1)),
        (PIXELS.astype(int) - 300, None),
        (PIXELS > 128, (0, 1)),
        (PIXELS.astype(float).reshape(6, 20), None),
        (PIXELS.reshape(6, 20), (0, 1)),
    ],
    ids=range(16),
)
def test_the_range_is_derived_from_the_numbers(x, expected):
    assert fitted(x).value_range == expected


@pytest.mark.parametrize("make", [np.uint8, np.int16, np.int64, np.float32, np.float64])
def test_images_and_arrays_of_any_dtype_have_the_same_units(tmp_path, make):
    image = pytest.importorskip("PIL.Image")
    image.fromarray(PIXELS[0, 0]).save(tmp_path / "a.png")
    prepare = fitted(PIXELS.astype(make))
    expected = PIXELS.astype(np.float64) / 255
    x = prepare(PIXELS.astype(make))
    assert x.dtype == (np.float64 if make is np.float64 else np.float32)
    assert np.allclose(x, expected, rtol=1e-6, atol=0)
    assert np.allclose(prepare.read(tmp_path / "a.png"), expected[0], rtol=1e-6, atol=0)
    assert np.allclose(prepare.from_unit(expected), expected, rtol=1e-6, atol=0)
    assert np.allclose(prepare(PIXELS), expected, rtol=1e-6, atol=0)  # bytes instead of ints


def test_a_model_of_16_levels_reads_images_of_256(tmp_path):
    image = pytest.importorskip("PIL.Image")
    x = np.arange(17).reshape(1, 17).repeat(2, 0)[None, None]
    image.fromarray((x[0, 0] * 255 / 16).round().astype(np.uint8)).save(tmp_path / "a.png")
    prepare = fitted(x)
    assert np.allclose(prepare.read(tmp_path / "a.png"), x[0] / 16, atol=0.5 / 255)
    assert np.array_equal(prepare(x), (x / 16).astype(np.float32))
    with pytest.raises(ValueError, match=r"to 255.*from 0 \(black\) to 16 \(white\)"):
        prepare(np.full((1, 2, 17), 255, np.uint8))


def test_numbers_outside_the_training_units_are_rejected(tmp_path):
    image = pytest.importorskip("PIL.Image")
    image.fromarray(PIXELS[0, 0]).save(tmp_path / "a.png")
    unit = fitted(PIXELS / 255)
    with pytest.raises(ValueError, match=r"mine: numbers from 0 to 255.*1 \(white\)"):
        unit(PIXELS.astype(np.float32), "mine")
    with pytest.raises(ValueError, match="nan"):
        unit(np.full((1, 4, 5), np.nan))
    with pytest.raises(ValueError, match=r"fractions from 0 to 1.*255 \(white\)"):
        fitted(PIXELS.astype(int))(PIXELS / 255)
    unknown = fitted(PIXELS / 60 - 2)
    assert np.array_equal(unknown(PIXELS / 60 - 2), PIXELS / 60 - 2)
    for call in (
        lambda: unknown.read(tmp_path / "a.png"),
        lambda: unknown.from_unit(PIXELS / 255),
        lambda: unknown(PIXELS),
    ):
        with pytest.raises(ValueError, match=r"scale is not known: give an \.npy file"):
            call()
    with pytest.raises(ValueError, match=r"a\.png: 5 x 4 pixels.*8 x 8"):
        Preprocessing((1, 8, 8)).read(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: the model takes \(7,\)"):
        Preprocessing((7,)).read(tmp_path / "a.png")
    assert Preprocessing((1, 8, 8), resize=True).read(tmp_path / "a.png").shape == (1, 8, 8)
    assert Preprocessing((1, None, None)).read(tmp_path / "a.png").shape == (1, 4, 5)
    masked = np.ma.masked_array(PIXELS / 255, PIXELS > 5)
    with pytest.raises(TypeError, match="mask"):
        unit(masked)
    with pytest.raises(TypeError, match="real numbers"):
        unit(np.array(["a"]))


def test_shapes_and_layouts():
    x = np.random.default_rng(0).random((5, 4, 6, 3))
    last = Preprocessing((3, 4, 6), layout="channels_last")
    assert np.array_equal(last(x), x.transpose(0, 3, 1, 2))
    assert np.array_equal(last(x[0]), x[:1].transpose(0, 3, 1, 2))
    with pytest.raises(ValueError, match=r"\(5, 4, 6, 3\).*\(3, 4, 6\).*channels_last"):
        Preprocessing((3, 4, 6))(x)
    grey = Preprocessing((1, 4, 6))
    for given in (x[..., 0], x[0, :, :, 0], x[:1, :, :, 0], x[:, None, :, :, 0]):
        assert grey(given).shape == (given.size // 24, 1, 4, 6)
    assert Preprocessing((1, 4, 6), layout="channels_last")(x[..., :1]).shape == (5, 1, 4, 6)
    assert grey(x[:0, :, :, 0]).shape == (0, 1, 4, 6)
    with pytest.raises(ValueError, match=r"mine: shape \(5, 7\).*\(20,\)"):
        Preprocessing((20,))(x[:, 0, 0, :1] * np.ones(7), "mine")
    same = x.astype(np.float32).transpose(0, 3, 1, 2)
    assert Preprocessing((3, 4, 6))(same) is same


def test_standardised_and_inverted_in_that_order():
    x = np.random.default_rng(0).random((5, 2, 4, 6))
    mean, std = (0.25, 0.5), (2.0, 4.0)
    along = np.reshape(mean, (2, 1, 1)), np.reshape(std, (2, 1, 1))
    given = Preprocessing((2, 4, 6), mean=mean, std=std, invert=True)
    assert np.allclose(given(x), (1 - x - along[0]) / along[1], rtol=1e-12)
    assert np.array_equal(given(x), given.from_unit(x))


def test_negatives_positives_and_unusual_images_are_distinguished():
    digits = cnnx.data.load_digits()[0]
    prepare = Preprocessing.from_data(digits)
    means = digits.x.astype(np.float64).mean(axis=(1, 2, 3))
    assert prepare.brightness == pytest.approx((means.mean(), means.std()), rel=1e-6)
    x = prepare(digits.x)
    assert not prepare.looks_unusual(x).any()
    assert prepare.looks_unusual(1 - x).all() and prepare.looks_inverted(1 - x).all()
    white = np.ones((1, 1, 8, 8), np.float32)
    assert prepare.looks_unusual(white).all() and not prepare.looks_inverted(white).any()
    standard = dataclasses.replace(prepare, mean=(0.3,), std=(0.1,))
    assert standard.looks_inverted(standard(1 - digits.x)).all()
    assert not standard.looks_unusual(standard(digits.x)).any()


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"input_shape": 5}, ValueError, "input_shape is 5"),
        ({"input_shape": ()}, ValueError, "input_shape"),
        ({"input_shape": (1, 0, 4)}, ValueError, "at least 1"),
        ({"input_shape": (1, 2**62, 4)}, ValueError, "at most"),
        ({"input_shape": (1.5,)}, TypeError, "not an integer"),
        ({"classes": (1, 2)}, TypeError, "names"),
        ({"classes": "cat"}, None, ""),
        ({"value_range": (1, 1)}, ValueError, "low, high"),
        ({"value_range": (0, np.inf)}, ValueError, "value_range"),
        ({"value_range": 255}, ValueError, "expected 2"),
        ({"mean": (0.5,)}, ValueError, "both"),
        ({"mean": (0.5,), "std": (0.0,)}, ValueError, "above 0"),
        ({"mean": (0.5, 1), "std": (1.0, 1)}, ValueError, "2 numbers, expected 1"),
        ({"layout": "nhwc"}, ValueError, "channels_first or channels_last"),
        ({"invert": 1}, TypeError, "True or False"),
        ({"background": (0, 1)}, ValueError, "background"),
        ({"brightness": ("a", 1)}, TypeError, "brightness"),
    ],
    ids=range(17),
)
def test_values_are_checked_when_it_is_built_and_when_it_is_read(settings, error, words):
    given = {"input_shape": (1, 4, 5), **settings}
    if error is None:
        assert Preprocessing(**given).classes == ("cat",)
        return
    with pytest.raises(error, match=words):
        Preprocessing(**given)
    with pytest.raises(ValueError):
        Preprocessing.from_json(given)


def test_a_model_file_contains_the_preprocessing(tmp_path):
    model = cnnx.Sequential(cnnx.Flatten(), cnnx.Linear(20, 2))
    assert model.preprocessing is None
    with pytest.raises(TypeError, match="expected a Preprocessing or None"):
        model.preprocessing = (1, 4, 5)
    model.preprocessing = fitted(
        PIXELS.astype(int), classes=("猫", "dog"), background=(0.1, 0.2, 0.3), invert=True
    )
    for twin in (model.copy(), copy.deepcopy(model)):
        assert twin.preprocessing == model.preprocessing
    model.save(tmp_path / "model.npz")
    assert cnnx.load(tmp_path / "model.npz").preprocessing == model.preprocessing
    stream = text_io.BytesIO()
    cnnx.Sequential(model).save(stream)  # an outer model does not store that of an inner one
    stream.seek(0)
    assert cnnx.load(stream).preprocessing is None


def test_older_files_load_and_inconsistent_files_do_not(tmp_path):
    path = tmp_path / "model.npz"
    cnnx.Sequential(cnnx.ReLU()).save(path)
    arrays, meta = io.load_npz(path)
    assert meta["version"] == 1
    io.save_npz(path, arrays, {k: v for k, v in meta.items() if k != "preprocessing"})
    assert cnnx.load(path).preprocessing is None
    good = Preprocessing((1, 4, 5)).to_json()
    for lie in (
        *(5, [], {}, "x", {**good, "more": 1}, {**good, "input_shape": None}),
        *({**good, "classes": {"a": 1}}, {**good, "value_range": [0, 1e400]}),
        {**good, "value_range": [0, 10**400]},
        {**good, "background": [[[1]] * 3] * 9},
        {**good, "background": {"a": []}},
        {**good, "brightness": [None, None]},
    ):
        text = json.loads(json.dumps({**meta, "preprocessing": lie}))
        io.save_npz(path, arrays, text)
        with pytest.raises(ValueError, match=r"model\.npz.*"):
            cnnx.load(path)
