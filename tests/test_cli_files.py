"""The command line with models from elsewhere: ONNX files and plans, and from one to another."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import failure, usage_error
from engine_helpers import compiled_only

import cnnx
from cnnx.backends.choose import candidates, preferring
from cnnx.cli import main
from cnnx.engine import tune

onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.usefixtures("own_directory")


def net(bias=(0.0, 0.0, 0.0)):
    """Images of red, green and blue -> the mean of each, plus a bias: logits known by hand."""
    layer = cnnx.Conv2D(3, 3, 1)
    layer.weight.data[...] = np.eye(3)[:, :, None, None]
    layer.bias.data[...] = bias
    return cnnx.Sequential(layer, cnnx.GlobalAvgPool2D(), cnnx.Flatten())


@pytest.fixture
def file(own_directory):
    cnnx.onnx.save(net(), "net.onnx", input_shape=(3, 4, 6))
    return "net.onnx"


@pytest.fixture
def image():
    return pytest.importorskip("PIL.Image")


def said(capsys, *words):
    """The lines that a command prints, as lists of words."""
    capsys.readouterr()
    assert main(words) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def rewritten(path, change):
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)


def free_sizes(model):
    for value, names in zip(model.graph.input, [("n", None, "h", "w")]):
        for dim, name in zip(value.type.tensor_type.shape.dim, names):
            if name:
                dim.dim_param = name


# Describing


def test_info_shows_what_an_onnx_file_says(file, capsys):
    rows = {line[0]: " ".join(line[1:]) for line in said(capsys, "info", file)}
    assert rows["format"] == "ONNX, opset 17" and rows["inputs"] == "input nx3x4x6 float"
    assert rows["outputs"] == "output nx3 float" and rows["parameters"] == "12, float32"
    assert rows["operators"] == "Conv 1, Flatten 1, GlobalAveragePool 1, Identity 1"
    assert rows["MACs"] == f"{4 * 6 * 9} for a sample of 3x4x6"


def test_info_counts_the_macs_of_a_size_that_the_file_leaves_free(file, capsys):
    rewritten(file, free_sizes)
    assert "--input-shape" in " ".join(map(" ".join, said(capsys, "info", file)))
    lines = [" ".join(line) for line in said(capsys, "info", file, "--input-shape", "3x10x10")]
    assert "MACs 900 for a sample of 3x10x10" in lines
    assert "2 shapes" in failure(capsys, "info", file, "--input-shape", "3x8x8,4")
    assert "without the batch" in usage_error(capsys, "info", file, "--input-shape", "3x0x8")


def test_info_counts_the_operators_of_branches(own_directory, capsys):
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    branches = {
        f"{name}_branch": onnx.helper.make_graph(
            [node(operator, ["x"], [name])], name, [], [value(name, 1, [3])]
        )
        for name, operator in (("then", "Relu"), ("else", "Exp"))
    }
    inputs = [value("c", onnx.TensorProto.BOOL, [1]), value("x", 1, [3])]
    nodes = [node("If", ["c"], ["y"], **branches)]
    graph = onnx.helper.make_graph(nodes, "g", inputs, [value("y", 1, [3])])
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), "branches.onnx")
    rows = {line[0]: " ".join(line[1:]) for line in said(capsys, "info", "branches.onnx")}
    assert rows["operators"] == "Exp 1, If 1, Relu 1"
    assert rows["MACs"] == "not counted: an input has no axis besides the batch"


def test_info_names_operators_that_are_not_known(file, capsys):
    rewritten(file, lambda model: setattr(model.graph.node[0], "op_type", "Curl"))
    capsys.readouterr()
    assert main(["info", file]) == 1
    out, error = capsys.readouterr()
    assert "Curl 1" in out and error.count("\n") == 1 and "not known: Curl" in error


# Predicting


@pytest.fixture
def pictures(image):
    """A red image and a blue one, 6 x 4, in a folder."""
    os.mkdir("pictures")
    for name, colour in (("red", (255, 0, 0)), ("sea", (0, 51, 204))):
        pixels = np.zeros((4, 6, 3), np.uint8)
        pixels[...] = colour
        pixels[0, 0] = 0  # not all of one colour
        image.fromarray(pixels).save(f"pictures/{name}.png")
    return "pictures"


def expected(row):
    """Names of the outputs with their probabilities, the most probable first."""
    p = np.exp(row) / np.exp(row).sum()
    return [text for k in np.argsort(-p) for text in (("red", "green", "blue")[k], f"{p[k]:.4f}")]


def test_predict_reads_images_in_order_red_green_blue_from_0_to_1(file, pictures, capsys):
    Path("names.txt").write_text("red\ngreen\nblue\n\n")
    words = ("predict", file, pictures, "--labels", "names.txt", "--top", "3")
    share = 23 / 24  # of the pixels
    red, sea = np.float64([share, 0, 0]), share * np.float64([0, 0.2, 0.8])
    assert said(capsys, *words) == [
        ["pictures/red.png", *expected(red)],
        ["pictures/sea.png", *expected(sea)],
    ]
    mean, std = np.float64([0.5, 0.25, 0.125]), np.float64([0.5, 0.25, 0.5])
    words += ("--mean", "0.5,0.25,0.125", "--std", "0.5,0.25,0.5")
    assert said(capsys, *words)[1] == ["pictures/sea.png", *expected((sea - mean) / std)]
    words = (*words[:7], "--std", "0.1")
    assert said(capsys, *words)[1][:2] == ["pictures/sea.png", expected(sea / 0.1)[0]]


def test_predict_scales_images_on_request(file, image, capsys):
    image.fromarray(np.full((8, 12, 3), (10, 200, 90), np.uint8)).save("large.png")
    error = failure(capsys, "predict", file, "large.png")
    assert "12 x 8 pixels" in error and "6 x 4: resize (--resize)" in error
    assert said(capsys, "predict", file, "large.png", "--resize")[0][1] == "1"
    rewritten(file, free_sizes)
    assert said(capsys, "predict", file, "large.png")[0][1] == "1"  # any size
    assert said(capsys, "predict", file, "large.png", "--size", "4x6")[0][1] == "1"
    assert "states the size" in failure(capsys, "predict", file, "large.png", "--resize")


def test_a_file_for_one_sample_at_a_time_gets_one_at_a_time(file, pictures, capsys):
    def flatten_to_one(model):
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
        model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
        (node,) = [node for node in model.graph.node if node.op_type == "Flatten"]
        node.op_type = "Reshape"
        del node.attribute[:]
        node.input.append("shape")
        shape = onnx.numpy_helper.from_array(np.int64([1, 3]), "shape")
        model.graph.initializer.append(shape)

    rewritten(file, flatten_to_one)
    assert [line[1] for line in said(capsys, "predict", file, pictures)] == ["0", "2"]
    assert "one sample at a time" in failure(capsys, "profile", file, "--batch", "2")


def test_options_that_do_not_fit_are_one_clear_error(file, pictures, capsys):
    Path("names.txt").write_text("red\ngreen\n")
    words = ("predict", file, pictures)
    error = failure(capsys, *words, "--labels", "names.txt")
    assert "names.txt has 2 names, but the model has 3 outputs" in error
    Path("names.txt").write_text("red\n\ngreen\n")
    assert "line 2 is empty" in failure(capsys, *words, "--labels", "names.txt")
    Path("names.txt").write_bytes(b"\xff\xfe\x00")
    assert "names.txt is not text" in failure(capsys, *words, "--labels", "names.txt")
    assert "gone.txt" in failure(capsys, *words, "--labels", "gone.txt")
    assert "--mean has 2 numbers" in failure(capsys, *words, "--mean", "0.5,0.5")
    assert "std" in failure(capsys, *words, "--std", "0")
    assert "with commas" in usage_error(capsys, *words, "--mean", "half")
    cnnx.Linear(4, 2).save("table.npz")
    np.save("rows.npy", np.zeros((2, 4), np.float32))
    assert "models of images" in failure(capsys, "predict", "table.npz", "rows.npy", "--mean", "1")


def test_an_onnx_file_that_is_none_is_one_line(capsys):
    Path("bad.onnx").write_bytes(b"\x08\x07\xff")
    for words in (("info", "bad.onnx"), ("profile", "bad.onnx"), ("convert", "bad.onnx", "a.npz")):
        assert "'bad.onnx' is not an ONNX file" in failure(capsys, *words)
    assert "gone.onnx: No such file" in failure(capsys, "predict", "gone.onnx", "bad.onnx")


# Converting


def outputs(path):
    """Of a file of any kind, for two images."""
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 6)).astype(np.float32)
    if path.endswith(".onnx"):
        return cnnx.onnx.load(path)(x)
    try:
        return cnnx.load(path).eval()(x)
    except ValueError:
        return cnnx.load_plan(path)(x)


def test_every_kind_of_file_becomes_every_other(file, capsys):
    expected = net([0.25, 0, 0]).eval()
    expected.save("model.npz")
    cnnx.onnx.save(expected, file, input_shape=(3, 4, 6))
    steps = [
        ("model.npz", "a.onnx", "--input-shape", "3x4x6"),
        ("a.onnx", "b.npz"),
        ("b.npz", "c.npz", "--plan"),
        ("c.npz", "d.onnx", "--opset", "18"),
        ("d.onnx", "e.npz", "--plan"),
        ("e.npz", "f.npz"),
        ("e.npz", "g.npz", "--plan"),
    ]
    for source, target, *options in steps:
        assert said(capsys, "convert", source, target, *options)[0][0] == f"{target}:"
        np.testing.assert_allclose(outputs(target), outputs("model.npz"), rtol=1e-6, atol=1e-6)
    assert cnnx.load_plan("e.npz").inputs == cnnx.load_plan("g.npz").inputs == ("input",)
    assert onnx.load("d.onnx").opset_import[0].version == 18
    with pytest.raises(ValueError):
        cnnx.load("c.npz")


@pytest.mark.parametrize("options", [(), ("--plan",)], ids=["model", "plan"])
def test_a_converted_file_remembers_how_images_become_inputs(file, pictures, capsys, options):
    Path("names.txt").write_text("red\ngreen\nblue\n")
    how = ("--mean", "0.5", "--std", "0.25", "--labels", "names.txt", "--size", "4x6")
    assert main(["convert", file, "new.npz", *how, *options]) == 0
    words = (pictures, "--top", "3")
    assert said(capsys, "predict", "new.npz", *words) == said(capsys, "predict", file, *words, *how)
    rows = {line[0]: line[1:] for line in said(capsys, "info", "new.npz")}
    assert rows["classes"] == ["red,", "green,", "blue"]
    if options:
        assert cnnx.load_plan("new.npz").preprocessing.classes == ("red", "green", "blue")
    capsys.readouterr()
    assert main(["convert", "new.npz", "back.onnx"]) == 0
    assert "does not say how images become inputs" in capsys.readouterr().err


@compiled_only
def test_a_tuned_plan_keeps_what_was_measured(file, capsys, monkeypatch):
    seen = []

    def measured(make, inputs, turn):
        seen.append((inputs[0].shape, cnnx.get_num_threads()))
        asked = []
        with preferring(asked.append):
            make()
        names = [candidates(c)[min(turn, len(candidates(c)) - 1)] for c in asked if c.packed]
        return [(c, name, 1.0 / (1 + turn)) for c, name in zip(asked, names)]

    monkeypatch.setattr(tune, "_measured", measured)
    wide = cnnx.Sequential(cnnx.Conv2D(16, 32, 3, padding=1), cnnx.Flatten())
    cnnx.onnx.save(wide, "wide.onnx", input_shape=(16, 12, 20))
    words = ("--plan", "--tune", "--batch", "3", "--threads", "2")
    [line] = said(capsys, "convert", "wide.onnx", "plan.npz", *words)
    kernels = cnnx.config.backend().isa()
    assert " ".join(line).startswith("plan.npz: a plan of 2 steps, another algorithm for 1 ")
    assert f"convolution on {kernels}," in " ".join(line)
    assert set(seen) == {((3, 16, 12, 20), 2)}
    plan = cnnx.load_plan("plan.npz")
    [(convolution, algorithm)] = plan.choices.items()
    assert (convolution.images, convolution.pixels) == (3, (12, 20)) and plan.tuned_on == kernels
    assert algorithm == candidates(convolution)[-1] != candidates(convolution)[0]
    monkeypatch.setattr(tune, "_measured", lambda *_: [])
    [line] = said(capsys, "convert", file, "usual.npz", "--plan", "--tune")
    assert "no convolution is faster" in " ".join(line)
    assert not cnnx.load_plan("usual.npz").choices


def test_convert_never_replaces_a_file_unless_asked(file, capsys, monkeypatch):
    Path("there.npz").write_text("mine")
    error = failure(capsys, "convert", file, "there.npz")
    assert "there.npz: already exists: --overwrite" in error
    assert Path("there.npz").read_text() == "mine"

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("cnnx.layers.files.io.save_npz", full_disk)
        for target in ("there.npz", "new.npz"):
            assert "No space" in failure(capsys, "convert", file, target, "--overwrite")
    assert Path("there.npz").read_text() == "mine" and not os.path.exists("new.npz")
    assert main(["convert", file, "there.npz", "--overwrite"]) == 0
    cnnx.load("there.npz")
    assert sorted(os.listdir()) == ["net.onnx", "there.npz"]


def test_convert_refuses_what_it_cannot_write_before_it_reads(capsys):
    wrong = [
        (("a.txt",), "must end in .npz or .onnx"),
        (("a.onnx", "--plan"), "a plan is an .npz file"),
        (("a.onnx", "--mean", "0.5"), "no place for --mean"),
        (("a.npz", "--opset", "18"), "--opset is for ONNX files"),
        (("a.npz", "--tune"), "--tune is for plans: give --plan, too"),
        (("a.npz", "--plan", "--batch", "2"), "--batch is for --tune"),
        (("a.npz", "--plan", "--threads", "2"), "--threads is for --tune"),
        (("a.npz", "--input-shape", "3x4x4"), "--input-shape is for plans and ONNX"),
    ]
    for words, message in wrong:
        assert message in failure(capsys, "convert", "gone.npz", *words)
    net().save("model.npz")
    for words in (("a.onnx",), ("a.npz", "--plan")):
        assert "--input-shape" in failure(capsys, "convert", "model.npz", *words)
    assert "x has 4 channels" in failure(
        capsys, "convert", "model.npz", "a.npz", "--plan", "--input-shape", "4x4x4"
    )
    with cnnx.use_backend("reference"):
        error = failure(capsys, "convert", "model.npz", "a.npz", "--plan", "--tune")
        assert "--tune measures the compiled backend, which is not in use" in error
    assert os.listdir() == ["model.npz"]


# Profiling


@compiled_only
def test_profile_has_a_line_for_each_step_of_any_file(file, capsys):
    assert main(["convert", file, "plan.npz", "--plan"]) == 0
    for path in (file, "plan.npz"):
        lines = said(capsys, "profile", path, "--batch", "2", "--repeat", "2")
        assert lines[0][:3] == ["step", "layers", "computed"]
        assert any("Conv2D" in line for line in lines) and lines[-1][:2] == ["all", "steps"]
    cnnx.Sequential(cnnx.Embedding(5, 3), cnnx.Flatten(), cnnx.Linear(12, 2)).save("words.npz")
    lines = said(capsys, "profile", "words.npz", "--input-shape", "4", "--repeat", "1")
    assert any("Embedding" in line for line in lines)
    assert "--input-shape" in failure(capsys, "profile", "words.npz")
    error = failure(capsys, "profile", file, "--backend", "reference")
    assert "compiled backend, which is not in use" in error
