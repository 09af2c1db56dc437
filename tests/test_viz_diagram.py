"""The diagram of a model with branches: which boxes, and which lines between them."""

import itertools

import numpy as np
import pytest

import cnnx
from cnnx.layers import (
    AdaptiveAvgPool2D,
    Add,
    Concat,
    Conv2D,
    Flatten,
    Linear,
    MaxPool2D,
    Multiply,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Upsample,
)
from cnnx.viz.lanes import Edge, edges_beside, lanes

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from cnnx import viz


def drawn(model, *shape, **options):
    return viz.plot_model(model, *shape, **options).axes[0]


def boxes(axes):
    """For each box from top to bottom its name or, where it has none, its kind; and its extent."""
    found = []
    for box in (patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)):
        top, bottom = box.get_y(), box.get_y() + box.get_height()
        inside = [t.get_text() for t in axes.texts if top < t.get_position()[1] < bottom]
        name = next(text for text in inside if text)
        found.append((name, top, bottom, box.get_x() + box.get_width()))
    return sorted(found, key=lambda box: box[1])


def names(axes):
    return [name for name, *_ in boxes(axes)]


def at(axes, y):
    """The name of the box at this height."""
    (name,) = [name for name, top, bottom, _ in boxes(axes) if top < y < bottom]
    return name


def coloured(axes):
    """The lines beside the boxes, without the white below them."""
    return [line for line in axes.lines if line.get_color() in viz.figures.CLASSES]


def edges(axes):
    """(from, to) of the lines beside the boxes, by where they begin and end."""
    found = set()
    for line in coloured(axes):
        y = line.get_ydata()
        found.add((at(axes, y[0]), at(axes, y[-1])))
    return found


def arrows(axes):
    """The names of the boxes from which an arrow leads down."""
    rows = boxes(axes)
    tops = [top for _, top, *_ in rows[1:]] + [np.inf]
    found = []
    for text in axes.texts:
        (x, y), (end_x, end_y) = text.get_position(), getattr(text, "xy", (None, None))
        if x == end_x:
            (row,) = (i for i, box in enumerate(rows) if box[2] < y < end_y < tops[i])
            found.append(rows[row][0])
    return found


def skips():
    """A small U-Net."""
    x = cnnx.Input((3, 8, 8))
    a = ReLU()(Conv2D(3, 4, 3, padding=1)(x))
    b = Conv2D(4, 4, 3, padding=1)(MaxPool2D(2)(a))
    c = Upsample(scale_factor=2)(Conv2D(4, 4, 1)(MaxPool2D(2)(b)))
    d = Upsample(scale_factor=2)(Concat()(b, c))
    return cnnx.Graph(x, Conv2D(12, 2, 1)(Concat()(a, d)))


def two_by_two():
    image, features = cnnx.Input((1, 4, 4)), cnnx.Input((5,))
    h = Flatten()(image)
    joined = Concat()(h, Linear(5, 3)(features))
    return cnnx.Graph((image, features), (Linear(19, 2)(joined), Linear(19, 1)(joined)))


def test_a_chain_has_arrows_alone():
    axes = drawn(cnnx.models.lenet5(), (1, 28, 28))
    assert names(axes) == arrows(axes) == [str(number) for number in range(12)]
    assert not axes.lines


def test_skips_of_a_graph_go_by_in_lanes_of_their_own():
    axes = drawn(skips())
    assert names(axes) == [str(number) for number in range(11)]
    assert edges(axes) == {("1", "9"), ("3", "7")}
    outer, inner = (line.get_xdata().max() for line in coloured(axes))
    assert outer > inner


@pytest.mark.parametrize("expand", [False, True])
def test_residuals_inside_are_opened_if_asked_and_the_model_always(expand):
    body = Sequential(Conv2D(4, 4, 3, padding=1), ReLU())
    block = Residual(body, Conv2D(4, 4, 1))
    axes = drawn(Sequential(Conv2D(3, 4, 1), Sequential(block, ReLU())), (3, 8, 8), expand=expand)
    if expand:
        assert names(axes) == ["0", "1.0.shortcut", "1.0.body.0", "1.0.body.1", "1.0.add", "1.1"]
        assert edges(axes) == {("0", "1.0.body.0"), ("1.0.shortcut", "1.0.add")}
    else:
        assert names(axes) == ["0", "1.0", "1.1"] and not axes.lines
    axes = drawn(block, (4, 8, 8), expand=expand)
    assert names(axes) == ["input", "shortcut", "body.0", "body.1", "add"]
    assert edges(axes) == {("input", "body.0"), ("shortcut", "add")}


def test_branches_of_a_concat():
    branches = Concat(Conv2D(3, 2, 1), Sequential(Conv2D(3, 4, 1), ReLU()), MaxPool2D(1))
    closed = drawn(Sequential(ReLU(), branches), (3, 8, 8))
    assert names(closed) == ["0", "1"]
    assert "3 branches" in [text.get_text() for text in closed.texts]
    axes = drawn(Sequential(ReLU(), branches, ReLU()), (3, 8, 8), expand=True)
    assert names(axes) == ["0", "1.0", "1.1.0", "1.1.1", "1.2", "1.concat", "2"]
    assert edges(axes) == {
        ("0", "1.1.0"),
        ("0", "1.2"),
        ("1.0", "1.concat"),
        ("1.1.1", "1.concat"),
    }


def test_an_arrow_leads_to_the_next_box_only_if_that_reads_it():
    axes = drawn(two_by_two())
    assert names(axes) == [
        "input 0", "0", "input 1", "1", "2", "3", "output 0", "4", "output 1"
    ]  # fmt: skip
    assert arrows(axes) == ["input 0", "input 1", "1", "2", "3", "4"]
    assert edges(axes) == {("0", "2"), ("2", "4")}


def test_an_output_that_a_layer_reads_too_stands_at_the_end():
    x = cnnx.Input((3, 8, 8))
    h = Conv2D(3, 4, 1)(x)
    gate = Sequential(AdaptiveAvgPool2D(1), Conv2D(4, 4, 1), Sigmoid())(h)
    axes = drawn(cnnx.Graph(x, (h * gate, h)))
    assert names(axes) == ["0", "1.0", "1.1", "1.2", "2", "output 0", "output 1"]
    assert edges(axes) == {("0", "2"), ("0", "output 1")}
    assert arrows(axes) == ["0", "1.0", "1.1", "1.2", "2"]


def test_the_input_has_a_box_where_several_layers_read_it():
    x = cnnx.Input((3, 8, 8))
    axes = drawn(cnnx.Graph(x, Add()(ReLU()(x), x)))
    assert names(axes) == ["input", "0", "1"] and edges(axes) == {("input", "1")}


def test_a_graph_inside_is_one_box_of_several_outputs():
    x = cnnx.Input((3, 8, 8))
    inner = cnnx.Graph(x, (Conv2D(3, 2, 1)(x), Conv2D(3, 1, 1)(x)))
    y = cnnx.Input((3, 8, 8))
    features, mask = inner(ReLU()(y))
    model = cnnx.Graph(y, Multiply()(Sigmoid()(features), mask))
    axes = drawn(model)
    assert names(axes) == ["0", "1", "2", "3"] and edges(axes) == {("1", "3")}
    sizes = [text.get_text().split(" ")[0] for text in axes.texts if text.get_text()[-1:] == "8"]
    assert sizes == ["input", "3", "2", "2", "2"]
    axes = drawn(model, expand=True)
    assert names(axes) == ["0", "1.0", "1.1", "2", "3"]
    assert edges(axes) == {("0", "1.1"), ("1.0", "2"), ("1.1", "3")}


def test_lines_cross_no_text_and_neighbours_differ_in_colour():
    x = cnnx.Input((3, 8, 8))
    values = [Conv2D(3, 4, 1)(x)]
    for _ in range(9):
        values.append(Conv2D(4, 4, 1)(Add()(values[-1], *values[:-1]) if values[1:] else values[0]))
    axes = drawn(cnnx.Graph(x, Concat()(*values)))
    right = {box[3] for box in boxes(axes)}
    assert len(right) == 1
    assert min(line.get_xdata().min() for line in axes.lines) >= right.pop()
    colour = {line.get_xdata().max(): set() for line in coloured(axes)}
    for line in coloured(axes):
        colour[line.get_xdata().max()].add(line.get_color())
    in_order = [colour[lane] for lane in sorted(colour)]
    assert len(in_order) > 6
    assert all(not here & there for here, there in itertools.pairwise(in_order))
    for lane in colour:  # lines that follow in one lane
        here = [line for line in coloured(axes) if line.get_xdata().max() == lane]
        here.sort(key=lambda line: line.get_ydata()[0])
        for above, below in itertools.pairwise(here):
            same = above.get_ydata()[0] == below.get_ydata()[0]  # of one value
            assert (above.get_color() == below.get_color()) == same
    # The lines of a box begin and end apart, also where ten of them end.
    ends = sorted({line.get_ydata()[-1] for line in coloured(axes)})
    assert len(ends) == len(coloured(axes)) and np.diff(ends).min() > 0.08


def test_lines_in_one_lane_do_not_overlap():
    random = np.random.default_rng(0)
    for _ in range(50):
        given = []
        for source in np.sort(random.integers(0, 30, 12)).tolist():
            targets = np.unique(source + random.integers(2, 12, 2)).tolist()
            given.append(Edge(source, tuple(targets)))
        used = set()
        for edge, lane in zip(given, lanes(given), strict=True):
            for step in range(edge.source, edge.targets[-1]):
                assert (step, lane) not in used
                used.add((step, lane))


def test_a_line_may_begin_in_a_lane_where_another_ends():
    x = cnnx.Input((3, 8, 8))
    h = ReLU()(x)
    h = Add()(ReLU()(h), h)
    h = Add()(ReLU()(h), h)
    axes = drawn(cnnx.Graph(x, h))
    assert edges(axes) == {("0", "2"), ("2", "4")}
    above, below = coloured(axes)
    assert above.get_xdata().max() == below.get_xdata().max()
    assert above.get_color() != below.get_color()
    assert above.get_ydata().max() < below.get_ydata().min()


def test_few_lanes_and_short_lines_innermost():
    assert lanes([Edge(0, (9,)), Edge(1, (8,)), Edge(2, (7,))]) == [2, 1, 0]
    assert lanes([Edge(0, (3,)), Edge(3, (6,)), Edge(6, (9,))]) == [0, 0, 0]
    assert lanes([Edge(0, (2, 4)), Edge(3, (5,))]) == [1, 0]
    assert lanes([]) == []


def test_which_values_go_beside_the_boxes():
    arrows, edges = edges_beside([set(), {0}, {1}, {0, 2}, {1, 0}], [(0,), (1,), (2,), (3,), ()])
    assert arrows == {0, 1, 2}
    assert edges == [Edge(0, (3, 4)), Edge(1, (4,))]


def test_the_shapes_of_inputs():
    add = drawn(Add(), ((2, 4, 4), (2, 4, 4)))
    assert names(add) == ["input 0", "input 1", "Add"]
    assert edges(add) == {("input 0", "Add")} and arrows(add) == ["input 1", "Add"]
    other = drawn(skips(), (3, 16, 16))
    assert any(text.get_text() == "input  3 × 16 × 16" for text in other.texts)  # noqa: RUF001


def test_errors_are_in_words():
    for draw, words in (
        (lambda: drawn(two_by_two(), (1, 4, 4)), "holds 1, but the model has 2 inputs"),
        (lambda: drawn(skips(), ((3, 8, 8), (3, 8, 8))), "holds 2, but the model has 1"),
        (lambda: drawn(two_by_two(), ((1, 4, 4), 5)), "input_shape is .*expected a shape"),
        (lambda: drawn(Sequential(ReLU())), "input_shape is None"),
        (lambda: drawn(Sequential(), (3, 8, 8)), "the model has no layers"),
    ):
        with pytest.raises(ValueError, match=f"^plot_model: .*{words}"):
            draw()


def test_a_long_name_does_not_run_into_the_class(tmp_path):
    deep = Sequential({"a_block_with_a_long_name": Sequential({"and_one_more_inside": ReLU()})})
    axes = drawn(deep, (3, 8, 8), path=tmp_path / "a.png")
    name, kind = (
        text for text in axes.texts if text.get_text() == "ReLU" or "more_inside" in text.get_text()
    )
    assert name.get_window_extent().x1 < kind.get_window_extent().x0
    assert name.get_text().startswith("…")


def test_branches_are_drawn_on_the_users_axes():
    figure = Figure()
    ax = figure.subplots()
    assert viz.plot_model(skips(), ax=ax) is figure and len(coloured(ax)) == 2
