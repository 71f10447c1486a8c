"""What a deformable DETR is trained by: focal, L1 and GIoU loss of each layer's matched queries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce_with_logits

from mfd.detectors import DeformableConfig, DetectorSpec, Predictions
from mfd.headtrain.targets.match import match
from mfd.nn import cxcywh_to_xyxy, pairwise_giou

CLASS_WEIGHT, L1_WEIGHT, GIOU_WEIGHT = 2.0, 5.0, 2.0
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0


@dataclass(frozen=True)
class DetectionTruth:
    """The n objects that a detector should find in an image, with a mask or without.

    Attributes:
        columns: logit column of each one's category.
        boxes_cxcywh: 0 and 1 are the edges of the detector's input.
    """

    columns: Int[Tensor, " n"]
    boxes_cxcywh: Float[Tensor, "n 4"]

    def to(self, device: torch.device) -> "DetectionTruth":
        """The same on another device."""
        return DetectionTruth(self.columns.to(device), self.boxes_cxcywh.to(device))


@dataclass(frozen=True)
class Layer:
    """Predictions among which every object is sought once.

    Attributes:
        logits: of Q queries or tokens of B images.
        boxes_cxcywh: of each.
        binary: column 0 says "some object", whatever its category.
    """

    logits: Float[Tensor, "B Q K"]
    boxes_cxcywh: Float[Tensor, "B Q 4"]
    binary: bool = False


def supervised_layers(found: Predictions, config: DeformableConfig) -> Iterator[Layer]:
    """Every decoder layer, and the proposals of the encoder's tokens.

    Where column 0 ranks the tokens, it is taught to tell objects from background on all tokens
    (Deformable DETR's second variant, and H-DETR's); else the selected ones are taught as decoder
    layers are (DINO's).
    """
    for logits, boxes in zip(found.logits, found.boxes, strict=True):
        yield Layer(logits, boxes)
    selection = found.selection
    if config.token_score == "class_0":
        assert selection.all_boxes is not None
        yield Layer(selection.logits, selection.all_boxes, binary=True)
    else:
        tokens = selection.tokens[..., None].expand(-1, -1, selection.logits.shape[-1])
        yield Layer(selection.logits.gather(1, tokens), selection.boxes)


def detection_loss(
    layers: Iterator[Layer], truths: Sequence[DetectionTruth], spec: DetectorSpec
) -> Float[Tensor, ""]:
    """The sum of all layers' losses, not yet divided by the number of objects.

    DETR (arXiv:2005.12872, eq. 1 and 2) with the focal loss of Deformable DETR
    (arXiv:2010.04159, appendix A.4): for each layer 2 x focal + 5 x L1 + 2 x (1 - GIoU), objects
    matched one-to-one by the same costs as the head's targets.

    Args:
        truths: of the B images.
        spec: of the detector, whose scores are sigmoids.
    """
    return torch.stack([_layer_loss(layer, truths, spec) for layer in layers]).sum()


def _layer_loss(
    layer: Layer, truths: Sequence[DetectionTruth], spec: DetectorSpec
) -> Float[Tensor, ""]:
    wanted = torch.zeros_like(layer.logits)
    found_boxes, true_boxes = [], []
    for image, truth in enumerate(truths):
        logits, boxes = layer.logits[image].detach(), layer.boxes_cxcywh[image].detach()
        columns = torch.zeros_like(truth.columns) if layer.binary else truth.columns
        queries, objects = match(logits, boxes, columns, truth.boxes_cxcywh, spec)
        queries, objects = queries.to(columns.device), objects.to(columns.device)
        wanted[image, queries, columns[objects]] = 1.0
        found_boxes.append(layer.boxes_cxcywh[image, queries])
        true_boxes.append(truth.boxes_cxcywh[objects])
    boxes, truth_boxes = torch.cat(found_boxes), torch.cat(true_boxes)
    giou = pairwise_giou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(truth_boxes)).diagonal()
    return (
        CLASS_WEIGHT * focal_loss(layer.logits, wanted).sum()
        + L1_WEIGHT * (boxes - truth_boxes).abs().sum()
        + GIOU_WEIGHT * (1 - giou).sum()
    )


def focal_loss(logits: Float[Tensor, "*N"], wanted: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """Sigmoid focal loss, alpha 0.25, gamma 2 (arXiv:1708.02002, eq. 5); `wanted` is 0 or 1."""
    probability = logits.sigmoid()
    missed = probability + wanted - 2 * probability * wanted  # 1 - p of what is wanted
    alpha = FOCAL_ALPHA * wanted + (1 - FOCAL_ALPHA) * (1 - wanted)
    return alpha * missed**FOCAL_GAMMA * bce_with_logits(logits, wanted, reduction="none")
