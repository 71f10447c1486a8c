"""Forward and backward pass of a batch, whole or in parts."""

import torch
from jaxtyping import Float
from torch import Tensor

from mfd.errors import ConfigError
from mfd.headtrain.config.head import HeadConfig
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.training.losses import BoxLosses, box_losses
from mfd.headtrain.training.recorded import CudaGraphs, RecordedPasses
from mfd.headtrain.training.rounded import RoundedBatches


def backward(
    head: MaskHead,
    batch: TrainingBatch,
    of_detector: Float[Tensor, ""] | None,
    config: TrainConfig,
    boxes: int,
    autocast: torch.dtype | None,
    recorded: RecordedPasses | None = None,
) -> Float[Tensor, "4 N"]:
    """Weighted loss, bce, dice and iou of every box; gradients are left where they belong.

    Args:
        of_detector: the loss of a detector that is trained too.
        boxes: to divide the sum of the losses by.
        recorded: see `train_step`; knows no detector that is trained too.
    """
    found, todo = [], list(batch.parts(config.micro_batch))
    for number, part in enumerate(todo, start=1):
        if recorded is not None and len(part.crops):
            assert of_detector is None
            found.append(recorded(part, boxes))
            continue
        per_box, values = losses_of(head, part, config, autocast)
        loss = per_box.sum() / boxes
        if of_detector is not None and number == len(todo):
            loss = loss + of_detector
        # all parts share the graph of a detector that is trained too
        loss.backward(retain_graph=of_detector is not None and number < len(todo))
        found.append(values)
    return torch.cat(found, 1)


def losses_of(
    head: MaskHead, part: TrainingBatch, config: TrainConfig, autocast: torch.dtype | None
) -> tuple[Float[Tensor, " N"], Float[Tensor, "4 N"]]:
    """The weighted loss of every box, to go back from; it, bce, dice and iou without gradients."""
    with torch.autocast(part.crops.device.type, autocast, enabled=autocast is not None):
        output = head(part.features)
    losses = box_losses(
        output.mask_logits,
        output.iou,
        part.features.labels,
        part.crops,
        part.area_ratio,
        part.keys,
        config.sampling if head.config.sampled_points else None,
        head.config.paste,
    )
    per_box = weighted(losses, config)
    return per_box, torch.stack((per_box, losses.bce, losses.dice, losses.iou)).detach()


def weighted(losses: BoxLosses, config: TrainConfig) -> Float[Tensor, " N"]:
    """The loss of every box."""
    return (
        config.bce_weight * losses.bce
        + config.dice_weight * losses.dice
        + config.iou_weight * losses.iou
    )


def require_recordable(head: HeadConfig, config: TrainConfig, device: torch.device) -> None:
    """Raises ConfigError unless `record_passes` can record such a training."""
    if device.type != "cuda":
        raise ConfigError(
            f"graphs=true records CUDA graphs, but the head is trained on {device}; leave graphs "
            "out, or train on a GPU"
        )
    differing = {
        "image_encoder=swin": head.image_layers > 0 and head.image_encoder == "swin",
        "sampling_ratio=0": head.sampling_ratio == 0,
        f"finetune={config.finetune}": config.finetune != "none",
    }
    if found := [name for name, does in differing.items() if does]:
        raise ConfigError(
            f"graphs=true repeats the launches of a step, but those of {' and '.join(found)} "
            "differ from step to step; leave one of them out"
        )


def record_passes(
    head: MaskHead, config: TrainConfig, autocast: torch.dtype | None
) -> RecordedPasses:
    """The passes of a head as `backward` takes them, to be recorded as CUDA graphs."""
    return RecordedPasses(
        lambda batch: losses_of(head, batch, config, autocast),
        RoundedBatches(head.spec.strides, head.spec.c1_stride),
        CudaGraphs(next(head.parameters()).device),
    )
