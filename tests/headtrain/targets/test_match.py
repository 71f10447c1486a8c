import math
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mfd.detectors.spec import DetectorSpec
from mfd.headtrain.targets.match import match, matching_cost
from mfd.nn import cxcywh_to_xyxy, pairwise_giou


def spec(scores: str = "sigmoid") -> DetectorSpec:
    return DetectorSpec(
        name="test",
        dim=8,
        strides=(16,),
        num_queries=5,
        category_ids=(1, 7, 9),
        c1_channels=4,
        weights_digest="",
        scores=scores,  # type: ignore[arg-type]
    )


def scene(queries: int, objects: int, columns: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    logits = torch.randn(queries, columns)
    boxes = torch.rand(queries, 4) * 0.5 + 0.2
    return logits, boxes, torch.randint(0, 3, (objects,)), torch.rand(objects, 4) * 0.5 + 0.2


@pytest.mark.parametrize(("queries", "objects"), [(5, 3), (3, 5), (4, 4)])
def test_the_matching_is_the_cheapest_of_all(queries: int, objects: int) -> None:
    tensors = scene(queries, objects)
    cost = matching_cost(*tensors, spec())
    chosen, of = match(*tensors, spec())
    few = min(queries, objects)
    assert len(chosen) == len(of.unique()) == len(chosen.unique()) == few
    if queries >= objects:
        totals = [cost[list(p), range(objects)].sum() for p in permutations(range(queries), few)]
    else:
        totals = [cost[range(queries), list(p)].sum() for p in permutations(range(objects), few)]
    assert torch.isclose(cost[chosen, of].sum(), torch.stack(totals).min())


@pytest.mark.parametrize("scores", ["sigmoid", "softmax"])
def test_each_object_finds_the_query_that_predicts_it(scores: str) -> None:
    _, boxes, columns, _ = scene(5, 3)
    where = torch.tensor([4, 0, 2])
    logits = torch.full((5, 3 + (scores == "softmax")), -4.0)
    logits[where, columns] = 4.0
    chosen, of = match(logits, boxes, columns, boxes[where], spec(scores))
    assert dict(zip(of.tolist(), chosen.tolist(), strict=True)) == {0: 4, 1: 0, 2: 2}


@pytest.mark.parametrize("scores", ["sigmoid", "softmax"])
def test_matching_any_category_goes_by_boxes_alone(scores: str) -> None:
    logits, boxes, _, objects = scene(5, 3, 3 + (scores == "softmax"))
    anything = torch.full((3,), -1)
    cost = matching_cost(logits, boxes, anything, objects, spec(scores))
    corners = [cxcywh_to_xyxy(each.double()) for each in (boxes, objects)]
    distance = (boxes.double()[:, None] - objects.double()).abs().sum(-1)
    assert torch.allclose(cost, 5 * distance - 2 * pairwise_giou(*corners), atol=1e-12)
    other = matching_cost(torch.randn_like(logits), boxes, anything, objects, spec(scores))
    assert torch.equal(cost, other)


def test_an_image_without_objects_matches_nothing() -> None:
    chosen, of = match(*scene(5, 0), spec())
    assert len(chosen) == len(of) == 0


def costs_in_float64(
    logits: Tensor, boxes: Tensor, columns: Tensor, objects: Tensor
) -> dict[str, np.ndarray]:
    """Each cost of every query (row) and object (column), unweighted.

    Focal class cost and L1 as in Deformable DETR (arXiv:2010.04159), GIoU from arXiv:1902.09630.
    """
    costs = {name: np.zeros((len(boxes), len(objects))) for name in ("class", "l1", "giou")}
    for q, query in enumerate(boxes.double().tolist()):
        for n, truth in enumerate(objects.double().tolist()):
            p = 1 / (1 + math.exp(-float(logits[q, columns[n]])))
            is_it, is_not = -0.25 * (1 - p) ** 2 * math.log(p), -0.75 * p**2 * math.log(1 - p)
            costs["class"][q, n] = is_it - is_not
            costs["l1"][q, n] = sum(abs(a - b) for a, b in zip(query, truth, strict=True))
            (l1, t1, r1, b1), (l2, t2, r2, b2) = (
                (x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h in (query, truth)
            )
            overlap = max(min(r1, r2) - max(l1, l2), 0) * max(min(b1, b2) - max(t1, t2), 0)
            union = query[2] * query[3] + truth[2] * truth[3] - overlap
            hull = (max(r1, r2) - min(l1, l2)) * (max(b1, b2) - min(t1, t2))
            costs["giou"][q, n] = -(overlap / union - (hull - union) / hull)
    return costs


def cheapest(costs: dict[str, np.ndarray], **weights: float) -> list[int]:
    total = sum(weights[name] * cost for name, cost in costs.items())
    rows, columns = linear_sum_assignment(total)
    return [int(row) for _, row in sorted(zip(columns, rows, strict=True))]


@pytest.mark.parametrize("scores", ["sigmoid", "softmax"])
def test_cost_is_the_published_one(scores: str) -> None:
    logits, boxes, columns, objects = scene(7, 4, 3 + (scores == "softmax"))
    costs = costs_in_float64(logits, boxes, columns, objects)
    if scores == "softmax":
        costs["class"] = -logits.double().softmax(-1)[:, columns].numpy()
    expected = 2 * costs["class"] + 5 * costs["l1"] + 2 * costs["giou"]
    found = matching_cost(logits, boxes, columns, objects, spec(scores)).numpy()
    assert np.abs(found - expected).max() < (1e-6 if scores == "softmax" else 1e-12)


def test_matching_changes_with_each_weight_and_is_the_one_of_the_published_weights() -> None:
    published = {"class": 2.0, "l1": 5.0, "giou": 2.0}
    changed = [published | {name: factor * w} for name, w in published.items() for factor in (0, 2)]
    sensitive = [0] * len(changed)
    for _ in range(60):
        tensors = scene(8, 5)
        costs = costs_in_float64(*tensors)
        expected = cheapest(costs, **published)
        chosen, of = match(*tensors, spec())
        found = dict(zip(of.tolist(), chosen.tolist(), strict=True))
        assert [found[n] for n in range(5)] == expected
        for index, weights in enumerate(changed):
            sensitive[index] += cheapest(costs, **weights) != expected
    assert min(sensitive) >= 3, sensitive  # so that a wrong weight cannot pass
