"""From operators of ONNX to layers: a function for each, in a table by operator and opset.

table          `CONVERTERS`, and the decorator that adds a row
convolution    Conv, ConvTranspose, Gemm, MatMul
pooling        MaxPool, AveragePool, GlobalAveragePool, GlobalMaxPool
normalisation  BatchNormalization, InstanceNormalization, LayerNormalization, LRN, ...
activation     Relu, Clip, Softmax, Gelu, ...
arithmetic     Add, Mul, Sqrt, Equal, Where, ...
shape          Reshape, Transpose, Slice, Concat, Resize, ...
reduction      ReduceMean, ArgMax, ...
recurrent      LSTM
control        If
"""

from cnnx.onnx.convert import (  # noqa: F401  # each adds its rows
    activation,
    arithmetic,
    control,
    convolution,
    normalisation,
    pooling,
    recurrent,
    reduction,
    shape,
)
from cnnx.onnx.convert.table import CONVERTERS

__all__ = ["CONVERTERS"]
