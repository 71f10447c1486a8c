"""What is exported: a module, its inputs' names and sizes, and what it is traced and checked on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.export import Dim

from mfd.detectors import DeformableDetector, Detector, ImageFeatures, padding_step
from mfd.errors import ExportError
from mfd.export.modules import Detections, HeadModule, ImageModule, Masks
from mfd.export.samples import head_arguments, image_arguments, random_features, random_images
from mfd.headtrain import MaskHead
from mfd.images import LoadedImage


@dataclass(frozen=True)
class Part:
    """A module that is exported to one file.

    Attributes:
        name: of the file, without suffix.
        module: in evaluation mode, on the CPU.
        outputs: the fields of what it returns.
        inputs: the names of the dimensions of each input; None for one whose size is fixed.
        bounds: least size of dimensions that have one.
        step: what dimensions with a least size are multiples of.
        example: arguments of a call, on which it is traced: random numbers.
        samples: arguments of calls on which files are compared with it: what it is for.
        taken: outputs of a file that the module takes too, to be compared in what follows.
    """

    name: str
    module: nn.Module
    outputs: tuple[str, ...]
    inputs: dict[str, tuple[str | None, ...]]
    bounds: dict[str, int]
    example: tuple[Any, ...]
    samples: Sequence[tuple[Any, ...]] = ()
    taken: tuple[str, ...] = ()
    step: int = 1

    def dynamic(self) -> tuple[Any, ...]:
        """The sizes that are to stay open, argument by argument, as `torch.export` takes them."""
        each = [
            {axis: self._open(name) for axis, name in enumerate(names) if name is not None}
            for names in self.inputs.values()
        ]
        flat = iter(each)
        return tuple(
            [next(flat) for _ in argument] if isinstance(argument, list) else next(flat)
            for argument in self.example
        )

    def _open(self, name: str) -> Any:
        if name not in self.bounds:
            return Dim.DYNAMIC
        return self.step * Dim(f"{name}_steps", min=-(-self.bounds[name] // self.step))


def head_part(head: MaskHead, features: Sequence[ImageFeatures] = ()) -> Part:
    """The head: masks from queries, boxes and maps.

    Args:
        features: of pictures to check it on.

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
        example=random_features(spec, with_c1=with_c1),
        samples=[head_arguments(each, spec, with_c1=with_c1) for each in features],
    )


def image_part(detector: Detector, head: MaskHead, images: Sequence[LoadedImage] = ()) -> Part:
    """The detector and the head in one.

    Args:
        images: to check it on.

    Raises:
        ExportError: they compute what no exported program can.
    """
    _check_head(head)
    if head.config.query_o2o:
        raise ExportError(
            "its queries attend to one another (query_o2o), and a detector's best (query, "
            "category) pairs may name one several times"
        )
    spec = detector.spec
    fixed = spec.preprocessing.size_hw
    step = padding_step(spec)
    least = step
    if isinstance(detector, DeformableDetector):  # smaller images are padded, a case of its own
        stride = spec.strides[0]
        least = max(stride * math.isqrt(spec.num_queries - 1) + stride, 2 * max(spec.strides))
    return Part(
        name="model",
        module=ImageModule(detector, head).eval(),
        outputs=Detections._fields,
        inputs={
            "images": ("images", None, *((None, None) if fixed else ("height", "width"))),
            "image_hw": (None,),
        },
        bounds={"height": least, "width": least},
        example=random_images(spec, least),
        samples=[image_arguments(each, spec, least) for each in images],
        taken=("boxes",),
        step=step,
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
