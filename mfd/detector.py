"""The contract between a frozen detector, the store and the head.

A detector is any `torch.nn.Module` with a `spec` and the call
`detector(images, padding_mask) -> DetectorOutput`. Everything downstream is told widths, strides
and number of levels by the spec; nothing assumes the ones of a particular detector.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from mfd.errors import DetectorError


@dataclass(frozen=True)
class Preprocessing:
    """How an RGB image file becomes the detector's input.

    Either `size_hw` is set (plain resize to a fixed height and width, aspect ratio not kept), or
    the shorter side becomes `shorter_side` unless the longer would exceed `longer_side`
    (Deformable DETR: 800 and 1333). Values are scaled to [0, 1], then `(x - mean) / std`.
    """

    shorter_side: int = 800
    longer_side: int = 1333
    size_hw: tuple[int, int] | None = None
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class DetectorSpec:
    """What a detector says of itself.

    Args:
        name: how `--detector` names it.
        dim: D, width of queries and encoder maps.
        strides: of the encoder maps, finest first; L = len(strides).
        num_queries: Q per image.
        category_ids: COCO category id of every logit column; K = len(category_ids).
        c1_channels: width of the stage-1 backbone map.
        c1_stride: of that map, normally 4.
        weights_digest: sha256 of the weights, hex.
        preprocessing: what its images go through.
        scores: "sigmoid" (one score per column), or "softmax" over K columns and one more last
            column, "no object".
        encoder_layer: which encoder layer the maps come from, counted from 1; 0 if the detector
            offers no choice.
        code_version: raised whenever the code computes other numbers from the same weights.
        max_detections: detections kept per image by the detector's own evaluation.
    """

    name: str
    dim: int
    strides: tuple[int, ...]
    num_queries: int
    category_ids: tuple[int, ...]
    c1_channels: int
    weights_digest: str
    preprocessing: Preprocessing = Preprocessing()
    scores: Literal["sigmoid", "softmax"] = "sigmoid"
    encoder_layer: int = 0
    c1_stride: int = 4
    code_version: int = 1
    max_detections: int = 100

    def __post_init__(self) -> None:
        if not self.strides or list(self.strides) != sorted(self.strides):
            raise DetectorError(f"strides must be given, finest first; found {self.strides}")
        if strange := [i for i in self.category_ids if not isinstance(i, int)]:
            raise DetectorError(f"category_ids must be COCO's numbers; found {strange[0]!r}")
        if self.scores not in ("sigmoid", "softmax"):
            raise DetectorError(f"scores must be 'sigmoid' or 'softmax', found {self.scores!r}")

    @property
    def num_logits(self) -> int:
        """Width of the stored logits: K, or K + 1 with a "no object" column."""
        return len(self.category_ids) + (self.scores == "softmax")

    def to_json(self) -> dict[str, Any]:
        """The spec as plain JSON values, for the store and for run folders."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "DetectorSpec":
        """The spec that `to_json` wrote."""
        fields: dict[str, Any] = {
            **values,
            "preprocessing": Preprocessing(**_tuples(values["preprocessing"])),
        }
        return cls(**_tuples(fields))


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping with JSON's lists as the tuples they were."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


@dataclass
class DetectorOutput:
    """What a detector computes for a batch of padded images.

    Attributes:
        queries: of the last decoder layer, as its prediction heads see them.
        boxes: (centre x, centre y, width, height), 0 and 1 being the edges of the image *without*
            its padding.
        logits: class scores before sigmoid or softmax; one more column than K for softmax.
        memory: encoder maps, one per stride, channels last; rows and columns of padding are
            allowed and ignored.
        c1: the stage-1 backbone map, channels last.
    """

    queries: Float[Tensor, "B Q D"]
    boxes: Float[Tensor, "B Q 4"]
    logits: Float[Tensor, "B Q K"]
    memory: list[Float[Tensor, "B _H _W D"]]
    c1: Float[Tensor, "B H4 W4 C"]


class Detector(Protocol):
    """Any module with this call and `spec`.

    Images are normalised float32, padded with zeros at the right and bottom; `padding_mask` is True
    on the padding. (`pixel_mask` of Transformers is the opposite.)

    With `--autocast` the call runs inside `torch.autocast`. What must not lose precision, such as
    the layers that predict boxes, leaves it by `torch.autocast(device_type, enabled=False)`.

    A detector that also has `stage1(images, padding_mask) -> c1` (channels last, as in
    `DetectorOutput`) can feed stores of the `lite` profile, which leave c1 out.
    """

    spec: DetectorSpec

    def __call__(
        self, images: Float[Tensor, "B 3 H W"], padding_mask: Bool[Tensor, "B H W"]
    ) -> DetectorOutput: ...


@dataclass
class ImageFeatures:
    """One image's detector output without padding: what a store holds per image.

    Attributes:
        image_id: COCO image id.
        original_hw: size of the image file, pixels.
        input_hw: size after the detector's resize, pixels.
        memory: one (H_l, W_l, D) map per level; of int8 if `memory_scale` is set.
        c1: (H4, W4, C), or None where the store leaves it out; of int8 if `c1_scale` is set.
        memory_scale: what each level's and channel's stored numbers are multiplied by.
        c1_scale: the same of `c1`.
    """

    image_id: int
    original_hw: tuple[int, int]
    input_hw: tuple[int, int]
    queries: Float[Tensor, "Q D"]
    boxes: Float[Tensor, "Q 4"]
    logits: Float[Tensor, "Q K"]
    memory: list[Num[Tensor, "_H _W D"]]
    c1: Num[Tensor, "H4 W4 C"] | None
    memory_scale: Float[Tensor, "L D"] | None = None
    c1_scale: Float[Tensor, " C"] | None = None

    def dequantised(self) -> "ImageFeatures":
        """The same features with all maps as floats."""
        memory, c1 = self.memory, self.c1
        if self.memory_scale is not None:
            memory = [m * scale for m, scale in zip(memory, self.memory_scale, strict=True)]
        if c1 is not None and self.c1_scale is not None:
            c1 = c1 * self.c1_scale
        return replace(self, memory=memory, c1=c1, memory_scale=None, c1_scale=None)


def class_scores(logits: Float[Tensor, "*Q K"], spec: DetectorSpec) -> Float[Tensor, "*Q C"]:
    """The probability of every category, C = len(spec.category_ids) columns."""
    if spec.scores == "softmax":
        return logits.float().softmax(-1)[..., :-1]
    return logits.float().sigmoid()


def top_detections(
    logits: Float[Tensor, "Q K"], spec: DetectorSpec, count: int
) -> tuple[Float[Tensor, " N"], Tensor, Tensor]:
    """Scores, query indices and logit columns of the `count` best (query, category) pairs.

    Sigmoid detectors may name one query several times (Deformable DETR's evaluation); softmax
    detectors give each query once, with its best category (DETR's). Best first.
    """
    scores = class_scores(logits, spec)
    if spec.scores == "softmax":
        best, columns = scores.max(-1)
        values, queries = best.topk(min(count, len(best)))
        return values, queries, columns[queries]
    values, flat = scores.flatten().topk(min(count, scores.numel()))
    return values, torch.div(flat, scores.shape[-1], rounding_mode="floor"), flat % scores.shape[-1]
