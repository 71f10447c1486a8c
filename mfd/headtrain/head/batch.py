"""What the mask head reads: several images' features, padded to common sizes, and their boxes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from mfd.detectors import ImageFeatures


@dataclass
class FeatureBatch:
    """Feature maps of B images and N boxes on them.

    Attributes:
        memory: one map per level, finest first; beyond an image's own size it is zero. Of int8 if
            `memory_scale` is set.
        memory_hw: each image's own (height, width) on each level, pixels of that level.
        c1: the stage-1 map, or None for heads that do without. Of int8 if `c1_scale` is set.
        c1_hw: each image's own (height, width) on `c1`; zeros without it.
        input_hw: size of the images as the detector saw them, pixels; strides count these.
        queries: of the N boxes, images one after the other.
        boxes: (centre x, centre y, width, height); 0 and 1 are the edges of the box's own image.
        labels: logit column of each box's category.
        image_index: which image a box is on, ascending.
        memory_scale: what int8 maps of each level are to be multiplied by, channel by channel.
        c1_scale: the same of `c1`.
    """

    memory: list[Num[Tensor, "B _H _W D"]]
    memory_hw: Int[Tensor, "B L 2"]
    c1: Num[Tensor, "B H4 W4 C"] | None
    c1_hw: Int[Tensor, "B 2"]
    input_hw: Int[Tensor, "B 2"]
    queries: Float[Tensor, "N D"]
    boxes: Float[Tensor, "N 4"]
    labels: Int[Tensor, " N"]
    image_index: Int[Tensor, " N"]
    memory_scale: Float[Tensor, "B L D"] | None = None
    c1_scale: Float[Tensor, "B C"] | None = None

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "FeatureBatch":
        """The same batch on another device, copied asynchronously from pinned memory.

        Args:
            dtype: of maps and queries, once they are there, dequantised if they were of int8; None
                leaves them as they are.
        """
        moved = self._each(lambda tensor: tensor.to(device, non_blocking=True))
        if dtype is None:
            return moved
        scales: Sequence[Tensor | None] = [None] * len(moved.memory)
        if moved.memory_scale is not None:
            scales = moved.memory_scale.unbind(1)
        return replace(
            moved,
            memory=[_floats(m, s, dtype) for m, s in zip(moved.memory, scales, strict=True)],
            c1=None if moved.c1 is None else _floats(moved.c1, moved.c1_scale, dtype),
            queries=moved.queries.to(dtype),
            memory_scale=None,
            c1_scale=None,
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
    dtype: torch.dtype | None = torch.float32,
) -> FeatureBatch:
    """The batch of `images` with the chosen `queries` of each (indices) and their `labels`.

    Args:
        dtype: of maps and queries; None leaves them as they are stored, for `FeatureBatch.to` to
            convert them on the device.
    """
    c1 = [image.c1 for image in images if image.c1 is not None]
    scales = [image.memory_scale for image in images if image.memory_scale is not None]
    c1_scales = [i.c1_scale for i in images if i.c1 is not None and i.c1_scale is not None]
    memory = [
        _pad([image.memory[level] for image in images], [s[level] for s in scales], dtype)
        for level in range(len(images[0].memory))
    ]
    counts = torch.tensor([len(chosen) for chosen in queries])
    chosen_queries = torch.cat([i.queries[q] for i, q in zip(images, queries, strict=True)])
    return FeatureBatch(
        memory=memory,
        memory_hw=torch.tensor([[m.shape[:2] for m in image.memory] for image in images]),
        c1=_pad(c1, c1_scales, dtype) if c1 else None,
        c1_hw=torch.tensor([(0, 0) if i.c1 is None else i.c1.shape[:2] for i in images]),
        input_hw=torch.tensor([image.input_hw for image in images]),
        queries=chosen_queries.to(dtype=dtype),
        boxes=torch.cat([i.boxes[q] for i, q in zip(images, queries, strict=True)]).float(),
        labels=torch.cat(list(labels)),
        image_index=torch.repeat_interleave(torch.arange(len(images)), counts),
        memory_scale=torch.stack(scales) if scales and dtype is None else None,
        c1_scale=torch.stack(c1_scales) if c1_scales and dtype is None else None,
    )


def _pad(
    maps: Sequence[Num[Tensor, "_h _w C"]],
    scales: Sequence[Float[Tensor, " C"]],
    dtype: torch.dtype | None,
) -> Num[Tensor, "B H W C"]:
    """The maps in one tensor, multiplied by their scales, if there are any, unless as stored."""
    height, width = (max(m.shape[axis] for m in maps) for axis in (0, 1))
    padded = torch.zeros(len(maps), height, width, maps[0].shape[2], dtype=dtype or maps[0].dtype)
    copied = padded.numpy()  # torch would start a pool of threads in every reading thread
    for i, single in enumerate(maps):
        part = copied[i, : single.shape[0], : single.shape[1]]
        if scales and dtype is not None:
            np.multiply(single.numpy(), scales[i].numpy(), out=part)
        else:
            part[...] = single.numpy()
    return padded


def _floats(
    maps: Num[Tensor, "B H W C"], scale: Float[Tensor, "B C"] | None, dtype: torch.dtype
) -> Float[Tensor, "B H W C"]:
    return maps.to(dtype) if scale is None else (maps * scale[:, None, None]).to(dtype)
