"""Splits without copies: `random_split` and `kfold`."""

from __future__ import annotations

import numpy as np
import pytest
from data_helpers import numbered

from cnnx.data import Dataset, kfold, random_split

Y = np.repeat([0, 1, 2], [17, 9, 5])
DATA = Dataset(np.arange(31.0)[:, None], Y, classes="abc")


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([3, 7], [3, 7]),
        ([10, 0], [10, 0]),
        ([0.8, 0.2], [8, 2]),
        ([0.7, 0.3], [7, 3]),  # 10 * 0.7 is 7 less a rounding error
        ([1 / 3, 1 / 3, 1 / 3], [4, 3, 3]),
        ([0.25, 0.75], [3, 7]),
    ],
)
def test_a_random_split_has_the_lengths_and_every_sample_once(lengths, sizes):
    parts = random_split(numbered(10), lengths)
    assert [len(part) for part in parts] == sizes
    indices = np.concatenate([part.indices for part in parts])
    assert sorted(indices) == list(range(10)) and list(indices) != list(range(10))


def test_a_random_split_depends_on_its_seed_only():
    def first(seed):
        return random_split(DATA, [20, 11], seed=seed)[0].indices.tolist()

    assert first(1) == first(1) != first(2)


@pytest.mark.parametrize("k", [2, 4, 5])
@pytest.mark.parametrize("stratify", [True, False])
def test_every_sample_validates_once_and_trains_otherwise(k, stratify):
    folds = kfold(DATA, k, stratify=stratify, seed=3)
    assert len(folds) == k
    for train, validation in folds:
        assert sorted([*train.indices, *validation.indices]) == list(range(31))
        assert len(validation) in (31 // k, 31 // k + 1) and validation.classes == ("a", "b", "c")
        if stratify:
            counts = np.bincount(validation.y, minlength=3)
            assert (np.abs(counts - np.array([17, 9, 5]) / k) < 1).all()
    assert sorted(i for _, part in folds for i in part.indices) == list(range(31))
    again = kfold(DATA, k, stratify=stratify, seed=3)
    assert all((a.indices == b.indices).all() for (_, a), (_, b) in zip(folds, again))
    other = kfold(DATA, k, stratify=stratify, seed=4)
    assert any(a.indices.tolist() != b.indices.tolist() for (_, a), (_, b) in zip(folds, other))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_split(DATA, [3, 4]), "add up to 7, but there are 31 samples"),
        (lambda: random_split(DATA, [0.5, 0.4]), "fractions that add up to 1"),
        (lambda: random_split(DATA, []), "lengths is empty"),
        (lambda: kfold(DATA, 1), "k must be 2 or more, got 1"),
        (lambda: kfold(DATA, 32), "k is 32, but there are 31 samples"),
        (lambda: kfold(DATA, 6), "class 2 has 5 samples, stratify=True needs 6 or more"),
        (lambda: kfold((DATA.x, DATA.x), 3), r"integer labels .* got \(31, 1\) float64"),
    ],
)
def test_impossible_splits_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
