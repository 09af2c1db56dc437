"""Weights in .safetensors files, from and to PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import Conv2D, Flatten, Linear, Sequential, models

pytest.importorskip("safetensors")


def small():
    return Sequential(Conv2D(1, 2, 3), cnnx.BatchNorm2D(2), Flatten(), Linear(32, 3))


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v2"])
def test_models_are_exchanged_with_torch_in_both_directions(name, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file
    from torch_models import TWINS

    path, x = tmp_path / "net.safetensors", np.random.default_rng(0).normal(size=(2, 3, 16, 16))
    ours, theirs = models.build(name, (3, 16, 16), 10).astype("f8").eval(), TWINS[name]().double()
    names = dict(zip(ours.state_dict(), theirs.state_dict(), strict=True))  # in the same order

    cnnx.safetensors.save(ours.state_dict(), path)
    read = load_file(path)
    theirs.load_state_dict({names[key]: read[key] for key in names})
    with torch.no_grad():
        expected = theirs.eval()(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours(x), expected, rtol=1e-10, atol=1e-10)

    torch.manual_seed(0)
    other = TWINS[name]().double().eval()
    state = other.state_dict()
    save_file({key: state[names[key]].clone() for key in names}, path)
    loaded = getattr(models, name)(weights=path).astype("f8").eval()
    with torch.no_grad():
        expected = other.float().double()(torch.tensor(x)).numpy()
    np.testing.assert_allclose(loaded(x), expected, rtol=1e-10, atol=1e-10)


def test_torch_tensors_are_accepted_directly():
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3),
        torch.nn.BatchNorm2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(32, 3),
    )
    x = np.random.default_rng(0).normal(size=(2, 1, 6, 6)).astype("f4")
    model = small()
    model.load_state_dict(net.state_dict())
    with torch.no_grad():
        expected = net.eval()(torch.tensor(x)).numpy()
    np.testing.assert_allclose(model.eval()(x), expected, rtol=1e-5, atol=1e-6)


def test_every_array_comes_back_in_its_dtype_and_may_be_changed(tmp_path):
    path = tmp_path / "a.safetensors"
    arrays = {
        "strided": np.arange(12.0).reshape(3, 4)[:, ::2],
        "fortran": np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3)),
        "swapped": np.arange(3, dtype=">i8"),
        "half": np.ones(2, np.float16),
        "scalar": np.array(3),
        "empty": np.empty((0, 2), np.float32),
        "flags": np.array([True, False]),
    }
    cnnx.safetensors.save(arrays, path, {"from": "cnnx"})
    loaded = cnnx.safetensors.load(path)
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype.newbyteorder("=")
        loaded[name][...] = 0


def test_hostile_files_are_one_error_that_names_them(tmp_path):
    path = tmp_path / "net.safetensors"
    cnnx.safetensors.save(small().state_dict(), path)
    content = path.read_bytes()
    header = b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}'
    bfloat = b'{"a":{"dtype":"NOPE","shape":[2],"data_offsets":[0,4]}}'
    for bad in (
        b"",
        b"\x80\x04pickle",
        content[:-1],
        content[:40],
        b"\xff" * 8 + content,
        len(header).to_bytes(8, "little") + header + b"1234",
        len(bfloat).to_bytes(8, "little") + bfloat + b"1234",
    ):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"net\.safetensors' cannot be read"):
            cnnx.safetensors.load(path)
    with pytest.raises(FileNotFoundError):
        cnnx.safetensors.load(tmp_path / "none.safetensors")


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "net.safetensors"
    cnnx.safetensors.save({"a": np.ones(2)}, path)
    with pytest.raises(TypeError, match="'b' has dtype complex128"):
        cnnx.safetensors.save({"a": np.zeros(2), "b": np.ones(1, complex)}, path)
    assert cnnx.safetensors.load(path)["a"].tolist() == [1, 1]
    assert [file.name for file in tmp_path.iterdir()] == ["net.safetensors"]


def test_models_take_weights_from_both_kinds_of_files_and_from_a_state_dict(tmp_path):
    model = models.mlp(4, num_classes=3)
    cnnx.safetensors.save(model.state_dict(), tmp_path / "m.safetensors")
    model.save(tmp_path / "m.npz")
    for weights in (tmp_path / "m.safetensors", str(tmp_path / "m.npz"), model.state_dict()):
        for loaded in (
            models.mlp(4, classes=3, weights=weights),
            models.build("mlp", (4,), 3, weights=weights),
        ):
            for key, array in loaded.state_dict().items():
                np.testing.assert_array_equal(array, model.state_dict()[key])


def test_without_num_classes_a_model_has_the_classes_of_the_weights(tmp_path):
    path = tmp_path / "m.safetensors"
    for make, count, last in (
        (models.lenet5, 7, -1),
        (models.mlp, 3, "5"),
        (models.squeezenet, 4, "conv10"),
        (models.unet, 3, "head"),
    ):
        model = make(num_classes=count)
        cnnx.safetensors.save(model.state_dict(), path)
        loaded = make(weights=path)
        np.testing.assert_array_equal(loaded[last].weight.data, model[last].weight.data)
        assert loaded[last].weight.shape[0] == count


def test_weights_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / "m.safetensors"
    cnnx.safetensors.save(models.lenet5(num_classes=7).state_dict(), path)
    with pytest.raises(ValueError, match=r"m\.safetensors' is of a model with 7 classes, and num_"):
        models.lenet5(10, weights=path)
    with pytest.raises(ValueError, match=r"and num_classes is 4.* model\['11'\] = \.\.\."):
        models.lenet5(classes=4, weights=path)
    with pytest.raises(ValueError, match=r"resnet20: .*m\.safetensors' does not fit this model"):
        models.resnet20(weights=path)
