"""Transforms of batches; expected values are made by hand, by Pillow, or by loops over pixels."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from cnnx.data import Dataset, batches
from cnnx.data.transforms import (
    CenterCrop,
    ColorJitter,
    Compose,
    CutMix,
    MixUp,
    Normalize,
    RandAugment,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    RandomHorizontalFlip,
    RandomRotation,
    RandomVerticalFlip,
    Resize,
    Transform,
)

ALL = [
    RandomCrop(6, padding=2),
    CenterCrop((5, 4)),
    RandomHorizontalFlip(),
    RandomVerticalFlip(0.3),
    RandomFlip(0.5, 0.5),
    RandomRotation(30),
    RandomAffine(10, (0.1, 0.1), (0.9, 1.1), 5, "bilinear"),
    ColorJitter(0.4, 0.4, 0.4, 0.1),
    RandomErasing(),
    RandAugment(3),
    Normalize((0.1, 0.2, 0.3), 0.5),
    Resize(5),
    MixUp(num_classes=4),
    CutMix(num_classes=4),
    Compose([RandomCrop(6), RandomHorizontalFlip(), MixUp(0.2, 4)]),
]


def images(n=8, c=3, h=8, w=9, dtype=np.float32):
    return np.random.default_rng(5).random((n, c, h, w)).astype(dtype)


def rng(seed=0):
    return np.random.default_rng(seed)


# What all of them have in common


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
def test_a_transform_is_a_function_of_its_input_and_the_generator(transform):
    x, y = images(), np.arange(8) % 4
    before = x.copy()
    first, labels = transform(x, y, rng())
    again, same = pickle.loads(pickle.dumps(transform))(x, y, rng())
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(labels, same)
    np.testing.assert_array_equal(x, before)
    assert first.dtype == np.float32 and first.flags.c_contiguous and first.flags.writeable
    assert not np.shares_memory(first, x)
    assert transform(images(dtype=np.float64), y, rng())[0].dtype == np.float64
    assert eval(repr(transform)) == transform
    assert repr(eval(repr(transform))) == repr(transform)
    empty, _ = transform(x[:0], y[:0], rng())
    assert empty.shape == (0, *first.shape[1:])


def test_by_hand_a_transform_takes_a_seed_and_one_image_or_many():
    x = images()
    crop = RandomCrop(6)
    np.testing.assert_array_equal(crop(x, seed=3), crop(x, np.zeros(8), rng(3))[0])
    np.testing.assert_array_equal(crop(x[0], seed=3), crop(x[:1], seed=3)[0])
    one, label = crop(x[0], 7, rng(3))
    assert one.shape == (3, 6, 6) and label == 7
    with pytest.raises(ValueError, match="RandomCrop: give rng or seed, not both"):
        crop(x, rng=rng(), seed=3)


def test_bytes_become_fractions():
    pixels = rng().integers(0, 256, (2, 3, 4, 4), np.uint8)
    found = CenterCrop(4)(pixels)
    np.testing.assert_array_equal(found, (pixels / np.float32(255)).astype(np.float32))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: CenterCrop(4)(np.zeros((4, 4))), ValueError, r"\(4, 4\), expected images"),
        (lambda: CenterCrop(4)(np.zeros((1, 4, 4), int)), TypeError, "int64, expected float32"),
        (lambda: RandomCrop(0), ValueError, "RandomCrop: size"),
        (lambda: RandomCrop(4, (1, 2, 3)), ValueError, "expected 1, 2 or 4 numbers"),
        (lambda: RandomCrop(9, 0)(images()), ValueError, r"size is \(9, 9\), but .* \(8, 9\)"),
        (lambda: RandomHorizontalFlip(1.5), ValueError, "p is 1.5, expected a probability"),
        (lambda: RandomRotation(-3), ValueError, "degrees is -3, expected 0 or more"),
        (lambda: RandomRotation(3, "cubic"), ValueError, "interpolation"),
        (lambda: RandomAffine(0, translate=(2, 0)), ValueError, "translate"),
        (lambda: RandomAffine(0, scale=(2, 1)), ValueError, "scale"),
        (lambda: ColorJitter(hue=0.7), ValueError, "hue is .*, expected"),
        (lambda: ColorJitter(0.1)(images(c=2)), ValueError, "2 channels, expected 1 .* or 3"),
        (lambda: RandomErasing(scale=(0.1, 2)), ValueError, "expected shares of an area"),
        (lambda: RandAugment(magnitude=31), ValueError, "magnitude=31, but at most 30"),
        (lambda: Normalize(0, [1, 0]), ValueError, "expected numbers above 0"),
        (lambda: Normalize(0, [1, 1])(images()), ValueError, "1 and 2 numbers, but .* 3 channels"),
        (lambda: MixUp(0), ValueError, "alpha is 0.0, expected a number above 0"),
        (lambda: MixUp()(images()), ValueError, "needs the labels too"),
        (lambda: CutMix()(images(), np.arange(8), rng()), ValueError, "num_classes is needed"),
        (lambda: MixUp(1, 7)(images(), np.arange(8), rng()), ValueError, r"target\[7\] is 7"),
        (lambda: Compose([3]), TypeError, "3 is no transform"),
        (lambda: Compose(RandomCrop(3)), TypeError, "expected a list"),
        (lambda: Transform()(images()), NotImplementedError, "neither apply nor apply_x"),
    ],
)
def test_wrong_arguments_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_transforms_in_batches_give_the_same_bits_for_any_number_of_workers():
    data = Dataset(images(40), np.arange(40) % 4)
    augment = Compose([RandAugment(), RandomCrop(6, 1), CutMix(num_classes=4)])
    alone, many = (
        list(batches(data, 8, shuffle=True, seed=1, transform=augment, workers=k)) for k in (0, 3)
    )
    for (x, y), (other, label) in zip(alone, many, strict=True):
        np.testing.assert_array_equal(x, other)
        np.testing.assert_array_equal(y, label)
    assert y.shape == (8, 4)


# Crops and flips


def test_a_random_crop_is_a_window_of_the_padded_image_and_every_place_occurs():
    x = np.arange(1, 13, dtype=np.float32).reshape(1, 1, 3, 4)
    padded = np.zeros((5, 6), np.float32)
    padded[1:4, 1:5] = x[0, 0]
    windows = {padded[i : i + 3, j : j + 4].tobytes() for i in range(3) for j in range(3)}
    found = RandomCrop((3, 4), padding=1)(np.repeat(x, 300, axis=0), seed=0)
    assert {image.tobytes() for image in found} == windows


def test_padding_is_given_by_side_and_filled_as_asked():
    x = np.array([[[[1, 2], [3, 4]]]], np.float32)
    sides = RandomCrop((2, 5), (1, 0, 2, 0), fill=9)(x, seed=0)
    assert sides[0, 0].tolist() == [[9, 1, 2, 9, 9], [9, 3, 4, 9, 9]]
    two = RandomCrop((6, 2), (0, 2))(x, seed=0)
    assert two[0, 0, :, 0].tolist() == [0, 0, 1, 3, 0, 0]
    for mode, row in [("edge", [1, 1, 2, 2]), ("reflect", [2, 1, 2, 1])]:
        found = RandomCrop((2, 4), (1, 0), padding_mode=mode)(x, seed=0)
        assert found[0, 0, 0].tolist() == row


def test_a_crop_pads_by_what_an_image_lacks_if_asked():
    x = np.array([[[[1, 2], [3, 4], [5, 6]]]], np.float32)
    crop = RandomCrop((2, 5), pad_if_needed=True, fill=9)
    padded = np.full((3, 8), 9, np.float32)  # 3 columns are lacking, and added on both sides
    padded[:, 3:5] = x[0, 0]
    windows = {padded[i : i + 2, j : j + 5].tobytes() for i in range(2) for j in range(4)}
    assert {image.tobytes() for image in crop(np.repeat(x, 300, axis=0), seed=0)} == windows
    assert RandomCrop(2, pad_if_needed=True)(x, seed=1).shape == (1, 1, 2, 2)
    with pytest.raises(TypeError, match="RandomCrop: pad_if_needed=1"):
        RandomCrop(2, pad_if_needed=1)


@pytest.mark.parametrize(
    "turn",
    [
        RandomRotation((90, 90), center=(1, 3)),
        RandomAffine((-90, -90), center=(1, 3)),
    ],
)
def test_a_quarter_turn_about_a_point(turn):
    """Counter-clockwise, (dx, dy) from the point becomes (dy, -dx): y is down."""
    x = np.arange(1, 21, dtype=np.float32).reshape(1, 1, 4, 5)
    expected = np.zeros((4, 5), np.float32)
    for row in range(4):
        for column in range(5):
            dx, dy = column + 0.5 - 1, row + 0.5 - 3
            to_column, to_row = int(np.floor(1 + dy)), int(np.floor(3 - dx))
            if 0 <= to_column < 5 and 0 <= to_row < 4:
                expected[to_row, to_column] = x[0, 0, row, column]
    assert np.array_equal(turn(x, seed=0)[0, 0], expected) and expected.any()


@pytest.mark.parametrize("transform", [RandomRotation, RandomAffine])
def test_the_centre_of_an_image_is_the_default(transform):
    x = np.random.default_rng(0).random((3, 2, 4, 5))
    middle = transform(30, interpolation="bilinear", center=(2.5, 2))(x, seed=0)
    np.testing.assert_allclose(
        middle, transform(30, interpolation="bilinear")(x, seed=0), atol=1e-12
    )
    with pytest.raises((ValueError, TypeError), match=f"{transform.__name__}: center"):
        transform(30, center=3)


def test_the_middle_is_cut_out_and_small_images_are_padded():
    x = np.arange(20, dtype=np.float32).reshape(1, 1, 4, 5)
    assert CenterCrop((2, 3))(x)[0, 0].tolist() == [[6, 7, 8], [11, 12, 13]]
    # A margin of 3 rows is 1.5 on each side, rounded to 2.
    assert CenterCrop(1)(x)[0, 0].tolist() == [[12]]
    assert CenterCrop((1, 7))(x)[0, 0].tolist() == [[0, 10, 11, 12, 13, 14, 0]]


@pytest.mark.parametrize(
    ("transform", "axes"),
    [
        (RandomHorizontalFlip, [()] + [(3,)]),
        (RandomVerticalFlip, [(), (2,)]),
        (lambda p=0.5: RandomFlip(p, p), [(), (3,), (2,), (2, 3)]),
    ],
)
def test_a_flip_mirrors_each_image_with_its_probability(transform, axes):
    x = images(400, 1, 2, 3)
    found = transform()(x, seed=0)
    counts = [sum(np.array_equal(a, b) for a, b in zip(found, np.flip(x, f))) for f in axes]
    assert sum(counts) == 400
    assert min(counts) > 400 / len(axes) - 40  # four standard deviations are at most 40
    np.testing.assert_array_equal(transform(0.0)(x, seed=0), x)
    np.testing.assert_array_equal(transform(1.0)(x, seed=0), np.flip(x, axes[-1]))


# Erasing, normalising, scaling


def test_an_erased_rectangle_has_the_area_and_the_ratio_that_were_asked():
    x = np.ones((400, 2, 40, 40), np.float32)
    found = RandomErasing(p=0.75, scale=(0.1, 0.2), ratio=(0.5, 2), value=7)(x, seed=0)
    changed = 0
    for image in found:
        np.testing.assert_array_equal(image[0], image[1])
        rows, columns = (np.flatnonzero((image[0] == 7).any(axis=k)) for k in (1, 0))
        if len(rows):
            changed += 1
            assert (image[0, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == 7).all()
            assert 0.09 < len(rows) * len(columns) / 1600 < 0.215
            assert 0.45 < len(rows) / len(columns) < 2.2
    assert abs(changed - 300) < 35  # four standard deviations
    noise = RandomErasing(p=1, value="random")(x, seed=0)
    assert len(np.unique(noise[0])) > 20
    np.testing.assert_array_equal(RandomErasing(1.0, (1.0, 1.0))(x, seed=0), x)  # none fits


def test_normalised_channels_are_those_of_the_formula():
    x = np.array([[[[1.0, 3.0]], [[0.0, 2.0]]]])
    assert Normalize((1, 2), (2, 4))(x).tolist() == [[[[0, 1]], [[-0.5, 0]]]]
    assert Normalize(1, 2)(x).tolist() == [[[[0, 1]], [[-0.5, 0.5]]]]


@pytest.mark.parametrize("size", [(4, 6), (13, 5), (20, 30)])
def test_resizing_is_that_of_pillow(size):
    image = pytest.importorskip("PIL.Image")
    x = images(1, 1, 9, 12)
    expected = image.fromarray(x[0, 0]).resize(size[::-1], image.Resampling.BILINEAR)
    np.testing.assert_allclose(Resize(size)(x)[0, 0], np.asarray(expected), atol=1e-6)


def test_resizing_without_antialias_is_that_of_torch():
    torch = pytest.importorskip("torch")
    x = images(2, 3, 9, 12)
    for size in ((4, 5), (20, 30)):
        expected = torch.nn.functional.interpolate(torch.tensor(x), size, mode="bilinear")
        np.testing.assert_allclose(Resize(size, antialias=False)(x), expected, atol=1e-6)


def test_one_number_is_the_size_of_the_shorter_edge():
    assert Resize(4)(images(1, 1, 8, 13)).shape == (1, 1, 4, 6)
    assert Resize(4)(images(1, 1, 13, 8)).shape == (1, 1, 6, 4)


# Mixing


def lam_of_beta(alpha):
    return rng().beta(alpha, alpha)


def test_mixup_mixes_neighbours_and_their_labels_alike():
    x = np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1, 1)
    lam = lam_of_beta(0.4)
    mixed, rows = MixUp(0.4, num_classes=3)(x, np.array([0, 1, 2]), rng())
    other = 1 - lam
    np.testing.assert_allclose(
        mixed.ravel(), [lam + 4 * other, 2 * lam + other, 4 * lam + 2 * other]
    )
    np.testing.assert_allclose(rows, [[lam, 0, other], [other, lam, 0], [0, other, lam]])
    _, numbers = MixUp(0.4)(x, np.array([[1.0], [2.0], [4.0]]), rng())
    np.testing.assert_allclose(numbers.ravel(), mixed.ravel())


def test_cutmix_pastes_one_rectangle_and_labels_by_its_area():
    x = np.arange(4.0).reshape(4, 1, 1, 1) * np.ones((4, 2, 10, 14))
    for seed in range(20):
        pasted, rows = CutMix(num_classes=4)(x, np.arange(4), rng(seed))
        other = pasted[1, 0] == 0
        rows_of, columns = (np.flatnonzero(other.any(axis=k)) for k in (1, 0))
        assert other.sum() == len(rows_of) * len(columns)  # a rectangle
        for i in range(4):
            expected = np.where(other, (i - 1) % 4, i)
            np.testing.assert_array_equal(pasted[i], np.stack([expected, expected]))
            share = other.mean()
            np.testing.assert_allclose(rows[i, [i, (i - 1) % 4]], [1 - share, share])
    np.testing.assert_allclose(rows.sum(axis=1), 1)
