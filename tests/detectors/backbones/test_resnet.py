"""ResNet's stages and names."""

import torch

from mfd.detectors.backbones.resnet import ResNet
from mfd.detectors.keys import renamed


def test_stages_have_strides_4_to_32_and_the_widths_asked_for() -> None:
    backbone = ResNet(stem=8, widths=(12, 16, 20, 24), depths=(1, 2, 1, 1), block="basic").eval()
    c1 = backbone.stage1(torch.randn(2, 3, 75, 101))
    assert c1.shape == (2, backbone.c1_channels, 19, 26)
    assert (c1 >= 0).all()
    maps = backbone.levels(c1)
    assert [m.shape for m in maps] == [(2, 16, 10, 13), (2, 20, 5, 7), (2, 24, 3, 4)]
    assert backbone.channels == (16, 20, 24)


def test_weights_have_torchvisions_names() -> None:
    backbone = ResNet()
    names = {renamed(name, ResNet.official_names) for name in backbone.state_dict()}
    assert len(names) == len(backbone.state_dict())
    assert {
        "conv1.weight",
        "bn1.running_var",
        "layer1.0.conv3.weight",
        "layer1.0.downsample.0.weight",
        "layer3.5.bn2.bias",
        "layer4.0.downsample.1.running_mean",
    } <= names


def test_the_stride_is_on_the_3x3_convolution() -> None:
    first = ResNet().stages[1].layers[0].layer
    assert [layer.convolution.stride for layer in first] == [(1, 1), (2, 2), (1, 1)]
