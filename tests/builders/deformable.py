"""A small network of both families, on a backbone that cannot look across the images' edge."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from mfd.detectors.deformable.config import DeformableConfig
from mfd.detectors.deformable.detector import DeformableDetector
from mfd.detectors.deformable.model import DeformableDetr
from mfd.detectors.dino import DINO
from mfd.detectors.hdetr import HDETR
from mfd.detectors.spec import DetectorSpec

SMALL = {
    "dim": 32,
    "heads": 4,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "feedforward": 40,
    "points": 2,
    "strides": (8, 16, 32),
    "num_classes": 5,
    "num_queries": 11,
}
FAMILIES = {"hdetr": replace(HDETR, **SMALL), "dino": replace(DINO, **SMALL)}


class Patches(nn.Module):
    """A backbone without context: a cell sees its own pixels only, so padding cannot leak."""

    c1_channels = 6
    channels = (6, 10)
    official_names = ()

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 4, stride=4)
        self.second = nn.Conv2d(6, 6, 2, stride=2)
        self.third = nn.Conv2d(6, 10, 2, stride=2)

    def stage1(self, images: Tensor) -> Tensor:
        return self.first(images)

    def levels(self, c1: Tensor) -> list[Tensor]:
        second = self.second(c1)
        return [second, self.third(second)]


def small_network(config: DeformableConfig) -> DeformableDetr:
    torch.manual_seed(3)
    network = DeformableDetr(config, Patches())
    for name, parameter in network.named_parameters():  # untrained heads would all say the same
        if "head" in name or "sampling_offsets" in name:
            nn.init.normal_(parameter, std=0.3)
    return network.eval()


def padded_images(*sizes_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    torch.manual_seed(4)
    height, width = (max(size[axis] for size in sizes_hw) for axis in (0, 1))
    images = torch.zeros(len(sizes_hw), 3, height, width)
    mask = torch.ones(len(sizes_hw), height, width, dtype=torch.bool)
    for number, (h, w) in enumerate(sizes_hw):
        images[number, :, :h, :w] = torch.randn(3, h, w)
        mask[number, :h, :w] = False
    return images, mask


def small_detector(family: str = "dino", **changes: object) -> DeformableDetector:
    config = replace(FAMILIES[family], **changes)
    spec = DetectorSpec(
        name="small",
        dim=32,
        strides=config.strides,
        num_queries=config.num_queries,
        category_ids=(1, 2, 3, 5, 8),
        c1_channels=6,
        weights_digest="",
        encoder_layer=1,
    )
    return DeformableDetector(small_network(config), spec).eval()
