from itertools import permutations

import pytest
import torch
from torch import Tensor

from mfd.detectors.contract import DetectorSpec
from mfd.headtrain.targets.matching import match, matching_cost


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


def test_the_focal_cost_is_the_published_formula() -> None:
    logits, boxes, columns, objects = scene(5, 3)
    p = logits.double().sigmoid()
    positive = 0.25 * (1 - p) ** 2 * -(p + 1e-8).log()
    negative = 0.75 * p**2 * -(1 - p + 1e-8).log()
    expected = 2 * (positive - negative)[:, columns]
    free_of_boxes = matching_cost(logits, boxes, columns, objects, spec()) - matching_cost(
        torch.zeros_like(logits), boxes, columns, objects, spec()
    )
    zero = 2 * (0.25 - 0.75) * 0.25 * torch.tensor(2.0).log()
    assert torch.allclose(free_of_boxes, expected - zero, atol=1e-6)


def test_an_image_without_objects_matches_nothing() -> None:
    chosen, of = match(*scene(5, 0), spec())
    assert len(chosen) == len(of) == 0
