"""One image's targets made on the spot, for a detector that runs while the head is trained."""

from collections.abc import Sequence

import numpy as np
import torch

from mfd.coco import Annotation, ImageEntry
from mfd.detectors import DetectorSpec, ImageFeatures
from mfd.errors import TrainingError
from mfd.headtrain.targets.objects import matched_objects
from mfd.headtrain.targets.read import ImageTargets


def fresh_targets(
    features: ImageFeatures,
    annotations: Sequence[Annotation],
    image: ImageEntry,
    spec: DetectorSpec,
    crop_size: int,
) -> ImageTargets:
    """The targets that `build_targets` would keep of these features, on the CPU.

    Args:
        features: float32, on any device.
        annotations: of the image, crowd regions included.
        crop_size: G, cells along each side of an object's crop.

    Raises:
        TrainingError: logits or boxes are not finite.
        DataError: a malformed segmentation.
    """
    logits, boxes = features.logits.detach().cpu(), features.boxes.detach().cpu()
    if not (logits.isfinite().all() and boxes.isfinite().all()):
        raise TrainingError(
            f"the detector's output for image {image.image_id} ({image.file_name}) holds NaN or "
            "infinity; look at the image, or train with precision=float32"
        )
    rows, _ = matched_objects(logits, boxes, annotations, image, spec, crop_size)
    crops = np.array([row.crop for row in rows], np.uint8).reshape(-1, crop_size, crop_size)
    return ImageTargets(
        query_index=torch.tensor([row.query_index for row in rows], dtype=torch.long),
        labels=torch.tensor([row.label for row in rows], dtype=torch.long),
        crops=torch.from_numpy(crops),
        area_ratio=torch.tensor([row.area_ratio for row in rows], dtype=torch.float32),
        annotation_ids=torch.tensor([row.annotation_id for row in rows], dtype=torch.long),
    )
