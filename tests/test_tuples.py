"""`cnnx.tuples.NamedTuple` is `typing.NamedTuple`, but for the time it takes."""

from __future__ import annotations

import copy
import pickle
import typing

import numpy as np
import pytest

from cnnx import tuples


class Ours(tuples.NamedTuple):
    """Two fields."""

    rows: int
    sizes: tuple[int, ...] | None = None

    @property
    def area(self):
        return self.rows * sum(self.sizes or ())

    @classmethod
    def of(cls, array: np.ndarray):
        return cls(len(array), array.shape)

    def __repr__(self):
        return f"{type(self).__name__} of {self.rows}"


class Theirs(typing.NamedTuple):
    """Two fields."""

    rows: int
    sizes: tuple[int, ...] | None = None

    @property
    def area(self):
        return self.rows * sum(self.sizes or ())

    @classmethod
    def of(cls, array: np.ndarray):
        return cls(len(array), array.shape)

    def __repr__(self):
        return f"{type(self).__name__} of {self.rows}"


class Empty(tuples.NamedTuple):
    pass


def test_it_is_the_tuple_of_typing():
    for name in ("_fields", "_field_defaults", "__doc__", "__bases__", "__match_args__"):
        assert getattr(Ours, name) == getattr(Theirs, name), name
    assert Ours.__qualname__ == "Ours" and Ours.__module__ == Theirs.__module__ == __name__
    assert typing.get_type_hints(Ours) == typing.get_type_hints(Theirs)
    ours, theirs = Ours(3, (4, 5)), Theirs(3, (4, 5))
    assert ours == theirs == (3, (4, 5)) and hash(ours) == hash(theirs)
    assert ours.area == theirs.area == 27 and ours._asdict() == theirs._asdict()
    assert Ours(2).sizes is None and ours._replace(rows=1) == (1, (4, 5))
    assert Ours.of(np.zeros((6, 2))) == Ours(rows=6, sizes=(6, 2))
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours") == "Ours of 3"
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert other == ours and type(other) is Ours
    assert Empty() == () and Empty._fields == ()


@pytest.mark.parametrize("arguments", [(), (1, 2, 3)])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(TypeError, match=r"__new__"):
        Ours(*arguments)
    with pytest.raises(TypeError, match="columns"):
        Ours(1, columns=2)
    with pytest.raises(AttributeError):
        Ours(1).rows = 2
