"""Values of a plan that share memory: concatenations without a copy, results in place."""

from __future__ import annotations

import numpy as np
import pytest
from engine_helpers import Halves, compiled_only, drawn, trained

import cnnx
from cnnx import Concat, Conv2D, Flatten, Sigmoid
from cnnx.engine.memory import Lifetime, place
from cnnx.engine.sharing import Life, Sharing


def program_of(model, shape, batch=1):
    return cnnx.compile(model, shape)._described(batch)


def kinds(program):
    return [entry.kind for entry in program.entries]


# ----------------------------------------------------------------------------- the rule, alone


def drawn_steps(rng, count):
    """(kind, output, inputs): "view", "over" (may write over its input), "join", "slice", "new"; a
    slice is the inner half of its input.
    """
    sizes, steps = {0: 64}, []
    for y in range(1, count):
        kind = str(rng.choice(["view", "over", "join", "join", "slice", "new"]))
        recent = list(sizes)[-6:]
        xs = [int(x) for x in rng.choice(recent, rng.integers(1, 4) if kind == "join" else 1)]
        if kind == "join" and sum(sizes[x] for x in xs) > 4096:
            kind, xs = "new", xs[:1]
        sizes[y] = sum(sizes[x] for x in xs) if kind != "new" else 64 * int(rng.integers(1, 4))
        if kind == "slice":
            sizes[y] //= 2
        steps.append((kind, y, xs))
    return sizes, steps


def lives_of(steps, end):
    lives = {0: Life(-1, end)}  # the caller's
    for t, (_, y, _) in enumerate(steps):
        readers = [s for s, (_, _, xs) in enumerate(steps) if y in xs]
        lives[y] = Life(t, max(readers, default=t))
    return lives


@pytest.mark.parametrize("seed", range(60))
def test_every_step_finds_the_values_that_it_reads(seed):
    """Steps that copy, view and fill memory as a plan would, with marks instead of numbers."""
    rng = np.random.default_rng(seed)
    sizes, steps = drawn_steps(rng, 25)
    lives = lives_of(steps, len(steps))
    sharing, copied, over = Sharing(sizes, lives, whole=[0]), {}, {}
    for kind, y, xs in steps:
        if kind == "view":
            sharing.view(y, xs[0])
        elif kind == "over":
            over[y] = sharing.write_over(y, xs[0])
        elif kind == "slice":
            copied[y] = not sharing.slice(y, xs[0], sizes[xs[0]] // 4)
        elif kind == "join":
            offsets = np.cumsum([0, *[sizes[x] for x in xs[:-1]]]).tolist()
            copied[y] = [not there for there in sharing.join(y, xs, offsets)]
    blocks = {
        block: [Lifetime(sizes[v], *lives[v], sharing.offset[v]) for v in values]
        for block, values in sharing.members.items()
    }
    places, size = place(list(blocks.values()))
    at = dict(zip(blocks, places, strict=True))
    memory = np.zeros(size, np.int64)
    where = {v: at[sharing.block[v]] + sharing.offset[v] for v in sizes}
    expected = {0: np.arange(64)}
    memory[where[0] : where[0] + 64] = expected[0]

    def held(v):
        return memory[where[v] : where[v] + sizes[v]]

    for kind, y, xs in steps:
        for x in xs:
            np.testing.assert_array_equal(held(x), expected[x])
        if kind == "join":
            expected[y] = np.concatenate([expected[x] for x in xs])
            begin = 0
            for x, copy in zip(xs, copied[y], strict=True):
                if copy:
                    held(y)[begin : begin + sizes[x]] = expected[x]
                begin += sizes[x]
        elif kind == "view":
            expected[y] = expected[xs[0]]
        elif kind == "slice":
            begin = sizes[xs[0]] // 4
            expected[y] = expected[xs[0]][begin : begin + sizes[y]]
            if copied[y]:
                held(y)[:] = expected[y]
        else:
            expected[y] = 1000 * y + np.arange(sizes[y])
            held(y)[:] = expected[y]
    np.testing.assert_array_equal(held(0), expected[0])  # the caller's


def test_the_drawn_steps_share_memory_often():
    placed, cut = [], []
    for seed in range(60):
        sizes, steps = drawn_steps(np.random.default_rng(seed), 25)
        sharing = Sharing(sizes, lives_of(steps, len(steps)), whole=[0])
        for kind, y, xs in steps:
            if kind == "view":
                sharing.view(y, xs[0])
            elif kind == "over":
                sharing.write_over(y, xs[0])
            elif kind == "slice":
                cut.append(sharing.slice(y, xs[0], sizes[xs[0]] // 4))
            elif kind == "join":
                offsets = np.cumsum([0, *[sizes[x] for x in xs[:-1]]]).tolist()
                placed += sharing.join(y, xs, offsets)
    assert 0.2 < np.mean(placed) < 0.95 and 0.2 < np.mean(cut) < 0.95


def test_a_value_stays_where_it_was_put_first():
    lives = dict.fromkeys(range(4), Life(0, 9))
    sharing = Sharing({0: 64, 1: 128, 2: 192, 3: 192}, lives)
    assert sharing.join(2, [0, 1], [0, 64]) == [True, True]
    assert sharing.join(3, [1, 0], [0, 128]) == [True, False]
    assert [sharing.offset[v] for v in range(4)] == [0, 64, 0, 64]


# ------------------------------------------------------------------------------------- plans


@compiled_only
@pytest.mark.parametrize(
    ("name", "shape"),
    [("densenet", (3, 9, 7)), ("inception_small", (3, 9, 11)), ("squeezenet", (3, 21, 17))],
)
def test_networks_that_join_channels_copy_nothing_for_one_image(name, shape):
    model = trained(cnnx.models.build(name, shape, 7))
    program = program_of(model, shape)
    steps = [e for e in program.entries if e.step is not None]
    joins = [e for e in steps if isinstance(e.step.nodes()[-1].layer, Concat)]
    assert len(joins) >= 8 and all(e.kind == "in place" and e.job is None for e in joins)
    assert len(program._runs) == 1 and not program._in_python
    several = program_of(model, shape, batch=2)  # the channels of each image lie apart
    assert "in place" not in kinds(several) and len(several._runs) == 1


def branch(x, channels=4):
    return Conv2D(x.shape[0], channels, 3, padding=1)(x)


def dense(x, layers, joined):
    """A dense block: each layer reads all values before it, joined anew or one by one."""
    values, h = [x], x
    for _ in range(layers):
        values.append(branch(h))
        h = Concat()(*values) if joined == "anew" else Concat()(h, values[-1])
    return h


def input_twice(x):
    return branch(Concat()(x, x))


def value_twice(x):
    h = branch(x)
    return branch(Concat()(h, h))


def two_orders(x):
    a, b = branch(x), branch(x)
    return branch(Concat()(a, b)) + branch(Concat()(b, a))


def overwritten_later(x):
    a, b = branch(x), branch(x)
    h = Concat()(a, b)
    s = Sigmoid()(a)  # the last reader of a, but h is not done
    return branch(h) + s


def joined_and_overwritten(x):
    return branch(Sigmoid()(Concat()(branch(x), branch(x))))


def part_read_after_that(x):
    a, b = branch(x), branch(x)
    return branch(Sigmoid()(Concat()(a, b))) + a


def part_that_scales_all(x):
    gate, image = branch(x, 1), branch(x)
    h = Concat()(gate, image)
    return branch(h * gate)


def joins_in_turn(x):
    a, b, c = branch(x), branch(x), branch(x)
    h = Concat()(Concat()(a, b), c)
    return branch(h) + branch(Concat()(b, c))


def as_output(x):
    return Concat()(branch(x), branch(x))


def view_of_a_part(x):
    a, b = branch(x), branch(x)
    h = Concat()(a, b)
    return branch(h), Flatten()(a)


def along_features(x):
    h = Flatten()(branch(x))
    return Concat()(cnnx.Linear(h.shape[0], 3)(h), cnnx.Linear(h.shape[0], 4)(h))


def users_view(x):
    h = Halves()(Concat()(branch(x), branch(x)))
    z = Sigmoid()(branch(h))
    return branch(z) + h


# What is joined, and how many concatenations have all, some or none of their inputs in place.
JOINED = {
    "dense, one by one": (lambda x: branch(dense(branch(x), 4, "one by one")), (4, 0, 0)),
    "dense, anew": (lambda x: branch(dense(branch(x), 4, "anew")), (4, 0, 0)),
    "input": (lambda x: branch(Concat()(x, branch(x))), (0, 1, 0)),
    "input twice": (input_twice, (0, 0, 1)),
    "value twice": (value_twice, (0, 1, 0)),
    "two orders": (two_orders, (1, 1, 0)),
    "overwritten later": (overwritten_later, (1, 0, 0)),
    "joined and overwritten": (joined_and_overwritten, (1, 0, 0)),
    "part read after that": (part_read_after_that, (1, 0, 0)),
    "part that scales all": (part_that_scales_all, (1, 0, 0)),
    "joins in turn": (joins_in_turn, (3, 0, 0)),
    "as output": (as_output, (0, 0, 1)),
    "view of a part": (view_of_a_part, (0, 1, 0)),
    "along features": (along_features, (0, 0, 1)),
    "user's view": (users_view, (1, 0, 0)),
}


@compiled_only
@pytest.mark.parametrize("case", JOINED)
@pytest.mark.parametrize("batch", [1, 3])
def test_joined_values_are_those_of_the_model(case, batch):
    build, expected = JOINED[case]
    cnnx.manual_seed(0)
    x = cnnx.Input((4, 5, 3))
    model = cnnx.Graph(x, build(x)).eval()
    plan = cnnx.compile(model, (4, 5, 3))
    for seed in range(2):
        values = drawn((batch, 4, 5, 3), seed=seed)
        found, wanted = plan(values), model(values)
        if not isinstance(found, tuple):
            found, wanted = (found,), (wanted,)
        for one, other in zip(found, wanted, strict=True):
            assert one.tobytes() == other.tobytes()
    entries = plan._described(batch).entries
    joins = [e.kind for e in entries if isinstance(e.step.nodes()[-1].layer, Concat)]
    whole, part = joins.count("in place"), sum("in place" in kind for kind in joins)
    counts = whole, part - whole, len(joins) - part
    assert counts == (expected if batch == 1 else (0, 0, len(joins)))


@compiled_only
def test_a_dense_block_is_one_block_of_memory():
    x = cnnx.Input((4, 6, 8))
    model = cnnx.Graph(x, Conv2D(24, 3, 1)(dense(branch(x, 8), 4, "one by one")))
    program = program_of(model, (4, 6, 8))
    assert kinds(program).count("in place") == 4
    assert program.arena_bytes == 24 * 48 * 4
    text = cnnx.compile(model, (4, 6, 8), batch=1).memory()
    assert "arena 4,608 bytes" in text


@compiled_only
def test_what_a_joined_value_does_not_use_yet_is_used_by_others():
    """The shortcut of a U-Net lives through all that is deeper, the other half of the joined value
    begins when that is done."""
    x = cnnx.Input((4, 8, 8))
    shortcut = h = branch(x, 8)
    for _ in range(2):
        h = branch(h, 8)
    model = cnnx.Graph(x, branch(Concat()(shortcut, branch(h, 8))))
    program = program_of(model, (4, 8, 8))
    assert kinds(program).count("in place") == 1
    assert program.arena_bytes == 3 * 8 * 64 * 4  # the joined value and one more
