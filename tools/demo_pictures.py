"""Generated pictures as training batches of the demo detector, and as its test."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from mfd.demo import CATEGORIES, SceneConfig, compose
from mfd.detectors.deformable.detector import DeformableDetector
from mfd.detectors.scores import top_detections
from mfd.images import Preprocessing, prepare_image
from mfd.nn.boxes import cxcywh_to_xyxy

CATEGORY_IDS = tuple(sorted(CATEGORIES))
PREPROCESSING = Preprocessing(shorter_side=192, longer_side=288)
_COLUMNS = {category_id: column for column, category_id in enumerate(CATEGORY_IDS)}
_SMALL_SIDES = (160, 192)
_MAX_PADDING = 32  # pixels, as in batches of real data sets


@dataclass
class Batch:
    """Normalised pictures of almost equal size, and their objects."""

    images: Float[Tensor, "B 3 H W"]
    padding: Bool[Tensor, "B H W"]
    columns: list[Int[Tensor, " n"]]
    boxes: list[Float[Tensor, "n 4"]]  # cxcywh, relative to the picture without padding


def batches(seed: int, steps: int, small_steps: int, size: int) -> Iterator[Batch]:
    """`steps` batches of `size` pictures, the first `small_steps` of smaller pictures.

    Each is drawn in a thread while the one before is trained on.
    """
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(_draw, seed, 0, size, small_steps > 0)
        for step in range(1, steps + 1):
            batch = coming.result()
            coming = pool.submit(_draw, seed, step, size, step < small_steps)
            yield batch


def _draw(seed: int, step: int, size: int, small: bool) -> Batch:
    """Pictures composed at a scale of their own, then resized to about one common size.

    There are no crowds: what is not annotated one by one would count as background.
    """
    rng = np.random.default_rng([seed + 2**31, step])  # a data set's streams begin with its seed
    shorter, longer = PREPROCESSING.shorter_side, PREPROCESSING.longer_side
    if small:
        shorter, longer = _SMALL_SIDES
    common = np.array([shorter, rng.integers(shorter, longer + 1)])
    if rng.uniform() < 0.4:
        common = common[::-1]
    images = torch.zeros(size, 3, *common.tolist())
    padding = torch.ones(size, *common.tolist(), dtype=torch.bool)
    columns, boxes = [], []
    for index in range(size):
        height, width = (common - rng.integers(0, _MAX_PADDING + 1, 2)).tolist()
        composed = np.round(np.array([height, width]) * rng.uniform(0.83, 1.17)).astype(int)
        scene = compose(rng, (int(composed[0]), int(composed[1])), SceneConfig(crowd_probability=0))
        resized = Image.fromarray(scene.image).resize((width, height), Image.Resampling.BILINEAR)
        sized = replace(PREPROCESSING, size_hw=(height, width))
        images[index, :, :height, :width] = prepare_image(resized, sized).pixels
        padding[index, :height, :width] = False
        found = np.array([_box(item.mask) for item in scene.objects], dtype=np.float32)
        boxes.append(torch.from_numpy(found).view(-1, 4))
        columns.append(torch.tensor([_COLUMNS[o.category_id] for o in scene.objects]).long())
    return Batch(images.contiguous(memory_format=torch.channels_last), padding, columns, boxes)


def _box(mask: NDArray[np.bool_]) -> tuple[float, ...]:
    """The mask's box, cxcywh relative to the picture."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y0, y1 = rows[0] / mask.shape[0], (rows[-1] + 1) / mask.shape[0]
    x0, x1 = columns[0] / mask.shape[1], (columns[-1] + 1) / mask.shape[1]
    return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0


@torch.no_grad()
def box_ap(detector: DeformableDetector, data_root: Path) -> dict[str, float]:
    """AP of a detector's boxes on the val images of a generated data set, by pycocotools alone."""
    spec = detector.spec
    with redirect_stdout(StringIO()):
        truth = COCO(data_root / "annotations" / "instances_val2017.json")
    results = []
    for image in truth.imgs.values():
        width, height = image["width"], image["height"]
        with Image.open(data_root / "val2017" / image["file_name"]) as picture:
            pixels = prepare_image(picture.convert("RGB"), PREPROCESSING).pixels[None]
        found = detector(pixels, torch.zeros(1, *pixels.shape[2:], dtype=torch.bool))
        scores, queries, columns = top_detections(found.logits[0], spec, spec.max_detections)
        corners = cxcywh_to_xyxy(found.boxes[0][queries]) * torch.tensor([width, height] * 2)
        for score, column, (x0, y0, x1, y1) in zip(
            scores.tolist(), columns.tolist(), corners.tolist(), strict=True
        ):
            category_id, bbox = spec.category_ids[column], [x0, y0, x1 - x0, y1 - y0]
            results.append(
                {"image_id": image["id"], "category_id": category_id, "bbox": bbox, "score": score}
            )
    with redirect_stdout(StringIO()):
        judge = COCOeval(truth, truth.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    names = ("box_ap", "box_ap50", "box_ap75", "box_ap_small", "box_ap_medium", "box_ap_large")
    return {name: round(float(judge.stats[i]), 4) for i, name in enumerate(names)}
