"""Geometry of windows on an image: their number and positions, and errors about invalid ones.

A geometry is kernel, stride and dilation, (rows, columns) each, and padding, ((top, bottom), (left,
right)). Along an axis, tap u of window i is at pixel i*stride + u*dilation - before.

Numbers are Python integers here, which never overflow; `compact` makes them fit the kernels.
"""

from __future__ import annotations

from typing import Any

from .checks import Pair, choice, is_sequence, pair

Padding = tuple[Pair, Pair]

_BLANK = 256  # rows or columns of padding that are allowed around the smallest image
_GAPS = 64  # rows of a transposed convolution that are allowed per row that receives a value


def padding2d(op: str, value: Any, kernel: Pair, stride: Pair, dilation: Pair) -> Padding:
    """((top, bottom), (left, right)) from pairs, an int, (rows, columns), "same" or "valid"."""
    if isinstance(value, str):
        return _named_padding(op, value, kernel, stride, dilation)
    if type(value) is not int and is_sequence(value) and len(value) == 2 and is_sequence(value[0]):
        return pair(op, "padding", value[0], 0), pair(op, "padding", value[1], 0)
    rows, columns = pair(op, "padding", value, 0)
    return (rows, rows), (columns, columns)


def _named_padding(op: str, name: str, kernel: Pair, stride: Pair, dilation: Pair) -> Padding:
    if name == "valid":
        return (0, 0), (0, 0)
    if name != "same":
        raise ValueError(f'{op}: padding={name!r}, but "same", "valid" or numbers are expected')
    if stride != (1, 1):
        raise ValueError(f'{op}: padding="same" needs stride 1, but stride is {stride}')
    totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
    (top, bottom), (left, right) = [(total // 2, total - total // 2) for total in totals]
    return (top, bottom), (left, right)


def kept_padding(op: str, value: Any, kernel: Pair, stride: Pair, dilation: Pair) -> Any:
    """The same for a layer to store, in the form given: a word, an int, a pair or two pairs."""
    (top, bottom), (left, right) = padding2d(op, value, kernel, stride, dilation)
    if isinstance(value, str):
        return value
    if not is_sequence(value):
        return top
    return ((top, bottom), (left, right)) if is_sequence(value[0]) else (top, left)


def pool_padding(
    op: str, value: Any, size: Pair, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)
) -> tuple[Padding, bool]:
    """((top, bottom), (left, right)) of a pooling, and whether a mean may count it.

    "same" is TensorFlow's: as much as gives ceil(size / stride) windows, the odd row at the bottom,
    and never counted.
    """
    rows, columns = pool_border(op, value, kernel)
    if not isinstance(value, str) or value == "valid":
        return ((rows, rows), (columns, columns)), True
    totals = [
        max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
        for n, k, s, d in zip(size, kernel, stride, dilation)
    ]
    top, left = (total // 2 for total in totals)
    return ((top, totals[0] - top), (left, totals[1] - left)), False


def pool_border(op: str, value: Any, kernel: Pair) -> Pair:
    """(rows, columns) of padding, at most half of the kernel: every window meets the image, unless
    dilated (`no_window_beside`). (0, 0) for words.
    """
    if isinstance(value, str):
        choice(op, "padding", value, ("same", "valid"))
        return 0, 0
    rows, columns = pair(op, "padding", value, 0)
    if 2 * rows > kernel[0] or 2 * columns > kernel[1]:
        raise ValueError(
            f"{op}: padding={(rows, columns)} is more than half of kernel_size={kernel}: "
            "a window could lie outside the image"
        )
    return rows, columns


def no_window_beside(
    op: str, size: Pair, counts: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> None:
    """ValueError if the taps of a window lie before and after the image, and none on it."""
    for axis, what in enumerate(("rows", "columns")):
        n, d, before = size[axis], dilation[axis], padding[axis][0]
        if d <= n:  # the usual case: no room between two taps
            continue
        starts = range(-before, min(0, counts[axis] * stride[axis] - before), stride[axis])
        if any(start % d >= n for start in starts):
            raise ValueError(
                f"{op}: with dilation {d} and {before} {what} of padding, a window lies beside the "
                f"image of {n} {what}: its cells are further apart"
            )


def output_size(
    op: str, size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair = (1, 1)
) -> Pair:
    """Number of windows: (size + before + after - dilation*(kernel - 1) - 1) // stride + 1."""
    counts = []
    for axis, what in enumerate(("rows", "columns")):
        before, after = padding[axis]
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        padded = size[axis] + before + after
        if reach > padded:
            dilated = f" with dilation {dilation[axis]}" if dilation[axis] > 1 else ""
            raise ValueError(
                f"{op}: the kernel of {kernel[axis]} {what}{dilated} covers {reach}, "
                f"but the image has only {size[axis]} {what} and {before + after} of padding"
            )
        counts.append((padded - reach) // stride[axis] + 1)
    return counts[0], counts[1]


def transposed_size(
    op: str,
    size: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    output_padding: Pair,
) -> Pair:
    """Output size of a transposed convolution: (size - 1)*stride - before - after
    + dilation*(kernel - 1) + output_padding + 1."""
    sizes = []
    for axis, what in enumerate(("rows", "columns")):
        if output_padding[axis] >= max(stride[axis], dilation[axis]):
            raise ValueError(
                f"{op}: output_padding={output_padding[axis]} {what}, but less than the stride "
                f"{stride[axis]} or the dilation {dilation[axis]} is expected"
            )
        reach = _reach(size[axis], kernel[axis], stride[axis], dilation[axis])
        count = reach + output_padding[axis] - sum(padding[axis])
        if count < 1:
            raise ValueError(
                f"{op}: the result would have {count} {what}: {reach} from the image, "
                f"{output_padding[axis]} of output_padding, less {sum(padding[axis])} of padding"
            )
        met = size[axis] * kernel[axis]
        if count > max(_BLANK, _GAPS * met):
            raise ValueError(
                f"{op}: the result would have {count} {what}, of which at most {met} depend "
                f"on x: stride {stride[axis]}, dilation {dilation[axis]} and "
                f"output_padding {output_padding[axis]} are too many"
            )
        sizes.append(count)
    return sizes[0], sizes[1]


def beyond_reach(
    size: Pair, kernel: Pair, counts: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> Pair:
    """Rows and columns of an image after its last window: output_padding."""
    return (
        size[0] + sum(padding[0]) - _reach(counts[0], kernel[0], stride[0], dilation[0]),
        size[1] + sum(padding[1]) - _reach(counts[1], kernel[1], stride[1], dilation[1]),
    )


def _reach(count: int, kernel: int, stride: int, dilation: int) -> int:
    """Distance from the first tap of the first window to the last tap of the last."""
    return (count - 1) * stride + dilation * (kernel - 1) + 1


def ceil_padding(
    size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair = (1, 1)
) -> Padding:
    """Padding enlarged at the bottom and right until a last, incomplete window fits (ceil_mode).

    As in PyTorch, a window that would begin after the image is left out. A single window may be
    incomplete too; if not even that fits, the padding is not changed.
    """
    grown = []
    for n, k, s, d, (before, after) in zip(size, kernel, stride, dilation, padding):
        reach = d * (k - 1) + 1
        count = -((reach - n - before - after) // s) + 1
        if (count - 1) * s >= n + before:
            count -= 1
        needed = (count - 1) * s + reach - n - before
        grown.append((before, max(after, needed if count > 0 else 0)))
    return grown[0], grown[1]


def compact(
    op: str,
    size: Pair,
    kernel: Pair,
    counts: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
) -> tuple[Pair, Padding, Pair]:
    """Stride, padding and dilation of equivalent windows, as small as possible.

    Tap u of window i (of `counts`) is at pixel i*stride + u*dilation - before. If windows, or taps,
    are so far apart that at most one of them meets the image, their distance does not affect the
    result, but would determine time and memory. They are therefore moved together until they just
    miss the image. If there is still far more padding than pixels and windows, that is an error.
    """
    for axis in (0, 1):
        n, k, count, s, d = size[axis], kernel[axis], counts[axis], stride[axis], dilation[axis]
        before, after = padding[axis]
        if s > n + d * (k - 1) or d > n + s * (count - 1) or n + before + after > _BLANK:
            break
    else:
        return stride, padding, dilation  # the usual case
    rows, columns = (
        _compact_axis(op, what, size[i], kernel[i], counts[i], stride[i], padding[i], dilation[i])
        for i, what in enumerate(("rows", "columns"))
    )
    return (rows[0], columns[0]), (rows[1], columns[1]), (rows[2], columns[2])


def _compact_axis(
    op: str, what: str, n: int, k: int, count: int, s: int, padding: Pair, d: int
) -> tuple[int, Pair, int]:
    if count == 0:  # a transposed convolution of an image without pixels
        return 1, (0, max(0, k - n)), 1
    before, s = _drawn_together(n, d * (k - 1) + 1, s, padding[0])
    before, d = _drawn_together(n, s * (count - 1) + 1, d, before)
    needed = _reach(count, k, s, d)
    if needed > max(_BLANK, (k + 8) * (n + count)):
        raise ValueError(
            f"{op}: {padding[0]} and {padding[1]} {what} of padding are too many for {count} "
            f"windows of {k} on an image of {n}: they would contain almost only padding"
        )
    return s, (before, max(0, needed - n - before)), d


def _drawn_together(n: int, width: int, step: int, before: int) -> tuple[int, int]:
    """For intervals of `width`, a `step` apart, the first at -before: an equivalent `before` and
    step, for which each interval meets the same of n pixels as before."""
    near = n + width
    if step <= near:
        return before, step
    # At most one meets the image: the first that ends in or after it, unless it begins beyond it.
    one = -(-(before - width + 1) // step)
    return one * near - min(one * step - before, n), near
