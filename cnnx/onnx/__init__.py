"""Models as ONNX files, the format that other programs run (extra ``onnx``).

save   write a model of cnnx

>>> cnnx.onnx.save(cnnx.models.resnet20(), "resnet20.onnx", input_shape=(3, 32, 32))

package  the import of the package `onnx`
export   `save`: from layers to nodes
place    `Place`: the nodes of one layer, with their names and weights
emit     the table {class of layer: the function that adds its nodes}
"""

from cnnx.onnx.emit import EMITTERS
from cnnx.onnx.export import save
from cnnx.onnx.place import Place

__all__ = ["EMITTERS", "Place", "save"]
