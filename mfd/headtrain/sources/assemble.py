"""A training batch put together from images' features and their targets."""

from collections.abc import Sequence

import numpy as np
import torch

from mfd.detectors import ImageFeatures
from mfd.headtrain.head.batch import collate
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.targets.image import ImageTargets
from mfd.nn import cxcywh_to_xyxy

CELLS_PER_CELL = 4
"""Cells of a crop for each cell of the head's masks, along either side. [ours]"""


def assemble(
    images: Sequence[ImageFeatures],
    targets: Sequence[ImageTargets],
    image_names: Sequence[str],
    roi_size: int,
) -> TrainingBatch:
    """The matched queries of several images, and their objects' masks over the queries' boxes.

    Args:
        targets: of the same images.
        roi_size: rows and columns of the head's masks.
    """
    queries = [torch.from_numpy(t.query_index) for t in targets]
    labels = [torch.from_numpy(t.objects.labels[t.object_index]) for t in targets]
    crops, area_ratio = [], []
    for image, of_image in zip(images, targets, strict=True):
        boxes = image.boxes[of_image.query_index].detach().cpu().double()
        cut, ratio = of_image.objects.crops(
            of_image.object_index, cxcywh_to_xyxy(boxes).numpy(), CELLS_PER_CELL * roi_size
        )
        crops.append(cut)
        area_ratio.append(ratio)
    return TrainingBatch(
        features=collate(images, queries, labels),
        crops=torch.from_numpy(np.concatenate(crops)),
        area_ratio=torch.from_numpy(np.concatenate(area_ratio)),
        image_names=tuple(image_names),
    )
