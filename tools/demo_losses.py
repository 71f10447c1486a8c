"""How the demo detector is taught: which prediction is for which object, and what it costs.

Every decoder layer is supervised one-to-one (its first queries) and one-to-many (its extra ones,
H-DETR, arXiv:2207.13080), the encoder's proposals one-to-many. Classes are learned as in
varifocal loss (arXiv:2008.13367): the target is the IoU of the predicted box, so that scores rank
boxes by how good they are.
"""

from dataclasses import dataclass

import torch
from demo_pictures import Batch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mfd.detectors.deformable.model import Predictions
from mfd.detectors.spec import DetectorSpec
from mfd.headtrain.targets.match import matching_cost
from mfd.nn.boxes import cxcywh_to_xyxy

TOKENS_PER_OBJECT, EXTRA_QUERIES_PER_OBJECT = 4, 5
_CLASS_WEIGHT, _L1_WEIGHT, _GIOU_WEIGHT = 2.0, 5.0, 4.0
_NEGATIVE_WEIGHT = 0.75

Matches = list[tuple[Int[Tensor, " m"], Int[Tensor, " m"]]]
"""For each image the indices of predictions, and of the object that each of them has."""


@dataclass
class Group:
    """Predictions among which every object is sought `repeats` times."""

    logits: Float[Tensor, "B Q K"]
    boxes: Float[Tensor, "B Q 4"]
    repeats: int

    @property
    def focus(self) -> float:
        """How strongly predictions that are low already are spared when they are negatives.

        With focal loss's exponent, 2, a second detection of an object is hardly suppressed once
        it is at 0.3; sets in which there shall be no second one need 1.
        """
        return 1.0 if self.repeats == 1 else 2.0


def detection_losses(found: Predictions, batch: Batch, spec: DetectorSpec) -> dict[str, Tensor]:
    """Class, L1 and GIoU loss, each summed over all groups of predictions."""
    assert found.selection.all_boxes is not None
    groups = [Group(found.selection.logits, found.selection.all_boxes, TOKENS_PER_OBJECT)]
    count = spec.num_queries
    for logits, boxes in zip(found.logits, found.boxes, strict=True):
        groups.append(Group(logits[:, :count], boxes[:, :count], 1))
        groups.append(Group(logits[:, count:], boxes[:, count:], EXTRA_QUERIES_PER_OBJECT))
    matches = _match(groups, batch, spec)
    terms = [_losses(group, found, batch) for group, found in zip(groups, matches, strict=True)]
    return {name: torch.stack([term[name] for term in terms]).sum() for name in terms[0]}


@torch.no_grad()
def _match(groups: list[Group], batch: Batch, spec: DetectorSpec) -> list[Matches]:
    """Hungarian matching within every group; the costs of an image are computed together."""
    matches: list[Matches] = [[] for _ in groups]
    for image, (columns, boxes) in enumerate(zip(batch.columns, batch.boxes, strict=True)):
        logits = torch.cat([group.logits[image] for group in groups])
        predicted = torch.cat([group.boxes[image] for group in groups])
        cost = matching_cost(logits, predicted, columns, boxes, spec)
        parts = cost.split([group.logits.shape[1] for group in groups])
        for group, part, found in zip(groups, parts, matches, strict=True):
            rows, objects = linear_sum_assignment(part.repeat(1, group.repeats).numpy())
            objects = objects % max(len(columns), 1)
            found.append((torch.from_numpy(rows), torch.from_numpy(objects)))
    return matches


def _losses(group: Group, matches: Matches, batch: Batch) -> dict[str, Tensor]:
    """Weighted losses of one group per matched prediction."""
    image = torch.cat([torch.full_like(rows, i) for i, (rows, _) in enumerate(matches)])
    rows = torch.cat([rows for rows, _ in matches])
    wanted = torch.cat([b[o] for b, (_, o) in zip(batch.boxes, matches, strict=True)])
    columns = torch.cat([c[o] for c, (_, o) in zip(batch.columns, matches, strict=True)])
    predicted = group.boxes[image, rows]
    iou, giou = _aligned_iou(cxcywh_to_xyxy(predicted), cxcywh_to_xyxy(wanted))

    target = torch.zeros_like(group.logits)
    target[image, rows, columns] = iou.detach()
    weight = _NEGATIVE_WEIGHT * group.logits.detach().sigmoid().pow(group.focus)
    weight[image, rows] = 1.0  # in every column: it teaches to tell the classes apart
    cross_entropy = binary_cross_entropy_with_logits(group.logits, target, weight, reduction="sum")
    count = max(len(rows), 1)
    return {
        "class": _CLASS_WEIGHT * cross_entropy / count,
        "l1": _L1_WEIGHT * (predicted - wanted).abs().sum() / count,
        "giou": _GIOU_WEIGHT * (1 - giou).sum() / count,
    }


def _aligned_iou(
    a_xyxy: Float[Tensor, "N 4"], b_xyxy: Float[Tensor, "N 4"]
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """IoU and generalised IoU (arXiv:1902.09630) of each box with the one at its own place."""

    def area(low: Tensor, high: Tensor) -> Tensor:
        return (high - low).clamp(min=0).prod(-1)

    (a0, a1), (b0, b1) = a_xyxy.split(2, -1), b_xyxy.split(2, -1)
    overlap = area(torch.maximum(a0, b0), torch.minimum(a1, b1))
    union = area(a0, a1) + area(b0, b1) - overlap
    hull = area(torch.minimum(a0, b0), torch.maximum(a1, b1))
    iou = overlap / union.clamp(min=1e-9)
    return iou, iou - (hull - union) / hull.clamp(min=1e-9)
