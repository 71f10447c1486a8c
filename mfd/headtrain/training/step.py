"""One optimisation step, and what several of them add up to."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mfd.errors import TrainingError
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.training.losses import BoxLosses, box_losses


@dataclass
class StepResult:
    """What one step computed; everything stays on its device.

    Attributes:
        values: loss, bce, dice, iou (means over the boxes, unweighted but for the first) and the
            norm of the head's gradient before clipping; then the loss of a detector that is
            trained too, which the first value includes.
        bad_boxes: boxes with a loss that is not finite.
    """

    values: Float[Tensor, " V"]
    bad_boxes: Bool[Tensor, " N"]


VALUE_NAMES = ("loss", "loss_bce", "loss_dice", "loss_iou", "grad_norm")
TUNED_VALUE_NAMES = (*VALUE_NAMES, "loss_detector")


def train_step(
    head: MaskHead,
    optimizer: torch.optim.Optimizer,
    batch: TrainingBatch,
    config: TrainConfig,
    step: int,
    total_steps: int,
    autocast: torch.dtype | None,
) -> StepResult:
    """Losses and gradient norm of a step that has been taken; waits for no device.

    Args:
        head: in training mode, on the batch's device.
        optimizer: of the head's parameters; a further group is of the detector's, with its own
            `lr_factor` and `max_grad_norm`.
        step: counted from 0.
        autocast: element type of the forward pass; None for that of the weights.
    """
    device = batch.crops.device
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate(step, total_steps) * group.get("lr_factor", 1.0)
    boxes = max(len(batch.crops), 1)
    optimizer.zero_grad(set_to_none=True)
    of_detector = batch.detector_loss
    parts, todo = [], list(batch.parts(config.micro_batch))
    for number, part in enumerate(todo, start=1):
        with torch.autocast(device.type, autocast, enabled=autocast is not None):
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
        loss = per_box.sum() / boxes
        if of_detector is not None and number == len(todo):
            loss = loss + of_detector
        # all parts share the graph of a detector that is trained too
        loss.backward(retain_graph=of_detector is not None and number < len(todo))
        parts.append(torch.stack((per_box, losses.bce, losses.dice, losses.iou)).detach())
    found = torch.cat(parts, 1)
    limit = config.max_grad_norm or float("inf")
    norm = nn.utils.clip_grad_norm_(head.parameters(), limit)
    for group in optimizer.param_groups:
        if "max_grad_norm" in group:
            nn.utils.clip_grad_norm_(group["params"], group["max_grad_norm"])
    optimizer.step()
    values = torch.cat((found.sum(1) / boxes, norm.detach()[None]))
    if of_detector is not None:
        values[0] += of_detector.detach()
        values = torch.cat([values, of_detector.detach()[None]])
    return StepResult(values, ~found[0].isfinite())


def weighted(losses: BoxLosses, config: TrainConfig) -> Float[Tensor, " N"]:
    """The loss of every box."""
    return (
        config.bce_weight * losses.bce
        + config.dice_weight * losses.dice
        + config.iou_weight * losses.iou
    )


class StepWindow:
    """Means over the steps since the last look, and the first step that was not finite.

    Steps are added without waiting for the device; `close` waits.
    """

    def __init__(
        self, batch_size: int, device: torch.device, names: tuple[str, ...] = VALUE_NAMES
    ) -> None:
        self._value_names = names
        self._sums = torch.zeros(len(names), device=device)
        self._first_bad = torch.full((), -1, device=device)
        self._bad_boxes = torch.zeros(batch_size, dtype=torch.long, device=device)  # per image
        self._names: dict[int, tuple[str, ...]] = {}

    def add(self, step: int, batch: TrainingBatch, result: StepResult) -> None:
        """Count one step, numbered from 1."""
        self._names[step] = batch.image_names
        self._sums += result.values
        bad_boxes = torch.zeros_like(self._bad_boxes)
        bad_boxes.index_add_(0, batch.features.image_index, result.bad_boxes.long())
        new = ~result.values.isfinite().all() & (self._first_bad < 0)
        self._first_bad = torch.where(new, step, self._first_bad)
        self._bad_boxes = torch.where(new, bad_boxes, self._bad_boxes)

    def close(self) -> dict[str, float]:
        """The mean of every value, by name; the window is empty again.

        Raises:
            TrainingError: a loss or gradient was not finite; names the first such step and the
                images to blame, or all of its images if none can be singled out.
        """
        if (step := int(self._first_bad)) >= 0:
            names = self._names[step]
            blamed = [n for n, bad in zip(names, self._bad_boxes.tolist(), strict=False) if bad]
            raise TrainingError(
                f"the loss or its gradient is not finite at step {step}, "
                f"image {', '.join(blamed or names)}; verify the store, or train with a lower lr "
                "or precision=float32"
            )
        means = (self._sums / max(len(self._names), 1)).tolist()
        self._sums.zero_()
        self._names.clear()
        return dict(zip(self._value_names, means, strict=True))
