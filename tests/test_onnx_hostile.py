"""Files that are damaged, or made to harm: one clear ValueError, before memory is allocated."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx_traps import FLOAT, helper, model_of, node, onnx

import cnnx

HUGE = 2**40


def edited(edit, nodes=None, **arrays):
    """The bytes of a small file whose ModelProto `edit` changed."""
    arrays = arrays or {"w": np.ones((3, 4), np.float32)}
    nodes = nodes or [node("MatMul", "x w")]
    model = onnx.load_from_string(model_of(nodes, {"x": ["n", 3]}, arrays=arrays))
    edit(model)
    return model.SerializeToString()


def set_dims(*dims):
    def edit(model):
        model.graph.initializer[0].dims[:] = dims

    return edit


def set_external(model, **entries):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))


def of_constant(operator, *arrays, **attributes):
    """A node whose inputs are constants, added to x."""
    named = {f"c{i}": np.array(array) for i, array in enumerate(arrays)}
    nodes = [node(operator, " ".join(named), "h", **attributes), node("Add", "x h")]
    return model_of(nodes, {"x": ["n", 3]}, arrays=named)


def of_value(tensor):
    return model_of([node("Constant", "", "h", value=tensor), node("Add", "x h")], {"x": ["n", 3]})


def tensor(dims, data=b""):
    made = onnx.TensorProto(data_type=FLOAT, raw_data=data)
    made.dims.extend(dims)
    return made


def nested(depth):
    """A graph in a graph in a graph, ..."""
    content = b""
    for _ in range(depth):  # GraphProto.node, NodeProto.attribute, AttributeProto.g
        for key in (0x32, 0x2A, 0x0A):
            content = bytes([key]) + _varint(len(content)) + content
    return b"\x3a" + _varint(len(content)) + content


def _varint(number):
    out = bytearray()
    while number >= 128:
        out.append(number % 128 + 128)
        number //= 128
    return bytes([*out, number])


def chain(count, ends):
    nodes = [helper.make_node("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(count)]
    return model_of(nodes, {"v0": ["n", 3]}, (f"v{ends}",))


SAME = helper.make_tensor("", FLOAT, [1], [0.0])
FILES = {
    "no file": (b"", "is not an ONNX file"),
    "other bytes": (os.urandom(3000), "is not an ONNX file|cannot be loaded"),
    "more elements than bytes": (edited(set_dims(3, HUGE)), "expected 13194139533312"),
    "fewer elements than bytes": (edited(set_dims(3, 3)), "has 48 bytes, expected 36"),
    "negative sizes": (edited(set_dims(-3, -4)), r"shape \(-3, -4\)"),
    "sizes whose product overflows": (
        edited(set_dims(2**33, 2**33, 0)),
        "has 48 bytes, expected 0",
    ),
    "a constant without bytes": (of_value(tensor([HUGE])), "has 0 bytes"),
    "an unknown type": (
        edited(lambda model: setattr(model.graph.initializer[0], "data_type", 99)),
        "type \\?",
    ),
    "expanded": (of_constant("Expand", np.float32(1), [HUGE]), "1,099,511,627,776 elements"),
    "expanded along many axes": (of_constant("Expand", np.float32(1), [2**16] * 4), "too large"),
    "a constant of a shape": (of_constant("ConstantOfShape", [HUGE], value=SAME), "elements"),
    "tiled": (of_constant("Tile", np.float32([1]), [HUGE]), "elements"),
    "a range": (of_constant("Range", np.array(0), np.array(HUGE), np.array(1)), "elements"),
    "a range without end": (
        of_constant("Range", np.float32(0), np.float32(np.inf), np.float32(1)),
        "Range",
    ),
    "a range of steps of 0": (of_constant("Range", np.array(0), np.array(9), np.array(0)), "Range"),
    "padded": (of_constant("Pad", np.float32([1]), [0, HUGE]), "elements"),
    "an outer sum": (
        of_constant("Add", np.ones((2**16, 1), "f4"), np.ones((1, 2**16), "f4")),
        "elements",
    ),
    "an outer product": (
        of_constant("MatMul", np.ones((2**16, 1), "f4"), np.ones((1, 2**16), "f4")),
        "all of its inputs are constants",
    ),
    "resized": (
        model_of(
            [helper.make_node("Resize", ["c", "", "s"], ["h"]), node("Add", "x h")],
            {"x": ["n", 3]},
            arrays={"c": np.ones(3, "f4"), "s": np.float32([2**30])},
        ),
        "elements",
    ),
    "a convolution of constants": (
        of_constant(
            "Conv", np.ones((1, 1, 1, 1), "f4"), np.ones((1, 1, 1, 1), "f4"), pads=[2**15] * 4
        ),
        "all of its inputs are constants",
    ),
    "doubled again and again": (
        model_of(
            [node("Concat", f"c{i} c{i}", f"c{i + 1}", axis=0) for i in range(40)]
            + [node("Add", "x c40")],
            {"x": ["n", 3]},
            arrays={"c0": np.ones(1, "f4")},
        ),
        "elements",
    ),
    "a cycle": (
        model_of([node("Add", "x b", "a"), node("Relu", "a", "b")], {"x": ["n", 3]}, ("a",)),
        "reads 'b', which no node before it makes",
    ),
    "a missing value": (model_of([node("Add", "x none")], {"x": ["n", 3]}), "reads 'none'"),
    "a missing output": (model_of([node("Relu", "x", "a")], {"x": ["n", 3]}), "output 'y'"),
    "a value made twice": (
        model_of([node("Relu", "x"), node("Tanh", "x")], {"x": ["n", 3]}),
        "makes 'y' again",
    ),
    "graphs in graphs": (nested(300), "is not an ONNX file"),
    "many nodes": (chain(30_000, 30_000), "30,000 nodes"),
    "many outputs of a node": (
        model_of(
            [helper.make_node("Split", ["x"], [f"v{i}" for i in range(30_000)])],
            {"x": ["n", 3]},
            ("v0",),
        ),
        "30,000 nodes",
    ),
    "no opset": (edited(lambda model: model.ClearField("opset_import")), "no version"),
    "an old opset": (
        edited(lambda model: setattr(model.opset_import[0], "version", 6)),
        "has opset 6",
    ),
    "a newer opset": (
        edited(lambda model: setattr(model.opset_import[0], "version", HUGE)),
        "has opset 1099511627776",
    ),
    "a huge kernel": (
        model_of([node("MaxPool", "x", kernel_shape=[HUGE, 0])], {"x": ["n", 3, 8, 8]}),
        "kernel_shape",
    ),
    "an attribute of another type": (
        model_of([node("MaxPool", "x", kernel_shape="wide")], {"x": ["n", 3, 8, 8]}),
        "MaxPool",
    ),
    "a weight of another rank": (edited(lambda model: None, [node("Conv", "x w")]), "2 axes"),
    "a weight of other channels": (
        model_of(
            [node("Conv", "x w b")],
            {"x": ["n", 3, 8, 8]},
            arrays={"w": np.ones((2, 3, 3, 3), "f4"), "b": np.ones(5, "f4")},
        ),
        "its bias has shape",
    ),
    "many groups": (
        model_of(
            [node("Conv", "x w", group=HUGE)],
            {"x": ["n", 3, 8, 8]},
            arrays={"w": np.ones((2, 3, 3, 3), "f4")},
        ),
        "groups",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_is_one_clear_error(case):
    content, message = FILES[case]
    with pytest.raises(ValueError, match=message) as caught:
        cnnx.onnx.load(content)
    assert str(caught.value).startswith("the ONNX model")
    assert len(str(caught.value)) < 5000


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "../secret.bin"}, "outside of the model's folder"),
        ({"location": "/etc/passwd"}, "outside of the model's folder"),
        ({"location": "link.bin"}, "outside of the model's folder"),
        ({"location": "none.bin"}, "which is not there"),
        ({"location": "."}, "which is not there|outside"),
        ({"location": "ok.bin", "offset": 90}, "but it has 100 bytes"),
        ({"location": "ok.bin", "offset": -48}, "but it has 100 bytes"),
        ({"location": "ok.bin", "length": HUGE}, "bytes, expected 48"),
        ({"location": "ok.bin", "offset": "x"}, "invalid literal"),
    ],
)
def test_arrays_of_other_files_are_in_the_folder_and_in_the_file(entries, message, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(100))
    (folder / "ok.bin").write_bytes(bytes(100))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    path = folder / "net.onnx"
    path.write_bytes(edited(lambda model: set_external(model, **entries)))
    with pytest.raises(ValueError, match=message) as caught:
        cnnx.onnx.load(path)
    assert "net.onnx" in str(caught.value)
    path.write_bytes(edited(lambda model: set_external(model, location="ok.bin", offset=52)))
    np.testing.assert_array_equal(cnnx.onnx.load(path)(np.ones((2, 3), "f4")), np.zeros((2, 4)))


def test_many_arrays_that_are_the_same_part_of_a_file_are_refused(tmp_path):
    arrays = {f"w{i}": np.ones((3, 4), np.float32) for i in range(100)}

    def edit(model):
        for number in range(100):
            array = model.graph.initializer[number]
            array.ClearField("raw_data")
            array.data_location = onnx.TensorProto.EXTERNAL
            array.dims[:] = (30, 1000)
            array.external_data.add(key="location", value="ok.bin")

    (tmp_path / "ok.bin").write_bytes(bytes(120_000))
    (tmp_path / "net.onnx").write_bytes(edited(edit, [node("Relu", "x")], **arrays))
    with pytest.raises(ValueError, match="more than 4 times"):
        cnnx.onnx.load(tmp_path / "net.onnx")


def fuzzed(count):
    """What a process prints that loads so many damaged files; it must end well."""
    program = Path(__file__).with_name("onnx_fuzz.py")
    return subprocess.run(
        [sys.executable, str(program), str(count)], capture_output=True, text=True, timeout=3000
    )


def test_damaged_files_are_errors_or_models():
    done = fuzzed(150)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.nightly
def test_ten_thousand_damaged_files_are_errors_or_models():
    done = fuzzed(10_000)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
