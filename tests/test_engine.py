"""Plans: the same outputs as the model, for every model and layer."""

from __future__ import annotations

import numpy as np
import pytest
from engine_helpers import (
    COMPILED,
    SMALL,
    Halves,
    assert_close,
    bound,
    compiled_only,
    drawn,
    trained,
    two_by_two,
    varied,
)

import cnnx
from cnnx import (
    BatchNorm2D,
    Concat,
    Conv2D,
    Dropout,
    Embedding,
    Flatten,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
)

# The size of an image for each model.
IMAGES = {
    "densenet": (3, 9, 7),
    "digits_cnn": (1, 9, 7),
    "inception_small": (3, 9, 11),
    "lenet5": (1, 27, 21),
    "mlp": (15,),
    "mnist_cnn": (2, 13, 11),
    "mobilenet_v2": (3, 9, 11),
    "resnet18": (3, 5, 7),
    "resnet20": (3, 17, 13),
    "resnet50": (3, 9, 11),
    "se_resnet20": (3, 9, 11),
    "squeezenet": (3, 21, 17),
    "unet": (3, 24, 8),
    "vgg": (3, 9, 11),
    "vgg11": (3, 33, 35),
}
OPTIONS = {"vgg11": {"hidden": 16}}  # not half a GB of weights


def test_every_model_is_here():
    assert sorted(IMAGES) == sorted(cnnx.models.names())


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.mark.parametrize("name", IMAGES)
def test_a_plan_computes_what_the_model_does(name, dtype):
    shape = IMAGES[name]
    model = trained(cnnx.models.build(name, shape, 7, **OPTIONS.get(name, {}))).astype(dtype)
    plan = cnnx.compile(model, shape, batch=1)
    for x in (drawn((1, *shape), dtype), drawn((3, *shape), dtype, seed=2)):
        assert_close(model, plan(x), model.predict(x))


def test_images_of_another_size_are_computed_too():
    model = trained(cnnx.models.resnet20(7))
    plan = cnnx.compile(model, (3, 17, 13), batch=1)
    for shape in ((1, 3, 16, 9), (2, 3, 8, 8), (1, 3, 17, 13)):
        x = drawn(shape)
        assert_close(model, plan(x), model.predict(x))


@compiled_only
@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("batch", [1, 2])
def test_networks_run_without_python_between_the_steps(name, batch):
    shape = IMAGES[name]
    plan = cnnx.compile(
        cnnx.models.build(name, shape, 7, **OPTIONS.get(name, {})), shape, batch=batch
    )
    [program] = plan._programs.values()
    assert len(program._runs) == 1 and not program._in_python


# Layers that have a Job of their own, alone: their settings arrive there.
ALONE = [
    (cnnx.AvgPool2D(3, 2, padding=1, count_include_pad=False), (2, 7, 9)),
    (cnnx.AvgPool2D(2, divisor_override=3), (2, 7, 9)),
    (cnnx.AdaptiveAvgPool2D((3, 2)), (2, 7, 9)),
    (cnnx.MaxPool2D(3, 2, padding=1, ceil_mode=True), (2, 7, 9)),
    (cnnx.MaxPool2D(2, dilation=2), (2, 7, 9)),
    (cnnx.MaxPool1D(2), (2, 7)),
    (cnnx.Conv2D(2, 3, 3, padding="same", dilation=2), (2, 7, 9)),
    (cnnx.Conv2D(4, 6, (1, 3), stride=(2, 1), padding=((0, 1), (2, 0)), groups=2), (4, 7, 9)),
    (cnnx.Conv1D(2, 3, 3, stride=2), (2, 7)),
    (cnnx.ConvTranspose2D(4, 6, 3, 2, padding=1, output_padding=1, groups=2), (4, 7, 9)),
    (cnnx.ConvTranspose1D(2, 3, 3, 2), (2, 7)),
    (cnnx.BatchNorm2D(2, eps=0.1), (2, 7, 9)),
    (cnnx.BatchNorm2D(2, track_running_stats=False), (2, 7, 9)),
    (cnnx.Linear(9, 4), (2, 7, 9)),
    (cnnx.LeakyReLU(0.3), (2, 7, 9)),
    (cnnx.Softmax(axis=-1), (2, 7, 9)),
    (cnnx.LogSoftmax(axis=2), (2, 7, 9)),
    (cnnx.Hardswish(), (2, 7, 9)),
    (cnnx.Sigmoid(), (33,)),
    (cnnx.Tanh(), (33,)),
    (cnnx.Upsample((3, 11)), (2, 7, 9)),
    (cnnx.Upsample(scale_factor=2), (2, 7, 9)),
    (cnnx.Upsample(scale_factor=1.7, mode="bilinear"), (2, 7, 9)),
    (cnnx.Upsample((9, 4), mode="bilinear", align_corners=True), (2, 7, 9)),
    (cnnx.ZeroPad2D((1, -2, 0, 3)), (2, 7, 9)),
    (cnnx.ELU(0.7), (2, 7, 9)),
    (cnnx.GELU(), (2, 7, 9)),
    (cnnx.GELU("tanh"), (2, 7, 9)),
    (cnnx.Mish(), (33,)),
    (cnnx.SiLU(), (33,)),
    (cnnx.Softplus(2.0, 0.5), (33,)),
    (cnnx.PReLU(), (2, 7, 9)),
    (cnnx.PReLU(2), (2, 7, 9)),
    (cnnx.PReLU(33, init=0.4), (33,)),
    (cnnx.GroupNorm(2, 4), (4, 7, 9)),
    (cnnx.GroupNorm(2, 4, eps=0.1), (4, 16, 9)),
    (cnnx.GroupNorm(2, 4, affine=False), (4, 7, 9)),
    (cnnx.InstanceNorm2D(4), (4, 7, 9)),
    (cnnx.InstanceNorm2D(4, affine=True, track_running_stats=True), (4, 7, 9)),
    (cnnx.LayerNorm((7, 9), eps=0.1), (4, 7, 9)),
    (cnnx.LayerNorm(33, bias=False), (33,)),
    (cnnx.LayerNorm(33, elementwise_affine=False), (33,)),
    (cnnx.LocalResponseNorm(3, alpha=0.5, beta=0.6, k=1.5), (6, 7, 9)),
]


@pytest.mark.parametrize(("layer", "shape"), ALONE, ids=[repr(layer) for layer, _ in ALONE])
def test_a_layer_alone_has_the_bits_of_the_layer(layer, shape, dtype):
    layer = trained(layer.copy()).astype(dtype)
    x = drawn((3, *shape), dtype)
    assert cnnx.compile(layer, shape)(x).tobytes() == layer(x).tobytes()


@compiled_only
def test_every_layer_with_a_job_is_computed_by_it():
    for layer, shape in ALONE:
        program = cnnx.compile(layer, shape)._described(batch=2)
        assert [entry.job is None for entry in program.entries] == [False], layer


def test_a_model_of_all_other_layers_is_computed_as_it_is(dtype):
    model = varied().astype(dtype)
    plan = cnnx.compile(model, SMALL)
    for batch in (1, 3):
        x = drawn((batch, *SMALL), dtype, seed=batch)
        assert_close(model, plan(x), model.predict(x))
        if COMPILED:
            assert len(plan._described(batch)._runs) == 1


@compiled_only
def test_instance_norm_with_weights_has_a_job_for_one_image():
    layer = trained(cnnx.InstanceNorm2D(4, affine=True))
    plan, x = cnnx.compile(layer, (4, 7, 9)), drawn((2, 4, 7, 9))
    for batch in (1, 2):  # for two, the weights are repeated
        [entry] = plan._described(batch).entries
        assert (entry.job is None) == (batch == 2)
        assert plan(x[:batch]).tobytes() == layer(x[:batch]).tobytes()


@compiled_only
@pytest.mark.parametrize("shape", [(4, 6, 7), (4, 1, 1)])
def test_sums_and_products_write_over_an_operand_that_nothing_else_reads(shape):
    x = cnnx.Input((4, 6, 7))
    h, gate = ReLU()(Conv2D(4, 4, 1)(x)), Conv2D(4, 4, 1)(x)
    gate = Sigmoid()(cnnx.GlobalAvgPool2D()(gate) if shape == (4, 1, 1) else gate)
    scaled = h * (cnnx.Reshape(shape)(gate) if shape == (4, 1, 1) else gate)
    model = cnnx.Graph(x, Conv2D(4, 3, 1)(scaled + ReLU()(x)))
    plan, values = cnnx.compile(model, (4, 6, 7), batch=1), drawn((1, 4, 6, 7))
    assert plan(values).tobytes() == model(values).tobytes()
    [program] = plan._programs.values()
    place = {entry.kind: program._location(entry.step.output) for entry in program.entries}
    step = {entry.kind: entry.step for entry in program.entries}
    assert place["multiply"] == program._location(step["multiply"].inputs[0])
    assert place["add"] in [program._location(i) for i in step["add"].inputs]


# --------------------------------------------------------------------- inputs, outputs, memory


def test_several_inputs_and_outputs_by_position_and_by_name():
    model = two_by_two()
    a, b = drawn((2, 4)), drawn((2, 4, 5, 5))
    expected = model(a, b)
    plan = cnnx.compile(model, [(4,), (4, 5, 5)], batch=2)
    assert plan.inputs == ("x0", "x1") and plan.outputs == ("y0", "y1", "y2")
    named = cnnx.compile(model, {"row": (2, 4), "image": (2, 4, 5, 5)})
    by_name = named.run({"image": b, "row": a})
    for one, other, third in zip(plan(a, b), expected, by_name.values(), strict=True):
        assert one.tobytes() == other.tobytes() == third.tobytes()
    assert list(by_name) == ["y0", "y1", "y2"]


def test_outputs_are_arrays_of_their_own():
    x = cnnx.Input((3,))
    h = ReLU()(x)
    model = cnnx.Graph(x, (Flatten()(x), h, cnnx.Reshape((3, 1))(h)))
    plan = cnnx.compile(model, 3, batch=2)
    given = drawn((2, 3))
    expected = [y.copy() for y in model(given)]
    first = plan(given)
    kept = [y.copy() for y in first]
    for y in first:  # whoever changes one changes nothing else
        before = [other.copy() for other in first if other is not y]
        y += 1
        others = [other for other in first if other is not y]
        assert all((a == b).all() for a, b in zip(before, others, strict=True))
        y -= 1
    plan(drawn((2, 3), seed=5))
    for one, other, third in zip(kept, expected, plan(given), strict=True):
        assert one.tobytes() == other.tobytes() == third.tobytes()


def test_inputs_are_not_changed_and_may_lie_anywhere_in_memory(dtype):
    model = Sequential(ReLU(), Sigmoid(), Conv2D(2, 3, 3)).astype(dtype)
    plan = cnnx.compile(model, (2, 6, 7))
    x = drawn((2, 2, 6, 7), dtype)
    expected = plan(x)
    swapped = x.astype(x.dtype.newbyteorder())
    unaligned = np.frombuffer(b"." + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape)
    read_only = x.copy()
    read_only.flags.writeable = False
    for other in (np.asfortranarray(x), swapped, unaligned, read_only, x.tolist()):
        before = np.array(other)
        assert plan(other).tobytes() == expected.tobytes()
        assert (np.asarray(other) == before).all()


def test_other_numbers_are_cast_to_the_dtype_of_the_weights(dtype):
    model = Sequential(Linear(3, 2), ReLU()).astype(dtype)
    plan = cnnx.compile(model, 3)
    x = np.arange(6).reshape(2, 3)
    for other in (x, x.astype(np.float16), x.astype(np.float64), x.astype(np.uint8)):
        assert plan(other).dtype == dtype
        assert plan(other).tobytes() == model(x).tobytes()


def test_numbers_of_words_stay_integers():
    model = Sequential(Embedding(9, 4), Linear(4, 2))
    plan = cnnx.compile(model, (5,), batch=2)
    x = np.arange(10).reshape(2, 5) % 9
    assert plan(x).tobytes() == model(x).tobytes()


def test_an_activation_writes_over_its_input_where_nothing_else_reads_it():
    if not COMPILED:
        pytest.skip("needs the compiled backend")
    chain = Sequential(Conv2D(2, 4, 3), Sigmoid(), cnnx.Tanh(), Conv2D(4, 2, 3))
    plan = cnnx.compile(chain, (2, 9, 9), batch=1)
    [program] = plan._programs.values()
    assert len([piece for piece in program.pieces if piece.value is not None]) == 1
    x = cnnx.Input((2, 9, 9))
    h = Conv2D(2, 4, 3)(x)
    model = cnnx.Graph(x, Concat()(h, Sigmoid()(h)))
    plan = cnnx.compile(model, (2, 9, 9))
    values = drawn((2, 2, 9, 9))
    assert plan(values).tobytes() == model(values).tobytes()


def test_in_place_activations_have_the_same_bits_at_every_length(dtype):
    layers = [ReLU(), cnnx.LeakyReLU(), Sigmoid(), cnnx.Tanh(), cnnx.Hardswish(), cnnx.ReLU6()]
    layers += [cnnx.ELU(), cnnx.GELU(), cnnx.GELU("tanh"), cnnx.Mish(), cnnx.SiLU()]
    for layer in [*layers, cnnx.Softplus(), cnnx.PReLU()]:
        for size in (1, 3, 8, 15, 16, 17, 31, 100):
            model = Sequential(Linear(2, size), Sigmoid(), layer, Linear(size, 1)).astype(dtype)
            x = drawn((3, 2), dtype)
            assert cnnx.compile(model, 2)(x).tobytes() == model(x).tobytes(), (layer, size)


# ------------------------------------------------------------------------------ users' layers


class Doubled(cnnx.Layer):
    def __init__(self):
        self.inner = Sequential(Conv2D(4, 4, 3, padding=1), BatchNorm2D(4), Dropout(0.5))

    def forward(self, x):
        return 2 * self.inner(x)

    def backward(self, dy):
        raise NotImplementedError


def test_users_layers_are_called_in_eval_mode_and_get_the_same_values():
    model = Sequential(Conv2D(3, 8, 3), ReLU(), Halves(), Doubled(), ReLU(), Conv2D(4, 2, 3))
    trained(model)
    plan = cnnx.compile(model, (3, 9, 9), batch=2)
    x = drawn((2, 3, 9, 9))
    expected = model(x)
    model.train()  # the plan has layers of its own
    with cnnx.layers.run_mode(training=True):  # as in a callback of fit
        assert_close(model, plan(x), expected)


def test_a_view_that_a_users_layer_returns_keeps_its_memory_alive():
    x = cnnx.Input((3, 9, 9))
    h = Halves()(Conv2D(3, 8, 3)(x))
    z = h
    for _ in range(3):  # these would take the memory of the convolution's output
        z = Sigmoid()(Conv2D(4, 4, 3, padding=1)(z))
    model = cnnx.Graph(x, (z + h, Halves()(h)))
    values = drawn((1, 3, 9, 9))  # of one image, half of the channels is contiguous
    plan = cnnx.compile(model, (3, 9, 9))
    for found, expected in zip(plan(values), model(values), strict=True):
        assert found.tobytes() == expected.tobytes()


def test_a_layer_whose_output_shape_depends_on_the_values_is_an_error():
    class Positive(cnnx.Layer):
        def forward(self, x):
            return x[:, : 1 + int((x > 0).any())]

    plan = cnnx.compile(Sequential(Positive()), 3)
    plan(-np.ones((2, 3)))
    if COMPILED:
        with pytest.raises(ValueError, match=r"Positive: forward returned .* \(2, 2\), but"):
            plan(np.ones((2, 3)))


def test_the_bound_of_these_tests_is_far_below_what_a_mistake_changes():
    assert bound(cnnx.models.resnet20(), np.float32) < 2e-3
    assert bound(cnnx.models.resnet20(), np.float64) < 2e-13
