"""Everything that decides how a head is trained, and the learning rate of every step."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mfd.errors import ConfigError
from mfd.settings import check_types, from_json

Precision = Literal["auto", "float32", "bfloat16"]

# What may change between an interrupted run and its continuation: no weight depends on it.
FREE_ON_RESUME = frozenset({"log_every", "checkpoint_every", "readers", "prefetch", "tensorboard"})


@dataclass(frozen=True)
class PointSampling:
    """How many points of a box are compared, and how they are chosen.

    Args:
        share: points per mask cell; 0.25 is the paper's 75 % saving. [paper]
        oversample: k, candidates drawn per point. [ours, PointRend's]
        importance: beta, share of the points that are the most undecided candidates. [ours]
    """

    share: float = 0.25
    oversample: float = 3.0
    importance: float = 0.75


@dataclass(frozen=True)
class TrainConfig:
    """The recipe; the defaults are the paper's where it states them.

    Args:
        epochs: passes over the images. [paper]
        batch_size: images per step. [paper]
        lr: AdamW's learning rate after the warm-up. [paper]
        beta1: AdamW's. [paper]
        beta2: AdamW's. [paper]
        weight_decay: AdamW's, on all parameters. [paper]
        first_drop: share of the steps after which the learning rate falls. [paper]
        second_drop: share of the steps after which it falls again. [paper]
        drop_factor: what it is multiplied by each time. [paper]
        warmup_steps: over which it rises linearly from zero. [ours]
        max_grad_norm: gradients are scaled down to this norm; 0 leaves them. [ours]
        bce_weight: of the binary cross-entropy. [ours] Beside a dice weight of 5, mask AP on 343
            images was 0.170 with 5, 0.183 with 2, 0.189 with 1 after three epochs (means of two
            seeds), 0.225, 0.231, 0.235 after ten; on the demo's images 0.531, 0.532, 0.521.
        dice_weight: of the dice loss. [ours]
        iou_weight: of the squared error of the IoU estimate. [ours]
        point_share: points compared per mask cell. [paper]
        point_oversample: k of PointRend. [ours]
        point_importance: beta of PointRend. [ours]
        seed: of initial weights, order of images and points.
        precision: of the forward pass; "auto" is bfloat16 on GPUs that have it, else float32.
        log_every: steps between two lines of metrics.
        checkpoint_every: steps between two checkpoints.
        readers: threads that read batches.
        prefetch: batches read ahead.
        tensorboard: write metrics for TensorBoard too.
    """

    epochs: int = 6
    batch_size: int = 8
    lr: float = 1.5e-4
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 5e-5
    first_drop: float = 0.9
    second_drop: float = 0.95
    drop_factor: float = 0.1
    warmup_steps: int = 50
    max_grad_norm: float = 1.0
    bce_weight: float = 2.0
    dice_weight: float = 5.0
    iou_weight: float = 1.0
    point_share: float = 0.25
    point_oversample: float = 3.0
    point_importance: float = 0.75
    seed: int = 0
    precision: Precision = "auto"
    log_every: int = 20
    checkpoint_every: int = 100
    readers: int = 2
    prefetch: int = 4
    tensorboard: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        at_least = {
            1: "epochs batch_size log_every checkpoint_every readers prefetch point_oversample",
            0: "lr weight_decay warmup_steps max_grad_norm seed drop_factor "
            "bce_weight dice_weight iou_weight",
        }
        for least, names in at_least.items():
            for name in names.split():
                if not least <= (value := getattr(self, name)) < math.inf:  # nor NaN
                    raise ConfigError(f"{name} must be {least} or more and finite, found {value}")
        for name in ("point_share", "point_importance", "first_drop", "second_drop"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ConfigError(f"{name} must be between 0 and 1, found {value}")
        for name in ("beta1", "beta2"):
            if not 0 <= (value := getattr(self, name)) < 1:
                raise ConfigError(f"{name} must be at least 0 and below 1, found {value}")

    @property
    def sampling(self) -> PointSampling:
        """How points are chosen by heads that sample them."""
        return PointSampling(self.point_share, self.point_oversample, self.point_importance)

    def learning_rate(self, step: int, total_steps: int) -> float:
        """Of one step, counted from 0: warm-up, constant, and two drops near the end."""
        rate = self.lr * min(1.0, (step + 1) / max(self.warmup_steps, 1))
        for drop in (self.first_drop, self.second_drop):
            if step >= drop * total_steps:
                rate *= self.drop_factor
        return rate

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """The config that `to_json` wrote.

        Raises:
            ConfigError: for fields this version does not know, and for impossible values.
        """
        return from_json(cls, values)
