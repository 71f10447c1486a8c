"""What the mask head reads: several images' features, padded to common sizes, and their boxes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor
from torch.nn.functional import pad

from mfd.cache import decode_maps
from mfd.detectors import ImageFeatures, PendingC1


@dataclass
class FeatureBatch:
    """Feature maps of B images and N boxes on them.

    `collate` leaves maps and queries in the element types they are stored in; `to` makes them the
    floats that the head reads.

    Attributes:
        memory: one map per level, finest first; what is beyond an image's own size says nothing.
        memory_hw: each image's own (height, width) on each level, pixels of that level.
        c1: the stage-1 map, or None for heads that do without.
        c1_hw: each image's own (height, width) on `c1`; zeros without it.
        input_hw: size of the images as the detector saw them, pixels; strides count these.
        queries: of the N boxes, images one after the other.
        boxes: (centre x, centre y, width, height); 0 and 1 are the edges of the box's own image.
        labels: logit column of each box's category.
        image_index: which image a box is on, ascending.
        memory_constants: what stored maps are decoded with, by name; empty for floats.
        c1_constants: the same of `c1`.
        pending_c1: what `to` computes `c1` and `c1_hw` from, where a store leaves them out.
        filler: boxes that are there for the number alone, see `attention_groups`; None: no box is.
    """

    memory: list[Num[Tensor, "B _H _W _D"]]
    memory_hw: Int[Tensor, "B L 2"]
    c1: Num[Tensor, "B H4 W4 _C"] | None
    c1_hw: Int[Tensor, "B 2"]
    input_hw: Int[Tensor, "B 2"]
    queries: Float[Tensor, "N D"]
    boxes: Float[Tensor, "N 4"]
    labels: Int[Tensor, " N"]
    image_index: Int[Tensor, " N"]
    memory_constants: dict[str, Float[Tensor, "B L D"]] = field(default_factory=dict)
    c1_constants: dict[str, Float[Tensor, "B C"]] = field(default_factory=dict)
    pending_c1: PendingC1 | None = None
    filler: Bool[Tensor, " N"] | None = None

    @property
    def attention_groups(self) -> Int[Tensor, " N"]:
        """Boxes of equal numbers see each other: those of an image, and fillers only fillers."""
        if self.filler is None:
            return self.image_index
        return self.image_index.masked_fill(self.filler, -1)

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> "FeatureBatch":
        """The same batch as floats on another device, copied asynchronously from pinned memory.

        A stage-1 map that is still to be computed is computed there.

        Args:
            dtype: of maps and queries, which are decoded once they are there.
        """
        moved = self._each(lambda tensor: tensor.to(device, non_blocking=True))
        memory = [
            decode_maps(maps, {name: c[:, level] for name, c in moved.memory_constants.items()})
            for level, maps in enumerate(moved.memory)
        ]
        c1, c1_hw = moved.c1, moved.c1_hw
        if moved.pending_c1 is not None:
            c1, sizes = moved.pending_c1.compute()
            c1_hw = sizes.to(c1_hw)
        elif c1 is not None:
            c1 = decode_maps(c1, moved.c1_constants)
        return replace(
            moved,
            memory=[maps.to(dtype) for maps in memory],
            c1=None if c1 is None else c1.to(device, dtype),
            c1_hw=c1_hw,
            pending_c1=None,
            queries=moved.queries.to(dtype),
            memory_constants={},
            c1_constants={},
        )

    def in_working_type(self) -> "FeatureBatch":
        """Maps and queries in the type that matrix products have: autocast's, or their own."""
        device = self.queries.device.type
        if device == "meta" or not torch.is_autocast_enabled(device):  # meta has no autocast
            return self
        if self.queries.dtype == torch.float64:  # autocast leaves it as it is
            return self
        dtype = torch.get_autocast_dtype(device)
        return replace(
            self,
            memory=[maps.to(dtype) for maps in self.memory],
            c1=None if self.c1 is None else self.c1.to(dtype),
            queries=self.queries.to(dtype),
        )

    def pin_memory(self) -> "FeatureBatch":
        """The same batch in pages that a GPU can copy from while other work runs."""
        return self._each(Tensor.pin_memory)

    def on_maps_of(self, other: "FeatureBatch") -> "FeatureBatch":
        """The same boxes on the maps of another batch of the same images."""
        return replace(
            other,
            queries=self.queries,
            boxes=self.boxes,
            labels=self.labels,
            image_index=self.image_index,
        )

    def part(self, images: slice, boxes: Bool[Tensor, " N"]) -> "FeatureBatch":
        """Some of the images, and the boxes that are on them, which the caller knows."""
        assert self.pending_c1 is None, "a batch is divided when it is on its device"
        return replace(
            self,
            memory=[level[images] for level in self.memory],
            memory_hw=self.memory_hw[images],
            c1=None if self.c1 is None else self.c1[images],
            c1_hw=self.c1_hw[images],
            input_hw=self.input_hw[images],
            queries=self.queries[boxes],
            boxes=self.boxes[boxes],
            labels=self.labels[boxes],
            image_index=self.image_index[boxes] - images.start,
            memory_constants={name: c[images] for name, c in self.memory_constants.items()},
            c1_constants={name: c[images] for name, c in self.c1_constants.items()},
        )

    def _each(self, function: Callable[[Tensor], Tensor]) -> "FeatureBatch":
        changed = {k: function(v) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(
            self,
            memory=[function(level) for level in self.memory],
            memory_constants={k: function(v) for k, v in self.memory_constants.items()},
            c1_constants={k: function(v) for k, v in self.c1_constants.items()},
            pending_c1=self.pending_c1 and self.pending_c1.each(function),
            **changed,
        )


def collate(
    images: Sequence[ImageFeatures],
    queries: Sequence[Int[Tensor, " _n"]],
    labels: Sequence[Int[Tensor, " _n"]],
) -> FeatureBatch:
    """The batch of `images` with the chosen `queries` of each (indices) and their `labels`.

    Nothing is converted; a batch of one image shares its maps' memory.
    """
    c1 = [image.c1 for image in images if image.c1 is not None]
    sources = [image.c1_source for image in images if image.c1_source is not None]
    chosen = list(zip(images, queries, strict=True))
    sizes = _sizes(images)
    memory_constants, c1_constants = _constants(images)
    return FeatureBatch(
        memory=[_pad(level) for level in zip(*(image.memory for image in images), strict=True)],
        memory_hw=sizes[:, :-1],
        c1=_pad(c1) if c1 else None,
        c1_hw=sizes[:, -1],
        input_hw=torch.tensor([image.input_hw for image in images]),
        queries=torch.cat([image.queries[index] for image, index in chosen]),
        boxes=torch.cat([image.boxes[index] for image, index in chosen]).float(),
        labels=torch.cat(list(labels)),
        image_index=torch.arange(len(images)).repeat_interleave(
            torch.tensor(list(map(len, queries)))
        ),
        memory_constants=memory_constants,
        c1_constants=c1_constants,
        pending_c1=PendingC1.of(sources) if sources else None,
    )


def _sizes(images: Sequence[ImageFeatures]) -> Int[Tensor, "B L1 2"]:
    """(height, width) of each image's encoder maps and, last, of its C1."""
    no_map = torch.empty(0, 0)
    maps = [[*image.memory, no_map if image.c1 is None else image.c1] for image in images]
    return torch.tensor([[level.shape[:2] for level in levels] for levels in maps])


def _constants(images: Sequence[ImageFeatures]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What the images' encoder maps and C1 are decoded with, stacked."""
    memory = images[0].memory_constants
    c1 = {} if images[0].c1 is None else images[0].c1_constants
    return (
        {name: torch.stack([image.memory_constants[name] for image in images]) for name in memory},
        {name: torch.stack([image.c1_constants[name] for image in images]) for name in c1},
    )


def _pad(maps: Sequence[Num[Tensor, "_h _w C"]]) -> Num[Tensor, "B H W C"]:
    """The maps in one tensor, zeros at the right and bottom."""
    if len(maps) == 1:
        return maps[0][None].contiguous()
    height, width = (max(m.shape[axis] for m in maps) for axis in (0, 1))
    if any(m.requires_grad for m in maps):
        ends = [(0, 0, 0, width - m.shape[1], 0, height - m.shape[0]) for m in maps]
        return torch.stack([pad(m, end) for m, end in zip(maps, ends, strict=True)])
    padded = maps[0].new_zeros(len(maps), height, width, maps[0].shape[2])
    for whole, single in zip(padded, maps, strict=True):
        part = whole[: single.shape[0], : single.shape[1]]
        if part.is_cpu:  # torch would start a pool of threads in every reading thread
            part.numpy()[...] = single.numpy()
        else:
            part.copy_(single)
    return padded
