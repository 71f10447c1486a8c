"""The size of a head: parameters, and multiply-accumulates counted as it runs, without data."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from math import prod
from typing import NamedTuple

import torch
from torch import nn

from mfd.detectors import DetectorSpec
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.image_encoders.deformable import DeformableImageEncoder
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.head.query_encoder import BoxToObject

IMAGE_HW = (800, 1130)
"""An image with the paper's average number of pixels on every map, within 0.6 %."""

ROI_ALIGN_MACS = 18
UPSAMPLE_MACS = 2
ADD_MACS = 1
"""Prices per number that RoIAlign, the up-sampling of E1 and the addition of C1 put out.

The baselines of table 1 do nothing else but the dot product, and these are the only whole numbers
that give all four of its rows within 1 %. The samples of deformable attention cost nothing there.
"""


class Size(NamedTuple):
    """Of a head, or of a part of one.

    Attributes:
        parameters: trainable ones.
        macs: multiply-accumulates of inference on one image, without the detector's.
    """

    parameters: int
    macs: int


def head_size(
    config: HeadConfig,
    spec: DetectorSpec,
    image_hw: tuple[int, int] = IMAGE_HW,
    num_boxes: int = 100,
) -> Size:
    """The size of a head for one detector, its multiply-accumulates as the paper counts them.

    Linear layers, convolutions and attention products as `torch.utils.flop_counter` sees them on
    the meta device. Norms, activations and additions count nothing. The paper's prices of sampling
    take the place of the formulas that `mfd.kernels` registers, which count the real work.
    """
    single = replace(
        config,
        image_layers=min(config.image_layers, 1),
        box_layers=min(config.box_layers, 1),
        sampled_points=False,  # concerns training only
        sampling_ratio=2,  # how often RoIAlign samples costs nothing in the paper's count
    )
    size, layers = _single_layers(single, spec, image_hw, num_boxes)
    further = {"image_encoder.layers.0": config.image_layers - 1}
    further |= dict.fromkeys(("box_encoder.layers.0", "query_layers.0"), config.box_layers - 1)
    return Size(
        size.parameters + sum(further[name] * layers[name].parameters for name in layers),
        size.macs + sum(further[name] * layers[name].macs for name in layers),
    )


@cache
def _single_layers(
    config: HeadConfig, spec: DetectorSpec, image_hw: tuple[int, int], num_boxes: int
) -> tuple[Size, dict[str, Size]]:
    """The size of a head with at most one layer of each kind, and of these layers, by name.

    Layers of a kind are alike, so heads that differ only in their number share this work.
    """
    from torch.utils.flop_counter import FlopCounterMode  # imports Triton: 0.15 s

    with torch.device("meta"):
        head = MaskHead(config, spec).eval().requires_grad_(False)
    batch = _meta_batch(spec, image_hw, num_boxes)
    prices = {
        torch.ops.mfd.deform_attn: lambda *_, **__: 0,
        torch.ops.mfd.roi_read: lambda *_, out_shape, **__: 2 * ROI_ALIGN_MACS * prod(out_shape),
    }
    with FlopCounterMode(display=False, custom_mapping=prices) as counter:
        head(batch)
    flops = counter.get_flop_counts()

    def size(module: nn.Module, name: str) -> Size:
        parameters = sum(parameter.numel() for parameter in module.parameters())
        return Size(parameters, sum(flops.get(name, {}).values()) // 2)

    whole = size(head, "Global")
    projected = _keys_and_values_macs(head, num_boxes, flops)
    unasked = _coarse_queries_macs(head, batch)
    layers = {
        name: size(module, f"MaskHead.{name}")
        for name, module in head.named_modules()
        if name in ("image_encoder.layers.0", "box_encoder.layers.0", "query_layers.0")
    }
    for name, macs in (("query_layers.0", projected), ("image_encoder.layers.0", unasked)):
        if macs:
            layers[name] = layers[name]._replace(macs=layers[name].macs + macs)
    macs = whole.macs + projected + unasked + _upsampling_macs(head, batch)
    return Size(whole.parameters, macs), layers


def _keys_and_values_macs(
    head: MaskHead, num_boxes: int, flops: Mapping[str, Mapping[object, int]]
) -> int:
    """What eq. 11 costs beyond what runs: `BoxToObject` does without keys and values of all cells.

    The paper counts query and output projections, those of keys and values, and both products of
    the attention.
    """
    config = head.config
    if not (config.box_layers and config.query_b2o):
        return 0
    dim, cells = config.region_dim(head.spec), config.roi_size**2
    of_paper = num_boxes * (2 * dim**2 + cells * (2 * dim**2 + 2 * dim))
    (name,) = (name for name, part in head.named_modules() if isinstance(part, BoxToObject))
    return of_paper - sum(flops[f"MaskHead.{name}"].values()) // 2


def _coarse_queries_macs(head: MaskHead, batch: FeatureBatch) -> int:
    """What a last image layer costs beyond what runs: only tokens of the finest level ask there."""
    if not isinstance(head.image_encoder, DeformableImageEncoder):
        return 0
    (layer,) = head.image_encoder.layers
    matrices = [p for name, p in layer.named_parameters() if p.dim() == 2 and "value" not in name]
    coarse = sum(prod(level.shape[:3]) for level in batch.memory[1:])
    return coarse * sum(matrix.numel() for matrix in matrices)


def _upsampling_macs(head: MaskHead, batch: FeatureBatch) -> int:
    """Of making F from E1 and C1, which runs as indexing and interpolation that nothing counts."""
    e1, c1, magnification = batch.memory[0], batch.c1, head.regions.magnification
    if head.config.use_c1 and c1 is not None:
        return (UPSAMPLE_MACS + ADD_MACS) * prod(c1.shape[:3]) * e1.shape[3]
    return UPSAMPLE_MACS * magnification**2 * e1.numel() if magnification > 1 else 0


def _meta_batch(spec: DetectorSpec, image_hw: tuple[int, int], num_boxes: int) -> FeatureBatch:
    """A batch without data, but with sizes: these are read while the head runs."""

    def size(stride: int) -> tuple[int, int]:
        return -(-image_hw[0] // stride), -(-image_hw[1] // stride)

    c1_hw = size(spec.c1_stride) if spec.has_c1 else (0, 0)
    return FeatureBatch(
        memory=[torch.empty(1, *size(s), spec.dim, device="meta") for s in spec.strides],
        memory_hw=torch.tensor([[size(stride) for stride in spec.strides]]),
        c1=torch.empty(1, *c1_hw, spec.c1_channels, device="meta") if spec.has_c1 else None,
        c1_hw=torch.tensor([c1_hw]),
        input_hw=torch.tensor([image_hw]),
        queries=torch.empty(num_boxes, spec.dim, device="meta"),
        boxes=torch.empty(num_boxes, 4, device="meta"),
        labels=torch.zeros(num_boxes, dtype=torch.long),
        image_index=torch.zeros(num_boxes, dtype=torch.long),
    )
