"""Loads damaged ONNX files: python tests/onnx_fuzz.py 10000 [first seed]

Each is a real file in which bytes, or fields of the messages, are changed at random: an export of
cnnx or of PyTorch, a file of the tests of the package onnx, and those of the packages of the extra
`zoo` that are installed. Loading it must return a Graph or raise a ValueError, and not take more
memory than 4 times the file and 256 MB, nor more than a second of the process's time. A crash ends
the process; the last line printed is the seed to run again. One of four is a plan of cnnx instead.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import onnx
import zoo
from onnx_helpers import saved
from onnx_traps import TRAPS, floats, helper, model_of, node

import cnnx
from cnnx import models

HUGE = 2**40
NUMBERS = (-(2**63), -HUGE, -1, 0, 1, 2, 3, 7, 255, 2**16, HUGE, 2**63 - 1)
MOST = 256 * 2**20
SECONDS = 1


def originals():
    """Real files: two models, and one for each operator or trap."""
    cnnx.manual_seed(0)
    files = [saved(models.lenet5().eval(), (1, 28, 28)), saved(models.unet(width=2), (3, 32, 32))]
    for nodes, arrays, opset in TRAPS.values():
        files.append(model_of(nodes, {"x": [2, 3, 6, 7]}, arrays=arrays, opset=opset))
    files += [with_branches(), with_lstm()]
    tests = Path(onnx.__file__).parent / "backend" / "test" / "data"
    kinds = ("simple", "light", "pytorch-operator", "pytorch-converted")
    paths = [path for kind in kinds for path in sorted(tests.glob(f"{kind}/**/*.onnx"))]
    paths += filter(None, map(zoo.find, zoo.FILES))
    return files + [path.read_bytes() for path in paths]


def plans():
    """Files of `plan.save`: the network, and its arrays."""
    files = []
    for name, shape in (("lenet5", (1, 28, 28)), ("resnet20", (3, 32, 32)), ("unet", (3, 32, 32))):
        file = io.BytesIO()
        cnnx.compile(models.build(name, shape, 10).eval(), shape).save(file)
        files.append(file.getvalue())
    return files


def with_branches():
    """A choice, of which one branch has a choice that is known."""
    value = helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, None)
    last = helper.make_graph([node("Relu", "h", "a")], "last", [], [value])
    known = helper.make_node("If", ["yes"], ["a"], then_branch=last, else_branch=last)
    then = helper.make_graph([node("MatMul", "x w", "h"), known], "then", [], [value])
    otherwise = helper.make_graph([node("Neg", "x", "a")], "otherwise", [], [value])
    choice = helper.make_node("If", ["found"], ["y"], then_branch=then, else_branch=otherwise)
    nodes = [
        node("ReduceMax", "x", "most", keepdims=0),
        node("Greater", "most one", "found"),
        choice,
    ]
    arrays = {"w": floats(3, 3), "yes": np.array(True), "one": np.float32(1)}
    return model_of(nodes, {"x": [2, 3]}, arrays={k: np.asarray(v) for k, v in arrays.items()})


def with_lstm():
    arrays = {"w": floats(2, 16, 5), "r": floats(2, 16, 4), "b": floats(2, 32)}
    made = node("LSTM", "x w r b", "y h c", hidden_size=4, direction="bidirectional")
    return model_of([made], {"x": [6, 2, 5]}, ("y", "h"), arrays)


def with_other_bytes(content, rng):
    data = bytearray(content)
    for _ in range(rng.integers(1, 8)):
        at, size = int(rng.integers(len(data))), int(rng.integers(1, 9))
        kind = rng.integers(4)
        if kind == 0:
            data[at] = int(rng.integers(256))
        elif kind == 1:
            del data[at : at + size]
        elif kind == 2:
            data[at:at] = rng.bytes(size)
        else:
            del data[at + 1 :]
        if not data:
            break
    return bytes(data)


def all_graphs(graph):
    """A graph, and its branches."""
    yield graph
    for each in (attribute for made in graph.node for attribute in made.attribute):
        if each.HasField("g"):
            yield from all_graphs(each.g)


def with_other_fields(content, rng):
    model = onnx.load_from_string(content)
    for _ in range(rng.integers(1, 4)):
        graphs = [each for each in all_graphs(model.graph) if each.node]
        graph = graphs[rng.integers(len(graphs))]
        node = graph.node[rng.integers(len(graph.node))]
        number = NUMBERS[rng.integers(len(NUMBERS))]
        kind = rng.integers(8)
        if kind == 0 and graph.initializer:
            array = graph.initializer[rng.integers(len(graph.initializer))]
            if array.dims:
                array.dims[rng.integers(len(array.dims))] = number
        elif kind == 1 and graph.initializer:
            array = graph.initializer[rng.integers(len(graph.initializer))]
            if array.data_type == onnx.TensorProto.INT64:
                array.raw_data = np.int64([number] * (len(array.raw_data) // 8)).tobytes()
            else:
                array.data_type = int(rng.integers(20))
        elif kind == 2 and node.attribute:
            attribute = node.attribute[rng.integers(len(node.attribute))]
            if attribute.ints:
                attribute.ints[rng.integers(len(attribute.ints))] = number
            else:
                attribute.i = number
        elif kind == 3 and node.attribute:
            del node.attribute[rng.integers(len(node.attribute))]
        elif kind == 4 and node.input:
            values = [name for each in graph.node for name in (*each.input, *each.output)]
            node.input[rng.integers(len(node.input))] = values[rng.integers(len(values))]
        elif kind == 5:
            node.op_type = graph.node[rng.integers(len(graph.node))].op_type
        elif kind == 6:
            known = sorted({operator for operator, _ in cnnx.onnx.CONVERTERS})
            node.op_type = known[rng.integers(len(known))]
        else:
            model.opset_import[0].version = int(rng.integers(7, 29))
    return model.SerializeToString()


def with_other_json(content, rng):
    """A plan file whose description of the network is changed."""
    arrays, meta = cnnx.io.load_npz(io.BytesIO(content))
    for _ in range(rng.integers(1, 4)):
        place = meta
        while True:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = keys[rng.integers(len(keys))]
            if not (isinstance(place[key], (dict, list)) and place[key]) or rng.random() < 0.05:
                break
            place = place[key]
        values = [*NUMBERS, None, "", "ReLU", [], {}, [2**40] * 3, {"layer": 0}, True, 0.5, 1e300]
        if rng.random() < 0.2:
            del place[key]
        else:
            place[key] = values[rng.integers(len(values))]
        if not meta:
            break
    file = io.BytesIO()
    cnnx.io.save_npz(file, arrays, json.loads(json.dumps(meta)))
    return file.getvalue()


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(count, first=0):
    warnings.simplefilter("error")
    files, own = originals(), plans()
    loaded = 0
    for seed in range(first, first + count):
        print(seed, flush=True)
        rng = np.random.default_rng(seed)
        if seed % 8 < 2:
            content = own[rng.integers(len(own))]
            content = (with_other_bytes, with_other_json)[seed % 2](content, rng)
        else:
            content = files[rng.integers(len(files))]
            content = (with_other_bytes, with_other_fields)[seed % 2](content, rng)
        before, start = peak(), time.process_time()
        try:
            if seed % 8 < 2:
                assert type(cnnx.load_plan(io.BytesIO(content))) is cnnx.Plan
            else:
                assert type(cnnx.onnx.load(content)) is cnnx.Graph
        except ValueError as error:
            named = ("the ONNX model", "a BytesIO")
            assert str(error).startswith(named) and len(str(error)) < 5000, error
        else:
            loaded += 1
        seconds = time.process_time() - start
        assert seconds < SECONDS, f"{seconds:.1f} s"
        assert peak() - before < MOST + 4 * len(content), f"{peak() - before:,} bytes"
    print(f"{loaded} of {count} were loaded")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
