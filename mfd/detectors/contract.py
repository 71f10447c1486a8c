"""The contract between a frozen detector, the store and the head.

A detector is any `torch.nn.Module` with a `spec` and the call
`detector(images, padding_mask) -> DetectorOutput`; `mfd.detectors.check` checks both. Everything
downstream reads widths, strides and number of levels from the spec; nothing assumes the ones of a
particular detector.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Bool, Float
from torch import Tensor, nn

from mfd.detectors.spec import DetectorSpec


@dataclass
class DetectorOutput:
    """What a detector computes for a batch of padded images.

    Attributes:
        queries: of the last decoder layer, as its prediction heads see them.
        boxes: (centre x, centre y, width, height), 0 and 1 being the edges of the image *without*
            its padding.
        logits: class scores before sigmoid or softmax; one more column than K for softmax.
        memory: encoder maps, one per stride, channels last; rows and columns of padding are
            allowed and ignored.
        c1: the stage-1 backbone map, channels last; None where the spec has `c1_channels=0`.
    """

    queries: Float[Tensor, "B Q D"]
    boxes: Float[Tensor, "B Q 4"]
    logits: Float[Tensor, "B Q K"]
    memory: list[Float[Tensor, "B _H _W D"]]
    c1: Float[Tensor, "B H4 W4 C"] | None = None


class Detector(Protocol):
    """Any `torch.nn.Module` with this call and `spec`.

    Images are normalised float32, padded with zeros at the right and bottom; `padding_mask` is True
    on the padding. (`pixel_mask` of Transformers is the opposite.)

    With a `--precision` of 16 bits the call runs inside `torch.autocast`. What must not lose
    precision, such as the layers that predict boxes, leaves it by
    `torch.autocast(device_type, enabled=False)`.

    A detector that also has `stage1(images, padding_mask) -> c1` (channels last, as in
    `DetectorOutput`) can feed stores of the `lite` profile, which leave c1 out.
    """

    spec: DetectorSpec

    def __call__(
        self, images: Float[Tensor, "B 3 H W"], padding_mask: Bool[Tensor, "B H W"]
    ) -> DetectorOutput: ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """As every module's; the rest of `torch.nn.Module` may be relied on too."""
        ...
