"""Upsample, ZeroPad2D and AdaptiveAvgPool2D: values by hand, and all pixels against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from layer_helpers import check_gradients, images

import cnnx
from cnnx import AdaptiveAvgPool2D, Upsample, ZeroPad2D, ops


@pytest.fixture(params=cnnx.available_backends(), autouse=True)
def backend(request):
    with cnnx.use_backend(request.param):
        yield request.param


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def _factors():
    """Factors with one, two and three decimals."""
    rng = np.random.default_rng(0)
    drawn = rng.uniform(0.1, 4, 150)
    return [float(np.round(f, 1 + i % 3)) for i, f in enumerate(drawn)]


def _resizings():
    """(h, w, options): sizes up to 40 from sizes up to 23, and factors."""
    yield from ((n, 45, {"size": (m, 129)}) for n in range(1, 24, 2) for m in range(1, 41, 3))
    for i, factor in enumerate(_factors()):
        h, w = 11 + i % 37, 50 - i % 37
        to = int(h * factor), int(w * 2.03)
        if sum(to) <= 128 or not {to[0] / h, to[1] / w} & {1, 2}:  # see ops.interpolate
            yield h, w, {"scale_factor": (factor, 2.03)}


def test_nearest_reads_the_same_pixels_as_torch(torch):
    """Forward and backward, with sizes and factors whose products are rounded in float32."""
    for h, w, options in _resizings():
        x = np.arange(h * w, dtype=np.float32).reshape(1, 1, h, w)
        leaf = torch.tensor(x, requires_grad=True)
        expected = torch.nn.functional.interpolate(leaf, **options)
        y = ops.interpolate(x, **options)
        np.testing.assert_array_equal(y, expected.detach().numpy(), str((h, w, options)))
        assert y.dtype == np.float32
        np.testing.assert_array_equal(ops.interpolate(x.astype(np.float64), **options), y)
        if y.size % 7 == 0:
            expected.sum().backward()
            readers = ops.interpolate_backward(np.ones_like(y), x.shape, **options)
            np.testing.assert_array_equal(readers, _counted(x, y))
            if "size" in options:  # torch's backward ignores factors near 1 and 2
                np.testing.assert_array_equal(readers, leaf.grad.numpy())


def _counted(x, y):
    """How often each pixel of x occurs in y; x holds the indices of its pixels."""
    return np.bincount(y.astype(int).ravel(), minlength=x.size).reshape(x.shape)


@pytest.mark.parametrize("align_corners", [None, False, True])
def test_bilinear_matches_torch(torch, align_corners):
    rng = np.random.default_rng(1)
    for h, w, options in list(_resizings())[::5]:
        options = {**options, "mode": "bilinear", "align_corners": align_corners}
        x = rng.standard_normal((2, 2, h, w))
        leaf = torch.tensor(x, requires_grad=True)
        expected = torch.nn.functional.interpolate(leaf, **options)
        dy = rng.standard_normal(expected.shape)
        expected.backward(torch.tensor(dy))
        np.testing.assert_allclose(
            ops.interpolate(x, **options), expected.detach().numpy(), rtol=1e-9, atol=1e-12
        )
        dx = ops.interpolate_backward(dy, x.shape, **options)
        np.testing.assert_allclose(dx, leaf.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_adaptive_pooling_matches_torch_at_all_sizes(torch):
    rng = np.random.default_rng(2)
    for h in (1, 2, 7, 10, 24):
        for rows in range(1, 14):
            x = rng.standard_normal((2, 3, h, 9))
            leaf = torch.tensor(x, requires_grad=True)
            size = rows, 1 + rows % 9
            expected = torch.nn.functional.adaptive_avg_pool2d(leaf, size)
            dy = rng.standard_normal(expected.shape)
            expected.backward(torch.tensor(dy))
            y = ops.adaptive_avg_pool2d(x, size)
            np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-10, atol=1e-13)
            dx = ops.adaptive_avg_pool2d_backward(dy, x.shape)
            np.testing.assert_allclose(dx, leaf.grad.numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_nan_and_infinity_propagate_as_in_torch(torch, mode):
    x = images(1, 1, 9, 8, dtype=np.float32)
    x[0, 0, 3, 2], x[0, 0, 0, 7], x[0, 0, 8, 5] = np.nan, np.inf, -np.inf
    for factor in (2, 0.5, 1.7, 3):
        with np.errstate(invalid="ignore"):  # 0 * inf
            y = ops.interpolate(x, scale_factor=factor, mode=mode)
        expected = torch.nn.functional.interpolate(torch.tensor(x), scale_factor=factor, mode=mode)
        for find in (np.isnan, np.isposinf, np.isneginf):
            np.testing.assert_array_equal(find(y), find(expected.numpy()), str(factor))


def test_values_computed_by_hand():
    x = np.array([[[[1.0, 3.0], [5.0, 7.0]]]])
    larger = Upsample(scale_factor=2)
    assert larger(x)[0, 0].tolist() == [[1, 1, 3, 3]] * 2 + [[5, 5, 7, 7]] * 2
    assert larger.backward(np.ones((1, 1, 4, 4))).tolist() == [[[[4, 4], [4, 4]]]]
    assert Upsample(1)(x).item() == 1
    assert Upsample((1, 3), mode="bilinear")(x).tolist() == [[[[3, 4, 5]]]]
    assert Upsample((1, 3), mode="bilinear", align_corners=True)(x).tolist() == [[[[1, 2, 3]]]]
    padded = ZeroPad2D((1, 0, -1, 1))
    assert padded(x).tolist() == [[[[0, 5, 7], [0, 0, 0]]]]
    assert padded.backward(np.arange(6.0).reshape(1, 1, 2, 3)).tolist() == [[[[0, 0], [1, 2]]]]
    row = np.arange(5.0).reshape(1, 1, 1, 5)
    pool = AdaptiveAvgPool2D((None, 2))
    assert pool(row).tolist() == [[[[1, 3]]]]
    dx = pool.backward(np.array([[[[3.0, 30.0]]]]))
    np.testing.assert_allclose(dx, [[[[1, 1, 11, 10, 10]]]], rtol=1e-15)


def test_pooling_to_one_pixel_is_the_global_mean():
    x = images(3, 5, 11, 6, dtype=np.float32)
    y = ops.adaptive_avg_pool2d(x, 1)
    np.testing.assert_allclose(y, ops.global_avg_pool2d(x), rtol=1e-5)
    dx = ops.adaptive_avg_pool2d_backward(y, x.shape)
    np.testing.assert_allclose(dx, ops.global_avg_pool2d_backward(y, x.shape), rtol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        Upsample(scale_factor=(2, 0.4)),
        Upsample((3, 7), mode="bilinear"),
        ZeroPad2D((2, -1, 0, 1)),
        AdaptiveAvgPool2D((2, 9)),
    ],
    ids=repr,
)
def test_gradients_match_finite_differences_and_symbols_have_the_shape(layer):
    x = images(2, 3, 5, 6)
    check_gradients(layer.copy(), x)
    assert layer.output_shape(x.shape[1:]) == layer(x).shape[1:]
    assert layer(x[:0]).shape == (0, *layer(x).shape[1:])
    assert layer(x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: Upsample(), ValueError, "Upsample: size=None and scale_factor=None"),
        (lambda: Upsample(3, 2), ValueError, "Upsample: size=3 and scale_factor=2"),
        (lambda: Upsample(2, mode="cubic"), ValueError, "Upsample: mode='cubic'.*'bilinear'"),
        (lambda: Upsample(2, align_corners=True), ValueError, "Upsample: align_corners=True"),
        (lambda: Upsample(2.5), TypeError, "Upsample: size=2.5"),
        (lambda: ZeroPad2D((1, 2)), ValueError, r"ZeroPad2D: padding=\(1, 2\) has 2 entries"),
        (lambda: ZeroPad2D("same"), TypeError, "ZeroPad2D: padding='same'"),
        (lambda: AdaptiveAvgPool2D(0), ValueError, "AdaptiveAvgPool2D: output_size=0"),
        (lambda: AdaptiveAvgPool2D((1, 2, 3)), ValueError, "AdaptiveAvgPool2D: .* 3 entries"),
    ],
)
def test_invalid_arguments_of_a_layer_are_errors(make, kind, words):
    with pytest.raises(kind, match=words):
        make()


def test_arguments_are_stored_as_given_and_shown_in_the_repr():
    assert repr(Upsample(scale_factor=2)) == "Upsample(scale_factor=2.0, mode='nearest')"
    assert Upsample([3, 4]).size == (3, 4) and Upsample(scale_factor=[1, 2]).scale_factor == (1, 2)
    assert ZeroPad2D(2).padding == 2 and ZeroPad2D([1, 2, 3, 4]).padding == (1, 2, 3, 4)
    assert AdaptiveAvgPool2D([None, 3]).output_size == (None, 3)
    assert AdaptiveAvgPool2D(None).output_size is None
