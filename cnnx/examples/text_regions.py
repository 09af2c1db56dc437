"""Where the text is: from a map of probabilities to rectangles, and to the images in them.

The map is that of a network for text detection (Liao et al., "Real-time scene text detection with
differentiable binarization", 2020). It marks the middle of each line of text, so what is marked is
grown: by its area times `GROWTH` over its perimeter, on each side.
"""

# Design:
# A region is found by its runs: what is marked in one row without a gap. There are thousands of
# them on a page of a million pixels, so the loop over them may be written in Python. The ends of
# runs are all that a convex hull needs.

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["cut", "reading_order", "regions"]

MARKED = 0.3  # probability from which a pixel is part of a region
LEAST_MEAN = 0.5  # probability of a region
LEAST_SIDE = 3  # pixels
GROWTH = 1.6
SAME_LINE = 10  # pixels between the tops of words of one line
UPRIGHT = 1.5  # height over width from which an image is turned


class Rectangle(NamedTuple):
    """All points whose coordinates along `axis` and across it are from `low` to `high`."""

    axis: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def corners(self) -> np.ndarray:
        """(4, 2), as (x, y), one after the other around the rectangle."""
        (a, b), (c, d) = self.low, self.high
        across = np.array([-self.axis[1], self.axis[0]])
        return np.array([[a, b], [c, b], [c, d], [a, d]]) @ np.stack([self.axis, across])

    def grown(self, by: float) -> Rectangle:
        return Rectangle(self.axis, self.low - by, self.high + by)

    def sides(self) -> np.ndarray:
        return self.high - self.low


def regions(probability: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """The corners of the lines of text, in pixels of an image of this size (width, height).

    probability  (h, w), of the image in any other size
    returns      arrays (4, 2) of (x, y), clockwise from the top left
    """
    scale = np.array(size) / probability.shape[::-1]
    found = []
    for points in components(_widened(probability > MARKED)):
        rectangle = smallest_rectangle(points)
        if min(rectangle.sides()) < LEAST_SIDE:
            continue
        if _mean_inside(probability, np.trunc(rectangle.corners())) < LEAST_MEAN:
            continue
        width, height = rectangle.sides()
        by = GROWTH * width * height / (2 * (width + height))
        whole = smallest_rectangle(np.trunc(rectangle.corners())).grown(by)
        whole = smallest_rectangle(np.rint(whole.corners()))
        if min(whole.sides()) < LEAST_SIDE + 2:
            continue
        corners = _clockwise(np.rint(whole.corners() * scale).clip(0, np.array(size) - 1))
        width, height = (int(np.linalg.norm(corners[0] - corners[i])) for i in (1, 3))
        if min(width, height) > LEAST_SIDE:
            found.append(corners)
    return found


def components(mask: np.ndarray) -> list[np.ndarray]:
    """The 8-connected regions of a mask: for each the ends of its runs, (m, 2) as (x, y)."""
    steps = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1] - 1
    parent = list(range(len(rows)))  # of each run, another one of its region; of one, itself

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first = 0  # of the runs that may touch run i from above
    for i, (row, start, end) in enumerate(zip(rows, starts, ends, strict=True)):
        while rows[first] < row - 1 or (rows[first] == row - 1 and ends[first] < start - 1):
            first += 1
        above = first
        while rows[above] == row - 1 and starts[above] <= end + 1:
            parent[root(i)] = root(above)
            above += 1
    roots = np.array([root(i) for i in range(len(rows))])
    return [
        np.concatenate([np.stack([x[runs], rows[runs]], 1) for x in (starts, ends)])
        for runs in (np.nonzero(roots == each)[0] for each in np.unique(roots))
    ]


def smallest_rectangle(points: np.ndarray) -> Rectangle:
    """The rectangle of the smallest area around points (m, 2): one of its sides lies on an edge of
    their convex hull.
    """
    hull = convex_hull(points)
    edges = np.roll(hull, -1, 0) - hull
    lengths = np.hypot(edges[:, 0], edges[:, 1])[:, None]
    axes = np.where(lengths, edges, [1, 0]) / np.where(lengths, lengths, 1)
    along = hull @ axes.T  # (points, edges)
    across = hull @ np.stack([-axes[:, 1], axes[:, 0]])
    low, high = (np.stack([f(along, 0), f(across, 0)], 1) for f in (np.min, np.max))
    best = int(np.argmin(np.prod(high - low, 1)))
    return Rectangle(axes[best], low[best], high[best])


def convex_hull(points: np.ndarray) -> np.ndarray:
    """The corners of the convex hull in order (Andrew's monotone chain, 1979)."""
    ordered = sorted({(float(x), float(y)) for x, y in points})
    halves = []
    for direction in (ordered, ordered[::-1]):
        half: list[tuple[float, float]] = []
        for x, y in direction:
            while len(half) > 1 and _turn(half[-2], half[-1], (x, y)) <= 0:
                half.pop()
            half.append((x, y))
        halves += half[:-1]
    return np.array(halves or ordered)


def _turn(a: Any, b: Any, c: Any) -> Any:
    """Positive if a path from a to b and c turns from the x axis to the y axis."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _widened(mask: np.ndarray) -> np.ndarray:
    """Each marked pixel with the one to the right, the one below, and the one below right."""
    mask = mask.copy()
    mask[1:] |= mask[:-1]
    mask[:, 1:] |= mask[:, :-1]
    return mask


def _mean_inside(probability: np.ndarray, corners: np.ndarray) -> float:
    """The mean of the pixels of a quadrilateral, with its border."""
    h, w = probability.shape
    left, top = np.maximum(corners.min(0), 0).astype(int)
    right, bottom = np.minimum(corners.max(0), (w - 1, h - 1)).astype(int)
    y, x = np.mgrid[top : bottom + 1, left : right + 1]
    sides = [_turn(a, b, (x, y)) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)]
    inside = np.all(np.array(sides) >= 0, axis=0)
    values = probability[y, x][inside]
    return float(values.mean()) if values.size else 0.0


def _clockwise(corners: np.ndarray) -> np.ndarray:
    """From the top left: of the two on the left the upper one."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = by_x[:2], by_x[2:]
    (a, d), (b, c) = (side[np.argsort(side[:, 1], kind="stable")] for side in (left, right))
    return np.array([a, b, c, d])


def reading_order(found: list[np.ndarray]) -> list[np.ndarray]:
    """From top to bottom, and words of one line from left to right."""
    ordered = sorted(found, key=lambda corners: (corners[0][1], corners[0][0]))
    for i in range(1, len(ordered)):
        for j in range(i, 0, -1):
            (x, y), (x_before, y_before) = ordered[j][0], ordered[j - 1][0]
            if abs(y - y_before) >= SAME_LINE or x >= x_before:
                break
            ordered[j - 1], ordered[j] = ordered[j], ordered[j - 1]
    return ordered


def cut(page: Any, corners: np.ndarray) -> Any:
    """The image in a quadrilateral, as a rectangle that lies down.

    Pixel (u, v) of the result is that of the page at (x, y), a projection of the plane:
    x = (a u + b v + c) / (g u + h v + 1), y = (d u + e v + f) / (g u + h v + 1)
    """
    from PIL import Image

    sides = np.linalg.norm(corners - np.roll(corners, -1, 0), axis=1)
    width, height = max(1, int(max(sides[0], sides[2]))), max(1, int(max(sides[1], sides[3])))
    rows, targets = [], []
    # Pillow takes coordinates in which pixel 0 has its centre at 0.5.
    for (x, y), (u, v) in zip(
        corners + 0.5,
        np.array([[0, 0], [width, 0], [width, height], [0, height]]) + 0.5,
        strict=True,
    ):
        rows += [[u, v, 1, 0, 0, 0, -u * x, -v * x], [0, 0, 0, u, v, 1, -u * y, -v * y]]
        targets += [x, y]
    numbers = np.linalg.solve(np.array(rows), np.array(targets))
    cubic = Image.Resampling.BICUBIC
    image = page.transform((width, height), Image.Transform.PERSPECTIVE, tuple(numbers), cubic)
    turned = height / width >= UPRIGHT
    return image.transpose(Image.Transpose.ROTATE_90) if turned else image
