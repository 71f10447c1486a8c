"""What a detector should find in an image, as its view shows it."""

from collections.abc import Sequence

import torch

from mfd.coco import Annotation
from mfd.detectors import DetectorSpec
from mfd.headtrain.finetune.losses import DetectionTruth
from mfd.headtrain.targets.objects import known_objects
from mfd.headtrain.targets.view_map import ViewMap
from mfd.nn import xyxy_to_cxcywh


def detection_truth(
    annotations: Sequence[Annotation], spec: DetectorSpec, view: ViewMap
) -> DetectionTruth:
    """Every object with a box in the view, whether it has a mask or not; crowds are left out."""
    objects, _ = known_objects(annotations, spec, view)
    columns = [spec.category_ids.index(annotation.category_id) for annotation, _ in objects]
    corners = torch.tensor([box for _, box in objects]).reshape(-1, 4)
    return DetectionTruth(
        torch.tensor(columns, dtype=torch.long), xyxy_to_cxcywh(view.to_view(corners))
    )
