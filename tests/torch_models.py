"""The networks of `cnnx.models` written for PyTorch, from the papers and not from cnnx.

`TWINS[name]()` is a module whose parameters and statistics come in the order of cnnx's model, and
`IMAGENET[name]()` the form of it for ImageNet, with ten classes.
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


class Narrowed(nn.Module):
    """1x1, 3x3 and 1x1 convolution with a shortcut, and the stride in the 3x3: ResNet v1.5."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        planes = outputs // 4
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Identity()
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(functional.relu(self.bn2(self.conv2(y)))))
        return functional.relu(y + self.downsample(x))


class ResNet(nn.Module):
    def __init__(self, widths, depths, block=BasicBlock, stem=None, large=False):
        super().__init__()
        stem = stem or widths[0]
        k = 7 if large else 3
        self.conv = nn.Conv2d(3, stem, k, 2 if large else 1, k // 2, bias=False)
        self.bn = nn.BatchNorm2d(stem)
        self.pool = nn.MaxPool2d(3, 2, 1) if large else nn.Identity()
        before = [stem, *widths]
        self.blocks = nn.ModuleList(
            block(before[i] if j == 0 else width, width, 2 if i and j == 0 else 1)
            for i, width in enumerate(widths)
            for j in range(depths[i])
        )
        self.fc = nn.Linear(widths[-1], 10)

    def forward(self, x):
        x = self.pool(functional.relu(self.bn(self.conv(x))))
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
    def __init__(self, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        # (inputs, outputs, stride, t) of all 17 blocks
        rows = [(32, 16, 1, 1), (16, 24, stride, 6), (24, 24, 1, 6), (24, 32, 2, 6)]
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


class Bottleneck(nn.Module):
    """A layer of DenseNet-BC: adds `growth` channels to those that it is given."""

    def __init__(self, inputs, growth):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.conv2(functional.relu(self.bn2(self.conv1(functional.relu(self.bn1(x))))))
        return torch.cat([x, y], 1)


def densenet():
    """DenseNet-BC, L = 40, k = 12: 24 channels, 6 layers of 12 a block, halved in between."""
    layers, channels = [nn.Conv2d(3, 24, 3, padding=1, bias=False)], 24
    for block in range(3):
        layers += [Bottleneck(channels + 12 * i, 12) for i in range(6)]
        channels += 72
        layers += [nn.BatchNorm2d(channels), nn.ReLU()]
        if block < 2:
            layers += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
            channels //= 2
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


class Fire(nn.Module):
    def __init__(self, inputs, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = functional.relu(self.squeeze(x))
        return functional.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))


def squeezenet():
    """Version 1.1, at the strides of CIFAR."""

    def pool():
        return nn.MaxPool2d(3, 2, padding=1)

    return nn.Sequential(
        *(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), pool()),
        *(Fire(64, 16, 64), Fire(128, 16, 64), pool()),
        *(Fire(128, 32, 128), Fire(256, 32, 128), pool()),
        *(Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)),
        *(nn.Dropout(0.5), nn.Conv2d(512, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )


class SqueezeExcitation(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, x):
        y = functional.relu(self.fc1(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.fc2(y))


class SEBlock(BasicBlock):
    def __init__(self, inputs, outputs, stride):
        super().__init__(inputs, outputs, stride)
        rest = [self._modules.pop(name) for name in ("conv3", "bn3") if self.project]
        self.se = SqueezeExcitation(outputs)
        if self.project:  # behind the gate in the order of the weights
            self.conv3, self.bn3 = rest

    def forward(self, x):
        y = self.se(self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x))))))
        return functional.relu(y + (self.bn3(self.conv3(x)) if self.project else x))


def conv_module(inputs, outputs, k, stride=1):
    conv = nn.Conv2d(inputs, outputs, k, stride, k // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class Joined(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


def inception_small():
    def inception(inputs, ones, threes):
        return Joined(conv_module(inputs, ones, 1), conv_module(inputs, threes, 3))

    def downsample(inputs, threes):
        return Joined(conv_module(inputs, threes, 3, 2), nn.MaxPool2d(3, 2, padding=1))

    return nn.Sequential(
        *(conv_module(3, 96, 3), inception(96, 32, 32), inception(64, 32, 48), downsample(80, 80)),
        *(inception(160, 112, 48), inception(160, 96, 64), inception(160, 80, 80)),
        *(inception(160, 48, 96), downsample(144, 96), inception(240, 176, 160)),
        *(inception(336, 176, 160), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(336, 10)),
    )


def double_conv(inputs, outputs):
    return nn.Sequential(
        *(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()),
        *(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)),
        nn.ReLU(),
    )


class UNet(nn.Module):
    """Its weights have the names of cnnx's."""

    def __init__(self, classes=2, width=16, depth=3):
        super().__init__()
        self.depth, channels = depth, 3
        for i in range(depth):
            setattr(self, f"down{i}", double_conv(channels, width << i))
            channels = width << i
        self.bottom = double_conv(channels, 2 * channels)
        for i in reversed(range(depth)):
            setattr(self, f"up{i}", nn.ConvTranspose2d(2 * channels, channels, 2, 2))
            setattr(self, f"join{i}", double_conv(2 * channels, channels))
            channels //= 2
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        skips = []
        for i in range(self.depth):
            skips.append(getattr(self, f"down{i}")(x))
            x = functional.max_pool2d(skips[-1], 2)
        x = self.bottom(x)
        for i in reversed(range(self.depth)):
            x = torch.cat([skips[i], getattr(self, f"up{i}")(x)], 1)
            x = getattr(self, f"join{i}")(x)
        return self.head(x)


def vgg11(hidden):
    """Configuration A, with as many hidden units."""
    layers, channels = [], 3
    for width in (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"):
        if width == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    layers += [nn.AdaptiveAvgPool2d(7), nn.Flatten()]
    layers += [nn.Linear(512 * 7 * 7, hidden), nn.ReLU(), nn.Dropout()]
    layers += [nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, 10)]
    return nn.Sequential(*layers)


TWINS = {
    "vgg": vgg,
    "resnet20": lambda: ResNet((16, 32, 64), (3, 3, 3)),
    "resnet18": lambda: ResNet((64, 128, 256, 512), (2, 2, 2, 2)),
    "mobilenet_v2": MobileNetV2,
    "densenet": densenet,
    "squeezenet": squeezenet,
    "se_resnet20": lambda: ResNet((16, 32, 64), (3, 3, 3), SEBlock),
    "inception_small": inception_small,
    "unet": lambda: UNet(10),
}
IMAGENET = {
    "resnet18": lambda: ResNet((64, 128, 256, 512), (2, 2, 2, 2), large=True),
    "resnet50": lambda: ResNet((256, 512, 1024, 2048), (3, 4, 6, 3), Narrowed, 64, large=True),
    "mobilenet_v2": lambda: MobileNetV2(2),
    "vgg11": lambda: vgg11(16),
}


def twin(module, model):
    """The module with the weights and statistics of cnnx's model, in its dtype and mode."""
    state, arrays = module.state_dict(), list(model.state_dict().values())
    assert len(state) == len(arrays)
    named = dict(zip(state, map(torch.tensor, arrays), strict=True))
    module.to(getattr(torch, arrays[0].dtype.name)).load_state_dict(named)
    return module.train(model.training)
