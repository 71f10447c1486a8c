"""Boxes as centre and size or as two corners, and how far two of them agree."""

import torch
from jaxtyping import Float
from torch import Tensor


def cxcywh_to_xyxy(boxes_cxcywh: Float[Tensor, "*N 4"]) -> Float[Tensor, "*N 4"]:
    """(left, top, right, bottom) of boxes given as (centre x, centre y, width, height)."""
    centre, size = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:]
    return torch.cat((centre - size / 2, centre + size / 2), -1)


def xyxy_to_cxcywh(boxes_xyxy: Float[Tensor, "*N 4"]) -> Float[Tensor, "*N 4"]:
    """(centre x, centre y, width, height) of boxes given as (left, top, right, bottom)."""
    first, second = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return torch.cat(((first + second) / 2, second - first), -1)


def enlarged(boxes_cxcywh: Float[Tensor, "*N 4"], share: float) -> Float[Tensor, "*N 4"]:
    """The boxes, wider and higher by a share of their sides around the same centres."""
    centre, size = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:]
    return torch.cat((centre, size * (1 + share)), -1)


def pairwise_iou(
    a_xyxy: Float[Tensor, "A 4"], b_xyxy: Float[Tensor, "B 4"]
) -> Float[Tensor, "A B"]:
    """IoU of every box of `a` with every box of `b`; that of boxes without area is 0."""
    overlap, union = _overlap_and_union(a_xyxy[:, None], b_xyxy[None])
    return overlap / union.clamp(min=torch.finfo(union.dtype).tiny)


def pairwise_giou(
    a_xyxy: Float[Tensor, "A 4"], b_xyxy: Float[Tensor, "B 4"]
) -> Float[Tensor, "A B"]:
    """Generalised IoU of every box of `a` with every box of `b`, in [-1, 1].

    IoU minus the share of the smallest enclosing box that neither covers (arXiv:1902.09630,
    eq. 1 and 2). Boxes without area have IoU 0 with everything.
    """
    a, b = a_xyxy[:, None], b_xyxy[None]
    overlap, union = _overlap_and_union(a, b)
    hull = _area(torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:]))
    tiny = torch.finfo(union.dtype).tiny
    return overlap / union.clamp(min=tiny) - (hull - union) / hull.clamp(min=tiny)


def _overlap_and_union(
    a: Float[Tensor, "A 1 4"], b: Float[Tensor, "1 B 4"]
) -> tuple[Float[Tensor, "A B"], Float[Tensor, "A B"]]:
    overlap = _area(torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:]))
    return overlap, _area(a[..., :2], a[..., 2:]) + _area(b[..., :2], b[..., 2:]) - overlap


def _area(
    top_left: Float[Tensor, "*N 2"], bottom_right: Float[Tensor, "*N 2"]
) -> Float[Tensor, "*N"]:
    return (bottom_right - top_left).clamp(min=0).prod(-1)
