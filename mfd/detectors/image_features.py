"""One image's detector output: what travels between detector, store and head."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

import torch
from jaxtyping import Float, Num
from torch import Tensor

from mfd.detectors.stage1 import C1Source
from mfd.images import Placement

_ALIGNMENT = 8  # bytes, of the largest element type


@dataclass
class ImageFeatures:
    """One image's detector output without padding, as computed or in a store's element types.

    A detector gives floats on its device. `mfd.cache` encodes them: the numbers that it stores
    become values by `mfd.cache.decode_maps`, together with the constants.

    Attributes:
        image_id: COCO image id.
        original_hw: size of the image file, pixels.
        input_hw: size after the detector's resize, pixels.
        memory: one (H_l, W_l, D) map per level, finest first.
        c1: (H4, W4, C), or None where the store leaves it out.
        memory_constants: by name, one number for every level and channel; empty if maps are floats.
        c1_constants: the same of `c1`.
        placement: how the image lay in the detector's input; None: whole, by the detector's own
            resize.
        c1_source: what `c1` is computed from, in a batch, where the store leaves it out.
    """

    image_id: int
    original_hw: tuple[int, int]
    input_hw: tuple[int, int]
    queries: Float[Tensor, "Q D"]
    boxes: Float[Tensor, "Q 4"]
    logits: Float[Tensor, "Q K"]
    memory: list[Num[Tensor, "_H _W _D"]]
    c1: Num[Tensor, "H4 W4 _C"] | None
    memory_constants: dict[str, Float[Tensor, "L D"]] = field(default_factory=dict)
    c1_constants: dict[str, Float[Tensor, " C"]] = field(default_factory=dict)
    placement: Placement | None = None
    c1_source: C1Source | None = None

    @property
    def num_bytes(self) -> int:
        """Of all tensors."""
        return sum(tensor.nbytes for tensor in self._tensors())

    def without_c1(self) -> "ImageFeatures":
        """The same features for heads that do not read the stage-1 map."""
        return replace(self, c1=None, c1_constants={}, c1_source=None)

    def without_maps(self) -> "ImageFeatures":
        """Queries, boxes and logits alone."""
        return replace(self.without_c1(), memory=[], memory_constants={})

    def cpu(self) -> "ImageFeatures":
        """The same features in the CPU's memory."""
        return copy_to_cpu([self])[0]

    def _with(self, tensors: Iterator[Tensor]) -> "ImageFeatures":
        """The same features in other tensors, which come in the order of `_tensors`."""
        return replace(
            self,
            queries=next(tensors),
            boxes=next(tensors),
            logits=next(tensors),
            memory=[next(tensors) for _ in self.memory],
            c1=None if self.c1 is None else next(tensors),
            memory_constants={name: next(tensors) for name in self.memory_constants},
            c1_constants={name: next(tensors) for name in self.c1_constants},
        )

    def _tensors(self) -> Sequence[Tensor]:
        c1 = () if self.c1 is None else (self.c1,)
        constants = (*self.memory_constants.values(), *self.c1_constants.values())
        return (self.queries, self.boxes, self.logits, *self.memory, *c1, *constants)


def copy_to_cpu(images: Sequence[ImageFeatures]) -> list[ImageFeatures]:
    """The same features in the CPU's memory; from another device all in one copy."""
    tensors = [tensor for image in images for tensor in image._tensors()]
    if all(tensor.is_cpu for tensor in tensors):
        return list(images)
    copied = iter(copy_together(tensors))
    return [image._with(copied) for image in images]


def copy_together(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors of one device, contiguous in the CPU's memory, copied in one piece.

    From a GPU they come into pinned memory, which PyTorch keeps for the next batches.
    """
    room = [-(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT for tensor in tensors]
    starts = list(accumulate(room, initial=0))[:-1]
    packed = torch.empty(sum(room), dtype=torch.uint8, device=tensors[0].device)
    for tensor, start in zip(tensors, starts, strict=True):
        _part(packed, start, tensor).copy_(tensor)
    copied = torch.empty(packed.shape, dtype=torch.uint8, pin_memory=packed.is_cuda).copy_(packed)
    return [_part(copied, start, like) for like, start in zip(tensors, starts, strict=True)]


def _part(buffer: Tensor, start: int, like: Tensor) -> Tensor:
    """The bytes from `start` as a tensor of the shape and type of another."""
    return buffer[start : start + like.nbytes].view(like.dtype).view(like.shape)
