"""Faults of inference and evaluation."""

# ruff: noqa: E501

from .fault import faults

# fmt: off
EVALUATION = [
    *faults(
        "mfd/headtrain/evaluation/metrics/coco.py", "tests/headtrain/evaluation",
        ("300 detections per image and category", "PER_CATEGORY = 100", "PER_CATEGORY = 300"),
        ("AP75 at 0.7", "precision[5, :, :, 0]", "precision[4, :, :, 0]"),
        ("small and medium swapped", "precision[:, :, :, 1]", "precision[:, :, :, 2]"),
        ("masks sorted by the area of boxes", "if kind == \"bbox\":", "if True:"),
        ("crowd regions count as objects", "\"iscrowd\": int(found.iscrowd)", "\"iscrowd\": 0"),
    ),
    *faults(
        "mfd/headtrain/evaluation/baselines.py", "tests/headtrain/evaluation",
        ("untrained head never with C1", "\"baseline-roi-c1\" if spec.c1_channels == spec.dim else \"baseline-roi\"", "\"baseline-roi\""),
        ("untrained head of another RoI size", "roi_size=size", "roi_size=24"),
    ),
    *faults(
        "mfd/headtrain/inference/paste.py", "tests/headtrain/inference",
        ("masks above 0.4", "threshold: float = 0.5", "threshold: float = 0.4"),
    ),
    *faults(
        "mfd/headtrain/inference/masks.py", "tests/headtrain/inference",
        ("mean of the mask above 0.3", "above = maps > 0.5", "above = maps > 0.3"),
        ("masks ranked by class alone", "self.candidates.scores * self.quality", "self.candidates.scores"),
        ("IoU of the first category", "image_iou[chosen.query_row, chosen.columns]", "image_iou[chosen.query_row, 0]"),
    ),
    *faults(
        "mfd/headtrain/inference/prediction.py", "tests/headtrain/inference",
        ("prediction scored by class alone", "self.class_score * self.quality", "self.class_score"),
    ),
    *faults(
        "mfd/headtrain/inference/select.py", "tests/headtrain/inference",
        ("boxes of a turned image", "[width, height, width, height]", "[height, width, height, width]"),
        ("columns taken for category ids", "torch.tensor(spec.category_ids)[columns]", "columns"),
    ),
]
