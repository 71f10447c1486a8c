"""A small annotated data set, a store of a detector that nearly finds its objects, and heads."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pycocotools import mask as mask_utils
from torch import Tensor, nn

from mfd.cache import Store, StoreIdentity, StoreImage, StoreWriter
from mfd.coco import CocoDataset, decode_segmentation, read_dataset
from mfd.detectors import ImageFeatures
from mfd.detectors.spec import DetectorSpec
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.model import HeadOutput, MaskHead
from mfd.images.preprocessing import Preprocessing
from tests.builders.masks import cell_means

SPEC = DetectorSpec(
    name="nearly",
    dim=8,
    strides=(16, 32),
    num_queries=12,
    category_ids=(1, 3, 90),
    c1_channels=8,
    weights_digest="cd" * 32,
    preprocessing=Preprocessing(shorter_side=64, longer_side=200),
    max_detections=20,
)
CONFIG = HeadConfig(
    image_layers=0,
    box_layers=0,
    box_dim=None,
    query_ffn=False,
    query_b2o=False,
    neck=False,
    mask_scoring=False,
    roi_size=16,
    num_heads=2,
)
NAMES = {1: "disc", 3: "ring", 90: "hook", 91: "never found"}
IMAGES = 10


def write_annotations(path: Path, images: int = IMAGES) -> dict[str, Any]:
    """A COCO file of rings, discs and hooks in images of odd sizes, some of them crowds."""
    random = np.random.default_rng(7)
    content: dict[str, Any] = {"images": [], "annotations": []}
    content["categories"] = [{"id": key, "name": name} for key, name in NAMES.items()]
    for number in range(images):
        height, width = int(61 + 13 * (number % 4)), int(97 - 9 * (number % 5))
        image_id = 4 * number + 2
        content["images"].append(
            {"id": image_id, "file_name": f"{number}.png", "height": height, "width": width}
        )
        for place in range(3):
            mask = _draw(random, height, width, place)
            rle = mask_utils.encode(np.asfortranarray(mask))
            content["annotations"].append(
                {
                    "id": len(content["annotations"]),  # from 0, as some tools number
                    "image_id": image_id,
                    "category_id": (1, 3, 90)[(number + place) % 3],
                    "bbox": [float(v) for v in mask_utils.toBbox(rle)],
                    "area": float(mask_utils.area(rle)),
                    "iscrowd": int(place == 2 and number % 4 == 1),
                    "segmentation": {"size": [height, width], "counts": rle["counts"].decode()},
                }
            )
    path.write_text(json.dumps(content))
    return content


def make_dataset(folder: Path, images: int = IMAGES) -> CocoDataset:
    """The data set of `write_annotations`, without image files."""
    write_annotations(folder / "annotations.json", images)
    return read_dataset(folder / "annotations.json", folder)


def make_store(
    folder: Path,
    dataset: CocoDataset,
    spec: DetectorSpec = SPEC,
    *,
    profile: Literal["full", "lite"] = "full",
    unread: tuple[int, ...] = (),
) -> Store:
    """Features of a detector whose first queries are the objects, their boxes a little off.

    Args:
        unread: image ids that the detector could not read.
    """
    images = tuple(
        StoreImage(entry.image_id, entry.file_name, entry.size_hw, f"{entry.image_id:064x}")
        for entry in dataset.images
    )
    identity = StoreIdentity(spec, "val", images, dtype="float32", profile=profile)
    writer = StoreWriter.open(folder, identity)
    with writer:
        for unit in writer.todo:
            found = (None if i.image_id in unread else i for i in writer.images(unit))
            writer.write(unit, [i and _features(dataset, i, spec) for i in found])
        path = writer.finish()
    return Store.open(path)


class Knows(MaskHead):
    """A head that knows the annotations: the object in a query's box, at `roi_size` cells.

    The first two numbers of a query are its image and its object; other queries have none.
    """

    def __init__(self, dataset: CocoDataset, spec: DetectorSpec = SPEC, iou: bool = False) -> None:
        nn.Module.__init__(self)
        self.dataset, self.spec, self.config, self.scores_masks = dataset, spec, CONFIG, iou

    def forward(self, batch: FeatureBatch) -> HeadOutput:
        """Logits of -4 and 4 where the object is not and is, and between the two at its edges."""
        rows = zip(batch.queries[:, :2].tolist(), batch.boxes, strict=True)
        maps = torch.stack([self._map(int(image), int(place), box) for (image, place), box in rows])
        iou = batch.queries[:, 2:5].clone() if self.scores_masks else None
        return HeadOutput(8 * maps - 4, batch.boxes, iou)

    def _map(self, image_id: int, place: int, box: Tensor) -> Tensor:
        size = self.config.roi_size
        if place < 0:
            return torch.zeros(size, size)
        sizes = {entry.image_id: entry.size_hw for entry in self.dataset.images}
        height, width = sizes[image_id]
        mask = decode_segmentation(
            self.dataset.annotations[image_id][place].segmentation, sizes[image_id]
        )
        x, y, w, h = (box * torch.tensor([width, height, width, height])).tolist()
        corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        return torch.from_numpy(cell_means(mask, corners, size)).float()


def _draw(random: np.random.Generator, height: int, width: int, place: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width] + 0.5
    radius = random.uniform(9, 21)
    distance = np.hypot(x - width * (0.25 + 0.25 * place), y - height * random.uniform(0.3, 0.7))
    mask = distance < radius
    if place == 1:
        mask &= distance > radius / 2
    if place == 2:
        mask &= (x < width * 0.7) | (y > height * 0.4)
    return mask.astype(np.uint8)


def _features(dataset: CocoDataset, image: StoreImage, spec: DetectorSpec) -> ImageFeatures:
    generator = torch.Generator().manual_seed(image.image_id)
    height, width = image.original_hw
    scale = spec.preprocessing.shorter_side / min(height, width)
    input_hw = (int(height * scale), int(width * scale))
    objects = dataset.annotations.get(image.image_id, ())
    boxes = torch.rand(spec.num_queries, 4, generator=generator) * 0.4 + 0.2
    logits = torch.randn(spec.num_queries, spec.num_logits, generator=generator) - 4
    queries = torch.rand(spec.num_queries, spec.dim, generator=generator)
    queries[:, 0], queries[:, 1] = image.image_id, -1
    for place, found in enumerate(objects):
        left, top, w, h = found.bbox_xywh
        exact = torch.tensor(
            [(left + w / 2) / width, (top + h / 2) / height, w / width, h / height]
        )
        boxes[place] = exact + 0.012 * torch.randn(4, generator=generator)
        logits[place, spec.category_ids.index(found.category_id)] += 6
        queries[place, 1] = place
    return ImageFeatures(
        image_id=image.image_id,
        original_hw=image.original_hw,
        input_hw=input_hw,
        queries=queries,
        boxes=boxes,
        logits=logits,
        memory=[_random_map(input_hw, s, spec.dim, generator) for s in spec.strides],
        c1=_random_map(input_hw, spec.c1_stride, spec.c1_channels, generator),
    )


def _random_map(
    input_hw: tuple[int, int], stride: int, channels: int, generator: torch.Generator
) -> Tensor:
    rows, columns = (-(-side // stride) for side in input_hw)
    return torch.randn(rows, columns, channels, generator=generator)
