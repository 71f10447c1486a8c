"""What is exported: a module with its inputs' names and sizes, and samples to trace and check it.

Samples are of odd sizes, not square, with boxes that reach out of the image.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn.functional import interpolate, pad

from mfd.detectors import DeformableDetector, Detector, DetectorSpec, padding_step
from mfd.errors import ExportError
from mfd.export.modules import Detections, HeadModule, ImageModule, Masks
from mfd.headtrain import MaskHead

SIZES_HW = ((150, 203), (97, 231), (233, 101), (128, 161))
"""Of the samples' images, pixels, before what the detector demands."""


@dataclass(frozen=True)
class Part:
    """A module that is exported to one file.

    Attributes:
        name: of the file, without suffix.
        module: in evaluation mode, on the CPU.
        outputs: the fields of what it returns.
        inputs: the names of the dimensions of each input; None for one whose size is fixed.
        bounds: least size of dimensions that have one.
        sample: arguments of a call, others for each number.
    """

    name: str
    module: nn.Module
    outputs: tuple[str, ...]
    inputs: dict[str, tuple[str | None, ...]]
    bounds: dict[str, int]
    sample: Callable[[int], tuple[Any, ...]]

    def dynamic(self) -> tuple[Any, ...]:
        """The sizes that are to stay open, argument by argument, as `torch.export` takes them."""
        each = [
            {
                axis: Dim(name, min=self.bounds[name]) if name in self.bounds else Dim.DYNAMIC
                for axis, name in enumerate(names)
                if name is not None
            }
            for names in self.inputs.values()
        ]
        flat = iter(each)
        return tuple(
            [next(flat) for _ in argument] if isinstance(argument, list) else next(flat)
            for argument in self.sample(0)
        )


def head_part(head: MaskHead) -> Part:
    """The head: masks from queries, boxes and maps.

    Raises:
        ExportError: the head computes what no exported program can.
    """
    _check_head(head)
    spec, with_c1 = head.spec, head.config.use_c1
    levels = {
        f"memory_{level}": ("images", f"height_{level}", f"width_{level}", None)
        for level in range(len(spec.strides))
    }
    return Part(
        name="head",
        module=HeadModule(head).eval(),
        outputs=Masks._fields,
        inputs={
            "queries": ("images", "queries", None),
            "boxes": ("images", "queries", None),
            "image_hw": (None,),
            **levels,
            **({"c1": ("images", "height_c1", "width_c1", None)} if with_c1 else {}),
        },
        bounds={},
        sample=lambda number: _features(spec, number, with_c1),
    )


def image_part(detector: Detector, head: MaskHead) -> Part:
    """The detector and the head in one.

    Raises:
        ExportError: they compute what no exported program can.
    """
    _check_head(head)
    if head.config.query_o2o:
        raise ExportError(
            "its queries attend to one another (query_o2o), and a detector's best (query, "
            "category) pairs may name one several times"
        )
    fixed = detector.spec.preprocessing.size_hw
    bounds = {}
    if isinstance(detector, DeformableDetector):  # smaller images are padded, a case of its own
        stride = detector.spec.strides[0]
        least = stride * math.isqrt(detector.spec.num_queries - 1) + stride
        bounds = {"height": least, "width": least}
    least = max(bounds.values(), default=0)
    return Part(
        name="model",
        module=ImageModule(detector, head).eval(),
        outputs=Detections._fields,
        inputs={
            "images": ("images", None, *((None, None) if fixed else ("height", "width"))),
            "image_hw": (None,),
        },
        bounds=bounds,
        sample=lambda number: _pictures(number, fixed, least, padding_step(detector.spec)),
    )


def _check_head(head: MaskHead) -> None:
    config = head.config
    if not config.roi_align:
        raise ExportError("heads without RoIAlign (table 1) have masks of no fixed size")
    if config.sampling_ratio == 0:
        raise ExportError(
            "sampling_ratio=0 lets the number of samples depend on the boxes; train with "
            "sampling_ratio=2"
        )


def _features(spec: DetectorSpec, number: int, with_c1: bool) -> tuple[Any, ...]:
    """Random features of 2 to 4 images with 3 to 9 queries each."""
    random = torch.Generator().manual_seed(number)
    height, width = SIZES_HW[number % len(SIZES_HW)]
    images, queries = 2 + number % 3, 3 + number % 7

    def some_map(stride: int, channels: int) -> Tensor:
        size_hw = (-(-height // stride), -(-width // stride))
        return torch.randn(images, *size_hw, channels, generator=random)

    boxes = torch.rand(images, queries, 4, generator=random)
    boxes[..., 2:] = 0.05 + 0.6 * boxes[..., 2:]
    features = (
        torch.randn(images, queries, spec.dim, generator=random),
        boxes,
        torch.tensor([height, width]),
        [some_map(stride, spec.dim) for stride in spec.strides],
    )
    return (*features, some_map(spec.c1_stride, spec.c1_channels)) if with_c1 else features


def _pictures(
    number: int, fixed_hw: tuple[int, int] | None, least: int, step: int
) -> tuple[Tensor, Tensor]:
    """Two to three images of coarse noise, padded, and their size before."""
    random = torch.Generator().manual_seed(number)
    height, width = (max(side, least) for side in SIZES_HW[number % len(SIZES_HW)])
    coarse = torch.randn(2 + number % 2, 3, 7, 5, generator=random)
    pictures = interpolate(coarse, fixed_hw or (height, width), mode="bicubic")
    image_hw = torch.tensor(pictures.shape[2:])
    below, beside = (-image_hw % step).tolist()
    return pad(pictures, (0, beside, 0, below)), image_hw
