import pytest
import torch
from torch import Tensor

from mfd.headtrain.training.losses import (
    PointSampling,
    box_losses,
    cell_means,
    dice_loss,
    predicted_iou,
)


def scene(boxes: int, size: int = 8) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    logits = torch.randn(boxes, size, size, dtype=torch.float64)
    iou = torch.rand(boxes, 3, dtype=torch.float64)
    labels = torch.randint(0, 3, (boxes,))
    crops = torch.randint(0, 256, (boxes, 4 * size, 4 * size), dtype=torch.uint8)
    return logits, iou, labels, crops, torch.rand(boxes) + 0.5


@pytest.mark.parametrize("sampling", [PointSampling(), None])
def test_gradients_are_those_of_finite_differences(sampling: PointSampling | None) -> None:
    logits, iou, labels, crops, ratio = scene(2, size=5)

    def total(logits: Tensor, iou: Tensor) -> Tensor:
        losses = box_losses(logits, iou, labels, crops, ratio, torch.arange(2), sampling)
        return losses.bce + losses.dice + losses.iou

    inputs = (logits.requires_grad_(), iou.requires_grad_())
    assert torch.autograd.gradcheck(total, inputs, eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("sampling", [PointSampling(), None])
def test_no_boxes_give_no_losses_and_a_gradient_of_zero(sampling: PointSampling | None) -> None:
    logits, iou, labels, crops, ratio = scene(0)
    keys = torch.arange(0)
    weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
    losses = box_losses(logits * weight, iou, labels, crops, ratio, keys, sampling)
    total = losses.bce.sum() + losses.dice.sum() + losses.iou.sum()
    total.backward()
    assert total.item() == 0
    assert weight.grad is not None
    assert weight.grad.item() == 0


def test_a_perfect_mask_costs_almost_nothing_and_its_inverse_much() -> None:
    truth = torch.zeros(1, 8, 8)
    truth[:, 2:6, 1:5] = 1
    crops = (truth.repeat_interleave(4, 1).repeat_interleave(4, 2) * 255).to(torch.uint8)
    right, wrong = (
        box_losses(
            sign * (truth * 40 - 20),
            None,
            torch.zeros(1, dtype=torch.long),
            crops,
            truth.mean((1, 2)),
            torch.arange(1),
            None,
        )
        for sign in (1, -1)
    )
    assert right.bce.item() + right.dice.item() < 1e-3
    assert wrong.bce.item() > 10
    assert wrong.dice.item() > 0.9


def test_dice_is_one_minus_the_smoothed_coefficient() -> None:
    logits, target = torch.randn(3, 11).double(), torch.rand(3, 11).double()
    for row, value in enumerate(dice_loss(logits, target)):
        p = logits[row].sigmoid()
        overlap = sum((a * b).item() for a, b in zip(p, target[row], strict=True))
        expected = 1 - (2 * overlap + 1) / (p.sum() + target[row].sum() + 1)
        assert torch.isclose(value, expected)


def test_cell_means_average_whole_blocks() -> None:
    crops = torch.rand(2, 12, 12, dtype=torch.float64)
    means = cell_means(crops, 3)
    for row in range(3):
        for column in range(3):
            block = crops[1, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            assert torch.isclose(means[1, row, column], block.mean())


def test_the_object_outside_the_box_lowers_the_iou() -> None:
    logits = torch.full((1, 8, 8), 9.0)  # everything inside the box
    truth = torch.ones(1, 32, 32)
    inside = predicted_iou(logits, truth, torch.tensor([1.0]))
    half_outside = predicted_iou(logits, truth, torch.tensor([2.0]))
    assert inside.item() == 1
    assert half_outside.item() == 0.5


def test_masks_pasted_by_logits_are_compared_as_logits_are_resized() -> None:
    """Two cells of logits -1 and 9: the logits cross zero nearer to the first than the
    probabilities cross one half."""
    logits = torch.tensor([-1.0, 9.0]).expand(1, 2, 2)
    for paste, crossing in (("logits", 0.1), ("probabilities", 0.2311 / (0.9999 - 0.2689))):
        size = 100
        mask = (torch.arange(size) + 0.5) / size * 2 - 0.5 > crossing
        truth = mask.float().expand(1, size, size)
        assert predicted_iou(logits, truth, truth.mean((1, 2)), paste).item() == 1  # type: ignore[arg-type]


def test_the_iou_of_an_empty_prediction_is_zero() -> None:
    empty = predicted_iou(torch.full((1, 8, 8), -9.0), torch.zeros(1, 32, 32), torch.zeros(1))
    assert empty.item() == 0


def test_the_iou_is_of_the_predicted_category() -> None:
    logits, iou, labels, crops, ratio = scene(4)
    keys = torch.arange(4)
    losses = box_losses(logits, iou, labels, crops, ratio, keys, PointSampling())
    truth = predicted_iou(logits, crops / 255, ratio)
    for box in range(4):
        expected = (iou[box, labels[box]] - truth[box]) ** 2
        assert torch.isclose(losses.iou[box], expected, atol=1e-6)


def test_the_iou_of_a_class_agnostic_head_is_its_one_estimate() -> None:
    logits, iou, labels, crops, ratio = scene(4)
    keys = torch.arange(4)
    one, nothing = iou[:, :1], torch.full_like(labels, -1)
    losses = box_losses(logits, one, nothing, crops, ratio, keys, PointSampling())
    truth = predicted_iou(logits, crops / 255, ratio)
    assert torch.allclose(losses.iou, (one[:, 0] - truth).square(), atol=1e-6)


def test_half_precision_logits_are_compared_in_single_precision() -> None:
    logits, iou, labels, crops, ratio = scene(2)
    keys = torch.arange(2)
    losses = box_losses(logits.bfloat16(), iou, labels, crops, ratio, keys, PointSampling())
    assert losses.bce.dtype == losses.dice.dtype == losses.iou.dtype == torch.float32
