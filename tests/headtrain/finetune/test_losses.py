"""The detector's losses against an independent float64 reference, written from the papers."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from mfd.headtrain.finetune.losses import (
    DetectionTruth,
    Layer,
    detection_loss,
    focal_loss,
    supervised_layers,
)
from tests.builders.deformable import FAMILIES, padded_images, small_detector, small_network

SPEC = small_detector().spec


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def focal(x: float, wanted: bool) -> float:
    """-alpha_t (1 - p_t)^2 log p_t (arXiv:1708.02002, eq. 5), alpha 0.25."""
    p = sigmoid(x)
    return -0.25 * (1 - p) ** 2 * math.log(p) if wanted else -0.75 * p**2 * math.log(1 - p)


def corners(box: list[float]) -> tuple[float, float, float, float]:
    x, y, w, h = box
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def giou(a: list[float], b: list[float]) -> float:
    """IoU less the share of the enclosing box outside the union (arXiv:1902.09630)."""
    (al, at, ar, ab), (bl, bt, br, bb) = corners(a), corners(b)
    overlap = max(0, min(ar, br) - max(al, bl)) * max(0, min(ab, bb) - max(at, bt))
    union = a[2] * a[3] + b[2] * b[3] - overlap
    hull = (max(ar, br) - min(al, bl)) * (max(ab, bb) - min(at, bt))
    return overlap / union - (hull - union) / hull


def reference(layer: Layer, truths: list[DetectionTruth]) -> float:
    """Of one layer: every assignment is tried, by the costs of Deformable DETR's matcher."""
    total = 0.0
    for logits, boxes, truth in zip(layer.logits, layer.boxes_cxcywh, truths, strict=True):
        scores, found = logits.double().tolist(), boxes.double().tolist()
        columns = [0 if layer.binary else c for c in truth.columns.tolist()]
        wanted = truth.boxes_cxcywh.double().tolist()

        def cost(
            q: int, n: int, scores=scores, found=found, columns=columns, wanted=wanted
        ) -> float:
            x = scores[q][columns[n]]
            distance = sum(abs(a - b) for a, b in zip(found[q], wanted[n], strict=True))
            class_cost = focal(x, True) - focal(x, False)
            return 2 * class_cost + 5 * distance - 2 * giou(found[q], wanted[n])

        best = min(
            itertools.permutations(range(len(scores)), len(columns)),
            key=lambda queries: sum(cost(q, n) for n, q in enumerate(queries)),
        )
        matched = {(q, columns[n]) for n, q in enumerate(best)}
        for q, row in enumerate(scores):
            total += 2 * sum(focal(x, (q, k) in matched) for k, x in enumerate(row))
        for n, q in enumerate(best):
            total += 5 * sum(abs(a - b) for a, b in zip(found[q], wanted[n], strict=True))
            total += 2 * (1 - giou(found[q], wanted[n]))
    return total


def random_boxes(*shape: int) -> Tensor:
    centre, size = torch.rand(*shape, 2) * 0.6 + 0.2, torch.rand(*shape, 2) * 0.3 + 0.05
    return torch.cat((centre, size), -1)


def random_truths(*counts: int) -> list[DetectionTruth]:
    return [DetectionTruth(torch.randint(0, 5, (n,)), random_boxes(n)) for n in counts]


@pytest.mark.parametrize("binary", [False, True])
def test_losses_are_those_of_the_papers(binary: bool) -> None:
    truths = random_truths(3, 0, 1)
    layers = [
        Layer(2 * torch.randn(3, 6, 5), random_boxes(3, 6), binary),
        Layer(2 * torch.randn(3, 4, 5), random_boxes(3, 4)),
    ]
    found = detection_loss(iter(layers), truths, SPEC)
    expected = sum(reference(layer, truths) for layer in layers)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_gradients_of_the_losses_are_their_differences() -> None:
    truths = random_truths(2, 1)
    logits = torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True)
    boxes = random_boxes(2, 4).double().requires_grad_()
    truths = [DetectionTruth(t.columns, t.boxes_cxcywh.double()) for t in truths]
    assert torch.autograd.gradcheck(
        lambda a, b: detection_loss(iter([Layer(a, b)]), truths, SPEC), (logits, boxes)
    )


def test_objects_of_no_image_leave_only_background() -> None:
    layer = Layer(torch.randn(2, 4, 5), random_boxes(2, 4))
    found = detection_loss(iter([layer]), random_truths(0, 0), SPEC)
    assert found.item() == pytest.approx(2 * focal_loss(layer.logits, torch.zeros(2, 4, 5)).sum())


def test_focal_loss_stays_finite_where_a_sigmoid_is_zero_or_one() -> None:
    logits = torch.tensor([-200.0, 200.0, -200.0, 200.0], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0.0, 1.0, 1.0, 0.0]))
    assert loss.tolist() == pytest.approx([0, 0, 0.25 * 200, 0.75 * 200])
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert gradient.isfinite().all()


def test_every_decoder_layer_and_the_proposals_are_supervised() -> None:
    for family, config in FAMILIES.items():
        network = small_network(config)
        network.proposals.train(config.token_score == "class_0")
        found = network(*padded_images((64, 96), (50, 70)))
        *decoder, proposals = supervised_layers(found, config)
        assert [torch.equal(a.logits, b) for a, b in zip(decoder, found.logits, strict=True)]
        assert not any(layer.binary for layer in decoder)
        tokens = found.encoder[-1].shape[1]
        if family == "hdetr":
            assert proposals.binary
            assert proposals.logits.shape[1] == proposals.boxes_cxcywh.shape[1] == tokens
        else:
            assert not proposals.binary
            assert proposals.boxes_cxcywh is found.selection.boxes
            row = found.selection.tokens[1, 3]
            assert torch.equal(proposals.logits[1, 3], found.selection.logits[1, row])
