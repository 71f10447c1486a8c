"""Batches of any size in memory that keeps its place, their sizes rounded up to few.

Padding is free to grow: the head looks at each image's own part of a map, whatever lies beyond. A
number of boxes grows by repeating the last one, as fillers that neither count nor are seen.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.sources.batch import TrainingBatch

PIXELS = 64
"""Maps are padded to sides of as many pixels of the images, and of multiples of them. [ours]"""


def rounded_side(side: int, stride: int) -> int:
    """The least side of a map that is no less and covers a multiple of `PIXELS`."""
    step = max(PIXELS // stride, 1)
    return -(-side // step) * step


def rounded_count(count: int) -> int:
    """The least number that is no less and 1 to 8 times a power of two: ... 12, 14, 16, 20 ..."""
    step = 2 ** max((count - 1).bit_length() - 3, 0)
    return -(-count // step) * step


class RoundedBatches:
    """Each batch in turn in the same memory, padded to its rounded shape.

    Attributes:
        moved: how often memory was too small and was allocated again, at another address.

    Args:
        strides: of the encoder maps, finest first.
        c1_stride: of the stage-1 map.
    """

    def __init__(self, strides: Sequence[int], c1_stride: int) -> None:
        self._strides, self._c1_stride = strides, c1_stride
        self._memory: dict[str, Tensor] = {}
        self.moved = 0

    def put(self, batch: TrainingBatch) -> TrainingBatch:
        """The batch, of one box at least, until the next one is put there.

        Batches of equal shapes lie at equal addresses while `moved` stays. Beyond an image's part
        of a map is anything.
        """
        given, count = batch.features, len(batch.crops)
        row = torch.arange(rounded_count(count), device=batch.crops.device)
        last_repeated = row.clamp(max=count - 1)

        def boxes(name: str, values: Tensor) -> Tensor:
            shape = (len(row), *values.shape[1:])
            place = self._place(name, shape, values, spare=len(row))  # small, and often larger
            return torch.index_select(values, 0, last_repeated, out=place)

        def maps(name: str, values: Tensor, stride: int) -> Tensor:
            images, height, width, channels = values.shape
            sides = rounded_side(height, stride), rounded_side(width, stride)
            place = self._place(name, (images, *sides, channels), values)
            place[:, :height, :width].copy_(values)
            return place

        def same(name: str, values: Tensor, spare: int = 0) -> Tensor:
            return self._place(name, values.shape, values, spare).copy_(values)

        levels = enumerate(zip(given.memory, self._strides, strict=True))
        features = FeatureBatch(
            memory=[maps(f"memory {level}", *of_level) for level, of_level in levels],
            memory_hw=same("memory_hw", given.memory_hw),
            c1=None if given.c1 is None else maps("c1", given.c1, self._c1_stride),
            c1_hw=same("c1_hw", given.c1_hw),
            input_hw=same("input_hw", given.input_hw),
            queries=boxes("queries", given.queries),
            boxes=boxes("boxes", given.boxes),
            labels=boxes("labels", given.labels),
            image_index=boxes("image_index", given.image_index),
            filler=same("filler", row >= count, spare=len(row)),
        )
        return TrainingBatch(
            features=features,
            crops=boxes("crops", batch.crops),
            area_ratio=boxes("area_ratio", batch.area_ratio),
            keys=boxes("keys", batch.keys),
            image_names=batch.image_names,
        )

    def _place(self, name: str, shape: Sequence[int], like: Tensor, spare: int = 0) -> Tensor:
        """Room for a tensor of this name, over what was there; `spare` rows more if it is made."""
        there, size = self._memory.get(name), prod(shape)
        if there is None or there.numel() < size:
            self.moved += there is not None
            there = self._memory[name] = like.new_empty(size + spare * prod(shape[1:]))
        return there[:size].view(shape)
