"""The way of the paper's head from maps to regions, and a detector's forward pass.

All on random numbers.
"""

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import torch

from benchmarks.device import Gpu
from mfd.detectors.deformable.detector import DeformableDetector
from mfd.detectors.official import OFFICIAL
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.regions import Regions
from mfd.headtrain.presets.paper import find_preset
from mfd.headtrain.presets.preset import HDETR_R50
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.kernels import roi_align

BOXES_PER_IMAGE = 7  # the mean of COCO's training images


def region_route(device: Gpu) -> dict[str, Any]:
    """Neck, up-sampling, addition and RoIAlign, forward and backward: ours, and over the map F."""
    batch_size, size = (2, (96, 160)) if device.small else (8, (800, 1333))
    config = find_preset("paper").config
    regions = Regions(config, HDETR_R50).to(device.name).train()
    batch = random_batch(batch_size, size, 8).features
    batch = batch.to(device.name, device.autocast)
    finest = batch.memory[0].requires_grad_()
    scale = torch.tensor(size[::-1], device=device.name).repeat(2) / regions.stride
    centre, side = (batch.boxes * scale).split(2, -1)
    boxes = torch.cat([centre - side / 2, centre + side / 2], -1)

    def over_the_map(read: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        return read(regions.whole_maps(finest, batch))

    def torchvision(maps: torch.Tensor) -> torch.Tensor:
        from torchvision.ops import roi_align as theirs

        rois = torch.cat([batch.image_index[:, None].to(boxes), boxes], 1)
        return theirs(maps.permute(0, 3, 1, 2).float(), rois, config.roi_size, 1.0, 2, True)

    routes = {
        "ours": lambda: regions(finest, batch),
        "map F, our RoIAlign": lambda: over_the_map(
            lambda maps: roi_align(maps, boxes, batch.image_index, config.roi_size)
        ),
    }
    if find_spec("torchvision"):
        routes["map F, torchvision"] = lambda: over_the_map(torchvision)
    result: dict[str, Any] = {"batch": batch_size, "boxes": len(boxes)}
    wanted = [finest, *regions.parameters()]
    for name, route in routes.items():

        def train(route: Callable[[], torch.Tensor] = route) -> None:
            with autocast(device):
                out = route()
            torch.autograd.grad(out, wanted, torch.ones_like(out))

        result[name] = device.step(train, 20)
    return result


def random_batch(batch_size: int, size_hw: tuple[int, int], crop: int) -> TrainingBatch:
    """Features and crops of random numbers, of the shapes that a batch of such images has."""
    spec, count = HDETR_R50, batch_size * BOXES_PER_IMAGE
    sizes = [tuple(-(-side // stride) for side in size_hw) for stride in (4, *spec.strides)]
    corners = torch.rand(count, 2) * 0.5
    features = FeatureBatch(
        memory=[torch.randn(batch_size, *size, spec.dim) for size in sizes[1:]],
        memory_hw=torch.tensor([sizes[1:]] * batch_size),
        c1=torch.randn(batch_size, *sizes[0], spec.c1_channels),
        c1_hw=torch.tensor([sizes[0]] * batch_size),
        input_hw=torch.tensor([size_hw] * batch_size),
        queries=torch.randn(count, spec.dim),
        boxes=torch.cat([corners + 0.15, torch.rand(count, 2) * 0.25 + 0.05], 1),
        labels=torch.randint(len(spec.category_ids), (count,)),
        image_index=torch.arange(batch_size).repeat_interleave(BOXES_PER_IMAGE),
    )
    crops = torch.randint(256, (count, crop, crop), dtype=torch.uint8)
    names = tuple(str(index) for index in range(batch_size))
    return TrainingBatch(features, crops, torch.ones(count), torch.arange(count), names)


def detector_forward(device: Gpu) -> dict[str, Any]:
    """Time and peak memory of H-Deformable-DETR with a ResNet-50, one image, random weights."""
    size = (96, 160) if device.small else (800, 1333)
    network = OFFICIAL["hdetr-r50"].network().to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                tensor.normal_(0, 0.02).abs_()  # variances of norms must not be negative
    detector = DeformableDetector(network, replace(HDETR_R50, encoder_layer=4))
    detector.to(device.name).eval()
    images = torch.randn(1, 3, *size, device=device.name)
    padding = torch.zeros(1, *size, dtype=torch.bool, device=device.name)
    with torch.no_grad(), autocast(device):
        run = device.step(lambda: detector(images, padding), 12)
    return {"size_hw": size, **run}


def autocast(device: Gpu) -> torch.autocast:
    """As in training on this device."""
    return torch.autocast(device.name, device.autocast)
