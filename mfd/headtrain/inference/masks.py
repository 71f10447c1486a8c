"""Which detections of an image get a mask, and their masks' scores and probability maps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfd.detectors import DetectorSpec, ImageFeatures, top_detections
from mfd.errors import DataError
from mfd.headtrain.head.batch import FeatureBatch, collate
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.paste import Rle, paste_mask


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
    """

    image_id: int
    size_hw: tuple[int, int]
    boxes_xyxy: Float[np.ndarray, "N 4"]
    scores: Float[np.ndarray, " N"]
    columns: Int[np.ndarray, " N"]
    category_ids: Int[np.ndarray, " N"]
    queries: Int[np.ndarray, " U"]
    query_row: Int[np.ndarray, " N"]


@dataclass(frozen=True)
class Detections:
    """Candidates with masks.

    Attributes:
        candidates: of one image.
        mask_scores: class score times the mask's quality (eq. 13, or eq. 2).
        maps: mask probabilities of every query among the candidates.
        frames_xyxy: left, top, right, bottom of each map in pixels of the image file: the box, or
            more than the image for heads without RoIAlign.
    """

    candidates: Candidates
    mask_scores: Float[np.ndarray, " N"]
    maps: Float[np.ndarray, "U h w"]
    frames_xyxy: Float[np.ndarray, "U 4"]

    def mask(self, index: int) -> Rle:
        """The mask of one candidate."""
        row = self.candidates.query_row[index]
        return paste_mask(self.maps[row], self.frames_xyxy[row], self.candidates.size_hw)

    def masks(self) -> Iterator[Rle]:
        """Every candidate's mask, pasted when its turn comes; pairs of one query share theirs."""
        pasted: dict[int, Rle] = {}
        for index, row in enumerate(self.candidates.query_row.tolist()):
            if row not in pasted:
                pasted[row] = self.mask(index)
            yield pasted[row]


def choose(image: ImageFeatures, spec: DetectorSpec, max_detections: int) -> Candidates:
    """The image's `max_detections` best (query, category) pairs, chosen as the detector does.

    Raises:
        DataError: names the image if a score or box is not finite.
    """
    scores, queries, columns = (
        values.numpy() for values in top_detections(image.logits, spec, max_detections)
    )
    unique, row = np.unique(queries, return_inverse=True)
    boxes_xyxy = _pixels_xyxy(image.boxes[queries], image.original_hw)
    if not (np.isfinite(scores).all() and np.isfinite(boxes_xyxy).all()):
        raise DataError(
            f"image {image.image_id} has scores or boxes that are not finite; "
            "check its store, or extract it again in float32"
        )
    return Candidates(
        image_id=image.image_id,
        size_hw=image.original_hw,
        boxes_xyxy=boxes_xyxy,
        scores=scores,
        columns=columns,
        category_ids=np.array(spec.category_ids)[columns],
        queries=unique,
        query_row=row,
    )


def collate_candidates(
    images: Sequence[ImageFeatures], candidates: Sequence[Candidates]
) -> FeatureBatch:
    """What the head reads: every query among the candidates once, with its best category."""
    queries = [torch.from_numpy(chosen.queries) for chosen in candidates]
    labels = []
    for chosen in candidates:
        first = np.unique(chosen.query_row, return_index=True)[1]  # best score first
        labels.append(torch.from_numpy(chosen.columns[first]))
    return collate(images, queries, labels)


@torch.inference_mode()
def detect_masks(
    head: MaskHead, batch: FeatureBatch, candidates: Sequence[Candidates]
) -> list[Detections]:
    """The candidates of each image of a batch, with masks.

    With mask scoring, a mask's quality is the IoU that the head expects for the candidate's
    category (eq. 13), limited to [0, 1]; without, it is the mean of the mask's probabilities above
    one half (eq. 2), taken over the cells of its map, and 0 if there are none.

    Args:
        head: on the batch's device.
        batch: of `collate_candidates`.
        candidates: of the batch's images.

    Raises:
        DataError: names the image whose masks are not finite.
    """
    output = head(batch)
    maps = output.mask_logits.float().sigmoid()
    if output.iou is None:
        iou = _mean_above_half(maps)[:, None].expand(-1, len(head.spec.category_ids))
    else:
        iou = output.iou.float().clamp(0, 1)
    counts = [len(chosen.queries) for chosen in candidates]
    per_image = (values.cpu().split(counts) for values in (maps, iou, output.frames))
    detections = []
    for chosen, *values in zip(candidates, *per_image, strict=True):
        image_maps, image_iou, frames = values
        quality = image_iou.numpy()[chosen.query_row, chosen.columns]
        if not (torch.isfinite(image_maps).all() and np.isfinite(quality).all()):
            raise DataError(
                f"the masks of image {chosen.image_id} are not finite; "
                "check its store, or train the head again"
            )
        detections.append(
            Detections(
                candidates=chosen,
                mask_scores=chosen.scores * quality,
                maps=image_maps.numpy(),
                frames_xyxy=_pixels_xyxy(frames, chosen.size_hw),
            )
        )
    return detections


def _mean_above_half(maps: Float[Tensor, "N h w"]) -> Float[Tensor, " N"]:
    above = maps > 0.5
    return (maps * above).sum((1, 2)) / above.sum((1, 2)).clamp(min=1)


def _pixels_xyxy(boxes: Float[Tensor, "N 4"], size_hw: tuple[int, int]) -> Float[np.ndarray, "N 4"]:
    """Corners in pixels of boxes (centre x, centre y, width, height) in parts of the image."""
    centre, size = boxes.double().split(2, dim=-1)
    corners = torch.cat([centre - size / 2, centre + size / 2], dim=-1).numpy()
    return corners * np.array([size_hw[1], size_hw[0], size_hw[1], size_hw[0]])
