"""From PyTorch to an ONNX file, to cnnx, and to another file for ONNX Runtime."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from onnx_helpers import assert_close, runtime, saved

import cnnx

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")


@pytest.mark.parametrize("opset", (17, 20))
@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v2", "densenet", "se_resnet20", "unet"])
def test_there_and_back_again(name, opset):
    from torch_models import TWINS

    torch.manual_seed(0)
    net, file = TWINS[name]().eval(), io.BytesIO()
    x = torch.randn(2, 3, 32, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch's older exporter
        torch.onnx.export(
            net,
            (x,),
            file,
            dynamo=False,
            opset_version=opset,
            input_names=["x"],
            dynamic_axes={"x": {0: "n"}},
        )
    with torch.no_grad():
        expected = net(x).numpy()
    loaded = cnnx.onnx.load(file.getvalue())
    assert_close(loaded(x.numpy()), expected, 5e-6)
    [again] = runtime(saved(loaded, (3, 32, 32), opset=opset), x.numpy())
    assert_close(again, expected, 5e-6)
    assert np.array_equal(again.argmax(1), expected.argmax(1))
