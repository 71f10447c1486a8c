"""Whole optimisation steps in float64 against the equations, parameter by parameter."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mfd.headtrain.head.model import MaskHead
from mfd.headtrain.sources.batch import TrainingBatch
from mfd.headtrain.training import losses as training_losses
from mfd.headtrain.training.loop import make_optimizer
from mfd.headtrain.training.step import train_step
from tests.builders.batches import randomise
from tests.builders.runs import HEAD, SPEC, TRAIN, make_batch

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 10  # the drops fall on the beginning of a step
# Every number differs from its default, from 1 and from the others.
RECIPE = replace(
    TRAIN,
    lr=3e-3,
    beta1=0.8,
    beta2=0.97,
    weight_decay=0.3,
    warmup_steps=3,
    first_drop=0.5,
    second_drop=0.8,
    drop_factor=0.25,
    bce_weight=1.7,
    dice_weight=4.1,
    iou_weight=0.6,
    max_grad_norm=0.35,
)


def batches() -> Iterator[TrainingBatch]:
    """Batches of different numbers of boxes, their norms apart, in float64."""
    generator = torch.Generator().manual_seed(5)
    for step in range(STEPS):
        batch = make_batch(((2, 1, 2), (1, 0, 3), (4, 1, 1))[step % 3])
        maps = replace(batch.features.to("cpu", torch.float64), boxes=batch.features.boxes.double())
        ratio = torch.rand(len(batch.crops), generator=generator, dtype=torch.float64) + 0.5
        yield replace(batch, features=maps, area_ratio=ratio)


def rate(step: int) -> float:
    """A linear warm-up, and two drops at shares of the steps."""
    drops = (step >= RECIPE.first_drop * STEPS) + (step >= RECIPE.second_drop * STEPS)
    warm = min(1.0, (step + 1) / RECIPE.warmup_steps)
    return RECIPE.lr * warm * RECIPE.drop_factor**drops


def interpolation(places: Tensor, size: int) -> Tensor:
    """Weights (..., size) of cells in bilinear values at places in [0, 1]; edges continue."""
    cell = (places * size - 0.5).clamp(0, size - 1)
    return (1 - (cell[..., None] - torch.arange(size)).abs()).clamp(min=0)


def read(maps: Tensor, points: Tensor) -> Tensor:
    """Values of N maps at their points (x, y)."""
    across, down = (interpolation(points[..., axis], maps.shape[-1]) for axis in (0, 1))
    return torch.einsum("npy,nyx,npx->np", down, maps, across)


def reference_loss(head: MaskHead, batch: TrainingBatch, points: Tensor | None) -> Tensor:
    """The mean over boxes of weighted cross-entropy, dice loss and error of the IoU estimate."""
    output = head(batch.features)
    logits, truth = output.mask_logits, batch.crops.double() / 255
    size, crop = logits.shape[-1], truth.shape[-1]
    if points is None:
        x = logits.flatten(1)
        cells = truth.unflatten(1, (size, crop // size)).unflatten(3, (size, crop // size))
        y = cells.mean((2, 4)).flatten(1)
    else:
        x, y = read(logits, points), read(truth, points)
    p = 1 / (1 + torch.exp(-x))
    bce = -(y * p.log() + (1 - y) * (1 - p).log()).mean(1)
    dice = 1 - (2 * (p * y).sum(1) + 1) / (p.sum(1) + y.sum(1) + 1)
    up = interpolation((torch.arange(crop).double() + 0.5) / crop, size)
    pasted = (up @ torch.sigmoid(logits.detach()) @ up.T > 0.5).double()
    overlap = (pasted * truth).mean((1, 2))  # per area of the box
    iou = overlap / (pasted.mean((1, 2)) + batch.area_ratio - overlap)
    estimate = output.iou[torch.arange(len(logits)), batch.features.labels]
    weights = (RECIPE.bce_weight, RECIPE.dice_weight, RECIPE.iou_weight)
    per_box = sum(
        w * loss for w, loss in zip(weights, (bce, dice, (estimate - iou) ** 2), strict=True)
    )
    return per_box.mean()


def reference_step(
    head: MaskHead, state: dict[str, tuple[Tensor, Tensor]], loss: Tensor, step: int
) -> float:
    """Clipping to a norm, then AdamW (arXiv:1711.05101, algorithm 2); returns the norm before."""
    parameters = dict(head.named_parameters())
    found = torch.autograd.grad(loss, list(parameters.values()))
    norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in found))
    scale = min(1.0, RECIPE.max_grad_norm / norm)
    b1, b2 = RECIPE.beta1, RECIPE.beta2
    with torch.no_grad():
        for (name, parameter), gradient in zip(parameters.items(), found, strict=True):
            m, v = state.get(name, (torch.zeros_like(parameter), torch.zeros_like(parameter)))
            g = gradient * scale
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            state[name] = m, v
            m_hat, v_hat = m / (1 - b1 ** (step + 1)), v / (1 - b2 ** (step + 1))
            decayed = parameter * (1 - rate(step) * RECIPE.weight_decay)
            parameter.copy_(decayed - rate(step) * m_hat / (v_hat.sqrt() + 1e-8))
    return norm


@pytest.mark.parametrize("sampled", [False, True], ids=["all cells", "given points"])
def test_steps_are_those_of_the_equations(sampled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    head = randomise(MaskHead(replace(HEAD, sampled_points=sampled), SPEC).double()).train()
    reference = MaskHead(head.config, SPEC).double().train()
    reference.load_state_dict(head.state_dict())
    optimizer, state = make_optimizer(head, RECIPE), {}
    norms = []
    for step, batch in enumerate(batches()):
        points = torch.rand(len(batch.crops), 16, 2, dtype=torch.float64) if sampled else None
        monkeypatch.setattr(training_losses, "sample_points", lambda *_, p=points, **__: p)
        loss = reference_loss(reference, batch, points)
        norms.append(reference_step(reference, state, loss, step))
        values = train_step(head, optimizer, batch, RECIPE, step, STEPS, None).values
        assert float(values[0]) == pytest.approx(float(loss.detach()), rel=1e-7)
        assert float(values[4]) == pytest.approx(norms[-1], rel=1e-6)
        for (name, ours), theirs in zip(
            head.named_parameters(), reference.parameters(), strict=True
        ):
            wrong = (ours - theirs).abs().max() / theirs.abs().max()
            # a gradient as small as Adam's epsilon passes its rounding on as a part of a step
            assert wrong < 1e-5, f"{name} at step {step}: {wrong:.1e}"
    assert min(norms) > RECIPE.max_grad_norm  # every step was clipped
    assert max(norms) > 1.2 * min(norms)  # by another factor each


@pytest.mark.parametrize("limit", [0.0, 0.01])
def test_gradient_is_clipped_to_its_limit_and_zero_is_none(limit: float) -> None:
    head = randomise(MaskHead(HEAD, SPEC)).train()
    before = [parameter.detach().clone() for parameter in head.parameters()]
    optimizer = torch.optim.SGD(head.parameters(), lr=1.0)
    config = replace(TRAIN, lr=1.0, warmup_steps=0, max_grad_norm=limit)
    norm = float(train_step(head, optimizer, make_batch(), config, 0, 99, None).values[4])
    moved = torch.stack(
        [(a - b).norm() for a, b in zip(before, head.parameters(), strict=True)]
    ).norm()
    assert norm > 0.1
    assert float(moved.detach()) == pytest.approx(limit or norm, rel=1e-3)


def test_weights_decay_by_rate_and_share_beside_their_step() -> None:
    head, batch = randomise(MaskHead(HEAD, SPEC)).train(), make_batch()
    before = {name: value.clone() for name, value in head.state_dict().items()}
    after = []
    for decay in (0.0, 0.2):
        head.load_state_dict(before)
        config = replace(TRAIN, lr=0.1, warmup_steps=0, weight_decay=decay)
        train_step(head, make_optimizer(head, config), batch, config, 0, 99, None)
        after.append({name: value.clone() for name, value in head.named_parameters()})
    for name, without in after[0].items():
        expected = without - 0.1 * 0.2 * before[name]
        torch.testing.assert_close(after[1][name], expected, rtol=1e-5, atol=1e-6)
