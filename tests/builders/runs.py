"""A tiny store with annotations, and heads and recipes small enough to train in a second."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask

from mfd.cache import Store, StoreWriter
from mfd.coco import CocoDataset, read_dataset
from mfd.detectors.spec import DetectorSpec
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.head.batch import FeatureBatch
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.sources.protocol import BatchSource
from mfd.headtrain.targets.build import build_targets
from mfd.headtrain.targets.read import Targets
from mfd.headtrain.training.step import train_step
from tests.builders.features import SPEC as CACHE_SPEC
from tests.builders.features import features_of, make_identity

SPEC = replace(CACHE_SPEC, dim=16)
HEAD = HeadConfig(image_layers=1, box_layers=1, box_dim=8, roi_size=8, num_heads=2, num_points=2)
TRAIN = TrainConfig(
    epochs=3, batch_size=3, lr=1e-3, warmup_steps=2, log_every=2, checkpoint_every=4
)


def make_store(
    root: Path,
    count: int = 11,
    spec: DetectorSpec = SPEC,
    *,
    provenance: dict[str, str] | None = None,
    **fields: object,
) -> Store:
    """A finished store of `count` images of odd sizes with random features."""
    identity = make_identity(count, spec, **fields)
    with StoreWriter.open(root, identity, provenance=provenance or {}) as writer:
        for unit in writer.todo:
            writer.write(unit, features_of(writer.images(unit), spec, writer.identity.dtype))
        return Store.open(writer.finish())


def make_dataset(root: Path, store: Store, objects: int = 2, **changes: Any) -> CocoDataset:
    """Ellipses on the store's images, `objects` on each but the second, which has none.

    Args:
        changes: replace fields of every annotation.
    """
    random = np.random.default_rng(0)
    annotations: list[dict[str, Any]] = []
    for n, image in enumerate(store.images):
        height, width = image.original_hw
        for _ in range(0 if n == 1 else objects):
            centre = random.uniform(0.3, 0.7, 2) * (height, width)
            radius = random.uniform(0.1, 0.3, 2) * (height, width)
            y, x = np.mgrid[:height, :width]
            mask = ((y - centre[0]) / radius[0]) ** 2 + ((x - centre[1]) / radius[1]) ** 2 < 1
            rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image.image_id,
                "category_id": int(random.choice([1, 3, 90])),
                "bbox": coco_mask.toBbox(rle).tolist(),
                "area": int(mask.sum()),
                "iscrowd": 0,
                "segmentation": {"size": [height, width], "counts": rle["counts"].decode()},
            }
            annotations.append({**annotation, **changes})
    content = {
        "images": [
            {
                "id": i.image_id,
                "file_name": i.file_name,
                "height": i.original_hw[0],
                "width": i.original_hw[1],
            }
            for i in store.images
        ],
        "categories": [{"id": i, "name": f"kind {i}"} for i in (1, 3, 55, 90)],
        "annotations": annotations,
    }
    (root / "images").mkdir(exist_ok=True)
    path = root / "annotations.json"
    path.write_text(json.dumps(content))
    return read_dataset(path, root / "images")


def make_run(root: Path, count: int = 11) -> tuple[Store, Targets]:
    """A store under `root` with targets for heads of mask size 8."""
    store = make_store(root, count)
    return store, build_targets(store, make_dataset(root, store), root)


def train_losses(head: HeadConfig, source: BatchSource, config: TrainConfig) -> torch.Tensor:
    """Losses and gradient norms of every step of the recipe, always from the same initial head."""
    torch.manual_seed(0)
    model = MaskHead(head, source.spec).train()
    optimizer = torch.optim.AdamW(model.parameters())
    total = config.epochs * source.steps_per_epoch
    steps = enumerate(source.batches(0, total))
    return torch.stack(
        [
            train_step(model, optimizer, batch.to("cpu"), config, step, total, None).values
            for step, batch in steps
        ]
    )


def make_batch(boxes_per_image: tuple[int, ...] = (2, 1, 2)) -> TrainingBatch:
    """Random features and crops of images with so many boxes each."""
    images, boxes = len(boxes_per_image), sum(boxes_per_image)
    features = FeatureBatch(
        memory=[torch.randn(images, 5, 7, SPEC.dim), torch.randn(images, 3, 4, SPEC.dim)],
        memory_hw=torch.tensor([[[5, 7], [3, 4]]] * images),
        c1=torch.randn(images, 19, 27, SPEC.c1_channels),
        c1_hw=torch.tensor([[19, 27]] * images),
        input_hw=torch.tensor([[75, 107]] * images),
        queries=torch.randn(boxes, SPEC.dim),
        boxes=torch.rand(boxes, 4) * 0.4 + 0.2,
        labels=torch.randint(0, 3, (boxes,)),
        image_index=torch.repeat_interleave(torch.arange(images), torch.tensor(boxes_per_image)),
    )
    crops = torch.randint(0, 256, (boxes, 32, 32), dtype=torch.uint8)
    names = tuple(f"{n} ({n}.jpg)" for n in range(images))
    return TrainingBatch(features, crops, torch.ones(boxes), torch.arange(boxes), names)
