"""The neck: GroupNorm over each image's own pixels, before or after RoIAlign."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, group_norm

from mfd.headtrain.head import neck as neck_module
from mfd.headtrain.head.neck import ChannelMoments, Neck
from mfd.headtrain.head.padding import zero_padding
from mfd.kernels import roi_align
from tests.builders.batches import error, randomise

SIZES = torch.tensor([[9, 13], [6, 17]])


def make_maps() -> torch.Tensor:
    """Maps whose mean is far from zero, as a backbone's after its ReLU."""
    return zero_padding(3 + torch.randn(2, 9, 17, 10) @ torch.randn(10, 10), SIZES)


def test_each_image_is_normalised_by_its_own_pixels() -> None:
    neck = randomise(Neck(10, 64))
    maps = make_maps()
    found = neck(maps, SIZES)
    for index, (height, width) in enumerate(SIZES.tolist()):
        image = maps[index, :height, :width].permute(2, 0, 1)[None]
        x = conv2d(image, neck.convolution.weight[..., None, None], neck.convolution.bias)
        expected = group_norm(x, 32, neck.norm.weight, neck.norm.bias)[0].permute(1, 2, 0)
        assert error(found[index, :height, :width], expected) < 1e-5


def test_padding_is_ignored_and_zero_in_the_result() -> None:
    neck, maps = randomise(Neck(10, 64)), make_maps()
    loud = maps.clone()
    loud[0, :, 13:], loud[1, 6:] = torch.nan, torch.nan
    found = neck(loud, SIZES)
    assert torch.equal(found, neck(maps, SIZES))
    assert not found[0, :, 13:].any()
    assert not found[1, 6:].any()


@pytest.mark.parametrize("at_once", [neck_module._CENTRED_ON_CPU, 60])  # the maps; three pixels
def test_moments_are_those_of_each_images_pixels(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neck_module, "_CENTRED_ON_CPU", at_once)
    maps = make_maps()
    moments = ChannelMoments.of(maps, SIZES)
    for index, (height, width) in enumerate(SIZES.tolist()):
        pixels = maps[index, :height, :width].reshape(-1, 10).double()
        assert error(moments.mean[index].double(), pixels.mean(0)) < 1e-6
        expected = torch.cov(pixels.T, correction=0)
        assert error(moments.covariance[index].double(), expected) < 1e-5


def test_after_roi_align_it_gives_what_it_gives_before() -> None:
    neck = randomise(Neck(10, 64), 0.5)
    raw = make_maps().requires_grad_()  # as the map of a detector that is trained too
    maps = zero_padding(raw, SIZES)
    boxes = torch.tensor([[1.0, 2, 8, 7], [-4, -3, 20, 5], [0.3, 0, 4.2, 9], [5, 5, 30, 12]])
    image_index = torch.tensor([0, 0, 1, 1])

    def read(maps: torch.Tensor) -> torch.Tensor:
        return roi_align(maps, boxes, image_index, 7, sizes_hw=SIZES)

    expected = read(neck(maps, SIZES))
    inside = read(torch.ones_like(maps[..., :1]))
    found = neck.on_regions(read(maps), inside, image_index, ChannelMoments.of(maps, SIZES))
    assert error(found, expected) < 1e-5
    loss_weight = torch.randn_like(found)
    inputs = (raw, *neck.parameters())
    expected_grads = torch.autograd.grad((expected * loss_weight).sum(), inputs, retain_graph=True)
    for ours, theirs in zip(
        torch.autograd.grad((found * loss_weight).sum(), inputs),
        expected_grads,
        strict=True,
    ):
        assert error(ours, theirs) < 1e-4


def test_widths_that_32_does_not_divide_get_fewer_groups() -> None:
    assert Neck(10, 96).norm.num_groups == 32
    assert Neck(10, 40).norm.num_groups == 8
    assert isinstance(Neck(10, 40).convolution, nn.Linear)
