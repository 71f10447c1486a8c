"""From images to instances: the frozen detector, the head, and what is worth showing."""

from collections.abc import Mapping, Sequence

import torch
from PIL import Image

from mfd.detectors import Detector, ImageFeatures, detect_all
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.masks import MaskPredictions, collate_candidates, predict_masks
from mfd.headtrain.inference.prediction import Prediction
from mfd.headtrain.inference.select import select_detections
from mfd.headtrain.inference.shown import DEFAULT, Shown
from mfd.headtrain.runs.binding import check_binding
from mfd.images import prepare_image


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

    @property
    def categories(self) -> dict[int, str]:
        """Name of each category id that the detector can find, ascending; the id if it has none."""
        ids = sorted(set(self.detector.spec.category_ids))
        return {category_id: self.names.get(category_id, str(category_id)) for category_id in ids}

    def __call__(
        self,
        images: Sequence[Image.Image],
        shown: Shown = DEFAULT,
        *,
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
            shown,
            device=self.device,
        )


def predict(
    head: MaskHead,
    images: Sequence[ImageFeatures],
    names: Mapping[int, str],
    shown: Shown = DEFAULT,
    *,
    device: torch.device | str = "cpu",
) -> list[list[Prediction]]:
    """The instances of each image of a batch, those of the best score first.

    The head sees as many detections as the detector's own evaluation keeps, whatever is shown.

    Args:
        head: on `device`, in evaluation mode.
        images: the output of the detector that the head was trained for.
        names: of each category id; the id stands for a missing one.

    Raises:
        DataError: naming the image, if features or masks are not finite.
    """
    candidates = [select_detections(i, head.spec, head.spec.max_detections) for i in images]
    batch = collate_candidates(images, candidates).to(device)
    predictions = []
    for masks in predict_masks(head, batch, candidates):
        keep = (masks.candidates.scores >= shown.min_score) & (masks.quality >= shown.min_quality)
        if shown.categories_per_query == "best":
            best = torch.zeros_like(keep)
            best[masks.candidates.best_of_query()] = True
            keep &= best
        order = masks.scores.argsort(descending=True, stable=True)
        kept = (index for index in order.tolist() if keep[index])
        predictions.append([_prediction(masks, index, names) for index in kept])
    return predictions


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
