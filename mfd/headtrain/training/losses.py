"""How wrong the predicted masks and their IoU estimates are, per box."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int, Int64, UInt8
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce_with_logits
from torch.nn.functional import interpolate

from mfd.headtrain.config.train import PointSampling
from mfd.headtrain.training.points import read_at, sample_points


@dataclass
class BoxLosses:
    """Each loss for each of N boxes, before weights and means.

    Attributes:
        bce: binary cross-entropy, mean over the compared points.
        dice: 1 - dice coefficient of the compared points.
        iou: squared error of the IoU estimate; zeros for heads without mask scoring.
    """

    bce: Float[Tensor, " N"]
    dice: Float[Tensor, " N"]
    iou: Float[Tensor, " N"]


def box_losses(
    mask_logits: Float[Tensor, "N S S"],
    iou: Float[Tensor, "N K"] | None,
    labels: Int[Tensor, " N"],
    crops: UInt8[Tensor, "N G G"],
    area_ratio: Float[Tensor, " N"],
    keys: Int64[Tensor, " N"],
    sampling: PointSampling | None,
    paste: Literal["probabilities", "logits"] = "probabilities",
) -> BoxLosses:
    """The losses of N predicted masks against the matched objects, in float32 or better.

    Args:
        mask_logits: over each box, row 0 at its top.
        iou: the head's IoU estimate per category, or one for all, if it makes one.
        labels: logit column of each box's category.
        crops: the objects' masks over the same boxes, 255 = all of the cell; G a multiple of S.
        area_ratio: area of the object's whole mask, inside and outside the box, per box area.
        keys: decide the points of each box.
        sampling: None compares all S x S cells.
        paste: what is resized to pixels when masks are pasted.
    """
    logits = mask_logits if mask_logits.dtype == torch.float64 else mask_logits.float()
    truth = crops.to(logits.dtype) / 255
    if sampling is None:
        cells = logits.flatten(1)
        target = cell_means(truth, logits.shape[-1]).flatten(1)
    else:
        points = sample_points(logits.detach(), keys, sampling)
        cells, target = read_at(logits, points), read_at(truth, points)
    iou_loss = cells.new_zeros(len(cells))
    if iou is not None:
        columns = labels if iou.shape[1] > 1 else torch.zeros_like(labels)
        estimate = iou.to(logits.dtype).gather(1, columns[:, None])[:, 0]
        iou_loss = (estimate - predicted_iou(logits, truth, area_ratio, paste)).square()
    bce = bce_with_logits(cells, target, reduction="none").mean(1)
    return BoxLosses(bce=bce, dice=dice_loss(cells, target), iou=iou_loss)


def dice_loss(logits: Float[Tensor, "N P"], target: Float[Tensor, "N P"]) -> Float[Tensor, " N"]:
    """1 - 2 |A B| / (|A| + |B|) of probabilities and truth, one added above and below (V-Net)."""
    probability = logits.sigmoid()
    overlap = (probability * target).sum(1)
    return 1 - (2 * overlap + 1) / (probability.sum(1) + target.sum(1) + 1)


def cell_means(crops: Float[Tensor, "N G G"], size: int) -> Float[Tensor, "N S S"]:
    """The crops averaged down to `size` x `size` cells, exactly, as `size` divides G."""
    boxes, cells = len(crops), crops.shape[-1] // size
    return crops.reshape(boxes, size, cells, size, cells).mean((2, 4))


@torch.no_grad()
def predicted_iou(
    logits: Float[Tensor, "N S S"],
    truth: Float[Tensor, "N G G"],
    area_ratio: Float[Tensor, " N"],
    paste: Literal["probabilities", "logits"] = "probabilities",
) -> Float[Tensor, " N"]:
    """IoU of the masks as they would be pasted with the whole objects, in [0, 1].

    Probabilities or logits are resized to the crops' G x G cells and cut at one half. What the
    object has outside the box counts in the union, so a perfect mask of a box that is too small is
    below 1.
    """
    if not len(logits):
        return logits.new_zeros(0)
    size = truth.shape[-1]
    maps, threshold = (logits, 0.0) if paste == "logits" else (logits.sigmoid(), 0.5)
    resized = interpolate(maps[:, None], (size, size), mode="bilinear")[:, 0]
    mask = (resized > threshold).to(truth.dtype)
    overlap = (mask * truth).mean((1, 2))
    union = mask.mean((1, 2)) + area_ratio.to(truth.dtype) - overlap
    return overlap / union.clamp(min=torch.finfo(truth.dtype).tiny)
