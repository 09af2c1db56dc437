"""Preparing data for training: batches, splits and standardisation."""

from __future__ import annotations

import numpy as np
import pytest
from data_helpers import numbered

from cnnx import random as cnnx_random
from cnnx.data import (
    Dataset,
    batches,
    channel_stats,
    normalize,
    train_test_split,
)

# Batches


def order_of(pairs):
    """The order of the sample numbers of `numbered` data; checks that x matches y."""
    numbers = []
    for x, y in pairs:
        here = (x[:, 0, 0, 0] / 4).astype(int)
        np.testing.assert_array_equal(y, here % 2)
        numbers += here.tolist()
    return numbers


def test_batches_come_in_order_and_the_last_may_be_smaller():
    made = batches(numbered(10), 4)
    assert len(made) == 3
    assert [len(x) for x, _ in made] == [4, 4, 2]
    assert order_of(made) == order_of(made) == list(range(10))


def test_drop_last_leaves_out_the_batch_that_is_not_full():
    made = batches(numbered(10), 4, drop_last=True)
    assert len(made) == 2 and order_of(made) == list(range(8))
    assert len(batches(numbered(8), 4, drop_last=True)) == 2


def test_every_epoch_has_every_sample_once_in_another_order():
    made = batches(numbered(50), 7, shuffle=True, seed=3)
    epochs = [order_of(made) for _ in range(4)]
    assert all(sorted(order) == list(range(50)) for order in epochs)
    assert len({tuple(order) for order in [*epochs, list(range(50))]}) == 5


def test_an_epoch_depends_only_on_seed_and_index():
    made = batches(numbered(50), 7, shuffle=True, seed=3)
    epochs = [order_of(made) for _ in range(3)]
    fresh = batches(numbered(50), 7, shuffle=True, seed=3)
    assert [order_of(fresh.epoch(i)) for i in (2, 0, 1)] == [epochs[2], epochs[0], epochs[1]]
    assert order_of(fresh) == epochs[0]
    assert order_of(batches(numbered(50), 11, shuffle=True, seed=3)) == epochs[0]
    other = batches(numbered(50), 7, shuffle=True, seed=4)
    assert order_of(other) not in epochs  # neither equal nor shifted by an epoch


def test_without_a_seed_shuffling_follows_the_seed_of_cnnx():
    def two_epochs():
        made = batches(numbered(50), 7, shuffle=True)
        return order_of(made), order_of(made)

    with cnnx_random.seeded(5):
        first, other = two_epochs(), two_epochs()
    with cnnx_random.seeded(5):
        assert two_epochs() == first
    assert first != other


def test_batches_are_copies():
    data = numbered(6)
    before = data.x.copy()
    for shuffle in (False, True):
        for x, y in batches(data, 2, shuffle=shuffle, seed=0):
            x[...] = -1
            y[...] = -1
    np.testing.assert_array_equal(data.x, before)


def test_pairs_read_only_arrays_and_no_samples_are_batched_too(tmp_path):
    x, y = numbered(6)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert order_of(batches((mapped, y.tolist()), 4)) == list(range(6))
    assert list(batches(numbered(0), 4)) == [] and len(batches(numbered(0), 4)) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batches: batch_size must be 1 or more, got 0"),
        ({"batch_size": 2.5}, TypeError, "batches: batch_size must be an integer, got 2.5"),
        ({"batch_size": True}, TypeError, "batches: batch_size must be an integer, got True"),
        ({"batch_size": 2, "seed": -1}, ValueError, "batches: seed must be 0 or more, got -1"),
        ({"batch_size": 2, "seed": "a"}, TypeError, "batches: seed must be an integer, got 'a'"),
        ({"batch_size": 11, "drop_last": True}, ValueError, "no batch of 11: data has 10 samples"),
    ],
)
def test_wrong_arguments_of_batches_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        batches(numbered(), **arguments)
    with pytest.raises(ValueError, match="epoch must be 0 or more, got -1"):
        batches(numbered(), 2).epoch(-1)


# Splits


def labelled(counts):
    y = np.repeat(np.arange(len(counts)), counts)
    return np.arange(len(y))[:, None], y


@pytest.mark.parametrize(("size", "expected"), [(0.25, 25), (30, 30), (0.101, 11), (np.int8(7), 7)])
@pytest.mark.parametrize("stratify", [True, False])
def test_a_split_has_every_sample_once_and_the_requested_size(size, expected, stratify):
    x, y = labelled([60, 30, 10])
    train, test = train_test_split((x, y), test_size=size, stratify=stratify)
    assert len(test) == expected
    assert sorted([*train.x[:, 0], *test.x[:, 0]]) == list(range(100))
    for part in (train, test):
        np.testing.assert_array_equal(part.y, y[part.x[:, 0]])


def test_a_fraction_is_not_rounded_up_by_a_rounding_error():
    assert len(train_test_split(labelled([100]), test_size=0.07)[1]) == 7  # 100 * 0.07 > 7


def test_a_stratified_split_gives_every_class_its_share():
    counts = np.array([60, 30, 10, 3])
    train, test = train_test_split(*labelled(counts), test_size=0.3)
    held_out = np.bincount(test.y, minlength=4)
    assert held_out.tolist() == [18, 9, 3, 1]  # of 18.06, 9.03, 3.01 and 0.90
    np.testing.assert_array_equal(held_out + np.bincount(train.y), counts)


def test_labels_need_not_count_from_zero_to_be_stratified():
    x, y = labelled([5, 5])
    test = train_test_split((x, y * 1000 - 7), test_size=0.4)[1]
    assert sorted(test.y) == [-7, -7, 993, 993]


def test_the_same_seed_gives_the_same_split_and_parts_are_shuffled():
    data = labelled([50, 50])
    one, same, other = (train_test_split(data, seed=seed)[0].x[:, 0].tolist() for seed in (1, 1, 2))
    assert one == same != other
    assert one != sorted(one)
    with cnnx_random.seeded(1):
        drawn = [train_test_split(data, seed=None)[0].x[:, 0].tolist() for _ in range(2)]
    assert drawn[0] != drawn[1]


def test_a_split_keeps_the_names_of_the_classes():
    x, y = labelled([5, 5])
    for part in train_test_split(Dataset(x, y, ("cat", "dog"))):
        assert part.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"test_size": 1.0}, ValueError, "must be between 0 and 1, got 1.0"),
        ({"test_size": 0.0}, ValueError, "must be between 0 and 1, got 0.0"),
        ({"test_size": float("nan")}, ValueError, "must be between 0 and 1, got nan"),
        ({"test_size": 12}, ValueError, "makes 12 of 12 samples the test set"),
        ({"test_size": -1}, ValueError, "makes -1 of 12 samples the test set"),
        ({"test_size": "a fifth"}, TypeError, "test_size must be a fraction or a number"),
        ({"test_size": 2}, ValueError, "3 classes do not fit into train and test sets of 10 and 2"),
        ({"seed": -3}, ValueError, "seed must be 0 or more"),
    ],
)
def test_wrong_arguments_of_a_split_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        train_test_split(labelled([4, 4, 4]), **arguments)


def test_labels_that_cannot_be_stratified_are_an_error():
    with pytest.raises(ValueError, match=r"class 1 has 1 sample.*stratify=False"):
        train_test_split(labelled([9, 1]))
    with pytest.raises(ValueError, match=r"y is \(9,\) float64; pass stratify=False"):
        train_test_split(np.zeros((9, 2)), np.linspace(0, 1, 9))
    assert len(train_test_split(np.zeros((9, 2)), np.linspace(0, 1, 9), stratify=False)[1]) == 2


# Standardisation


def channels(n=200, seed=0, dtype=np.float32):
    """Three channels with mean about 1, 20, -3 and standard deviation about 2, 0.1, 5."""
    rng = np.random.default_rng(seed)
    scale, shift = (np.reshape(v, (3, 1, 1)) for v in ([2, 0.1, 5], [1, 20, -3]))
    x = rng.standard_normal((n, 3, 4, 5)) * scale + shift
    return Dataset(x.astype(dtype), np.zeros(n, int), ("only",))


def test_channel_stats_are_those_of_numpy_in_float64():
    data = channels(2500)  # more than one block of samples
    mean, std = channel_stats(data)
    np.testing.assert_allclose(mean, data.x.astype(float).mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, data.x.astype(float).std((0, 2, 3)), rtol=1e-12)
    mean, std = channel_stats((np.array([[1, 2], [3, 6]], np.uint8), [0, 1]))
    assert mean.tolist() == [2, 4] and std.tolist() == [1, 2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalize_uses_the_first_data_set_for_all(dtype):
    train, test = channels(dtype=dtype), channels(50, 1, dtype)
    before = train.x.copy()
    first, second = normalize(train, test)
    mean, std = (v(train.x.astype(float), (0, 2, 3), keepdims=True) for v in (np.mean, np.std))
    for given, made in ((train, first), (test, second)):
        assert made.x.dtype == dtype and made.classes == ("only",) and made.y is given.y
        tolerance = 1e-4 if dtype == np.float32 else 1e-12  # 20 +- 0.1 costs float32 200 ulp
        np.testing.assert_allclose(made.x, (given.x - mean) / std, atol=tolerance)
    np.testing.assert_array_equal(train.x, before)


def test_normalize_accepts_given_statistics_and_single_data_sets():
    data = (np.array([[[1.0, 3.0]], [[5.0, 7.0]]]), [0, 1])
    made = normalize(data, mean=1, std=2)
    assert isinstance(made, Dataset) and made.x.tolist() == [[[0, 1]], [[2, 3]]]
    train, later = channels(), channels(9, 2)
    mean, std = channel_stats(train)
    both = normalize(train, later)
    np.testing.assert_array_equal(normalize(later, mean=mean, std=std).x, both[1].x)


def test_integer_pixels_become_float32_and_a_constant_channel_becomes_zero():
    x = np.zeros((4, 2, 1, 1), np.uint8)
    x[:, 0, 0, 0] = [0, 10, 0, 10]
    x[:, 1] = 7
    made = normalize((x, [0, 0, 0, 0]))
    assert made.x.dtype == np.float32
    assert made.x[:, 0, 0, 0].tolist() == [-1, 1, -1, 1] and not made.x[:, 1].any()


@pytest.mark.parametrize(
    ("data", "numbers", "error", "message"),
    [
        ([], {}, TypeError, "one or more data sets, got none"),
        ([channels(), np.zeros(3)], {}, TypeError, "data set 2: expected a Dataset or"),
        ([channels()], {"mean": 0}, ValueError, "both mean and std, or neither"),
        ([channels()], {"mean": 0, "std": 0}, ValueError, "std positive"),
        ([channels()], {"mean": np.nan, "std": 1}, ValueError, "mean must be finite"),
        ([channels()], {"mean": [0, 0], "std": 1}, ValueError, r"\(200, 3, 4, 5\), which does not"),
        ([channels(), numbered()], {}, ValueError, r"data set 2 has x \(10, 1, 2, 2\), which does"),
        ([numbered(0)], {}, ValueError, "expected samples"),
        ([(np.zeros(3), np.zeros(3))], {}, ValueError, "expected samples"),
    ],
)
def test_wrong_arguments_of_normalize_are_refused(data, numbers, error, message):
    with pytest.raises(error, match=message):
        normalize(*data, **numbers)
