"""Plans: the same outputs as the model, for every model, shape and dtype, from any thread."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest
from engine_helpers import assert_close, bound, drawn, trained

import cnnx
from cnnx import (
    BatchNorm2D,
    Concat,
    Conv2D,
    Dropout,
    Embedding,
    Flatten,
    Linear,
    MaxPool2D,
    ReLU,
    Sequential,
    Sigmoid,
)

COMPILED = "compiled" in cnnx.available_backends()
compiled_only = pytest.mark.skipif(not COMPILED, reason="needs the compiled backend")

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
    "se_resnet20": (3, 9, 11),
    "squeezenet": (3, 21, 17),
    "unet": (3, 24, 8),
    "vgg": (3, 9, 11),
}


def test_every_model_is_here():
    assert sorted(IMAGES) == sorted(cnnx.models.names())


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.mark.parametrize("name", IMAGES)
def test_a_plan_computes_what_the_model_does(name, dtype):
    shape = IMAGES[name]
    model = trained(cnnx.models.build(name, shape, 7)).astype(dtype)
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
@pytest.mark.parametrize("name", ["lenet5", "resnet20", "mobilenet_v2", "vgg"])
def test_networks_without_concatenation_run_without_python_between_the_steps(name):
    shape = IMAGES[name]
    plan = cnnx.compile(cnnx.models.build(name, shape, 7), shape, batch=1)
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
    (cnnx.Upsample(2), (2, 7, 9)),
    (cnnx.GELU(), (2, 7, 9)),
    (cnnx.GroupNorm(2, 4), (4, 7, 9)),
]


@pytest.mark.parametrize(("layer", "shape"), ALONE, ids=[repr(layer) for layer, _ in ALONE])
def test_a_layer_alone_has_the_bits_of_the_layer(layer, shape, dtype):
    layer = trained(layer.copy()).astype(dtype)
    x = drawn((3, *shape), dtype)
    assert cnnx.compile(layer, shape)(x).tobytes() == layer(x).tobytes()


def test_every_layer_with_a_job_is_computed_by_it():
    if not COMPILED:
        pytest.skip("needs the compiled backend")
    in_python = ("BatchNorm2D(2, eps=1e-05", "Upsample", "GELU", "GroupNorm")
    for layer, shape in ALONE:
        program = cnnx.compile(layer, shape)._described(batch=2)
        expected = repr(layer).startswith(in_python)
        assert [entry.job is None for entry in program.entries] == [expected], layer


# --------------------------------------------------------------------- inputs, outputs, memory


def two_by_two():
    a, b = cnnx.Input((4,)), cnnx.Input((4, 5, 5))
    h = ReLU()(Conv2D(4, 4, 3, padding=1)(b))
    y = Linear(4, 3)(a)
    return cnnx.Graph((a, b), (y, Flatten()(h), h)).eval()


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
    for layer in (ReLU(), cnnx.LeakyReLU(), Sigmoid(), cnnx.Tanh(), cnnx.Hardswish(), cnnx.ReLU6()):
        for size in (1, 3, 8, 15, 16, 17, 31, 100):
            model = Sequential(Linear(2, size), Sigmoid(), layer, Linear(size, 1)).astype(dtype)
            x = drawn((3, 2), dtype)
            assert cnnx.compile(model, 2)(x).tobytes() == model(x).tobytes(), (layer, size)


# ------------------------------------------------------------------------------ users' layers


class Halves(cnnx.Layer):
    """Half of its channels, as a view of its input."""

    def forward(self, x):
        return x[:, ::2]

    def backward(self, dy):
        raise NotImplementedError


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
    values = drawn((2, 3, 9, 9))
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


# --------------------------------------------------------------------------- shapes and errors


def test_programs_are_kept_for_the_last_shapes():
    if not COMPILED:
        pytest.skip("needs the compiled backend")
    plan = cnnx.compile(Sequential(Linear(3, 2)), 3)
    for n in range(1, 12):
        plan(np.zeros((n, 3)))
    assert len(plan._programs) == 8
    kept = list(plan._programs.values())
    plan(np.zeros((11, 3)))
    assert list(plan._programs.values()) == kept


def test_an_empty_batch_and_a_large_one():
    model = Sequential(Conv2D(1, 2, 3), ReLU(), MaxPool2D(2), Flatten(), Linear(8, 3))
    plan = cnnx.compile(model, (1, 6, 6))
    for n in (0, 1, 37):
        x = drawn((n, 1, 6, 6))
        assert_close(model, plan(x), model(x)) if n else plan(x)
        assert plan(x).shape == (n, 3)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((2, 4, 8, 8), r"shape \(2, 4, 8, 8\), it was compiled .* \(3, 8, 8\): .*channels"),
        ((3, 8, 8), r"plan: x has shape \(3, 8, 8\), expected \(n, 3, 8, 8\)"),
        ((2, 3, 1, 1), r"does not accept inputs of shape \(2, 3, 1, 1\)"),
    ],
)
def test_another_shape_is_an_error_in_words(shape, words):
    plan = cnnx.compile(Sequential(Conv2D(3, 2, 3)), (3, 8, 8))
    if not COMPILED and "compiled for" in words:
        pytest.skip("needs the compiled backend")
    with pytest.raises(ValueError, match=words if COMPILED else None):
        plan(np.zeros(shape, np.float32))
    assert plan(np.zeros((2, 3, 8, 8))).shape == (2, 2, 6, 6)


def test_what_is_no_number_is_a_type_error():
    plan = cnnx.compile(Sequential(Linear(3, 2)), 3)
    for x in (np.zeros((2, 3), complex), np.array([["a"] * 3]), np.ma.zeros((2, 3))):
        with pytest.raises(TypeError, match="plan: x"):
            plan(x)


def test_names_that_do_not_fit_are_errors_in_words():
    plan = cnnx.compile(Sequential(Linear(3, 2)), 3)
    x = np.zeros((1, 3))
    with pytest.raises(ValueError, match="inputs are named 'image', expected 'x'"):
        plan.run({"image": x})
    with pytest.raises(ValueError, match="named nothing, expected 'x'"):
        plan.run({})
    with pytest.raises(TypeError, match="expected a dict"):
        plan.run(x)
    with pytest.raises(TypeError, match="2 inputs given, expected 1"):
        plan(x, x)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("net.npz", 3), TypeError, "model is a str"),
        ((Linear(3, 2), (3, 0)), ValueError, "shape of one sample"),
        ((Sequential(Linear(3, 2)), 4), ValueError, r"input_shape \(4,\) does not fit"),
        ((Sequential(Linear(3, 2)), [(3,), (3,)]), ValueError, "2 input shapes .* has 1 inputs"),
        ((Sequential(Linear(3, 2)), 3, 0), ValueError, "batch"),
        ((Sequential(Linear(3, 2)), {"x": (2, 3)}, 2), ValueError, "include it"),
        ((Sequential(Linear(3, 2)), {"x": ()}), ValueError, "batch axis"),
        ((two_by_two(), {"a": (1, 4), "b": (2, 4, 5, 5)}), ValueError, "several batch sizes"),
    ],
)
def test_compile_refuses_what_does_not_fit(arguments, error, words):
    with pytest.raises(error, match=words):
        cnnx.compile(*arguments)


# ------------------------------------------------------------------- threads, backends, kernels


def small(seed=0):
    """A model with every kind of step."""
    cnnx.manual_seed(seed)
    body = Sequential(Conv2D(16, 16, 3, padding=1), BatchNorm2D(16), ReLU(), Conv2D(16, 16, 1))
    branches = Concat(Conv2D(16, 8, 1), MaxPool2D(3, 1, padding=1))
    head = [cnnx.Residual(body), ReLU(), branches, Sigmoid(), MaxPool2D(2), Flatten()]
    return trained(Sequential(Conv2D(3, 16, 3), BatchNorm2D(16), *head, Linear(24 * 12, 5)))


SMALL = (3, 9, 10)


@compiled_only
def test_the_bits_are_the_same_for_any_number_of_threads():
    from cnnx.backends.compiled import parallel

    before, least = cnnx.get_num_threads(), parallel._set_worth_a_thread(0)
    parallel._teams()
    try:
        found = set()
        for threads in (1, 2, 3):
            cnnx.set_num_threads(threads)
            found.add(cnnx.compile(small(), SMALL)(drawn((3, *SMALL))).tobytes())
            assert parallel._teams()[1] == (threads if threads > 1 else 0)
    finally:
        cnnx.set_num_threads(before)
        parallel._set_worth_a_thread(least)
    assert len(found) == 1


def test_many_threads_may_call_one_plan_at_the_same_time():
    model = small()
    images = [drawn((1 + i % 2, *SMALL), seed=i) for i in range(6)]
    once = cnnx.compile(model, SMALL)
    expected = [once(x).tobytes() for x in images]
    plan = cnnx.compile(model, SMALL)  # nothing is prepared: the threads do it
    wrong, start = [], threading.Barrier(6)

    def predict(i):
        start.wait()
        for _ in range(50):
            if plan(images[i]).tobytes() != expected[i]:
                wrong.append(i)

    threads = [threading.Thread(target=predict, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    if COMPILED:
        assert len(plan._programs) == 2


def test_the_reference_backend_computes_the_same_steps():
    model = small()
    plan = cnnx.compile(model, SMALL)
    x = drawn((2, *SMALL))
    found = plan(x)
    with cnnx.use_backend("reference"):
        assert_close(model, plan(x), found)
        assert cnnx.compile(model, SMALL, batch=2)(x).tobytes() == plan(x).tobytes()
        with pytest.raises(RuntimeError, match="compiled backend is not in use"):
            plan.profile(x)


@compiled_only
def test_another_kernel_set_and_another_algorithm_make_another_program():
    from cnnx.backends import compiled

    shape = (16, 12, 12)
    model = Sequential(Conv2D(16, 16, 3))
    plan = cnnx.compile(model, shape, batch=1)
    x = drawn((1, *shape))
    by_winograd = plan(x)
    with cnnx.use_algorithm("direct"):
        assert plan(x).tobytes() == model(x).tobytes() != by_winograd.tobytes()
    before = compiled.isa()
    try:
        for isa in compiled.usable_isas():
            compiled.set_isa(isa)
            assert plan(x).tobytes() == model(x).tobytes()
    finally:
        compiled.set_isa(before)


# --------------------------------------------------------------------------------- files, text


def test_a_saved_plan_gives_the_same_bits(tmp_path, dtype):
    model = small().astype(dtype)
    plan = cnnx.compile(model, {"image": (1, *SMALL)})
    plan.save(tmp_path / "net.npz")
    loaded = cnnx.load_plan(tmp_path / "net.npz", batch=1)
    assert loaded.inputs == ("image",) and loaded.input_shapes == (SMALL,)
    x = drawn((1, *SMALL), dtype)
    assert loaded(x).tobytes() == plan(x).tobytes()
    with cnnx.use_backend("reference"):
        assert_close(model, cnnx.load_plan(tmp_path / "net.npz")(x), plan(x))


def saved(model, shape):
    file = io.BytesIO()
    cnnx.compile(model, shape).save(file)
    return file.getvalue()


def test_users_layers_are_saved_with_their_names():
    content = saved(Sequential(Conv2D(3, 8, 3), Halves()), (3, 9, 9))
    with pytest.raises(ValueError, match="class 'Halves', which is unknown"):
        cnnx.load_plan(io.BytesIO(content))
    plan = cnnx.load_plan(io.BytesIO(content), custom={"Halves": Halves})
    assert plan(drawn((1, 3, 9, 9))).shape == (1, 4, 7, 7)


def test_models_and_plans_are_not_confused(tmp_path):
    Linear(3, 2).save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match="not a plan of cnnx"):
        cnnx.load_plan(tmp_path / "model.npz")
    (tmp_path / "plan.npz").write_bytes(saved(Linear(3, 2), 3))
    with pytest.raises(ValueError, match="not a model of cnnx"):
        cnnx.load(tmp_path / "plan.npz")


def test_a_damaged_file_is_one_clear_error():
    content = saved(Sequential(Conv2D(1, 2, 3), ReLU(), Flatten(), Linear(8, 3)), (1, 4, 4))
    x = drawn((1, 1, 4, 4))
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), rng.integers(1, 5)):
            damaged[position] = rng.integers(256)
        try:
            cnnx.load_plan(io.BytesIO(bytes(damaged)))(x)
        except ValueError as error:
            assert str(error)
    for end in range(0, len(content), 97):
        with pytest.raises(ValueError):
            cnnx.load_plan(io.BytesIO(content[:end]))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"x"', '"" ', "inputs are named"),
        ('"version": 1,\n  "inputs"', '"version": 2,\n  "inputs"', "plan format 2"),
    ],
)
def test_a_file_with_other_entries_is_refused(old, new, words):
    import zipfile

    content = saved(Linear(3, 2), 3)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    text = entries["meta.json"].decode()
    assert old in text
    entries["meta.json"] = text.replace(old, new, 1).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, value in entries.items():
            archive.writestr(name, value)
    with pytest.raises(ValueError, match=words):
        cnnx.load_plan(io.BytesIO(file.getvalue()))


@compiled_only
def test_a_plan_explains_itself():
    model = Sequential(
        Conv2D(3, 4, 3), BatchNorm2D(4), ReLU(), Dropout(0.5), Flatten(), Linear(16, 2)
    )
    plan = cnnx.compile(model, (3, 4, 4), batch=2)
    lines = plan.explain().splitlines()
    assert [line.split() for line in lines[:5]] == [
        ["pass", "nodes"],
        ["all", "layers", "6"],
        ["simplify", "5"],
        ["fold", "4"],
        ["fuse", "3"],
    ]
    assert [line.split()[1:] for line in lines[7:]] == [
        ["0", "Conv2D", "+", "2", "ReLU", "direct", "(2,", "4,", "2,", "2)"],
        ["4", "Flatten", "view", "(2,", "16)"],
        ["5", "Linear", "linear", "(2,", "2)"],
    ]
    memory = plan.memory()
    assert "128    0-2  0 Conv2D + 2 ReLU" in memory and "arena 128 bytes" in memory
    rows = plan.profile(drawn((2, 3, 4, 4)), repeat=2)
    assert [row.computed_by for row in rows] == ["direct", "linear"]
    flops = [row.gflops * row.ms * 1e6 for row in rows]  # multiply-adds of two images, twice
    np.testing.assert_allclose(flops, [2 * 2 * 4 * 4 * 27, 2 * 2 * 16 * 2])
    floats = [row.gbs * row.ms * 1e6 / 4 for row in rows]
    np.testing.assert_allclose(floats, [2 * 48 + 4 * 27 + 4 + 32, 32 + 34 + 4])
    assert "GFLOP/s" in str(rows) and repr(plan) == "Plan(x (n, 3, 4, 4): 3 steps)"


def test_the_bound_of_these_tests_is_far_below_what_a_mistake_changes():
    assert bound(cnnx.models.resnet20(), np.float32) < 2e-3
    assert bound(cnnx.models.resnet20(), np.float64) < 2e-13
