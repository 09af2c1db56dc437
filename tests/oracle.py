"""Every op of cnnx as naive loops over float64 numbers: the first link in the chain of trust.

Each function has the name and the arguments of its op in `cnnx.ops`, and is written from the
formula alone, one output element at a time. A backward function distributes each element of dy to
the inputs of that output. This code is not fast, and shares nothing with the package: it imports
NumPy only (for arrays, not for their arithmetic).
This file is longer than others because the expected values of all ops are in one place.
"""

from __future__ import annotations

import inspect
import math
from itertools import product

import numpy as np


def _zeros(shape):
    return np.zeros(shape, np.float64)


def _pair(value):
    return (value, value) if isinstance(value, (int, np.integer)) else tuple(value)


def _indices(*sizes):
    return product(*(range(size) for size in sizes))


def sides(padding, kernel, dilation=(1, 1)):
    """Padding in any of its forms -> ((top, bottom), (left, right))."""
    if padding == "valid":
        return ((0, 0), (0, 0))
    if padding == "same":
        total = [d * (k - 1) for k, d in zip(kernel, dilation)]
        return tuple((t // 2, t - t // 2) for t in total)
    ph, pw = _pair(padding)
    return (_pair(ph), _pair(pw))


def pooled_size(size, reach, stride, padding, ceil_mode):
    """Number of windows along one axis.

    With ceil_mode the last one must start inside the image or its left padding.
    """
    steps = (size + sum(padding) - reach) / stride
    count = (math.ceil(steps) if ceil_mode else math.floor(steps)) + 1
    if ceil_mode and (count - 1) * stride >= size + padding[0]:
        count -= 1
    return count


def pool_sides(padding, size, reach, stride):
    """(before, after) along one axis; "same": for ceil(size / stride) windows."""
    if padding == "same":
        total = max(0, (math.ceil(size / stride) - 1) * stride + reach - size)
        return total // 2, total - total // 2
    return (0, 0) if padding == "valid" else (padding, padding)


def convolved_size(size, kernel, stride, padding, dilation):
    return (size + padding[0] + padding[1] - dilation * (kernel - 1) - 1) // stride + 1


# ------------------------------------------------------------------------------------- convolution


class _Windows:
    """Geometry of a convolution: output size, and the taps (u, v) of a window that hit pixels."""

    def __init__(self, h, w, kernel, stride, padding, dilation):
        self.h, self.w = h, w
        self.kernel, self.stride, self.dilation = _pair(kernel), _pair(stride), _pair(dilation)
        self.padding = sides(padding, self.kernel, self.dilation)
        self.oh, self.ow = (
            convolved_size(*args)
            for args in zip((h, w), self.kernel, self.stride, self.padding, self.dilation)
        )

    def taps(self, i, j):
        for u, v in _indices(*self.kernel):
            row = i * self.stride[0] + u * self.dilation[0] - self.padding[0][0]
            column = j * self.stride[1] + v * self.dilation[1] - self.padding[1][0]
            if 0 <= row < self.h and 0 <= column < self.w:
                yield u, v, row, column


def _finished(total, activation, add=0.0):
    if activation is None:
        return total + add
    return globals()[activation](np.array([total + add]))[0]


def _unfinished(dy, before, activation):
    if activation is None:
        return dy
    saved = (
        np.array([before])
        if saves(activation) == "x"
        else np.array([_finished(before, activation)])
    )
    return globals()[f"{activation}_backward"](np.array([dy]), saved)[0]


def conv2d(
    x,
    weight,
    bias=None,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    activation=None,
    add=None,
):
    n, _, h, w = x.shape
    oc, cg, kh, kw = weight.shape
    windows = _Windows(h, w, (kh, kw), stride, padding, dilation)
    y = _zeros((n, oc, windows.oh, windows.ow))
    xs, ws = x.tolist(), weight.tolist()
    for b, o, i, j in _indices(*y.shape):
        first = o // (oc // groups) * cg
        total = 0.0 if bias is None else float(bias[o])
        for u, v, row, column in windows.taps(i, j):
            for c in range(cg):
                total += ws[o][c][u][v] * xs[b][first + c][row][column]
        y[b, o, i, j] = _finished(total, activation, 0.0 if add is None else add[b, o, i, j])
    return y


def conv2d_backward(dy, x, weight, stride=1, padding=0, dilation=1, groups=1, need_dx=True):
    _, _, h, w = x.shape
    oc, cg, kh, kw = weight.shape
    windows = _Windows(h, w, (kh, kw), stride, padding, dilation)
    dx, dweight, dbias = _zeros(x.shape), _zeros(weight.shape), _zeros(oc)
    for b, o, i, j in _indices(*dy.shape):
        first = o // (oc // groups) * cg
        channels = slice(first, first + cg)
        dbias[o] += dy[b, o, i, j]
        for u, v, row, column in windows.taps(i, j):
            dx[b, channels, row, column] += dy[b, o, i, j] * weight[o, :, u, v]
            dweight[o, :, u, v] += dy[b, o, i, j] * x[b, channels, row, column]
    return (dx if need_dx else None), dweight, dbias


def transposed_shape(x_shape, weight_shape, stride, padding, output_padding, groups, dilation):
    """Shape of y of a transposed convolution."""
    n, _, h, w = x_shape
    _, group_filters, *kernel = weight_shape
    size = [
        (s - 1) * step - sum(side) + d * (k - 1) + more + 1
        for s, step, side, d, k, more in zip(
            (h, w),
            _pair(stride),
            sides(padding, kernel, _pair(dilation)),
            _pair(dilation),
            kernel,
            _pair(output_padding),
        )
    ]
    return (n, group_filters * groups, *size)


def _spread(x, weight, shape, stride, padding, groups, dilation):
    """The terms of a transposed convolution: (image, channel, pixel of x, filter of the weight,
    channel of y, tap, pixel of y)."""
    _, group_filters, kh, kw = weight.shape
    windows = _Windows(*shape[2:], (kh, kw), stride, padding, dilation)
    for b, c, i, j in _indices(*x.shape):
        first = c // (x.shape[1] // groups) * group_filters
        for (u, v, row, column), k in product(windows.taps(i, j), range(group_filters)):
            yield (b, c, i, j), (c, k, u, v), (b, first + k, row, column)


def conv_transpose2d(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    geometry = (stride, padding, output_padding, groups, dilation)
    y = _zeros(transposed_shape(x.shape, weight.shape, *geometry))
    for here, tap, there in _spread(x, weight, y.shape, stride, padding, groups, dilation):
        y[there] += x[here] * weight[tap]
    for b, k, i, j in _indices(*y.shape):
        y[b, k, i, j] += 0.0 if bias is None else float(bias[k])
    return y


def conv_transpose2d_backward(
    dy,
    x,
    weight,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
    need_dx=True,
):
    dx, dweight, dbias = _zeros(x.shape), _zeros(weight.shape), _zeros(dy.shape[1])
    for here, tap, there in _spread(x, weight, dy.shape, stride, padding, groups, dilation):
        dx[here] += dy[there] * weight[tap]
        dweight[tap] += dy[there] * x[here]
    for b, k, i, j in _indices(*dy.shape):
        dbias[k] += dy[b, k, i, j]
    return (dx if need_dx else None), dweight, dbias


def im2col(x, kernel_size, stride=1, padding=0, dilation=1):
    n, c, h, w = x.shape
    kh, kw = _pair(kernel_size)
    windows = _Windows(h, w, (kh, kw), stride, padding, dilation)
    cols = _zeros((n * windows.oh * windows.ow, c * kh * kw))
    for b, i, j, channel in _indices(n, windows.oh, windows.ow, c):
        for u, v, row, column in windows.taps(i, j):
            line = (b * windows.oh + i) * windows.ow + j
            cols[line, (channel * kh + u) * kw + v] = x[b, channel, row, column]
    return cols


def col2im(cols, x_shape, kernel_size, stride=1, padding=0, dilation=1):
    n, c, h, w = x_shape
    kh, kw = _pair(kernel_size)
    windows = _Windows(h, w, (kh, kw), stride, padding, dilation)
    x = _zeros(x_shape)
    for b, i, j, channel in _indices(n, windows.oh, windows.ow, c):
        for u, v, row, column in windows.taps(i, j):
            line = (b * windows.oh + i) * windows.ow + j
            x[b, channel, row, column] += cols[line, (channel * kh + u) * kw + v]
    return x


# ----------------------------------------------------------------------------------------- pooling


class _Pools:
    """Pooling windows: `taps` as above, and the `divisor` of their mean."""

    def __init__(self, shape, kernel_size, stride, padding, ceil_mode=False, dilation=1):
        self.h, self.w = shape[2:]
        self.kernel, self.dilation = _pair(kernel_size), _pair(dilation)
        self.stride = self.kernel if stride is None else _pair(stride)
        self.reach = tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation))
        words = (padding, padding) if isinstance(padding, str) else _pair(padding)
        axes = list(zip(words, shape[2:], self.reach, self.stride))
        self.sides = [pool_sides(*axis) for axis in axes]
        self.size = tuple(
            pooled_size(n, reach, step, sides, ceil_mode)
            for (_, n, reach, step), sides in zip(axes, self.sides)
        )
        self.counted = [(0, 0), (0, 0)] if padding == "same" else self.sides

    def taps(self, i, j):
        for u, v in _indices(*self.kernel):
            row = i * self.stride[0] + u * self.dilation[0] - self.sides[0][0]
            column = j * self.stride[1] + v * self.dilation[1] - self.sides[1][0]
            if 0 <= row < self.h and 0 <= column < self.w:
                yield u, v, row, column

    def area(self, i, j):
        """How many cells of a window are on the image with the padding that counts."""
        cells = 1
        for axis, (at, size) in enumerate(zip((i, j), (self.h, self.w))):
            start = at * self.stride[axis] - self.sides[axis][0]
            before, after = self.counted[axis]
            cells *= min(start + self.kernel[axis], size + after) - max(start, -before)
        return cells

    def divisor(self, i, j, pixels, count_include_pad, divisor_override):
        if divisor_override is not None:
            return divisor_override
        return self.area(i, j) if count_include_pad else pixels


def max_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, dilation=1):
    pools = _Pools(x.shape, kernel_size, stride, padding, ceil_mode, dilation)
    kh, kw = pools.kernel
    y = _zeros((*x.shape[:2], *pools.size))
    argmax = np.zeros(y.shape, np.uint8 if kh * kw <= 256 else np.int32)
    for b, c, i, j in _indices(*y.shape):
        best = None
        for u, v, row, column in pools.taps(i, j):
            value = float(x[b, c, row, column])
            if best is None or value > best or (math.isnan(value) and not math.isnan(best)):
                best, y[b, c, i, j], argmax[b, c, i, j] = value, value, u * kw + v
    return y, argmax


def max_pool2d_backward(
    dy,
    argmax,
    x_shape,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    ties="first",
    x=None,
    dilation=1,
):
    pools = _Pools(x_shape, kernel_size, stride, padding, ceil_mode, dilation)
    dx = _zeros(x_shape)
    for b, c, i, j in _indices(*dy.shape):
        codes = {(r, s): u * pools.kernel[1] + v for u, v, r, s in pools.taps(i, j)}
        receive = [pixel for pixel, code in codes.items() if code == argmax[b, c, i, j]]
        if ties == "all" and receive:
            most = x[(b, c, *receive[0])]
            receive += [p for p in codes if x[(b, c, *p)] == most and p != receive[0]]
        for row, column in receive:
            dx[b, c, row, column] += dy[b, c, i, j]
    return dx


def relu_max_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, dilation=1):
    y, argmax = max_pool2d(x, kernel_size, stride, padding, ceil_mode, dilation)
    kh, kw = _pair(kernel_size)
    argmax = argmax.astype(np.uint8 if kh * kw <= 255 else np.int32)
    for p in np.ndindex(y.shape):
        if y[p] <= 0:
            y[p], argmax[p] = 0, kh * kw
    return y, argmax


def relu_max_pool2d_backward(
    dy, argmax, x_shape, kernel_size, stride=None, padding=0, ceil_mode=False, dilation=1
):
    geometry = kernel_size, stride, padding, ceil_mode
    return max_pool2d_backward(dy, argmax, x_shape, *geometry, dilation=dilation)


def avg_pool2d(
    x,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    pools = _Pools(x.shape, kernel_size, stride, padding, ceil_mode)
    y = _zeros((*x.shape[:2], *pools.size))
    for b, c, i, j in _indices(*y.shape):
        values = [float(x[b, c, row, column]) for _, _, row, column in pools.taps(i, j)]
        y[b, c, i, j] = sum(values) / pools.divisor(
            i, j, len(values), count_include_pad, divisor_override
        )
    return y


def avg_pool2d_backward(
    dy,
    x_shape,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    pools = _Pools(x_shape, kernel_size, stride, padding, ceil_mode)
    dx = _zeros(x_shape)
    for b, c, i, j in _indices(*dy.shape):
        pixels = [(row, column) for _, _, row, column in pools.taps(i, j)]
        m = pools.divisor(i, j, len(pixels), count_include_pad, divisor_override)
        for row, column in pixels:
            dx[b, c, row, column] += dy[b, c, i, j] / m
    return dx


def global_avg_pool2d(x):
    n, c, h, w = x.shape
    y = _zeros((n, c, 1, 1))
    for b, channel, i, j in _indices(n, c, h, w):
        y[b, channel, 0, 0] += x[b, channel, i, j] / (h * w)
    return y


def global_avg_pool2d_backward(dy, x_shape):
    dx = _zeros(x_shape)
    for b, c, i, j in _indices(*x_shape):
        dx[b, c, i, j] = dy[b, c, 0, 0] / (x_shape[2] * x_shape[3])
    return dx


def _adaptive_cells(shape, size, i, j):
    """Pixels of window (i, j) of size[0] x size[1] that cover an image."""
    spans = [
        range(math.floor(k * n / count), math.ceil((k + 1) * n / count))
        for k, n, count in zip((i, j), shape[2:], size)
    ]
    return list(product(*spans))


def adaptive_avg_pool2d(x, output_size):
    sizes = _pair(output_size) if output_size is not None else (None, None)
    size = [n if given is None else given for n, given in zip(x.shape[2:], sizes)]
    y = _zeros((*x.shape[:2], *size))
    for b, c, i, j in _indices(*y.shape):
        values = [float(x[b, c, r, s]) for r, s in _adaptive_cells(x.shape, size, i, j)]
        y[b, c, i, j] = sum(values) / len(values)
    return y


def adaptive_avg_pool2d_backward(dy, x_shape):
    dx = _zeros(x_shape)
    for b, c, i, j in _indices(*dy.shape):
        cells = _adaptive_cells(x_shape, dy.shape[2:], i, j)
        for r, s in cells:
            dx[b, c, r, s] += dy[b, c, i, j] / len(cells)
    return dx


# ------------------------------------------------------------------------- padding, another size


def zero_pad2d(x, padding):
    left, right, top, bottom = (padding,) * 4 if isinstance(padding, int) else padding
    n, c, h, w = x.shape
    y = _zeros((n, c, h + top + bottom, w + left + right))
    for b, channel, i, j in _indices(*y.shape):
        if 0 <= i - top < h and 0 <= j - left < w:
            y[b, channel, i, j] = x[b, channel, i - top, j - left]
    return y


def _resized(n, size, factor):
    return size if factor is None else math.floor(n * factor)


def _read(i, n, size, factor, mode, align_corners):
    """What pixel i along an axis is read from: pixels of n, with their shares."""
    count = _resized(n, size, factor)
    if mode == "nearest":
        step = np.float32(n / count if factor is None else 1 / factor)
        special = {n: i, 2 * n: i // 2}
        return [(special.get(count, min(math.floor(np.float32(i) * step), n - 1)), 1.0)]
    if align_corners:
        place = i * ((n - 1) / (count - 1)) if count > 1 else 0.0
    else:
        place = max((i + 0.5) * (n / count if factor is None else 1 / factor) - 0.5, 0.0)
    first = min(math.floor(place), n - 1)
    share = min(place - first, 1.0)
    return [(first, 1 - share), (min(first + 1, n - 1), share)]


def _readings(shape, size, scale_factor, mode, align_corners):
    """The size of y, and of each of its pixels what it is read from: (row, column, share)."""
    sizes = _pair(size) if size is not None else (None, None)
    factors = scale_factor if isinstance(scale_factor, tuple) else (scale_factor,) * 2
    axes = list(zip(shape[2:], sizes, factors))
    out = tuple(_resized(*axis) for axis in axes)

    def of(i, j):
        rows, columns = (_read(k, *axis, mode, align_corners) for k, axis in zip((i, j), axes))
        return [(r, s, a * b) for (r, a), (s, b) in product(rows, columns)]

    return out, of


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=None):
    out, readings = _readings(x.shape, size, scale_factor, mode, align_corners)
    y = _zeros((*x.shape[:2], *out))
    for b, c, i, j in _indices(*y.shape):
        y[b, c, i, j] = sum(share * float(x[b, c, r, s]) for r, s, share in readings(i, j))
    return y


def interpolate_backward(
    dy, x_shape, size=None, scale_factor=None, mode="nearest", align_corners=None
):
    _, readings = _readings(x_shape, size, scale_factor, mode, align_corners)
    dx = _zeros(x_shape)
    for b, c, i, j in _indices(*dy.shape):
        for r, s, share in readings(i, j):
            dx[b, c, r, s] += share * dy[b, c, i, j]
    return dx


# ------------------------------------------------------------------ linear and batch normalisation


def linear(x, weight, bias=None, activation=None):
    y = _zeros((*x.shape[:-1], weight.shape[0]))
    for *line, o in _indices(*y.shape):
        total = 0.0 if bias is None else float(bias[o])
        for i in range(weight.shape[1]):
            total += float(x[(*line, i)]) * float(weight[o, i])
        y[(*line, o)] = _finished(total, activation)
    return y


def linear_backward(dy, x, weight, need_dx=True):
    dx, dweight, dbias = _zeros(x.shape), _zeros(weight.shape), _zeros(weight.shape[0])
    for *line, o in _indices(*dy.shape):
        slope = float(dy[(*line, o)])
        dbias[o] += slope
        for i in range(weight.shape[1]):
            dx[(*line, i)] += slope * weight[o, i]
            dweight[o, i] += slope * x[(*line, i)]
    return (dx if need_dx else None), dweight, dbias


def _channel(x, c):
    """Positions of all elements of channel c."""
    return [(n, c, *rest) for n, *rest in _indices(x.shape[0], *x.shape[2:])]


def batch_norm(
    x,
    weight=None,
    bias=None,
    running_mean=None,
    running_var=None,
    training=True,
    momentum=0.1,
    eps=1e-5,
    activation=None,
    add=None,
):
    y, means, inverses = _zeros(x.shape), _zeros(x.shape[1]), _zeros(x.shape[1])
    for c in range(x.shape[1]):
        where = _channel(x, c)
        if training:
            mean = math.fsum(x[p] for p in where) / len(where)
            squares = math.fsum((x[p] - mean) ** 2 for p in where)
            variance = squares / len(where)
            if running_mean is not None:
                running_mean[c] = (1 - momentum) * running_mean[c] + momentum * mean
            if running_var is not None:
                running_var[c] = (1 - momentum) * running_var[c] + momentum * squares / (
                    len(where) - 1
                )
        else:
            mean, variance = float(running_mean[c]), float(running_var[c])
        means[c], inverses[c] = mean, 1 / math.sqrt(variance + eps)
        for p in where:
            normal = (x[p] - mean) * inverses[c]
            total = normal * (1.0 if weight is None else weight[c])
            total += 0.0 if bias is None else bias[c]
            y[p] = _finished(total, activation, 0.0 if add is None else add[p])
    return y, means, inverses


def batch_norm_backward(dy, x, weight, mean, inv_std, training=True, bias=None, activation=None):
    dx, dweight, dbias = _zeros(x.shape), _zeros(x.shape[1]), _zeros(x.shape[1])
    for c in range(x.shape[1]):
        where = _channel(x, c)
        normal = {p: (x[p] - mean[c]) * inv_std[c] for p in where}
        scale = inv_std[c] * (1.0 if weight is None else weight[c])
        shift = 0.0 if bias is None else bias[c]
        for p in where:
            slope = _unfinished(dy[p], (x[p] - mean[c]) * scale + shift, activation)
            dbias[c] += slope
            dweight[c] += slope * normal[p]
            if not training:
                dx[p] = slope * scale
                continue
            for q in where:  # d y[p] / d x[q]: directly, through the mean, and through the variance
                jacobian = (p == q) - 1 / len(where) - normal[p] * normal[q] / len(where)
                dx[q] += slope * scale * jacobian
    return dx, dweight, dbias


# ------------------------------------------------------------------------------------- activations


def embedding(indices, weight):
    y = _zeros((*indices.shape, weight.shape[1]))
    for p in np.ndindex(y.shape):
        y[p] = weight[int(indices[p[:-1]]), p[-1]]
    return y


def embedding_backward(dy, indices, num_embeddings, padding_idx=None):
    dweight = _zeros((num_embeddings, dy.shape[-1]))
    for p in np.ndindex(dy.shape):
        if int(indices[p[:-1]]) != padding_idx:
            dweight[int(indices[p[:-1]]), p[-1]] += dy[p]
    return dweight


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    n = x.shape[0]
    y, means, inverses = _zeros(x.shape), _zeros((n, num_groups)), _zeros((n, num_groups))
    for i, group in _indices(n, num_groups):
        where = _group(x, i, group, num_groups)
        if not where:
            inverses[i, group] = 1 / math.sqrt(eps)
            continue
        mean = math.fsum(x[p] for p in where) / len(where)
        variance = math.fsum((x[p] - mean) ** 2 for p in where) / len(where)
        means[i, group], inverses[i, group] = mean, 1 / math.sqrt(variance + eps)
        for p in where:
            y[p] = (x[p] - mean) * inverses[i, group]
            y[p] *= 1.0 if weight is None else weight[p[1]]
            y[p] += 0.0 if bias is None else bias[p[1]]
    return y, means, inverses


def _group(x, i, group, num_groups):
    """Positions of all elements of a group of channels of image i."""
    c = x.shape[1] // num_groups
    return [(i, group * c + k, *rest) for k, *rest in _indices(c, *x.shape[2:])]


def group_norm_backward(dy, x, num_groups, weight, mean, inv_std):
    dx, dweight, dbias = _zeros(x.shape), _zeros(x.shape[1]), _zeros(x.shape[1])
    for i, group in _indices(x.shape[0], num_groups):
        where = _group(x, i, group, num_groups)
        normal = {p: (x[p] - mean[i, group]) * inv_std[i, group] for p in where}
        for p in where:
            dbias[p[1]] += dy[p]
            dweight[p[1]] += dy[p] * normal[p]
            slope = dy[p] * inv_std[i, group] * (1.0 if weight is None else weight[p[1]])
            for q in where:
                jacobian = (p == q) - (1 + normal[p] * normal[q]) / len(where)
                dx[q] += slope * jacobian
    return dx, dweight, dbias


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    lead, flat = _rows(x, normalized_shape)
    vectors = [None if v is None else v.ravel() for v in (weight, bias)]
    y, mean, inv_std = group_norm(flat, 1, *vectors, eps)
    return y.reshape(x.shape), mean.reshape(lead), inv_std.reshape(lead)


def layer_norm_backward(dy, x, normalized_shape, weight, mean, inv_std):
    _, flat = _rows(x, normalized_shape)
    statistics = mean.reshape(-1, 1), inv_std.reshape(-1, 1)
    weights = None if weight is None else weight.ravel()
    dx, *rest = group_norm_backward(dy.reshape(flat.shape), flat, 1, weights, *statistics)
    shape = x.shape[x.ndim - len(_tuple(normalized_shape)) :]
    return dx.reshape(x.shape), *(v.reshape(shape) for v in rest)


def _tuple(value):
    return (value,) if isinstance(value, int) else tuple(value)


def _rows(x, normalized_shape):
    """The shape of the other axes, and x as rows of the numbers that are normalised together."""
    lead = x.shape[: x.ndim - len(_tuple(normalized_shape))]
    return lead, x.reshape(math.prod(lead), math.prod(_tuple(normalized_shape)))


def _squares(x, n, i, where, size):
    first, end = max(0, i - size // 2), min(x.shape[1], i + (size - 1) // 2 + 1)
    return {j: float(x[(n, j, *where)]) for j in range(first, end)}


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    y = _zeros(x.shape)
    for n, i, *where in np.ndindex(x.shape):
        window = _squares(x, n, i, where, size).values()
        base = k + alpha * math.fsum(a * a for a in window) / size
        y[(n, i, *where)] = x[(n, i, *where)] / base**beta
    return y


def local_response_norm_backward(dy, x, size, alpha=1e-4, beta=0.75, k=1.0):
    dx = _zeros(x.shape)
    for n, i, *where in np.ndindex(x.shape):
        here = (n, i, *where)
        window = _squares(x, n, i, where, size)
        base = k + alpha * math.fsum(a * a for a in window.values()) / size
        dx[here] += dy[here] * base**-beta
        for j, a in window.items():  # through the base, whose slope is 2 alpha / size * a
            outer = -beta * base ** (-beta - 1) * x[here]
            dx[(n, j, *where)] += dy[here] * outer * 2 * alpha / size * a
    return dx


# Activations that other ops may end in, and where they bend.
ENDINGS = {"relu": (0,), "relu6": (0, 6), "hardsigmoid": (-3, 3), "hardswish": (-3, 3)}


def saves(activation):
    """What its backward takes besides dy: "x" or "y"."""
    return list(inspect.signature(globals()[f"{activation}_backward"]).parameters)[1]


def _map(function, *arrays):
    y = _zeros(arrays[0].shape)
    for p in np.ndindex(y.shape):
        y[p] = function(*(float(a[p]) for a in arrays))
    return y


def _sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def relu(x):
    return _map(lambda a: a if a > 0 or math.isnan(a) else 0.0, x)


def relu_backward(dy, y):
    return _map(lambda d, a: d if a > 0 else 0.0, dy, y)


def relu6(x):
    return _map(lambda a: 0.0 if a < 0 else 6.0 if a > 6 else a, x)


def relu6_backward(dy, y):
    return _map(lambda d, a: 0.0 if a <= 0 or a >= 6 else d, dy, y)


def hardsigmoid(x):
    return _map(lambda a: 0.0 if a <= -3 else 1.0 if a >= 3 else (a + 3) / 6, x)


def hardsigmoid_backward(dy, y):
    return _map(lambda d, a: 0.0 if a <= 0 or a >= 1 else d / 6, dy, y)


def hardswish(x):
    return _map(lambda a: 0.0 if a <= -3 else a if a >= 3 else a * (a + 3) / 6, x)


def hardswish_backward(dy, x):
    return _map(lambda d, a: 0.0 if a <= -3 else d if a >= 3 else d * (2 * a + 3) / 6, dy, x)


def add(x, y):
    return _map(lambda a, b: a + b, x, y)


def _larger(a, b):
    return a if math.isnan(a) or a > b else b


def _quotient(a, b):
    if b != 0 or math.isnan(a):
        return a / b if b != 0 else a
    return math.nan if a == 0 else math.copysign(math.inf, a) * math.copysign(1.0, b)


TWO = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": _quotient,
    "maximum": _larger,
    "minimum": lambda a, b: -_larger(-a, -b),
}


def binary(x, y, function):
    axes = max(x.ndim, y.ndim)
    x, y = (a.reshape((1,) * (axes - a.ndim) + a.shape) for a in (x, y))
    z = _zeros([n if m == 1 else m for m, n in zip(x.shape, y.shape)])
    for p in np.ndindex(z.shape):
        z[p] = TWO[function](float(x[_operand(x.shape, p)]), float(y[_operand(y.shape, p)]))
    return z


def _logarithm(a):
    return math.log(a) if a > 0 else -math.inf if a == 0 else math.nan


def unary(x, function, a=0.0, b=0.0):
    one = {
        "abs": abs,
        "negative": lambda v: -v,
        "reciprocal": lambda v: _quotient(1.0, v),
        "sqrt": lambda v: math.sqrt(v) if v >= 0 else math.nan,
        "exp": lambda v: math.inf if v > 709.7 else math.exp(v),
        "log": _logarithm,
        "clip": lambda v: v if math.isnan(v) else min(max(v, a), b),
        "affine": lambda v: v * a + b,
    }
    return _map(one[function], x)


def reduce(x, function, axes=None, keepdims=False):
    axes = range(x.ndim) if axes is None else [axes] if isinstance(axes, int) else axes
    axes = [axis % x.ndim for axis in axes]
    y = np.empty([1 if i in axes else n for i, n in enumerate(x.shape)], object)
    for p in np.ndindex(y.shape):
        y[p] = []
    for p in np.ndindex(x.shape):
        y[tuple(0 if i in axes else k for i, k in enumerate(p))].append(float(x[p]))
    join = {
        "sum": math.fsum,
        "mean": lambda values: math.fsum(values) / len(values),
        "max": max,
        "min": min,
        "sum_square": lambda values: math.fsum(v * v for v in values),
        "l2": lambda values: math.sqrt(math.fsum(v * v for v in values)),
    }
    kept = [n for i, n in enumerate(y.shape) if keepdims or i not in axes]
    return np.array([join[function](values) for values in y.ravel()], float).reshape(kept)


def lstm(x, w, r, b, h=None, c=None, direction="forward"):
    steps, n, inputs = x.shape
    sides, hidden = r.shape[0], r.shape[2]
    y = _zeros((steps + 2, sides, n, hidden))

    def gate(side, g, u, seen, state):
        row = g * hidden + u
        total = float(b[side, row]) + float(b[side, 4 * hidden + row])
        total += sum(float(w[side, row, p]) * seen[p] for p in range(inputs))
        return total + sum(float(r[side, row, p]) * state[p] for p in range(hidden))

    def sigmoid_of(a):
        return 0.0 if a < -700 else 1 / (1 + math.exp(-a))

    for side, k in _indices(sides, n):
        state = [0.0 if h is None else float(h[side, k, u]) for u in range(hidden)]
        cell = [0.0 if c is None else float(c[side, k, u]) for u in range(hidden)]
        back = side == 1 or direction == "reverse"
        for t in range(steps - 1, -1, -1) if back else range(steps):
            seen = [float(value) for value in x[t, k]]
            sums = [[gate(side, g, u, seen, state) for g in range(4)] for u in range(hidden)]
            for u, (i, o, f, g) in enumerate(sums):
                cell[u] = sigmoid_of(f) * cell[u] + sigmoid_of(i) * math.tanh(g)
                state[u] = sigmoid_of(o) * math.tanh(cell[u])
            y[t, side, k] = state
        y[steps, side, k], y[steps + 1, side, k] = state, cell
    return y


def pad(x, padding, mode="constant", value=0.0):
    y = np.full([n + before + after for n, (before, after) in zip(x.shape, padding)], float(value))
    kept = [range(max(0, -b), n - max(0, -a)) for n, (b, a) in zip(x.shape, padding)]

    def place(i, axis):
        """Bounce, stop or jump at the ends, one step at a time."""
        first, last = kept[axis].start, kept[axis].stop - 1
        while not first <= i <= last:
            if mode == "constant":
                return None
            if mode == "edge" or first == last:
                i = first if i < first else last
            elif mode == "wrap":
                i += last - first + 1 if i < first else first - last - 1
            else:
                i = 2 * first - i if i < first else 2 * last - i
        return i

    for p in np.ndindex(y.shape):
        q = [place(i - before, axis) for axis, (i, (before, _)) in enumerate(zip(p, padding))]
        if None not in q:
            y[p] = x[tuple(q)]
    return y


def _operand(shape, p):
    """The place in an array of that shape that meets place p of the product."""
    return tuple(0 if size == 1 else i for size, i in zip(shape, p))


def multiply(x, y):
    z = _zeros([n if m == 1 else m for m, n in zip(x.shape, y.shape)])
    for p in np.ndindex(z.shape):
        z[p] = float(x[_operand(x.shape, p)]) * float(y[_operand(y.shape, p)])
    return z


def multiply_backward(dy, x, y):
    dx, of_y = _zeros(x.shape), _zeros(y.shape)
    for p in np.ndindex(dy.shape):
        in_x, in_y = _operand(x.shape, p), _operand(y.shape, p)
        dx[in_x] += float(dy[p]) * float(y[in_y])
        of_y[in_y] += float(dy[p]) * float(x[in_x])
    return dx, of_y


def _joined(shapes, axis):
    """(array, its place, the place in the joined array), of every element of arrays joined."""
    first = 0
    for k, shape in enumerate(shapes):
        for p in np.ndindex(*shape):
            q = list(p)
            q[axis] += first
            yield k, p, tuple(q)
        first += shape[axis]


def concat(arrays, axis=1):
    shape = list(arrays[0].shape)
    shape[axis] = sum(x.shape[axis] for x in arrays)
    y = _zeros(shape)
    for k, p, q in _joined([x.shape for x in arrays], axis):
        y[q] = arrays[k][p]
    return y


def split(x, sizes, axis=1):
    shapes = [list(x.shape) for _ in sizes]
    for shape, size in zip(shapes, sizes):
        shape[axis] = size
    ys = tuple(_zeros(shape) for shape in shapes)
    for k, p, q in _joined(shapes, axis):
        ys[k][p] = x[q]
    return ys


def leaky_relu(x, negative_slope=0.01):
    return _map(lambda a: a if a > 0 else a * negative_slope, x)


def leaky_relu_backward(dy, x, negative_slope=0.01):
    return _map(lambda d, a: d if a > 0 else d * negative_slope, dy, x)


def sigmoid(x):
    return _map(_sigmoid, x)


def sigmoid_backward(dy, y):
    return _map(lambda d, a: d * a * (1 - a), dy, y)


def tanh(x):
    return _map(math.tanh, x)


def tanh_backward(dy, y):
    return _map(lambda d, a: d * (1 - a * a), dy, y)


# Smooth activations, whose backward takes x.
CURVES = ("elu", "gelu", "mish", "silu", "softplus")


def elu(x, alpha=1.0):
    return _map(lambda a: a if a > 0 else alpha * math.expm1(a), x)


def elu_backward(dy, x, alpha=1.0):
    return _map(lambda d, a: d if a > 0 else d * alpha * math.exp(a), dy, x)


def _normal(a):
    """P(X < a)"""
    return math.erfc(-a / math.sqrt(2)) / 2


def _cubic(a):
    return math.sqrt(2 / math.pi) * (a + 0.044715 * a**3)


def gelu(x, approximate="none"):
    if approximate == "tanh":  # (1 + tanh(u)) / 2 is a sigmoid
        return _map(lambda a: a * _sigmoid(2 * _cubic(a)), x)
    return _map(lambda a: a * _normal(a), x)


def gelu_backward(dy, x, approximate="none"):
    def slope(a):
        if approximate == "tanh":
            p, q = _sigmoid(2 * _cubic(a)), _sigmoid(-2 * _cubic(a))
            return p + a * p * q * 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * a**2)
        return _normal(a) + a * math.exp(-(a**2) / 2) / math.sqrt(2 * math.pi)

    return _map(lambda d, a: d * slope(a), dy, x)


def mish(x):
    return _map(lambda a: a * math.tanh(_softplus(a)), x)


def mish_backward(dy, x):
    def slope(a):
        t = math.tanh(_softplus(a))
        return t + a * (1 - t * t) * _sigmoid(a)

    return _map(lambda d, a: d * slope(a), dy, x)


def silu(x):
    return _map(lambda a: a * _sigmoid(a), x)


def silu_backward(dy, x):
    return _map(lambda d, a: d * _sigmoid(a) * (1 + a * _sigmoid(-a)), dy, x)


def softplus(x, beta=1.0, threshold=20.0):
    return _map(lambda a: a if beta * a > threshold else _softplus(beta * a) / beta, x)


def softplus_backward(dy, x, beta=1.0, threshold=20.0):
    return _map(lambda d, a: d if beta * a > threshold else d * _sigmoid(beta * a), dy, x)


def prelu(x, weight):
    return _map(lambda a, w: a if a > 0 else w * a, x, _slopes(x, weight))


def prelu_backward(dy, x, weight):
    dweight = _zeros(weight.shape)
    for p in np.ndindex(x.shape):
        if x[p] <= 0:
            dweight[p[1] if weight.size > 1 else 0] += dy[p] * x[p]
    return _map(lambda d, a, w: d if a > 0 else w * d, dy, x, _slopes(x, weight)), dweight


def _slopes(x, weight):
    slopes = _zeros(x.shape)
    for p in np.ndindex(x.shape):
        slopes[p] = weight[p[1] if weight.size > 1 else 0]
    return slopes


def _lines(shape, axis):
    """Lists of positions, one list for each line along the axis that has any."""
    axis %= len(shape)
    for p in np.ndindex(*shape[:axis], *shape[axis + 1 :]) if shape[axis] else ():
        yield [(*p[:axis], k, *p[axis:]) for k in range(shape[axis])]


def softmax(x, axis=1):
    y = _zeros(x.shape)
    for line in _lines(x.shape, axis):
        top = max(x[p] for p in line)
        powers = [math.exp(x[p] - top) for p in line]
        for p, power in zip(line, powers):
            y[p] = power / math.fsum(powers)
    return y


def softmax_backward(dy, y, axis=1):
    dx = _zeros(y.shape)
    for line in _lines(y.shape, axis):
        for p, q in product(line, line):
            dx[q] += dy[p] * y[p] * ((p == q) - y[q])
    return dx


def log_softmax(x, axis=1):
    y = _zeros(x.shape)
    for line in _lines(x.shape, axis):
        top = max(x[p] for p in line)
        log_sum = math.log(math.fsum(math.exp(x[p] - top) for p in line))
        for p in line:
            y[p] = x[p] - top - log_sum
    return y


def log_softmax_backward(dy, y, axis=1):
    dx = _zeros(y.shape)
    for line in _lines(y.shape, axis):
        for p, q in product(line, line):
            dx[q] += dy[p] * ((p == q) - math.exp(y[q]))
    return dx


# ----------------------------------------------------------------------------------------- dropout

_32, _64 = 2**32 - 1, 2**64 - 1


def _splitmix64(z):
    """The generator of Steele, Lea and Flood (2014), one step, as a hash."""
    z = (z + 0x9E3779B97F4A7C15) & _64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _64
    return z ^ (z >> 31)


def _fmix32(h):
    """The finaliser of MurmurHash3 (A. Appleby)."""
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & _32
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & _32
    return h ^ (h >> 16)


def kept(p, seed, call, index):
    """Whether dropout keeps the element at a flat index."""
    key = _splitmix64((_splitmix64(seed) + call + 0x9E3779B97F4A7C15 * (index >> 32)) & _64)
    h = _fmix32((_fmix32((index & _32) ^ (key & _32)) + (key >> 32)) & _32)
    return p < 1 and h >= math.floor(p * 2**32)


def dropout(x, p, seed, call):
    y = _zeros(x.shape)
    for index, position in enumerate(np.ndindex(x.shape)):
        if kept(p, seed, call, index):
            y[position] = x[position] / (1 - p)
    return y


def dropout_backward(dy, p, seed, call):
    return dropout(dy, p, seed, call)


# ------------------------------------------------------------------------------------------ losses


def _softplus(x):
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _reduced(losses, gradient, divisor, reduction):
    if reduction == "none":
        return losses, gradient
    divisor = (divisor or 1) if reduction == "mean" else 1
    return losses.sum() / divisor, gradient / divisor


def cross_entropy(
    logits, target, weight=None, label_smoothing=0.0, reduction="mean", ignore_index=-100
):
    k, dlogits = logits.shape[1], _zeros(logits.shape)
    losses = _zeros((logits.shape[0], *logits.shape[2:]))
    labels = target.shape != logits.shape
    weights = [1.0] * k if weight is None else weight.tolist()
    log_p = log_softmax(logits, 1)
    divisor = 0.0
    for line in _lines(logits.shape, 1):
        n, _, *rest = line[0]
        if labels:
            label = int(target[(n, *rest)])
            if label == ignore_index:
                continue
            truth = [float(c == label) for c in range(k)]
            divisor += weights[label]
        else:
            truth = [float(target[p]) for p in line]
            divisor += 1
        share = [
            w * (t * (1 - label_smoothing) + label_smoothing / k) for w, t in zip(weights, truth)
        ]
        for p, s in zip(line, share):
            losses[(n, *rest)] -= s * log_p[p]
            for q in line:  # d(-log p[p]) / d logits[q]
                dlogits[q] += s * (math.exp(log_p[q]) - (p == q))
    return _reduced(losses, dlogits, divisor, reduction)


def nll(log_p, target, weight=None, reduction="mean", ignore_index=-100):
    losses, gradient, divisor = _zeros(target.shape), _zeros(log_p.shape), 0.0
    for n, *rest in np.ndindex(target.shape):
        label = int(target[(n, *rest)])
        if label != ignore_index:
            w = 1.0 if weight is None else float(weight[label])
            losses[(n, *rest)] = -w * log_p[(n, label, *rest)]
            gradient[(n, label, *rest)] = -w
            divisor += w
    return _reduced(losses, gradient, divisor, reduction)


def focal(logits, target, gamma=2.0, alpha=None, reduction="mean", ignore_index=-100):
    losses, gradient, count = _zeros(target.shape), _zeros(logits.shape), 0
    log_p = log_softmax(logits, 1)
    for n, *rest in np.ndindex(target.shape):
        label = int(target[(n, *rest)])
        if label == ignore_index:
            continue
        count += 1
        a = 1.0 if alpha is None else float(alpha[label])
        log = log_p[(n, label, *rest)]
        p, far = math.exp(log), -math.expm1(log)
        losses[(n, *rest)] = -a * far**gamma * log
        # d loss / d log p, by the product rule; d log p / d logits[c] = (c == label) - softmax[c]
        slope = far**gamma - (gamma * far ** (gamma - 1) * p * log if far and gamma else 0)
        for c in range(logits.shape[1]):
            at = (n, c, *rest)
            gradient[at] = a * slope * (math.exp(log_p[at]) - (c == label))
    return _reduced(losses, gradient, count, reduction)


def binary_focal(logits, target, gamma=2.0, alpha=None, reduction="mean"):
    def factor(t):
        return 1 if alpha is None else alpha if t else 1 - alpha

    def value(x, t):
        z = x if t else -x
        return factor(t) * _sigmoid(-z) ** gamma * _softplus(-z)

    def slope(x, t):
        z = x if t else -x
        p, q = _sigmoid(z), _sigmoid(-z)
        down = -factor(t) * q**gamma * (gamma * p * _softplus(-z) + q)
        return down if t else -down

    return _pointwise_loss(value, slope, logits, target, reduction)


def _pointwise_loss(value, slope, pred, target, reduction):
    losses, gradient = _map(value, pred, target), _map(slope, pred, target)
    return _reduced(losses, gradient, pred.size, reduction)


def l1(pred, target, reduction="mean"):
    return _pointwise_loss(
        lambda p, t: abs(p - t), lambda p, t: (p > t) - (p < t), pred, target, reduction
    )


def huber(pred, target, delta=1.0, reduction="mean"):
    def value(p, t):
        d = abs(p - t)
        return d * d / 2 if d <= delta else delta * (d - delta / 2)

    def slope(p, t):
        return p - t if abs(p - t) <= delta else math.copysign(delta, p - t)

    return _pointwise_loss(value, slope, pred, target, reduction)


def smooth_l1(pred, target, beta=1.0, reduction="mean"):
    def value(p, t):
        d = abs(p - t)
        return d * d / (2 * beta) if d < beta else d - beta / 2

    def slope(p, t):
        return (p - t) / beta if abs(p - t) < beta else float((p > t) - (p < t))

    return _pointwise_loss(value, slope, pred, target, reduction)


def mse(pred, target, reduction="mean"):
    return _pointwise_loss(
        lambda p, t: (p - t) ** 2, lambda p, t: 2 * (p - t), pred, target, reduction
    )


def _log(x):
    """Natural logarithm, at least -100, so that a certain and wrong prediction has loss 100."""
    return max(math.log(x), -100.0) if x > 0 else -100.0


def bce(pred, target, reduction="mean"):
    return _pointwise_loss(
        lambda p, t: -t * _log(p) - (1 - t) * _log(1 - p),
        lambda p, t: (p - t) / max(p * (1 - p), 1e-12),
        pred,
        target,
        reduction,
    )


def bce_with_logits(logits, target, reduction="mean"):
    return _pointwise_loss(
        lambda x, t: t * _softplus(-x) + (1 - t) * _softplus(x),
        lambda x, t: _sigmoid(x) - t,
        logits,
        target,
        reduction,
    )


# ----------------------------------------------------------------------- optimiser steps, in place


def _moving(params, grads, *states):
    """The updated numbers, one by one: (array, its index, gradient, index in the states)."""
    start = 0
    for param, grad in zip(params, grads, strict=True):
        for i, p in enumerate(np.ndindex(param.shape)):
            if grad is not None:
                yield param, p, grad[p], start + i
        start += param.size
    assert all(state is None or state.shape == (start,) for state in states)


def _climbing(lr, weight_decay, maximize):
    """Uphill is the opposite of downhill on -loss: that changes the sign of both."""
    return (-lr, -weight_decay) if maximize else (lr, weight_decay)


def sgd_step(
    params,
    grads,
    velocity,
    lr,
    momentum=0.0,
    weight_decay=0.0,
    nesterov=False,
    maximize=False,
    dampening=0.0,
):
    lr, weight_decay = _climbing(lr, weight_decay, maximize)
    for param, p, grad, s in _moving(params, grads, velocity):
        g = grad + weight_decay * param[p]
        if momentum:
            velocity[s] = momentum * velocity[s] + (1 - dampening) * g
            g = g + momentum * velocity[s] if nesterov else velocity[s]
        param[p] -= lr * g


def rmsprop_step(
    params,
    grads,
    square_avg,
    grad_avg,
    velocity,
    lr,
    alpha=0.99,
    eps=1e-8,
    weight_decay=0.0,
    momentum=0.0,
    maximize=False,
):
    lr, weight_decay = _climbing(lr, weight_decay, maximize)
    for param, p, grad, s in _moving(params, grads, square_avg, grad_avg, velocity):
        g = grad + weight_decay * param[p]
        square_avg[s] = alpha * square_avg[s] + (1 - alpha) * g * g
        variance = square_avg[s]
        if grad_avg is not None:
            grad_avg[s] = alpha * grad_avg[s] + (1 - alpha) * g
            variance = variance - grad_avg[s] ** 2
        step = g / (math.sqrt(variance) + eps)
        if velocity is not None:
            step = velocity[s] = momentum * velocity[s] + step
        param[p] -= lr * step


def adagrad_step(params, grads, sum_sq, lr, eps=1e-10, weight_decay=0.0, maximize=False):
    lr, weight_decay = _climbing(lr, weight_decay, maximize)
    for param, p, grad, s in _moving(params, grads, sum_sq):
        g = grad + weight_decay * param[p]
        sum_sq[s] += g * g
        param[p] -= lr * g / (math.sqrt(sum_sq[s]) + eps)


def _moments(param, p, grad, s, exp_avg, exp_avg_sq, lr, beta1, beta2, weight_decay, decoupled):
    """Updates the two moments; returns the gradient with its weight decay."""
    g = grad
    if decoupled:
        param[p] *= 1 - lr * weight_decay
    else:
        g = grad + weight_decay * param[p]
    exp_avg[s] = beta1 * exp_avg[s] + (1 - beta1) * g
    exp_avg_sq[s] = beta2 * exp_avg_sq[s] + (1 - beta2) * g * g
    return g


def adam_step(
    params,
    grads,
    exp_avg,
    exp_avg_sq,
    lr,
    beta1,
    beta2,
    eps,
    weight_decay,
    step,
    max_avg_sq=None,
    decoupled=False,
    maximize=False,
):
    lr, weight_decay = _climbing(lr, weight_decay, maximize)
    for param, p, grad, s in _moving(params, grads, exp_avg, exp_avg_sq, max_avg_sq):
        decay = weight_decay, decoupled
        _moments(param, p, grad, s, exp_avg, exp_avg_sq, lr, beta1, beta2, *decay)
        square = exp_avg_sq[s]
        if max_avg_sq is not None:
            square = max_avg_sq[s] = max(max_avg_sq[s], square)
        mean, variance = exp_avg[s] / (1 - beta1**step), square / (1 - beta2**step)
        param[p] -= lr * mean / (math.sqrt(variance) + eps)


def nadam_step(
    params,
    grads,
    exp_avg,
    exp_avg_sq,
    lr,
    beta1,
    beta2,
    eps,
    weight_decay,
    mu,
    mu_next,
    mu_product,
    step,
    decoupled=False,
    maximize=False,
):
    lr, weight_decay = _climbing(lr, weight_decay, maximize)
    for param, p, grad, s in _moving(params, grads, exp_avg, exp_avg_sq):
        decay = weight_decay, decoupled
        g = _moments(param, p, grad, s, exp_avg, exp_avg_sq, lr, beta1, beta2, *decay)
        mean = exp_avg[s] / (1 - mu_product * mu_next)
        nesterov = (1 - mu) * g / (1 - mu_product) + mu_next * mean
        param[p] -= lr * nesterov / (math.sqrt(exp_avg_sq[s] / (1 - beta2**step)) + eps)


def ema_step(averages, values, decay):
    for average, p, value, _ in _moving(averages, values):
        average[p] = decay * average[p] + (1 - decay) * value
