"""The size of a head: parameters, and multiply-accumulates counted from its modules as they run."""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mfd.detectors import DetectorSpec
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.head.sampling import DeformableSampling, RoIAlign, Upsample

IMAGE_HW = (800, 1130)
"""An image with the paper's average number of pixels on every map, within 0.6 %."""

ROI_ALIGN_MACS = 18
UPSAMPLE_MACS = 2
ADD_MACS = 1
"""Prices per number that RoIAlign, the up-sampling of E1 and the addition of C1 put out.

The baselines of table 1 do nothing else but the dot product, and these are the only whole numbers
that give all four of its rows within 1 %. The samples of deformable attention cost nothing there.
"""


def count_parameters(config: HeadConfig, spec: DetectorSpec) -> int:
    """Trainable parameters of a head."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in MaskHead(config, spec).parameters())


def count_macs(
    config: HeadConfig,
    spec: DetectorSpec,
    image_hw: tuple[int, int] = IMAGE_HW,
    num_boxes: int = 100,
) -> int:
    """Multiply-accumulates of inference on one image, without the detector's.

    Linear layers, convolutions and attention products as `torch.utils.flop_counter` sees them run
    on the meta device, and sampling by its own rules, for no general rule exists. Norms,
    activations and additions count nothing.
    """
    with torch.device("meta"):
        head = MaskHead(config, spec).eval().requires_grad_(False)
    stand_ins = _replace_sampling(head)
    batch = _meta_batch(spec, image_hw, num_boxes)
    with FlopCounterMode(display=False) as counter:
        head(batch)
    return counter.get_total_flops() // 2 + sum(stand_in.macs for stand_in in stand_ins)


def _meta_batch(spec: DetectorSpec, image_hw: tuple[int, int], num_boxes: int) -> FeatureBatch:
    """A batch without data, but with sizes: these are read while the head runs."""

    def size(stride: int) -> tuple[int, int]:
        return -(-image_hw[0] // stride), -(-image_hw[1] // stride)

    c1_hw = size(spec.c1_stride)
    return FeatureBatch(
        memory=[torch.empty(1, *size(s), spec.dim, device="meta") for s in spec.strides],
        memory_hw=torch.tensor([[size(stride) for stride in spec.strides]]),
        c1=torch.empty(1, *c1_hw, spec.c1_channels, device="meta"),
        c1_hw=torch.tensor([c1_hw]),
        input_hw=torch.tensor([image_hw]),
        queries=torch.empty(num_boxes, spec.dim, device="meta"),
        boxes=torch.empty(num_boxes, 4, device="meta"),
        labels=torch.zeros(num_boxes, dtype=torch.long),
        image_index=torch.zeros(num_boxes, dtype=torch.long),
    )


class _StandIn(nn.Module):
    """In place of a sampling operation: an output of its shape, and its price."""

    def __init__(self, operation: nn.Module) -> None:
        super().__init__()
        self.operation = operation
        self.macs = 0

    def forward(self, maps: Tensor, *arguments: object) -> Tensor:
        """An empty result."""
        channels = maps.shape[-1]
        match self.operation, arguments:
            case DeformableSampling(), (_, Tensor() as offsets, _, _):
                return maps.new_empty(*offsets.shape[:3], channels)
            case Upsample(), (_, _, int(height), int(width), *add):
                result = maps.new_empty(len(maps), height, width, channels)
                self.macs += (UPSAMPLE_MACS + ADD_MACS * len(add)) * result.numel()
                return result
            case RoIAlign(output_size=size), (Tensor() as boxes, *_):
                result = maps.new_empty(len(boxes), size, size, channels)
                self.macs += ROI_ALIGN_MACS * result.numel()
                return result
        raise AssertionError(f"inference called {self.operation} with {arguments}")


def _replace_sampling(head: MaskHead) -> list[_StandIn]:
    kinds = (DeformableSampling, RoIAlign, Upsample)
    stand_ins = []
    for parent in list(head.modules()):
        for name, child in parent.named_children():
            if isinstance(child, kinds):
                stand_ins.append(_StandIn(child))
                setattr(parent, name, stand_ins[-1])
    return stand_ins
