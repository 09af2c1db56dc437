"""Transforms of geometry and colour against Pillow, colorsys, torch and loops over pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnnx.data.transforms import ColorJitter, RandAugment, RandomAffine, RandomRotation


def images(n=8, c=3, h=8, w=9, dtype=np.float32):
    return np.random.default_rng(5).random((n, c, h, w)).astype(dtype)


def rng(seed=0):
    return np.random.default_rng(seed)


# Geometry


def turned(image, forward, bilinear, fill):
    """Each output pixel of an image (h, w) read where the inverse of a 3x3 matrix leads."""
    h, w = image.shape
    centre = np.array([[1, 0, (w - 1) / 2], [0, 1, (h - 1) / 2], [0, 0, 1]])
    back = np.linalg.inv(centre @ forward @ np.linalg.inv(centre))

    def at(i, j):
        return image[i, j] if 0 <= i < h and 0 <= j < w else fill

    out = np.empty((h, w))
    for i in range(h):
        for j in range(w):
            column, row, _ = back @ [j, i, 1]
            top, left = math.floor(row), math.floor(column)
            v, u = row - top, column - left
            if bilinear:
                out[i, j] = sum(
                    (v if a else 1 - v) * (u if b else 1 - u) * at(top + a, left + b)
                    for a in (0, 1)
                    for b in (0, 1)
                )
            else:
                out[i, j] = at(round(row), round(column))
    return out


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_an_affine_map_reads_each_pixel_where_its_inverse_leads(interpolation):
    x = images(1, 2, 7, 6, np.float64)
    a, s, sx, sy = np.deg2rad(25), 0.8, np.deg2rad(10), np.deg2rad(-5)
    rotate = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    # torchvision: rotation after shear along y after shear along x, in this decomposition.
    shear_y = np.array([[1, 0, 0], [-math.tan(sy), 1, 0], [0, 0, 1]])
    shear_x = np.array([[1, -math.tan(sx), 0], [0, 1, 0], [0, 0, 1]])
    forward = rotate @ shear_y @ shear_x @ np.diag([s, s, 1])
    transform = RandomAffine((25, 25), None, (0.8, 0.8), (10, 10, -5, -5), interpolation, fill=0.25)
    found = transform(x)[0]
    for image, expected in zip(found, x[0], strict=True):
        np.testing.assert_allclose(
            image, turned(expected, forward, interpolation == "bilinear", 0.25), atol=1e-12
        )


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_a_quarter_turn_is_counter_clockwise_and_exact(interpolation):
    x = images(3, 2, 5, 5)
    found = RandomRotation((90, 90), interpolation)(x)
    np.testing.assert_allclose(found, np.rot90(x, axes=(2, 3)), atol=1e-5)
    clockwise = RandomAffine((90, 90), interpolation=interpolation)(x)
    np.testing.assert_allclose(clockwise, np.rot90(x, -1, axes=(2, 3)), atol=1e-5)


def test_a_translation_moves_whole_pixels_within_its_share():
    x = np.zeros((500, 1, 5, 8), np.float32)
    x[:, :, 2, 4] = 1
    found = RandomAffine(0, translate=(0.25, 0.2))(x, seed=0)
    places = {tuple(map(int, np.argwhere(image[0])[0])) for image in found}
    assert places == {(i, j) for i in (1, 2, 3) for j in (2, 3, 4, 5, 6)}


def test_an_affine_map_is_that_of_torch():
    functional = pytest.importorskip("torch.nn.functional")
    torch = pytest.importorskip("torch")
    from cnnx.data.transforms.affine import inverse_maps, sample

    x = images(2, 3, 6, 6, np.float64)
    maps = inverse_maps(np.array([33.0, -70.0]), (1.0, -2.0), 1.2, (4.0, 9.0))
    theta = maps.copy()
    theta[:, :, 2] *= 2 / 6  # torch's coordinates go from -1 to 1 across the image
    grid = functional.affine_grid(torch.tensor(theta), x.shape, align_corners=False)
    expected = functional.grid_sample(torch.tensor(x), grid, align_corners=False)
    np.testing.assert_allclose(sample(x, maps, "bilinear", 0.0), expected.numpy(), atol=1e-12)


# Colours


def test_the_factors_of_a_jitter_are_those_of_its_intervals():
    x = np.full((300, 1, 2, 2), 0.5, np.float32)
    found = ColorJitter(brightness=0.4)(x, seed=0)[:, 0, 0, 0] / 0.5
    assert 0.6 <= found.min() < 0.63 and 1.37 < found.max() <= 1.4001
    assert ColorJitter((0, 0))(x, seed=0).max() == 0  # black
    np.testing.assert_array_equal(ColorJitter()(x, seed=0), x)


def test_contrast_and_saturation_are_those_of_pillow_up_to_its_rounding():
    pytest.importorskip("PIL")
    from PIL import Image, ImageEnhance

    pixels = rng().integers(0, 256, (6, 7, 3), np.uint8)
    image = Image.fromarray(pixels)
    x = pixels.transpose(2, 0, 1)[None]
    for field, enhance in [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ]:
        for factor in (0.4, 1.7):
            found = ColorJitter(**{field: (factor, factor)})(x)[0] * 255
            expected = np.asarray(enhance(image).enhance(factor), float).transpose(2, 0, 1)
            np.testing.assert_allclose(found, expected, atol=2.0)


def test_the_hue_is_rotated_as_colorsys_does():
    import colorsys

    x = images(1, 3, 4, 5, np.float64)
    found = ColorJitter(hue=(0.2, 0.2))(x)[0].reshape(3, -1).T
    for pixel, result in zip(x[0].reshape(3, -1).T, found, strict=True):
        h, s, v = colorsys.rgb_to_hsv(*pixel)
        np.testing.assert_allclose(result, colorsys.hsv_to_rgb((h + 0.2) % 1, s, v), atol=1e-12)


# RandAugment


def test_the_operations_on_histograms_are_those_of_pillow():
    pytest.importorskip("PIL")
    from PIL import Image, ImageEnhance, ImageOps

    from cnnx.data.transforms import randaugment

    pixels = (rng().random((20, 30)) ** 2 * 200 + 20).astype(np.uint8)
    image, x = Image.fromarray(pixels), (pixels / 255)[None, None]

    def scaled(y):
        return y[0, 0] * 255

    np.testing.assert_array_equal(
        np.rint(scaled(randaugment.equalize(x))), np.asarray(ImageOps.equalize(image))
    )
    np.testing.assert_allclose(
        scaled(randaugment.autocontrast(x)), np.asarray(ImageOps.autocontrast(image)), atol=1.01
    )
    np.testing.assert_allclose(
        scaled(randaugment.sharpness(x, np.array([1.9]))),
        np.asarray(ImageEnhance.Sharpness(image).enhance(1.9)),
        atol=1.5,  # Pillow rounds twice
    )
    flat = np.full((1, 1, 3, 3), 0.3)
    np.testing.assert_array_equal(randaugment.autocontrast(flat), flat)
    np.testing.assert_array_equal(randaugment.equalize(flat), flat)
    assert randaugment.posterize(np.array([0.0, 0.24, 0.26, 1.0]), 2).tolist() == [0, 0, 0.25, 0.75]


def operation(name, x, magnitude, sign=1.0, interpolation="nearest"):
    """RandAugment's result if every sample draws this operation and this sign."""

    from cnnx.data.transforms.randaugment import _OPERATIONS

    class Fixed:
        def integers(self, high, size):
            return np.full(size, _OPERATIONS.index(name))

        def choice(self, values, size):
            return np.full(size, sign)

    return RandAugment(1, magnitude, 31, interpolation).apply_x(x, Fixed())


def test_each_operation_has_the_published_strength():
    x = images(2, 1, 33, 33, np.float64)
    np.testing.assert_array_equal(operation("Identity", x, 30), x)
    np.testing.assert_allclose(operation("Brightness", x, 10, -1), 0.7 * x)
    np.testing.assert_allclose(operation("Solarize", x, 15), np.where(x >= 0.5, 1 - x, x))
    np.testing.assert_array_equal(operation("Posterize", x, 30), np.floor(x * 16) / 16)
    # 150/331 of 33 pixels are 14.95, 14 whole ones.
    np.testing.assert_array_equal(operation("TranslateX", x, 30)[..., 14:], x[..., :-14])
    np.testing.assert_array_equal(operation("TranslateY", x, 30, -1)[:, :, :-14], x[:, :, 14:])
    angle = np.deg2rad(30)
    rotate = [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]]
    for name, matrix in [
        ("Rotate", rotate),
        ("ShearX", [[1, -0.3, -0.3 * 16.5], [0, 1, 0]]),  # about the corner, 16.5 above the centre
        ("ShearY", [[1, 0, 0], [-0.3, 1, -0.3 * 16.5]]),
    ]:
        expected = turned(x[0, 0], np.array([*matrix, [0, 0, 1]]), True, 0.0)
        found = operation(name, x, 30, interpolation="bilinear")[0, 0]
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_every_operation_occurs_and_strength_0_changes_almost_nothing():
    x = np.tile(images(1, 3, 32, 32), (300, 1, 1, 1))
    kinds = {image.tobytes() for image in RandAugment(1)(x, seed=0)}
    # Brightness, colour, contrast, sharpness, shears, translations and the rotation have two signs.
    assert len(kinds) == 9 * 2 + 5
    weak = RandAugment(1, magnitude=0)(x, seed=0)
    assert len({image.tobytes() for image in weak}) == 4  # 8 bits, stretched, equalised
