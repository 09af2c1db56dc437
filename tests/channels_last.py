"""Convolutions of arrays (n, h, w, channels), for test_channels_last.py and test_bounds.py. Needs
the compiled backend.

An algorithm adds its rows: name (of float32), x, weight, y, stride, padding at the top and on the
left, dilation, activation. Shapes are those of planes; padding at the bottom and on the right
follows from y.
"""

from __future__ import annotations

import forced
import numpy as np
from job_case import draw

import cnnx
from cnnx.backends.compiled import jobs

ONE, NONE = (1, 1), (0, 0)

PIXELS = [
    # 1x1: all pixels are one row. Filters that fill panels, vectors, and less than one.
    ((1, 300, 14, 14), (130, 300, 1, 1), (1, 130, 14, 14), ONE, NONE, ONE, "relu"),
    ((3, 24, 5, 7), (40, 24, 1, 1), (3, 40, 5, 7), ONE, NONE, ONE, "relu6"),
    ((2, 600, 1, 1), (33, 600, 1, 1), (2, 33, 1, 1), ONE, NONE, ONE, "hardswish"),
    ((1, 17, 40, 41), (3, 17, 1, 1), (1, 3, 40, 41), ONE, NONE, ONE, "relu"),
    # Strides, without padding: rows of an image, several images in a group.
    ((5, 20, 9, 8), (10, 20, 1, 1), (5, 10, 5, 4), (2, 2), NONE, ONE, None),
    ((1, 70, 57, 60), (48, 70, 1, 1), (1, 48, 29, 20), (2, 3), NONE, ONE, "relu"),
    # Windows that leave the image: staged. Short runs together, long ones cut, in bands.
    ((1, 3, 65, 66), (40, 3, 7, 7), (1, 40, 33, 33), (2, 2), (3, 3), ONE, "relu"),
    ((2, 100, 13, 12), (20, 100, 3, 3), (2, 20, 13, 12), ONE, ONE, ONE, "hardsigmoid"),
    ((7, 130, 4, 4), (140, 130, 3, 3), (7, 140, 4, 4), ONE, ONE, ONE, "relu"),
    ((1, 400, 7, 7), (300, 400, 3, 3), (1, 300, 4, 4), (2, 2), ONE, ONE, None),  # tasks share rows
    ((1, 300, 40, 39), (40, 300, 3, 3), (1, 40, 20, 20), (2, 2), ONE, ONE, None),  # and bands of it
    # Another padding at the bottom and on the right; none; dilation.
    ((1, 8, 11, 9), (16, 8, 2, 4), (1, 16, 12, 10), ONE, (0, 1), ONE, "relu"),
    ((2, 16, 12, 12), (16, 16, 3, 3), (2, 16, 10, 10), ONE, NONE, ONE, "relu"),
    ((1, 20, 15, 17), (7, 20, 3, 2), (1, 7, 8, 16), (2, 1), (2, 1), (2, 3), "relu"),
    ((1, 600, 9, 9), (300, 600, 2, 2), (1, 300, 7, 7), ONE, NONE, (2, 2), "relu"),  # cut taps
    ((1, 6, 5, 5), (8, 6, 1, 1), (1, 8, 9, 8), ONE, (2, 3), ONE, "relu"),  # pixels of zeros
    ((2, 20, 30, 1), (24, 20, 5, 1), (2, 24, 26, 1), ONE, NONE, ONE, "relu"),  # one column
    ((1, 5, 300, 1), (70, 5, 3, 1), (1, 70, 300, 1), ONE, (1, 0), ONE, "relu"),
]

# 3x3 windows at stride 1: x, filters, size of y, padding at the top and on the left, activation.
WINOGRAD = [
    # Tiles in part, several bands; panels in part, of fewer channels or filters than a vector.
    ((2, 64, 14, 14), 64, (14, 14), (1, 1), "relu"),
    ((1, 16, 32, 32), 16, (32, 32), (1, 1), "relu6"),
    ((3, 35, 7, 7), 70, (7, 7), (1, 1), "hardswish"),
    ((1, 260, 9, 11), 130, (9, 11), (1, 1), None),
    ((2, 7, 13, 5), 19, (13, 5), (1, 1), "relu"),
    ((1, 40, 3, 130), 5, (3, 130), (1, 1), "relu"),
    # No padding, another one at the bottom and on the right, more than a tile of it.
    ((2, 20, 12, 10), 24, (10, 8), (0, 0), "relu"),
    ((1, 24, 9, 9), 33, (11, 9), (1, 2), "hardsigmoid"),
    ((1, 17, 3, 2), 18, (19, 20), (9, 9), "relu"),
    ((1, 17, 1, 1), 18, (1, 1), (1, 1), "relu"),
]

DEPTHWISE = [
    # Sevens and fours of outputs; channels that end with a vector, within one, and that fill none.
    ((1, 32, 9, 14), (32, 1, 3, 3), (1, 32, 9, 14), ONE, ONE, ONE, "relu6"),
    ((2, 45, 6, 8), (45, 1, 3, 3), (2, 45, 6, 8), ONE, ONE, ONE, "relu"),
    ((3, 5, 7, 9), (5, 1, 3, 3), (3, 5, 7, 9), ONE, ONE, ONE, "hardswish"),
    ((1, 17, 3, 3), (17, 1, 3, 3), (1, 17, 3, 3), ONE, ONE, ONE, None),
    ((1, 300, 25, 24), (300, 1, 3, 3), (1, 300, 25, 24), ONE, ONE, ONE, "relu"),  # blocks, bands
    ((2, 40, 19, 26), (40, 1, 3, 3), (2, 40, 10, 13), (2, 2), ONE, ONE, "relu"),
    ((1, 24, 12, 16), (24, 1, 3, 3), (1, 24, 6, 8), (2, 2), (0, 0), ONE, "relu6"),
    ((1, 48, 14, 15), (48, 1, 5, 5), (1, 48, 14, 15), ONE, (2, 2), ONE, "hardswish"),
    ((1, 20, 15, 28), (20, 1, 5, 5), (1, 20, 8, 14), (2, 2), (2, 2), ONE, None),
    ((1, 33, 8, 21), (33, 1, 7, 7), (1, 33, 8, 21), ONE, (3, 3), ONE, None),
    # Windows with few taps inside the image, or none; another padding on the right; no padding.
    ((1, 16, 2, 1), (16, 1, 7, 7), (1, 16, 4, 5), ONE, (4, 5), ONE, "relu"),
    ((1, 16, 5, 5), (16, 1, 3, 3), (1, 16, 10, 14), ONE, (4, 4), ONE, "relu"),
    ((1, 18, 8, 9), (18, 1, 3, 3), (1, 18, 6, 7), ONE, NONE, ONE, "relu"),
    # Any other kernel: strides, dilation, one row.
    ((1, 21, 17, 18), (21, 1, 3, 3), (1, 21, 6, 9), (3, 2), (1, 2), (2, 3), "relu"),
    ((1, 8, 15, 12), (8, 1, 3, 3), (1, 8, 5, 4), (3, 3), ONE, ONE, "relu6"),
    ((2, 70, 4, 6), (70, 1, 1, 1), (2, 70, 4, 6), ONE, NONE, ONE, "relu"),
    ((1, 36, 1, 50), (36, 1, 1, 9), (1, 36, 1, 50), ONE, (0, 4), ONE, "relu"),
    ((1, 36, 50, 1), (36, 1, 9, 1), (1, 36, 50, 1), ONE, (4, 0), ONE, "relu"),  # one column
]

ROWS = [("pixels_by_panels", *row) for row in PIXELS]
for x, filters, size, padding, ending in WINOGRAD:
    weight, y = (filters, x[1], 3, 3), (x[0], filters, *size)
    ROWS.append(("winograd_channels_last", x, weight, y, ONE, padding, ONE, ending))
ROWS += [("depthwise_channels_last", *row) for row in DEPTHWISE]


def prepared(row, dtype):
    """The job of a row, by the row's algorithm."""
    name, *shapes, stride, padding, dilation, activation = row
    settings = (stride, padding, dilation, dtype, activation)
    with forced.channels_last(name):
        return jobs.prepare_convolution(
            "forward", *shapes, *settings, packed=True, channels_last=True
        )


def inputs_of(row, dtype):
    """x, weight, bias, add."""
    _, (n, c, h, w), weight, (_, f, oh, ow), *_ = row
    return draw([(n, h, w, c), weight, (f,), (n, oh, ow, f)], dtype)


def expected(row, x, weight, bias, add):
    """y by the reference backend from float64, and the sums of the terms' absolute values."""
    _, (_, c, h, w), (_, channels, kh, kw), (_, _, oh, ow), stride, (top, left), apart, ending = row
    below = (oh - 1) * stride[0] + (kh - 1) * apart[0] + 1 - top - h
    beside = (ow - 1) * stride[1] + (kw - 1) * apart[1] + 1 - left - w
    sides = ((top, max(0, below)), (left, max(0, beside)))
    settings = (stride, sides, apart, c // channels)
    x, weight = np.moveaxis(x, 3, 1).astype(np.float64), weight.astype(np.float64)
    bias = np.zeros(len(weight)) if bias is None else bias.astype(np.float64)
    add = 0 if add is None else np.moveaxis(add, 3, 1)
    with cnnx.use_backend("reference"):
        # Windows at the bottom and on the right that y has no place for are left out.
        y = cnnx.ops.conv2d(x, weight, bias, *settings)[..., :oh, :ow] + add
        magnitude = cnnx.ops.conv2d(*map(abs, (x, weight, bias)), *settings)[..., :oh, :ow]
        y = y if ending is None else getattr(cnnx.ops, ending)(y)
    return np.moveaxis(y, 1, 3), np.moveaxis(magnitude + abs(add), 1, 3)
