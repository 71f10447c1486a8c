"""What a detector's logits say: class probabilities, and its best detections."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfd.detectors.spec import DetectorSpec


def class_scores(logits: Float[Tensor, "*Q K"], spec: DetectorSpec) -> Float[Tensor, "*Q C"]:
    """The probability of every category, C = len(spec.category_ids) columns."""
    if spec.scores == "softmax":
        return logits.float().softmax(-1)[..., :-1]
    return logits.float().sigmoid()


def top_detections(
    logits: Float[Tensor, "*B Q K"], spec: DetectorSpec, count: int, *, once: bool = False
) -> tuple[Float[Tensor, "*B N"], Int[Tensor, "*B N"], Int[Tensor, "*B N"]]:
    """Scores, query indices and logit columns of the `count` best (query, category) pairs.

    Sigmoid detectors may name one query several times (Deformable DETR's evaluation); softmax
    detectors give each query once, with its best category (DETR's). Best first.

    Args:
        once: of sigmoid detectors too, each query once.
    """
    scores = class_scores(logits, spec)
    if once or spec.scores == "softmax":
        best, columns = scores.max(-1)
        values, queries = best.topk(min(count, best.shape[-1]))
        return values, queries, columns.gather(-1, queries)
    pairs = scores.flatten(-2)
    values, flat = pairs.topk(min(count, pairs.shape[-1]))
    return values, torch.div(flat, scores.shape[-1], rounding_mode="floor"), flat % scores.shape[-1]
