"""The layers for operators of ONNX that cnnx has no other layer for; no package is needed.

operator     `Operator`: their base, with inputs that are fixed
elementwise  functions of an array, and of two with broadcasting; `Where`, `Clip`, `Cast`
shape        what moves, joins, repeats and picks elements
blocks       channels as blocks of pixels
made         arrays that are made of numbers, such as shapes
reduction    sums, means and extremes along axes
product      `MatMul` of two computed matrices
recurrent    `LSTM`
control      `If`, and the outputs of a layer that has several
window       pooling with any padding
resize       `Resize` with ONNX's rules for coordinates
"""

from cnnx.onnx.layers.blocks import DepthToSpace, SpaceToDepth
from cnnx.onnx.layers.control import If, Item
from cnnx.onnx.layers.elementwise import Affine, Binary, Cast, Clip, Unary, Where
from cnnx.onnx.layers.made import Always, ConstantOfShape, Range, Shape
from cnnx.onnx.layers.operator import OPERATORS, Operator
from cnnx.onnx.layers.product import MatMul
from cnnx.onnx.layers.recurrent import LSTM
from cnnx.onnx.layers.reduction import ArgExtreme, Reduce, SoftmaxOfRows
from cnnx.onnx.layers.resize import Resize
from cnnx.onnx.layers.shape import (
    ConcatAny,
    Expand,
    FlattenTo2D,
    Gather,
    Pad,
    Part,
    ReshapeTo,
    Slice,
    Squeeze,
    Tile,
    Transpose,
    Unsqueeze,
)
from cnnx.onnx.layers.window import AveragePool, GlobalPool, MaxPool, SamePad

__all__ = [
    "LSTM",
    "OPERATORS",
    "Affine",
    "Always",
    "ArgExtreme",
    "AveragePool",
    "Binary",
    "Cast",
    "Clip",
    "ConcatAny",
    "ConstantOfShape",
    "DepthToSpace",
    "Expand",
    "FlattenTo2D",
    "Gather",
    "GlobalPool",
    "If",
    "Item",
    "MatMul",
    "MaxPool",
    "Operator",
    "Pad",
    "Part",
    "Range",
    "Reduce",
    "ReshapeTo",
    "Resize",
    "SamePad",
    "Shape",
    "Slice",
    "SoftmaxOfRows",
    "SpaceToDepth",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unary",
    "Unsqueeze",
    "Where",
]
