"""A head, and a detector with its head, as functions of tensors alone.

The images of a batch have one size here, so that no map has padding.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mfd.detectors import Detector, top_detections
from mfd.headtrain import FeatureBatch, MaskHead, maps_and_quality
from mfd.nn import cxcywh_to_xyxy, sizes_tensor, xyxy_to_cxcywh


class Masks(NamedTuple):
    """What a head says of Q queries in each of B images.

    Attributes:
        masks: of each query in its frame, probabilities, or logits for heads that paste those.
        quality: of each mask for every category, in [0, 1].
        frames: left, top, right, bottom of each mask; 0 and 1 are the image's edges.
    """

    masks: Float[Tensor, "B Q s s"]
    quality: Float[Tensor, "B Q K"]
    frames: Float[Tensor, "B Q 4"]


class Detections(NamedTuple):
    """The N best (query, category) pairs of each of B images, best class score first.

    Attributes:
        boxes: left, top, right, bottom; 0 and 1 are the image's edges.
        scores: the detector's own.
        labels: category ids.
        queries: which of the detector's queries each is of; those of one query share their mask.
        quality: how well the mask is expected to fit, in [0, 1].
        masks: as of `Masks`.
        frames: as of `Masks`.
    """

    boxes: Float[Tensor, "B N 4"]
    scores: Float[Tensor, "B N"]
    labels: Int[Tensor, "B N"]
    queries: Int[Tensor, "B N"]
    quality: Float[Tensor, "B N"]
    masks: Float[Tensor, "B N s s"]
    frames: Float[Tensor, "B N 4"]


class HeadModule(nn.Module):
    """A head, in evaluation mode, as a function of tensors."""

    def __init__(self, head: MaskHead) -> None:
        super().__init__()
        self.head = head

    def forward(
        self,
        queries: Float[Tensor, "B Q D"],
        boxes: Float[Tensor, "B Q 4"],
        image_hw: Int[Tensor, "2"],
        memory: Sequence[Float[Tensor, "B _H _W D"]],
        c1: Float[Tensor, "B H4 W4 C"] | None = None,
    ) -> tuple[Tensor, ...]:
        """`Masks` of all queries; arguments as of `DetectorOutput`.

        Args:
            image_hw: size of the images as the detector saw them, pixels.
        """
        maps = [*memory] if c1 is None else [*memory, c1]
        sizes = sizes_tensor([(m.shape[1], m.shape[2]) for m in maps], queries.device)
        return self.masks(queries, boxes, image_hw, memory, c1, sizes)

    def masks(
        self,
        queries: Float[Tensor, "B Q D"],
        boxes: Float[Tensor, "B Q 4"],
        image_hw: Int[Tensor, "2"],
        memory: Sequence[Float[Tensor, "B _H _W D"]],
        c1: Float[Tensor, "B H4 W4 C"] | None,
        sizes_hw: Int[Tensor, "L1 2"],
    ) -> tuple[Tensor, ...]:
        """As `forward`, of padded maps: `sizes_hw` is the image on each of them, C1 last."""
        batch, count, _ = queries.shape
        image = torch.arange(batch, device=queries.device)[:, None].expand(-1, count).flatten()
        sizes = sizes_hw.expand(batch, -1, -1)
        output = self.head(
            FeatureBatch(
                memory=list(memory),
                memory_hw=sizes[:, : len(memory)],
                c1=c1,
                c1_hw=sizes[:, -1],
                input_hw=image_hw.expand(batch, -1),
                queries=queries.flatten(0, 1),
                boxes=boxes.flatten(0, 1),
                labels=torch.zeros_like(image),  # only training reads them
                image_index=image,
            )
        )
        answers = (*maps_and_quality(self.head, output), cxcywh_to_xyxy(output.frames))
        return tuple(Masks(*(answer.unflatten(0, (batch, count)) for answer in answers)))


class ImageModule(nn.Module):
    """A detector and its head as a function of images."""

    def __init__(self, detector: Detector, head: MaskHead) -> None:
        super().__init__()
        self.detector: Any = detector
        self.head = HeadModule(head)
        self.spec = detector.spec
        self.category_ids: Tensor
        self.register_buffer("category_ids", torch.tensor(detector.spec.category_ids))

    def forward(
        self,
        images: Float[Tensor, "B 3 H W"],
        image_hw: Int[Tensor, "2"],
        boxes: Float[Tensor, "B N 4"] | None = None,
    ) -> tuple[Tensor, ...]:
        """The `Detections` that the detector's own evaluation keeps.

        Args:
            images: as the detector's preprocessing leaves them, then zeros at the right and bottom
                up to multiples of the detector's padding step.
            image_hw: their size before, pixels.
            boxes: for the head in place of the detector's, as of `Detections`.
        """
        batch, _, height, width = images.shape
        rows, columns = (torch.arange(side, device=images.device) for side in (height, width))
        padding = (rows >= image_hw[0])[:, None] | (columns >= image_hw[1])
        found = self.detector(images, padding.expand(batch, -1, -1))
        with_c1 = self.head.head.config.use_c1
        maps = [*found.memory, found.c1] if with_c1 else list(found.memory)
        sizes = [
            # as `mfd.detectors` counts them: cell i belongs to the image if pixel i * in / out does
            (torch.arange(out, device=images.device) * full // out < own).sum()
            for m in maps
            for out, full, own in zip(m.shape[1:3], (height, width), image_hw, strict=True)
        ]
        scores, queries, columns = top_detections(found.logits, self.spec, self.spec.max_detections)
        own_boxes = _take(found.boxes, queries)
        masks, quality, frames = self.head.masks(
            _take(found.queries, queries),
            own_boxes if boxes is None else xyxy_to_cxcywh(boxes),
            image_hw,
            found.memory,
            found.c1 if with_c1 else None,
            torch.stack(sizes).view(-1, 2),
        )
        detections = Detections(
            boxes=cxcywh_to_xyxy(own_boxes),
            scores=scores,
            labels=self.category_ids[columns],
            queries=queries,
            quality=quality.gather(-1, columns[..., None])[..., 0],
            masks=masks,
            frames=frames,
        )
        return tuple(detections)  # a program knows no class of mfd


def _take(values: Float[Tensor, "B Q d"], queries: Int[Tensor, "B N"]) -> Float[Tensor, "B N d"]:
    return values.gather(1, queries[..., None].expand(-1, -1, values.shape[-1]))
