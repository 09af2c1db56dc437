"""Cases of the jobs of another layout, for job_cases.py, and of the mean over its pixels."""

from __future__ import annotations

import numpy as np
from job_case import Case

from cnnx.backends.compiled import jobs


def mean_of_pixels(x):
    """Of x (n, pixels, channels), as global_average_last.pyx does: 64 are added in x's type."""
    total = np.zeros((len(x), x.shape[2]))
    for first in range(0, x.shape[1], 64):
        few = np.zeros_like(x[:, 0])
        for p in range(first, min(x.shape[1], first + 64)):
            few = few + x[:, p]
        total += few
    return ((total / x.shape[1]).astype(x.dtype),)


LAYOUT = {}
for n, c, pixels in [(2, 3, 50), (1, 40, 21), (2, 270, 150)]:
    LAYOUT |= {
        f"layout {n} {c} {pixels} to channels_last": Case(
            lambda dtype, planes=(n, c, pixels): jobs.prepare_layout(
                planes, dtype, "channels_last"
            ),
            lambda x: (x.transpose(0, 2, 1).copy(),),
            ((n, c, pixels),),
        ),
        f"layout {n} {c} {pixels} to planes": Case(
            lambda dtype, planes=(n, c, pixels): jobs.prepare_layout(planes, dtype, "planes"),
            lambda x: (x.transpose(0, 2, 1).copy(),),
            ((n, pixels, c),),
        ),
        f"global_average_channels_last {n} {c} {pixels}": Case(
            lambda dtype, planes=(n, c, pixels): jobs.prepare_global_average_channels_last(
                planes, dtype
            ),
            mean_of_pixels,
            ((n, pixels, c),),
        ),
    }
