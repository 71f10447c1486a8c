"""Everything that decides how a head is trained, and the learning rate of every step."""

from dataclasses import dataclass
from typing import Literal

from mfd.settings import setting, settings

# What may change between an interrupted run and its continuation: no weight depends on it.
FREE_ON_RESUME = frozenset(
    {"log_every", "checkpoint_every", "checkpoint_seconds", "readers", "prefetch", "log"}
)


Finetune = Literal["none", "transformer", "all"]
Augment = Literal["none", "flip", "ms", "lsj"]
Log = Literal["none", "tensorboard", "trackio", "wandb"]


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


@settings
class TrainConfig:
    """The recipe; the defaults are the paper's where it states them."""

    epochs: int = setting("Passes over the images. [paper]", default=6, ge=1)
    batch_size: int = setting("Images per step. [paper]", default=8, ge=1)
    lr: float = setting("AdamW's learning rate after the warm-up. [paper]", default=1.5e-4, ge=0)
    beta1: float = setting("AdamW's. [paper]", default=0.9, ge=0, lt=1)
    beta2: float = setting("AdamW's. [paper]", default=0.999, ge=0, lt=1)
    weight_decay: float = setting("AdamW's, on all parameters. [paper]", default=5e-5, ge=0)
    first_drop: float = setting(
        "Share of the steps after which the learning rate falls. [paper]", default=0.9, ge=0, le=1
    )
    second_drop: float = setting(
        "Share of the steps after which it falls again. [paper]", default=0.95, ge=0, le=1
    )
    drop_factor: float = setting("What it is multiplied by each time. [paper]", default=0.1, ge=0)
    warmup_steps: int = setting(
        "Steps over which it rises linearly from zero. [ours]", default=50, ge=0
    )
    offsets_lr_factor: float = setting(
        "What the learning rate of sampling_offsets layers is multiplied by; Deformable DETR's is "
        "0.1. [ours]",
        default=1.0,
        ge=0,
    )
    ema_decay: float = setting(
        "Decay of the exponential moving average of the weights that becomes the trained head; 0: "
        "the last step's weights. [ours]",
        default=0.0,
        ge=0,
        lt=1,
    )
    micro_batch: int = setting(
        "Images of a step that are computed at once, for small cards; the gradients of a step's "
        "parts add up. 0: all of them. [ours]",
        default=0,
        ge=0,
    )
    max_grad_norm: float = setting(
        "Gradients above this norm are scaled down to it, which is nearly every step's: with Adam "
        "a normalisation; 0 leaves them. [ours]",
        default=1.0,
        ge=0,
    )
    # Beside a dice weight of 5, mask AP on 343 images was 0.170 with 5, 0.183 with 2, 0.189 with 1
    # after three epochs (means of two seeds), 0.225, 0.231, 0.235 after ten; on the demo's images
    # 0.531, 0.532, 0.521.
    bce_weight: float = setting("Weight of the binary cross-entropy. [ours]", default=2.0, ge=0)
    dice_weight: float = setting("Weight of the dice loss. [ours]", default=5.0, ge=0)
    iou_weight: float = setting(
        "Weight of the squared error of the IoU estimate. [ours]", default=1.0, ge=0
    )
    point_share: float = setting("Points compared per mask cell. [paper]", default=0.25, gt=0, le=1)
    point_oversample: float = setting("k of PointRend. [ours]", default=3.0, ge=1)
    point_importance: float = setting("beta of PointRend. [ours]", default=0.75, ge=0, le=1)
    min_pair_iou: float = setting(
        "Matched queries whose box has a lower IoU with the object's are not trained. [ours]",
        default=0.0,
        ge=0,
        le=1,
    )
    extra_queries: int = setting(
        "Further queries trained for each object, at most: those of highest IoU, 0.5 or more. "
        "[ours]",
        default=0,
        ge=0,
    )
    ground_truth_boxes: bool = setting(
        "Train each matched query on the object's own box too. [ours]", default=False
    )
    box_jitter: float = setting(
        "Share of its sides by which every box is moved and resized at random, at most, afresh at "
        "each step. [ours]",
        default=0.0,
        ge=0,
        lt=1,
    )
    augment: Augment = setting(
        "How live training changes images, differently in every epoch: flip mirrors half of them, "
        "ms is Deformable DETR's flip, resize and crop, lsj large-scale jittering.",
        default="none",
    )
    finetune: Finetune = setting(
        "What of the detector live training trains too, at a tenth of the learning rate: its "
        "transformer, or all of it. [paper, table 16]",
        default="none",
    )
    seed: int = setting(
        "Of initial weights, order of images, points and augmentation.", default=0, ge=0
    )
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "Of the forward pass; auto is bfloat16 on GPUs that have it, else float32.", default="auto"
    )
    graphs: bool = setting(
        "Record a step's passes as CUDA graphs, one for each shape of a batch, sizes rounded up; a "
        "step then starts at once, and takes more memory. [ours]",
        default=False,
    )
    log_every: int = setting("Steps between two lines of metrics.", default=20, ge=1)
    checkpoint_every: int = setting("Steps between two checkpoints.", default=100, ge=1)
    checkpoint_seconds: float = setting(
        "Seconds after which a checkpoint is written before its step has come.", default=120, ge=0
    )
    val_images: int = setting(
        "Images of the val split that are validated on after every epoch; 0 is a tenth of the "
        "training images, at least 20, at most 500.",
        default=0,
        ge=0,
    )
    patience: int = setting(
        "Epochs without a better val mask AP after which training ends; 0 is never.",
        default=0,
        ge=0,
    )
    readers: int = setting("Threads that read batches.", default=2, ge=1)
    prefetch: int = setting("Batches read ahead.", default=4, ge=1)
    log: Log = setting(
        "Where metrics also go: none, tensorboard, trackio or wandb, each an extra of mfd.",
        default="none",
    )

    @property
    def needs_detector(self) -> bool:
        """Whether the detector must run on every batch, which no store can stand for."""
        return self.augment != "none" or self.finetune != "none"

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
