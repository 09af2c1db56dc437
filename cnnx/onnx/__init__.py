"""ONNX files, the format in which programs exchange trained networks (extra ``onnx``).

load   a file as a `Graph`, a layer like any other
save   write a model of cnnx

>>> model = cnnx.onnx.load("resnet18.onnx")
>>> cnnx.onnx.save(cnnx.models.resnet20(), "resnet20.onnx", input_shape=(3, 32, 32))

package  the import of the package `onnx`

reader   a file as plain data, read as untrusted input
load     `load`: from nodes to layers
builder  `Builder`: the graph that is being built
node     `Node`: a node as the converters see it
convert  {(operator, opset): the function that makes a node a layer}
layers   the layers for operators that cnnx has no other layer for

export   `save`: from layers to nodes
place    `Place`: the nodes of one layer, with their names and weights
emit     {class of layer: the function that adds its nodes}
emit_operators  the same for the layers of a loaded graph
"""

from cnnx.onnx.convert import CONVERTERS
from cnnx.onnx.emit import EMITTERS
from cnnx.onnx.export import save
from cnnx.onnx.load import load
from cnnx.onnx.place import Place

__all__ = ["CONVERTERS", "EMITTERS", "Place", "load", "save"]
