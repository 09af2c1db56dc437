"""The networks of `cnnx.models` written for PyTorch, from the papers and not from cnnx.

`TWINS[name]()` is a module whose parameters and statistics come in the order of cnnx's model.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def vgg():
    layers, channels = [], 3
    for width in (64, 128, 256, 256, 512):
        conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        layers += [conv, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut; projection (option B) where the shape changes."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.project = stride != 1 or inputs != outputs
        if self.project:
            self.conv3 = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.bn3 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + (self.bn3(self.conv3(x)) if self.project else x))


class ResNet(nn.Module):
    def __init__(self, widths, depth):
        super().__init__()
        self.conv = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(widths[0])
        before = [widths[0], *widths]
        self.blocks = nn.ModuleList(
            BasicBlock(before[i] if j == 0 else width, width, 2 if i and j == 0 else 1)
            for i, width in enumerate(widths)
            for j in range(depth)
        )
        self.fc = nn.Linear(widths[-1], 10)

    def forward(self, x):
        x = functional.relu(self.bn(self.conv(x)))
        for block in self.blocks:
            x = block(x)
        return self.fc(x.mean((2, 3)))


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, stride, t):
        super().__init__()
        hidden = inputs * t
        self.expand = t != 1
        self.shortcut = stride == 1 and inputs == outputs
        if self.expand:
            self.conv1 = nn.Conv2d(inputs, hidden, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.conv3 = nn.Conv2d(hidden, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        y = functional.relu6(self.bn1(self.conv1(x))) if self.expand else x
        y = self.bn3(self.conv3(functional.relu6(self.bn2(self.conv2(y)))))
        return x + y if self.shortcut else y


class MobileNetV2(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        # (inputs, outputs, stride, t) of all 17 blocks
        rows = [(32, 16, 1, 1), (16, 24, 1, 6), (24, 24, 1, 6), (24, 32, 2, 6)]
        rows += 2 * [(32, 32, 1, 6)] + [(32, 64, 2, 6)] + 3 * [(64, 64, 1, 6)]
        rows += [(64, 96, 1, 6)] + 2 * [(96, 96, 1, 6)]
        rows += [(96, 160, 2, 6)] + 2 * [(160, 160, 1, 6)] + [(160, 320, 1, 6)]
        self.blocks = nn.Sequential(*(InvertedResidual(*row) for row in rows))
        self.conv2 = nn.Conv2d(320, 1280, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(1280)
        self.fc = nn.Linear(1280, 10)

    def forward(self, x):
        x = self.blocks(functional.relu6(self.bn1(self.conv1(x))))
        return self.fc(functional.relu6(self.bn2(self.conv2(x))).mean((2, 3)))


TWINS = {
    "vgg": vgg,
    "resnet20": lambda: ResNet((16, 32, 64), 3),
    "resnet18": lambda: ResNet((64, 128, 256, 512), 2),
    "mobilenet_v2": MobileNetV2,
}


def twin(name, model):
    """The module with the weights and statistics of cnnx's model, in its dtype and mode."""
    module = TWINS[name]()
    state, arrays = module.state_dict(), list(model.state_dict().values())
    assert len(state) == len(arrays)
    named = dict(zip(state, map(torch.tensor, arrays), strict=True))
    module.to(getattr(torch, arrays[0].dtype.name)).load_state_dict(named)
    return module.train(model.training)
