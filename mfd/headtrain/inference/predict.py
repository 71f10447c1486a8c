"""From images to instances: the frozen detector, the head, and what is worth showing."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from PIL import Image

from mfd.detectors import Detector, ImageFeatures, detect_all
from mfd.errors import ConfigError
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.masks import MaskPredictions, collate_candidates, predict_masks
from mfd.headtrain.inference.prediction import Prediction
from mfd.headtrain.inference.select import select_detections
from mfd.headtrain.runs.binding import check_binding
from mfd.images import prepare_image

MIN_SCORE = 0.4
"""The class score from which instances are shown: where precision and recall balance.

Measured on 206 COCO photographs with a detector of box AP 0.34 (one category per query, IoU 0.5):

    min_score   instances an image   images without   right of those shown   found   F1
    0.3         8.9                  2                49 %                   47 %    0.48
    0.4         5.3                  5                66 %                   40 %    0.50
    0.5         3.5                  7                79 %                   32 %    0.45

Class score times quality, at 0.4, would show 1.8 an image and nothing on 40 of them.
"""

Categories = Literal["best", "all"]


class Predictor:
    """Instances of RGB images, by a detector and a head that was trained on its features.

    Args:
        detector: frozen, as `mfd.detectors.load_detector` returns it.
        head: in evaluation mode, on the detector's device.
        names: of each category id that the detector itself has no name for; the id stands for a
            missing one.

    Raises:
        DetectorError: the head was trained for another detector.
    """

    def __init__(self, detector: Detector, head: MaskHead, names: Mapping[int, str]) -> None:
        check_binding(head.spec, detector.spec)
        self.detector, self.head = detector, head
        self.names = {**names, **detector.spec.names}
        self.device = next(head.parameters(), torch.empty(0)).device

    def __call__(
        self,
        images: Sequence[Image.Image],
        *,
        min_score: float = MIN_SCORE,
        min_quality: float = 0.0,
        categories_per_query: Categories = "best",
        image_ids: Sequence[int] | None = None,
    ) -> list[list[Prediction]]:
        """The instances of each image of a batch, those of the best score first; see `predict`.

        Args:
            images: upright RGB; those of similar sizes pass the detector together.
            image_ids: what errors call the images; None counts them from 0.
        """
        if not images:
            return []
        loaded = [prepare_image(image, self.detector.spec.preprocessing) for image in images]
        ids = range(len(images)) if image_ids is None else image_ids
        return predict(
            self.head,
            [
                features.cpu()
                for features in detect_all(
                    self.detector, loaded, ids, len(images), with_c1=self.head.config.use_c1
                )
            ],
            self.names,
            min_score=min_score,
            min_quality=min_quality,
            categories_per_query=categories_per_query,
            device=self.device,
        )


def predict(
    head: MaskHead,
    images: Sequence[ImageFeatures],
    names: Mapping[int, str],
    *,
    min_score: float = MIN_SCORE,
    min_quality: float = 0.0,
    categories_per_query: Categories = "best",
    device: torch.device | str = "cpu",
) -> list[list[Prediction]]:
    """The instances of each image of a batch, those of the best score first.

    The head sees as many detections as the detector's own evaluation keeps, whatever is shown.

    Args:
        head: on `device`, in evaluation mode.
        images: the output of the detector that the head was trained for.
        names: of each category id; the id stands for a missing one.
        min_score: instances with a lower class score, the detector's own, are left out.
        min_quality: instances whose mask has a lower quality are left out.
        categories_per_query: "best" keeps the category of a query with the best class score;
            "all" may give a query, and so its mask, several times.

    Raises:
        ConfigError: another value of `categories_per_query`.
        DataError: naming the image, if features or masks are not finite.
    """
    if categories_per_query not in get_args(Categories):
        raise ConfigError(
            f"categories_per_query must be 'best' or 'all', found {categories_per_query!r}"
        )
    candidates = [select_detections(i, head.spec, head.spec.max_detections) for i in images]
    batch = collate_candidates(images, candidates).to(device)
    shown = []
    for masks in predict_masks(head, batch, candidates):
        keep = (masks.candidates.scores >= min_score) & (masks.quality >= min_quality)
        if categories_per_query == "best":
            best = torch.zeros_like(keep)
            best[masks.candidates.best_of_query()] = True
            keep &= best
        order = masks.scores.argsort(descending=True, stable=True)
        kept = (index for index in order.tolist() if keep[index])
        shown.append([_prediction(masks, index, names) for index in kept])
    return shown


def _prediction(masks: MaskPredictions, index: int, names: Mapping[int, str]) -> Prediction:
    chosen = masks.candidates
    category_id = int(chosen.category_ids[index])
    left, top, right, bottom = chosen.boxes_xyxy[index].tolist()
    return Prediction(
        category_id=category_id,
        category=names.get(category_id, str(category_id)),
        class_score=float(chosen.scores[index]),
        quality=float(masks.quality[index]),
        box_xyxy=(left, top, right, bottom),
        rle=masks.mask(index),
        query=int(chosen.queries[chosen.query_row[index]]),
    )
