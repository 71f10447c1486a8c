"""A training batch put together from images' features and their targets."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from mfd.detectors import ImageFeatures
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.head.batch import collate
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.sources.boxes import box_keys, trained_boxes
from mfd.headtrain.targets.image import ImageTargets
from mfd.nn import cxcywh_to_xyxy, enlarged

CELLS_PER_CELL = 4
"""Cells of a crop for each cell of the head's masks, along either side. [ours]"""


def assemble(
    images: Sequence[ImageFeatures],
    targets: Sequence[ImageTargets],
    image_names: Sequence[str],
    head: HeadConfig,
    config: TrainConfig,
    step: int,
) -> TrainingBatch:
    """The boxes of several images that are trained at a step, with their objects' masks.

    Args:
        targets: of the same images.
        head: says how large its masks and their frames are.
        config: says which boxes are trained.
        step: counted from 0.
    """
    queries, labels, boxes, crops, area_ratio, keys = [], [], [], [], [], []
    for image, of_image in zip(images, targets, strict=True):
        chosen = trained_boxes(image.boxes, of_image, config, step)
        of_boxes = torch.from_numpy(chosen.boxes_cxcywh)
        frames = cxcywh_to_xyxy(enlarged(of_boxes, head.frame_margin)).numpy()
        size = CELLS_PER_CELL * head.roi_size
        cut, ratio = of_image.objects.crops(chosen.object_index, frames, size)
        queries.append(torch.from_numpy(chosen.query_index))
        labels.append(torch.from_numpy(of_image.objects.labels[chosen.object_index]))
        boxes.append(of_boxes.float())
        crops.append(cut)
        area_ratio.append(ratio)
        ids = of_image.objects.annotation_ids[chosen.object_index]
        keys.append(box_keys(ids, config.seed, step))
    return TrainingBatch(
        features=replace(collate(images, queries, labels), boxes=torch.cat(boxes)),
        crops=torch.from_numpy(np.concatenate(crops)),
        area_ratio=torch.from_numpy(np.concatenate(area_ratio)),
        keys=torch.from_numpy(np.concatenate(keys)),
        image_names=tuple(image_names),
    )
