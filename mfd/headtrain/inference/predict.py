"""The instances of single images: as values, as pictures and as COCO JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from mfd.coco import decode_segmentation
from mfd.detectors import ImageFeatures
from mfd.headtrain.evaluation.results import Entry, write_results
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.inference.draw import Instance, draw_instances
from mfd.headtrain.inference.masks import choose, collate_candidates, detect_masks
from mfd.headtrain.inference.paste import Rle


@dataclass(frozen=True)
class Prediction:
    """An instance that was found.

    Attributes:
        category: name of the category.
        score: of the mask: class score times the mask's quality.
        class_score: the detector's own.
        box_xyxy: left, top, right, bottom in pixels of the image; may reach outside.
        mask: run lengths; `pixels` has them spread out.
        query: which of the detector's queries; it may be there with several categories.
    """

    category_id: int
    category: str
    score: float
    class_score: float
    box_xyxy: tuple[float, float, float, float]
    mask: Rle
    query: int

    def pixels(self) -> UInt8[np.ndarray, "H W"]:
        """The mask, 1 on the instance and 0 elsewhere."""
        height, width = self.mask["size"]
        return decode_segmentation(self.mask, (height, width))


@dataclass(frozen=True)
class NamedImage:
    """An image for `write_predictions`: its file, what a detector says of it, and its pixels."""

    path: Path
    features: ImageFeatures
    rgb: Image.Image


def predict(
    head: MaskHead,
    image: ImageFeatures,
    categories: Mapping[int, str],
    *,
    min_score: float = 0.4,
    max_detections: int | None = None,
    device: torch.device | str = "cpu",
) -> list[Prediction]:
    """The instances of an image, the best first.

    Args:
        head: on `device`, in evaluation mode.
        image: the output of the detector that the head was trained for.
        categories: name of each category id; the id stands for a missing name.
        min_score: masks with a lower score are left out.
        max_detections: that the head sees; None: as many as the detector's own evaluation keeps.

    Raises:
        DataError: naming the image, if features or masks are not finite.
    """
    count = head.spec.max_detections if max_detections is None else max_detections
    chosen = choose(image, head.spec, count)
    batch = collate_candidates([image], [chosen]).to(device)
    (found,) = detect_masks(head, batch, [chosen])
    predictions = []
    for index in np.argsort(-found.mask_scores, kind="stable").tolist():
        if (score := float(found.mask_scores[index])) < min_score:
            break
        category_id = int(chosen.category_ids[index])
        left, top, right, bottom = chosen.boxes_xyxy[index].tolist()
        predictions.append(
            Prediction(
                category_id=category_id,
                category=categories.get(category_id, str(category_id)),
                score=score,
                class_score=float(chosen.scores[index]),
                box_xyxy=(left, top, right, bottom),
                mask=found.mask(index),
                query=int(chosen.queries[chosen.query_row[index]]),
            )
        )
    return predictions


def draw_predictions(rgb: Image.Image, predictions: Sequence[Prediction]) -> Image.Image:
    """The image with the predicted masks; of a query's categories only the best is drawn."""
    best = {p.query: p for p in reversed(predictions)}  # the first, best one comes last
    drawn = [p for p in predictions if best[p.query] is p]
    instances = [Instance(p.mask, f"{p.category} {p.score:.2f}") for p in drawn]
    return draw_instances(np.asarray(rgb), instances)


def write_predictions(
    head: MaskHead,
    images: Iterable[NamedImage],
    folder: Path,
    categories: Mapping[int, str],
    *,
    min_score: float = 0.4,
    device: torch.device | str = "cpu",
) -> list[Path]:
    """Draw the instances of each image and list them all in `predictions.json`.

    Args:
        images: taken one at a time.
        folder: receives `predictions.json`, a list in COCO's result format with `file_name`
            besides, and a PNG named after each image; files of these names are replaced.

    Returns:
        The files written, the JSON file last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[Entry] = []
    written: list[Path] = []
    for image in images:
        found = predict(head, image.features, categories, min_score=min_score, device=device)
        entries.extend(_entry(image, prediction) for prediction in found)
        picture = _free_name(folder, image.path.stem, written)
        draw_predictions(image.rgb, found).save(picture)
        written.append(picture)
    results = folder / "predictions.json"
    write_results(results, entries)
    return [*written, results]


def _entry(image: NamedImage, prediction: Prediction) -> Entry:
    left, top, right, bottom = prediction.box_xyxy
    return {
        "image_id": image.features.image_id,
        "file_name": str(image.path),
        "category_id": prediction.category_id,
        "category": prediction.category,
        "score": round(prediction.score, 7),
        "bbox": [round(value, 4) for value in (left, top, right - left, bottom - top)],
        "segmentation": prediction.mask,
    }


def _free_name(folder: Path, stem: str, taken: Sequence[Path]) -> Path:
    """`stem.png`, or with a number where two images of a call have the same name."""
    number, path = 2, folder / f"{stem}.png"
    while path in taken:
        number, path = number + 1, folder / f"{stem}-{number}.png"
    return path
