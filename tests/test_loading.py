"""Batches from transforms, worker threads, samplers and data sets of other kinds."""

from __future__ import annotations

import gc
import threading
import time
import traceback

import numpy as np
import pytest
from data_helpers import numbered

from cnnx.data import (
    Batches,
    ClassBalancedSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
    batches,
)


def noisy(x, y, rng):
    """A transform that draws from the generator."""
    return x + rng.random(x.shape, np.float32), y


def bits(iterator):
    return [tuple(part.tobytes() for part in batch) for batch in iterator]


def own_threads():
    return [t for t in threading.enumerate() if t.name.startswith("cnnx-data")]


class MapStyle:
    """A data set in PyTorch's protocol; sample i has y = i. Records what was read."""

    def __init__(self, n=20, delay=0.0):
        self.n, self.delay, self.read = n, delay, []

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        time.sleep(self.delay)
        self.read.append(index)
        if index == 13 and self.n == 21:
            raise RuntimeError("sample 13 is damaged")
        return np.full((1, 2, 2), index, np.float32), index


# Epochs and workers


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_workers_gives_the_same_bits(workers):
    settings = {"shuffle": True, "seed": 3, "transform": noisy}
    alone = batches(numbered(50), 7, **settings)
    many = batches(numbered(50), 7, **settings, workers=workers, prefetch=1)
    assert bits(alone) == bits(many) and bits(alone.epoch(4)) == bits(many.epoch(4))
    assert not own_threads()


def test_an_epoch_that_starts_later_has_the_batches_of_the_whole_one():
    made = batches(numbered(50), 7, shuffle=True, seed=3, transform=noisy)
    whole = bits(made.epoch(2))
    assert len(whole) == 8
    assert bits(made.epoch(2, start=5)) == bits(made.epoch(2, 5)) == whole[5:]
    assert bits(made.epoch(2, 8)) == []
    with pytest.raises(ValueError, match="start=9, but at most 8"):
        made.epoch(2, 9)


def test_what_comes_before_the_start_is_not_read():
    data = MapStyle()
    list(batches(data, 4).epoch(0, start=3))
    assert data.read == list(range(12, 20))


def test_a_transform_draws_other_numbers_in_each_batch_epoch_and_seed():
    seen = set()
    for seed in (0, 1):
        made = batches(
            (np.zeros((6, 1)), np.zeros(6)),
            2,
            seed=seed,
            transform=lambda x, y, rng: (rng.random(2), y),
        )
        for epoch in range(2):
            seen |= {x.tobytes() for x, _ in made.epoch(epoch)}
            seen.add(np.random.default_rng((seed, epoch)).random(2).tobytes())  # of the shuffle
    assert len(seen) == 2 * 2 * 4


def test_an_error_in_a_worker_comes_out_with_its_traceback_and_ends_the_threads():
    iterator = batches(MapStyle(21), 4, workers=2).epoch(0)
    for _ in range(3):
        next(iterator)
    with pytest.raises(RuntimeError, match="sample 13 is damaged") as caught:
        next(iterator)
    assert "__getitem__" in [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert not own_threads()


@pytest.mark.parametrize("ending", ["close", "forget", "break", "throw"])
def test_threads_end_with_the_iterator(ending):
    made = batches(MapStyle(40), 1, workers=3)
    iterator = iter(made)
    next(iterator)
    assert own_threads()
    if ending == "close":
        iterator.close()
    elif ending == "throw":
        with pytest.raises(KeyboardInterrupt):
            iterator.throw(KeyboardInterrupt)  # as Ctrl-C raises it in a wait for a result
    elif ending == "break":
        iterator.close()
        for _ in made:
            break
    del iterator
    gc.collect()
    assert not own_threads()


@pytest.mark.parametrize("asked", [0, 1, 3])
def test_workers_are_ahead_by_prefetch_and_no_further(asked):
    data = MapStyle(40)
    iterator = iter(batches(data, 1, workers=2, prefetch=3))
    for _ in range(asked):
        next(iterator)
    deadline = time.monotonic() + 5
    expected = asked + 6 if asked else 0
    while len(data.read) < expected and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert len(data.read) == expected
    iterator.close()


def test_wrong_loading_arguments_are_refused():
    for arguments, error, message in [
        ({"workers": -1}, ValueError, "workers must be 0 or more, got -1"),
        ({"prefetch": 0}, ValueError, "prefetch must be 1 or more, got 0"),
        ({"transform": 3}, TypeError, "transform is a int, expected a function"),
        ({"sampler": 3}, TypeError, "sampler is a int, expected a Sampler"),
        ({"sampler": [0], "shuffle": True}, ValueError, "shuffle=True or a sampler, not both"),
    ]:
        with pytest.raises(error, match=message):
            batches(numbered(), 2, **arguments)
    with pytest.raises(ValueError, match="from 0 to 10, but the data set has 10 samples"):
        next(iter(batches(numbered(), 2, sampler=[0, 10])))


# Data sets of other kinds


def test_a_map_style_data_set_is_batched_as_arrays_are():
    x, y = next(iter(batches(MapStyle(), 3)))
    assert x.dtype == np.float32 and x.shape == (3, 1, 2, 2)
    assert x.reshape(3, 4).tolist() == [[0] * 4, [1] * 4, [2] * 4]
    assert y.tolist() == [0, 1, 2]


def test_a_torch_data_set_is_batched():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.arange(6.0).reshape(3, 2), torch.tensor([2, 0, 1]))
    x, y = next(iter(batches(data, 2)))
    assert x.tolist() == [[0, 1], [2, 3]] and y.tolist() == [2, 0]


def test_a_triple_gives_batches_with_the_weight_of_each_sample():
    weight = np.arange(10.0)
    made = batches((*numbered(10), weight), 4, shuffle=True, seed=0, transform=noisy)
    for x, _, w in made:
        np.testing.assert_array_equal((x[:, 0, 0, 0] // 4), w)
    for wrong in (weight[:9], -weight, weight * np.nan):
        with pytest.raises(ValueError, match="sample_weight"):
            batches((*numbered(10), wrong), 4)


def test_samples_that_cannot_be_stacked_are_refused_by_number():
    class Uneven(MapStyle):
        def __getitem__(self, index):
            return np.zeros(index), 0

    class Single(MapStyle):
        def __getitem__(self, index):
            return np.zeros(3)

    with pytest.raises(ValueError, match=r"sample 0 has an array of shape \(0,\), but sample 1"):
        next(iter(batches(Uneven(), 2)))
    with pytest.raises(TypeError, match=r"Single: sample 0 is a ndarray, expected \(x, y\)"):
        next(iter(batches(Single(), 2)))
    with pytest.raises(TypeError, match=r"__getitem__.* got generator"):
        batches((i for i in range(3)), 2)


def test_a_subset_reads_its_own_samples_and_has_their_labels():
    part = Subset(numbered(10), [7, -1, 2])
    assert len(part) == 3 and part.y.tolist() == [1, 1, 0]
    assert [x[0, 0, 0] / 4 for x, _ in part] == [7, 9, 2]
    assert next(iter(batches(Subset(part, [2, 0]), 2)))[0][:, 0, 0, 0].tolist() == [8, 28]
    assert [y for _, y in Subset(MapStyle(), range(3))] == [0, 1, 2]
    with pytest.raises(ValueError, match="the data set has 10 samples"):
        Subset(numbered(10), [10])


def test_the_loader_with_the_names_of_torch_is_the_same_thing():
    loader = DataLoader(numbered(10), 4, shuffle=True, num_workers=2, drop_last=True, seed=1)
    assert isinstance(loader, Batches) and loader.num_workers == 2 and len(loader) == 2
    assert bits(loader) == bits(batches(numbered(10), 4, shuffle=True, seed=1, drop_last=True))
    assert [len(x) for x, _ in DataLoader(numbered(3))] == [1, 1, 1]


# Samplers


def drawn(sampler, seed=0, epoch=0, n=30):
    data = (np.arange(n, dtype=np.float64)[:, None], np.zeros(n))
    made = batches(data, 7, sampler=sampler, seed=seed)
    numbers = [int(i) for x, _ in made.epoch(epoch) for i in x[:, 0]]
    assert len(numbers) == len(sampler) and len(made) == -(-len(sampler) // 7)
    return numbers


def test_an_epoch_of_a_sampler_depends_on_seed_and_epoch_only():
    sampler = RandomSampler(30)
    assert drawn(sampler, 1, 2) == drawn(sampler, 1, 2)
    assert len({tuple(drawn(sampler, s, e)) for s in (0, 1) for e in (0, 1)}) == 4
    assert sorted(drawn(sampler)) == list(range(30))


def test_simple_samplers_give_the_samples_that_they_name():
    assert drawn(SequentialSampler(30)) == list(range(30))
    assert drawn([3, 3, -1]) == [3, 3, 29]
    assert sorted(drawn(SubsetRandomSampler([5, 2, 9]))) == [2, 5, 9]
    twice = drawn(RandomSampler(30, num_samples=75))
    assert sorted(twice[:30]) == sorted(twice[30:60]) == list(range(30))
    assert len(set(drawn(RandomSampler(30, replacement=True)))) < 30
    assert sorted(SubsetRandomSampler([4, 1])) == [1, 4]  # iterated as PyTorch's are


def test_weights_are_the_odds_of_the_samples():
    found = np.bincount(drawn(WeightedRandomSampler([0, 1, 3], 4000), n=3), minlength=3) / 4000
    assert found[0] == 0
    # Four standard deviations of a share of 3/4 among 4000 draws are 0.027.
    assert abs(found[2] - 0.75) < 0.03
    assert sorted(drawn(WeightedRandomSampler([1, 0, 2, 5], 3, False), n=4)) == [0, 2, 3]
    with pytest.raises(ValueError, match="2 weights are positive, but 3 are needed"):
        WeightedRandomSampler([0, 1, 1], 3, replacement=False)


@pytest.mark.parametrize("form", ["labels", "one-hot", "data set"])
def test_a_balanced_epoch_has_every_class_equally_often(form):
    y = np.repeat([0, 1, 2], [24, 5, 1])
    labels = {"labels": y, "one-hot": np.eye(3)[y], "data set": (np.zeros((30, 1)), y)}[form]
    numbers = np.array(drawn(ClassBalancedSampler(labels, 31)))
    assert sorted(np.bincount(y[numbers])) == [10, 10, 11]
    of_class_1 = np.bincount(numbers, minlength=30)[24:29]
    assert set(of_class_1) <= {2, 3}  # whole orders of the five samples, then a part of one
    assert np.bincount(numbers[:15] // 24).min() > 0  # mixed, not class by class


def test_a_sampler_of_a_user_is_given_the_generator():
    class Few(Sampler):
        def __len__(self):
            return 2

        def indices(self, rng):
            return rng.permutation(30)[:2]

    assert drawn(Few(), 4, 1) == np.random.default_rng((4, 1)).permutation(30)[:2].tolist()
