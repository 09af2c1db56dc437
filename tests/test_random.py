"""Seeds: what they determine, and what they do not affect."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnnx import random


def test_the_same_seed_gives_the_same_numbers():
    random.manual_seed(3)
    first = random.generator().random(5)
    random.manual_seed(3)
    assert np.array_equal(first, random.generator().random(5))
    random.manual_seed(4)
    assert not np.array_equal(first, random.generator().random(5))


def test_numpy_global_state_is_neither_read_nor_changed():
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    random.manual_seed(0)
    random.generator().random(10)
    random.dropout_key()
    assert np.array_equal(before, np.random.get_state()[1])
    random.manual_seed(0)
    first = random.generator().random()
    np.random.seed(2)
    random.manual_seed(0)
    assert first == random.generator().random()


def test_an_int_makes_a_generator_apart_from_the_global_one():
    random.manual_seed(0)
    expected = random.generator().random(3)
    random.manual_seed(0)
    assert np.array_equal(random.generator(7).random(3), np.random.default_rng(7).random(3))
    assert np.array_equal(random.generator().random(3), expected)


def test_dropout_keys_never_repeat_and_fit_into_63_bits():
    random.manual_seed(0)
    keys = [random.dropout_key() for _ in range(100)]
    assert len(set(keys)) == 100
    assert all(0 <= number < 2**63 for key in keys for number in key)
    random.manual_seed(0)
    assert random.dropout_key() == keys[0]


def test_a_seeded_block_does_not_change_the_stream_outside():
    random.manual_seed(0)
    expected = random.generator().random(), random.dropout_key()
    random.manual_seed(0)
    with random.seeded(5):
        inside = random.generator().random(), random.dropout_key()
    assert (random.generator().random(), random.dropout_key()) == expected
    with random.seeded(5):
        assert (random.generator().random(), random.dropout_key()) == inside


def test_a_state_saved_as_json_continues_with_the_same_bits():
    random.manual_seed(11)
    random.generator().random(3)
    random.dropout_key()
    state = json.loads(json.dumps(random.get_state()))
    expected = random.generator().random(4), random.dropout_key()
    random.manual_seed(99)
    random.set_state(state)
    assert np.array_equal(random.generator().random(4), expected[0])
    assert random.dropout_key() == expected[1]


@pytest.mark.parametrize("state", [{}, {"generator": 1}, None])
def test_a_value_that_is_not_a_state_is_rejected_and_changes_nothing(state):
    random.manual_seed(0)
    before = random.get_state()
    with pytest.raises(ValueError, match="set_state"):
        random.set_state(state)
    with pytest.raises(ValueError, match="dropout_calls -1"):
        random.set_state({**before, "dropout_calls": -1})
    assert random.get_state() == before


@pytest.mark.parametrize("function", [random.manual_seed, random.generator])
def test_bad_seeds_are_named(function):
    with pytest.raises(ValueError, match="seed is -1"):
        function(-1)
    with pytest.raises(TypeError, match=r"seed is 1.5"):
        function(1.5)
    with pytest.raises(TypeError, match="True"):
        function(True)
