"""Extreme geometry: results, time and memory depend only on what is computed.

A stride, padding or dilation may be any integer; only the pixels that the windows meet matter.
"""

from __future__ import annotations

import itertools
import re
import time
import tracemalloc

import numpy as np
import pytest

import cnnx
from cnnx import ops, windows

BACKENDS = cnnx.available_backends()
HUGE = [7, 1000, 2**24, 2**31 - 1, 2**31, 2**62, 2**63 - 1]
X = np.arange(32.0).reshape(1, 2, 4, 4) / 7
WEIGHT = np.linspace(-1, 1, 54).reshape(3, 2, 3, 3)


@pytest.fixture(params=BACKENDS)
def backend(request):
    with cnnx.use_backend(request.param):
        yield request.param


@pytest.fixture
def torch():
    """PyTorch on one thread."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)


def _met(n, k, count, step, before, dilation):
    """For every window and tap, the pixel that it meets, or None."""
    pixels = [[i * step + u * dilation - before for u in range(k)] for i in range(count)]
    return [[p if 0 <= p < n else None for p in row] for row in pixels]


def test_compact_windows_meet_the_same_pixels():
    rng = np.random.default_rng(0)
    steps, seen = [1, 2, 3, 5, 9, 17, 40, 100], 0
    while seen < 3000:
        n, k = int(rng.integers(0, 6)), int(rng.integers(1, 5))
        s, d = int(rng.choice(steps)), int(rng.choice(steps))
        before, after = (int(p) for p in rng.integers(0, int(rng.choice([3, 30, 120])), 2))
        if n + before + after < d * (k - 1) + 1:
            continue
        count = (n + before + after - d * (k - 1) - 1) // s + 1
        (s2, _), ((b2, a2), _), (d2, _) = windows.compact(
            "op", (n, 9), (k, 3), (count, 7), (s, 1), ((before, after), (0, 0)), (d, 1)
        )
        assert (n + b2 + a2 - d2 * (k - 1) - 1) // s2 + 1 == count
        assert _met(n, k, count, s2, b2, d2) == _met(n, k, count, s, before, d)
        assert s2 <= s and d2 <= d and min(b2, a2) >= 0
        seen += 1


@pytest.mark.parametrize("stride", HUGE)
def test_one_window_at_any_stride(backend, stride):
    window = np.einsum("cuv,ocuv->o", X[0, :, :3, :3], WEIGHT)
    for s in (stride, (stride, 5), (9, stride)):
        y = ops.conv2d(X, WEIGHT, stride=s)
        np.testing.assert_allclose(y, window.reshape(1, 3, 1, 1))
        dx, dweight, dbias = ops.conv2d_backward(np.ones_like(y), X, WEIGHT, stride=s)
        np.testing.assert_allclose(dx[0, :, :3, :3], WEIGHT.sum(axis=0))
        assert not dx[:, :, 3].any() and not dx[:, :, :, 3].any()
        np.testing.assert_allclose(dweight, np.broadcast_to(X[0, :, :3, :3], (3, 2, 3, 3)))
        np.testing.assert_allclose(dbias, np.ones(3))
        cols = ops.im2col(X, 3, stride=s)
        np.testing.assert_array_equal(cols, X[:, :, :3, :3].reshape(1, 18))
        assert ops.col2im(cols, X.shape, 3, stride=s).sum() == cols.sum()
        y, argmax = ops.max_pool2d(X, 3, stride=s)
        np.testing.assert_array_equal(y[0, :, 0, 0], X[0, :, 2, 2])
        assert ops.max_pool2d_backward(y, argmax, X.shape, 3, stride=s).sum() == y.sum()
        y = ops.avg_pool2d(X, 3, stride=s, padding=1)
        np.testing.assert_allclose(y[0, :, 0, 0], X[0, :, :2, :2].sum(axis=(1, 2)) / 9)
        dx = ops.avg_pool2d_backward(y, X.shape, 3, stride=s, padding=1)
        np.testing.assert_allclose(dx.sum(), y.sum() * 4 / 9)


@pytest.mark.parametrize("huge", [100, 2**20, 2**31 - 1, 2**40, 2**61])
def test_windows_that_alternate_between_padding_and_image(backend, huge):
    """Three windows a huge stride apart: one on the image, the others in the padding beside it."""
    bias = np.array([1.0, 2.0, 3.0])
    y = ops.conv2d(X, WEIGHT, bias, stride=huge, padding=huge)
    expected = np.broadcast_to(bias[:, None, None], (3, 3, 3)).copy()
    expected[:, 1, 1] += np.einsum("cuv,ocuv->o", X[0, :, :3, :3], WEIGHT)
    np.testing.assert_allclose(y[0], expected)
    dx, dweight, dbias = ops.conv2d_backward(np.ones_like(y), X, WEIGHT, huge, huge)
    np.testing.assert_allclose(dx[0, :, :3, :3], WEIGHT.sum(axis=0))
    np.testing.assert_allclose(dweight, np.broadcast_to(X[0, :, :3, :3], (3, 2, 3, 3)))
    np.testing.assert_allclose(dbias, np.full(3, 9.0))
    # Its adjoint, from 3 x 3 to 4 x 4; output_padding is the fourth row.
    back = ops.conv_transpose2d(y, WEIGHT, stride=huge, padding=huge, output_padding=1)
    np.testing.assert_allclose(back[0, :, :3, :3], np.einsum("o,ocuv->cuv", y[0, :, 1, 1], WEIGHT))
    assert back.shape == X.shape and not back[:, :, 3].any()
    dy, dweight, dbias = ops.conv_transpose2d_backward(X, y, WEIGHT, huge, huge, 1)
    np.testing.assert_allclose(dy[0, :, 1, 1], expected[:, 1, 1] - bias)
    np.testing.assert_allclose(dweight[1], y[0, 1, 1, 1] * X[0, :, :3, :3])
    np.testing.assert_allclose(dbias, X.sum(axis=(0, 2, 3)))


@pytest.mark.parametrize("huge", [50, 2**20, 2**31 - 1, 2**40, 2**60])
def test_taps_past_the_image(backend, huge):
    """Only the middle tap of each window meets the image."""
    y = ops.conv2d(X, WEIGHT, padding="same", dilation=huge)
    np.testing.assert_allclose(y[0], np.einsum("cij,oc->oij", X[0], WEIGHT[:, :, 1, 1]))
    dx, dweight, _ = ops.conv2d_backward(np.ones_like(y), X, WEIGHT, 1, "same", huge)
    np.testing.assert_allclose(dx[0, :, 0, 0], WEIGHT[:, :, 1, 1].sum(axis=0))
    np.testing.assert_allclose(dweight[0, :, 1, 1], X.sum(axis=(0, 2, 3)))
    assert dweight.sum() == pytest.approx(3 * X.sum())
    pointwise = WEIGHT[:, :, :1, :1]
    np.testing.assert_array_equal(ops.conv2d(X, pointwise, dilation=huge), ops.conv2d(X, pointwise))


def test_an_empty_batch_with_taps_further_apart_than_memory_is_long(backend):
    """No image, but 2 x (2**32 + 4) windows on each."""
    y = ops.conv2d(X[:0], WEIGHT[:, :, :, :2], padding=2**32 + 1, dilation=2**32 + 2)
    assert y.shape == (0, 3, 2, 2**32 + 4)


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("conv2d", {"stride": 2**63}),
        ("conv2d", {"stride": 10**5000}),
        ("conv2d", {"padding": 2**63 - 1}),
        ("conv2d", {"stride": 2**40, "dilation": 2**40 + 2**20, "padding": 2**42}),
        ("conv2d", {"groups": 2**63 - 1}),
        ("conv_transpose2d", {"stride": 2**63 - 1}),
        ("conv_transpose2d", {"stride": 2**63 - 1, "output_padding": 2**62}),
        ("conv_transpose2d", {"dilation": 2**62}),
        ("im2col", {"kernel_size": 2**40, "padding": 2**40}),
        ("max_pool2d", {"kernel_size": 2**62, "padding": 2**61}),
        ("avg_pool2d", {"kernel_size": 300, "padding": 150}),
        ("avg_pool2d", {"kernel_size": 2**62, "stride": 2**62, "ceil_mode": True}),
    ],
)
def test_impossible_geometries_are_rejected(backend, op, arguments):
    arrays = [X] if "kernel_size" in arguments else [X[:, [0, 1, 1]], WEIGHT]
    if op == "conv2d":
        arrays[0] = X
    with pytest.raises(ValueError, match=f"^{op}: "):
        getattr(ops, op)(*arrays, **arguments)


@pytest.mark.parametrize("one", [(2,), [2], np.array([2]), np.array(2), np.int64(2), np.uint8(2)])
def test_one_entry_and_numpy_integers_are_an_integer(one):
    for padding in (one, [one, one]):
        y = ops.conv2d(X, WEIGHT, stride=one, padding=padding, dilation=one)
        np.testing.assert_array_equal(y, ops.conv2d(X, WEIGHT, None, 2, 2, 2))
    np.testing.assert_array_equal(ops.max_pool2d(X, one, one)[0], ops.max_pool2d(X, 2)[0])
    layer = cnnx.Conv2D(2, 3, kernel_size=one, stride=one, padding=one)
    assert layer(X.astype(np.float32)).shape == (1, 3, 4, 4)
    assert cnnx.AvgPool2D(one)(X).shape == (1, 2, 2, 2)
    layer = cnnx.ConvTranspose2D(2, 3, kernel_size=one, stride=one)
    assert layer(X.astype(np.float32)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize("pair", [(1, 0), [1, 0], np.array([1, 0]), np.array([1, 0], np.uint8)])
def test_a_pair_of_any_type_is_padding(pair):
    for pool in (
        lambda x, p: ops.max_pool2d(x, 2, 1, p)[0],
        lambda x, p: ops.avg_pool2d(x, 2, 1, p),
    ):
        np.testing.assert_array_equal(pool(X, pair), pool(X, (1, 0)))
    np.testing.assert_array_equal(
        ops.conv2d(X, WEIGHT, padding=pair), ops.conv2d(X, WEIGHT, padding=(1, 0))
    )
    assert cnnx.MaxPool2D(2, padding=pair)(X).shape == cnnx.MaxPool2D(2, padding=(1, 0))(X).shape


def _pools():
    """All pooling geometries along one axis: size, kernel, stride, padding."""
    for n, k, s in itertools.product(range(1, 8), range(1, 6), (1, 2, 3, 5)):
        for p in range(k // 2 + 1):
            yield n, k, s, p


def _torch(function, *arguments, **options):
    try:
        return function(*arguments, **options)
    except RuntimeError:  # a window does not fit
        return None


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pooling_geometries_are_those_of_torch(backend, ceil_mode, torch):
    """Every geometry along one axis, with any along the other: values, divisors, errors."""
    pools = list(_pools())
    others = np.random.default_rng(1).permutation(len(pools))
    refused = 0
    for (h, kh, sh, ph), other in zip(pools, others):
        w, kw, sw, pw = pools[other]
        x = np.random.default_rng(h * 10 + w).standard_normal((1, 2, h, w))
        geometry = (kh, kw), (sh, sw), (ph, pw), ceil_mode
        about = f"x {x.shape}, kernel, stride, padding, ceil_mode = {geometry}"
        image = torch.tensor(x, requires_grad=True)
        expected = _torch(torch.nn.functional.max_pool2d, image, *geometry[:3], 1, ceil_mode)
        if expected is None:
            refused += 1
            for op in (ops.max_pool2d, ops.avg_pool2d):
                with pytest.raises(ValueError, match=f"^{op.__name__}: "):
                    op(x, *geometry)
            continue
        y, argmax = ops.max_pool2d(x, *geometry)
        np.testing.assert_array_equal(y, expected.detach(), err_msg=about)
        dx = ops.max_pool2d_backward(y, argmax, x.shape, *geometry)
        (grad,) = torch.autograd.grad(expected, image, torch.tensor(y))
        np.testing.assert_allclose(dx, grad, rtol=1e-12, err_msg=about)
        for count in (True, False):
            expected = torch.nn.functional.avg_pool2d(image, *geometry, count)
            y = ops.avg_pool2d(x, *geometry, count)
            np.testing.assert_allclose(y, expected.detach(), rtol=1e-11, atol=1e-13, err_msg=about)
            dx = ops.avg_pool2d_backward(y, x.shape, *geometry, count)
            (grad,) = torch.autograd.grad(expected, image, torch.tensor(y))
            np.testing.assert_allclose(dx, grad, rtol=1e-11, atol=1e-13, err_msg=about)
    assert 0 < refused < len(pools) / 2


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_dilated_maxima_are_those_of_torch(backend, ceil_mode, torch):
    rng = np.random.default_rng(2)
    refused = 0
    for _ in range(150):
        h, w, kh, kw, sh, sw, dh, dw = map(int, rng.integers(1, [8, 8, 4, 4, 4, 4, 4, 4]))
        padding = (int(rng.integers(kh // 2 + 1)), int(rng.integers(kw // 2 + 1)))
        if any(d > n and p for d, n, p in zip((dh, dw), (h, w), padding)):
            continue  # PyTorch has windows beside the image
        geometry, dilation = ((kh, kw), (sh, sw), padding), (dh, dw)
        x = rng.standard_normal((1, 2, h, w))
        image = torch.tensor(x, requires_grad=True)
        pool = torch.nn.functional.max_pool2d
        expected = _torch(pool, image, *geometry, dilation, ceil_mode)
        if expected is None:
            refused += 1
            with pytest.raises(ValueError, match=r"^max_pool2d: "):
                ops.max_pool2d(x, *geometry, ceil_mode, dilation)
            continue
        y, argmax = ops.max_pool2d(x, *geometry, ceil_mode, dilation)
        np.testing.assert_array_equal(y, expected.detach())
        dx = ops.max_pool2d_backward(y, argmax, x.shape, *geometry, ceil_mode, dilation=dilation)
        (grad,) = torch.autograd.grad(expected, image, torch.tensor(y))
        np.testing.assert_allclose(dx, grad, rtol=1e-12)
    assert 0 < refused < 100


def test_a_kernel_larger_than_the_image_with_ceil_mode():
    x = np.arange(4.0).reshape(1, 1, 2, 2)
    assert cnnx.MaxPool2D(3, 2, ceil_mode=True)(x).tolist() == [[[[3.0]]]]
    assert cnnx.AvgPool2D(3, 2, ceil_mode=True)(x).tolist() == [[[[1.5]]]]


FROM_A_FILE = [
    ("Conv2D", key, value)
    for key in ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")
    for value in (2**31 - 1, 2**62, 2**63 - 1, 2**64, 10**30, -(2**62), 1e300, "9" * 5000, [3] * 9)
]
FROM_A_FILE += [
    (layer, key, value)
    for layer, key in [
        ("MaxPool2D", "kernel_size"),
        ("AvgPool2D", "kernel_size"),
        ("MaxPool2D", "stride"),
        ("AvgPool2D", "padding"),
        ("Flatten", "start_dim"),
        ("Reshape", "shape"),
        ("Softmax", "axis"),
        ("LeakyReLU", "negative_slope"),
        ("Dropout", "p"),
        ("BatchNorm2D", "num_features"),
        ("BatchNorm2D", "eps"),
        ("Linear", "in_features"),
        ("Linear", "out_features"),
        ("Upsample", "size"),
        ("Upsample", "scale_factor"),
        ("ZeroPad2D", "padding"),
        ("AdaptiveAvgPool2D", "output_size"),
    ]
    for value in (2**31 - 1, 2**62, 2**64, 10**400, -(2**62), float("nan"), None, {}, "x")
]
MADE_WITH = {
    "Conv2D": (2, 3, 3),
    "MaxPool2D": (2,),
    "AvgPool2D": (2,),
    "Reshape": ((4, 8),),
    "Linear": (4, 2),
    "BatchNorm2D": (2,),
    "Upsample": (2,),
    "ZeroPad2D": (1,),
    "AdaptiveAvgPool2D": (2,),
}


@pytest.mark.parametrize(
    ("layer", "key", "value"),
    FROM_A_FILE,
    ids=[f"{a}-{b}-{str(c)[:20]}" for a, b, c in FROM_A_FILE],
)
def test_extreme_numbers_in_a_model_file(tmp_path, layer, key, value):
    """Loading, or the first call, gives an error with a clear message, or the number is harmless;
    quickly in any case."""
    path = tmp_path / "model.npz"
    getattr(cnnx, layer)(*MADE_WITH.get(layer, ())).eval().save(path)
    arrays, meta = cnnx.io.load_npz(path)
    meta["layers"][-1]["config"][key] = value
    cnnx.io.save_npz(path, arrays, meta)
    begin = time.process_time()
    try:
        y = cnnx.load(path)(X.astype(np.float32))
    except (ValueError, TypeError) as error:
        assert re.match(
            rf"'.*model.npz'|{layer}: |\w+2d: |dropout: |softmax: |interpolate: ", str(error)
        ), error
    else:
        assert y.shape[0] == 1 and y.size < 100
    assert time.process_time() - begin < 2


@pytest.mark.parametrize("op", ["conv2d", "conv2d_backward", "conv_transpose2d"])
def test_memory_depends_on_the_windows_only(backend, op):
    """Memory does not depend on the stride: scratch for a row of 2^24 pixels would be 64 MB."""
    y = np.ones((1, 3, 3, 3), np.float32)
    x, weight = X.astype(np.float32), WEIGHT.astype(np.float32)
    geometry = {"stride": 2**24, "padding": 2**24}
    calls = {
        "conv2d": lambda: ops.conv2d(x, weight, **geometry),
        "conv2d_backward": lambda: ops.conv2d_backward(y, x, weight, **geometry),
        "conv_transpose2d": lambda: ops.conv_transpose2d(y, weight, **geometry),
    }
    cnnx.reset_peak_memory_stats()
    before = cnnx.memory_stats().get("bytes_in_use", 0)
    tracemalloc.start()  # NumPy's memory, the reference's
    calls[op]()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak + cnnx.memory_stats().get("peak_bytes_in_use", 0) - before < 2**20
