"""Every sample of PyTorch's own databases for what cnnx has, in both backends; the whole table."""

from __future__ import annotations

import pytest
import torch_databases as databases
import torch_ops

import cnnx
from cnnx import nn, ops

# As `python tests/torch_databases.py` prints it; a line that starts with spaces goes on.
TABLE = """
-- modules
AdaptiveAvgPool1d                   3 run    3 passed
AdaptiveAvgPool2d                   5 run    5 passed
AvgPool1d                           4 run    4 passed
AvgPool2d                           7 run    7 passed
BCELoss                             6 run    6 passed
BCEWithLogitsLoss                   6 run    6 passed
BatchNorm1d                        14 run   14 passed  skipped: 2 no bias=
BatchNorm2d                        12 run   12 passed  skipped: 2 no bias=
Conv1d                              4 run    4 passed
Conv2d                              4 run    4 passed
ConvTranspose1d                     2 run    2 passed
ConvTranspose2d                     2 run    2 passed
CrossEntropyLoss                  105 run  105 passed
ELU                                 4 run    4 passed
Embedding                           2 run    2 passed
GELU                                3 run    3 passed
GroupNorm                           8 run    8 passed  skipped: 2 no bias=
Hardswish                           2 run    2 passed
HuberLoss                           4 run    4 passed
InstanceNorm2d                     10 run   10 passed  skipped: 2 no bias=
L1Loss                              5 run    5 passed
LayerNorm                           7 run    7 passed
LeakyReLU                           5 run    5 passed
Linear                              3 run    3 passed
LocalResponseNorm                   3 run    3 passed
LogSoftmax                          3 run    3 passed  skipped: 1 an axis of a number
MSELoss                             8 run    8 passed
MaxPool1d                           2 run    2 passed  skipped: 1 no return_indices=
MaxPool2d                           2 run    2 passed  skipped: 1 no return_indices=
Mish                                3 run    3 passed
NLLLoss                            28 run   28 passed
PReLU                               8 run    8 passed
ReLU                                4 run    4 passed
ReLU6                               4 run    4 passed
SiLU                                3 run    3 passed
Sigmoid                             4 run    4 passed
SmoothL1Loss                        8 run    8 passed
Softmax                             2 run    2 passed  skipped: 1 an axis of a number
Softplus                            5 run    5 passed
Tanh                                3 run    3 passed
ZeroPad1d                           2 run    2 passed
ZeroPad2d                           2 run    2 passed
-- ops
adaptive_avg_pool2d                 5 run    5 passed  skipped: 5 not a batch of images
avg_pool2d                          6 run    6 passed  skipped: 1 stride=()
batch_norm                          7 run    7 passed  skipped: 2 a row without a batch,
    3 momentum below 0
binary_cross_entropy                8 run    8 passed  skipped: 3 no weight=
binary_cross_entropy_with_logits    8 run    8 passed  skipped: 3 no pos_weight=, 15 no weight=
conv2d                             15 run   15 passed  skipped: 15 not a batch of images
conv_transpose2d                    6 run    6 passed  skipped: 6 not a batch of images
cross_entropy                      21 run   21 passed
elu                                 3 run    3 passed
embedding                           3 run    3 passed
gelu                                8 run    8 passed
group_norm                         17 run   17 passed  skipped: 4 eps below 0
hardsigmoid                         3 run    3 passed
hardswish                           4 run    4 passed
huber_loss                          9 run    9 passed
interpolate                        24 run   24 passed  skipped: 30 another mode,
    42 no recompute_scale_factor=, 62 not a batch of images
l1_loss                             6 run    6 passed
layer_norm                          5 run    5 passed  skipped: 1 eps below 0
leaky_relu                          9 run    9 passed
linear                             18 run   18 passed
local_response_norm                11 run   11 passed
log_softmax                         6 run    6 passed  skipped: 1 an axis of a number, 7 no dtype=
max_pool2d                        576 run  576 passed  skipped: 720 no return_indices=,
    144 not a batch of images
mish                                3 run    3 passed
mse_loss                            6 run    6 passed
nll_loss                           41 run   41 passed  skipped: 20 a row without a batch
pad                                14 run   14 passed  skipped: 17 another mode,
    54 not a batch of images, 4 other axes to pad
prelu                               5 run    5 passed  skipped: 20 a slope without an axis
relu                                4 run    4 passed
relu6                               3 run    3 passed
sigmoid                             3 run    3 passed
silu                                3 run    3 passed
smooth_l1_loss                      8 run    8 passed
softmax                             6 run    6 passed  skipped: 1 an axis of a number, 7 no dtype=
softplus                            3 run    3 passed
tanh                                1 run    1 passed
-- optimisers
Adagrad                             7 run    7 passed
Adam                                5 run    5 passed
AdamW                               5 run    5 passed
NAdam                               7 run    7 passed
RMSprop                             8 run    8 passed
SGD                                 9 run    9 passed
"""
ROWS = [line for line in TABLE.strip().replace(",\n   ", ",").splitlines() if line[0] != "-"]
LONG = ("max_pool2d",)  # 1,440 samples
SHORT = [row for row in ROWS if row.split()[0] not in LONG]
EVERY = 37  # of which these are in the normal run


@pytest.fixture(autouse=True)
def _databases(torch):
    """PyTorch on one thread: its threads only wait for each other in arrays of this size."""
    pytest.importorskip("expecttest")


def _section(name):
    return next(samples for names, samples in databases.SECTIONS.values() if name in names)


@pytest.mark.parametrize("backend", cnnx.available_backends())
@pytest.mark.parametrize("expected", SHORT, ids=lambda row: row.split()[0])
def test_samples_of_torch_pass_or_are_skipped_for_a_known_reason(expected, backend):
    name = expected.split()[0]
    with cnnx.use_backend(backend):
        row = databases.run(name, _section(name)(name))
    assert not row.failed, "\n".join(row.failed)
    assert str(row) == expected


@pytest.mark.parametrize("backend", cnnx.available_backends())
@pytest.mark.parametrize("name", LONG)
def test_some_samples_of_a_long_list_pass(name, backend):
    with cnnx.use_backend(backend):
        row = databases.run(name, databases.op_samples(name, EVERY))
    assert not row.failed, "\n".join(row.failed)
    assert row.run + row.skipped.total() == -(-1440 // EVERY) and row.run > 10


@pytest.mark.nightly
@pytest.mark.parametrize("backend", cnnx.available_backends())
@pytest.mark.parametrize("expected", [row for row in ROWS if row.split()[0] in LONG])
def test_all_samples_of_a_long_list_pass(expected, backend):
    test_samples_of_torch_pass_or_are_skipped_for_a_known_reason(expected, backend)


def test_the_table_names_all_that_both_libraries_have():
    from torch import nn as torch_nn
    from torch import optim as torch_optim

    named = [row.split()[0] for row in ROWS]
    assert named == [name for names, _ in databases.SECTIONS.values() for name in names]
    shared = set(nn.__all__) & set(vars(torch_nn))
    assert shared == {*databases.MODULES, *databases.WITHOUT_SAMPLES}
    known = {info.module_cls.__name__ for info in databases.database("common_modules", "module_db")}
    assert not known & set(databases.WITHOUT_SAMPLES)
    optimisers = {name.lower() for name in cnnx.optim.__all__} & {
        name.lower() for name in torch_optim.__all__
    }
    assert optimisers - {"optimizer"} == {name.lower() for name in databases.OPTIMISERS}
    forward = {name for name in ops.__all__ if not name.endswith("_backward")}
    rows = {torch_ops.RENAMED.get(name, name) for name in torch_ops.OPS}
    assert forward == rows | set(torch_ops.WITHOUT_ROW) and not rows & set(torch_ops.WITHOUT_ROW)


def test_a_wrong_gradient_fails_and_an_unknown_argument_is_not_skipped(monkeypatch):
    monkeypatch.setattr(nn.Tanh, "backward", lambda self, dy: dy)
    row = databases.run("Tanh", databases.module_samples("Tanh"))
    assert len(row.failed) == row.run == 3 and "backward" in row.failed[0]
    with pytest.raises(AssertionError, match="new= is neither in cnnx nor in LACKING"):
        databases.reason_to_skip("Tanh", {}, [], {"new": 1})
