"""One optimisation step, and what several of them add up to."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mfd.distributed import from_first, gathered, sum_gradients, totals
from mfd.errors import TrainingError
from mfd.headtrain.config.train import TrainConfig
from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.training.passes import backward
from mfd.headtrain.training.recorded import RecordedPasses


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
    batch: TrainingBatch | None,
    config: TrainConfig,
    step: int,
    total_steps: int,
    autocast: torch.dtype | None,
    recorded: RecordedPasses | None = None,
) -> StepResult:
    """Losses and gradient norm of a step that has been taken; waits for no device.

    Of several ranks, each adds the losses of its boxes, divided by the number of all boxes; the
    gradients are summed, and every rank takes the same step.

    Args:
        head: in training mode, on the batch's device.
        optimizer: of the head's parameters; a further group is of the detector's, with its own
            `lr_factor` and `max_grad_norm`.
        batch: this rank's share of it, if there is any.
        step: counted from 0.
        autocast: element type of the forward pass; None for that of the weights.
        recorded: passes of this head, recipe and type that are to be taken instead.
    """
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate(step, total_steps) * group.get("lr_factor", 1.0)
    optimizer.zero_grad(set_to_none=recorded is None)  # recordings add to gradients where they lie
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    tuned = [group for group in optimizer.param_groups if "max_grad_norm" in group]
    counts = (0, 0) if batch is None else (len(batch.crops), batch.detector_objects)
    boxes, objects = (max(int(count), 1) for count in totals(*counts))
    of_detector = None
    if batch is not None and batch.detector_loss is not None:
        of_detector = batch.detector_loss / objects
    if batch is None:
        losses = torch.zeros(4, 0, device=next(head.parameters()).device)
    else:
        losses = backward(head, batch, of_detector, config, boxes, autocast, recorded)
    sums = losses.sum(1) / boxes
    if tuned:
        share = sums.new_zeros(()) if of_detector is None else of_detector.detach()
        sums = torch.cat((sums, share[None]))
    sums = sum_gradients(trained, sums)
    norm = nn.utils.clip_grad_norm_(head.parameters(), config.max_grad_norm or float("inf"))
    for group in tuned:
        nn.utils.clip_grad_norm_(group["params"], group["max_grad_norm"])
    optimizer.step()
    values = torch.cat((sums[:4], norm.detach()[None], sums[4:]))
    if tuned:
        values[0] += values[5]
    return StepResult(values, ~losses[0].isfinite())


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

    def add(self, step: int, batch: TrainingBatch | None, result: StepResult) -> None:
        """Count one step, numbered from 1; None is a rank without a share of it."""
        self._names[step] = () if batch is None else batch.image_names
        self._sums += result.values
        bad_boxes = torch.zeros_like(self._bad_boxes)
        if batch is not None:
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
            own = self._names[step]
            counts = zip(own, self._bad_boxes.tolist(), strict=False)
            bad = tuple(name for name, count in counts if count)
            of_ranks = gathered((bad, own))  # what is not finite here is so on all of them
            blamed = from_first(
                lambda: next(filter(None, (sum(each, ()) for each in zip(*of_ranks, strict=True))))
            )
            raise TrainingError(
                f"the loss or its gradient is not finite at step {step}, "
                f"image {', '.join(blamed)}; verify the store, or train with a lower lr "
                "or precision=float32"
            )
        means = (self._sums / max(len(self._names), 1)).tolist()
        self._sums.zero_()
        self._names.clear()
        return dict(zip(self._value_names, means, strict=True))
