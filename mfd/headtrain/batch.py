"""What the mask head reads: several images' features, padded to common sizes, and their boxes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfd.cache import ImageFeatures


@dataclass
class FeatureBatch:
    """Feature maps of B images and N boxes on them.

    Attributes:
        memory: one map per level, finest first; beyond an image's own size it is zero.
        memory_hw: each image's own (height, width) on each level, pixels of that level.
        c1: the stage-1 map, or None for heads that do without.
        c1_hw: each image's own (height, width) on `c1`; zeros without it.
        input_hw: size of the images as the detector saw them, pixels; strides count these.
        queries: of the N boxes, images one after the other.
        boxes: (centre x, centre y, width, height); 0 and 1 are the edges of the box's own image.
        labels: logit column of each box's category.
        image_index: which image a box is on, ascending.
    """

    memory: list[Float[Tensor, "B _H _W D"]]
    memory_hw: Int[Tensor, "B L 2"]
    c1: Float[Tensor, "B H4 W4 C"] | None
    c1_hw: Int[Tensor, "B 2"]
    input_hw: Int[Tensor, "B 2"]
    queries: Float[Tensor, "N D"]
    boxes: Float[Tensor, "N 4"]
    labels: Int[Tensor, " N"]
    image_index: Int[Tensor, " N"]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "FeatureBatch":
        """The same batch on another device, copied asynchronously from pinned memory.

        Args:
            dtype: of maps and queries, once they are there; None leaves them as they are.
        """
        moved = self._each(lambda tensor: tensor.to(device, non_blocking=True))
        return replace(
            moved,
            memory=[level.to(dtype=dtype) for level in moved.memory],
            c1=None if moved.c1 is None else moved.c1.to(dtype=dtype),
            queries=moved.queries.to(dtype=dtype),
        )

    def pin_memory(self) -> "FeatureBatch":
        """The same batch in pages that a GPU can copy from while other work goes on."""
        return self._each(Tensor.pin_memory)

    def _each(self, function: Callable[[Tensor], Tensor]) -> "FeatureBatch":
        changed = {k: function(v) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, memory=[function(level) for level in self.memory], **changed)


def collate(
    images: Sequence[ImageFeatures],
    queries: Sequence[Int[Tensor, " _n"]],
    labels: Sequence[Int[Tensor, " _n"]],
    dtype: torch.dtype = torch.float32,
) -> FeatureBatch:
    """The batch of `images` with the chosen `queries` of each (indices) and their `labels`."""
    levels = len(images[0].memory)
    memory = [_pad([image.memory[level] for image in images], dtype) for level in range(levels)]
    c1 = [image.c1 for image in images if image.c1 is not None]
    counts = torch.tensor([len(chosen) for chosen in queries])
    return FeatureBatch(
        memory=memory,
        memory_hw=torch.tensor([[m.shape[:2] for m in image.memory] for image in images]),
        c1=_pad(c1, dtype) if c1 else None,
        c1_hw=torch.tensor([(0, 0) if i.c1 is None else i.c1.shape[:2] for i in images]),
        input_hw=torch.tensor([image.input_hw for image in images]),
        queries=torch.cat([i.queries[q] for i, q in zip(images, queries, strict=True)]).to(dtype),
        boxes=torch.cat([i.boxes[q] for i, q in zip(images, queries, strict=True)]).float(),
        labels=torch.cat(list(labels)),
        image_index=torch.repeat_interleave(torch.arange(len(images)), counts),
    )


def _pad(maps: Sequence[Float[Tensor, "_h _w C"]], dtype: torch.dtype) -> Float[Tensor, "B H W C"]:
    height, width = (max(m.shape[axis] for m in maps) for axis in (0, 1))
    padded = torch.zeros(len(maps), height, width, maps[0].shape[2], dtype=dtype)
    copied = padded.numpy()  # torch would start a pool of threads in every reading thread
    for row, single in zip(copied, maps, strict=True):
        row[: single.shape[0], : single.shape[1]] = single.numpy()
    return padded
