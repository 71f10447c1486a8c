"""Which (query, category) pairs of an image get a mask: the detector's own choice."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfd.detectors import DetectorSpec, ImageFeatures, top_detections
from mfd.errors import DataError
from mfd.images import Placement, map_boxes
from mfd.nn import cxcywh_to_xyxy


@dataclass(frozen=True)
class Candidates:
    """One image's best (query, category) pairs as the detector scores them, best first.

    Attributes:
        image_id: COCO image id.
        size_hw: of the image file, pixels.
        boxes_xyxy: left, top, right, bottom in pixels of the image file, not clipped to it.
        scores: the detector's class scores.
        columns: the pairs' logit columns.
        category_ids: COCO's, of the same.
        queries: the queries among the pairs, each once, ascending.
        query_row: every pair's row in `queries`.
        placement: how the image lay in the detector's input, as of its features.
    """

    image_id: int
    size_hw: tuple[int, int]
    boxes_xyxy: Float[Tensor, "N 4"]
    scores: Float[Tensor, " N"]
    columns: Int[Tensor, " N"]
    category_ids: Int[Tensor, " N"]
    queries: Int[Tensor, " U"]
    query_row: Int[Tensor, " N"]
    placement: Placement | None = None

    def best_of_query(self) -> Int[Tensor, " U"]:
        """The pair with the best class score of each query, in the order of `queries`."""
        count = len(self.query_row)
        first = torch.full((len(self.queries),), count)
        return first.scatter_reduce_(0, self.query_row, torch.arange(count), "amin")


def select_detections(
    image: ImageFeatures, spec: DetectorSpec, max_detections: int, *, once: bool = False
) -> Candidates:
    """The image's `max_detections` best (query, category) pairs, selected as the detector does.

    Args:
        once: select each query once, with its best category.

    Raises:
        DataError: names the image if a score or box is not finite.
    """
    scores, queries, columns = top_detections(image.logits, spec, max_detections, once=once)
    boxes_xyxy = boxes_in_pixels(image.boxes[queries], image.original_hw, image.placement)
    if not (torch.isfinite(scores).all() and torch.isfinite(boxes_xyxy).all()):
        raise DataError(
            f"image {image.image_id} has scores or boxes that are not finite; "
            "check its store, or extract it again in float32"
        )
    unique, row = torch.unique(queries, return_inverse=True)
    return Candidates(
        image_id=image.image_id,
        size_hw=image.original_hw,
        boxes_xyxy=boxes_xyxy,
        scores=scores,
        columns=columns,
        category_ids=torch.tensor(spec.category_ids)[columns],
        queries=unique,
        query_row=row,
        placement=image.placement,
    )


def boxes_in_pixels(
    boxes_cxcywh: Float[Tensor, "N 4"],
    size_hw: tuple[int, int],
    placement: Placement | None = None,
) -> Float[Tensor, "N 4"]:
    """Corners (left, top, right, bottom) in pixels of the image file, float64.

    Args:
        boxes_cxcywh: in parts of what the detector saw.
        size_hw: of the image file.
        placement: of the image in what the detector saw; None: that was all of it, upright.
    """
    height, width = size_hw if placement is None else placement.input_hw
    scale = boxes_cxcywh.new_tensor([width, height, width, height], dtype=torch.float64)
    corners = cxcywh_to_xyxy(boxes_cxcywh.double()) * scale
    if placement is None:
        return corners
    return torch.from_numpy(map_boxes(placement.inverse, corners.numpy()))
