"""Hungarian matching of queries to objects, by the detector's own costs."""

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import softplus

from mfd.detectors import DetectorSpec, class_scores
from mfd.nn import cxcywh_to_xyxy, pairwise_giou

CLASS_COST = 2.0
L1_COST = 5.0
GIOU_COST = 2.0
_FOCAL_ALPHA = 0.25


def match(
    logits: Float[Tensor, "Q K"],
    boxes_cxcywh: Float[Tensor, "Q 4"],
    object_columns: Int[Tensor, " n"],
    object_boxes_cxcywh: Float[Tensor, "n 4"],
    spec: DetectorSpec,
) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"]]:
    """Indices of the matched queries, ascending, and of the object each of them has.

    Hungarian matching with the costs of Deformable DETR. Every object gets its own query, m = n;
    where there are more objects than queries, m = Q and the highest-cost objects stay unmatched.

    Args:
        logits: of one image, as stored.
        boxes_cxcywh: of its queries, 0 and 1 being the edges of the image.
        object_columns: logit column of each object's category; -1 is any, at no class cost.
        object_boxes_cxcywh: of the objects, in the same unit.
        spec: tells sigmoid from softmax detectors.
    """
    cost = matching_cost(logits, boxes_cxcywh, object_columns, object_boxes_cxcywh, spec)
    queries, objects = linear_sum_assignment(cost.cpu().numpy())
    return torch.from_numpy(queries), torch.from_numpy(objects)


def matching_cost(
    logits: Float[Tensor, "Q K"],
    boxes_cxcywh: Float[Tensor, "Q 4"],
    object_columns: Int[Tensor, " n"],
    object_boxes_cxcywh: Float[Tensor, "n 4"],
    spec: DetectorSpec,
) -> Float[Tensor, "Q n"]:
    """What it costs to give each object to each query, float64; the lower the likelier.

    2 x class + 5 x L1 distance of the boxes - 2 x generalised IoU. The class cost is the focal
    loss of calling the query the object's category less that of not doing so (alpha 0.25,
    gamma 2), for softmax detectors the negative probability.
    """
    boxes, objects = boxes_cxcywh.double(), object_boxes_cxcywh.double()
    if spec.scores == "softmax":
        class_cost = -class_scores(logits, spec).double()[:, object_columns]
    else:
        logit = logits.double()[:, object_columns]
        probability = logit.sigmoid()
        positive = _FOCAL_ALPHA * (1 - probability).square() * softplus(-logit)
        negative = (1 - _FOCAL_ALPHA) * probability.square() * softplus(logit)
        class_cost = positive - negative
    class_cost = class_cost * (object_columns >= 0)
    distance = torch.cdist(boxes, objects, p=1)
    giou = pairwise_giou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(objects))
    return CLASS_COST * class_cost + L1_COST * distance - GIOU_COST * giou
