"""The head's answer to the selected detections: probability maps and the quality of each mask."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mfd.detectors import ImageFeatures
from mfd.errors import DataError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.batch import FeatureBatch, collate
from mfd.headtrain.head.model import HeadOutput, MaskHead
from mfd.headtrain.inference.paste import Rle, paste_mask
from mfd.headtrain.inference.select import Candidates, boxes_in_pixels


@dataclass(frozen=True)
class MaskPredictions:
    """Candidates with masks, in the CPU's memory.

    Attributes:
        candidates: of one image.
        quality: of each candidate's mask, in [0, 1]: the IoU that the head expects for the
            category (eq. 13), or the mean of the mask's probabilities above one half (eq. 2).
        maps: mask probabilities, or logits, of every query among the candidates, upright as the
            image file.
        frames_xyxy: left, top, right, bottom of each map in pixels of the image file: the box, or
            more than the image for heads without RoIAlign.
        threshold: what a map is above on the object.
    """

    candidates: Candidates
    quality: Float[Tensor, " N"]
    maps: Float[Tensor, "U h w"]
    frames_xyxy: Float[Tensor, "U 4"]
    threshold: float = 0.5

    @property
    def scores(self) -> Float[Tensor, " N"]:
        """What COCO's evaluation ranks masks by: class score times quality."""
        return self.candidates.scores * self.quality

    def mask(self, index: int) -> Rle:
        """The mask of one candidate."""
        row = int(self.candidates.query_row[index])
        size_hw = self.candidates.size_hw
        return paste_mask(self.maps[row], self.frames_xyxy[row], size_hw, self.threshold)

    def masks(self) -> Iterator[Rle]:
        """Every candidate's mask, pasted when its turn comes; pairs of one query share theirs."""
        pasted: dict[int, Rle] = {}
        for index, row in enumerate(self.candidates.query_row.tolist()):
            if row not in pasted:
                pasted[row] = self.mask(index)
            yield pasted[row]


def collate_candidates(
    images: Sequence[ImageFeatures], candidates: Sequence[Candidates]
) -> FeatureBatch:
    """What the head reads: every query among the candidates once, with its best category."""
    labels = [chosen.columns[chosen.best_of_query()] for chosen in candidates]
    return collate(images, [chosen.queries for chosen in candidates], labels)


@torch.inference_mode()
def predict_masks(
    head: MaskHead, batch: FeatureBatch, candidates: Sequence[Candidates]
) -> list[MaskPredictions]:
    """The candidates of each image of a batch, with masks.

    Without mask scoring, the mean probability above one half is taken over the cells of the map,
    and is 0 if there are none. Estimated IoUs are limited to [0, 1].

    Args:
        head: on the batch's device.
        batch: of `collate_candidates`.
        candidates: of the batch's images.

    Raises:
        DataError: names the image whose masks are not finite.
    """
    output = head(batch)
    maps, iou = maps_and_quality(head, output)
    threshold = threshold_of(head.config)
    counts = [len(chosen.queries) for chosen in candidates]
    per_image = (values.cpu().split(counts) for values in (maps, iou, output.frames))
    predictions = []
    for chosen, *values in zip(candidates, *per_image, strict=True):
        image_maps, image_iou, frames = values
        quality = image_iou[chosen.query_row, chosen.columns]
        if not (torch.isfinite(image_maps).all() and torch.isfinite(quality).all()):
            raise DataError(
                f"the masks of image {chosen.image_id} are not finite; "
                "check its store, or train the head again"
            )
        frames_xyxy = boxes_in_pixels(frames, chosen.size_hw, chosen.placement)
        if chosen.placement is not None and chosen.placement.flip:
            image_maps = image_maps.flip(-1)
        predictions.append(MaskPredictions(chosen, quality, image_maps, frames_xyxy, threshold))
    return predictions


def maps_and_quality(
    head: MaskHead, output: HeadOutput
) -> tuple[Float[Tensor, "N h w"], Float[Tensor, "N K"]]:
    """What is pasted, and every mask's quality for each category; see `MaskPredictions`."""
    logits = output.mask_logits.float()
    probabilities = logits.sigmoid()
    estimate = output.iou
    iou = _mean_above_half(probabilities)[:, None] if estimate is None else estimate.float()
    iou = iou.clamp(0, 1).expand(-1, len(head.spec.category_ids))
    return (logits if head.config.paste == "logits" else probabilities), iou


def threshold_of(config: HeadConfig) -> float:
    """What the maps of `maps_and_quality` are above on the object."""
    return 0.0 if config.paste == "logits" else 0.5


def _mean_above_half(maps: Float[Tensor, "N h w"]) -> Float[Tensor, " N"]:
    above = maps > 0.5
    return (maps * above).sum((1, 2)) / above.sum((1, 2)).clamp(min=1)
